/* SPDX-License-Identifier: Apache-2.0
 * What holds a plan back is told once per cause, until it has been away for a while. */
#include "controller/hold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static mono_t at_s(int64_t s)
{
	return mono_add_ms((mono_t){ 1 }, s * 1000);
}

static void test_once(void **state)
{
	struct hold h = { 0 };

	(void)state;
	assert_true(hold_news(&h, "I1 fra", at_s(0)));
	for (int s = 1; s < 600; s++) /* every round, for ten minutes */
		assert_false(hold_news(&h, "I1 fra", at_s(s)));
	assert_true(hold_news(&h, "I1 fra", at_s(600 + 60))); /* it was away */
}

/* Plans that take turns are two causes, and no more than that. */
static void test_in_turns(void **state)
{
	struct hold h = { 0 };

	(void)state;
	assert_true(hold_news(&h, "I1 fra", at_s(0)));
	assert_true(hold_news(&h, "I4 fra", at_s(1)));
	for (int s = 2; s < 100; s++)
		assert_false(hold_news(&h, s % 2 ? "I4 fra" : "I1 fra", at_s(s)));
	assert_true(hold_news(&h, "I1 ams", at_s(100)));
}

/* More causes than are kept: told again rather than not at all; long words are cut, not overrun. */
static void test_many(void **state)
{
	struct hold h = { 0 };
	char cause[HOLD_LEN + 50];

	(void)state;
	for (int i = 0; i <= HOLD_CAUSES; i++) {
		memset(cause, 'a' + i, sizeof(cause));
		cause[sizeof(cause) - 1] = 0;
		assert_true(hold_news(&h, cause, at_s(i)));
		assert_false(hold_news(&h, cause, at_s(i)));
	}
	memset(cause, 'a', sizeof(cause) - 1);
	assert_true(hold_news(&h, cause, at_s(20)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_in_turns),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
