/* SPDX-License-Identifier: Apache-2.0
 * What rehearsals ask: where does it all land when whole places go? Each move is worked out on top of those
 * before it. And what the simulator begins with: demand where it is at home, and the model. */
#include <string.h>

#include "controller/steer/engine_int.h"
#include "proto/base/mem.h"

/* snapshot index -> view index */
static size_t *inverse(const size_t *map, size_t n)
{
	size_t *back = xcalloc(n, sizeof(*back));

	for (size_t i = 0; i < n; i++)
		back[map[i]] = i;
	return back;
}

/* The move has been made: the next one starts from there. */
static void take(struct round *r, size_t i, size_t k, unsigned to, const struct effect *eff)
{
	r->grade[round_cell(r, i, k)] = (uint8_t)to;
	for (size_t j = 0; j < r->ns; j++)
		r->flow[round_cell(r, j, k)] = eff->flow[j];
	r->modelled[k] = false;
}

static void make_moves(struct round *r, struct trial *t, const struct move *moves, size_t n)
{
	auto_free size_t *site = inverse(r->site, r->ns), *shard = inverse(r->shard, r->nk);

	for (size_t m = 0; m < n; m++) {
		struct effect eff;
		if (moves[m].site >= r->ns || moves[m].shard >= r->nk || moves[m].to >= r->gs->n)
			continue;
		size_t i = site[moves[m].site], k = shard[moves[m].shard];
		effect_init(&eff, r);
		flow_change(r, i, k, moves[m].to, &eff);
		trial_add(t, r, k, &eff);
		take(r, i, k, moves[m].to, &eff);
		effect_done(&eff);
	}
}

void engine_forecast(const struct engine *e, const struct snapshot *s, const struct move *moves, size_t n,
		     struct site_forecast *ret_sites)
{
	struct plan p = { 0 };
	struct round r;
	struct trial t;

	memset(ret_sites, 0, s->n_sites * sizeof(*ret_sites));
	if (!s->n_sites || !s->n_shards || !s->grades->n)
		return;
	round_init(&r, s, &e->policy, &e->shift, &e->mem);
	demand_estimate(&r, false, false);
	trial_init(&t, &r);
	make_moves(&r, &t, moves, n);
	search_forecast(&r, &t, &p);
	memcpy(ret_sites, p.sites, s->n_sites * sizeof(*ret_sites));
	plan_done(&p);
	trial_done(&t);
	round_done(&r);
}

void engine_homes(const struct engine *e, const struct snapshot *s, double *ret_bps)
{
	struct round r;

	memset(ret_bps, 0, s->n_sites * s->n_shards * sizeof(*ret_bps));
	if (!s->n_sites || !s->n_shards || !s->grades->n)
		return;
	round_init(&r, s, &e->policy, &e->shift, &e->mem);
	demand_estimate(&r, false, false);
	for (size_t i = 0; i < r.ns; i++)
		for (size_t k = 0; k < r.nk; k++)
			ret_bps[r.site[i] * r.nk + r.shard[k]] = r.home[round_cell(&r, i, k)].v[RES_BPS];
	round_done(&r);
}

const struct shift *engine_model(const struct engine *e)
{
	return &e->shift;
}
