/* SPDX-License-Identifier: Apache-2.0
 * proto/base: addresses, buffers, errors, time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "proto/base/addr.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"

/* ---- addr ---- */

static void test_plain(void **state)
{
	char text[] = "a\x1b[2Jb\r\nc\xc2\x9b"
		      "31m \xc3\xa9 \xc2\xa0 \x7f";

	(void)state;
	assert_true(str_plain("a b \xc3\xa9 \xc2\xa0"));
	assert_false(str_plain("\n"));
	assert_false(str_plain("a\xc2\x80"));
	assert_true(str_plain("\xc2"));
	assert_false(str_plain(text));
	str_clean(text);
	assert_string_equal(text, "a [2Jb  c  31m \xc3\xa9 \xc2\xa0  ");
	assert_true(str_plain(text));
}

static void test_prefix_round_trip(void **state)
{
	static const struct {
		const char *in, *out;
		int family, len;
	} rows[] = {
		{ "192.0.2.0/24", "192.0.2.0/24", 4, 24 },
		{ "192.0.2.1", "192.0.2.1/32", 4, 32 },
		{ "0.0.0.0/0", "0.0.0.0/0", 4, 0 },
		{ "10.0.0.0/7", "10.0.0.0/7", 4, 7 },
		{ "2001:DB8:0:0::/32", "2001:db8::/32", 6, 32 },
		{ "2001:db8::1", "2001:db8::1/128", 6, 128 },
		{ "::/0", "::/0", 6, 0 },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 6, 128 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct prefix p, again;
		char text[PREFIX_STRLEN];
		assert_int_equal(prefix_parse(rows[i].in, &p, NULL), 0);
		assert_int_equal(p.family, rows[i].family);
		assert_int_equal(p.len, rows[i].len);
		assert_string_equal(prefix_str(&p, text), rows[i].out);
		assert_int_equal(prefix_parse(text, &again, NULL), 0);
		assert_int_equal(prefix_cmp(&p, &again), 0);
	}
}

