/* SPDX-License-Identifier: Apache-2.0
 * The answers of /v1/plan and /v1/whatif for people. */
#ifndef CTL_PLAN_VIEW_H
#define CTL_PLAN_VIEW_H
#include "controller/ctl/output.h"

/* State, reason and moves; all: what was refused and the forecast too. */
void plan_print(const struct out *o, const json_t *plan, bool all);
/* The answer of /v1/whatif: the guard's word, the moves and the forecast. */
void whatif_print(const struct out *o, const json_t *answer);
bool whatif_refused(const json_t *answer);
#endif
