/* SPDX-License-Identifier: Apache-2.0
 * Runs drills: one at a time, every step written to the store with its event before it is taken, so that a
 * controller that starts or takes the lead finds what was weakened and puts it back (or goes on; kind.h).
 * Owns the drill under way, the schedule, what is known of past ones. Timer: one, DRILLS_TICK_MS, on the
 * loop. Keys: "drill/current", "drill/cells" and
 * "drill/unreadable" (salvage.c), "drill/report/NNNNNN", "drill/last", "drill/schedule". */
#ifndef DRILL_DRILL_H
#define DRILL_DRILL_H
#include "controller/control.h"
#include "controller/drill/record.h"

#define DRILLS_TICK_MS	    500
#define DRILLS_KEPT	    200 /* reports */
#define DRILLS_SHOWN_PROBES 64

struct drills;
/* Takes up or restores what the store has. */
struct drills *drills_new(struct controller *c);
void drills_free(struct drills *d);
/* Reads the store anew: a new term, another controller may have written it. Only while leading. */
void drills_load(struct drills *d);

/* The body of a request; errors: [{"pointer", "reason"}] for what is no string or number. Defaults: 60 s at
 * 100 %, 1800 s in all. */
void spec_parse(json_t *body, struct drill_spec *ret_spec, json_t *errors);
/* ret_picture: new reference, {"targets", "forecast", "against", ...}, or untouched when status is 422. */
struct op_result drills_plan(struct drills *d, const struct drill_spec *spec, json_t **ret_picture);
/* 200: it runs, *ret_drill as drills_get. 409 with errors [{"code", "reason"}]: every reason against it. */
struct op_result drills_start(struct drills *d, const char *actor, const struct drill_spec *spec,
			      json_t **ret_drill);
struct op_result drills_pause(struct drills *d, const char *actor, const char *id, const char *reason);
struct op_result drills_resume(struct drills *d, const char *actor, const char *id, const char *reason);
struct op_result drills_abort(struct drills *d, const char *actor, const char *id, const char *reason);
/* What somebody saw from outside, while it runs or afterwards: {"from", "sent", "lost", "longest_gap_ms"};
 * borrowed. */
struct op_result drills_probe(struct drills *d, const char *id, json_t *seen);
struct op_result drills_set_schedule(struct drills *d, const char *actor, json_t *schedule);

/* Why the drill under way cannot be restored just now; "" when nothing holds it. */
const char *drills_waits(const struct drills *d);
/* New references. */
json_t *drills_list(const struct drills *d);		       /* array, newest first */
json_t *drills_get(const struct drills *d, const char *id);    /* NULL: there is none */
json_t *drills_report(const struct drills *d, const char *id); /* NULL: there is none (yet) */
json_t *drills_schedule(const struct drills *d);
/* {"sites": for each: last drilled, what would happen if it were lost now, and the next largest with it;
 * "limit", "drill_limit": of a receiver, after a real loss and in a drill}. */
json_t *drills_readiness(struct drills *d);
/* For each (site, kind) ever drilled. */
void drills_each_last(const struct drills *d,
		      void (*fn)(const char *site, const char *kind, int64_t wall_ms, const char *verdict,
				 void *arg),
		      void *arg);
#endif
