/* SPDX-License-Identifier: Apache-2.0
 * The pure parts of the samplers: captured text of /proc, counter names and the nftables script. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "agent/sample/proc.h"
#include "agent/sample/vip_rules.h"
#include "proto/base/err.h"

/* -- pure: /proc -- */
static const char snmp[] = "Ip: Forwarding DefaultTTL InReceives\nIp: 1 64 1103\n"
			   "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens CurrEstab InSegs\n"
			   "Tcp: 1 200 120000 -1 18 7 1029\n"
			   "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors "
			   "InCsumErrors IgnoredMulti MemErrors\n"
			   "Udp: 56 0 3 56 3 0 0 0 2\n"
			   "UdpLite: InDatagrams RcvbufErrors\nUdpLite: 1 99\n";

static void test_proc_pair(void **state)
{
	uint64_t v = 42;

	(void)state;
	assert_int_equal(proc_pair(snmp, "Tcp:", "CurrEstab", &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(proc_pair(snmp, "Udp:", "RcvbufErrors", &v), 0);
	assert_int_equal(v, 3);
	assert_int_equal(proc_pair(snmp, "Udp:", "MemErrors", &v), 0);
	assert_int_equal(v, 2);
	v = 42;
	assert_int_equal(proc_pair(snmp, "Tcp:", "MaxConn", &v), ERR_MALFORMED);
	assert_int_equal(proc_pair(snmp, "Tcp:", "Curr", &v), ERR_MALFORMED);
	assert_int_equal(proc_pair(snmp, "Icmp:", "InMsgs", &v), ERR_MALFORMED);
	assert_int_equal(proc_pair("Tcp: A B\nTcp: 1\n", "Tcp:", "B", &v), ERR_MALFORMED);
	assert_int_equal(proc_pair("Tcp: A B\nTcp: 1 x\n", "Tcp:", "B", &v), ERR_MALFORMED);
	assert_int_equal(proc_pair("Tcp: A B", "Tcp:", "B", &v), ERR_MALFORMED);
	assert_int_equal(proc_pair("", "Tcp:", "B", &v), ERR_MALFORMED);
	assert_int_equal(v, 42);
}

static void test_proc_line(void **state)
{
	static const char text[] =
		"Ip6InReceives                   \t10\nUdp6RcvbufErrors                \t5\n"
		"Udp6RcvbufErrorsX 9\nLast";
	uint64_t v = 42;

	(void)state;
	assert_int_equal(proc_line(text, "Udp6RcvbufErrors", &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(proc_line(text, "Udp6MemErrors", &v), ERR_MALFORMED);
	assert_int_equal(proc_line(text, "Last", &v), ERR_MALFORMED);
	assert_int_equal(v, 5);
}

static void test_proc_softnet(void **state)
{
	uint64_t v = 42;

	(void)state;
	assert_int_equal(
		proc_softnet("00000022 0000000a 00000000 00000000\n0000043d 00000001 00000000\n", &v), 0);
	assert_int_equal(v, 11);
	assert_int_equal(proc_softnet("", &v), ERR_MALFORMED);
	assert_int_equal(proc_softnet("00000022\n", &v), ERR_MALFORMED);
	assert_int_equal(proc_softnet("00000022 xyz\n", &v), ERR_MALFORMED);
	assert_int_equal(v, 11);
}

static void test_proc_cpu(void **state)
{
	uint64_t busy = 1, total = 2;

	(void)state;
	assert_int_equal(
		proc_cpu("cpu  100 20 30 4000 500 6 7 8 50 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n", &busy, &total), 0);
	assert_int_equal(busy, 100 + 20 + 30 + 6 + 7 + 8);
	assert_int_equal(total, busy + 4000 + 500);
	assert_int_equal(proc_cpu("cpu  100 20 30 4000\n", &busy, &total), ERR_MALFORMED);
	assert_int_equal(proc_cpu("intr 1\n", &busy, &total), ERR_MALFORMED);
	assert_int_equal(total, busy + 4500);
}

/* -- pure: nftables text -- */
static size_t parse_all(const char *const *texts, size_t n, struct prefix *ret)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(prefix_parse(texts[i], &ret[i], NULL), 0);
	return n;
}

static void test_counter_names(void **state)
{
	static const char *const good[] = { "198.18.1.0/24",   "0.0.0.0/0", "192.0.2.1/32",
					    "2001:db8:1::/48", "::/0",	    "2001:db8::1/128" };
	static const char *const bad[] = { "",
					   "in",
					   "in_",
					   "in_c6120100",
					   "in_c6120100_",
					   "in_c6120100_024",
					   "in_c6120100_24x",
					   "in_C6120100_24",
					   "up_c6120100_24",
					   "in_c612010_24",
					   "in_c6120100_-1",
					   "in_c6120100_280",
					   "inn_c6120100_24" };
	struct prefix p[ARRAY_LEN(good)], back;
	char name[VIP_NAME_LEN];
	enum vip_way way;

	(void)state;
	parse_all(good, ARRAY_LEN(good), p);
	assert_string_equal(vip_rules_name(VIP_SYN, &p[0], name), "syn_c6120100_24");
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		for (int w = 0; w < VIP_WAYS; w++) {
			vip_rules_name((enum vip_way)w, &p[i], name);
			assert_int_equal(vip_rules_parse(name, &way, &back), 0);
			assert_int_equal(way, w);
			assert_int_equal(prefix_cmp(&back, &p[i]), 0);
		}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(vip_rules_parse(bad[i], &way, &back), ERR_MALFORMED);
}

/* nested prefixes become disjoint intervals; each knows its nearest outer one */
static void test_script_nested(void **state)
{
	static const char *const texts[] = { "10.0.0.0/8",  "10.0.0.0/16",   "10.0.0.0/24",
					     "10.0.5.0/24", "10.255.0.0/16", "192.0.2.1/32" };
	static const int want[] = { -1, 0, 1, 1, 0, -1 };
	struct prefix p[ARRAY_LEN(texts)];
	size_t n = parse_all(texts, ARRAY_LEN(texts), p);
	int outer[ARRAY_LEN(texts)];
	auto_buf out = { 0 };

	(void)state;
	vip_rules_outer(p, n, outer);
	assert_memory_equal(outer, want, sizeof(want));
	vip_rules_script(p, n, NULL, 0, false, &out);
	assert_non_null(strstr(out.data, "add element inet sluice in4 { "
					 "10.1.0.0-10.254.255.255 : \"in_0a000000_8\", "
					 "10.0.1.0-10.0.4.255 : \"in_0a000000_16\", "
					 "10.0.6.0-10.0.255.255 : \"in_0a000000_16\", "
					 "10.0.0.0-10.0.0.255 : \"in_0a000000_24\", "
					 "10.0.5.0-10.0.5.255 : \"in_0a000500_24\", "
					 "10.255.0.0-10.255.255.255 : \"in_0aff0000_16\", "
					 "192.0.2.1 : \"in_c0000201_32\",  }\n"));
	assert_null(strstr(out.data, "add element inet sluice in6"));
	assert_null(strstr(out.data, "delete"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proc_pair),     cmocka_unit_test(test_proc_line),
		cmocka_unit_test(test_proc_softnet),  cmocka_unit_test(test_proc_cpu),
		cmocka_unit_test(test_counter_names), cmocka_unit_test(test_script_nested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
