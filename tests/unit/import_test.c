/* SPDX-License-Identifier: Apache-2.0
 * tests/golden/import: NAME.conf becomes NAME.yaml, and NAME.notes names what had no counterpart. The results
 * are good configurations. What is cut or garbled does no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "agent/config.h"
#include "agent/import.h"

#define GOLDEN "tests/golden/import/"

static const char *const names[] = { "exabgp", "healthcheck", "anycast-healthchecker" };

static char *slurp(const char *name, const char *suffix)
{
	auto_free char *path = xasprintf(GOLDEN "%s%s", name, suffix);
	auto_fclose FILE *f = fopen(path, "re");
	char *text = xcalloc(1, 65536);

	if (!f)
		fail_msg("%s is missing", path);
	text[fread(text, 1, 65535, f)] = 0;
	return text;
}

static void run(const char *text, struct imported *in)
{
	if (import_is_ahc(text))
		import_ahc(text, in);
	else
		import_exabgp(text, in);
}

static void test_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *conf = slurp(names[i], ".conf"), *yaml = slurp(names[i], ".yaml"),
			       *notes = slurp(names[i], ".notes");
		struct imported *in = xcalloc(1, sizeof(*in));
		auto_buf out = { 0 }, said = { 0 };
		run(conf, in);
		import_print(in, &out);
		assert_string_equal(out.data, yaml);
		buf_adds(&said, "");
		for (size_t k = 0; k < in->notes.n; k++)
			buf_addf(&said, "not mapped: %s\n", in->notes.w[k]);
		assert_string_equal(said.data ? said.data : "", notes);
		imported_done(in);
		free(in);
	}
}

static void test_results_are_good(void **state)
{
	struct agent_config *c;
	char why[CONF_WHY_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *path = xasprintf(GOLDEN "%s.yaml", names[i]);
		if (agent_config_load(path, &c, why) < 0)
			fail_msg("%s", why);
		agent_config_free(c);
	}
}

/* every prefix of every file, and each with a byte changed */
static void test_cut_and_garbled(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *conf = slurp(names[i], ".conf");
		struct imported *in = xcalloc(1, sizeof(*in));
		for (size_t n = strlen(conf); n-- > 0;) {
			auto_buf out = { 0 };
			char was = conf[n];
			conf[n] = "{}'\"=[\n"[n % 7];
			run(conf, in);
			import_print(in, &out);
			imported_done(in);
			conf[n] = was;
			auto_free char *cut = xstrdup(conf);
			cut[n] = 0;
			run(cut, in);
			imported_done(in);
		}
		free(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_golden),
					    cmocka_unit_test(test_results_are_good),
					    cmocka_unit_test(test_cut_and_garbled) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
