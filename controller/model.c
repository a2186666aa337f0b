/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/model.h"

#include <errno.h>
#include <string.h>

#include "controller/meter.h"

const char *steer_mode_str(enum steer_mode mode)
{
	static const char *const names[] = { "observe", "steer", "freeze" };

	return names[mode];
}

int steer_mode_parse(const char *s, enum steer_mode *ret_mode)
{
	for (int i = MODE_OBSERVE; i <= MODE_FREEZE; i++)
		if (strcmp(s, steer_mode_str((enum steer_mode)i)) == 0) {
			*ret_mode = (enum steer_mode)i;
			return 0;
		}
	return -EINVAL;
}

static void alloc(struct model *m, struct cluster *cl)
{
	m->cl = cl;
	m->nodes = xcalloc(cl->n_nodes, sizeof(*m->nodes));
	m->sites = xcalloc(cl->n_sites, sizeof(*m->sites));
	m->cells = xcalloc(cl->n_sites * cl->n_shards, sizeof(*m->cells));
	m->service_drains = xcalloc(cl->n_sites * cl->n_services, sizeof(*m->service_drains));
	for (size_t i = 0; i < cl->n_nodes; i++)
		m->nodes[i].shards = xcalloc(cl->n_shards, sizeof(*m->nodes[i].shards));
	for (size_t i = 0; i < cl->n_sites * cl->n_shards; i++)
		m->cells[i].grade = m->cells[i].wanted = (uint8_t)(cl->grades.n - 1);
}

void model_init(struct model *m, struct cluster *cl)
{
	*m = (struct model){ .mode = MODE_OBSERVE, .started_at = mono_now() };
	alloc(m, cl);
}

static void release(struct model *m)
{
	for (size_t i = 0; i < m->cl->n_nodes; i++) {
		free(m->nodes[i].shards);
		meter_free(m->nodes[i].meter);
	}
	free(m->nodes);
	free(m->sites);
	free(m->cells);
	for (size_t i = 0; i < m->cl->n_sites * m->cl->n_services; i++)
		free(m->service_drains[i]);
	free(m->service_drains);
	cluster_free(m->cl);
}

/* a grade keeps its meaning by name; one that is gone becomes normal */
static uint8_t same_grade(const struct cluster *from, const struct cluster *to, uint8_t grade)
{
	ssize_t i = cluster_grade(to, from->grades.g[grade].name);

	return i < 0 ? 0 : (uint8_t)i;
}

static void move_node(const struct model *old, struct model *m, size_t to, size_t from)
{
	struct node_live *n = &m->nodes[to], *o = &old->nodes[from];
	struct node_shard *shards = n->shards;

	*n = *o;
	n->shards = shards;
	o->meter = NULL;
	for (size_t k = 0; k < m->cl->n_shards; k++) {
		ssize_t was = cluster_shard(old->cl, m->cl->shards[k].name);
		if (was < 0)
			continue;
		n->shards[k] = o->shards[was];
		n->shards[k].grade = same_grade(old->cl, m->cl, o->shards[was].grade);
	}
}

static void move_site(const struct model *old, struct model *m, size_t to, size_t from)
{
	m->sites[to] = old->sites[from];
	for (size_t k = 0; k < m->cl->n_shards; k++) {
		ssize_t was = cluster_shard(old->cl, m->cl->shards[k].name);
		if (was < 0)
			continue;
		struct cell_live *c = model_cell(m, to, k);
		*c = *model_cell(old, from, (size_t)was);
		c->base = same_grade(old->cl, m->cl, c->base);
		c->wanted = same_grade(old->cl, m->cl, c->wanted);
		c->grade = same_grade(old->cl, m->cl, c->grade);
	}
	for (size_t v = 0; v < m->cl->n_services; v++) {
		ssize_t was = cluster_service(old->cl, m->cl->services[v].name);
		struct drain **from_at =
			was < 0 ? NULL : &old->service_drains[from * old->cl->n_services + (size_t)was];
		if (!from_at)
			continue;
		m->service_drains[to * m->cl->n_services + v] = *from_at;
		*from_at = NULL;
	}
}

void model_set_cluster(struct model *m, struct cluster *cl)
{
	struct model old = *m;

	alloc(m, cl);
	for (size_t i = 0; i < cl->n_nodes; i++) {
		ssize_t was = cluster_node(old.cl, cl->nodes[i].name);
		if (was >= 0)
			move_node(&old, m, i, (size_t)was);
	}
	for (size_t i = 0; i < cl->n_sites; i++) {
		ssize_t was = cluster_site(old.cl, cl->sites[i].name);
		if (was >= 0)
			move_site(&old, m, i, (size_t)was);
	}
	release(&old);
	model_pin(m);
}

void model_done(struct model *m)
{
	if (m->cl)
		release(m);
	free(m->overrides);
	*m = (struct model){ 0 };
}

mono_t model_deadline(int64_t wall_ms, int64_t since_wall_ms)
{
	int64_t most = wall_ms - since_wall_ms, left = wall_ms - wall_now_ms();

	if (!wall_ms)
		return (mono_t){ 0 };
	left = left < most ? left : most;
	return mono_add_ms(mono_now(), left > 0 ? left : -1);
}

