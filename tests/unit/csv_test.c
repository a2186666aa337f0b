/* SPDX-License-Identifier: Apache-2.0
 * The simulator's catchment files: what parses, what is said about what does not, and the fuzz corpus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "controller/sim/csv.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "tests/fuzz/fuzz.h"

static int parse(const char *shift, const char *share, struct csv *c, char *why)
{
	return csv_parse("shift.csv", shift, strlen(shift), "share.csv", share, share ? strlen(share) : 0, c,
			 why);
}

static void good(void **state)
{
	char why[CSV_WHY_LEN];
	struct csv c;

	(void)state;
	assert_int_equal(
		parse("home,grade,lands,fraction\r\n\"fra\", prepend1 ,fra,0.25\r\nfra,prepend1,ams,.75\r\n"
		      "# what is missing is not known\nams,withdrawn,fra,1",
		      "fra,3\nams,1\n", &c, why),
		0);
	assert_int_equal(c.n_sites, 2);
	assert_int_equal(c.n_grades, 2);
	assert_int_equal(c.n_rows, 3);
	assert_string_equal(c.site[0], "fra");
	assert_true(fabs(c.share[0] - 0.75) < 1e-9);
	csv_done(&c);
	assert_int_equal(parse("a,x,b,1\nb,x,a,1\n", NULL, &c, why), 0);
	assert_true(fabs(c.share[1] - 0.5) < 1e-9);
	csv_done(&c);
}

static void bad(void **state)
{
	static const struct {
		const char *shift, *share, *why;
	} rows[] = {
		{ "a,x,b\n", NULL, "shift.csv: line 1: 3 fields" },
		{ "\n\na,x,b,nan\n", NULL, "shift.csv: line 3: fraction \"nan\" is not a number" },
		{ "a,x,b,0.4\na,x,a,0.4\n", NULL, "shift.csv: line 2: the rows of a at x add up to 0.8000" },
		{ "a b,x,c,1\n", NULL, "line 1: home \"a b\" contains white space" },
		{ "a,x,b,1\n", "a,1\nz,1\n", "share.csv: line 2: \"z\" is no site" },
		{ "a,x,b,1\n", "a,-1\n", "share.csv: line 1: share -1 is negative" },
		{ "a,x,b,1,2,3\n", NULL, "line 1: more than 4 fields" },
	};
	char why[CSV_WHY_LEN];
	struct csv c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(parse(rows[i].shift, rows[i].share, &c, why), ERR_CONFIG);
		if (!strstr(why, rows[i].why))
			fail_msg("\"%s\" does not contain \"%s\"", why, rows[i].why);
	}
}

static void corpus(void **state)
{
	(void)state;
	assert_in_range(fuzz_replay("tests/fuzz/corpus/csv"), 7, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
		cmocka_unit_test(corpus),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
