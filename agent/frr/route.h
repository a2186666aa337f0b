/* SPDX-License-Identifier: Apache-2.0
 * One anycast route as Sluice wants it in bgpd, and as bgpd has it. Shared by command, parse and apply. */
#ifndef FRR_ROUTE_H
#define FRR_ROUTE_H
#include "proto/wire/msg.h"

struct route_attrs {
	uint32_t prepends;       /* times our own AS is prepended, 0..10 */
	uint32_t bandwidth_mbps; /* link-bandwidth extended community; 0: none */
	char communities[MAX_COMMUNITIES][NAME_LEN]; /* sorted; "65535:0" is graceful-shutdown */
	size_t n_communities;
	char large[MAX_COMMUNITIES][NAME_LEN]; /* large communities, sorted */
	size_t n_large;
};

struct route_want {
	struct prefix prefix;
	bool announced;
	struct route_attrs attrs;      /* meaningful when announced */
	char grade[NAME_LEN];          /* the name to report back */
	uint32_t weight;
};

bool route_attrs_equal(const struct route_attrs *a, const struct route_attrs *b);
#endif
