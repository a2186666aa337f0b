/* SPDX-License-Identifier: Apache-2.0
 * The truth. Capacity is twice the legitimate load in all, a site's is its share's within a factor of two
 * either way (never below 1.25 of it); attacks come from a Dirichlet(0.35) of homes: with these, six sites
 * that do nothing serve what was published for a real testbed (92.6, 87.8, 70.5 % at 0.6, 0.9, 3 x).
 * After a change 83 % of a shard's clients follow with a time constant of 4 s, 15 % of 40 s, and 2 % missed
 * it and follow with 300 s: 80 % after 10 s, and a tail. */
#include "controller/sim/world.h"

#include <math.h>
#include <string.h>

#include "controller/steer/lost.h"
#include "proto/base/mem.h"

#define HEADROOM      2.0
#define CAP_JITTER    0.5
#define CAP_FLOOR     1.25
#define ATTACK_ALPHA  0.35
#define APPLY_TICKS   1
#define FOLLOW_PERIOD 120
#define FLAP_PERIOD   90
#define FLAP_DOWN     20
#define HOLD_DOWN     10
#define STARTED_MS    1000000

static const struct {
	double share, tau;
} lag[WORLD_LAGS] = { { 0.83, 4 }, { 0.15, 40 }, { 0.02, 300 } };

static double *land_of(const struct world *w, int comp, size_t k, int l)
{
	return &w->land[(((size_t)comp * w->nk + k) * WORLD_LAGS + (size_t)l) * w->ns];
}

static double *target_of(const struct world *w, int comp, size_t k)
{
	return &w->target[((size_t)comp * w->nk + k) * w->ns];
}

static struct catch *catch_of(const struct world *w, size_t k)
{
	return w->of ? w->of[k] : w->c;
}

static const double *weight_of(const struct world *w, int comp, size_t k)
{
	return w->live ? &w->weight[comp][k * w->c->ng] : w->weight[comp];
}

void world_vector(const struct world *w, size_t k, uint8_t *ret_vec)
{
	for (size_t i = 0; i < w->ns; i++) {
		uint8_t g = world_cell(w, i, k)->grade;
		bool off = !w->alive[i] || w->t < w->hold_down[i] || world_cell(w, i, k)->off ||
			   w->c->grades.g[g].kind == GRADE_WITHDRAWN;
		ret_vec[i] = off ? CATCH_OFF : g;
	}
}

/* -- demand ------------------------------------------------------------------------------------------ */

static void normalise(double *w, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += w[i];
	for (size_t i = 0; i < n; i++)
		w[i] = sum > 0 ? w[i] / sum : 0;
}

static void zones(struct world *w)
{
	const struct catch *c = w->c;
	size_t n = w->sc->kind == SC_DIURNAL ? WORLD_ZONES : 1;

	for (size_t z = 0; z < n; z++) {
		w->weight[z] = xcalloc(c->ng, sizeof(double));
		for (size_t g = 0; g < c->ng; g++)
			if (c->home[g] % n == z) {
				w->weight[z][g] = c->weight[g];
				w->comp_share[z] += c->weight[g];
			}
		normalise(w->weight[z], c->ng);
	}
}

/* A component whose homes have the given weights; within a home, groups as for legitimate traffic, but
 * unevenly: bots are not where users are. */
static void from_homes(struct world *w, int comp, const double *homes, struct rng *r)
{
	const struct catch *c = w->c;

	if (!w->weight[comp])
		w->weight[comp] = xcalloc(c->ng, sizeof(double));
	for (size_t g = 0; g < c->ng; g++)
		w->weight[comp][g] = c->share[c->home[g]] > 0
					     ? homes[c->home[g]] * c->weight[g] / c->share[c->home[g]] *
						       (c->graph ? exp(rng_normal(r)) : 1)
					     : 0;
	normalise(w->weight[comp], c->ng);
}

static void attack_from(struct world *w, uint64_t wave)
{
	struct rng r = rng_stream(rng_mix(w->seed, wave), "attack");
	auto_free double *alpha = xcalloc(w->ns, sizeof(double)), *homes = xcalloc(w->ns, sizeof(double));

	for (size_t i = 0; i < w->ns; i++)
		alpha[i] = w->c->share[i] > 0 ? ATTACK_ALPHA : 0;
	rng_dirichlet(&r, alpha, 1, w->ns, homes);
	from_homes(w, COMP_ATTACK, homes, &r);
}

