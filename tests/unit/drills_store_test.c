/* SPDX-License-Identifier: Apache-2.0
 * Drills over a store that fails or has lost what it knew: everything is restored all the same. */
#include "tests/unit/drills_rig.h"

#include <errno.h>
#include <string.h>

#include "proto/base/err.h"

static void die(void)
{
	act_release(w.c.drills); /* a new process knows no marks; grades come from the store */
	end_drills();
	w.c.model.epoch++;
}

static int find_unreadable(const struct store_event *ev, void *arg)
{
	if (strcmp(ev->kind, "drill.unreadable") == 0 && strcmp(ev->severity, "alert") == 0)
		++*(unsigned *)arg;
	return 0;
}

/* What the record said is lost; what was ordered is not, and comes back. */
static void test_an_unreadable_record(void **state)
{
	static const struct {
		const char *kind;
		enum drill_state s;
		const char *text; /* NULL: it is gone */
		bool restores;
	} rows[] = {
		{ "hard-withdraw", DRILL_50, "{\"id\":", true },
		{ "soft-drain", DRILL_HOLD, "{\"id\": 40, \"state\": \"of a newer version\"}", true },
		{ "soft-drain", DRILL_100, NULL, true },
		{ "hard-withdraw", DRILL_PREFLIGHT, "", false },
		{ "site-loss", DRILL_HOLD, "[]", false },
	};
	unsigned told = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *kept = NULL, *left = NULL;
		struct store_op op = { "drill/current", rows[i].text };
		start(rows[i].kind, "nyc", "");
		assert_true(rows[i].s == DRILL_PREFLIGHT || run_to(rows[i].s, 120) > 0);
		half_second();
		half_second();
		die();
		assert_int_equal(store_write(w.c.store, &op, 1, NULL), 0);
		w.c.drills = drills_new(&w.c);
		assert_int_equal(w.c.drills->running, rows[i].restores);
		if (rows[i].text) {
			assert_int_equal(store_get(w.c.store, "drill/unreadable", &kept), 0);
			assert_string_equal(kept, rows[i].text);
		}
		if (rows[i].restores) {
			assert_int_equal(w.c.drills->r.state, DRILL_RESTORE);
			assert_true(run_to(DRILL_CLOSED, 30) > 0);
			assert_verdict("aborted", "could not be read");
		}
		second();
		assert_normal();
		assert_int_equal(store_get(w.c.store, "drill/cells", &left), -ENOENT);
	}
	assert_true(w.c.drills->last_id > 40);
	store_events(w.c.store, 0, 10000, find_unreadable, &told);
	assert_int_equal(told, ARRAY_LEN(rows));
	start("soft-drain", "nyc", "");
	assert_true(run_to(DRILL_CLOSED, 120) > 0);
	assert_verdict("passed", "");
}

/* -- a store that refuses writes from the nth on ------------------------------------------------------------
 */

#define FOR_EVER (INT64_MAX / 2)

static struct {
	const struct store_ops *good;
	struct store_ops ops;
	unsigned n, from;
	int64_t lasts_us, until_us; /* until_us 0: it has not begun */
} fault;

static int faulty_write(struct store *s, const struct store_op *ops, size_t n, struct store_event *evs,
			size_t n_evs)
{
	if (fault.n++ == fault.from && !fault.until_us)
		fault.until_us = now_us + fault.lasts_us;
	return now_us < fault.until_us ? store_fail(s, "disk is full")
				       : fault.good->write(s, ops, n, evs, n_evs);
}

static void break_store(unsigned from, int64_t lasts_us)
{
	fault.good = w.c.store->ops;
	fault.ops = *fault.good;
	fault.ops.write = faulty_write;
	fault.n = 0;
	fault.from = from;
	fault.lasts_us = lasts_us;
	fault.until_us = 0;
	w.c.store->ops = &fault.ops;
}

static size_t weak(void)
{
	size_t n = 0;

	for (size_t k = 0; k < SHARDS; k++)
		n += model_cell(&w.c.model, 2, k)->wanted != 0 || w.c.model.nodes[2].shards[k].drill_dead;
	return n;
}

/* True: it began. */
static bool try_start(const char *kind)
{
	struct drill_spec s = spec(kind, "nyc", "");
	json_t *drill = NULL;

	struct op_result r = drills_start(w.c.drills, "anna", &s, &drill);
	json_decref(r.errors);
	json_decref(drill);
	return r.status == 200;
}

