/* SPDX-License-Identifier: Apache-2.0
 * The invariants once more, written from design and with none of the guard's code: whoever wrote a mistake
 * there must not have written it here. I5 is checked as the necessary condition (all that may leave finds
 * room below 0.9 elsewhere). */
#include "controller/sim/referee.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "controller/steer/steer.h"
#include "proto/base/mem.h"

#define WITHDRAWN_COST 2000.0 /* amplified by 2 */
#define CHANGED_COST   1000.0
#define HALF_LIFE_S    900.0
#define FORGET	       375.0 /* half of the reuse limit: RFC 2439 */
#define SETTLE_S       15
#define STALE_S	       5
#define MASS_S	       60

struct referee {
	size_t ns, nk;
	double *penalty; /* per cell */
	int *changed;	 /* per cell: tick, or far past */
	int *fell;	 /* per site */
	bool *up;
	double damping;
	unsigned violations, changes;
	char first[STEER_TEXT];
};

struct referee *referee_new(const struct world *w)
{
	struct referee *r = xcalloc(1, sizeof(*r));

	r->ns = w->ns;
	r->nk = w->nk;
	r->penalty = xcalloc(w->ns * w->nk, sizeof(double));
	r->changed = xcalloc(w->ns * w->nk, sizeof(int));
	r->fell = xcalloc(w->ns, sizeof(int));
	r->up = xcalloc(w->ns, sizeof(bool));
	for (size_t c = 0; c < w->ns * w->nk; c++)
		r->changed[c] = -100000;
	for (size_t i = 0; i < w->ns; i++) {
		r->fell[i] = -100000;
		r->up[i] = true;
	}
	return r;
}

void referee_free(struct referee *r)
{
	if (!r)
		return;
	free(r->penalty);
	free(r->changed);
	free(r->fell);
	free(r->up);
	free(r);
}

void referee_observe(struct referee *r, const struct world *w)
{
	double keep = exp2(-1 / HALF_LIFE_S);

	for (size_t c = 0; c < r->ns * r->nk; c++)
		r->penalty[c] = r->penalty[c] * keep < FORGET ? 0 : r->penalty[c] * keep;
	for (size_t i = 0; i < r->ns; i++) {
		if (r->up[i] && !w->alive[i])
			r->fell[i] = w->t;
		r->up[i] = w->alive[i];
	}
}

__attribute__((format(printf, 3, 4))) static void foul(struct referee *r, const struct world *w,
						       const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!r->violations++)
		snprintf(r->first, sizeof(r->first), "%s at %d s", text, w->t);
}

static unsigned strength(const struct world *w, unsigned g)
{
	return w->c->grades.g[g].strength;
}

static bool gone(const struct world *w, unsigned g)
{
	return w->c->grades.g[g].kind == GRADE_WITHDRAWN;
}

static double cap_share(const struct world *w, size_t i)
{
	double sum = 0;

	for (size_t j = 0; j < w->ns; j++)
		sum += w->cap_all[j];
	return w->cap_all[i] / sum;
}

static void i1(struct referee *r, const struct world *w, const uint8_t *after, size_t k)
{
	unsigned sites = 0, was = 0;
	double share = 0;

	for (size_t i = 0; i < w->ns; i++) {
		was += w->alive[i] && !gone(w, world_cell(w, i, k)->wanted);
		if (!w->alive[i] || gone(w, after[i * w->nk + k]))
			continue;
		sites++;
		share += cap_share(w, i);
	}
	if (sites < was && (sites < 2 || share < 0.5))
		foul(r, w, "I1 shard %zu left to %u sites, %.0f %% of capacity", k, sites, 100 * share);
}

static void i2(struct referee *r, const struct world *w, const struct turn *t, const uint8_t *after)
{
	double all = 0, cover = 0;

	for (size_t c = 0; c < w->ns * w->nk; c++)
		all += t->seen->cells[c].hi[RES_BPS];
	for (size_t k = 0; k < w->nk; k++) {
		double mine = 0;

		for (size_t i = 0; i < w->ns; i++)
			mine += t->seen->cells[i * w->nk + k].hi[RES_BPS];
		for (size_t i = 0; i < w->ns; i++)
			if (strength(w, after[i * w->nk + k]) > 0)
				cover += cap_share(w, i) * (all > 0 ? mine / all : 1.0 / (double)w->nk);
	}
	if (cover > 0.30 + 1e-6)
		foul(r, w, "I2 %.0f %% of capacity weakened", 100 * cover);
}

