/* SPDX-License-Identifier: Apache-2.0
 * What a drill does next: a const table, every pair of state and event decided. Pure.
 *
 * DRAFT      asked for, not begun; never stored
 * PREFLIGHT  the baseline is measured, the preconditions are looked at once more
 * CANARY     one target is weakened; then 25, 50 and 100 % of them
 * HOLD       all of it holds for the time asked for
 * RESTORE    everything goes back: in two steps after a good drill, at once after an abort
 * REPORT     the report is written
 * CLOSED     over
 * Each stage waits for the measured move, not for a timer. Abort and alarm are possible wherever something
 * may be weakened, and lead to RESTORE. A restart of the controller is an alarm (RESTART), or, for the kinds
 * that touch no announcement or rehearse just that, taken up where it was (TAKE_UP); see kind.h. */
#ifndef DRILL_TABLE_H
#define DRILL_TABLE_H

enum drill_state {
	DRILL_DRAFT,
	DRILL_PREFLIGHT,
	DRILL_CANARY,
	DRILL_25,
	DRILL_50,
	DRILL_100,
	DRILL_HOLD,
	DRILL_RESTORE,
	DRILL_REPORT,
	DRILL_CLOSED,
	DRILL_STATES
};

enum drill_event {
	EV_START,
	EV_PASSED,   /* preflight */
	EV_REFUSED,  /* preflight */
	EV_MOVED,    /* the stage's move has been measured */
	EV_OVER,     /* the time to hold */
	EV_PAUSE,    /* operator: stay in this stage */
	EV_RESUME,   /* operator */
	EV_ABORT,    /* operator */
	EV_ALARM,    /* an abort condition; watch.h */
	EV_RESTORED, /* measured */
	EV_WRITTEN,  /* the report is stored */
	EV_RESTART,  /* the controller restarted or another one leads: give up */
	EV_TAKE_UP,  /* the same: go on */
	DRILL_EVENTS
};

/* 0 is no action: a pair that was forgotten shows in the test. */
enum drill_action {
	DO_NOTHING = 1,
	DO_DENY, /* impossible here: the operator is told */
	DO_MEASURE,
	DO_APPLY, /* the effects of the state entered */
	DO_PAUSE,
	DO_RESUME,
	DO_BACK,     /* restore in steps */
	DO_BACK_NOW, /* restore at once */
	DO_WRITE,
	DO_CLOSE
};

struct drill_step {
	enum drill_state to;
	enum drill_action action;
};
struct drill_step drill_next(enum drill_state state, enum drill_event event);

const char *drill_state_str(enum drill_state s); /* "draft", "preflight", "canary", "25", ... */
int drill_state_parse(const char *s, enum drill_state *ret_state);
const char *drill_event_str(enum drill_event e);
/* The part of the targets that is weakened in this state, in percent; canary is 0: one of them. */
int drill_state_pct(enum drill_state s);
static inline int drill_is_stage(enum drill_state s)
{
	return s >= DRILL_CANARY && s <= DRILL_100;
}
#endif
