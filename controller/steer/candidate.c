/* SPDX-License-Identifier: Apache-2.0
 * Which changes are worth looking at. Anytime: candidates are ranked by the slope of the objective, which
 * costs next to nothing, and only as many of the best as the size of the problem allows (EVALS) are computed
 * in full. Stateless. */
#include "controller/steer/search_int.h"

#include <math.h>

#include "controller/steer/cost.h"
#include "controller/steer/ledger.h"
#include "proto/base/mem.h"

#define EVALS	    24000 /* site evaluations for one set of candidates ... */
#define EVALS_MIN   48	  /* ... but at least so many candidates ... */
#define EVALS_MAX   512	  /* ... and at most so many */
#define EXCESS_LEAN 0.85  /* as RECALL_LEAN */
#define ATTACKED    0.75  /* of a shard's load is worth serving, or less: it is attacked */

double candidate_room(const struct round *r, size_t j)
{
	return r->cap[j].v[r->main] > 0 ? r->cap[j].v[r->main] : r->total.v[r->main];
}

void candidate_slopes(struct search *s)
{
	const struct round *r = s->r;

	for (size_t j = 0; j < r->ns; j++) {
		struct res_vec load = s->t->load[j];
		double step = 1e-3 * candidate_room(r, j), worth = load.v[LANE_WORTH];

		s->cost[j] = cost_site(r, j, &load, s->t->dev[j]);
		for (int x = 0; x < RES_N; x++) /* resources grow in proportion */
			load.v[x] *= load.v[r->main] > 0 ? 1 + step / load.v[r->main] : 1;
		s->slope[j].load = (cost_site(r, j, &load, s->t->dev[j]) - s->cost[j]) / fmax(step, 1e-9);
		double lost =
			r->s->sites[r->site[j]].healthy ? cost_lost(round_util(r, j, &s->t->load[j])) : 0;
		s->slope[j].worth = worth > 0 && r->total.v[LANE_WORTH] > 0
					    ? COST_LOST * lost / r->total.v[LANE_WORTH]
					    : 0;
	}
}

/* What a unit that leaves site i at a grade costs where it goes. */
static struct slope beyond(const struct search *s, size_t i, size_t k, unsigned grade)
{
	const struct dest_row *d = round_dest(s->r, i, k, grade);
	struct slope sum = { 0 };

	for (size_t j = 0; j < s->r->ns; j++) {
		sum.load += d->mean[j] * s->slope[j].load;
		sum.worth += d->mean[j] * s->slope[j].worth;
	}
	return sum;
}

static void add_candidate(struct search *s, size_t i, size_t k, unsigned to, enum move_kind kind,
			  const struct slope *there)
{
	const struct round *r = s->r;
	size_t c = round_cell(r, i, k);
	double home = r->home[c].v[r->main], worth = r->home[c].v[LANE_WORTH];
	double more = round_shed(r, i, k, to)->mean - round_shed(r, i, k, r->grade[c])->mean;

	s->c[s->n++] = (struct candidate){
		.i = i,
		.k = k,
		.to = to,
		.kind = kind,
		.rank = more * (home * (s->slope[i].load - there->load) +
				worth * (s->slope[i].worth - there->worth)),
	};
}

static void evaluate(struct search *s, struct candidate *c)
{
	effect_init(&c->effect, s->r);
	flow_change(s->r, c->i, c->k, c->to, &c->effect);
	c->moved =
		s->r->flow[round_cell(s->r, c->i, c->k)].v[s->r->main] - c->effect.flow[c->i].v[s->r->main];
	c->sd = c->effect.dev[c->i];
}

static int by_rank(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	return x->i != y->i   ? (x->i > y->i) - (x->i < y->i)
	       : x->k != y->k ? (x->k > y->k) - (x->k < y->k)
			      : (x->to > y->to) - (x->to < y->to);
}

/* Keeps the best by slope, and computes what they do. */
static void shortlist(struct search *s)
{
	size_t max = EVALS / s->r->ns;

	max = max < EVALS_MIN ? EVALS_MIN : max > EVALS_MAX ? EVALS_MAX : max;
	qsort(s->c, s->n, sizeof(*s->c), by_rank);
	if (s->n > max)
		s->n = max;
	for (size_t i = 0; i < s->n; i++)
		evaluate(s, &s->c[i]);
}

