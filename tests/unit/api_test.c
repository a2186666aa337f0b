/* SPDX-License-Identifier: Apache-2.0
 * The API as its users meet it: every route with every role; paths that only look right; bad bodies; what is
 * in the answers, and openapi.json held against the route table and against every answer. */
#include "tests/unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "controller/api/api_int.h"
#include "controller/api/cache.h"
#include "controller/api/routes.h"
#include "controller/enrol.h"
#include "proto/base/err.h"
#include "proto/wire/ticket.h"

static void test_openapi_walk(void **state)
{
	size_t n, described = 0;
	const struct route *rt = routes_table(&n);
	const char *path, *method;
	json_t *item, *op;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char lower[8] = "";
		for (size_t k = 0; rt[i].method[k]; k++)
			lower[k] = (char)(rt[i].method[k] | 0x20);
		op = dig(openapi, "paths", rt[i].path, lower, NULL);
		if (!op)
			fail_msg("%s %s is not in openapi.json", rt[i].method, rt[i].path);
		assert_string_equal(json_string_value(json_object_get(op, "x-role")), role_str(rt[i].role));
		assert_true((rt[i].role == ROLE_NONE) == (json_object_get(op, "security") != NULL));
	}
	json_object_foreach(json_object_get(openapi, "paths"), path, item) {
		json_object_foreach(item, method, op)
			described++;
	}
	assert_int_equal(described, n);
}

static void test_openapi_policy(void **state)
{
	/* every policy key the document takes is described, and no other */
	json_t *props = dig(openapi, "components", "schemas", "Policy", "properties", NULL);
	json_auto_t *doc = json_pack("{s:s, s:{s:i}}", "name", "x", "policy", "nosuchkey", 1),
		    *errors = json_array();
	struct cluster *c = NULL;
	const char *key;
	size_t known = 0;
	json_t *v;

	(void)state;
	assert_int_equal(cluster_parse(doc, &c, errors), ERR_CONFIG);
	const char *reason = json_string_value(json_object_get(json_array_get(errors, 0), "reason"));
	for (const char *s = strstr(reason, "known here:"); s; s = strchr(s + 1, ','))
		known++;
	assert_int_equal(known, json_object_size(props));
	json_object_foreach(props, key, v)
		assert_non_null(strstr(reason, key));
}

/* -- access ------------------------------------------------------------------------------------------- */

static char *concrete(const char *pattern)
{
	static const struct {
		const char *part, *name;
	} names[] = {
		{ "/sites/", "fra" },	 { "/nodes/", "fra2" },	   { "/services/", "web" },
		{ "/shards/", "web-a" }, { "/tokens/", "victim" }, { "/overrides/", "grade:fra:web-a" },
		{ "/events/", "1" },	 { "/decisions/", "1" },   { "/drills/", "d1" },
	};
	const char *brace = strchr(pattern, '{'), *name = NULL;

	for (size_t i = 0; brace && !name && i < ARRAY_LEN(names); i++)
		if (strstr(pattern, names[i].part))
			name = names[i].name;
	if (brace && !name)
		fail_msg("%s: the test does not know what to ask about", pattern);
	return brace ? xasprintf("%.*s%s%s", (int)(brace - pattern), pattern, name, strchr(brace, '}') + 1)
		     : xstrdup(pattern);
}

/* A token and a request that are good once. */
static const char *enroll_body(void)
{
	static char *kept;
	char text[TICKET_TEXT_LEN], why[TEXT_LEN] = "";
	auto_free char *csr = NULL, *key = NULL;
	int64_t expires_ms;

	assert_int_equal(enrol_token(t.c.enrol, "test", "fra2", 600, text, &expires_ms).status, 200);
	assert_int_equal(pki_request("fra2", &csr, &key, why), 0);
	json_auto_t *j = json_pack("{s:s, s:s}", "token", text, "csr", csr);
	free(kept);
	kept = json_dumps(j, JSON_COMPACT);
	return kept;
}

