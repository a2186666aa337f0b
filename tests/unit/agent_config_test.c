/* SPDX-License-Identifier: Apache-2.0
 * The shipped example is good, its canonical form parses again, and every typo is refused with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/config.h"
#include "proto/base/err.h"

#define HEAD "node: n1\nallow:\n  prefixes: [198.18.1.0/24]\n"
#define SERVICE                                                                                              \
	"services:\n  - name: web\n    prefixes: [198.18.1.0/24]\n    checks:\n      - kind: tcp\n        "  \
	"target: 127.0.0.1:80\n"

static int load_text(const char *text, struct agent_config **ret_c, char *ret_why)
{
	char path[] = "/tmp/sluice-agent-config-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	int err = agent_config_load(path, ret_c, ret_why);
	unlink(path);
	return err;
}

static void test_example_is_good(void **state)
{
	struct agent_config *c;
	char why[CONF_WHY_LEN] = "";

	(void)state;
	assert_int_equal(agent_config_load("deploy/examples/agent.yaml", &c, why), 0);
	assert_string_equal(c->node, "fra1");
	assert_int_equal(c->services_count, 1);
	assert_int_equal(c->services[0].checks[0].fast_interval_ms, 200);
	assert_int_equal(c->controller->endpoints_count, 1);
	agent_config_free(c);
}

static void test_canonical_form_parses_again(void **state)
{
	struct agent_config *c, *again;
	char why[CONF_WHY_LEN] = "";
	auto_buf first = { 0 }, second = { 0 };

	(void)state;
	assert_int_equal(load_text(HEAD SERVICE, &c, why), 0);
	assert_int_equal(agent_config_print(c, &first), 0);
	assert_int_equal(load_text(first.data, &again, why), 0);
	assert_int_equal(agent_config_print(again, &second), 0);
	assert_string_equal(first.data, second.data);
	assert_int_equal(c->services[0].hold_down_ms, 10000);
	agent_config_free(c);
	agent_config_free(again);
}

/* Each word the walk lets through means to libcyaml what it says. */
static void test_words_of_truth(void **state)
{
	static const struct {
		const char *word;
		bool is;
	} rows[] = { { "true", true },	   { "Yes", true },    { "ON", true },	  { "enable", true },
		     { "1", true },	   { "false", false }, { "No", false },	  { "OFF", false },
		     { "Disable", false }, { "0", false },     { "FALSE", false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *text = xasprintf(
			HEAD SERVICE "    addresses: [198.18.1.1]\n    vip: {create: %s}\n", rows[i].word);
		char why[CONF_WHY_LEN] = "";
		struct agent_config *c;
		if (load_text(text, &c, why) < 0)
			fail_msg("%s: %s", rows[i].word, why);
		assert_int_equal(c->services[0].vip->create, rows[i].is);
		agent_config_free(c);
	}
}

static void test_size_has_a_limit(void **state)
{
	auto_buf text = { 0 };
	char why[CONF_WHY_LEN] = "";
	struct agent_config *c;

	(void)state;
	buf_adds(&text, HEAD);
	for (size_t i = 0; i <= CONF_BYTES_MAX / 64; i++)
		buf_addf(&text, "#%062zu\n", i);
	assert_int_equal(load_text(text.data, &c, why), ERR_LIMIT);
	assert_non_null(strstr(why, "larger than 4 MiB"));
	assert_true(agent_config_load("/tmp", &c, why) < 0); /* a directory opens, and cannot be read */
	assert_non_null(strstr(why, "directory"));
}

static const struct {
	const char *text, *says;
} mistakes[] = {
	{ HEAD "colour: red\n", "line 4, column 1" },
	{ HEAD "sample:\n  interval: 5\n", "line 5" },
	{ "node: n1\nallow:\n  prefixes: 7\n", "line 3" },
	{ "allow:\n  prefixes: [198.18.1.0/24]\n", "node" },
	{ "node: n1\nallow: {prefixes: [198.18.1.1/24]}\n", "host bits" },
	{ "node: n1\nallow: {prefixes: [0.0.0.0/0]}\n", "wider than /8" },
	{ "node: ../etc\nallow: {prefixes: [198.18.1.0/24]}\n", "is not a name" },
	{ HEAD "log: loud\n", "none of debug" },
	{ HEAD "  communities: [\"64500:80\", \"64500;80\"]\n",
	  "allow.communities[1]: \"64500;80\" is not a" },
	{ HEAD "  communities: [\"64500:080\"]\n", "write \"64500:080\" as 64500:80" },
	{ HEAD "  communities: [no-export]\n", "write \"no-export\" as 65535:65281" },
	{ HEAD "sample: {interval_ms: 5}\n", "100..60000" },
	{ HEAD "controller: {endpoints: [nowhere], ca: a, cert: b, key: c}\n", "endpoints[0]" },
	{ HEAD "services:\n  - {name: web, prefixes: [10.0.0.0/24], checks: [{kind: tcp, target: "
	       "\"127.0.0.1:1\"}]}\n",
	  "not inside allow.prefixes" },
	{ HEAD "services:\n  - {name: web, prefixes: [198.18.1.0/24], checks: [{kind: psychic}]}\n", "kind" },
#define WEB(more) HEAD SERVICE "    " more "\n"
	{ WEB("join: most"), "services[0].join: \"most\"" },
	{ WEB("join: quorum"), "quorum: how many" },
	{ WEB("{join: quorum, quorum: 2}"), "line" },
	{ HEAD SERVICE "    join: quorum\n    quorum: 2\n", "2 of 1 checks cannot pass" },
	{ WEB("on_stop: maybe"), "on_stop: \"maybe\" is neither keep nor withdraw" },
	{ WEB("on_down: weaken"), "on_down: \"weaken\": neither withdraw nor degrade" },
	{ WEB("up: {communities: [red]}"), "up: not a community" },
	{ WEB("up: {prepends: 11}"), "up: more than 10 prepends" },
	{ WEB("neighbours: [transit1]"), "not in the list of neighbours" },
	{ WEB("hooks: {up: page}"), "hooks: \"page\" is not in commands" },
	{ WEB("addresses: [198.18.1.1]"), "these and vip go together" },
	{ HEAD SERVICE "    addresses: [198.18.2.1]\n    vip: {interface: lo}\n",
	  "no single address of the service" },
	{ HEAD "commands: [{name: x, argv: [true]}]\n", "not an absolute path" },
	{ HEAD "neighbours: [{name: x, community: y}]\n", "is not a community" },
	{ HEAD "services:\n  - {name: web, prefixes: [198.18.1.0/24], checks: [{kind: exec, command: "
	       "x}]}\n",
	  "command: \"x\" is not in commands" },
	{ HEAD "services:\n  - {name: web, prefixes: [198.18.1.0/24], checks: [{kind: listen, "
	       "target: \"127.0.0.1:1\", path: /}]}\n",
	  "path: a listen check has no such field" },
	{ HEAD "services:\n  - {name: web, prefixes: [198.18.1.0/24], checks: [{kind: dns, target: "
	       "\"127.0.0.1:53\"}]}\n",
	  "query: missing" },
	{ HEAD "services:\n  - {name: web, prefixes: [198.18.1.0/24], checks: [{kind: http, target: "
	       "\"127.0.0.1:1\", expect_body: \"(\"}]}\n",
	  "expect_body: " },
	{ HEAD "  bad indent: [\n", "line" },
	/* what libcyaml would take for something else, in silence */
	{ HEAD "sample: {interval_ms: 2s}\n", "line 4, column 23: interval_ms: \"2s\" is not a whole" },
	{ HEAD "sample: {interval_ms: 1.5}\n", "not a whole number" },
	{ HEAD "sample: {interval_ms: 0x1f4}\n", "not a whole number" },
	{ HEAD "sample: {interval_ms: -18446744073709550616}\n", "not a whole number" },
	{ HEAD "sample: {interval_ms: 01750}\n", "starts with 0" },
	{ HEAD "sample: {interval_ms: 0}\n", "0 is not possible" },
	{ HEAD "sample: {interval_ms: 4294967796}\n", "line 4, column 23" },
	{ HEAD "sample: {interval_ms: }\n", "no value" },
	{ HEAD SERVICE "    hold_down_ms: 0\n", "line 10, column 19" },
	{ HEAD SERVICE "    vip: {create: fasle}\n", "line 10, column 19: create: \"fasle\" is neither" },
	{ "node: n1\nallow: {prefixes: [198.18.1.0/24]}\nnode: n2\n", "line 3, column 1: node: this key" },
	{ HEAD SERVICE "        target: 127.0.0.1:81\n", "line 10, column 9" },
	{ "node: \"n1\\0x\"\nallow: {prefixes: [198.18.1.0/24]}\n", "NUL" },
	{ "node: n1\nallow: {prefixes: &p [198.18.1.0/24], communities: *p}\n",
	  "line 2, column 19: anchors" },
	{ "node: !!str n1\nallow: {prefixes: [198.18.1.0/24]}\n", "line 1, column 7: anchors" },
	{ HEAD "---\nnode: n2\n", "line 4, column 1: a second document" },
	{ HEAD "services:\n", "services: a list is needed" },
	{ "- n1\n", "line 1, column 1" },
	{ HEAD "? [a, b]\n: c\n", "line 4, column 3: a key must be" },
	{ HEAD "\"\\e[31mred\": 1\n", "Unexpected key: ?[31mred" },
	{ "", "" },
};

static void test_every_mistake_is_named(void **state)
{
	struct agent_config *c = NULL;
	char why[CONF_WHY_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		why[0] = 0;
		assert_true(load_text(mistakes[i].text, &c, why) < 0);
		if (!strstr(why, mistakes[i].says))
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i, why, mistakes[i].says);
	}
	assert_true(agent_config_load("/nonexistent/agent.yaml", &c, why) < 0);
	assert_non_null(strstr(why, "No such file"));
}

static void test_prefix_belongs_to_one_service(void **state)
{
	struct agent_config *c = NULL;
	char why[CONF_WHY_LEN];

	(void)state;
	assert_true(load_text(HEAD SERVICE "  - {name: dns, prefixes: [198.18.1.0/24], checks: [{kind: tcp, "
					   "target: \"127.0.0.1:53\"}]}\n",
			      &c, why) < 0);
	assert_non_null(strstr(why, "already belongs to service \"web\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example_is_good),
		cmocka_unit_test(test_canonical_form_parses_again),
		cmocka_unit_test(test_every_mistake_is_named),
		cmocka_unit_test(test_words_of_truth),
		cmocka_unit_test(test_size_has_a_limit),
		cmocka_unit_test(test_prefix_belongs_to_one_service),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