bool candidate_affordable(const struct round *r, unsigned from, unsigned to)
{
	return ledger_cost(r->gs, from, to) <= r->p->ledger_max;
}

static void site_candidates(struct search *s, size_t i, bool shed)
{
	const struct round *r = s->r;
	struct slope there[STEER_GRADES];
	bool known[STEER_GRADES] = { false };
	uint8_t family = 0;

	for (size_t k = 0; k < r->nk; k++) {
		size_t c = round_cell(r, i, k);

		if (r->off[c] || r->shard_busy[k] || round_snap(r, i, k)->pinned)
			continue;
		if (shed && r->flow[c].v[r->main] <= 1e-3 * r->load[i].v[r->main])
			continue;
		if (s->contain && r->shard_worth[k] < ATTACKED)
			continue;
		if (family != r->s->shards[r->shard[k]].family)
			memset(known, 0, sizeof(known));
		family = r->s->shards[r->shard[k]].family;
		unsigned lo = shed ? r->grade[c] + 1u : 0, hi = shed ? (unsigned)r->gs->n : r->grade[c];
		for (unsigned to = lo; to < hi; to++) {
			unsigned strong = shed ? to : r->grade[c];
			if (!candidate_affordable(r, r->grade[c], to))
				continue;
			if (!known[strong])
				there[strong] = beyond(s, i, k, strong);
			known[strong] = true;
			add_candidate(s, i, k, to, shed ? MOVE_SHED : MOVE_ATTRACT, &there[strong]);
		}
	}
}

size_t candidate_hot(const struct round *r, size_t *ret_hot)
{
	size_t n = 0;

	for (size_t i = 0; i < r->ns; i++) {
		double u = round_util(r, i, &r->load[i]);

		if (!r->hot[i] || r->site_busy[i] || u <= r->p->trigger_util)
			continue;
		size_t j = n < HOT_MAX ? n : HOT_MAX - 1;
		if (n == HOT_MAX && round_util(r, ret_hot[j], &r->load[ret_hot[j]]) >= u)
			continue;
		n += n < HOT_MAX;
		for (; j && round_util(r, ret_hot[j - 1], &r->load[ret_hot[j - 1]]) < u; j--)
			ret_hot[j] = ret_hot[j - 1];
		ret_hot[j] = i;
	}
	return n;
}

double candidate_sure_util(const struct round *r, size_t i)
{
	struct res_vec seen = { 0 };

	for (size_t k = 0; k < r->nk; k++)
		for (int x = 0; x < RES_N; x++)
			seen.v[x] += r->seen[round_cell(r, i, k)].v[x];
	return fmin(round_util(r, i, &r->load[i]), round_util(r, i, &seen));
}

/* How much may have to go. While a site drops its load is an interval: the limit that follows from this is
 * against moving too much, so it is reckoned from the high end; what is moved, from what is expected. */
static double excess_of(const struct round *r, size_t i)
{
	double u = candidate_sure_util(r, i), more = 0, now = 0;

	for (size_t k = 0; k < r->nk; k++) {
		const struct snap_cell *c = round_snap(r, i, k);
		double wide = c->hi[r->main] - c->lo[r->main];

		now += r->seen[round_cell(r, i, k)].v[r->main];
		if (isfinite(wide) && wide > 0)
			more += fmax(EXCESS_LEAN - r->lean[i], 0) * wide;
	}
	double up = now > 0 ? 1 + more / now : 1;
	return u * up > r->p->trigger_util ? r->load[i].v[r->main] * (up - r->p->trigger_util / u) : 0;
}

void candidate_collect(struct search *s)
{
	const struct round *r = s->r;
	size_t hot[HOT_MAX], n = candidate_hot(r, hot), lifted = 0;

	for (size_t i = 0; i < r->ns; i++)
		for (size_t k = 0; k < r->nk; k++)
			lifted += r->grade[round_cell(r, i, k)];
	s->c = xcalloc(n * r->nk * r->gs->n + lifted, sizeof(*s->c));
	for (size_t h = 0; h < n; h++) {
		s->excess[hot[h]] = excess_of(r, hot[h]);
		site_candidates(s, hot[h], true);
	}
	for (size_t i = 0; n && i < r->ns; i++)
		if (r->receiver[i] && !r->site_busy[i] && round_util(r, i, &r->load[i]) < r->p->trigger_util)
			site_candidates(s, i, false);
	shortlist(s);
}
