/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/drill_view.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "controller/ctl/column.h"
#include "controller/ctl/text.h"
#include "proto/base/mem.h"

#define BAR 20

static const struct column target_cols[] = {
	{ "SITE", "site", COL_TEXT },
	{ "NODE", "node", COL_TEXT },
	{ "SHARD", "shard", COL_TEXT },
	{ ">LOAD", "load_bps", COL_SI },
	{ 0 },
};
static const struct column forecast_cols[] = {
	{ "SITE", "site", COL_TEXT },
	{ ">NOW", "util_before", COL_PCT },
	{ ">AFTER", "util_after", COL_PCT },
	{ ">AT LEAST", "util_after_lo", COL_PCT },
	{ ">AT MOST", "util_after_hi", COL_PCT },
	{ 0 },
};
static const struct column list_cols[] = {
	{ "ID", "id", COL_TEXT },	{ "KIND", "kind", COL_TEXT },	    { "SCOPE", "scope", COL_TEXT },
	{ "STATE", "state", COL_TEXT }, { "VERDICT", "verdict", COL_TEXT }, { "BEGAN", "began", COL_TEXT },
	{ "BY", "actor", COL_TEXT },	{ "REASON", "reason", COL_TEXT },   { 0 },
};
static const struct column ready_cols[] = {
	{ "SITE", "site", COL_TEXT },
	{ ">NOW", "util", COL_PCT },
	{ "CAN GO", "if_lost.enough", COL_YES },
	{ "MAY DRILL", "if_lost.enough_to_drill", COL_YES },
	{ "LAST DRILL", "last_drill.kind", COL_TEXT },
	{ "VERDICT", "last_drill.verdict", COL_TEXT },
	{ "IF LOST", "if_lost.site", COL_TEXT },
	{ ">COMES TO", "if_lost.util", COL_PCT },
	{ ">AT MOST", "if_lost.util_hi", COL_PCT },
	{ "NEXT TOO", "if_next_too.site", COL_TEXT },
	{ ">COMES TO", "if_next_too.util", COL_PCT },
	{ ">AT MOST", "if_next_too.util_hi", COL_PCT },
	{ ">AGE", "age_ms", COL_SINCE },
	{ 0 },
};

static const struct column window_cols[] = {
	{ "DAYS", "days", COL_LIST },
	{ "FROM", "from", COL_TEXT },
	{ "TO", "to", COL_TEXT },
	{ 0 },
};
static const struct column blackout_cols[] = {
	{ "FROM", "from", COL_TEXT },
	{ "TO", "to", COL_TEXT },
	{ "REASON", "reason", COL_TEXT },
	{ 0 },
};

static const char *str(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	return s ? s : "";
}

static void section(const struct out *o, const char *title, const struct column *cols, json_t *items)
{
	if (!json_array_size(items))
		return;
	auto_table *t = column_table(cols, items);
	fprintf(o->f, "%s\n", title);
	table_print(t, o, 2);
}

void drill_plan_print(const struct out *o, const json_t *plan)
{
	json_t *against = json_object_get(plan, "against"), *a;
	size_t i;

	if (json_array_size(against))
		out_text(o, TINT_BAD, "would be refused");
	else
		out_text(o, TINT_GOOD, "may begin");
	out_text(o, TINT_NONE, "  %s of %s", str(plan, "kind"), str(plan, "scope"));
	fputc('\n', o->f);
	json_array_foreach(against, i, a) {
		out_text(o, TINT_BAD, "  %s: ", str(a, "code"));
		out_text(o, TINT_NONE, "%s", str(a, "reason"));
		fputc('\n', o->f);
	}
	section(o, "targets, the canary first", target_cols, json_object_get(plan, "targets"));
	section(o, "forecast with all of them weakened", forecast_cols, json_object_get(plan, "forecast"));
	json_t *known = json_object_get(json_object_get(plan, "basis"), "known");
	if (json_is_false(known))
		out_text(o, TINT_WARN,
			 "nobody has measured this shift yet: the forecast is a guess from what is "
			 "usual elsewhere\n");
	else if (json_is_true(known))
		out_text(o, TINT_NONE, "made of what %.0f measured shifts taught\n",
			 json_number_value(json_object_get(json_object_get(plan, "basis"), "lessons")));
}

