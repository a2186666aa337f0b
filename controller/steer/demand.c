/* SPDX-License-Identifier: Apache-2.0
 * Demand from arrivals. Per shard, home demand is what would land at each site were all grades normal: found
 * from what lands now by the Richardson-Lucy iteration over the catchment model, which keeps totals, stays
 * non-negative and starts from the remembered homes (so a withdrawn site keeps its share). What a weakened
 * site's clients want cannot be told apart from its receivers' own, so the memory follows the estimate at
 * once only while every grade is normal, slowly while the shard is as the document says, hardly otherwise.
 * While a change of the shard is in flight arrivals fit no catchment: homes only follow the total. */
#include "controller/steer/round.h"

#include <math.h>

#include "proto/base/mem.h"

#define LUCY_STEPS    4
#define FOLLOW_BASE   0.02   /* per round, all cells as the document says */
#define FOLLOW_AWAY   0.0005 /* per round, weakened */
#define GROWTH	      1.3    /* above the usual: still taken as users */
#define SUSPECT_WORTH 0.2    /* what is above counts so much: a crowd cannot be told from an attack */
#define HOME_FLOOR    1e-3   /* of the shard's mean per site: a home can grow from nothing */

static bool resting(const struct round *r, size_t k)
{
	for (size_t i = 0; i < r->ns; i++)
		if (r->grade[round_cell(r, i, k)] || r->off[round_cell(r, i, k)])
			return false;
	return true;
}

static void home_start(const struct round *r, size_t k, struct res_vec *home)
{
	for (int x = 0; x < RES_N; x++) {
		double seen = 0, known = 0;

		if (!r->on[x])
			continue;
		for (size_t i = 0; i < r->ns; i++) {
			const struct cell_mem *m = r->mem[round_cell(r, i, k)];
			home[i].v[x] = m ? m->home[x] : 0;
			known += home[i].v[x];
			seen += r->seen[round_cell(r, i, k)].v[x];
		}
		for (size_t i = 0; i < r->ns; i++) {
			double floor = HOME_FLOOR * seen / (double)r->ns;
			/* never seen before: by arrivals, and by capacity where nothing can arrive */
			if (known <= 0)
				home[i].v[x] = r->grade[round_cell(r, i, k)]
						       ? seen * r->prior[i]
						       : r->seen[round_cell(r, i, k)].v[x];
			else
				home[i].v[x] *= seen / known;
			home[i].v[x] = fmax(home[i].v[x], floor);
		}
	}
}

/* rows[i * ns + d]: of one unit homed at i, the part landing at d. */
static void catchment(const struct round *r, size_t k, double *rows)
{
	auto_free uint8_t *grades = xcalloc(r->ns, 1);
	auto_free struct res_vec *unit = xcalloc(r->ns, sizeof(*unit)), *out = xcalloc(r->ns, sizeof(*out));

	for (size_t i = 0; i < r->ns; i++)
		grades[i] = r->grade[round_cell(r, i, k)];
	for (size_t i = 0; i < r->ns; i++) {
		if (!grades[i] && !r->off[round_cell(r, i, k)]) {
			rows[i * r->ns + i] = 1;
			continue;
		}
		unit[i].v[r->main] = 1;
		flow_shard(r, k, grades, unit, out);
		unit[i].v[r->main] = 0;
		for (size_t d = 0; d < r->ns; d++)
			rows[i * r->ns + d] = out[d].v[r->main];
	}
}

static void lucy(const struct round *r, size_t k, const double *rows, int x, struct res_vec *home)
{
	auto_free double *ratio = xcalloc(r->ns, sizeof(*ratio));
	size_t n = r->ns;

	for (int step = 0; step < LUCY_STEPS; step++) {
		for (size_t d = 0; d < n; d++) {
			double hat = 0;
			for (size_t i = 0; i < n; i++)
				hat += home[i].v[x] * rows[i * n + d];
			ratio[d] = hat > 0 ? r->seen[round_cell(r, d, k)].v[x] / hat : 0;
		}
		for (size_t i = 0; i < n; i++) {
			double f = 0;
			for (size_t d = 0; d < n; d++)
				f += rows[i * n + d] * ratio[d];
			home[i].v[x] *= f;
		}
	}
}

static bool at_base(const struct round *r, size_t k)
{
	for (size_t i = 0; i < r->ns; i++)
		if (r->grade[round_cell(r, i, k)] != round_snap(r, i, k)->base)
			return false;
	return true;
}

/* Returns how fast the memory shall follow. */
static double home_of(struct round *r, size_t k, struct res_vec *home)
{
	home_start(r, k, home);
	if (r->shard_busy[k])
		return 0;
	if (resting(r, k)) {
		for (size_t i = 0; i < r->ns; i++)
			home[i] = r->seen[round_cell(r, i, k)];
		return 1;
	}
	auto_free double *rows = xcalloc(r->ns * r->ns, sizeof(*rows));
	catchment(r, k, rows);
	for (int x = 0; x < RES_N; x++)
		if (r->on[x])
			lucy(r, k, rows, x, home);
	return at_base(r, k) ? FOLLOW_BASE : FOLLOW_AWAY;
}

