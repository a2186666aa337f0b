/* SPDX-License-Identifier: Apache-2.0
 * An ordered drain as a table: drain grade -> wait for the measured fall -> withdraw, and back from anywhere.
 * Pure: drains.c measures, asks the guard and writes down; here is only what follows from what.
 * Allowed transitions: OFF -> DRAINING -> WAITING -> (guard allows) WITHDRAWN, or HELD while it refuses;
 * DRAINING may go on without WAITING when its time is over; END leads to OFF from everywhere. */
#ifndef CTRL_DRAIN_H
#define CTRL_DRAIN_H

#define DRAIN_WEIGHT 1 /* of a drained node inside its site */

enum drain_stage {
	DRAIN_OFF,
	DRAIN_DRAINING,	 /* the drain grade is ordered, the routers do not all have it yet */
	DRAIN_WAITING,	 /* they have it: the load is falling */
	DRAIN_HELD,	 /* it should be withdrawn and is not: the drain's held says why */
	DRAIN_WITHDRAWN, /* the withdrawal is ordered */
	DRAIN_STAGES
};

enum drain_event {
	DRAIN_EV_START,
	DRAIN_EV_HEARD,	  /* every router concerned has the drain grade */
	DRAIN_EV_FALLEN,  /* what is left is below the residual */
	DRAIN_EV_LATE,	  /* the longest wait is over */
	DRAIN_EV_ALLOWED, /* answers to DRAIN_ASK */
	DRAIN_EV_REFUSED,
	DRAIN_EV_END, /* undrain, expiry, abort */
	DRAIN_EVENTS
};

enum drain_act {
	DRAIN_NOTHING,
	DRAIN_WEAKEN, /* order the drain grade */
	DRAIN_ASK,    /* ask the guard whether it may be withdrawn now */
	DRAIN_WITHDRAW,
	DRAIN_RESTORE
};

struct drain_step {
	enum drain_stage next;
	enum drain_act act;
};
struct drain_step drain_step(enum drain_stage stage, enum drain_event event);
const char *drain_stage_str(enum drain_stage stage); /* "draining", "waiting", "held", "withdrawn"; "off" */
/* DRAIN_STAGES when it is none of them. */
enum drain_stage drain_stage_parse(const char *s);
#endif
