/* SPDX-License-Identifier: Apache-2.0
 * The pure parts of drills: the table walked, every reason of preflight, the schedule, the report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>

#include "controller/drill/outcome.h"
#include "controller/drill/preflight.h"
#include "controller/drill/report.h"
#include "controller/drill/schedule.h"
#include "proto/base/err.h"

/* -- the table --------------------------------------------------------------------------------------------
 */

static void test_every_pair_is_decided(void **state)
{
	(void)state;
	for (int s = 0; s < DRILL_STATES; s++)
		for (int e = 0; e < DRILL_EVENTS; e++) {
			struct drill_step st = drill_next((enum drill_state)s, (enum drill_event)e);
			if (!st.action)
				fail_msg("%s + %s is not decided", drill_state_str((enum drill_state)s),
					 drill_event_str((enum drill_event)e));
			assert_in_range(st.to, 0, DRILL_STATES - 1);
			if (st.action == DO_DENY)
				assert_int_equal(st.to, s);
		}
}

static bool may_be_weakened(int s)
{
	return s >= DRILL_CANARY && s <= DRILL_RESTORE;
}

/* From every state where something may be weakened only RESTORE leads out, and only RESTORED ends that. */
static void test_nothing_weakened_is_forgotten(void **state)
{
	static const enum drill_event ends[] = { EV_ABORT, EV_ALARM, EV_RESTART };

	(void)state;
	for (int s = 0; s < DRILL_STATES; s++)
		for (int e = 0; e < DRILL_EVENTS; e++) {
			struct drill_step st = drill_next((enum drill_state)s, (enum drill_event)e);
			if (may_be_weakened(s) && !may_be_weakened((int)st.to))
				assert_true(s == DRILL_RESTORE && e == EV_RESTORED);
			if (!may_be_weakened(s) && may_be_weakened((int)st.to))
				assert_true(s == DRILL_PREFLIGHT && e == EV_PASSED);
		}
	for (int s = DRILL_CANARY; s <= DRILL_RESTORE; s++)
		for (size_t e = 0; e < ARRAY_LEN(ends); e++) {
			struct drill_step st = drill_next((enum drill_state)s, ends[e]);
			assert_int_equal(st.to, DRILL_RESTORE);
			assert_int_equal(st.action, DO_BACK_NOW);
		}
}

static void test_the_good_way(void **state)
{
	static const struct {
		enum drill_event ev;
		enum drill_state to;
	} way[] = {
		{ EV_START, DRILL_PREFLIGHT }, { EV_PASSED, DRILL_CANARY },   { EV_MOVED, DRILL_25 },
		{ EV_MOVED, DRILL_50 },	       { EV_MOVED, DRILL_100 },	      { EV_MOVED, DRILL_HOLD },
		{ EV_OVER, DRILL_RESTORE },    { EV_RESTORED, DRILL_REPORT }, { EV_WRITTEN, DRILL_CLOSED }
	};
	enum drill_state s = DRILL_DRAFT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(way); i++) {
		s = drill_next(s, way[i].ev).to;
		assert_int_equal(s, way[i].to);
	}
	for (int i = 0; i < DRILL_STATES; i++) {
		assert_int_equal(drill_state_parse(drill_state_str((enum drill_state)i), &s), 0);
		assert_int_equal(s, i);
	}
}

static void test_kinds(void **state)
{
	size_t n;
	const struct drill_kind *k = drill_kinds(&n);

	(void)state;
	assert_int_equal(n, 9);
	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(drill_kind(k[i].name), &k[i]);
		/* what weakens announcements is never taken up unseen */
		assert_false(drill_moves(&k[i]) && k[i].taken_up);
	}
	assert_null(drill_kind("earthquake"));
}

/* -- preflight --------------------------------------------------------------------------------------------
 */

/* clang-format off */
static const char document[] =
	"{'name':'t','sites':["
	"{'name':'fra','nodes':[{'name':'fra1','capacity':{'bps':100000000}},{'name':'fra2','capacity':{'bps':100000000}}]},"
	"{'name':'ams','nodes':[{'name':'ams1','capacity':{'bps':100000000}}]},"
	"{'name':'nyc','nodes':[{'name':'nyc1','capacity':{'bps':100000000}}]}],"
	"'services':[{'name':'web','shards':["
	"{'name':'web-a','prefixes':['198.18.1.0/24']},{'name':'web-b','prefixes':['198.18.2.0/24']},"
	"{'name':'web-c','prefixes':['198.18.3.0/24']}]},"
	"{'name':'dns','shards':[{'name':'dns-a','prefixes':['198.18.9.0/24']}]}]}";
