/* SPDX-License-Identifier: Apache-2.0
 * Whole drills: every kind to its end, an abort from every stage, every abort condition provoked, the
 * controller killed in every stage. */
#include "tests/unit/drills_rig.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "controller/observe.h"

/* -- the tests --------------------------------------------------------------------------------------------
 */

static void test_every_kind_passes(void **state)
{
	static const struct {
		const char *kind, *site, *node;
	} rows[] = {
		{ "soft-drain", "nyc", "" },   { "hard-withdraw", "nyc", "" }, { "service-kill", "", "nyc1" },
		{ "node-loss", "", "ams1" },   { "site-loss", "fra", "" },     { "controller-loss", "", "" },
		{ "stale-telemetry", "", "" }, { "surge", "", "fra1" },	       { "tabletop", "nyc", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("%s\n", rows[i].kind);
		start(rows[i].kind, rows[i].site, rows[i].node);
		assert_true(run_to(DRILL_HOLD, 120) > 0);
		assert_int_equal(record_on(&w.c.drills->r),
				 strcmp(rows[i].kind, "tabletop") ? w.c.drills->r.n_targets : 0);
		assert_true(run_to(DRILL_CLOSED, 120) > 0);
		assert_verdict("passed", "");
		second();
		assert_normal();
	}
	json_auto_t *list = drills_list(w.c.drills), *answer = drills_readiness(w.c.drills);
	json_t *ready = json_object_get(answer, "sites");
	assert_int_equal(json_array_size(list), ARRAY_LEN(rows));
	json_t *nyc = json_array_get(ready, 2);
	assert_string_equal(json_string_value(json_object_get(json_object_get(nyc, "last_drill"), "kind")),
			    "tabletop");
	/* fra, ams carry nyc's 20 Mbit/s: 0.3 each; one of them gone, too: 0.6 */
	assert_float_equal(json_number_value(json_object_get(json_object_get(nyc, "if_lost"), "util")), 0.3,
			   0.01);
	assert_float_equal(json_number_value(json_object_get(json_object_get(nyc, "if_next_too"), "util")),
			   0.6, 0.01);
}

static void test_stages_grow(void **state)
{
	static const struct {
		enum drill_state s;
		size_t on;
	} rows[] = { { DRILL_CANARY, 1 }, { DRILL_50, 2 }, { DRILL_100, 4 } };

	(void)state;
	start("soft-drain", "nyc", "");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(run_to(rows[i].s, 60) > 0);
		half_second();
		half_second();
		assert_int_equal(record_on(&w.c.drills->r), rows[i].on);
	}
	assert_true(run_to(DRILL_CLOSED, 120) > 0);
	json_auto_t *r = last_report();
	assert_int_equal(json_array_size(json_object_get(r, "stages")), 3); /* 25 % of 4 adds nothing */
	json_t *p = json_object_get(r, "prediction");
	assert_true(json_number_value(json_object_get(p, "error_pct")) < 5);
	assert_true(json_is_false(json_object_get(p, "known"))); /* and it says that it was luck */
}

/* The second rehearsal is of something known; and none begins before what was changed last is seen. */
static void test_known_and_settled(void **state)
{
	(void)state;
	w.lessons = 12;
	w.settling = true;
	start("hard-withdraw", "nyc", "");
	assert_int_equal(run_to(DRILL_CANARY, 6), -1);
	w.settling = false;
	assert_true(run_to(DRILL_CLOSED, 120) > 0);
	json_auto_t *r = last_report();
	json_t *p = json_object_get(r, "prediction");
	assert_true(json_is_true(json_object_get(p, "known")));
	assert_float_equal(json_number_value(json_object_get(p, "lessons")), 12, 1e-9);
	w.settling = true; /* that never ends is no reason to wait for ever */
	start("hard-withdraw", "nyc", "");
	assert_true(run_to(DRILL_CANARY, 15) > 0);
}

static const enum drill_state stages[] = { DRILL_CANARY, DRILL_50, DRILL_100, DRILL_HOLD };

