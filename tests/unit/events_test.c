/* SPDX-License-Identifier: Apache-2.0
 * Events: stored, told, counted; a failing store; listeners that come and go while they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/events.h"
#include "controller/store_impl.h"
#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"

struct fixture {
	struct store *s;
	struct events *e;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	log_init("events_test", LOG_LEVEL_ERROR + 1, false);
	store_open_memory(&f->s);
	f->e = events_new(f->s);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	events_free(f->e);
	store_close(f->s);
	free(f);
	return 0;
}

struct heard {
	struct events *e;
	void *handle;
	int n;
	bool leave;
	char last[256];
};

static void hear(const struct store_event *ev, void *arg)
{
	struct heard *h = arg;

	h->n++;
	snprintf(h->last, sizeof(h->last), "%llu %s %s: %s %s", (unsigned long long)ev->id, ev->severity,
		 ev->kind, ev->text, ev->data);
	if (h->leave) {
		events_ignore(h->e, h->handle);
		h->handle = NULL;
	}
}

static void test_emit(void **state)
{
	struct fixture *f = *state;
	const struct store_op op = { "mode", "steer" };
	struct heard h = { 0 };
	auto_free char *value = NULL;

	h.handle = events_listen(f->e, hear, &h);
	assert_int_equal(events_emit(f->e, &op, 1, "mode", "warning", json_pack("{s:s}", "to", "steer"),
				     "mode is %s", "steer"),
			 0);
	assert_string_equal(h.last, "1 warning mode: mode is steer {\"to\":\"steer\"}");
	assert_int_equal(store_get(f->s, "mode", &value), 0);
	assert_string_equal(value, "steer");
	assert_int_equal(store_last_event(f->s), 1);
	events_ignore(f->e, h.handle);
	events_emit(f->e, NULL, 0, "other", "info", NULL, "x");
	assert_int_equal(h.n, 1);
}

static int fail_write(struct store *s, const struct store_op *ops, size_t n, struct store_event *ev,
		      size_t n_evs)
{
	(void)ops;
	(void)n;
	(void)ev;
	(void)n_evs;
	return store_fail(s, "disk on fire");
}

static void test_store_fails(void **state)
{
	struct fixture *f = *state;
	const struct store_ops *good = f->s->ops;
	struct store_ops broken = *good;
	const struct store_op op = { "mode", "steer" };
	struct heard h = { 0 };

	broken.write = fail_write;
	f->s->ops = &broken;
	events_listen(f->e, hear, &h);
	assert_int_equal(events_emit(f->e, NULL, 0, "node.up", "info", NULL, "fra1 is up"), ERR_STORE);
	assert_string_equal(h.last, "0 info node.up: fra1 is up {}");
	assert_int_equal(events_emit(f->e, &op, 1, "mode", "info", NULL, "mode is steer"), ERR_STORE);
	assert_string_equal(h.last,
			    "0 alert store.failed: not done, because the store failed (disk on fire): "
			    "mode is steer {}");
	assert_int_equal(events_unstored(f->e), 2);
	f->s->ops = good;
	/* it takes writes again: what was told meanwhile is stored first, in its order */
	assert_int_equal(events_emit(f->e, NULL, 0, "node.down", "info", NULL, "fra1 is down"), 0);
	assert_string_equal(h.last, "3 info node.down: fra1 is down {}");
	assert_int_equal(events_unstored(f->e), 0);
	assert_int_equal(store_last_event(f->s), 3);
}

static void test_several_at_once(void **state)
{
	struct fixture *f = *state;
	const struct store_ops *good = f->s->ops;
	struct store_ops broken = *good;
	const struct store_op ops[] = { { "x", "1" }, { "y", "2" } };
	struct heard h = { 0 };
	struct events_draft drafts[2];

	broken.write = fail_write;
	events_listen(f->e, hear, &h);
	for (int i = 0; i < 2; i++) {
		f->s->ops = i ? good : &broken;
		drafts[0] = (struct events_draft){ "a", "info", xstrdup("the first"), NULL };
		drafts[1] = (struct events_draft){ "a", "info", xstrdup("the second"), json_object() };
		assert_int_equal(events_emit_all(f->e, ops, 2, drafts, 2), i ? 0 : ERR_STORE);
		assert_string_equal(h.last, i ? "3 info a: the second {}"
					      : "0 alert store.failed: not done, because the store failed "
						"(disk on fire): the first (and 1 more) {}");
	}
	assert_int_equal(h.n, 3);
	assert_int_equal(store_last_event(f->s), 3); /* the refusal, too */
}

static void test_leave_while_told(void **state)
{
	struct fixture *f = *state;
	struct heard h[3];

	memset(h, 0, sizeof(h));
	for (int i = 0; i < 3; i++) {
		h[i].e = f->e;
		h[i].leave = i == 1;
		h[i].handle = events_listen(f->e, hear, &h[i]);
	}
	events_emit(f->e, NULL, 0, "a", "info", NULL, "x");
	events_emit(f->e, NULL, 0, "b", "info", NULL, "x");
	assert_int_equal(h[0].n, 2);
	assert_int_equal(h[1].n, 1);
	assert_int_equal(h[2].n, 2);
}

static void add_count(const char *kind, uint64_t n, void *arg)
{
	buf_addf(arg, "%s=%llu;", kind, (unsigned long long)n);
}

static void test_counts(void **state)
{
	struct fixture *f = *state;
	auto_buf b = { 0 };

	for (int i = 0; i < 3; i++)
		events_emit(f->e, NULL, 0, i ? "a" : "b", "info", NULL, "x");
	events_counts(f->e, add_count, &b);
	assert_string_equal(b.data, "b=1;a=2;");
}

static void test_json(void **state)
{
	const struct store_event ev = { .id = 7,
					.wall_ms = 1700000000123,
					.kind = "mode",
					.severity = "info",
					.text = "cut in a character \xc3",
					.data = "{\"x\":1}" };
	json_auto_t *j = events_json(&ev);
	auto_free char *text = json_dumps(j, JSON_SORT_KEYS | JSON_COMPACT);

	(void)state;
	assert_string_equal(text, "{\"data\":{\"x\":1},\"id\":7,\"kind\":\"mode\",\"severity\":\"info\","
				  "\"text\":\"cut in a character ?\",\"time\":\"2023-11-14T22:13:20.123Z\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_emit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_several_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leave_while_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
