/* SPDX-License-Identifier: Apache-2.0
 * Drills that begin by themselves: off unless enabled, only inside windows, never on blackout days, each no
 * more often than it says. UTC throughout. Pure.
 * {"enabled": false, "windows": [{"days": ["tue", "wed"], "from": "10:00", "to": "12:00"}],
 *  "blackout": [{"from": "2026-12-20", "to": "2027-01-03", "reason": "..."}],
 *  "drills": [{"name": "fra monthly", "every_days": 30, "spec": {as for POST /v1/drills}}]} */
#ifndef DRILL_SCHEDULE_H
#define DRILL_SCHEDULE_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SCHEDULE_WINDOWS_MAX  32
#define SCHEDULE_BLACKOUT_MAX 128
#define SCHEDULE_DRILLS_MAX   128

/* Appends {"pointer", "reason"} for everything wrong with it; specs are only looked at for being objects. */
void schedule_check(const json_t *schedule, json_t *errors);
/* Inside a window and no blackout. ret_why (128 bytes): why not. */
bool schedule_open(const json_t *schedule, int64_t wall_ms, char *ret_why);
#define SCHEDULE_AGAIN_MS 600000 /* what was refused is asked for again; the others do not wait for it */
/* The drill that has waited longest, or NULL. last: {"NAME": wall ms of its last start}, refused: the same of
 * its last refusal. Borrowed. */
const json_t *schedule_due(const json_t *schedule, const json_t *last, const json_t *refused,
			   int64_t wall_ms);
/* When it may begin at the earliest, wall ms: never before wall_ms; -1: the schedule is off, or no window is
 * open for as long as can be foreseen. What else may be in its way (another drill, preflight) nobody knows.
 */
int64_t schedule_next(const json_t *schedule, const json_t *drill, const json_t *last, const json_t *refused,
		      int64_t wall_ms);
#endif
