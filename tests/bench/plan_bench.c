/* SPDX-License-Identifier: Apache-2.0
 * How long a round takes, from 8 to 500 sites, and how far plans are from the exact optimum on instances
 * small enough for GLPK (a test-only dependency). Writes build/bench/plan.json. Seeds are fixed: same
 * machine, same instances. usage: plan_bench FILE.json [rounds] */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "controller/steer/cost.h"
#include "controller/steer/search.h"
#include "proto/base/mem.h"
#include "tests/bench/exact.h"

#define ROUNDS	    60
#define SMALL	    200	 /* instances for the exact gap */
#define SECOND_TIER 1e-3 /* rounding of the program apart */

static uint64_t rng = 1;

static double unit(void)
{
	rng = rng * 6364136223846793005u + 1442695040888963407u;
	return (double)(rng >> 11) / (double)(1ull << 53);
}

static const struct grade_set grades = {
	.g = { { "normal", GRADE_NORMAL, 0, 0 },
	       { "no-peers", GRADE_COMMUNITY, 0, 25 },
	       { "prepend1", GRADE_PREPEND, 1, 40 },
	       { "prepend2", GRADE_PREPEND, 2, 50 },
	       { "prepend3", GRADE_PREPEND, 3, 60 },
	       { "drain", GRADE_DRAIN, 0, 90 },
	       { "withdrawn", GRADE_WITHDRAWN, 0, 100 } },
	.n = 7,
};

static void snap_new(struct snapshot *s, size_t sites, size_t shards)
{
	*s = (struct snapshot){
		.now_ms = 1000000, .mode = MODE_STEER, .grades = &grades, .n_sites = sites, .n_shards = shards
	};
	s->sites = xcalloc(sites, sizeof(*s->sites));
	s->shards = xcalloc(shards, sizeof(*s->shards));
	s->cells = xcalloc(sites * shards, sizeof(*s->cells));
	for (size_t i = 0; i < sites; i++) {
		struct snap_site *site = &s->sites[i];
		snprintf(site->name, STEER_NAME, "site-%03zu", i);
		site->healthy = true;
		site->cap[RES_BPS] = site->cap_all[RES_BPS] = 1e9 * (0.5 + unit());
	}
	for (size_t k = 0; k < shards; k++) {
		snprintf(s->shards[k].name, STEER_NAME, "shard-%02zu", k);
		snprintf(s->shards[k].service, STEER_NAME, "web");
		s->shards[k].min_sites = 2;
		s->shards[k].family = 4;
	}
}

static void snap_free(struct snapshot *s)
{
	free(s->sites);
	free(s->shards);
	free(s->cells);
}

/* Half of capacity used; a tenth of the sites above it by a factor of up to two and a half when hot. */
static void load_new(struct snapshot *s, double *load, double hot)
{
	for (size_t i = 0; i < s->n_sites; i++) {
		double u = 0.3 + 0.4 * unit();
		if (hot > 0 && (i == 0 || unit() < 0.1))
			u = 1 + hot * unit();
		for (size_t k = 0; k < s->n_shards; k++)
			load[i * s->n_shards + k] =
				u * s->sites[i].cap[RES_BPS] / (double)s->n_shards * (0.6 + 0.8 * unit());
	}
}

static void report(struct snapshot *s, const double *load)
{
	for (size_t c = 0; c < s->n_sites * s->n_shards; c++) {
		s->cells[c].announced = true;
		s->cells[c].grade = s->cells[c].wanted;
		s->cells[c].lo[RES_BPS] = s->cells[c].hi[RES_BPS] = load[c] * (1 + 0.02 * (2 * unit() - 1));
	}
	s->now_ms += 1000;
}

static double cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Rounds that decide under overload: a fresh attack, and what the engine does about it, again and again. */
static json_t *size(size_t sites, size_t shards, int rounds)
{
	struct policy p;
	struct snapshot s;
	auto_free double *load = xcalloc(sites * shards, sizeof(double));
	auto_free double *ms = xcalloc((size_t)rounds, sizeof(double));
	double gap = 0;
	int n = 0, plans = 0;

	policy_default(&p);
	p.changes_max = 200;
	snap_new(&s, sites, shards);
	struct engine *e = engine_new(&p);
	load_new(&s, load, 0);
	for (int t = 0; t < 12; t++) {
		struct plan plan;
		report(&s, load);
		engine_step(e, &s, &plan);
		plan_done(&plan);
	}
	while (n < rounds) {
		struct plan plan;

		if (n % 6 == 0)
			load_new(&s, load, 1.5);
		report(&s, load);
		double before = cpu_ms();
		engine_step(e, &s, &plan);
		ms[n++] = cpu_ms() - before;
		gap += plan.gap_pct;
		plans += plan.n_moves > 0;
		for (size_t m = 0; m < plan.n_moves; m++) /* takes effect as predicted */
			snap_cell(&s, plan.moves[m].site, plan.moves[m].shard)->wanted = plan.moves[m].to;
		plan_done(&plan);
		if (n % 6 == 5) { /* all back, so that the next one starts from normal */
			for (size_t c = 0; c < sites * shards; c++)
				s.cells[c].wanted = 0;
			s.now_ms += 2000000;
		}
	}
	qsort(ms, (size_t)n, sizeof(double), by_value);
	double p99 = ms[(size_t)(0.99 * (n - 1) + 0.5)];
	printf("%4zu sites x %3zu shards: median %7.2f ms, p99 %7.2f ms, gap %.2f %%, %d of %d rounds "
	       "planned\n",
	       sites, shards, ms[n / 2], p99, gap / n, plans, n);
	fflush(stdout);
	engine_free(e);
	snap_free(&s);
	return json_pack("{s:i, s:i, s:f, s:f, s:f}", "sites", (int)sites, "shards", (int)shards, "p99_ms",
			 p99, "median_ms", ms[n / 2], "gap_pct", gap / n);
}

