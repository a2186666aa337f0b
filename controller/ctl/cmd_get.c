/* SPDX-License-Identifier: Apache-2.0
 * One resource as a table or as the API's own JSON. The columns are rows here: nothing else knows fields. */
#include <string.h>

#include "controller/ctl/column.h"
#include "controller/ctl/ctl.h"
#include "controller/ctl/plan_view.h"
#include "proto/base/mem.h"

#define PAGE_MAX 5000 /* more pages than any cluster has */

/* clang-format off */
static const struct column site_cols[] = {
	{ "SITE",      "name",         COL_TEXT },
	{ "HEALTHY",   "healthy",      COL_YES },
	{ ">UTIL",     "util",         COL_PCT },
	{ ">LOAD",     "load.bps",     COL_SI },
	{ ">CAPACITY", "capacity.bps", COL_SI },
	{ ">AGE",      "age_ms",       COL_AGE },
	{ "NODES",     "nodes",        COL_LIST },
	{ "DROPPING",  "dropping",     COL_FLAG },
	{ "DRAINING",  "drain",        COL_FLAG },
	{ 0 },
};
static const struct column node_cols[] = {
	{ "NODE",      "name",              COL_TEXT },
	{ "SITE",      "site",              COL_TEXT },
	{ "CONNECTED", "session.connected", COL_YES },
	{ "BGP",       "bgp_ok",            COL_YES },
	{ "SERVICE",   "service_up",        COL_YES },
	{ ">WEIGHT",   "weight",            COL_NUM },
	{ ">UTIL",     "util",              COL_PCT },
	{ ">LOAD",     "load.bps",          COL_SI },
	{ ">CAPACITY", "capacity.bps",      COL_SI },
	{ ">AGE",      "age_ms",            COL_AGE },
	{ "DROPPING",  "dropping",          COL_FLAG },
	{ "DRAINING",  "drain",             COL_FLAG },
	{ "WHY",       "service_reason",    COL_TEXT },
	{ 0 },
};
static const struct column service_cols[] = {
	{ "SERVICE",    "name",            COL_TEXT },
	{ ">ANNOUNCED", "announced_sites", COL_NUM },
	{ ">MINIMUM",   "min_sites",       COL_NUM },
	{ "SHARDS",     "shards",          COL_LIST },
	{ 0 },
};
static const struct column shard_cols[] = {
	{ "SHARD",      "name",            COL_TEXT },
	{ "SERVICE",    "service",         COL_TEXT },
	{ "PREFIXES",   "prefixes",        COL_LIST },
	{ ">ANNOUNCED", "announced_sites", COL_NUM },
	{ ">MINIMUM",   "min_sites",       COL_NUM },
	{ "SITES",      "sites",           COL_CELLS },
	{ 0 },
};
#define CELL_COLS \
	{ "GRADE",    "grade",      COL_TEXT }, \
	{ "WANTED",   "wanted",     COL_TEXT }, \
	{ "ANNOUNCED", "announced", COL_YES }, \
	{ ">LOAD",    "load_bps",   COL_RANGE }, \
	{ ">AGE",     "age_ms",     COL_AGE }, \
	{ ">CHANGED", "changed_ms", COL_SINCE }, \
	{ "WHY",      "why",        COL_TEXT }, \
	{ 0 }
static const struct column site_cell_cols[] = { { "SHARD", "shard", COL_TEXT }, CELL_COLS };
static const struct column shard_cell_cols[] = { { "SITE", "site", COL_TEXT }, CELL_COLS };
static const struct column node_shard_cols[] = {
	{ "SHARD",       "shard",      COL_TEXT },
	{ "GRADE",       "grade",      COL_TEXT },
	{ "ANNOUNCED",   "announced",  COL_YES },
	{ ">NEIGHBOURS", "neighbours", COL_NUM },
	{ ">WEIGHT",     "weight",     COL_NUM },
	{ ">IN",         "in_bps",     COL_SI },
	{ ">OUT",        "out_bps",    COL_SI },
	{ ">PERMIT",     "permit_ms",  COL_SINCE },
	{ "ERROR",       "error",      COL_TEXT },
	{ 0 },
};

