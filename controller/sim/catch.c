/* SPDX-License-Identifier: Apache-2.0
 * Catchments of one seed. Owns tables, graph and cache. The cache is dropped whole when it is full: what is
 * needed comes back, and no order of eviction can make two runs differ. */
#include "controller/sim/catch.h"

#include <math.h>
#include <string.h>

#include "controller/sim/graph.h"
#include "controller/steer/key.h"
#include "proto/base/mem.h"

#define CACHE_BYTES (192u << 20)
#define CHAIN_STEPS 8

struct catch_entry {
	uint8_t *key;	 /* ns grades */
	uint16_t *lands; /* graph: per group */
	float *rows;	 /* table: [home][lands] */
	UT_hash_handle hh;
};

/* -- grades ------------------------------------------------------------------------------------------ */

static struct grade grade_named(const char *name, double shed)
{
	struct grade g = { .kind = GRADE_COMMUNITY };
	unsigned n;
	char end;

	key_copy(g.name, name);
	if (!strcmp(name, "normal")) {
		g.kind = GRADE_NORMAL;
	} else if (sscanf(name, "prepend%u%c", &n, &end) == 1 && n >= 1 && n <= 16) {
		g.kind = GRADE_PREPEND;
		g.prepends = n;
		g.strength = 30 + (n > 5 ? 5 : n) * 10;
	} else if (!strcmp(name, "drain")) {
		g.kind = GRADE_DRAIN;
		g.strength = 90;
	} else if (!strcmp(name, "withdrawn")) {
		g.kind = GRADE_WITHDRAWN;
		g.strength = 100;
	} else {
		g.strength = (unsigned)fmin(fmax(round(100 * shed), 1), 89);
	}
	return g;
}

static void grade_add(struct grade_set *gs, struct grade g)
{
	size_t j = gs->n;

	for (size_t i = 0; i < gs->n; i++)
		if (!strcmp(gs->g[i].name, g.name))
			return;
	for (; j && (gs->g[j - 1].strength > g.strength ||
		     (gs->g[j - 1].strength == g.strength && gs->g[j - 1].prepends > g.prepends));
	     j--)
		gs->g[j] = gs->g[j - 1];
	gs->g[j] = g;
	gs->n++;
}

static size_t grade_index(const struct grade_set *gs, const char *name)
{
	size_t i = 0;

	while (i < gs->n && strcmp(gs->g[i].name, name))
		i++;
	return i;
}

static void grades_usual(struct grade_set *gs)
{
	static const char *const usual[] = { "normal",	 "prepend1", "prepend2",
					     "prepend3", "drain",    "withdrawn" };

	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		grade_add(gs, grade_named(usual[i], 0));
}

/* -- tables ------------------------------------------------------------------------------------------ */

static double *row_of(const struct catch *c, size_t home, size_t grade)
{
	return &c->table[(home * c->grades.n + grade) * c->ns];
}

/* What no file says is drawn: this site's answer to this grade is anybody's guess. */
static void unknown_row(struct catch *c, struct rng *r, size_t home, size_t grade)
{
	static const double prepend[] = { 0.68, 0.75, 0.78 };
	const struct grade *g = &c->grades.g[grade];
	auto_free double *alpha = xcalloc(c->ns, sizeof(*alpha));
	double *row = row_of(c, home, grade), mean;

	mean = g->kind == GRADE_WITHDRAWN ? 1
	       : g->kind == GRADE_DRAIN	  ? 0.93
	       : g->kind == GRADE_PREPEND ? prepend[g->prepends > 3 ? 2 : g->prepends - 1]
					  : g->strength / 100.0;
	double a = rng_gamma(r, 2.5 * mean + 0.01), b = rng_gamma(r, 2.5 * (1 - mean) + 0.01);
	double shed = g->kind == GRADE_WITHDRAWN ? 1 : a / (a + b);
	for (size_t j = 0; j < c->ns; j++)
		alpha[j] = j == home ? 0 : c->share[j] + 1e-3;
	rng_dirichlet(r, alpha, 4, c->ns, row);
	for (size_t j = 0; j < c->ns; j++)
		row[j] *= shed;
	row[home] += 1 - shed;
}

static void perturb_row(struct rng *r, double *row, size_t home, size_t n, double perturb, double *tmp)
{
	double stay = row[home], away = 1 - stay;

	if (perturb <= 0)
		return;
	/* the shed part as a Beta, where it goes as a Dirichlet, both around what the file says */
	double k = 8 / perturb, a = rng_gamma(r, fmax(k * away, 0.02)),
	       b = rng_gamma(r, fmax(k * stay, 0.02));
	double shed = away > 0 && away < 1 && a + b > 0 ? a / (a + b) : away;
	row[home] = 0;
	rng_dirichlet(r, row, k / fmax(away, 1e-6), n, tmp);
	for (size_t j = 0; j < n; j++)
		row[j] = away > 0 ? tmp[j] * shed : 0;
	row[home] = away > 0 ? 1 - shed : 1;
}

