/* SPDX-License-Identifier: Apache-2.0
 * The real HTTPS server on loopback, a controller of stubs behind it, libcurl in front: one thread turns
 * both. Every route with every role; bad input; slow clients; event streams that resume; and openapi.json
 * held against the route table and against every answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <gnutls/crypto.h>
#include <math.h>
#include <unistd.h>

#include "controller/api/api_int.h"
#include "controller/api/routes.h"
#include "controller/fleet.h"
#include "controller/rounds.h"
#include "proto/base/err.h"
#include "proto/base/log.h"
#include "tests/unit/certs.h"

#define DEADLINE_MS 8000

/* -- a controller of stubs ---------------------------------------------------------------------------- */

static struct {
	int calls;
	char actor[NAME_LEN], name[NAME_LEN], reason[TEXT_LEN], if_match[64];
	int64_t expires_s;
	bool dry_run;
	enum steer_mode mode;
	struct op_result answer; /* status 0: do it */
	bool no_round;
} stub;

static struct {
	uv_loop_t loop;
	struct controller c;
	struct api *a;
	char *certs, *ca, *tokens;
	CURLM *multi;
} t;

static struct op_result stub_result(const char *actor)
{
	struct op_result r = stub.answer;

	stub.calls++;
	snprintf(stub.actor, sizeof(stub.actor), "%s", actor);
	if (!r.status)
		r = (struct op_result){ .status = 200, .detail = "done" };
	return r;
}

struct op_result control_put_cluster(struct controller *c, const char *actor, json_t *doc,
				     const char *if_match, bool dry_run)
{
	json_t *errors = json_array();
	struct cluster *cl = NULL;

	snprintf(stub.if_match, sizeof(stub.if_match), "%s", if_match);
	stub.dry_run = dry_run;
	if (cluster_parse(doc, &cl, errors) != 0)
		return (struct op_result){ .status = 422,
					   .detail = "the document is wrong",
					   .errors = errors };
	json_decref(errors);
	if (dry_run)
		cluster_free(cl);
	else
		model_set_cluster(&c->model, cl);
	return stub_result(actor);
}

struct op_result control_set_mode(struct controller *c, const char *actor, enum steer_mode mode,
				  const char *reason)
{
	c->model.mode = mode;
	snprintf(c->model.mode_reason, TEXT_LEN, "%s", reason);
	return stub_result(actor);
}

struct op_result control_drain(struct controller *c, const char *actor, enum drain_kind kind,
			       const char *name, const char *reason, int64_t expires_s)
{
	(void)c;
	(void)kind;
	snprintf(stub.name, sizeof(stub.name), "%s", name);
	snprintf(stub.reason, sizeof(stub.reason), "%s", reason);
	stub.expires_s = expires_s;
	return stub_result(actor);
}

struct op_result control_undrain(struct controller *c, const char *actor, enum drain_kind kind,
				 const char *name)
{
	return control_drain(c, actor, kind, name, "", 0);
}

size_t fleet_sessions(const struct fleet *f)
{
	(void)f;
	return 0;
}

static struct snap_site snap_sites[2] = { { .name = "fra" }, { .name = "ams" } };
static struct snap_shard snap_shards[1] = { { .name = "web-a" } };
static struct site_forecast forecasts[2] = { { 0.9, 0.5, 0.6, 0.7 },
					     { 0.1, 0.2, (double)NAN, (double)INFINITY } };
static struct snapshot snapshot = { .sites = snap_sites, .shards = snap_shards, .n_sites = 2, .n_shards = 1 };
static struct plan plan = {
	.state = PLAN_ACT,
	.why = "fra is hot",
	.moves = { { .from = 0,
		     .to = 1,
		     .kind = MOVE_SHED,
		     .moved_lo = 1e6,
		     .moved = 2e6,
		     .moved_hi = 3e6,
		     .why = "sheds 2 Mbit/s" } },
	.n_moves = 1,
	.refused = { { .site = 1, .from = 0, .to = 200, .kind = MOVE_SHED, .why = "I1" }, { .site = 77 } },
	.n_refused = 2,
	.sites = forecasts,
};
static struct rounds_view round_view = { .plan = &plan, .snapshot = &snapshot, .rounds = 7, .moves = 3 };

