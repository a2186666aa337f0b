/* SPDX-License-Identifier: Apache-2.0
 * The engine in a closed loop with a small Internet that is not its model: three sites, three transits, six
 * stub networks of which three are multi-homed. One prepend moves only the multi-homed, two move all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <cmocka.h>
#include <string.h>

#include "controller/steer/steer.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"

enum { FRA, AMS, NYC, SITES };
enum { SHARDS = 6, CLIENTS = 6, STEP_MS = 1000 };

static const struct grade_set grades = {
	.g = { { "normal", GRADE_NORMAL, 0, 0 },
	       { "prepend1", GRADE_PREPEND, 1, 40 },
	       { "prepend2", GRADE_PREPEND, 2, 50 },
	       { "prepend3", GRADE_PREPEND, 3, 60 },
	       { "drain", GRADE_DRAIN, 0, 90 },
	       { "withdrawn", GRADE_WITHDRAWN, 0, 100 } },
	.n = 6,
};

struct world {
	struct snapshot s;
	struct snap_site site[SITES];
	struct snap_shard shard[SHARDS];
	struct snap_cell cell[SITES * SHARDS];
	double demand[CLIENTS][SHARDS]; /* Mbit/s */
	double land[SITES][SHARDS];	/* smoothed arrival, lags */
	double noise;
	double surge; /* fra's load is seen so many times; 0: as it is */
	uint64_t rng;
	unsigned changes;
	unsigned reversals; /* a cell changed direction */
	int8_t direction[SITES * SHARDS];
};

static const double cap[SITES] = { 50e6, 40e6, 40e6 };

static double rnd(struct world *w)
{
	w->rng = w->rng * 6364136223846793005u + 1442695040888963407u;
	return (double)(w->rng >> 11) / (double)(1ull << 53);
}

/* Path length a transit offers for a shard, and whose it is. */
static int transit_path(const struct world *w, int t, int k, int *ret_site)
{
	int best = 1000;

	*ret_site = -1;
	for (int j = 0; j < SITES; j++) {
		int i = (t + j) % SITES; /* its own site first at equal length */
		const struct grade *g = &grades.g[w->cell[i * SHARDS + k].grade];
		int len = (int)g->prepends + (i == t ? 1 : 2) + (g->kind == GRADE_DRAIN ? 100 : 0);

		if (g->kind == GRADE_WITHDRAWN || !w->site[i].healthy || len >= best)
			continue;
		best = len;
		*ret_site = i;
	}
	return best;
}

/* c0: t0; c1: t0 t1; c2: t1; c3: t1 t2; c4: t2; c5: t0 t2 */
static int client_site(const struct world *w, int c, int k)
{
	static const int homes[CLIENTS][2] = { { 0, 0 }, { 0, 1 }, { 1, 1 }, { 1, 2 }, { 2, 2 }, { 0, 2 } };
	int a, b, la = transit_path(w, homes[c][0], k, &a), lb = transit_path(w, homes[c][1], k, &b);

	return (la % 100) <= (lb % 100) || b < 0 ? a : b;
}

static void traffic(struct world *w)
{
	double now[SITES][SHARDS] = { 0 };

	for (int c = 0; c < CLIENTS; c++)
		for (int k = 0; k < SHARDS; k++) {
			int i = client_site(w, c, k);
			if (i >= 0)
				now[i][k] += w->demand[c][k] * 1e6;
		}
	for (int i = 0; i < SITES; i++) {
		double sum = 0;
		for (int k = 0; k < SHARDS; k++) {
			struct snap_cell *cell = &w->cell[i * SHARDS + k];
			w->land[i][k] += 0.8 * (now[i][k] - w->land[i][k]);
			double v = w->land[i][k] * (1 + w->noise * (2 * rnd(w) - 1));
			if (i == FRA && w->surge > 0)
				v *= w->surge;
			cell->lo[RES_BPS] = cell->hi[RES_BPS] = v;
			sum += v;
		}
		w->site[i].max_node_util = sum / cap[i];
	}
}

