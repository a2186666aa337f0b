/* SPDX-License-Identifier: Apache-2.0
 * The engine's round: remember, notice, measure and learn (always); then decide, in this order:
 *   freeze                                   -> HOLD
 *   a change missed its prediction           -> ACT (rollback)
 *   nothing hot                              -> ACT (one step back), WATCH (a step waits), or CALM
 *   hot, everything there still settling     -> WATCH
 *   demand above what may receive            -> CONTAIN
 *   too many changes in the window           -> HOLD
 *   a plan worth it within the limits        -> ACT
 *   a guard or limit refused the useful ones -> HOLD, else ABSORB
 * It remembers what it proposed and recognises its own orders in later snapshots' `wanted`. */
#include "controller/steer/engine_int.h"

#include <math.h>

#include "controller/steer/cost.h"
#include "controller/steer/explain.h"
#include "controller/steer/lean.h"
#include "proto/base/mem.h"

#define FAR_ABOVE	  1.25 /* of capacity, by what is expected, not by the dark view */
#define FAR_ABOVE_CHANGES 2
#define DARK_LEAN	  0.85 /* as RECALL_LEAN, where the question is whether all of it fits */

struct engine *engine_new(const struct policy *p)
{
	struct engine *e = xcalloc(1, sizeof(*e));

	e->policy = *p;
	e->guard = guard_new();
	e->now_ms = e->restored_ms = RECALL_NEVER;
	return e;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	recall_done(&e->mem);
	shift_done(&e->shift);
	guard_free(e->guard);
	free(e);
}

void engine_set_policy(struct engine *e, const struct policy *p)
{
	e->policy = *p;
}

/* The limit is against hunting. Where demand is far above capacity every clean shard leaves a place once and
 * does not come back (the ledger and no_return see to it), so that cannot hunt, and what waits for the window
 * is lost meanwhile: twice as many. */
static unsigned changes_left(const struct engine *e, int64_t now_ms, bool far_above)
{
	size_t n = e->n_changes < ENGINE_CHANGES_MAX ? e->n_changes : ENGINE_CHANGES_MAX;
	unsigned recent = 0, max = e->policy.changes_max * (far_above ? FAR_ABOVE_CHANGES : 1);

	max = max < ENGINE_CHANGES_MAX ? max : ENGINE_CHANGES_MAX;

	for (size_t i = 0; i < n; i++)
		recent += now_ms - e->changes[i] < e->policy.changes_window_ms;
	return recent < max ? max - recent : 0;
}

static void note_news(struct engine *e, const struct flight_news *news, int64_t now_ms)
{
	for (unsigned i = 0; i < news->own_changes; i++)
		e->changes[e->n_changes++ % ENGINE_CHANGES_MAX] = now_ms;
	if (news->restored)
		e->restored_ms = now_ms;
	memcpy(e->miss, news->miss, sizeof(e->miss));
	e->n_misses = news->n_misses;
}

static double coverage(const struct recall *mem)
{
	double seen = 0, inside = 0;

	for (const struct site_mem *m = mem->sites; m; m = m->hh.next) {
		seen += m->seen;
		inside += m->inside;
	}
	return seen > 0 ? 100 * inside / seen : 0;
}

/* Hot by measurement and still hot when what is in flight has landed. */
static size_t count_hot(const struct round *r, size_t *ret_busy)
{
	size_t n = 0;

	*ret_busy = 0;
	for (size_t i = 0; i < r->ns; i++) {
		if (!r->hot[i])
			continue;
		n++;
		*ret_busy += r->site_busy[i] || round_util(r, i, &r->load[i]) <= r->p->trigger_util;
	}
	return n;
}

static bool any_above_trigger(const struct round *r)
{
	for (size_t i = 0; i < r->ns; i++)
		if (r->s->sites[r->site[i]].healthy && round_util(r, i, &r->load[i]) > r->p->trigger_util)
			return true;
	return false;
}

static void decide_calm(struct engine *e, const struct round *r, struct plan *p, struct trial *t)
{
	size_t i = explain_hottest(r);

	explain_text(p->why, "hottest site %s at %.0f %%, the trigger is %.0f %%", r->names[i],
		     100 * round_util(r, i, &r->load[i]), 100 * r->p->trigger_util);
	p->state = any_above_trigger(r) ? PLAN_WATCH : PLAN_CALM;
	if (!restore_run(e, r, p, t))
		return;
	p->state = p->n_moves ? PLAN_ACT : p->n_refused ? PLAN_HOLD : PLAN_WATCH;
	if (p->n_moves)
		explain_text(p->why, "one step back: %s at %s to %s", r->s->shards[p->moves[0].shard].name,
			     r->s->sites[p->moves[0].site].name, r->gs->g[p->moves[0].to].name);
	else if (p->n_refused)
		explain_text(p->why, "no step back: %.200s", p->refused[0].why);
}