const struct rounds_view *rounds_view(const struct rounds *r)
{
	(void)r;
	return stub.no_round ? NULL : &round_view;
}

#define NODE(n) "{\"name\":\"" n "\",\"capacity\":{\"bps\":20000000}}"
#define CLUSTER                                                                                              \
	"{\"name\":\"example\",\"policy\":{\"trigger_util\":0.85},\"grades\":[{\"name\":\"less\","           \
	"\"strength\":10,"                                                                                   \
	"\"communities\":[\"64500:80\"]}],\"sites\":[{\"name\":\"fra\",\"nodes\":[" NODE("fra1") "," NODE(   \
		"fra2") "]},{\"name\":\"ams\",\"nodes\":[" NODE("ams1") "]}],\"services\":[{\"name\":"       \
									"\"web\","                           \
									"\"shards\":[{\"name\":\"web-a\","   \
									"\"prefixes\":[\"198.18.1.0/"        \
									"24\",\"2001:db8:1::/48\"]},"        \
									"{\"name\":\"web-b\",\"prefixes\":[" \
									"\"198.18.2.0/24\"]}]}]}"

static void fill_model(void)
{
	json_auto_t *doc = json_loads(CLUSTER, 0, NULL), *errors = json_array();
	struct cluster *cl = NULL;
	struct model *m = &t.c.model;

	assert_int_equal(cluster_parse(doc, &cl, errors), 0);
	model_init(m, cl);
	for (size_t i = 0; i < 2; i++)
		m->nodes[i] = (struct node_live){ .connected = true,
						  .addr = "192.0.2.1:4711",
						  .report_at = mono_now(),
						  .connected_at = mono_now(),
						  .bgp_ok = true,
						  .service_up = i == 0,
						  .service_reason = "http: 503",
						  .util = 0.9,
						  .weight = 100,
						  .shards = m->nodes[i].shards };
	m->nodes[1].drain = (struct drain){
		.on = true, .reason = "cut in two \xc3", .since = mono_now(), .expires_wall_ms = 1700000000000
	};
	m->nodes[0].shards[0].seen = true;
	m->nodes[0].load[RES_BPS] = (double)NAN;
	m->sites[0] = (struct site_live){ .healthy = true, .util = 0.95, .report_at = mono_now() };
	*model_cell(m, 0, 0) = (struct cell_live){ .ordered = true,
						   .wanted = 2,
						   .grade = 1,
						   .announced = true,
						   .why = "hot",
						   .changed_at = mono_now() };
	round_view.at = mono_now();
	snapshot.grades = &cl->grades;
}

static json_t *answer_json(const struct answer *r)
{
	json_error_t e;
	json_t *j = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, &e);

	if (!j)
		fail_msg("not JSON (%s): %s", e.text, r->body.data ? r->body.data : "(empty)");
	return j;
}

static json_t *get(const char *path)
{
	auto_answer r = { 0 };

	ask(&(struct ask){ .method = "GET", .path = path, .token = "viewer" }, &r);
	assert_int_equal(r.status, 200);
	return answer_json(&r);
}

/* -- openapi.json ------------------------------------------------------------------------------------- */

static json_t *openapi;

static json_t *dig(json_t *j, ...)
{
	va_list ap;
	const char *key;

	va_start(ap, j);
	while (j && (key = va_arg(ap, const char *)))
		j = json_object_get(j, key);
	va_end(ap);
	return j;
}

static json_t *deref(json_t *schema)
{
	const char *ref = json_string_value(json_object_get(schema, "$ref"));

	if (!ref)
		return schema;
	assert_memory_equal(ref, "#/components/", 13);
	auto_free char *copy = xstrdup(ref + 13);
	char *slash = strchr(copy, '/');
	*slash = 0;
	json_t *to = dig(openapi, "components", copy, slash + 1, NULL);
	if (!to)
		fail_msg("openapi.json: %s leads nowhere", ref);
	return to;
}

static void conform(json_t *schema, json_t *v, const char *at);

