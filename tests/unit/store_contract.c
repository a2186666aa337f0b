/* SPDX-License-Identifier: Apache-2.0
 * What every store must do. */
#include "tests/unit/store_contract.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define PATIENCE_MS 15000

/* Too slow an etcd fails a write by its contract, and nothing of it was done: no fault of the store's. */
static bool once_more(struct store *s, mono_t end)
{
	bool slow = strncmp(store_why(s), "etcd ", 5) == 0, late = mono_diff_ms(mono_now(), end) < 0;

	if (slow && late)
		print_message("  given up: %s\n", store_why(s));
	usleep(20000);
	return slow && !late;
}

/* What comes of a call in the end. */
#define patiently(s, call)                                                                                   \
	({                                                                                                   \
		mono_t end_ = mono_add_ms(mono_now(), PATIENCE_MS);                                          \
		int r_;                                                                                      \
		do                                                                                           \
			r_ = (call);                                                                         \
		while (r_ == ERR_STORE && once_more(s, end_));                                               \
		r_;                                                                                          \
	})

int put(struct store *s, const char *key, const char *value)
{
	struct store_op op = { key, value };

	return patiently(s, store_write(s, &op, 1, NULL));
}

uint64_t event(struct store *s, const char *kind, const char *data)
{
	struct store_event ev = {
		.wall_ms = 1700000000123, .kind = kind, .severity = "info", .text = "t", .data = data
	};

	assert_int_equal(patiently(s, store_write(s, NULL, 0, &ev)), 0);
	return ev.id;
}

void expect(struct store *s, const char *key, const char *value)
{
	auto_free char *got = NULL;
	int r = store_get(s, key, &got);

	assert_int_equal(r, value ? 0 : -ENOENT);
	if (value)
		assert_string_equal(got, value);
}

static int collect(const char *key, const char *value, void *arg)
{
	struct buf *b = arg;

	buf_addf(b, "%s=%s;", key, value);
	return strcmp(value, "stop") == 0;
}

static int collect_event(const struct store_event *ev, void *arg)
{
	buf_addf(arg, "%llu:%s:%s;", (unsigned long long)ev->id, ev->kind, ev->data);
	return strcmp(ev->kind, "stop") == 0;
}

void expect_events(struct store *s, uint64_t after, size_t limit, const char *want)
{
	auto_buf b = { 0 };

	assert_int_equal(store_events(s, after, limit, collect_event, &b), 0);
	assert_string_equal(b.data ? b.data : "", want);
}

/* -- the contract ------------------------------------------------------------------------------------- */

void test_values(void **state)
{
	struct store *s = ((struct subject *)*state)->s;

	expect(s, "mode", NULL);
	assert_int_equal(put(s, "mode", "steer"), 0);
	expect(s, "mode", "steer");
	assert_int_equal(put(s, "mode", "freeze"), 0);
	expect(s, "mode", "freeze");
	assert_int_equal(put(s, "mode", ""), 0);
	expect(s, "mode", "");
	assert_int_equal(put(s, "mode", NULL), 0);
	expect(s, "mode", NULL);
	assert_int_equal(put(s, "mode", NULL), 0);
	assert_int_equal(patiently(s, store_write(s, NULL, 0, NULL)), 0);
}

void test_many_in_order(void **state)
{
	struct store *s = ((struct subject *)*state)->s;
	const struct store_op ops[] = {
		{ "a", "1" }, { "a", "2" }, { "b", "1" }, { "b", NULL }, { "c", "3" }
	};

	assert_int_equal(patiently(s, store_write(s, ops, ARRAY_LEN(ops), NULL)), 0);
	expect(s, "a", "2");
	expect(s, "b", NULL);
	expect(s, "c", "3");
}