/* What is asked of all sites, seen darkly: to take an attack for smaller than it is, and spread it, is the
 * worse mistake. */
static double dark_demand(const struct round *r)
{
	double sum = r->total.v[r->main];

	for (size_t i = 0; i < r->ns; i++)
		for (size_t k = 0; k < r->nk; k++) {
			const struct snap_cell *cell = round_snap(r, i, k);
			double wide = cell->hi[r->main] - cell->lo[r->main];

			if (isfinite(wide) && wide > 0)
				sum += fmax(DARK_LEAN - r->lean[i], 0) * wide;
		}
	return sum;
}

static bool above_capacity(const struct round *r)
{
	return dark_demand(r) > cost_capacity(r);
}

static bool far_above_capacity(const struct round *r)
{
	return r->total.v[r->main] > FAR_ABOVE * cost_capacity(r);
}

/* Demand above capacity and nothing clean to move out of its way. */
static void explain_contain(const struct round *r, struct plan *p)
{
	char a[32], b[32];

	p->state = PLAN_CONTAIN;
	explain_text(p->why,
		     "demand %s is above the capacity %s of all that may receive: moving it would spread it",
		     explain_qty(r->main, dark_demand(r), a), explain_qty(r->main, cost_capacity(r), b));
}

static void explain_none(const struct round *r, struct plan *p)
{
	size_t i = explain_hottest(r);

	p->state = PLAN_ABSORB;
	for (size_t j = 0; j < p->n_refused; j++)
		if (!strncmp(p->refused[j].why, "I", 1) || !strncmp(p->refused[j].why, "MASS", 4))
			p->state = PLAN_HOLD;
	if (p->n_refused)
		explain_text(p->why, "%s is at %.0f %%, but %s: %.160s", r->names[i],
			     100 * round_util(r, i, &r->load[i]),
			     p->state == PLAN_HOLD ? "the guard holds" : "no move helps enough",
			     p->refused[0].why);
	else
		explain_text(p->why, "%s is at %.0f %% and there is nothing that may be moved", r->names[i],
			     100 * round_util(r, i, &r->load[i]));
}

static void decide_hot(struct engine *e, const struct round *r, struct plan *p, struct trial *t)
{
	bool contain = above_capacity(r);
	unsigned left = changes_left(e, r->s->now_ms, contain && far_above_capacity(r));
	size_t i = explain_hottest(r);

	if (!left && contain) {
		explain_contain(r, p);
		return;
	}
	if (!left) {
		p->state = PLAN_HOLD;
		explain_text(p->why, "%s is at %.0f %%, but there were %u changes within %.0f s: hold",
			     r->names[i], 100 * round_util(r, i, &r->load[i]), e->policy.changes_max,
			     (double)e->policy.changes_window_ms / 1000);
		return;
	}
	if (left > e->policy.round_moves_max)
		left = e->policy.round_moves_max;
	if (!search_run(r, e->guard, left, contain, p, t)) {
		if (contain)
			explain_contain(r, p);
		else
			explain_none(r, p);
		return;
	}
	p->state = PLAN_ACT;
	if (contain) {
		explain_text(p->why,
			     "demand is above capacity: attacked shards stay, %zu clean one%s leave%s",
			     p->n_moves, p->n_moves == 1 ? "" : "s", p->n_moves == 1 ? "s" : "");
		return;
	}
	explain_text(p->why, "%s is at %.0f %%: %zu change%s, then %.0f %% expected", r->names[i],
		     100 * round_util(r, i, &r->load[i]), p->n_moves, p->n_moves == 1 ? "" : "s",
		     100 * round_util(r, i, &t->load[i]));
}

static void decide(struct engine *e, const struct round *r, struct plan *p, struct trial *t)
{
	size_t busy, hot = count_hot(r, &busy);

	if (r->s->mode == MODE_FREEZE) {
		p->state = PLAN_HOLD;
		explain_text(p->why, "frozen by the operator: observing only");
	} else if (e->n_misses && rollback_run(e, r, changes_left(e, r->s->now_ms, false), p, t)) {
		p->state = PLAN_ACT;
		explain_text(p->why, "%zu change%s missed the prediction: back", p->n_moves,
			     p->n_moves == 1 ? "" : "s");
	} else if (!hot) {
		decide_calm(e, r, p, t);
	} else if (busy == hot) {
		p->state = PLAN_WATCH;
		explain_text(p->why, "%zu hot site%s: waiting for changes in flight to settle", hot,
			     hot == 1 ? "" : "s");
	} else {
		decide_hot(e, r, p, t);
	}
}

