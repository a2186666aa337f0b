/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "controller/ctl/column.h"
#include "controller/diff.h"
#include "controller/ctl/drill_view.h"
#include "controller/ctl/opts.h"
#include "controller/ctl/output.h"
#include "controller/ctl/sse.h"
#include "controller/ctl/file.h"
#include "controller/ctl/status_view.h"
#include "controller/ctl/text.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"

/* -- text --------------------------------------------------------------------------------------------- */

static void test_duration(void **state)
{
	static const struct {
		const char *text;
		int64_t s; /* 0: refused */
	} rows[] = {
		{ "90s", 90 }, { "30m", 1800 }, { "1h30m", 5400 },     { "2d", 172800 }, { "", 0 },
		{ "5", 0 },    { "m", 0 },	{ "0s", 0 },	       { "-5m", 0 },	 { "5x", 0 },
		{ "5m3", 0 },  { "1.5h", 0 },	{ "99999999999d", 0 }, { "9999d", 0 },	 { " 5m", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t s = -1;
		int err = text_duration(rows[i].text, &s);
		assert_int_equal(err, rows[i].s ? 0 : -EINVAL);
		assert_int_equal(s, rows[i].s ? rows[i].s : -1);
	}
}

static void test_figures(void **state)
{
	char b[TEXT_NUM];

	(void)state;
	assert_string_equal(text_age(850, b), "0.8s");
	assert_string_equal(text_age(12000, b), "12s");
	assert_string_equal(text_age(75000, b), "1m15s");
	assert_string_equal(text_age(3 * 3600e3 + 5 * 60e3, b), "3h05m");
	assert_string_equal(text_age(50 * 3600e3, b), "2d2h");
	assert_string_equal(text_age(-1, b), "-");
	assert_string_equal(text_si(0, b), "0");
	assert_string_equal(text_si(999, b), "999");
	assert_string_equal(text_si(999.96, b), "1.0k");
	assert_string_equal(text_si(999960, b), "1.0M");
	assert_string_equal(text_si(20e6, b), "20.0M");
	assert_string_equal(text_si(-1500, b), "-1.5k");
	assert_string_equal(text_pct(0.853, b), "85%");
	assert_string_equal(text_pct(1e300, b), "-");
}

static void test_clean(void **state)
{
	static const char *const rows[][2] = {
		{ "plain", "plain" },		{ "a\033[31mb", "a?[31mb" },
		{ "a\r\nb\tc\x7f", "a??b?c?" }, { "\xc2\x9b 31m", "? 31m" }, /* C1: CSI in one character */
		{ "\xe2\x80\xae x", "? x" },				     /* right-to-left override */
		{ "f\xc3\xbcr", "f\xc3\xbcr" }, { "\xc0\xaf\xff", "???" },   /* overlong, stray */
		{ "\xed\xa0\x80", "???" },				     /* surrogate */
		{ "\xe2\x82", "??" },					     /* cut short */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *got = text_clean(rows[i][0]);
		assert_string_equal(got, rows[i][1]);
	}
	assert_int_equal(text_width("f\xc3\xbcr"), 3);
}

/* -- table and JSON ----------------------------------------------------------------------------------- */

static char *printed(bool colour, void (*fn)(struct out *o))
{
	char *text = NULL;
	size_t len = 0;
	struct out o = { .f = open_memstream(&text, &len), .colour = colour };

	fn(&o);
	fclose(o.f);
	return text;
}

static void small_table(struct out *o)
{
	static const char *const titles[] = { "NAME", ">UTIL", "NOTE", NULL };
	auto_table *t = table_new(titles);

	assert_int_equal(table_rows(t), 0);
	table_add(t, TINT_NONE, "f\xc3\xbcr");
	table_add(t, TINT_BAD, "110%%");
	table_add(t, TINT_NONE, "\033[2Jhot");
	table_add(t, TINT_NONE, "longname");
	table_add(t, TINT_NONE, "5%%");
	table_add(t, TINT_NONE, "%s", "");
	assert_int_equal(table_rows(t), 2);
	table_print(t, o, 1);
}

static void test_table(void **state)
{
	auto_free char *plain = printed(false, small_table);
	auto_free char *tinted = printed(true, small_table);

	(void)state;
	assert_string_equal(plain, " NAME      UTIL  NOTE\n"
				   " f\xc3\xbcr       110%  ?[2Jhot\n"
				   " longname    5%\n");
	assert_non_null(strstr(tinted, "  \033[1;31m110%\033[0m  ?[2Jhot\n"));
}

static void columns(struct out *o)
{
	static const struct column cols[] = {
		{ "SITE", "name", COL_TEXT },
		{ "HEALTHY", "healthy", COL_YES },
		{ "DRAINING", "drain.on", COL_FLAG },
		{ ">UTIL", "util", COL_PCT },
		{ ">LOAD", "load.bps", COL_SI },
		{ ">AGE", "age_ms", COL_AGE },
		{ "NODES", "nodes", COL_LIST },
		{ ">N", "nodes", COL_COUNT },
		{ 0 },
	};
	json_auto_t *items = json_loads(
		"[{\"name\": \"fra\", \"healthy\": true, \"drain\": {\"on\": true}, \"util\": 0.5,"
		"\"load\": {\"bps\": 2.5e6}, \"age_ms\": 800, \"nodes\": [\"a\", {\"name\": \"b\"}]},"
		"{\"name\": \"ams\", \"healthy\": false, \"drain\": null, \"util\": null, \"nodes\": []}]",
		0, NULL);
	auto_table *t = column_table(cols, items);

	table_print(t, o, 0);
}

static void test_columns(void **state)
{
	auto_free char *text = printed(false, columns);

	(void)state;
	assert_string_equal(text, "SITE  HEALTHY  DRAINING  UTIL  LOAD   AGE  NODES  N\n"
				  "fra   yes      draining   50%  2.5M  0.8s  a,b    2\n"
				  "ams   NO                    -     -     -  -      0\n");
}

static void more_columns(struct out *o)
{
	static const struct column cols[] = {
		{ ">LOAD", "load", COL_RANGE },
		{ "SITES", "sites", COL_CELLS },
		{ "GRADES", "grades", COL_COUNTS },
		{ ">SINCE", "since", COL_SINCE },
		{ ">N", "n", COL_NUM },
		{ 0 },
	};
	json_auto_t *items =
		json_loads("[{\"load\": {\"lo\": 1e6, \"hi\": 2e6}, \"since\": 90000, \"n\": 1.5, "
			   "\"grades\": {\"normal\": 2, \"less\": 1},"
			   "\"sites\": [{\"site\": \"a\", \"grade\": \"normal\", \"wanted\": \"normal\"},"
			   "{\"site\": \"b\", \"grade\": \"normal\", \"wanted\": \"prepend1\"}]},"
			   "{\"load\": {\"lo\": 5, \"hi\": 5}, \"since\": null, \"n\": 7, \"grades\": {}, "
			   "\"sites\": []}]",
			   0, NULL);
	auto_table *t = column_table(cols, items);

	table_print(t, o, 0);
}

static void test_more_columns(void **state)
{
	auto_free char *text = printed(false, more_columns);

	(void)state;
	assert_string_equal(text, "     LOAD  SITES                       GRADES           SINCE    N\n"
				  "1.0M-2.0M  a:normal b:normal>prepend1  normal:2 less:1  1m30s  1.5\n"
				  "        5  -                           -                    -    7\n");
}

/* The answer of /v1/status in tests/golden/status/NAME.json, printed, is NAME.txt. With GOLDEN_WRITE=1 in the
 * environment it is written instead: look at it before you commit it. */
static const char *golden;

static void print_golden(struct out *o)
{
	auto_free char *path = xasprintf("tests/golden/status/%s.json", golden);
	json_auto_t *s = json_load_file(path, 0, NULL);

	assert_non_null(s);
	status_print(o, s);
}

static void test_status(void **state)
{
	static const char *const names[] = { "calm", "storm", "standby" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		golden = names[i];
		auto_free char *path = xasprintf("tests/golden/status/%s.txt", golden);
		auto_free char *got = printed(false, print_golden);
		auto_buf want = { 0 };
		if (getenv("GOLDEN_WRITE")) {
			auto_fclose FILE *f = fopen(path, "we");
			fputs(got, f);
			continue;
		}
		assert_int_equal(file_read(path, &want), 0);
		assert_string_equal(got, want.data);
	}
}

static void json_value(struct out *o)
{
	json_auto_t *v = json_pack("{s:s}", "text", "\033[31m \xc3\xa9");

	out_json(o, v);
}

static void test_json(void **state)
{
	auto_free char *text = printed(true, json_value);

	(void)state;
	assert_string_equal(text, "{\n  \"text\": \"\\u001B[31m \\u00E9\"\n}\n");
}

/* -- options ------------------------------------------------------------------------------------------ */

static void test_opts(void **state)
{
	bool flag = false;
	const char *s = NULL;
	uint64_t n = 7;
	int64_t t = 0;
	const struct opt opts[] = {
		{ 'f', "flag", NULL, "", OPT_FLAG, &flag },
		{ 's', "str", "X", "", OPT_STR, &s },
		{ 0, "num", "N", "", OPT_UINT, &n },
		{ 'e', "expires", "T", "", OPT_SECONDS, &t },
	};
	char *argv[] = { (char[]){ "x" },	 (char[]){ "arg" },	  (char[]){ "-fs" }, (char[]){ "v" },
			 (char[]){ "--num=12" }, (char[]){ "--expires" }, (char[]){ "5m" },  NULL };
	char why[128] = "";
	int first = 0;

	(void)state;
	assert_int_equal(opts_parse(opts, 4, 7, argv, false, &first, why, sizeof(why)), 0);
	assert_int_equal(first, 6);
	assert_string_equal(argv[6], "arg");
	assert_true(flag);
	assert_string_equal(s, "v");
	assert_int_equal(n, 12);
	assert_int_equal(t, 300);

	static const char *const bad[][2] = {
		{ "--num=-1", "--num wants a whole number, not '-1'" },
		{ "--num=18446744073709551616", "--num wants a whole number, not '18446744073709551616'" },
		{ "--expires=1", "--expires wants a time such as 90s, 30m, 1h30m or 2d, not '1'" },
		{ "-q", "unknown option -q" },
		{ "--quux", "unknown or ambiguous option --quux" },
		{ "--str", "--str needs a value" },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_free char *word = xstrdup(bad[i][0]);
		char *args[] = { (char[]){ "x" }, word, NULL };
		assert_int_equal(opts_parse(opts, 4, 2, args, false, &first, why, sizeof(why)), -EINVAL);
		assert_string_equal(why, bad[i][1]);
	}
}

/* -- diff --------------------------------------------------------------------------------------------- */

static void test_diff(void **state)
{
	static const struct {
		const char *from, *to, *changes;
	} rows[] = {
		{ "{\"a\": 1}", "{\"a\": 1.0}", "[]" },
		{ "{\"a\": true}", "{\"a\": 1}",
		  "[{\"op\":\"change\",\"path\":\"/a\",\"from\":true,\"to\":1}]" },
		{ "{\"a/b\": 1}", "{\"c~\": 2}",
		  "[{\"op\":\"remove\",\"path\":\"/a~1b\",\"from\":1},{\"op\":\"add\",\"path\":\"/"
		  "c~0\",\"to\":2}]" },
		{ "{\"s\": [{\"name\":\"x\",\"v\":1},{\"name\":\"y\"}]}",
		  "{\"s\": [{\"name\":\"y\"},{\"name\":\"x\",\"v\":2}]}",
		  "[{\"op\":\"change\",\"path\":\"/s/x/v\",\"from\":1,\"to\":2}]" },
		{ "{\"s\": [{\"name\":\"x\"}]}", "{\"s\": []}",
		  "[{\"op\":\"remove\",\"path\":\"/s/x\",\"from\":{\"name\":\"x\"}}]" },
		{ "[1,2]", "[2,1]", "[{\"op\":\"change\",\"path\":\"\",\"from\":[1,2],\"to\":[2,1]}]" },
		{ "[{\"name\":\"x\"},{\"name\":\"x\"}]", "[{\"name\":\"x\"}]",
		  "[{\"op\":\"change\",\"path\":\"\",\"from\":[{\"name\":\"x\"},{\"name\":\"x\"}],\"to\":[{"
		  "\"name\":\"x\"}]}]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_auto_t *from = json_loads(rows[i].from, 0, NULL), *to = json_loads(rows[i].to, 0, NULL);
		json_auto_t *got = diff_documents(from, to);
		auto_free char *text = json_dumps(got, JSON_COMPACT);
		assert_string_equal(text, rows[i].changes);
	}
}

/* -- server-sent events ------------------------------------------------------------------------------- */

static void collect(const char *id, const char *event, const char *data, void *arg)
{
	buf_addf(arg, "(%s|%s|%s)", id, event, data);
}

static const char sse_text[] =
	": hello\n\nid: 1\nevent: mode\ndata: {\"a\":\ndata:1}\n\n"
	"data: no id\r\n\r\nid: 3\rdata:  two\r\rretry: 250\nid: 4\n\ndata\n\ndata: half\n";
static const char sse_want[] = "(1|mode|{\"a\":\n1})(1|message|no id)(3|message| two)(4|message|)";

/* In pieces of every size the same events come out. */
static void test_sse(void **state)
{
	(void)state;
	for (size_t piece = 1; piece <= sizeof(sse_text); piece++) {
		struct sse s = { 0 };
		auto_buf got = { 0 };

		for (size_t at = 0; at < sizeof(sse_text) - 1; at += piece) {
			size_t left = sizeof(sse_text) - 1 - at;
			assert_int_equal(
				sse_feed(&s, sse_text + at, left < piece ? left : piece, collect, &got), 0);
		}
		assert_string_equal(got.data, sse_want);
		assert_int_equal(s.retry_ms, 250);
		/* a new connection: the half event is gone, the id stays */
		sse_reset(&s);
		assert_string_equal(s.id, "4");
		assert_int_equal(sse_feed(&s, "data: x\n\n", 9, collect, &got), 0);
		assert_non_null(strstr(got.data, "(4|message|x)"));
		sse_done(&s);
	}
}

static void test_sse_limit(void **state)
{
	auto_free char *block = xcalloc(1, 65536);
	struct sse s = { 0 };
	int err = 0;

	(void)state;
	memset(block, 'x', 65536);
	for (size_t i = 0; i < 2 * SSE_MAX / 65536 && !err; i++)
		err = sse_feed(&s, block, 65536, collect, NULL);
	assert_int_equal(err, ERR_LIMIT);
	sse_done(&s);
}

/* What waits for the mode says so, and what lets it go on, instead of how far it has come. */
static void test_a_drill_that_waits(void **state)
{
	json_auto_t *d = json_pack("{s:s, s:s, s:s, s:n}", "id", "d7", "kind", "soft-drain", "state",
				   "restore", "waits");
	char *text = NULL;
	size_t size;
	struct out o = { .f = open_memstream(&text, &size) };

	(void)state;
	drill_told_print(&o, d, "is aborted");
	json_object_set_new(d, "waits", json_string("mode is freeze: do that"));
	drill_told_print(&o, d, "is aborted");
	fclose(o.f);
	assert_string_equal(text,
			    "drill d7 is aborted\ndrill d7 waits to be restored: mode is freeze: do that\n");
	free(text);
	auto_free char *line = drill_line(d, 100);
	assert_string_equal(line, "d7 soft-drain waits to restore: mode is freeze: do that");
}

static void test_a_schedule(void **state)
{
	json_auto_t *s =
		json_pack("{s:b, s:b, s:s, s:[{s:[s, s], s:s, s:s}], s:[{s:s, s:s, s:s}],"
			  " s:[{s:s, s:i, s:{s:s, s:s, s:s}}, {s:s, s:i, s:{s:s}}], s:{s:I}, s:{s:s, s:n}}",
			  "enabled", 1, "open", 0, "why", "outside every window", "windows", "days", "tue",
			  "wed", "from", "10:00", "to", "12:00", "blackout", "from", "2026-12-18", "to",
			  "2027-01-04", "reason", "year's end", "drills", "name", "fra monthly", "every_days",
			  30, "spec", "kind", "soft-drain", "site", "fra", "service", "web", "name", "deaf",
			  "every_days", 7, "spec", "kind", "controller-loss", "last", "fra monthly",
			  (json_int_t)1795514400000, "next", "fra monthly", "2026-12-24T10:00:00Z", "deaf");
	char *text = NULL;
	size_t size;
	struct out o = { .f = open_memstream(&text, &size) };

	(void)state;
	assert_non_null(s);
	drill_schedule_print(&o, s);
	fclose(o.f);
	assert_string_equal(
		text,
		"the schedule is on: outside every window\n"
		"NAME         KIND             SCOPE                  EVERY  NEXT DUE              LAST "
		"BEGUN\n"
		"fra monthly  soft-drain       site fra, service web    30d  2026-12-24T10:00:00Z  "
		"2026-11-24T10:00:00Z\n"
		"deaf         controller-loss  the cluster               7d  -                     never\n"
		"windows, UTC\n"
		"  DAYS     FROM   TO\n"
		"  tue,wed  10:00  12:00\n"
		"blackouts\n"
		"  FROM        TO          REASON\n"
		"  2026-12-18  2027-01-04  year's end\n");
	free(text);
	auto_free char *line = drill_silent_line(12400, "connection\nrefused", 200);
	assert_string_equal(
		line,
		"controller does not answer for 12 s; the drill restores by itself (connection?refused)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_more_columns),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_opts),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_sse),
		cmocka_unit_test(test_sse_limit),
		cmocka_unit_test(test_a_drill_that_waits),
		cmocka_unit_test(test_a_schedule),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