static void test_abort_from_every_stage(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
		start("hard-withdraw", "nyc", "");
		assert_true(run_to(stages[i], 120) > 0);
		half_second();
		char id[16];
		drill_id(w.c.drills->r.id, id);
		assert_int_equal(drills_abort(w.c.drills, "anna", id, "enough").status, 200);
		double took = run_to(DRILL_CLOSED, 15);
		if (took < 0)
			fail_msg("abort in %s did not restore within 15 s", drill_state_str(stages[i]));
		second();
		assert_normal();
		auto_free char *by = xasprintf("by anna in stage %s: enough", drill_state_str(stages[i]));
		assert_verdict("aborted", by);
		json_auto_t *r = last_report(); /* what was measured until then is not lost */
		json_t *list = json_object_get(r, "stages");
		json_t *last = json_array_get(list, json_array_size(list) - 1);
		assert_string_equal(json_string_value(json_object_get(last, "state")),
				    drill_state_str(stages[i] == DRILL_HOLD ? DRILL_100 : stages[i]));
	}
}

static void test_the_controller_dies_in_every_stage(void **state)
{
	static const enum drill_state all[] = { DRILL_PREFLIGHT, DRILL_CANARY, DRILL_50,
						DRILL_100,	 DRILL_HOLD,   DRILL_RESTORE };
	static const char *const kinds[] = { "soft-drain", "site-loss" };

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(kinds) * ARRAY_LEN(all); n++) {
		enum drill_state s = all[n / 2];
		start(kinds[n % 2], "nyc", "");
		if (s != DRILL_PREFLIGHT && !(n % 2 && s == DRILL_50))
			assert_true(run_to(s, 120) > 0);
		half_second();
		act_release(w.c.drills); /* a new process knows no marks; grades come from the store */
		end_drills();
		w.c.model.epoch++;
		w.c.drills = drills_new(&w.c);
		assert_true(w.c.drills->running);
		assert_true(run_to(DRILL_CLOSED, 60) > 0);
		second();
		assert_normal();
		assert_verdict("aborted", "controller restarted");
	}
}

static void test_kinds_that_go_on(void **state)
{
	(void)state;
	start("controller-loss", "", "");
	assert_true(run_to(DRILL_50, 120) > 0);
	act_release(w.c.drills);
	end_drills();
	w.c.model.epoch++;
	w.c.drills = drills_new(&w.c);
	assert_int_equal(w.c.drills->r.state, DRILL_50);
	assert_true(run_to(DRILL_CLOSED, 120) > 0);
	assert_verdict("passed", "announcements stayed");
	second();
	assert_normal();
}

static void see_contain(void)
{
	w.plan.state = PLAN_CONTAIN;
}
static void see_rise(void)
{
	w.times[0] = w.times[1] = w.times[2] = 1.6;
}
static void see_hot(void)
{
	w.times[0] =
		4; /* the rise is above 30 %, too: attack comes first unless it is of the receiver alone */
	w.c.drills->r.base_total_bps = 1e12;
	w.times[0] = 5;
}
static void see_drops(void)
{
	w.c.model.nodes[0].dropping = true;
}
static void see_silence(void)
{
	w.c.model.nodes[0].drill_mute = true; /* of the stand-in's world: not this drill's */
}
static void see_lies(void)
{
	w.lies = true;
}
static void see_guard(void)
{
	w.guard = GUARD_I2;
}
static void see_flight(void)
{
	w.guard = GUARD_I7;
}
static void see_stuck(void)
{
	w.stuck = true;
}
static void see_drain(void)
{
	struct drain *d = &w.c.model.sites[2].drain;

	*d = (struct drain){ .on = true, .stage = DRAIN_DRAINING, .since = mono_now(), .actor = "berta" };
}
static void see_freeze(void)
{
	w.c.model.mode = MODE_FREEZE;
}
static void see_epoch(void)
{
	w.c.model.epoch++;
}
static void see_document(void)
{
	model_set_cluster(&w.c.model, document("two"));
}
static void see_time(void)
{
	w.c.drills->r.spec.max_ms = 1;
}

