/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drill/table.h"

#include <errno.h>
#include <string.h>

#include "proto/base/mem.h"

/* clang-format off */
#define NO(s)   { DRILL_##s, DO_DENY }
#define STAY(s) { DRILL_##s, DO_NOTHING }
#define GO(s,a) { DRILL_##s, DO_##a }

/* a stage: `next` follows when its move was measured */
#define STAGE(s, next, act) {                                                                                \
	[EV_START] = NO(s),                 [EV_PASSED] = STAY(s),                                           \
	[EV_REFUSED] = STAY(s),             [EV_MOVED] = GO(next, act),                                      \
	[EV_OVER] = STAY(s),                [EV_PAUSE] = GO(s, PAUSE),                                       \
	[EV_RESUME] = GO(s, RESUME),        [EV_ABORT] = GO(RESTORE, BACK_NOW),                              \
	[EV_ALARM] = GO(RESTORE, BACK_NOW), [EV_RESTORED] = STAY(s),                                         \
	[EV_WRITTEN] = STAY(s),             [EV_RESTART] = GO(RESTORE, BACK_NOW),                            \
	[EV_TAKE_UP] = GO(s, APPLY) }

static const struct drill_step table[DRILL_STATES][DRILL_EVENTS] = {
	[DRILL_DRAFT] = {
		[EV_START] = GO(PREFLIGHT, MEASURE), [EV_PASSED] = STAY(DRAFT),  [EV_REFUSED] = GO(CLOSED, CLOSE),
		[EV_MOVED] = STAY(DRAFT),            [EV_OVER] = STAY(DRAFT),    [EV_PAUSE] = NO(DRAFT),
		[EV_RESUME] = NO(DRAFT),             [EV_ABORT] = NO(DRAFT),     [EV_ALARM] = STAY(DRAFT),
		[EV_RESTORED] = STAY(DRAFT),         [EV_WRITTEN] = STAY(DRAFT), [EV_RESTART] = GO(CLOSED, CLOSE),
		[EV_TAKE_UP] = GO(CLOSED, CLOSE),
	},
	[DRILL_PREFLIGHT] = { /* nothing is weakened yet */
		[EV_START] = NO(PREFLIGHT),       [EV_PASSED] = GO(CANARY, APPLY), [EV_REFUSED] = GO(REPORT, WRITE),
		[EV_MOVED] = STAY(PREFLIGHT),     [EV_OVER] = STAY(PREFLIGHT),     [EV_PAUSE] = NO(PREFLIGHT),
		[EV_RESUME] = NO(PREFLIGHT),      [EV_ABORT] = GO(REPORT, WRITE),  [EV_ALARM] = GO(REPORT, WRITE),
		[EV_RESTORED] = STAY(PREFLIGHT),  [EV_WRITTEN] = STAY(PREFLIGHT),  [EV_RESTART] = GO(REPORT, WRITE),
		[EV_TAKE_UP] = GO(PREFLIGHT, MEASURE),
	},
	[DRILL_CANARY] = STAGE(CANARY, 25, APPLY),
	[DRILL_25]     = STAGE(25, 50, APPLY),
	[DRILL_50]     = STAGE(50, 100, APPLY),
	[DRILL_100]    = STAGE(100, HOLD, NOTHING),
	[DRILL_HOLD] = {
		[EV_START] = NO(HOLD),                 [EV_PASSED] = STAY(HOLD),         [EV_REFUSED] = STAY(HOLD),
		[EV_MOVED] = STAY(HOLD),               [EV_OVER] = GO(RESTORE, BACK),    [EV_PAUSE] = GO(HOLD, PAUSE),
		[EV_RESUME] = GO(HOLD, RESUME),        [EV_ABORT] = GO(RESTORE, BACK_NOW),
		[EV_ALARM] = GO(RESTORE, BACK_NOW),    [EV_RESTORED] = STAY(HOLD),       [EV_WRITTEN] = STAY(HOLD),
		[EV_RESTART] = GO(RESTORE, BACK_NOW),  [EV_TAKE_UP] = GO(HOLD, APPLY),
	},
	[DRILL_RESTORE] = { /* cannot be stopped, only hurried */
		[EV_START] = NO(RESTORE),              [EV_PASSED] = STAY(RESTORE),      [EV_REFUSED] = STAY(RESTORE),
		[EV_MOVED] = STAY(RESTORE),            [EV_OVER] = STAY(RESTORE),        [EV_PAUSE] = NO(RESTORE),
		[EV_RESUME] = NO(RESTORE),             [EV_ABORT] = GO(RESTORE, BACK_NOW),
		[EV_ALARM] = GO(RESTORE, BACK_NOW),    [EV_RESTORED] = GO(REPORT, WRITE), [EV_WRITTEN] = STAY(RESTORE),
		[EV_RESTART] = GO(RESTORE, BACK_NOW),  [EV_TAKE_UP] = GO(RESTORE, BACK_NOW),
	},
	[DRILL_REPORT] = {
		[EV_START] = NO(REPORT),        [EV_PASSED] = STAY(REPORT),         [EV_REFUSED] = STAY(REPORT),
		[EV_MOVED] = STAY(REPORT),      [EV_OVER] = STAY(REPORT),           [EV_PAUSE] = NO(REPORT),
		[EV_RESUME] = NO(REPORT),       [EV_ABORT] = NO(REPORT),            [EV_ALARM] = STAY(REPORT),
		[EV_RESTORED] = STAY(REPORT),   [EV_WRITTEN] = GO(CLOSED, CLOSE),   [EV_RESTART] = GO(REPORT, WRITE),
		[EV_TAKE_UP] = GO(REPORT, WRITE),
	},
	[DRILL_CLOSED] = {
		[EV_START] = NO(CLOSED),        [EV_PASSED] = STAY(CLOSED),  [EV_REFUSED] = STAY(CLOSED),
		[EV_MOVED] = STAY(CLOSED),      [EV_OVER] = STAY(CLOSED),    [EV_PAUSE] = NO(CLOSED),
		[EV_RESUME] = NO(CLOSED),       [EV_ABORT] = NO(CLOSED),     [EV_ALARM] = STAY(CLOSED),
		[EV_RESTORED] = STAY(CLOSED),   [EV_WRITTEN] = STAY(CLOSED), [EV_RESTART] = STAY(CLOSED),
		[EV_TAKE_UP] = STAY(CLOSED),
	},
};

