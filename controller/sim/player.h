/* SPDX-License-Identifier: Apache-2.0
 * The policies compared. A player sees the world (rivals: their own site's truth; oracle: all of it; sluice:
 * the reports only) and says what to order. The last column of the table. */
#ifndef SIM_PLAYER_H
#define SIM_PLAYER_H
#include "controller/sim/world.h"

#define PLAYER_ORDERS 4096

struct turn {
	const struct snapshot *seen; /* reports as the controller has them */
	struct order *orders;	     /* PLAYER_ORDERS */
	size_t n;
	double decide_ms;	  /* sluice and greedy: the engine's time, 0 otherwise */
	double inside, predicted; /* of this turn's moves: how many were inside their interval, of how many */
};

struct player {
	const char *name;
	void *(*start)(struct world *w);
	void (*step)(void *state, struct world *w, struct turn *t);
	void (*end)(void *state);
};

extern const struct player player_table[];
extern const size_t player_count;
const struct player *player_find(const char *name);
void turn_order(struct turn *t, size_t site, size_t shard, uint8_t to);

/* steered.c and oracle.c */
void *steered_start(struct world *w);
void *greedy_start(struct world *w);
void steered_step(void *state, struct world *w, struct turn *t);
void steered_end(void *state);
/* For --explain: prints what the engine says, in every run. */
extern bool steered_talk;
void *oracle_start(struct world *w);
void oracle_step(void *state, struct world *w, struct turn *t);
void oracle_end(void *state);
#endif
