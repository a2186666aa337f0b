/* SPDX-License-Identifier: Apache-2.0
 * The table of an ordered drain: every state with every event, and what must hold whatever the order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "controller/drain.h"

#define S(stage, act)                                                                                        \
	{                                                                                                    \
		DRAIN_##stage, DRAIN_##act                                                                   \
	}

/* Written down a second time, by hand: START, HEARD, FALLEN, LATE, ALLOWED, REFUSED, END. */
static const struct drain_step want[DRAIN_STAGES][DRAIN_EVENTS] = {
	{ S(DRAINING, WEAKEN), S(OFF, NOTHING), S(OFF, NOTHING), S(OFF, NOTHING), S(OFF, NOTHING),
	  S(OFF, NOTHING), S(OFF, NOTHING) },
	{ S(DRAINING, NOTHING), S(WAITING, NOTHING), S(DRAINING, NOTHING), S(DRAINING, ASK),
	  S(WITHDRAWN, WITHDRAW), S(HELD, NOTHING), S(OFF, RESTORE) },
	{ S(WAITING, NOTHING), S(WAITING, NOTHING), S(WAITING, ASK), S(WAITING, ASK), S(WITHDRAWN, WITHDRAW),
	  S(HELD, NOTHING), S(OFF, RESTORE) },
	{ S(HELD, NOTHING), S(HELD, NOTHING), S(HELD, ASK), S(HELD, ASK), S(WITHDRAWN, WITHDRAW),
	  S(HELD, NOTHING), S(OFF, RESTORE) },
	{ S(WITHDRAWN, NOTHING), S(WITHDRAWN, NOTHING), S(WITHDRAWN, NOTHING), S(WITHDRAWN, NOTHING),
	  S(WITHDRAWN, NOTHING), S(WITHDRAWN, NOTHING), S(OFF, RESTORE) },
};

static void test_every_pair(void **state)
{
	(void)state;
	for (int s = 0; s < DRAIN_STAGES; s++)
		for (int e = 0; e < DRAIN_EVENTS; e++) {
			struct drain_step is = drain_step((enum drain_stage)s, (enum drain_event)e);
			if (is.next != want[s][e].next || is.act != want[s][e].act)
				fail_msg("stage %s, event %d: %s, act %d",
					 drain_stage_str((enum drain_stage)s), e, drain_stage_str(is.next),
					 is.act);
		}
}

/* Nothing is withdrawn but by the guard's word, and END ends from everywhere. */
static void test_what_always_holds(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	enum drain_stage stage = DRAIN_OFF;

	(void)state;
	print_message("seed %u\n", seed);
	for (int i = 0; i < 100000; i++) {
		enum drain_event ev = (enum drain_event)(rand_r(&seed) % DRAIN_EVENTS);
		struct drain_step step = drain_step(stage, ev);
		if (step.next == DRAIN_WITHDRAWN && stage != DRAIN_WITHDRAWN)
			assert_true(ev == DRAIN_EV_ALLOWED && step.act == DRAIN_WITHDRAW);
		if (ev == DRAIN_EV_END)
			assert_true(step.next == DRAIN_OFF);
		if (stage == DRAIN_OFF && ev != DRAIN_EV_START)
			assert_true(step.next == DRAIN_OFF && step.act == DRAIN_NOTHING);
		if (step.act == DRAIN_ASK)
			assert_true(step.next == stage);
		stage = step.next;
	}
}

static void test_words(void **state)
{
	(void)state;
	for (int s = 0; s < DRAIN_STAGES; s++)
		assert_int_equal(drain_stage_parse(drain_stage_str((enum drain_stage)s)), s);
	assert_int_equal(drain_stage_parse("gone"), DRAIN_STAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_pair),
					    cmocka_unit_test(test_what_always_holds),
					    cmocka_unit_test(test_words) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
