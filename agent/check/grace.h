/* SPDX-License-Identifier: Apache-2.0
 * A death that has to last before it counts: what a service restart looks like, for the kinds that see one.
 * Timers: one, cfg->grace_ms, running while something looks dead. */
#ifndef CHECK_GRACE_H
#define CHECK_GRACE_H
#include "agent/check/check_kind.h"

struct grace {
	uv_timer_t timer;
	struct check *check;
	/* The second look; false: dead, ret_reason (TEXT_LEN) says why. */
	bool (*alive)(void *watch, char *ret_reason);
	void (*closed)(void *watch);
	void *watch;
};

void grace_init(struct grace *g, struct check *c, uv_loop_t *loop, bool (*alive)(void *, char *),
		void *watch);
/* closed: may free the watch, g within it. */
void grace_close(struct grace *g, void (*closed)(void *watch));
/* Something looks dead: it is dead if it still looks so after the grace time, at once without one. */
void grace_suspect(struct grace *g, const char *reason);
/* Ends an attempt: up, down, or undecided until the grace time is over. */
void grace_judge(struct grace *g, bool alive, const char *reason);
#endif
