/* SPDX-License-Identifier: Apache-2.0
 * Operations: refused means nothing changed; accepted means stored, so that a second controller on the same
 * store starts where the first one was. The guard and the fleet are stand-ins: what they would say is set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "controller/control.h"
#include "controller/enrol.h"
#include "controller/fleet.h"
#include "controller/rounds.h"
#include "proto/base/err.h"

static int guard_says;
static int changed_calls;

void enrol_load(struct enrol *e)
{
	(void)e;
}

void fleet_changed(struct fleet *f)
{
	(void)f;
}
void rounds_changed(struct rounds *r)
{
	(void)r;
	changed_calls++;
}
void rounds_follow(struct rounds *r)
{
	(void)r;
}
int rounds_guard_operator(struct rounds *r, const struct move *moves, size_t n,
			  struct guard_verdict *ret_verdict)
{
	(void)r;
	(void)moves;
	(void)n;
	ret_verdict->id = GUARD_I1;
	snprintf(ret_verdict->why, sizeof(ret_verdict->why), "too few sites");
	return guard_says;
}
const char *guard_str(enum guard_id id)
{
	return id == GUARD_I1 ? "I1" : "?";
}

static const char document[] =
	"{\"name\": \"t\", \"sites\": ["
	"{\"name\": \"a\", \"nodes\": [{\"name\": \"a1\", \"capacity\": {\"bps\": 1000000}}]},"
	"{\"name\": \"b\", \"nodes\": [{\"name\": \"b1\", \"capacity\": {\"bps\": 1000000}}]}],"
	"\"services\": [{\"name\": \"web\", \"shards\": [{\"name\": \"s1\", \"prefixes\": "
	"[\"198.18.1.0/24\"]}]}]}";

struct rig {
	struct controller c;
};

static int setup(void **state)
{
	struct rig *r = xcalloc(1, sizeof(*r));

	guard_says = 0;
	assert_int_equal(store_open_memory(&r->c.store), 0);
	r->c.events = events_new(r->c.store);
	model_init(&r->c.model, cluster_empty());
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	model_done(&r->c.model);
	events_free(r->c.events);
	store_close(r->c.store);
	free(r);
	return 0;
}

static struct op_result put(struct rig *r, const char *text, const char *if_match, bool dry_run)
{
	json_auto_t *doc = json_loads(text, 0, NULL);

	assert_non_null(doc);
	struct op_result res = control_put_cluster(&r->c, "test", doc, if_match, dry_run);
	json_decref(res.errors);
	res.errors = NULL;
	return res;
}

static void test_document_is_taken_once_and_survives(void **state)
{
	struct rig *r = *state;
	char why[TEXT_LEN];

	assert_int_equal(put(r, document, "", true).status, 200);
	assert_int_equal(r->c.model.cl->n_sites, 0);
	assert_int_equal(put(r, document, "", false).status, 200);
	assert_int_equal(r->c.model.cl->n_sites, 2);
	assert_string_equal(put(r, document, "", false).detail, "unchanged");
	assert_int_equal(put(r, "{\"name\": 5}", "", false).status, 422);
	assert_int_equal(r->c.model.cl->n_sites, 2);
	assert_int_equal(
		put(r, "{\"name\": \"u\", \"sites\": [], \"services\": []}", "\"old\"", false).status, 412);

	/* a second controller on the same store */
	struct controller again = { .store = r->c.store, .events = r->c.events };
	model_init(&again.model, cluster_empty());
	assert_int_equal(control_load(&again, why), 0);
	assert_int_equal(again.model.cl->n_sites, 2);
	uint64_t epoch = again.model.epoch;
	model_done(&again.model);
	model_init(&again.model, cluster_empty());
	assert_int_equal(control_load(&again, why), 0);
	assert_true(again.model.epoch > epoch);
	model_done(&again.model);
}