static void test_every_abort_condition(void **state)
{
	static const struct {
		const char *alarm;
		void (*see)(void);
	} rows[] = {
		{ "attack", see_contain }, { "attack", see_rise },     { "receiver", see_hot },
		{ "drops", see_drops },	   { "reports", see_silence }, { "prediction", see_lies },
		{ "guard", see_guard },	   { "guard", see_flight },    { "no-effect", see_stuck },
		{ "operator", see_drain }, { "leader", see_epoch },    { "document", see_document },
		{ "duration", see_time },  { "freeze", see_freeze },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		teardown(NULL);
		setup(NULL);
		start("soft-drain", "nyc", "");
		assert_true(run_to(DRILL_CANARY, 30) > 0);
		half_second();
		rows[i].see();
		assert_true(run_to(DRILL_RESTORE, 120) > 0);
		assert_string_equal(w.c.drills->r.alarm, rows[i].alarm);
		w.stuck = false;
		w.c.model.nodes[0].drill_mute = false;
		assert_true(run_to(DRILL_CLOSED, 30) > 0);
		assert_verdict("aborted", rows[i].alarm);
		second();
		assert_normal();
	}
	assert_int_equal(ARRAY_LEN(rows),
			 ALARMS + 1); /* attack and guard in two ways; the store has its own test */
}

static void test_a_refusal_names_everything_and_begins_nothing(void **state)
{
	struct drill_spec s = spec("soft-drain", "nyc", "");
	json_t *drill = NULL;

	(void)state;
	w.plan.state = PLAN_CONTAIN;
	w.guard = GUARD_I1;
	w.c.model.nodes[1].dropping = true;
	observe_sum(&w.c.model, mono_now());
	struct op_result r = drills_start(w.c.drills, "anna", &s, &drill);
	assert_int_equal(r.status, 409);
	assert_int_equal(json_array_size(r.errors), 3);
	json_decref(r.errors);
	assert_false(w.c.drills->running);
	assert_normal();
	s.reason[0] = 0;
	r = drills_start(w.c.drills, "anna", &s, &drill);
	assert_int_equal(r.status, 422);
	json_decref(r.errors);
	w.busy = true;
	s = spec("soft-drain", "nyc", "");
	assert_int_equal(drills_start(w.c.drills, "anna", &s, &drill).status, 503);
	assert_null(drill);
}

static void test_one_at_a_time_and_what_it_may_be_told(void **state)
{
	struct drill_spec s = spec("soft-drain", "ams", "");
	json_auto_t *seen = json_pack("{s:s, s:i, s:i, s:i}", "from", "a client network", "sent", 1000,
				      "lost", 2, "longest_gap_ms", 150);
	json_auto_t *bad = json_pack("{s:s, s:i}", "from", "x", "sent", -1);
	json_t *drill = NULL;

	(void)state;
	start("soft-drain", "nyc", "");
	struct op_result r = drills_start(w.c.drills, "anna", &s, &drill);
	assert_int_equal(r.status, 409);
	json_decref(r.errors);
	json_auto_t *shown = drills_get(w.c.drills, "d1");
	assert_memory_equal(json_string_value(json_object_get(shown, "began")), "2026-11-24T1", 12);
	w.times[2] = 0.5; /* the load moves by itself: that is not the drill */
	second();
	json_auto_t *later = drills_get(w.c.drills, "d1");
	assert_true(json_real_value(json_object_get(later, "moved")) < 0.01);
	w.times[2] = 1;
	assert_int_equal(drills_pause(w.c.drills, "anna", "d1", "").status, 409); /* preflight */
	assert_int_equal(drills_pause(w.c.drills, "anna", "d9", "").status, 404);
	assert_true(run_to(DRILL_50, 60) > 0);
	assert_int_equal(drills_pause(w.c.drills, "anna", "d1", "look").status, 200);
	assert_int_equal((int)run_to(DRILL_100, 60), -1); /* it stays */
	assert_int_equal(drills_probe(w.c.drills, "d1", seen).status, 200);
	r = drills_probe(w.c.drills, "d1", bad);
	assert_int_equal(r.status, 422);
	json_decref(r.errors);
	json_object_set_new(bad, "sent", json_integer(INT64_MAX)); /* sums of these would overflow */
	json_object_set_new(bad, "lost", json_integer(INT64_MAX));
	r = drills_probe(w.c.drills, "d1", bad);
	assert_int_equal(r.status, 422);
	assert_int_equal(json_array_size(r.errors), 3);
	json_decref(r.errors);
	assert_int_equal(drills_resume(w.c.drills, "anna", "d1", "").status, 200);
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	assert_int_equal(drills_abort(w.c.drills, "anna", "d1", "").status, 409);
	assert_int_equal(drills_probe(w.c.drills, "d1", seen).status, 200); /* late, but welcome */
	json_auto_t *report = last_report();
	assert_int_equal(json_integer_value(json_object_get(json_object_get(report, "probe"), "lost")), 4);
}

