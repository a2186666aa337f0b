/* SPDX-License-Identifier: Apache-2.0
 * Runs the engine beside the loop: one step at a time on libuv's worker pool, on a copy of the snapshot, so
 * that planning never delays a report, a permit or an answer. Owns the engine: while a step is under way
 * nobody else may touch it (-EBUSY), a new policy waits for the step's end. */
#ifndef CTRL_THINK_H
#define CTRL_THINK_H
#include <uv.h>

#include "controller/steer/steer.h"
#include "proto/base/mem.h"

struct think;
/* On the loop's thread. s and p are think's, and stay until the next call; took_us: time on the worker. */
typedef void (*think_done_fn)(const struct snapshot *s, const struct plan *p, int64_t took_us, void *arg);

struct think *think_new(uv_loop_t *loop, const struct policy *p, think_done_fn fn, void *arg);
/* Moves the arrays of s into think (s is emptied) and starts. -EBUSY: s is untouched. */
int think_start(struct think *t, struct snapshot *s);
bool think_busy(const struct think *t);
void think_set_policy(struct think *t, const struct policy *p);
int think_whatif(struct think *t, const struct snapshot *s, const struct move *moves, size_t n,
		 struct plan *ret_plan);
/* engine_forecast, or -EBUSY. */
int think_basis(struct think *t, const struct snapshot *s, const struct move *moves, size_t n,
		struct forecast_basis *ret_basis, double *ret_noise);
int think_forecast(struct think *t, const struct snapshot *s, const struct move *moves, size_t n,
		   struct site_forecast *ret_sites);
/* -EBUSY while thinking. */
int think_save(struct think *t, struct buf *out);
int think_load(struct think *t, const char *text, size_t len);
/* Waits for a step under way (a plan is bounded in time); fn is not called any more. */
void think_free(struct think *t);
#endif
