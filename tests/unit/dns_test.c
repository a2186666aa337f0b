/* SPDX-License-Identifier: Apache-2.0
 * DNS messages: questions byte by byte, answers from the fuzz corpus with what they must say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "agent/check/dns_msg.h"
#include "proto/base/err.h"
#include "tests/fuzz/fuzz.h"

#define CORPUS "tests/fuzz/corpus/dns"

static void test_question(void **state)
{
	static const uint8_t want[] = { 0x12, 0x34, 1, 0,   0,	 1,   0, 0, 0,	0, 0, 0,
					1,    'a',  3, 'n', 'e', 't', 0, 0, 28, 0, 1 };
	uint8_t q[DNS_QUERY_MAX];
	char label[70], longest[400] = "";

	(void)state;
	assert_int_equal(dns_query("a.net", 28, 0x1234, q), sizeof(want));
	assert_memory_equal(q, want, sizeof(want));
	assert_int_equal(dns_query("a.net.", 28, 0x1234, q), sizeof(want));
	assert_int_equal(dns_query(".", 2, 1, q), 17);
	assert_int_equal(dns_query("", 1, 1, q), ERR_MALFORMED);
	assert_int_equal(dns_query("a..net", 1, 1, q), ERR_MALFORMED);
	memset(label, 'x', 64);
	label[64] = 0;
	assert_int_equal(dns_query(label, 1, 1, q), ERR_MALFORMED);
	for (int i = 0; i < 5; i++)
		snprintf(longest + strlen(longest), sizeof(longest) - strlen(longest), "%.60s.", label);
	assert_int_equal(dns_query(longest, 1, 1, q), ERR_MALFORMED);
}

static void test_answers(void **state)
{
	static const struct {
		const char *file, *type;
		int err;
		unsigned rcode;
		const char *data;
	} rows[] = {
		{ "a", "A", 0, 0, "192.0.2.1\n192.0.2.2\n" },
		{ "a", "AAAA", ERR_CONFLICT, 0, NULL },
		{ "aaaa", "AAAA", 0, 0, "::\n" },
		{ "cname-then-a", "A", 0, 0, "192.0.2.1\n" },
		{ "mx", "MX", 0, 0, "10 mail.example.net.\n" },
		{ "srv", "SRV", 0, 0, "1 2 3 sip.example.net.\n" },
		{ "txt", "TXT", 0, 0, "hello?? \n" },
		{ "soa", "SOA", 0, 0, "www.example.net.\n" },
		{ "nxdomain", "A", 0, 3, "" },
		{ "formerr-bare", "A", 0, 1, "" },
		{ "loop", "A", ERR_MALFORMED, 0, NULL },
		{ "forward", "A", ERR_MALFORMED, 0, NULL },
		{ "cut", "A", ERR_MALFORMED, 0, NULL },
		{ "more-than-there", "A", ERR_MALFORMED, 0, NULL },
		{ "short-a", "A", ERR_MALFORMED, 0, NULL },
		{ "txt-past-end", "TXT", ERR_MALFORMED, 0, NULL },
		{ "not-a-reply", "A", ERR_CONFLICT, 0, NULL },
		{ "long-name", "A", ERR_MALFORMED, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_reply r = { .data.max = 65536 };
		char path[100];
		uint8_t msg[2048];
		snprintf(path, sizeof(path), CORPUS "/%s", rows[i].file);
		auto_fclose FILE *f = fopen(path, "re");
		assert_non_null(f);
		size_t n = fread(msg, 1, sizeof(msg), f);
		int err = dns_parse(msg + 1, n - 1, "WWW.example.net.", dns_type(rows[i].type), 0x1234, &r);
		if (err != rows[i].err)
			fail_msg("%s: %d, expected %d", rows[i].file, err, rows[i].err);
		if (!err) {
			assert_int_equal(r.rcode, rows[i].rcode);
			assert_string_equal(r.data.data ? r.data.data : "", rows[i].data);
			assert_int_equal(
				dns_parse(msg + 1, n - 1, "www.example.net", dns_type(rows[i].type), 7, &r),
				ERR_CONFLICT);
		}
		buf_done(&r.data);
	}
}

static void test_names(void **state)
{
	struct dns_reply r = { 0 };

	(void)state;
	buf_adds(&r.data, "10 Mail.example.net.\n::1\n");
	assert_true(dns_has(&r, "10 mail.example.net"));
	assert_true(dns_has(&r, "::1"));
	assert_false(dns_has(&r, "mail.example.net"));
	buf_done(&r.data);
	assert_int_equal(dns_type("aaaa"), 28);
	assert_int_equal(dns_type("HINFO"), 0);
	assert_int_equal(dns_rcode("nxdomain"), 3);
	assert_true(dns_rcode("FINE") < 0);
	assert_string_equal(dns_rcode_str(2), "SERVFAIL");
	assert_non_null(dns_rcode_str(14));
}

static void test_corpus(void **state)
{
	(void)state;
	assert_true(fuzz_replay(CORPUS) > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_question), cmocka_unit_test(test_answers),
					    cmocka_unit_test(test_names), cmocka_unit_test(test_corpus) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
