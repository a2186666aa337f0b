/* SPDX-License-Identifier: Apache-2.0
 * Every state with every event, against the expectation written down here once more; then the properties that
 * matter, over random walks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "controller/lead.h"

/* Rows: states, columns: events, in the order of lead.h: "next/action". */
static const char *const want[LEAD_STATES][LEAD_EVENTS] = {
	{ "C/campaign", "F/point", "F/resign", "F/", "F/", "F/", "F/", "F/", "F/resign" },
	{ "C/", "C/", "L/begin", "F/", "C/", "C/", "C/", "F/", "F/resign" },
	{ "X/halt", "F/point", "L/", "L/", "L/extend", "X/halt", "X/halt", "L/", "F/resign" },
	{ "C/campaign", "F/point", "F/resign", "X/", "L/extend", "X/", "X/", "X/", "F/resign" },
};

static void test_table(void **state)
{
	static const char states[] = "FCLX";
	static const char *const actions[] = { "", "campaign", "begin", "extend", "halt", "point", "resign" };
	char got[32];

	(void)state;
	for (unsigned s = 0; s < LEAD_STATES; s++)
		for (unsigned e = 0; e < LEAD_EVENTS; e++) {
			struct lead_step step = lead_decide(s, e);
			snprintf(got, sizeof(got), "%c/%s", states[step.to], actions[step.action]);
			if (strcmp(got, want[s][e]) != 0)
				fail_msg("%s, %s: %s instead of %s", lead_state_str(s), lead_event_str(e),
					 got, want[s][e]);
		}
}

/* A leader is made by winning, or by a renewal of what was won and not given back; leaving it always halts,
 * points or resigns. */
static void test_walks(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	enum lead_state s = LEAD_FOLLOWER;
	bool holds = false;

	(void)state;
	print_message("seed %u\n", seed);
	for (int i = 0; i < 100000; i++) {
		enum lead_event e = (enum lead_event)((unsigned)rand_r(&seed) % LEAD_EVENTS);
		struct lead_step step = lead_decide(s, e);
		if (step.action == LEAD_BEGIN)
			holds = true;
		if (step.action == LEAD_CAMPAIGN || step.action == LEAD_RESIGN || step.action == LEAD_POINT)
			holds = false;
		if (step.to == LEAD_LEADER)
			assert_true(holds);
		if (s == LEAD_LEADER && step.to != LEAD_LEADER)
			assert_true(step.action == LEAD_HALT || step.action == LEAD_POINT ||
				    step.action == LEAD_RESIGN);
		s = step.to;
	}
}

static void test_leads(void **state)
{
	struct leadership alone = { 0 };
	struct leadership l = { .shared = true,
				.state = LEAD_LEADER,
				.deadline = mono_add_ms(mono_now(), 10000) };

	(void)state;
	assert_true(leads(&alone));
	assert_true(leads(&l));
	l.deadline =
		mono_add_ms(mono_now(), -1); /* a process that slept: the state is old, the clock is not */
	assert_false(leads(&l));
	assert_true(listens(&l));
	l.state = LEAD_FOLLOWER;
	assert_false(listens(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_walks),
		cmocka_unit_test(test_leads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
