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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_an_unreadable_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