static void world_init(struct world *w, double noise, uint64_t seed)
{
	static const char *const sites[] = { "fra", "ams", "nyc" };
	static const char *const shards[] = { "web-a", "web-b", "web-c", "web-d", "web-a6", "web-b6" };

	*w = (struct world){ .noise = noise, .rng = seed };
	for (int i = 0; i < SITES; i++) {
		snprintf(w->site[i].name, STEER_NAME, "%s", sites[i]);
		w->site[i].healthy = true;
		w->site[i].cap[RES_BPS] = w->site[i].cap_all[RES_BPS] = cap[i];
		for (int k = 0; k < SHARDS; k++)
			w->cell[i * SHARDS + k].announced = true;
	}
	for (int k = 0; k < SHARDS; k++) {
		snprintf(w->shard[k].name, STEER_NAME, "%s", shards[k]);
		snprintf(w->shard[k].service, STEER_NAME, "web");
		w->shard[k].min_sites = 2;
		w->shard[k].family = k < 4 ? 4 : 6;
	}
	w->s = (struct snapshot){ .mode = MODE_STEER,
				  .grades = &grades,
				  .sites = w->site,
				  .shards = w->shard,
				  .cells = w->cell,
				  .n_sites = SITES,
				  .n_shards = SHARDS,
				  .now_ms = 1000000 };
}

/* Total of fra's clients, spread 2/3 single-homed, 1/6 and 1/6 multi-homed; 10 at each of the others. */
static void demand(struct world *w, double fra)
{
	for (int k = 0; k < SHARDS; k++) {
		w->demand[0][k] = fra * 2 / 3 / SHARDS;
		w->demand[1][k] = w->demand[5][k] = fra / 6 / SHARDS;
		w->demand[2][k] = w->demand[3][k] = 5.0 / SHARDS;
		w->demand[4][k] = 10.0 / SHARDS;
	}
}

static double util(const struct world *w, int i)
{
	double sum = 0;

	for (int k = 0; k < SHARDS; k++)
		sum += w->land[i][k];
	return sum / cap[i];
}

static double peak(const struct world *w)
{
	return fmax(util(w, FRA), fmax(util(w, AMS), util(w, NYC)));
}

static bool talk;

static void order(struct world *w, const struct plan *p)
{
	for (size_t m = 0; m < p->n_moves; m++) {
		struct snap_cell *c = snap_cell(&w->s, p->moves[m].site, p->moves[m].shard);
		size_t idx = (size_t)(c - w->cell);
		int8_t dir = p->moves[m].to > p->moves[m].from ? 1 : -1;

		if (talk)
			print_message("%7.0f %s\n", (double)w->s.now_ms / 1000 - 1000, p->moves[m].why);
		w->reversals += w->direction[idx] && w->direction[idx] != dir;
		w->direction[idx] = dir;
		c->wanted = p->moves[m].to;
		w->changes++;
	}
}

static void tick(struct world *w, struct engine *e, bool act)
{
	struct plan p;

	traffic(w);
	engine_step(e, &w->s, &p);
	if (talk && !p.n_moves)
		print_message("%7.0f %-7s fra %.2f ams %.2f nyc %.2f  %s\n",
			      (double)w->s.now_ms / 1000 - 1000, plan_state_str(p.state), util(w, FRA),
			      util(w, AMS), util(w, NYC), p.why);
	if (act)
		order(w, &p);
	plan_done(&p);
	w->s.now_ms += STEP_MS;
	for (int c = 0; c < SITES * SHARDS; c++) {
		w->cell[c].grade = w->cell[c].wanted;
		w->cell[c].announced = grades.g[w->cell[c].grade].kind != GRADE_WITHDRAWN;
	}
}

static struct policy lab_policy(void)
{
	struct policy p;

