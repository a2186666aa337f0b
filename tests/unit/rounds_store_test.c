/* SPDX-License-Identifier: Apache-2.0
 * Rounds over a store that refuses writes: what weakens waits for it, what strengthens is done from memory
 * and written later, and a standby does nothing at all. Real rounds, engine, guard and clock; the fleet is a
 * stand-in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "controller/control.h"
#include "controller/fleet.h"
#include "controller/rounds.h"
#include "controller/store_impl.h"

#define DEADLINE_MS 20000

static const char document[] =
	"{\"name\": \"t\", \"sites\": ["
	"{\"name\": \"a\", \"nodes\": [{\"name\": \"a1\", \"capacity\": {\"bps\": 1000000}}]},"
	"{\"name\": \"b\", \"nodes\": [{\"name\": \"b1\", \"capacity\": {\"bps\": 1000000}}]},"
	"{\"name\": \"c\", \"nodes\": [{\"name\": \"c1\", \"capacity\": {\"bps\": 1000000}}]}],"
	"\"services\": [{\"name\": \"web\", \"shards\": [{\"name\": \"s1\", \"prefixes\": "
	"[\"198.18.1.0/24\"]}]}]}";

struct rig {
	struct controller c;
	uv_loop_t loop;
	const struct store_ops *good;
	struct store_ops broken;
};
static struct rig t;
static unsigned directed, held;
static bool dead; /* the service at the first node */

void fleet_direct(struct fleet *f)
{
	(void)f;
	directed++;
}
static fleet_ask_fn ask_permit;

void fleet_on_ask(struct fleet *f, fleet_ask_fn fn)
{
	(void)f;
	ask_permit = fn;
}
void fleet_permits(struct fleet *f, const bool *grants)
{
	(void)f;
	(void)grants;
}
void drains_round(struct controller *c)
{
	(void)c;
}
void overrides_round(struct controller *c)
{
	(void)c;
}

static int refuse(struct store *s, const struct store_op *ops, size_t n, struct store_event *ev, size_t n_evs)
{
	(void)ops;
	(void)n;
	(void)ev;
	(void)n_evs;
	return store_fail(s, "disk is full");
}

static void report_all(void)
{
	struct model *m = &t.c.model;

	for (size_t i = 0; i < m->cl->n_nodes; i++) {
		struct node_live *n = &m->nodes[i];
		n->connected = n->bgp_ok = n->service_up = n->measured = true;
		n->report_at = mono_now();
		for (size_t k = 0; k < m->cl->n_shards; k++)
			n->shards[k] = (struct node_shard){ .seen = true,
							    .announced = true,
							    .service_up = !dead || i,
							    .permit_known = true,
							    .weight = 100 };
	}
}

static int setup(void **state)
{
	struct cluster *cl;
	json_auto_t *doc = json_loads(document, 0, NULL), *errors = json_array();

	(void)state;
	memset(&t, 0, sizeof(t));
	held = 0;
	dead = false;
	uv_loop_init(&t.loop);
	t.c.loop = &t.loop;
	store_open_memory(&t.c.store);
	t.good = t.c.store->ops;
	t.broken = *t.good;
	t.broken.write = refuse;
	t.c.events = events_new(t.c.store);
	assert_int_equal(cluster_parse(doc, &cl, errors), 0);
	model_init(&t.c.model, cl);
	t.c.model.mode = MODE_STEER;
	t.c.rounds = rounds_new(&t.c);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rounds_free(t.c.rounds);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	uv_loop_close(&t.loop);
	model_done(&t.c.model);
	events_free(t.c.events);
	t.c.store->ops = t.good;
	store_close(t.c.store);
	return 0;
}

static void nothing(uv_timer_t *timer)
{
	report_all();
	(void)timer;
}

