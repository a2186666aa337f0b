/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/plan_view.h"

#include <string.h>

#include "controller/ctl/column.h"
#include "controller/ctl/text.h"
#include "proto/base/mem.h"

static const struct column move_cols[] = {
	{ "KIND", "kind", COL_TEXT },	{ "SITE", "site", COL_TEXT },
	{ "SHARD", "shard", COL_TEXT }, { "FROM", "from", COL_TEXT },
	{ "TO", "to", COL_TEXT },	{ ">MOVES", "moved_bps.mid", COL_SI },
	{ "WHY", "why", COL_TEXT },	{ 0 },
};
static const struct column forecast_cols[] = {
	{ "SITE", "site", COL_TEXT },
	{ ">NOW", "util_before", COL_PCT },
	{ ">AFTER", "util_after", COL_PCT },
	{ ">AT LEAST", "util_after_lo", COL_PCT },
	{ ">AT MOST", "util_after_hi", COL_PCT },
	{ 0 },
};

static const char *str(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	return s ? s : "";
}

static enum tint state_tint(const char *state)
{
	static const struct {
		const char *state;
		enum tint tint;
	} rows[] = {
		{ "calm", TINT_GOOD },	{ "watch", TINT_WARN },	 { "act", TINT_WARN },
		{ "absorb", TINT_BAD }, { "contain", TINT_BAD }, { "hold", TINT_BAD },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(state, rows[i].state))
			return rows[i].tint;
	return TINT_NONE;
}

static void section(const struct out *o, const char *title, const struct column *cols, json_t *items)
{
	if (!json_array_size(items))
		return;
	auto_table *t = column_table(cols, items);
	fprintf(o->f, "%s\n", title);
	table_print(t, o, 2);
}

void plan_print(const struct out *o, const json_t *plan, bool all)
{
	char age[TEXT_NUM];
	const char *state = str(plan, "state"), *why = str(plan, "why");

	out_text(o, state_tint(state), "%s", *state ? state : "none yet");
	if (*why)
		out_text(o, TINT_NONE, "  %s", why);
	if (json_is_number(json_object_get(plan, "age_ms")))
		out_text(o, TINT_DIM, "  (%s ago)",
			 text_age(json_number_value(json_object_get(plan, "age_ms")), age));
	fputc('\n', o->f);
	section(o, strcmp(str(plan, "mode"), "steer") ? "would do" : "does", move_cols,
		json_object_get(plan, "moves"));
	if (!all)
		return;
	section(o, "held back", move_cols, json_object_get(plan, "refused"));
	section(o, "forecast", forecast_cols, json_object_get(plan, "forecast"));
}

bool whatif_refused(const json_t *answer)
{
	return !strcmp(str(answer, "state"), "hold");
}

static void guard_line(const struct out *o, const json_t *answer)
{
	bool part = json_integer_value(json_object_get(answer, "left_out")) > 0;

	if (whatif_refused(answer)) {
		out_text(o, TINT_BAD, "the guard would refuse");
		out_text(o, TINT_NONE, "  %s", str(answer, "why"));
	} else if (!json_array_size(json_object_get(answer, "moves"))) {
		out_text(o, TINT_DIM, "nothing would change");
	} else {
		out_text(o, part ? TINT_WARN : TINT_GOOD, "the guard would allow %s",
			 part ? "what is counted here, and may refuse the rest" : "it");
	}
	fputc('\n', o->f);
}

void whatif_print(const struct out *o, const json_t *answer)
{
	json_int_t left_out = json_integer_value(json_object_get(answer, "left_out"));
	json_t *forecast = json_object_get(answer, "forecast");

	guard_line(o, answer);
	if (left_out) {
		out_text(o, TINT_WARN,
			 "%" JSON_INTEGER_FORMAT
			 " of the moves asked for are counted neither by the guard nor by the forecast",
			 left_out);
		fputc('\n', o->f);
	}
	section(o, "moves", move_cols, json_object_get(answer, "moves"));
	section(o, "forecast", forecast_cols, forecast);
	if (!json_array_size(forecast))
		fprintf(o->f, "no forecast: the document has no sites\n");
}
