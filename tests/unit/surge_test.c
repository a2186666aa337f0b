/* SPDX-License-Identifier: Apache-2.0
 * Surge drills: fra's one node, for which grades have to answer, and a site of three more, whose real
 * balancer answers by weights. What would not be answered is refused before it begins; what a drill changed
 * is as it was when it ends. */
#include "tests/unit/drills_rig.h"

#include <math.h>
#include <string.h>

#include "controller/observe.h"
#include "controller/weights.h"

#define LON   3 /* site */
#define LON1  3 /* its nodes: 20, 20 and 10 Mbit/s */
#define NODES 3

static double lon_util; /* of the site's capacity, asked for by clients */

static struct cluster *with_lon(void)
{
	static const char text[] =
		"{'name':'surge','policy':{'settle_min_ms':1000,'settle_max_ms':5000,'stale_ms':2000},'sites'"
		":["
		"{'name':'fra','nodes':[{'name':'fra1','capacity':{'bps':100000000}}]},"
		"{'name':'ams','nodes':[{'name':'ams1','capacity':{'bps':100000000}}]},"
		"{'name':'nyc','nodes':[{'name':'nyc1','capacity':{'bps':100000000}}]},"
		"{'name':'lon','nodes':[{'name':'lon1','capacity':{'bps':20000000}},"
		"{'name':'lon2','capacity':{'bps':20000000}},{'name':'lon3','capacity':{'bps':10000000}}]}],"
		"'services':[{'name':'web','shards':[{'name':'web-a','prefixes':['198.18.1.0/24']},"
		"{'name':'web-b','prefixes':['198.18.2.0/24']},{'name':'web-c','prefixes':['198.18.3.0/24']},"
		"{'name':'web-d','prefixes':['198.18.4.0/24']}]}]}";
	auto_free char *json = xstrdup(text);
	struct cluster *cl;

	for (char *c = json; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_auto_t *doc = json_loads(json, 0, NULL), *errors = json_array();
	assert_int_equal(cluster_parse(doc, &cl, errors), 0);
	return cl;
}

/* Weighted ECMP, reports, the balancer's round. */
static void lon_second(void)
{
	struct model *m = &w.c.model;
	double sum = 0;

	for (size_t i = LON1; i < LON1 + NODES; i++)
		sum += m->nodes[i].weight;
	for (size_t i = LON1; i < LON1 + NODES; i++) {
		struct node_live *n = &m->nodes[i];
		double bps = sum > 0 ? lon_util * 50e6 * n->weight / sum : 0;
		bps *= n->surge > 0 ? n->surge : 1;
		n->report_at = mono_now();
		n->connected = n->bgp_ok = n->service_up = n->measured = true;
		for (size_t k = 0; k < SHARDS; k++) {
			n->shards[k].seen = n->shards[k].announced = n->shards[k].service_up = true;
			n->shards[k].lo[RES_BPS] = n->shards[k].hi[RES_BPS] = bps / SHARDS;
		}
		n->load[RES_BPS] = bps;
		n->util = bps / m->cl->nodes[i].cap[RES_BPS];
	}
	if (m->mode == MODE_STEER)
		weights_round(&w.c, LON);
}

static int setup_lon(void **state)
{
	struct model *m = &w.c.model;

	setup(state);
	model_set_cluster(m, with_lon());
	lon_util = 0.25;
	for (size_t i = LON1; i < LON1 + NODES; i++)
		m->nodes[i].weight = i == LON1 + 2 ? 50 : 100;
	for (size_t k = 0; k < SHARDS; k++)
		*model_cell(m, LON, k) = (struct cell_live){ .ordered = true, .announced = true };
	w.each_second = lon_second;
	for (int i = 0; i < 60; i++)
		half_second();
	return 0;
}

static void assert_weights(int a, int b, int c)
{
	const struct node_live *n = &w.c.model.nodes[LON1];

	if (n[0].weight != a || n[1].weight != b || n[2].weight != c)
		fail_msg("weights %d %d %d, not %d %d %d", n[0].weight, n[1].weight, n[2].weight, a, b, c);
}

static struct drill_spec surge(const char *node, double factor, int hold_s)
{
	struct drill_spec s = spec("surge", "", node);

