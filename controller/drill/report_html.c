/* SPDX-License-Identifier: Apache-2.0
 * The report as one page that needs nothing else: no script, no font, no address is fetched. Two plots, drawn
 * as SVG: load per site over time with the stages marked, and predicted beside measured. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "controller/drill/outcome.h"
#include "controller/drill/report.h"
#include "controller/drill/tabletop.h"

#define W      860.0
#define H      300.0
#define LEFT   56.0
#define RIGHT  24.0
#define TOP    22.0
#define BOTTOM 30.0
#define BAR_H  22.0

/* Okabe and Ito's colours: told apart by everybody */
static const char *const colours[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7",
				       "#e69f00", "#56b4e9", "#555" };

static const char *str(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static double num(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

static void add_text(struct buf *out, const char *s)
{
	for (; *s; s++) {
		const char *as = *s == '<'   ? "&lt;"
				 : *s == '>' ? "&gt;"
				 : *s == '&' ? "&amp;"
				 : *s == '"' ? "&quot;"
					     : NULL;
		if (as)
			buf_adds(out, as);
		else
			buf_add(out, s, 1);
	}
}

static void cell(struct buf *out, const char *tag, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void cell(struct buf *out, const char *tag, const char *fmt, ...)
{
	char text[TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_addf(out, "<%s>", tag);
	add_text(out, text);
	buf_addf(out, "</%s>", tag);
}

/* The least of 4, 8, 20, 40, 80, 200... that is no less: four even steps that people read at a glance. */
static double round_max(double v)
{
	double ten = pow(10, floor(log10(fmax(v, 1e-9) / 4)));
	static const double steps[] = { 1, 2, 5, 10 };

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (4 * steps[i] * ten >= v)
			return 4 * steps[i] * ten;
	return v;
}

/* -- load over time ---------------------------------------------------------------------------------------
 */

struct axes {
	double t0, t1, max, unit;
	const char *key; /* of a site's values */
	bool util;
};

static double x_of(const struct axes *a, double t)
{
	return LEFT + (W - LEFT - RIGHT) * (a->t1 > a->t0 ? (t - a->t0) / (a->t1 - a->t0) : 0);
}

static double y_of(const struct axes *a, double v)
{
	return H - BOTTOM - (H - TOP - BOTTOM) * (a->max > 0 ? v / a->max : 0);
}

static struct axes axes_of(const json_t *series)
{
	json_t *t = json_object_get(series, "t_s"), *sites = json_object_get(series, "sites"), *s, *v;
	bool util = json_is_array(json_object_get(json_array_get(sites, 0), "util"));
	struct axes a = {
		.util = util, .max = util ? 0.01 : 1, .unit = util ? 0.01 : 1e6, .key = util ? "util" : "bps"
	};
	size_t i, k, n = json_array_size(t);

	a.t0 = n ? json_number_value(json_array_get(t, 0)) : 0;
	a.t1 = n ? json_number_value(json_array_get(t, n - 1)) : 1;
	json_array_foreach(sites, i, s)
		json_array_foreach(json_object_get(s, a.key), k, v)
			a.max = fmax(a.max, json_number_value(v));
	a.max = round_max(a.max);
	return a;
}

static void add_stage(struct buf *out, const char *state)
{
	add_text(out, state);
	buf_adds(out, *state >= '0' && *state <= '9' ? " %" : "");
}

/* Shaded where a stage lasts, with its name above. */
static void draw_stages(const json_t *series, const struct axes *a, struct buf *out)
{
	json_t *t = json_object_get(series, "t_s"), *state = json_object_get(series, "state");
	size_t n = json_array_size(state), from = 0;
	bool dark = false;

	for (size_t i = 1; i <= n; i++) {
		const char *was = json_string_value(json_array_get(state, from));
		const char *is = i < n ? json_string_value(json_array_get(state, i)) : "";
		if (i < n && strcmp(was, is) == 0)
			continue;
		double x0 = x_of(a, json_number_value(json_array_get(t, from)));
		double x1 = x_of(a, json_number_value(json_array_get(t, i < n ? i : n - 1)));
		buf_addf(out, "<rect x='%.1f' y='%.0f' width='%.1f' height='%.0f' fill='%s'/>", x0, TOP,
			 fmax(0, x1 - x0), H - TOP - BOTTOM, dark ? "#0001" : "#0000");
		bool fits = x1 - x0 > 7 * (double)strlen(was) || !a->util; /* of simulated minutes */
		if (x0 < W - 60 && fits) { /* the last is narrow, and its name would be cut */
			buf_addf(out, "<text x='%.1f' y='%.0f' class='s'>", x0 + 2, TOP - 6);
			add_stage(out, was);
			buf_adds(out, "</text>");
		}
		dark = !dark;
		from = i;
	}
}

static void draw_grid(const struct axes *a, struct buf *out)
{
	for (int i = 0; i <= 4; i++) {
		double v = a->max * i / 4, t = a->t0 + (a->t1 - a->t0) * i / 4;
		buf_addf(out,
			 "<line x1='%.0f' x2='%.0f' y1='%.1f' y2='%.1f' class='g'/><text x='%.0f' y='%.1f' "
			 "class='e'>%.3g</text><text x='%.1f' y='%.0f' class='m'>%.0f s</text>",
			 LEFT, W - RIGHT, y_of(a, v), y_of(a, v), LEFT - 6, y_of(a, v) + 4, v / a->unit,
			 x_of(a, t), H - 10, t);
	}
}

static void draw_line(const json_t *series, const json_t *site, const struct axes *a, const char *colour,
		      struct buf *out)
{
	json_t *t = json_object_get(series, "t_s"), *v;
	size_t i;

	buf_addf(out, "<polyline fill='none' stroke='%s' stroke-width='2' points='", colour);
	json_array_foreach(json_object_get(site, a->key), i, v)
		buf_addf(out, "%.1f,%.1f ", x_of(a, json_number_value(json_array_get(t, i))),
			 y_of(a, json_number_value(v)));
	buf_adds(out, "'/>");
}

/* What steering ordered, when. */
static void draw_moves(const json_t *moves, const struct axes *a, struct buf *out)
{
	size_t i;
	json_t *m;

	json_array_foreach(moves, i, m) {
		double x = x_of(a, num(m, "t_s"));
		buf_addf(out,
			 "<line x1='%.1f' x2='%.1f' y1='%.0f' y2='%.0f' stroke='#d55e00' "
			 "stroke-dasharray='3 3'/>",
			 x, x, TOP, H - BOTTOM);
	}
}

/* Of a site, on the axis; 0: not known (reports from before). */
static double limit_of(const json_t *site, const struct axes *a)
{
	return RECEIVER_MAX * (a->util ? 1 : num(site, "cap_bps"));
}

static bool same_limit(double x, double y)
{
	return fabs(x - y) < 1e-6 * fmax(x, y);
}

static void draw_limit(const json_t *sites, double v, const struct axes *a, struct buf *out)
{
	bool all = true, first = true;
	size_t i;
	json_t *s;

	json_array_foreach(sites, i, s)
		all &= same_limit(limit_of(s, a), v);
	buf_addf(out,
		 "<line x1='%.0f' x2='%.0f' y1='%.1f' y2='%.1f' stroke='#b34700' stroke-dasharray='8 "
		 "4'/><text x='%.0f' y='%.1f' class='e'>%.0f %%",
		 LEFT, W - RIGHT, y_of(a, v), y_of(a, v), W - RIGHT - 2, y_of(a, v) - 4, 100 * RECEIVER_MAX);
	json_array_foreach(sites, i, s) {
		if (all || !same_limit(limit_of(s, a), v))
			continue;
		buf_adds(out, first ? " of " : ", ");
		add_text(out, str(s, "site"));
		first = false;
	}
	buf_adds(out, "</text>");
}

/* Where a receiver is too hot, when the plot goes so far; once per capacity. False: it does not. */
static bool draw_limits(const json_t *series, const struct axes *a, struct buf *out)
{
	json_t *sites = json_object_get(series, "sites"), *s;
	bool any = false;
	size_t i;

	json_array_foreach(sites, i, s) {
		double v = limit_of(s, a);
		bool drawn = v <= 0 || v > a->max;
		for (size_t k = 0; k < i && !drawn; k++)
			drawn = same_limit(limit_of(json_array_get(sites, k), a), v);
		if (!drawn)
			draw_limit(sites, v, a, out);
		any |= !drawn;
	}
	return any;
}

static void add_load_plot(const json_t *report, struct buf *out)
{
	json_t *series = json_object_get(report, "series"), *s;
	struct axes a = axes_of(series);
	size_t i;

	if (json_array_size(json_object_get(series, "t_s")) < 2) {
		buf_adds(out, "<p>Nothing was recorded over time.</p>");
		return;
	}
	buf_addf(out, "<svg viewBox='0 0 %.0f %.0f' role='img' aria-label='load per site over time'>", W, H);
	draw_stages(series, &a, out);
	draw_grid(&a, out);
	bool limits = draw_limits(series, &a, out);
	const json_t *tabletop = json_object_get(report, "tabletop");
	if (strcmp(str(tabletop, "judged"), "steered") == 0)
		draw_moves(json_object_get(tabletop, "moves"), &a, out);
	json_array_foreach(json_object_get(series, "sites"), i, s)
		draw_line(series, s, &a, colours[i % ARRAY_LEN(colours)], out);
	buf_addf(out,
		 "</svg><p class='k'>%s%s: ", a.util ? "% of capacity, dashed: a change of routes" : "Mbit/s",
		 limits ? "; across: the limit of a receiver, part of its capacity" : "");
	json_array_foreach(json_object_get(series, "sites"), i, s) {
		buf_addf(out, "<b style='color:%s'>&#9644; ", colours[i % ARRAY_LEN(colours)]);
		add_text(out, str(s, "site"));
		buf_adds(out, "</b> ");
	}
	buf_adds(out, "</p>");
}

/* -- predicted and measured -------------------------------------------------------------------------------
 */

static double bar_x(double util, double max)
{
	return 180 + (W - 180 - RIGHT) * fmin(util, max) / max;
}

static size_t count_bars(const json_t *stages, double *ret_max)
{
	size_t n = 0, i, k;
	json_t *stage, *s;

	*ret_max = 0.2;
	json_array_foreach(stages, i, stage)
		json_array_foreach(json_object_get(stage, "sites"), k, s) {
			*ret_max = fmax(*ret_max, fmax(num(s, "predicted_hi"), num(s, "measured")));
			n++;
		}
	*ret_max = round_max(100 * fmin(*ret_max, 2)) / 100;
	return n;
}

/* The interval as a line, the prediction as a stroke, what was measured as a dot. */
static void draw_bar(const json_t *stage, const json_t *s, double y, double max, struct buf *out)
{
	buf_addf(out, "<text x='0' y='%.1f' class='s'>", y + 4);
	add_stage(out, str(stage, "state"));
	buf_adds(out, ": ");
	add_text(out, str(s, "site"));
	buf_addf(out,
		 "</text><line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='#0072b2' stroke-width='6' "
		 "opacity='.35'/>",
		 bar_x(num(s, "predicted_lo"), max), bar_x(num(s, "predicted_hi"), max), y, y);
	buf_addf(out, "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='#0072b2' stroke-width='2'/>",
		 bar_x(num(s, "predicted"), max), bar_x(num(s, "predicted"), max), y - 7, y + 7);
	if (json_is_number(json_object_get(s, "measured")))
		buf_addf(out, "<circle cx='%.1f' cy='%.1f' r='4' fill='%s'/>", bar_x(num(s, "measured"), max),
			 y, json_is_true(json_object_get(s, "covered")) ? "#009e73" : "#d55e00");
}

static void add_prediction_plot(const json_t *report, struct buf *out)
{
	json_t *stages = json_object_get(report, "stages"), *stage, *s;
	double max, y = BAR_H / 2 + 4;
	size_t n = count_bars(stages, &max), i, k;

	if (!n) {
		buf_adds(out, "<p>Nothing was predicted for sites: none was meant to receive.</p>");
		return;
	}
	buf_addf(out, "<svg viewBox='0 0 %.0f %.0f' role='img' aria-label='predicted and measured'>", W,
		 (double)n * BAR_H + 30);
	for (int t = 0; t <= 4; t++)
		buf_addf(out,
			 "<line x1='%.1f' x2='%.1f' y1='0' y2='%.0f' class='g'/><text x='%.1f' y='%.0f' "
			 "class='m'>%.0f %%</text>",
			 bar_x(max * t / 4, max), bar_x(max * t / 4, max), (double)n * BAR_H + 8,
			 bar_x(max * t / 4, max), (double)n * BAR_H + 24, 25 * max * t);
	json_array_foreach(stages, i, stage)
		json_array_foreach(json_object_get(stage, "sites"), k, s) {
			draw_bar(stage, s, y, max, out);
			y += BAR_H;
		}
	buf_adds(out,
		 "</svg><p class='k'>Utilisation: &#9474; predicted, with its 90 % interval; dot: measured, "
		 "<b style='color:#009e73'>inside</b>: within the interval, give or take the load's own "
		 "noise; or <b "
		 "style='color:#d55e00'>outside</b>.</p>");
}

/* -- the page ---------------------------------------------------------------------------------------------
 */

static void ms_cell(struct buf *out, const json_t *j, const char *key)
{
	if (json_is_number(json_object_get(j, key)))
		cell(out, "td", "%.1f s", num(j, key) / 1000);
	else
		cell(out, "td", "-");
}

static void add_stages(const json_t *report, struct buf *out)
{
	size_t i;
	json_t *s;

	buf_adds(out, "<table><tr><th>stage<th>weakened<th>seen after<th>50 %<th>80 %<th>95 "
		      "%<th>settled<th>left</tr>");
	json_array_foreach(json_object_get(report, "stages"), i, s) {
		buf_adds(out, "<tr>");
		buf_adds(out, "<td>");
		add_stage(out, str(s, "state"));
		cell(out, "td", "%.0f", num(s, "weakened"));
		ms_cell(out, s, "detect_ms");
		ms_cell(out, s, "t50_ms");
		ms_cell(out, s, "t80_ms");
		ms_cell(out, s, "t95_ms");
		ms_cell(out, s, "settled_ms");
		cell(out, "td", "%.1f %%", 100 * num(s, "residual"));
		buf_adds(out, "</tr>");
	}
	buf_adds(out, "</table>");
}

static void add_sites(const json_t *report, struct buf *out)
{
	size_t i;
	json_t *s;

	buf_adds(out, "<table><tr><th>site<th>before<th>peak<th></tr>");
	json_array_foreach(json_object_get(report, "receivers"), i, s) {
		buf_adds(out, "<tr>");
		cell(out, "td", "%s", str(s, "site"));
		cell(out, "td", "%.0f %%", 100 * num(s, "util_before"));
		cell(out, "td", "%.0f %%", 100 * num(s, "peak_util"));
		cell(out, "td", "%s", json_is_true(json_object_get(s, "drilled")) ? "drilled" : "");
		buf_adds(out, "</tr>");
	}
	buf_adds(out, "</table>");
}

static void add_facts(const json_t *report, struct buf *out)
{
	static const struct {
		const char *title, *part, *key, *unit;
		double scale;
	} rows[] = {
		{ "seen by the controller after", NULL, "detect_ms", "s", 1e-3 },
		{ "50 % drained after", "drain", "t50_ms", "s", 1e-3 },
		{ "80 % drained after", "drain", "t80_ms", "s", 1e-3 },
		{ "95 % drained after", "drain", "t95_ms", "s", 1e-3 },
		{ "left after 60 s", "drain", "residual_60s", "%", 100 },
		{ "left after 300 s", "drain", "residual_300s", "%", 100 },
		{ "left after 600 s", "drain", "residual_600s", "%", 100 },
		{ "steering answered after", NULL, "answered_ms", "s", 1e-3 },
		{ "prediction error, of what was to move", "prediction", "error_pct", "%", 1 },
		{ "of it by the load's own noise", "prediction", "noise_pct", "%", 1 },
		{ "measurements inside the interval", "prediction", "coverage_pct", "%", 1 },
		{ "requests seen from outside", "probe", "sent", "", 1 },
		{ "lost of these", "probe", "lost", "", 1 },
		{ "longest gap", "probe", "longest_gap_ms", "s", 1e-3 },
		{ "restored in", NULL, "restore_ms", "s", 1e-3 },
	};
	char text[TEXT_LEN];

	buf_adds(out, "<table>");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const json_t *from = rows[i].part ? json_object_get(report, rows[i].part) : report;
		const json_t *v = json_object_get(from, rows[i].key);
		if (json_is_number(v))
			buf_addf(out, "<tr><td>%s<td>%.4g %s</tr>", rows[i].title,
				 rows[i].scale * json_number_value(v), rows[i].unit);
	}
	buf_adds(out, "</table>");
	outcome_basis_text(json_object_get(report, "prediction"), text, sizeof(text));
	if (text[0])
		buf_addf(out, "<p>About the prediction: %s.</p>", text);
	if (!json_is_object(json_object_get(report, "probe")))
		buf_adds(out,
			 "<p>From outside nobody looked (sluicectl probe --drill), so nothing is known of "
			 "lost requests.</p>");
}

static const char style[] =
	"body{font:15px/1.45 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222;"
	"background:#fff}h1{font-size:1.5em}h2{font-size:1.15em;margin-top:1.6em}"
	".passed{color:#007a5a}.failed,.aborted,.refused{color:#b34700}"
	"table{border-collapse:collapse}td,th{padding:.2em .9em .2em 0;text-align:left;border-bottom:1px "
	"solid #ddd}"
	"svg{width:100%;height:auto;font:11px "
	"sans-serif}.g{stroke:#ddd}.e{text-anchor:end}.m{text-anchor:middle}"
	".s{fill:#555}.k{font-size:13px}"
	"@media(prefers-color-scheme:dark){body{background:#16181b;color:#ddd}td,th{border-color:#444}"
	".g{stroke:#444}text{fill:#ccc}.passed{color:#4cc9a0}.failed,.aborted,.refused{color:#ff9d5c}}";

static void add_head(const json_t *report, struct buf *out)
{
	size_t i;
	json_t *r;

	buf_adds(out, "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' "
		      "content='width=device-width'><title>");
	add_text(out, str(report, "id"));
	buf_addf(out, "</title><style>%s</style><h1>Drill ", style);
	add_text(out, str(report, "id"));
	buf_adds(out, ": ");
	add_text(out, str(report, "kind"));
	buf_adds(out, " of ");
	add_text(out, str(report, "scope"));
	buf_addf(out, " <span class='%s'>%s</span></h1><ul>", str(report, "verdict"), str(report, "verdict"));
	json_array_foreach(json_object_get(report, "reasons"), i, r) {
		buf_adds(out, "<li>");
		add_text(out, json_string_value(r));
	}
	buf_adds(out, "</ul><p>Begun ");
	add_text(out, str(report, "began"));
	buf_adds(out, " by ");
	add_text(out, str(report, "actor"));
	buf_addf(out, ", took %.0f s. Reason: ", num(report, "duration_ms") / 1000);
	add_text(out, str(report, "reason"));
	buf_adds(out, "</p>");
}

void report_html(const json_t *report, struct buf *out)
{
	add_head(report, out);
	buf_adds(out, "<h2>Load per site</h2>");
	add_load_plot(report, out);
	if (json_is_object(json_object_get(report, "tabletop"))) {
		buf_adds(out, "<h2>In the simulator</h2>");
		tabletop_html(json_object_get(report, "tabletop"), out);
	}
	buf_adds(out, "<h2>Predicted and measured</h2>");
	add_prediction_plot(report, out);
	buf_adds(out, "<h2>Figures</h2>");
	add_facts(report, out);
	buf_adds(out, "<h2>Stages</h2>");
	add_stages(report, out);
	buf_adds(out, "<h2>Sites</h2>");
	add_sites(report, out);
	buf_adds(out, "</html>\n");
}
