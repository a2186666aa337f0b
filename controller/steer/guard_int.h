/* SPDX-License-Identifier: Apache-2.0
 * Inside the guard: its memory (guard.c) as its rules (guard_rules.c) see it. */
#ifndef STEER_GUARD_INT_H
#define STEER_GUARD_INT_H
#include "controller/steer/key.h"
#include "controller/steer/ledger.h"

#define MASS_WINDOW_MS	60000
#define MASS_SHARE	0.25
#define GUARD_BLIND_MAX (1.0 / 3) /* I4 */

struct guard_cell { /* last seen or committed order of a cell, and when it changed */
	struct cell_key key;
	char wanted[STEER_NAME]; /* grade by name: the set may change */
	int64_t changed_ms;
	bool in_flight;
	bool drill_dead; /* withdrawn without an order, and charged; not saved */
	UT_hash_handle hh;
};

struct guard_site {
	char name[STEER_NAME];
	bool healthy;
	bool heard;	 /* healthy once since the start; not saved */
	int64_t fell_ms; /* when it last turned unhealthy; INT64_MIN: never seen to */
	UT_hash_handle hh;
};

struct guard {
	struct guard_cell *cells;
	struct guard_site *sites;
	struct ledger ledger;
	bool told;	/* now_ms is set */
	int64_t now_ms; /* of the last round */
	bool mass;	/* > 25 % of sites turned unhealthy within 60 s */
	size_t mass_n;
	int64_t blind_ms; /* when reports from too much of capacity were last stale; INT64_MIN: never */
};

/* One check's view: the snapshot after the moves. after[cell]: grade wanted then. */
struct check {
	const struct guard *g;
	const struct policy *p;
	const struct snapshot *s;
	const struct move *moves;
	size_t n;
	enum guard_actor actor;
	const uint8_t *after;
};

const struct guard_cell *guard_cell_find(const struct guard *g, const char *site, const char *shard);

/* Of all configured capacity, the share a site stands for (by count when nothing is configured). */
double guard_site_share(const struct snapshot *s, size_t site);
/* Of all configured capacity, the share that serves as far as is known, and is not heard of. */
double guard_blind_share(const struct snapshot *s, int64_t stale_ms);
/* I1's minimum of sites for a shard: max(2, configured), or 1 when the document says 1. */
unsigned guard_min_sites(const struct snap_shard *k);
/* Announced by a healthy site, and not ordered away. */
bool guard_stays_announced(const struct snapshot *s, size_t site, size_t shard, unsigned wanted);
#endif
