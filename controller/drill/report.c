/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drill/report.h"
#include "controller/drill/tabletop.h"

#include "controller/drill/outcome.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#define DRAINED_MIN 0.90 /* of the load has to leave, unless less was predicted */

static json_t *ms_or_null(int64_t ms)
{
	return ms < 0 ? json_null() : json_integer((json_int_t)ms);
}

static json_t *real_or_null(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

static double rounded(double x)
{
	return round(x * 10000) / 10000;
}

/* -- one stage --------------------------------------------------------------------------------------------
 */

static json_t *stage_sites(const struct model *m, const struct prediction *pred, bool touched)
{
	json_t *list = json_array();

	for (size_t i = 0; pred->f && i < pred->n && i < m->cl->n_sites; i++) {
		if (!m->sites[i].healthy)
			continue;
		struct site_forecast f = prediction_now(pred, i);
		json_array_append_new(
			list,
			json_pack("{s:s, s:f, s:f, s:f, s:f, s:o, s:b}", "site", m->cl->sites[i].name,
				  "util_before", rounded(f.before), "predicted", rounded(f.after),
				  "predicted_lo", rounded(f.after_lo), "predicted_hi", rounded(f.after_hi),
				  "measured", touched ? json_real(rounded(pred->mean[i])) : json_null(),
				  "covered", touched && prediction_covers(pred, i)));
	}
	return list;
}

json_t *stage_json(const struct model *m, const struct drill_record *r, const struct progress *p,
		   const struct prediction *pred)
{
	bool touched = r->kind->effect != EFFECT_NONE;
	double left = p->base_bps > 0 ? p->now_bps / p->base_bps : 0;

	return json_pack("{s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:o}", "state",
			 drill_state_str(r->state), "weakened", (int)p->to, "moved_targets",
			 (int)(p->to - p->from), "detect_ms", ms_or_null(p->confirmed_ms), "t50_ms",
			 ms_or_null(p->t50_ms), "t80_ms", ms_or_null(p->t80_ms), "t95_ms",
			 ms_or_null(p->t95_ms), "settled_ms", ms_or_null(p->settled_ms), "base_bps",
			 p->base_bps, "residual", rounded(left), "sites", stage_sites(m, pred, touched));
}

/* -- the verdict ------------------------------------------------------------------------------------------
 */

struct verdict {
	const char *word;
	json_t *reasons;
};

static void because(struct verdict *v, const char *word, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void because(struct verdict *v, const char *word, const char *fmt, ...)
{
	char text[2 * TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (word)
		v->word = word;
	json_array_append_new(v->reasons, json_string(text));
}

static void judge_moved(struct verdict *v, const struct findings *f)
{
	double need = isfinite(f->predicted_drained) ? fmin(DRAINED_MIN, f->predicted_drained) : DRAINED_MIN;

	because(v, f->drained < need ? "failed" : NULL,
		"%.0f %% of the load moved away, at least %.0f %% was due", 100 * f->drained, 100 * need);
}

static void judge_silent(struct verdict *v, const struct drill_record *r, const struct findings *f)
{
	because(v, f->routes_kept ? NULL : "failed", "announcements %s",
		f->routes_kept ? "stayed as they were" : "changed");
	because(v, f->engine_moves ? "failed" : NULL, "steering ordered %u weakenings meanwhile",
		f->engine_moves);
	if (r->kind->effect != EFFECT_MUTE || !f->weakening_asked)
		return;
	because(v, f->weakening_refused ? NULL : "failed", "the guard %s a weakening on stale reports (I4)",
		f->weakening_refused ? "refused" : "would have allowed");
}

static void judge_surge(struct verdict *v, const struct findings *f)
{
	const struct surge_answer *a = &f->answer;
	char text[TEXT_LEN];

	surge_answer_text(a, text, sizeof(text));
	if (a->after_ms >= 0)
		because(v, NULL, "steering answered after %.1f s: %s", (double)a->after_ms / 1000, text);
	else
		because(v, "failed", "steering did not answer%s%s", a->plan[0] ? "; its plan was " : "",
			a->plan);
}

static void judge_effect(struct verdict *v, const struct drill_record *r, const struct findings *f)
{
	if (!f->all_held)
		because(v, "failed", "it did not come to 100 %%");
	else if (drill_moves(r->kind))
		judge_moved(v, f);
	else if (r->kind->effect == EFFECT_SURGE)
		judge_surge(v, f);
	else if (r->kind->effect != EFFECT_NONE)
		judge_silent(v, r, f);
}

/* Nothing happened; would it have been safe? */
static void judge_tabletop(struct verdict *v, const struct findings *f)
{
	if (strcmp(v->word, "passed") == 0)
		v->word = tabletop_verdict(f->tabletop, v->reasons);
	because(v, NULL, "simulated only: nothing was touched");
}

static struct verdict judge(const struct drill_record *r, const struct findings *f)
{
	struct verdict v = { "passed", json_array() };

	if (f->refused)
		because(&v, "refused", "%s", r->why);
	else if (f->operator_aborted)
		because(&v, "aborted", "by %.60s in stage %s: %s", f->aborted_by,
			drill_state_str(f->aborted_in), r->why);
	else if (r->alarm[0])
		because(&v, "aborted", "%s: %s", r->alarm, r->why);
	else
		judge_effect(&v, r, f);
	if (f->answer.grade && surge_may_be_real(r))
		because(&v, NULL, "there may be real load: the grades stay as steering wants them");
	if (f->unread[0])
		because(&v, strcmp(v.word, "passed") == 0 ? "failed" : NULL,
			"ordered back, but never read back: %s", f->unread);
	if (f->waited_ms)
		because(&v, NULL, "the restore waited %.0f s: %s", (double)f->waited_ms / 1000,
			f->waited_for);
	if (r->kind->effect == EFFECT_NONE)
		judge_tabletop(&v, f);
	else if (f->restore_ms >= 0 && !f->unread[0])
		because(&v, NULL, "restored in %.1f s", (double)f->restore_ms / 1000);
	return v;
}

/* -- sums over stages -------------------------------------------------------------------------------------
 */

static json_t *worst_ms(const json_t *stages, const char *key)
{
	json_int_t worst = -1;
	size_t i;
	json_t *s;

	json_array_foreach(stages, i, s) {
		json_t *v = json_object_get(s, key);
		if (json_number_value(json_object_get(s, "base_bps")) <= 0)
			continue;
		if (!json_is_integer(v))
			return json_null(); /* one stage never came so far */
		worst = json_integer_value(v) > worst ? json_integer_value(v) : worst;
	}
	return worst < 0 ? json_null() : json_integer(worst);
}

static json_t *drain_json(const struct drill_record *r, const struct findings *f)
{
	json_t *j = json_object();
	static const char *const keys[] = { "t50_ms", "t80_ms", "t95_ms" };
	static const char *const left[] = { "residual_60s", "residual_300s", "residual_600s" };

	if (!drill_moves(r->kind)) {
		json_decref(j);
		return json_null();
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		json_object_set_new(j, keys[i], worst_ms(r->stages, keys[i]));
	for (size_t i = 0; i < RESIDUALS; i++)
		json_object_set_new(j, left[i], real_or_null(f->residual[i]));
	return j;
}

static json_t *detect_json(const struct drill_record *r)
{
	json_int_t worst = -1;
	size_t i;
	json_t *s;

	json_array_foreach(r->stages, i, s) {
		json_t *v = json_object_get(s, "detect_ms");
		if (json_is_integer(v) && json_integer_value(v) > worst)
			worst = json_integer_value(v);
	}
	return worst < 0 ? json_null() : json_integer(worst);
}

static json_t *receivers_json(const struct drill_record *r, const struct series *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_sites; i++)
		json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:b}", "site", s->sites[i],
						      "util_before", rounded(s->base_util[i]), "peak_util",
						      rounded(s->peak_util[i]), "drilled",
						      record_touches(r, s->sites[i])));
	return list;
}

