/* SPDX-License-Identifier: Apache-2.0
 * Builds the dense view of one round. Owns its arrays; borrows the snapshot, the policy, the model and the
 * memory for as long as the round lasts. */
#include "controller/steer/round.h"

#include "controller/steer/lean.h"

#include <math.h>

#include "proto/base/mem.h"

#define IMBALANCE_MAX 1.20 /* more than that is for weights to cure, not for BGP */
#define RISING	      1.25
#define FAMILIES      3
#define LATE_SHARE    0.25 /* 80 % of networks follow within 10 s, the others within minutes */

static void sort_names(size_t *idx, size_t n, const char *const *name)
{
	for (size_t i = 0; i < n; i++)
		idx[i] = i;
	/* shell sort: short, no global comparator, n <= 1024 */
	for (size_t gap = n / 2; gap; gap /= 2)
		for (size_t i = gap; i < n; i++) {
			size_t v = idx[i], j = i;
			for (; j >= gap && strcmp(name[idx[j - gap]], name[v]) > 0; j -= gap)
				idx[j] = idx[j - gap];
			idx[j] = v;
		}
}

static void sort_view(struct round *r)
{
	auto_free const char **name = xcalloc(r->ns + r->nk, sizeof(*name));

	for (size_t i = 0; i < r->ns; i++)
		name[i] = r->s->sites[i].name;
	sort_names(r->site, r->ns, name);
	for (size_t i = 0; i < r->ns; i++)
		r->names[i] = r->s->sites[r->site[i]].name;
	for (size_t k = 0; k < r->nk; k++)
		name[k] = r->s->shards[k].name;
	sort_names(r->shard, r->nk, name);
}

const struct snap_cell *round_snap(const struct round *r, size_t i, size_t k)
{
	return snap_cell(r->s, r->site[i], r->shard[k]);
}

static double sane(double v)
{
	return isfinite(v) && v > 0 ? v : 0;
}

static void view_sites(struct round *r, const struct recall *mem)
{
	double sum = 0;

	for (size_t i = 0; i < r->ns; i++) {
		const struct snap_site *site = &r->s->sites[r->site[i]];
		const struct site_mem *m = recall_site(mem, site->name);
		double imbalance = m && m->imbalance > 1 ? fmin(m->imbalance, IMBALANCE_MAX) : 1;

		for (int x = 0; x < RES_N; x++) {
			r->cap[i].v[x] = sane(site->cap[x]) / imbalance;
			r->on[x] = r->on[x] || r->cap[i].v[x] > 0;
		}
		r->lean[i] = lean_of(mem, site->name);
		r->site_widen[i] = m ? fmax(m->widen, 1) : 1;
		r->proved[i] = m && m->seen >= 1;
		r->receiver[i] = site->healthy && !site->draining && site->age_ms <= r->p->stale_ms;
	}
	for (int x = RES_N; x-- > 0;)
		if (r->on[x])
			r->main = x;
	r->single = true;
	for (int x = 0; x < RES_N; x++)
		r->single = r->single && (x == r->main || !r->on[x]);
	if (!r->on[r->main])
		r->on[r->main] = true; /* nothing is limited: still tell effects in bit/s */
	r->on[LANE_WORTH] = true;
	for (size_t i = 0; i < r->ns; i++) {
		r->prior[i] = r->cap[i].v[r->main] > 0 ? r->cap[i].v[r->main] : 0;
		sum += r->prior[i];
	}
	for (size_t i = 0; i < r->ns; i++)
		r->prior[i] = sum > 0 ? r->prior[i] / sum : 1.0 / (double)r->ns;
}

static struct res_vec smoothed(const struct snap_cell *c, const struct cell_mem *m, bool rising, double lean)
{
	struct res_vec out = { 0 };
	unsigned n = m ? (rising && m->n_samples ? 1 : m->n_samples) : 0;

	for (int x = 0; x < RES_N; x++) {
		if (!n)
			out.v[x] = recall_within(sane(c->lo[x]), sane(c->hi[x]), lean);
		for (unsigned j = 0; j < n; j++)
			out.v[x] += m->sample[j][x] / n;
	}
	return out;
}

/* The site's newest sample is far above the oldest: their mean would be history. */
static bool rises(const struct round *r, size_t i)
{
	double now = 0, before = 0;

	for (size_t k = 0; k < r->nk; k++) {
		const struct cell_mem *m = r->mem[round_cell(r, i, k)];

		if (!m || m->n_samples < 2)
			continue;
		now += m->sample[0][r->main];
		before += m->sample[m->n_samples - 1][r->main];
	}
	return now > RISING * before;
}