static void fill_table(struct catch *c, const struct csv *csv, const size_t *map)
{
	auto_free double *sum = xcalloc(c->ns * c->grades.n, sizeof(*sum));

	c->table = xcalloc(c->ns * c->grades.n * c->ns, sizeof(*c->table));
	for (size_t i = 0; i < csv->n_rows; i++) {
		const struct csv_shift *s = &csv->rows[i];
		row_of(c, s->home, map[s->grade])[s->lands] += s->fraction;
		sum[s->home * c->grades.n + map[s->grade]] += s->fraction;
	}
	for (size_t at = 0; at < c->ns * c->grades.n; at++)
		for (size_t j = 0; j < c->ns; j++)
			c->table[at * c->ns + j] /= sum[at] > 0 ? sum[at] : 1;
}

static void finish_table(struct catch *c, uint64_t seed, double perturb)
{
	struct rng r = rng_stream(seed, "catchments");
	auto_free double *tmp = xcalloc(c->ns, sizeof(*tmp));

	for (size_t h = 0; h < c->ns; h++) {
		memset(row_of(c, h, 0), 0, c->ns * sizeof(double));
		row_of(c, h, 0)[h] = 1;
		for (size_t g = 1; g < c->grades.n; g++) {
			double sum = 0;

			for (size_t j = 0; j < c->ns; j++)
				sum += row_of(c, h, g)[j];
			if (sum <= 0)
				unknown_row(c, &r, h, g);
			perturb_row(&r, row_of(c, h, g), h, c->ns, perturb, tmp);
		}
	}
	c->mix = xcalloc(c->ns * c->ns, sizeof(*c->mix));
	for (size_t h = 0; h < c->ns; h++)
		rng_dirichlet(&r, c->share, 3, c->ns, &c->mix[h * c->ns]);
	for (size_t at = 0; at < c->ns * c->ns; at++)
		c->mix[at] *= fmin(perturb, 1);
}

struct catch *catch_table(const struct csv *csv, uint64_t seed, double perturb)
{
	struct catch *c = xcalloc(1, sizeof(*c));
	auto_free double *shed = xcalloc(csv->n_grades + 1, sizeof(*shed));
	auto_free double *homes = xcalloc(csv->n_grades + 1, sizeof(*homes));
	auto_free size_t *map = xcalloc(csv->n_grades + 1, sizeof(*map));

	c->ns = c->ng = csv->n_sites;
	c->name = xcalloc(c->ns, sizeof(*c->name));
	memcpy(c->name, csv->site, c->ns * sizeof(*c->name));
	c->home = xcalloc(c->ns, sizeof(*c->home));
	c->weight = xcalloc(c->ns, sizeof(*c->weight));
	c->share = xcalloc(c->ns, sizeof(*c->share));
	for (size_t i = 0; i < c->ns; i++) {
		c->home[i] = (uint16_t)i;
		c->weight[i] = c->share[i] = csv->share[i];
	}
	for (size_t i = 0; i < csv->n_rows; i++) {
		homes[csv->rows[i].grade] += csv->rows[i].fraction;
		shed[csv->rows[i].grade] +=
			csv->rows[i].home != csv->rows[i].lands ? csv->rows[i].fraction : 0;
	}
	grades_usual(&c->grades);
	for (size_t g = 0; g < csv->n_grades; g++)
		grade_add(&c->grades, grade_named(csv->grade[g], homes[g] > 0 ? shed[g] / homes[g] : 0.5));
	for (size_t g = 0; g < csv->n_grades; g++)
		map[g] = grade_index(&c->grades, csv->grade[g]);
	fill_table(c, csv, map);
	finish_table(c, seed, perturb);
	c->cache_max = 1 + CACHE_BYTES / (c->ns * c->ns * sizeof(float) + 256);
	return c;
}

/* -- graphs ------------------------------------------------------------------------------------------ */

struct catch *catch_graph(size_t ases, size_t sites, uint64_t seed, double perturb)
{
	struct catch *c = xcalloc(1, sizeof(*c));

	c->graph = graph_new(ases, sites, seed, 0.25 * perturb);
	c->ns = sites;
	c->ng = graph_ases(c->graph);
	c->name = xcalloc(sites, sizeof(*c->name));
	for (size_t i = 0; i < sites; i++)
		snprintf(c->name[i], STEER_NAME, "s%03zu", i);
	grades_usual(&c->grades);
	grade_add(&c->grades, grade_named("no-peers", 0.25));
	c->home = xcalloc(c->ng, sizeof(*c->home));
	c->weight = xcalloc(c->ng, sizeof(*c->weight));
	c->share = xcalloc(sites, sizeof(*c->share));
	c->cache_max = 1 + CACHE_BYTES / (c->ng * sizeof(uint16_t) + 256);
	auto_free uint8_t *normal = xcalloc(sites, 1);
	double sum = 0;
	graph_route(c->graph, &c->grades, normal, c->home);
	for (size_t i = 0; i < c->ng; i++) {
		c->weight[i] = c->home[i] == GRAPH_NONE ? 0 : graph_weight(c->graph, i);
		sum += c->weight[i];
	}
	for (size_t i = 0; i < c->ng; i++) {
		c->weight[i] /= sum;
		if (c->home[i] != GRAPH_NONE)
			c->share[c->home[i]] += c->weight[i];
		else
			c->home[i] = 0;
	}
	return c;
}