json_t *report_probe(json_t *seen)
{
	json_int_t sent = 0, lost = 0, gap = 0;
	size_t i;
	json_t *p;

	if (!json_array_size(seen))
		return json_null();
	json_array_foreach(seen, i, p) {
		json_int_t g = json_integer_value(json_object_get(p, "longest_gap_ms"));
		sent += json_integer_value(json_object_get(p, "sent"));
		lost += json_integer_value(json_object_get(p, "lost"));
		gap = g > gap ? g : gap;
	}
	return json_pack("{s:I, s:I, s:I, s:O}", "sent", sent, "lost", lost, "longest_gap_ms", gap, "from",
			 seen);
}

json_t *report_wall(int64_t wall_ms)
{
	time_t t = (time_t)(wall_ms / 1000);
	char text[32];
	struct tm tm;

	if (wall_ms <= 0 || !gmtime_r(&t, &tm))
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

json_t *report_json(const struct drill_record *r, const struct series *s, const struct findings *f)
{
	struct verdict v = judge(r, f);
	char id[16], scope[4 * NAME_LEN];

	snprintf(id, sizeof(id), "d%u", r->id);
	spec_scope(&r->spec, scope, sizeof(scope));
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o}", "id", id, "kind",
			      r->kind->name, "scope", scope, "actor", r->actor, "reason", r->spec.reason,
			      "spec", spec_json(&r->spec), "verdict", v.word, "reasons", v.reasons, "began",
			      report_wall(r->began_wall_ms), "ended", report_wall(f->ended_wall_ms),
			      "restore_ms", ms_or_null(f->restore_ms));
	json_object_set_new(j, "ended_wall_ms", json_integer((json_int_t)f->ended_wall_ms));
	json_object_set_new(j, "duration_ms", json_integer((json_int_t)f->duration_ms));
	json_object_set_new(j, "detect_ms", detect_json(r));
	json_object_set_new(j, "answered_ms", ms_or_null(f->answer.after_ms));
	json_object_set_new(j, "answer", surge_answer_json(&f->answer));
	json_object_set_new(j, "drain", drain_json(r, f));
	json_object_set_new(j, "prediction", outcome_json(r, s));
	json_object_set_new(j, "receivers", receivers_json(r, s));
	json_object_set_new(j, "probe", report_probe(r->probe));
	json_object_set(j, "forecast", r->forecast);
	json_object_set(j, "stages", r->stages);
	json_object_set_new(j, "series", series_json(s));
	json_object_set(j, "tabletop", f->tabletop); /* not of the others */
	return j;
}