/* The same token with a key of somebody else; heap. */
static char *with_another_key(const char *body)
{
	auto_free char *csr = NULL, *key = NULL;
	char why[TEXT_LEN] = "";
	json_auto_t *j = json_loads(body, 0, NULL);

	assert_int_equal(pki_request("fra2", &csr, &key, why), 0);
	json_object_set_new(j, "csr", json_string(csr));
	return json_dumps(j, JSON_COMPACT);
}

static const char *body_for(const struct route *rt)
{
	static const struct {
		const char *path, *body;
	} bodies[] = {
		{ "/v1/cluster", rig_cluster },
		{ "/v1/whatif", "{\"drain\":{\"site\":\"fra\"}}" },
		{ "/v1/mode", "{\"mode\":\"steer\",\"reason\":\"test\"}" },
		{ "/v1/overrides",
		  "{\"site\":\"fra\",\"shard\":\"web-a\",\"grade\":\"less\",\"reason\":\"test\","
		  "\"confirm_s\":60}" },
		{ "/v1/overrides/{id}/confirm", "{}" },
		{ "/v1/drills", "{\"kind\":\"tabletop\",\"site\":\"fra\",\"reason\":\"test\"}" },
		{ "/v1/drills/plan", "{\"kind\":\"soft-drain\",\"site\":\"fra\",\"reason\":\"test\"}" },
		{ "/v1/drills/{id}/probe", "{\"from\":\"x\",\"sent\":9,\"lost\":1,\"longest_gap_ms\":20}" },
		{ "/v1/drill-schedule", "{\"enabled\":false,\"windows\":[{\"days\":[\"tue\"],\"from\":\"10:"
					"00\",\"to\":\"12:00\"}]}" },
		{ "/v1/nodes/{name}/token", "{}" },
		{ "/v1/tokens", "{\"name\":\"victim\",\"role\":\"viewer\"}" },
		{ "/v1/services/{name}/drain", "{\"site\":\"fra\",\"reason\":\"test\"}" },
		{ "/v1/services/{name}/undrain", "{\"site\":\"fra\",\"reason\":\"test\"}" },
	};

	if (strcmp(rt->method, "GET") == 0 || strcmp(rt->method, "DELETE") == 0)
		return NULL;
	if (strcmp(rt->path, "/v1/enroll") == 0)
		return enroll_body();
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		if (strcmp(bodies[i].path, rt->path) == 0)
			return bodies[i].body;
	return "{\"reason\":\"test\"}";
}

static long good_for(const struct route *rt)
{
	bool makes = strcmp(rt->path, "/v1/overrides") == 0 || strcmp(rt->path, "/v1/tokens") == 0;

	return makes && strcmp(rt->method, "POST") == 0 ? 201 : 200;
}

/* Nothing is drained; an override and a token are there unless the route is to make them. */
static void prepare(const struct route *rt)
{
	struct override_ask o = { .site = "fra", .shard = "web-a", .grade = "less", .reason = "before" };
	char id[sizeof(((struct override *)0)->id)];
	char hash[2 * AUTH_HASH_LEN + 1];

	control_undrain(&t.c, "test", DRAIN_SITE, "fra", NULL, "");
	control_undrain(&t.c, "test", DRAIN_NODE, "fra2", NULL, "");
	control_undrain(&t.c, "test", DRAIN_SERVICE, "web", "fra", "");
	control_override_delete(&t.c, "test", "grade:fra:web-a", "");
	control_token_revoke(&t.c, "test", "victim");
	if (strstr(rt->path, "/drills"))
		rig_drill(strstr(rt->path, "report") ? DRILL_REPORT
			  : strchr(rt->path, '{')    ? DRILL_CANARY
						     : DRILL_DRAFT);
	if (good_for(rt) != 201) {
		auth_hash_hex("the secret of the victim", hash);
		assert_int_equal(control_override(&t.c, "test", &o, id).status, 201);
		control_token_make(&t.c, "test", "victim", "viewer", hash, 0);
	}
	auth_reload(t.a->auth);
}