	s.factor = factor;
	s.hold_ms = hold_s * 1000;
	return s;
}

static void begin(const char *node, double factor, int hold_s)
{
	struct drill_spec s = surge(node, factor, hold_s);
	json_t *drill = NULL;
	struct op_result r = drills_start(w.c.drills, "anna", &s, &drill);

	if (r.status != 200)
		fail_msg("%s %s", r.detail, r.errors ? json_dumps(r.errors, 0) : "");
	json_decref(drill);
}

/* The first reason against it, or "". */
static void against(const char *node, double factor, int hold_s, char *ret_code, char *ret_why)
{
	struct drill_spec s = surge(node, factor, hold_s);
	json_auto_t *picture = NULL;

	assert_int_equal(drills_plan(w.c.drills, &s, &picture).status, 200);
	json_t *first = json_array_get(json_object_get(picture, "against"), 0);
	snprintf(ret_code, NAME_LEN, "%s", first ? json_string_value(json_object_get(first, "code")) : "");
	snprintf(ret_why, TEXT_LEN, "%s", first ? json_string_value(json_object_get(first, "reason")) : "");
}

static void test_five_in_a_row(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		begin("lon3", 5, 10);
		assert_true(run_to(DRILL_HOLD, 30) > 0);
		assert_true(run_to(DRILL_CLOSED, 30) > 0);
		assert_verdict("passed", ": weight of lon3 from 50 to ");
		json_auto_t *r = last_report();
		json_t *a = json_object_get(r, "answer");
		assert_string_equal(json_string_value(json_object_get(a, "by")), "weight");
		assert_int_equal(json_integer_value(json_object_get(a, "weight_from")), 50);
		assert_in_range(json_integer_value(json_object_get(a, "weight_to")), 1, 25);
		assert_float_equal(json_number_value(json_object_get(a, "share_from")), 0.2, 1e-6);
		assert_true(json_integer_value(json_object_get(r, "restore_ms")) <= 2000);
		assert_weights(100, 100, 50);
	}
	/* and they stay */
	for (int i = 0; i < 600; i++)
		half_second();
	assert_weights(100, 100, 50);
}

/* the one with most of the weight: its number may stay 100 while its part falls */
static void test_the_largest(void **state)
{
	(void)state;
	begin("lon1", 8, 10);
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	assert_verdict("passed", "weight of lon1");
	assert_weights(100, 100, 50);
}

static void test_an_abort_restores(void **state)
{
	(void)state;
	begin("lon3", 5, 60);
	assert_true(run_to(DRILL_HOLD, 30) > 0);
	for (int i = 0; i < 12; i++)
		half_second();
	assert_true(w.c.model.nodes[LON1 + 2].weight < 30);
	assert_int_equal(drills_abort(w.c.drills, "anna", "d1", "enough").status, 200);
	assert_weights(100, 100, 50);
	assert_true(run_to(DRILL_CLOSED, 10) > 0);
	assert_weights(100, 100, 50);
}

/* whoever leads next has heard no agent yet, and knows the weights from before from the record */
static void test_the_next_controller_restores(void **state)
{
	(void)state;
	begin("lon3", 5, 60);
	assert_true(run_to(DRILL_HOLD, 30) > 0);
	for (int i = 0; i < 12; i++)
		half_second();
	act_release(w.c.drills);
	end_drills();
	w.c.model.epoch++;
	for (size_t i = LON1; i < LON1 + NODES; i++)
		w.c.model.nodes[i].weight = 0;
	w.c.drills = drills_new(&w.c);
	assert_weights(100, 100, 50);
	assert_true(run_to(DRILL_CLOSED, 30) > 0);
	assert_verdict("aborted", "controller restarted");
	assert_weights(100, 100, 50);
}