static void view_loads(struct round *r, const struct recall *mem)
{
	for (size_t i = 0; i < r->ns; i++) {
		const struct site_mem *site = recall_site(mem, r->names[i]);
		bool rising = rises(r, i);
		double now = 0;

		for (size_t k = 0; k < r->nk; k++) {
			size_t c = round_cell(r, i, k);
			r->seen[c] = smoothed(round_snap(r, i, k), r->mem[c], rising, r->lean[i]);
			now += r->seen[c].v[RES_BPS];
		}
		/* while it rises as much may come again as has come */
		if (site && site->slow > 0 && now > site->slow)
			r->coming[i] = (rising ? 1 : LATE_SHARE) * (1 - site->slow / now);
	}
}

static void view_flights(struct round *r, const struct recall *mem)
{
	for (size_t k = 0; k < r->nk; k++) {
		const struct shard_mem *m = recall_shard(mem, r->s->shards[r->shard[k]].name);

		r->rests[k] = m && m->n_rest;
		if (!m || !m->flying || m->quiet)
			continue;
		r->shard_busy[k] = true;
		for (size_t i = 0; i < r->ns; i++) {
			const struct cell_mem *cm = r->mem[round_cell(r, i, k)];
			if (cm && cm->changed_ms >= m->since_ms)
				r->site_busy[i] = true;
		}
	}
}

static void view_cells(struct round *r, const struct recall *mem)
{
	size_t last = r->gs->n - 1;

	for (size_t i = 0; i < r->ns; i++)
		for (size_t k = 0; k < r->nk; k++) {
			size_t c = round_cell(r, i, k);
			const struct snap_cell *cell = round_snap(r, i, k);
			const struct snap_site *site = &r->s->sites[r->site[i]];

			r->mem[c] = recall_at(mem, r->s, r->site[i], r->shard[k]);
			r->grade[c] = cell->wanted <= last ? cell->wanted : (uint8_t)last;
			r->calm[c] = r->mem[c] && r->mem[c]->n_calm >= CALM_KNOWN ? r->mem[c]->calm : 0;
			/* ordered back but not yet announced counts as announced: it is in flight */
			/* what we withdrew ourselves can come back; what is not there against our will cannot
			 */
			bool gone = !cell->announced && cell->grade == cell->wanted &&
				    r->s->grades->g[cell->wanted].kind != GRADE_WITHDRAWN;
			r->off[c] = !site->healthy || gone || (r->mem[c] && r->mem[c]->gone);
		}
	view_loads(r, mem);
	view_flights(r, mem);
}

void round_init(struct round *r, const struct snapshot *s, const struct policy *p, const struct shift *m,
		const struct recall *mem)
{
	size_t ns = s->n_sites, nk = s->n_shards, nc = ns * nk, rows = FAMILIES * ns * s->grades->n;

	*r = (struct round){ .s = s, .p = p, .shift = m, .gs = s->grades, .ns = ns, .nk = nk };
	r->site = xcalloc(ns, sizeof(*r->site));
	r->shard = xcalloc(nk, sizeof(*r->shard));
	r->names = xcalloc(ns, sizeof(*r->names));
	r->cap = xcalloc(ns, sizeof(*r->cap));
	r->receiver = xcalloc(ns, sizeof(bool));
	r->lean = xcalloc(ns, sizeof(double));
	r->coming = xcalloc(ns, sizeof(double));
	r->site_widen = xcalloc(ns, sizeof(double));
	r->proved = xcalloc(ns, sizeof(bool));
	r->hot = xcalloc(ns, sizeof(bool));
	r->urgent = xcalloc(ns, sizeof(bool));
	r->site_busy = xcalloc(ns, sizeof(bool));
	r->shard_busy = xcalloc(nk, sizeof(bool));
	r->rests = xcalloc(nk, sizeof(bool));
	r->mem = xcalloc(nc, sizeof(struct cell_mem *));
	r->grade = xcalloc(nc, 1);
	r->off = xcalloc(nc, sizeof(bool));
	r->seen = xcalloc(nc, sizeof(*r->seen));
	r->home = xcalloc(nc, sizeof(*r->home));
	r->flow = xcalloc(nc, sizeof(*r->flow));
	r->load = xcalloc(ns, sizeof(*r->load));
	r->spread = xcalloc(ns, sizeof(double));
	r->calm = xcalloc(nc, sizeof(double));
	r->model = xcalloc(nc, sizeof(*r->model));
	r->modelled = xcalloc(nk, sizeof(bool));
	for (int w = 0; w < WIDE_N; w++)
		r->widen[w] = fmax(mem->widen[w], 1);
	r->shard_worth = xcalloc(nk, sizeof(double));
	r->sheds = xcalloc(rows, sizeof(*r->sheds));
	r->dests = xcalloc(rows, sizeof(*r->dests));
	r->prior = xcalloc(ns, sizeof(double));
	sort_view(r);
	view_sites(r, mem);
	view_cells(r, mem);
	static const uint8_t family[FAMILIES] = { 0, 4, 6 };
	for (size_t f = 0; f < FAMILIES; f++)
		for (size_t i = 0; i < ns; i++)
			shift_sheds(m, r->gs, r->names[i], family[f], s->now_ms,
				    &r->sheds[(f * ns + i) * r->gs->n]);
}

