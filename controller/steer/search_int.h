/* SPDX-License-Identifier: Apache-2.0
 * Inside the planner: the candidates (candidate.c) and the search over them (search.c). */
#ifndef STEER_SEARCH_INT_H
#define STEER_SEARCH_INT_H
#include "controller/steer/search.h"

#define HOT_MAX 8 /* sites planned for in one round */

struct candidate {
	size_t i, k;
	unsigned to;
	enum move_kind kind;
	double rank; /* gain by the slopes alone */
	struct effect effect;
	double moved, sd; /* main resource, leaving (+) or coming (-) */
	bool dead;
};

struct slope { /* of a site's cost: by load of the main resource, by worth */
	double load, worth;
};

struct search {
	const struct round *r;
	const struct guard *g;
	bool contain; /* attacked shards stay where they are */
	bool talk;    /* verdicts in words */
	struct candidate *c;
	size_t n;
	double *cost;	       /* per site, of the trial */
	struct slope *slope;   /* per site, of the trial at its start */
	double *excess, *shed; /* per site: above the trigger; moved so far in this plan */
	double moved, moved_max;
	bool *used; /* per shard */
	struct trial *t;
	struct plan *plan;
};

/* s->cost and s->slope of the trial as it is now. */
void candidate_slopes(struct search *s);
/* Fills s->c, s->n, s->excess: the best by slope, with what each does. */
void candidate_collect(struct search *s);
/* Sites planned for, hottest first, at most HOT_MAX. */
size_t candidate_hot(const struct round *r, size_t *ret_hot);
/* Utilisation both as measured and as forecast: what is only on its way here may yet not come. */
double candidate_sure_util(const struct round *r, size_t i);
/* A grade whose mark in the ledger alone is above what may be spent is the operator's. */
bool candidate_affordable(const struct round *r, unsigned from, unsigned to);
/* What site j may be measured by: its capacity, or all traffic where it has no limit. */
double candidate_room(const struct round *r, size_t j);
#endif
