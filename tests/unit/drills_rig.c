/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/drills_rig.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "controller/fleet.h"
#include "controller/observe.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

/* -- the clock --------------------------------------------------------------------------------------------
 */

int64_t now_us = 1000000000;

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

struct world w;

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

/* The engine answers a surge at fra, and has not given back what it took when the drill ends. */
static void steer(void)
{
	bool surge = w.c.model.nodes[0].surge > 0;

	if (surge == w.answered || w.stuck)
		return;
	w.answered = surge;
	if (!surge)
		return;
	model_cell(&w.c.model, 0, 0)->wanted = 1;
	w.view.moves++;
}

void second(void)
{
	for (size_t i = 0; i < SITES; i++)
		report(i);
	steer();
	if (w.each_second)
		w.each_second();
	observe_sum(&w.c.model, mono_now());
	/* rounds look whether a failing store takes writes again */
	struct store_op probe = { "engine", "" };
	if (w.view.rounds++ % 3 == 0 && mono_is_set(store_health(w.c.store)->failing_since))
		store_write(w.c.store, &probe, 1, NULL);
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

int rounds_state(struct rounds *r, struct rounds_state *ret_state)
{
	(void)r;
	if (w.busy)
		return -EBUSY;
	*ret_state = (struct rounds_state){ .grades = w.c.model.cl->grades, .policy = w.c.model.cl->policy };
	observe_snapshot(&w.c.model, mono_now(), &ret_state->snapshot);
	return 0;
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

int rounds_basis(struct rounds *r, const struct move *moves, size_t n, struct forecast_basis *ret_basis,
		 double *ret_noise)
{
	(void)r;
	(void)moves;
	(void)n;
	(void)ret_noise;
	*ret_basis = (struct forecast_basis){ .lessons = w.lessons, .rounds = w.settling ? 3 : 30 };
	return w.busy ? -EBUSY : 0;
}

/* -- the rig ----------------------------------------------------------------------------------------------
 */

struct cluster *document(const char *name)
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

int setup(void **state)
{
	(void)state;
	log_init("drills_test", LOG_LEVEL_ERROR + 1, false);
	w = (struct world){ .plan = { .state = PLAN_CALM }, .times = { 1, 1, 1 }, .beside = true };
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

void end_drills(void)
{
	drills_free(w.c.drills);
	uv_run(&w.loop, UV_RUN_DEFAULT);
}

int teardown(void **state)
{
	(void)state;
	end_drills();
	assert_int_equal(uv_loop_close(&w.loop), 0);
	events_free(w.c.events);
	store_close(w.c.store);
	model_done(&w.c.model);
	return 0;
}

void half_second(void)
{
	now_us += 500000;
	if (now_us % 1000000 == 0)
		second();
	drills_tick(w.c.drills);
	/* what it does beside the loop takes no simulated time */
	uv_timer_stop(&w.c.drills->timer);
	while (w.beside && w.c.drills->table && tabletop_part(w.c.drills->table) < 1)
		uv_run(&w.loop, UV_RUN_ONCE);
}

/* Until the state is reached; -1: it is not within so many simulated seconds. Returns seconds taken. */
double run_to(enum drill_state s, double limit_s)
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

struct drill_spec spec(const char *kind, const char *site, const char *node)
{
	struct drill_spec s = { .reason = "test", .hold_ms = 3000, .max_ms = 600000, .factor = 5 };

	if (strcmp(kind, "surge") == 0)
		s.hold_ms = 6000; /* steering needs that */
	snprintf(s.kind, NAME_LEN, "%s", kind);
	snprintf(s.site, NAME_LEN, "%s", site);
	snprintf(s.node, NAME_LEN, "%s", node);
	snprintf(s.service, NAME_LEN, "%s", strcmp(kind, "service-kill") ? "" : "web");
	return s;
}

void start(const char *kind, const char *site, const char *node)
{
	struct drill_spec s = spec(kind, site, node);
	json_t *drill = NULL;
	struct op_result r = drills_start(w.c.drills, "anna", &s, &drill);

	if (r.status != 200)
		fail_msg("%s: %s %s", kind, r.detail, r.errors ? json_dumps(r.errors, 0) : "");
	json_decref(drill);
}

void assert_normal(void)
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

json_t *last_report(void)
{
	char id[16];

	drill_id(w.c.drills->last_id, id);
	json_t *r = drills_report(w.c.drills, id);
	assert_non_null(r);
	return r;
}

void assert_verdict(const char *verdict, const char *reason)
{
	json_auto_t *r = last_report();
	auto_free char *reasons = json_dumps(json_object_get(r, "reasons"), 0);

	if (strcmp(json_string_value(json_object_get(r, "verdict")), verdict) != 0 ||
	    !strstr(reasons, reason))
		fail_msg("%s: %s, not %s with \"%s\"", json_string_value(json_object_get(r, "verdict")),
			 reasons, verdict, reason);
}