static void conform_object(json_t *schema, json_t *v, const char *at)
{
	json_t *props = json_object_get(schema, "properties"),
	       *more = json_object_get(schema, "additionalProperties"), *x;
	const char *key;
	size_t i;

	if (!json_is_object(v))
		fail_msg("%s: an object is promised", at);
	json_object_foreach(v, key, x) {
		auto_free char *here = xasprintf("%s/%s", at, key);
		json_t *s = json_object_get(props, key);
		if (s)
			conform(s, x, here);
		else if (json_is_object(more))
			conform(more, x, here);
		else if (!json_is_true(more) && props)
			fail_msg("%s is not in openapi.json", here);
	}
	json_array_foreach(json_object_get(schema, "required"), i, x)
		if (!json_object_get(v, json_string_value(x)))
			fail_msg("%s: %s is promised and missing", at, json_string_value(x));
}

static void conform_enum(json_t *schema, json_t *v, const char *at)
{
	json_t *list = json_object_get(schema, "enum"), *x;
	size_t i;

	json_array_foreach(list, i, x)
		if (json_equal(x, v))
			return;
	if (list)
		fail_msg("%s: \"%s\" is not one of those promised", at, json_string_value(v));
}

static void conform(json_t *schema, json_t *v, const char *at)
{
	size_t i;
	json_t *x;

	schema = deref(schema);
	if (json_is_null(v) && json_is_true(json_object_get(schema, "nullable")))
		return;
	json_array_foreach(json_object_get(schema, "allOf"), i, x)
		conform(x, v, at);
	const char *type = json_string_value(json_object_get(schema, "type"));
	if (!type)
		return;
	bool ok = strcmp(type, "object") == 0	 ? json_is_object(v)
		  : strcmp(type, "array") == 0	 ? json_is_array(v)
		  : strcmp(type, "string") == 0	 ? json_is_string(v)
		  : strcmp(type, "integer") == 0 ? json_is_integer(v)
		  : strcmp(type, "number") == 0	 ? json_is_number(v)
		  : strcmp(type, "boolean") == 0 ? json_is_boolean(v)
						 : false;
	if (!ok)
		fail_msg("%s: not the %s that is promised", at, type);
	conform_enum(schema, v, at);
	if (json_is_object(v))
		conform_object(schema, v, at);
	json_array_foreach(v, i, x) {
		auto_free char *here = xasprintf("%s/%zu", at, i);
		conform(json_object_get(schema, "items"), x, here);
	}
}

/* The answer of an operation, by its status, as openapi.json describes it. */
static void conform_answer(const char *path, const char *method, const struct answer *r)
{
	char status[16], lower[16];

	snprintf(status, sizeof(status), "%ld", r->status);
	for (size_t i = 0; i <= strlen(method); i++)
		lower[i] = (char)(method[i] | (method[i] ? 0x20 : 0));
	json_t *response = dig(openapi, "paths", path, lower, "responses", status, NULL);
	if (!response)
		fail_msg("%s %s: status %s is not in openapi.json", method, path, status);
	json_t *content = json_object_get(deref(response), "content");
	json_t *schema = dig(content, r->status < 400 ? "application/json" : "application/problem+json",
			     "schema", NULL);
	if (!schema)
		return;
	json_auto_t *v = answer_json(r);
	auto_free char *at = xasprintf("%s %s %s", method, path, status);
	conform(schema, v, at);
}

static void test_openapi_walk(void **state)
{
	size_t n, described = 0;
	const struct route *rt = routes_table(&n);
	const char *path, *method;
	json_t *item, *op;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const char *lower = strcmp(rt[i].method, "GET") == 0   ? "get"
				    : strcmp(rt[i].method, "PUT") == 0 ? "put"
								       : "post";
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
	const char *brace = strchr(pattern, '{');
	const char *name = strstr(pattern, "/sites/")	   ? "fra"
			   : strstr(pattern, "/nodes/")	   ? "fra2"
			   : strstr(pattern, "/services/") ? "web"
							   : "web-a";

	return brace ? xasprintf("%.*s%s%s", (int)(brace - pattern), pattern, name, strchr(brace, '}') + 1)
		     : xstrdup(pattern);
}

