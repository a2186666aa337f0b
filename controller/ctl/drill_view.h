/* SPDX-License-Identifier: Apache-2.0
 * Drills as people read them. Pure but for the writer. */
#ifndef CTL_DRILL_VIEW_H
#define CTL_DRILL_VIEW_H
#include <stdint.h>

#include "controller/ctl/output.h"

void drill_plan_print(const struct out *o, const json_t *plan);
void drill_list_print(const struct out *o, const json_t *answer);
void readiness_print(const struct out *o, const json_t *answer);
void drill_schedule_print(const struct out *o, const json_t *schedule);
/* While nobody answers. Heap, at most width columns. */
char *drill_silent_line(int64_t silent_ms, const char *why, unsigned width);
/* One line: bar, stage, part moved, peak receiver, time left. Heap, without a newline, at most width columns.
 */
char *drill_line(const json_t *drill, unsigned width);
/* What came of telling it something. done: "is aborted" */
void drill_told_print(const struct out *o, const json_t *drill, const char *done);
/* What it came to, once it is closed. */
void drill_end_print(const struct out *o, const json_t *drill);
#endif
