/* SPDX-License-Identifier: Apache-2.0
 * What is shown of drills, and of what would happen if a place were lost now. */
#include <math.h>
#include <string.h>

#include "controller/drill/drill_int.h"

#define READY_NOW 8 /* sites worked out at once when somebody asks before their turn */

struct readiness {
	char etag[24];
	size_t n_sites, next;
	struct ready_site {
		json_t *one, *two; /* NULL: not worked out yet */
		mono_t at;
	} * sites;
};

static double rounded(double x)
{
	return round(x * 10000) / 10000;
}

json_t *view_summary(const json_t *report)
{
	static const char *const keys[] = { "id",      "kind",	  "scope", "actor", "reason",
					    "verdict", "reasons", "began", "ended" };
	json_t *j = json_object();

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_t *v = json_object_get(report, keys[i]);
		json_object_set_new(j, keys[i], v ? json_incref(v) : json_null());
	}
	json_object_set_new(j, "state", json_string("closed"));
	return j;
}

/* -- the one under way ------------------------------------------------------------------------------------
 */

static json_t *peak_json(const struct drills *d)
{
	ssize_t best = -1;

	for (size_t i = 0; i < d->series.n_sites; i++)
		if (d->series.n && !record_touches(&d->r, d->series.sites[i]) &&
		    (best < 0 || d->series.peak_util[i] > d->series.peak_util[best]))
			best = (ssize_t)i;
	return best < 0 ? json_null()
			: json_pack("{s:s, s:f}", "site", d->series.sites[best], "util",
				    rounded(d->series.peak_util[best]));
}

/* Of all targets, 0..1. */
static double moved(const struct drills *d)
{
	double base = 0, now = targets_bps(&d->c->model, &d->r, 0, d->r.n_targets);

	for (size_t i = 0; i < d->r.n_targets; i++)
		base += d->r.targets[i].base_bps;
	return base > 0 ? fmax(0, 1 - now / base) : 0;
}

/* Before anything is weakened the load moves by itself only. */
static bool may_move(const struct drills *d)
{
	return drill_moves(d->r.kind) && d->r.state != DRILL_PREFLIGHT;
}

static json_t *running_json(const struct drills *d)
{
	const struct drill_record *r = &d->r;
	int64_t ran_ms = mono_diff_ms(d->began_at, mono_now());
	char id[16], scope[4 * NAME_LEN];

	drill_id(r->id, id);
	spec_scope(&r->spec, scope, sizeof(scope));
	json_t *j = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:b, s:I, s:I, s:I, s:I, s:i, s:i}", "id", id, "kind",
		r->kind->name, "scope", scope, "actor", r->actor, "reason", r->spec.reason, "state",
		drill_state_str(r->state), "began", report_wall(r->began_wall_ms), "paused", r->paused,
		"running_ms", (json_int_t)ran_ms, "left_ms", (json_int_t)(r->spec.max_ms - ran_ms),
		"state_ms", (json_int_t)mono_diff_ms(d->state_at, mono_now()), "hold_ms",
		(json_int_t)r->spec.hold_ms, "targets", (int)r->n_targets, "weakened", (int)record_on(r));
	json_object_set_new(j, "moved", json_real(rounded(may_move(d) ? moved(d) : 0)));
	json_object_set_new(j, "peak", peak_json(d));
	if (r->kind->effect == EFFECT_NONE)
		json_object_set_new(j, "simulated",
				    json_pack("{s:f, s:i}", "part",
					      d->table ? rounded(tabletop_part(d->table)) : 0.0, "runs",
					      d->table ? (int)tabletop_runs(d->table) : 0));
	json_object_set_new(j, "alarm", r->alarm[0] ? json_string(r->alarm) : json_null());
	json_object_set_new(j, "why", json_string(r->why));
	json_object_set_new(j, "waits", d->waits[0] ? json_string(d->waits) : json_null());
	json_object_set(j, "forecast", r->forecast);
	json_object_set(j, "stages", r->stages);
	return j;
}

const char *drills_waits(const struct drills *d)
{
	return d && d->running ? d->waits : "";
}

json_t *drills_list(const struct drills *d)
{
	json_t *list = json_array();

	if (d->running)
		json_array_append_new(list, running_json(d));
	for (size_t i = json_array_size(d->past); i > 0; i--)
		json_array_append(list, json_array_get(d->past, i - 1));
	return list;
}

json_t *drills_get(const struct drills *d, const char *id)
{
	json_t *past;
	size_t i;
	char own[16];

	drill_id(d->r.id, own);
	if (d->running && strcmp(own, id) == 0)
		return running_json(d);
	json_array_foreach(d->past, i, past)
		if (strcmp(json_string_value(json_object_get(past, "id")), id) == 0)
			return json_incref(past);
	return NULL;
}

