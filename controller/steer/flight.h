/* SPDX-License-Identifier: Apache-2.0
 * Changes in flight: from an order seen to a settled, measured and learned effect. */
#ifndef STEER_FLIGHT_H
#define STEER_FLIGHT_H
#include "controller/steer/recall.h"
#include "controller/steer/shift.h"

/* A settled change whose effect missed its prediction; snapshot indices. */
struct miss {
	size_t site, shard;
	double moved; /* measured, bit/s */
	bool useless; /* it moved nothing */
};

#define FLIGHT_MISSES STEER_MOVES
#define FLIGHT_STARTS 64

struct flight_news {
	struct miss miss[FLIGHT_MISSES];
	size_t n_misses;
	unsigned own_changes; /* orders of the engine's own that began now */
	bool restored;	      /* one of them was a step back */
};

/* Once a round, after recall_sync and before anything plans: notices new orders, takes samples, settles,
 * verifies, learns into the model. */
void flight_observe(struct recall *mem, struct shift *model, const struct policy *p, const struct snapshot *s,
		    struct flight_news *ret_news);
/* Remembers what the engine proposes, so that the order can be recognised as its own. */
void flight_propose(struct recall *mem, const struct snapshot *s, const struct move *m);
#endif