	policy_default(&p);
	p.settle_min_ms = 4000;
	p.settle_max_ms = 10000;
	p.restore_hold_ms = 8000;
	p.no_return_ms = 2000;
	p.changes_max = 30;
	return p;
}

static void crowd(double noise, uint64_t seed)
{
	struct policy pol = lab_policy();
	struct engine *e = engine_new(&pol);
	struct world w;
	int relief = -1;

	world_init(&w, noise, seed);
	demand(&w, 28);
	for (int t = 0; t < 10; t++)
		tick(&w, e, true);
	assert_int_equal(w.changes, 0);
	demand(&w, 80);
	w.s.mode = MODE_OBSERVE;
	for (int t = 0; t < 6; t++)
		tick(&w, e, false);
	assert_true(util(&w, FRA) > 1.5);
	w.s.mode = MODE_STEER;
	for (int t = 0; t < 60; t++) {
		tick(&w, e, true);
		if (relief < 0 && peak(&w) <= 1.0)
			relief = t;
		if (relief >= 0)
			assert_true(peak(&w) <= 1.0);
	}
	if (talk)
		print_message("relief after %d s, %u changes\n", relief, w.changes);
	assert_true(relief >= 0 && relief <= 20);
	assert_in_range(w.changes, 1, 6);
	assert_in_range(w.reversals, 0, noise > 0); /* a wrong guess may be lifted again */
	unsigned shed = w.changes;
	demand(&w, 28);
	int restored = -1;
	for (int t = 0; t < 90; t++) {
		tick(&w, e, true);
		bool normal = true;
		for (int c = 0; c < SITES * SHARDS; c++)
			normal = normal && !w.cell[c].grade;
		if (normal && restored < 0)
			restored = t;
		assert_true(peak(&w) <= 0.9 || t < 4);
	}
	if (talk)
		print_message("restored after %d s\n", restored);
	assert_true(restored >= 0 && restored <= 45);
	assert_true(w.changes <= 2 * shed + 2);
	engine_free(e);
}

static void flash_crowd(void **state)
{
	(void)state;
	talk = getenv("TALK") != NULL;
	crowd(0, 1);
	talk = false;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		crowd(0.15, seed);
	}
}

/* Runs the crowd up to the first plan; returns it. */
static void first_plan(struct world *w, struct engine *e, struct plan *ret_plan)
{
	demand(w, 28);
	for (int t = 0; t < 6; t++)
		tick(w, e, true);
	demand(w, 80);
	for (int t = 0; t < 12; t++) {
		traffic(w);
		engine_step(e, &w->s, ret_plan);
		if (ret_plan->n_moves)
			return;
		plan_done(ret_plan);
		w->s.now_ms += STEP_MS;
	}
	fail_msg("no plan");
}

/* The same world with sites and shards in another order gives the same moves, by name and number. */
static void order_is_irrelevant(void **state)
{
	struct policy pol = lab_policy();
	struct engine *a = engine_new(&pol), *b = engine_new(&pol);
	struct snap_site site[SITES];
	struct snap_shard shard[SHARDS];
	struct snap_cell cell[SITES * SHARDS];
	struct world w;

	(void)state;
	world_init(&w, 0.1, 3);
	demand(&w, 80);
	for (int t = 0; t < 30; t++) {
		struct plan p, q;
		struct snapshot s = w.s;

		traffic(&w);
		for (int i = 0; i < SITES; i++)
			site[i] = w.site[SITES - 1 - i];
		for (int k = 0; k < SHARDS; k++)
			shard[k] = w.shard[(k + 4) % SHARDS];
		for (int i = 0; i < SITES; i++)
			for (int k = 0; k < SHARDS; k++)
				cell[i * SHARDS + k] = w.cell[(SITES - 1 - i) * SHARDS + (k + 4) % SHARDS];
		s.sites = site;
		s.shards = shard;
		s.cells = cell;
		engine_step(a, &w.s, &p);
		engine_step(b, &s, &q);
		assert_int_equal(p.state, q.state);
		assert_string_equal(p.why, q.why);
		assert_int_equal(p.n_moves, q.n_moves);
		for (size_t m = 0; m < p.n_moves; m++) {
			assert_string_equal(p.moves[m].why, q.moves[m].why);
			assert_memory_equal(&p.moves[m].moved, &q.moves[m].moved, sizeof(double));
		}
		order(&w, &p);
		for (int c = 0; c < SITES * SHARDS; c++)
			w.cell[c].grade = w.cell[c].wanted;
		w.s.now_ms += STEP_MS;
		plan_done(&p);
		plan_done(&q);
	}
	engine_free(a);
	engine_free(b);
}

