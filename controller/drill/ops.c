/* SPDX-License-Identifier: Apache-2.0
 * The operator's side: asking, starting, holding, aborting. Everything is checked before anything is written.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "controller/drill/drill_int.h"
#include "proto/base/err.h"

#define HOLD_DEFAULT_S 60
#define MAX_DEFAULT_S  1800
#define FACTOR_DEFAULT 2.0
#define PROBE_TEXT_MAX 200
#define SETTLED_ROUNDS 5			 /* the last few samples are no average */
#define PROBE_MAX      INT64_C(1000000000000000) /* sums of 64 of them fit */

static struct op_result result(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static struct op_result result(int status, const char *fmt, ...)
{
	struct op_result r = { .status = status };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r.detail, sizeof(r.detail), fmt, ap);
	va_end(ap);
	return r;
}

/* -- reading a request ------------------------------------------------------------------------------------
 */

struct reader {
	json_t *body, *errors;
};

static void wrong(struct reader *r, const char *key, const char *what)
{
	auto_free char *pointer = xasprintf("/%s", key);

	json_array_append_new(r->errors, json_pack("{s:s, s:s}", "pointer", pointer, "reason", what));
}

static void read_text(struct reader *r, const char *key, char *to, size_t size)
{
	json_t *v = json_object_get(r->body, key);
	const char *s = v ? json_string_value(v) : "";

	if (!s || strlen(s) >= size)
		wrong(r, key, "must be text, and shorter");
	else if (!str_plain(s))
		wrong(r, key, "must be one line, without control characters");
	else
		snprintf(to, size, "%s", s);
}

static double read_number(struct reader *r, const char *key, double otherwise)
{
	json_t *v = json_object_get(r->body, key);

	if (v && !json_is_number(v)) {
		wrong(r, key, "must be a number");
		return otherwise;
	}
	/* outside what fits into milliseconds is outside every limit, too */
	double x = v ? json_number_value(v) : otherwise;
	return x > 1e9 ? 1e9 : x < -1e9 ? -1e9 : x;
}

void spec_parse(json_t *body, struct drill_spec *ret_spec, json_t *errors)
{
	struct reader r = { body, errors };

	*ret_spec = (struct drill_spec){ 0 };
	read_text(&r, "kind", ret_spec->kind, sizeof(ret_spec->kind));
	read_text(&r, "site", ret_spec->site, sizeof(ret_spec->site));
	read_text(&r, "node", ret_spec->node, sizeof(ret_spec->node));
	read_text(&r, "service", ret_spec->service, sizeof(ret_spec->service));
	read_text(&r, "shard", ret_spec->shard, sizeof(ret_spec->shard));
	read_text(&r, "reason", ret_spec->reason, sizeof(ret_spec->reason));
	ret_spec->hold_ms = (int64_t)(1000 * read_number(&r, "hold_s", HOLD_DEFAULT_S));
	ret_spec->max_ms = (int64_t)(1000 * read_number(&r, "max_s", MAX_DEFAULT_S));
	ret_spec->factor = read_number(&r, "factor", FACTOR_DEFAULT);
}

/* -- asking -----------------------------------------------------------------------------------------------
 */

int ops_facts(struct drills *d, const struct drill_spec *spec, struct preflight *p,
	      struct site_forecast *forecast, struct preflight_facts *ret_f)
{
	struct controller *c = d->c;
	int err = 0;

	preflight_resolve(&c->model, spec, p);
	*ret_f = (struct preflight_facts){ .view = rounds_view(c->rounds),
					   .now = mono_now(),
					   .running = d->running ? d->r.id : 0 };
	if (json_array_size(p->wrong))
		return 0;
	if (p->n_moves) {
		ret_f->guard_refuses =
			rounds_guard(c->rounds, p->moves, p->n_moves, ACTOR_DRILL, &ret_f->verdict) < 0;
		err = rounds_forecast(c->rounds, p->moves, p->n_moves, forecast);
		ret_f->forecast = err < 0 ? NULL : forecast;
	}
	return err;
}

