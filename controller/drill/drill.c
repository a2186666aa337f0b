/* SPDX-License-Identifier: Apache-2.0
 * One tick: sample, look for what speaks against going on, then what the state asks for (ticks[]). Every
 * transition comes from the table, is written down, and only then acted on; when the store fails nothing new
 * is weakened, but what is to be restored is restored from memory. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "controller/drill/drill_int.h"
#include "controller/drill/hands.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define GRACE_MS	10000 /* after a restart agents have to report again */
#define REPORT_AGAIN_MS 5000

static struct model *model(const struct drills *d)
{
	return &d->c->model;
}

static int64_t since(mono_t t)
{
	return mono_diff_ms(t, mono_now());
}

void drill_id(unsigned id, char ret_id[16])
{
	snprintf(ret_id, 16, "d%u", id);
}

/* -- transitions ------------------------------------------------------------------------------------------
 */

static int write_down(struct drills *d, enum drill_state was, enum drill_event ev, const char *actor,
		      const char *why)
{
	char id[16], scope[4 * NAME_LEN];
	auto_free char *text = record_text(&d->r);
	struct store_op ops[2] = { { "drill/current", text } };
	size_t n = 1;
	bool bad = ev == EV_ALARM || ev == EV_RESTART || ev == EV_REFUSED;

	drill_id(d->r.id, id);
	spec_scope(&d->r.spec, scope, sizeof(scope));
	if (d->with)
		ops[n++] = *d->with;
	/* a record that cannot be made must not delete the one from before */
	int err = events_emit(d->c->events, ops, text ? n : 0, "drill", bad ? "alert" : "info",
			      json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "drill", id, "kind",
					d->r.kind->name, "from", drill_state_str(was), "to",
					drill_state_str(d->r.state), "event", drill_event_str(ev), "actor",
					actor, "why", why),
			      "drill %s, %s of %s: %s -> %s (%s by %s)%s%s", id, d->r.kind->name, scope,
			      drill_state_str(was), drill_state_str(d->r.state), drill_event_str(ev), actor,
			      *why ? ": " : "", why);
	return text ? err : ERR_MALFORMED;
}

static void begin_restore(struct drills *d, bool hurry)
{
	d->hurry = d->hurry || hurry;
	d->back_from = d->hurry ? 0 : d->r.n_targets / 2;
	d->looked = 0;
	d->stage_at = mono_now();
	progress_begin(&d->progress, &d->r, d->back_from, d->r.n_targets, true);
	if (!tabletop_over(d))
		tabletop_end(d);
	act_restore(d, d->back_from, d->r.n_targets);
}

static void begin_stage(struct drills *d)
{
	d->applied = false;
	d->looked = 0;
	d->stage_at = mono_now();
	if (d->r.state == DRILL_HOLD && d->r.kind->effect != EFFECT_NONE) { /* taken up */
		char why[TEXT_LEN];
		act_weaken(d, 0, d->r.n_targets, why);
	}
}

static void act(struct drills *d, enum drill_action action)
{
	if (action == DO_PAUSE || action == DO_RESUME)
		d->r.paused = action == DO_PAUSE;
	else if (action == DO_MEASURE)
		d->looked = 0;
	else if (action == DO_APPLY)
		begin_stage(d);
	else if (action == DO_BACK || action == DO_BACK_NOW)
		begin_restore(d, action == DO_BACK_NOW);
}

int drills_event(struct drills *d, enum drill_event ev, const char *actor, const char *why)
{
	enum drill_state was = d->r.state;
	struct drill_step st = drill_next(was, ev);
	bool paused = d->r.paused;

	if (st.action == DO_DENY)
		return -EPERM;
	if (st.action == DO_NOTHING && st.to == was)
		return 0;
	d->r.state = st.to;
	d->r.paused = st.action == DO_PAUSE || (paused && st.action != DO_RESUME && st.to == was);
	int err = write_down(d, was, ev, actor, why);
	if (err < 0 && (st.action == DO_APPLY || st.action == DO_MEASURE)) {
		d->r.state = was;
		d->r.paused = paused;
		return err;
	}
	if (st.to != was)
		d->state_at = mono_now();
	act(d, st.action);
	return 0;
}

