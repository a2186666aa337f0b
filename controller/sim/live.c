/* SPDX-License-Identifier: Apache-2.0
 * The copy of a running cluster: what is drawn for it, and what the world asks of it each second. */
#include "controller/sim/live.h"

#include <math.h>
#include <string.h>

#include "controller/steer/shift.h"
#include "proto/base/mem.h"

#define CACHE_BYTES (32u << 20) /* it is somebody's controller */
#define LUCY_STEPS  40
#define SKEW_MAX    1.5

void live_loss_init(struct live_loss *l, size_t shards)
{
	*l = (struct live_loss){ .fate = xcalloc(shards + 1, sizeof(*l->fate)),
				 .frozen = xcalloc(shards + 1, sizeof(*l->frozen)) };
}

void live_loss_done(struct live_loss *l)
{
	free(l->fate);
	free(l->frozen);
	*l = (struct live_loss){ 0 };
}

const struct policy *live_policy(const struct live *l)
{
	return l->policy;
}

double live_skew(const struct live *l, size_t site)
{
	return l->skew[site];
}

bool live_mute(const struct live *l, size_t site)
{
	return l->mute[site];
}

/* -- what is drawn: catchments -------------------------------------------------------------------------- */

static double sane(double v)
{
	return isfinite(v) && v > 0 ? v : 0;
}

/* A Beta of this mean and variance. */
static double draw_shed(struct rng *r, const struct shed *s)
{
	double n = s->var > 0 ? s->mean * (1 - s->mean) / s->var - 1 : 0;

	if (n <= 0)
		return s->mean;
	double a = rng_gamma(r, s->mean * n), b = rng_gamma(r, (1 - s->mean) * n);
	return a + b > 0 ? a / (a + b) : s->mean;
}

struct drawing {
	const struct snapshot *s;
	const struct shift *model;
	const char **names;
	const double *homes;
	double *prior; /* by capacity, as the engine's */
	double *alpha, *own;
	uint64_t seed;
};

static size_t slot_of(uint8_t family)
{
	return family == 4 ? 1 : family == 6 ? 2 : 0;
}

/* What a grade in use does shed is there to be seen: of what is homed here, this does not land here. -1: it
 * is not in use. */
static double shed_now(const struct drawing *d, size_t i, size_t g, uint8_t family)
{
	const struct snapshot *s = d->s;
	double home = 0, here = 0;

	for (size_t k = 0; k < s->n_shards; k++) {
		const struct snap_cell *c = snap_cell(s, i, k);

		if (c->grade != g || !c->announced || s->shards[k].family != family)
			continue;
		home += sane(d->homes[i * s->n_shards + k]);
		here += (sane(c->lo[RES_BPS]) + sane(c->hi[RES_BPS])) / 2;
	}
	return home > 0 ? fmax(0, 1 - here / home) : -1;
}

/* One per grade; a stronger one never sheds less. */
static void draw_sheds(const struct drawing *d, const struct catch *c, size_t i, uint8_t family, double *ret)
{
	struct shed known[STEER_GRADES];
	struct rng r = rng_stream(rng_mix(d->seed, 3 * i + slot_of(family)), "shed");

	shift_sheds(d->model, &c->grades, c->name[i], family, d->s->now_ms, known);
	ret[0] = 0;
	for (size_t g = 1; g < c->grades.n; g++)
		ret[g] = fmax(ret[g - 1], draw_shed(&r, &known[g]));
	for (size_t g = 1; g < c->grades.n; g++) {
		double seen = shed_now(d, i, g, family);

		for (size_t j = 1; j < c->grades.n && seen >= 0; j++)
			ret[j] = j < g ? fmin(ret[j], seen) : j > g ? fmax(ret[j], seen) : seen;
	}
	ret[c->grades.n - 1] = 1; /* withdrawn: who missed it is late, and follows */
}

