/* SPDX-License-Identifier: Apache-2.0
 * agent/frr/parse and route against replies captured from FRR 8.4.4 (tests/golden/frr), replies as FRR 10
 * writes them (tests/golden/frr/10) and, as text here, liberties that others may take. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/frr/parse.h"
#include "proto/base/err.h"

static char *golden(const char *name)
{
	auto_free char *path = xasprintf("tests/golden/frr/%s", name);
	auto_fclose FILE *f = fopen(path, "r");
	auto_buf b = { 0 };
	char chunk[4096];
	size_t n;

	if (!f)
		fail_msg("%s: run from the repository's root", path);
	buf_adds(&b, "");
	while ((n = fread(chunk, 1, sizeof(chunk), f)))
		buf_add(&b, chunk, n);
	return xstrdup(b.data);
}

static struct prefix pfx(const char *s)
{
	struct prefix p;

	assert_int_equal(prefix_parse(s, &p, NULL), 0);
	return p;
}

static void config_golden(void **state)
{
	auto_free char *text = golden("config.txt");
	struct frr_config c;

	(void)state;
	assert_int_equal(parse_config(text, &c), 0);
	assert_int_equal(c.asn, 64500);
	assert_int_equal(c.instances, 1);
	static const struct {
		const char *prefix, *map;
		bool odd;
	} net[] = {
		{ "198.18.1.0/24", "SLUICE-00000000000000aa-A", false },
		{ "198.18.2.0/24", "SLUICE-00000000000000bb-A", false },
		{ "198.18.3.0/24", "", false },
		{ "198.18.4.0/24", "SLUICE-00000000000000ee-A", false },
		{ "198.18.5.0/24", "", true },
		{ "198.18.6.0/24", "SLUICE-00000000000000aa-A", true },
		{ "203.0.113.0/24", "FOREIGN", false },
		{ "2001:db8::1/128", "FOREIGN", false },
		{ "2001:db8:1::/48", "SLUICE-00000000000000aa-A", false },
	};
	assert_int_equal(c.n_networks, ARRAY_LEN(net));
	for (size_t i = 0; i < ARRAY_LEN(net); i++) {
		struct prefix p = pfx(net[i].prefix);
		const struct frr_network *n = frr_network_find(&c, &p);
		assert_non_null(n);
		assert_string_equal(n->map, net[i].map);
		assert_int_equal(n->odd, net[i].odd);
	}
	assert_int_equal(c.n_maps, 5); /* FOREIGN, EXPORT, DENY and OTHER are nobody's business */
	const struct frr_map *m = frr_map_find(&c, "SLUICE-00000000000000aa-A");
	assert_non_null(m);
	assert_false(m->odd);
	assert_int_equal(m->attrs.prepends, 2);
	assert_int_equal(m->attrs.bandwidth_mbps, 100);
	assert_int_equal(m->attrs.n_communities, 2);
	assert_string_equal(m->attrs.communities[0], "64500:80");
	assert_string_equal(m->attrs.communities[1], "65535:0");
	assert_int_equal(m->attrs.n_large, 2);
	assert_string_equal(m->attrs.large[1], "64500:1:3");
	assert_false(frr_map_find(&c, "SLUICE-00000000000000bb-A")->odd);
	assert_false(frr_map_find(&c, "SLUICE-00000000000000cc-A")->odd);
	assert_int_equal(frr_map_find(&c, "SLUICE-00000000000000cc-A")->attrs.med, 7);
	assert_true(frr_map_find(&c, "SLUICE-00000000000000dd-B")->odd); /* a second entry */
	assert_int_equal(frr_map_find(&c, "SLUICE-00000000000000dd-B")->entries, 2);
	assert_true(frr_map_find(&c, "SLUICE-used-by-hand")->held); /* `call` names it */
	assert_false(m->held);
	assert_null(frr_map_find(&c, "FOREIGN"));
	frr_config_done(&c);
}

/* a vrf's networks are not ours, and what they name is held */
static void config_instances(void **state)
{
	auto_free char *none = golden("config_noinstance.txt"), *vrf = golden("config_vrf.txt");
	struct frr_config c;

	(void)state;
	assert_int_equal(parse_config(none, &c), 0);
	assert_int_equal(c.asn, 0);
	assert_int_equal(c.instances, 0);
	frr_config_done(&c);
	assert_int_equal(parse_config(vrf, &c), 0);
	assert_int_equal(c.asn, 64500);
	assert_int_equal(c.instances, 2);
	assert_int_equal(c.n_networks, 0);
	frr_config_done(&c);
	assert_int_equal(
		parse_config("frr version 8.4.4\nrouter bgp 64999 vrf RED\n address-family ipv4 unicast\n"
			     "  network 198.18.1.0/24 route-map SLUICE-a-A\n exit-address-family\n"
			     "exit\nroute-map SLUICE-a-A permit 10\nexit\n",
			     &c),
		0);
	assert_int_equal(c.asn, 0);
	assert_int_equal(c.n_networks, 0);
	assert_true(frr_map_find(&c, "SLUICE-a-A")->held);
	frr_config_done(&c);
	assert_int_equal(parse_config("", &c), ERR_MALFORMED);
	assert_int_equal(parse_config("% Unknown command", &c), ERR_MALFORMED);
}

