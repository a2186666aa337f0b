/* SPDX-License-Identifier: Apache-2.0
 * What held a plan back lately, so that the same cause is told once and not every round. Pure: the time is
 * the caller's. */
#ifndef CTRL_HOLD_H
#define CTRL_HOLD_H
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/mono.h"

#define HOLD_CAUSES   8
#define HOLD_LEN      160
#define HOLD_QUIET_MS 60000

/* Zero-initialise. */
struct hold {
	struct {
		char cause[HOLD_LEN];
		mono_t at; /* it last held */
	} said[HOLD_CAUSES];
	size_t next;
};

/* True when this is to be told: it did not hold within HOLD_QUIET_MS before now. cause: words that stay the
 * same while it does, without the numbers of the moment. */
bool hold_news(struct hold *h, const char *cause, mono_t now);
#endif
