/* SPDX-License-Identifier: Apache-2.0
 * What is sampled once a second while a drill is under way, beside what its stage waits for. */
#include <math.h>

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

/* Surge: steering has changed a weight of the site, or one of its grades. */
static void find_answer(struct drills *d)
{
	const struct rounds_view *v = rounds_view(d->c->rounds);
	struct target_at at;

	if (d->r.kind->effect != EFFECT_SURGE || d->found.answered_ms >= 0 || !mono_is_set(d->full_at) || !v)
		return;
	bool moved = v->moves > d->moves_at;
	if (target_find(model(d)->cl, &d->r.targets[0], &at) && at.node >= 0)
		moved |= model(d)->nodes[at.node].weight != d->r.routes;
	if (moved)
		d->found.answered_ms = since(d->full_at);
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
