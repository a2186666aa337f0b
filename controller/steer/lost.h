/* SPDX-License-Identifier: Apache-2.0
 * Silent, or gone? A site whose reports end may be cut off from us and serve on, or it may have no power:
 * silence alone does not tell, and nothing is weakened for it. But traffic is conserved: when what the silent
 * sites carried arrives at the others, and at more than one of them, their clients have found them gone.
 * Such a site is marked in the snapshot (not healthy, nothing announced, no load, no capacity) until it
 * reports again. Demand growing by as much, everywhere, while sites are cut off would be taken for it: they
 * then count as missing where announcements are counted, and no longer as a blind spot. */
#ifndef STEER_LOST_H
#define STEER_LOST_H
#include "controller/steer/steer.h"

struct lost;
struct lost *lost_new(void);
void lost_free(struct lost *l);
/* Looks at the snapshot and marks the lost in it. Any number of times a round; nothing here outlives the
 * process, so now_ms is one clock's. */
void lost_mark(struct lost *l, const struct policy *p, struct snapshot *s);
#endif
