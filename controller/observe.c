/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/observe.h"

#include <string.h>

#define NEVER_MS INT64_C(1000000000)

static int64_t age_ms(mono_t at, mono_t now)
{
	return mono_is_set(at) ? mono_diff_ms(at, now) : NEVER_MS;
}

bool observe_node_fresh(const struct model *m, size_t node, mono_t now)
{
	const struct node_live *n = &m->nodes[node];

	return age_ms(n->report_at, now) <= m->cl->policy.stale_ms;
}

/* in service: what it announces is really served. Silence is not death (I3): a stale node keeps its last
 * known health, its age says the rest. */
static bool in_service(const struct model *m, size_t node)
{
	const struct node_live *n = &m->nodes[node];

	return mono_is_set(n->report_at) && n->bgp_ok && n->service_up && !n->drain.on;
}

static void sum_site(struct model *m, size_t site, mono_t now)
{
	const struct cl_site *cs = &m->cl->sites[site];
	struct site_live *s = &m->sites[site];

	s->healthy = s->dropping = false;
	s->util = 0;
	s->report_at = (mono_t){ 0 };
	memset(s->load, 0, sizeof(s->load));
	memset(s->cap, 0, sizeof(s->cap));
	for (size_t i = 0; i < cs->n_nodes; i++) {
		size_t k = cs->nodes[i];
		const struct node_live *n = &m->nodes[k];
		if (!in_service(m, k))
			continue;
		s->healthy = true;
		s->dropping |= n->dropping;
		if (!mono_is_set(s->report_at) || mono_diff_ms(n->report_at, s->report_at) > 0)
			s->report_at = n->report_at;
		for (int r = 0; r < RES_N; r++) {
			s->load[r] += n->load[r];
			s->cap[r] += m->cl->nodes[k].cap[r];
		}
	}
	for (int r = 0; r < RES_N; r++)
		if (s->cap[r] > 0 && s->load[r] / s->cap[r] > s->util)
			s->util = s->load[r] / s->cap[r];
	(void)now;
}

static void sum_cell(struct model *m, size_t site, size_t shard)
{
	const struct cl_site *cs = &m->cl->sites[site];
	struct cell_live *c = model_cell(m, site, shard);
	uint8_t grade = (uint8_t)(m->cl->grades.n - 1);

	c->announced = false;
	memset(c->lo, 0, sizeof(c->lo));
	memset(c->hi, 0, sizeof(c->hi));
	for (size_t i = 0; i < cs->n_nodes; i++) {
		const struct node_live *n = &m->nodes[cs->nodes[i]];
		const struct node_shard *ns = &n->shards[shard];
		for (int r = 0; r < RES_N; r++) {
			c->lo[r] += ns->lo[r];
			c->hi[r] += ns->hi[r];
		}
		/* the strongest announcement of the site is the one that is heard outside */
		if (ns->announced && ns->grade < grade)
			grade = ns->grade;
		if (ns->announced && ns->service_up && n->bgp_ok)
			c->announced = true;
	}
	c->grade = grade;
}

void observe_sum(struct model *m, mono_t now)
{
	for (size_t i = 0; i < m->cl->n_sites; i++) {
		sum_site(m, i, now);
		for (size_t k = 0; k < m->cl->n_shards; k++)
			sum_cell(m, i, k);
	}
}

static void fill_site(const struct model *m, size_t i, mono_t now, struct snap_site *ret)
{
	const struct cl_site *cs = &m->cl->sites[i];
	const struct site_live *s = &m->sites[i];

	memcpy(ret->name, cs->name, sizeof(ret->name));
	ret->healthy = s->healthy;
	ret->draining = s->drain.on || s->drilled;
	ret->age_ms = age_ms(s->report_at, now);
	ret->dropping = s->dropping;
	memcpy(ret->cap, s->cap, sizeof(ret->cap));
	for (size_t k = 0; k < cs->n_nodes; k++) {
		const struct node_live *n = &m->nodes[cs->nodes[k]];
		for (int r = 0; r < RES_N; r++)
			ret->cap_all[r] += m->cl->nodes[cs->nodes[k]].cap[r];
		if (in_service(m, cs->nodes[k]) && n->util > ret->max_node_util)
			ret->max_node_util = n->util;
		ret->made_up |= n->surge > 0;
	}
}

static uint8_t family_of(const struct cl_shard *sh)
{
	return sh->n_prefixes > 1 ? 0 : sh->prefixes[0].family;
}

static bool drill_killed(const struct model *m, size_t site, size_t shard)
{
	const struct cl_site *cs = &m->cl->sites[site];

	for (size_t k = 0; k < cs->n_nodes; k++)
		if (m->nodes[cs->nodes[k]].shards[shard].drill_dead)
			return true;
	return false;
}

void observe_snapshot(const struct model *m, mono_t now, struct snapshot *ret_snapshot)
{
	const struct cluster *cl = m->cl;
	struct snapshot s = { .now_ms = now.us / 1000,
			      .mode = m->mode,
			      .grades = &cl->grades,
			      .n_sites = cl->n_sites,
			      .n_shards = cl->n_shards };

	s.sites = xcalloc(s.n_sites, sizeof(*s.sites));
	s.shards = xcalloc(s.n_shards, sizeof(*s.shards));
	s.cells = xcalloc(s.n_sites * s.n_shards, sizeof(*s.cells));
	for (size_t i = 0; i < s.n_sites; i++)
		fill_site(m, i, now, &s.sites[i]);
	for (size_t k = 0; k < s.n_shards; k++) {
		const struct cl_shard *sh = &cl->shards[k];
		memcpy(s.shards[k].name, sh->name, sizeof(sh->name));
		memcpy(s.shards[k].service, cl->services[sh->service].name, NAME_LEN);
		s.shards[k].min_sites = cl->services[sh->service].min_sites;
		s.shards[k].family = family_of(sh);
	}
	for (size_t i = 0; i < s.n_sites; i++)
		for (size_t k = 0; k < s.n_shards; k++) {
			const struct cell_live *c = model_cell(m, i, k);
			struct snap_cell *to = snap_cell(&s, i, k);
			memcpy(to->lo, c->lo, sizeof(to->lo));
			memcpy(to->hi, c->hi, sizeof(to->hi));
			to->grade = c->grade;
			/* a first announcement is no flap: what was never announced counts as on its way to
			 * its base */
			to->wanted = c->ordered ? c->wanted : c->announced ? c->grade : c->base;
			to->base = c->base;
			to->pinned = model_hand(m, i, k).held || c->drilled;
			to->announced = c->announced;
			to->drill_dead = !c->announced && drill_killed(m, i, k);
		}
	*ret_snapshot = s;
}

void observe_done(struct snapshot *s)
{
	free(s->sites);
	free(s->shards);
	free(s->cells);
	*s = (struct snapshot){ 0 };
}

bool observe_balance(const struct model *m, size_t site, mono_t now, struct balance_node *ret_nodes,
		     struct pace_node *ret_mem)
{
	const struct cl_site *cs = &m->cl->sites[site];
	bool known = true;

	for (size_t i = 0; i < cs->n_nodes; i++) {
		size_t k = cs->nodes[i];
		const struct node_live *n = &m->nodes[k];
		ret_nodes[i] =
			(struct balance_node){ .usable = observe_node_fresh(m, k, now) && in_service(m, k),
					       .util = n->util,
					       .weight = n->weight };
		memcpy(ret_nodes[i].cap, m->cl->nodes[k].cap, sizeof(ret_nodes[i].cap));
		ret_mem[i] = n->pace;
		known &= n->measured || !ret_nodes[i].usable;
	}
	return known;
}