/* A memory that holds nothing yet takes the first estimate. */
static void remember(struct cell_mem *m, const struct res_vec *home, bool known, double follow)
{
	for (int x = 0; x < RES_N; x++)
		m->home[x] += (known ? follow : 1) * (home->v[x] - m->home[x]);
}

static bool known(const struct round *r, size_t k)
{
	for (size_t i = 0; i < r->ns; i++) {
		const struct cell_mem *m = r->mem[round_cell(r, i, k)];
		for (int x = 0; m && x < RES_N; x++)
			if (m->home[x] > 0)
				return true;
	}
	return false;
}

/* The part of a home's demand that is worth serving: in full up to what is usual (and some growth), little
 * of what is above. A cell without memory is taken as it is. */
static void worth(const struct round *r, size_t k, struct res_vec *home)
{
	double calm = 0, known_homes = 0;

	for (size_t i = 0; i < r->ns; i++) {
		calm += r->calm[round_cell(r, i, k)];
		known_homes += r->calm[round_cell(r, i, k)] > 0;
	}
	for (size_t i = 0; i < r->ns; i++) {
		double v = home[i].v[r->main], usual = GROWTH * r->calm[round_cell(r, i, k)];

		if (known_homes <= 0 || calm <= 0)
			usual = v;
		home[i].v[LANE_WORTH] = fmin(v, usual) + SUSPECT_WORTH * fmax(0, v - usual);
	}
}

/* Usual loads are learned while nothing is hot and the shard is as the document says, all at normal. */
static void learn_calm(struct round *r, size_t k)
{
	for (size_t i = 0; i < r->ns; i++) {
		struct cell_mem *m = r->mem[round_cell(r, i, k)];

		if (!m)
			continue;
		m->n_calm += m->n_calm < CALM_ROUNDS;
		m->calm += (r->home[round_cell(r, i, k)].v[r->main] - m->calm) / m->n_calm;
		if (m->n_calm == 1)
			m->calm = r->home[round_cell(r, i, k)].v[r->main];
	}
}

/* In flight: where it will land by the model. Settled: where it lands by measurement. */
static void flow_now(struct round *r, size_t k, const struct res_vec *home)
{
	auto_free struct res_vec *out = xcalloc(r->ns, sizeof(*out));
	auto_free uint8_t *grades = xcalloc(r->ns, 1);

	for (size_t i = 0; i < r->ns; i++) {
		grades[i] = r->grade[round_cell(r, i, k)];
		out[i] = r->seen[round_cell(r, i, k)];
	}
	if (r->shard_busy[k]) {
		flow_shard(r, k, grades, home, out);
	} else if (resting(r, k)) {
		for (size_t i = 0; i < r->ns; i++)
			out[i].v[LANE_WORTH] = home[i].v[LANE_WORTH];
	} else {
		/* what of the measured load is worth serving only the model can tell */
		auto_free struct res_vec *by_model = xcalloc(r->ns, sizeof(*by_model));
		flow_shard(r, k, grades, home, by_model);
		for (size_t i = 0; i < r->ns; i++) {
			double all = by_model[i].v[r->main];
			double part = all > 0 ? by_model[i].v[LANE_WORTH] / all : 1;
			out[i].v[LANE_WORTH] = out[i].v[r->main] * part;
		}
	}
	for (size_t i = 0; i < r->ns; i++) {
		size_t c = round_cell(r, i, k);
		const struct snap_cell *cell = round_snap(r, i, k);
		double wide = cell->hi[r->main] - cell->lo[r->main];

		r->flow[c] = out[i];
		for (int x = 0; x < LANES; x++) {
			r->load[i].v[x] += out[i].v[x];
			r->total.v[x] += out[i].v[x];
		}
		/* an interval is read as 90 %: 3.3 standard deviations wide */
		if (isfinite(wide) && wide > 0)
			r->spread[i] = hypot(r->spread[i], wide / 3.3);
	}
}

static void shard_worth(struct round *r, size_t k)
{
	double all = 0, part = 0, usual = 0;

	for (size_t i = 0; i < r->ns; i++) {
		all += r->flow[round_cell(r, i, k)].v[r->main];
		part += r->flow[round_cell(r, i, k)].v[LANE_WORTH];
		usual += r->calm[round_cell(r, i, k)];
	}
	r->shard_worth[k] = usual > 0 && all > 0 ? part / all : 0;
}

void demand_estimate(struct round *r, bool learn, bool calm)
{
	auto_free struct res_vec *home = xcalloc(r->ns, sizeof(*home));

	for (size_t k = 0; k < r->nk; k++) {
		memset(home, 0, r->ns * sizeof(*home));
		double follow = home_of(r, k, home);
		bool before = known(r, k);
		for (size_t i = 0; i < r->ns; i++) {
			size_t c = round_cell(r, i, k);
			r->home[c] = home[i];
			if (learn && r->mem[c])
				remember(r->mem[c], &home[i], before, follow);
		}
		worth(r, k, home);
		for (size_t i = 0; i < r->ns; i++)
			r->home[round_cell(r, i, k)] = home[i];
		flow_now(r, k, home);
		shard_worth(r, k);
		if (learn && follow == 1 && calm && r->rests[k])
			learn_calm(r, k);
	}
}
