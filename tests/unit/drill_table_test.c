/* SPDX-License-Identifier: Apache-2.0
 * Tabletops as drills: nothing is touched, whatever comes, and what is shown is the simulator's. */
#include "tests/unit/drills_rig.h"

#include <string.h>

/* Nothing is touched, however bad things are: in no mode, for no guard. */
static void test_a_tabletop_in_every_weather(void **state)
{
	static const struct {
		enum steer_mode mode;
		enum guard_id guard;
		enum plan_state plan;
		const char *judged, *reason;
	} rows[] = {
		{ MODE_STEER, GUARD_OK, PLAN_CALM, "steered", "steering had nothing to order" },
		{ MODE_STEER, GUARD_I1, PLAN_CONTAIN, "steered", "simulated only: nothing was touched" },
		{ MODE_OBSERVE, GUARD_OK, PLAN_ABSORB, "unsteered", "mode is observe: nobody would answer" },
		{ MODE_FREEZE, GUARD_I10, PLAN_HOLD, "unsteered", "mode is freeze: nobody would answer" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		w.c.model.mode = rows[i].mode;
		w.guard = rows[i].guard;
		w.plan.state = rows[i].plan;
		start("tabletop", "nyc", "");
		assert_true(run_to(DRILL_100, 10) >= 0);
		assert_string_equal(w.c.model.drill, "");
		assert_false(w.c.model.sites[2].drilled || model_cell(&w.c.model, 2, 0)->drilled);
		assert_true(run_to(DRILL_CLOSED, 10) > 0);
		assert_verdict("passed", rows[i].reason);
		assert_normal();
		json_auto_t *r = last_report();
		json_t *t = json_object_get(r, "tabletop");
		assert_string_equal(json_string_value(json_object_get(t, "judged")), rows[i].judged);
		assert_int_equal(json_integer_value(json_object_get(t, "runs")), TABLETOP_RUNS_MAX);
		assert_int_equal(json_integer_value(json_object_get(t, "simulated_s")), 900);
	}
}

static json_t *run_of(const json_t *report, const char *who, const char *which)
{
	return json_object_get(json_object_get(json_object_get(report, "tabletop"), who), which);
}

static double number_of(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

/* 80 % everywhere, and a third of it loses its place: nobody can carry that. */
static void test_a_tabletop_that_fails(void **state)
{
	(void)state;
	w.times[0] = w.times[1] = w.times[2] = 4;
	second();
	start("tabletop", "nyc", "");
	assert_true(run_to(DRILL_CLOSED, 10) > 0);
	assert_verdict("failed", "of the demand served");
	json_auto_t *r = last_report();
	json_t *worst = run_of(r, "steered", "worst"), *median = run_of(r, "unsteered", "median");
	/* 240 of 200 Mbit/s */
	assert_float_equal(number_of(median, "dropped"), 1.0 / 6, 0.02);
	assert_true(number_of(worst, "dropped") >= number_of(run_of(r, "steered", "median"), "dropped"));
	assert_float_equal(number_of(median, "served_before"), 1, 1e-6);
	assert_true(number_of(median, "end_util") > 1);
	assert_normal();
}

/* The course is the simulation's: the lost site first, from before the loss to the end. */
static void test_a_tabletop_shows_its_course(void **state)
{
	auto_buf html = { 0 }, md = { 0 };

	(void)state;
	start("tabletop", "nyc", "");
	assert_true(run_to(DRILL_CLOSED, 10) > 0);
	json_auto_t *r = last_report();
	json_t *series = json_object_get(r, "series"), *t = json_object_get(series, "t_s");
	json_t *sites = json_object_get(series, "sites"), *nyc = json_array_get(sites, 0);
	json_t *util = json_object_get(nyc, "util");
	size_t n = json_array_size(t);
	assert_int_equal(json_array_size(sites), SITES);
	assert_string_equal(json_string_value(json_object_get(nyc, "site")), "nyc");
	assert_true(n > 200 && json_array_size(util) == n);
	assert_true(json_number_value(json_array_get(t, 0)) < 0);
	assert_float_equal(json_number_value(json_array_get(t, n - 1)), 900, 4);
	assert_float_equal(json_number_value(json_array_get(util, 0)), 0.2, 0.001);
	assert_float_equal(json_number_value(json_array_get(util, n - 1)), 0, 0.001);
	assert_true(number_of(run_of(r, "steered", "worst"), "end_util") >=
		    number_of(run_of(r, "steered", "median"), "end_util"));
	assert_true(json_is_null(json_object_get(r, "restore_ms")));
	json_t *lost = json_array_get(json_object_get(r, "receivers"), 0);
	assert_true(number_of(lost, "peak_util") >= number_of(lost, "util_before"));
	json_t *got = json_array_get(json_object_get(r, "receivers"), 1);
	assert_true(number_of(got, "peak_util") > 0.2 && number_of(got, "peak_util") < 0.41);
	report_html(r, &html);
	report_markdown(r, &md);
	assert_non_null(strstr(html.data, "% of capacity"));
	assert_non_null(strstr(html.data, "<h2>In the simulator</h2>"));
	assert_non_null(strstr(md.data, "| served since the loss |"));
	assert_non_null(strstr(md.data, "15 runs of 15 min"));
	assert_null(strstr(md.data, "| - | no |"));
}

static void test_a_tabletop_is_aborted_at_once(void **state)
{
	char id[16];

	(void)state;
	w.beside = false;
	start("tabletop", "nyc", "");
	assert_true(run_to(DRILL_100, 10) >= 0);
	assert_non_null(w.c.drills->table);
	drill_id(w.c.drills->r.id, id);
	json_auto_t *shown = drills_get(w.c.drills, id);
	assert_true(number_of(json_object_get(shown, "simulated"), "part") < 1);
	assert_int_equal(drills_abort(w.c.drills, "anna", id, "enough").status, 200);
	assert_null(w.c.drills->table);
	assert_true(run_to(DRILL_CLOSED, 5) > 0);
	assert_verdict("aborted", "anna in stage 100: enough");
	json_auto_t *r = last_report();
	assert_null(json_object_get(r, "tabletop"));
}

/* Whoever takes over asks the simulator once more. */
static void test_a_tabletop_goes_on(void **state)
{
	static const enum drill_state stages_of_it[] = { DRILL_100, DRILL_HOLD };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stages_of_it); i++) {
		w.beside = i > 0;
		start("tabletop", "nyc", "");
		assert_true(run_to(stages_of_it[i], 10) >= 0);
		end_drills();
		w.c.model.epoch++;
		w.c.drills = drills_new(&w.c);
		w.beside = true;
		assert_int_equal(w.c.drills->r.state, stages_of_it[i]);
		assert_true(run_to(DRILL_CLOSED, 10) > 0);
		assert_verdict("passed", "of the demand served");
		assert_normal();
	}
}

/* fra's service may go: permits that others hold come back to whoever needs them. With the other two down, it
 * may not, and says so. */
static void test_a_service_and_its_permit(void **state)
{
	struct drill_spec s = spec("tabletop", "fra", "");
	json_t *drill = NULL;

	(void)state;
	snprintf(s.service, NAME_LEN, "web");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(drills_start(w.c.drills, "anna", &s, &drill).status, 200);
		json_decref(drill);
		assert_true(run_to(DRILL_CLOSED, 10) > 0);
		assert_verdict(i ? "failed" : "passed", i ? "want of a permit" : "of the demand served");
		w.c.model.nodes[1].drill_mute = true; /* the stand-in's world: it stays as it is now */
		w.c.model.nodes[1].service_up = false;
		for (size_t k = 0; k < SHARDS; k++)
			w.c.model.nodes[1].shards[k].announced = false;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_tabletop_in_every_weather), T(test_a_tabletop_that_fails),
		T(test_a_tabletop_shows_its_course), T(test_a_tabletop_is_aborted_at_once),
		T(test_a_tabletop_goes_on),	     T(test_a_service_and_its_permit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
