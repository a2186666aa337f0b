/* SPDX-License-Identifier: Apache-2.0
 * Whole drills on simulated time and a simulated cluster of three sites: every kind to its end, an abort from
 * every stage, every abort condition provoked, the controller killed in every stage. Rounds, fleet and the
 * clock are stand-ins; the store is the real one in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>

#include "controller/drill/drill_int.h"
#include "controller/fleet.h"
#include "controller/observe.h"
#include "controller/store_impl.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define SITES  3
#define SHARDS 4
#define LOAD   5e6
#define CAP    100e6

/* -- the clock --------------------------------------------------------------------------------------------
 */

static int64_t now_us = 1000000000;

mono_t mono_now(void)
{
	return (mono_t){ now_us };
}

int64_t wall_now_ms(void)
{
	return INT64_C(1795514400000) + now_us / 1000;
}

/* -- the world --------------------------------------------------------------------------------------------
 */

static struct world {
	uv_loop_t loop;
	struct controller c;
	struct plan plan;
	struct rounds_view view;
	enum guard_id guard; /* what it refuses with */
	bool busy, stuck, lies;
	double times[SITES]; /* of the usual demand */
	unsigned refusals;
} w;

static bool gone(size_t site, size_t shard)
{
	const struct model *m = &w.c.model;
	const struct node_live *n = &m->nodes[site];
	const struct cell_live *c = model_cell(m, site, shard);

	return n->shards[shard].drill_dead || n->drill_dead[0] ||
	       m->cl->grades.g[c->wanted].kind >= GRADE_DRAIN;
}

/* What is homed at a site that is gone goes to the others in equal parts. */
static double load_at(size_t site, size_t shard, const bool away[SITES])
{
	double sum = away[site] ? 0 : LOAD * w.times[site];
	size_t left = 0;

	for (size_t i = 0; i < SITES; i++)
		left += !away[i];
	for (size_t i = 0; i < SITES; i++)
		if (away[i] && !away[site] && left)
			sum += LOAD * w.times[i] / (double)left;
	(void)shard;
	return sum;
}

static void report(size_t site)
{
	struct model *m = &w.c.model;
	struct node_live *n = &m->nodes[site];
	double sum = 0;

	if (n->drill_mute || n->drill_deaf)
		return;
	n->report_at = mono_now();
	n->bgp_ok = true;
	n->service_up = !n->drill_dead[0];
	for (size_t k = 0; k < SHARDS; k++) {
		struct node_shard *ns = &n->shards[k];
		struct cell_live *c = model_cell(m, site, k);
		bool away[SITES];
		for (size_t i = 0; i < SITES; i++)
			away[i] = gone(i, k);
		double times = n->surge > 0 ? n->surge : 1;
		ns->lo[RES_BPS] = ns->hi[RES_BPS] = times * load_at(site, k, away);
		sum += ns->lo[RES_BPS];
		ns->seen = ns->service_up = true;
		if (w.stuck)
			continue;
		bool dead = ns->drill_dead || n->drill_dead[0];
		ns->announced = !dead && m->cl->grades.g[c->wanted].kind != GRADE_WITHDRAWN;
		ns->grade = ns->announced ? c->wanted : (uint8_t)(m->cl->grades.n - 1);
	}
	n->load[RES_BPS] = sum;
	n->util = sum / CAP;
}

/* fra's steering answers a surge by a weight */
static void second(void)
{
	for (size_t i = 0; i < SITES; i++)
		report(i);
	if (w.c.model.nodes[0].surge > 0 && !w.stuck)
		w.c.model.nodes[0].weight = 50;
	observe_sum(&w.c.model, mono_now());
	w.view.rounds++;
}

/* -- stand-ins --------------------------------------------------------------------------------------------
 */

void fleet_direct(struct fleet *f)
{
	(void)f;
}

const struct rounds_view *rounds_view(const struct rounds *r)
{
	(void)r;
	return &w.view;
}

const struct snapshot *rounds_snapshot(struct rounds *r)
{
	(void)r;
	observe_sum(&w.c.model, mono_now());
	return NULL;
}

int rounds_guard(struct rounds *r, const struct move *moves, size_t n, enum guard_actor actor,
		 struct guard_verdict *ret_verdict)
{
	double silent = 0;

	(void)r;
	(void)moves;
	(void)n;
	for (size_t i = 0; i < SITES; i++)
		silent += !observe_node_fresh(&w.c.model, i, mono_now());
	*ret_verdict = (struct guard_verdict){ w.guard, "the stand-in refuses" };
	if (w.guard == GUARD_I10)
		return ERR_GUARD;
	if (actor == ACTOR_ENGINE)
		return silent > 1 ? ERR_GUARD : 0;
	return actor == ACTOR_DRILL && w.guard != GUARD_OK ? (w.refusals++, ERR_GUARD) : 0;
}

