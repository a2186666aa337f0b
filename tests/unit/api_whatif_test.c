/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/whatif: what is asked of the engine, and every way to ask wrongly. */
#include "tests/unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/err.h"

static void ask_whatif(const char *body, struct answer *ret)
{
	ask(&(struct ask){ .method = "POST", .path = "/v1/whatif", .token = "viewer", .body = body }, ret);
	conform_answer("/v1/whatif", "POST", ret);
}

static void test_whatif_site(void **state)
{
	auto_answer drain = { 0 }, lose = { 0 }, again = { 0 };
	struct model *m = &t.c.model;
	ssize_t gone = cluster_grade(m->cl, "withdrawn");

	(void)state;
	/* web-b is not announced, and cannot be weakened */
	ask_whatif("{\"drain\":{\"site\":\"fra\"}}", &drain);
	assert_int_equal(drain.status, 200);
	assert_int_equal(stub.n_moves, 1);
	assert_int_equal(stub.moves[0].site, 0);
	assert_int_equal(stub.moves[0].shard, 0);
	assert_int_equal(stub.moves[0].from, model_cell(m, 0, 0)->wanted);
	assert_int_equal(stub.moves[0].to, cluster_grade(m->cl, "drain"));
	json_auto_t *j = answer_json(&drain);
	json_t *mv = json_array_get(json_object_get(j, "moves"), 0);
	assert_string_equal(json_string_value(json_object_get(j, "state")), "act");
	assert_string_equal(json_string_value(json_object_get(mv, "shard")), "web-a");
	assert_string_equal(json_string_value(json_object_get(mv, "to")), "drain");
	assert_int_equal(json_array_size(json_object_get(j, "forecast")), 2);
	assert_int_equal(json_integer_value(json_object_get(j, "left_out")), 0);
	ask_whatif("{\"lose\":{\"site\":\"fra\"}}", &lose);
	assert_int_equal(stub.moves[0].to, gone);
	/* already as weak as asked: nothing would change */
	model_cell(m, 0, 0)->wanted = (uint8_t)cluster_grade(m->cl, "drain");
	ask_whatif("{\"drain\":{\"site\":\"fra\"}}", &again);
	assert_int_equal(again.status, 200);
	assert_int_equal(stub.n_moves, 0);
}