/* -- Markdown ---------------------------------------------------------------------------------------------
 */

static const char *str(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

/* Seconds of a field in ms, or a dash. */
static const char *secs(const json_t *j, const char *key, char *buf, size_t size)
{
	json_t *v = json_object_get(j, key);

	if (json_is_number(v))
		snprintf(buf, size, "%.1f s", json_number_value(v) / 1000);
	else
		snprintf(buf, size, "-");
	return buf;
}

static const char *pct(const json_t *j, const char *key, double scale, char *buf, size_t size)
{
	json_t *v = json_object_get(j, key);

	if (json_is_number(v))
		snprintf(buf, size, "%.1f %%", scale * json_number_value(v));
	else
		snprintf(buf, size, "-");
	return buf;
}
#define SECS(j, key)	   secs(j, key, (char[32]){ "" }, 32)
#define PCT(j, key, scale) pct(j, key, scale, (char[32]){ "" }, 32)

/* What an operator wrote must not become markup. */
static void add_plain(struct buf *out, const char *s)
{
	for (; *s; s++)
		buf_addf(out, strchr("\\`*_{}[]<>|#", *s) ? "\\%c" : "%c", *s);
}

static void md_stages(const json_t *report, struct buf *out)
{
	size_t i;
	json_t *s;

	buf_adds(out, "\n| stage | weakened | seen after | 50 % | 80 % | 95 % | settled | left |\n"
		      "|---|---|---|---|---|---|---|---|\n");
	json_array_foreach(json_object_get(report, "stages"), i, s)
		buf_addf(out, "| %s | %lld | %s | %s | %s | %s | %s | %s |\n", str(s, "state"),
			 (long long)json_integer_value(json_object_get(s, "weakened")), SECS(s, "detect_ms"),
			 SECS(s, "t50_ms"), SECS(s, "t80_ms"), SECS(s, "t95_ms"), SECS(s, "settled_ms"),
			 PCT(s, "residual", 100));
}

static void md_sites(const json_t *report, struct buf *out)
{
	size_t i;
	json_t *s;

	buf_adds(out, "\n| site | before | peak | drilled |\n|---|---|---|---|\n");
	json_array_foreach(json_object_get(report, "receivers"), i, s) {
		buf_adds(out, "| ");
		add_plain(out, str(s, "site"));
		buf_addf(out, " | %s | %s | %s |\n", PCT(s, "util_before", 100), PCT(s, "peak_util", 100),
			 json_is_true(json_object_get(s, "drilled")) ? "yes" : "");
	}
}

static void md_prediction(const json_t *report, struct buf *out)
{
	size_t i, k;
	json_t *stage, *s;

	buf_adds(out, "\n| stage | site | before | predicted | from | to | measured | inside |\n"
		      "|---|---|---|---|---|---|---|---|\n");
	json_array_foreach(json_object_get(report, "stages"), i, stage)
		json_array_foreach(json_object_get(stage, "sites"), k, s) {
			buf_addf(out, "| %s | ", str(stage, "state"));
			add_plain(out, str(s, "site"));
			buf_addf(out, " | %s | %s | %s | %s | %s | %s |\n", PCT(s, "util_before", 100),
				 PCT(s, "predicted", 100), PCT(s, "predicted_lo", 100),
				 PCT(s, "predicted_hi", 100), PCT(s, "measured", 100),
				 !json_is_number(json_object_get(s, "measured")) ? "-"
				 : json_is_true(json_object_get(s, "covered"))	 ? "yes"
										 : "no");
		}
	buf_adds(out, "\ninside: within the interval, give or take the load's own noise\n");
}

static void md_figures(const json_t *report, struct buf *out)
{
	json_t *drain = json_object_get(report, "drain"), *probe = json_object_get(report, "probe");
	json_t *p = json_object_get(report, "prediction");
	char text[TEXT_LEN];

	buf_addf(out, "\n* seen by the controller after %s\n", SECS(report, "detect_ms"));
	if (json_is_object(drain))
		buf_addf(out,
			 "* drained: 50 %% after %s, 80 %% after %s, 95 %% after %s; left after 60 s %s, 300 "
			 "s %s, "
			 "600 s %s\n",
			 SECS(drain, "t50_ms"), SECS(drain, "t80_ms"), SECS(drain, "t95_ms"),
			 PCT(drain, "residual_60s", 100), PCT(drain, "residual_300s", 100),
			 PCT(drain, "residual_600s", 100));
	if (json_is_number(json_object_get(report, "answered_ms")))
		buf_addf(out, "* steering answered after %s\n", SECS(report, "answered_ms"));
	buf_addf(out,
		 "* prediction: error %s of what was to move (the load's own noise makes %s), %s of "
		 "measurements "
		 "inside the interval\n",
		 PCT(p, "error_pct", 1), PCT(p, "noise_pct", 1), PCT(p, "coverage_pct", 1));
	outcome_basis_text(p, text, sizeof(text));
	if (text[0])
		buf_addf(out, "* %s\n", text);
	if (json_is_object(probe))
		buf_addf(out, "* from outside: %lld requests, %lld lost, longest gap %s\n",
			 (long long)json_integer_value(json_object_get(probe, "sent")),
			 (long long)json_integer_value(json_object_get(probe, "lost")),
			 SECS(probe, "longest_gap_ms"));
	else
		buf_adds(out,
			 "* from outside: nobody looked (sluicectl probe --drill), so nothing is known of "
			 "lost requests\n");
	buf_addf(out, "* restored in %s\n", SECS(report, "restore_ms"));
}

void report_markdown(const json_t *report, struct buf *out)
{
	size_t i;
	json_t *r;

	buf_addf(out, "# Drill %s: %s of ", str(report, "id"), str(report, "kind"));
	add_plain(out, str(report, "scope"));
	buf_addf(out, "\n\n**%s**\n\n", str(report, "verdict"));
	json_array_foreach(json_object_get(report, "reasons"), i, r) {
		buf_adds(out, "* ");
		add_plain(out, json_string_value(r));
		buf_adds(out, "\n");
	}
	buf_addf(out, "\nBegun %s by ", str(report, "began"));
	add_plain(out, str(report, "actor"));
	buf_addf(out, ", took %s. Reason: ", SECS(report, "duration_ms"));
	add_plain(out, str(report, "reason"));
	buf_adds(out, "\n\n## Figures\n");
	md_figures(report, out);
	if (json_is_object(json_object_get(report, "tabletop")))
		tabletop_markdown(json_object_get(report, "tabletop"), out);
	buf_adds(out, "\n## Stages\n");
	md_stages(report, out);
	buf_adds(out, "\n## Predicted and measured\n");
	md_prediction(report, out);
	buf_adds(out, "\n## Sites\n");
	md_sites(report, out);
}
