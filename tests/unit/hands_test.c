/* SPDX-License-Identifier: Apache-2.0
 * The operator's hands on the cluster: drains that go through their stages by what is measured, overrides
 * that are confirmed or revert, and both after a restart. The guard says what is set; a round is played by
 * hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "controller/control.h"
#include "controller/enrol.h"
#include "controller/fleet.h"
#include "controller/rounds.h"
#include "controller/store_impl.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

static struct {
	bool refuses;
	size_t asked, moves;
	uint8_t to;
} guard;

void fleet_changed(struct fleet *f)
{
	(void)f;
}
void enrol_load(struct enrol *e)
{
	(void)e;
}
void rounds_changed(struct rounds *r)
{
	(void)r;
}
void rounds_follow(struct rounds *r)
{
	(void)r;
}
int rounds_guard_operator(struct rounds *r, const struct move *moves, size_t n,
			  struct guard_verdict *ret_verdict)
{
	(void)r;
	guard.asked++;
	guard.moves = n;
	guard.to = n ? moves[0].to : 0;
	ret_verdict->id = GUARD_I1;
	snprintf(ret_verdict->why, sizeof(ret_verdict->why), "too few sites");
	return guard.refuses ? ERR_GUARD : 0;
}
const char *guard_str(enum guard_id id)
{
	return id == GUARD_I1 ? "I1" : "?";
}

static const char document[] =
	"{\"name\": \"t\", \"policy\": {\"settle_min_ms\": 1000, \"settle_max_ms\": 2000}, \"sites\": ["
	"{\"name\": \"a\", \"nodes\": [{\"name\": \"a1\", \"capacity\": {\"bps\": 1000000}},"
	"{\"name\": \"a2\", \"capacity\": {\"bps\": 1000000}}]},"
	"{\"name\": \"b\", \"nodes\": [{\"name\": \"b1\", \"capacity\": {\"bps\": 1000000}}]}],"
	"\"services\": [{\"name\": \"web\", \"shards\": [{\"name\": \"s1\", \"prefixes\": "
	"[\"198.18.1.0/24\"]}]}, {\"name\": \"dns\", \"shards\": [{\"name\": \"s2\", \"prefixes\": "
	"[\"198.18.2.0/24\"]}]}]}";

static struct controller c;
static struct model *const m = &c.model;
#define A 0
#define B 1

static uint8_t grade(const char *name)
{
	return (uint8_t)cluster_grade(m->cl, name);
}

/* Every node announces every shard as its cell says, and reports just now. */
static void report(double bps)
{
	for (size_t i = 0; i < m->cl->n_nodes; i++) {
		struct node_live *n = &m->nodes[i];
		n->connected = n->bgp_ok = n->service_up = true;
		n->report_at = mono_now();
		n->load[RES_BPS] = bps;
		for (size_t k = 0; k < m->cl->n_shards; k++) {
			n->shards[k].announced = n->shards[k].service_up = n->shards[k].permit_known = true;
			n->shards[k].grade = model_cell(m, m->cl->nodes[i].site, k)->grade;
		}
	}
	for (size_t i = 0; i < m->cl->n_sites * m->cl->n_shards; i++) {
		m->cells[i].announced = true;
		m->cells[i].hi[RES_BPS] = bps;
	}
}

static void store_cell(size_t site, size_t k)
{
	const struct cell_live *cell = model_cell(m, site, k);
	const char *name = m->cl->grades.g[cell->wanted].name, *shard = m->cl->shards[k].name;
	auto_free char *grade_key = xasprintf("grade/%s/%s", m->cl->sites[site].name, shard);
	auto_free char *hand_key = xasprintf("hand/%s/%s", m->cl->sites[site].name, shard);
	struct store_op ops[] = { { grade_key, name }, { hand_key, cell->base ? name : NULL } };

	store_write(c.store, ops, ARRAY_LEN(ops), NULL);
}

/* What the rounds do with the hands: ordered is had at once. */
static void play(void)
{
	drains_round(&c);
	overrides_round(&c);
	for (size_t i = 0; i < m->cl->n_sites; i++)
		for (size_t k = 0; k < m->cl->n_shards; k++) {
			struct cell_live *cell = model_cell(m, i, k);
			cell->base = cell->wanted = cell->grade = model_hand(m, i, k).base;
			cell->ordered = true;
			store_cell(i, k);
		}
}

