/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "controller/ctl/file.h"
#include "controller/ctl/yaml.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "tests/fuzz/fuzz.h"

static json_t *load(const char *text)
{
	char why[YAML_WHY] = "";
	json_t *v = NULL;

	if (yaml_load(text, strlen(text), &v, why))
		fail_msg("%s: %s", text, why);
	return v;
}

/* The value of plain or quoted text, against JSON */
static void test_scalars(void **state)
{
	static const struct {
		const char *yaml, *json;
	} rows[] = {
		{ "", "null" },
		{ "# only a comment\n", "null" },
		{ "~", "null" },
		{ "null", "null" },
		{ "nULL", "\"nULL\"" },
		{ "true", "true" },
		{ "False", "false" },
		{ "TRUE", "true" },
		{ "tRue", "\"tRue\"" },
		{ "'true'", "\"true\"" },
		{ "\"5\"", "\"5\"" },
		{ "5", "5" },
		{ "-17", "-17" },
		{ "+3", "3" },
		{ "007", "7" },
		{ "0o17", "15" },
		{ "0x1F", "31" },
		{ "-0x1F", "\"-0x1F\"" },
		{ "0x", "\"0x\"" },
		{ "0b1", "\"0b1\"" },
		{ "1_000", "\"1_000\"" },
		{ "190:20:30", "\"190:20:30\"" },
		{ "64500:80", "\"64500:80\"" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "-9223372036854775808", "-9223372036854775808" },
		{ "0.85", "0.85" },
		{ "1.", "1.0" },
		{ ".5", "0.5" },
		{ "-1e3", "-1000.0" },
		{ "1e", "\"1e\"" },
		{ ".", "\".\"" },
		{ "-", "[null]" },
		{ "+", "\"+\"" },
		{ "e5", "\"e5\"" },
		{ "198.18.1.0/24", "\"198.18.1.0/24\"" },
		{ "1.2.3", "\"1.2.3\"" },
		{ "2001:db8:1::/48", "\"2001:db8:1::/48\"" },
		{ "2026-01-02", "\"2026-01-02\"" },
		{ "<<", "\"<<\"" },
		{ "a b  # c", "\"a b\"" },
		{ "\xef\xbb\xbf{\"a\": 1}", "{\"a\": 1}" },
		{ "{\"a\": \"\\ud83d\\ude00\"}", "{\"a\": \"\xf0\x9f\x98\x80\"}" },
		{ "{\"a\":1.0}", "{\"a\": 1.0}" },
		{ "{\n\t\"a\":\t1\n}", "{\"a\": 1}" },
		{ "{a: 1, b: [x, \"y\", 2]}", "{\"a\": 1, \"b\": [\"x\", \"y\", 2]}" },
		{ "a:\n- 1\n- b: 2\n", "{\"a\": [1, {\"b\": 2}]}" },
		{ "5: x\ntrue: y", "{\"5\": \"x\", \"true\": \"y\"}" },
		{ "a: |\n  one\n  two\n", "{\"a\": \"one\\ntwo\\n\"}" },
		{ "---\na: 1\n...\n", "{\"a\": 1}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_auto_t *got = load(rows[i].yaml);
		json_auto_t *want = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
		assert_non_null(want);
		if (!json_equal(got, want)) {
			auto_free char *text = json_dumps(got, JSON_ENCODE_ANY);
			fail_msg("%s: got %s, want %s", rows[i].yaml, text, rows[i].json);
		}
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *yaml, *why; /* why: what the message starts with */
	} rows[] = {
		{ "a: &x 1", "1:4: anchors" },
		{ "a: 1\nb: *x", "2:4: anchors" },
		{ "- !!str 1", "1:3: anchors" },
		{ "- !local {a: 1}", "1:3: anchors" },
		{ "&a k: 1", "1:1: anchors" },
		{ "a: 1\nb: 2\na: 3", "3:1: the key 'a' appears twice" },
		{ "{\"a\": 1, \"a\": 2}", "1:10: the key 'a' appears twice" },
		{ "? [1]\n: 2", "1:3: a key must be plain text" },
		{ "---\na\n---\nb\n", "3:1: a second document" },
		{ "a: yes", "1:4: 'yes' is unclear" },
		{ "a: off", "1:4: 'off' is unclear" },
		{ "a: .inf", "1:4: '.inf' is not a number" },
		{ "a: -.INF", "1:4: '-.INF' is not a number" },
		{ "a: .nan", "1:4: '.nan' is not a number" },
		{ "a: 1e999", "1:4: the number 1e999 is too large" },
		{ "a: 9223372036854775808", "1:4: the number 9223372036854775808 does not fit" },
		{ "a: 0xffffffffffffffff", "1:4: the number 0xffffffffffffffff does not fit" },
		{ "a: \"x\\0y\"", "1:4: text with a NUL" },
		{ "a: [1, 2", "2:1: while parsing a flow" },
		{ "a: b: c", "1:5: " },
		{ "a:\n\t- 1", "2:1: " },
		{ "a: \xff", "1:" },
		{ "{\"a\": 1", "2:1: while parsing a flow" },
		{ "%YAML 9.9\n--- 1", "1:" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char why[YAML_WHY] = "";
		json_t *v = NULL;
		int err = yaml_load(rows[i].yaml, strlen(rows[i].yaml), &v, why);

		if (!err || strncmp(why, rows[i].why, strlen(rows[i].why)))
			fail_msg("%s: err %d, '%s', want '%s'", rows[i].yaml, err, why, rows[i].why);
		assert_int_equal(err, ERR_MALFORMED);
		assert_null(v);
	}
}

static int load_repeated(const char *open, size_t n, const char *close)
{
	auto_buf b = { 0 };
	char why[YAML_WHY];
	json_auto_t *v = NULL;

	for (size_t i = 0; i < n; i++)
		buf_adds(&b, open);
	for (size_t i = 0; i < n; i++)
		buf_adds(&b, close);
	return yaml_load(b.data, b.len, &v, why);
}

static void test_limits(void **state)
{
	char why[YAML_WHY];
	json_t *v = NULL;

	(void)state;
	assert_int_equal(load_repeated("[", YAML_DEPTH_MAX, "]"), 0);
	assert_int_equal(load_repeated("[", YAML_DEPTH_MAX + 1, "]"), ERR_LIMIT);
	assert_int_equal(load_repeated("- ", YAML_DEPTH_MAX, ""), 0);
	assert_int_equal(load_repeated("- ", YAML_DEPTH_MAX + 1, ""), ERR_LIMIT);
	assert_int_equal(load_repeated("{a: ", YAML_DEPTH_MAX + 1, "}"), ERR_LIMIT);
	auto_free char *big = xcalloc(1, YAML_BYTES_MAX + 2);
	memset(big, ' ', YAML_BYTES_MAX + 1);
	assert_int_equal(yaml_load(big, YAML_BYTES_MAX, &v, why), 0);
	json_decref(v);
	assert_int_equal(yaml_load(big, YAML_BYTES_MAX + 1, &v, why), ERR_LIMIT);
}

static void test_locate(void **state)
{
	static const char text[] = "name: x\n"
				   "sites:\n"
				   "  - name: fra\n"
				   "    nodes:\n"
				   "      - {name: fra1, capacity: {bps: 5}}\n"
				   "a/b~c: 1\n";
	static const struct {
		const char *pointer;
		size_t line, col;
	} rows[] = {
		{ "", 1, 1 },
		{ "/name", 1, 7 },
		{ "/sites/0", 3, 5 },
		{ "/sites/0/name", 3, 11 },
		{ "/sites/0/nodes/0/capacity/bps", 5, 38 },
		{ "/sites/0/nodes/0/capacity/pps", 5, 32 }, /* missing: the parent */
		{ "/sites/7/name", 3, 3 },
		{ "/sit", 1, 1 },
		{ "/a~1b~0c", 6, 8 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t line = 0, col = 0;
		assert_int_equal(yaml_locate(text, strlen(text), rows[i].pointer, &line, &col), 0);
		if (line != rows[i].line || col != rows[i].col)
			fail_msg("%s: %zu:%zu", rows[i].pointer, line, col);
	}
}

/* The shipped example is a document with the types it means. */
static void test_example(void **state)
{
	auto_buf b = { .max = YAML_BYTES_MAX };

	(void)state;
	assert_int_equal(file_read("deploy/examples/cluster.yaml", &b), 0);
	json_auto_t *doc = load(b.data);
	assert_true(json_is_real(json_object_get(json_object_get(doc, "policy"), "trigger_util")));
	assert_true(json_is_integer(json_object_get(json_object_get(doc, "policy"), "settle_min_ms")));
	json_t *service = json_array_get(json_object_get(doc, "services"), 0);
	json_t *shard = json_array_get(json_object_get(service, "shards"), 0);
	assert_string_equal(json_string_value(json_array_get(json_object_get(shard, "prefixes"), 0)),
			    "198.18.1.0/24");
}

static void test_corpus(void **state)
{
	(void)state;
	assert_true(fuzz_replay("tests/fuzz/corpus/yaml") > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalars), cmocka_unit_test(test_refused), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_locate),	cmocka_unit_test(test_example), cmocka_unit_test(test_corpus),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
