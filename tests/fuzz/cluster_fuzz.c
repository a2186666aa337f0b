/* SPDX-License-Identifier: Apache-2.0
 * JSON text -> cluster_parse. Refused: at least one error, each with a pointer and a reason. Accepted: the
 * document, printed and parsed again, is the same cluster; indices are in range and grades are sorted. */
/* clang-format off */
/* links: controller/cluster.c controller/cluster_schema.c controller/steer/policy.c proto/base/addr.c proto/base/mem.c
 */
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "controller/cluster.h"
#include "controller/cluster_schema.h"
#include "proto/base/err.h"
#include "tests/fuzz/fuzz.h"

static void check_errors(json_t *errors)
{
	size_t i;
	json_t *e;

	must(json_array_size(errors) > 0 && json_array_size(errors) <= SCHEMA_ERRORS_MAX + 1);
	json_array_foreach(errors, i, e) {
		const char *pointer = json_string_value(json_object_get(e, "pointer"));
		must(pointer && (pointer[0] == 0 || pointer[0] == '/'));
		must(json_string_length(json_object_get(e, "reason")) > 0);
	}
}

static void check_sizes(const struct cluster *c)
{
	must(c->n_sites <= STEER_SITES_MAX && c->n_shards <= STEER_SHARDS_MAX &&
	     c->n_nodes <= CLUSTER_NODES_MAX);
	must(c->grades.n >= 6 && c->grades.n <= STEER_GRADES);
	must(strcmp(c->grades.g[0].name, "normal") == 0);
	must(strcmp(c->grades.g[c->grades.n - 1].name, "withdrawn") == 0);
	for (size_t i = 1; i < c->grades.n; i++)
		must(c->grades.g[i].strength > c->grades.g[i - 1].strength);
}

static void check_links(const struct cluster *c)
{
	size_t placed = 0;

	for (size_t i = 0; i < c->n_sites; i++)
		for (size_t k = 0; k < c->sites[i].n_nodes; k++, placed++)
			must(c->nodes[c->sites[i].nodes[k]].site == i);
	must(placed == c->n_nodes);
	for (size_t i = 0; i < c->n_nodes; i++)
		must(cluster_node(c, c->nodes[i].name) == (ssize_t)i && c->nodes[i].cap[RES_BPS] > 0);
	for (size_t i = 0; i < c->n_shards; i++) {
		const struct cl_shard *s = &c->shards[i];
		must(cluster_shard(c, s->name) == (ssize_t)i && s->service < c->n_services);
		must(s->n_prefixes >= 1 && s->n_prefixes <= SHARD_PREFIXES);
		must(c->services[s->service].min_sites >= 1 &&
		     c->services[s->service].min_sites <= c->n_sites);
	}
}

static void check_again(const struct cluster *c)
{
	auto_free char *text = json_dumps(c->doc, JSON_COMPACT);
	json_auto_t *doc = json_loads(text, 0, NULL), *errors = json_array();
	struct cluster *again = NULL;

	must(doc && cluster_parse(doc, &again, errors) == 0);
	must(strcmp(again->etag, c->etag) == 0 && again->n_nodes == c->n_nodes);
	cluster_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_auto_t *doc = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL),
		    *errors = json_array();
	struct cluster *c = NULL;

	if (!doc)
		return 0;
	if (cluster_parse(doc, &c, errors) != 0) {
		must(!c);
		check_errors(errors);
		return 0;
	}
	must(json_array_size(errors) == 0);
	check_sizes(c);
	check_links(c);
	check_again(c);
	cluster_free(c);
	return 0;
}
