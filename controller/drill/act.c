/* SPDX-License-Identifier: Apache-2.0
 * What a drill does to the model: real grades go through rounds and the guard; everything else are marks that
 * fleet puts into the next directive. */
#include <errno.h>
#include <string.h>

#include "controller/drill/drill_int.h"
#include "controller/fleet.h"
#include "controller/weights.h"
#include "proto/base/err.h"

static struct model *model(const struct drills *d)
{
	return &d->c->model;
}

static const char *why_of(const struct drills *d, char *buf, size_t size)
{
	snprintf(buf, size, "drill d%u: %.200s", d->r.id, d->r.spec.reason);
	return buf;
}

/* The cell a target speaks for, when it speaks for a whole site's. */
static bool cell_of(const struct drills *d, size_t i, struct target_at *at)
{
	return target_find(model(d)->cl, &d->r.targets[i], at) && at->node < 0 && at->shard >= 0;
}

static struct move move_to(const struct drills *d, const struct target_at *at, uint8_t to)
{
	const struct cell_live *c = model_cell(model(d), at->site, (size_t)at->shard);

	return (struct move){ .site = at->site,
			      .shard = (size_t)at->shard,
			      .from = cell_order(c),
			      .to = to,
			      .kind = MOVE_OPERATOR };
}

/* A node that is alone at its site takes the site's announcement with it. */
static bool takes_site(const struct model *m, const struct target_at *at)
{
	const struct cl_site *cs = &m->cl->sites[at->site];

	if (at->node < 0)
		return true;
	for (size_t i = 0; i < cs->n_nodes; i++)
		if (cs->nodes[i] != (size_t)at->node && m->nodes[cs->nodes[i]].shards[at->shard].announced)
			return false;
	return true;
}

size_t act_moves(const struct drills *d, size_t from, size_t to, struct move *ret_moves)
{
	ssize_t grade = cluster_grade(model(d)->cl, d->r.kind->grade);
	struct target_at at;
	size_t n = 0;

	for (size_t i = from; i < to && grade >= 0; i++)
		if (target_find(model(d)->cl, &d->r.targets[i], &at) && at.shard >= 0 &&
		    takes_site(model(d), &at))
			ret_moves[n++] = move_to(d, &at, (uint8_t)grade);
	return n;
}

static void set_on(struct drills *d, size_t from, size_t to, bool on)
{
	for (size_t i = from; i < to; i++)
		d->r.targets[i].on = on;
}

/* Together with the record that says so: whoever reads it next knows what is weakened. */
static int order_stage(struct drills *d, const struct move *moves, size_t n, size_t from, size_t to,
		       struct guard_verdict *ret_verdict)
{
	char why[TEXT_LEN];

	set_on(d, from, to, true);
	auto_free char *text = record_text(&d->r), *cells = salvage_text(&d->r);
	struct store_op with[] = { { "drill/cells", cells }, { "drill/current", text } };
	int err = rounds_order(d->c->rounds, moves, n, ACTOR_DRILL, why_of(d, why, sizeof(why)), with,
			       text ? 2 : 1, ret_verdict);
	if (err < 0)
		set_on(d, from, to, false);
	return err;
}

static int order_grades(struct drills *d, size_t from, size_t to, char *ret_why)
{
	auto_free struct move *moves = xcalloc(to - from + 1, sizeof(*moves));
	uint8_t grade = (uint8_t)cluster_grade(model(d)->cl, d->r.kind->grade);
	struct guard_verdict verdict = { 0 };
	struct target_at at;
	size_t n = 0;

	for (size_t i = from; i < to; i++) {
		if (!cell_of(d, i, &at))
			continue;
		const struct cell_live *c = model_cell(model(d), at.site, (size_t)at.shard);
		if (c->pinned) { /* made since preflight */
			snprintf(ret_why, TEXT_LEN, "I10: %.60s at %.60s is held by an override",
				 d->r.targets[i].shard, d->r.targets[i].site);
			return ERR_GUARD;
		}
		if (c->wanted != grade)
			moves[n++] = move_to(d, &at, grade);
	}
	if (!n)
		return 0;
	int err = order_stage(d, moves, n, from, to, &verdict);
	if (err == ERR_STORE)
		snprintf(ret_why, TEXT_LEN, "the store failed: %.200s", store_why(d->c->store));
	else if (err < 0)
		snprintf(ret_why, TEXT_LEN, "%s: %.240s", guard_str(verdict.id), verdict.why);
	return err < 0 && verdict.id == GUARD_I7 ? -EAGAIN : err;
}