/* One site's rows. Its clients' second choices are much the same under every grade: the same stream. */
static void draw_site(struct drawing *d, struct catch *c, size_t i, uint8_t family)
{
	double sheds[STEER_GRADES], sum = 0;
	struct rng r = rng_stream(rng_mix(d->seed, 3 * i + slot_of(family)), "mix");
	size_t n = c->grades.n;

	draw_sheds(d, c, i, family, sheds);
	for (size_t j = 0; j < c->ns; j++)
		sum += j == i ? 0 : d->prior[j];
	for (size_t j = 0; j < c->ns; j++)
		d->own[j] = j == i ? 0 : sum > 0 ? d->prior[j] / sum : 1.0 / (double)(c->ns - 1);
	for (size_t g = 0; g < n; g++) {
		double *row = &c->table[(i * n + g) * c->ns];
		struct rng where = rng_stream(rng_mix(d->seed, 3 * i + slot_of(family)), "where");

		if (c->ns > 1 && sheds[g] > 0) {
			shift_dests(d->model, &c->grades, c->name[i], (unsigned)g, family, d->s->now_ms,
				    d->names, d->own, c->ns, d->alpha);
			rng_dirichlet(&where, d->alpha, 1, c->ns, row);
		}
		for (size_t j = 0; j < c->ns; j++)
			row[j] = j == i ? 1 - sheds[g] : row[j] * sheds[g];
	}
	rng_dirichlet(&r, d->own, 3, c->ns, &c->mix[i * c->ns]);
}

static struct catch *draw_catch(struct drawing *d, uint8_t family)
{
	struct catch *c = xcalloc(1, sizeof(*c));
	size_t ns = d->s->n_sites;

	c->ns = c->ng = ns;
	c->grades = *d->s->grades;
	c->name = xcalloc(ns, sizeof(*c->name));
	c->home = xcalloc(ns, sizeof(*c->home));
	c->weight = xcalloc(ns, sizeof(double));
	c->share = xcalloc(ns, sizeof(double));
	c->table = xcalloc(ns * c->grades.n * ns, sizeof(double));
	c->mix = xcalloc(ns * ns, sizeof(double));
	c->cache_max = 1 + CACHE_BYTES / (ns * ns * sizeof(float) + 256);
	for (size_t i = 0; i < ns; i++) {
		memcpy(c->name[i], d->s->sites[i].name, STEER_NAME);
		c->home[i] = (uint16_t)i;
		c->weight[i] = c->share[i] = 1.0 / (double)ns;
	}
	for (size_t i = 0; i < ns; i++)
		draw_site(d, c, i, family);
	return c;
}

static void draw_catches(struct live *l, const struct shift *model, const double *homes, uint64_t seed)
{
	static const uint8_t family[] = { 0, 4, 6 };
	const struct snapshot *s = l->now;
	auto_free const char **names = xcalloc(s->n_sites, sizeof(*names));
	auto_free double *prior = xcalloc(s->n_sites, sizeof(double)),
			 *own = xcalloc(s->n_sites, sizeof(double)),
			 *alpha = xcalloc(s->n_sites, sizeof(double));
	struct drawing d = { .s = s,
			     .model = model,
			     .names = names,
			     .homes = homes,
			     .prior = prior,
			     .own = own,
			     .alpha = alpha,
			     .seed = seed };

	for (size_t i = 0; i < s->n_sites; i++) {
		names[i] = s->sites[i].name;
		prior[i] = sane(s->sites[i].cap[RES_BPS]);
	}
	for (size_t k = 0; k < s->n_shards; k++) {
		size_t f = slot_of(s->shards[k].family);
		if (!l->family[f])
			l->family[f] = draw_catch(&d, family[f]);
	}
}

/* -- what is drawn: demand ------------------------------------------------------------------------------- */

/* Where in its interval the load of a site that drops really is, nobody knows. */
static void draw_arrivals(const struct snapshot *s, uint64_t seed, double *arrive)
{
	struct rng r = rng_stream(seed, "lean");

	for (size_t i = 0; i < s->n_sites; i++) {
		double lean = rng_unit(&r);
		for (size_t k = 0; k < s->n_shards; k++) {
			const struct snap_cell *c = snap_cell(s, i, k);
			double lo = sane(c->lo[RES_BPS]), hi = fmax(lo, sane(c->hi[RES_BPS]));
			arrive[k * s->n_sites + i] = lo + lean * (hi - lo);
		}
	}
}

