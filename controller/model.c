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
}

void model_done(struct model *m)
{
	if (m->cl)
		release(m);
	*m = (struct model){ 0 };
}
