/* SPDX-License-Identifier: Apache-2.0
 * The flap ledger: costs, decay, text and back. */
#include "tests/unit/steer_world.h"

#include "controller/steer/ledger.h"

static void costs(void **state)
{
	(void)state;
	assert_true(ledger_cost(&tw_grades, G_PRE1, G_PRE1) == 0);
	assert_true(ledger_cost(&tw_grades, G_NORMAL, G_PRE1) == 1000);
	assert_true(ledger_cost(&tw_grades, G_PRE1, G_DRAIN) == 1000);
	assert_true(ledger_cost(&tw_grades, G_NORMAL, G_GONE) == 2000);
	assert_true(ledger_cost(&tw_grades, G_GONE, G_NORMAL) == 1000);
	assert_true(ledger_cost(&tw_grades, 99, G_NORMAL) == 0);
}

static void decays(void **state)
{
	struct ledger l = { 0 };

	(void)state;
	ledger_add(&l, "fra", "a", 1000, 0);
	assert_true(fabs(ledger_get(&l, "fra", "a", 15 * 60000) - 500) < 1e-6);
	assert_true(ledger_get(&l, "fra", "b", 0) == 0);
	/* below half of the reuse limit a router forgets */
	assert_true(ledger_get(&l, "fra", "a", 22 * 60000) == 0);
	ledger_add(&l, "fra", "a", 1000, 15 * 60000);
	assert_true(fabs(ledger_get(&l, "fra", "a", 15 * 60000) - 1500) < 1e-6);
	ledger_prune(&l, 60 * 60000);
	assert_null(l.head);
	ledger_done(&l);
}

static void text_and_back(void **state)
{
	struct ledger l = { 0 }, m = { 0 };
	auto_buf out = { 0 };

	(void)state;
	ledger_add(&l, "fra", "a", 1000, 5);
	ledger_save(&l, &out);
	out.data[out.len - 1] = 0;
	assert_int_equal(ledger_load_line(&m, out.data), 0);
	assert_true(ledger_get(&m, "fra", "a", 5) == 1000);
	assert_int_equal(ledger_load_line(&m, "ledger fra"), ERR_MALFORMED);
	assert_int_equal(ledger_load_line(&m, "ledger fra a nan 5"), ERR_MALFORMED);
	assert_int_equal(ledger_load_line(&m, "ledger fra a -1 5"), ERR_MALFORMED);
	ledger_done(&l);
	ledger_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(costs),
		cmocka_unit_test(decays),
		cmocka_unit_test(text_and_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
