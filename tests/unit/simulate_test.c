/* SPDX-License-Identifier: Apache-2.0
 * A drill's simulations on an agent: absolute, refusable, and ending by the agent's own clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "agent/simulate.h"

#define S(n) ((uint64_t)(n)*1000000)

static struct simulated m;
static char why[TEXT_LEN];

static bool take(const char *drill, size_t n, struct simulate *list, bool refuse, uint64_t now_us)
{
	struct msg_directive d = { .simulate = list, .n_simulate = n };

	snprintf(d.drill, sizeof(d.drill), "%s", drill);
	why[0] = 0;
	return simulated_take(&m, &d, refuse, now_us, why);
}

static int teardown(void **state)
{
	(void)state;
	simulated_done(&m);
	m = (struct simulated){ 0 };
	return 0;
}

static void test_dead_by_shard_and_by_service(void **state)
{
	struct simulate list[] = { { .what = SIMULATE_DEAD, .shard = "web-a", .for_ms = 30000 },
				   { .what = SIMULATE_DEAD, .service = "dns", .for_ms = 30000 } };

	(void)state;
	assert_true(take("d1", 2, list, false, S(1)));
	assert_true(simulated_dead(&m, "web", "web-a"));
	assert_false(simulated_dead(&m, "web", "web-b"));
	assert_false(simulated_dead(&m, "web", NULL));
	assert_true(simulated_dead(&m, "dns", "dns-1"));
	assert_true(simulated_dead(&m, "dns", NULL));
	assert_false(simulated_mute(&m));
	assert_false(take("d1", 2, list, false, S(2)));
	assert_true(take("", 0, NULL, false, S(3)));
	assert_false(simulated_dead(&m, "web", "web-a"));
	assert_false(take("", 0, NULL, false, S(3)));
}

static void test_ends_by_itself(void **state)
{
	struct simulate list[] = { { .what = SIMULATE_DEAF, .for_ms = 30000 },
				   { .what = SIMULATE_MUTE, .for_ms = 60000 } };

	(void)state;
	take("d1", 2, list, false, S(100));
	assert_true(simulated_deaf(&m));
	assert_false(simulated_expire(&m, S(129)));
	assert_true(simulated_expire(&m, S(130)));
	assert_false(simulated_deaf(&m));
	assert_true(simulated_mute(&m));
	assert_true(simulated_expire(&m, S(160)));
	assert_false(simulated_mute(&m));
}

/* however often it is renewed: an hour after it began it is over, until another drill begins */
static void test_an_hour_at_most(void **state)
{
	struct simulate list[] = { { .what = SIMULATE_MUTE, .for_ms = 30000 } };

	(void)state;
	for (unsigned s = 0; s < 3600; s += 20)
		take("d1", 1, list, false, S(10 + s));
	assert_true(simulated_mute(&m));
	take("d1", 1, list, false, S(3605));
	simulated_expire(&m, S(3610));
	assert_false(simulated_mute(&m));
	take("d1", 1, list, false, S(3620));
	assert_false(simulated_mute(&m));
	take("d2", 1, list, false, S(3630));
	assert_true(simulated_mute(&m));
}

static void test_refused(void **state)
{
	struct simulate list[] = { { .what = SIMULATE_DEAD, .service = "web", .for_ms = 1000 } };

	(void)state;
	assert_false(take("d7", 1, list, true, S(1)));
	assert_non_null(strstr(why, "drill d7: drills are off"));
	assert_false(simulated_dead(&m, "web", NULL));
	assert_false(take("", 0, NULL, true, S(2)));
	assert_string_equal(why, "");
}

static void test_what_is_not_known_is_left_out(void **state)
{
	struct simulate list[] = { { .what = 99, .for_ms = 1000 },
				   { .what = SIMULATE_DEAD, .for_ms = 1000 },
				   { .what = SIMULATE_MUTE, .for_ms = 0 } };

	(void)state;
	assert_false(take("d1", 3, list, false, S(1)));
	assert_int_equal(m.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_dead_by_shard_and_by_service, teardown),
		cmocka_unit_test_teardown(test_ends_by_itself, teardown),
		cmocka_unit_test_teardown(test_an_hour_at_most, teardown),
		cmocka_unit_test_teardown(test_refused, teardown),
		cmocka_unit_test_teardown(test_what_is_not_known_is_left_out, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