/* A site with more shards than fit: the heaviest are asked about, and the rest is owned up to. */
static void test_whatif_large_site(void **state)
{
	enum { SHARDS = 20 };
	json_auto_t *doc = json_loads(rig_cluster, 0, NULL), *errors = json_array();
	json_t *shards = json_object_get(json_array_get(json_object_get(doc, "services"), 0), "shards");
	auto_answer r = { 0 };
	struct cluster *cl = NULL;

	(void)state;
	for (int i = 2; i < SHARDS; i++)
		json_array_append_new(shards, json_pack("{s:o, s:[o]}", "name", json_sprintf("more-%d", i),
							"prefixes", json_sprintf("198.18.%d.0/24", i + 1)));
	assert_int_equal(cluster_parse(doc, &cl, errors), 0);
	model_set_cluster(&t.c.model, cl);
	for (size_t k = 0; k < SHARDS; k++) {
		struct cell_live *c = model_cell(&t.c.model, 1, k);
		c->announced = true;
		c->grade = 0;
		c->hi[RES_BPS] = (double)((k * 7) % SHARDS);
	}
	ask_whatif("{\"lose\":{\"site\":\"ams\"}}", &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(stub.n_moves, STEER_MOVES);
	for (size_t i = 0; i < STEER_MOVES; i++)
		assert_true(model_cell(&t.c.model, 1, stub.moves[i].shard)->hi[RES_BPS] ==
			    (double)(SHARDS - 1 - i));
	json_auto_t *j = answer_json(&r);
	assert_int_equal(json_integer_value(json_object_get(j, "left_out")), SHARDS - STEER_MOVES);
}

static void test_whatif_moves(void **state)
{
	auto_answer r = { 0 }, wait = { 0 };

	(void)state;
	stub.guard_refuses = true;
	ask_whatif("{\"moves\":[{\"site\":\"ams\",\"shard\":\"web-b\",\"grade\":\"less\"},"
		   "{\"site\":\"fra\",\"shard\":\"web-a\",\"grade\":\"normal\"}]}",
		   &r);
	stub.guard_refuses = false;
	assert_int_equal(r.status, 200);
	assert_int_equal(stub.n_moves, 2);
	assert_int_equal(stub.moves[0].site, 1);
	assert_int_equal(stub.moves[0].shard, 1);
	assert_int_equal(stub.moves[0].to, 1);
	assert_int_equal(stub.moves[1].to, 0);
	json_auto_t *j = answer_json(&r);
	assert_string_equal(json_string_value(json_object_get(j, "state")), "hold");
	assert_int_equal(json_array_size(json_object_get(j, "refused")), 2);
	stub.busy = true;
	ask_whatif("{\"drain\":{\"site\":\"fra\"}}", &wait);
	stub.busy = false;
	assert_int_equal(wait.status, 503);
	assert_non_null(strstr(wait.headers.data, "Retry-After: 1\r\n"));
}

static void test_whatif_wrong(void **state)
{
#define MOVE "{\"site\":\"fra\",\"shard\":\"web-a\",\"grade\":\"less\"}"
#define FOUR MOVE "," MOVE "," MOVE "," MOVE
	static const struct {
		const char *body, *pointer, *reason;
	} rows[] = {
		{ "", "", "one of drain, lose and moves" },
		{ "{\"drain\":{\"site\":\"fra\"},\"moves\":[" MOVE "]}", "", "one of" },
		{ "{\"drain\":\"fra\"}", "/drain", "name of a site" },
		{ "{\"drain\":{\"site\":\"fra\",\"x\":1}}", "/drain", "name of a site" },
		{ "{\"drain\":{\"site\":\"\\u00e9toile\"}}", "/drain/site", "no site" },
		{ "{\"lose\":{\"site\":7}}", "/lose/site", "must be the name" },
		{ "{\"lose\":null}", "/lose", "must be an object" },
		{ "{\"moves\":[]}", "/moves", "1 to 16" },
		{ "{\"moves\":{}}", "/moves", "1 to 16" },
		{ "{\"moves\":[" FOUR "," FOUR "," FOUR "," FOUR "," MOVE "]}", "/moves", "1 to 16" },
		{ "{\"moves\":[7]}", "/moves/0", "site, shard and grade" },
		{ "{\"moves\":[" MOVE "," MOVE "]}", "/moves/1", "moved before" },
		{ "{\"moves\":[{\"site\":\"fra\",\"shard\":\"x\",\"grade\":\"less\"}]}", "/moves/0/shard",
		  "no shard" },
		{ "{\"moves\":[{\"site\":\"fra\",\"shard\":\"web-a\",\"grade\":\"x\"}]}", "/moves/0/grade",
		  "no grade" },
	};
	auto_answer key = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_answer r = { 0 };
		ask_whatif(rows[i].body, &r);
		json_auto_t *j = answer_json(&r);
		json_t *e = json_array_get(json_object_get(j, "errors"), 0);
		if (r.status != 422 ||
		    strcmp(json_string_value(json_object_get(e, "pointer")), rows[i].pointer) != 0 ||
		    !strstr(json_string_value(json_object_get(e, "reason")), rows[i].reason))
			fail_msg("%s: %ld %s", rows[i].body, r.status, r.body.data);
	}
	ask_whatif("{\"gain\":{}}", &key);
	assert_int_equal(key.status, 400);
	assert_int_equal(stub.n_moves, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_whatif_site),
		T(test_whatif_large_site),
		T(test_whatif_moves),
		T(test_whatif_wrong),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
