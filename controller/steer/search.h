/* SPDX-License-Identifier: Apache-2.0
 * The planner: best-improvement 1-opt over (site, shard, grade) from the current state, within the policy's
 * limits per round, every step passed by the guard. Fills moves, refused, gap; not state. */
#ifndef STEER_SEARCH_H
#define STEER_SEARCH_H
#include "controller/steer/round.h"

/* Loads and spread as they would be after some moves. */
struct trial {
	struct res_vec *load; /* per site */
	double *dev;
};

void trial_init(struct trial *t, const struct round *r);
void trial_done(struct trial *t);
void effect_init(struct effect *e, const struct round *r);
void effect_done(struct effect *e);
/* The trial's load plus this effect of shard k. */
void trial_add(struct trial *t, const struct round *r, size_t k, const struct effect *e);
/* Fills a move (snapshot indices, prediction) for cell (i, k) -> to. */
struct move search_move(const struct round *r, size_t i, size_t k, unsigned to, enum move_kind kind,
			const struct effect *e);
/* Most useful first, at most STEER_MOVES. */
void search_refuse(struct plan *p, const struct move *m, const char *why);
/* ret_plan->moves and refused. ret_trial (initialised) becomes the predicted state. contain: shards under
 * attack are left where the attack lands. Returns moves found. */
size_t search_run(const struct round *r, const struct guard *g, unsigned moves_max, bool contain,
		  struct plan *ret_plan, struct trial *ret_trial);
/* Forecast per site, and the gap to a bound nothing can pass: in points of the objective where losing all
 * traffic is 100. Call once the moves are final. */
void search_forecast(const struct round *r, const struct trial *t, struct plan *ret_plan);
#endif