static void test_roles(void **state)
{
	static const struct {
		const char *token;
		enum role role;
	} who[] = {
		{ NULL, ROLE_NONE },	       { "", ROLE_NONE },
		{ "wrong", ROLE_NONE },	       { "viewer", ROLE_VIEWER },
		{ "operator", ROLE_OPERATOR }, { "admin", ROLE_ADMIN },
	};
	size_t n;
	const struct route *rt = routes_table(&n);

	(void)state;
	events_emit(t.c.events, NULL, 0, "decision", "info",
		    json_pack("{s:s, s:s}", "site", "fra", "shard", "web-a"), "the first");
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_LEN(who); k++) {
			auto_free char *path = concrete(rt[i].path);
			auto_answer r = { 0 };
			prepare(&rt[i]);
			uint64_t last = store_last_event(t.c.store);
			long want = who[k].role >= rt[i].role  ? good_for(&rt[i])
				    : who[k].role == ROLE_NONE ? 401
							       : 403;
			ask(&(struct ask){ .method = rt[i].method,
					   .path = path,
					   .token = who[k].token,
					   .header = strcmp(rt[i].method, "PUT") == 0 ? "If-Match: *" : NULL,
					   .body = body_for(&rt[i]) },
			    &r);
			if (r.status != want)
				fail_msg("%s %s as %s: %ld, not %ld: %s", rt[i].method, path,
					 who[k].token ? who[k].token : "nobody", r.status, want, r.body.data);
			assert_true((strstr(r.headers.data, "WWW-Authenticate: Bearer") != NULL) ==
				    (want == 401));
			assert_null(strstr(r.headers.data, "Access-Control"));
			assert_true(want < 300 || store_last_event(t.c.store) == last);
			conform_answer(rt[i].path, rt[i].method, &r);
		}
}

/* The paths that only look like others. */
static void test_not_found(void **state)
{
	static const char *const paths[] = {
		"/",
		"/v1",
		"/v1/",
		"/v1/sites/",
		"/v1//sites",
		"//v1/sites",
		"/v1/sites/fra/",
		"/v1/sites//drain",
		"/v1/SITES",
		"/v1/sites/fra/drain/x",
		"/v1/../v1/sites",
		"/v1/sites/fra/..",
		"/v1/%2e%2e/sites",
		"/healthz/",
		"/v2/sites",
		"/v1/sites%00/fra",
		"/metrics%00",
		"/v1/sites/%FF%FE/x",
		"/v1/cluster.json",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		auto_answer r = { 0 };
		ask(&(struct ask){ .method = "GET", .path = paths[i], .token = "admin" }, &r);
		if (r.status != 404 && !(strstr(paths[i], "%00") && r.status == 400))
			fail_msg("%s: %ld %s", paths[i], r.status, r.body.data);
	}
}