/* A learned model: every answer known well. */
static void teach(struct shift *m, const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_sites; i++)
		for (size_t g = 1; g < s->grades->n; g++) {
			double strength = s->grades->g[g].strength / 100.0;
			const char *site = s->sites[i].name, *grade = s->grades->g[g].name;
			shift_learn_shed(m, site, grade, 4, fmin(0.99, strength * (0.7 + 0.6 * unit())), 40,
					 s->now_ms);
			for (size_t j = 0; j < s->n_sites; j++)
				if (j != i)
					shift_learn_dest(m, site, grade, 4, s->sites[j].name, 8 * unit(),
							 s->now_ms);
		}
}

/* One small instance: the search's plan against the exact one under the same limits. -1: nothing to compare.
 */
static double small_gap(void)
{
	struct policy p;
	struct snapshot s;
	struct shift model = { 0 };
	struct recall mem = { 0 };
	struct plan plan = { 0 };
	struct round r;
	struct trial t;
	size_t sites = 3 + (size_t)(3 * unit()), shards = 3 + (size_t)(3 * unit());
	double gap = -1;

	policy_default(&p);
	snap_new(&s, sites, shards);
	auto_free double *load = xcalloc(sites * shards, sizeof(double));
	load_new(&s, load, 0.8);
	report(&s, load);
	teach(&model, &s);
	recall_sync(&mem, &s);
	struct guard *g = guard_new();
	guard_observe(g, &p, &s);
	round_init(&r, &s, &p, &model, &mem);
	demand_estimate(&r, true, false);
	for (size_t i = 0; i < sites; i++)
		r.hot[i] = r.urgent[i] = round_util(&r, i, &r.load[i]) > p.trigger_util;
	trial_init(&t, &r);
	search_run(&r, g, p.round_moves_max, false, &plan, &t);
	if (plan.n_moves) {
		double ours = cost_all(&r, t.load, t.dev), best = exact_cost(&r, g, p.round_moves_max);
		/* the program knows no second tier: a plan better than its best is one less certain move */
		if (best >= 0 && ours >= best * (1 - SECOND_TIER))
			gap = fmax(0, 100 * (ours / best - 1));
	}
	trial_done(&t);
	round_done(&r);
	recall_done(&mem);
	shift_done(&model);
	guard_free(g);
	plan_done(&plan);
	snap_free(&s);
	return gap;
}

static json_t *exact_gaps(void)
{
	double gap[SMALL];
	int n = 0;

	rng = 7; /* the same instances whatever was timed before */
	for (int tries = 0; n < SMALL && tries < 10 * SMALL; tries++) {
		double v = small_gap();
		if (v >= 0)
			gap[n++] = v;
	}
	if (!n)
		return json_null();
	qsort(gap, (size_t)n, sizeof(double), by_value);
	double median = gap[n / 2], p95 = gap[(int)(0.95 * (n - 1))];
	printf("gap to the exact optimum over %d instances: median %.2f %%, p95 %.2f %%, worst %.2f %%\n", n,
	       median, p95, gap[n - 1]);
	return json_pack("{s:f, s:f}", "median", median, "p95", p95);
}

int main(int argc, char **argv)
{
	static const size_t sizes[][2] = { { 8, 8 },	{ 16, 16 },  { 32, 16 }, { 64, 32 },
					   { 128, 32 }, { 330, 64 }, { 500, 64 } };
	json_t *list = json_array();

	if (argc < 2) {
		fprintf(stderr, "usage: plan_bench FILE.json [rounds]\n");
		return 2;
	}
	int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		json_array_append_new(list, size(sizes[i][0], sizes[i][1], rounds < 6 ? 6 : rounds));
	json_t *root = json_pack("{s:o, s:o}", "sizes", list, "exact_gap_pct", exact_gaps());
	int err = json_dump_file(root, argv[1], JSON_INDENT(1) | JSON_REAL_PRECISION(5));
	json_decref(root);
	if (err)
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
	return err != 0;
}