static void i4(struct referee *r, const struct world *w, const struct turn *t)
{
	double stale = 0, down = 0;

	for (size_t i = 0; i < w->ns; i++) {
		/* what serves on and is not heard of; a dead site is no blind spot */
		stale += w->alive[i] && t->seen->sites[i].age_ms > STALE_S * 1000 ? cap_share(w, i) : 0;
		down += w->t - r->fell[i] <= MASS_S;
	}
	if (stale > 1.0 / 3)
		foul(r, w, "I4 weakened with %.0f %% of reports stale", 100 * stale);
	if (down >= 2 && down > 0.25 * (double)w->ns)
		foul(r, w, "MASS weakened with %.0f sites down", down);
}

static double seen_load(const struct turn *t, size_t i, size_t nk)
{
	double sum = 0;

	for (size_t k = 0; k < nk; k++)
		sum += t->seen->cells[i * nk + k].hi[RES_BPS];
	return sum;
}

static void i5(struct referee *r, const struct world *w, const struct turn *t)
{
	double leaving = 0, room = 0;

	for (size_t i = 0; i < w->ns; i++) {
		bool source = false;

		for (size_t n = 0; n < t->n; n++) {
			const struct order *o = &t->orders[n];
			if (o->site != i ||
			    strength(w, o->to) <= strength(w, world_cell(w, i, o->shard)->wanted))
				continue;
			source = true;
			leaving += t->seen->cells[i * w->nk + o->shard].hi[RES_BPS];
		}
		if (!source && w->alive[i])
			room += fmax(0, 0.9 * w->cap[i] - seen_load(t, i, w->nk));
	}
	/* sources may take from each other: the guard's room is per move, this one stricter by a little */
	if (leaving > 1.25 * room + 1)
		foul(r, w, "I5 %.3g leave, room for %.3g", leaving, room);
}

static void i7(struct referee *r, const struct world *w, const struct order *o)
{
	for (size_t i = 0; i < w->ns; i++)
		if (w->t - r->changed[i * w->nk + o->shard] < SETTLE_S)
			foul(r, w, "I7 shard %zu changed again after %d s", o->shard,
			     w->t - r->changed[i * w->nk + o->shard]);
	for (size_t k = 0; k < w->nk; k++)
		if (w->t - r->changed[o->site * w->nk + k] < SETTLE_S)
			foul(r, w, "I7 site %zu changed again", o->site);
}

static void charge(struct referee *r, const struct world *w, const struct order *o, bool weakens)
{
	double *p = &r->penalty[o->site * r->nk + o->shard];

	*p += gone(w, o->to) ? WITHDRAWN_COST : CHANGED_COST;
	r->damping = fmax(r->damping, *p);
	if (*p >= 2000)
		foul(r, w, "I6 damping mirror %.0f", *p);
	else if (weakens && *p > 1000 + 1e-6)
		foul(r, w, "I6 the reserve was used to weaken: %.0f", *p);
}

void referee_judge(struct referee *r, const struct world *w, const struct turn *t)
{
	auto_free uint8_t *after = xcalloc(w->ns * w->nk, 1);
	bool weakened = false;

	for (size_t c = 0; c < w->ns * w->nk; c++)
		after[c] = w->cell[c].wanted;
	for (size_t n = 0; n < t->n; n++)
		after[t->orders[n].site * w->nk + t->orders[n].shard] = t->orders[n].to;
	for (size_t n = 0; n < t->n; n++) {
		const struct order *o = &t->orders[n];
		uint8_t was = world_cell(w, o->site, o->shard)->wanted;
		bool weakens = strength(w, o->to) > strength(w, was);

		if (o->to == was)
			continue;
		weakened = weakened || weakens;
		if (gone(w, o->to))
			i1(r, w, after, o->shard);
		if (weakens && t->seen->sites[o->site].age_ms > STALE_S * 1000)
			foul(r, w, "I3 site %zu weakened while silent", o->site);
		i7(r, w, o);
		charge(r, w, o, weakens);
	}
	if (weakened) {
		i2(r, w, t, after);
		i4(r, w, t);
		i5(r, w, t);
	}
	for (size_t n = 0; n < t->n; n++) {
		r->changed[t->orders[n].site * w->nk + t->orders[n].shard] = w->t;
		r->changes++;
	}
}

unsigned referee_violations(const struct referee *r)
{
	return r->violations;
}

unsigned referee_changes(const struct referee *r)
{
	return r->changes;
}

double referee_damping(const struct referee *r)
{
	return r->damping;
}

const char *referee_first(const struct referee *r)
{
	return r->first;
}