/* Model, ledger and changes in flight survive a restart: the plans go on as if nothing had happened. */
static void restart(void **state)
{
	struct policy pol = lab_policy();
	struct engine *e = engine_new(&pol);
	struct world w;

	(void)state;
	world_init(&w, 0, 1);
	demand(&w, 28);
	for (int t = 0; t < 6; t++)
		tick(&w, e, true);
	demand(&w, 80);
	for (int t = 0; t < 40; t++) {
		auto_buf a = { 0 }, b = { 0 };
		struct engine *f = engine_new(&pol);

		tick(&w, e, true);
		engine_save(e, &a);
		assert_int_equal(engine_load(f, a.data, a.len), 0);
		engine_save(f, &b);
		assert_string_equal(a.data, b.data);
		assert_int_equal(engine_load(f, "sluice-steer 1\nbogus\n", 21), ERR_MALFORMED);
		if (t == 6) { /* in flight */
			engine_free(e);
			e = f;
		} else {
			engine_free(f);
		}
	}
	assert_true(peak(&w) <= 1.0);
	assert_int_equal(w.reversals, 0);
	engine_free(e);
}

/* The clock restarts with the machine: ages are kept, nothing waits for the old clock to come round. */
static void reboot(void **state)
{
	struct policy pol = lab_policy();
	struct engine *e = engine_new(&pol);
	struct guard *g = guard_new(), *h = guard_new();
	struct world w;
	auto_buf text = { 0 }, guard = { 0 };

	(void)state;
	world_init(&w, 0, 1);
	w.s.now_ms = 500000000; /* up for six days */
	demand(&w, 28);
	for (int t = 0; t < 6; t++)
		tick(&w, e, true);
	demand(&w, 80);
	for (int t = 0; t < 40; t++) {
		guard_observe(g, &pol, &w.s);
		tick(&w, e, true);
	}
	assert_true(w.changes > 0);
	engine_save(e, &text);
	guard_save(g, &guard);
	double penalty = 0, after = 0;
	for (int c = 0; c < SITES * SHARDS; c++)
		penalty += guard_ledger(g, w.site[c / SHARDS].name, w.shard[c % SHARDS].name, w.s.now_ms);
	engine_free(e);
	e = engine_new(&pol);
	assert_int_equal(engine_load(e, text.data, text.len), 0);
	assert_int_equal(guard_load(h, guard.data, guard.len), 0);
	w.s.now_ms = 30000;
	guard_observe(h, &pol, &w.s);
	for (int c = 0; c < SITES * SHARDS; c++)
		after += guard_ledger(h, w.site[c / SHARDS].name, w.shard[c % SHARDS].name, w.s.now_ms);
	assert_true(penalty > 0 && fabs(after / penalty - 1) < 0.01);
	demand(&w, 28);
	int weak = 1;
	for (int t = 0; t < 90 && weak; t++) {
		tick(&w, e, true);
		weak = 0;
		for (int c = 0; c < SITES * SHARDS; c++)
			weak += w.cell[c].grade != 0;
	}
	assert_int_equal(weak, 0); /* restored on the new clock */
	engine_free(e);
	guard_free(g);
	guard_free(h);
}

