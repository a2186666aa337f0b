/* SPDX-License-Identifier: Apache-2.0
 * Test scaffold: a small snapshot of n sites x m shards, everything normal, announced and healthy. */
#ifndef TESTS_STEER_WORLD_H
#define TESTS_STEER_WORLD_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "controller/steer/steer.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"

#define TW_SITES  8
#define TW_SHARDS 8

enum { G_NORMAL, G_PRE1, G_PRE2, G_PRE3, G_DRAIN, G_GONE };

static const struct grade_set tw_grades = {
	.g = { { "normal", GRADE_NORMAL, 0, 0 },
	       { "prepend1", GRADE_PREPEND, 1, 40 },
	       { "prepend2", GRADE_PREPEND, 2, 50 },
	       { "prepend3", GRADE_PREPEND, 3, 60 },
	       { "drain", GRADE_DRAIN, 0, 90 },
	       { "withdrawn", GRADE_WITHDRAWN, 0, 100 } },
	.n = 6,
};

struct tw {
	struct snapshot s;
	struct snap_site site[TW_SITES];
	struct snap_shard shard[TW_SHARDS];
	struct snap_cell cell[TW_SITES * TW_SHARDS];
};

/* cap: bit/s of every site; load: bit/s of every cell. */
static inline void tw_init(struct tw *w, size_t sites, size_t shards, double cap, double load)
{
	*w = (struct tw){ .s = { .now_ms = 1000000, .mode = MODE_STEER, .grades = &tw_grades } };
	w->s.sites = w->site;
	w->s.shards = w->shard;
	w->s.cells = w->cell;
	w->s.n_sites = sites;
	w->s.n_shards = shards;
	for (size_t i = 0; i < sites; i++) {
		snprintf(w->site[i].name, STEER_NAME, "s%zu", i);
		w->site[i].healthy = true;
		w->site[i].cap[RES_BPS] = w->site[i].cap_all[RES_BPS] = cap;
	}
	for (size_t k = 0; k < shards; k++) {
		snprintf(w->shard[k].name, STEER_NAME, "k%zu", k);
		snprintf(w->shard[k].service, STEER_NAME, "web");
		w->shard[k].min_sites = 2;
		w->shard[k].family = 4;
	}
	for (size_t c = 0; c < sites * shards; c++) {
		w->cell[c].announced = true;
		w->cell[c].lo[RES_BPS] = w->cell[c].hi[RES_BPS] = load;
	}
}

static inline void tw_load(struct tw *w, size_t site, size_t shard, double bps)
{
	snap_cell(&w->s, site, shard)->lo[RES_BPS] = snap_cell(&w->s, site, shard)->hi[RES_BPS] = bps;
}

static inline void tw_grade(struct tw *w, size_t site, size_t shard, uint8_t grade)
{
	struct snap_cell *c = snap_cell(&w->s, site, shard);

	c->grade = c->wanted = grade;
	c->announced = grade != G_GONE;
}

static inline struct move tw_move(const struct tw *w, size_t site, size_t shard, uint8_t to)
{
	return (struct move){
		.site = site, .shard = shard, .from = snap_cell(&w->s, site, shard)->wanted, .to = to
	};
}
#endif
