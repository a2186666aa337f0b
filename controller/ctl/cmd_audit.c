/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "controller/ctl/column.h"
#include "controller/ctl/ctl.h"
#include "proto/base/mem.h"

#define PAGE 200

/* clang-format off */
static const struct column cols[] = {
	{ ">ID",    "id",     COL_NUM },
	{ "TIME",   "time",   COL_TEXT },
	{ "BY",     "actor",  COL_TEXT },
	{ "KIND",   "kind",   COL_TEXT },
	{ "WHAT",   "text",   COL_TEXT },
	{ 0 },
};
/* clang-format on */

static void add_query(struct buf *path, const char *key, const char *value)
{
	auto_free char *before = xasprintf("&%s=", key);
	auto_free char *part = value ? ctl_path(before, value, "") : xstrdup("");

	buf_adds(path, part);
}

static char *page_path(const char *const *filters, json_int_t before, uint64_t limit)
{
	static const char *const keys[] = { "actor", "kind", "from", "to" };
	auto_buf path = { 0 };

	buf_addf(&path, "/v1/audit?limit=%llu", (unsigned long long)(limit < PAGE ? limit : PAGE));
	if (before)
		buf_addf(&path, "&before=%" JSON_INTEGER_FORMAT, before);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		add_query(&path, keys[i], filters[i]);
	return xstrdup(path.data);
}

/* Oldest last in the answers, oldest first for people: like a log. */
static json_t *reversed(const json_t *list)
{
	json_t *out = json_array();

	for (size_t i = json_array_size(list); i > 0; i--)
		json_array_append(out, json_array_get(list, i - 1));
	return out;
}

static int audit_run(struct ctl *ctl, int argc, char **argv)
{
	const char *filters[4] = { NULL };
	uint64_t limit = 50;
	const struct opt opts[] = {
		{ 0, "actor", "NAME", "only this one's acts", OPT_STR, &filters[0] },
		{ 0, "kind", "KIND", "only this kind, such as drain, mode, override", OPT_STR, &filters[1] },
		{ 0, "from", "TIME", "not before, such as 2026-11-26T08:00:00Z", OPT_STR, &filters[2] },
		{ 0, "to", "TIME", "not after", OPT_STR, &filters[3] },
		{ 'n', "limit", "N", "so many, the newest (default 50)", OPT_UINT, &limit },
	};
	json_auto_t *all = json_array();
	json_int_t before = 0;
	int i = ctl_opts_(ctl, opts, argc, argv, 0, 0);

	if (i < 0)
		return ctl->rc;
	do {
		auto_reply r = { 0 };
		auto_free char *path = page_path(filters, before, limit - json_array_size(all));
		int rc = ctl_call(ctl, "GET", path, NULL, &r);
		if (rc)
			return rc;
		json_array_extend(all, json_object_get(r.json, "audit"));
		before = json_integer_value(json_object_get(r.json, "next"));
	} while (before && json_array_size(all) < limit);
	json_auto_t *rows = reversed(all);
	if (ctl->out.format == OUT_JSON) {
		out_json(&ctl->out, rows);
		return CTL_OK;
	}
	auto_table *t = column_table(cols, rows);
	if (table_rows(t))
		table_print(t, &ctl->out, 0);
	else
		fprintf(ctl->out.f, "nobody did anything\n");
	return CTL_OK;
}

const struct cmd cmd_audit = {
	.name = "audit",
	.args = "[--actor NAME] [--kind KIND] [--from TIME] [--to TIME] [--limit N]",
	.brief = "Who did what, when and why",
	.help = "Every change that somebody asked for, oldest first; what ended by a deadline says expiry or "
		"commit-confirm.\n"
		"-o json has the reasons and the details.",
	.run = audit_run,
};
