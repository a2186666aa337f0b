/* SPDX-License-Identifier: Apache-2.0
 * Sections in the order of the questions at 2 a.m.; an empty section is left out, so that a calm cluster fits
 * in a few lines. */
#include "controller/ctl/status_view.h"

#include <string.h>

#include "controller/ctl/column.h"
#include "controller/ctl/plan_view.h"
#include "controller/ctl/text.h"
#include "proto/base/mem.h"

#define HOT	0.85
#define HOT_MAX 8

/* clang-format off */
static const struct column weakened_cols[] = {
	{ "SITE",     "site",       COL_TEXT },
	{ "SHARD",    "shard",      COL_TEXT },
	{ "GRADE",    "grade",      COL_TEXT },
	{ "WANTED",   "wanted",     COL_TEXT },
	{ "NORMALLY", "base",       COL_TEXT },
	{ ">SINCE",   "changed_ms", COL_SINCE },
	{ "PINNED",   "pinned",     COL_FLAG },
	{ "WHY",      "why",        COL_TEXT },
	{ 0 },
};
static const struct column drain_cols[] = {
	{ "KIND",    "kind",    COL_TEXT },
	{ "NAME",    "name",    COL_TEXT },
	{ "WHERE",   "site",    COL_TEXT },
	{ "STAGE",   "stage",   COL_TEXT },
	{ ">LOAD",   "load_bps", COL_SI },
	{ ">BEFORE", "load_before_bps", COL_SI },
	{ ">SINCE",  "age_ms",  COL_SINCE },
	{ "UNTIL",   "expires", COL_TEXT },
	{ "BY",      "actor",   COL_TEXT },
	{ "HELD BY", "held_by", COL_TEXT },
	{ "REASON",  "reason",  COL_TEXT },
	{ 0 },
};
static const struct column hot_cols[] = {
	{ "KIND",  "kind", COL_TEXT },
	{ "NAME",  "name", COL_TEXT },
	{ ">UTIL", "util", COL_PCT },
	{ 0 },
};
static const struct column site_cols[] = {
	{ "SITE",     "name",            COL_TEXT },
	{ "HEALTHY",  "healthy",         COL_YES },
	{ ">UTIL",    "util",            COL_PCT },
	{ ">NODES",   "nodes",           COL_NUM },
	{ ">UP",      "nodes_connected", COL_NUM },
	{ ">AGE",     "age_ms",          COL_AGE },
	{ "GRADES",   "grades",          COL_COUNTS },
	{ "DROPPING", "dropping",        COL_FLAG },
	{ "DRAINING", "draining",        COL_FLAG },
	{ 0 },
};
/* clang-format on */

static const char *str(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	return s ? s : "";
}

static const char *age(const json_t *v, const char *key, char *buf)
{
	const json_t *ms = json_object_get(v, key);

	return text_age(json_is_number(ms) ? json_number_value(ms) : -1, buf);
}

static enum tint level_tint(const char *level)
{
	if (!strcmp(level, "alert"))
		return TINT_BAD;
	return !strcmp(level, "warning") ? TINT_WARN : TINT_GOOD;
}