void drills_alarm(struct drills *d, enum alarm a, const char *why)
{
	if (!d->r.alarm[0]) {
		snprintf(d->r.alarm, sizeof(d->r.alarm), "%s", alarm_str(a));
		snprintf(d->r.why, sizeof(d->r.why), "%s", why);
	}
	if (a == ALARM_DOCUMENT)
		prediction_done(&d->prediction); /* of sites by number: they are others now */
	if (drill_is_stage(d->r.state) && d->applied)
		stage_end(d);
	drills_event(d, EV_ALARM, "sluice", why);
}

/* -- what speaks against going on ------------------------------------------------------------------------ */

static bool weakened(const struct drills *d)
{
	return drill_is_stage(d->r.state) || d->r.state == DRILL_HOLD;
}

bool drills_document_changed(const struct drills *d)
{
	return strcmp(d->etag, model(d)->cl->etag) != 0;
}

mono_t drills_store_fails(const struct drills *d)
{
	return store_health(d->c->store)->failing_since;
}

static bool store_fails_for(const struct drills *d, int64_t ms)
{
	return mono_is_set(drills_store_fails(d)) && since(drills_store_fails(d)) >= ms;
}

/* True: an alarm was given. */
static bool look_for_alarms(struct drills *d)
{
	struct watch_input in = { .m = model(d),
				  .view = rounds_view(d->c->rounds),
				  .r = &d->r,
				  .now = mono_now(),
				  .hands = d->hands,
				  .elapsed_ms = since(d->began_at) };
	char why[TEXT_LEN];

	if (!weakened(d) && !(d->r.state == DRILL_RESTORE && !d->hurry))
		return false;
	if (drills_document_changed(d)) {
		drills_alarm(d, ALARM_DOCUMENT, "the cluster document was changed meanwhile");
		return true;
	}
	if (store_fails_for(d, STORE_PATIENCE_MS)) {
		snprintf(why, sizeof(why), "it has refused writes for %d s: %.200s", STORE_PATIENCE_MS / 1000,
			 store_why(d->c->store));
		drills_alarm(d, ALARM_STORE, why);
		return true;
	}
	if (d->r.kind->effect == EFFECT_NONE || mono_diff_ms(mono_now(), d->grace_until) > 0)
		return false;
	if (drill_is_stage(d->r.state) && d->applied && d->prediction.samples >= STAGE_CHECKED)
		in.prediction = &d->prediction;
	enum alarm a = watch_step(&d->watch, &in, why);
	if (a == ALARMS)
		return false;
	drills_alarm(d, a, why);
	return true;
}

static void forget(struct drills *d)
{
	act_release(d);
	tabletop_end(d);
	record_done(&d->r);
	series_done(&d->series);
	prediction_done(&d->prediction);
	free(d->noise);
	d->noise = NULL;
	d->running = false;
}

/* Nothing is a drill's any more, however long the store refuses the report. */
static void tick_report(struct drills *d)
{
	if (model(d)->drill[0])
		act_release(d);
	if (mono_is_set(drills_store_fails(d)) && since(d->stage_at) < REPORT_AGAIN_MS)
		return;
	d->stage_at = mono_now();
	d->found.ended_wall_ms = wall_now_ms();
	d->found.duration_ms = since(d->began_at); /* the wall clock may have been set meanwhile */
	const struct rounds_view *v = rounds_view(d->c->rounds);
	d->found.engine_moves = v ? (unsigned)(v->weakenings - d->weakenings_at) : 0;
	json_auto_t *report = report_json(&d->r, &d->series, &d->found);
	if (keep_report(d, report) < 0)
		return; /* the next tick tries again; nothing is weakened meanwhile */
	json_array_append_new(d->past, view_summary(report));
	if (json_array_size(d->past) > DRILLS_KEPT)
		json_array_remove(d->past, 0);
	forget(d);
}

