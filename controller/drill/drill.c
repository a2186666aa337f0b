/* SPDX-License-Identifier: Apache-2.0
 * One tick: sample, look for what speaks against going on, then what the state asks for (ticks[]). Every
 * transition comes from the table, is written down, and only then acted on; when the store fails nothing new
 * is weakened, but what is to be restored is restored from memory. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "controller/drill/drill_int.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define BASE_SAMPLES	  3	 /* of the baseline, one a second */
#define CHECK_SAMPLES	  2	 /* after a stage settled, for the prediction */
#define NO_EFFECT_MS	  20000	 /* beyond twice settle_max: permits have to come back first */
#define GRACE_MS	  10000	 /* after a restart agents have to report again */
#define RESTORE_MAX_MS	  600000 /* for reading back what was ordered back */
#define SCHEDULE_AGAIN_MS 600000

static struct model *model(const struct drills *d)
{
	return &d->c->model;
}

static const struct policy *policy(const struct drills *d)
{
	return &model(d)->cl->policy;
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
	struct store_op op = { "drill/current", text };
	bool bad = ev == EV_ALARM || ev == EV_RESTART || ev == EV_REFUSED;

	drill_id(d->r.id, id);
	spec_scope(&d->r.spec, scope, sizeof(scope));
	return events_emit(d->c->events, &op, 1, "drill", bad ? "alert" : "info",
			   json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "drill", id, "kind",
				     d->r.kind->name, "from", drill_state_str(was), "to",
				     drill_state_str(d->r.state), "event", drill_event_str(ev), "actor",
				     actor, "why", why),
			   "drill %s, %s of %s: %s -> %s (%s by %s)%s%s", id, d->r.kind->name, scope,
			   drill_state_str(was), drill_state_str(d->r.state), drill_event_str(ev), actor,
			   *why ? ": " : "", why);
}

static void begin_restore(struct drills *d, bool hurry)
{
	d->hurry = d->hurry || hurry;
	d->back_from = d->hurry ? 0 : d->r.n_targets / 2;
	d->looked = 0;
	d->stage_at = mono_now();
	progress_begin(&d->progress, &d->r, d->back_from, d->r.n_targets, true);
	act_restore(d, d->back_from, d->r.n_targets);
}

