/* SPDX-License-Identifier: Apache-2.0
 * What is sampled once a second while a drill is under way, beside what its stage waits for. */
#include <math.h>
#include <string.h>

#include "controller/drill/drill_int.h"

static struct model *model(const struct drills *d)
{
	return &d->c->model;
}

static int64_t since(mono_t t)
{
	return mono_diff_ms(t, mono_now());
}

/* A sum over what is announced how, of the drill's nodes. */
int64_t measure_routes(const struct drills *d)
{
	const struct model *m = model(d);
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < m->cl->n_nodes; i++)
		for (size_t k = 0; k < m->cl->n_shards; k++) {
			const struct node_shard *ns = &m->nodes[i].shards[k];
			h = (h ^ (uint64_t)(ns->announced ? ns->grade + 1 : 0)) * 1099511628211u;
		}
	return (int64_t)(h >> 2);
}

static void find_residuals(struct drills *d, double left_bps)
{
	static const int64_t at_ms[RESIDUALS] = { 60000, 300000, 600000 };
	double base = 0;

	if (!mono_is_set(d->full_at) || (d->r.state != DRILL_100 && d->r.state != DRILL_HOLD))
		return;
	for (size_t i = 0; i < d->r.n_targets; i++)
		base += d->r.targets[i].base_bps;
	double left = base > 0 ? left_bps / base : 0;
	d->found.drained = fmax(0, 1 - left);
	for (size_t i = 0; i < RESIDUALS; i++)
		if (!isfinite(d->found.residual[i]) && since(d->full_at) >= at_ms[i])
			d->found.residual[i] = left;
}

/* Would anything be weakened on such reports? Asked as steering would ask. */
static void ask_guard(struct drills *d)
{
	const struct model *m = model(d);
	uint8_t to = (uint8_t)cluster_grade(m->cl, "prepend1");
	struct guard_verdict verdict;

	if (d->r.kind->effect != EFFECT_MUTE || d->r.state != DRILL_HOLD)
		return;
	d->found.weakening_asked = true;
	d->found.weakening_refused = true;
	for (size_t i = 0; i < m->cl->n_sites; i++) {
		struct move mv = { .site = i, .from = model_cell(m, i, 0)->wanted, .to = to };
		if (model_cell(m, i, 0)->announced &&
		    rounds_guard(d->c->rounds, &mv, 1, ACTOR_ENGINE, &verdict) == 0)
			d->found.weakening_refused = false;
	}
}

/* Does more of the capacity fall silent than the guard tolerates? */
static bool above_third(const struct drills *d)
{
	const struct model *m = model(d);
	double silent = 0, all = 0;
	struct target_at at;

	for (size_t i = 0; i < m->cl->n_nodes; i++)
		all += m->cl->nodes[i].cap[RES_BPS];
	for (size_t i = 0; i < d->r.n_targets; i++)
		if (target_find(m->cl, &d->r.targets[i], &at) && at.node >= 0)
			silent += m->cl->nodes[at.node].cap[RES_BPS];
	return all > 0 && silent / all > 1.0 / 3;
}

/* -- surge: has steering answered? ----------------------------------------------------------------------- */

void measure_before_surge(struct drills *d)
{
	const struct model *m = model(d);

	json_decref(d->r.grades);
	json_decref(d->r.weights);
	d->r.grades = surge_grades(m);
	d->r.weights = surge_weights(m, m->cl->nodes[cluster_node(m->cl, d->r.targets[0].node)].site);
}

/* Its part of the site fell, and by how much since. */
static bool weight_answers(const struct drills *d, const struct target_at *at, struct surge_answer *a)
{
	const struct model *m = model(d);
	size_t node = (size_t)at->node;
	double was = surge_share(m, node, d->r.weights), is = surge_share(m, node, NULL);
	json_t *weight = json_object_get(d->r.weights, m->cl->nodes[node].name);

	if (is >= SURGE_FALLS * was)
		return false;
	snprintf(a->node, NAME_LEN, "%s", m->cl->nodes[node].name);
	snprintf(a->site, NAME_LEN, "%s", m->cl->sites[at->site].name);
	a->from = (int)json_integer_value(weight);
	a->to = m->nodes[node].weight;
	a->share_from = was;
	a->share_to = is;
	return true;
}

/* The site announces something more weakly than before, or another one more strongly. */
static bool grade_answers(const struct drills *d, const struct target_at *at, struct surge_answer *a)
{
	const struct cluster *cl = model(d)->cl;
	const struct grade *g = cl->grades.g;
	unsigned n = 0;

	for (size_t i = 0; i < cl->n_sites * cl->n_shards; i++) {
		size_t site = i / cl->n_shards, shard = i % cl->n_shards;
		uint8_t was = surge_before(model(d), &d->r, site, shard),
			is = cell_order(&model(d)->cells[i]);
		bool weaker = g[is].strength > g[was].strength;
		if (is == was || weaker != (site == at->site) || model_hand(model(d), site, shard).held)
			continue;
		if (n++ && site != at->site)
			continue;
		snprintf(a->site, NAME_LEN, "%s", cl->sites[site].name);
		snprintf(a->shard, NAME_LEN, "%s", cl->shards[shard].name);
		snprintf(a->grade_from, NAME_LEN, "%s", g[was].name);
		snprintf(a->grade_to, NAME_LEN, "%s", g[is].name);
	}
	a->more = n ? n - 1 : 0;
	a->grade = n > 0;
	return n > 0;
}

/* The first answer counts; what it came to is followed until the load is taken back. */
static void find_answer(struct drills *d)
{
	const struct rounds_view *v = rounds_view(d->c->rounds);
	struct surge_answer *a = &d->found.answer;
	struct target_at at;

	if (d->r.kind->effect != EFFECT_SURGE || !mono_is_set(d->full_at) || d->r.state > DRILL_HOLD ||
	    drills_document_changed(d) || !target_find(model(d)->cl, &d->r.targets[0], &at) || at.node < 0)
		return;
	bool first = a->after_ms < 0;
	bool answers = (first || !a->grade) && weight_answers(d, &at, a);
	if (!answers && (first || a->grade))
		answers = grade_answers(d, &at, a);
	if (first && answers)
		a->after_ms = since(d->full_at);
	if (a->after_ms < 0 && v && v->plan)
		snprintf(a->plan, sizeof(a->plan), "%s: %.200s", plan_state_str(v->plan->state),
			 v->plan->why);
}

void measure(struct drills *d)
{
	double bps = targets_bps(model(d), &d->r, 0, d->r.n_targets);
	bool moves = drill_moves(d->r.kind);
	bool all = d->r.state == DRILL_100 && d->applied && d->progress.settled_ms >= 0;
	struct series_point p = { .at_ms = since(d->began_at),
				  .state = d->r.state,
				  .target_bps = bps,
				  .whole = moves && (all || d->r.state == DRILL_HOLD) };

	if (d->r.kind->effect == EFFECT_NONE)
		return; /* the simulator's course is what is shown */
	series_add(&d->series, model(d), &p);
	for (size_t i = 0; i < d->series.n_sites && i < model(d)->cl->n_sites; i++)
		noise_add(&d->noise[i], model(d)->sites[i].util);
	find_residuals(d, bps);
	find_answer(d);
	if (above_third(d))
		ask_guard(d);
}
