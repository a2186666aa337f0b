/* SPDX-License-Identifier: Apache-2.0
 * Leases against a clock that the test owns: what a restart, a reboot, a slow network and silence leave of
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/orders.h"
#include "agent/state.h"
#include "agent/uplink.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define S   UINT64_C(1000000)
#define NOW (1000 * S)

static char dir[64];
static struct prefix prefixes[3];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sluice-orders-XXXXXX");
	for (int i = 0; i < 3; i++) {
		char text[32];
		snprintf(text, sizeof(text), "198.18.%d.0/24", i);
		prefix_parse(text, &prefixes[i], NULL);
	}
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	auto_free char *path = xasprintf("%s/directive", dir);

	(void)state;
	unlink(path);
	return rmdir(dir);
}

static struct orders *start(const char *boot, uint64_t now)
{
	struct orders_disk disk = { .dir = dir };

	return orders_new(&disk, boot, now);
}

static struct shard_intent shard(int i, uint32_t permit_ms, uint32_t expires_ms)
{
	struct shard_intent in = { .grade = "less",
				   .prepends = 1,
				   .n_prefixes = 1,
				   .weight = 10,
				   .permit_ms = permit_ms,
				   .expires_ms = expires_ms };

	snprintf(in.shard, sizeof(in.shard), "web-%d", i);
	in.prefixes[0] = prefixes[i];
	return in;
}

static int take(struct orders *o, uint64_t epoch, uint64_t seq, uint64_t heard, uint64_t now,
		struct shard_intent *in, size_t n, bool *ret_back)
{
	struct msg_directive d = {
		.epoch = epoch, .seq = seq, .heard_us = heard, .shards = in, .n_shards = n
	};
	char why[TEXT_LEN];

	return orders_take(o, &d, now, ret_back, why);
}

static bool permits(const struct orders *o, int i, uint64_t now)
{
	return order_permits(orders_of(o, &prefixes[i]), now);
}

static void test_a_lease_starts_where_it_was_heard(void **state)
{
	struct orders *o = start("a", NOW);
	struct shard_intent in = shard(0, 60000, 0);

	(void)state;
	assert_null(orders_of(o, &prefixes[0]));
	/* 50 s on its way: 10 are left */
	assert_int_equal(take(o, 1, 1, NOW, NOW + 50 * S, &in, 1, NULL), 0);
	assert_true(permits(o, 0, NOW + 59 * S));
	assert_false(permits(o, 0, NOW + 60 * S));
	/* all of it on its way: none */
	assert_int_equal(take(o, 1, 2, NOW, NOW + 61 * S, &in, 1, NULL), 0);
	assert_false(permits(o, 0, NOW + 61 * S));
	/* nothing heard: no start, no lease */
	assert_int_equal(take(o, 1, 3, 0, NOW, &in, 1, NULL), 0);
	assert_false(permits(o, 0, NOW));
	/* from the future: not longer than from now */
	assert_int_equal(take(o, 1, 4, NOW + 100 * S, NOW, &in, 1, NULL), 0);
	assert_false(permits(o, 0, NOW + 60 * S));
	orders_free(o);
}

static void test_older_directives_are_refused(void **state)
{
	struct orders *o = start("a", NOW);
	struct shard_intent in = shard(0, 60000, 0);

	(void)state;
	assert_int_equal(take(o, 5, 9, NOW, NOW, &in, 1, NULL), 0);
	assert_int_equal(take(o, 5, 9, NOW, NOW, &in, 1, NULL), ERR_STALE_EPOCH);
	assert_int_equal(take(o, 5, 8, NOW, NOW, &in, 1, NULL), ERR_STALE_EPOCH);
	assert_int_equal(take(o, 4, 99, NOW, NOW, &in, 1, NULL), ERR_STALE_EPOCH);
	assert_int_equal(take(o, 6, 1, NOW, NOW, &in, 1, NULL), 0);
	orders_free(o);
	o = start("a", NOW); /* fencing survives a restart */
	assert_int_equal(take(o, 5, 100, NOW, NOW, &in, 1, NULL), ERR_STALE_EPOCH);
	assert_int_equal(orders_epoch(o), 6);
	assert_int_equal(orders_seq(o), 1);
	orders_free(o);
}