json_t *ops_basis(struct drills *d, const struct preflight *p, bool *ret_settled)
{
	const struct cluster *cl = d->c->model.cl;
	auto_free double *noise = xcalloc(cl->n_sites + 1, sizeof(*noise));
	struct forecast_basis b = { 0 };

	*ret_settled = true;
	if (!p->n_moves || rounds_basis(d->c->rounds, p->moves, p->n_moves, &b, noise) < 0)
		return json_null();
	*ret_settled = b.rounds >= SETTLED_ROUNDS;
	return basis_json(cl, &b, noise);
}

static json_t *targets_json(const struct preflight *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->n_targets; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:f}", "site", p->targets[i].site, "node",
						p->targets[i].node, "shard", p->targets[i].shard, "load_bps",
						p->targets[i].base_bps));
	return list;
}

/* Resolves and judges; 0, or a result that is the answer. */
static struct op_result look(struct drills *d, const struct drill_spec *spec, struct preflight *p,
			     struct preflight_facts *f, struct site_forecast *forecast)
{
	if (ops_facts(d, spec, p, forecast, f) == -EBUSY)
		return result(503, "a plan is being made just now: ask again in a second");
	if (json_array_size(p->wrong)) {
		struct op_result r = result(422, "the drill cannot be made as asked for");
		r.errors = json_incref(p->wrong);
		return r;
	}
	preflight_judge(&d->c->model, spec, f, p);
	return result(200, "looked at");
}

struct op_result drills_plan(struct drills *d, const struct drill_spec *spec, json_t **ret_picture)
{
	auto_free struct site_forecast *forecast = xcalloc(d->c->model.cl->n_sites + 1, sizeof(*forecast));
	struct preflight_facts f;
	struct preflight p;
	struct op_result r = look(d, spec, &p, &f, forecast);
	char scope[4 * NAME_LEN];
	bool settled;

	spec_scope(spec, scope, sizeof(scope));
	if (r.status == 200)
		*ret_picture =
			json_pack("{s:s, s:s, s:b, s:O, s:o, s:o, s:o}", "kind", spec->kind, "scope", scope,
				  "allowed", !json_array_size(p.against), "against", p.against, "targets",
				  targets_json(&p), "forecast", forecast_json(&d->c->model, f.forecast),
				  "basis", ops_basis(d, &p, &settled));
	preflight_done(&p);
	return r;
}

static struct op_result refuse(struct drills *d, const char *actor, const struct drill_spec *spec,
			       const struct preflight *p)
{
	size_t n = json_array_size(p->against);
	const char *first = json_string_value(json_object_get(json_array_get(p->against, 0), "reason"));
	struct op_result r = result(409, "not now: %zu reason%s against it", n, n == 1 ? "" : "s");

	r.errors = json_incref(p->against);
	events_emit(d->c->events, NULL, 0, "drill.refused", "warning",
		    json_pack("{s:s, s:s, s:O}", "actor", actor, "kind", spec->kind, "against", p->against),
		    "drill %s by %s was refused: %s%s", spec->kind, actor, first, n > 1 ? " (and more)" : "");
	return r;
}

struct op_result drills_start(struct drills *d, const char *actor, const struct drill_spec *spec,
			      json_t **ret_drill)
{
	auto_free struct site_forecast *forecast = xcalloc(d->c->model.cl->n_sites + 1, sizeof(*forecast));
	struct drill_record rec;
	struct preflight_facts f;
	struct preflight p;
	struct op_result r = look(d, spec, &p, &f, forecast);
	char id[16];

	if (r.status == 200 && json_array_size(p.against)) {
		json_decref(r.errors);
		r = refuse(d, actor, spec, &p);
	}
	if (r.status != 200) {
		preflight_done(&p);
		return r;
	}
	record_init(&rec, d->last_id + 1, spec, actor);
	rec.began_wall_ms = wall_now_ms();
	rec.epoch = d->c->model.epoch;
	rec.targets = p.targets;
	rec.n_targets = p.n_targets;
	p.targets = NULL;
	preflight_done(&p);
	drills_begin(d, &rec);
	if (drills_event(d, EV_START, actor, spec->reason) < 0) {
		record_done(&d->r);
		d->running = false;
		return result(503, "nothing was begun: the store failed: %s", store_why(d->c->store));
	}
	d->last_id++;
	drill_id(d->r.id, id);
	*ret_drill = drills_get(d, id);
	return result(200, "drill %s has begun", id);
}