void test_each(void **state)
{
	static const struct {
		const char *prefix, *want;
	} rows[] = {
		{ "drain/", "drain/node/x=1;drain/site/a=2;drain/site/b=3;" },
		{ "drain/site/", "drain/site/a=2;drain/site/b=3;" },
		{ "drain/site/b", "drain/site/b=3;" },
		{ "nothing", "" },
		{ "e", "e1=4;e2=stop;" },
		{ "", "drain/node/x=1;drain/site/a=2;drain/site/b=3;drain0=5;e1=4;e2=stop;" },
	};
	struct store *s = ((struct subject *)*state)->s;
	const struct store_op ops[] = {
		{ "e3", "6" }, { "drain/site/b", "3" }, { "drain/node/x", "1" }, { "drain0", "5" },
		{ "e1", "4" }, { "drain/site/a", "2" }, { "e2", "stop" },
	};

	assert_int_equal(patiently(s, store_write(s, ops, ARRAY_LEN(ops), NULL)), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_buf b = { 0 };
		assert_int_equal(store_each(s, rows[i].prefix, collect, &b), 0);
		assert_string_equal(b.data ? b.data : "", rows[i].want);
	}
}

void test_big_value(void **state)
{
	struct store *s = ((struct subject *)*state)->s;
	auto_free char *v = xcalloc(1, STORE_VALUE_MAX + 2);
	auto_free char *back = NULL;

	memset(v, 'x', STORE_VALUE_MAX);
	assert_int_equal(put(s, "cluster", v), 0);
	assert_int_equal(store_get(s, "cluster", &back), 0);
	assert_string_equal(back, v);
	v[STORE_VALUE_MAX] = 'x';
	assert_int_equal(put(s, "cluster", v), ERR_STORE);
	assert_non_null(strstr(store_why(s), "larger"));
	assert_int_equal(put(s, "", "v"), ERR_STORE);
}

void test_events(void **state)
{
	struct store *s = ((struct subject *)*state)->s;

	assert_int_equal(store_last_event(s), 0);
	expect_events(s, 0, 10, "");
	assert_int_equal(event(s, "mode", "{\"a\":1}"), 1);
	assert_int_equal(event(s, "drain", NULL), 2);
	assert_int_equal(event(s, "stop", NULL), 3);
	assert_int_equal(event(s, "end", NULL), 4);
	assert_int_equal(store_last_event(s), 4);
	expect_events(s, 0, 2, "1:mode:{\"a\":1};2:drain:{};");
	expect_events(s, 1, 10, "2:drain:{};3:stop:{};");
	expect_events(s, 3, 10, "4:end:{};");
	expect_events(s, 4, 10, "");
	expect_events(s, UINT64_MAX, 10, "");
	expect_events(s, 0, 0, "");
}

/* A refused write takes neither its values, nor its event, nor an id. */
void test_all_or_nothing(void **state)
{
	struct store *s = ((struct subject *)*state)->s;
	const struct store_op ops[] = { { "a", "1" }, { "", "refused" } };
	struct store_event ev = { .kind = "k", .severity = "info", .text = "t" };

	assert_int_equal(event(s, "first", NULL), 1);
	assert_int_equal(store_write(s, ops, 2, &ev), ERR_STORE);
	expect(s, "a", NULL);
	assert_int_equal(store_last_event(s), 1);
	assert_int_equal(patiently(s, store_write(s, ops, 1, &ev)), 0);
	assert_int_equal(ev.id, 2);
	expect(s, "a", "1");
}

/* Several events in one transaction: ids that follow each other, or none. */
void test_several_events(void **state)
{
	struct store *s = ((struct subject *)*state)->s;
	struct store_op ops[] = { { "a", "1" }, { "b", "2" }, { "", "refused" } };
	struct store_event evs[] = { { .kind = "one", .severity = "info", .text = "t" },
				     { .kind = "two", .severity = "info", .text = "t" } };

	assert_int_equal(event(s, "first", NULL), 1);
	assert_int_equal(store_write_events(s, ops, 3, evs, 2), ERR_STORE);
	expect(s, "a", NULL);
	assert_int_equal(store_last_event(s), 1);
	assert_int_equal(patiently(s, store_write_events(s, ops, 2, evs, 2)), 0);
	assert_int_equal(evs[0].id, 2);
	assert_int_equal(evs[1].id, 3);
	expect(s, "b", "2");
	expect_events(s, 1, 10, "2:one:{};3:two:{};");
	assert_true(store_ops_max(s) >= 100);
}

