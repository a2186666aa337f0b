/* SPDX-License-Identifier: Apache-2.0
 * The ways back. Restore: one cell at a time, to the document's grade if the forecast allows, else to the
 * next weaker grade it allows; a step must have been safe for restore_hold (jittered), and steps are at
 * least half of it apart. Rollback: a change that missed its prediction is undone when undoing is better
 * by the corrected model, or when it moved nothing. State: cell_mem.restorable_ms, engine.restored_ms. */
#include "controller/steer/engine_int.h"

#include <math.h>

#include "controller/steer/cost.h"
#include "controller/steer/explain.h"
#include "controller/steer/ledger.h"
#include "proto/base/mem.h"

#define STEP_DIVISOR   2 /* steps are restore_hold / this apart */
#define JITTER_DIVISOR 8 /* and up to restore_hold / this later */

static unsigned strength(const struct round *r, unsigned g)
{
	return r->gs->g[g].strength;
}

/* Every site that gets more by this stays below the release line. ret_top: the highest of them. */
static bool below_release(const struct round *r, size_t k, const struct effect *e, double *ret_top)
{
	*ret_top = 0;
	for (size_t j = 0; j < r->ns; j++) {
		double gets = e->flow[j].v[r->main] - r->flow[round_cell(r, j, k)].v[r->main];
		struct res_vec load = r->load[j];

		if (gets <= 0)
			continue;
		if (!r->receiver[j])
			return false;
		for (int x = 0; x < LANES; x++)
			load.v[x] += e->flow[j].v[x] - r->flow[round_cell(r, j, k)].v[x];
		*ret_top = fmax(*ret_top, round_util(r, j, &load));
	}
	return *ret_top < r->p->release_util;
}

/* The grade to step back to, or the present one when none is safe. */
static unsigned step_to(const struct round *r, size_t i, size_t k, struct effect *e, double *ret_top)
{
	size_t c = round_cell(r, i, k);
	unsigned base = round_snap(r, i, k)->base, now = r->grade[c];

	if (base >= r->gs->n)
		return now;
	for (unsigned to = base; to != now; to += base < now ? 1 : -1u) {
		flow_change(r, i, k, to, e);
		if (below_release(r, k, e, ret_top))
			return to;
		if (strength(r, to) > strength(r, now))
			return now; /* going back means weakening (an attraction's end): only in full */
	}
	return now;
}

static int64_t jitter(const struct round *r, size_t i, size_t k)
{
	uint64_t h = r->p->seed * 0x9e3779b97f4a7c15u + 1469598103934665603u;
	const char *const text[] = { r->names[i], r->s->shards[r->shard[k]].name };

	for (size_t t = 0; t < 2; t++)
		for (const char *s = text[t]; *s; s++)
			h = (h ^ (uint8_t)*s) * 1099511628211u;
	int64_t span = r->p->restore_hold_ms / JITTER_DIVISOR;
	return span > 0 ? (int64_t)((h >> 17) % (uint64_t)span) : 0;
}

static bool due(const struct engine *e, const struct round *r, size_t i, size_t k, const struct cell_mem *m,
		unsigned to)
{
	int64_t now = r->s->now_ms, wait = jitter(r, i, k), hold = r->p->restore_hold_ms;

	if (m->restorable_ms == RECALL_NEVER || now - m->restorable_ms < hold + wait)
		return false;
	if (e->restored_ms != RECALL_NEVER && now - e->restored_ms < hold / STEP_DIVISOR + wait)
		return false;
	return m->changed_ms == RECALL_NEVER || strcmp(m->previous, r->gs->g[to].name) ||
	       now - m->changed_ms >= r->p->no_return_ms;
}

struct step {
	size_t i, k;
	unsigned to;
	double top;
	bool found;
};

/* A step that is not the last must leave the flap ledger room for the last, or the way back ends half way. */
static bool affordable(const struct engine *e, const struct round *r, size_t i, size_t k, unsigned to)
{
	unsigned now = r->grade[round_cell(r, i, k)], base = round_snap(r, i, k)->base;
	double spent = guard_ledger(e->guard, r->names[i], r->s->shards[r->shard[k]].name, r->s->now_ms);

	return to == base ||
	       spent + ledger_cost(r->gs, now, to) + ledger_cost(r->gs, to, base) <= 2 * r->p->ledger_max;
}

