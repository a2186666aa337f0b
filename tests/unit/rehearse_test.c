/* SPDX-License-Identifier: Apache-2.0
 * A running cluster's copy loses a part: what is served, who gets hot, how steering answers. Five sites of
 * 100 Mbit/s and four shards; what nobody knows of the Internet differs from seed to seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>

#include "controller/sim/rehearse.h"
#include "proto/base/mem.h"

#define SITES  5
#define SHARDS 4
#define CAP    100e6
#define SEEDS  8

static struct grade_set grades;
static struct snap_site sites[SITES];
static struct snap_shard shards[SHARDS];
static struct snap_cell cells[SITES * SHARDS];
static struct snapshot now;
static struct policy policy;
static struct live_loss loss;
static struct rehearsal_in in;

static uint8_t add_grade(const char *name, enum grade_kind kind, unsigned prepends, unsigned strength)
{
	struct grade *g = &grades.g[grades.n];

	*g = (struct grade){ .kind = kind, .prepends = prepends, .strength = strength };
	snprintf(g->name, sizeof(g->name), "%s", name);
	return (uint8_t)grades.n++;
}

/* Every site at this part of its capacity. */
static void load(double util)
{
	for (size_t i = 0; i < SITES; i++)
		for (size_t k = 0; k < SHARDS; k++) {
			struct snap_cell *c = snap_cell(&now, i, k);
			c->lo[RES_BPS] = c->hi[RES_BPS] = util * CAP / SHARDS;
			c->announced = true;
		}
}

static int setup(void **state)
{
	(void)state;
	policy_default(&policy);
	grades.n = 0;
	add_grade("normal", GRADE_NORMAL, 0, 0);
	add_grade("prepend1", GRADE_PREPEND, 1, 40);
	add_grade("prepend2", GRADE_PREPEND, 2, 50);
	add_grade("drain", GRADE_DRAIN, 0, 90);
	add_grade("withdrawn", GRADE_WITHDRAWN, 0, 100);
	memset(cells, 0, sizeof(cells));
	now = (struct snapshot){ .now_ms = 5000000,
				 .mode = MODE_OBSERVE,
				 .grades = &grades,
				 .sites = sites,
				 .shards = shards,
				 .cells = cells,
				 .n_sites = SITES,
				 .n_shards = SHARDS };
	for (size_t i = 0; i < SITES; i++) {
		sites[i] = (struct snap_site){ .healthy = true, .cap = { CAP }, .cap_all = { CAP } };
		snprintf(sites[i].name, STEER_NAME, "site-%zu", i);
	}
	for (size_t k = 0; k < SHARDS; k++) {
		shards[k] = (struct snap_shard){ .min_sites = 2, .family = k % 2 ? 6 : 4 };
		snprintf(shards[k].name, STEER_NAME, "web-%zu", k);
		snprintf(shards[k].service, STEER_NAME, "web");
	}
	load(0.3);
	live_loss_init(&loss, SHARDS);
	in = (struct rehearsal_in){ .now = &now, .policy = &policy, .loss = &loss };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	live_loss_done(&loss);
	return 0;
}

static int to_the_end(void *arg, int t)
{
	(void)arg;
	(void)t;
	return 1 << 20;
}

static struct rehearsed go(uint64_t seed, bool steered)
{
	struct rehearsal *r = rehearsal_open(&in);
	struct rehearsed out;

	assert_true(rehearse(r, seed, steered, to_the_end, NULL, &out));
	rehearsal_close(r);
	return out;
}

static void test_nothing_lost_nothing_changes(void **state)
{
	(void)state;
	struct rehearsed r = go(1, true);
	assert_float_equal(r.served, 1, 1e-6);
	assert_float_equal(r.served_before, 1, 1e-6);
	assert_int_equal(r.ended, REHEARSE_AFTER_S);
	assert_int_equal(r.changes, 0);
	assert_float_equal(r.peak, 0.3, 0.001);
	assert_float_equal(r.end, 0.3, 0.001);
	rehearsed_done(&r);
}

/* 30 Mbit/s go to four with 70 free each: no one takes more than that, whatever the seed. */
static void test_a_site_is_lost_and_the_others_carry_it(void **state)
{
	(void)state;
	loss.dark = true;
	loss.site = 2;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rehearsed r = go(seed, false);
		assert_float_equal(r.dropped + r.dead, 0, 1e-6);
		/* a fifth of all, for the time BGP takes: 15.3 s on average, of 900 */
		assert_float_equal(r.late, 0.2 * 15.3 / 900, 0.0005);
		assert_float_equal(r.served + r.late, 1, 1e-6);
		assert_true(r.hot != 2 && r.peak > 0.3 && r.peak < 0.61);
		assert_float_equal(r.base_util[2], 0.3, 0.001);
		assert_float_equal(r.util[(r.points - 1) * SITES + 2], 0, 1e-6);
		assert_int_equal(r.overloaded, -1);
		double all = 0;
		for (size_t i = 0; i < SITES; i++)
			all += (double)r.bps[(r.points - 1) * SITES + i];
		assert_float_equal(all / (SITES * 0.3 * CAP), 1, 0.001);
		rehearsed_done(&r);
	}
}

static void test_seeds_differ_and_a_seed_does_not(void **state)
{
	struct rehearsed a, b, c;

	(void)state;
	loss.dark = true;
	a = go(3, true);
	b = go(3, true);
	c = go(4, true);
	assert_memory_equal(a.util, b.util, a.points * SITES * sizeof(float));
	assert_int_equal(a.changes, b.changes);
	assert_true(fabs(a.peak - c.peak) > 1e-6);
	rehearsed_done(&a);
	rehearsed_done(&b);
	rehearsed_done(&c);
}