/* Richardson and Lucy: the homes from which this seed's catchments send what arrives now where it arrives. */
static void fit_homes(struct world *w, size_t k, const double *arrive, double *home)
{
	size_t ns = w->ns;
	auto_free uint8_t *vec = xcalloc(ns, 1);
	auto_free double *rows = xcalloc(ns * ns, sizeof(double)), *unit = xcalloc(ns, sizeof(double)),
			 *lands = xcalloc(ns, sizeof(double));
	bool resting = true;

	world_vector(w, k, vec);
	for (size_t i = 0; i < ns; i++)
		resting = resting && !vec[i];
	if (resting) {
		memcpy(home, arrive, ns * sizeof(double));
		return;
	}
	for (size_t h = 0; h < ns; h++) {
		unit[h] = 1;
		catch_land(w->of[k], vec, unit, &rows[h * ns]);
		unit[h] = 0;
	}
	for (int step = 0; step < LUCY_STEPS; step++) {
		memset(lands, 0, ns * sizeof(double));
		for (size_t h = 0; h < ns; h++)
			for (size_t i = 0; i < ns; i++)
				lands[i] += home[h] * rows[h * ns + i];
		for (size_t h = 0; h < ns; h++) {
			double by = 0, sum = 0;
			for (size_t i = 0; i < ns; i++) {
				by += lands[i] > 0 ? rows[h * ns + i] * arrive[i] / lands[i] : 0;
				sum += rows[h * ns + i];
			}
			home[h] *= sum > 0 ? by / sum : 0;
		}
	}
}

static void draw_demand(struct world *w, const double *homes)
{
	const struct snapshot *s = w->live->now;
	auto_free double *arrive = xcalloc(w->ns * w->nk, sizeof(double));
	double total = 0;

	draw_arrivals(s, w->seed, arrive);
	w->weight[0] = xcalloc(w->ns * w->nk, sizeof(double));
	for (size_t k = 0; k < w->nk; k++) {
		double *home = &w->weight[0][k * w->ns], sum = 0;

		for (size_t i = 0; i < w->ns; i++)
			home[i] = sane(homes[i * w->nk + k]);
		fit_homes(w, k, &arrive[k * w->ns], home);
		for (size_t i = 0; i < w->ns; i++)
			sum += home[i];
		for (size_t i = 0; i < w->ns; i++)
			home[i] = sum > 0 ? home[i] / sum : 0;
		w->shard_share[k] = sum;
		total += sum;
	}
	for (size_t k = 0; k < w->nk; k++)
		w->shard_share[k] = total > 0 ? w->shard_share[k] / total : 0;
	w->comp_share[0] = total / WORLD_SCALE;
}

/* -- construction ---------------------------------------------------------------------------------------- */

static void find_ratios(struct live *l)
{
	const struct snapshot *s = l->now;

	l->ratio = xcalloc(s->n_shards * RES_N, sizeof(double));
	for (size_t k = 0; k < s->n_shards; k++) {
		double sum[RES_N] = { 0 };

		for (size_t i = 0; i < s->n_sites; i++)
			for (int r = 0; r < RES_N; r++)
				sum[r] += sane(snap_cell(s, i, k)->lo[r]) + sane(snap_cell(s, i, k)->hi[r]);
		for (int r = 0; r < RES_N; r++)
			l->ratio[k * RES_N + (size_t)r] = sum[RES_BPS] > 0 ? sum[r] / sum[RES_BPS] : 0;
	}
}

static double hottest(const double *load, const double *cap)
{
	double u = 0;

	for (int r = 0; r < RES_N; r++)
		if (cap[r] > 0)
			u = fmax(u, load[r] / cap[r]);
	return u;
}

