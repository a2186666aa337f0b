/* SPDX-License-Identifier: Apache-2.0
 * What rehearsals ask: where does it all land when whole places go? Each move is worked out on top of those
 * before it. Unlike a plan, which answers to the last seconds, this is about the usual: it starts from what
 * has arrived on average while nothing changed, and speaks of a site's utilisation as a whole, not of its
 * hottest node's. And what the simulator begins with: demand where it is at home, and the model. */
#include <math.h>
#include <string.h>

#include "controller/steer/cost.h"
#include "controller/steer/engine_int.h"
#include "proto/base/mem.h"

#define SAME_SHARE    0.05 /* of a site's load: so much may it differ from its usual ... */
#define SAME_SIGMA    2.5  /* ... and by so much noise */
#define MATTERS_SHARE 0.02 /* of what is to move */

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

/* Is every cell of the shard at normal, and its usual load known from longer than since it came to rest? */
static bool usual_known(const struct round *r, const struct shard_mem *f, size_t k)
{
	for (size_t i = 0; i < r->ns; i++) {
		size_t c = round_cell(r, i, k);
		if (r->grade[c] || r->off[c] || !r->mem[c] || r->mem[c]->n_calm <= f->n_rest)
			return false;
	}
	return true;
}

struct averages {
	double *cell;	 /* i * nk + k, main resource; 0: none */
	double *off_var; /* per site: what the rest may differ from that by noise */
	unsigned rounds; /* behind the least known */
};

static void average(const struct round *r, const struct recall *mem, bool usual, struct averages *a)
{
	for (size_t k = 0; k < r->nk; k++) {
		const struct shard_mem *f = recall_shard(mem, r->s->shards[r->shard[k]].name);
		bool calm = f && usual && usual_known(r, f, k);

		if (!f || f->flying || f->n_rest < (calm ? 1 : REST_KNOWN))
			continue;
		for (size_t i = 0; i < r->ns; i++) {
			const struct cell_mem *m = r->mem[round_cell(r, i, k)];
			if (!m)
				continue;
			unsigned n = calm ? m->n_calm : f->n_rest;
			a->cell[round_cell(r, i, k)] = calm ? m->calm : m->rest[r->main];
			a->off_var[i] += recall_noise(m, f->n_rest);
			a->rounds = n < a->rounds ? n : a->rounds;
		}
	}
}

/* Is demand now as it is on average, site for site, as far as noise lets tell? */
static bool still_so(const struct round *r, const struct averages *a, double *ret_times)
{
	double all = 0, all_now = 0;
	bool so = true;

	for (size_t i = 0; i < r->ns; i++) {
		double avg = 0, now = 0;
		for (size_t k = 0; k < r->nk; k++) {
			size_t c = round_cell(r, i, k);
			avg += a->cell[c];
			now += a->cell[c] > 0 ? r->mem[c]->rest[r->main] : 0;
		}
		so = so && fabs(now - avg) <= SAME_SHARE * avg + SAME_SIGMA * sqrt(a->off_var[i]);
		all += avg;
		all_now += now;
	}
	*ret_times = all > 0 ? all_now / all : 1;
	return so && all > 0;
}

static void forget(const struct round *r, struct averages *a)
{
	memset(a->cell, 0, r->ns * r->nk * sizeof(*a->cell));
	memset(a->off_var, 0, r->ns * sizeof(*a->off_var));
	a->rounds = CALM_ROUNDS;
}

/* Demand without the noise of the last seconds: the usual, while that is what there is, else since the shard
 * came to rest. Returns the rounds it is an average of. */
static unsigned use_average(struct round *r, const struct recall *mem)
{
	struct averages a = { .cell = xcalloc(r->ns * r->nk, sizeof(double)),
			      .off_var = xcalloc(r->ns, sizeof(double)) };
	unsigned rounds = RECALL_SAMPLES;
	double times;

	forget(r, &a);
	average(r, mem, true, &a);
	if (!still_so(r, &a, &times)) {
		forget(r, &a);
		average(r, mem, false, &a);
		times = 1;
	}
	for (size_t c = 0; c < r->ns * r->nk; c++) {
		double seen = r->seen[c].v[r->main];
		if (!(a.cell[c] > 0 && seen > 0))
			continue;
		rounds = a.rounds;
		for (int x = 0; x < RES_N; x++)
			r->seen[c].v[x] *= a.cell[c] * times / seen;
	}
	free(a.cell);
	free(a.off_var);
	return rounds;
}