/* clang-format on */

struct world {
	struct model m;
	struct rounds_view view;
	struct plan plan;
	struct site_forecast forecast[3];
	struct preflight_facts f;
	struct drill_spec spec;
	struct preflight p;
};

static struct cluster *parse_document(void)
{
	auto_free char *text = xstrdup(document);
	json_auto_t *errors = json_array();
	struct cluster *cl;

	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_auto_t *doc = json_loads(text, 0, NULL);
	assert_int_equal(cluster_parse(doc, &cl, errors), 0);
	return cl;
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct model *m = &w->m;

	model_init(m, parse_document());
	m->mode = MODE_STEER;
	for (size_t i = 0; i < m->cl->n_nodes; i++) {
		m->nodes[i].report_at = mono_now();
		for (size_t k = 0; k < m->cl->n_shards; k++) {
			m->nodes[i].shards[k].seen = m->nodes[i].shards[k].announced = true;
			m->nodes[i].shards[k].lo[RES_BPS] = m->nodes[i].shards[k].hi[RES_BPS] =
				(double)(k + 1) * 1e6;
		}
	}
	for (size_t i = 0; i < m->cl->n_sites; i++) {
		m->sites[i].healthy = true;
		m->sites[i].util = 0.2;
		m->sites[i].cap[RES_BPS] = i ? 100e6 : 200e6;
		for (size_t k = 0; k < m->cl->n_shards; k++)
			*model_cell(m, i, k) = (struct cell_live){ .announced = true };
	}
	w->plan.state = PLAN_CALM;
	w->view = (struct rounds_view){ .plan = &w->plan, .rounds = 9 };
	w->f = (struct preflight_facts){ .view = &w->view, .now = mono_now(), .forecast = w->forecast };
	w->spec = (struct drill_spec){ .kind = "soft-drain",
				       .site = "nyc",
				       .reason = "test",
				       .hold_ms = 1000,
				       .max_ms = 60000,
				       .factor = 2 };
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	preflight_done(&w->p);
	model_done(&w->m);
	free(w);
	return 0;
}

static void look(struct world *w)
{
	preflight_done(&w->p);
	preflight_resolve(&w->m, &w->spec, &w->p);
	if (!json_array_size(w->p.wrong))
		preflight_judge(&w->m, &w->spec, &w->f, &w->p);
}

static bool has(json_t *list, const char *key, const char *value)
{
	size_t i;
	json_t *j;

	json_array_foreach(list, i, j)
		if (strcmp(json_string_value(json_object_get(j, key)), value) == 0)
			return true;
	return false;
}

static void test_targets(void **state)
{
	struct world *w = *state;

	look(w);
	assert_int_equal(json_array_size(w->p.wrong), 0);
	assert_int_equal(json_array_size(w->p.against), 0);
	assert_int_equal(w->p.n_targets, 4);
	assert_int_equal(w->p.n_moves, 4);
	assert_string_equal(w->p.targets[0].shard, "web-a"); /* carries least */
	assert_string_equal(w->p.targets[0].node, "");
	snprintf(w->spec.service, NAME_LEN, "dns");
	look(w);
	assert_int_equal(w->p.n_targets, 1);
	/* a node among others: the site keeps announcing, nothing moves between sites */
	w->spec =
		(struct drill_spec){ .kind = "node-loss", .node = "fra1", .reason = "test", .max_ms = 60000 };
	look(w);
	assert_int_equal(json_array_size(w->p.against), 0);
	assert_int_equal(w->p.n_targets, 4);
	assert_int_equal(w->p.n_moves, 0);
	assert_string_equal(w->p.targets[0].node, "fra1");
	/* alone at its site */
	snprintf(w->spec.node, NAME_LEN, "ams1");
	look(w);
	assert_int_equal(w->p.n_moves, 4);
	snprintf(w->spec.kind, NAME_LEN, "stale-telemetry");
	w->spec.node[0] = 0;
	look(w);
	assert_int_equal(w->p.n_targets, 4);
	assert_string_equal(w->p.targets[0].shard, "");
}