json_t *drills_report(const struct drills *d, const char *id)
{
	auto_free char *text = NULL;
	char key[64], *end;
	bool good = id[0] == 'd' && id[1] >= '0' && id[1] <= '9'; /* strtoul takes "+7", too */
	unsigned long n = good ? strtoul(id + 1, &end, 10) : 0;

	if (!n || n > d->last_id || *end)
		return NULL;
	snprintf(key, sizeof(key), "drill/report/%06lu", n);
	if (store_get(d->c->store, key, &text) != 0)
		return NULL;
	return json_loads(text, 0, NULL);
}

/* {NAME: time or null} */
static json_t *schedule_times(const struct drills *d, int64_t now_ms)
{
	json_t *times = json_object(), *drill;
	size_t i;

	json_array_foreach(json_object_get(d->schedule, "drills"), i, drill) {
		int64_t at = schedule_next(d->schedule, drill, d->schedule_last, d->schedule_refused, now_ms);
		json_object_set_new(times, json_string_value(json_object_get(drill, "name")),
				    report_wall(at));
	}
	return times;
}

json_t *drills_schedule(const struct drills *d)
{
	char why[128];
	int64_t now_ms = wall_now_ms();
	bool open = schedule_open(d->schedule, now_ms, why);
	json_t *j = json_object();

	json_object_set_new(j, "enabled",
			    json_boolean(json_is_true(json_object_get(d->schedule, "enabled"))));
	static const char *const keys[] = { "windows", "blackout", "drills" };
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_t *v = json_object_get(d->schedule, keys[i]);
		json_object_set_new(j, keys[i], v ? json_incref(v) : json_array());
	}
	json_object_set_new(j, "open", json_boolean(open));
	json_object_set_new(j, "why", json_string(open ? "" : why));
	json_object_set(j, "last", d->schedule_last);
	json_object_set_new(j, "next", schedule_times(d, now_ms));
	return j;
}

void drills_each_last(const struct drills *d,
		      void (*fn)(const char *site, const char *kind, int64_t wall_ms, const char *verdict,
				 void *arg),
		      void *arg)
{
	const char *site, *kind;
	json_t *kinds, *one;

	json_object_foreach(d->last, site, kinds)
		json_object_foreach(kinds, kind, one)
			fn(site, kind, json_integer_value(json_object_get(one, "wall_ms")),
			   json_string_value(json_object_get(one, "verdict")), arg);
}

/* -- readiness --------------------------------------------------------------------------------------------
 */

/* Everything a site announces is withdrawn. */
static size_t lose(const struct model *m, size_t site, struct move *moves)
{
	size_t n = 0;

	for (size_t k = 0; k < m->cl->n_shards; k++) {
		const struct cell_live *c = model_cell(m, site, k);
		if (c->announced)
			moves[n++] = (struct move){ .site = site,
						    .shard = k,
						    .from = c->ordered ? c->wanted : c->grade,
						    .to = (uint8_t)(m->cl->grades.n - 1) };
	}
	return n;
}

static double load_of(const struct model *m, size_t site)
{
	return m->sites[site].load[RES_BPS];
}

/* The most loaded of the others; -1: there is none. */
static ssize_t largest_but(const struct model *m, size_t site)
{
	ssize_t best = -1;

	for (size_t i = 0; i < m->cl->n_sites; i++)
		if (i != site && m->sites[i].healthy &&
		    (best < 0 || load_of(m, i) > load_of(m, (size_t)best)))
			best = (ssize_t)i;
	return best;
}

/* {"lost", "site", "util", "util_hi", "enough", "enough_to_drill"}: the worst receiver, at the upper end,
 * when these are gone; null when nobody is left or no forecast could be made. A real loss may fill receivers
 * as far as steering would, a drill only as far as preflight lets it. */
