/* SPDX-License-Identifier: Apache-2.0
 * Inside the engine: its state, and the steps engine_step is made of. */
#ifndef STEER_ENGINE_INT_H
#define STEER_ENGINE_INT_H
#include "controller/steer/flight.h"
#include "controller/steer/round.h"
#include "controller/steer/search.h"

#define ENGINE_CHANGES_MAX 256

struct engine {
	struct policy policy;
	struct recall mem;
	struct shift shift;
	struct guard *guard;		     /* its own: the one before the wire is the controller's */
	int64_t now_ms;			     /* of the last round; RECALL_NEVER */
	int64_t restored_ms;		     /* the last step back; RECALL_NEVER */
	int64_t changes[ENGINE_CHANGES_MAX]; /* when own changes were ordered, a ring */
	size_t n_changes;
	struct miss miss[FLIGHT_MISSES]; /* of this round */
	size_t n_misses;
};

/* hyst.c: samples the sites' utilisation into their histories. */
void hyst_observe(struct engine *e, const struct snapshot *s);
/* No site was above the trigger in the last samples. */
bool hyst_calm(const struct recall *mem);
/* Marks r->hot and r->urgent, and as busy the sites that wait for much in flight. After demand_estimate. */
void hyst_mark(const struct recall *mem, struct round *r);

/* restore.c: one step back toward the document, when it is safe for long enough. true: a move was planned,
 * or is waiting for its time (ret_plan->why says). */
bool restore_run(struct engine *e, const struct round *r, struct plan *ret_plan, struct trial *t);
/* Undoes changes that missed their prediction when that is better than staying, and those that moved nothing
 * while so many changes are left. true: moves planned. */
bool rollback_run(struct engine *e, const struct round *r, unsigned left, struct plan *ret_plan,
		  struct trial *t);
#endif
