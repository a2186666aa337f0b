/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drill/hands.h"

#include <string.h>

struct walk {
	const struct model *m;
	const struct drill_record *r;
	uint64_t sum, wanted; /* wanted: of the one to be told about */
	char *text;	      /* TEXT_LEN, or NULL */
};

/* shard NULL, service -1: whatever the drill touches at the site. */
static bool touches(const struct walk *w, const char *site, const char *shard, ssize_t service)
{
	const struct cluster *cl = w->m->cl;

	for (size_t i = 0; i < w->r->n_targets; i++) {
		const struct drill_target *t = &w->r->targets[i];
		if (strcmp(t->site, site) != 0)
			continue;
		ssize_t k = service >= 0 && t->shard[0] ? cluster_shard(cl, t->shard) : -1;
		if ((!shard || !t->shard[0] || strcmp(t->shard, shard) == 0) &&
		    (k < 0 || cl->shards[k].service == (size_t)service))
			return true;
	}
	return false;
}

static void add(struct walk *w, int64_t since, const char *actor, const char *what, const char *where)
{
	const char *texts[] = { actor, what, where };
	uint64_t h = 14695981039346656037u ^ (uint64_t)since; /* FNV-1a */

	for (size_t i = 0; i < 3; i++)
		for (const char *c = texts[i]; *c; c++)
			h = (h ^ (unsigned char)*c) * 1099511628211u;
	w->sum += h;
	if (w->text && h == w->wanted)
		snprintf(w->text, TEXT_LEN, "%.60s %s %.130s", actor, what, where);
}

static void add_drain(struct walk *w, const struct drain *d, const char *name)
{
	if (d && d->on)
		add(w, d->since.us, d->actor, "drained", name);
}

static void add_site(struct walk *w, size_t i)
{
	const struct cluster *cl = w->m->cl;
	const struct cl_site *s = &cl->sites[i];

	if (!touches(w, s->name, NULL, -1))
		return;
	add_drain(w, &w->m->sites[i].drain, s->name);
	for (size_t n = 0; n < s->n_nodes; n++)
		add_drain(w, &w->m->nodes[s->nodes[n]].drain, cl->nodes[s->nodes[n]].name);
	for (size_t v = 0; v < cl->n_services; v++)
		if (w->m->service_drains[i * cl->n_services + v] && touches(w, s->name, NULL, (ssize_t)v))
			add_drain(w, w->m->service_drains[i * cl->n_services + v], cl->services[v].name);
}

static void add_all(struct walk *w)
{
	for (size_t i = 0; i < w->m->cl->n_sites; i++)
		add_site(w, i);
	for (size_t i = 0; i < w->m->n_overrides; i++) {
		const struct override *o = &w->m->overrides[i];
		if (o->grade[0] && touches(w, o->place, o->shard, -1))
			add(w, o->since_wall_ms, o->actor, "made the override", o->id);
	}
}

uint64_t hands_sum(const struct model *m, const struct drill_record *r)
{
	struct walk w = { .m = m, .r = r };

	add_all(&w);
	return w.sum;
}

bool hands_changed(const struct model *m, const struct drill_record *r, uint64_t was, char *ret_why)
{
	struct walk w = { .m = m, .r = r, .wanted = hands_sum(m, r) - was, .text = ret_why };

	if (!w.wanted)
		return false;
	snprintf(ret_why, TEXT_LEN, "a drain or an override of what it touches was ended");
	add_all(&w);
	return true;
}
