/* SPDX-License-Identifier: Apache-2.0
 * Where in a dropping site's interval the truth is taken to be. */
#include "controller/steer/lean.h"
#include "tests/unit/steer_world.h"

enum { SITES = 2, SHARDS = 5 };

struct fixture {
	struct tw w;
	struct recall mem;
};

static void init(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	tw_init(&f->w, SITES, SHARDS, 1000, 100);
	recall_sync(&f->mem, &f->w.s);
	for (size_t k = 0; k < SHARDS; k++) {
		struct cell_mem *m = recall_at(&f->mem, &f->w.s, 0, k);
		m->calm = 100;
		m->n_calm = CALM_KNOWN;
	}
}

static double near(double a, double b)
{
	return fabs(a - b) < 1e-6;
}

/* One shard asks for ten times as much; all carry a third of what they ask: the four others tell. */
static void by_the_usual(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.w.site[0].dropping = true;
	for (size_t k = 0; k < SHARDS; k++) {
		double asked = k ? 100 : 1000;
		snap_cell(&f.w.s, 0, k)->lo[RES_BPS] = asked / 3;
		snap_cell(&f.w.s, 0, k)->hi[RES_BPS] = asked * 1.2;
	}
	lean_observe(&f.mem, &f.w.s);
	double lean = lean_of(&f.mem, "s0"), of_attacked = recall_within(1000 / 3.0, 1200, lean);
	assert_true(fabs(of_attacked - 1000) < 1);
	assert_true(near(lean_of(&f.mem, "s1"), RECALL_LEAN));
	recall_done(&f.mem);
}

/* All are attacked: the usual tells nothing, and never lowers the estimate. */
static void all_attacked(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.w.site[0].dropping = true;
	for (size_t k = 0; k < SHARDS; k++) {
		snap_cell(&f.w.s, 0, k)->lo[RES_BPS] = 200;
		snap_cell(&f.w.s, 0, k)->hi[RES_BPS] = 440;
	}
	lean_observe(&f.mem, &f.w.s);
	assert_true(near(lean_of(&f.mem, "s0"), RECALL_LEAN));
	recall_done(&f.mem);
}

static void learns_and_keeps(void **state)
{
	struct fixture f;
	struct recall loaded = { 0 };
	auto_buf text = { 0 };

	(void)state;
	init(&f);
	lean_learn(&f.mem, 100, 101, 100); /* too narrow to teach */
	assert_true(near(lean_of(&f.mem, "nowhere"), RECALL_LEAN));
	for (int i = 0; i < 30; i++)
		lean_learn(&f.mem, 100, 200, 190);
	double lean = lean_of(&f.mem, "nowhere");
	assert_true(lean > 0.8 && lean < 0.9);
	lean_learn(&f.mem, 100, 200, 1e9); /* clipped, not believed */
	assert_true(lean_of(&f.mem, "nowhere") <= 1);
	recall_save(&f.mem, &text);
	for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"))
		assert_int_equal(recall_load_line(&loaded, line), 0);
	assert_true(near(lean_of(&loaded, "nowhere"), lean_of(&f.mem, "nowhere")));
	recall_done(&f.mem);
	recall_done(&loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(by_the_usual), cmocka_unit_test(all_attacked),
					    cmocka_unit_test(learns_and_keeps) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