/* -- while it runs ----------------------------------------------------------------------------------------
 */

static bool is_running(const struct drills *d, const char *id, struct op_result *ret_r)
{
	char own[16] = "";

	if (d->running)
		drill_id(d->r.id, own);
	if (d->running && strcmp(own, id) == 0)
		return true;
	json_auto_t *past = drills_get(d, id);
	*ret_r = past ? result(409, "drill %s is over", id) : result(404, "there is no drill \"%s\"", id);
	return false;
}

static struct op_result tell(struct drills *d, enum drill_event ev, const char *actor, const char *id,
			     const char *reason, const char *done)
{
	struct op_result r;

	if (!is_running(d, id, &r))
		return r;
	int err = drills_event(d, ev, actor, reason);
	if (err == -EPERM)
		return result(409, "drill %s cannot be told to %s in stage %s", id,
			      ev == EV_PAUSE ? "hold" : drill_event_str(ev), drill_state_str(d->r.state));
	if (err < 0)
		return result(503, "nothing was changed: the store failed: %s", store_why(d->c->store));
	return result(200, "drill %s %s", id, done);
}

struct op_result drills_pause(struct drills *d, const char *actor, const char *id, const char *reason)
{
	return tell(d, EV_PAUSE, actor, id, reason, "stays in its stage");
}

struct op_result drills_resume(struct drills *d, const char *actor, const char *id, const char *reason)
{
	return tell(d, EV_RESUME, actor, id, reason, "goes on");
}

struct op_result drills_abort(struct drills *d, const char *actor, const char *id, const char *reason)
{
	struct op_result r;

	if (!is_running(d, id, &r))
		return r;
	if (drill_next(d->r.state, EV_ABORT).action != DO_DENY && !d->r.alarm[0] &&
	    !d->found.operator_aborted) {
		d->found.operator_aborted = true;
		snprintf(d->found.aborted_by, sizeof(d->found.aborted_by), "%s", actor);
		d->found.aborted_in = d->r.state;
		snprintf(d->r.why, sizeof(d->r.why), "%s", *reason ? reason : "no reason given");
	}
	if (drill_is_stage(d->r.state) && d->applied)
		stage_end(d);
	r = tell(d, EV_ABORT, actor, id, reason, "is aborted: everything is being restored");
	if (r.status == 200 && d->waits[0])
		return result(200, "drill %s is aborted and cannot be restored yet: %.200s", id, d->waits);
	return r;
}

/* Null when it can be read. */
static json_t *check_seen(json_t *seen)
{
	static const char *const keys[] = { "sent", "lost", "longest_gap_ms" };
	const char *from = json_string_value(json_object_get(seen, "from"));
	json_t *errors = json_array();
	struct reader r = { seen, errors };

	if (!from || !*from || strlen(from) > PROBE_TEXT_MAX)
		wrong(&r, "from", "must say who saw this");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_t *v = json_object_get(seen, keys[i]);
		if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > PROBE_MAX)
			wrong(&r, keys[i], "must be a whole number");
	}
	if (json_integer_value(json_object_get(seen, "lost")) >
	    json_integer_value(json_object_get(seen, "sent")))
		wrong(&r, "lost", "is more than was sent");
	if (json_array_size(errors))
		return errors;
	json_decref(errors);
	return NULL;
}

/* The drill is over: into its report. */
static struct op_result add_to_report(struct drills *d, const char *id, json_t *report, json_t *seen)
{
	json_t *was = json_object_get(json_object_get(report, "probe"), "from");
	json_auto_t *list = json_is_array(was) ? json_copy(was) : json_array();
	char key[64];