static const char *const state_names[DRILL_STATES] = { "draft", "preflight", "canary", "25", "50", "100", "hold",
						       "restore", "report", "closed" };
static const char *const event_names[DRILL_EVENTS] = { "start", "passed", "refused", "moved", "over", "pause",
						       "resume", "abort", "alarm", "restored", "written",
						       "restart", "take-up" };
/* clang-format on */

struct drill_step drill_next(enum drill_state state, enum drill_event event)
{
	return table[state][event];
}

const char *drill_state_str(enum drill_state s)
{
	return (unsigned)s < DRILL_STATES ? state_names[s] : "?";
}

const char *drill_event_str(enum drill_event e)
{
	return (unsigned)e < DRILL_EVENTS ? event_names[e] : "?";
}

int drill_state_parse(const char *s, enum drill_state *ret_state)
{
	for (int i = 0; i < DRILL_STATES; i++)
		if (strcmp(s, state_names[i]) == 0) {
			*ret_state = (enum drill_state)i;
			return 0;
		}
	return -EINVAL;
}

int drill_state_pct(enum drill_state s)
{
	static const int pct[DRILL_STATES] = { [DRILL_25] = 25, [DRILL_50] = 50, [DRILL_100] = 100 };

	return (unsigned)s < DRILL_STATES ? pct[s] : 0;
}