static const char *body_for(const struct route *rt)
{
	if (strcmp(rt->method, "GET") == 0)
		return NULL;
	if (strcmp(rt->path, "/v1/cluster") == 0)
		return CLUSTER;
	return strcmp(rt->path, "/v1/mode") == 0 ? "{\"mode\":\"steer\",\"reason\":\"test\"}"
						 : "{\"reason\":\"test\"}";
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
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_LEN(who); k++) {
			auto_free char *path = concrete(rt[i].path);
			auto_answer r = { 0 };
			int calls = stub.calls;
			long want = who[k].role >= rt[i].role ? 200 : who[k].role == ROLE_NONE ? 401 : 403;
			ask(&(struct ask){ .method = rt[i].method,
					   .path = path,
					   .token = who[k].token,
					   .body = body_for(&rt[i]) },
			    &r);
			if (r.status != want)
				fail_msg("%s %s as %s: %ld, not %ld: %s", rt[i].method, path,
					 who[k].token ? who[k].token : "nobody", r.status, want, r.body.data);
			assert_true((strstr(r.headers.data, "WWW-Authenticate: Bearer") != NULL) ==
				    (want == 401));
			assert_null(strstr(r.headers.data, "Access-Control"));
			assert_true(want == 200 || stub.calls == calls);
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
	auto_answer r = { 0 }, empty = { 0 };

	(void)state;
	ask(&(struct ask){ .method = "POST",
			   .path = "/v1/sites/fra/drain",
			   .token = "operator",
			   .body = "{\"reason\":\"works\",\"expires_s\":60}" },
	    &r);
	assert_int_equal(r.status, 200);
	assert_string_equal(stub.actor, "operator");
	assert_string_equal(stub.name, "fra");
	assert_string_equal(stub.reason, "works");
	assert_int_equal(stub.expires_s, 60);
	ask(&(struct ask){ .method = "POST", .path = "/v1/nodes/ams1/drain", .token = "admin", .body = "" },
	    &empty);
	assert_int_equal(empty.status, 200);
	assert_string_equal(stub.actor, "admin");
	assert_string_equal(stub.reason, "");
}

static void test_refused(void **state)
{
	auto_answer r = { 0 };

	(void)state;
	stub.answer = (struct op_result){ .status = 409, .detail = "web-a would be announced by one site" };
	ask(
		&(struct ask){
			.method = "POST", .path = "/v1/sites/fra/drain", .token = "operator", .body = "{}" },
		&r);
	stub.answer = (struct op_result){ 0 };
	assert_int_equal(r.status, 409);
	conform_answer("/v1/sites/{name}/drain", "POST", &r);
	assert_non_null(strstr(r.body.data, "web-a would be announced by one site"));
}