	if (json_array_size(list) >= DRILLS_SHOWN_PROBES)
		return result(409, "drill %s has %d reports from outside already", id, DRILLS_SHOWN_PROBES);
	json_array_append(list, seen);
	json_object_set_new(report, "probe", report_probe(list));
	auto_free char *text = json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(7));
	snprintf(key, sizeof(key), "drill/report/%06lu", strtoul(id + 1, NULL, 10));
	struct store_op op = { key, text };
	if (store_write(d->c->store, &op, 1, NULL) < 0)
		return result(503, "nothing was changed: the store failed: %s", store_why(d->c->store));
	return result(200, "added to the report of drill %s", id);
}

struct op_result drills_probe(struct drills *d, const char *id, json_t *seen)
{
	json_auto_t *report = drills_report(d, id);
	struct op_result r = { .errors = check_seen(seen) };

	if (r.errors) {
		json_t *errors = r.errors;
		r = result(422, "what was seen cannot be read");
		r.errors = errors;
		return r;
	}
	if (report)
		return add_to_report(d, id, report, seen);
	if (!is_running(d, id, &r))
		return r;
	if (json_array_size(d->r.probe) >= DRILLS_SHOWN_PROBES)
		return result(409, "drill %s has %d reports from outside already", id, DRILLS_SHOWN_PROBES);
	json_array_append(d->r.probe, seen);
	return result(200, "added to drill %s", id);
}

/* -- the schedule -----------------------------------------------------------------------------------------
 */

/* A key nobody reads is a mistake that would show only when the drill runs: wider, or longer than meant. */
static void check_keys(json_t *spec, json_t *errors)
{
	static const char *const keys[] = { "kind",   "site",	"node",	 "service", "shard",
					    "reason", "hold_s", "max_s", "factor" };
	struct reader r = { spec, errors };
	const char *key;
	json_t *v;

	json_object_foreach(spec, key, v) {
		bool known = false;
		for (size_t i = 0; i < ARRAY_LEN(keys); i++)
			known |= strcmp(key, keys[i]) == 0;
		if (!known)
			wrong(&r, key,
			      "is not a key of a drill: kind, site, node, service, shard, reason, "
			      "hold_s, max_s, factor");
	}
}

/* Names of kinds and places are looked at when it is set and again when it is due. */
static void check_specs(struct drills *d, json_t *schedule, json_t *errors)
{
	size_t i, k;
	json_t *drill, *e;

	json_array_foreach(json_object_get(schedule, "drills"), i, drill) {
		json_auto_t *own = json_array();
		struct drill_spec spec;
		struct preflight p;
		check_keys(json_object_get(drill, "spec"), own);
		spec_parse(json_object_get(drill, "spec"), &spec, own);
		preflight_resolve(&d->c->model, &spec, &p);
		json_array_extend(own, p.wrong);
		preflight_done(&p);
		json_array_foreach(own, k, e) {
			auto_free char *at = xasprintf("/drills/%zu/spec%s", i,
						       json_string_value(json_object_get(e, "pointer")));
			json_array_append_new(errors, json_pack("{s:s, s:O}", "pointer", at, "reason",
								json_object_get(e, "reason")));
		}
	}
}

struct op_result drills_set_schedule(struct drills *d, const char *actor, json_t *schedule)
{
	json_t *errors = json_array();

	schedule_check(schedule, errors);
	if (!json_array_size(errors))
		check_specs(d, schedule, errors);
	if (json_array_size(errors)) {
		struct op_result r = result(422, "the schedule has %zu errors; the one from before stays",
					    json_array_size(errors));
		r.errors = errors;
		return r;
	}
	json_decref(errors);
	auto_free char *text = json_dumps(schedule, JSON_COMPACT);
	struct store_op op = { "drill/schedule", text };
	bool on = json_is_true(json_object_get(schedule, "enabled"));
	if (events_emit(d->c->events, &op, 1, "drill.schedule", "info",
			json_pack("{s:s, s:b}", "actor", actor, "enabled", on),
			"drill schedule set by %s: %s", actor, on ? "on" : "off") < 0)
		return result(503, "nothing was changed: the store failed: %s", store_why(d->c->store));
	json_decref(d->schedule);
	d->schedule = json_deep_copy(schedule);
	json_object_clear(d->schedule_refused);
	return result(200, "the schedule is %s", on ? "on" : "off");
}
