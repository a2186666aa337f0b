/* SPDX-License-Identifier: Apache-2.0
 * Commands run when a service changes: up, down, disabled. Never waited for: one at a time per service, and
 * of several changes meanwhile only the last is run after it. Killed after HOOK_TIMEOUT_MS. Environment:
 * STATE (up, down, disabled), SERVICE, REASON, NODE, PREFIXES (separated by spaces). */
#ifndef AGENT_HOOKS_H
#define AGENT_HOOKS_H
#include "agent/config.h"

#define HOOK_TIMEOUT_MS 30000

struct hooks;
struct hooks *hooks_new(uv_loop_t *loop);
/* Same state as the last time for this service: nothing runs. The first state after start is news: whoever is
 * told may have missed what came before. cfg and s are not kept. */
void hooks_tell(struct hooks *h, const struct agent_config *cfg, const struct service_cfg *s,
		enum announce_state state, const char *reason);
/* A hook that runs is left alone, it may be what tells somebody. */
void hooks_free(struct hooks *h);
const char *announce_state_str(enum announce_state state);
#endif