static void test_wrong_requests(void **state)
{
	static const struct {
		const char *kind, *site, *node, *service, *shard, *reason;
		double factor;
		const char *pointer;
	} rows[] = {
		{ "earthquake", "nyc", "", "", "", "x", 2, "/kind" },
		{ "soft-drain", "", "", "", "", "x", 2, "/site" },
		{ "soft-drain", "atlantis", "", "", "", "x", 2, "/site" },
		{ "soft-drain", "nyc", "ams1", "", "", "x", 2, "/node" },
		{ "soft-drain", "nyc", "", "web", "web-a", "x", 2, "/shard" },
		{ "soft-drain", "nyc", "", "mail", "", "x", 2, "/service" },
		{ "soft-drain", "nyc", "", "", "", "", 2, "/reason" },
		{ "node-loss", "nyc", "", "", "", "x", 2, "/site" },
		{ "site-loss", "", "", "", "", "x", 2, "/site" },
		{ "service-kill", "", "fra1", "", "", "x", 2, "/service" },
		{ "surge", "", "fra1", "", "", "x", 1, "/factor" },
		{ "surge", "", "fra1", "", "", "x", (double)NAN, "/factor" },
		{ "controller-loss", "", "", "web", "", "x", 2, "/service" },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct drill_spec *s = &w->spec;
		snprintf(s->kind, NAME_LEN, "%s", rows[i].kind);
		snprintf(s->site, NAME_LEN, "%s", rows[i].site);
		snprintf(s->node, NAME_LEN, "%s", rows[i].node);
		snprintf(s->service, NAME_LEN, "%s", rows[i].service);
		snprintf(s->shard, NAME_LEN, "%s", rows[i].shard);
		snprintf(s->reason, TEXT_LEN, "%s", rows[i].reason);
		s->factor = rows[i].factor;
		look(w);
		if (!has(w->p.wrong, "pointer", rows[i].pointer))
			fail_msg("row %zu: no error at %s", i, rows[i].pointer);
	}
	w->spec =
		(struct drill_spec){ .kind = "service-kill", .node = "fra1", .reason = "x", .max_ms = 60000 };
	look(w); /* and names what takes everything */
	assert_non_null(strstr(json_string_value(json_object_get(json_array_get(w->p.wrong, 0), "reason")),
			       "needs a service; for everything at once there is node-loss"));
	snprintf(w->spec.kind, NAME_LEN, "sofdrain");
	look(w); /* says which there are */
	json_t *e = json_array_get(w->p.wrong, 0);
	assert_non_null(strstr(json_string_value(json_object_get(e, "reason")), "soft-drain, hard-withdraw"));
	w->spec = (struct drill_spec){ .kind = "soft-drain", .hold_ms = -1, .max_ms = 1 };
	look(w); /* all of it at once */
	assert_true(has(w->p.wrong, "pointer", "/site") && has(w->p.wrong, "pointer", "/reason") &&
		    has(w->p.wrong, "pointer", "/hold_s") && has(w->p.wrong, "pointer", "/max_s"));
}

static void break_freeze(struct world *w)
{
	w->m.mode = MODE_FREEZE;
}
static void break_steer(struct world *w)
{
	w->spec = (struct drill_spec){
		.kind = "surge", .node = "fra1", .reason = "x", .max_ms = 60000, .factor = 3
	};
	w->m.mode = MODE_OBSERVE;
}
static void break_running(struct world *w)
{
	w->f.running = 4;
}
static void break_round(struct world *w)
{
	w->f.view = NULL;
}
static void break_tilt(struct world *w)
{
	w->view.tilt = true;
}
static void break_attack(struct world *w)
{
	w->plan.state = PLAN_CONTAIN;
}
static void break_healthy(struct world *w)
{
	w->m.sites[1].healthy = false;
}
static void break_drops(struct world *w)
{
	w->m.sites[1].dropping = true;
}
static void break_hot(struct world *w)
{
	w->m.sites[1].util = 0.9;
}
static void break_reports(struct world *w)
{
	w->m.nodes[0].report_at = (mono_t){ 0 };
}
static void break_refused(struct world *w)
{
	w->m.nodes[3].no_drills = true;
}
static void break_drained(struct world *w)
{
	w->m.sites[2].drain.on = true;
}
static void break_weakened(struct world *w)
{
	model_cell(&w->m, 2, 1)->grade = 1;
}
static void break_guard(struct world *w)
{
	w->f.guard_refuses = true;
	w->f.verdict = (struct guard_verdict){ GUARD_I2, "too much at once" };
}
static void break_receiver(struct world *w)
{
	w->forecast[1] = (struct site_forecast){ 0.2, 0.6, 0.8, 0.9 };
}
static void break_forecast(struct world *w)
{
	w->f.forecast = NULL;
}
static void break_nothing(struct world *w)
{
	for (size_t k = 0; k < w->m.cl->n_shards; k++)
		model_cell(&w->m, 2, k)->announced = false;
}
static void break_neighbours(struct world *w)
{
	w->spec = (struct drill_spec){ .kind = "node-loss", .node = "fra1", .reason = "x", .max_ms = 60000 };
	w->m.sites[0].load[RES_BPS] = 90e6;
}

