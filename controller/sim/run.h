/* SPDX-License-Identifier: Apache-2.0
 * One run: a scenario, a policy, a seed. */
#ifndef SIM_RUN_H
#define SIM_RUN_H
#include "controller/sim/player.h"

enum metric {
	M_GOODPUT, /* % of legitimate traffic served, over the event */
	M_LOST,	   /* %-seconds of legitimate traffic lost, over the whole run */
	M_RELIEF,  /* s from the first change in the routers (none: from the overload) to 10 s without any */
	M_LANDED,  /* the same from the last change there was until then: the one that relieved. Table only */
	M_PEAK,	   /* highest utilisation of any site, after the first minute of the event */
	M_CHANGES, /* route changes the policy ordered */
	M_DAMPING, /* highest mirrored penalty of any (site, shard) */
	M_COVERAGE, /* % of predictions inside their 90 % interval; NAN: none made */
	M_REGRET,   /* goodput below the oracle's, in points */
	M_DECIDE,   /* ms, 99th percentile of a round */
	M_VIOLATIONS,
	METRICS
};

struct trace { /* for the plot; arrays of duration x sites */
	size_t ns;
	int duration;
	float *util;
	struct mark {
		int t;
		size_t site, shard;
		uint8_t from, to;
	} * marks;
	size_t n_marks;
};

struct result {
	double m[METRICS];
	double inside, predicted;
	char foul[STEER_TEXT];
};

/* trace may be NULL; its arrays are allocated here, trace_done frees. */
void run(struct catch *c, const struct scenario *sc, const struct player *p, size_t shards, uint64_t seed,
	 double perturb, struct trace *trace, struct result *ret_result);
void trace_done(struct trace *t);
#endif
