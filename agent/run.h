/* SPDX-License-Identifier: Apache-2.0
 * Runs one command of the local file: own process group, a minimal environment, output bounded, never waited
 * for. When it ends, or its time is over, its whole group is killed. */
#ifndef AGENT_RUN_H
#define AGENT_RUN_H
#include "agent/check/check.h"

/* code: exit status, or -1: killed by a signal or by run_kill(), or it could not be started;
 * output: the first line of what it said (or why it could not be started). run is gone afterwards. */
typedef void (*run_ended_fn)(int code, const char *output, void *arg);

struct run;
/* env: "NAME=value" texts, NULL at the end, added to PATH. fn is called from the loop, exactly once.
 * NULL with ret_why (TEXT_LEN): it could not be started; fn is not called. */
struct run *run_start(uv_loop_t *loop, const struct command_cfg *cmd, char *const *env, run_ended_fn fn,
		      void *arg, char *ret_why);
/* Kills the group; fn is not called any more. */
void run_kill(struct run *r);
/* It may go on without us: nothing of it keeps the loop alive, and fn is not called. */
void run_leave(struct run *r);
#endif