static void test_each_reason_against(void **state)
{
	static const struct {
		const char *code;
		void (*with)(struct world *w);
	} rows[] = {
		{ "mode", break_freeze },	{ "mode", break_steer },
		{ "running", break_running },	{ "round", break_round },
		{ "tilt", break_tilt },		{ "attack", break_attack },
		{ "unhealthy", break_healthy }, { "drops", break_drops },
		{ "hot", break_hot },		{ "reports", break_reports },
		{ "refused", break_refused },	{ "drained", break_drained },
		{ "weakened", break_weakened }, { "I2", break_guard },
		{ "receiver", break_receiver }, { "forecast", break_forecast },
		{ "nothing", break_nothing },	{ "receiver", break_neighbours },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		void *own;
		setup(&own);
		struct world *w = own;
		rows[i].with(w);
		look(w);
		if (!has(w->p.against, "code", rows[i].code))
			fail_msg("row %zu: %s is not named", i, rows[i].code);
		teardown(&own);
	}
}

static void test_every_reason_at_once(void **state)
{
	struct world *w = *state;

	break_freeze(w);
	break_attack(w);
	break_drops(w);
	break_guard(w);
	break_receiver(w);
	break_reports(w);
	look(w);
	assert_int_equal(json_array_size(w->p.against), 6);
	/* what touches nothing is not kept from being predicted */
	snprintf(w->spec.kind, NAME_LEN, "tabletop");
	look(w);
	assert_int_equal(json_array_size(w->p.against), 0);
}

/* -- the schedule -----------------------------------------------------------------------------------------
 */

#define TUESDAY INT64_C(1795514400000) /* 2026-11-24 10:00 UTC */
#define DAY	INT64_C(86400000)

static json_t *schedule(const char *quoted)
{
	auto_free char *text = xstrdup(quoted);

	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	return json_loads(text, 0, NULL);
}

static void test_schedule(void **state)
{
	json_auto_t *s = schedule(
		"{'enabled':true,'windows':[{'days':['tue','thu'],'from':'09:30','to':'11:00'}],"
		"'blackout':[{'from':'2026-12-01','to':'2027-01-03','reason':'end of year'}],"
		"'drills':[{'name':'a','every_days':7,'spec':{}},{'name':'b','every_days':30,'spec':{}}]}");
	json_auto_t *never = json_object(), *last = json_pack("{s:I, s:I}", "a", (json_int_t)(TUESDAY - DAY),
							      "b", (json_int_t)(TUESDAY - 31 * DAY));
	json_auto_t *errors = json_array(), *none = json_object();
	char why[128];

	(void)state;
	schedule_check(s, errors);
	assert_int_equal(json_array_size(errors), 0);
	assert_true(schedule_open(s, TUESDAY, why));
	assert_false(schedule_open(s, TUESDAY + DAY, why)); /* Wednesday */
	assert_string_equal(why, "outside every window");
	assert_false(schedule_open(s, TUESDAY + 3600000, why)); /* 11:00 is over */
	assert_false(schedule_open(s, TUESDAY + 7 * DAY, why)); /* 1 December */
	assert_string_equal(why, "blackout: end of year");
	const json_t *due = schedule_due(s, last, none, TUESDAY); /* a is not due, b is */
	assert_string_equal(json_string_value(json_object_get(due, "name")), "b");
	/* one that is refused lets the others go first, and is asked for again in its time */
	json_auto_t *refused = json_pack("{s:I}", "b", (json_int_t)(TUESDAY - 1000));
	assert_null(schedule_due(s, last, refused, TUESDAY));
	due = schedule_due(s, never, refused, TUESDAY);
	assert_string_equal(json_string_value(json_object_get(due, "name")), "a");
	assert_non_null(schedule_due(s, last, refused, TUESDAY + SCHEDULE_AGAIN_MS));
	json_object_set_new(refused, "b", json_integer(TUESDAY + 365 * DAY)); /* the clock was set back */
	assert_non_null(schedule_due(s, last, refused, TUESDAY));
	assert_non_null(schedule_due(s, never, none, TUESDAY));
	json_object_set_new(last, "b",
			    json_integer(TUESDAY + 3650 * DAY)); /* begun while the clock was wrong */
	due = schedule_due(s, last, none, TUESDAY);
	assert_string_equal(json_string_value(json_object_get(due, "name")), "b");
	json_object_set_new(last, "b",
			    json_integer(TUESDAY + 1000)); /* set back by a second: not at once again */
	assert_null(schedule_due(s, last, none, TUESDAY));
	json_object_set_new(s, "enabled", json_false());
	assert_null(schedule_due(s, never, none, TUESDAY));
	json_auto_t *off = json_object(); /* nothing was ever set */
	assert_null(schedule_due(off, never, none, TUESDAY));
}

