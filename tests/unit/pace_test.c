/* SPDX-License-Identifier: Apache-2.0
 * When weights change: a site of three servers behind weighted ECMP, second by second. */
#include "tests/unit/steer_world.h"

#define N      3
#define SECOND 1000
#define MINUTE 60

static const double caps[N] = { 20e6, 20e6, 10e6 };

struct rig {
	struct balance_node n[N];
	struct pace_node mem[N];
	struct pace pace;
	double smooth[N]; /* utilisation as the meter shows it */
	double surge[N];  /* its load is seen so many times */
	double skew[N], noise;
	uint64_t rng;
	int64_t now_ms;
	int changes, given_back;
};

static void init(struct rig *r, double noise)
{
	*r = (struct rig){ .noise = noise, .rng = 1, .now_ms = 5000 };
	for (int i = 0; i < N; i++) {
		r->n[i] = (struct balance_node){ .usable = true, .cap = { caps[i] } };
		r->surge[i] = r->skew[i] = 1;
	}
	for (int i = 0; i < N; i++)
		r->n[i].weight = (int)(100 * caps[i] / caps[0]);
}

static double unit(uint64_t *rng)
{
	*rng = *rng * 6364136223846793005u + 1442695040888963407u;
	return (double)(*rng >> 11) / (double)(1ull << 53);
}

/* load: of the site's capacity. Returns the hottest node's utilisation. */
static double second(struct rig *r, double load)
{
	double sum = 0, used[N], max = 0;
	int w[N];

	for (int i = 0; i < N; i++)
		sum += r->n[i].usable ? r->n[i].weight * r->skew[i] : 0;
	for (int i = 0; i < N; i++) {
		double u = r->n[i].usable ? load * 50e6 * r->n[i].weight * r->skew[i] / sum / caps[i] : 0;
		u *= 1 + r->noise * (2 * unit(&r->rng) - 1);
		r->smooth[i] += (u - r->smooth[i]) / 2;
		r->n[i].util = r->smooth[i] * r->surge[i];
		max = fmax(max, r->n[i].util);
	}
	r->now_ms += SECOND;
	enum pace_why why = pace_round(&r->pace, r->mem, r->n, N, true, r->now_ms, used, w);
	if (why == PACE_STAY)
		return max;
	r->changes++;
	r->given_back += why == PACE_GIVE_BACK;
	for (int i = 0; i < N; i++)
		r->n[i].weight = w[i];
	return max;
}

static void run(struct rig *r, double load, int seconds)
{
	for (int t = 0; t < seconds; t++)
		second(r, load);
}

static double share(const struct rig *r, int i)
{
	return r->n[i].weight / (double)(r->n[0].weight + r->n[1].weight + r->n[2].weight);
}

/* A server was hot for a minute: its load fell on others within seconds, and when it is well again it gets
 * its part back, though nobody is in need of it. */
static void a_hot_spell_ends(void **state)
{
	static const double loads[] = { 0.02, 0.06, 0.10, 0.25, 0.40 };

	(void)state;
	for (size_t l = 0; l < ARRAY_LEN(loads); l++) {
		struct rig r;
		init(&r, 0.2);
		run(&r, loads[l], 30);
		assert_int_equal(r.changes, 0);
		r.surge[2] = 1.2 / loads[l];
		run(&r, loads[l], MINUTE);
		assert_true(share(&r, 2) < 0.12);
		r.surge[2] = 1;
		int before = r.changes, t = 0;
		while (share(&r, 2) < 0.15 && t++ < 150)
			second(&r, loads[l]);
		print_message("at %.0f %%: given back after %d s, weights %d %d %d\n", 100 * loads[l], t,
			      r.n[0].weight, r.n[1].weight, r.n[2].weight);
		assert_in_range(t, 10, 130);
		assert_true(share(&r, 2) > 0.15 && share(&r, 2) < 0.25);
		run(&r, loads[l], 10 * MINUTE);
		assert_in_range(r.changes - before, 1, 2);
	}
}