static void restart(void)
{
	char why[TEXT_LEN];

	model_done(m);
	model_init(m, cluster_empty());
	assert_int_equal(control_load(&c, why), 0);
	for (size_t i = 0; i < m->cl->n_sites * m->cl->n_shards; i++)
		m->cells[i].grade = m->cells[i].wanted;
}

static int setup(void **state)
{
	json_auto_t *doc = json_loads(document, 0, NULL);

	(void)state;
	memset(&guard, 0, sizeof(guard));
	c = (struct controller){ 0 };
	store_open_memory(&c.store);
	c.events = events_new(c.store);
	model_init(m, cluster_empty());
	struct op_result r = control_put_cluster(&c, "t", doc, "", false);
	if (r.status != 200)
		fail_msg("%s", r.detail);
	for (size_t i = 0; i < m->cl->n_sites * m->cl->n_shards; i++)
		m->cells[i].wanted = m->cells[i].grade = 0;
	report(1e6);
	play();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	model_done(m);
	events_free(c.events);
	store_close(c.store);
	return 0;
}

static struct op_result start_drain(enum drain_kind kind, const char *name, const char *site)
{
	return control_drain(&c, "alice",
			     &(struct drain_ask){ .kind = kind,
						  .name = name,
						  .site = site,
						  .reason = "works",
						  .wait_s = 3600,
						  .residual_pct = 10 });
}

/* As if the present stage had begun that long ago. */
static void age(struct drain *d, int64_t ms)
{
	d->stage_since = mono_add_ms(mono_now(), -ms);
}

/* -- drains ------------------------------------------------------------------------------------------ */

static void test_site_drain_in_order(void **state)
{
	struct drain *d = &m->sites[A].drain;

	(void)state;
	assert_int_equal(start_drain(DRAIN_SITE, "a", NULL).status, 200);
	assert_int_equal(d->stage, DRAIN_DRAINING);
	assert_true(d->load_before_bps == 2e6);
	assert_int_equal(model_hand(m, A, 0).base, grade("drain"));
	assert_int_equal(model_hand(m, B, 0).base, 0);
	play(); /* not yet at the routers when it looks, then ordered */
	assert_int_equal(d->stage, DRAIN_DRAINING);
	report(1e6);
	play();
	assert_int_equal(d->stage, DRAIN_WAITING);
	age(d, 60000);
	report(0.2e6); /* a fifth: more than a tenth */
	play();
	assert_int_equal(d->stage, DRAIN_WAITING);
	report(0.05e6);
	play();
	assert_int_equal(d->stage, DRAIN_WITHDRAWN);
	assert_int_equal(guard.to, grade("withdrawn"));
	assert_int_equal(guard.moves, 2);
	assert_int_equal(model_hand(m, A, 0).base, grade("withdrawn"));
	assert_int_equal(control_undrain(&c, "bob", DRAIN_SITE, "a", NULL, "done").status, 200);
	assert_int_equal(model_hand(m, A, 0).base, 0);
	assert_false(d->on);
}

/* The fall alone is not enough before the change has settled: the engine learns from it. */
static void test_settles_first(void **state)
{
	struct drain *d = &m->sites[A].drain;

	(void)state;
	start_drain(DRAIN_SITE, "a", NULL);
	play();
	report(0);
	play();
	play();
	assert_int_equal(d->stage, DRAIN_WAITING);
	age(d, 10000);
	play();
	assert_int_equal(d->stage, DRAIN_WITHDRAWN);
}

static void test_held_by_the_guard(void **state)
{
	struct drain *d = &m->sites[A].drain;

	(void)state;
	start_drain(DRAIN_SITE, "a", NULL);
	play();
	report(0);
	play();
	guard.refuses = true;
	age(d, 10000);
	play();
	assert_int_equal(d->stage, DRAIN_HELD);
	assert_non_null(strstr(d->held, "I1: too few sites"));
	assert_int_equal(model_hand(m, A, 0).base, grade("drain"));
	guard.refuses = false;
	age(d, 10000);
	play();
	assert_int_equal(d->stage, DRAIN_WITHDRAWN);
	play();
	assert_string_equal(d->held, "");
}