/* weaken one target by a mark; on false: take the mark away */
static void mark(struct drills *d, size_t i, bool on)
{
	struct model *m = model(d);
	struct target_at at;

	if (!target_find(m->cl, &d->r.targets[i], &at))
		return;
	const struct cl_site *cs = &m->cl->sites[at.site];
	for (size_t k = 0; k < cs->n_nodes; k++) {
		struct node_live *n = &m->nodes[cs->nodes[k]];
		if (at.node >= 0 && cs->nodes[k] != (size_t)at.node)
			continue;
		switch (d->r.kind->effect) {
		case EFFECT_GRADE:
			if (at.node >= 0)
				n->shards[at.shard].drill_away = on;
			break;
		case EFFECT_DEAD:
			n->shards[at.shard].drill_dead = on;
			break;
		case EFFECT_MUTE:
			n->drill_mute = on;
			break;
		case EFFECT_DEAF:
			n->drill_deaf = on;
			break;
		case EFFECT_SURGE:
			n->surge = on ? d->r.spec.factor : 0;
			break;
		default:
			break;
		}
		if (!on)
			n->drill_dead[0] = 0;
	}
}

int act_weaken(struct drills *d, size_t from, size_t to, char *ret_why)
{
	int err = d->r.kind->effect == EFFECT_GRADE ? order_grades(d, from, to, ret_why) : 0;

	if (err < 0)
		return err;
	snprintf(model(d)->drill, sizeof(model(d)->drill), "d%u", d->r.id);
	for (size_t i = from; i < to; i++) {
		mark(d, i, true);
		d->r.targets[i].on = true;
	}
	fleet_direct(d->c->fleet);
	return 0;
}

void act_whole(struct drills *d)
{
	struct model *m = model(d);
	struct target_at at;

	for (size_t i = 0; i < d->r.n_targets && d->r.kind->effect == EFFECT_DEAD; i++) {
		if (!target_find(m->cl, &d->r.targets[i], &at))
			continue;
		const struct cl_site *cs = &m->cl->sites[at.site];
		for (size_t k = 0; k < cs->n_nodes; k++)
			if (at.node < 0 || cs->nodes[k] == (size_t)at.node)
				snprintf(m->nodes[cs->nodes[k]].drill_dead, NAME_LEN, "%s",
					 d->r.spec.service[0] ? d->r.spec.service : "*");
	}
	fleet_direct(d->c->fleet);
}

/* Ordered by the drill, and not ordered back yet. */
static bool is_weak(const struct drills *d, size_t i, struct target_at *at)
{
	if (d->r.kind->effect != EFFECT_GRADE || !cell_of(d, i, at))
		return false;
	const struct cell_live *c = model_cell(model(d), at->site, (size_t)at->shard);
	return c->ordered && c->wanted != c->base;
}

/* Freeze beats everything, the way back too (I10): said at once, and how to go on. */
static void wait_for(struct drills *d, const struct guard_verdict *v)
{
	char why[TEXT_LEN];

	if (model(d)->mode == MODE_FREEZE)
		snprintf(why, sizeof(why), "mode is freeze: sluicectl mode observe lets it be restored");
	else
		snprintf(why, sizeof(why), "%s: %.240s", guard_str(v->id), v->why);
	if (!d->waits[0])
		d->waits_since = mono_now();
	if (strncmp(d->waits, why, strcspn(why, ":")) != 0)
		events_emit(d->c->events, NULL, 0, "guard.hold", "alert",
			    json_pack("{s:s}", "guard", guard_str(v->id)),
			    "drill d%u cannot be restored yet: %s", d->r.id, why);
	memcpy(d->waits, why, sizeof(why));
}

static void wait_no_more(struct drills *d)
{
	if (!d->waits[0])
		return;
	int64_t ms = mono_diff_ms(d->waits_since, mono_now());
	d->found.waited_ms += ms;
	memcpy(d->found.waited_for, d->waits, sizeof(d->waits));
	d->waits[0] = 0;
	events_emit(d->c->events, NULL, 0, "drill", "info", NULL,
		    "drill d%u is restored after %.0f s of waiting", d->r.id, (double)ms / 1000);
}

static bool order_all_back(struct drills *d, const struct move *moves, size_t n)
{
	struct guard_verdict verdict;
	char why[TEXT_LEN];

	if (n && rounds_order(d->c->rounds, moves, n, ACTOR_ROLLBACK, why_of(d, why, sizeof(why)), NULL, 0,
			      &verdict) == ERR_GUARD) {
		wait_for(d, &verdict);
		return false;
	}
	return true;
}

/* Back to what the document or the operator wants now. */
static void order_back(struct drills *d, size_t from, size_t to)
{
	auto_free struct move *moves = xcalloc(to - from + 1, sizeof(*moves));
	struct target_at at;
	size_t n = 0;

	for (size_t i = from; i < to; i++)
		if (is_weak(d, i, &at))
			moves[n++] = move_to(d, &at, model_cell(model(d), at.site, (size_t)at.shard)->base);
	if (order_all_back(d, moves, n))
		wait_no_more(d);
}