void drill_list_print(const struct out *o, const json_t *answer)
{
	json_t *drills = json_object_get(answer, "drills");

	if (!json_array_size(drills)) {
		fprintf(o->f,
			"no drill yet: sluicectl drill plan KIND --site SITE --reason TEXT shows one\n");
		return;
	}
	auto_table *t = column_table(list_cols, drills);
	table_print(t, o, 0);
}

void readiness_print(const struct out *o, const json_t *answer)
{
	auto_table *t = column_table(ready_cols, json_object_get(answer, "sites"));
	char real[TEXT_NUM], drill[TEXT_NUM];

	table_print(t, o, 0);
	text_pct(json_number_value(json_object_get(answer, "limit")), real);
	text_pct(json_number_value(json_object_get(answer, "drill_limit")), drill);
	fprintf(o->f, "CAN GO: no receiver above %s after a real loss; MAY DRILL: none above %s\n", real,
		drill);
}

/* -- the schedule -----------------------------------------------------------------------------------------
 */

/* "site fra, service web", as drills show it */
static char *scope_of(const json_t *spec)
{
	static const char *const keys[] = { "site", "node", "service", "shard" };
	auto_buf text = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (*str(spec, keys[i]))
			buf_addf(&text, "%s%s %s", text.len ? ", " : "", keys[i], str(spec, keys[i]));
	return xstrdup(text.len ? text.data : "the cluster");
}

static void add_scheduled(struct table *t, const json_t *drill, const json_t *schedule)
{
	const char *name = str(drill, "name"), *next = str(json_object_get(schedule, "next"), name);
	const json_t *spec = json_object_get(drill, "spec");
	time_t last =
		(time_t)(json_integer_value(json_object_get(json_object_get(schedule, "last"), name)) / 1000);
	auto_free char *scope = scope_of(spec);
	char began[32] = "never";
	struct tm tm;

	if (last > 0 && gmtime_r(&last, &tm))
		strftime(began, sizeof(began), "%Y-%m-%dT%H:%M:%SZ", &tm);
	table_add(t, TINT_NONE, "%s", name);
	table_add(t, TINT_NONE, "%s", str(spec, "kind"));
	table_add(t, TINT_NONE, "%s", scope);
	table_add(t, TINT_NONE, "%lldd", (long long)json_integer_value(json_object_get(drill, "every_days")));
	table_add(t, TINT_NONE, "%s", *next ? next : "-");
	table_add(t, TINT_NONE, "%s", began);
}

void drill_schedule_print(const struct out *o, const json_t *schedule)
{
	static const char *const titles[] = { "NAME",	  "KIND",	"SCOPE", ">EVERY",
					      "NEXT DUE", "LAST BEGUN", NULL };
	bool on = json_is_true(json_object_get(schedule, "enabled"));
	bool open = json_is_true(json_object_get(schedule, "open"));
	json_t *drills = json_object_get(schedule, "drills"), *d;
	auto_table *t = table_new(titles);
	size_t i;

	out_text(o, TINT_NONE, "the schedule is %s%s%s", on ? "on" : "off",
		 !on	? ""
		 : open ? ", a window is open"
			: ": ",
		 on && !open ? str(schedule, "why") : "");
	fputc('\n', o->f);
	json_array_foreach(drills, i, d)
		add_scheduled(t, d, schedule);
	if (json_array_size(drills))
		table_print(t, o, 0);
	section(o, "windows, UTC", window_cols, json_object_get(schedule, "windows"));
	section(o, "blackouts", blackout_cols, json_object_get(schedule, "blackout"));
}

/* -- watching ------------------------------------------------------------------------------------------- */

static double num(const json_t *v, const char *key)
{
	return json_number_value(json_object_get(v, key));
}