static size_t weak(void)
{
	size_t n = 0;

	for (size_t k = 0; k < SHARDS; k++)
		n += model_cell(&w.c.model, 2, k)->wanted != 0;
	return n;
}

static const char *seen(const char *key)
{
	static char text[TEXT_LEN];
	char id[16];

	drill_id(w.c.drills->r.id, id);
	json_auto_t *j = drills_get(w.c.drills, id);
	const char *s = json_string_value(json_object_get(j, key));
	snprintf(text, sizeof(text), "%s", s ? s : "");
	return text;
}

/* freeze beats everything, the way back too: the drill ends at once, says that it waits and what lets it go
 * on, and goes on when it may */
static void test_frozen_in_the_middle(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
		start("hard-withdraw", "nyc", "");
		assert_true(run_to(stages[i], 120) > 0);
		half_second();
		half_second();
		size_t n = weak();
		w.c.model.mode = MODE_FREEZE;
		w.guard = GUARD_I10;
		assert_true(run_to(DRILL_RESTORE, 2) > 0);
		assert_string_equal(w.c.drills->r.alarm, "freeze");
		assert_true(run_to(DRILL_CLOSED, 60) < 0);
		assert_int_equal(weak(), n);
		assert_int_equal(record_on(&w.c.drills->r), n);
		if (n) {
			assert_non_null(strstr(seen("waits"), "sluicectl mode observe"));
			assert_string_equal(drills_waits(w.c.drills), seen("waits"));
			char id[16];
			drill_id(w.c.drills->r.id, id);
			struct op_result r = drills_abort(w.c.drills, "anna", id, "");
			assert_int_equal(r.status, 200);
			assert_non_null(strstr(r.detail, "sluicectl mode observe"));
		}
		w.c.model.mode = MODE_OBSERVE; /* steering may stay off */
		w.guard = GUARD_OK;
		assert_true(run_to(DRILL_CLOSED, 15) > 0);
		assert_verdict("aborted", "freeze");
		if (n)
			assert_verdict("aborted", "the restore waited 6");
		assert_string_equal(drills_waits(w.c.drills), "");
		second();
		assert_normal();
		w.c.model.mode = MODE_STEER;
	}
}

/* a controller that stalled, or whose clock jumped, weakens nothing more until it trusts what it sees */
static void test_no_stage_in_a_tilt(void **state)
{
	(void)state;
	start("site-loss", "nyc", "");
	assert_true(run_to(DRILL_CANARY, 30) > 0);
	assert_int_equal(record_on(&w.c.drills->r), 1);
	w.view.tilt = true;
	for (int i = 0; i < 40; i++)
		half_second();
	assert_int_equal(record_on(&w.c.drills->r), 1);
	w.view.tilt = false;
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	assert_verdict("passed", "");
	assert_normal();
}

/* an override made meanwhile is the operator's: the next stage must not undo it */
static void test_an_override_meanwhile(void **state)
{
	(void)state;
	start("hard-withdraw", "nyc", "");
	assert_true(run_to(DRILL_CANARY, 30) > 0);
	half_second();
	for (size_t k = 0; k < SHARDS; k++)
		model_cell(&w.c.model, 2, k)->pinned = true;
	for (int i = 0; i < 60 && w.c.drills->r.state != DRILL_RESTORE; i++) {
		size_t weak = 0;
		half_second();
		for (size_t k = 0; k < SHARDS; k++)
			weak += model_cell(&w.c.model, 2, k)->wanted != 0;
		assert_in_range(weak, 0, 1);
	}
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	assert_verdict("aborted", "override");
	assert_normal();
}