static void test_when_next(void **state)
{
	json_auto_t *s =
		schedule("{'enabled':true,'windows':[{'days':['tue','thu'],'from':'09:30','to':'11:00'},"
			 "{'days':['tue'],'from':'20:00','to':'24:00'}],"
			 "'blackout':[{'from':'2026-12-01','to':'2026-12-03','reason':''},"
			 "{'from':'2026-12-04','to':'2027-01-03','reason':''}],"
			 "'drills':[{'name':'a','every_days':7,'spec':{}}]}");
	const json_t *a = json_array_get(json_object_get(s, "drills"), 0);
	const int64_t hour = 3600000, never = -1;
	const struct {
		int64_t last, refused, now, next;
	} rows[] = {
		{ 0, 0, TUESDAY, TUESDAY },				     /* at once */
		{ 0, 0, TUESDAY + hour, TUESDAY + 10 * hour },		     /* the evening's window */
		{ 0, 0, TUESDAY + 14 * hour, TUESDAY + 2 * DAY - hour / 2 }, /* Thursday */
		{ 0, TUESDAY - 1000, TUESDAY, TUESDAY - 1000 + SCHEDULE_AGAIN_MS },
		{ TUESDAY - 7 * DAY, 0, TUESDAY - DAY, TUESDAY },	/* to the minute */
		{ TUESDAY + 3650 * DAY, 0, TUESDAY, TUESDAY },		/* begun while the clock was wrong */
		{ TUESDAY, 0, TUESDAY, TUESDAY + 42 * DAY - hour / 2 }, /* beyond both blackouts: 5 January */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_auto_t *last = json_pack("{s:I}", "a", (json_int_t)rows[i].last);
		json_auto_t *refused = json_pack("{s:I}", "a", (json_int_t)rows[i].refused);
		int64_t next = schedule_next(s, a, last, refused, rows[i].now);
		if (next != rows[i].next)
			fail_msg("row %zu: %+lld minutes", i, (long long)(next - rows[i].next) / 60000);
		/* and then, not a minute before, it is due */
		assert_non_null(schedule_due(s, last, refused, next));
		if (next > rows[i].now)
			assert_null(schedule_due(s, last, refused, next - 60000));
	}
	json_auto_t *none = json_object();
	json_object_set_new(
		s, "blackout",
		json_pack("[{s:s, s:s, s:s}]", "from", "2026-01-01", "to", "9999-12-31", "reason", ""));
	assert_true(schedule_next(s, a, none, none, TUESDAY) > TUESDAY + 365 * DAY);
	json_object_del(s, "windows");
	assert_int_equal(schedule_next(s, a, none, none, TUESDAY), never);
	json_object_set_new(s, "enabled", json_false());
	assert_int_equal(schedule_next(s, a, none, none, TUESDAY), never);
}

