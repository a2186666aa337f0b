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

#define LUCY_STEPS  4
#define FOLLOW_BASE 0.02   /* per round, all cells as the document says */
#define FOLLOW_AWAY 0.0005 /* per round, weakened */
#define HOME_FLOOR  1e-3   /* of the shard's mean per site: a home can grow from nothing */

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

/* In flight: where it will land by the model. Settled: where it lands by measurement. */
static void flow_now(struct round *r, size_t k, const struct res_vec *home)
{
	auto_free struct res_vec *out = xcalloc(r->ns, sizeof(*out));
	auto_free uint8_t *grades = xcalloc(r->ns, 1);

	for (size_t i = 0; i < r->ns; i++) {
		grades[i] = r->grade[round_cell(r, i, k)];
		out[i] = r->seen[round_cell(r, i, k)];
	}
	if (r->shard_busy[k])
		flow_shard(r, k, grades, home, out);
	for (size_t i = 0; i < r->ns; i++) {
		size_t c = round_cell(r, i, k);
		const struct snap_cell *cell = round_snap(r, i, k);
		double wide = cell->hi[r->main] - cell->lo[r->main];

		r->flow[c] = out[i];
		for (int x = 0; x < RES_N; x++) {
			r->load[i].v[x] += out[i].v[x];
			r->total.v[x] += out[i].v[x];
		}
		/* an interval is read as 90 %: 3.3 standard deviations wide */
		if (isfinite(wide) && wide > 0)
			r->spread[i] = hypot(r->spread[i], wide / 3.3);
	}
}

void demand_estimate(struct round *r, bool learn)
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
		flow_now(r, k, home);
	}
}
