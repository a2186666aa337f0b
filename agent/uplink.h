/* SPDX-License-Identifier: Apache-2.0
 * How full this node's links are, from two reports' counters. Pure. */
#ifndef AGENT_UPLINK_H
#define AGENT_UPLINK_H
#include "proto/wire/msg.h"

struct uplink {
	uint64_t at_us; /* mono_us of the last sample; 0: none */
	size_t n;
	struct link_sample links[MAX_LINKS];
};
#define UPLINK_AGE_MS 10000 /* an older sample says nothing about now */

/* Takes a sample. False: there is none to compare with, ask again. Else *ret_util is the fullest link's share
 * of its speed, negative where no link says its speed. */
bool uplink_feed(struct uplink *u, const struct msg_report *r, double *ret_util);
#endif
