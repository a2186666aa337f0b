/* SPDX-License-Identifier: Apache-2.0
 * Hysteresis. A site is hot when 3 of its last 4 samples, the newest among them, were above the trigger,
 * urgent (and hot) when the last two were above the urgent line. Histories live in site_mem; here is only how
 * they are written and read. Inequality among a site's nodes is smoothed here too: capacity counts less while
 * one node is hotter than the rest. */
#include "controller/steer/engine_int.h"

#include <math.h>

#include "proto/base/mem.h"

#define IMBALANCE_ALPHA 0.2
#define IMBALANCE_CLAMP 1.5
#define AWAITS_SHARE	0.05 /* of capacity in flight makes a site wait, unless it is urgent */
#define IMBALANCE_FROM	0.3  /* below this utilisation ratios are noise */

static double site_util(const struct snapshot *s, size_t i)
{
	const struct snap_site *site = &s->sites[i];
	double top = 0;

	for (int x = 0; x < RES_N; x++) {
		double sum = 0;

		if (!(site->cap[x] > 0))
			continue;
		for (size_t k = 0; k < s->n_shards; k++) {
			const struct snap_cell *c = snap_cell(s, i, k);
			double v = site->dropping ? c->hi[x] : recall_within(c->lo[x], c->hi[x], RECALL_LEAN);
			sum += isfinite(v) && v > 0 ? v : 0;
		}
		top = fmax(top, sum / site->cap[x]);
	}
	return top;
}

static void imbalance(struct site_mem *m, const struct snap_site *site, double util)
{
	if (util < IMBALANCE_FROM || !isfinite(site->max_node_util))
		return;
	double now = fmin(fmax(site->max_node_util / util, 1), IMBALANCE_CLAMP);
	m->imbalance = m->imbalance >= 1 ? m->imbalance + IMBALANCE_ALPHA * (now - m->imbalance) : 1;
}

void hyst_observe(struct engine *e, const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_sites; i++) {
		struct site_mem *m = recall_site(&e->mem, s->sites[i].name);
		double util = site_util(s, i), hottest = util * fmin(fmax(m->imbalance, 1), 1.2);

		if (s->sites[i].age_ms > e->policy.stale_ms)
			continue; /* silence is not a sample */
		imbalance(m, &s->sites[i], util);
		m->hot = (uint8_t)(m->hot << 1 | (hottest > e->policy.trigger_util));
		m->urgent = (uint8_t)(m->urgent << 1 | (hottest > e->policy.urgent_util));
	}
}

bool hyst_calm(const struct recall *mem)
{
	for (const struct site_mem *m = mem->sites; m; m = m->hh.next)
		if (m->hot & 0xf)
			return false;
	return true;
}

/* Much of what will be at this site is still on its way: better judged when it has landed. */
static bool awaits_much(const struct round *r, size_t i)
{
	double moving = 0;

	for (size_t k = 0; k < r->nk; k++) {
		size_t c = round_cell(r, i, k);
		if (r->shard_busy[k])
			moving += fabs(r->flow[c].v[r->main] - r->seen[c].v[r->main]);
	}
	return moving > AWAITS_SHARE * r->cap[i].v[r->main];
}

void hyst_mark(const struct recall *mem, struct round *r)
{
	for (size_t i = 0; i < r->ns; i++) {
		const struct site_mem *m = recall_site(mem, r->names[i]);

		if (!m || !r->s->sites[r->site[i]].healthy)
			continue;
		r->urgent[i] = (m->urgent & 3) == 3;
		r->site_busy[i] = r->site_busy[i] || (!r->urgent[i] && awaits_much(r, i));
		r->hot[i] = r->urgent[i] || ((m->hot & 1) && __builtin_popcount(m->hot & 0xf) >= 3);
	}
}