/* -- the schedule -----------------------------------------------------------------------------------------
 */

static void start_scheduled(struct drills *d, const json_t *due, int64_t now_ms)
{
	const char *name = json_string_value(json_object_get(due, "name"));
	json_auto_t *drill = NULL;
	struct drill_spec spec;
	char why[TEXT_LEN] = "";
	json_auto_t *errors = json_array(), *last = json_copy(d->schedule_last);

	spec_parse(json_object_get(due, "spec"), &spec, errors);
	json_object_set_new(last, name, json_integer((json_int_t)now_ms));
	auto_free char *text = json_dumps(last, JSON_COMPACT);
	/* with the record: begun and not known to have begun, it would be due again */
	d->with = &(struct store_op){ "drill/schedule-last", text };
	struct op_result r = drills_start(d, "schedule", &spec, &drill);
	d->with = NULL;
	json_t *first = json_array_get(r.errors, 0);
	if (first)
		snprintf(why, sizeof(why), "%s", json_string_value(json_object_get(first, "reason")));
	json_decref(r.errors);
	if (r.status == 503 && !mono_is_set(store_health(d->c->store)->failing_since))
		return; /* a plan is being made: with the next tick */
	if (r.status != 200) {
		json_object_set_new(d->schedule_refused, name, json_integer((json_int_t)now_ms));
		events_emit(d->c->events, NULL, 0, "drill.refused", "warning",
			    json_pack("{s:s}", "name", name),
			    "the scheduled drill \"%s\" did not begin: %s %s", name, r.detail, why);
		return;
	}
	json_decref(d->schedule_last);
	d->schedule_last = json_incref(last);
}

static void tick_schedule(struct drills *d)
{
	int64_t now = wall_now_ms();
	const json_t *due = schedule_due(d->schedule, d->schedule_last, d->schedule_refused, now);

	if (due)
		start_scheduled(d, due, now);
}

/* -- the tick ---------------------------------------------------------------------------------------------
 */

/* Another leads, or may: its is the drill. Nothing is ordered from here. */
static void stand_by(struct drills *d)
{
	if (listens(&d->c->lead))
		return; /* our own term may go on */
	if (d->running)
		forget(d);
	if (d->reads != d->c->reads)
		keep_read(d);
}

void drills_tick(struct drills *d)
{
	static void (*const ticks[DRILL_STATES])(struct drills * d) = {
		[DRILL_PREFLIGHT] = stage_preflight, [DRILL_CANARY] = stage_weaken, [DRILL_25] = stage_weaken,
		[DRILL_50] = stage_weaken,	     [DRILL_100] = stage_weaken,    [DRILL_HOLD] = stage_hold,
		[DRILL_RESTORE] = stage_restore,     [DRILL_REPORT] = tick_report,
	};

	if (!leads(&d->c->lead)) {
		stand_by(d);
		return;
	}
	if (!d->running) {
		tick_schedule(d);
		readiness_step(d);
		return;
	}
	bool fresh = !mono_is_set(d->sampled_at) || since(d->sampled_at) >= ROUND_MS - DRILLS_TICK_MS / 2;
	if (fresh) {
		d->sampled_at = mono_now();
		rounds_snapshot(d->c->rounds); /* sums the sites and cells of now */
		measure(d);
		if (look_for_alarms(d))
			return;
	}
	enum drill_state was = d->r.state;
	bool now = fresh || was == DRILL_RESTORE || d->r.kind->effect == EFFECT_NONE;
	if (now && ticks[was])
		ticks[was](d);
	if (d->running && d->r.state != was && drill_is_stage(d->r.state))
		stage_weaken(d); /* its effects need not wait for the next sample */
}

static void on_tick(uv_timer_t *t)
{
	drills_tick(t->data);
}

/* -- start and end ----------------------------------------------------------------------------------------
 */