/* -- landing ----------------------------------------------------------------------------------------- */

static unsigned least(const struct catch *c, const uint8_t *grades)
{
	unsigned min = CATCH_OFF;

	for (size_t i = 0; i < c->ns; i++)
		if (grades[i] < min)
			min = grades[i];
	return min;
}

/* One step of the chain: what rests at weakened sites moves on by their rows, or stays. */
static void chain_row(const struct catch *c, const uint8_t *grades, size_t h, double *v, double *next)
{
	size_t last = c->grades.n - 1;
	unsigned min = least(c, grades);

	memset(v, 0, c->ns * sizeof(*v));
	v[h] = 1;
	if (min == CATCH_OFF || grades[h] == min) {
		if (min == CATCH_OFF)
			v[h] = 0;
		return;
	}
	size_t g = grades[h] == CATCH_OFF ? last : grades[h];
	memcpy(v, row_of(c, h, g), c->ns * sizeof(*v));
	for (int step = 0; step < CHAIN_STEPS; step++) {
		bool moved = false;

		memcpy(next, v, c->ns * sizeof(*v));
		for (size_t d = 0; d < c->ns; d++) {
			if (d == h || v[d] < 1e-6 || grades[d] == min)
				continue;
			const double *row = row_of(c, d, grades[d] == CATCH_OFF ? last : grades[d]);
			const double *mix = &c->mix[h * c->ns];
			double away = (1 - row[d]) * v[d], sum = 0;

			if (away < 1e-6)
				continue;
			for (size_t j = 0; j < c->ns; j++)
				sum += j == d || j == h ? 0 : row[j] + mix[j];
			if (sum <= 0)
				continue;
			for (size_t j = 0; j < c->ns; j++)
				next[j] += j == d || j == h ? 0 : away * (row[j] + mix[j]) / sum;
			next[d] -= away;
			moved = true;
		}
		memcpy(v, next, c->ns * sizeof(*v));
		if (!moved)
			break;
	}
	/* what still sits where nothing is announced is lost */
	for (size_t d = 0; d < c->ns; d++)
		if (grades[d] == CATCH_OFF)
			v[d] = 0;
}

static void compute(struct catch *c, struct catch_entry *e)
{
	if (c->graph) {
		e->lands = xcalloc(c->ng, sizeof(*e->lands));
		graph_route(c->graph, &c->grades, e->key, e->lands);
		return;
	}
	auto_free double *v = xcalloc(c->ns, sizeof(*v)), *next = xcalloc(c->ns, sizeof(*next));
	e->rows = xcalloc(c->ns * c->ns, sizeof(*e->rows));
	for (size_t h = 0; h < c->ns; h++) {
		chain_row(c, e->key, h, v, next);
		for (size_t j = 0; j < c->ns; j++)
			e->rows[h * c->ns + j] = (float)v[j];
	}
}

static void cache_clear(struct catch *c)
{
	struct catch_entry *e, *next;

	HASH_ITER(hh, c->cache, e, next) {
		HASH_DEL(c->cache, e);
		free(e->key);
		free(e->lands);
		free(e->rows);
		free(e);
	}
	c->cached = 0;
}

static const struct catch_entry *lookup(struct catch *c, const uint8_t *grades)
{
	struct catch_entry *e;

	HASH_FIND(hh, c->cache, grades, c->ns, e);
	if (e)
		return e;
	if (c->cached >= c->cache_max)
		cache_clear(c);
	e = xcalloc(1, sizeof(*e));
	e->key = xcalloc(c->ns, 1);
	memcpy(e->key, grades, c->ns);
	compute(c, e);
	HASH_ADD_KEYPTR(hh, c->cache, e->key, c->ns, e);
	c->cached++;
	return e;
}

void catch_land(struct catch *c, const uint8_t *grades, const double *w, double *ret_out)
{
	const struct catch_entry *e = lookup(c, grades);

	memset(ret_out, 0, c->ns * sizeof(*ret_out));
	for (size_t g = 0; g < c->ng; g++) {
		if (w[g] <= 0)
			continue;
		if (e->lands) {
			if (e->lands[g] != GRAPH_NONE)
				ret_out[e->lands[g]] += w[g];
			continue;
		}
		const float *row = &e->rows[g * c->ns];
		for (size_t j = 0; j < c->ns; j++)
			ret_out[j] += w[g] * (double)row[j];
	}
}

void catch_free(struct catch *c)
{
	if (!c)
		return;
	cache_clear(c);
	graph_free(c->graph);
	free(c->name);
	free(c->home);
	free(c->weight);
	free(c->share);
	free(c->table);
	free(c->mix);
	free(c);
}