int rounds_order(struct rounds *r, const struct move *moves, size_t n, enum guard_actor actor,
		 const char *why, const struct store_op *with, size_t n_with,
		 struct guard_verdict *ret_verdict)
{
	bool weakens = false;

	(void)why;
	if (rounds_guard(r, moves, n, actor, ret_verdict) < 0)
		return ERR_GUARD;
	for (size_t i = 0; i < n; i++)
		weakens |= moves[i].to > model_cell(&w.c.model, moves[i].site, moves[i].shard)->wanted;
	/* orders are written, too */
	struct store_op own = { "grade/stand-in", "it" };
	bool failed =
		store_write(w.c.store, &own, 1, NULL) < 0 || store_write(w.c.store, with, n_with, NULL) < 0;
	if (failed && weakens)
		return ERR_STORE;
	for (size_t i = 0; i < n; i++) {
		struct cell_live *c = model_cell(&w.c.model, moves[i].site, moves[i].shard);
		c->ordered = true;
		c->wanted = moves[i].to;
	}
	return 0;
}

int rounds_forecast(struct rounds *r, const struct move *moves, size_t n, struct site_forecast *ret_sites)
{
	(void)r;
	if (w.busy)
		return -EBUSY;
	for (size_t i = 0; i < SITES; i++) {
		double before = w.c.model.sites[i].util, after = 0;
		for (size_t k = 0; k < SHARDS; k++) {
			bool away[SITES];
			for (size_t s = 0; s < SITES; s++) {
				away[s] = gone(s, k);
				for (size_t m = 0; m < n; m++)
					away[s] |= moves[m].site == s && moves[m].shard == k;
			}
			after += load_at(i, k, away) / CAP;
		}
		after += w.lies && i == 1 ? 0.2 : 0;
		ret_sites[i] = (struct site_forecast){ before, fmax(0, after - 0.02), after, after + 0.02 };
	}
	return 0;
}

/* -- the rig ----------------------------------------------------------------------------------------------
 */

static struct cluster *document(const char *name)
{
	auto_free char *text = xasprintf(
		"{\"name\":\"%s\",\"policy\":{\"settle_min_ms\":1000,\"settle_max_ms\":5000,\"stale_ms\":"
		"2000},"
		"\"sites\":[{\"name\":\"fra\",\"nodes\":[{\"name\":\"fra1\",\"capacity\":{\"bps\":100000000}}"
		"]},"
		"{\"name\":\"ams\",\"nodes\":[{\"name\":\"ams1\",\"capacity\":{\"bps\":100000000}}]},"
		"{\"name\":\"nyc\",\"nodes\":[{\"name\":\"nyc1\",\"capacity\":{\"bps\":100000000}}]}],"
		"\"services\":[{\"name\":\"web\",\"shards\":[{\"name\":\"web-a\",\"prefixes\":[\"198.18.1.0/"
		"24\"]},"
		"{\"name\":\"web-b\",\"prefixes\":[\"198.18.2.0/24\"]},"
		"{\"name\":\"web-c\",\"prefixes\":[\"198.18.3.0/24\"]},"
		"{\"name\":\"web-d\",\"prefixes\":[\"198.18.4.0/24\"]}]}]}",
		name);
	json_auto_t *doc = json_loads(text, 0, NULL), *errors = json_array();
	struct cluster *cl;

	assert_int_equal(cluster_parse(doc, &cl, errors), 0);
	return cl;
}

static int setup(void **state)
{
	(void)state;
	log_init("drills_test", LOG_LEVEL_ERROR + 1, false);
	w = (struct world){ .plan = { .state = PLAN_CALM }, .times = { 1, 1, 1 } };
	w.view = (struct rounds_view){ .plan = &w.plan, .rounds = 1 };
	uv_loop_init(&w.loop);
	w.c.loop = &w.loop;
	store_open_memory(&w.c.store);
	w.c.events = events_new(w.c.store);
	model_init(&w.c.model, document("one"));
	w.c.model.mode = MODE_STEER;
	w.c.model.epoch = 1;
	for (size_t i = 0; i < SITES * SHARDS; i++)
		w.c.model.cells[i].ordered = true, w.c.model.cells[i].wanted = 0;
	for (size_t i = 0; i < SITES; i++)
		w.c.model.nodes[i].weight = 100;
	second();
	w.c.drills = drills_new(&w.c);
	return 0;
}

static void end_drills(void)
{
	drills_free(w.c.drills);
	uv_run(&w.loop, UV_RUN_DEFAULT);
}

static int teardown(void **state)
{
	(void)state;
	end_drills();
	assert_int_equal(uv_loop_close(&w.loop), 0);
	events_free(w.c.events);
	store_close(w.c.store);
	model_done(&w.c.model);
	return 0;
}

static void half_second(void)
{
	now_us += 500000;
	if (now_us % 1000000 == 0)
		second();
	drills_tick(w.c.drills);
}