static void test_method(void **state)
{
	static const struct {
		const char *method, *path, *allow;
	} rows[] = {
		{ "DELETE", "/v1/cluster", "Allow: GET, PUT" },	 { "POST", "/v1/sites", "Allow: GET" },
		{ "GET", "/v1/sites/fra/drain", "Allow: POST" }, { "OPTIONS", "/v1/mode", "Allow: GET, PUT" },
		{ "PATCH", "/healthz", "Allow: GET" },		 { "NONSENSE", "/metrics", "Allow: GET" },
		{ "TRACE", "/v1/mode", "Allow: GET, PUT" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_answer r = { 0 };
		ask(&(struct ask){ .method = rows[i].method, .path = rows[i].path }, &r);
		assert_int_equal(r.status, 405);
		assert_non_null(strstr(r.headers.data, rows[i].allow));
	}
}

static void test_head(void **state)
{
	auto_answer r = { 0 }, s = { 0 };

	(void)state;
	ask(&(struct ask){ .method = "HEAD", .path = "/v1/sites", .token = "viewer" }, &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body.len, 0);
	ask(&(struct ask){ .method = "HEAD",
			   .path = "/v1/events",
			   .token = "viewer",
			   .header = "Accept: text/event-stream" },
	    &s);
	assert_int_equal(s.status, 200);
	UNTIL(hub_listeners(t.a->hub) == 0);
}

/* -- what is in the answers --------------------------------------------------------------------------- */

static void test_lists(void **state)
{
	json_auto_t *sites = get("/v1/sites"), *site = get("/v1/sites/fra"),
		    *nodes = get("/v1/nodes?limit=2"), *more = get("/v1/nodes?limit=2&after=fra2"),
		    *shard = get("/v1/shards/web-a"), *node = get("/v1/nodes/fra2");

	(void)state;
	json_t *fra = json_array_get(json_object_get(sites, "sites"), 0),
	       *ams = json_array_get(json_object_get(sites, "sites"), 1);
	assert_string_equal(json_string_value(json_object_get(fra, "name")), "fra");
	assert_true(json_is_integer(json_object_get(fra, "age_ms")));
	assert_true(json_is_null(json_object_get(ams, "age_ms")));
	assert_int_equal(json_array_size(json_object_get(site, "shards")), 2);
	assert_int_equal(json_array_size(json_object_get(nodes, "nodes")), 2);
	assert_string_equal(json_string_value(json_object_get(nodes, "next")), "fra2");
	assert_int_equal(json_array_size(json_object_get(more, "nodes")), 1);
	assert_true(json_is_null(json_object_get(more, "next")));
	json_t *cell = json_array_get(json_object_get(shard, "sites"), 0);
	assert_string_equal(json_string_value(json_object_get(cell, "grade")), "less");
	assert_string_equal(json_string_value(json_object_get(cell, "wanted")), "prepend1");
	assert_string_equal(json_string_value(json_object_get(cell, "why")), "hot");
	assert_string_equal(json_string_value(dig(node, "drain", "reason", NULL)), "cut in two ?");
	assert_string_equal(json_string_value(dig(node, "drain", "expires", NULL)),
			    "2023-11-14T22:13:20.000Z");
}

static void test_plan_and_status(void **state)
{
	json_auto_t *p = get("/v1/plan"), *s = get("/v1/status");

	(void)state;
	assert_string_equal(json_string_value(json_object_get(p, "state")), plan_state_str(PLAN_ACT));
	json_t *refused = json_object_get(p, "refused");
	/* indices that are out of range are shown as unknown, not followed */
	assert_string_equal(json_string_value(dig(json_array_get(refused, 0), "to", NULL)), "?");
	assert_string_equal(json_string_value(dig(json_array_get(refused, 1), "site", NULL)), "?");
	assert_true(json_is_null(dig(json_array_get(json_object_get(p, "forecast"), 1), "util_after", NULL)));
	assert_string_equal(json_string_value(json_object_get(s, "level")), "alert");
	assert_int_equal(json_array_size(json_object_get(s, "weakened")), 1);
	assert_int_equal(json_array_size(json_object_get(s, "drains")), 1);
	assert_int_equal(json_array_size(json_object_get(s, "hot")), 3);
	stub.no_round = true;
	cache_clear(t.a->cache);
	json_auto_t *none = get("/v1/plan"), *early = get("/v1/status");
	auto_answer ready = { 0 };
	ask(&(struct ask){ .method = "GET", .path = "/readyz" }, &ready);
	stub.no_round = false;
	assert_true(json_is_null(json_object_get(none, "state")));
	assert_true(json_is_null(json_object_get(early, "plan")));
	conform(dig(openapi, "components", "schemas", "Plan", NULL), none, "plan");
	conform(dig(openapi, "components", "schemas", "Status", NULL), early, "status");
	assert_int_equal(ready.status, 503);
	conform_answer("/readyz", "GET", &ready);
}

static void test_one_event(void **state)
{
	static const char *const none[] = { "0", "3", "x", "-1", "1x", "99999999999999999999999", "%201" };

	(void)state;
	events_emit(t.c.events, NULL, 0, "mode", "info", NULL, "the first");
	events_emit(t.c.events, NULL, 0, "decision", "info", json_pack("{s:s}", "site", "fra"), "the second");
	json_auto_t *ev = get("/v1/events/2");
	assert_int_equal(json_integer_value(json_object_get(ev, "id")), 2);
	assert_string_equal(json_string_value(dig(ev, "data", "site", NULL)), "fra");
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		auto_free char *path = xasprintf("/v1/events/%s", none[i]);
		auto_answer r = { 0 };
		ask(&(struct ask){ .method = "GET", .path = path, .token = "viewer" }, &r);
		assert_int_equal(r.status, 404);
		conform_answer("/v1/events/{id}", "GET", &r);
	}
}