/* freeze beats everything, the way back too */
static void test_frozen(void **state)
{
	(void)state;
	begin("lon3", 5, 20);
	assert_true(run_to(DRILL_HOLD, 30) > 0);
	for (int i = 0; i < 20; i++)
		half_second();
	int fell = w.c.model.nodes[LON1 + 2].weight;
	assert_true(fell < 30);
	w.c.model.mode = MODE_FREEZE;
	assert_true(run_to(DRILL_RESTORE, 60) > 0);
	assert_true(run_to(DRILL_CLOSED, 60) < 0);
	assert_weights(w.c.model.nodes[LON1].weight, w.c.model.nodes[LON1 + 1].weight, fell);
	assert_true(w.c.model.nodes[LON1 + 2].surge <= 0);
	w.c.model.mode = MODE_STEER;
	assert_true(run_to(DRILL_CLOSED, 10) > 0);
	assert_weights(100, 100, 50);
}

/* restored is what agents have applied */
static void test_read_back(void **state)
{
	struct node_live *n = &w.c.model.nodes[LON1];

	(void)state;
	begin("lon3", 5, 10);
	assert_true(run_to(DRILL_RESTORE, 60) > 0);
	n->sent_seq = 7;
	n->applied_seq = 6;
	assert_true(run_to(DRILL_CLOSED, 60) < 0);
	n->applied_seq = 7;
	assert_true(run_to(DRILL_CLOSED, 5) > 0);
	assert_verdict("passed", "");
}

static void test_grades_answer(void **state)
{
	(void)state;
	begin("fra1", 5, 10);
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	assert_verdict("passed", ": web-a at fra from normal to ");
	json_auto_t *r = last_report();
	json_t *a = json_object_get(r, "answer");
	assert_string_equal(json_string_value(json_object_get(a, "by")), "grade");
	assert_string_equal(json_string_value(json_object_get(a, "shard")), "web-a");
	assert_string_equal(json_string_value(json_object_get(a, "grade_from")), "normal");
	assert_int_equal(model_cell(&w.c.model, 0, 0)->wanted, 0);
}

/* What was weak before stays so; what the engine weakened for the surge goes back, after a restart, too; what
 * an operator holds is his. */
static void test_grades_are_as_before(void **state)
{
	struct model *m = &w.c.model;

	(void)state;
	for (int restart = 0; restart < 2; restart++) {
		model_cell(m, 2, 1)->wanted = 2;
		begin("fra1", 5, 30);
		assert_true(run_to(DRILL_HOLD, 60) > 0);
		half_second();
		half_second();
		assert_int_equal(model_cell(m, 0, 0)->wanted, 1);
		model_cell(m, 2, 1)->wanted = 3;
		model_cell(m, 1, 2)->wanted = 1;
		model_cell(m, 1, 2)->pinned = true;
		if (restart) {
			act_release(w.c.drills);
			end_drills();
			m->epoch++;
			w.c.drills = drills_new(&w.c);
		}
		assert_true(run_to(DRILL_CLOSED, 60) > 0);
		assert_int_equal(model_cell(m, 0, 0)->wanted, 0);
		assert_int_equal(model_cell(m, 2, 1)->wanted, 2);
		assert_int_equal(model_cell(m, 1, 2)->wanted, 1);
		model_cell(m, 1, 2)->wanted = model_cell(m, 2, 1)->wanted = 0;
		model_cell(m, 1, 2)->pinned = false;
	}
}

/* Real load has come meanwhile: it may need what steering did. Weights are the balancer's within seconds. */
static void test_real_load(void **state)
{
	(void)state;
	begin("fra1", 5, 30);
	assert_true(run_to(DRILL_HOLD, 60) > 0);
	half_second();
	half_second();
	w.times[0] = w.times[1] = w.times[2] = 1.6;
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	assert_verdict("aborted", "the grades stay");
	assert_int_equal(model_cell(&w.c.model, 0, 0)->wanted, 1);
	assert_weights(100, 100, 50);
}

