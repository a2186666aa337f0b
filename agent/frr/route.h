/* SPDX-License-Identifier: Apache-2.0
 * One anycast route as Sluice wants it in bgpd, and as bgpd has it. Shared by command, parse and apply. */
#ifndef FRR_ROUTE_H
#define FRR_ROUTE_H
#include "proto/wire/msg.h"

struct route_attrs {
	uint32_t prepends;			     /* times our own AS is prepended, 0..10 */
	uint32_t bandwidth_mbps;		     /* link-bandwidth extended community; 0: none */
	char communities[MAX_COMMUNITIES][NAME_LEN]; /* sorted; "65535:0" is graceful-shutdown */
	size_t n_communities;
	char large[MAX_COMMUNITIES][NAME_LEN]; /* large communities, sorted */
	size_t n_large;
	char ext[MAX_COMMUNITIES][NAME_LEN]; /* extended: "rt 64500:1", "soo 64500:1", sorted */
	size_t n_ext;
	uint32_t med;	     /* 0: none given, which bgpd sends as 0 for its own routes */
	uint32_t local_pref; /* 0: bgpd's default of 100 */
};

struct route_want {
	struct prefix prefix;
	bool announced;
	struct route_attrs attrs; /* meaningful when announced */
	char grade[NAME_LEN];	  /* the name to report back */
	uint32_t weight;
};

#define ROUTE_PREPENDS_MAX  10
#define ROUTE_BANDWIDTH_MAX 25600 /* Mbit/s, FRR's own limit */

bool route_attrs_equal(const struct route_attrs *a, const struct route_attrs *b);
/* Canonical texts ("graceful-shutdown" becomes "65535:0", "064:1" becomes "64:1"), sorted, no duplicates.
 * ERR_MALFORMED (not a community), ERR_LIMIT (prepends, bandwidth): *ret_why says which (static storage),
 * a is half done. */
int route_attrs_normalise(struct route_attrs *a, const char **ret_why);
/* "64500:80" or a name of RFC 1997/7999/8326 that FRR prints; false when it is neither. */
bool route_community_canon(const char *s, char ret_text[NAME_LEN]);
/* "rt 64500:1" or "soo 64500:1"; RT, SoO and a colon for the space are taken too */
bool route_ext_canon(const char *s, char ret_text[NAME_LEN]);
/* "64500:1:2" */
bool route_large_canon(const char *s, char ret_text[NAME_LEN]);
/* The name such attributes have when nobody told: "normal", "drain", "prependN" or "?". */
const char *route_grade_guess(const struct route_attrs *a);
#endif
