/* SPDX-License-Identifier: Apache-2.0
 * What a service's routes say beyond the controller's grade: attributes by state (up, down, disabled), by
 * place in the list of prefixes, and which neighbours get them. Pure. */
#ifndef AGENT_ANNOUNCE_H
#define AGENT_ANNOUNCE_H
#include "agent/frr/route.h"

enum announce_state { ANNOUNCE_UP, ANNOUNCE_DOWN, ANNOUNCE_DISABLED };

/* 0 is not set: MED 0 is what bgpd sends anyway */
struct announce_attrs {
	uint32_t med, local_pref, prepends;
	char **communities; /* standard "64500:80" and large "64500:1:2" */
	unsigned communities_count;
	char **extcommunities; /* "rt 64500:1", "soo 64500:1" */
	unsigned extcommunities_count;
};

/* A name for a neighbour or a group of them: routes that carry the community are for it. The operator's own
 * outbound policy matches it; Sluice changes no neighbour's policy. */
struct neighbour_cfg {
	char *name, *community;
};

struct announce_cfg {
	struct announce_attrs *up, *down, *disabled; /* NULL: nothing beyond the grade */
	char *on_down, *on_disabled;		     /* "withdraw" (NULL too), "degrade" */
	uint32_t med_increase;			     /* per prefix: the n-th has n times that more */
	char **neighbours;			     /* names; none: all */
	unsigned neighbours_count;
};

/* Checks texts and limits, neighbours against list. 0 or ERR_CONFIG with ret_why (TEXT_LEN). */
int announce_verify(const struct announce_cfg *cfg, const struct neighbour_cfg *list, unsigned n_list,
		    char *ret_why);
/* Is a route kept, with other attributes, where health alone would withdraw it? */
bool announce_degrades(const struct announce_cfg *cfg, enum announce_state state);
/* Adds to w, which failsafe_route() filled, what cfg says for state; index: of the prefix in the service.
 * 0, or ERR_LIMIT with ret_why (TEXT_LEN) and w unchanged: too many communities or prepends together. */
int announce_route(const struct announce_cfg *cfg, enum announce_state state, unsigned index,
		   const struct neighbour_cfg *list, unsigned n_list, struct route_want *w, char *ret_why);
#endif