/* Turns the loop, with fresh reports, until the condition holds. */
#define UNTIL(cond)                                                                                          \
	do {                                                                                                 \
		mono_t end_ = mono_add_ms(mono_now(), DEADLINE_MS);                                          \
		while (!(cond)) {                                                                            \
			if (mono_diff_ms(end_, mono_now()) > 0)                                              \
				fail_msg("not within %d ms: %s", DEADLINE_MS, #cond);                        \
			turn();                                                                              \
		}                                                                                            \
	} while (0)

static void closed(uv_handle_t *h)
{
	(void)h;
}

static void turn(void)
{
	uv_timer_t timer;

	report_all();
	uv_timer_init(&t.loop, &timer);
	uv_timer_start(&timer, nothing, 20, 0);
	uv_run(&t.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, closed);
	uv_run(&t.loop, UV_RUN_NOWAIT);
}

static void rounds_pass(unsigned n)
{
	uint64_t until = (rounds_view(t.c.rounds) ? rounds_view(t.c.rounds)->rounds : 0) + n;

	UNTIL(rounds_view(t.c.rounds) && rounds_view(t.c.rounds)->rounds >= until);
}

static struct cell_live *cell(void)
{
	return model_cell(&t.c.model, 0, 0);
}

static const char *stored(void)
{
	static char text[64];
	auto_free char *v = NULL;

	snprintf(text, sizeof(text), "%s", store_get(t.c.store, "grade/a/s1", &v) == 0 ? v : "");
	return text;
}

static void drain_site(size_t site, bool on)
{
	struct drain *d = &t.c.model.sites[site].drain;

	*d = (struct drain){ .on = on, .stage = on ? DRAIN_DRAINING : DRAIN_OFF };
	snprintf(d->reason, sizeof(d->reason), "test");
}

static void drain(bool on)
{
	drain_site(0, on);
}

static void test_weakening_waits(void **state)
{
	uint8_t grade;

	(void)state;
	UNTIL(cell()->ordered);
	assert_string_equal(stored(), "normal");
	grade = (uint8_t)cluster_grade(t.c.model.cl, "drain");
	t.c.store->ops = &t.broken;
	store_write(t.c.store, &(struct store_op){ "x", "y" }, 1, NULL);
	drain(true);
	rounds_pass(2);
	assert_int_equal(cell()->wanted, 0);
	t.c.store->ops = t.good;
	UNTIL(cell()->wanted == grade); /* and then it is done, without being asked again */
	assert_string_equal(stored(), "drain");
}

static void test_giving_back_does_not_wait(void **state)
{
	size_t told;

	(void)state;
	UNTIL(cell()->ordered);
	drain(true);
	UNTIL(cell()->wanted != 0);
	t.c.store->ops = &t.broken;
	drain(false);
	UNTIL(cell()->wanted == 0);
	assert_true(cell()->unsaved);
	assert_string_equal(stored(), "drain");
	told = events_unstored(t.c.events);
	assert_in_range(told, 1, 100);
	t.c.store->ops = t.good;
	UNTIL(!cell()->unsaved);
	assert_string_equal(stored(), "normal");
	assert_int_equal(events_unstored(t.c.events), 0);
}

static void on_event(const struct store_event *ev, void *arg)
{
	(void)arg;
	held += strcmp(ev->kind, "guard.hold") == 0;
}

/* A dead service that the guard keeps on the air is one alert, however long that is so. */
static void test_hold_is_told_once(void **state)
{
	void *listening = events_listen(t.c.events, on_event, NULL);

	(void)state;
	UNTIL(cell()->ordered);
	t.c.model.cl->services[0].min_sites = 3;
	dead = true;
	report_all();
	ask_permit(&t.c, 0, 0, "died");
	UNTIL(held == 1);
	rounds_pass(2);
	assert_int_equal(held, 1);
	events_ignore(t.c.events, listening);
}

static void test_standby_does_nothing(void **state)
{
	unsigned before;

	(void)state;
	UNTIL(cell()->ordered);
	t.c.lead = (struct leadership){ .shared = true, .state = LEAD_FOLLOWER };
	before = directed;
	drain(true);
	mono_t end = mono_add_ms(mono_now(), 2 * ROUND_MS + 200);
	while (mono_diff_ms(mono_now(), end) > 0)
		turn();
	assert_int_equal(cell()->wanted, 0);
	assert_int_equal(directed, before);
	/* it led, and cannot renew: it listens and orders nothing */
	t.c.lead.state = LEAD_LOST;
	rounds_pass(2);
	assert_int_equal(cell()->wanted, 0);
	t.c.lead.state = LEAD_LEADER;
	t.c.lead.deadline = mono_add_ms(mono_now(), 60000);
	UNTIL(cell()->wanted != 0);
}

static const char *stored_hand(void)
{
	static char text[64];
	auto_free char *v = NULL;

	snprintf(text, sizeof(text), "%s", store_get(t.c.store, "hand/a/s1", &v) == 0 ? v : "");
	return text;
}

/* What a hand ordered is known from the store, until it is taken back: also when it was ordered from memory.
 */
static void test_hand_is_stored(void **state)
{
	(void)state;
	UNTIL(cell()->ordered);
	assert_string_equal(stored_hand(), "");
	drain(true);
	UNTIL(cell()->wanted != 0);
	assert_string_equal(stored_hand(), "drain");
	t.c.store->ops = &t.broken;
	drain(false);
	UNTIL(cell()->wanted == 0);
	assert_string_equal(stored_hand(), "drain");
	t.c.store->ops = t.good;
	UNTIL(!cell()->unsaved);
	assert_string_equal(stored_hand(), "");
	/* it was let go while nobody was there to follow */
	cell()->base = cell()->wanted = (uint8_t)cluster_grade(t.c.model.cl, "withdrawn");
	UNTIL(cell()->wanted == 0);
}

/* Drained before it is there, in mode observe: ordered when it comes. */
static void test_drained_before_it_comes(void **state)
{
	(void)state;
	t.c.model.mode = MODE_OBSERVE;
	drain(true);
	rounds_follow(t.c.rounds); /* no report so far */
	assert_false(cell()->ordered);
	UNTIL(cell()->ordered);
	assert_int_equal(cell()->wanted, cluster_grade(t.c.model.cl, "drain"));
}

/* Two hands at once, each allowed for itself: the second would leave one site of three, and waits. */
static void test_two_hands_at_once(void **state)
{
	uint8_t grade = (uint8_t)cluster_grade(t.c.model.cl, "drain");
	const struct cell_live *second = model_cell(&t.c.model, 1, 0);

	(void)state;
	UNTIL(cell()->ordered && second->ordered);
	drain_site(0, true);
	drain_site(1, true);
	UNTIL(cell()->wanted == grade);
	rounds_pass(2);
	assert_int_equal(second->wanted, 0);
	drain_site(0, false); /* and then it may */
	UNTIL(second->wanted == grade);
	assert_int_equal(cell()->wanted, 0);
}

static int slow(struct store *s, const struct store_op *ops, size_t n, struct store_event *ev, size_t n_evs)
{
	mono_t end = mono_add_ms(mono_now(), 20);

	while (mono_diff_ms(mono_now(), end) > 0)
		continue;
	return t.good->write(s, ops, n, ev, n_evs);
}

/* A hundred shards, all of them ordered. */
static void hundred_shards(void)
{
	json_auto_t *doc = json_loads(document, 0, NULL), *errors = json_array();
	json_t *shards = json_object_get(json_array_get(json_object_get(doc, "services"), 0), "shards");
	struct model *m = &t.c.model;
	struct cluster *cl;

	json_object_set_new(doc, "policy", json_pack("{s:f}", "weaken_share_max", 0.5));
	for (int i = 2; i <= 100; i++) {
		auto_free char *name = xasprintf("s%d", i), *prefix = xasprintf("198.18.%d.0/24", i);
		json_array_append_new(shards, json_pack("{s:s, s:[s]}", "name", name, "prefixes", prefix));
	}
	assert_int_equal(cluster_parse(doc, &cl, errors), 0);
	model_set_cluster(m, cl);
	rounds_changed(t.c.rounds);
	for (size_t i = 0; i < m->cl->n_sites * m->cl->n_shards; i++)
		m->cells[i].ordered = true, m->cells[i].wanted = 0;
	report_all();
}

static size_t weakened(void)
{
	size_t n = 0;

	for (size_t k = 0; k < t.c.model.cl->n_shards; k++)
		n += model_cell(&t.c.model, 0, k)->wanted != 0;
	return n;
}

/* Two seconds of writes on a slow disk must not stop the loop, and end all the same. */
static void test_many_orders_take_some_rounds(void **state)
{
	(void)state;
	hundred_shards();
	t.broken.write = slow;
	t.c.store->ops = &t.broken;
	drain(true);
	mono_t began = mono_now();
	rounds_follow(t.c.rounds);
	assert_in_range(mono_diff_ms(began, mono_now()), 1, 1000);
	for (int i = 0; i < 20 && weakened() < 100; i++)
		rounds_follow(t.c.rounds);
	assert_int_equal(weakened(), 100);
}

static unsigned writes, writes_good;

/* Takes writes_good of them. */
static int some(struct store *s, const struct store_op *ops, size_t n, struct store_event *ev, size_t n_evs)
{
	if (writes++ >= writes_good)
		return store_fail(s, "disk is full");
	return t.good->write(s, ops, n, ev, n_evs);
}

/* The whole of site a to the drain grade, or back, as a drill's stage does. */
static int stage(const char *grade, enum guard_actor actor, const struct store_op *with)
{
	struct model *m = &t.c.model;
	auto_free struct move *moves = xcalloc(m->cl->n_shards, sizeof(*moves));
	uint8_t to = (uint8_t)cluster_grade(m->cl, grade);
	struct guard_verdict v = { 0 };

	for (size_t k = 0; k < m->cl->n_shards; k++)
		moves[k] = (struct move){
			.shard = k, .from = model_cell(m, 0, k)->wanted, .to = to, .kind = MOVE_OPERATOR
		};
	writes = 0;
	int err = rounds_order(t.c.rounds, moves, m->cl->n_shards, actor, "test", with, with != NULL, &v);
	if (err < 0 && v.id != GUARD_OK)
		fail_msg("%s: %s", guard_str(v.id), v.why);
	return err;
}

static size_t count(const char *prefix)
{
	size_t n = 0;
	char key[64];

	for (int i = 1; i <= 100; i++) {
		auto_free char *v = NULL;
		snprintf(key, sizeof(key), "%ss%d", prefix, i);
		n += store_get(t.c.store, key, &v) == 0 && strcmp(v, "drain") == 0;
	}
	return n;
}

/* All cells of a stage and what says so are written at once, or not at all. */
static void test_a_stage_is_one_transaction(void **state)
{
	const struct store_op with = { "drill/current", "it" };
	auto_free char *record = NULL;
	uint64_t told;

	(void)state;
	hundred_shards();
	t.broken.write = some;
	t.c.store->ops = &t.broken;
	writes_good = 0;
	assert_int_equal(stage("drain", ACTOR_DRILL, &with), ERR_STORE);
	assert_int_equal(weakened(), 0);
	assert_int_equal(count("grade/a/"), 0);
	assert_int_equal(store_get(t.c.store, "drill/current", &record), -ENOENT);
	t.c.store->health = (struct store_health){ 0 };
	writes_good = 2; /* the refusal is told, too */
	told = store_last_event(t.c.store);
	assert_int_equal(stage("drain", ACTOR_DRILL, &with), 0); /* what was refused is on no ledger */
	assert_int_equal(writes, 2);
	assert_int_equal(store_last_event(t.c.store), told + 101);
	assert_int_equal(weakened(), 100);
	assert_int_equal(count("grade/a/"), 100);
	assert_int_equal(store_get(t.c.store, "drill/current", &record), 0);
	/* the way back needs no store */
	writes_good = 0;
	assert_int_equal(stage("normal", ACTOR_ROLLBACK, NULL), 0);
	assert_int_equal(weakened(), 0);
	assert_int_equal(count("grade/a/"), 100);
	assert_true(model_cell(&t.c.model, 0, 99)->unsaved);
}

/* More than the store takes at once goes in parts; what is refused of it is not ordered. */
static void test_a_stage_in_parts(void **state)
{
	(void)state;
	hundred_shards();
	t.broken.write = some;
	t.c.store->ops = &t.broken;
	t.c.store->ops_max = 50;
	writes_good = 3;
	assert_int_equal(stage("drain", ACTOR_DRILL, NULL), ERR_STORE);
	assert_int_equal(weakened(), 75);
	assert_int_equal(count("grade/a/"), 75);
	assert_int_equal(stage("normal", ACTOR_ROLLBACK, NULL), 0);
	assert_int_equal(weakened(), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_weakening_waits),
		T(test_giving_back_does_not_wait),
		T(test_hold_is_told_once),
		T(test_standby_does_nothing),
		T(test_two_hands_at_once),
		T(test_many_orders_take_some_rounds),
		T(test_a_stage_is_one_transaction),
		T(test_a_stage_in_parts),
		T(test_hand_is_stored),
		T(test_drained_before_it_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
