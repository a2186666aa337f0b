/* SPDX-License-Identifier: Apache-2.0
 * The weights of a site's nodes among themselves, brought into the model and out of it. What they should be
 * is balance_weights' to say, and when they are changed pace_round's. */
#ifndef CTRL_WEIGHTS_H
#define CTRL_WEIGHTS_H
#include "controller/control.h"

/* Once a round. */
void weights_round(struct controller *c, size_t site);
/* Orders these, 1..100 (0: as it is), and forgets what was measured before. */
void weights_set(struct controller *c, size_t site, const int *weights, const char *why);
#endif