static void begin_stage(struct drills *d)
{
	d->applied = false;
	d->looked = 0;
	d->stage_at = mono_now();
	if (d->r.state == DRILL_HOLD) { /* taken up */
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

static void end_stage(struct drills *d)
{
	json_array_append_new(d->r.stages, stage_json(model(d), &d->r, &d->progress, &d->prediction));
}

/* The stage is part of what is written down; it ends again the next time if it could not be. */
static void leave_stage(struct drills *d)
{
	end_stage(d);
	if (drills_event(d, EV_MOVED, "sluice", "") < 0)
		json_array_remove(d->r.stages, json_array_size(d->r.stages) - 1);
}

static void give_alarm(struct drills *d, enum alarm a, const char *why)
{
	if (!d->r.alarm[0]) {
		snprintf(d->r.alarm, sizeof(d->r.alarm), "%s", alarm_str(a));
		snprintf(d->r.why, sizeof(d->r.why), "%s", why);
	}
	if (drill_is_stage(d->r.state) && d->applied)
		end_stage(d);
	drills_event(d, EV_ALARM, "sluice", why);
}

/* -- measuring --------------------------------------------------------------------------------------------
 */

/* A sum over what is announced how, of the drill's nodes. */
static int64_t routes_sum(const struct drills *d)
{
	const struct model *m = model(d);
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < m->cl->n_nodes; i++)
		for (size_t k = 0; k < m->cl->n_shards; k++) {
			const struct node_shard *ns = &m->nodes[i].shards[k];
			h = (h ^ (uint64_t)(ns->announced ? ns->grade + 1 : 0)) * 1099511628211u;
		}
	return (int64_t)(h >> 2);
}

static void find_residuals(struct drills *d, double left_bps)
{
	static const int64_t at_ms[RESIDUALS] = { 60000, 300000, 600000 };
	double base = 0;

	if (!mono_is_set(d->full_at) || (d->r.state != DRILL_100 && d->r.state != DRILL_HOLD))
		return;
	for (size_t i = 0; i < d->r.n_targets; i++)
		base += d->r.targets[i].base_bps;
	double left = base > 0 ? left_bps / base : 0;
	d->found.drained = fmax(0, 1 - left);
	for (size_t i = 0; i < RESIDUALS; i++)
		if (!isfinite(d->found.residual[i]) && since(d->full_at) >= at_ms[i])
			d->found.residual[i] = left;
}

/* Would anything be weakened on such reports? Asked as steering would ask. */
static void ask_guard(struct drills *d)
{
	const struct model *m = model(d);
	uint8_t to = (uint8_t)cluster_grade(m->cl, "prepend1");
	struct guard_verdict verdict;

	if (d->r.kind->effect != EFFECT_MUTE || d->r.state != DRILL_HOLD)
		return;
	d->found.weakening_asked = true;
	d->found.weakening_refused = true;
	for (size_t i = 0; i < m->cl->n_sites; i++) {
		struct move mv = { .site = i, .from = model_cell(m, i, 0)->wanted, .to = to };
		if (model_cell(m, i, 0)->announced &&
		    rounds_guard(d->c->rounds, &mv, 1, ACTOR_ENGINE, &verdict) == 0)
			d->found.weakening_refused = false;
	}
}

/* Does more of the capacity fall silent than the guard tolerates? */
static bool above_third(const struct drills *d)
{
	const struct model *m = model(d);
	double silent = 0, all = 0;
	struct target_at at;

	for (size_t i = 0; i < m->cl->n_nodes; i++)
		all += m->cl->nodes[i].cap[RES_BPS];
	for (size_t i = 0; i < d->r.n_targets; i++)
		if (target_find(m->cl, &d->r.targets[i], &at) && at.node >= 0)
			silent += m->cl->nodes[at.node].cap[RES_BPS];
	return all > 0 && silent / all > 1.0 / 3;
}

/* Surge: steering has changed a weight of the site, or one of its grades. */
static void find_answer(struct drills *d)
{
	const struct rounds_view *v = rounds_view(d->c->rounds);
	struct target_at at;

	if (d->r.kind->effect != EFFECT_SURGE || d->found.answered_ms >= 0 || !mono_is_set(d->full_at) || !v)
		return;
	bool moved = v->moves > d->moves_at;
	if (target_find(model(d)->cl, &d->r.targets[0], &at) && at.node >= 0)
		moved |= model(d)->nodes[at.node].weight != d->r.routes;
	if (moved)
		d->found.answered_ms = since(d->full_at);
}

static void sample(struct drills *d)
{
	double bps = targets_bps(model(d), &d->r, 0, d->r.n_targets);
	struct series_point p = { .at_ms = since(d->began_at), .state = d->r.state, .target_bps = bps };

	series_add(&d->series, model(d), &p);
	for (size_t i = 0; i < d->series.n_sites && i < model(d)->cl->n_sites; i++)
		noise_add(&d->noise[i], model(d)->sites[i].util);
	find_residuals(d, bps);
	find_answer(d);
	if (above_third(d))
		ask_guard(d);
}

static bool weakened(const struct drills *d)
{
	return drill_is_stage(d->r.state) || d->r.state == DRILL_HOLD;
}

static bool document_changed(const struct drills *d)
{
	return strcmp(d->etag, model(d)->cl->etag) != 0;
}

/* True: an alarm was given. */
static bool look_for_alarms(struct drills *d)
{
	struct watch_input in = { .m = model(d),
				  .view = rounds_view(d->c->rounds),
				  .r = &d->r,
				  .now = mono_now(),
				  .elapsed_ms = since(d->began_at) };
	char why[TEXT_LEN];

	if (!weakened(d) && !(d->r.state == DRILL_RESTORE && !d->hurry))
		return false;
	if (document_changed(d)) {
		give_alarm(d, ALARM_DOCUMENT, "the cluster document was changed meanwhile");
		return true;
	}
	if (d->r.kind->effect == EFFECT_NONE || mono_diff_ms(mono_now(), d->grace_until) > 0)
		return false;
	if (drill_is_stage(d->r.state) && d->applied && d->prediction.samples >= CHECK_SAMPLES)
		in.prediction = &d->prediction;
	enum alarm a = watch_step(&d->watch, &in, why);
	if (a == ALARMS)
		return false;
	give_alarm(d, a, why);
	return true;
}

/* -- what each state asks for -----------------------------------------------------------------------------
 */

static void take_baseline(struct drills *d)
{
	const struct model *m = model(d);
	struct target_at at;

	for (size_t i = 0; i < d->r.n_targets; i++)
		if (target_find(m->cl, &d->r.targets[i], &at))
			d->r.targets[i].base_bps +=
				(target_bps(m, &at) - d->r.targets[i].base_bps) / (d->looked + 1);
	d->r.base_total_bps += (watch_total_bps(m) - d->r.base_total_bps) / (d->looked + 1);
	d->looked++;
}

/* What is to leave at the least, of the load of the targets. */
static double predicted_drained(const struct drills *d, const struct site_forecast *f)
{
	const struct model *m = model(d);
	struct target_at at;
	double base = 0, moved = 0;

	for (size_t i = 0; i < d->r.n_targets; i++)
		base += d->r.targets[i].base_bps;
	if (!f || base <= 0 || d->r.kind->effect != EFFECT_GRADE ||
	    !target_find(m->cl, &d->r.targets[0], &at) || at.node >= 0)
		return (double)NAN;
	moved = (f[at.site].before - f[at.site].after_hi) * m->sites[at.site].cap[RES_BPS];
	return fmax(0, fmin(1, moved / base));
}

static void refuse(struct drills *d, const char *why)
{
	d->found.refused = true;
	snprintf(d->r.why, sizeof(d->r.why), "%s", why);
	drills_event(d, EV_REFUSED, "sluice", d->r.why);
}

static void tick_preflight(struct drills *d)
{
	auto_free struct site_forecast *f = xcalloc(model(d)->cl->n_sites + 1, sizeof(*f));
	struct preflight_facts facts;
	struct preflight p;

	if (document_changed(d)) {
		refuse(d, "the cluster document was changed meanwhile");
		return;
	}
	take_baseline(d);
	if (d->looked < BASE_SAMPLES || ops_facts(d, &d->r.spec, &p, f, &facts) == -EBUSY)
		return;
	facts.running = 0;
	if (!json_array_size(p.wrong))
		preflight_judge(model(d), &d->r.spec, &facts, &p);
	json_decref(d->r.forecast);
	d->r.forecast = forecast_json(model(d), facts.forecast);
	d->found.predicted_drained = predicted_drained(d, facts.forecast);
	json_t *first = json_array_get(json_array_size(p.wrong) ? p.wrong : p.against, 0);
	if (first) {
		refuse(d, json_string_value(json_object_get(first, "reason")));
	} else {
		d->r.routes =
			d->r.kind->effect == EFFECT_SURGE
				? model(d)->nodes[cluster_node(model(d)->cl, d->r.targets[0].node)].weight
				: routes_sum(d);
		act_claim(d);
		drills_event(d, EV_PASSED, "sluice", "nothing speaks against it");
	}
	preflight_done(&p);
}

/* -EBUSY: ask again. */
static int predict(struct drills *d, size_t from, size_t to)
{
	auto_free struct move *moves = xcalloc(to - from + 1, sizeof(*moves));
	size_t n_sites = model(d)->cl->n_sites, n = 0;

	prediction_begin(&d->prediction, NULL, d->noise, model(d));
	if (drill_moves(d->r.kind) || d->r.kind->effect == EFFECT_NONE)
		n = act_moves(d, from, to, moves);
	if (!n)
		return 0;
	struct site_forecast *f = xcalloc(n_sites, sizeof(*f));
	int err = rounds_forecast(d->c->rounds, moves, n, f);
	if (err < 0) {
		free(f);
		return err;
	}
	prediction_begin(&d->prediction, f, d->noise, model(d));
	return 0;
}

static void weaken(struct drills *d, size_t from, size_t to)
{
	char why[TEXT_LEN] = "";

	if (model(d)->mode == MODE_FREEZE) { /* marks are no grades: the guard would not see them */
		give_alarm(d, ALARM_GUARD, "I10: mode is freeze: nothing may be changed");
		return;
	}
	if (predict(d, from, to) == -EBUSY)
		return;
	int err = act_weaken(d, from, to, why);
	if (err == -EAGAIN && since(d->stage_at) < 2 * policy(d)->settle_max_ms + NO_EFFECT_MS)
		return;
	if (err < 0) {
		give_alarm(d, ALARM_GUARD, why);
		return;
	}
	d->applied = true;
	d->stage_at = mono_now();
	progress_begin(&d->progress, &d->r, from, to, false);
	if (to == d->r.n_targets && !mono_is_set(d->full_at)) {
		d->full_at = mono_now();
		act_whole(d);
	}
}

static void tick_stage(struct drills *d)
{
	size_t to = record_wanted(&d->r, d->r.state), from = d->applied ? d->progress.from : record_on(&d->r);
	char what[TEXT_LEN] = "";

	if (!d->applied && to <= from) { /* nothing is added here */
		if (!d->r.paused &&
		    drills_event(d, EV_MOVED, "sluice", "nothing is added by this stage") == 0 &&
		    drill_is_stage(d->r.state))
			tick_stage(d);
		return;
	}
	if (!d->applied) {
		weaken(d, from, to);
		return;
	}
	int64_t at_ms = since(d->stage_at);
	bool confirmed = targets_confirmed(model(d), &d->r, from, to, true, mono_now(), what);
	unsigned samples = drill_moves(d->r.kind) ? CHECK_SAMPLES : 0;
	bool settled = d->r.kind->effect == EFFECT_NONE ||
		       progress_step(&d->progress, policy(d), at_ms, targets_bps(model(d), &d->r, from, to),
				     confirmed);
	if (settled)
		prediction_add(&d->prediction, model(d));
	if (settled && ++d->looked > samples && !d->r.paused) {
		leave_stage(d);
	} else if (!settled && at_ms > 2 * policy(d)->settle_max_ms + NO_EFFECT_MS) {
		char why[TEXT_LEN];
		snprintf(why, sizeof(why), "%.120s did not change within %ld s", *what ? what : "the load",
			 (long)(at_ms / 1000));
		give_alarm(d, ALARM_NO_EFFECT, why);
	}
}

static void tick_hold(struct drills *d)
{
	d->found.all_held = true;
	if (!d->r.paused && since(d->state_at) >= d->r.spec.hold_ms)
		drills_event(d, EV_OVER, "sluice", "held as long as asked for");
}

/* Everything is back as far as orders go, and somebody never says so: dead since, or its router is stuck. The
 * drill must not hold its sites, and every other drill, for ever. */
static bool never_read_back(struct drills *d, int64_t at_ms, const char *what)
{
	if (at_ms < RESTORE_MAX_MS || !act_is_back(d, d->back_from, d->r.n_targets))
		return false;
	snprintf(d->found.unread, sizeof(d->found.unread), "%s", *what ? what : "the load");
	return true;
}

static void tick_restore(struct drills *d)
{
	char what[TEXT_LEN] = "";
	size_t n = d->r.n_targets;
	int64_t at_ms = since(d->stage_at);

	act_restore(d, d->back_from, n); /* again, until it is so */
	bool confirmed = targets_confirmed(model(d), &d->r, d->back_from, n, false, mono_now(), what);
	bool back = d->r.kind->effect == EFFECT_NONE ||
		    progress_step(&d->progress, policy(d), at_ms,
				  targets_bps(model(d), &d->r, d->back_from, n), confirmed);
	if (!back && !never_read_back(d, at_ms, what))
		return;
	/* from the order to everything read back and most of the load returned; settling is not counted */
	int64_t load_ms = d->progress.t80_ms >= 0 ? d->progress.t80_ms : d->progress.settled_ms;
	int64_t took = d->progress.confirmed_ms > load_ms ? d->progress.confirmed_ms : load_ms;
	d->found.restore_ms = (d->found.restore_ms > 0 ? d->found.restore_ms : 0) + (took > 0 ? took : 0);
	if (!d->back_from) {
		d->found.routes_kept = routes_sum(d) == d->r.routes;
		drills_event(d, EV_RESTORED, "sluice", "");
		return;
	}
	n = d->back_from;
	d->back_from = 0;
	d->stage_at = mono_now();
	progress_begin(&d->progress, &d->r, 0, n, true);
	act_restore(d, 0, n);
}

static void forget(struct drills *d)
{
	act_release(d);
	record_done(&d->r);
	series_done(&d->series);
	prediction_done(&d->prediction);
	free(d->noise);
	d->noise = NULL;
	d->running = false;
}

/* {"id", "wall_ms", "verdict"} for every site it weakened. */
static void note_last(struct drills *d, const json_t *report)
{
	const char *verdict = json_string_value(json_object_get(report, "verdict"));
	char id[16];

	drill_id(d->r.id, id);
	for (size_t i = 0; i < d->r.n_targets && strcmp(verdict, "refused") != 0; i++) {
		json_t *site = json_object_get(d->last, d->r.targets[i].site);
		if (!site) {
			site = json_object();
			json_object_set_new(d->last, d->r.targets[i].site, site);
		}
		json_object_set_new(site, d->r.kind->name,
				    json_pack("{s:s, s:I, s:s}", "id", id, "wall_ms",
					      (json_int_t)d->found.ended_wall_ms, "verdict", verdict));
	}
}

static void report_key(unsigned id, char *ret_key, size_t size)
{
	snprintf(ret_key, size, "drill/report/%06u", id);
}

static int store_report(struct drills *d, const json_t *report)
{
	auto_free char *text = json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(7));
	auto_free char *last = json_dumps(d->last, JSON_COMPACT);
	const char *verdict = json_string_value(json_object_get(report, "verdict"));
	json_t *first = json_array_get(json_object_get(report, "reasons"), 0);
	char key[64], old[64], id[16];

	drill_id(d->r.id, id);
	report_key(d->r.id, key, sizeof(key));
	report_key(d->r.id > DRILLS_KEPT ? d->r.id - DRILLS_KEPT : 0, old, sizeof(old));
	struct store_op ops[] = {
		{ key, text }, { "drill/current", NULL }, { "drill/last", last }, { old, NULL }
	};
	return events_emit(
		d->c->events, ops, ARRAY_LEN(ops), "drill.report",
		strcmp(verdict, "passed") == 0 ? "info" : "warning",
		json_pack("{s:s, s:s, s:s}", "drill", id, "kind", d->r.kind->name, "verdict", verdict),
		"drill %s, %s: %s: %s", id, d->r.kind->name, verdict, first ? json_string_value(first) : "");
}