static void nodes_count(const struct out *o, const json_t *nodes)
{
	json_int_t total = json_integer_value(json_object_get(nodes, "total"));
	json_int_t up = json_integer_value(json_object_get(nodes, "connected"));

	if (total)
		out_text(o, up < total ? TINT_WARN : TINT_NONE,
			 "  nodes %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT, up, total);
}

static void first_line(const struct out *o, const json_t *s)
{
	const char *level = str(s, "level"), *reason = str(s, "mode_reason");
	char up[TEXT_NUM], round[TEXT_NUM];

	out_text(o, level_tint(level), "%s", *level ? level : "?");
	out_text(o, TINT_NONE, "  cluster %s  mode ", str(s, "cluster"));
	out_text(o, TINT_BOLD, "%s", str(s, "mode"));
	if (*reason)
		out_text(o, TINT_NONE, " (%s)", reason);
	nodes_count(o, json_object_get(s, "nodes"));
	out_text(o, TINT_DIM, "  epoch %" JSON_INTEGER_FORMAT "  up %s",
		 json_integer_value(json_object_get(s, "epoch")), age(s, "uptime_ms", up));
	if (json_is_number(json_object_get(s, "round_age_ms")))
		out_text(o, TINT_DIM, "  last round %s ago", age(s, "round_age_ms", round));
	fputc('\n', o->f);
}

/* Alone there is nothing to say. */
static bool leader(const struct out *o, const json_t *s)
{
	const json_t *l = json_object_get(s, "leader");
	const char *role = str(l, "role");
	char since[TEXT_NUM];

	if (!*role || !strcmp(role, "alone"))
		return false;
	out_text(o,
		 !strcmp(role, "leader") ? TINT_GOOD
		 : !strcmp(role, "lost") ? TINT_BAD
					 : TINT_WARN,
		 "%s", role);
	out_text(o, TINT_DIM, " for %s", age(l, "since_ms", since));
	if (*str(l, "api"))
		out_text(o, TINT_NONE, "  %s leads at %s", str(l, "name"), str(l, "api"));
	fputc('\n', o->f);
	return true;
}

static bool tilt(const struct out *o, const json_t *s)
{
	if (!json_is_true(json_object_get(s, "tilt")))
		return false;
	out_text(o, TINT_BAD, "tilt: the loop stalled or the clock jumped: it looks and does not act");
	fputc('\n', o->f);
	return true;
}

unsigned status_headline(const struct out *o, const json_t *s)
{
	first_line(o, s);
	unsigned more = leader(o, s);
	return 1 + more + tilt(o, s);
}

unsigned status_wrong(const struct out *o, const json_t *s, size_t most)
{
	json_t *alerts = json_object_get(s, "alerts"), *a;
	json_int_t total = json_integer_value(json_object_get(s, "alerts_total"));
	static const char *const titles[] = { "", "", "", NULL };
	auto_table *t = table_new(titles);
	size_t i;

	json_array_foreach(alerts, i, a) {
		const char *severity = str(a, "severity");
		if (i == most)
			break;
		table_add(t, level_tint(severity), "%s", severity);
		table_add(t, TINT_NONE, "%s %s", str(a, "kind"), str(a, "name"));
		table_add(t, TINT_NONE, "%s", str(a, "text"));
	}
	if (!i)
		return 0;
	fprintf(o->f, "\nwrong\n");
	table_print(t, o, 2);
	if (total > (json_int_t)i)
		fprintf(o->f, "  and %" JSON_INTEGER_FORMAT " more\n", total - (json_int_t)i);
	return (unsigned)i + 2 + (total > (json_int_t)i);
}

/* The plan as /v1/plan shows it, put together from this page. */
void status_doing(const struct out *o, const json_t *s)
{
	json_auto_t *plan = json_object();

	json_object_update(plan, json_object_get(s, "plan"));
	json_object_set(plan, "mode", json_object_get(s, "mode"));
	json_object_set(plan, "moves", json_object_get(s, "moves"));
	json_object_set(plan, "refused", json_object_get(s, "held_back"));
	fprintf(o->f, "plan  ");
	plan_print(o, plan, true);
}

static void section(const struct out *o, const char *title, const struct column *cols, json_t *items)
{
	if (!json_array_size(items))
		return;
	auto_table *t = column_table(cols, items);
	fprintf(o->f, "\n%s\n", title);
	table_print(t, o, 2);
}

/* Worth a line: from where the plan begins to look. New reference. */
static json_t *hottest(const json_t *s)
{
	json_t *out = json_array(), *one;
	size_t i;

	json_array_foreach(json_object_get(s, "hot"), i, one)
		if (json_number_value(json_object_get(one, "util")) >= HOT && json_array_size(out) < HOT_MAX)
			json_array_append(out, one);
	return out;
}

void status_print(const struct out *o, const json_t *status)
{
	json_auto_t *hot = hottest(status);

	status_headline(o, status);
	status_wrong(o, status, SIZE_MAX);
	fputc('\n', o->f);
	status_doing(o, status);
	section(o, "hot", hot_cols, hot);
	section(o, "not as normal", weakened_cols, json_object_get(status, "weakened"));
	section(o, "drained", drain_cols, json_object_get(status, "drains"));
	section(o, "sites", site_cols, json_object_get(status, "sites"));
}