static void test_put_cluster(void **state)
{
	auto_answer r = { 0 }, dry = { 0 }, got = { 0 };

	(void)state;
	ask(&(struct ask){ .method = "PUT",
			   .path = "/v1/cluster",
			   .token = "admin",
			   .body = CLUSTER,
			   .header = "If-Match: \"abc\"" },
	    &r);
	assert_int_equal(r.status, 200);
	assert_string_equal(stub.if_match, "\"abc\"");
	assert_false(stub.dry_run);
	assert_non_null(strstr(r.headers.data, t.c.model.cl->etag));
	ask(
		&(struct ask){
			.method = "PUT", .path = "/v1/cluster?dry_run=1", .token = "admin", .body = CLUSTER },
		&dry);
	assert_int_equal(dry.status, 200);
	assert_string_equal(stub.if_match, "");
	assert_true(stub.dry_run);
	ask(&(struct ask){ .method = "GET", .path = "/v1/cluster", .token = "viewer" }, &got);
	json_auto_t *a = json_loads(CLUSTER, 0, NULL), *b = answer_json(&got);
	assert_true(json_equal(a, b));
	assert_non_null(strstr(got.body.data, "\"trigger_util\":0.85"));
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
	int calls = stub.calls;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_answer r = { 0 };
		ask(&(struct ask){ .method = rows[i].method,
				   .path = rows[i].path,
				   .token = "admin",
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
	assert_int_equal(stub.calls, calls);
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

/* -- events ------------------------------------------------------------------------------------------- */

static void emit(const char *kind, int n)
{
	assert_int_equal(
		events_emit(t.c.events, NULL, 0, kind, "info", json_pack("{s:i}", "n", n), "%s %d", kind, n),
		0);
}

static void test_event_list(void **state)
{
	uint64_t last = store_last_event(t.c.store);
	char path[128];

	(void)state;
	for (int i = 1; i <= 30; i++)
		emit(i % 3 ? "node.up" : "mode", i);
	json_auto_t *newest = get("/v1/events?limit=4"), *modes = get("/v1/events?limit=2&kind=mode"),
		    *both = get("/v1/events?kind=node,mode&limit=30");
	json_t *list = json_object_get(newest, "events");
	assert_int_equal(json_array_size(list), 4);
	assert_string_equal(json_string_value(dig(json_array_get(list, 3), "text", NULL)), "mode 30");
	assert_int_equal(json_integer_value(json_object_get(newest, "last")), last + 30);
	list = json_object_get(modes, "events");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(dig(json_array_get(list, 0), "text", NULL)), "mode 27");
	assert_int_equal(json_array_size(json_object_get(both, "events")), 30);
	snprintf(path, sizeof(path), "/v1/events?limit=5&kind=mode&after=%llu", (unsigned long long)last);
	json_auto_t *forward = get(path);
	list = json_object_get(forward, "events");
	assert_int_equal(json_array_size(list), 5);
	assert_string_equal(json_string_value(dig(json_array_get(list, 0), "text", NULL)), "mode 3");
	assert_int_equal(json_integer_value(json_object_get(forward, "next")), last + 15);
	conform(dig(openapi, "components", "schemas", "EventList", NULL), forward, "events");
}

struct sse {
	CURL *h;
	struct curl_slist *headers;
	struct answer r;
};

static void sse_open(struct sse *s, const char *path, const char *last_id)
{
	*s = (struct sse){ 0 };
	s->h = client(path, "viewer", &s->headers);
	s->headers = curl_slist_append(s->headers, "Accept: text/event-stream");
	if (last_id) {
		auto_free char *header = xasprintf("Last-Event-ID: %s", last_id);
		s->headers = curl_slist_append(s->headers, header);
	}
	curl_easy_setopt(s->h, CURLOPT_HTTPHEADER, s->headers);
	curl_easy_setopt(s->h, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(s->h, CURLOPT_WRITEDATA, &s->r.body);
	curl_easy_setopt(s->h, CURLOPT_PRIVATE, &s->r);
	curl_multi_add_handle(t.multi, s->h);
	UNTIL(s->r.done || s->r.body.len);
}

static bool sse_has(const struct sse *s, const char *text)
{
	return s->r.body.data && strstr(s->r.body.data, text);
}

static void sse_close(struct sse *s)
{
	curl_multi_remove_handle(t.multi, s->h);
	curl_easy_cleanup(s->h);
	curl_slist_free_all(s->headers);
	answer_done(&s->r);
}

static void test_stream(void **state)
{
	struct sse all, modes, back;
	char id[32], want[64];

	(void)state;
	emit("before", 0);
	sse_open(&all, "/v1/events", NULL);
	sse_open(&modes, "/v1/events?kind=mode,guard", NULL);
	assert_int_equal(hub_listeners(t.a->hub), 2);
	emit("node.up", 1);
	emit("mode", 2);
	UNTIL(sse_has(&all, "mode 2") && sse_has(&modes, "mode 2"));
	assert_false(sse_has(&all, "before"));
	assert_false(sse_has(&modes, "node.up"));
	assert_true(sse_has(&all, "event: node.up\ndata: {"));
	uint64_t seen = store_last_event(t.c.store);
	snprintf(want, sizeof(want), "id: %llu\nevent: mode\n", (unsigned long long)seen);
	assert_true(sse_has(&all, want));
	sse_close(&all);
	/* gone, and back: nothing is lost, nothing comes twice */
	for (int i = 3; i < 300; i++)
		emit("mode", i);
	snprintf(id, sizeof(id), "%llu", (unsigned long long)seen);
	sse_open(&back, "/v1/events", id);
	emit("mode", 300);
	UNTIL(sse_has(&back, "mode 300\""));
	assert_false(sse_has(&back, "mode 2\""));
	const char *p = back.r.body.data;
	for (int i = 3; i <= 300; i++) {
		snprintf(want, sizeof(want), "\"mode %d\"", i);
		p = strstr(p, want);
		if (!p)
			fail_msg("%s is missing or out of order", want);
		assert_null(strstr(p + 1, want));
	}
	assert_false(sse_has(&back, "event: gap"));
	sse_close(&back);
	sse_close(&modes);
}

static void test_heartbeat(void **state)
{
	struct sse s;

	(void)state;
	hub_free(t.a->hub);
	t.a->hub = hub_new(t.a, 50);
	sse_open(&s, "/v1/events", NULL);
	UNTIL(sse_has(&s, ": heartbeat\n\n"));
	sse_close(&s);
	/* the next heartbeats find out that nobody listens any more */
	UNTIL(hub_listeners(t.a->hub) == 0);
}

static void test_gap(void **state)
{
	struct sse s;
	uint64_t last = store_last_event(t.c.store);
	char id[32], want[64];

	(void)state;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)last);
	for (int i = 0; i < STORE_EVENTS_KEPT + 5; i++) {
		struct store_event ev = { .kind = "x", .severity = "info", .text = "x" };
		store_write(t.c.store, NULL, 0, &ev);
	}
	sse_open(&s, "/v1/events", id);
	snprintf(want, sizeof(want), "event: gap\ndata: {\"from\":%llu,\"to\":%llu}\n",
		 (unsigned long long)last + 1, (unsigned long long)last + 5);
	UNTIL(sse_has(&s, want));
	sse_close(&s);
}

/* -- fixtures ----------------------------------------------------------------------------------------- */

static void write_tokens(void)
{
	static const char *const roles[] = { "viewer", "operator", "admin" };
	auto_fclose FILE *f = fopen(t.tokens, "w");

	assert_non_null(f);
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		uint8_t h[32];
		gnutls_hash_fast(GNUTLS_DIG_SHA256, roles[i], strlen(roles[i]), h);
		fprintf(f, "%s %s ", roles[i], roles[i]);
		for (int k = 0; k < 32; k++)
			fprintf(f, "%02x", h[k]);
		fputc('\n', f);
	}
}