/* The attacker looks where there is least load for the capacity, and goes there with most of it. */
static void attack_follows(struct world *w)
{
	struct rng r = rng_stream(rng_mix(w->seed, (uint64_t)w->t), "follow");
	auto_free double *homes = xcalloc(w->ns, sizeof(double));
	size_t best = w->ns;

	for (size_t i = 0; i < w->ns; i++)
		if (w->c->share[i] > 0.02 && (best == w->ns || w->util[i] < w->util[best]))
			best = i;
	if (best == w->ns)
		return;
	for (size_t i = 0; i < w->ns; i++)
		homes[i] = (i == best ? 0.7 : 0) + 0.3 * w->c->share[i];
	from_homes(w, COMP_ATTACK, homes, &r);
}

static void crowd(struct world *w)
{
	struct rng r = rng_stream(w->seed, "crowd");
	auto_free double *homes = xcalloc(w->ns, sizeof(double));
	double u = rng_unit(&r);

	for (w->crowd_site = 0; w->crowd_site + 1 < w->ns; w->crowd_site++)
		if ((u -= w->c->share[w->crowd_site]) < 0)
			break;
	homes[w->crowd_site] = 1;
	from_homes(w, COMP_CROWD, homes, &r);
	w->comp_share[COMP_CROWD] =
		fmax(0, w->sc->size * w->cap_all[w->crowd_site] / WORLD_SCALE - w->c->share[w->crowd_site]);
}

/* Bit/s of a component for a shard, now. */
static double demand(const struct world *w, int comp, size_t k)
{
	double level = scenario_level(w->sc, w->t), base = w->comp_share[comp] * WORLD_SCALE;

	if (comp == COMP_ATTACK) {
		if (w->sc->twist == TW_ONE_SHARD)
			return k == w->attacked ? base * level : 0;
		return base * level * w->shard_share[k];
	}
	if (comp == COMP_CROWD)
		return base * level * w->shard_share[k];
	if (w->sc->kind == SC_DIURNAL)
		base *= 1 + w->sc->size * sin(2 * M_PI *
					      ((double)w->t / w->sc->duration + (double)comp / WORLD_ZONES));
	return base * w->shard_share[k];
}

/* -- construction ------------------------------------------------------------------------------------ */

static void capacities(struct world *w)
{
	struct rng r = rng_stream(w->seed, "capacity");
	double sum = 0;

	for (size_t i = 0; i < w->ns; i++) {
		double share = fmax(w->c->share[i], 0.25 / (double)w->ns);
		w->cap_all[i] = share * (1 + CAP_JITTER * (2 * rng_unit(&r) - 1));
		sum += w->cap_all[i];
	}
	for (size_t i = 0; i < w->ns; i++)
		w->cap_all[i] = w->cap[i] =
			WORLD_SCALE * fmax(w->cap_all[i] * HEADROOM / sum, CAP_FLOOR * w->c->share[i]);
}

static void shares(struct world *w, double perturb)
{
	struct rng r = rng_stream(w->seed, "shards");
	double sum = 0;

	for (size_t k = 0; k < w->nk; k++)
		sum += w->shard_share[k] = exp(0.15 * fmin(perturb, 2) * rng_normal(&r));
	for (size_t k = 0; k < w->nk; k++)
		w->shard_share[k] /= sum;
	w->attacked = rng_below(&r, w->nk);
}

static void people(struct world *w)
{
	struct rng r = rng_stream(w->seed, "people");

	for (size_t i = 0; i < w->ns; i++)
		if (w->c->share[i] > w->c->share[w->victim])
			w->victim = i;
	if (w->sc->twist == TW_NODE || w->sc->twist == TW_FLAP)
		w->victim = rng_below(&r, w->ns);
	size_t liars = w->sc->twist == TW_LIARS ? 1 + w->ns / 8 : 0;
	while (liars--)
		w->liar[rng_below(&r, w->ns)] = true;
}

struct world *world_bare(struct catch *c, const struct scenario *sc, size_t shards, uint64_t seed)
{
	struct world *w = xcalloc(1, sizeof(*w));
	size_t ns = c->ns, nc = ns * shards;