static void test_schedule_errors(void **state)
{
	static const struct {
		const char *text, *pointer;
	} rows[] = {
		{ "[]", "" },
		{ "{}", "/enabled" },
		{ "{'enabled':true,'sometimes':1}", "" },
		{ "{'enabled':true,'windows':{}}", "/windows" },
		{ "{'enabled':true,'windows':[{'days':['tuesday'],'from':'09:00','to':'10:00'}]}",
		  "/windows/0/days" },
		{ "{'enabled':true,'windows':[{'days':['tue'],'from':'11:00','to':'10:00'}]}",
		  "/windows/0/from" },
		{ "{'enabled':true,'windows':[{'days':['tue'],'from':'9:00','to':'25:00'}]}",
		  "/windows/0/from" },
		{ "{'enabled':true,'blackout':[{'from':'2027-01-03','to':'2026-12-01','reason':''}]}",
		  "/blackout/0/from" },
		{ "{'enabled':true,'blackout':[{'from':'yesterday','to':'2026-12-01','reason':''}]}",
		  "/blackout/0/from" },
		{ "{'enabled':true,'blackout':[{'from':'2026-02-30','to':'2026-12-01','reason':''}]}",
		  "/blackout/0/from" },
		{ "{'enabled':true,'drills':[{'name':'','every_days':7,'spec':{}}]}", "/drills/0/name" },
		{ "{'enabled':true,'drills':[{'name':'x','every_days':7,'spec':{}},"
		  "{'name':'x','every_days':1,'spec':{}}]}",
		  "/drills/1/name" },
		{ "{'enabled':true,'drills':[{'name':'x','every_days':0,'spec':{}}]}",
		  "/drills/0/every_days" },
		{ "{'enabled':true,'drills':[{'name':'x','every_days':1,'spec':7}]}", "/drills/0/spec" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_auto_t *s = schedule(rows[i].text), *errors = json_array();
		assert_non_null(s);
		schedule_check(s, errors);
		if (!has(errors, "pointer", rows[i].pointer))
			fail_msg("row %zu: no error at %s", i, rows[i].pointer);
	}
}

/* -- measuring --------------------------------------------------------------------------------------------
 */

static void test_progress(void **state)
{
	struct drill_target targets[] = { { .base_bps = 60 }, { .base_bps = 40 } };
	struct drill_record r = { .kind = drill_kind("soft-drain"), .targets = targets, .n_targets = 2 };
	struct policy policy = { .settle_min_ms = 2000, .settle_max_ms = 20000 };
	struct progress p;

	(void)state;
	progress_begin(&p, &r, 0, 2, false);
	assert_float_equal(p.base_bps, 100, 0);
	assert_false(progress_step(&p, &policy, 1000, 60, true));
	assert_false(progress_step(&p, &policy, 2000, 30, true));
	assert_false(progress_step(&p, &policy, 3000, 15, true));
	assert_true(progress_step(&p, &policy, 4000, 4, true));
	assert_int_equal(p.t50_ms, 2000);
	assert_int_equal(p.t80_ms, 3000);
	assert_int_equal(p.t95_ms, 4000);
	assert_int_equal(p.settled_ms, 4000);
	/* the rest stays: over when it is steady, not before it was read back */
	progress_begin(&p, &r, 0, 2, false);
	for (int i = 1; i < 9; i++)
		assert_false(progress_step(&p, &policy, 1000 * i, 50, false));
	assert_true(progress_step(&p, &policy, 9000, 50, true));
	assert_int_equal(p.t80_ms, -1);
	/* and back */
	progress_begin(&p, &r, 0, 2, true);
	assert_false(progress_step(&p, &policy, 1000, 10, true));
	assert_true(progress_step(&p, &policy, 3000, 97, true));
	/* nothing to move: over when it was read back */
	targets[0].base_bps = targets[1].base_bps = 0;
	progress_begin(&p, &r, 0, 2, false);
	assert_true(progress_step(&p, &policy, 2000, 0, true));
}

/* -- the report -------------------------------------------------------------------------------------------
 */

static void test_report(void **state)
{
	struct world *w = *state;
	struct drill_record r;
	struct series s;
	struct findings f = { .restore_ms = 4200,
			      .answer = { .after_ms = -1 },
			      .all_held = true,
			      .drained = 0.97,
			      .predicted_drained = 0.6,
			      .residual = { 0.03, (double)NAN, (double)NAN } };
	auto_buf md = { 0 };
	auto_buf html = { 0 };

	snprintf(w->spec.reason, TEXT_LEN, "a *bold* <script>alert(1)</script> reason");
	record_init(&r, 7, &w->spec, "<img>anna");
	r.began_wall_ms = TUESDAY;
	json_array_append_new(
		r.stages,
		json_pack("{s:s,s:i,s:i,s:i,s:i,s:i,s:n,s:i,s:f,s:f,s:[{s:s,s:f,s:f,s:f,s:f,s:f,s:b}]}",
			  "state", "100", "weakened", 4, "moved_targets", 2, "detect_ms", 900, "t50_ms", 1000,
			  "t80_ms", 2000, "t95_ms", "settled_ms", 3000, "base_bps", 1e6, "residual", 0.02,
			  "sites", "site", "ams", "util_before", 0.2, "predicted", 0.4, "predicted_lo", 0.3,
			  "predicted_hi", 0.5, "measured", 0.45, "covered", 1));
	json_array_append_new(r.forecast, json_pack("{s:s, s:f, s:f}", "site", "ams", "util_before", 0.2,
						    "util_after", 0.4));
	json_array_append_new(r.forecast, json_pack("{s:s, s:f, s:f}", "site", "nyc", "util_before", 0.25,
						    "util_after", 0.05));
	json_decref(r.basis);
	r.basis = json_pack("{s:b, s:f, s:i, s:{s:f}}", "known", 1, "lessons", 12.0, "averaged_s", 100,
			    "noise", "ams", 0.02);
	series_init(&s, w->m.cl);
	w->m.sites[1].healthy = w->m.sites[2].healthy = true;
	for (int i = 0; i < 3000; i++) {
		w->m.sites[1].util = i < 9 ? 0.2 : 0.45;
		w->m.sites[2].util = i < 9 ? 0.25 : 0;
		series_add(&s, &w->m,
			   &(struct series_point){ .at_ms = i * 1000,
						   .state = i < 9 ? DRILL_CANARY : DRILL_HOLD,
						   .whole = i >= 9 });
	}
	assert_true(s.n <= SERIES_POINTS);
	json_auto_t *j = report_json(&r, &s, &f);
	assert_string_equal(json_string_value(json_object_get(j, "verdict")), "passed");
	json_t *drain = json_object_get(j, "drain");
	assert_int_equal(json_integer_value(json_object_get(drain, "t80_ms")), 2000);
	assert_true(json_is_null(json_object_get(drain, "t95_ms")));
	assert_true(json_is_null(json_object_get(drain, "residual_300s")));
	assert_float_equal(json_number_value(json_object_get(json_object_get(j, "prediction"), "error_pct")),
			   25, 0.01);
	/* 0.8 x 0.02 x sqrt(1/100 + 2/2991), of 0.4 */
	assert_float_equal(json_number_value(json_object_get(json_object_get(j, "prediction"), "noise_pct")),
			   0.413, 0.01);
	report_markdown(j, &md);
	assert_non_null(strstr(md.data, "of what 12 measured shifts had taught"));
	assert_non_null(strstr(md.data, "# Drill d7: soft-drain of site nyc"));
	assert_non_null(strstr(md.data, "a \\*bold\\* \\<script\\>"));
	assert_non_null(strstr(md.data, "by \\<img\\>anna"));
	assert_non_null(strstr(md.data, "| 100 | ams | 20.0 % | 40.0 % | 30.0 % | 50.0 % | 45.0 % | yes |"));
	assert_non_null(strstr(md.data, "give or take the load's own noise"));
	assert_non_null(strstr(md.data, "nobody looked")); /* not: nothing was lost */
	report_html(j, &html);
	assert_non_null(strstr(html.data, "nobody looked"));
	assert_null(strstr(html.data, "85 %")); /* far above everything */
	json_t *ams = json_array_get(json_object_get(json_object_get(j, "series"), "sites"), 1);
	json_array_set_new(json_object_get(ams, "bps"), 3, json_integer(95000000));
	auto_buf hot = { 0 };
	report_html(j, &hot);
	assert_non_null(strstr(hot.data, ">85 % of ams, nyc</text>"));
	assert_non_null(strstr(hot.data, ">85 % of fra</text>")); /* twice as large */
	assert_null(strstr(html.data, "<script"));
	assert_null(strstr(html.data, "http"));
	assert_non_null(strstr(html.data, "<polyline"));
	assert_non_null(strstr(html.data, "<circle"));
	assert_non_null(strstr(html.data, "2026-11-24T10:00:00Z"));
	assert_non_null(strstr(html.data, "of what 12 measured shifts had taught"));
	s.whole_n[1] = s.whole_n[2] = 0; /* it never came to the whole */
	json_auto_t *part = report_json(&r, &s, &f);
	assert_true(json_is_null(json_object_get(json_object_get(part, "prediction"), "error_pct")));
	f.drained = 0.3;
	json_auto_t *bad = report_json(&r, &s, &f);
	assert_string_equal(json_string_value(json_object_get(bad, "verdict")), "failed");
	memset(r.why, 'w', TEXT_LEN - 2); /* the longest reason is told to its end */
	r.why[TEXT_LEN - 2] = '!';
	snprintf(r.alarm, sizeof(r.alarm), "drops");
	json_auto_t *aborted = report_json(&r, &s, &f);
	auto_buf page = { 0 };
	report_html(aborted, &page);
	assert_non_null(strstr(page.data, "w!"));
	series_done(&s);
	record_done(&r);
}

/* Forecast of a site, and what was measured there while all of it was weakened. */
static void say(struct drill_record *r, struct series *s, size_t i, double before, double after, double got)
{
	json_array_append_new(r->forecast, json_pack("{s:s, s:f, s:f}", "site", s->sites[i], "util_before",
						     before, "util_after", after));
	s->whole_util[i] = got;
	s->whole_n[i] = 10;
	s->cap[i] = 100e6;
}

static double error_pct(const struct drill_record *r, const struct series *s)
{
	json_auto_t *j = outcome_json(r, s);

	return json_number_value(json_object_get(j, "error_pct"));
}

static void test_outcome(void **state)
{
	struct world *w = *state;
	struct drill_record r;
	struct series s;
	char text[TEXT_LEN];

	record_init(&r, 7, &w->spec, "anna");
	series_init(&s, w->m.cl);
	/* 30 points leave, all of them to fra; 15 each was said */
	say(&r, &s, 0, 0.2, 0.35, 0.5);
	say(&r, &s, 1, 0.2, 0.35, 0.2);
	say(&r, &s, 2, 0.3, 0.0, 0.0);
	assert_float_equal(error_pct(&r, &s), 50, 0.01);
	/* as it was said, with a tenth less demand everywhere */
	s.whole_util[0] = s.whole_util[1] = 0.9 * 0.35;
	assert_float_equal(error_pct(&r, &s), 0, 0.01);
	/* more demand at one place is not taken out */
	s.whole_util[0] = 0.35;
	s.whole_util[1] = 0.42;
	assert_true(error_pct(&r, &s) > 8);
	/* what is taken for dead is not measured: its heirs tell */
	s.whole_util[0] = s.whole_util[1] = 0.35;
	s.whole_n[2] = 0;
	assert_float_equal(error_pct(&r, &s), 0, 0.01);
	json_auto_t *j = outcome_json(&r, &s);
	outcome_basis_text(j, text, sizeof(text));
	assert_string_equal(text, "");
	json_decref(r.basis);
	r.basis =
		basis_json(w->m.cl, &(struct forecast_basis){ .rounds = 30 }, (double[]){ 0.01, 0.01, 0.01 });
	json_auto_t *first = outcome_json(&r, &s);
	assert_true(json_is_false(json_object_get(first, "known")));
	outcome_basis_text(first, text, sizeof(text));
	assert_non_null(strstr(text, "a guess"));
	series_done(&s);
	record_done(&r);
}

static void test_record_survives_the_store(void **state)
{
	struct world *w = *state;
	struct drill_record r, back;

	look(w);
	record_init(&r, 12, &w->spec, "anna");
	r.state = DRILL_50;
	r.targets = w->p.targets;
	r.n_targets = w->p.n_targets;
	r.routes = 1234567890123;
	r.epoch = 9;
	w->p.targets = NULL;
	w->p.n_targets = 0;
	r.targets[1].on = true;
	auto_free char *text = record_text(&r);
	assert_int_equal(record_parse(text, &back), 0);
	auto_free char *again = record_text(&back);
	assert_string_equal(text, again);
	assert_int_equal(record_wanted(&back, DRILL_CANARY), 1);
	assert_int_equal(record_wanted(&back, DRILL_25), 1);
	assert_int_equal(record_wanted(&back, DRILL_50), 2);
	assert_int_equal(record_wanted(&back, DRILL_HOLD), 4);
	assert_int_equal(record_parse("{\"state\": \"nonsense\"}", &(struct drill_record){ 0 }),
			 ERR_MALFORMED);
	assert_int_equal(record_parse("not even JSON", &(struct drill_record){ 0 }), ERR_MALFORMED);
	record_done(&r);
	record_done(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair_is_decided),
		cmocka_unit_test(test_nothing_weakened_is_forgotten),
		cmocka_unit_test(test_the_good_way),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_requests, setup, teardown),
		cmocka_unit_test(test_each_reason_against),
		cmocka_unit_test_setup_teardown(test_every_reason_at_once, setup, teardown),
		cmocka_unit_test(test_schedule),
		cmocka_unit_test(test_when_next),
		cmocka_unit_test(test_schedule_errors),
		cmocka_unit_test(test_progress),
		cmocka_unit_test_setup_teardown(test_report, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outcome, setup, teardown),
		cmocka_unit_test_setup_teardown(test_record_survives_the_store, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