/* Variance of what a second brings. */
static double site_noise(const struct round *r, size_t i)
{
	double var = 0;

	for (size_t k = 0; k < r->nk; k++)
		if (r->mem[round_cell(r, i, k)])
			var += recall_noise(r->mem[round_cell(r, i, k)], 1);
	return var;
}

/* The average itself is only so well known, at the sites that lose and at those that get it. */
static void add_noise(const struct round *r, struct trial *t, unsigned rounds)
{
	auto_free double *var = xcalloc(r->ns, sizeof(*var));
	double left = 0, left_var = 0;

	for (size_t i = 0; i < r->ns; i++) {
		double was = r->load[i].v[r->main], gone = was - t->load[i].v[r->main];
		var[i] = site_noise(r, i) / rounds;
		if (!(was > 0))
			continue;
		if (gone <= 0)
			continue;
		left += gone;
		left_var += var[i] * gone * gone / (was * was);
		var[i] *= (was - gone) * (was - gone) / (was * was);
	}
	for (size_t i = 0; i < r->ns; i++) {
		double part = left > 0 ? fmax(t->load[i].v[r->main] - r->load[i].v[r->main], 0) / left : 0;
		t->dev[i] = sqrt(t->dev[i] * t->dev[i] + var[i] + part * part * left_var);
	}
}

static void whole_sites(struct round *r)
{
	for (size_t i = 0; i < r->ns; i++)
		for (int x = 0; x < RES_N; x++) {
			double cap = r->s->sites[r->site[i]].cap[x];
			r->cap[i].v[x] = isfinite(cap) && cap > 0 ? cap : 0;
		}
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
	whole_sites(&r);
	unsigned rounds = use_average(&r, &e->mem);
	demand_estimate(&r, false, false);
	trial_init(&t, &r);
	make_moves(&r, &t, moves, n);
	add_noise(&r, &t, rounds);
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

/* A shard that hardly carries anything teaches nothing, and its forecast does not matter. */
static bool matters(const struct snapshot *s, const struct move *mv, double all)
{
	const struct snap_cell *c = snap_cell(s, mv->site, mv->shard);

	return (c->lo[RES_BPS] + c->hi[RES_BPS]) / 2 >= MATTERS_SHARE * all;
}

void engine_basis(const struct engine *e, const struct snapshot *s, const struct move *moves, size_t n,
		  struct forecast_basis *ret_basis, double *ret_noise)
{
	double all = 0, least = INFINITY;
	struct round r;

	*ret_basis = (struct forecast_basis){ 0 };
	memset(ret_noise, 0, s->n_sites * sizeof(*ret_noise));
	for (size_t m = 0; m < n; m++)
		if (moves[m].site < s->n_sites && moves[m].shard < s->n_shards)
			all += snap_cell(s, moves[m].site, moves[m].shard)->hi[RES_BPS];
	for (size_t m = 0; m < n; m++)
		if (moves[m].site < s->n_sites && moves[m].shard < s->n_shards && matters(s, &moves[m], all))
			least = fmin(least, shift_lessons(&e->shift, s->grades, s->sites[moves[m].site].name,
							  s->shards[moves[m].shard].family, s->now_ms));
	ret_basis->lessons = isfinite(least) ? least : 0;
	if (!s->n_sites || !s->n_shards || !s->grades->n)
		return;
	round_init(&r, s, &e->policy, &e->shift, &e->mem);
	whole_sites(&r);
	ret_basis->rounds = use_average(&r, &e->mem);
	for (size_t m = 0; m < n; m++) {
		const struct shard_mem *f = moves[m].shard < s->n_shards
						    ? recall_shard(&e->mem, s->shards[moves[m].shard].name)
						    : NULL;
		if (f && (f->flying || !f->n_rest))
			ret_basis->rounds = RECALL_SAMPLES;
	}
	demand_estimate(&r, false, false);
	for (size_t i = 0; i < r.ns; i++)
		ret_noise[r.site[i]] = cost_util_sd(&r, i, &r.load[i], sqrt(site_noise(&r, i)));
	round_done(&r);
}
