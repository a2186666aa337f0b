/* SPDX-License-Identifier: Apache-2.0
 * Wanted routes against bgpd's configuration -> the steps that make them agree. Pure.
 * Rules: a prefix nobody wants (or held) is not touched, its route-map neither. A route-map is made new and
 * never edited: wanted attributes that no intact map of ours has get a map under a free name
 * SLUICE-<hash of the attributes>-<letter>; prefixes with equal attributes share it (FRR's cost per route-map
 * line grows with the number of maps). Maps of ours that nothing names any more are dropped.
 * Order: withdrawals first (they are the urgent ones), maps, announcements, drops. */
#ifndef FRR_DIFF_H
#define FRR_DIFF_H
#include "agent/frr/parse.h"

enum step_kind { STEP_UNSET, STEP_MAP, STEP_SET, STEP_DROP };

struct step {
	enum step_kind kind;
	struct prefix prefix;		 /* UNSET, SET */
	char map[MAP_NAME_LEN];		 /* MAP, SET, DROP */
	const struct route_attrs *attrs; /* MAP: points into wants */
	bool fresh;			 /* SET: the prefix had no `network` statement */
};

struct diff {
	struct step *steps;
	size_t n, cap;
};

/* wants: normalised, sorted by prefix, no duplicates. held[i] (may be NULL): leave wants[i] as it is now. */
void diff_make(const struct frr_config *seen, const struct route_want *wants, size_t n, const bool *held,
	       struct diff *ret);
void diff_done(struct diff *d);
/* bgpd's configuration already says what w wants. */
bool diff_matches(const struct frr_config *seen, const struct route_want *w);
/* The map called name ("": none) says what our name for it says, or is gone: nobody made it again, as far as
 * can be seen. */
bool diff_map_intact(const struct frr_config *seen, const char *name);
#endif
