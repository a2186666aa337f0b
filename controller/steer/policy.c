/* SPDX-License-Identifier: Apache-2.0
 * Defaults of the policy, the words for the enums, who speaks to the guard. Owns nothing, holds no state. */
#include "controller/steer/steer.h"

#include <stdlib.h>

#include "proto/base/mem.h"

void policy_default(struct policy *ret_policy)
{
	*ret_policy = (struct policy){
		.trigger_util = 0.85,
		.urgent_util = 1.10,
		.release_util = 0.65,
		.receiver_max_util = 0.90,
		.settle_min_ms = 15000,
		.settle_max_ms = 60000,
		.restore_hold_ms = 600000,
		.no_return_ms = 900000,
		.stale_ms = 5000,
		.round_moves_max = 4,
		.round_share_max = 0.10,
		.urgent_share_max = 0.25,
		.excess_share_max = 0.60,
		.weaken_share_max = 0.30,
		.announced_share_min = 0.50,
		.changes_max = 6,
		.changes_window_ms = 600000,
		.ledger_max = 1000,
		.drill_ledger_max = 3000,
		.seed = 1,
	};
}

void plan_done(struct plan *p)
{
	free(p->sites);
	p->sites = NULL;
}

const char *plan_state_str(enum plan_state s)
{
	static const char *const names[] = {
		[PLAN_CALM] = "calm",	  [PLAN_WATCH] = "watch",     [PLAN_ACT] = "act",
		[PLAN_ABSORB] = "absorb", [PLAN_CONTAIN] = "contain", [PLAN_HOLD] = "hold",
	};
	return (size_t)s < ARRAY_LEN(names) ? names[s] : "?";
}

const char *move_kind_str(enum move_kind k)
{
	static const char *const names[] = {
		[MOVE_SHED] = "shed",	      [MOVE_ATTRACT] = "attract",   [MOVE_RESTORE] = "restore",
		[MOVE_ROLLBACK] = "rollback", [MOVE_OPERATOR] = "operator",
	};
	return (size_t)k < ARRAY_LEN(names) ? names[k] : "?";
}

enum guard_actor plan_actor(const struct plan *p)
{
	for (size_t i = 0; i < p->n_moves; i++)
		if (p->moves[i].kind != MOVE_ROLLBACK)
			return ACTOR_ENGINE;
	return p->n_moves ? ACTOR_ROLLBACK : ACTOR_ENGINE;
}