/* One drill whose nth write fails, and all after it for so long. False: it never came to n writes. */
static bool drill_over(const char *kind, unsigned from, int64_t lasts_us)
{
	int64_t ends_us = now_us + INT64_C(300000000);

	break_store(from, lasts_us);
	bool began = try_start(kind);
	assert_int_equal(began, from != 0);
	while (w.c.drills->running && w.c.drills->r.state != DRILL_REPORT && now_us < ends_us) {
		size_t before = weak();
		half_second();
		if (fault.until_us && now_us < fault.until_us && weak() > before)
			fail_msg("%s, write %u: weakened further (%zu, then %zu)", kind, from, before,
				 weak());
	}
	if (weak() || (began && w.c.drills->running && w.c.drills->r.state != DRILL_REPORT))
		fail_msg("%s, write %u: %s, %zu weak", kind, from, drill_state_str(w.c.drills->r.state),
			 weak());
	for (int i = 0; i < 4 && w.c.drills->running; i++)
		half_second(); /* the report */
	bool failed = fault.until_us != 0;
	fault.until_us = failed ? 1 : 0; /* the disk is given room */
	if (began && w.c.drills->running && run_to(DRILL_CLOSED, 60) < 0)
		fail_msg("%s, write %u: no end in %s", kind, from, drill_state_str(w.c.drills->r.state));
	second();
	assert_normal();
	if (began)
		json_decref(last_report());
	return failed;
}

/* Whichever write is the first that fails, for half a minute or for good: from then on nothing more is
 * weakened, and everything comes back. */
static void test_every_write_fails_once(void **state)
{
	static const char *const kinds[] = { "hard-withdraw", "site-loss" };
	static const int64_t lasts_us[] = { 30000000, FOR_EVER };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds) * ARRAY_LEN(lasts_us); i++) {
		unsigned n = 0;
		bool failed;
		do {
			teardown(NULL);
			setup(NULL);
			failed = drill_over(kinds[i / 2], n++, lasts_us[i % 2]);
		} while (failed);
		print_message("%s: %u writes\n", kinds[i / 2], n - 1);
		assert_in_range(n, 6, 100);
	}
}

/* a store that stays full ends it, with that as the reason */
static void test_a_store_that_stays_full(void **state)
{
	(void)state;
	start("soft-drain", "nyc", "");
	assert_true(run_to(DRILL_50, 60) > 0);
	break_store(0, FOR_EVER);
	assert_true(run_to(DRILL_RESTORE, 90) >= 60);
	assert_string_equal(w.c.drills->r.alarm, "store");
	assert_true(run_to(DRILL_REPORT, 30) > 0);
	assert_int_equal(weak(), 0);
	half_second();
	half_second();
	assert_true(w.c.drills->running);
	assert_false(model_cell(&w.c.model, 2, 0)->drilled); /* steering has it back */
	fault.until_us = 1;
	assert_true(run_to(DRILL_CLOSED, 30) > 0);
	assert_verdict("aborted", "store");
	assert_normal();
}

static json_t *weekly(void)
{
	return json_pack("{s:b, s:[{s:[s], s:s, s:s}], s:[{s:s, s:i, s:{s:s, s:s, s:s}}]}", "enabled", 1,
			 "windows", "days", "tue", "from", "00:00", "to", "24:00", "drills", "name",
			 "nyc weekly", "every_days", 7, "spec", "kind", "soft-drain", "site", "nyc", "reason",
			 "routine");
}

/* That a scheduled drill has begun is known as soon as it has: not in a second write that may never come. */
static void test_begun_is_known_with_the_record(void **state)
{
	json_auto_t *s = weekly();
	auto_free char *text = NULL;

	(void)state;
	assert_int_equal(drills_set_schedule(w.c.drills, "anna", s).status, 200);
	break_store(1, FOR_EVER);
	half_second();
	assert_true(w.c.drills->running);
	assert_int_equal(store_get(w.c.store, "drill/schedule-last", &text), 0);
	assert_non_null(strstr(text, "nyc weekly"));
	json_auto_t *shown = drills_schedule(w.c.drills);
	const char *next = json_string_value(json_object_get(json_object_get(shown, "next"), "nyc weekly"));
	assert_non_null(strstr(next, "2026-12-01T")); /* a week later */
	w.c.store->ops = fault.good;
}

/* Nothing was written, so nothing has begun, and it is still due. */
static void test_not_begun_is_not_known(void **state)
{
	json_auto_t *s = weekly();

	(void)state;
	assert_int_equal(drills_set_schedule(w.c.drills, "anna", s).status, 200);
	break_store(0, FOR_EVER);
	half_second();
	assert_false(w.c.drills->running);
	assert_int_equal(json_object_size(w.c.drills->schedule_last), 0);
	w.c.store->ops = fault.good;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_an_unreadable_record),	 T(test_every_write_fails_once),
		T(test_a_store_that_stays_full), T(test_begun_is_known_with_the_record),
		T(test_not_begun_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