static struct op_result drain_at(struct rig *r, enum drain_kind kind, const char *name, const char *reason,
				 int64_t expires_s)
{
	struct drain_ask ask = { .kind = kind,
				 .name = name,
				 .reason = reason,
				 .expires_s = expires_s,
				 .wait_s = 60,
				 .residual_pct = 10 };

	return control_drain(&r->c, "t", &ask);
}

static void test_drain_needs_reason_and_guard(void **state)
{
	struct rig *r = *state;
	char why[TEXT_LEN];

	put(r, document, "", false);
	assert_int_equal(drain_at(r, DRAIN_SITE, "nowhere", "r", 0).status, 404);
	assert_int_equal(drain_at(r, DRAIN_SITE, "a", "", 0).status, 422);
	guard_says = ERR_GUARD;
	struct op_result res = drain_at(r, DRAIN_SITE, "a", "r", 0);
	assert_int_equal(res.status, 409);
	assert_non_null(strstr(res.detail, "I1"));
	assert_false(r->c.model.sites[0].drain.on);
	guard_says = 0;
	assert_int_equal(drain_at(r, DRAIN_SITE, "a", "repair", 60).status, 200);
	assert_true(r->c.model.sites[0].drain.on);
	assert_int_equal(drain_at(r, DRAIN_SITE, "a", "again", 0).status, 409);

	struct controller again = { .store = r->c.store, .events = r->c.events };
	model_init(&again.model, cluster_empty());
	assert_int_equal(control_load(&again, why), 0);
	assert_true(again.model.sites[0].drain.on);
	assert_string_equal(again.model.sites[0].drain.reason, "repair");
	model_done(&again.model);

	assert_int_equal(control_undrain(&r->c, "t", DRAIN_SITE, "a", NULL, "").status, 200);
	assert_false(r->c.model.sites[0].drain.on);
}

static void test_freeze_beats_everything(void **state)
{
	struct rig *r = *state;

	put(r, document, "", false);
	assert_int_equal(control_set_mode(&r->c, "t", MODE_FREEZE, "storm").status, 200);
	assert_int_equal(drain_at(r, DRAIN_SITE, "a", "r", 0).status, 409);
	assert_int_equal(control_set_mode(&r->c, "t", MODE_STEER, "").status, 200);
	assert_int_equal(r->c.model.mode, MODE_STEER);
}

static void test_live_state_is_kept_by_name(void **state)
{
	struct rig *r = *state;

	put(r, document, "", false);
	ssize_t b1 = cluster_node(r->c.model.cl, "b1");
	r->c.model.nodes[b1].weight = 37;
	r->c.model.nodes[b1].shards[0].announced = true;
	model_cell(&r->c.model, 1, 0)->ordered = true;
	/* site a is gone, a shard came first */
	assert_int_equal(put(r,
			     "{\"name\": \"t\", \"sites\": [{\"name\": \"b\", \"nodes\": [{\"name\": \"b1\", "
			     "\"capacity\": "
			     "{\"bps\": 1000000}}]}], \"services\": [{\"name\": \"web\", \"min_sites\": 1, "
			     "\"shards\": [{\"name\": \"s0\", "
			     "\"prefixes\": [\"198.18.2.0/24\"]}, {\"name\": \"s1\", \"prefixes\": "
			     "[\"198.18.1.0/24\"]}]}]}",
			     "", false)
				 .status,
			 200);
	b1 = cluster_node(r->c.model.cl, "b1");
	ssize_t s1 = cluster_shard(r->c.model.cl, "s1");
	assert_int_equal(r->c.model.nodes[b1].weight, 37);
	assert_true(r->c.model.nodes[b1].shards[s1].announced);
	assert_false(r->c.model.nodes[b1].shards[1 - s1].announced);
	assert_true(model_cell(&r->c.model, 0, (size_t)s1)->ordered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_document_is_taken_once_and_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain_needs_reason_and_guard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freeze_beats_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(test_live_state_is_kept_by_name, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