	*w = (struct world){
		.c = c, .sc = sc, .seed = seed, .ns = ns, .nk = shards, .started_ms = STARTED_MS
	};
	w->cap = xcalloc(ns, sizeof(double));
	w->cap_all = xcalloc(ns, sizeof(double));
	w->alive = xcalloc(ns, sizeof(bool));
	w->hold_down = xcalloc(ns, sizeof(int));
	w->cell = xcalloc(nc, sizeof(*w->cell));
	w->shard_share = xcalloc(shards, sizeof(double));
	w->land = xcalloc((size_t)COMP_N * nc * WORLD_LAGS, sizeof(double));
	w->target = xcalloc((size_t)COMP_N * nc, sizeof(double));
	w->stale = xcalloc(shards, sizeof(bool));
	w->arrive = xcalloc(nc, sizeof(double));
	w->util = xcalloc(ns, sizeof(double));
	w->history = xcalloc(WORLD_HISTORY * nc * 2, sizeof(double));
	w->hist_util = xcalloc(WORLD_HISTORY * ns, sizeof(double));
	w->hist_drop = xcalloc(WORLD_HISTORY * ns, sizeof(bool));
	w->report_at = xcalloc(ns, sizeof(int));
	w->liar = xcalloc(ns, sizeof(bool));
	w->noise = rng_stream(seed, "noise");
	w->lost = lost_new();
	memset(w->alive, true, ns);
	memset(w->stale, true, shards);
	return w;
}

struct world *world_new(struct catch *c, const struct scenario *sc, size_t shards, uint64_t seed,
			double perturb)
{
	struct world *w = world_bare(c, sc, shards, seed);

	capacities(w);
	shares(w, perturb);
	people(w);
	zones(w);
	if (sc->kind == SC_CROWD)
		crowd(w);
	if (sc->kind == SC_ATTACK) {
		w->comp_share[COMP_ATTACK] = sc->size;
		attack_from(w, 0);
	}
	return w;
}

void world_free(struct world *w)
{
	if (!w)
		return;
	for (int comp = 0; comp < COMP_N; comp++)
		free(w->weight[comp]);
	lost_free(w->lost);
	void *const all[] = { w->cap,	    w->cap_all,	  w->alive,	w->hold_down, w->cell, w->shard_share,
			      w->land,	    w->target,	  w->stale,	w->arrive,    w->util, w->history,
			      w->hist_util, w->hist_drop, w->report_at, w->liar,      w->of };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		free(all[i]);
	free(w);
}

/* -- a tick ------------------------------------------------------------------------------------------ */

void world_order(struct world *w, size_t site, size_t shard, uint8_t to)
{
	struct world_cell *c = world_cell(w, site, shard);

	if (c->wanted == to)
		return;
	c->wanted = to;
	c->apply_at = w->t + APPLY_TICKS;
}

static void apply_orders(struct world *w)
{
	for (size_t i = 0; i < w->ns; i++)
		for (size_t k = 0; k < w->nk; k++) {
			struct world_cell *c = world_cell(w, i, k);

			if (!c->apply_at || w->t < c->apply_at || w->partitioned)
				continue;
			c->apply_at = 0;
			w->changes++;
			if (!w->first_applied && w->t >= w->sc->from)
				w->first_applied = w->t;
			w->last_applied = w->t;
			c->grade = c->wanted;
			w->stale[k] = true;
		}
}

static void all_stale(struct world *w)
{
	memset(w->stale, true, w->nk);
}

static void set_alive(struct world *w, size_t i, bool alive, int hold)
{
	if (w->alive[i] == alive)
		return;
	w->alive[i] = alive;
	if (alive)
		w->hold_down[i] = w->t + hold;
	w->cap[i] = alive ? w->cap_all[i] : 0;
	all_stale(w);
}

static void events(struct world *w)
{
	int into = w->t - w->sc->from;
	bool on = into >= 0 && w->t < w->sc->until;

	switch (w->sc->twist) {
	case TW_NODE:
		w->cap[w->victim] = w->cap_all[w->victim] * (on ? 1 - 1.0 / WORLD_NODES : 1);
		break;
	case TW_SITE:
		set_alive(w, w->victim, !on, 0);
		break;
	case TW_FLAP: {
		int n = into / FLAP_PERIOD;
		/* the agent's hold-down doubles for a flapper */
		set_alive(w, w->victim, !on || into % FLAP_PERIOD >= FLAP_DOWN, HOLD_DOWN << (n < 5 ? n : 5));
		if (w->t == w->hold_down[w->victim])
			all_stale(w);
		break;
	}
	case TW_FOLLOWS:
		if (on && into && into % FOLLOW_PERIOD == 0) {
			attack_follows(w);
			all_stale(w);
		}
		break;
	case TW_PARTITION:
		w->partitioned = on;
		break;
	case TW_LOSS:
		live_events(w);
		break;
	default:
		break;
	}
}