static void test_absent(void **state)
{
	static const char *const paths[] = { "/v1/sites/nowhere", "/v1/nodes/nowhere", "/v1/services/nowhere",
					     "/v1/shards/nowhere", "/v1/shards/%FF" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		auto_answer r = { 0 };
		ask(&(struct ask){ .method = "GET", .path = paths[i], .token = "viewer" }, &r);
		assert_int_equal(r.status, 404);
		assert_non_null(strstr(r.headers.data, "application/problem+json"));
		json_decref(answer_json(&r));
	}
}

static void test_metrics(void **state)
{
	auto_answer r = { 0 };

	(void)state;
	ask(&(struct ask){ .method = "GET", .path = "/metrics" }, &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body.data, "sluice_mode{mode="));
	assert_non_null(strstr(r.body.data, "sluice_site_util_ratio{site=\"fra\"} 0.95\n"));
	if (access("/usr/bin/promtool", X_OK) != 0)
		return;
	FILE *f = popen("/usr/bin/promtool check metrics", "w");
	assert_non_null(f);
	assert_int_equal(fwrite(r.body.data, 1, r.body.len, f), r.body.len);
	assert_int_equal(pclose(f), 0);
}

/* -- changes ------------------------------------------------------------------------------------------ */

static void test_drain(void **state)
{
	const struct drain *site = &t.c.model.sites[0].drain, *node = &t.c.model.nodes[2].drain;
	auto_answer r = { 0 }, none = { 0 };

	(void)state;
	ask(&(struct ask){ .method = "POST",
			   .path = "/v1/sites/fra/drain",
			   .token = "operator",
			   .body = "{\"reason\":\"works\",\"expires_s\":60,\"withdraw\":false,\"wait_s\":7,"
				   "\"residual_pct\":2.5}" },
	    &r);
	assert_int_equal(r.status, 200);
	assert_true(site->on && site->keep);
	assert_string_equal(site->actor, "operator");
	assert_string_equal(site->reason, "works");
	assert_int_equal(site->wait_ms, 7000);
	assert_true(site->residual == 0.025);
	json_auto_t *list = get("/v1/drains");
	conform(dig(openapi, "components", "schemas", "DrainList", NULL), list, "drains");
	assert_int_equal(json_array_size(json_object_get(list, "drains")), 2);
	ask(&(struct ask){ .method = "POST", .path = "/v1/nodes/ams1/drain", .token = "admin", .body = "" },
	    &none);
	assert_int_equal(none.status, 422);
	assert_false(node->on);
}

