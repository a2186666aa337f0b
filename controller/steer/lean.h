/* SPDX-License-Identifier: Apache-2.0
 * Where in the interval of a dropping site's load the truth lies: 0 what it carried, 1 what was counted as
 * offered. Two things tell. Traffic is conserved: what a shard moved away from a dropping site turns out to
 * be is what it was (learned, kept over restarts). And not all shards are attacked: when most of those that
 * land at a site ask for what they usually do, the others are scaled as they are. */
#ifndef STEER_LEAN_H
#define STEER_LEAN_H
#include "controller/steer/recall.h"

/* Sets site_mem.lean of all sites. Once a round, before anything reads loads. */
void lean_observe(struct recall *r, const struct snapshot *s);
/* An interval turned out to hold this truth. */
void lean_learn(struct recall *r, double lo, double hi, double truth);
/* Of a site unknown or never looked at: the prior. */
double lean_of(const struct recall *r, const char *site);
#endif
