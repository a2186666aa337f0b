/* SPDX-License-Identifier: Apache-2.0
 * The answer of /v1/plan for people. */
#ifndef CTL_PLAN_VIEW_H
#define CTL_PLAN_VIEW_H
#include "controller/ctl/output.h"

/* State, reason and moves; all: what was refused and the forecast too. */
void plan_print(const struct out *o, const json_t *plan, bool all);
#endif
