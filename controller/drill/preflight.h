/* SPDX-License-Identifier: Apache-2.0
 * May this drill be made now, and what would it do? Every reason against it at once. Pure: reads the model
 * and the facts it is given, changes nothing. */
#ifndef DRILL_PREFLIGHT_H
#define DRILL_PREFLIGHT_H
#include "controller/drill/record.h"
#include "controller/rounds.h"

#define RECEIVER_MAX 0.85 /* of capacity: above it no drill begins, and one that runs is aborted */

struct preflight {
	json_t *wrong;	 /* [{"pointer", "reason"}]: the request itself */
	json_t *against; /* [{"pointer": "", "code", "reason"}]: now is not the time, or it is never safe */
	struct drill_target *targets; /* heap; canary first: the least loaded that carries anything */
	size_t n_targets;
	struct move *moves; /* heap: what happens between sites when all targets are weakened */
	size_t n_moves;
};

/* What preflight_judge asks others for; the caller fills it. */
struct preflight_facts {
	const struct rounds_view *view; /* NULL: no round yet */
	mono_t now;
	unsigned running;   /* id of a drill under way; 0: none */
	bool guard_refuses; /* the moves, as a drill */
	struct guard_verdict verdict;
	const struct site_forecast *forecast; /* n_sites, or NULL: none could be made now */
};

/* Reads the names: fills wrong, targets, moves. */
void preflight_resolve(const struct model *m, const struct drill_spec *spec, struct preflight *ret_p);
/* Fills against. Only when nothing is wrong. */
void preflight_judge(const struct model *m, const struct drill_spec *spec, const struct preflight_facts *f,
		     struct preflight *p);
void preflight_done(struct preflight *p);
/* [{"site", "util_before", "util_after_lo", "util_after", "util_after_hi"}] */
json_t *forecast_json(const struct model *m, const struct site_forecast *f);

/* Indices of a target; false when a name is gone from the document. node, shard: -1 when not said. */
struct target_at {
	size_t site;
	ssize_t node, shard;
};
bool target_find(const struct cluster *cl, const struct drill_target *t, struct target_at *ret_at);
/* Its load now, bit/s, middle of the interval. */
double target_bps(const struct model *m, const struct target_at *at);
#endif
