/* SPDX-License-Identifier: Apache-2.0
 * The table. A row is a state, a column an event; what cannot happen is decided, too: a late answer must not
 * make a leader. */
#include "controller/lead.h"

/* clang-format off */
static const struct lead_step table[LEAD_STATES][LEAD_EVENTS] = {
	[LEAD_FOLLOWER] = {
		[LEAD_SEEN_NONE]  = { LEAD_CANDIDATE, LEAD_CAMPAIGN },
		[LEAD_SEEN_OTHER] = { LEAD_FOLLOWER,  LEAD_POINT },
		[LEAD_WON]        = { LEAD_FOLLOWER,  LEAD_RESIGN }, /* too late: we gave it up meanwhile */
		[LEAD_BEATEN]     = { LEAD_FOLLOWER,  LEAD_NOTHING },
		[LEAD_RENEWED]    = { LEAD_FOLLOWER,  LEAD_NOTHING },
		[LEAD_GONE]       = { LEAD_FOLLOWER,  LEAD_NOTHING },
		[LEAD_DEADLINE]   = { LEAD_FOLLOWER,  LEAD_NOTHING },
		[LEAD_AWAY]       = { LEAD_FOLLOWER,  LEAD_NOTHING },
		[LEAD_STOP]       = { LEAD_FOLLOWER,  LEAD_RESIGN },
	},
	[LEAD_CANDIDATE] = {
		[LEAD_SEEN_NONE]  = { LEAD_CANDIDATE, LEAD_NOTHING },
		[LEAD_SEEN_OTHER] = { LEAD_CANDIDATE, LEAD_NOTHING }, /* the answer to our campaign decides */
		[LEAD_WON]        = { LEAD_LEADER,    LEAD_BEGIN },
		[LEAD_BEATEN]     = { LEAD_FOLLOWER,  LEAD_NOTHING },
		[LEAD_RENEWED]    = { LEAD_CANDIDATE, LEAD_NOTHING },
		[LEAD_GONE]       = { LEAD_CANDIDATE, LEAD_NOTHING },
		[LEAD_DEADLINE]   = { LEAD_CANDIDATE, LEAD_NOTHING },
		[LEAD_AWAY]       = { LEAD_FOLLOWER,  LEAD_NOTHING },
		[LEAD_STOP]       = { LEAD_FOLLOWER,  LEAD_RESIGN },
	},
	[LEAD_LEADER] = {
		[LEAD_SEEN_NONE]  = { LEAD_LOST,      LEAD_HALT },
		[LEAD_SEEN_OTHER] = { LEAD_FOLLOWER,  LEAD_POINT },
		[LEAD_WON]        = { LEAD_LEADER,    LEAD_NOTHING },
		[LEAD_BEATEN]     = { LEAD_LEADER,    LEAD_NOTHING },
		[LEAD_RENEWED]    = { LEAD_LEADER,    LEAD_EXTEND },
		[LEAD_GONE]       = { LEAD_LOST,      LEAD_HALT },
		[LEAD_DEADLINE]   = { LEAD_LOST,      LEAD_HALT },
		[LEAD_AWAY]       = { LEAD_LEADER,    LEAD_NOTHING }, /* ours until the deadline */
		[LEAD_STOP]       = { LEAD_FOLLOWER,  LEAD_RESIGN },
	},
	[LEAD_LOST] = {
		[LEAD_SEEN_NONE]  = { LEAD_CANDIDATE, LEAD_CAMPAIGN },
		[LEAD_SEEN_OTHER] = { LEAD_FOLLOWER,  LEAD_POINT },
		[LEAD_WON]        = { LEAD_FOLLOWER,  LEAD_RESIGN },
		[LEAD_BEATEN]     = { LEAD_LOST,      LEAD_NOTHING },
		[LEAD_RENEWED]    = { LEAD_LEADER,    LEAD_EXTEND },
		[LEAD_GONE]       = { LEAD_LOST,      LEAD_NOTHING },
		[LEAD_DEADLINE]   = { LEAD_LOST,      LEAD_NOTHING },
		[LEAD_AWAY]       = { LEAD_LOST,      LEAD_NOTHING },
		[LEAD_STOP]       = { LEAD_FOLLOWER,  LEAD_RESIGN },
	},
};
/* clang-format on */

struct lead_step lead_decide(enum lead_state s, enum lead_event e)
{
	return table[s][e];
}

const char *lead_state_str(enum lead_state s)
{
	static const char *const words[] = { "follower", "candidate", "leader", "lost" };

	return words[s];
}

const char *lead_event_str(enum lead_event e)
{
	static const char *const words[] = { "nobody leads",
					     "another leads",
					     "won",
					     "beaten",
					     "renewed",
					     "the lease is gone",
					     "not renewed in time",
					     "the store is away",
					     "stopping" };

	return words[e];
}
