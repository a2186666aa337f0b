/* SPDX-License-Identifier: Apache-2.0
 * The oracle: knows demand and catchments exactly, is told of every change at once, obeys no invariant and
 * pays no price for changes. Best-improvement over single changes of one (shard, site); from the present
 * state and from all normal, whichever ends better. A bound in practice, not in theory. */
#include <math.h>
#include <string.h>

#include "controller/sim/player.h"
#include "proto/base/mem.h"

#define REPLAN_S 60 /* while demand drifts */
#define HOT_MAX	 6

struct oracle {
	double *all, *legit; /* [shard][site] under vec */
	uint8_t *vec;	     /* [shard][site] */
	double *sum, *sum_legit;
	int planned_at;
	double level;
	unsigned alive;
};

void *oracle_start(struct world *w)
{
	struct oracle *o = xcalloc(1, sizeof(*o));
	size_t n = w->ns * w->nk;

	o->all = xcalloc(n, sizeof(double));
	o->legit = xcalloc(n, sizeof(double));
	o->vec = xcalloc(n, 1);
	o->sum = xcalloc(w->ns, sizeof(double));
	o->sum_legit = xcalloc(w->ns, sizeof(double));
	o->planned_at = -1;
	return o;
}

void oracle_end(void *state)
{
	struct oracle *o = state;

	free(o->all);
	free(o->legit);
	free(o->vec);
	free(o->sum);
	free(o->sum_legit);
	free(o);
}

/* Higher is better: legitimate traffic served first, then anything served, then headroom. */
static double site_value(const struct world *w, size_t i, double all, double legit)
{
	double u = w->cap[i] > 0 ? all / w->cap[i] : all > 0 ? 1e3 : 0;
	double lost = u > 1 ? 1 - 1 / u : 0, over = fmax(0, fmin(u, 3) - 0.9);

	return -(legit * lost + 0.02 * all * lost + 1e-3 * w->cap[i] * over * over);
}

static void evaluate(struct oracle *o, struct world *w)
{
	memset(o->sum, 0, w->ns * sizeof(double));
	memset(o->sum_legit, 0, w->ns * sizeof(double));
	for (size_t k = 0; k < w->nk; k++) {
		world_would(w, k, &o->vec[k * w->ns], &o->all[k * w->ns], &o->legit[k * w->ns]);
		for (size_t i = 0; i < w->ns; i++) {
			o->sum[i] += o->all[k * w->ns + i];
			o->sum_legit[i] += o->legit[k * w->ns + i];
		}
	}
}

static double value(const struct oracle *o, const struct world *w)
{
	double v = 0;

	for (size_t i = 0; i < w->ns; i++)
		v += site_value(w, i, o->sum[i], o->sum_legit[i]);
	return v;
}

struct step {
	size_t k, i;
	uint8_t to;
	double value;
};

static void consider(struct oracle *o, struct world *w, size_t k, size_t i, struct step *best)
{
	auto_free double *all = xcalloc(w->ns, sizeof(double)), *legit = xcalloc(w->ns, sizeof(double));
	uint8_t *vec = &o->vec[k * w->ns], was = vec[i];

	for (uint8_t g = 0; g < w->c->grades.n; g++) {
		double v = 0;

		vec[i] = g + 1u == w->c->grades.n ? CATCH_OFF : g;
		if (vec[i] == was)
			continue;
		world_would(w, k, vec, all, legit);
		for (size_t j = 0; j < w->ns; j++)
			v += site_value(w, j, o->sum[j] + all[j] - o->all[k * w->ns + j],
					o->sum_legit[j] + legit[j] - o->legit[k * w->ns + j]);
		if (v > best->value)
			*best = (struct step){ k, i, vec[i], v };
	}
	vec[i] = was;
}

/* Sites worth touching: the hottest, and those already changed. */
static size_t worth(const struct oracle *o, const struct world *w, size_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < w->ns; i++) {
		double u = w->cap[i] > 0 ? o->sum[i] / w->cap[i] : 0;
		size_t j = n < HOT_MAX ? n : HOT_MAX - 1;

		if (u <= 0.9 || (n == HOT_MAX && o->sum[ret[j]] / w->cap[ret[j]] >= u))
			continue;
		n += n < HOT_MAX;
		for (; j && o->sum[ret[j - 1]] / w->cap[ret[j - 1]] < u; j--)
			ret[j] = ret[j - 1];
		ret[j] = i;
	}
	return n;
}

static double climb(struct oracle *o, struct world *w)
{
	size_t hot[HOT_MAX];

	evaluate(o, w);
	double now = value(o, w);
	for (size_t round = 0; round < 6 * w->nk + 16; round++) {
		struct step best = { .value = now + 1e-6 * WORLD_SCALE };
		double floor = best.value;
		size_t n = worth(o, w, hot);

		for (size_t k = 0; n && k < w->nk; k++) {
			for (size_t h = 0; h < n; h++)
				if (w->alive[hot[h]])
					consider(o, w, k, hot[h], &best);
			for (size_t i = 0; i < w->ns; i++)
				if (w->alive[i] && o->vec[k * w->ns + i])
					consider(o, w, k, i, &best);
		}
		if (best.value <= floor)
			break;
		o->vec[best.k * w->ns + best.i] = best.to;
		evaluate(o, w);
		now = value(o, w);
	}
	return now;
}

static void plan(struct oracle *o, struct world *w, struct turn *t)
{
	size_t n = w->ns * w->nk;
	auto_free uint8_t *fresh = xcalloc(n, 1);
	uint8_t gone = (uint8_t)(w->c->grades.n - 1);

	for (size_t k = 0; k < w->nk; k++)
		for (size_t i = 0; i < w->ns; i++)
			o->vec[k * w->ns + i] = w->alive[i] ? 0 : CATCH_OFF;
	double from_normal = climb(o, w);
	memcpy(fresh, o->vec, n);
	for (size_t k = 0; k < w->nk; k++)
		for (size_t i = 0; i < w->ns; i++) {
			uint8_t g = world_cell(w, i, k)->wanted;
			o->vec[k * w->ns + i] = !w->alive[i] || g == gone ? CATCH_OFF : g;
		}
	if (climb(o, w) < from_normal)
		memcpy(o->vec, fresh, n);
	for (size_t k = 0; k < w->nk; k++)
		for (size_t i = 0; i < w->ns; i++) {
			uint8_t g = o->vec[k * w->ns + i];
			g = g == CATCH_OFF ? gone : g;
			if (w->alive[i] && g != world_cell(w, i, k)->wanted)
				turn_order(t, i, k, g);
		}
}

void oracle_step(void *state, struct world *w, struct turn *t)
{
	struct oracle *o = state;
	double level = scenario_level(w->sc, w->t + 1) * w->sc->size;
	unsigned alive = 0;
	bool drifts = w->sc->kind == SC_DIURNAL || w->sc->twist == TW_FOLLOWS;

	for (size_t i = 0; i < w->ns; i++)
		alive += w->alive[i] && w->cap[i] >= w->cap_all[i];
	if (o->planned_at >= 0 && fabs(level - o->level) < 1e-9 && alive == o->alive &&
	    !(drifts && (w->t - w->sc->from) % REPLAN_S == 1))
		return;
	o->planned_at = w->t;
	o->level = level;
	o->alive = alive;
	w->t++; /* what is about to be */
	plan(o, w, t);
	w->t--;
}
