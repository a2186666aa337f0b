/* SPDX-License-Identifier: Apache-2.0
 * What a tabletop came to, in words: the verdict with its reasons, and its part of the report. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "controller/drill/preflight.h"
#include "controller/drill/tabletop.h"

#define DROPPED_MAX   0.001 /* of the demand, in the median run */
#define DROPPED_WORST 0.01  /* in the worst */
#define BY_THE_LOSS   0.01  /* of capacity: less is not its doing */
#define MOVES_SHOWN   12

static const char *str(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static double num(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

/* -- the verdict ------------------------------------------------------------------------------------------
 */

struct verdict {
	const char *word;
	json_t *reasons;
};

__attribute__((format(printf, 3, 4))) static void because(struct verdict *v, bool bad, const char *fmt, ...)
{
	char text[2 * TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (bad)
		v->word = "failed";
	json_array_append_new(v->reasons, json_string(text));
}

/* Beyond what is dropped already, without any loss. */
static double dropped(const json_t *run)
{
	return fmax(0, num(run, "dropped") - (1 - num(run, "served_before")));
}

static void judge_served(struct verdict *v, const json_t *median, const json_t *worst, int runs)
{
	bool bad = dropped(median) > DROPPED_MAX, rarely = dropped(worst) > DROPPED_WORST;

	because(v, bad || rarely,
		"%.2f %% of the demand served (%.2f %% in the worst of %d runs), %.2f %% dropped by full "
		"sites "
		"(%.2f %%), %.2f %% on its way to what is lost",
		100 * num(median, "served"), 100 * num(worst, "served"), runs, 100 * num(median, "dropped"),
		100 * num(worst, "dropped"), 100 * num(median, "late"));
	if (num(median, "dead") > 0)
		because(v, true,
			"%.2f %% comes to where the service is dead: it stays announced for want of a permit "
			"(I1)",
			100 * num(median, "dead"));
}

static void judge_hot(struct verdict *v, const json_t *median, const json_t *worst)
{
	double end = num(median, "end_util");
	bool bad = end > RECEIVER_MAX && end > num(median, "end_util_before") + BY_THE_LOSS;

	because(v, false, "hottest: %s, %.0f %% (%s, %.0f %% in the worst run)", str(median, "hottest"),
		100 * num(median, "peak_util"), str(worst, "hottest"), 100 * num(worst, "peak_util"));
	if (bad)
		because(v, true, "%s would stay at %.0f %%, the limit is %.0f %%", str(median, "hottest_end"),
			100 * end, 100 * RECEIVER_MAX);
}

static void judge_answer(struct verdict *v, const json_t *median, const json_t *worst)
{
	const json_t *relief = json_object_get(median, "relief_s");
	char calm[64] = "";

	if (json_is_integer(relief))
		snprintf(calm, sizeof(calm), ", no site was full after %.0f s", num(median, "relief_s"));
	else if (json_is_integer(json_object_get(median, "overloaded_s")))
		snprintf(calm, sizeof(calm), ", and some site was full to the end");
	if (!json_is_integer(json_object_get(median, "answered_s")))
		because(v, false, "steering had nothing to order (%.0f changes in the worst run)%s",
			num(worst, "changes"), calm);
	else
		because(v, false,
			"steering answered after %.0f s with %.0f change%s (%.0f in the worst run)%s",
			num(median, "answered_s"), num(median, "changes"),
			num(median, "changes") > 1 ? "s" : "", num(worst, "changes"), calm);
	if (num(median, "held_s") > 0)
		because(v, json_is_true(json_object_get(median, "held_end")),
			"steering was held back for %.0f s%s: %.200s", num(median, "held_s"),
			json_is_true(json_object_get(median, "held_end")) ? ", to the end" : "",
			str(median, "held_why"));
}

const char *tabletop_verdict(const json_t *tabletop, json_t *reasons)
{
	struct verdict v = { "passed", reasons };
	const json_t *as_is = json_object_get(tabletop, str(tabletop, "judged"));
	const json_t *median = json_object_get(as_is, "median"), *worst = json_object_get(as_is, "worst");
	const json_t *steered = json_object_get(json_object_get(tabletop, "steered"), "median");

	if (!json_is_object(median)) {
		because(&v, true, "the simulation did not come to its end: ask again");
		return v.word;
	}
	judge_served(&v, median, worst, (int)num(tabletop, "runs"));
	judge_hot(&v, median, worst);
	if (strcmp(str(tabletop, "judged"), "steered") == 0)
		judge_answer(&v, median, worst);
	else
		because(&v, false,
			"mode is %s: nobody would answer. In mode steer %.2f %% would be served, with %.0f "
			"changes, and the hottest be at %.0f %% in the end",
			str(tabletop, "mode"), 100 * num(steered, "served"), num(steered, "changes"),
			100 * num(steered, "end_util"));
	return v.word;
}

/* -- tables -----------------------------------------------------------------------------------------------
 */

static const struct row {
	const char *title, *key, *unit;
	double scale;
} rows[] = {
	{ "served before", "served_before", "%", 100 },
	{ "served since the loss", "served", "%", 100 },
	{ "on its way to what is lost", "late", "%", 100 },
	{ "dropped by full sites", "dropped", "%", 100 },
	{ "where nobody serves it", "dead", "%", 100 },
	{ "hottest site, at most", "peak_util", "%", 100 },
	{ "hottest site, in the last minute", "end_util", "%", 100 },
	{ "first site full after", "overloaded_s", "s", 1 },
	{ "no site full after", "relief_s", "s", 1 },
	{ "first change after", "answered_s", "s", 1 },
	{ "changes of routes", "changes", "", 1 },
	{ "steering held back for", "held_s", "s", 1 },
};

static const char *const columns[][2] = {
	{ "steered", "median" }, { "steered", "worst" }, { "unsteered", "median" }, { "unsteered", "worst" }
};

static const char *value(const json_t *tabletop, size_t column, const struct row *row, char *buf, size_t size)
{
	const json_t *run =
		json_object_get(json_object_get(tabletop, columns[column][0]), columns[column][1]);
	const json_t *v = json_object_get(run, row->key);

	if (json_is_number(v))
		snprintf(buf, size, "%.4g %s", row->scale * json_number_value(v), row->unit);
	else
		snprintf(buf, size, "-");
	return buf;
}

static void add_intro(const json_t *tabletop, struct buf *out)
{
	buf_addf(out,
		 "%.0f runs of %.0f min in the simulator, each on another Internet that what was learned "
		 "allows for; they took %.1f s. ",
		 num(tabletop, "runs"), num(tabletop, "simulated_s") / 60, num(tabletop, "took_ms") / 1000);
	buf_addf(out, "Mode was %s.", str(tabletop, "mode"));
}

static void add_plain(struct buf *out, const char *s)
{
	for (; *s; s++)
		buf_addf(out, strchr("\\`*_{}[]<>|#", *s) ? "\\%c" : "%c", *s);
}

void tabletop_markdown(const json_t *tabletop, struct buf *out)
{
	char text[64];

	buf_adds(out, "\n## In the simulator\n\n");
	add_intro(tabletop, out);
	buf_adds(out, "\n\n| | steering answers | worst run | nobody answers | worst run "
		      "|\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_addf(out, "| %s |", rows[i].title);
		for (size_t c = 0; c < ARRAY_LEN(columns); c++)
			buf_addf(out, " %s |", value(tabletop, c, &rows[i], text, sizeof(text)));
		buf_adds(out, "\n");
	}
	size_t i;
	json_t *m;
	json_array_foreach(json_object_get(tabletop, "moves"), i, m) {
		if (i == MOVES_SHOWN)
			break;
		buf_addf(out, "%s* after %.0f s: ", i ? "" : "\n", num(m, "t_s"));
		add_plain(out, str(m, "shard"));
		buf_adds(out, " at ");
		add_plain(out, str(m, "site"));
		buf_addf(out, " from %s to %s\n", str(m, "from"), str(m, "to"));
	}
}

/* Names in a document may hold anything. */
static void add_text(struct buf *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '<' || *s == '>' || *s == '&')
			buf_adds(out, *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : "&amp;");
		else
			buf_add(out, s, 1);
	}
}

void tabletop_html(const json_t *tabletop, struct buf *out)
{
	static const char *const parts[] = { "shard", "site", "from", "to", "why" };
	char text[64];
	size_t i;
	json_t *m;

	buf_adds(out, "<p>");
	add_intro(tabletop, out);
	buf_adds(out,
		 "</p><table><tr><th><th>steering answers<th>worst run<th>nobody answers<th>worst run</tr>");
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		buf_addf(out, "<tr><td>%s", rows[i].title);
		for (size_t c = 0; c < ARRAY_LEN(columns); c++)
			buf_addf(out, "<td>%s", value(tabletop, c, &rows[i], text, sizeof(text)));
		buf_adds(out, "</tr>");
	}
	buf_adds(out, "</table>");
	if (!json_array_size(json_object_get(tabletop, "moves")))
		return;
	buf_adds(out,
		 "<p>What steering ordered, in the median run:</p><table><tr><th>after<th>shard<th>site<th>"
		 "from<th>to<th>why</tr>");
	json_array_foreach(json_object_get(tabletop, "moves"), i, m) {
		buf_addf(out, "<tr><td>%.0f s", num(m, "t_s"));
		for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
			buf_adds(out, "<td>");
			add_text(out, str(m, parts[p]));
		}
		buf_adds(out, "</tr>");
	}
	buf_adds(out, "</table>");
}
