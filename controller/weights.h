/* SPDX-License-Identifier: Apache-2.0
 * The weights of a site's nodes among themselves: when they are looked at, and how calmly. What the new ones
 * are is balance_weights' to say. */
#ifndef CTRL_WEIGHTS_H
#define CTRL_WEIGHTS_H
#include "controller/control.h"

/* Once a round. at: of the last change, or of the last time the set of nodes changed; the caller keeps it. */
void weights_round(struct controller *c, size_t site, mono_t *at);
#endif
