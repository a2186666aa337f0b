/* SPDX-License-Identifier: Apache-2.0
 * Who leads, when several controllers share a store: pure decisions, no clock and no I/O; term.c does what
 * they say. Every pair of state and event is decided in one table, and tested.
 * FOLLOWER: another leads, or nobody is known to. CANDIDATE: our campaign is not answered yet.
 * LEADER: the lease is ours, and its deadline (monotonic, counted from before the renewal was sent, minus a
 * margin) has not passed. LOST: we led and cannot prove that we still do: agents are heard, nothing is
 * ordered, nothing is written. A renewal answered after all leads back: the lease never ended then. */
#ifndef CTRL_LEAD_H
#define CTRL_LEAD_H
#include <stdbool.h>

#include "proto/base/mono.h"

enum lead_state { LEAD_FOLLOWER, LEAD_CANDIDATE, LEAD_LEADER, LEAD_LOST, LEAD_STATES };
enum lead_event {
	LEAD_SEEN_NONE,	 /* the store answered: nobody leads */
	LEAD_SEEN_OTHER, /* the store answered: another leads */
	LEAD_WON,	 /* our campaign won a new epoch */
	LEAD_BEATEN,	 /* our campaign did not */
	LEAD_RENEWED,	 /* the store answered: the lease is still ours */
	LEAD_GONE,	 /* the store answered: the lease is not ours any more */
	LEAD_DEADLINE,	 /* no renewal in time */
	LEAD_AWAY,	 /* the store does not answer */
	LEAD_STOP,	 /* this controller stops */
	LEAD_EVENTS
};
enum lead_action {
	LEAD_NOTHING,
	LEAD_CAMPAIGN, /* ask for the lease */
	LEAD_BEGIN,    /* load everything from the store, take the agents: a new term */
	LEAD_EXTEND,   /* a later deadline; act again after LOST */
	LEAD_HALT,     /* stop acting, keep listening */
	LEAD_POINT,    /* tell agents who leads; read the store anew when we led before */
	LEAD_RESIGN,   /* give the lease back */
};
struct lead_step {
	enum lead_state to;
	enum lead_action action;
};
struct lead_step lead_decide(enum lead_state s, enum lead_event e);
const char *lead_state_str(enum lead_state s);
const char *lead_event_str(enum lead_event e);

#define LEAD_NAME_LEN 64
#define LEAD_URL_LEN  256
/* What the rest of the controller sees of it; term.c fills it in. All zero: alone, and always leading. */
struct leadership {
	bool shared; /* the store is shared: leadership goes by lease */
	enum lead_state state;
	mono_t since;							    /* in this state */
	mono_t deadline;						    /* LEADER: may act until then */
	mono_t heard_at;						    /* the store last answered */
	char name[LEAD_NAME_LEN], agents[LEAD_NAME_LEN], api[LEAD_URL_LEN]; /* of who leads; "" unknown */
};
/* May we order and write at this moment? Asked each time: a stalled process wakes up after its deadline. */
static inline bool leads(const struct leadership *l)
{
	return !l->shared || (l->state == LEAD_LEADER && l->deadline.us > mono_now().us);
}
/* Agents are ours to listen to, also when nothing may be ordered. */
static inline bool listens(const struct leadership *l)
{
	return !l->shared || l->state == LEAD_LEADER || l->state == LEAD_LOST;
}
#endif
