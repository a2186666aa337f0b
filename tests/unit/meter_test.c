/* SPDX-License-Identifier: Apache-2.0
 * Counters become rates; saturated load becomes an interval; resets and duplicates become nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "controller/meter.h"

#define CAP_BPS 10e6
#define OBJECT	40000

struct rig {
	struct cluster cl;
	struct cl_node node;
	struct cl_shard shard;
	struct node_live live;
	struct node_shard ns;
	struct meter *m;
	struct link_sample link;
	struct vip_sample vip;
	uint64_t mono_us;
};

static void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->node.cap[RES_BPS] = CAP_BPS;
	r->shard.n_prefixes = 1;
	prefix_parse("198.18.1.0/24", &r->shard.prefixes[0], NULL);
	r->cl = (struct cluster){ .nodes = &r->node, .n_nodes = 1, .shards = &r->shard, .n_shards = 1 };
	r->live.shards = &r->ns;
	r->vip.prefix = r->shard.prefixes[0];
	r->m = meter_new();
	r->mono_us = 1000000;
}

/* One second in which so many connections came, so many bytes went out, and so many packets were dropped. */
static bool second(struct rig *r, double conns, double bytes, double drops)
{
	struct msg_report rep = {
		.boot_id = "boot", .links = &r->link, .n_links = 1, .vips = &r->vip, .n_vips = 1
	};

	r->mono_us += 1000000;
	r->link.tx_bytes += (uint64_t)bytes;
	r->link.tx_packets += (uint64_t)(bytes / 1500);
	r->link.qdisc_drops += (uint64_t)drops;
	r->vip.out_bytes += (uint64_t)bytes;
	r->vip.out_packets += (uint64_t)(bytes / 1500);
	r->vip.syns += (uint64_t)conns;
	rep.mono_us = r->mono_us;
	return meter_feed(r->m, &r->cl, 0, &rep, &r->live);
}

static void test_first_report_has_no_rate(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.link.tx_bytes = 1000000000; /* since boot: not a rate */
	assert_false(second(&r, 5, 5 * OBJECT, 0));
	assert_true(r.live.util == 0);
	assert_true(second(&r, 5, 5 * OBJECT, 0));
	assert_true(r.live.util < 1);
	meter_free(r.m);
}

static void test_steady_load(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	for (int i = 0; i < 20; i++)
		second(&r, 10, 10 * OBJECT, 0);
	assert_float_equal(r.live.load[RES_BPS], 10 * OBJECT * 8, 1000);
	assert_float_equal(r.live.util, 0.32, 0.01);
	assert_float_equal(r.ns.lo[RES_BPS], r.ns.hi[RES_BPS], 1);
	assert_false(r.live.dropping);
	meter_free(r.m);
}

static void test_saturated_load_is_an_interval(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	for (int i = 0; i < 20; i++)
		second(&r, 20, 20 * OBJECT, 0);
	/* 50 connections a second want 16 Mbit/s; the link gives 10 and drops */
	for (int i = 0; i < 20; i++)
		second(&r, 50, CAP_BPS / 8, 200);
	assert_true(r.live.dropping);
	assert_float_equal(r.ns.lo[RES_BPS], CAP_BPS, CAP_BPS * 0.02);
	assert_float_equal(r.ns.hi[RES_BPS], 16e6, 16e6 * 0.05);
	assert_true(r.live.util > 1.4 && r.live.util < 1.8);
	meter_free(r.m);
}

static void test_demand_is_bounded(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	for (int i = 0; i < 20; i++)
		second(&r, 20, 20 * OBJECT, 0);
	for (int i = 0; i < 20; i++)
		second(&r, 100000, CAP_BPS / 8, 2000); /* a SYN flood */
	assert_true(r.live.util <= 4.0);
	meter_free(r.m);
}

static void test_duplicate_and_reset(void **state)
{
	struct rig r;
	double before;

	(void)state;
	rig_init(&r);
	for (int i = 0; i < 10; i++)
		second(&r, 10, 10 * OBJECT, 0);
	before = r.live.load[RES_BPS];
	r.mono_us -= 1000000; /* the same report again */
	assert_false(second(&r, 0, 0, 0));
	assert_true(r.live.load[RES_BPS] == before);
	r.link = (struct link_sample){ 0 }; /* the counters restart: never a huge or negative rate */
	r.vip.out_bytes = r.vip.syns = 0;
	second(&r, 10, 10 * OBJECT, 0);
	assert_true(r.live.load[RES_BPS] >= 0 && r.live.load[RES_BPS] <= before + 1);
	meter_free(r.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_report_has_no_rate),
		cmocka_unit_test(test_steady_load),
		cmocka_unit_test(test_saturated_load_is_an_interval),
		cmocka_unit_test(test_demand_is_bounded),
		cmocka_unit_test(test_duplicate_and_reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