static int group_setup(void **state)
{
	char why[TEXT_LEN] = "";

	(void)state;
	log_init("api_test", LOG_LEVEL_ERROR + 1, false);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	t.multi = curl_multi_init();
	t.certs = certs_new();
	if (pki_issue(t.certs, "ctrl", PKI_ROLE_CONTROLLER, "127.0.0.1", 10, true, why))
		fail_msg("%s", why);
	t.ca = xasprintf("%s/ca.pem", t.certs);
	t.tokens = xasprintf("%s/tokens", t.certs);
	write_tokens();
	openapi = json_load_file("controller/api/openapi.json", JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(openapi);
	return 0;
}

static int setup(void **state)
{
	char why[TEXT_LEN] = "";
	auto_free char *cert = xasprintf("%s/ctrl.pem", t.certs);
	auto_free char *key = xasprintf("%s/ctrl.key", t.certs);
	struct api_cfg cfg = { .ca = t.ca, .cert = cert, .key = key, .tokens = t.tokens };

	(void)state;
	memset(&stub, 0, sizeof(stub));
	uv_loop_init(&t.loop);
	t.c = (struct controller){ .loop = &t.loop, .rounds = (struct rounds *)&round_view };
	store_open_memory(&t.c.store);
	t.c.events = events_new(t.c.store);
	fill_model();
	endpoint_parse("127.0.0.1:1", &cfg.listen, NULL);
	((struct sockaddr_in *)&cfg.listen)->sin_port = 0;
	if (api_new(&t.c, &cfg, &t.a, why) != 0)
		fail_msg("%s", why);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	api_free(t.a);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t.loop), 0);
	events_free(t.c.events);
	store_close(t.c.store);
	model_done(&t.c.model);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	json_decref(openapi);
	curl_multi_cleanup(t.multi);
	curl_global_cleanup();
	certs_rm(t.certs);
	free(t.ca);
	free(t.tokens);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_openapi_walk),
		T(test_openapi_policy),
		T(test_roles),
		T(test_not_found),
		T(test_method),
		T(test_head),
		T(test_lists),
		T(test_plan_and_status),
		T(test_absent),
		T(test_metrics),
		T(test_drain),
		T(test_refused),
		T(test_put_cluster),
		T(test_bad_bodies),
		T(test_query),
		T(test_too_big),
		T(test_refused_with_body),
		T(test_big_headers),
		T(test_event_list),
		T(test_stream),
		T(test_heartbeat),
		T(test_gap),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