void model_adopt_weight(struct node_live *n, size_t shard)
{
	const struct node_shard *ns = &n->shards[shard];

	if (n->weight == 0 && ns->announced && ns->weight && !n->drain.on && !ns->weight_pin &&
	    ns->weight != ns->hand_weight)
		n->weight = (int)ns->weight;
}

/* -- the operator's hand ----------------------------------------------------------------------------- */

static void pin_grade(struct model *m, const struct override *o, bool on)
{
	ssize_t site = cluster_site(m->cl, o->place), shard = cluster_shard(m->cl, o->shard);
	ssize_t grade = cluster_grade(m->cl, o->grade);

	if (site < 0 || shard < 0 || grade < 0)
		return; /* gone from the document: nothing to pin until it is back */
	struct cell_live *cell = model_cell(m, (size_t)site, (size_t)shard);
	cell->pinned = on;
	cell->pin = (uint8_t)grade;
}

static void pin_weight(struct model *m, const struct override *o, bool on)
{
	ssize_t node = cluster_node(m->cl, o->place), shard = cluster_shard(m->cl, o->shard);

	if (node >= 0 && shard >= 0)
		m->nodes[node].shards[shard].weight_pin = on ? o->weight : 0;
}

void model_pin_one(struct model *m, const struct override *o, bool on)
{
	(o->grade[0] ? pin_grade : pin_weight)(m, o, on);
}

void model_pin(struct model *m)
{
	for (size_t i = 0; i < m->cl->n_sites * m->cl->n_shards; i++)
		m->cells[i].pinned = false;
	for (size_t i = 0; i < m->cl->n_nodes; i++)
		for (size_t k = 0; k < m->cl->n_shards; k++)
			m->nodes[i].shards[k].weight_pin = 0;
	for (size_t i = 0; i < m->n_overrides; i++)
		model_pin_one(m, &m->overrides[i], true);
}

bool model_hand_done(const struct model *m, const struct cell_live *cell, const struct hand *h)
{
	const struct grade *g = m->cl->grades.g;

	if (h->exact)
		return cell->ordered && cell->wanted == h->base;
	return h->base && g[cell_order(cell)].strength >= g[h->base].strength;
}

bool model_hand_moved(const struct model *m, const struct cell_live *cell, const struct hand *h)
{
	const struct grade *g = m->cl->grades.g;

	return g[cell->base].strength > g[h->base].strength ||
	       ((cell->base != h->base || h->exact) && !model_hand_done(m, cell, h));
}

/* Is there, is well and is not on its way out. */
static bool carries(const struct node_live *n, size_t shard)
{
	const struct node_shard *ns = &n->shards[shard];

	return !n->drain.on && n->connected && n->bgp_ok && ns->service_up && ns->announced;
}

bool model_carried(const struct model *m, size_t node, size_t shard)
{
	const struct cl_site *site = &m->cl->sites[m->cl->nodes[node].site];

	for (size_t i = 0; i < site->n_nodes; i++)
		if (site->nodes[i] != node && carries(&m->nodes[site->nodes[i]], shard))
			return true;
	return false;
}

bool model_covered(const struct model *m, size_t node, size_t shard)
{
	size_t at = m->cl->nodes[node].site;
	const struct cl_site *site = &m->cl->sites[at];
	bool any = false, sure = false;

	for (size_t i = 0; i < site->n_nodes; i++) {
		const struct node_live *o = &m->nodes[site->nodes[i]];
		bool other = site->nodes[i] != node && carries(o, shard);
		any |= other;
		sure |= other && !node_shard_may_go(&o->shards[shard]);
	}
	return sure || (any && model_cell(m, at, shard)->may_withdraw);
}

/* The mildest drain of a site of which every node is drained; NULL when one is not. */
static const struct drain *all_nodes(const struct model *m, size_t site)
{
	const struct cl_site *cs = &m->cl->sites[site];
	const struct drain *mildest = NULL;

	for (size_t i = 0; i < cs->n_nodes; i++) {
		const struct drain *d = &m->nodes[cs->nodes[i]].drain;
		if (!d->on)
			return NULL;
		if (!mildest || d->stage < mildest->stage)
			mildest = d;
	}
	return mildest;
}

/* The further of two; what a drain began must not be undone by a later one of the same place, or the end of
 * that one would weaken anew. b: may be NULL or over. */
static const struct drain *further(const struct drain *a, const struct drain *b)
{
	if (!b || !b->on)
		return a;
	return !a || b->stage > a->stage ? b : a;
}

struct hand model_hand(const struct model *m, size_t site, size_t shard)
{
	const struct cell_live *cell = model_cell(m, site, shard);
	const struct drain *service =
		m->service_drains[site * m->cl->n_services + m->cl->shards[shard].service];
	const struct drain *d = further(further(NULL, &m->sites[site].drain), service);

	if (cell->pinned)
		return (struct hand){ .base = cell->pin, .exact = true, .held = true, .why = "override" };
	d = further(d, all_nodes(m, site));
	if (!d)
		return (struct hand){ .why = "" };
	const char *grade = d->stage == DRAIN_WITHDRAWN ? "withdrawn" : "drain";
	return (struct hand){ .base = (uint8_t)cluster_grade(m->cl, grade), .held = true, .why = d->reason };
}