static void test_prefix_refused(void **state)
{
	static const struct {
		const char *in, *why;
	} rows[] = {
		{ "", "not an IP address" },
		{ "/24", "not an IP address" },
		{ "192.0.2.0/", "prefix length out of range" },
		{ "192.0.2.0/33", "prefix length out of range" },
		{ "192.0.2.0/-1", "prefix length out of range" },
		{ "192.0.2.0/ 24", "prefix length out of range" },
		{ "192.0.2.0/0x18", "prefix length out of range" },
		{ "192.0.2.0/99999999999999999999", "prefix length out of range" },
		{ "192.0.2.1/24", "host bits are set" },
		{ "192.0.2.0/24/24", "prefix length out of range" },
		{ "192.0.2", "not an IP address" },
		{ "192.0.2.0 /24", "not an IP address" },
		{ "2001:db8::/129", "prefix length out of range" },
		{ "2001:db8::1/64", "host bits are set" },
		{ "fe80::1%eth0", "not an IP address" },
		{ "example.net/24", "not an IP address" },
		{ "11111111111111111111111111111111111111111111111111111111111111111111",
		  "not an IP address" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct prefix p = { .family = 99 };
		const char *why = "";
		assert_int_equal(prefix_parse(rows[i].in, &p, &why), -EINVAL);
		assert_string_equal(why, rows[i].why);
		assert_int_equal(p.family, 99);
	}
}

static struct prefix parsed(const char *s)
{
	struct prefix p;

	assert_int_equal(prefix_parse(s, &p, NULL), 0);
	return p;
}

static bool contains(const char *outer, const char *inner)
{
	struct prefix o = parsed(outer), i = parsed(inner);

	return prefix_contains(&o, &i);
}

static void test_prefix_contains(void **state)
{
	(void)state;
	assert_true(contains("198.18.0.0/15", "198.19.255.0/24"));
	assert_true(contains("198.18.0.0/15", "198.18.0.0/15"));
	assert_false(contains("198.18.0.0/15", "198.20.0.0/24"));
	assert_false(contains("198.18.0.0/24", "198.18.0.0/15"));
	assert_true(contains("0.0.0.0/0", "203.0.113.7"));
	assert_false(contains("0.0.0.0/0", "::/0"));
	assert_true(contains("2001:db8::/33", "2001:db8:7fff::/48"));
	assert_false(contains("2001:db8::/33", "2001:db8:8000::/48"));
}

static void test_prefix_order(void **state)
{
	static const char *const sorted[] = { "10.0.0.0/8",   "10.0.0.0/9", "10.128.0.0/9",
					      "192.0.2.0/24", "::/0",	    "2001:db8::/32" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
		for (size_t k = 0; k < ARRAY_LEN(sorted); k++) {
			struct prefix a = parsed(sorted[i]), b = parsed(sorted[k]);
			assert_int_equal(prefix_cmp(&a, &b), i < k ? -1 : i > k);
		}
	struct prefix host = parsed("192.0.2.1"), net = parsed("192.0.2.0/31"), host6 = parsed("2001:db8::1");
	char text[PREFIX_STRLEN];
	assert_true(prefix_is_host(&host));
	assert_true(prefix_is_host(&host6));
	assert_false(prefix_is_host(&net));
	assert_string_equal(prefix_addr_str(&host6, text), "2001:db8::1");
}

static void test_endpoint(void **state)
{
	static const char *const good[] = { "192.0.2.1:80", "[2001:db8::1]:7400", "0.0.0.0:1", "[::]:65535" };
	static const char *const bad[] = { "",
					   ":80",
					   "192.0.2.1",
					   "192.0.2.1:",
					   "192.0.2.1:0",
					   "192.0.2.1:65536",
					   "192.0.2.1:+80",
					   "2001:db8::1:80",
					   "[2001:db8::1]",
					   "[]:80",
					   "[192.0.2.1]:80",
					   "localhost:80",
					   "[2001:db8::1:80",
					   "[:80",
					   "2001:db8::1]:80",
					   "192.0.2.1 :80" };
	struct sockaddr_storage ss;
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(endpoint_parse(good[i], &ss, NULL), 0);
		assert_string_equal(endpoint_str((struct sockaddr *)&ss, text, sizeof(text)), good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *why = NULL;
		if (endpoint_parse(bad[i], &ss, &why) != -EINVAL || !why)
			fail_msg("\"%s\" was taken for an endpoint", bad[i]);
	}
	struct sockaddr other = { .sa_family = AF_UNIX };
	assert_string_equal(endpoint_str(&other, text, sizeof(text)), "?");
}

/* ---- mem ---- */

static void test_buf_grows(void **state)
{
	auto_buf b = { 0 };
	size_t want = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		char c = (char)('a' + i % 26);
		assert_int_equal(buf_add(&b, &c, 1), 0);
		assert_int_equal(b.len, ++want);
		assert_true(b.cap > b.len);
		assert_int_equal(b.data[b.len], 0);
	}
	assert_int_equal(strlen(b.data), 2000);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
}

static void test_buf_limit(void **state)
{
	auto_buf b = { .max = 8 };

	(void)state;
	assert_int_equal(buf_adds(&b, "12345678"), 0);
	assert_int_equal(buf_adds(&b, "9"), ERR_LIMIT);
	assert_string_equal(b.data, "12345678");
	assert_int_equal(buf_add(&b, "", 0), 0);
	buf_drop(&b, 3);
	assert_string_equal(b.data, "45678");
	assert_int_equal(buf_addf(&b, "%d", 1234), ERR_LIMIT);
	assert_int_equal(buf_addf(&b, "%03d", 7), 0);
	assert_string_equal(b.data, "45678007");
	buf_drop(&b, 8);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_done(&b);
	assert_null(b.data);
	assert_int_equal(b.max, 8);
	buf_drop(&b, 0);
	assert_int_equal(buf_adds(&b, "again"), 0);
}

static void test_alloc(void **state)
{
	(void)state;
	auto_free char *none = xcalloc(0, 0);
	auto_free char *s = xasprintf("%s-%d", "a", 5);
	auto_free char *d = xstrdup(s);
	auto_free uint32_t *v = xcalloc(4, sizeof(*v));
	assert_non_null(none);
	assert_string_equal(d, "a-5");
	v = xrealloc(v, 8, sizeof(*v));
	assert_int_equal(v[3], 0);
}

/* ---- err, mono ---- */

static void test_err_has_words_for_all(void **state)
{
	(void)state;
	assert_string_equal(err_str(0), "ok");
	assert_string_equal(err_str(-ENOENT), strerror(ENOENT));
	assert_string_equal(err_str(ENOENT), strerror(ENOENT));
	for (int e = ERR_FRAME_TOO_BIG; e >= ERR_CERT_TIME; e--) {
		assert_null(strstr(err_str(e), "nknown"));
		for (int k = ERR_FRAME_TOO_BIG; k > e; k--)
			assert_string_not_equal(err_str(e), err_str(k));
	}
}

static void test_mono(void **state)
{
	mono_t unset = { 0 }, a = { 5000000 }, b = mono_add_ms(a, 1500);

	(void)state;
	assert_int_equal(b.us, 6500000);
	assert_int_equal(mono_diff_ms(a, b), 1500);
	assert_int_equal(mono_diff_ms(b, a), -1500);
	assert_false(mono_is_set(unset));
	assert_true(mono_is_set(a));
	mono_t last = mono_now();
	for (int i = 0; i < 1000; i++) {
		mono_t now = mono_now();
		assert_true(now.us >= last.us);
		last = now;
	}
	assert_in_range(wall_now_ms(), ((int64_t)time(NULL) - 2) * 1000, ((int64_t)time(NULL) + 2) * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix_round_trip),
		cmocka_unit_test(test_prefix_refused),
		cmocka_unit_test(test_prefix_contains),
		cmocka_unit_test(test_prefix_order),
		cmocka_unit_test(test_endpoint),
		cmocka_unit_test(test_buf_grows),
		cmocka_unit_test(test_buf_limit),
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_err_has_words_for_all),
		cmocka_unit_test(test_mono),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
