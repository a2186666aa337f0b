/* SPDX-License-Identifier: Apache-2.0
 * The cluster document: what is accepted and what it becomes; what is refused, with the pointer of each
 * error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/cluster.h"
#include "proto/base/err.h"
#include "tests/fuzz/fuzz.h"

#define NODE(n) "{\"name\":\"" n "\",\"capacity\":{\"bps\":20000000}}"
#define SITES                                                                                                \
	"\"sites\":[{\"name\":\"fra\",\"nodes\":[" NODE("fra1") "," NODE(                                    \
		"fra2") "]},"                                                                                \
			"{\"name\":\"ams\",\"nodes\":[" NODE("ams1") "]}]"
#define SHARD(n, p) "{\"name\":\"" n "\",\"prefixes\":[" p "]}"
#define SERVICES                                                                                             \
	"\"services\":[{\"name\":\"web\",\"shards\":[" SHARD(                                                \
		"web-a", "\"198.18.1.0/24\",\"2001:db8:1::/48\"") "," SHARD("web-b",                         \
									    "\"198.18.2.0/24\"") "]}]"
#define GRADES                                                                                               \
	"\"grades\":[{\"name\":\"less\",\"strength\":10,\"communities\":[\"64500:80\"]},"                    \
	"{\"name\":\"most\",\"strength\":65,\"communities\":[\"64500:1:2\",\"64500:3\"]}]"
#define GOOD "{\"name\":\"example\"," GRADES "," SITES "," SERVICES "}"

static struct cluster *parse(const char *text, json_t *errors)
{
	json_error_t e;
	json_auto_t *doc = json_loads(text, JSON_DECODE_ANY, &e);
	struct cluster *c = NULL;

	if (!doc)
		fail_msg("test document: %s at %d: %s", e.text, e.position, text);
	int r = cluster_parse(doc, &c, errors);
	assert_int_equal(r, c ? 0 : ERR_CONFIG);
	assert_true(c ? json_array_size(errors) == 0 : json_array_size(errors) > 0);
	return c;
}

static void test_good(void **state)
{
	json_auto_t *errors = json_array();
	struct cluster *c = parse(GOOD, errors);

	(void)state;
	assert_non_null(c);
	assert_string_equal(c->name, "example");
	assert_int_equal(c->n_sites, 2);
	assert_int_equal(c->n_nodes, 3);
	assert_int_equal(c->n_services, 1);
	assert_int_equal(c->n_shards, 2);
	assert_int_equal(c->services[0].min_sites, 2);
	assert_int_equal(c->nodes[2].site, 1);
	assert_int_equal(c->sites[0].n_nodes, 2);
	assert_int_equal(c->sites[0].nodes[1], 1);
	assert_true(c->nodes[0].cap[RES_BPS] == 20e6 && c->nodes[0].cap[RES_CPU] == 0);
	assert_int_equal(c->shards[0].n_prefixes, 2);
	assert_int_equal(cluster_site(c, "ams"), 1);
	assert_int_equal(cluster_node(c, "ams1"), 2);
	assert_int_equal(cluster_shard(c, "web-b"), 1);
	assert_int_equal(cluster_shard(c, "web-c"), -1);
	cluster_free(c);
}

static void test_grades(void **state)
{
	static const struct {
		const char *name;
		enum grade_kind kind;
		unsigned prepends, communities;
	} want[] = {
		{ "normal", GRADE_NORMAL, 0, 0 },    { "less", GRADE_COMMUNITY, 0, 1 },
		{ "prepend1", GRADE_PREPEND, 1, 0 }, { "prepend2", GRADE_PREPEND, 2, 0 },
		{ "most", GRADE_COMMUNITY, 0, 2 },   { "prepend3", GRADE_PREPEND, 3, 0 },
		{ "drain", GRADE_DRAIN, 0, 1 },	     { "withdrawn", GRADE_WITHDRAWN, 0, 0 },
	};
	json_auto_t *errors = json_array();
	struct cluster *c = parse(GOOD, errors);

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->grades.n, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < c->grades.n; i++) {
		assert_string_equal(c->grades.g[i].name, want[i].name);
		assert_int_equal(c->grades.g[i].kind, want[i].kind);
		assert_int_equal(c->grades.g[i].prepends, want[i].prepends);
		assert_int_equal(c->grade_attrs[i].n_communities, want[i].communities);
		assert_true(i == 0 || c->grades.g[i].strength > c->grades.g[i - 1].strength);
	}
	assert_string_equal(c->grade_attrs[6].communities[0], "65535:0");
	assert_string_equal(c->grade_attrs[4].communities[0], "64500:1:2");
	assert_int_equal(cluster_grade(c, "drain"), 6);
	cluster_free(c);
}

static void test_policy(void **state)
{
	json_auto_t *errors = json_array();
	struct policy def;
	struct cluster *c = parse("{\"name\":\"x\",\"policy\":{\"trigger_util\":0.8,\"settle_min_ms\":2000.0,"
				  "\"round_moves_max\":2}}",
				  errors);

	(void)state;
	policy_default(&def);
	assert_non_null(c);
	assert_true(c->policy.trigger_util == 0.8);
	assert_int_equal(c->policy.settle_min_ms, 2000);
	assert_int_equal(c->policy.round_moves_max, 2);
	assert_int_equal(c->policy.restore_hold_ms, def.restore_hold_ms);
	cluster_free(c);
}

static void test_empty(void **state)
{
	struct cluster *c = cluster_empty();

	(void)state;
	assert_string_equal(c->name, "empty");
	assert_int_equal(c->n_sites, 0);
	assert_int_equal(c->grades.n, 6);
	cluster_free(c);
	cluster_free(NULL);
}

static void test_etag(void **state)
{
	json_auto_t *errors = json_array();
	struct cluster *a = parse("{\"name\":\"x\",\"sites\":[],\"services\":[]}", errors),
		       *b = parse("{\"services\":[],\"name\":\"x\",\"sites\":[]}", errors),
		       *d = parse("{\"name\":\"y\",\"sites\":[],\"services\":[]}", errors);

	(void)state;
	assert_string_equal(a->etag, b->etag);
	assert_string_not_equal(a->etag, d->etag);
	assert_int_equal(a->etag[0], '"');
	assert_int_equal(a->etag[strlen(a->etag) - 1], '"');
	cluster_free(a);
	cluster_free(b);
	cluster_free(d);
}

#define ONE_SHARD(p)                                                                                         \
	"{\"name\":\"x\"," SITES ",\"services\":[{\"name\":\"s\",\"shards\":[" SHARD("a", p) "]}]}"
#define ONE_GRADE(g)  "{\"name\":\"x\",\"grades\":[" g "]}"
#define ONE_POLICY(p) "{\"name\":\"x\",\"policy\":{" p "}}"

/* Each document has exactly one error. */
static const struct {
	const char *doc, *pointer, *reason; /* reason: part of it */
} bad[] = {
	{ "[]", "", "object is needed" },
	{ "7", "", "object is needed" },
	{ "{}", "/name", "missing" },
	{ "{\"name\":7}", "/name", "is a number" },
	{ "{\"name\":\"\"}", "/name", "not a name" },
	{ "{\"name\":\"-x\"}", "/name", "not a name" },
	{ "{\"name\":\"a b\"}", "/name", "not a name" },
	{ "{\"name\":\"x\",\"sitez\":[]}", "/sitez", "unknown key; known here: name, policy, grades, sites" },
	{ "{\"name\":\"x\",\"a/b~c\":1}", "/a~1b~0c", "unknown key" },
	{ "{\"name\":\"x\",\"sites\":{}}", "/sites", "a list is needed" },
	{ "{\"name\":\"x\",\"sites\":[3]}", "/sites/0", "an object is needed" },
	{ "{\"name\":\"x\",\"sites\":[{\"name\":\"a\",\"nodes\":[]}]}", "/sites/0/nodes", "has 0 entries" },
	{ "{\"name\":\"x\",\"sites\":[{\"name\":\"a\",\"nodes\":[" NODE(
		  "n") "]},{\"name\":\"a\",\"nodes\":[" NODE("m") "]}]}",
	  "/sites/1/name", "already used at /sites/0" },
	{ "{\"name\":\"x\",\"sites\":[{\"name\":\"a\",\"nodes\":[" NODE(
		  "n") "]},{\"name\":\"b\",\"nodes\":[" NODE("n") "]}]}",
	  "/sites/1/nodes/0/name", "already used at /sites/0/nodes/0" },
	{ "{\"name\":\"x\",\"sites\":[{\"name\":\"a\",\"nodes\":[{\"name\":\"n\",\"capacity\":{}}]}]}",
	  "/sites/0/nodes/0/capacity/bps", "missing" },
	{ "{\"name\":\"x\",\"sites\":[{\"name\":\"a\",\"nodes\":[{\"name\":\"n\",\"capacity\":{\"bps\":0}}]}]"
	  "}",
	  "/sites/0/nodes/0/capacity/bps", "0 is out of range" },
	{ "{\"name\":\"x\",\"sites\":[{\"name\":\"a\",\"nodes\":[{\"name\":\"n\",\"capacity\":{\"bps\":"
	  "\"20M\"}}]}]}",
	  "/sites/0/nodes/0/capacity/bps", "is a string" },
	{ ONE_SHARD("\"198.18.1.1/24\""), "/services/0/shards/0/prefixes/0", "host bits are set" },
	{ ONE_SHARD("\"198.18.1/24\""), "/services/0/shards/0/prefixes/0", "not an IP address" },
	{ ONE_SHARD("7"), "/services/0/shards/0/prefixes/0", "in quotes" },
	{ ONE_SHARD("\"0.0.0.0/0\""), "/services/0/shards/0/prefixes/0", "too short" },
	{ ONE_SHARD("\"2000::/3\""), "/services/0/shards/0/prefixes/0", "too short" },
	{ ONE_SHARD("\"127.0.0.0/8\""), "/services/0/shards/0/prefixes/0", "unicast" },
	{ ONE_SHARD("\"224.1.0.0/16\""), "/services/0/shards/0/prefixes/0", "unicast" },
	{ ONE_SHARD("\"fe80::/64\""), "/services/0/shards/0/prefixes/0", "unicast" },
	{ ONE_SHARD(""), "/services/0/shards/0/prefixes", "has 0 entries" },
	{ ONE_SHARD("\"198.18.1.0/24\",\"198.18.2.0/24\""), "/services/0/shards/0/prefixes/1",
	  "second of its family" },
	{ "{\"name\":\"x\"," SITES ",\"services\":[{\"name\":\"s\",\"shards\":[" SHARD(
		  "a", "\"198.18.0.0/16\"") "," SHARD("b", "\"198.18.7.0/24\"") "]}]}",
	  "/services/0/shards/1/prefixes/0", "overlaps 198.18.0.0/16 at /services/0/shards/0/prefixes/0" },
	{ "{\"name\":\"x\"," SITES ",\"services\":[{\"name\":\"s\",\"shards\":[" SHARD(
		  "a", "\"198.18.1.0/24\"") "]},"
					    "{\"name\":\"t\",\"shards\":[" SHARD("b",
										 "\"198.18.1.0/24\"") "]}]}",
	  "/services/1/shards/0/prefixes/0", "overlaps" },
	{ "{\"name\":\"x\"," SITES ",\"services\":[{\"name\":\"s\",\"shards\":[" SHARD(
		  "a", "\"198.18.1.0/24\"") "]},"
					    "{\"name\":\"t\",\"shards\":[" SHARD("a",
										 "\"198.18.2.0/24\"") "]}]}",
	  "/services/1/shards/0/name", "already used" },
	{ "{\"name\":\"x\"," SITES ",\"services\":[{\"name\":\"s\",\"min_sites\":3,\"shards\":[" SHARD(
		  "a", "\"198.18.1.0/24\"") "]}]}",
	  "/services/0/min_sites", "3 sites are needed and the document has 2" },
	{ "{\"name\":\"x\"," SITES ",\"services\":[{\"name\":\"s\",\"min_sites\":0,\"shards\":[" SHARD(
		  "a", "\"198.18.1.0/24\"") "]}]}",
	  "/services/0/min_sites", "out of range" },
	{ "{\"name\":\"x\"," SITES ",\"services\":[{\"name\":\"s\",\"min_sites\":1.5,\"shards\":[" SHARD(
		  "a", "\"198.18.1.0/24\"") "]}]}",
	  "/services/0/min_sites", "whole number" },
	{ ONE_GRADE("{\"name\":\"drain\",\"strength\":10,\"communities\":[\"1:2\"]}"), "/grades/0/name",
	  "another grade" },
	{ ONE_GRADE("{\"name\":\"blackhole\",\"strength\":10,\"communities\":[\"1:2\"]}"), "/grades/0/name",
	  "another grade" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":50,\"communities\":[\"1:2\"]}"), "/grades/0/strength",
	  "strength of grade prepend1" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":95,\"communities\":[\"1:2\"]}"), "/grades/0/strength",
	  "out of range" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":5,\"communities\":[]}"), "/grades/0/communities", "has 0" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":5,\"communities\":[\"1\"]}"), "/grades/0/communities/0",
	  "not a community" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":5,\"communities\":[\"1:65536\"]}"),
	  "/grades/0/communities/0", "not a community" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":5,\"communities\":[\"01:1\"]}"), "/grades/0/communities/0",
	  "not a community" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":5,\"communities\":[\"1:2:3:4\"]}"),
	  "/grades/0/communities/0", "not a community" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":5,\"communities\":[\"1:2 3:4\"]}"),
	  "/grades/0/communities/0", "not a community" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":5,\"communities\":[\"1:2\",\"1:2\"]}"),
	  "/grades/0/communities/1", "listed twice" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":5,\"communities\":[\"65535:0\"]}"),
	  "/grades/0/communities/0", "graceful shutdown" },
	{ ONE_GRADE("{\"name\":\"g\",\"strength\":5,\"communities\":[\"65535:666\"]}"),
	  "/grades/0/communities/0", "blackhole" },
	{ ONE_POLICY("\"trigger_util\":0.05"), "/policy/trigger_util", "0.05 is out of range: 0.1 to 2" },
	{ ONE_POLICY("\"trigger_util\":\"high\""), "/policy/trigger_util", "is a string; a number" },
	{ ONE_POLICY("\"release_util\":0.9"), "/policy/release_util", "below trigger_util" },
	{ ONE_POLICY("\"urgent_util\":0.8"), "/policy/urgent_util", "trigger_util" },
	{ ONE_POLICY("\"settle_min_ms\":90000"), "/policy/settle_max_ms", "settle_min_ms" },
	{ ONE_POLICY("\"settle_min_ms\":1000.5"), "/policy/settle_min_ms", "whole number" },
	{ ONE_POLICY("\"trigger\":1"), "/policy/trigger", "unknown key" },
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_auto_t *errors = json_array();
		struct cluster *c = parse(bad[i].doc, errors);
		if (c)
			fail_msg("accepted: %s", bad[i].doc);
		auto_free char *got = json_dumps(errors, 0);
		json_t *e = json_array_get(errors, 0);
		const char *pointer = json_string_value(json_object_get(e, "pointer")),
			   *reason = json_string_value(json_object_get(e, "reason"));
		if (json_array_size(errors) != 1 || strcmp(pointer, bad[i].pointer) != 0 ||
		    !strstr(reason, bad[i].reason))
			fail_msg("%s\nwant one error at %s: %s\ngot %s", bad[i].doc, bad[i].pointer,
				 bad[i].reason, got);
	}
}