void expect_picks(struct store *s)
{
	static const struct {
		struct store_pick pick;
		const char *want;
	} rows[] = {
		{ { .kinds = "mode" }, "1:mode:{};40:mode:{\"actor\":\"a\"};" },
		{ { .kinds = "mode", .newest_first = true }, "40:mode:{\"actor\":\"a\"};1:mode:{};" },
		{ { .kinds = "mode", .actor = true }, "40:mode:{\"actor\":\"a\"};" },
		{ { .kinds = "agent", .newest_first = true, .before = 6 }, "5:agent.up:{};4:agent.up:{};" },
		{ { .kinds = "agent.up,mode", .after = 37 }, "38:agent.up:{};40:mode:{\"actor\":\"a\"};" },
		{ { .kinds = "agent.up,mode", .after = 37, .before = 40 }, "38:agent.up:{};" },
		{ { .kinds = "", .newest_first = true, .after = 38 },
		  "41:stop:{};" }, /* it ends what reads it */
		{ { .kinds = "", .newest_first = true, .after = 38, .before = 41 },
		  "40:mode:{\"actor\":\"a\"};39:drain:{\"actor\":\"b\"};" },
		{ { .kinds = "", .actor = true },
		  "2:drain:{\"actor\":\"a\"};39:drain:{\"actor\":\"b\"};40:mode:"
		  "{\"actor\":\"a\"};" },
		{ { .kinds = "agen" }, "" },
		{ { .kinds = "mode", .after = 40 }, "" },
		{ { .kinds = "mode", .after = UINT64_MAX }, "" },
		{ { .kinds = "mode", .newest_first = true, .before = 1 }, "" },
		{ { .kinds = "mode", .newest_first = true, .before = UINT64_MAX, .after = 1 },
		  "40:mode:{\"actor\":\"a\"};" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_buf b = { 0 };
		assert_int_equal(store_events_pick(s, &rows[i].pick, collect_event, &b), 0);
		assert_string_equal(b.data ? b.data : "", rows[i].want);
	}
}

/* Few of many, some close to each other and some far apart. */
void test_events_pick(void **state)
{
	struct store *s = ((struct subject *)*state)->s;

	event(s, "mode", NULL);
	event(s, "drain", "{\"actor\":\"a\"}");
	event(s, "stop", NULL);
	for (int i = 0; i < 35; i++)
		event(s, "agent.up", NULL);
	event(s, "drain", "{\"actor\":\"b\"}");
	event(s, "mode", "{\"actor\":\"a\"}");
	event(s, "stop", NULL);
	expect_picks(s);
}

void test_events_kept(void **state)
{
	struct subject *f = *state;
	struct store *s = f->s;
	auto_buf b = { 0 };

	for (size_t i = 0; i < f->events_kept + 10; i++)
		event(s, "k", NULL);
	assert_int_equal(store_last_event(s), f->events_kept + 10);
	assert_int_equal(store_events(s, 0, 1, collect_event, &b), 0);
	assert_string_equal(b.data, "11:k:{};");
	buf_drop(&b, b.len);
	struct store_pick pick = { .kinds = "k", .newest_first = true, .before = 13 };
	assert_int_equal(store_events_pick(s, &pick, collect_event, &b), 0);
	assert_string_equal(b.data, "12:k:{};11:k:{};");
}

void test_epoch(void **state)
{
	struct store *s = ((struct subject *)*state)->s;
	uint64_t a = 0, b = 0;

	assert_int_equal(patiently(s, store_next_epoch(s, &a)), 0);
	assert_int_equal(patiently(s, store_next_epoch(s, &b)), 0);
	assert_int_equal(a, 1);
	assert_int_equal(b, 2);
	assert_int_equal(store_epoch(s, &a), 0);
	assert_int_equal(a, 2);
	assert_int_equal(patiently(s, store_raise_epoch(s, 50)), 0);
	assert_int_equal(patiently(s, store_raise_epoch(s, 7)), 0);
	assert_int_equal(patiently(s, store_next_epoch(s, &a)), 0);
	assert_int_equal(a, 51);
}
