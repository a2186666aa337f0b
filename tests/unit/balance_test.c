/* SPDX-License-Identifier: Apache-2.0
 * Weights: capacity first, measurement corrects, and on steady load they settle and stay. */
#include "tests/unit/steer_world.h"

#define N 3

static const double caps[N] = { 20e6, 20e6, 10e6 };

static void nodes_init(struct balance_node *n, int weight)
{
	for (int i = 0; i < N; i++)
		n[i] = (struct balance_node){ .usable = true, .cap = { caps[i] }, .weight = weight };
}

/* Weighted ECMP with a hidden skew per node. */
static void offer(struct balance_node *n, double load, const double *skew, double noise, uint64_t *rng)
{
	double sum = 0;

	for (int i = 0; i < N; i++)
		sum += n[i].usable ? n[i].weight * skew[i] : 0;
	for (int i = 0; i < N; i++) {
		*rng = *rng * 6364136223846793005u + 1442695040888963407u;
		double r = (double)(*rng >> 11) / (double)(1ull << 53);
		n[i].util = n[i].usable
				    ? load * n[i].weight * skew[i] / sum / caps[i] * (1 + noise * (2 * r - 1))
				    : 0;
	}
}

static int run(struct balance_node *n, double load, const double *skew, double noise, uint64_t seed,
	       int rounds, int *ret_late)
{
	int w[N], changes = 0;

	*ret_late = 0;
	for (int t = 0; t < rounds; t++) {
		offer(n, load, skew, noise, &seed);
		if (!balance_weights(n, N, w))
			continue;
		changes++;
		*ret_late += t >= rounds / 2;
		for (int i = 0; i < N; i++)
			n[i].weight = w[i];
	}
	offer(n, load, skew, 0, &seed);
	return changes;
}

static void capacity_when_idle(void **state)
{
	struct balance_node n[N];
	int w[N];

	(void)state;
	nodes_init(n, 100);
	assert_true(balance_weights(n, N, w));
	assert_int_equal(w[0], 100);
	assert_int_equal(w[1], 100);
	assert_int_equal(w[2], 50);
	for (int i = 0; i < N; i++)
		n[i].weight = w[i];
	assert_false(balance_weights(n, N, w));
}

static void settles(void **state)
{
	static const double skews[][N] = { { 1, 1, 1 }, { 1, 1.3, 1 }, { 0.8, 1, 1.4 }, { 2, 1, 1 } };

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(skews); s++)
		for (int load = 10; load <= 60; load += 10) {
			struct balance_node n[N];
			int late;

			nodes_init(n, 100);
			run(n, load * 1e6, skews[s], 0, 1, 120, &late);
			assert_int_equal(late, 0);
			double mean = load * 1e6 / 50e6;
			for (int i = 0; load >= 20 && i < N; i++)
				assert_true(fabs(n[i].util / mean - 1) < (s == 3 ? 0.25 : 0.15));
		}
}

static void noise_does_not_hunt(void **state)
{
	static const double skew[N] = { 1, 1, 1 };

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct balance_node n[N];
		int late;

		nodes_init(n, 100);
		run(n, 40e6, skew, 0.05, seed, 300, &late);
		print_message("seed %llu: %d late changes\n", (unsigned long long)seed, late);
		assert_in_range(late, 0, 1); /* of 150 rounds */
	}
}

static void idle_claim_is_capped(void **state)
{
	struct balance_node n[N];
	int w[N];

	(void)state;
	nodes_init(n, 0);
	n[0].weight = n[1].weight = 100;
	n[2].weight = 50;
	for (int t = 0; t < 50; t++) {
		n[0].util = n[1].util = 0.9;
		n[2].util = 0; /* lies */
		balance_weights(n, N, w);
		for (int i = 0; i < N; i++)
			n[i].weight = w[i];
	}
	/* its capacity share is a fifth: one and a half times that, and no more */
	assert_true((double)n[2].weight / (n[0].weight + n[1].weight + n[2].weight) <= 0.31);
}

static void unusable_keeps_its_weight(void **state)
{
	struct balance_node n[N];
	int w[N];

	(void)state;
	nodes_init(n, 77);
	n[1].usable = false;
	balance_weights(n, N, w);
	assert_int_equal(w[1], 77);
	for (int i = 0; i < N; i++)
		n[i].usable = false;
	assert_false(balance_weights(n, N, w));
}

/* by utilisation while there is some, by weight at an idle site */
static void starved(void **state)
{
	static const struct {
		double util[N];
		int weight[N];
		bool starved;
	} rows[] = {
		{ { 0.25, 0.25, 0.25 }, { 100, 100, 50 }, false },
		{ { 0.25, 0.25, 0.25 }, { 100, 100, 10 }, false }, /* it may be slow: it has its part */
		{ { 0.30, 0.30, 0.10 }, { 100, 100, 17 }, true },
		{ { 0.28, 0.26, 0.20 }, { 100, 100, 40 }, false },
		{ { 0.10, 0.10, 0.03 }, { 100, 100, 17 }, true },
		{ { 0.10, 0.10, 0.05 }, { 100, 100, 45 }, false }, /* so little proves nothing */
		{ { 0.01, 0.01, 0.00 }, { 100, 100, 50 }, false },
		{ { 0.01, 0.01, 0.00 }, { 100, 100, 45 }, false },
		{ { 0.00, 0.00, 0.00 }, { 100, 100, 17 }, true },
		{ { 0.00, 0.00, 0.00 }, { 100, 100, 100 }, false }, /* as found: even is not starved */
	};
	struct balance_node n[N];
	int w[N];

	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		nodes_init(n, 0);
		for (int i = 0; i < N; i++) {
			n[i].util = rows[r].util[i];
			n[i].weight = rows[r].weight[i];
		}
		if (balance_give_back(n, N, w) != rows[r].starved)
			fail_msg("row %zu", r);
		for (int i = 0; i < N && !rows[r].starved; i++)
			assert_int_equal(w[i], n[i].weight);
		if (rows[r].starved) /* about its part, in one step, and the others keep theirs */
			assert_true(w[0] > 85 && w[1] > 85 && w[2] > 35 && w[2] < 65);
		n[2].usable = false; /* that one is away: the others are even */
		assert_false(balance_give_back(n, N, w));
	}
}

static void a_new_node_begins_with_its_part(void **state)
{
	struct balance_node n[N];

	(void)state;
	nodes_init(n, 0);
	assert_int_equal(balance_start(n, N, 0), 100);
	assert_int_equal(balance_start(n, N, 2), 50);
	n[0].weight = n[1].weight = 80;
	n[1].usable = false;
	assert_int_equal(balance_start(n, N, 2), 40);
	n[0].weight = 0;
	n[1].weight = 0;
	n[2].weight = 90;
	assert_int_equal(balance_start(n, N, 0), 100); /* 180 there is not */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capacity_when_idle),
		cmocka_unit_test(settles),
		cmocka_unit_test(noise_does_not_hunt),
		cmocka_unit_test(idle_claim_is_capped),
		cmocka_unit_test(unusable_keeps_its_weight),
		cmocka_unit_test(starved),
		cmocka_unit_test(a_new_node_begins_with_its_part),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