static const struct resource {
	const char *name, *path;
	const struct column *cols;  /* NULL: a document, no list */
	const char *parts;          /* field of one that holds its parts, and their columns */
	const struct column *part_cols;
} resources[] = {
	{ "cluster",  "/v1/cluster",  NULL,         NULL,     NULL },
	{ "sites",    "/v1/sites",    site_cols,    "shards", site_cell_cols },
	{ "nodes",    "/v1/nodes",    node_cols,    "shards", node_shard_cols },
	{ "services", "/v1/services", service_cols, NULL,     NULL },
	{ "shards",   "/v1/shards",   shard_cols,   "sites",  shard_cell_cols },
	{ "plan",     "/v1/plan",     NULL,         NULL,     NULL },
};
/* clang-format on */

/* "site" is taken for "sites" */
static const struct resource *find(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		const char *name = resources[i].name;
		size_t len = strlen(name);

		if (!strcmp(word, name) ||
		    (name[len - 1] == 's' && strlen(word) + 1 == len && !strncmp(word, name, len - 1)))
			return &resources[i];
	}
	return NULL;
}

static void print_list(const struct ctl *ctl, const struct resource *r, json_t *items)
{
	auto_table *t = column_table(r->cols, items);

	if (table_rows(t))
		table_print(t, &ctl->out, 0);
	else
		fprintf(ctl->out.f, "no %s\n", r->name);
}

static void print_parts(const struct ctl *ctl, const struct resource *r, const json_t *one)
{
	json_t *parts = r->parts ? json_object_get(one, r->parts) : NULL;

	if (!json_array_size(parts))
		return;
	auto_table *t = column_table(r->part_cols, parts);
	fputc('\n', ctl->out.f);
	table_print(t, &ctl->out, 0);
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
	if (ctl->out.format == OUT_JSON) {
		out_json(&ctl->out, reply.json);
		return CTL_OK;
	}
	json_array_append(items, reply.json);
	print_list(ctl, r, items);
	print_parts(ctl, r, reply.json);
	return CTL_OK;
}

static int get_document(struct ctl *ctl, const struct resource *r)
{
	auto_reply reply = { 0 };
	int rc = ctl_call(ctl, "GET", r->path, NULL, &reply);

	if (rc)
		return rc;
	if (ctl->out.format == OUT_TABLE && !strcmp(r->name, "plan"))
		plan_print(&ctl->out, reply.json, true);
	else
		out_json(&ctl->out, reply.json);
	return CTL_OK;
}

/* The path of the page after this one, or NULL; heap. */
static char *next_page(const struct resource *r, const json_t *page)
{
	const char *next = json_string_value(json_object_get(page, "next"));
	auto_free char *before = xasprintf("%s?after=", r->path);

	return next ? ctl_path(before, next, "") : NULL;
}

static int get_list(struct ctl *ctl, const struct resource *r)
{
	json_auto_t *items = json_array();
	auto_free char *path = xstrdup(r->path);

	for (size_t i = 0; i < PAGE_MAX && path; i++) {
		auto_reply reply = { 0 };
		int rc = ctl_call(ctl, "GET", path, NULL, &reply);

		if (rc)
			return rc;
		json_array_extend(items, json_object_get(reply.json, r->name));
		free(path);
		path = next_page(r, reply.json);
	}
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, items);
	else
		print_list(ctl, r, items);
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
	if (!r->cols && i + 1 < argc)
		return ctl_usage(ctl, "%s takes no name", r->name);
	if (!r->cols)
		return get_document(ctl, r);
	return i + 1 < argc ? get_one(ctl, r, argv[i + 1]) : get_list(ctl, r);
}

const struct cmd cmd_get = {
	.name = "get",
	.args = "cluster|sites|nodes|services|shards|plan [NAME]",
	.brief = "Show what exists and what it does now",
	.help = "Figures are live and carry their age. With a NAME, its parts too. cluster is the document "
		"as it was\n"
		"applied, ready to edit and apply again. With -o json: a list of what the API says of each, "
		"or the one.",
	.run = get_run,
};

static int plan_run(struct ctl *ctl, int argc, char **argv)
{
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 0, 0);

	return i < 0 ? ctl->rc : get_document(ctl, find("plan"));
}

const struct cmd cmd_plan = {
	.name = "plan",
	.args = "",
	.brief = "Show what the last round thought: the same as get plan",
	.help = "State and reason, the moves made or proposed, those held back and why, and where the load "
		"would go.",
	.run = plan_run,
};