void drills_begin(struct drills *d, struct drill_record *r)
{
	const struct rounds_view *v = rounds_view(d->c->rounds);

	d->r = *r;
	d->running = true;
	d->applied = d->hurry = false;
	d->waits[0] = 0;
	d->looked = 0;
	d->weakenings_at = v ? v->weakenings : 0;
	d->began_at = d->state_at = d->stage_at = mono_now();
	d->sampled_at = d->full_at = d->grace_until = (mono_t){ 0 };
	d->watch = (struct watch){ 0 };
	d->progress = (struct progress){ .settled_ms = -1 };
	d->found = (struct findings){ .restore_ms = -1,
				      .answer = { .after_ms = -1 },
				      .predicted_drained = (double)NAN };
	for (size_t i = 0; i < RESIDUALS; i++)
		d->found.residual[i] = (double)NAN;
	snprintf(d->etag, sizeof(d->etag), "%s", model(d)->cl->etag);
	d->hands = hands_sum(model(d), &d->r);
	series_done(&d->series);
	series_init(&d->series, model(d)->cl);
	free(d->noise);
	d->noise = xcalloc(model(d)->cl->n_sites + 1, sizeof(*d->noise));
}

/* A drill was under way when the controller before us ended. */
static void take_over(struct drills *d, struct drill_record *r)
{
	enum drill_event ev = r->kind->taken_up ? EV_TAKE_UP : EV_RESTART;
	int64_t began_wall_ms = r->began_wall_ms;

	r->epoch = model(d)->epoch;
	if (ev == EV_RESTART && !r->alarm[0]) {
		snprintf(r->alarm, sizeof(r->alarm), "%s", alarm_str(ALARM_LEADER));
		snprintf(r->why, sizeof(r->why),
			 "the controller restarted, or another leads now, in stage %s",
			 drill_state_str(r->state));
	}
	drills_begin(d, r);
	d->found.all_held = d->r.state > DRILL_HOLD && !d->r.alarm[0];
	int64_t ran_ms = wall_now_ms() - began_wall_ms;
	if (ran_ms > 0 && ran_ms < 2 * DRILL_MAX_MS)
		d->began_at = mono_add_ms(d->began_at, -ran_ms);
	d->grace_until = mono_add_ms(mono_now(), GRACE_MS);
	for (size_t i = 0; i < d->r.n_targets; i++)
		d->r.targets[i].on = false; /* our model knows of no mark yet */
	act_claim(d);
	drills_event(d, ev, "sluice", d->r.why);
}

static void let_go(struct drills *d)
{
	json_t **kept[] = { &d->past, &d->last, &d->schedule, &d->schedule_last, &d->schedule_refused };

	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		json_decref(*kept[i]);
		*kept[i] = NULL;
	}
	readiness_done(d);
	tabletop_end(d);
	if (d->running)
		record_done(&d->r);
	series_done(&d->series);
	prediction_done(&d->prediction);
	free(d->noise);
	d->noise = NULL;
	d->running = false;
}

void drills_load(struct drills *d)
{
	auto_free char *text = NULL;
	struct drill_record r;

	let_go(d);
	keep_read(d);
	bool kept = store_get(d->c->store, "drill/current", &text) == 0;
	if ((!kept || record_parse(text, &r) < 0) && !salvage(d, text, &r))
		return;
	if (r.id > d->last_id)
		d->last_id = r.id;
	take_over(d, &r);
}

struct drills *drills_new(struct controller *c)
{
	struct drills *d = xcalloc(1, sizeof(*d));

	d->c = c;
	if (c->lead.shared)
		keep_read(d); /* taken over when a term begins */
	else
		drills_load(d);
	uv_timer_init(c->loop, &d->timer);
	d->timer.data = d;
	uv_timer_start(&d->timer, on_tick, DRILLS_TICK_MS, DRILLS_TICK_MS);
	return d;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void drills_free(struct drills *d)
{
	if (!d)
		return;
	let_go(d);
	uv_close((uv_handle_t *)&d->timer, on_closed);
}
