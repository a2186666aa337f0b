/* SPDX-License-Identifier: Apache-2.0
 * What agents report and what of it arrives. A report is up to two seconds late, one in a hundred is lost.
 * While a site drops, its load is known as an interval: what it carried, and a poor guess of what was
 * offered. A dead site says nothing any more; that it is dead, steer/lost.c has to find out. Liars claim to
 * be idle or drowning, in turns. */
#include <math.h>
#include <string.h>

#include "controller/sim/world.h"
#include "controller/steer/lost.h"
#include "proto/base/mem.h"

#define LOSS	    0.01
#define NOISE	    0.03
#define GUESS	    0.12 /* relative error of the upper bound */
#define LIE_S	    40
#define STALE_SHARE 0.4	  /* at least so much of capacity goes silent: the largest site, then by turns */
#define STALE_FROM  (-10) /* s into the event: before it */

static double *hist(const struct world *w, int tick, size_t cell)
{
	return &w->history[((size_t)(tick % WORLD_HISTORY) * w->ns * w->nk + cell) * 2];
}

static void write_report(struct world *w, size_t i)
{
	size_t slot = (size_t)(w->t % WORLD_HISTORY) * w->ns + i;
	double u = w->util[i], lie = 1;
	bool dropping = u > 1.005;

	if (w->liar[i] && w->t >= w->sc->from)
		lie = (w->t / LIE_S + (int)i) % 3 == 0 ? 0.02 : (w->t / LIE_S) % 3 == 1 ? 4 : 1;
	for (size_t k = 0; k < w->nk; k++) {
		double v = w->arrive[i * w->nk + k] * lie * (1 + NOISE * rng_normal(&w->noise));
		double *h = hist(w, w->t, i * w->nk + k);

		h[0] = dropping ? v / u : v;
		h[1] = dropping ? v * (1 + GUESS * fabs(rng_normal(&w->noise))) : v;
	}
	if (w->live)
		u *= live_skew(w->live, i);
	w->hist_util[slot] = u * lie * (1 + NOISE * fabs(rng_normal(&w->noise)));
	w->hist_drop[slot] = dropping && lie >= 1;
}

/* The n-th to fall silent: the largest, then those of even, then those of odd number. */
static size_t in_turn(const struct world *w, size_t n)
{
	size_t even = (w->ns + 1) / 2;

	return !n ? w->victim : n <= even ? 2 * (n - 1) : 2 * (n - 1 - even) + 1;
}

static bool goes_silent(const struct world *w, size_t i)
{
	double all = 0, sum = 0;

	for (size_t j = 0; j < w->ns; j++)
		all += w->cap_all[j];
	for (size_t n = 0; n <= w->ns && sum <= STALE_SHARE * all; n++) {
		size_t j = in_turn(w, n);
		if (n && j == w->victim)
			continue;
		if (j == i)
			return true;
		sum += w->cap_all[j];
	}
	return false;
}

static bool silent(const struct world *w, size_t i)
{
	if (w->live)
		return live_mute(w->live, i);
	return w->sc->twist == TW_STALE && goes_silent(w, i) && w->t >= w->sc->from + STALE_FROM &&
	       w->t < w->sc->until;
}

void report_tick(struct world *w)
{
	for (size_t i = 0; i < w->ns; i++) {
		double u = rng_unit(&w->noise), late = rng_unit(&w->noise);
		int at = w->t - (late < 0.7 ? 0 : late < 0.95 || w->live ? 1 : 2);

		write_report(w, i);
		/* a session that is up loses nothing */
		if ((u < LOSS && !w->live) || w->partitioned || !w->alive[i] || silent(w, i) || at < 1)
			continue;
		if (at > w->report_at[i])
			w->report_at[i] = at;
	}
}

struct snapshot *report_snapshot_new(const struct world *w)
{
	struct snapshot *s = xcalloc(1, sizeof(*s));

	s->grades = &w->c->grades;
	s->mode = MODE_STEER;
	s->n_sites = w->ns;
	s->n_shards = w->nk;
	s->sites = xcalloc(w->ns, sizeof(*s->sites));
	s->shards = xcalloc(w->nk, sizeof(*s->shards));
	s->cells = xcalloc(w->ns * w->nk, sizeof(*s->cells));
	for (size_t i = 0; i < w->ns; i++) {
		memcpy(s->sites[i].name, w->c->name[i], STEER_NAME);
		s->sites[i].cap_all[RES_BPS] = w->cap_all[i];
	}
	for (size_t k = 0; k < w->nk; k++) {
		snprintf(s->shards[k].name, STEER_NAME, "shard-%02zu", k);
		snprintf(s->shards[k].service, STEER_NAME, "web");
		s->shards[k].min_sites = 2;
		s->shards[k].family = 4;
	}
	return s;
}

static void fill_site(const struct world *w, struct snapshot *s, size_t i)
{
	int at = w->report_at[i], back = w->t - at;
	struct snap_site *site = &s->sites[i];

	site->healthy = true; /* as it last said */
	if (w->alive[i])
		site->cap[RES_BPS] = w->cap[i];
	site->age_ms = (int64_t)back * 1000;
	if (back < WORLD_HISTORY && at >= 1) {
		size_t slot = (size_t)(at % WORLD_HISTORY) * w->ns + i;
		site->max_node_util = w->hist_util[slot];
		site->dropping = w->hist_drop[slot];
	}
	for (size_t k = 0; k < w->nk; k++) {
		struct snap_cell *c = snap_cell(s, i, k);
		const struct world_cell *cell = world_cell(w, i, k);

		if (back < WORLD_HISTORY && at >= 1) {
			const double *h = hist(w, at, i * w->nk + k);
			c->lo[RES_BPS] = h[0];
			c->hi[RES_BPS] = h[1];
		}
		c->grade = cell->grade;
		c->wanted = cell->wanted;
		c->pinned = cell->pinned;
		if (w->alive[i])
			c->announced = w->t >= w->hold_down[i] && !cell->off &&
				       s->grades->g[cell->grade].kind != GRADE_WITHDRAWN;
	}
}

void report_snapshot_fill(const struct world *w, struct snapshot *s)
{
	struct policy p;

	policy_default(&p);
	s->now_ms = w->started_ms + (int64_t)w->t * 1000;
	for (size_t i = 0; i < w->ns; i++) {
		fill_site(w, s, i);
		if (w->live)
			live_report(w, s, i);
	}
	lost_mark(w->lost, w->live ? live_policy(w->live) : &p, s);
}

void report_snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	free(s->sites);
	free(s->shards);
	free(s->cells);
	free(s);
}