/* Looks at one weakened cell: keeps its clock, and offers it when it is due and better than the best. */
static void consider(const struct engine *e, const struct round *r, size_t i, size_t k, struct effect *eff,
		     const bool *barred, struct step *best, size_t *ret_waiting)
{
	size_t c = round_cell(r, i, k);
	struct cell_mem *m = r->mem[c];
	const struct snap_cell *cell = round_snap(r, i, k);
	double top = 0;

	if (!m || cell->pinned || r->off[c] || r->grade[c] == cell->base || barred[c])
		return;
	unsigned to = step_to(r, i, k, eff, &top);
	if (to == r->grade[c] || !affordable(e, r, i, k, to)) {
		m->restorable_ms = RECALL_NEVER;
		return;
	}
	if (m->restorable_ms == RECALL_NEVER)
		m->restorable_ms = r->s->now_ms;
	++*ret_waiting;
	if (r->shard_busy[k] || r->site_busy[i] || !due(e, r, i, k, m, to) ||
	    (best->found && best->top <= top))
		return;
	*best = (struct step){ i, k, to, top, true };
}

static bool propose(struct engine *e, const struct round *r, size_t i, size_t k, unsigned to,
		    enum move_kind kind, struct plan *p, struct trial *t)
{
	struct effect eff;
	struct guard_verdict v;
	enum guard_actor actor = kind == MOVE_ROLLBACK ? ACTOR_ROLLBACK : ACTOR_ENGINE;

	if (p->n_moves >= STEER_MOVES)
		return false;
	effect_init(&eff, r);
	flow_change(r, i, k, to, &eff);
	struct move *m = &p->moves[p->n_moves];
	*m = search_move(r, i, k, to, kind, &eff);
	int err = guard_check(e->guard, r->p, r->s, p->moves, p->n_moves + 1, actor, &v);
	if (err) {
		char why[STEER_TEXT + 16];
		snprintf(why, sizeof(why), "%s: %s", guard_str(v.id), v.why);
		search_refuse(p, m, why);
	} else {
		trial_add(t, r, k, &eff);
		explain_move(r, m, &eff, t->load, m->why);
		p->n_moves++;
	}
	effect_done(&eff);
	return !err;
}

bool restore_run(struct engine *e, const struct round *r, struct plan *ret_plan, struct trial *t)
{
	auto_free bool *barred = xcalloc(r->ns * r->nk, sizeof(*barred));
	struct effect eff;
	size_t waiting = 0;
	bool found = false;

	effect_init(&eff, r);
	for (int attempt = 0; attempt < 4 && !found; attempt++) {
		struct step best = { .found = false };

		waiting = 0;
		for (size_t i = 0; i < r->ns; i++)
			for (size_t k = 0; k < r->nk; k++)
				consider(e, r, i, k, &eff, barred, &best, &waiting);
		if (!best.found)
			break;
		barred[round_cell(r, best.i, best.k)] = true;
		found = propose(e, r, best.i, best.k, best.to, MOVE_RESTORE, ret_plan, t);
	}
	effect_done(&eff);
	if (!found && waiting)
		explain_text(ret_plan->why,
			     "%zu weakened cell%s could be restored; each must be safe for %.0f s", waiting,
			     waiting == 1 ? "" : "s", (double)r->p->restore_hold_ms / 1000);
	return found || waiting;
}

static size_t view_of(const size_t *map, size_t n, size_t snap)
{
	for (size_t i = 0; i < n; i++)
		if (map[i] == snap)
			return i;
	return 0;
}

static bool better_undone(const struct round *r, size_t i, size_t k, unsigned to)
{
	struct effect eff;
	struct trial t;

	trial_init(&t, r);
	effect_init(&eff, r);
	double stay = cost_all(r, t.load, t.dev);
	flow_change(r, i, k, to, &eff);
	trial_add(&t, r, k, &eff);
	double back = cost_all(r, t.load, r->spread); /* what is known to have been is not uncertain */
	effect_done(&eff);
	trial_done(&t);
	return back < stay * (1 - 1e-3);
}

bool rollback_run(struct engine *e, const struct round *r, unsigned left, struct plan *ret_plan,
		  struct trial *t)
{
	bool any = false;

	for (size_t j = 0; j < e->n_misses; j++) {
		const struct miss *miss = &e->miss[j];
		size_t i = view_of(r->site, r->ns, miss->site), k = view_of(r->shard, r->nk, miss->shard);
		const struct cell_mem *m = r->mem[round_cell(r, i, k)];
		unsigned to = 0;
		char moved[32];

		while (m && to < r->gs->n && strcmp(r->gs->g[to].name, m->previous))
			to++;
		if (!m || to >= r->gs->n || to == r->grade[round_cell(r, i, k)] || r->shard_busy[k])
			continue;
		if (miss->useless ? ret_plan->n_moves >= left : !better_undone(r, i, k, to))
			continue;
		if (!propose(e, r, i, k, to, MOVE_ROLLBACK, ret_plan, t))
			continue;
		explain_text(ret_plan->moves[ret_plan->n_moves - 1].why,
			     "rollback of %s at %s to %s: the change moved %s, outside its prediction%s",
			     r->s->shards[miss->shard].name, r->names[i], r->gs->g[to].name,
			     explain_qty(RES_BPS, miss->moved, moved), miss->useless ? ": nothing" : "");
		any = true;
	}
	return any;
}