static void test_all_at_once(void **state)
{
	json_auto_t *errors = json_array();

	(void)state;
	assert_null(parse("{\"policy\":{\"trigger_util\":9,\"x\":1},\"sites\":[{\"name\":\"a\",\"nodes\":7}],"
			  "\"services\":[{\"shards\":[{\"name\":\"s\",\"prefixes\":[\"nonsense\"]}]}]}",
			  errors));
	/* name, policy x 2, nodes, service name, min_sites, prefix */
	assert_int_equal(json_array_size(errors), 7);
}

static void test_error_limit(void **state)
{
	json_auto_t *doc = json_pack("{s:s}", "name", "x"), *errors = json_array();
	struct cluster *c = NULL;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		auto_free char *key = xasprintf("key%d", i);
		json_object_set_new(doc, key, json_null());
	}
	assert_int_equal(cluster_parse(doc, &c, errors), ERR_CONFIG);
	assert_int_equal(json_array_size(errors), 101);
}

static json_t *big(size_t sites, size_t nodes, size_t shards)
{
	json_t *s = json_array(), *k = json_array();

	for (size_t i = 0, n = 0; i < sites; i++) {
		json_t *list = json_array();
		for (size_t j = 0; j < nodes / sites; j++, n++)
			json_array_append_new(list,
					      json_pack("{s:o, s:{s:i}}", "name", json_sprintf("n%zu", n),
							"capacity", "bps", 1000000));
		json_array_append_new(
			s, json_pack("{s:o, s:o}", "name", json_sprintf("s%zu", i), "nodes", list));
	}
	for (size_t i = 0; i < shards; i++)
		json_array_append_new(k,
				      json_pack("{s:o, s:[o]}", "name", json_sprintf("k%zu", i), "prefixes",
						json_sprintf("10.%zu.%zu.0/24", i / 256, i % 256)));
	return json_pack("{s:s, s:o, s:[{s:s, s:o}]}", "name", "big", "sites", s, "services", "name", "web",
			 "shards", k);
}