/* There is room for all of it, but not where the Internet puts it. */
static void test_steering_answers(void **state)
{
	double with = 0, without = 0;
	unsigned changes = 0;

	(void)state;
	load(0.62);
	loss.dark = true;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rehearsed r = go(seed, true), u = go(seed, false);
		with += r.dropped;
		without += u.dropped;
		changes += r.changes;
		assert_true(r.changes == 0 ||
			    (r.answered >= 0 && r.n_moves > 0 && r.moves[0].t == r.answered));
		assert_int_equal(u.changes, 0);
		assert_int_equal(u.answered, -1);
		assert_true(u.overloaded < 0 || u.relieved < 0 || u.relieved > u.overloaded);
		rehearsed_done(&r);
		rehearsed_done(&u);
	}
	assert_true(changes > 0);
	assert_true(without > 0 && with < 0.7 * without);
}

static void test_a_dead_service_that_may_not_go(void **state)
{
	(void)state;
	loss.site = 1;
	loss.blind[RES_BPS] = CAP;
	loss.blind_all = true;
	loss.fate[0] = FATE_STAYS;
	struct rehearsed r = go(1, false);
	assert_float_equal(r.dead, 1.0 / (SITES * SHARDS), 1e-4);
	assert_float_equal(r.late, 0, 1e-6);
	rehearsed_done(&r);
	loss.fate[0] = FATE_GONE;
	r = go(1, false);
	assert_float_equal(r.dead, 0, 1e-6);
	assert_true(r.late > 0 && r.late < 0.002);
	assert_float_equal(r.served + r.late, 1, 1e-6);
	rehearsed_done(&r);
}

static void test_a_node_is_lost(void **state)
{
	(void)state;
	load(0.6);
	loss.site = 4;
	loss.silent = true;
	loss.gone[RES_BPS] = 0.25 * CAP;
	struct rehearsed r = go(1, false);
	assert_int_equal(r.hot, 4);
	assert_float_equal(r.end, 0.8, 0.001);
	assert_float_equal(r.served, 1, 1e-6);
	rehearsed_done(&r);
	/* only one service of it is dead: a tenth of the site serves that one, all of it the others */
	loss.silent = false;
	loss.gone[RES_BPS] = 0;
	loss.thin[RES_BPS] = 0.9 * CAP;
	loss.fate[3] = FATE_THIN;
	r = go(1, false);
	assert_float_equal(r.end, 0.6 / SHARDS / 0.1, 0.01);
	rehearsed_done(&r);
}

/* Loads come in more than bits. */
static void test_packets_limit(void **state)
{
	(void)state;
	for (size_t c = 0; c < SITES * SHARDS; c++)
		cells[c].lo[RES_PPS] = cells[c].hi[RES_PPS] = cells[c].lo[RES_BPS] / 1000;
	sites[3].cap[RES_PPS] = 60e3;
	struct rehearsed r = go(1, true);
	assert_int_equal(r.hot, 3);
	assert_float_equal(r.end, 0.5, 0.001);
	rehearsed_done(&r);
}

/* What is weakened now begins as it is: its clients are elsewhere, and the copy has every site as measured.
 */
static void test_it_begins_as_it_is(void **state)
{
	(void)state;
	for (size_t k = 0; k < SHARDS; k++) {
		struct snap_cell *c = snap_cell(&now, 0, k);
		c->grade = c->wanted = 1;
		c->lo[RES_BPS] = c->hi[RES_BPS] = 0.1 * CAP / SHARDS;
	}
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rehearsed r = go(seed, false);
		for (size_t i = 0; i < SITES; i++)
			assert_float_equal(r.base_util[i], i ? 0.3 : 0.1, 0.03);
		rehearsed_done(&r);
	}
}

/* A site that is down already is; one that is silent is alive as far as anybody knows. */
static void test_what_is_bad_already(void **state)
{
	(void)state;
	sites[0].healthy = false;
	memset(sites[0].cap, 0, sizeof(sites[0].cap));
	for (size_t k = 0; k < SHARDS; k++)
		*snap_cell(&now, 0, k) = (struct snap_cell){ .grade = (uint8_t)(grades.n - 1) };
	sites[1].age_ms = 60000;
	loss.dark = true;
	loss.site = 2;
	struct rehearsed r = go(1, true);
	assert_float_equal(r.base_util[0], 0, 1e-6);
	assert_float_equal(r.base_util[1], 0.3, 0.03);
	assert_float_equal(r.served + r.late, 1, 0.01);
	rehearsed_done(&r);
}

static int enough(void *arg, int t)
{
	int *max = arg;

	return t >= *max ? 0 : 1 << 20;
}

static void test_it_can_be_stopped(void **state)
{
	struct rehearsed r;
	int max[] = { 0, 10, 50 };

	(void)state;
	struct rehearsal *open = rehearsal_open(&in);
	for (size_t i = 0; i < ARRAY_LEN(max); i++) {
		assert_false(rehearse(open, 1, true, enough, &max[i], &r));
		rehearsed_done(&r);
	}
	rehearsal_close(open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_nothing_lost_nothing_changes),
		T(test_a_site_is_lost_and_the_others_carry_it),
		T(test_seeds_differ_and_a_seed_does_not),
		T(test_steering_answers),
		T(test_a_dead_service_that_may_not_go),
		T(test_a_node_is_lost),
		T(test_packets_limit),
		T(test_it_begins_as_it_is),
		T(test_what_is_bad_already),
		T(test_it_can_be_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
