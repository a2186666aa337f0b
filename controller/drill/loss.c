/* SPDX-License-Identifier: Apache-2.0
 * From what a drill is told to touch to what is lost in the simulator. A whole site, or a node that is alone
 * in it, goes dark; a node among others leaves its capacity behind, and a picture that ages; a service is
 * withdrawn where nobody else of the site serves it, if permits allow. */
#include <string.h>

#include "controller/drill/tabletop.h"
#include "controller/sim/live.h"
#include "proto/base/mem.h"

struct seeker {
	const struct model *m;
	const struct drill_spec *spec;
	const struct cl_site *site;
	ssize_t node; /* -1: all of the site's */
	struct live_loss *loss;
};

static bool serves(const struct model *m, size_t node)
{
	const struct node_live *n = &m->nodes[node];

	return mono_is_set(n->report_at) && n->bgp_ok && n->service_up && !n->drain.on;
}

static bool is_lost(const struct seeker *f, size_t node)
{
	return f->node < 0 || node == (size_t)f->node;
}

/* Somebody of the site is left who serves anything (shard -1), or this. */
static bool others_serve(const struct seeker *f, ssize_t shard)
{
	for (size_t i = 0; i < f->site->n_nodes; i++) {
		size_t n = f->site->nodes[i];
		if (!is_lost(f, n) && serves(f->m, n) &&
		    (shard < 0 || f->m->nodes[n].shards[shard].announced))
			return true;
	}
	return false;
}

static void add_cap(const struct seeker *f, size_t node, double *to)
{
	for (int r = 0; r < RES_N && serves(f->m, node); r++)
		to[r] += f->m->cl->nodes[node].cap[r];
}

static void lose_node(struct seeker *f)
{
	const struct node_live *n = &f->m->nodes[f->node];

	f->loss->silent = true;
	add_cap(f, (size_t)f->node, f->loss->gone);
	for (size_t k = 0; k < f->m->cl->n_shards; k++)
		f->loss->frozen[k] = (n->shards[k].lo[RES_BPS] + n->shards[k].hi[RES_BPS]) / 2;
}

static bool wanted(const struct seeker *f, size_t k)
{
	const struct cluster *cl = f->m->cl;
	const struct drill_spec *s = f->spec;

	return (!s->shard[0] || strcmp(cl->shards[k].name, s->shard) == 0) &&
	       (!s->service[0] || strcmp(cl->services[cl->shards[k].service].name, s->service) == 0);
}

/* Of this node the service is dead: the controller takes all of it for out of service. */
static bool has_dead(const struct seeker *f, size_t node)
{
	for (size_t k = 0; k < f->m->cl->n_shards; k++)
		if (wanted(f, k) && is_lost(f, node) && f->m->nodes[node].shards[k].announced)
			return true;
	return false;
}

static void lose_shards(struct seeker *f, const bool *grants)
{
	const struct cluster *cl = f->m->cl;
	bool left = false;

	for (size_t k = 0; k < cl->n_shards; k++) {
		if (!wanted(f, k) || !model_cell(f->m, f->loss->site, k)->announced)
			continue;
		bool may = grants[f->loss->site * cl->n_shards + k];
		bool theirs = f->node < 0 || f->m->nodes[f->node].shards[k].announced;
		if (theirs)
			f->loss->fate[k] = others_serve(f, (ssize_t)k) ? FATE_THIN
					   : may		       ? FATE_GONE
								       : FATE_STAYS;
	}
	for (size_t i = 0; i < f->site->n_nodes; i++) {
		size_t n = f->site->nodes[i];
		if (!has_dead(f, n)) {
			left |= serves(f->m, n);
			continue;
		}
		add_cap(f, n, f->loss->blind);
		add_cap(f, n, f->loss->thin);
	}
	f->loss->blind_all = !left;
}

ssize_t loss_site(const struct model *m, const struct drill_spec *spec)
{
	ssize_t node = spec->node[0] ? cluster_node(m->cl, spec->node) : -1;

	return node >= 0 ? (ssize_t)m->cl->nodes[node].site : cluster_site(m->cl, spec->site);
}

void loss_find(const struct model *m, const struct drill_spec *spec, const bool *grants,
	       struct live_loss *ret_loss)
{
	ssize_t node = spec->node[0] ? cluster_node(m->cl, spec->node) : -1;
	ssize_t site = loss_site(m, spec);
	struct seeker f = { .m = m, .spec = spec, .node = node, .loss = ret_loss };

	live_loss_init(ret_loss, m->cl->n_shards);
	if (site < 0)
		return;
	ret_loss->site = (size_t)site;
	f.site = &m->cl->sites[site];
	if (spec->service[0] || spec->shard[0])
		lose_shards(&f, grants);
	else if (node >= 0 && others_serve(&f, -1))
		lose_node(&f);
	else
		ret_loss->dark = true;
}