void round_done(struct round *r)
{
	size_t rows = FAMILIES * r->ns * r->gs->n;

	for (size_t i = 0; i < rows; i++)
		free(r->dests[i].mean);
	void *const all[] = { r->site,	 r->shard,	 r->names,     r->cap,	      r->receiver,
			      r->hot,	 r->urgent,	 r->site_busy, r->shard_busy, r->mem,
			      r->grade,	 r->off,	 r->seen,      r->home,	      r->flow,
			      r->load,	 r->spread,	 r->sheds,     r->dests,      r->prior,
			      r->calm,	 r->shard_worth, r->model,     r->modelled,   r->lean,
			      r->coming, r->site_widen,	 r->proved,    r->rests };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		free(all[i]);
}

static size_t row_of(const struct round *r, size_t i, size_t k, unsigned grade)
{
	uint8_t family = r->s->shards[r->shard[k]].family;
	size_t f = family == 4 ? 1 : family == 6 ? 2 : 0;

	return (f * r->ns + i) * r->gs->n + grade;
}

double round_widen(const struct round *r, size_t i, size_t k, unsigned grade)
{
	bool seen = round_shed(r, i, k, grade)->evidence >= WIDE_EVIDENCE;

	return fmax(r->site_widen[i], r->widen[seen ? WIDE_SEEN : WIDE_PRIOR]);
}

const struct shed *round_shed(const struct round *r, size_t i, size_t k, unsigned grade)
{
	return &r->sheds[row_of(r, i, k, grade)];
}

const struct dest_row *round_dest(const struct round *r, size_t i, size_t k, unsigned grade)
{
	struct dest_row *d = &r->dests[row_of(r, i, k, grade)];

	if (d->mean)
		return d;
	auto_free double *prior = xcalloc(r->ns, sizeof(*prior));
	double others = 1 - r->prior[i];

	for (size_t j = 0; j < r->ns; j++)
		prior[j] = j == i	   ? 0
			   : others > 1e-9 ? r->prior[j] / others
					   : 1.0 / fmax((double)r->ns - 1, 1);
	d->mean = xcalloc(r->ns, sizeof(*d->mean));
	d->alpha = shift_dests(r->shift, r->gs, r->names[i], grade, r->s->shards[r->shard[k]].family,
			       r->s->now_ms, r->names, prior, r->ns, d->mean);
	for (size_t j = 0; j < r->ns; j++)
		d->mean[j] /= fmax(d->alpha, 1e-9);
	return d;
}

int round_hot_res(const struct round *r, size_t i, const struct res_vec *load)
{
	int best = r->main;
	double top = -1;

	if (r->single)
		return best;

	for (int x = 0; x < RES_N; x++)
		if (r->cap[i].v[x] > 0 && load->v[x] / r->cap[i].v[x] > top) {
			top = load->v[x] / r->cap[i].v[x];
			best = x;
		}
	return best;
}

double round_util(const struct round *r, size_t i, const struct res_vec *load)
{
	int x = round_hot_res(r, i, load);

	if (r->cap[i].v[x] > 0)
		return load->v[x] / r->cap[i].v[x];
	/* no capacity: a dead site, or one without limits */
	return !r->s->sites[r->site[i]].healthy && load->v[r->main] > 0 ? INFINITY : 0;
}