/* Noise is no reason for an UPDATE: a calm day with hidden inequality and noisy seconds. */
static void calm_is_silent(void **state)
{
	static const double skews[][N] = { { 1, 1, 1 }, { 1, 1.15, 1 }, { 0.9, 1, 1.1 } };

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(skews); s++)
		for (int load = 1; load <= 35; load += 2) {
			struct rig r;
			init(&r, 0.3);
			memcpy(r.skew, skews[s], sizeof(r.skew));
			r.rng = (uint64_t)load;
			run(&r, load / 100.0, 240 * MINUTE);
			assert_int_equal(r.changes, 0);
		}
}

/* What a busy day taught about its servers is not forgotten at night. */
static void what_was_learned_stays(void **state)
{
	struct rig r;

	(void)state;
	init(&r, 0.2);
	r.skew[1] = 1.6;
	run(&r, 0.7, 30 * MINUTE);
	double day = share(&r, 1);
	int changes = r.changes;
	assert_in_range(changes, 1, 6);
	assert_true(day < 0.33);
	run(&r, 0.25, 480 * MINUTE);
	assert_int_equal(r.changes, changes);
	assert_float_equal(share(&r, 1), day, 1e-9);
}

/* A server that heats whenever it has its part: given back more and more rarely, never in a storm. */
static void what_heats_again_waits_longer(void **state)
{
	struct rig r;

	(void)state;
	init(&r, 0.1);
	for (int t = 0; t < 24 * 60 * MINUTE; t++) {
		r.surge[2] = share(&r, 2) > 0.12 ? 6 : 1;
		second(&r, 0.25);
	}
	print_message("given back %d times in a day, %d changes\n", r.given_back, r.changes);
	assert_in_range(r.given_back, 10, 40);
	/* well again: in time it is taken for a healthy one */
	r.surge[2] = 1;
	run(&r, 0.25, 120 * MINUTE);
	assert_true(share(&r, 2) > 0.15);
}

/* Elephants: a few large flows fall here or there for minutes. */
static void elephants_are_not_chased(void **state)
{
	struct rig r;

	(void)state;
	init(&r, 0.1);
	for (int t = 0; t < 24 * 60 * MINUTE; t++) {
		if (t % (3 * MINUTE) == 0)
			for (int i = 0; i < N; i++)
				r.skew[i] = 0.3 + 1.4 * unit(&r.rng);
		second(&r, 0.20);
	}
	print_message("%d changes in a day\n", r.changes);
	assert_in_range(r.changes, 0, 40);
}

/* Nobody waits for calm when a server is hot. */
static void need_is_answered_at_once(void **state)
{
	struct rig r;
	int t = 0;

	(void)state;
	init(&r, 0.2);
	run(&r, 0.25, 2 * MINUTE);
	r.surge[2] = 5;
	while (r.changes == 0 && t++ < 20)
		second(&r, 0.25);
	assert_in_range(t, 0, 3);
	/* a busy site: within half a minute, by averages */
	init(&r, 0.2);
	r.n[2].weight = 100;
	for (t = 0; r.changes == 0 && t < 60; t++)
		second(&r, 0.45);
	assert_in_range(t, 5, 30);
}

/* Weights set by somebody else: what was seen with the old ones does not speak against them. */
static void set_by_hand(void **state)
{
	struct rig r;

	(void)state;
	init(&r, 0.2);
	run(&r, 0.25, MINUTE);
	r.surge[2] = 3;
	run(&r, 0.25, MINUTE);
	assert_true(share(&r, 2) < 0.15);
	r.changes = 0;
	r.surge[2] = 1;
	r.n[0].weight = r.n[1].weight = 100;
	r.n[2].weight = 50;
	pace_forget(&r.pace, r.mem, N, r.now_ms);
	run(&r, 0.25, 60 * MINUTE);
	assert_int_equal(r.changes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hot_spell_ends),
		cmocka_unit_test(calm_is_silent),
		cmocka_unit_test(what_was_learned_stays),
		cmocka_unit_test(what_heats_again_waits_longer),
		cmocka_unit_test(elephants_are_not_chased),
		cmocka_unit_test(need_is_answered_at_once),
		cmocka_unit_test(set_by_hand),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
