/* SPDX-License-Identifier: Apache-2.0
 * Events through the API: lists, filters, streams that resume without loss or repetition, heartbeats, gaps.
 */
#include "tests/unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "controller/api/api_int.h"

static void emit(const char *kind, int n)
{
	assert_int_equal(
		events_emit(t.c.events, NULL, 0, kind, "info", json_pack("{s:i}", "n", n), "%s %d", kind, n),
		0);
}

static void test_event_list(void **state)
{
	uint64_t last = store_last_event(t.c.store);
	char path[128];

	(void)state;
	for (int i = 1; i <= 30; i++)
		emit(i % 3 ? "node.up" : "mode", i);
	json_auto_t *newest = get("/v1/events?limit=4"), *modes = get("/v1/events?limit=2&kind=mode"),
		    *both = get("/v1/events?kind=node,mode&limit=30");
	json_t *list = json_object_get(newest, "events");
	assert_int_equal(json_array_size(list), 4);
	assert_string_equal(json_string_value(dig(json_array_get(list, 3), "text", NULL)), "mode 30");
	assert_int_equal(json_integer_value(json_object_get(newest, "last")), last + 30);
	list = json_object_get(modes, "events");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(dig(json_array_get(list, 0), "text", NULL)), "mode 27");
	assert_int_equal(json_array_size(json_object_get(both, "events")), 30);
	snprintf(path, sizeof(path), "/v1/events?limit=5&kind=mode&after=%llu", (unsigned long long)last);
	json_auto_t *forward = get(path);
	list = json_object_get(forward, "events");
	assert_int_equal(json_array_size(list), 5);
	assert_string_equal(json_string_value(dig(json_array_get(list, 0), "text", NULL)), "mode 3");
	assert_int_equal(json_integer_value(json_object_get(forward, "next")), last + 15);
	conform(dig(openapi, "components", "schemas", "EventList", NULL), forward, "events");
}

static void test_stream(void **state)
{
	struct sse all, modes, back;
	char id[32], want[64];

	(void)state;
	emit("before", 0);
	sse_open(&all, "/v1/events", "viewer", NULL);
	sse_open(&modes, "/v1/events?kind=mode,guard", "viewer", NULL);
	assert_int_equal(hub_listeners(t.a->hub), 2);
	emit("node.up", 1);
	emit("mode", 2);
	UNTIL(sse_has(&all, "mode 2") && sse_has(&modes, "mode 2"));
	assert_false(sse_has(&all, "before"));
	assert_false(sse_has(&modes, "node.up"));
	assert_true(sse_has(&all, "event: node.up\ndata: {"));
	uint64_t seen = store_last_event(t.c.store);
	snprintf(want, sizeof(want), "id: %llu\nevent: mode\n", (unsigned long long)seen);
	assert_true(sse_has(&all, want));
	sse_close(&all);
	/* gone, and back: nothing is lost, nothing comes twice */
	for (int i = 3; i < 300; i++)
		emit("mode", i);
	snprintf(id, sizeof(id), "%llu", (unsigned long long)seen);
	sse_open(&back, "/v1/events", "viewer", id);
	emit("mode", 300);
	UNTIL(sse_has(&back, "mode 300\""));
	assert_false(sse_has(&back, "mode 2\""));
	const char *p = back.r.body.data;
	for (int i = 3; i <= 300; i++) {
		snprintf(want, sizeof(want), "\"mode %d\"", i);
		p = strstr(p, want);
		if (!p)
			fail_msg("%s is missing or out of order", want);
		assert_null(strstr(p + 1, want));
	}
	assert_false(sse_has(&back, "event: gap"));
	sse_close(&back);
	sse_close(&modes);
}

static void test_heartbeat(void **state)
{
	struct sse s;

	(void)state;
	hub_free(t.a->hub);
	t.a->hub = hub_new(t.a, 50);
	sse_open(&s, "/v1/events", "viewer", NULL);
	UNTIL(sse_has(&s, ": heartbeat\n\n"));
	sse_close(&s);
	/* the next heartbeats find out that nobody listens any more */
	UNTIL(hub_listeners(t.a->hub) == 0);
}

static void test_gap(void **state)
{
	struct sse s;
	uint64_t last = store_last_event(t.c.store);
	char id[32], want[64];

	(void)state;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)last);
	for (int i = 0; i < STORE_EVENTS_KEPT + 5; i++) {
		struct store_event ev = { .kind = "x", .severity = "info", .text = "x" };
		store_write(t.c.store, NULL, 0, &ev);
	}
	sse_open(&s, "/v1/events", "viewer", id);
	snprintf(want, sizeof(want), "event: gap\ndata: {\"from\":%llu,\"to\":%llu}\n",
		 (unsigned long long)last + 1, (unsigned long long)last + 5);
	UNTIL(sse_has(&s, want));
	sse_close(&s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_event_list), T(test_stream), T(test_heartbeat),
					    T(test_gap) };

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