/* How far it has come, 0..1: stages by what is weakened, then the hold, then the way back. */
static double far(const json_t *d)
{
	const char *s = str(d, "state");
	const json_t *sim = json_object_get(d, "simulated");
	double n = num(d, "targets"), on = num(d, "weakened"), hold = num(d, "hold_ms");
	double part = n > 0 ? on / n : 0, held = hold > 0 ? num(d, "state_ms") / hold : 1;

	if (sim)
		return num(sim, "part");
	if (strcmp(s, "hold") == 0)
		return 0.6 + 0.2 * (held < 1 ? held : 1);
	if (strcmp(s, "restore") == 0)
		return 0.8 + 0.15 * (1 - part);
	if (strcmp(s, "report") == 0 || strcmp(s, "closed") == 0)
		return 1;
	return strcmp(s, "preflight") == 0 ? 0.02 : 0.05 + 0.55 * part;
}

/* Nothing moves: how far the simulator is. */
static char *simulated_rest(const json_t *d, const json_t *sim)
{
	return xasprintf("simulating %s: %.0f%%, %.0f runs done", str(d, "scope"), 100 * num(sim, "part"),
			 num(sim, "runs"));
}

static char *staged_rest(const json_t *d)
{
	char peak[TEXT_NUM], left[TEXT_NUM];
	const json_t *p = json_object_get(d, "peak");
	const char *state = str(d, "state");
	bool peaked = json_is_object(p); /* null when every site is drilled */

	return xasprintf("%s%s%s  weakened %.0f of %.0f  moved %.0f%%%s%s%s%s  left %s", state,
			 state[0] >= '0' && state[0] <= '9' ? "%" : "",
			 json_is_true(json_object_get(d, "paused")) ? " (held)" : "", num(d, "weakened"),
			 num(d, "targets"), 100 * num(d, "moved"), peaked ? "  peak " : "",
			 peaked ? str(p, "site") : "", peaked ? " " : "",
			 peaked ? text_pct(num(p, "util"), peak) : "", text_age(num(d, "left_ms"), left));
}

char *drill_line(const json_t *d, unsigned width)
{
	char bar[BAR + 4];
	const json_t *sim = json_object_get(d, "simulated");
	int full = (int)(far(d) * BAR + 0.5);

	memset(bar, '.', sizeof(bar));
	memset(bar + 1, '#', (size_t)full);
	memcpy(bar + BAR + 1, "] ", 3);
	bar[0] = '[';
	auto_free char *rest = sim ? simulated_rest(d, sim) : staged_rest(d);
	auto_free char *head = xasprintf("%s %s ", str(d, "id"), str(d, "kind"));
	/* the figures matter more than the bar */
	bool fits = strlen(head) + strlen(bar) + strlen(rest) <= width;
	auto_free char *raw = *str(d, "waits") ? xasprintf("%swaits to restore: %s", head, str(d, "waits"))
					       : xasprintf("%s%s%s", head, fits ? bar : "", rest);
	char *clean = text_clean(raw);
	if (strlen(clean) > width)
		clean[width] = 0;
	return clean;
}

char *drill_silent_line(int64_t silent_ms, const char *why, unsigned width)
{
	auto_free char *raw =
		xasprintf("controller does not answer for %" PRId64 " s; the drill restores by itself (%s)",
			  silent_ms / 1000, why);
	char *clean = text_clean(raw);

	if (strlen(clean) > width)
		clean[width] = 0;
	return clean;
}

void drill_told_print(const struct out *o, const json_t *d, const char *done)
{
	bool waits = *str(d, "waits");

	out_text(o, TINT_NONE, "drill %s %s%s", str(d, "id"), waits ? "waits to be restored: " : done,
		 str(d, "waits"));
	fputc('\n', o->f);
}

void drill_end_print(const struct out *o, const json_t *d)
{
	const char *verdict = str(d, "verdict");
	json_t *r;
	size_t i;

	out_text(o, strcmp(verdict, "passed") == 0 ? TINT_GOOD : TINT_BAD, "drill %s %s", str(d, "id"),
		 verdict);
	fputc('\n', o->f);
	json_array_foreach(json_object_get(d, "reasons"), i, r) {
		out_text(o, TINT_NONE, "  %s", json_string_value(r));
		fputc('\n', o->f);
	}
}
