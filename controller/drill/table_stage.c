/* SPDX-License-Identifier: Apache-2.0
 * A tabletop within a drill: begun with a copy of how things are, asked each tick, and its course shown as
 * the drill's. */
#include "controller/drill/drill_int.h"
#include "controller/sim/live.h"

int tabletop_begin(struct drills *d)
{
	const struct model *m = &d->c->model;
	size_t cells = m->cl->n_sites * m->cl->n_shards;
	auto_free bool *held = xcalloc(cells + 1, sizeof(*held)),
		       *grants = xcalloc(cells + 1, sizeof(*grants));
	struct rounds_state state;
	struct live_loss loss;
	int err = rounds_state(d->c->rounds, &state);

	if (err < 0)
		return err;
	/* others give theirs back to whoever needs one: may this site go, all others staying? */
	ssize_t site = loss_site(m, &d->r.spec);
	for (size_t k = 0; k < m->cl->n_shards && site >= 0; k++)
		held[(size_t)site * m->cl->n_shards + k] = true;
	guard_permits(&state.policy, &state.snapshot, held, grants);
	loss_find(m, &d->r.spec, grants, &loss);
	tabletop_end(d);
	d->table = tabletop_start(d->c->loop, &state, &loss);
	return 0;
}

bool tabletop_over(struct drills *d)
{
	if (!d->table || tabletop_part(d->table) < 1)
		return false;
	if (!d->found.tabletop) {
		d->found.tabletop = tabletop_json(d->table);
		series_done(&d->series);
		tabletop_series(d->table, &d->series);
	}
	return true;
}

void tabletop_end(struct drills *d)
{
	tabletop_drop(d->table);
	d->table = NULL;
	json_decref(d->found.tabletop);
	d->found.tabletop = NULL;
}
