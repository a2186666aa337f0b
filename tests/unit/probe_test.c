/* SPDX-License-Identifier: Apache-2.0
 * Rows of attempts as strings, ten milliseconds apart: a letter is who answers, '.' is lost. */
#include "controller/ctl/probe_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "controller/ctl/probe_view.h"

#define STEP_US 10000

static struct probe_stats s;
static struct probe_event events[64];
static size_t n_events;

static void on_event(const struct probe_event *e, void *arg)
{
	(void)arg;
	assert_true(n_events < 64);
	events[n_events++] = *e;
}

static void play(const char *row)
{
	probe_stats_init(&s);
	n_events = 0;
	for (size_t i = 0; row[i]; i++) {
		struct probe_result r = { .start_us = (int64_t)(i + 1) * STEP_US,
					  .ok = row[i] != '.',
					  .took_us = 500 };
		r.node[0] = row[i];
		if (!r.ok)
			strcpy(r.error, "timed out");
		probe_stats_feed(&s, &r, on_event, NULL);
	}
}

static void expect_event(size_t i, enum probe_event_kind kind, const char *from, const char *to,
			 int64_t gap_us, uint64_t lost)
{
	assert_true(i < n_events);
	assert_int_equal(events[i].kind, kind);
	assert_string_equal(events[i].from, from);
	assert_string_equal(events[i].to, to);
	assert_int_equal(events[i].gap_us, gap_us);
	assert_int_equal(events[i].lost, lost);
}

static void test_calm(void **state)
{
	(void)state;
	play("aaaaaaaaaaaaaaaaaaaa");
	assert_int_equal(n_events, 0);
	assert_int_equal(s.sent, 20);
	assert_int_equal(s.lost, 0);
	assert_string_equal(probe_current(&s), "a");
	assert_int_equal(probe_percentile_us(&s.nodes[0], 0.99), 500);
}

static void test_switch_with_loss(void **state)
{
	(void)state;
	play("aaaa..bbbbbbbbbbbb");
	expect_event(0, PROBE_OUTAGE_START, "a", "", 0, 0);
	expect_event(1, PROBE_OUTAGE_END, "a", "b", 3 * STEP_US, 2);
	expect_event(2, PROBE_SWITCH, "a", "b", 3 * STEP_US, 2);
	assert_int_equal(n_events, 3);
	assert_int_equal(s.longest_switch_us, 3 * STEP_US);
}

static void test_switch_without_loss(void **state)
{
	(void)state;
	play("aaaabbbbbbbbbbbb");
	expect_event(0, PROBE_SWITCH, "a", "b", STEP_US, 0);
	assert_int_equal(n_events, 1);
}

static void test_turns_are_no_switch(void **state)
{
	(void)state;
	play("abcabcaabbccabcabcabcabcabcabc");
	assert_int_equal(n_events, 0);
	assert_int_equal(s.n_nodes, 3);
	play("aabbaabbbbbbbbbabbbbbbbbba"); /* heard again within ten */
	assert_int_equal(s.switches, 0);
}

static void test_lost_inside_a_switch(void **state)
{
	(void)state;
	play("aab.bbbbbbbbbbb");
	expect_event(2, PROBE_SWITCH, "a", "b", STEP_US, 0); /* b answered before the loss */
	play("aa.b.bbbbbbbbbb");
	expect_event(4, PROBE_SWITCH, "a", "b", 2 * STEP_US, 1);
	assert_int_equal(s.lost, 2);
	assert_int_equal(s.outages, 2);
}

static void test_nobody(void **state)
{
	(void)state;
	play(".....");
	assert_int_equal(n_events, 1);
	assert_string_equal(events[0].error, "timed out");
	assert_string_equal(probe_current(&s), "");
	play("...aaa");
	expect_event(1, PROBE_OUTAGE_END, "", "a", 0, 3);
}

static void test_many_nodes(void **state)
{
	(void)state;
	probe_stats_init(&s);
	n_events = 0;
	for (int i = 0; i < 200; i++) {
		struct probe_result r = { .start_us = (i + 1) * STEP_US, .ok = true };
		snprintf(r.node, sizeof(r.node), "n%d", i);
		probe_stats_feed(&s, &r, on_event, NULL);
	}
	assert_int_equal(s.n_nodes, PROBE_NODES);
	assert_string_equal(s.nodes[PROBE_NODES - 1].name, "others");
	assert_int_equal(s.nodes[PROBE_NODES - 1].answers, 200 - PROBE_NODES + 1);
}

/* Whatever comes: what is sent is answered or lost, and no outage is longer than all of it. */
static void test_random_rows(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	char row[301];

	(void)state;
	print_message("seed %u\n", seed);
	for (int k = 0; k < 500; k++) {
		size_t n = 1 + (size_t)rand_r(&seed) % 300;
		for (size_t i = 0; i < n; i++)
			row[i] = "aaaaaabbbc.."[rand_r(&seed) % 12];
		row[n] = 0;
		n_events = 0;
		probe_stats_init(&s);
		for (size_t i = 0; i < n; i++) {
			struct probe_result r = { .start_us = (int64_t)(i + 1) * STEP_US,
						  .ok = row[i] != '.' };
			r.node[0] = row[i];
			n_events = 0;
			probe_stats_feed(&s, &r, on_event, NULL);
			assert_true(n_events <= 2);
			for (size_t e = 0; e < n_events; e++)
				assert_true(events[e].gap_us >= 0 && events[e].gap_us <= r.start_us);
		}
		uint64_t answers = 0;
		for (size_t i = 0; i < s.n_nodes; i++)
			answers += s.nodes[i].answers;
		assert_int_equal(answers + s.lost, s.sent);
	}
}

static void test_views(void **state)
{
	const char *targets[] = { "198.18.1.1:80" };
	char text[256];
	auto_buf metrics = { 0 };

	(void)state;
	play("aaaa..bbbbbbbbbbbb");
	probe_event_text(&events[2], text, sizeof(text));
	assert_string_equal(text, "a -> b: switched in 30 ms, 2 lost");
	probe_event_text(&events[1], text, sizeof(text));
	assert_string_equal(text, "b answers after 30 ms, 2 lost");
	json_auto_t *j = probe_json(targets[0], &s);
	assert_int_equal(json_integer_value(json_object_get(j, "lost")), 2);
	assert_int_equal(json_array_size(json_object_get(j, "answered_by")), 2);
	probe_metrics(targets, &s, 1, &metrics);
	assert_non_null(strstr(metrics.data, "sluice_probe_lost_total{target=\"198.18.1.1:80\"} 2\n"));
	assert_non_null(strstr(metrics.data, "answers_total{target=\"198.18.1.1:80\",node=\"b\"} 12\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calm),
		cmocka_unit_test(test_switch_with_loss),
		cmocka_unit_test(test_switch_without_loss),
		cmocka_unit_test(test_turns_are_no_switch),
		cmocka_unit_test(test_lost_inside_a_switch),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_many_nodes),
		cmocka_unit_test(test_random_rows),
		cmocka_unit_test(test_views),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
