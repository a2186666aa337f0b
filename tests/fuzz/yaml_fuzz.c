/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a document. What is taken must be JSON that can be written, and written as JSON it must be
 * taken again as the same value; what is refused must say where.
 * links: controller/ctl/yaml.c proto/base/mem.c proto/base/err.c
 */
#include <stdlib.h>
#include <string.h>

#include "controller/ctl/yaml.h"
#include "proto/base/mem.h"
#include "tests/fuzz/fuzz.h"

static void taken(json_t *v, const char *text, size_t len)
{
	char why[YAML_WHY];
	json_t *again = NULL;
	size_t line, col;

	/* JSON_REAL_PRECISION 17: a double survives */
	auto_free char *json = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	must(json);
	if (strlen(json) <= 1000) { /* libyaml's limit for one line of a key */
		must(!yaml_load(json, strlen(json), &again, why));
		must(json_equal(v, again));
		json_decref(again);
	}
	must(!yaml_locate(text, len, "", &line, &col) || json_is_null(v) || *text == '{' || *text == '[' ||
	     strchr(" \t\r\n", *text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[YAML_WHY] = "";
	json_t *v = NULL;
	unsigned line, col;

	if (yaml_load((const char *)data, size, &v, why)) {
		must(!v);
		must(sscanf(why, "%u:%u: ", &line, &col) == 2 && line && col);
		return 0;
	}
	must(v);
	taken(v, (const char *)data, size);
	json_decref(v);
	return 0;
}
