/* SPDX-License-Identifier: Apache-2.0
 * The rehearsals' question to the engine: several places at once, nothing lost on the way. */
#include "tests/unit/steer_world.h"

static struct engine *new_engine(void)
{
	struct policy p;

	policy_default(&p);
	return engine_new(&p);
}

static void test_one_move_is_as_whatif_says(void **state)
{
	struct engine *e = new_engine();
	struct site_forecast f[TW_SITES];
	struct plan p;
	struct tw w;

	(void)state;
	tw_init(&w, 4, 2, 100e6, 10e6);
	struct move m = tw_move(&w, 1, 0, G_GONE);
	engine_forecast(e, &w.s, &m, 1, f);
	engine_whatif(e, &w.s, &m, 1, &p);
	for (size_t i = 0; i < 4; i++) {
		assert_float_equal(f[i].after, p.sites[i].after, 1e-9);
		assert_float_equal(f[i].after_hi, p.sites[i].after_hi, 1e-9);
	}
	plan_done(&p);
	engine_free(e);
}

/* two whole sites of four go: what they carried is at the other two, all of it */
static void test_two_sites_lost(void **state)
{
	struct engine *e = new_engine();
	struct site_forecast f[TW_SITES];
	struct move m[2 * TW_SHARDS];
	struct tw w;
	size_t n = 0;

	(void)state;
	tw_init(&w, 4, 8, 100e6, 5e6);
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < 8; k++)
			m[n++] = tw_move(&w, i, k, G_GONE);
	engine_forecast(e, &w.s, m, n, f);
	assert_float_equal(f[0].after, 0, 0.01);
	assert_float_equal(f[1].after, 0, 0.01);
	assert_float_equal(f[2].after + f[3].after, 1.6, 0.02);
	assert_true(f[2].after_lo < f[2].after && f[2].after < f[2].after_hi);
	assert_float_equal(f[2].before, 0.4, 1e-6);
	engine_free(e);
}

static void test_nonsense_moves_nothing(void **state)
{
	struct engine *e = new_engine();
	struct move m[] = { { .site = 99 }, { .shard = 99 }, { .to = 99 } };
	struct site_forecast f[TW_SITES];
	struct tw w;

	(void)state;
	tw_init(&w, 3, 1, 100e6, 10e6);
	engine_forecast(e, &w.s, m, 3, f);
	for (size_t i = 0; i < 3; i++)
		assert_float_equal(f[i].after, 0.1, 1e-9);
	engine_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_move_is_as_whatif_says),
		cmocka_unit_test(test_two_sites_lost),
		cmocka_unit_test(test_nonsense_moves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
