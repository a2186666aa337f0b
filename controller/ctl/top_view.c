/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/top_view.h"

#include <stdlib.h>
#include <string.h>

#include "controller/ctl/column.h"
#include "controller/ctl/plan_view.h"
#include "controller/ctl/status_view.h"
#include "controller/ctl/text.h"
#include "proto/base/mem.h"

#define ALERTS 5

/* clang-format off */
static const struct column site_cols[] = {
	{ "SITE",     "name",            COL_TEXT },
	{ "LOAD",     "util",            COL_BAR },
	{ ">UTIL",    "util",            COL_PCT },
	{ ">NODES",   "nodes",           COL_NUM },
	{ ">UP",      "nodes_connected", COL_NUM },
	{ ">AGE",     "age_ms",          COL_AGE },
	{ "GRADES",   "grades",          COL_COUNTS },
	{ "DROPPING", "dropping",        COL_FLAG },
	{ "DRAINING", "draining",        COL_FLAG },
	{ 0 },
};
static const struct column node_cols[] = {
	{ "NODE",     "name",           COL_TEXT },
	{ "SITE",     "site",           COL_TEXT },
	{ "LOAD",     "util",           COL_BAR },
	{ ">UTIL",    "util",           COL_PCT },
	{ ">BIT/S",   "load.bps",       COL_SI },
	{ ">CONN/S",  "load.conns",     COL_SI },
	{ ">WEIGHT",  "weight",         COL_NUM },
	{ ">AGE",     "age_ms",         COL_AGE },
	{ "BGP",      "bgp_ok",         COL_YES },
	{ "SERVICE",  "service_up",     COL_YES },
	{ "DROPPING", "dropping",       COL_FLAG },
	{ "WHY",      "service_reason", COL_TEXT },
	{ 0 },
};
static const struct column shard_cols[] = {
	{ "SHARD",      "name",            COL_TEXT },
	{ ">ANNOUNCED", "announced_sites", COL_NUM },
	{ ">MINIMUM",   "min_sites",       COL_NUM },
	{ "SITES",      "sites",           COL_CELLS },
	{ 0 },
};
/* clang-format on */

static double util_of(const json_t *one)
{
	const json_t *v = json_object_get(one, "util");

	return json_is_number(v) ? json_number_value(v) : -1;
}

static int hotter(const void *a, const void *b)
{
	double x = util_of(*(json_t *const *)a), y = util_of(*(json_t *const *)b);

	return x > y ? -1 : x < y;
}

/* The first n, the hottest first when they have a utilisation. New reference. */
static json_t *top_of(const json_t *list, size_t n)
{
	size_t all = json_array_size(list);
	json_t **rows = xcalloc(all, sizeof(json_t *)), *out = json_array();

	for (size_t i = 0; i < all; i++)
		rows[i] = json_array_get(list, i);
	if (all)
		qsort(rows, all, sizeof(json_t *), hotter);
	for (size_t i = 0; i < all && i < n; i++)
		json_array_append(out, rows[i]);
	free(rows);
	return out;
}

/* A list cut to what fits, and how much is not shown. Returns the lines printed. */
static unsigned part(const struct out *o, const struct column *cols, const json_t *list, unsigned rows)
{
	size_t all = json_array_size(list), fit = rows < 3 ? 0 : rows - 2;
	json_auto_t *some = top_of(list, all <= fit + 1 ? all : fit);
	auto_table *t = column_table(cols, some);

	if (!table_rows(t) || rows < 3)
		return 0;
	table_print(t, o, 0);
	if (json_array_size(some) < all) {
		out_text(o, TINT_DIM, "and %zu more", all - json_array_size(some));
		fputc('\n', o->f);
	}
	return (unsigned)json_array_size(some) + 1 + (json_array_size(some) < all);
}

static void bar(const struct out *o, const struct top_data *d, enum top_page page)
{
	static const char *const names[TOP_PAGES] = { "n nodes", "s shards", "p plan" };
	char age[TEXT_NUM];

	for (int i = 0; i < TOP_PAGES; i++) {
		out_text(o, i == (int)page ? TINT_BOLD : TINT_DIM, "%s", names[i]);
		fputs("  ", o->f);
	}
	out_text(o, TINT_DIM, "q quit");
	if (d->trouble && *d->trouble)
		out_text(o, TINT_BAD, "  %s old: %s", text_age(d->age_ms, age), d->trouble);
	fputc('\n', o->f);
}

static unsigned head(const struct out *o, const struct top_data *d)
{
	unsigned lines = status_headline(o, d->status);

	return lines + status_wrong(o, d->status, ALERTS);
}

void top_print(const struct out *o, const struct top_data *d, enum top_page page, unsigned rows)
{
	bar(o, d, page);
	if (!d->status)
		return;
	unsigned used = 1 + head(o, d);
	fputc('\n', o->f);
	used++;
	json_t *sites = json_object_get(d->status, "sites");
	unsigned left = rows > used ? rows - used : 0;

	if (page == TOP_PLAN) {
		status_doing(o, d->status);
		return;
	}
	/* sites take up to half of what is left */
	unsigned n = part(o, site_cols, sites, left > 12 ? left / 2 : left);
	left = left > n + 1 ? left - n - 1 : 0;
	fputc('\n', o->f);
	part(o, page == TOP_NODES ? node_cols : shard_cols, page == TOP_NODES ? d->nodes : d->shards, left);
}