static void find_sites(struct world *w)
{
	struct live *l = w->live;
	const struct snapshot *s = l->now;

	l->skew = xcalloc(w->ns, sizeof(double));
	l->mute = xcalloc(w->ns, sizeof(bool));
	for (size_t i = 0; i < w->ns; i++) {
		const struct snap_site *site = &s->sites[i];
		double load[RES_N] = { 0 };

		for (size_t k = 0; k < w->nk; k++)
			for (int r = 0; r < RES_N; r++)
				load[r] +=
					(sane(snap_cell(s, i, k)->lo[r]) + sane(snap_cell(s, i, k)->hi[r])) /
					2;
		double util = hottest(load, site->cap);
		l->skew[i] = util > 0 ? fmin(fmax(site->max_node_util / util, 1), SKEW_MAX) : 1;
		l->mute[i] = site->age_ms > l->policy->stale_ms;
		w->alive[i] = site->healthy;
		w->cap_all[i] = site->cap_all[RES_BPS];
		w->cap[i] = site->healthy ? site->cap[RES_BPS] : 0;
	}
}

/* A cell that is to be announced and is not will not be for any order of ours. */
static void find_cells(struct world *w)
{
	const struct snapshot *s = w->live->now;

	for (size_t i = 0; i < w->ns; i++)
		for (size_t k = 0; k < w->nk; k++) {
			const struct snap_cell *from = snap_cell(s, i, k);
			struct world_cell *to = world_cell(w, i, k);

			to->grade = from->grade;
			to->wanted = from->wanted;
			to->pinned = from->pinned;
			to->off = !from->announced && s->grades->g[from->wanted].kind != GRADE_WITHDRAWN;
			to->apply_at = !to->off && from->grade != from->wanted;
		}
}

struct world *live_world(const struct live *in, const struct shift *model, const double *homes,
			 const struct scenario *sc, uint64_t seed, struct live *ret_live)
{
	*ret_live = (struct live){ .now = in->now, .policy = in->policy, .loss = in->loss };
	draw_catches(ret_live, model, homes, seed);
	struct catch *any = ret_live->family[0]	  ? ret_live->family[0]
			    : ret_live->family[1] ? ret_live->family[1]
						  : ret_live->family[2];
	struct world *w = world_bare(any, sc, in->now->n_shards, seed);
	w->live = ret_live;
	w->started_ms = in->now->now_ms;
	w->of = xcalloc(w->nk, sizeof(*w->of));
	for (size_t k = 0; k < w->nk; k++)
		w->of[k] = ret_live->family[slot_of(in->now->shards[k].family)];
	find_ratios(ret_live);
	find_sites(w);
	find_cells(w);
	draw_demand(w, homes);
	return w;
}

void live_done(struct live *l)
{
	for (size_t f = 0; f < ARRAY_LEN(l->family); f++)
		catch_free(l->family[f]);
	free(l->ratio);
	free(l->skew);
	free(l->mute);
	*l = (struct live){ 0 };
}

/* -- each second ------------------------------------------------------------------------------------------
 */

/* Routers see it within the second. */
void live_events(struct world *w)
{
	const struct live_loss *loss = w->live->loss;
	uint8_t last = (uint8_t)(w->c->grades.n - 1);

	if (w->t != w->sc->from)
		return;
	memset(w->stale, true, w->nk);
	if (loss->dark) {
		w->alive[loss->site] = false;
		w->cap[loss->site] = 0;
		return;
	}
	w->cap[loss->site] = fmax(0, w->cap[loss->site] - loss->gone[RES_BPS]);
	for (size_t k = 0; k < w->nk; k++) {
		struct world_cell *c = world_cell(w, loss->site, k);

		if (loss->fate[k] != FATE_GONE)
			continue;
		c->off = true;
		c->grade = last;
		c->apply_at = 0;
	}
}

static bool happened(const struct world *w)
{
	return w->t >= w->sc->from;
}

static bool lost_here(const struct world *w, size_t i)
{
	return happened(w) && i == w->live->loss->site;
}

