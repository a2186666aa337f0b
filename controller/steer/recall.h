/* SPDX-License-Identifier: Apache-2.0
 * What the engine remembers between rounds, by name: per site the trigger history, per shard the change in
 * flight, per (site, shard) the home demand, the last samples and the last change. Saved as text lines. */
#ifndef STEER_RECALL_H
#define STEER_RECALL_H
#include "controller/steer/key.h"

#define RECALL_SAMPLES 3
#define RECALL_NEVER   INT64_MIN
#define CALM_KNOWN     5
#define CALM_ROUNDS    300 /* the usual load is an average over about so many calm rounds */

/* Where in the interval of a dropping site's load the truth is taken to be before anything is learned: what
 * was carried (0) is surely too little, what was counted as offered (1) may be too much. */
#define RECALL_LEAN 0.5

static inline double recall_within(double lo, double hi, double lean)
{
	return lo + lean * (hi - lo);
}

struct site_mem {
	char name[STEER_NAME];
	uint8_t hot, urgent; /* bit per sample, newest lowest */
	double slow;	     /* bit/s, average over about a minute; 0: none yet */
	double imbalance;    /* hottest node over site mean, smoothed; >= 1, 0: none yet */
	double widen;	     /* of its forecasts; 0: as 1 */
	double lean;	     /* of its intervals, this round; 0: not looked at */
	double seen, inside; /* forecasts verified, and how many fell inside their interval */
	UT_hash_handle hh;
};

#define REST_ROUNDS   30 /* what rests is averaged over so many rounds; older ones fade */
#define REST_KNOWN    6
#define WOBBLE_ROUNDS 60
#define LESSONS	      2 /* as soon as it has settled, and when it has rested */

/* One change of a shard until it has settled. cells > 1: several places at once, nothing is learned. What
 * stays is for the lesson that is taken when it has rested for a while. */
struct shard_mem {
	char name[STEER_NAME];
	bool flying, own;
	bool quiet;	  /* nobody ordered it: a service died, or a drill plays that */
	unsigned lessons; /* taken of it, of LESSONS */
	unsigned cells;
	int64_t since_ms;
	int64_t heard_ms;  /* the routers read it back; RECALL_NEVER: not yet */
	unsigned n_before; /* rounds behind the cells' before */
	unsigned n_rest;   /* rounds behind the cells' rest; 0 while something is in flight */
	enum move_kind kind;
	char site[STEER_NAME], from[STEER_NAME], to[STEER_NAME];
	double total;			  /* bit/s of the shard before */
	double moved_lo, moved, moved_hi; /* predicted */
	unsigned made_up;		  /* rounds of which nothing is learned */
	UT_hash_handle hh;
};

struct cell_mem {
	struct cell_key key;
	char wanted[STEER_NAME];   /* order last seen; empty: none */
	char previous[STEER_NAME]; /* the grade before it */
	int64_t changed_ms;
	double home[RES_N]; /* demand homed here when all is normal */
	double calm;	    /* usual load landing here, main resource, while nothing is hot */
	unsigned n_calm;    /* rounds behind it, at most CALM_ROUNDS */
	double sample[RECALL_SAMPLES][RES_N]; /* middle of the interval, newest first */
	unsigned n_samples;
	double wobble;		 /* mean squared step from round to round while nothing changes, bit/s */
	unsigned n_wobble;	 /* rounds behind it, at most WOBBLE_ROUNDS */
	double rest[RES_N];	 /* average since the last change of the shard had settled */
	bool there, gone;	 /* announced once; and now no more, though nobody ordered that */
	double before;		 /* bit/s when the change in flight began */
	double before_wide[2];	 /* its interval then, when the site was dropping; else 0 */
	int64_t restorable_ms;	 /* since when a step back would be safe; RECALL_NEVER: it is not */
	enum move_kind proposed; /* what the engine last proposed here, to tell its own from others' */
	char proposed_to[STEER_NAME];
	int64_t proposed_ms;
	double proposed_moved[3]; /* lo, mean, hi bit/s */
	UT_hash_handle hh;
};

#define WIDEN_MAX 8.0

/* Forecasts err in kinds: those made of priors, and those of what was learned. */
enum { WIDE_PRIOR, WIDE_SEEN, WIDE_N };
#define WIDE_EVIDENCE 4.0 /* pseudo-counts */

struct recall {
	double widen[WIDE_N];  /* 0: as 1 */
	double trust, trust_n; /* lean.c: sum of what was learned, and how often */
	struct site_mem *sites;
	struct shard_mem *shards;
	struct cell_mem *cells;
	struct cell_mem **grid; /* by the last snapshot's indices, n_grid of them: saves looking names up */
	size_t n_grid;
};

/* NULL when unknown. */
struct site_mem *recall_site(const struct recall *r, const char *name);
struct shard_mem *recall_shard(const struct recall *r, const char *name);
struct cell_mem *recall_cell(const struct recall *r, const char *site, const char *shard);
/* The cell of a snapshot's indices; NULL when unknown. */
struct cell_mem *recall_at(const struct recall *r, const struct snapshot *s, size_t site, size_t shard);
/* Variance of a cell's load averaged over so many rounds. Reports are smoothed by halves (meter.c): the
 * square of a step is a third of what one second's load varies by. */
static inline double recall_noise(const struct cell_mem *m, unsigned rounds)
{
	return 3 * m->wobble / (rounds ? rounds : 1);
}
/* Creates what a snapshot names and forgets what it no longer names. */
void recall_sync(struct recall *r, const struct snapshot *s);
void recall_done(struct recall *r);
/* The clock moved by so much. */
void recall_rebase(struct recall *r, int64_t by_ms);
void recall_save(const struct recall *r, struct buf *out);
int recall_load_line(struct recall *r, const char *line);
#endif
