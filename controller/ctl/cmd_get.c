/* SPDX-License-Identifier: Apache-2.0
 * One resource as a table or as the API's own JSON. The columns are rows here: nothing else knows fields. */
#include <string.h>

#include "controller/ctl/column.h"
#include "controller/ctl/ctl.h"
#include "proto/base/mem.h"

#define PAGE_MAX 1000 /* more pages than any cluster has */

static const struct column site_cols[] = {
	{ "SITE", "name", COL_TEXT },	      { "HEALTHY", "healthy", COL_YES },
	{ "DRAINING", "draining", COL_FLAG }, { ">UTIL", "util", COL_PCT },
	{ ">LOAD", "load.bps", COL_SI },      { ">CAPACITY", "capacity.bps", COL_SI },
	{ "DROPPING", "dropping", COL_FLAG }, { ">AGE", "age_ms", COL_AGE },
	{ "NODES", "nodes", COL_LIST },	      { 0 },
};
static const struct column node_cols[] = {
	{ "NODE", "name", COL_TEXT },
	{ "SITE", "site", COL_TEXT },
	{ "CONNECTED", "connected", COL_YES },
	{ "BGP", "bgp_ok", COL_YES },
	{ "SERVICE", "service_up", COL_YES },
	{ "DRAINING", "draining", COL_FLAG },
	{ ">WEIGHT", "weight", COL_NUM },
	{ ">UTIL", "util", COL_PCT },
	{ ">LOAD", "load.bps", COL_SI },
	{ ">CAPACITY", "capacity.bps", COL_SI },
	{ "DROPPING", "dropping", COL_FLAG },
	{ ">AGE", "age_ms", COL_AGE },
	{ 0 },
};
static const struct column service_cols[] = {
	{ "SERVICE", "name", COL_TEXT },
	{ ">MIN-SITES", "min_sites", COL_NUM },
	{ "SHARDS", "shards", COL_LIST },
	{ 0 },
};
static const struct column shard_cols[] = {
	{ "SHARD", "name", COL_TEXT },
	{ "SERVICE", "service", COL_TEXT },
	{ "PREFIXES", "prefixes", COL_LIST },
	{ 0 },
};

static const struct resource {
	const char *name, *path;
	const struct column *cols; /* NULL: JSON always */
} resources[] = {
	{ "cluster", "/v1/cluster", NULL },	{ "sites", "/v1/sites", site_cols },
	{ "nodes", "/v1/nodes", node_cols },	{ "services", "/v1/services", service_cols },
	{ "shards", "/v1/shards", shard_cols }, { "plan", "/v1/plan", NULL },
};

/* "site" is taken for "sites" */
static const struct resource *find(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		size_t len = strlen(resources[i].name);
		if (!strcmp(word, resources[i].name) ||
		    (strlen(word) + 1 == len && resources[i].name[len - 1] == 's' &&
		     !strncmp(word, resources[i].name, len - 1)))
			return &resources[i];
	}
	return NULL;
}

static void print(const struct ctl *ctl, const struct resource *r, json_t *answer, json_t *items)
{
	if (ctl->out.format == OUT_JSON || !r->cols) {
		out_json(&ctl->out, answer);
		return;
	}
	auto_table *t = column_table(r->cols, items);
	if (table_rows(t))
		table_print(t, &ctl->out, 0);
	else
		fprintf(ctl->out.f, "no %s\n", r->name);
}

static int get_one(struct ctl *ctl, const struct resource *r, const char *name)
{
	auto_free char *before = xasprintf("%s/", r->path);
	auto_free char *path = ctl_path(before, name, "");
	json_auto_t *items = json_array();
	auto_reply reply = { 0 };
	int rc = ctl_call(ctl, "GET", path, NULL, &reply);

	if (rc)
		return rc;
	json_array_append(items, reply.json);
	print(ctl, r, reply.json, items);
	return CTL_OK;
}

/* Follows next cursors; the items of all pages. */
static int get_all(struct ctl *ctl, const struct resource *r)
{
	json_auto_t *items = json_array();
	auto_free char *path = xstrdup(r->path);

	for (size_t i = 0; i < PAGE_MAX && path; i++) {
		auto_reply reply = { 0 };
		int rc = ctl_call(ctl, "GET", path, NULL, &reply);

		if (rc)
			return rc;
		if (!r->cols) {
			print(ctl, r, reply.json, NULL);
			return CTL_OK;
		}
		json_t *page = json_is_array(reply.json) ? reply.json : json_object_get(reply.json, "items");
		json_array_extend(items, page);
		const char *next = json_string_value(json_object_get(reply.json, "next"));
		free(path);
		path = NULL;
		if (next) {
			auto_free char *before = xasprintf("%s?cursor=", r->path);
			path = ctl_path(before, next, "");
		}
	}
	print(ctl, r, items, items);
	return CTL_OK;
}

static int get_run(struct ctl *ctl, int argc, char **argv)
{
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 1, 2);

	if (i < 0)
		return ctl->rc;
	const struct resource *r = find(argv[i]);
	if (!r)
		return ctl_usage(ctl, "there is no '%s': cluster, sites, nodes, services, shards or plan",
				 argv[i]);
	if (i + 1 < argc && !r->cols)
		return ctl_usage(ctl, "%s takes no name", r->name);
	return i + 1 < argc ? get_one(ctl, r, argv[i + 1]) : get_all(ctl, r);
}

const struct cmd cmd_get = {
	.name = "get",
	.args = "cluster|sites|nodes|services|shards|plan [NAME]",
	.brief = "Show what exists and what it does now",
	.help = "Figures are live and carry their age. cluster is the document as it was applied, ready to "
		"edit and apply\n"
		"again.",
	.run = get_run,
};