static void test_silence_never_withdraws(void **state)
{
	struct drain *d = &m->sites[A].drain;

	(void)state;
	start_drain(DRAIN_SITE, "a", NULL);
	play();
	report(0);
	play();
	m->nodes[0].report_at = mono_add_ms(mono_now(), -60000);
	d->wait_ms = 0;
	age(d, 10000);
	size_t asked = guard.asked;
	play();
	assert_int_equal(d->stage, DRAIN_HELD);
	assert_non_null(strstr(d->held, "silence"));
	assert_int_equal(guard.asked, asked);
}

static void test_longest_wait_and_keep(void **state)
{
	struct drain *d = &m->sites[A].drain, *kept = &m->sites[B].drain;

	(void)state;
	start_drain(DRAIN_SITE, "a", NULL);
	control_drain(&c, "alice",
		      &(struct drain_ask){ .kind = DRAIN_SITE, .name = "b", .reason = "x", .keep = true });
	play();
	report(1e6);
	play();
	d->since = mono_add_ms(mono_now(), -3601000);
	play();
	assert_int_equal(d->stage, DRAIN_WITHDRAWN);
	age(kept, 100000);
	kept->since = kept->stage_since;
	report(0);
	play();
	assert_int_equal(kept->stage, DRAIN_WAITING);
}

static void test_refused_at_the_start(void **state)
{
	(void)state;
	guard.refuses = true;
	struct op_result r = start_drain(DRAIN_SITE, "a", NULL);
	assert_int_equal(r.status, 409);
	assert_non_null(strstr(r.detail, "I1"));
	assert_false(m->sites[A].drain.on);
	assert_int_equal(start_drain(DRAIN_SERVICE, "web", "nowhere").status, 404);
	assert_int_equal(start_drain(DRAIN_SERVICE, "nothing", "a").status, 404);
	assert_int_equal(control_undrain(&c, "t", DRAIN_SERVICE, "web", "a", "").status, 200);
}

/* One node of two weakens nothing outside; the last one of a site does, as the site. */
static void test_nodes(void **state)
{
	struct drain *a1 = &m->nodes[0].drain, *a2 = &m->nodes[1].drain;

	(void)state;
	size_t asked = guard.asked;
	assert_int_equal(start_drain(DRAIN_NODE, "a1", NULL).status, 200);
	assert_int_equal(guard.asked, asked);
	assert_int_equal(model_hand(m, A, 0).base, 0);
	m->nodes[0].shards[0].grade = m->nodes[0].shards[1].grade = grade("drain");
	drains_round(&c);
	assert_int_equal(a1->stage, DRAIN_WAITING);
	m->nodes[0].load[RES_BPS] = 0;
	m->nodes[1].shards[1].service_up = false; /* who would carry s2? */
	age(a1, 10000);
	drains_round(&c);
	assert_int_equal(a1->stage, DRAIN_HELD);
	assert_non_null(strstr(a1->held, "no other node of a surely carries s2"));
	m->nodes[1].shards[1].service_up = true;
	age(a1, 10000);
	drains_round(&c);
	assert_int_equal(a1->stage, DRAIN_WITHDRAWN);
	assert_int_equal(guard.asked, asked);

	guard.refuses = true;
	assert_int_equal(start_drain(DRAIN_NODE, "a2", NULL).status, 409);
	guard.refuses = false;
	assert_int_equal(start_drain(DRAIN_NODE, "a2", NULL).status, 200);
	assert_int_equal(guard.moves, 2);
	assert_int_equal(model_hand(m, A, 0).base, grade("drain"));
	a2->stage = DRAIN_WITHDRAWN;
	assert_int_equal(model_hand(m, A, 0).base, grade("withdrawn"));
}

static void test_service(void **state)
{
	(void)state;
	assert_int_equal(start_drain(DRAIN_SERVICE, "web", "a").status, 200);
	assert_int_equal(guard.moves, 1);
	assert_int_equal(model_hand(m, A, 0).base, grade("drain"));
	assert_int_equal(model_hand(m, A, 1).base, 0);
	assert_int_equal(start_drain(DRAIN_SERVICE, "web", "a").status, 409);
	restart();
	const struct drain *d = drain_find(m, DRAIN_SERVICE, "web", "a");
	assert_non_null(d);
	assert_true(d->on && d->load_before_bps == 1e6);
	/* it stays with its service when the document is changed around it */
	json_auto_t *doc = json_loads(document, 0, NULL);
	json_t *services = json_object_get(doc, "services");
	json_t *web = json_incref(json_array_get(services, 0));
	json_array_remove(services, 0);
	json_array_append_new(services, web);
	assert_int_equal(control_put_cluster(&c, "t", doc, "", false).status, 200);
	d = drain_find(m, DRAIN_SERVICE, "web", "a");
	assert_true(d && d->on);
	assert_null(drain_find(m, DRAIN_SERVICE, "dns", "a"));
	size_t web_shard = (size_t)cluster_shard(m->cl, "s1");
	assert_int_equal(control_undrain(&c, "bob", DRAIN_SERVICE, "web", "a", "").status, 200);
	assert_int_equal(model_hand(m, A, web_shard).base, 0);
	assert_false(model_hand(m, A, web_shard).held);
}

