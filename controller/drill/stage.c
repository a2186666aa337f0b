/* SPDX-License-Identifier: Apache-2.0
 * What each state of a drill asks for: once a sample, until it has what it waits for. */
#include <errno.h>
#include <math.h>

#include "controller/drill/drill_int.h"
#include "proto/base/err.h"

#define BASE_SAMPLES	3      /* of the baseline, one a second */
#define FORECAST_MAX_MS 60000  /* for a forecast, while plans are made */
#define SETTLING_MAX_MS 10000  /* beyond the policy's own settling, which preflight's reasons speak of */
#define NO_EFFECT_MS	20000  /* beyond twice settle_max: permits have to come back first */
#define RESTORE_MAX_MS	600000 /* for reading back what was ordered back */

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

/* -- one stage ------------------------------------------------------------------------------------------- */

void stage_end(struct drills *d)
{
	json_array_append_new(d->r.stages, stage_json(model(d), &d->r, &d->progress, &d->prediction));
}

/* The stage is part of what is written down; it ends again the next time if it could not be. */
static void leave_stage(struct drills *d)
{
	stage_end(d);
	if (drills_event(d, EV_MOVED, "sluice", "") < 0)
		json_array_remove(d->r.stages, json_array_size(d->r.stages) - 1);
}

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

void stage_preflight(struct drills *d)
{
	auto_free struct site_forecast *f = xcalloc(model(d)->cl->n_sites + 1, sizeof(*f));
	struct preflight_facts facts;
	struct preflight p;

	if (drills_document_changed(d)) {
		refuse(d, "the cluster document was changed meanwhile");
		return;
	}
	take_baseline(d);
	if (d->looked < BASE_SAMPLES && d->r.kind->effect != EFFECT_NONE)
		return;
	/* a planner that is never idle must not keep it here for ever: without a forecast it is refused */
	if (ops_facts(d, &d->r.spec, &p, f, &facts) == -EBUSY && since(d->state_at) < FORECAST_MAX_MS) {
		preflight_done(&p);
		return;
	}
	bool settled;
	json_decref(d->r.basis);
	d->r.basis = ops_basis(d, &p, &settled);
	if (!settled &&
	    since(d->state_at) < SETTLING_MAX_MS) { /* what was changed before is still to be seen */
		preflight_done(&p);
		return;
	}
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
		d->r.routes = measure_routes(d);
		if (d->r.kind->effect == EFFECT_SURGE)
			measure_before_surge(d);
		if (d->r.kind->effect != EFFECT_NONE)
			act_claim(d);
		if (drills_event(d, EV_PASSED, "sluice", "nothing speaks against it") < 0)
			refuse(d, "the store failed");
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

/* In the simulator. In every mode: nothing is touched. */
static void lose(struct drills *d, size_t to)
{
	if (predict(d, 0, to) == -EBUSY || tabletop_begin(d) < 0) {
		if (since(d->stage_at) > FORECAST_MAX_MS)
			drills_alarm(d, ALARM_NO_EFFECT, "plans are being made without a pause");
		return;
	}
	d->applied = true;
	d->stage_at = mono_now();
	progress_begin(&d->progress, &d->r, 0, to, false);
}

static void weaken(struct drills *d, size_t from, size_t to)
{
	char why[TEXT_LEN] = "";

	if (d->r.kind->effect == EFFECT_NONE) {
		lose(d, to);
		return;
	}
	if (model(d)->mode == MODE_FREEZE) { /* marks are no grades: the guard would not see them */
		drills_alarm(d, ALARM_FREEZE, "mode is freeze: nothing may be changed");
		return;
	}
	const struct rounds_view *v = rounds_view(d->c->rounds);
	/* nothing new is weakened that a successor could not know of, nor while the loop stalled or the clock
	 * jumped */
	if (mono_is_set(drills_store_fails(d)) || (v && v->tilt) || predict(d, from, to) == -EBUSY)
		return;
	int err = act_weaken(d, from, to, why);
	bool again = err == -EAGAIN || err == ERR_STORE;
	if (again && since(d->stage_at) < 2 * policy(d)->settle_max_ms + NO_EFFECT_MS)
		return;
	if (err < 0) {
		drills_alarm(d, err == ERR_STORE ? ALARM_STORE : ALARM_GUARD, why);
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

void stage_weaken(struct drills *d)
{
	size_t to = record_wanted(&d->r, d->r.state), from = d->applied ? d->progress.from : record_on(&d->r);
	char what[TEXT_LEN] = "";

	if (!d->applied && to <= from) { /* nothing is added here */
		if (!d->r.paused &&
		    drills_event(d, EV_MOVED, "sluice", "nothing is added by this stage") == 0 &&
		    drill_is_stage(d->r.state))
			stage_weaken(d);
		return;
	}
	if (!d->applied) {
		weaken(d, from, to);
		return;
	}
	int64_t at_ms = since(d->stage_at);
	bool confirmed = targets_confirmed(model(d), &d->r, from, to, true, mono_now(), what);
	unsigned samples = drill_moves(d->r.kind) ? STAGE_CHECKED : 0;
	bool none = d->r.kind->effect == EFFECT_NONE;
	bool settled = none ? tabletop_over(d)
			    : progress_step(&d->progress, policy(d), at_ms,
					    targets_bps(model(d), &d->r, from, to), confirmed);
	if (settled)
		prediction_add(&d->prediction, model(d));
	if (settled && ++d->looked > samples && !d->r.paused) {
		if (!mono_is_set(drills_store_fails(d)))
			leave_stage(d);
	} else if (!settled && !none && at_ms > 2 * policy(d)->settle_max_ms + NO_EFFECT_MS) {
		char why[TEXT_LEN];
		snprintf(why, sizeof(why), "%.120s did not change within %ld s", *what ? what : "the load",
			 (long)(at_ms / 1000));
		drills_alarm(d, ALARM_NO_EFFECT, why);
	}
}

void stage_hold(struct drills *d)
{
	bool none = d->r.kind->effect == EFFECT_NONE;

	if (none && !tabletop_over(d)) { /* taken up: what was found is gone with the controller before us */
		if (!d->table)
			tabletop_begin(d);
		return;
	}
	d->found.all_held = true;
	if (!d->r.paused && (none || since(d->state_at) >= d->r.spec.hold_ms))
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

void stage_restore(struct drills *d)
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
	if (d->r.kind->effect != EFFECT_NONE)
		d->found.restore_ms =
			(d->found.restore_ms > 0 ? d->found.restore_ms : 0) + (took > 0 ? took : 0);
	if (!d->back_from) {
		d->found.routes_kept = measure_routes(d) == d->r.routes;
		drills_event(d, EV_RESTORED, "sluice", "");
		return;
	}
	n = d->back_from;
	d->back_from = 0;
	d->stage_at = mono_now();
	progress_begin(&d->progress, &d->r, 0, n, true);
	act_restore(d, 0, n);
}