static void test_service_drain(void **state)
{
	auto_answer nowhere = { 0 }, r = { 0 }, off = { 0 };

	(void)state;
	ask(&(struct ask){ .method = "POST",
			   .path = "/v1/services/web/drain",
			   .token = "operator",
			   .body = "{\"reason\":\"x\"}" },
	    &nowhere);
	assert_int_equal(nowhere.status, 422);
	ask(&(struct ask){ .method = "POST",
			   .path = "/v1/services/web/drain",
			   .token = "operator",
			   .body = "{\"reason\":\"x\",\"site\":\"ams\"}" },
	    &r);
	assert_int_equal(r.status, 200);
	conform_answer("/v1/services/{name}/drain", "POST", &r);
	assert_string_equal(model_hand(&t.c.model, 1, 0).why, "x");
	assert_string_equal(model_hand(&t.c.model, 0, 0).why, "");
	ask(&(struct ask){ .method = "POST",
			   .path = "/v1/services/web/undrain",
			   .token = "operator",
			   .body = "{\"site\":\"ams\"}" },
	    &off);
	assert_int_equal(off.status, 200);
	assert_string_equal(model_hand(&t.c.model, 1, 0).why, "");
}

static void test_refused(void **state)
{
	auto_answer r = { 0 };

	(void)state;
	stub.guard_refuses = true;
	ask(&(struct ask){ .method = "POST",
			   .path = "/v1/sites/fra/drain",
			   .token = "operator",
			   .body = "{\"reason\":\"x\"}" },
	    &r);
	stub.guard_refuses = false;
	assert_int_equal(r.status, 409);
	conform_answer("/v1/sites/{name}/drain", "POST", &r);
	assert_non_null(strstr(r.body.data, "web-a would be announced by one site"));
}

static void put_cluster(const char *path, const char *body, const char *header, struct answer *ret)
{
	ask(&(struct ask){ .method = "PUT", .path = path, .token = "admin", .body = body, .header = header },
	    ret);
	conform_answer("/v1/cluster", "PUT", ret);
}

static void test_put_cluster(void **state)
{
	auto_answer blind = { 0 }, other = { 0 }, r = { 0 }, dry = { 0 }, got = { 0 };
	auto_free char *mine = xasprintf("If-Match: %s", t.c.model.cl->etag);
	char *at = strstr(rig_cluster, "0.85");

	(void)state;
	put_cluster("/v1/cluster", rig_cluster, NULL, &blind);
	assert_int_equal(blind.status, 428);
	put_cluster("/v1/cluster", rig_cluster, "If-Match: \"abc\"", &other);
	assert_int_equal(other.status, 412);
	assert_non_null(strstr(other.headers.data, t.c.model.cl->etag));
	memcpy(at, "0.75", 4);
	put_cluster("/v1/cluster?dry_run=1", rig_cluster, NULL, &dry);
	assert_int_equal(dry.status, 200);
	assert_true(t.c.model.cl->policy.trigger_util == 0.85);
	json_auto_t *j = answer_json(&dry);
	json_t *change = json_array_get(json_object_get(j, "changes"), 0);
	assert_int_equal(json_array_size(json_object_get(j, "changes")), 1);
	assert_string_equal(json_string_value(json_object_get(change, "path")), "/policy/trigger_util");
	put_cluster("/v1/cluster", rig_cluster, mine, &r);
	assert_int_equal(r.status, 200);
	assert_true(t.c.model.cl->policy.trigger_util == 0.75);
	assert_non_null(strstr(r.headers.data, t.c.model.cl->etag));
	ask(&(struct ask){ .method = "GET", .path = "/v1/cluster", .token = "viewer" }, &got);
	json_auto_t *a = json_loads(rig_cluster, 0, NULL), *b = answer_json(&got);
	assert_true(json_equal(a, b));
	assert_non_null(strstr(got.body.data, "\"trigger_util\":0.75"));
	memcpy(at, "0.85", 4);
}

