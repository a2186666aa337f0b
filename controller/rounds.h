/* SPDX-License-Identifier: Apache-2.0
 * The round: observe -> tilt? -> decide -> act, every second. Owns the engine and the guard's memory.
 * Tilt: the loop stalled or the clock jumped; we keep observing and stop acting for a while.
 * Timers: one, ROUND_MS. Runs on the loop. */
#ifndef CTRL_ROUNDS_H
#define CTRL_ROUNDS_H
#include "controller/control.h"
#include "controller/observe.h"
#include "proto/base/mem.h"

#define ROUND_MS      1000
#define TILT_STALL_MS 2000 /* a round later than this is a tilt */
#define TILT_HOLD_MS  10000

struct rounds;
struct rounds *rounds_new(struct controller *c);
void rounds_free(struct rounds *r);
/* A new term: what was learned and the ledger are read from the store, nothing is known of the present. */
void rounds_begin(struct rounds *r);
/* The document or mode changed: new policy, new shape. */
void rounds_changed(struct rounds *r);
/* What the last round thought; valid until the loop goes on. NULL before the first round; plan is NULL until
 * one was made of the present document. */
struct rounds_view {
	const struct plan *plan;
	const struct snapshot *snapshot; /* names and indices the plan speaks of */
	mono_t at;
	bool tilt;
	int64_t decide_us, late_ms;	 /* time to decide; how late the round was */
	uint64_t rounds, moves, skipped; /* skipped: rounds that found the last plan still being made */
	uint64_t weakenings;		 /* of the moves */
};
const struct rounds_view *rounds_view(const struct rounds *r);
/* Orders at once what the operator's hands ask for by now, so that the next question sees it: drains and
 * overrides call it. Not in a tilt: then the round does. */
void rounds_follow(struct rounds *r);
/* I1 for an operator's change: would these cells weakened to `to` leave a shard too thin? */
int rounds_guard_operator(struct rounds *r, const struct move *moves, size_t n,
			  struct guard_verdict *ret_verdict);
/* The same of anybody's change, by all rules that bind the actor. */
int rounds_guard(struct rounds *r, const struct move *moves, size_t n, enum guard_actor actor,
		 struct guard_verdict *ret_verdict);
/* Asks the guard, writes all of it down in one transaction, together with `with`, then orders and tells the
 * agents. 0, or ERR_GUARD: nothing was ordered. ERR_STORE: the store failed, and nothing was weakened (of
 * more than store_ops_max: the rest was not); what gives back is ordered without a store, too. */
int rounds_order(struct rounds *r, const struct move *moves, size_t n, enum guard_actor actor,
		 const char *why, const struct store_op *with, size_t n_with,
		 struct guard_verdict *ret_verdict);
/* Where the load would be, per site of the model. 0, or -EBUSY. */
int rounds_forecast(struct rounds *r, const struct move *moves, size_t n, struct site_forecast *ret_sites);
/* What that is made of; see engine_basis. 0, or -EBUSY. */
int rounds_basis(struct rounds *r, const struct move *moves, size_t n, struct forecast_basis *ret_basis,
		 double *ret_noise);
/* What if these were ordered now? Nothing is remembered. 0, or -EBUSY while a plan is being made (ask again).
 * Indices are those of the model. The caller calls plan_done. */
int rounds_whatif(struct rounds *r, const struct move *moves, size_t n, struct plan *ret_plan);
/* All that a rehearsal needs to begin as things are now; heap, rounds_state_done frees it. */
struct rounds_state {
	struct snapshot snapshot;
	struct grade_set grades; /* the snapshot's */
	struct policy policy;
	struct buf engine, guard; /* as they are saved */
};
/* 0, or -EBUSY while a plan is being made: ask again. */
int rounds_state(struct rounds *r, struct rounds_state *ret_state);
static inline void rounds_state_done(struct rounds_state *s)
{
	observe_done(&s->snapshot);
	buf_done(&s->engine);
	buf_done(&s->guard);
}
/* The present snapshot, built now; rounds owns it. */
const struct snapshot *rounds_snapshot(struct rounds *r);
#endif