/* A surge was not real, nor is what the balancer made of it: the weights are as they were, and what was
 * measured meanwhile is forgotten. */
static void weights_back(struct drills *d, size_t site)
{
	const struct cl_site *cs = &model(d)->cl->sites[site];
	auto_free int *weights = xcalloc(cs->n_nodes, sizeof(*weights));
	char why[64];

	if (d->r.weights_back)
		return;
	for (size_t i = 0; i < cs->n_nodes; i++) {
		json_t *w = json_object_get(d->r.weights, model(d)->cl->nodes[cs->nodes[i]].name);
		json_int_t was = json_integer_value(w);
		weights[i] = was >= 1 && was <= 100 ? (int)was : 0;
	}
	snprintf(why, sizeof(why), "as before drill d%u", d->r.id);
	weights_set(d->c, site, weights, why);
	d->r.weights_back = true;
	fleet_direct(d->c->fleet);
}

/* Nor what the engine weakened for it, wherever that was. False: the guard holds it. */
static bool grades_back(struct drills *d)
{
	const struct cluster *cl = model(d)->cl;
	auto_free struct move *moves = xcalloc(cl->n_sites * cl->n_shards + 1, sizeof(*moves));
	size_t n = 0;

	for (size_t i = 0; i < cl->n_sites && !surge_may_be_real(&d->r); i++)
		for (size_t k = 0; k < cl->n_shards; k++) {
			struct target_at at = { .site = i, .node = -1, .shard = (ssize_t)k };
			if (!surge_weakened(model(d), &d->r, i, k))
				continue;
			model_cell(model(d), i, k)->drilled = true; /* the engine keeps off meanwhile */
			moves[n++] = move_to(d, &at, surge_before(model(d), &d->r, i, k));
		}
	return order_all_back(d, moves, n);
}

static void surge_back(struct drills *d)
{
	ssize_t site = cluster_site(model(d)->cl, d->r.targets[0].site);

	if (model(d)->mode == MODE_FREEZE) {
		wait_for(d, &(struct guard_verdict){ GUARD_I10, "" });
		return;
	}
	if (site >= 0)
		weights_back(d, (size_t)site);
	if (grades_back(d))
		wait_no_more(d);
}

static bool surge_is_back(const struct drills *d)
{
	ssize_t site = cluster_site(model(d)->cl, d->r.targets[0].site);

	return site < 0 || (d->r.weights_back && surge_grades_back(model(d), &d->r, SIZE_MAX));
}

bool act_is_back(const struct drills *d, size_t from, size_t to)
{
	struct target_at at;

	for (size_t i = from; i < to; i++)
		if (is_weak(d, i, &at))
			return false;
	return d->r.kind->effect != EFFECT_SURGE || surge_is_back(d);
}

void act_restore(struct drills *d, size_t from, size_t to)
{
	bool news = false;

	if (d->r.kind->effect == EFFECT_GRADE)
		order_back(d, from, to);
	for (size_t i = from; i < to; i++)
		mark(d, i, false);
	if (d->r.kind->effect == EFFECT_SURGE)
		surge_back(d);
	for (size_t i = from; i < to; i++) {
		bool weak = !act_is_back(d, i, i + 1); /* the guard may have refused */
		news |= d->r.targets[i].on && !weak;
		d->r.targets[i].on = weak;
	}
	if (news)
		fleet_direct(d->c->fleet);
}

void act_claim(struct drills *d)
{
	struct model *m = model(d);
	struct target_at at;

	snprintf(m->drill, sizeof(m->drill), "d%u", d->r.id);
	for (size_t i = 0; i < d->r.n_targets && drill_moves(d->r.kind); i++) {
		if (!target_find(m->cl, &d->r.targets[i], &at) || at.shard < 0 || at.node >= 0)
			continue;
		model_cell(m, at.site, (size_t)at.shard)->drilled = true;
		m->sites[at.site].drilled = true;
	}
}

void act_release(struct drills *d)
{
	struct model *m = model(d);

	m->drill[0] = 0;
	for (size_t i = 0; i < m->cl->n_sites * m->cl->n_shards; i++)
		m->cells[i].drilled = false;
	for (size_t i = 0; i < m->cl->n_sites; i++)
		m->sites[i].drilled = false;
	for (size_t i = 0; i < m->cl->n_nodes; i++) {
		struct node_live *n = &m->nodes[i];
		n->drill_mute = n->drill_deaf = false;
		n->drill_dead[0] = 0;
		n->surge = 0;
		for (size_t k = 0; k < m->cl->n_shards; k++)
			n->shards[k].drill_away = n->shards[k].drill_dead = false;
	}
	fleet_direct(d->c->fleet);
}