/* In observe mode cells may never have been ordered: the guard is asked about what they announce. */
static void test_asks_about_what_was_never_ordered(void **state)
{
	(void)state;
	for (size_t i = 0; i < m->cl->n_sites * m->cl->n_shards; i++) {
		m->cells[i].ordered = false;
		m->cells[i].wanted = grade("withdrawn");
	}
	guard.refuses = true;
	assert_int_equal(start_drain(DRAIN_SITE, "a", NULL).status, 409);
	assert_int_equal(guard.moves, 2);
}

/* Of two drains of one place the one that has come further counts, whichever came first: the end of the
 * other must not weaken anything anew. */
static void test_the_further_drain_counts(void **state)
{
	(void)state;
	start_drain(DRAIN_SERVICE, "web", "a");
	m->service_drains[0]->stage = DRAIN_WITHDRAWN;
	play();
	assert_int_equal(model_hand(m, A, 0).base, grade("withdrawn"));
	assert_int_equal(start_drain(DRAIN_SITE, "a", NULL).status, 200);
	assert_int_equal(model_hand(m, A, 0).base, grade("withdrawn"));
	assert_int_equal(model_hand(m, A, 1).base, grade("drain"));
}

/* What leaves the document takes its drain and its orders with it: they must not rise again at a restart
 * long after it came back. */
static void test_gone_from_the_document(void **state)
{
	json_auto_t *doc = json_loads(document, 0, NULL), *less = json_loads(document, 0, NULL);
	auto_free char *left = NULL;

	(void)state;
	start_drain(DRAIN_SITE, "b", NULL);
	start_drain(DRAIN_SITE, "a", NULL);
	store_write(c.store, &(struct store_op){ "grade/b/s1", "withdrawn" }, 1, NULL);
	json_t *sites = json_object_get(less, "sites");
	json_array_append_new(sites, json_deep_copy(json_array_get(sites, 1)));
	json_array_remove(sites, 1);
	json_object_set_new(json_array_get(sites, 1), "name", json_string("c"));
	json_t *nodes = json_object_get(json_array_get(sites, 1), "nodes");
	json_object_set_new(json_array_get(nodes, 0), "name", json_string("c1"));
	assert_int_equal(control_put_cluster(&c, "t", less, "", false).status, 200);
	assert_int_equal(store_get(c.store, "drain/site/b", &left), -ENOENT);
	assert_int_equal(store_get(c.store, "grade/b/s1", &left), -ENOENT);
	assert_int_equal(control_put_cluster(&c, "t", doc, "", false).status, 200);
	restart();
	assert_false(m->sites[B].drain.on);
	assert_true(m->sites[A].drain.on);
	assert_false(model_cell(m, B, 0)->ordered);
}

static void test_drain_goes_on_after_a_restart(void **state)
{
	(void)state;
	start_drain(DRAIN_SITE, "a", NULL);
	play();
	report(1e6);
	play();
	assert_int_equal(m->sites[A].drain.stage, DRAIN_WAITING);
	restart();
	struct drain *d = &m->sites[A].drain;
	assert_int_equal(d->stage, DRAIN_WAITING);
	assert_true(d->load_before_bps == 2e6);
	assert_int_equal(model_cell(m, A, 0)->base, grade("drain"));
	report(0);
	age(d, 10000);
	play();
	assert_int_equal(d->stage, DRAIN_WITHDRAWN);
	restart();
	assert_int_equal(model_cell(m, A, 0)->base, grade("withdrawn"));
	/* its time is over: given back */
	m->sites[A].drain.expires_at = mono_add_ms(mono_now(), -1);
	play();
	assert_false(m->sites[A].drain.on);
}