static void test_a_directive_replaces_every_permit(void **state)
{
	struct orders *o = start("a", NOW);
	struct shard_intent both[] = { shard(0, 60000, 0), shard(1, 60000, 0) }, one = shard(0, 0, 0);
	bool back = false;

	(void)state;
	assert_int_equal(take(o, 1, 1, NOW, NOW, both, 2, &back), 0);
	assert_false(back);
	assert_true(permits(o, 0, NOW) && permits(o, 1, NOW));
	assert_int_equal(take(o, 1, 2, NOW, NOW, &one, 1, &back), 0);
	assert_true(back);
	assert_false(permits(o, 0, NOW));
	assert_false(permits(o, 1, NOW)); /* not named any more */
	assert_non_null(orders_of(o, &prefixes[1]));
	assert_string_equal(orders_of(o, &prefixes[1])->intent.grade, "less");
	orders_free(o);
	o = start("a", NOW); /* what was taken back stays so */
	assert_false(permits(o, 0, NOW) || permits(o, 1, NOW));
	assert_non_null(orders_of(o, &prefixes[1]));
	orders_free(o);
}

/* the same prefix under another name: the former name's order is over, wherever it stands in the list */
static void test_a_renamed_shard_is_one_shard(void **state)
{
	struct orders *o = start("a", NOW);
	struct shard_intent in[] = { shard(0, 60000, 0), shard(1, 0, 0) };
	bool back = false;

	(void)state;
	assert_int_equal(take(o, 1, 1, NOW, NOW, in, 2, NULL), 0);
	strcpy(in[0].shard, "renamed");
	in[0].permit_ms = 0;
	in[0].weight = 77;
	assert_int_equal(take(o, 1, 2, NOW, NOW, in, 1, &back), 0);
	assert_true(back);
	assert_int_equal(orders_of(o, &prefixes[0])->intent.weight, 77);
	assert_string_equal(orders_of(o, &prefixes[1])->intent.shard, "web-1"); /* not named: kept */
	orders_free(o);
}

/* a controller that names new shards for ever is obeyed for ever */
static void test_what_is_named_comes_first(void **state)
{
	struct orders *o = start("a", NOW);
	struct shard_intent *in = xcalloc(MAX_SHARDS, sizeof(*in));

	(void)state;
	for (uint64_t seq = 1; seq <= 3; seq++) {
		for (size_t i = 0; i < MAX_SHARDS; i++) {
			in[i] = shard(0, 0, 0);
			in[i].n_prefixes = i ? 0 : 1;
			snprintf(in[i].shard, NAME_LEN, "s%zu-%zu", (size_t)seq, i);
		}
		assert_int_equal(take(o, 1, seq, NOW, NOW, in, MAX_SHARDS, NULL), 0);
		assert_string_equal(orders_of(o, &prefixes[0])->intent.shard, in[0].shard);
	}
	free(in);
	orders_free(o);
}

static void test_restart_keeps_what_is_provable(void **state)
{
	struct orders *o = start("a", NOW);
	struct shard_intent in = shard(0, 60000, 0);

	(void)state;
	assert_int_equal(take(o, 1, 1, NOW, NOW, &in, 1, NULL), 0);
	orders_free(o);
	o = start("a", NOW + 30 * S);
	assert_true(permits(o, 0, NOW + 59 * S));
	assert_false(permits(o, 0, NOW + 60 * S));
	assert_int_equal(orders_of(o, &prefixes[0])->intent.prepends, 1);
	orders_free(o);
	o = start("b", 5 * S); /* rebooted: the clock is another one */
	assert_false(permits(o, 0, 5 * S));
	assert_int_equal(orders_of(o, &prefixes[0])->intent.prepends, 1);
	assert_int_equal(orders_epoch(o), 1);
	orders_free(o);
}

