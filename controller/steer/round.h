/* SPDX-License-Identifier: Apache-2.0
 * One round's dense view: the snapshot with sites and shards sorted by name (so their order cannot matter),
 * the remembered demand, and the model resolved to tables. All indices here are the view's ("i" site, "k"
 * shard, cell = i * nk + k); site[] and shard[] lead back to the snapshot's. Flows are bit/s etc. per
 * resource in struct res_vec; a resource nobody limits is left out (on[]). Beside them rides the worth lane:
 * load up to the remembered calm level counts in full, what is above it counts as suspect. */
#ifndef STEER_ROUND_H
#define STEER_ROUND_H
#include "controller/steer/recall.h"
#include "controller/steer/shift.h"

enum { LANE_WORTH = RES_N, LANES }; /* what of the main resource is worth serving, rides along */

struct res_vec {
	double v[LANES];
};

struct dest_row {
	double *mean; /* n_sites, sums to 1 (0 for itself), or NULL: not resolved yet */
	double alpha; /* pseudo-counts behind it */
};

struct round {
	const struct snapshot *s;
	const struct policy *p;
	const struct shift *shift;
	const struct grade_set *gs;
	size_t ns, nk;
	size_t *site, *shard; /* view -> snapshot */
	const char **names;   /* of the sites, in view order */
	bool on[LANES];
	bool single; /* only the main resource is limited, anywhere */
	int main;    /* the resource effects are told in: bps where limited or loaded */

	struct res_vec *cap; /* per site, of what works now, less the imbalance of its nodes; 0: no limit */
	double *lean;	     /* per site: where in its intervals the truth is taken to be */
	bool *receiver;	     /* healthy, in service, reporting: may be counted on to take load */
	bool *hot, *urgent;  /* filled by the engine's hysteresis */
	bool *site_busy, *shard_busy;
	bool *rests; /* per shard: nothing changed lately, reports speak of the present */

	struct cell_mem **mem; /* per cell, may be NULL */
	double *calm;	       /* per cell, main resource, usual load landing there; 0: not known */
	uint8_t *grade;	       /* per cell, what was ordered: in-flight effects count as done */
	bool *off;	       /* per cell: cannot attract (dead site, not announced) */
	struct res_vec *seen;  /* per cell, measured (smoothed), middle of the interval */
	struct res_vec *home;  /* per cell, demand homed there */
	struct res_vec *flow;  /* per cell, expected after what is in flight has landed */
	struct res_vec *load;  /* per site, sums of flow */
	bool *proved;	       /* per site: forecasts made here were verified here */
	double *coming;	       /* per site: its load may yet grow by this part: networks that follow late */
	double *spread;	       /* per site, sd of the main resource's load from saturation and flights */
	struct res_vec total;  /* over everything */
	struct res_vec
		*model; /* per shard and site: flow under the ordered grades by the model, when modelled[] */
	bool *modelled;
	double widen[WIDE_N], *site_widen; /* of forecasts' spread: they were too sure of themselves */
	double *shard_worth; /* per shard: part of its load that is worth serving; 0: nobody knows */

	struct shed *sheds;	/* [family slot][site][grade] */
	struct dest_row *dests; /* same */
	double *prior;		/* per site, capacity share */
};

/* What a change of some cells of one shard does. */
struct effect {
	struct res_vec *flow; /* per site: new flow of that shard */
	double *dev;	      /* per site: sd of the main resource */
};

void round_init(struct round *r, const struct snapshot *s, const struct policy *p, const struct shift *m,
		const struct recall *mem);
void round_done(struct round *r);

static inline size_t round_cell(const struct round *r, size_t i, size_t k)
{
	return i * r->nk + k;
}
const struct snap_cell *round_snap(const struct round *r, size_t i, size_t k);
/* Shed of site i at a grade for shard k's family. */
const struct shed *round_shed(const struct round *r, size_t i, size_t k, unsigned grade);
/* By how much the spread of a forecast for this grade is to be widened: by its kind, and by its site. */
double round_widen(const struct round *r, size_t i, size_t k, unsigned grade);
const struct dest_row *round_dest(const struct round *r, size_t i, size_t k, unsigned grade);
/* Hottest resource of a load at site i. INFINITY when there is load and no capacity. */
double round_util(const struct round *r, size_t i, const struct res_vec *load);
/* Which resource is the hottest. */
int round_hot_res(const struct round *r, size_t i, const struct res_vec *load);

/* -- flow.c: catchments under grades, an absorbing chain -- */
/* grades[ns]: of shard k. home[ns] per site. out[ns]: where it lands. */
void flow_shard(const struct round *r, size_t k, const uint8_t *grades, const struct res_vec *home,
		struct res_vec *ret_out);
/* Predicted flow of shard k when site i goes from its ordered grade to `to`; dev is of the change. */
void flow_change(const struct round *r, size_t i, size_t k, unsigned to, struct effect *ret_effect);

/* -- demand.c -- */
/* Fills home (learning into mem when `learn`; the usual load too when `calm`), flow, load, spread, total from
 * what was seen. */
void demand_estimate(struct round *r, bool learn, bool calm);
#endif