static void freeze_and_observe(void **state)
{
	struct policy pol = lab_policy();
	struct engine *e = engine_new(&pol);
	struct world w;
	struct plan p;

	(void)state;
	world_init(&w, 0, 1);
	w.s.mode = MODE_OBSERVE;
	first_plan(&w, e, &p); /* what would be done */
	plan_done(&p);
	w.s.mode = MODE_FREEZE;
	engine_step(e, &w.s, &p);
	assert_int_equal(p.n_moves, 0);
	assert_int_equal(p.state, PLAN_HOLD);
	plan_done(&p);
	engine_free(e);
}

/* Demand above all capacity: nothing moves, and the plan says why. */
static void contain(void **state)
{
	struct policy pol = lab_policy();
	struct engine *e = engine_new(&pol);
	struct world w;

	(void)state;
	world_init(&w, 0, 1);
	demand(&w, 200);
	for (int t = 0; t < 30; t++)
		tick(&w, e, true);
	assert_int_equal(w.changes, 0);
	engine_free(e);
}

/* Silent reports: the engine does not weaken anything. */
static void silence(void **state)
{
	struct policy pol = lab_policy();
	struct engine *e = engine_new(&pol);
	struct world w;

	(void)state;
	world_init(&w, 0, 1);
	demand(&w, 28);
	for (int t = 0; t < 5; t++)
		tick(&w, e, true);
	for (int i = 0; i < SITES; i++)
		w.site[i].age_ms = 60000;
	demand(&w, 80);
	for (int t = 0; t < 30; t++)
		tick(&w, e, true);
	assert_int_equal(w.changes, 0);
	engine_free(e);
}

/* The prediction of the second identical move is nearer to the truth than that of the first. */
static void learns(void **state)
{
	struct policy pol = lab_policy();
	struct engine *e = engine_new(&pol);
	struct world w;
	double error[2];

	(void)state;
	world_init(&w, 0, 1);
	demand(&w, 60);
	w.site[FRA].cap[RES_BPS] = w.site[FRA].cap_all[RES_BPS] =
		200e6; /* nothing is hot: the operator moves */
	for (int t = 0; t < 6; t++)
		tick(&w, e, true);
	for (int go = 0; go < 2; go++) {
		struct plan p;
		struct move m = { .site = FRA, .shard = (size_t)go, .from = 0, .to = 1 };

		engine_whatif(e, &w.s, &m, 1, &p);
		assert_int_equal(p.n_moves, 1);
		double predicted = p.moves[0].moved, before = w.land[FRA][go];
		plan_done(&p);
		snap_cell(&w.s, FRA, (size_t)go)->wanted = 1;
		snap_cell(&w.s, FRA, (size_t)go)->base = 1;
		for (int t = 0; t < 15; t++)
			tick(&w, e, true);
		error[go] = fabs(predicted - (before - w.land[FRA][go]));
	}
	print_message("error %.2f then %.2f Mbit/s\n", error[0] / 1e6, error[1] / 1e6);
	assert_true(error[1] < 0.5 * error[0]);
	engine_free(e);
}

/* Of what the engine saved: how many facts begin with this word. */
static unsigned facts(const struct engine *e, const char *word)
{
	auto_buf text = { 0 };
	unsigned n = 0;

	engine_save(e, &text);
	for (const char *line = text.data; line && *line; line = strchr(line, '\n') + 1)
		n += strncmp(line, word, strlen(word)) == 0;
	return n;
}

/* A drill makes load up: it is answered, and teaches nothing: neither what a move moves, nor how good
 * predictions are, nor what is usual. What comes after it does. */
