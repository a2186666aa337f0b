/* SPDX-License-Identifier: Apache-2.0
 * Golden cases of absorb or withdraw (Moura et al., IMC 2016, "Anycast vs. DDoS", the thought experiment):
 * two small sites of capacity 1 and one large of 10; an attack below, between and above their capacities.
 * What there is a withdrawal is here any weakening. */
#include "tests/unit/steer_world.h"

#define SMALL 1e9
#define LARGE 10e9
enum { S1, S2, L };
enum { CLEAN, OTHER, SHARDS };

struct golden {
	struct tw w;
	struct policy p;
	struct engine *e;
	struct plan plan;
};

static void setup(struct golden *g)
{
	tw_init(&g->w, 3, SHARDS, SMALL, 0);
	g->w.site[L].cap[RES_BPS] = g->w.site[L].cap_all[RES_BPS] = LARGE;
	policy_default(&g->p);
	g->e = engine_new(&g->p);
	g->plan = (struct plan){ 0 };
	/* usual: 20 % of a small site, 30 % of the large one */
	for (size_t k = 0; k < SHARDS; k++) {
		tw_load(&g->w, S1, k, 0.1 * SMALL);
		tw_load(&g->w, S2, k, 0.1 * SMALL);
		tw_load(&g->w, L, k, 0.15 * LARGE);
	}
	for (int t = 0; t < 30; t++) {
		engine_step(g->e, &g->w.s, &g->plan);
		assert_int_equal(g->plan.state, PLAN_CALM);
		plan_done(&g->plan);
		g->w.s.now_ms += 1000;
	}
}

/* The attack stays; the first plan that moves something, or the last of ten. */
static void attack(struct golden *g, size_t site, size_t shard, double bps)
{
	struct snap_cell *c = snap_cell(&g->w.s, site, shard);

	tw_load(&g->w, site, shard, c->hi[RES_BPS] + bps);
	for (int t = 0; t < 10; t++) {
		plan_done(&g->plan);
		engine_step(g->e, &g->w.s, &g->plan);
		if (g->plan.n_moves)
			return;
		g->w.s.now_ms += 1000;
	}
}

static void teardown(struct golden *g)
{
	plan_done(&g->plan);
	engine_free(g->e);
}

/* Case 1: below the capacity of the site it lands at. Everybody is served: absorb. */
static void below(void **state)
{
	struct golden g;

	(void)state;
	setup(&g);
	attack(&g, S1, CLEAN, 0.5 * SMALL);
	assert_int_equal(g.plan.n_moves, 0);
	assert_int_equal(g.plan.state, PLAN_CALM);
	teardown(&g);
}

/* Case 2 and 3: above the small site, below the large one. Less is more: what lands at the small site moves,
 * and nothing at the large one does. */
static void between(void **state)
{
	struct golden g;

	(void)state;
	setup(&g);
	attack(&g, S1, CLEAN, 1.2 * SMALL);
	assert_true(g.plan.n_moves > 0);
	for (size_t m = 0; m < g.plan.n_moves; m++) {
		assert_int_equal(g.plan.moves[m].site, S1);
		assert_true(g.plan.moves[m].to > G_NORMAL);
	}
	assert_true(g.plan.sites[S1].after < g.plan.sites[S1].before);
	assert_true(g.plan.sites[L].after <= 0.9);
	teardown(&g);
}

/* Case 5: above everything, on every shard. A withdrawal would spread it: absorb. */
static void above_all(void **state)
{
	struct golden g;

	(void)state;
	setup(&g);
	attack(&g, S1, CLEAN, 10 * SMALL);
	attack(&g, S1, OTHER, 10 * SMALL);
	assert_int_equal(g.plan.n_moves, 0);
	assert_int_equal(g.plan.state, PLAN_CONTAIN);
	teardown(&g);
}

/* Case 4: above everything, on one shard: its site is left as the absorber, clean traffic leaves it. */
static void above_one_shard(void **state)
{
	struct golden g;

	(void)state;
	setup(&g);
	attack(&g, S1, OTHER, 30 * SMALL);
	assert_int_equal(g.plan.n_moves, 1);
	assert_int_equal(g.plan.moves[0].site, S1);
	assert_int_equal(g.plan.moves[0].shard, CLEAN);
	teardown(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(below),
		cmocka_unit_test(between),
		cmocka_unit_test(above_all),
		cmocka_unit_test(above_one_shard),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