static void test_bad_bodies(void **state)
{
	static const struct {
		const char *method, *path, *body;
		long status;
		const char *part;
	} rows[] = {
		{ "PUT", "/v1/cluster", "", 400, "must be a cluster document" },
		{ "PUT", "/v1/cluster", "{", 400, "line 1, column 1" },
		{ "PUT", "/v1/cluster", "[]", 400, "JSON object" },
		{ "PUT", "/v1/cluster", "\"x\"", 400, "JSON object" },
		{ "PUT", "/v1/cluster", "{\"name\":\"x\"} x", 400, "not JSON" },
		{ "PUT", "/v1/cluster", "{\"name\":\"x\",\"name\":\"y\"}", 400, "not JSON" },
		{ "PUT", "/v1/cluster", "{\"name\":\"\xff\"}", 400, "not JSON" },
		{ "PUT", "/v1/cluster", "{\"name\":\"a\\u0000b\"}", 400, "not JSON" },
		{ "PUT", "/v1/cluster", "{\"name\":\"x\",\"sites\":7,\"x\":1}", 422,
		  "\"pointer\":\"/sites\"" },
		{ "PUT", "/v1/mode", "{}", 422, "observe" },
		{ "PUT", "/v1/mode", "{\"mode\":\"STEER\"}", 422, "observe" },
		{ "PUT", "/v1/mode", "{\"mode\":7}", 422, "observe" },
		{ "PUT", "/v1/mode", "{\"mode\":\"steer\",\"reason\":7}", 422, "reason" },
		{ "PUT", "/v1/mode", "{\"mode\":\"steer\",\"why\":\"x\"}", 400, "Unknown key \\\"why\\\"" },
		{ "POST", "/v1/sites/fra/drain", "{\"expires_s\":-1}", 422, "expires_s" },
		{ "POST", "/v1/sites/fra/drain", "{\"expires_s\":\"1h\"}", 422, "expires_s" },
		{ "POST", "/v1/sites/fra/drain", "{\"expires_s\":99999999999}", 422, "expires_s" },
		{ "POST", "/v1/sites/fra/drain", "{\"reason\":null}", 422, "reason" },
		{ "POST", "/v1/sites/nowhere/drain", "{}", 404, "nowhere" },
		{ "POST", "/v1/nodes/fra/drain", "{}", 404, "no node" },
		{ "POST", "/v1/nodes/fra1/undrain", "7", 400, "JSON object" },
	};
	auto_free char *deep = xcalloc(1, 100001);
	uint64_t last = store_last_event(t.c.store);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_answer r = { 0 };
		ask(&(struct ask){ .method = rows[i].method,
				   .path = rows[i].path,
				   .token = "admin",
				   .header = "If-Match: *",
				   .body = rows[i].body },
		    &r);
		if (r.status != rows[i].status || !strstr(r.body.data, rows[i].part))
			fail_msg("%s %s %s: %ld %s", rows[i].method, rows[i].path, rows[i].body, r.status,
				 r.body.data);
		assert_non_null(strstr(r.headers.data, "application/problem+json"));
	}
	memset(deep, '[', 100000);
	auto_answer r = { 0 };
	ask(&(struct ask){ .method = "PUT", .path = "/v1/cluster", .token = "admin", .body = deep }, &r);
	assert_int_equal(r.status, 400);
	assert_int_equal(store_last_event(t.c.store), last);
}

static void test_query(void **state)
{
	static const char *const bad[] = {
		"/v1/events?limit=x",	   "/v1/events?limit=",
		"/v1/events?after=-1",	   "/v1/events?limit=99999999999999999999999",
		"/v1/sites?after=nowhere", "/v1/nodes?limit=1.5"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_answer r = { 0 };
		ask(&(struct ask){ .method = "GET", .path = bad[i], .token = "viewer" }, &r);
		if (r.status != 400)
			fail_msg("%s: %ld %s", bad[i], r.status, r.body.data);
	}
}