static void tick_report(struct drills *d)
{
	d->found.ended_wall_ms = wall_now_ms();
	d->found.duration_ms = d->found.ended_wall_ms - d->r.began_wall_ms;
	const struct rounds_view *v = rounds_view(d->c->rounds);
	d->found.engine_moves = v ? (unsigned)(v->moves - d->moves_at) : 0;
	json_auto_t *report = report_json(&d->r, &d->series, &d->found);
	note_last(d, report);
	if (store_report(d, report) < 0)
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
	json_auto_t *errors = json_array();

	spec_parse(json_object_get(due, "spec"), &spec, errors);
	struct op_result r = drills_start(d, "schedule", &spec, &drill);
	json_t *first = json_array_get(r.errors, 0);
	if (first)
		snprintf(why, sizeof(why), "%s", json_string_value(json_object_get(first, "reason")));
	json_decref(r.errors);
	if (r.status != 200) {
		d->schedule_not_before_ms = now_ms + SCHEDULE_AGAIN_MS;
		events_emit(d->c->events, NULL, 0, "drill.refused", "warning",
			    json_pack("{s:s}", "name", name),
			    "the scheduled drill \"%s\" did not begin: %s %s", name, r.detail, why);
		return;
	}
	json_object_set_new(d->schedule_last, name, json_integer((json_int_t)now_ms));
	auto_free char *text = json_dumps(d->schedule_last, JSON_COMPACT);
	struct store_op op = { "drill/schedule-last", text };
	if (store_write(d->c->store, &op, 1, NULL) < 0)
		log_warn("the schedule's last run was not stored: %s", store_why(d->c->store));
}