static void made_up_load_teaches_nothing(void **state)
{
	static const double factors[] = { 1.3, 2, 3 };

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(factors); f++)
		for (uint64_t seed = 1; seed <= 10; seed++) {
			struct policy pol = lab_policy();
			struct engine *e = engine_new(&pol);
			struct world w;
			struct plan p;

			world_init(&w, 0.1, seed);
			demand(&w, factors[f] > 1.5 ? 28 : 40);
			for (int t = 0; t < 10; t++)
				tick(&w, e, true);
			w.surge = factors[f];
			w.site[FRA].made_up = true;
			for (int t = 0; t < 60; t++)
				tick(&w, e, true);
			assert_true(w.changes > 0);
			w.surge = 0;
			w.site[FRA].made_up = false;
			for (int c = 0; c < SITES * SHARDS; c++)
				w.cell[c].wanted = 0;
			for (int t = 0; t < 20; t++)
				tick(&w, e, true);
			assert_int_equal(facts(e, "shed ") + facts(e, "dest "), 0);
			assert_int_equal(facts(e, "widen 0 0\n"), 1);
			engine_step(e, &w.s, &p);
			assert_true(p.coverage_pct <= 0);
			plan_done(&p);
			snap_cell(&w.s, FRA, 0)->wanted = snap_cell(&w.s, FRA, 0)->base = 2;
			for (int t = 0; t < 20; t++)
				tick(&w, e, true);
			assert_int_equal(facts(e, "shed fra"), 1);
			engine_free(e);
		}
}

/* A site dies: its neighbours' load is not mistaken for a reason to withdraw anything. */
static void site_lost(void **state)
{
	struct policy pol = lab_policy();
	struct engine *e = engine_new(&pol);
	struct world w;

	(void)state;
	world_init(&w, 0.1, 5);
	demand(&w, 28);
	for (int t = 0; t < 10; t++)
		tick(&w, e, true);
	w.site[NYC].healthy = false;
	w.site[NYC].cap[RES_BPS] = 0;
	for (int t = 0; t < 40; t++) {
		tick(&w, e, true);
		for (int c = 0; c < SITES * SHARDS; c++)
			w.cell[c].announced = w.cell[c].announced && c / SHARDS != NYC;
	}
	assert_int_equal(w.changes, 0);
	assert_true(peak(&w) < 0.9);
	engine_free(e);
}

/* A change that turns out to do nothing is taken back. */
static void useless_is_rolled_back(void **state)
{
	struct policy pol = lab_policy();
	struct engine *e = engine_new(&pol);
	struct world w;
	struct plan p;
	bool back = false;

	(void)state;
	world_init(&w, 0, 1);
	demand(&w, 80);
	for (int t = 0; t < 12; t++)
		tick(&w, e, false);
	engine_step(e, &w.s, &p);
	assert_true(p.n_moves > 0);
	size_t site = p.moves[0].site, shard = p.moves[0].shard;
	snap_cell(&w.s, site, shard)->wanted = p.moves[0].to;
	plan_done(&p);
	for (int t = 0; t < 12 && !back; t++) {
		/* the routers say applied, the traffic stays */
		snap_cell(&w.s, site, shard)->grade = snap_cell(&w.s, site, shard)->wanted;
		w.s.now_ms += STEP_MS;
		engine_step(e, &w.s, &p);
		for (size_t m = 0; m < p.n_moves; m++)
			back = back || (p.moves[m].kind == MOVE_ROLLBACK && p.moves[m].site == site &&
					p.moves[m].shard == shard && p.moves[m].to == 0 &&
					plan_actor(&p) == ACTOR_ROLLBACK);
		plan_done(&p);
	}
	assert_true(back);
	engine_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flash_crowd),
		cmocka_unit_test(order_is_irrelevant),
		cmocka_unit_test(restart),
		cmocka_unit_test(reboot),
		cmocka_unit_test(freeze_and_observe),
		cmocka_unit_test(contain),
		cmocka_unit_test(silence),
		cmocka_unit_test(learns),
		cmocka_unit_test(made_up_load_teaches_nothing),
		cmocka_unit_test(site_lost),
		cmocka_unit_test(useless_is_rolled_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