static void test_too_big(void **state)
{
	auto_free char *body = xcalloc(1, 8 * HTTP_BODY_MAX);

	(void)state;
	memset(body, ' ', 8 * HTTP_BODY_MAX);
	for (int chunked = 0; chunked < 2; chunked++) {
		auto_answer over = { 0 }, far = { 0 }, at = { 0 };
		struct ask q = { .method = "PUT",
				 .path = "/v1/cluster",
				 .token = "admin",
				 .header = "If-Match: *",
				 .body = body,
				 .body_len = HTTP_BODY_MAX + 1,
				 .chunked = chunked };
		ask(&q, &over);
		assert_int_equal(over.status, 413);
		q.body_len = HTTP_BODY_MAX;
		ask(&q, &at);
		assert_int_equal(at.status, 400); /* spaces are no JSON, but they were read */
		/* far too much is cut off, answered or not, and nobody waits for it */
		q.body_len = 8 * HTTP_BODY_MAX;
		ask(&q, &far);
		assert_true(far.status == 413 || far.code != CURLE_OK);
	}
}

/* A body that nobody may send is not stored, and the answer still arrives. */
static void test_refused_with_body(void **state)
{
	auto_free char *body = xcalloc(1, HTTP_BODY_MAX);
	auto_answer r = { 0 };

	(void)state;
	memset(body, ' ', HTTP_BODY_MAX);
	ask(&(struct ask){ .method = "PUT",
			   .path = "/v1/cluster",
			   .token = "viewer",
			   .body = body,
			   .body_len = HTTP_BODY_MAX },
	    &r);
	assert_int_equal(r.status, 403);
}

static void post_enroll(const char *body, long status, const char *says)
{
	auto_answer r = { 0 };

	ask(&(struct ask){ .method = "POST", .path = "/v1/enroll", .body = body }, &r);
	if (r.status != status || !strstr(r.body.data, says))
		fail_msg("%ld: %s", r.status, r.body.data);
	assert_null(strstr(r.headers.data, "WWW-Authenticate"));
}

/* Open to everybody: what nobody knows is small, cheap and soon told to wait. */
static void test_enroll_abuse(void **state)
{
	auto_free char *big = xcalloc(1, 70001), *once = xstrdup(enroll_body()),
		       *stolen = with_another_key(once);

	(void)state;
	memset(big, ' ', 70000);
	post_enroll(big, 413, "larger than 65536 bytes");
	post_enroll("{}", 422, "token and csr");
	post_enroll("{\"token\":1,\"csr\":\"x\"}", 422, "token and csr");
	post_enroll(once, 200, "BEGIN CERTIFICATE");
	post_enroll(once, 200, "BEGIN CERTIFICATE"); /* the answer may have been lost */
	post_enroll(stolen, 403, "was used already");
	for (int i = 0; i < 10; i++)
		post_enroll("{\"token\":\"nonsense\",\"csr\":\"x\"}", 401, "not known here");
	post_enroll("{\"token\":\"nonsense\",\"csr\":\"x\"}", 429, "too many");
	post_enroll(enroll_body(), 200, "BEGIN CERTIFICATE");
}

static void test_big_headers(void **state)
{
	auto_free char *header = xcalloc(1, 100001);
	auto_answer r = { 0 };

	(void)state;
	memset(header, 'x', 100000);
	memcpy(header, "X-Big: ", 7);
	ask(&(struct ask){ .method = "GET", .path = "/v1/mode", .token = "viewer", .header = header }, &r);
	assert_true(r.status == 431 || r.status == 400 || r.code != CURLE_OK);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_openapi_walk),	 T(test_openapi_policy), T(test_roles),	  T(test_enroll_abuse),
		T(test_not_found),	 T(test_method),	 T(test_head),	  T(test_lists),
		T(test_plan_and_status), T(test_one_event),	 T(test_absent),  T(test_metrics),
		T(test_drain),		 T(test_service_drain),	 T(test_refused), T(test_put_cluster),
		T(test_bad_bodies),	 T(test_query),		 T(test_too_big), T(test_refused_with_body),
		T(test_big_headers),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
