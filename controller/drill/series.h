/* SPDX-License-Identifier: Apache-2.0
 * Load over time while a drill runs: bounded, however long it takes. When it is full, every second point goes
 * and the step doubles; peaks are kept apart, so thinning loses none. Lost when the controller restarts.
 * Pure.
 */
#ifndef DRILL_SERIES_H
#define DRILL_SERIES_H
#include "controller/drill/record.h"

#define SERIES_POINTS 600
#define SERIES_SITES  32 /* the document's first are drawn; peaks are kept of all */

struct series_point {
	int64_t at_ms; /* since the drill began */
	enum drill_state state;
	double target_bps; /* of all targets, weakened or not */
	bool whole;	   /* all of it is weakened, and has settled */
};

struct series {
	size_t n_sites, n;
	char (*sites)[NAME_LEN];
	int64_t step_ms;
	struct series_point *points;
	double *bps;	    /* point * n_sites + site */
	double *util;	    /* the same; NULL: not kept */
	double *whole_util; /* per site: mean of the samples of the whole, while the site was not taken for
			       dead */
	unsigned *whole_n;
	double *cap;		       /* per site, bit/s, of all nodes */
	double *peak_util, *base_util; /* per site; base: the first seen */
};

void series_init(struct series *s, const struct cluster *cl);
/* Nothing in it yet, nor names. */
void series_begin(struct series *s, size_t n_sites, bool util);
void series_done(struct series *s);
/* Nothing when the document has other sites than at the start. */
void series_add(struct series *s, const struct model *m, const struct series_point *p);
/* {"t_s": [..], "state": [..], "target_bps": [..], "sites": [{"site", "bps": [..], "util": [..]}]}; util only
 * where it is kept */
json_t *series_json(const struct series *s);
#endif