static void one_map(const char *lines, struct frr_map *ret)
{
	auto_free char *text = xasprintf("frr version 10.2\nrouter bgp 1.10 as-notation dot\nexit\n"
					 "route-map SLUICE-x-A permit 10\n%sexit\n",
					 lines);
	struct frr_config c;

	assert_int_equal(parse_config(text, &c), 0);
	assert_int_equal(c.asn, 65546);
	assert_int_equal(c.n_maps, 1);
	*ret = c.maps[0];
	frr_config_done(&c);
}

static void map_lines(void **state)
{
	static const struct {
		const char *lines;
		bool odd;
		uint32_t prepends, bandwidth;
		size_t communities, large;
	} row[] = {
		{ "", false, 0, 0, 0, 0 },
		{ " description by hand\n", false, 0, 0, 0, 0 },
		{ " set as-path prepend 65546\n", false, 1, 0, 0, 0 },
		{ " set as-path prepend 1.10 1.10 1.10\n", false, 3, 0, 0, 0 },
		{ " set as-path prepend 65546 64999\n", true, 0, 0, 0, 0 },
		{ " set as-path prepend 64999\n", true, 1, 0, 0, 0 }, /* not our AS */
		{ " set as-path prepend last-as 2\n", true, 0, 0, 0, 0 },
		{ " set as-path prepend\n", true, 0, 0, 0, 0 },
		{ " set as-path prepend 1.10 1.10 1.10 1.10 1.10 1.10 1.10 1.10 1.10 1.10 1.10\n", true, 0, 0,
		  0, 0 },
		{ " set as-path exclude 1\n", true, 0, 0, 0, 0 },
		{ " set community 64500:80\n", false, 0, 0, 1, 0 },
		{ " set community 64500:80 graceful-shutdown additive\n", false, 0, 0, 2, 0 },
		{ " set community none\n", true, 0, 0, 0, 0 },
		{ " set community additive\n", true, 0, 0, 0, 0 },
		{ " set community 1:1 1:2 1:3 1:4 1:5 1:6 1:7 1:8 1:9\n", true, 0, 0, 8, 0 },
		{ " set large-community 1:2:3 4:5:6\n", false, 0, 0, 0, 2 },
		{ " set large-community none\n", true, 0, 0, 0, 0 },
		{ " set extcommunity bandwidth 100\n", false, 0, 100, 0, 0 },
		{ " set extcommunity bandwidth 100 non-transitive\n", true, 0, 0, 0, 0 },
		{ " set extcommunity bandwidth cumulative\n", true, 0, 0, 0, 0 },
		{ " set extcommunity rt 1:1 1:2\n set extcommunity soo 2:2\n", false, 0, 0, 0, 0 },
		{ " set extcommunity rt 70000:70000\n", true, 0, 0, 0, 0 },
		{ " set extcommunity none\n", true, 0, 0, 0, 0 },
		{ " set metric 7\n", false, 0, 0, 0, 0 },
		{ " set metric +7\n", true, 0, 0, 0, 0 },
		{ " set metric rtt\n", true, 0, 0, 0, 0 },
		{ " set local-preference 200\n", false, 0, 0, 0, 0 },
		{ " set local-preference +1\n", true, 0, 0, 0, 0 },
		{ " match ip address prefix-list X\n", true, 0, 0, 0, 0 },
		{ " on-match next\n", true, 0, 0, 0, 0 },
		{ " call OTHER\n", true, 0, 0, 0, 0 },
		{ " set\n", true, 0, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct frr_map m;
		one_map(row[i].lines, &m);
		if (m.odd != row[i].odd)
			fail_msg("odd is %d after \"%s\"", m.odd, row[i].lines);
		if (m.odd)
			continue;
		assert_int_equal(m.attrs.prepends, row[i].prepends);
		assert_int_equal(m.attrs.bandwidth_mbps, row[i].bandwidth);
		assert_int_equal(m.attrs.n_communities, row[i].communities);
		assert_int_equal(m.attrs.n_large, row[i].large);
	}
}

static void summary(void **state)
{
	auto_free char *text = golden("summary.json"), *empty = golden("summary_nopeers.json"),
		       *none = golden("summary_noinstance.txt"), *zebra = golden("notbgpd_summary.txt");
	struct frr_summary s;

	(void)state;
	assert_int_equal(parse_summary(text, &s), 0);
	assert_int_equal(s.asn, 64500);
	for (int a = 0; a < AFI_COUNT; a++) {
		assert_int_equal(s.n[a], 1);
		assert_string_equal(s.neighbours[a][0].name, "10.0.0.2");
		assert_true(s.neighbours[a][0].established);
	}
	assert_int_equal(s.neighbours[AFI_V4][0].sent, 5);
	assert_int_equal(s.neighbours[AFI_V6][0].sent, 2);
	frr_summary_done(&s);
	assert_int_equal(parse_summary(empty, &s), 0);
	assert_int_equal(s.n[AFI_V4] + s.n[AFI_V6], 0);
	frr_summary_done(&s);
	assert_int_equal(parse_summary(none, &s), 0);
	frr_summary_done(&s);
	assert_int_equal(parse_summary(zebra, &s), ERR_MALFORMED);
	assert_int_equal(parse_summary("[]", &s), ERR_MALFORMED);
	assert_int_equal(parse_summary("", &s), ERR_MALFORMED);
}

static void summary_liberties(void **state)
{
	struct frr_summary s;

	(void)state;
	assert_int_equal(parse_summary("{\"ipv4Unicast\":{\"as\":\"4200000000\",\"peers\":{"
				       "\"eth1\":{\"state\":\"Established\",\"pfxSnt\":\"12\"},"
				       "\"10.0.0.9\":{\"state\":\"Idle (Admin)\"},\"bad\":7,"
				       "\"fe80::1%eth0\":{\"state\":\"Active\",\"pfxSnt\":-1}}},"
				       "\"ipv6Unicast\":\"?\"}",
				       &s),
			 0);
	assert_int_equal(s.asn, 4200000000u);
	assert_int_equal(s.n[AFI_V4], 3);
	assert_string_equal(s.neighbours[AFI_V4][0].name, "10.0.0.9");
	assert_false(s.neighbours[AFI_V4][0].established);
	assert_string_equal(s.neighbours[AFI_V4][1].name, "eth1");
	assert_int_equal(s.neighbours[AFI_V4][1].sent, 12);
	assert_int_equal(s.neighbours[AFI_V4][2].sent, 0);
	frr_summary_done(&s);

	auto_buf b = { 0 };
	buf_adds(&b, "{\"ipv6Unicast\":{\"peers\":{\"a\":{}");
	for (int i = 0; i < NEIGHBOURS_MAX; i++)
		buf_addf(&b, ",\"p%d\":{}", i);
	buf_adds(&b, "}}}");
	assert_int_equal(parse_summary(b.data, &s), ERR_LIMIT);
}

static void advertised(void **state)
{
	auto_free char *v4 = golden("advertised4.json"), *v6 = golden("advertised6.json"),
		       *gone = golden("advertised_nopeer.txt");
	struct prefix *list, p = pfx("198.18.6.0/24");
	size_t n;

	(void)state;
	assert_int_equal(parse_advertised(v4, &list, &n), 0);
	assert_int_equal(n, 5); /* not the backdoor one, nor the one whose map is missing */
	for (size_t i = 1; i < n; i++)
		assert_true(prefix_cmp(&list[i - 1], &list[i]) < 0);
	assert_int_equal(prefix_cmp(&list[3], &p), 0);
	free(list);
	assert_int_equal(parse_advertised(v6, &list, &n), 0);
	assert_int_equal(n, 2);
	free(list);
	assert_int_equal(parse_advertised(gone, &list, &n), 0);
	assert_int_equal(n, 0);
	free(list);
	assert_int_equal(parse_advertised("{\"advertisedRoutes\":{\"x\":1,\"10.0.0.0/8\":[]}}", &list, &n),
			 0);
	assert_int_equal(n, 1);
	free(list);
	assert_int_equal(parse_advertised("{", &list, &n), ERR_MALFORMED);
}

static void path(void **state)
{
	auto_free char *text = golden("path.json"), *v6 = golden("path6.json"),
		       *none = golden("path_absent.json"), *learned = golden("path_learned.json"),
		       *foreign = golden("path_foreign.json"), *noinstance = golden("path_noinstance.txt");
	struct frr_path p;

	(void)state;
	assert_int_equal(parse_path(text, &p), 0);
	assert_true(p.present && p.valid && p.best && !p.odd && !p.foreign);
	assert_int_equal(p.version, 2002);
	assert_int_equal(p.n_advertised, 1);
	assert_int_equal(p.attrs.prepends, 2);
	assert_int_equal(p.attrs.bandwidth_mbps, 100);
	assert_int_equal(p.attrs.n_communities, 2);
	assert_string_equal(p.attrs.communities[1], "65535:0");
	assert_int_equal(p.attrs.n_large, 2);
	struct route_attrs attrs = p.attrs;
	assert_int_equal(parse_path(v6, &p), 0);
	assert_true(p.present && route_attrs_equal(&p.attrs, &attrs));
	assert_int_equal(parse_path(none, &p), 0);
	assert_false(p.present || p.foreign);
	assert_int_equal(parse_path(noinstance, &p), 0);
	assert_false(p.present);
	assert_int_equal(parse_path(learned, &p), 0);
	assert_true(p.foreign && !p.present);
	assert_int_equal(parse_path(foreign, &p), 0);
	assert_true(p.present && p.best);
	assert_int_equal(parse_path("nonsense", &p), ERR_MALFORMED);
}

static void path_liberties(void **state)
{
	struct frr_path p;

	(void)state;
	assert_int_equal(
		parse_path("{\"version\":\"9\",\"advertisedTo\":{\"a\":{},\"b\":{}},\"paths\":[{\"aspath\":"
			   "{\"length\":0}},{\"local\":true,\"bestpath\":true,\"community\":\"no-export\","
			   "\"extendedCommunity\":{\"string\":\"LB:1:3750000 (30.000 Mbps)\"}}]}",
			   &p),
		0);
	assert_true(p.present && p.foreign && p.best && !p.valid && !p.odd);
	assert_int_equal(p.version, 9);
	assert_int_equal(p.n_advertised, 2);
	assert_int_equal(p.attrs.bandwidth_mbps, 30);
	assert_string_equal(p.attrs.communities[0], "65535:65281");
	assert_int_equal(
		parse_path("{\"paths\":[{\"sourced\":true,\"extendedCommunity\":{\"string\":\"RT:1:2\"}}]}",
			   &p),
		0);
	assert_true(p.present && !p.odd);
	assert_string_equal(p.attrs.ext[0], "rt 1:2");
	assert_int_equal(
		parse_path(
			"{\"paths\":[{\"sourced\":true,\"metric\":7,\"locPrf\":100,"
			"\"extendedCommunity\":{\"string\":\"SoO:1:2 LB:1:3750000 (30.000 Mbps) RT:3:4\"}}]}",
			&p),
		0);
	assert_true(!p.odd && p.attrs.med == 7 && !p.attrs.local_pref && p.attrs.bandwidth_mbps == 30);
	assert_string_equal(p.attrs.ext[1], "soo 1:2");
	assert_int_equal(
		parse_path("{\"paths\":[{\"sourced\":true,\"extendedCommunity\":{\"string\":\"ET:8:2\"}}]}",
			   &p),
		0);
	assert_true(p.present && p.odd);
	assert_int_equal(parse_path("{\"paths\":{}}", &p), 0);
	assert_false(p.present);
}

/* what FRR 10 answers: tests/golden/frr/10 */
static void version_10(void **state)
{
	auto_free char *config = golden("10/config.txt"), *sum = golden("10/summary.json"),
		       *sent = golden("10/advertised4.json"), *one = golden("10/path.json"),
		       *map = golden("10/map.json");
	struct frr_config c;
	struct frr_summary s;
	struct frr_path p;
	struct prefix *list;
	size_t n;

	(void)state;
	assert_int_equal(parse_config(config, &c), 0);
	assert_int_equal(c.asn, 64500);
	assert_int_equal(c.n_networks, 3);
	const struct frr_map *aa = frr_map_find(&c, "SLUICE-00000000000000aa-A");
	assert_true(aa && !aa->odd && !aa->held);
	assert_int_equal(aa->attrs.prepends, 2);
	assert_int_equal(aa->attrs.bandwidth_mbps, 30);
	assert_int_equal(aa->attrs.med, 9);
	assert_int_equal(aa->attrs.local_pref, 80);
	assert_string_equal(aa->attrs.communities[1], "65535:0");
	assert_true(frr_map_find(&c, "SLUICE-00000000000000bb-A")->odd); /* not what we write */
	frr_config_done(&c);
	assert_int_equal(parse_summary(sum, &s), 0);
	assert_int_equal(s.n[AFI_V4], 2);
	assert_true(s.neighbours[AFI_V4][0].established && !s.neighbours[AFI_V4][1].established);
	assert_int_equal(s.neighbours[AFI_V4][0].sent, 5);
	frr_summary_done(&s);
	assert_int_equal(parse_advertised(sent, &list, &n), 0);
	assert_int_equal(n, 2);
	free(list);
	assert_int_equal(parse_path(one, &p), 0);
	assert_true(p.present && p.best && p.valid && !p.odd);
	assert_int_equal(p.n_advertised, 2);
	assert_int_equal(p.attrs.bandwidth_mbps, 2000);
	assert_string_equal(p.attrs.ext[0], "rt 64500:7");
	assert_true(parse_remade(map, "SLUICE-00000000000000aa-A"));
}

static void remade(void **state)
{
	static const char name[] = "SLUICE-1-A";

	(void)state;
	assert_true(
		parse_remade("{\"BGP\":{\"SLUICE-1-A\":{\"invoked\":0,\"processedChange\":true}}}", name));
	assert_true(parse_remade("{\"B\":{\"SLUICE-1-A\":{\"invoked\":\"0\",\"processedChange\":\"true\"}}}",
				 name));
	/* used already, looked at, another one, gone, of another shape */
	static const char *const not [] = {
		"{\"BGP\":{\"SLUICE-1-A\":{\"invoked\":1,\"processedChange\":true}}}",
		"{\"BGP\":{\"SLUICE-1-A\":{\"invoked\":0,\"processedChange\":false}}}",
		"{\"BGP\":{\"SLUICE-1-B\":{\"invoked\":0,\"processedChange\":true}}}",
		"{\"BGP\":{}}",
		"{}",
		"[]",
		"",
		"{\"BGP\":7}",
		"{\"BGP\":{\"SLUICE-1-A\":{\"processedChange\":true}}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(not ); i++)
		assert_false(parse_remade(not [i], name));
}

static void attrs_normal(void **state)
{
	struct route_attrs a = { .communities = { "65535:0", "064500:80", "64500:80", "blackhole" },
				 .n_communities = 4 };
	const char *why = NULL;

	(void)state;
	assert_int_equal(route_attrs_normalise(&a, &why), 0);
	assert_int_equal(a.n_communities, 3);
	assert_string_equal(a.communities[0], "64500:80");
	assert_string_equal(a.communities[1], "65535:0");
	assert_string_equal(a.communities[2], "65535:666");
	static const char *const bad[] = { "",	      "1",     "1:",   ":1",   "1:65536",
					   "65536:1", "1:2:3", "-1:2", "1:2 ", "x" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct route_attrs b = { .n_communities = 1 };
		snprintf(b.communities[0], NAME_LEN, "%s", bad[i]);
		assert_int_equal(route_attrs_normalise(&b, &why), ERR_MALFORMED);
		assert_non_null(strstr(why, "community"));
	}
	struct route_attrs l = { .large = { "4294967295:0:1", "1:2" }, .n_large = 1 };
	assert_int_equal(route_attrs_normalise(&l, &why), 0);
	l.n_large = 2;
	assert_int_equal(route_attrs_normalise(&l, &why), ERR_MALFORMED);
	struct route_attrs p = { .prepends = 11 }, w = { .bandwidth_mbps = 25601 };
	assert_int_equal(route_attrs_normalise(&p, &why), ERR_LIMIT);
	assert_int_equal(route_attrs_normalise(&w, NULL), ERR_LIMIT);
}

static void grades(void **state)
{
	struct route_attrs a = { .bandwidth_mbps = 7 };

	(void)state;
	assert_string_equal(route_grade_guess(&a), "normal");
	a.prepends = 3;
	assert_string_equal(route_grade_guess(&a), "prepend3");
	a.prepends = 4;
	assert_string_equal(route_grade_guess(&a), "?");
	a = (struct route_attrs){ .communities = { "65535:0" }, .n_communities = 1 };
	assert_string_equal(route_grade_guess(&a), "drain");
	a.prepends = 1;
	assert_string_equal(route_grade_guess(&a), "?");
	a = (struct route_attrs){ .communities = { "64500:80" }, .n_communities = 1 };
	assert_string_equal(route_grade_guess(&a), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_golden),
		cmocka_unit_test(config_instances),
		cmocka_unit_test(map_lines),
		cmocka_unit_test(summary),
		cmocka_unit_test(summary_liberties),
		cmocka_unit_test(advertised),
		cmocka_unit_test(path),
		cmocka_unit_test(path_liberties),
		cmocka_unit_test(version_10),
		cmocka_unit_test(remade),
		cmocka_unit_test(attrs_normal),
		cmocka_unit_test(grades),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