/* Until the state is reached; -1: it is not within so many simulated seconds. Returns seconds taken. */
static double run_to(enum drill_state s, double limit_s)
{
	int64_t began = now_us;

	while ((double)(now_us - began) < limit_s * 1e6) {
		half_second();
		bool closed = !w.c.drills->running;
		if (s == DRILL_CLOSED ? closed : !closed && w.c.drills->r.state == s)
			return (double)(now_us - began) / 1e6;
		if (closed)
			return -1;
	}
	return -1;
}

static struct drill_spec spec(const char *kind, const char *site, const char *node)
{
	struct drill_spec s = { .reason = "test", .hold_ms = 3000, .max_ms = 600000, .factor = 3 };

	snprintf(s.kind, NAME_LEN, "%s", kind);
	snprintf(s.site, NAME_LEN, "%s", site);
	snprintf(s.node, NAME_LEN, "%s", node);
	return s;
}

static void start(const char *kind, const char *site, const char *node)
{
	struct drill_spec s = spec(kind, site, node);
	json_t *drill = NULL;
	struct op_result r = drills_start(w.c.drills, "anna", &s, &drill);

	if (r.status != 200)
		fail_msg("%s: %s %s", kind, r.detail, r.errors ? json_dumps(r.errors, 0) : "");
	json_decref(drill);
}

static void assert_normal(void)
{
	const struct model *m = &w.c.model;

	for (size_t i = 0; i < SITES; i++) {
		assert_false(m->sites[i].drilled || m->nodes[i].drill_mute || m->nodes[i].drill_deaf);
		assert_false(m->nodes[i].drill_dead[0] || m->nodes[i].surge > 0);
		for (size_t k = 0; k < SHARDS; k++) {
			assert_int_equal(model_cell(m, i, k)->wanted, 0);
			assert_false(model_cell(m, i, k)->drilled || m->nodes[i].shards[k].drill_dead);
			assert_true(m->nodes[i].shards[k].announced);
		}
	}
	auto_free char *left = NULL;
	assert_int_equal(store_get(w.c.store, "drill/current", &left), -ENOENT);
	assert_string_equal(m->drill, "");
}

static json_t *last_report(void)
{
	char id[16];

	drill_id(w.c.drills->last_id, id);
	json_t *r = drills_report(w.c.drills, id);
	assert_non_null(r);
	return r;
}

static void assert_verdict(const char *verdict, const char *reason)
{
	json_auto_t *r = last_report();
	auto_free char *reasons = json_dumps(json_object_get(r, "reasons"), 0);

	if (strcmp(json_string_value(json_object_get(r, "verdict")), verdict) != 0 ||
	    !strstr(reasons, reason))
		fail_msg("%s: %s, not %s with \"%s\"", json_string_value(json_object_get(r, "verdict")),
			 reasons, verdict, reason);
}

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
		assert_int_equal(record_on(&w.c.drills->r), w.c.drills->r.n_targets);
		assert_true(run_to(DRILL_CLOSED, 120) > 0);
		assert_verdict("passed", "");
		second();
		assert_normal();
	}
	json_auto_t *list = drills_list(w.c.drills), *ready = drills_readiness(w.c.drills);
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
		{ "duration", see_time },
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
	assert_int_equal(ARRAY_LEN(rows), ALARMS + 2); /* attack and guard in two ways */
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

/* freeze beats everything, the way back too: it waits, and goes on when it may */
static void test_frozen_in_the_middle(void **state)
{
	(void)state;
	start("soft-drain", "nyc", "");
	assert_true(run_to(DRILL_50, 60) > 0);
	w.guard = GUARD_I10;
	assert_true(run_to(DRILL_RESTORE, 60) > 0);
	assert_true(run_to(DRILL_CLOSED, 60) < 0);
	assert_true(w.c.drills->running);
	w.guard = GUARD_OK;
	assert_true(run_to(DRILL_CLOSED, 15) > 0);
	assert_verdict("aborted", "guard");
	second();
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

/* marks are no grades, but weaken, too */
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
	start("surge", "", "fra1");
	assert_true(run_to(DRILL_CLOSED, 60) > 0);
	assert_verdict("failed", "did not answer");
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_every_kind_passes),
		T(test_stages_grow),
		T(test_abort_from_every_stage),
		T(test_the_controller_dies_in_every_stage),
		T(test_kinds_that_go_on),
		T(test_every_abort_condition),
		T(test_a_refusal_names_everything_and_begins_nothing),
		T(test_one_at_a_time_and_what_it_may_be_told),
		T(test_frozen_in_the_middle),
		T(test_an_override_meanwhile),
		T(test_an_operator_while_it_holds),
		T(test_no_forecast),
		T(test_a_record_that_cannot_be_made),
		T(test_frozen_marks),
		T(test_a_store_that_fails),
		T(test_another_document_before_it_begins),
		T(test_never_read_back),
		T(test_a_surge_without_an_answer_fails),
		T(test_scheduled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
