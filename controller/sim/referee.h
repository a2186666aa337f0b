/* SPDX-License-Identifier: Apache-2.0
 * Counts violations of the invariants, independently of the guard: from what was ordered, when, and what
 * could be known then. Also mirrors damping. */
#ifndef SIM_REFEREE_H
#define SIM_REFEREE_H
#include "controller/sim/player.h"

struct referee;
struct referee *referee_new(const struct world *w);
void referee_free(struct referee *r);
/* Once a tick, before the orders. */
void referee_observe(struct referee *r, const struct world *w);
/* One turn's orders, before they are given. */
void referee_judge(struct referee *r, const struct world *w, const struct turn *t);
unsigned referee_violations(const struct referee *r);
unsigned referee_changes(const struct referee *r);
double referee_damping(const struct referee *r); /* highest so far */
/* "I2 31 % weakened at 123 s": the first violation, or "". */
const char *referee_first(const struct referee *r);
#endif