/* A name that is there, the same one longer, and none. */
static void find_all(const struct cluster *c)
{
	static const struct {
		const char *letter;
		ssize_t (*find)(const struct cluster *c, const char *name);
	} rows[] = { { "s", cluster_site }, { "n", cluster_node }, { "k", cluster_shard } };
	const size_t n[] = { c->n_sites, c->n_nodes, c->n_shards };
	char name[NAME_LEN];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < n[i]; k++) {
			snprintf(name, sizeof(name), "%s%zu", rows[i].letter, k);
			assert_int_equal(rows[i].find(c, name), k);
		}
		snprintf(name, sizeof(name), "%s%zu", rows[i].letter, n[i]);
		assert_int_equal(rows[i].find(c, name), -1);
		assert_int_equal(rows[i].find(c, ""), -1);
	}
}

static void test_limits(void **state)
{
	static const struct {
		size_t sites, nodes, shards;
		bool ok;
	} rows[] = { { 512, 4096, 1024, true },
		     { 513, 513, 1, false },
		     { 2, 4098, 1, false },
		     { 2, 2, 1025, false } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_auto_t *doc = big(rows[i].sites, rows[i].nodes, rows[i].shards), *errors = json_array();
		struct cluster *c = NULL;
		assert_int_equal(cluster_parse(doc, &c, errors), rows[i].ok ? 0 : ERR_CONFIG);
		if (c)
			find_all(c);
		cluster_free(c);
	}
}

static void test_corpus(void **state)
{
	(void)state;
	assert_in_range(fuzz_replay("tests/fuzz/corpus/cluster"), 11, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	    cmocka_unit_test(test_grades),
		cmocka_unit_test(test_policy),	    cmocka_unit_test(test_empty),
		cmocka_unit_test(test_etag),	    cmocka_unit_test(test_bad),
		cmocka_unit_test(test_all_at_once), cmocka_unit_test(test_error_limit),
		cmocka_unit_test(test_limits),	    cmocka_unit_test(test_corpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