/* a change that steering made for another reason is no answer */
static void test_what_is_no_answer(void **state)
{
	(void)state;
	w.stuck = true;
	begin("fra1", 5, 10);
	assert_true(run_to(DRILL_HOLD, 60) > 0);
	w.view.moves++;
	model_cell(&w.c.model, 1, 0)->wanted = 1; /* weaker, at ams */
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	model_cell(&w.c.model, 1, 0)->wanted = 0;
	assert_verdict("failed", "did not answer");
}

/* What steering would not answer is refused, with what would be. */
static void test_refusals(void **state)
{
	static const struct {
		const char *node;
		double load, factor;
		int hold_s;
		const char *code, *why;
	} rows[] = {
		{ "lon3", 0.25, 5, 10, "", "" },
		{ "lon3", 0.25, 1.5, 60, "factor",
		  "seen at 38 %, at which steering need not answer: take a factor of" },
		{ "lon3", 0.25, 3, 60, "", "" },
		{ "lon3", 0.25, 3, 1, "hold", "hold it for" },
		{ "lon3", 0.002, 5, 60, "factor", "even to 20 times" },
		{ "fra1", 0.25, 5, 10, "", "" },
		{ "fra1", 0.25, 3, 10, "factor", "alone at its site): take a factor of 4.8" },
		{ "fra1", 0.25, 5, 2, "hold", "hold it for" },
	};
	char code[NAME_LEN], why[TEXT_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		lon_util = rows[i].load;
		for (int t = 0; t < 200; t++)
			half_second();
		against(rows[i].node, rows[i].factor, rows[i].hold_s, code, why);
		print_message("%s x %.1f for %d s: %s: %s\n", rows[i].node, rows[i].factor, rows[i].hold_s,
			      code, why);
		if (strcmp(code, rows[i].code) != 0 || !strstr(why, rows[i].why))
			fail_msg("row %zu: %s: %s", i, code, why);
	}
}

/* What is recommended works, and a little less is refused. */
static void test_the_factor_named_is_enough(void **state)
{
	char code[NAME_LEN], why[TEXT_LEN];

	(void)state;
	against("lon2", 1.1, 30, code, why);
	assert_string_equal(code, "factor");
	double factor = strtod(strstr(why, "factor of ") + strlen("factor of "), NULL);
	assert_true(factor > 1.5 && factor < 4);
	against("lon2", factor - 0.1, 30, code, why);
	assert_string_not_equal(code, "");
	begin("lon2", factor, 30);
	assert_true(run_to(DRILL_CLOSED, 120) > 0);
	assert_verdict("passed", "weight of lon2");
}

/* an operator's hand holds what would answer */
static void test_held(void **state)
{
	char code[NAME_LEN], why[TEXT_LEN];
	struct model *m = &w.c.model;

	(void)state;
	for (size_t k = 0; k < SHARDS; k++)
		m->nodes[LON1].shards[k].weight_pin = 30;
	against("lon1", 8, 30, code, why);
	assert_string_equal(code, "held");
	m->nodes[LON1].shards[2].weight_pin = 0;
	against("lon1", 8, 30, code, why);
	assert_string_equal(code, "");
	for (size_t k = 0; k < SHARDS; k++)
		model_cell(m, 0, k)->pinned = true;
	against("fra1", 5, 30, code, why);
	assert_string_equal(code, "held");
}

int main(void)
{
#define L(f) cmocka_unit_test_setup_teardown(f, setup_lon, teardown)
	const struct CMUnitTest tests[] = {
		L(test_five_in_a_row),
		L(test_the_largest),
		L(test_an_abort_restores),
		L(test_the_next_controller_restores),
		L(test_frozen),
		L(test_read_back),
		L(test_grades_answer),
		L(test_grades_are_as_before),
		L(test_real_load),
		L(test_what_is_no_answer),
		L(test_refusals),
		L(test_the_factor_named_is_enough),
		L(test_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