static bool moved(size_t site, size_t k)
{
	const struct cell_live *cell = model_cell(m, site, k);
	struct hand h = model_hand(m, site, k);

	return model_hand_moved(m, cell, &h);
}

/* A crash, or another leader, between what is stored of a hand and what is ordered for it: in either
 * direction the rounds still have to follow. */
static void test_crash_before_the_order(void **state)
{
	(void)state;
	start_drain(DRAIN_SITE, "a", NULL);
	restart();
	assert_true(m->sites[A].drain.on);
	assert_int_equal(model_cell(m, A, 0)->wanted, 0);
	assert_true(moved(A, 0) && moved(A, 1) && !moved(B, 0));
	play();
	restart();
	assert_false(moved(A, 0));
	m->sites[A].drain.stage = DRAIN_WAITING; /* the next stage is stored, and not ordered */
	m->sites[A].drain.wait_ms = 0;
	m->sites[A].drain.since = mono_add_ms(mono_now(), -1000);
	report(1e6);
	drains_round(&c);
	assert_int_equal(m->sites[A].drain.stage, DRAIN_WITHDRAWN);
	restart();
	assert_int_equal(model_cell(m, A, 0)->base, grade("drain"));
	assert_true(moved(A, 0));
	play();
	/* and its end: nothing else would ever give the site back in mode observe */
	control_undrain(&c, "bob", DRAIN_SITE, "a", NULL, "");
	restart();
	assert_int_equal(model_cell(m, A, 0)->wanted, grade("withdrawn"));
	assert_true(moved(A, 0) && moved(A, 1) && !moved(B, 0));
	play();
	restart();
	assert_int_equal(model_cell(m, A, 0)->wanted, 0);
	assert_false(moved(A, 0));
}

/* a2 is there in the document only: a1 is the site, whatever it is called. */
static void test_node_without_others(void **state)
{
	(void)state;
	m->nodes[1].connected = false;
	guard.refuses = true;
	assert_int_equal(start_drain(DRAIN_NODE, "a1", NULL).status, 409);
	assert_int_equal(guard.moves, 2);
	m->nodes[1].connected = true;
	m->nodes[1].shards[1].service_up = false; /* carries s1 alone */
	assert_int_equal(start_drain(DRAIN_NODE, "a1", NULL).status, 409);
	assert_int_equal(guard.moves, 1);
	guard.refuses = false;
	assert_int_equal(start_drain(DRAIN_NODE, "a1", NULL).status, 200);
}

/* Steps of the wall clock end nothing early and keep nothing for ever. */
static void test_deadlines(void **state)
{
	int64_t wall = wall_now_ms(), year = INT64_C(365) * 86400000;
	mono_t now = mono_now(), unset = model_deadline(0, wall);

	(void)state;
	assert_false(mono_is_set(unset) || model_is_over(unset, now));
	assert_in_range(mono_diff_ms(now, model_deadline(wall + 60000, wall - 60000)), 59000, 60100);
	mono_t past = model_deadline(wall - 1, wall - 60000);
	assert_true(model_is_over(past, mono_now()));
	/* it was made by a clock ten years ahead of the one we have now: no longer than it was meant */
	assert_in_range(mono_diff_ms(now, model_deadline(wall + 10 * year, wall + 10 * year - 60000)), 59000,
			60100);
	/* the clock steps while it runs */
	control_drain(&c, "alice",
		      &(struct drain_ask){ .kind = DRAIN_SITE, .name = "a", .reason = "x", .expires_s = 60 });
	m->sites[A].drain.expires_wall_ms = wall - year;
	play();
	assert_true(m->sites[A].drain.on);
}

/* -- overrides --------------------------------------------------------------------------------------- */

static struct op_result override_a(const char *g, int64_t expires_s, int64_t confirm_s)
{
	char id[sizeof(m->overrides->id)];

	return control_override(&c, "alice",
				&(struct override_ask){ .site = "a",
							.shard = "s1",
							.grade = g,
							.reason = "peering down",
							.expires_s = expires_s,
							.confirm_s = confirm_s },
				id);
}