static json_t *worst_without(struct drills *d, const size_t *gone, size_t n_gone)
{
	const struct model *m = &d->c->model;
	auto_free struct move *moves = xcalloc(n_gone * m->cl->n_shards + 1, sizeof(*moves));
	auto_free struct site_forecast *f = xcalloc(m->cl->n_sites + 1, sizeof(*f));
	json_t *lost = json_array();
	ssize_t worst = -1;
	size_t n = 0;

	for (size_t g = 0; g < n_gone; g++) {
		n += lose(m, gone[g], moves + n);
		json_array_append_new(lost, json_string(m->cl->sites[gone[g]].name));
	}
	int err = rounds_forecast(d->c->rounds, moves, n, f);
	for (size_t i = 0; i < m->cl->n_sites && err == 0; i++) {
		bool is_gone = false;
		for (size_t g = 0; g < n_gone; g++)
			is_gone |= gone[g] == i;
		if (!is_gone && m->sites[i].healthy && isfinite(f[i].after_hi) &&
		    (worst < 0 || f[i].after_hi > f[worst].after_hi))
			worst = (ssize_t)i;
	}
	if (worst < 0) {
		json_decref(lost);
		return json_null();
	}
	return json_pack("{s:o, s:s, s:f, s:f, s:b, s:b}", "lost", lost, "site", m->cl->sites[worst].name,
			 "util", rounded(f[worst].after), "util_hi", rounded(f[worst].after_hi), "enough",
			 f[worst].after_hi <= m->cl->policy.receiver_max_util, "enough_to_drill",
			 f[worst].after_hi <= RECEIVER_MAX);
}

static json_t *last_of(const struct drills *d, const char *site)
{
	json_t *kinds = json_object_get(d->last, site), *one, *best = NULL;
	const char *kind, *best_kind = "";
	json_int_t newest = 0;

	json_object_foreach(kinds, kind, one) {
		json_int_t at = json_integer_value(json_object_get(one, "wall_ms"));
		if (at <= newest)
			continue;
		newest = at;
		best = one;
		best_kind = kind;
	}
	if (!best)
		return json_null();
	return json_pack("{s:O, s:s, s:O, s:I}", "id", json_object_get(best, "id"), "kind", best_kind,
			 "verdict", json_object_get(best, "verdict"), "age_s",
			 (json_int_t)((wall_now_ms() - newest) / 1000));
}

static void work_out(struct drills *d, size_t site)
{
	ssize_t next = largest_but(&d->c->model, site);
	size_t gone[2] = { site, next < 0 ? site : (size_t)next };
	struct ready_site *s = &d->ready->sites[site];
	json_t *one = worst_without(d, gone, 1);

	if (json_is_null(one) && d->c->model.sites[site].healthy && s->one)
		return; /* a plan is being made: the answer from before is better than none */
	json_decref(s->one);
	json_decref(s->two);
	s->one = one;
	s->two = next < 0 ? json_null() : worst_without(d, gone, 2);
	s->at = mono_now();
}

void readiness_done(struct drills *d)
{
	for (size_t i = 0; d->ready && i < d->ready->n_sites; i++) {
		json_decref(d->ready->sites[i].one);
		json_decref(d->ready->sites[i].two);
	}
	if (d->ready)
		free(d->ready->sites);
	free(d->ready);
	d->ready = NULL;
}

/* Of the present document. */
static void make_ready(struct drills *d)
{
	const struct cluster *cl = d->c->model.cl;

	if (d->ready && strcmp(d->ready->etag, cl->etag) == 0)
		return;
	readiness_done(d);
	d->ready = xcalloc(1, sizeof(*d->ready));
	snprintf(d->ready->etag, sizeof(d->ready->etag), "%s", cl->etag);
	d->ready->n_sites = cl->n_sites;
	d->ready->sites = xcalloc(cl->n_sites + 1, sizeof(*d->ready->sites));
}

void readiness_step(struct drills *d)
{
	make_ready(d);
	if (!d->ready->n_sites)
		return;
	work_out(d, d->ready->next);
	d->ready->next = (d->ready->next + 1) % d->ready->n_sites;
}

static json_t *shown(json_t *j)
{
	return j ? json_incref(j) : json_null();
}

json_t *drills_readiness(struct drills *d)
{
	const struct model *m = &d->c->model;
	json_t *list = json_array();
	unsigned now = 0;

	make_ready(d);
	for (size_t i = 0; i < m->cl->n_sites; i++) {
		struct ready_site *s = &d->ready->sites[i];
		if ((!s->one || json_is_null(s->one)) && now++ < READY_NOW)
			work_out(d, i);
		json_array_append_new(
			list, json_pack("{s:s, s:b, s:f, s:o, s:o, s:o, s:o}", "site", m->cl->sites[i].name,
					"healthy", m->sites[i].healthy, "util", rounded(m->sites[i].util),
					"last_drill", last_of(d, m->cl->sites[i].name), "if_lost",
					shown(s->one), "if_next_too", shown(s->two), "age_ms",
					mono_is_set(s->at) ? json_integer(mono_diff_ms(s->at, mono_now()))
							   : json_null()));
	}
	return json_pack("{s:o, s:f, s:f}", "sites", list, "limit", m->cl->policy.receiver_max_util,
			 "drill_limit", RECEIVER_MAX);
}