static void retarget(struct world *w)
{
	auto_free uint8_t *vec = xcalloc(w->ns, 1);

	for (size_t k = 0; k < w->nk; k++) {
		if (!w->stale[k])
			continue;
		w->stale[k] = false;
		world_vector(w, k, vec);
		for (int comp = 0; comp < COMP_N; comp++)
			if (w->weight[comp])
				catch_land(catch_of(w, k), vec, weight_of(w, comp, k), target_of(w, comp, k));
	}
}

/* Clients that arrive somewhere for the first time do not lag: there is no old route in their way. */
static bool fresh(const struct world *w, int comp)
{
	return w->t <= 1 || (comp >= COMP_CROWD && (scenario_level(w->sc, w->t - 1) <= 0)) ||
	       (comp == COMP_ATTACK && w->sc->twist == TW_FOLLOWS && w->t > w->sc->from &&
		(w->t - w->sc->from) % FOLLOW_PERIOD == 0);
}

static void follow(struct world *w)
{
	for (int comp = 0; comp < COMP_N; comp++) {
		if (!w->weight[comp])
			continue;
		for (size_t k = 0; k < w->nk; k++)
			for (int l = 0; l < WORLD_LAGS; l++) {
				double f = fresh(w, comp) ? 1 : 1 - exp(-1 / lag[l].tau);
				double *land = land_of(w, comp, k, l);
				const double *target = target_of(w, comp, k);

				for (size_t i = 0; i < w->ns; i++)
					land[i] += f * (target[i] - land[i]);
			}
	}
}

static void traffic(struct world *w)
{
	auto_free double *all = xcalloc(w->ns, sizeof(double)), *legit = xcalloc(w->ns, sizeof(double));

	memset(w->arrive, 0, w->ns * w->nk * sizeof(double));
	w->legit_offered = w->legit_served = w->peak = 0;
	for (int comp = 0; comp < COMP_N; comp++)
		for (size_t k = 0; w->weight[comp] && k < w->nk; k++) {
			double bps = demand(w, comp, k);

			if (bps <= 0)
				continue;
			w->legit_offered += comp == COMP_ATTACK ? 0 : bps;
			for (size_t i = 0; i < w->ns; i++) {
				double v = 0;
				for (int l = 0; l < WORLD_LAGS; l++)
					v += lag[l].share * land_of(w, comp, k, l)[i];
				v *= bps;
				w->arrive[i * w->nk + k] += v;
				all[i] += v;
				legit[i] += comp == COMP_ATTACK ? 0 : v;
			}
		}
	if (w->live) {
		live_traffic(w);
		return;
	}
	for (size_t i = 0; i < w->ns; i++) {
		if (w->cap[i] > 0)
			w->legit_served += legit[i] * fmin(1, w->cap[i] / fmax(all[i], 1));
		w->util[i] = w->cap[i] > 0 ? all[i] / w->cap[i] : 0;
		w->peak = fmax(w->peak, w->util[i]);
	}
}

void world_tick(struct world *w)
{
	w->t++;
	events(w);
	apply_orders(w);
	retarget(w);
	follow(w);
	traffic(w);
	report_tick(w);
}

void world_would(struct world *w, size_t k, const uint8_t *vec, double *ret_all, double *ret_legit)
{
	auto_free double *out = xcalloc(w->ns, sizeof(double));

	memset(ret_all, 0, w->ns * sizeof(double));
	memset(ret_legit, 0, w->ns * sizeof(double));
	for (int comp = 0; comp < COMP_N; comp++) {
		double bps = w->weight[comp] ? demand(w, comp, k) : 0;

		if (bps <= 0)
			continue;
		catch_land(catch_of(w, k), vec, weight_of(w, comp, k), out);
		for (size_t i = 0; i < w->ns; i++) {
			ret_all[i] += bps * out[i];
			ret_legit[i] += comp == COMP_ATTACK ? 0 : bps * out[i];
		}
	}
}