static void test_override(void **state)
{
	(void)state;
	assert_int_equal(override_a("prepend2", 0, 0).status, 201);
	assert_int_equal(guard.to, grade("prepend2"));
	struct hand h = model_hand(m, A, 0);
	assert_true(h.exact && h.held);
	assert_int_equal(h.base, grade("prepend2"));
	assert_int_equal(override_a("prepend1", 0, 0).status, 409);
	/* it beats the drain of its site */
	start_drain(DRAIN_SITE, "a", NULL);
	assert_int_equal(model_hand(m, A, 0).base, grade("prepend2"));
	assert_int_equal(model_hand(m, A, 1).base, grade("drain"));
	play();
	/* back to the drain is a weakening: the guard may say no */
	guard.refuses = true;
	assert_int_equal(control_override_delete(&c, "bob", "grade:a:s1", "").status, 409);
	guard.refuses = false;
	assert_int_equal(control_override_delete(&c, "bob", "grade:a:s1", "").status, 200);
	assert_int_equal(model_hand(m, A, 0).base, grade("drain"));
	assert_int_equal(control_override_delete(&c, "bob", "grade:a:s1", "").status, 404);
}

static void test_override_is_checked(void **state)
{
	(void)state;
	assert_int_equal(override_a("nonsense", 0, 0).status, 422);
	guard.refuses = true;
	assert_int_equal(override_a("withdrawn", 0, 0).status, 409);
	guard.refuses = false;
	assert_int_equal(m->n_overrides, 0);
	control_set_mode(&c, "t", MODE_FREEZE, "storm");
	assert_int_equal(override_a("prepend1", 0, 0).status, 409);
}

static void test_commit_confirm(void **state)
{
	(void)state;
	assert_int_equal(override_a("prepend1", 0, 60).status, 201);
	restart(); /* the deadline goes on without us */
	assert_int_equal(m->n_overrides, 1);
	assert_int_equal(model_hand(m, A, 0).base, grade("prepend1"));
	play();
	assert_int_equal(m->n_overrides, 1);
	m->overrides[0].confirm_at = mono_add_ms(mono_now(), -1);
	play();
	assert_int_equal(m->n_overrides, 0);
	assert_int_equal(model_hand(m, A, 0).base, 0);
	restart();
	assert_int_equal(m->n_overrides, 0);

	assert_int_equal(override_a("prepend1", 100, 60).status, 201);
	assert_int_equal(control_override_confirm(&c, "bob", "grade:a:s1").status, 200);
	restart();
	assert_int_equal(m->overrides[0].confirm_by_wall_ms, 0);
	m->overrides[0].expires_at = mono_add_ms(mono_now(), -1);
	play();
	assert_int_equal(m->n_overrides, 0);
}

static void test_weight(void **state)
{
	struct override_ask ask = { .node = "a2", .shard = "s2", .weight = 7, .reason = "old disk" };
	char id[sizeof(m->overrides->id)];

	(void)state;
	assert_int_equal(control_override(&c, "alice", &ask, id).status, 201);
	assert_string_equal(id, "weight:a2:s2");
	assert_int_equal(m->nodes[1].shards[1].weight_pin, 7);
	assert_int_equal(m->nodes[1].shards[0].weight_pin, 0);
	ask.weight = 101;
	ask.shard = "s1";
	assert_int_equal(control_override(&c, "alice", &ask, id).status, 422);
	/* the document may lose and find again what it names */
	json_auto_t *doc = json_loads(document, 0, NULL);
	json_t *a = json_array_get(json_object_get(doc, "sites"), 0), *nodes = json_object_get(a, "nodes");
	json_t *a2 = json_incref(json_array_get(nodes, 1));
	json_array_remove(nodes, 1);
	control_put_cluster(&c, "t", doc, "", false);
	assert_int_equal(m->n_overrides, 1);
	json_array_append_new(nodes, a2);
	control_put_cluster(&c, "t", doc, "", false);
	assert_int_equal(m->nodes[cluster_node(m->cl, "a2")].shards[1].weight_pin, 7);
	assert_int_equal(control_override_delete(&c, "bob", "weight:a2:s2", "").status, 200);
	assert_int_equal(m->nodes[cluster_node(m->cl, "a2")].shards[1].weight_pin, 0);
}

static const struct store_ops *good_store;

static int slow_write(struct store *s, const struct store_op *ops, size_t n, struct store_event *ev,
		      size_t n_ev)
{
	mono_t end = mono_add_ms(mono_now(), 20);

	while (mono_diff_ms(mono_now(), end) > 0)
		continue;
	return good_store->write(s, ops, n, ev, n_ev);
}

