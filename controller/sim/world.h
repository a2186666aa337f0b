/* SPDX-License-Identifier: Apache-2.0
 * The simulated truth of one run: demand, catchments with BGP's lag, servers that drop in proportion, agents'
 * reports that are late, lost and may lie. One tick is one second. Traffic is fluid per (component, shard):
 * a component is a set of client groups with one course over time. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H
#include "controller/sim/catch.h"
#include "controller/sim/scenario.h"

#define WORLD_ZONES 4
enum { COMP_CROWD = WORLD_ZONES, COMP_ATTACK, COMP_N };
#define WORLD_LAGS    3 /* fast, slow, stuck */
#define WORLD_HISTORY 4
#define WORLD_SCALE   1e11 /* bit/s of all legitimate traffic */
#define WORLD_NODES   4	   /* servers per site */

struct order {
	size_t site, shard;
	uint8_t to;
};

struct world_cell {
	uint8_t grade, wanted;
	int apply_at; /* tick; 0: nothing under way */
	bool pinned;
	bool off; /* nothing is announced here, whatever is ordered */
};

struct live;

struct world {
	struct catch *c;
	struct catch **of;  /* live: per shard, of its family; NULL: c */
	struct live *live;  /* live.h: what the world is a copy of; NULL: the scenario's own making */
	int64_t started_ms; /* now_ms of tick 0 in snapshots */
	const struct scenario *sc;
	uint64_t seed;
	size_t ns, nk;
	int t;
	double *cap_all, *cap;	 /* bit/s per site: configured, working */
	bool *alive;		 /* the site has power */
	int *hold_down;		 /* tick until which a returned site does not announce */
	struct world_cell *cell; /* site * nk + shard */
	double *shard_share;	 /* of traffic */

	double *weight[COMP_N];	   /* per group (live: [shard][group]), or NULL: empty */
	double comp_share[COMP_N]; /* of legitimate traffic (zones); size of the others */
	double *land;		   /* [comp][shard][lag][site], fractions */
	double *target;		   /* [comp][shard][site] */
	bool *stale;		   /* per shard: target must be computed again */
	size_t crowd_site, victim;
	size_t attacked; /* shard */

	/* measured by the last tick */
	double *arrive; /* [cell], bit/s */
	double *util;	/* per site */
	double legit_offered, legit_served, peak;

	/* reports */
	struct rng noise;
	double *history; /* [WORLD_HISTORY][cell][lo, hi] */
	double *hist_util;
	bool *hist_drop;
	int *report_at; /* per site: tick of the newest report that arrived */
	bool *liar;
	bool partitioned;
	struct lost *lost; /* what the controller makes of silence */

	/* what the policy's changes did */
	unsigned changes;
	int first_applied, last_applied; /* ticks at which changes reached the routers; 0: none */
};

struct world *world_new(struct catch *c, const struct scenario *sc, size_t shards, uint64_t seed,
			double perturb);
/* The same world without anything in it yet: live.c fills it. */
struct world *world_bare(struct catch *c, const struct scenario *sc, size_t shards, uint64_t seed);
void world_free(struct world *w);
/* Advances the truth by one second. */
void world_tick(struct world *w);
/* Policies and drills order; the routers have it a second later. Counts a change. */
void world_order(struct world *w, size_t site, size_t shard, uint8_t to);
/* Load that would land were these the grades everywhere: vec[shard * ns + site], out[shard * ns + site];
 * legit: only the legitimate part. For the oracle and the referee. */
void world_would(struct world *w, size_t shard, const uint8_t *vec, double *ret_all, double *ret_legit);
/* The grades the Internet sees of a shard. */
void world_vector(const struct world *w, size_t shard, uint8_t *ret_vec);

static inline struct world_cell *world_cell(const struct world *w, size_t i, size_t k)
{
	return &w->cell[i * w->nk + k];
}

/* report.c: what the controller knows. snap's arrays are allocated by report_snapshot_new. */
struct snapshot;
void report_tick(struct world *w);
struct snapshot *report_snapshot_new(const struct world *w);
void report_snapshot_fill(const struct world *w, struct snapshot *s);
void report_snapshot_free(struct snapshot *s);

/* live.c: what is otherwise in a copy of a running cluster. */
void live_events(struct world *w);
void live_traffic(struct world *w);
void live_report(const struct world *w, struct snapshot *s, size_t site);
const struct policy *live_policy(const struct live *l);
double live_skew(const struct live *l, size_t site); /* hottest node over the site's mean */
bool live_mute(const struct live *l, size_t site);
#endif