/* Hottest resource, of all the site carries and of what only a part of it can. */
static double live_util(const struct world *w, size_t i)
{
	const struct live *l = w->live;
	double all[RES_N] = { 0 }, thin[RES_N] = { 0 }, cap[RES_N], left[RES_N];
	bool lost = lost_here(w, i);

	for (size_t k = 0; k < w->nk; k++)
		for (int r = 0; r < RES_N; r++) {
			double v = w->arrive[i * w->nk + k] * l->ratio[k * RES_N + (size_t)r];
			all[r] += v;
			thin[r] += lost && l->loss->fate[k] == FATE_THIN ? v : 0;
		}
	for (int r = 0; r < RES_N; r++) {
		double limited = l->now->sites[i].cap[r];
		cap[r] = limited > 0 ? fmax(limited - (lost ? l->loss->gone[r] : 0), 1e-9) : 0;
		left[r] = limited > 0 ? fmax(limited - (lost ? l->loss->thin[r] : 0), 1e-9) : 0;
	}
	return fmax(hottest(all, cap), lost ? hottest(thin, left) : 0);
}

void live_traffic(struct world *w)
{
	struct live *l = w->live;
	auto_free uint8_t *vec = xcalloc(w->ns, 1);
	double landed = 0;

	l->late = l->dropped = l->dead = w->legit_served = w->peak = 0;
	for (size_t i = 0; i < w->ns; i++) {
		w->util[i] = w->alive[i] ? live_util(w, i) : 0;
		w->peak = fmax(w->peak, w->util[i]);
	}
	for (size_t k = 0; k < w->nk; k++) {
		world_vector(w, k, vec);
		for (size_t i = 0; i < w->ns; i++) {
			double v = w->arrive[i * w->nk + k], part = fmin(1, 1 / fmax(w->util[i], 1e-9));
			landed += v;
			if (vec[i] == CATCH_OFF && (!w->alive[i] || world_cell(w, i, k)->off))
				l->late += v;
			else if (lost_here(w, i) && l->loss->fate[k] == FATE_STAYS)
				l->dead += v;
			else
				l->dropped += v * (1 - part);
		}
	}
	l->dead += fmax(0, w->legit_offered - landed);
	w->legit_served = fmax(0, w->legit_offered - l->late - l->dropped - l->dead);
}

/* After the site has been filled in as its reports say. */
void live_report(const struct world *w, struct snapshot *s, size_t i)
{
	const struct live *l = w->live;
	const struct snap_site *was = &l->now->sites[i];
	struct snap_site *site = &s->sites[i];
	bool lost = lost_here(w, i), told = lost && !l->loss->dark && !l->loss->silent;

	site->healthy = was->healthy && !(told && l->loss->blind_all);
	if (l->mute[i] || !was->healthy)
		site->age_ms = was->age_ms + (l->mute[i] ? (int64_t)w->t * 1000 : 0);
	else if (lost && l->loss->silent)
		site->age_ms = (int64_t)(w->t - w->sc->from) * 1000;
	for (int r = 0; r < RES_N; r++)
		site->cap[r] = fmax(0, was->cap[r] - (told ? l->loss->blind[r] : 0));
	for (size_t k = 0; k < w->nk; k++) {
		struct snap_cell *c = snap_cell(s, i, k);
		double add = lost && l->loss->silent ? l->loss->frozen[k] : 0;

		if (l->mute[i] || !was->healthy)
			continue;
		if (w->report_at[i]) {
			const double *ratio = &l->ratio[k * RES_N];
			/* until the next report says otherwise, the fill-in has put it there anew */
			double lo = c->lo[RES_BPS] + add, hi = c->hi[RES_BPS] + add;
			for (int r = 0; r < RES_N; r++) {
				c->lo[r] = lo * ratio[r];
				c->hi[r] = hi * ratio[r];
			}
		}
		if (told && l->loss->fate[k] == FATE_STAYS)
			c->announced = false;
	}
}

struct snapshot *live_snapshot(const struct snapshot *s)
{
	struct snapshot *to = xcalloc(1, sizeof(*to));
	size_t nc = s->n_sites * s->n_shards;

	*to = *s;
	to->sites = xcalloc(s->n_sites + 1, sizeof(*s->sites));
	to->shards = xcalloc(s->n_shards + 1, sizeof(*s->shards));
	to->cells = xcalloc(nc + 1, sizeof(*s->cells));
	memcpy(to->sites, s->sites, s->n_sites * sizeof(*s->sites));
	memcpy(to->shards, s->shards, s->n_shards * sizeof(*s->shards));
	memcpy(to->cells, s->cells, nc * sizeof(*s->cells));
	return to;
}