/* A hundred overrides that end at once, on a disk that takes 20 ms: never two seconds in one go. */
static void test_many_ends_take_some_rounds(void **state)
{
	json_auto_t *doc = json_loads(document, 0, NULL);
	json_t *shards = json_object_get(json_array_get(json_object_get(doc, "services"), 0), "shards");
	char id[sizeof(m->overrides->id)], shard[NAME_LEN];
	struct store_ops slow;
	unsigned rounds = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		json_array_append_new(shards, json_pack("{s:o, s:[o]}", "name", json_sprintf("x%d", i),
							"prefixes", json_sprintf("203.0.%d.0/24", i)));
	assert_int_equal(control_put_cluster(&c, "t", doc, "", false).status, 200);
	for (int i = 0; i < 100; i++) {
		snprintf(shard, sizeof(shard), "x%d", i);
		control_override(&c, "alice",
				 &(struct override_ask){
					 .site = "a", .shard = shard, .grade = "prepend1", .reason = "r" },
				 id);
	}
	assert_int_equal(m->n_overrides, 100);
	for (size_t i = 0; i < 100; i++)
		m->overrides[i].expires_at = mono_add_ms(mono_now(), -1000);
	good_store = c.store->ops;
	slow = *good_store;
	slow.write = slow_write;
	c.store->ops = &slow;
	for (; m->n_overrides && rounds < 50; rounds++) {
		mono_t began = mono_now();
		overrides_round(&c);
		assert_in_range(mono_diff_ms(began, mono_now()), 0, 1000);
	}
	c.store->ops = good_store;
	assert_int_equal(m->n_overrides, 0);
	assert_in_range(rounds, 3, 49);
	for (size_t k = 0; k < m->cl->n_shards; k++)
		assert_false(model_cell(m, A, k)->pinned);
}

/* Started anew, the controller takes a node's weight from its routers, but not what a hand put there. */
static void test_weight_does_not_outlive_the_hand(void **state)
{
	struct override_ask ask = { .node = "a2", .shard = "s1", .weight = 7, .reason = "old disk" };
	char id[sizeof(m->overrides->id)];

	(void)state;
	control_override(&c, "alice", &ask, id);
	start_drain(DRAIN_NODE, "a1", NULL);
	restart();
	report(1e6);
	struct node_live *a1 = &m->nodes[0], *a2 = &m->nodes[1];
	a1->shards[0].weight = a1->shards[1].weight = DRAIN_WEIGHT;
	a2->shards[0].weight = 7;
	model_adopt_weight(a1, 0);
	model_adopt_weight(a2, 0);
	assert_int_equal(a1->weight + a2->weight, 0);
	/* they end; the routers have the old ones a moment longer */
	control_override_delete(&c, "bob", "weight:a2:s1", "");
	control_undrain(&c, "bob", DRAIN_NODE, "a1", NULL, "");
	model_adopt_weight(a1, 0);
	model_adopt_weight(a2, 0);
	assert_int_equal(a1->weight + a2->weight, 0);
	a2->shards[1].weight = 40;
	model_adopt_weight(a2, 1);
	assert_int_equal(a2->weight, 40);
}

static void test_mode_keeps_its_reason(void **state)
{
	(void)state;
	control_set_mode(&c, "alice", MODE_FREEZE, "storm");
	restart();
	assert_int_equal(m->mode, MODE_FREEZE);
	assert_string_equal(m->mode_reason, "storm");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_site_drain_in_order),
		T(test_settles_first),
		T(test_held_by_the_guard),
		T(test_silence_never_withdraws),
		T(test_longest_wait_and_keep),
		T(test_refused_at_the_start),
		T(test_nodes),
		T(test_service),
		T(test_asks_about_what_was_never_ordered),
		T(test_the_further_drain_counts),
		T(test_gone_from_the_document),
		T(test_drain_goes_on_after_a_restart),
		T(test_crash_before_the_order),
		T(test_node_without_others),
		T(test_deadlines),
		T(test_override),
		T(test_override_is_checked),
		T(test_commit_confirm),
		T(test_weight),
		T(test_many_ends_take_some_rounds),
		T(test_weight_does_not_outlive_the_hand),
		T(test_mode_keeps_its_reason),
	};

	log_init("hands_test", LOG_LEVEL_ERROR + 1, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