static void test_a_broken_file_is_no_withdrawal(void **state)
{
	auto_free char *path = xasprintf("%s/directive", dir);
	struct orders *o = start("a", NOW);
	struct shard_intent in = shard(0, 60000, 0);

	(void)state;
	assert_int_equal(take(o, 3, 1, NOW, NOW, &in, 1, NULL), 0);
	orders_free(o);
	assert_int_equal(truncate(path, 100), 0);
	o = start("a", NOW);
	assert_null(orders_of(o, &prefixes[0])); /* no order: failsafe leaves the route alone */
	assert_int_equal(orders_epoch(o), 0);
	assert_int_equal(take(o, 3, 2, NOW, NOW, &in, 1, NULL), 0);
	orders_free(o);
}

static bool up_but_first(const struct shard_intent *in, void *arg)
{
	(void)arg;
	return strcmp(in->shard, "web-0") != 0;
}

static void test_expired_weakenings_step_back_one_by_one(void **state)
{
	struct orders *o = start("a", NOW);
	struct shard_intent in[] = { shard(0, 0, 3600000), shard(1, 0, 3600000), shard(2, 0, 3600000) };
	struct orders_relax r = { .up = up_but_first, .util = 0.2, .random = 7000 };
	uint64_t late = NOW + 3600 * S;
	char name[NAME_LEN];

	(void)state;
	assert_int_equal(take(o, 1, 1, NOW, NOW, in, 3, NULL), 0);
	assert_false(orders_expired(o, late - 1));
	assert_false(orders_relax(o, late - 1, &r, name));
	assert_true(orders_expired(o, late));
	r.util = 0.5; /* no room */
	assert_false(orders_relax(o, late, &r, name));
	r.util = -1; /* not known: health alone decides */
	assert_true(orders_relax(o, late, &r, name));
	assert_string_equal(name, "web-1"); /* web-0 is not healthy */
	assert_string_equal(orders_of(o, &prefixes[1])->intent.grade, "normal");
	assert_int_equal(orders_of(o, &prefixes[1])->intent.prepends, 0);
	assert_false(orders_relax(o, late + 22 * S - 1, &r, name)); /* 15 s and 7 s of jitter */
	assert_true(orders_relax(o, late + 22 * S, &r, name));
	assert_string_equal(name, "web-2");
	assert_false(orders_relax(o, late + 100 * S, &r, name));
	assert_true(orders_expired(o, late + 100 * S)); /* web-0 waits for its service */
	orders_free(o);
	o = start("a", late + 200 * S); /* what stepped back does not weaken again */
	assert_string_equal(orders_of(o, &prefixes[1])->intent.grade, "normal");
	assert_string_equal(orders_of(o, &prefixes[0])->intent.grade, "less");
	orders_free(o);
}

static void test_uplink(void **state)
{
	struct link_sample l = { .name = "up0", .speed_bps = 1000000, .tx_bytes = 1000, .rx_bytes = 5000 };
	struct msg_report r = { .mono_us = NOW, .links = &l, .n_links = 1 };
	struct uplink u = { 0 };
	double util = 9;

	(void)state;
	assert_false(uplink_feed(&u, &r, &util));
	r.mono_us += S, l.tx_bytes += 50000, l.rx_bytes += 100;
	assert_true(uplink_feed(&u, &r, &util));
	assert_true(util > 0.399 && util < 0.401);
	r.mono_us += S, l.tx_bytes = 0; /* a new interface */
	assert_true(uplink_feed(&u, &r, &util));
	assert_true(util < 0);
	r.mono_us += S, l.speed_bps = 0;
	assert_true(uplink_feed(&u, &r, &util));
	assert_true(util < 0);
	r.mono_us += 60 * S;
	assert_false(uplink_feed(&u, &r, &util));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_lease_starts_where_it_was_heard),
		TEST(test_older_directives_are_refused),
		TEST(test_a_directive_replaces_every_permit),
		TEST(test_a_renamed_shard_is_one_shard),
		TEST(test_what_is_named_comes_first),
		TEST(test_restart_keeps_what_is_provable),
		TEST(test_a_broken_file_is_no_withdrawal),
		TEST(test_expired_weakenings_step_back_one_by_one),
		TEST(test_uplink),
	};
	log_init("orders_test", LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