static void tick_schedule(struct drills *d)
{
	int64_t now = wall_now_ms();
	const json_t *due =
		now >= d->schedule_not_before_ms ? schedule_due(d->schedule, d->schedule_last, now) : NULL;

	if (due)
		start_scheduled(d, due, now);
}

/* -- the tick ---------------------------------------------------------------------------------------------
 */

static int load_past(const char *key, const char *value, void *arg)
{
	struct drills *d = arg;
	json_auto_t *report = json_loads(value, 0, NULL);
	unsigned id = (unsigned)strtoul(key + strlen("drill/report/"), NULL, 10);

	if (id > d->last_id)
		d->last_id = id;
	if (report)
		json_array_append_new(d->past, view_summary(report));
	return 0;
}

static json_t *load_json(struct drills *d, const char *key)
{
	auto_free char *text = NULL;
	json_t *j = store_get(d->c->store, key, &text) == 0 ? json_loads(text, 0, NULL) : NULL;

	return j ? j : json_object();
}

/* What a standby shows, too. Nothing is parsed again while the last drill is the same. */
static void read_past(struct drills *d)
{
	auto_free char *was = d->past ? json_dumps(d->last, JSON_COMPACT) : NULL;
	json_t *last = load_json(d, "drill/last");
	auto_free char *is = json_dumps(last, JSON_COMPACT);

	d->reads = d->c->reads;
	json_decref(d->last);
	d->last = last;
	json_decref(d->schedule);
	json_decref(d->schedule_last);
	d->schedule = load_json(d, "drill/schedule");
	d->schedule_last = load_json(d, "drill/schedule-last");
	if (was && strcmp(was, is) == 0)
		return;
	json_decref(d->past);
	d->past = json_array();
	store_each(d->c->store, "drill/report/", load_past, d);
}