/* The clock starts anew when the machine does: what was remembered keeps its age. */
static void rebase(struct engine *e, int64_t now_ms)
{
	int64_t by = e->now_ms == RECALL_NEVER || now_ms >= e->now_ms ? 0 : now_ms - e->now_ms;

	e->now_ms = now_ms;
	if (!by)
		return;
	time_shift(&e->restored_ms, by);
	for (size_t i = 0; i < ARRAY_LEN(e->changes); i++)
		time_shift(&e->changes[i], by);
	shift_rebase(&e->shift, by);
	recall_rebase(&e->mem, by);
}

void engine_step(struct engine *e, const struct snapshot *s, struct plan *ret_plan)
{
	struct flight_news news;
	struct round r;
	struct trial t;

	*ret_plan = (struct plan){ .state = PLAN_CALM };
	if (!s->n_sites || !s->n_shards || !s->grades->n || s->n_sites > STEER_SITES_MAX ||
	    s->n_shards > STEER_SHARDS_MAX) {
		explain_text(ret_plan->why, "no sites or no shards: nothing to steer");
		ret_plan->sites = xcalloc(s->n_sites, sizeof(*ret_plan->sites));
		return;
	}
	rebase(e, s->now_ms);
	recall_sync(&e->mem, s);
	guard_observe(e->guard, &e->policy, s);
	lean_observe(&e->mem, s);
	flight_observe(&e->mem, &e->shift, &e->policy, s, &news);
	note_news(e, &news, s->now_ms);
	hyst_observe(e, s);
	round_init(&r, s, &e->policy, &e->shift, &e->mem);
	demand_estimate(&r, true, hyst_calm(&e->mem) && !snapshot_made_up(s));
	hyst_mark(&e->mem, &r);
	trial_init(&t, &r);
	decide(e, &r, ret_plan, &t);
	search_forecast(&r, &t, ret_plan);
	ret_plan->coverage_pct = coverage(&e->mem);
	for (size_t i = 0; i < ret_plan->n_moves; i++)
		flight_propose(&e->mem, s, &ret_plan->moves[i]);
	trial_done(&t);
	round_done(&r);
}

static size_t view_of(const size_t *map, size_t n, size_t snap)
{
	for (size_t i = 0; i < n; i++)
		if (map[i] == snap)
			return i;
	return n;
}

void engine_whatif(const struct engine *e, const struct snapshot *s, const struct move *moves, size_t n,
		   struct plan *ret_plan)
{
	struct round r;
	struct trial t;
	struct guard_verdict v;

	*ret_plan = (struct plan){ .state = PLAN_ACT };
	if (!s->n_sites || !s->n_shards || !s->grades->n)
		return;
	if (n > STEER_MOVES)
		n = STEER_MOVES;
	round_init(&r, s, &e->policy, &e->shift, &e->mem);
	demand_estimate(&r, false, false);
	trial_init(&t, &r);
	for (size_t m = 0; m < n; m++) {
		size_t i = view_of(r.site, r.ns, moves[m].site), k = view_of(r.shard, r.nk, moves[m].shard);
		struct effect eff;

		if (i == r.ns || k == r.nk || moves[m].to >= r.gs->n)
			continue;
		effect_init(&eff, &r);
		flow_change(&r, i, k, moves[m].to, &eff);
		trial_add(&t, &r, k, &eff);
		struct move *out = &ret_plan->moves[ret_plan->n_moves++];
		*out = search_move(&r, i, k, moves[m].to, MOVE_OPERATOR, &eff);
		explain_move(&r, out, &eff, t.load, out->why);
		effect_done(&eff);
	}
	explain_text(ret_plan->why, "%zu move%s asked for", ret_plan->n_moves,
		     ret_plan->n_moves == 1 ? "" : "s");
	if (ret_plan->n_moves &&
	    guard_check(e->guard, &e->policy, s, ret_plan->moves, ret_plan->n_moves, ACTOR_OPERATOR, &v)) {
		ret_plan->state = PLAN_HOLD;
		explain_text(ret_plan->why, "%s: %.200s", guard_str(v.id), v.why);
		for (size_t m = 0; m < ret_plan->n_moves; m++)
			search_refuse(ret_plan, &ret_plan->moves[m], ret_plan->why);
	}
	search_forecast(&r, &t, ret_plan);
	ret_plan->coverage_pct = coverage(&e->mem);
	trial_done(&t);
	round_done(&r);
}
