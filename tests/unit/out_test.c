/* SPDX-License-Identifier: Apache-2.0
 * JSON written straight away, held against jansson: the same bytes for the same values. */
#include "controller/api/out.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "controller/api/view.h"

/* view.c knows these for lists that have pages. */
const char *request_query(const struct request *req, const char *key)
{
	(void)req;
	(void)key;
	return NULL;
}

static void same(struct out *o, json_t *j)
{
	auto_free char *want = json_dumps(j, VIEW_DUMP | JSON_ENCODE_ANY);

	json_decref(j);
	assert_string_equal(o->b.data, want);
	buf_done(&o->b);
	*o = (struct out){ 0 };
}

static void test_numbers(void **state)
{
	static const double rows[] = {
		0,	1,	0.5,	 0.1,	   0.3456789,	   0.00004,    0.00005,	    0.99995,
		1.0001, 12.34,	100,	 123456.7, 999999999.9999, 1e9,	       1e11,	    1e12,
		1e17,	9.1e18, 1.0 / 3, 2.675,	   1e-9,	   1234.00049, (double)NAN, (double)INFINITY,
	};
	static const int64_t ints[] = { 0, 1, 9, 10, 99, 100, -1, -10, 1234567890123, INT64_MAX, INT64_MIN };
	struct out o = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int sign = 1; sign >= -1; sign -= 2) {
			double x = sign * rows[i];
			if (fabs(x) >= 0.00005 || sign > 0) { /* jansson has a -0.0 */
				out_ratio(&o, NULL, x);
				same(&o, view_ratio(x));
			}
			out_count(&o, NULL, x);
			same(&o, view_count(x));
		}
	unsigned seed = 1;
	for (int i = 0; i < 20000; i++) {
		seed = seed * 1103515245 + 12345;
		double x = (double)(seed >> 4) / (double)(1 + (seed & 0xffff));
		out_ratio(&o, NULL, x);
		same(&o, view_ratio(x));
	}
	for (size_t i = 0; i < ARRAY_LEN(ints); i++) {
		out_int(&o, NULL, ints[i]);
		same(&o, json_integer(ints[i]));
	}
}

static void test_texts(void **state)
{
	static const char *const rows[] = {
		"",	    "plain",	"a \"b\" \\ /", "tab\tnew\nline", "\x7f\x01", "Z\xc3\xbcrich",
		"cut \xc3", "\xff\xfe", "~ !",
	};
	struct out o = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		out_text(&o, NULL, rows[i]);
		same(&o, view_text(rows[i]));
	}
}

static void test_nesting(void **state)
{
	const double v[RES_N] = { 1, 2, 3, 4 };
	struct out o = { 0 };

	(void)state;
	out_open(&o, NULL, '{');
	out_open(&o, "empty", '[');
	out_close(&o, ']');
	out_open(&o, "list", '[');
	for (int i = 0; i < 3; i++)
		out_int(&o, NULL, i);
	out_open(&o, NULL, '{');
	out_bool(&o, "yes", true);
	out_bool(&o, "no", false);
	out_close(&o, '}');
	out_close(&o, ']');
	out_null(&o, "null");
	out_json(&o, "json", json_pack("{s:[i,i]}", "a", 1, 2));
	out_age(&o, "never", (mono_t){ 0 }, mono_now());
	out_res(&o, "res", v);
	out_close(&o, '}');
	same(&o, json_pack("{s:[], s:[i, i, i, {s:b, s:b}], s:n, s:{s:[i, i]}, s:n, s:o}", "empty", "list", 0,
			   1, 2, "yes", 1, "no", 0, "null", "json", "a", 1, 2, "never", "res", view_res(v)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_nesting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