/* Another leads, or may: its is the drill. Nothing is ordered from here. */
static void stand_by(struct drills *d)
{
	if (listens(&d->c->lead))
		return; /* our own term may go on */
	if (d->running)
		forget(d);
	if (d->reads != d->c->reads)
		read_past(d);
}

void drills_tick(struct drills *d)
{
	static void (*const ticks[DRILL_STATES])(struct drills * d) = {
		[DRILL_PREFLIGHT] = tick_preflight,
		[DRILL_CANARY] = tick_stage,
		[DRILL_25] = tick_stage,
		[DRILL_50] = tick_stage,
		[DRILL_100] = tick_stage,
		[DRILL_HOLD] = tick_hold,
		[DRILL_RESTORE] = tick_restore,
		[DRILL_REPORT] = tick_report,
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
		sample(d);
		if (look_for_alarms(d))
			return;
	}
	enum drill_state was = d->r.state;
	if ((fresh || was == DRILL_RESTORE) && ticks[was])
		ticks[was](d);
	if (d->running && d->r.state != was && drill_is_stage(d->r.state))
		tick_stage(d); /* its effects need not wait for the next sample */
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
	d->looked = 0;
	d->began_at = d->state_at = d->stage_at = mono_now();
	d->sampled_at = d->full_at = d->grace_until = (mono_t){ 0 };
	d->moves_at = v ? v->moves : 0;
	d->watch = (struct watch){ 0 };
	d->progress = (struct progress){ .settled_ms = -1 };
	d->found = (struct findings){ .restore_ms = -1, .answered_ms = -1, .predicted_drained = (double)NAN };
	for (size_t i = 0; i < RESIDUALS; i++)
		d->found.residual[i] = (double)NAN;
	snprintf(d->etag, sizeof(d->etag), "%s", model(d)->cl->etag);
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
	json_t **kept[] = { &d->past, &d->last, &d->schedule, &d->schedule_last };

	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		json_decref(*kept[i]);
		*kept[i] = NULL;
	}
	readiness_done(d);
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
	read_past(d);
	if (store_get(d->c->store, "drill/current", &text) != 0)
		return;
	if (record_parse(text, &r) < 0) {
		log_error("the stored drill could not be read: what it weakened falls back when it expires");
		return;
	}
	if (r.id > d->last_id)
		d->last_id = r.id;
	take_over(d, &r);
}

struct drills *drills_new(struct controller *c)
{
	struct drills *d = xcalloc(1, sizeof(*d));

	d->c = c;
	if (c->lead.shared)
		read_past(d); /* taken over when a term begins */
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