static void override(const char *site, const char *shard)
{
	struct model *m = &w.c.model;
	struct override o = { .since_wall_ms = wall_now_ms(), .grade = "prepend1", .actor = "berta" };

	snprintf(o.place, sizeof(o.place), "%s", site);
	snprintf(o.shard, sizeof(o.shard), "%s", shard);
	snprintf(o.id, sizeof(o.id), "grade:%s:%s", site, shard);
	m->overrides = xrealloc(m->overrides, m->n_overrides + 1, sizeof(o));
	m->overrides[m->n_overrides++] = o;
}

/* while it holds nothing is ordered any more: the drill has to look for what operators order there */
static void test_an_operator_while_it_holds(void **state)
{
	static const struct {
		const char *kind, *site, *node, *place, *shard;
		bool ends;
	} rows[] = {
		{ "hard-withdraw", "nyc", "", "nyc", "web-a", true },
		{ "hard-withdraw", "nyc", "", "ams", "web-a", false },
		{ "controller-loss", "", "nyc1", "nyc", "web-d",
		  true }, /* a deaf node would not hear of it */
		{ "controller-loss", "", "nyc1", "fra", "web-d", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		teardown(NULL);
		setup(NULL);
		override("nyc", "web-c"); /* was there before */
		start(rows[i].kind, rows[i].site, rows[i].node);
		assert_true(run_to(DRILL_HOLD, 120) > 0);
		override(rows[i].place, rows[i].shard);
		assert_true(run_to(DRILL_CLOSED, 60) > 0);
		assert_verdict(rows[i].ends ? "aborted" : "passed",
			       rows[i].ends ? "operator: berta made the override" : "");
		assert_normal();
	}
}

/* a planner that never has time keeps no drill waiting for ever */
static void test_no_forecast(void **state)
{
	(void)state;
	start("soft-drain", "nyc", "");
	w.busy = true;
	assert_true(run_to(DRILL_CLOSED, 90) >= 60);
	assert_verdict("refused", "no forecast");
	assert_normal();
}

/* a record that cannot be written as JSON must not delete the one that is there */
static void test_a_record_that_cannot_be_made(void **state)
{
	auto_free char *kept = NULL;

	(void)state;
	start("hard-withdraw", "nyc", "");
	assert_true(run_to(DRILL_50, 60) > 0);
	snprintf(w.c.drills->r.why, TEXT_LEN, "\xc3");
	snprintf(w.c.drills->r.alarm, NAME_LEN, "drops");
	drills_alarm(w.c.drills, ALARM_DROPS, "");
	assert_int_equal(w.c.drills->r.state, DRILL_RESTORE);
	assert_int_equal(store_get(w.c.store, "drill/current", &kept), 0);
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	assert_normal();
}

/* Marks are no grades, but weaken, too. What agents act for a drill ends at once: what they announce of
 * themselves is no business of freeze's. */
static void test_frozen_marks(void **state)
{
	(void)state;
	start("site-loss", "nyc", "");
	assert_true(run_to(DRILL_CANARY, 30) > 0);
	assert_false(record_on(&w.c.drills->r) == 4);
	w.c.model.mode = MODE_FREEZE;
	w.guard = GUARD_I10;
	for (int i = 0; i < 40 && w.c.drills->running; i++) {
		half_second();
		assert_true(!w.c.drills->running || record_on(&w.c.drills->r) < 4);
	}
	assert_false(w.c.drills->running);
	assert_verdict("aborted", "freeze");
	assert_normal();
}

static int refuse_write(struct store *s, const struct store_op *ops, size_t n, struct store_event *ev,
			size_t n_evs)
{
	(void)ops;
	(void)n;
	(void)ev;
	(void)n_evs;
	return store_fail(s, "disk is full");
}

/* a stage that cannot be written down is not ended again and again */
static void test_a_store_that_fails(void **state)
{
	const struct store_ops *good = w.c.store->ops;
	static struct store_ops broken;

	(void)state;
	broken = *good;
	broken.write = refuse_write;
	start("soft-drain", "nyc", "");
	assert_true(run_to(DRILL_CANARY, 30) > 0);
	w.c.store->ops = &broken;
	for (int i = 0; i < 100; i++)
		half_second();
	assert_int_equal(w.c.drills->r.state, DRILL_CANARY);
	assert_in_range(json_array_size(w.c.drills->r.stages), 0, 1);
	w.c.store->ops = good;
	assert_true(run_to(DRILL_CLOSED, 120) > 0);
	json_auto_t *r = last_report();
	assert_int_equal(json_array_size(json_object_get(r, "stages")), 3);
}

/* what was looked at before it begins is another cluster */
static void test_another_document_before_it_begins(void **state)
{
	(void)state;
	start("soft-drain", "nyc", "");
	see_document();
	assert_true(run_to(DRILL_CLOSED, 30) > 0);
	assert_verdict("refused", "document");
	assert_normal();
}

/* a node that died meanwhile is never read back: all is ordered back, and the drill does not wait for ever */
static void test_never_read_back(void **state)
{
	(void)state;
	start("hard-withdraw", "nyc", "");
	assert_true(run_to(DRILL_HOLD, 120) > 0);
	w.stuck = true; /* routers keep what they have */
	assert_true(run_to(DRILL_RESTORE, 30) > 0);
	assert_true(run_to(DRILL_CLOSED, 1500) > 0);
	assert_verdict("aborted", "never read back");
	w.stuck = false;
	second();
	assert_normal();
}

/* what steering cannot answer is a failed drill, not a passed one */
static void test_a_surge_without_an_answer_fails(void **state)
{
	(void)state;
	w.stuck = true;
	snprintf(w.plan.why, sizeof(w.plan.why), "the stand-in is content");
	start("surge", "", "fra1");
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	assert_verdict("failed", "steering did not answer; its plan was calm: the stand-in is content");
}

static void test_scheduled(void **state)
{
	json_auto_t *s = json_pack("{s:b, s:[{s:[s], s:s, s:s}], s:[{s:s, s:i, s:{s:s, s:s, s:s, s:i}}]}",
				   "enabled", 1, "windows", "days", "tue", "from", "09:00", "to", "23:00",
				   "drills", "name", "nyc weekly", "every_days", 7, "spec", "kind",
				   "tabletop", "site", "nyc", "reason", "routine", "hold_s", 1);
	json_auto_t *wrong =
		json_pack("{s:b, s:[{s:s, s:i, s:{s:s, s:s, s:s}}]}", "enabled", 1, "drills", "name", "x",
			  "every_days", 7, "spec", "kind", "tabletop", "site", "mars", "reason", "y");

	(void)state;
	half_second();
	assert_false(w.c.drills->running); /* off by default */
	struct op_result r = drills_set_schedule(w.c.drills, "anna", wrong);
	assert_int_equal(r.status, 422);
	assert_string_equal(json_string_value(json_object_get(json_array_get(r.errors, 0), "pointer")),
			    "/drills/0/spec/site");
	json_decref(r.errors);
	assert_int_equal(drills_set_schedule(w.c.drills, "anna", s).status, 200);
	half_second();
	assert_true(w.c.drills->running);
	assert_string_equal(w.c.drills->r.actor, "schedule");
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	for (int i = 0; i < 20; i++)
		half_second();
	assert_false(w.c.drills->running); /* not due again for a week */
}

/* nothing keeps the others from their turn: not one that is refused each time, nor a planner that is busy */
static void test_a_scheduled_drill_that_is_refused(void **state)
{
	json_auto_t *s = json_pack("{s:b, s:[{s:[s], s:s, s:s}], s:[{s:s, s:i, s:{s:s, s:s, s:s}}, {s:s, "
				   "s:i, s:{s:s, s:s, s:s}}]}",
				   "enabled", 1, "windows", "days", "tue", "from", "00:00", "to", "24:00",
				   "drills", "name", "never", "every_days", 1, "spec", "kind", "soft-drain",
				   "site", "nyc", "reason", "x", "name", "later", "every_days", 30, "spec",
				   "kind", "tabletop", "site", "ams", "reason", "y");
	json_auto_t *wide = json_deep_copy(s);

	(void)state;
	json_object_set_new(json_object_get(json_array_get(json_object_get(wide, "drills"), 0), "spec"),
			    "nod", json_string("nyc1"));
	struct op_result r = drills_set_schedule(w.c.drills, "anna", wide);
	assert_int_equal(r.status, 422);
	assert_string_equal(json_string_value(json_object_get(json_array_get(r.errors, 0), "pointer")),
			    "/drills/0/spec/nod");
	json_decref(r.errors);
	w.c.model.nodes[2].no_drills = true;
	w.busy = true;
	assert_int_equal(drills_set_schedule(w.c.drills, "anna", s).status, 200);
	half_second();
	assert_false(w.c.drills->running);
	w.busy = false;
	half_second();
	assert_false(w.c.drills->running); /* refused */
	half_second();
	assert_true(w.c.drills->running);
	assert_string_equal(w.c.drills->r.spec.site, "ams");
	assert_true(run_to(DRILL_CLOSED, 120) > 0);
	w.c.model.nodes[2].no_drills = false;
	for (int i = 0; i < 1400 && !w.c.drills->running; i++)
		half_second();
	assert_true(w.c.drills->running);
	assert_string_equal(w.c.drills->r.spec.site, "nyc");
}

/* What steering gives back while it hears nobody is no weakening. */
static void test_only_weakenings_count(void **state)
{
	(void)state;
	start("controller-loss", "", "");
	assert_true(run_to(DRILL_HOLD, 120) > 0);
	w.view.moves += 2;
	assert_true(run_to(DRILL_CLOSED, 120) > 0);
	assert_verdict("passed", "steering ordered 0 weakenings");
	start("stale-telemetry", "", "");
	assert_true(run_to(DRILL_HOLD, 120) > 0);
	w.view.moves += 2;
	w.view.weakenings++;
	assert_true(run_to(DRILL_CLOSED, 120) > 0);
	assert_verdict("failed", "steering ordered 1 weakenings");
}

/* A drill's limit is preflight's: what may be lost for real may be too much for a drill. */
static void test_readiness_has_two_limits(void **state)
{
	static const struct {
		double times; /* the others come to 0.3 of it */
		bool enough, to_drill;
	} rows[] = { { 2.7, true, true }, { 2.85, true, false }, { 2.97, false, false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t s = 0; s < SITES; s++)
			w.times[s] = rows[i].times;
		second();
		for (size_t s = 0; s < SITES; s++)
			half_second();
		json_auto_t *ready = drills_readiness(w.c.drills);
		json_t *nyc = json_object_get(json_array_get(json_object_get(ready, "sites"), 2), "if_lost");
		assert_int_equal(json_is_true(json_object_get(nyc, "enough")), rows[i].enough);
		assert_int_equal(json_is_true(json_object_get(nyc, "enough_to_drill")), rows[i].to_drill);
		assert_true(json_number_value(json_object_get(ready, "limit")) == 0.9);
		struct drill_spec drain = spec("soft-drain", "nyc", "");
		json_auto_t *picture = NULL;
		struct op_result r = drills_plan(w.c.drills, &drain, &picture);
		assert_int_equal(r.status, 200);
		assert_int_equal(json_is_true(json_object_get(picture, "allowed")), rows[i].to_drill);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_every_kind_passes),
		T(test_stages_grow),
		T(test_known_and_settled),
		T(test_abort_from_every_stage),
		T(test_the_controller_dies_in_every_stage),
		T(test_kinds_that_go_on),
		T(test_every_abort_condition),
		T(test_a_refusal_names_everything_and_begins_nothing),
		T(test_one_at_a_time_and_what_it_may_be_told),
		T(test_frozen_in_the_middle),
		T(test_no_stage_in_a_tilt),
		T(test_an_override_meanwhile),
		T(test_an_operator_while_it_holds),
		T(test_no_forecast),
		T(test_a_record_that_cannot_be_made),
		T(test_frozen_marks),
		T(test_a_store_that_fails),
		T(test_another_document_before_it_begins),
		T(test_never_read_back),
		T(test_a_surge_without_an_answer_fails),
		T(test_only_weakenings_count),
		T(test_readiness_has_two_limits),
		T(test_scheduled),
		T(test_a_scheduled_drill_that_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
