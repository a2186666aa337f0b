/* SPDX-License-Identifier: Apache-2.0
 * The learned part is one number for all sites: they run the same agent. Owns nothing; its state is in
 * struct recall. */
#include "controller/steer/lean.h"

#include <math.h>

#include "proto/base/mem.h"

#define PRIOR_COUNTS 2.0
#define COUNTS_MAX   20.0
#define WIDE	     0.05 /* of the load: narrower intervals teach nothing */

static double sane(double v)
{
	return isfinite(v) && v > 0 ? v : 0;
}

static double learned(const struct recall *r)
{
	return (RECALL_LEAN * PRIOR_COUNTS + r->trust) / (PRIOR_COUNTS + r->trust_n);
}

/* The resource usual loads are kept in: as round.c's main. */
static int main_res(const struct snapshot *s)
{
	for (int x = 0; x < RES_N; x++)
		for (size_t i = 0; i < s->n_sites; i++)
			if (s->sites[i].cap[x] > 0)
				return x;
	return RES_BPS;
}

/* The shard is nowhere changed, so what usually lands here lands here. */
static bool usual(const struct snapshot *s, size_t k)
{
	for (size_t j = 0; j < s->n_sites; j++) {
		const struct snap_cell *c = snap_cell(s, j, k);
		if (c->grade || c->wanted || !c->announced)
			return false;
	}
	return true;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* How much more than carried the shards usually bring: the lower median, so that most must agree. */
static double by_usual(const struct recall *r, const struct snapshot *s, size_t i, int x,
		       const bool *as_usual)
{
	auto_free double *lean = xcalloc(s->n_shards, sizeof(*lean));
	size_t n = 0;

	for (size_t k = 0; k < s->n_shards; k++) {
		const struct cell_mem *m = recall_at(r, s, i, k);
		double lo = sane(snap_cell(s, i, k)->lo[x]), hi = sane(snap_cell(s, i, k)->hi[x]);

		if (as_usual[k] && m && m->n_calm >= CALM_KNOWN && lo > 0 && hi > lo * (1 + WIDE))
			lean[n++] = (m->calm - lo) / (hi - lo);
	}
	if (!n)
		return 0;
	qsort(lean, n, sizeof(*lean), by_value);
	return fmin(lean[(n - 1) / 2], 1);
}

void lean_observe(struct recall *r, const struct snapshot *s)
{
	auto_free bool *as_usual = xcalloc(s->n_shards, sizeof(*as_usual));
	int x = main_res(s);
	bool any = false;

	for (size_t i = 0; i < s->n_sites; i++)
		any = any || s->sites[i].dropping;
	for (size_t k = 0; any && k < s->n_shards; k++)
		as_usual[k] = usual(s, k);
	for (size_t i = 0; i < s->n_sites; i++) {
		struct site_mem *m = recall_site(r, s->sites[i].name);

		if (!m)
			continue;
		m->lean = learned(r);
		if (s->sites[i].dropping)
			m->lean = fmax(m->lean, by_usual(r, s, i, x, as_usual));
	}
}

void lean_learn(struct recall *r, double lo, double hi, double truth)
{
	if (!isfinite(lo + hi + truth) || !(lo > 0) || hi <= lo * (1 + WIDE))
		return;
	if (r->trust_n >= COUNTS_MAX) {
		r->trust *= COUNTS_MAX / (COUNTS_MAX + 1);
		r->trust_n *= COUNTS_MAX / (COUNTS_MAX + 1);
	}
	r->trust += fmin(fmax((truth - lo) / (hi - lo), 0), 1);
	r->trust_n++;
}

double lean_of(const struct recall *r, const char *site)
{
	const struct site_mem *m = recall_site(r, site);

	return m && m->lean > 0 ? m->lean : learned(r);
}
