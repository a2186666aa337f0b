/* SPDX-License-Identifier: Apache-2.0
 * What the API promises beyond single requests: tokens that are made, used, revoked and expire; limits;
 * idempotency keys; pictures that are kept; decisions and audit page by page; overrides; no secret in a log;
 * parameters and body keys as openapi.json has them. */
#include "tests/unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "controller/api/api_int.h"
#include "controller/api/cache.h"
#include "controller/api/cache.h"
#include "controller/api/idem.h"
#include "controller/api/limit.h"
#include "controller/api/routes.h"
#include "proto/base/log.h"

static long send_as(const char *token, const char *method, const char *path, const char *body,
		    const char *header, struct answer *ret)
{
	ask(&(struct ask){ .method = method, .path = path, .token = token, .body = body, .header = header },
	    ret);
	return ret->status;
}

/* -- openapi.json ------------------------------------------------------------------------------------- */

static bool has_parameter(json_t *op, const char *in, const char *name)
{
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(op, "parameters"), i, p)
		if (strcmp(json_string_value(json_object_get(p, "in")), in) == 0 &&
		    strcmp(json_string_value(json_object_get(p, "name")), name) == 0)
			return true;
	return false;
}

static size_t count_parameters(json_t *op, const char *in)
{
	json_t *p;
	size_t i, n = 0;

	json_array_foreach(json_object_get(op, "parameters"), i, p)
		n += strcmp(json_string_value(json_object_get(p, "in")), in) == 0;
	return n;
}

static json_t *body_schema(json_t *op)
{
	json_t *s = dig(op, "requestBody", "content", "application/json", "schema", NULL);
	const char *ref = json_string_value(json_object_get(s, "$ref"));

	return ref ? dig(openapi, "components", "schemas", strrchr(ref, '/') + 1, NULL) : s;
}

static size_t walk_names(const char *names, void (*fn)(json_t *op, const char *name), json_t *op)
{
	auto_free char *copy = xstrdup(names ? names : "");
	char *save = NULL;
	size_t n = 0;

	for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save), n++)
		fn(op, s);
	return n;
}

static void want_query(json_t *op, const char *name)
{
	if (!has_parameter(op, "query", name))
		fail_msg("%s: ?%s= is not in openapi.json",
			 json_string_value(json_object_get(op, "operationId")), name);
}

static void want_key(json_t *op, const char *name)
{
	if (!dig(body_schema(op), "properties", name, NULL))
		fail_msg("%s: key %s of the body is not in openapi.json",
			 json_string_value(json_object_get(op, "operationId")), name);
}

/* The route table and openapi.json name the same parameters and the same keys, no more and no fewer. */
static void test_parameters(void **state)
{
	size_t n;
	const struct route *rt = routes_table(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char lower[8] = "";
		for (size_t k = 0; rt[i].method[k]; k++)
			lower[k] = (char)(rt[i].method[k] | 0x20);
		json_t *op = dig(openapi, "paths", rt[i].path, lower, NULL);
		print_message("%s %s\n", rt[i].method, rt[i].path);
		assert_int_equal(walk_names(rt[i].query, want_query, op), count_parameters(op, "query"));
		assert_true(!rt[i].body == !json_object_get(op, "requestBody"));
		if (rt[i].body && strcmp(rt[i].body, "*") != 0)
			assert_int_equal(walk_names(rt[i].body, want_key, op),
					 json_object_size(json_object_get(body_schema(op), "properties")));
		bool post = strcmp(rt[i].method, "POST") == 0 && rt[i].role != ROLE_NONE;
		assert_true(has_parameter(op, "header", "Idempotency-Key") == post);
		/* one that is not there is refused */
		auto_free char *path = xasprintf("%s?nonsense=1", rt[i].path);
		auto_answer r = { 0 };
		assert_int_equal(send_as("admin", rt[i].method, path, NULL, NULL, &r), 400);
	}
	auto_answer twice = { 0 };
	assert_int_equal(send_as("viewer", "GET", "/v1/sites?limit=1&limit=2", NULL, NULL, &twice), 400);
}

/* -- tokens ------------------------------------------------------------------------------------------- */

static char *make_token(const char *body)
{
	auto_answer r = { 0 };

	assert_int_equal(send_as("admin", "POST", "/v1/tokens", body, NULL, &r), 201);
	conform_answer("/v1/tokens", "POST", &r);
	json_auto_t *j = answer_json(&r);
	return xstrdup(json_string_value(json_object_get(j, "token")));
}

static long try_token(const char *token, const char *path)
{
	auto_answer r = { 0 };

	return send_as(token, "GET", path, NULL, NULL, &r);
}

static void test_token_life(void **state)
{
	auto_free char *secret = make_token("{\"name\":\"grafana\",\"role\":\"viewer\",\"expires_s\":3600}");
	auto_answer again = { 0 }, gone = { 0 }, list = { 0 }, file = { 0 };
	struct sse s;

	(void)state;
	assert_int_equal(strlen(secret), 43);
	assert_int_equal(try_token(secret, "/v1/sites"), 200);
	assert_int_equal(try_token(secret, "/v1/tokens"), 403);
	assert_int_equal(send_as("admin", "POST", "/v1/tokens", "{\"name\":\"grafana\",\"role\":\"admin\"}",
				 NULL, &again),
			 409);
	send_as("admin", "GET", "/v1/tokens", NULL, NULL, &list);
	conform_answer("/v1/tokens", "GET", &list);
	assert_null(strstr(list.body.data, secret));
	assert_non_null(strstr(list.body.data, "\"last_used\":\"2"));
	/* a new server on the same store knows it, and not its secret */
	auto_free char *stored = NULL;
	assert_int_equal(store_get(t.c.store, "token/grafana", &stored), 0);
	assert_null(strstr(stored, secret));
	struct auth *other = auth_new(t.tokens, t.c.store);
	assert_non_null(auth_find(other, "grafana"));
	auth_free(other);
	/* its streams end with it */
	sse_open(&s, "/v1/events", secret, NULL);
	assert_int_equal(send_as("admin", "DELETE", "/v1/tokens/grafana", NULL, NULL, &gone), 200);
	UNTIL(s.r.done);
	sse_close(&s);
	assert_int_equal(try_token(secret, "/v1/sites"), 401);
	assert_int_equal(send_as("admin", "DELETE", "/v1/tokens/viewer", NULL, NULL, &file), 409);
	assert_non_null(strstr(file.body.data, "token file"));
}

static void test_token_expires(void **state)
{
	auto_free char *secret = make_token("{\"name\":\"short\",\"role\":\"viewer\",\"expires_s\":1}");
	struct sse s;

	(void)state;
	sse_open(&s, "/v1/events", secret, NULL);
	UNTIL(s.r.done);
	sse_close(&s);
	assert_int_equal(try_token(secret, "/v1/sites"), 401);
}

static void test_token_line_removed(void **state)
{
	auto_free char *kept = NULL;
	size_t cap = 0;
	struct sse s;

	(void)state;
	sse_open(&s, "/v1/events", "operator", NULL);
	FILE *f = fopen(t.tokens, "r");
	assert_true(getdelim(&kept, &cap, 0, f) > 0);
	fclose(f);
	f = fopen(t.tokens, "w");
	fprintf(f, "%.*s", (int)(strchr(kept, '\n') - kept + 1), kept);
	fclose(f);
	UNTIL(s.r.done);
	sse_close(&s);
	f = fopen(t.tokens, "w");
	fputs(kept, f);
	fclose(f);
	UNTIL(try_token("operator", "/v1/sites") == 200);
}

static void test_bad_tokens(void **state)
{
	static const char *const bodies[] = { "{\"name\":\"a b\",\"role\":\"viewer\"}",
					      "{\"name\":\"\",\"role\":\"viewer\"}",
					      "{\"name\":\"x\",\"role\":\"root\"}",
					      "{\"name\":\"x\",\"role\":\"none\"}",
					      "{\"name\":\"../x\",\"role\":\"viewer\"}",
					      "{\"name\":\"x\"}",
					      "{\"name\":\"x\",\"role\":\"viewer\",\"expires_s\":-1}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		auto_answer r = { 0 };
		if (send_as("admin", "POST", "/v1/tokens", bodies[i], NULL, &r) != 422)
			fail_msg("%s: %ld", bodies[i], r.status);
	}
}

/* -- idempotency -------------------------------------------------------------------------------------- */

static void test_idempotency(void **state)
{
	static const char override[] =
		"{\"site\":\"fra\",\"shard\":\"web-a\",\"grade\":\"less\",\"reason\":\"x\"}";
	auto_answer first = { 0 }, second = { 0 }, other = { 0 }, without = { 0 }, bad = { 0 }, made = { 0 },
		    secret = { 0 };

	(void)state;
	assert_int_equal(
		send_as("operator", "POST", "/v1/overrides", override, "Idempotency-Key: k1", &first), 201);
	uint64_t last = store_last_event(t.c.store);
	assert_int_equal(
		send_as("operator", "POST", "/v1/overrides", override, "Idempotency-Key: k1", &second), 201);
	assert_int_equal(store_last_event(t.c.store), last);
	assert_string_equal(first.body.data, second.body.data);
	assert_non_null(strstr(second.headers.data, "Location: /v1/overrides/grade:fra:web-a"));
	assert_int_equal(send_as("operator", "POST", "/v1/overrides", "{}", "Idempotency-Key: k1", &other),
			 422);
	assert_int_equal(
		send_as("operator", "POST", "/v1/overrides", override, "Idempotency-Key: k2", &without), 409);
	/* another token's key is another key */
	auto_answer admins = { 0 };
	assert_int_equal(send_as("admin", "POST", "/v1/overrides", override, "Idempotency-Key: k1", &admins),
			 409);
	assert_int_equal(send_as("operator", "POST", "/v1/overrides", override, "Idempotency-Key: a b", &bad),
			 400);
	/* a secret is shown once */
	static const char token[] = "{\"name\":\"once\",\"role\":\"viewer\"}";
	assert_int_equal(send_as("admin", "POST", "/v1/tokens", token, "Idempotency-Key: k3", &made), 201);
	assert_int_equal(send_as("admin", "POST", "/v1/tokens", token, "Idempotency-Key: k3", &secret), 409);
	assert_non_null(strstr(secret.body.data, "shown once"));
}

static void test_idempotency_is_bounded(void **state)
{
	struct idem *m = idem_new();
	struct response r = { .status = 200 }, got;
	mono_t now = mono_now();
	char key[32];

	(void)state;
	struct request req = { .method = "POST", .path = "/v1/x", .body = "" };
	req.header[HDR_IDEMPOTENCY_KEY] = key;
	for (int i = 0; i <= IDEM_MAX; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		r.body = NULL;
		assert_false(idem_known(m, &req, now, &got));
		idem_keep(m, &req, &r, now);
	}
	assert_true(idem_known(m, &req, now, &got));
	assert_false(idem_known(m, &req, mono_add_ms(now, IDEM_KEEP_MS + 1), &got));
	snprintf(key, sizeof(key), "key-0"); /* the oldest made room */
	assert_false(idem_known(m, &req, now, &got));
	r.status = 503; /* what failed on our side may be tried again */
	idem_keep(m, &req, &r, now);
	assert_false(idem_known(m, &req, now, &got));
	idem_free(m);
}

/* Who may only look, or is nobody, does not push out what operators did. */
static void test_idempotency_is_not_flushed(void **state)
{
	static const char override[] =
		"{\"site\":\"fra\",\"shard\":\"web-a\",\"grade\":\"less\",\"reason\":\"x\"}";
	auto_answer first = { 0 }, again = { 0 };

	(void)state;
	assert_int_equal(
		send_as("operator", "POST", "/v1/overrides", override, "Idempotency-Key: k1", &first), 201);
	limit_set(t.a->limit, LIMIT_OPEN, 1000);
	for (int i = 0; i <= IDEM_MAX; i++) {
		auto_answer r = { 0 };
		auto_free char *key = xasprintf("Idempotency-Key: flush-%d", i);
		bool open = i % 2;
		send_as(open ? NULL : "viewer", "POST", open ? "/v1/enroll" : "/v1/whatif", "{}", key, &r);
	}
	assert_int_equal(
		send_as("operator", "POST", "/v1/overrides", override, "Idempotency-Key: k1", &again), 201);
}

static void test_idempotency_bytes(void **state)
{
	struct idem *m = idem_new();
	struct response r = { .status = 200, .len = IDEM_BYTES_MAX / 4 }, got = { 0 };
	mono_t now = mono_now();
	char key[32];

	(void)state;
	struct request req = { .method = "POST", .path = "/v1/x", .body = "" };
	req.header[HDR_IDEMPOTENCY_KEY] = key;
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		idem_keep(m, &req, &r, now);
	}
	assert_true(idem_known(m, &req, now, &got)); /* the last */
	int known = 0;
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		known += idem_known(m, &req, now, &got);
	}
	assert_int_equal(known, 4);
	idem_free(m);
}

/* -- text --------------------------------------------------------------------------------------------- */

/* What people write goes to logs, terminals and the audit: one line of UTF-8. */
static void test_plain_text(void **state)
{
	static const struct {
		const char *method, *path, *body;
		int status;
	} rows[] = {
		{ "DELETE", "/v1/overrides/grade:fra:web-a?reason=%ff", NULL, 400 },
		{ "DELETE", "/v1/overrides/grade:fra:web-a?reason=a%1b[2Jb", NULL, 400 },
		{ "DELETE", "/v1/overrides/grade:fra:web-a?reason=a%0d%0ab", NULL, 400 },
		{ "GET", "/v1/sites?limit%20after=x", NULL, 400 },
		{ "POST", "/v1/sites/fra/drain", "{\"reason\":\"a\\u001b]0;b\"}", 422 },
		{ "POST", "/v1/sites/fra/drain", "{\"reason\":\"a\\nb\"}", 422 },
		{ "POST", "/v1/sites/fra/drain", "{\"reason\":\"a\\u009bb\"}", 422 },
		{ "POST", "/v1/sites/fra/drain", "{\"wait_s expires_s\":1}", 400 },
		{ "POST", "/v1/drills", "{\"kind\":\"soft-drain\",\"site\":\"fra\",\"reason\":\"a\\u001bb\"}",
		  422 },
		{ "GET", "/v1/audit?kind=%c3%a9", NULL, 200 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_answer r = { 0 };
		print_message("%s %s\n", rows[i].method, rows[i].path);
		assert_int_equal(send_as("operator", rows[i].method, rows[i].path, rows[i].body, NULL, &r),
				 rows[i].status);
	}
}

/* Two questions that read alike when written one after the other are two. */
static void test_pictures_are_not_mixed(void **state)
{
	struct cache *c = cache_new();

	(void)state;
	struct request one = { .path = "/v1/audit", .n_query = 1, .query = { { "kind", "a\nactor=b" } } };
	struct request two = { .path = "/v1/audit",
			       .n_query = 2,
			       .query = { { "kind", "a" }, { "actor", "b" } } };
	struct response kept = { .status = 200, .body = xstrdup("x"), .len = 1 }, got;
	cache_keep(c, &one, &kept, mono_now());
	shared_unref(kept.shared);
	assert_false(cache_find(c, &two, mono_now(), &got));
	cache_free(c);
}

/* -- limits ------------------------------------------------------------------------------------------- */

static void test_limit(void **state)
{
	auto_answer r = { 0 }, other = { 0 };
	int n = 0;

	(void)state;
	limit_set(t.a->limit, LIMIT_READ, 2);
	while (try_token("viewer", "/v1/mode") == 200 && n < 100)
		n++;
	assert_true(n >= 8 && n <= 12);
	send_as("viewer", "GET", "/v1/mode", NULL, NULL, &r);
	assert_int_equal(r.status, 429);
	assert_non_null(strstr(r.headers.data, "Retry-After: 1\r\n"));
	conform_answer("/v1/mode", "GET", &r);
	assert_int_equal(try_token("operator", "/v1/mode"), 200);
	/* writing is counted apart */
	assert_int_equal(send_as("admin", "PUT", "/v1/mode", "{\"mode\":\"observe\"}", NULL, &other), 200);
	UNTIL(try_token("viewer", "/v1/mode") == 200);
	/* guessing is slowed down, and nobody's token is held up by it */
	limit_set(t.a->limit, LIMIT_REFUSED, 1);
	for (n = 0; try_token("wrong", "/v1/mode") == 401 && n < 100; n++)
		;
	assert_true(n <= 6);
	assert_int_equal(try_token("wrong", "/v1/mode"), 429);
	assert_int_equal(try_token("admin", "/v1/mode"), 200);
}

static void test_limit_is_bounded(void **state)
{
	struct limit *l = limit_new();
	mono_t now = mono_now();
	unsigned wait_s = 0;
	char who[32];

	(void)state;
	limit_set(l, LIMIT_WRITE, 1);
	for (int i = 0; i < 100000; i++) {
		snprintf(who, sizeof(who), "token-%d", i);
		assert_true(limit_take(l, LIMIT_WRITE, who, now, &wait_s));
	}
	for (int i = 0; i < 4; i++)
		assert_true(limit_take(l, LIMIT_WRITE, "mine", now, &wait_s));
	assert_false(limit_take(l, LIMIT_WRITE, "mine", now, &wait_s));
	assert_int_equal(wait_s, 1);
	assert_true(limit_take(l, LIMIT_WRITE, "mine", mono_add_ms(now, 1001), &wait_s));
	limit_free(l);
}

/* -- pictures ----------------------------------------------------------------------------------------- */

static void test_own_write_is_read(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		auto_answer r = { 0 };
		json_auto_t *before = get("/v1/mode");
		const char *mode = i % 2 ? "{\"mode\":\"observe\",\"reason\":\"x\"}"
					 : "{\"mode\":\"steer\",\"reason\":\"y\"}";
		assert_int_equal(send_as("operator", "PUT", "/v1/mode", mode, NULL, &r), 200);
		json_auto_t *after = get("/v1/mode");
		assert_false(json_equal(before, after));
	}
	/* an event empties it, too, whoever caused it */
	json_auto_t *before = get("/v1/events");
	events_emit(t.c.events, NULL, 0, "node.up", "info", NULL, "news");
	json_auto_t *after = get("/v1/events");
	assert_false(json_equal(before, after));
}

static void test_picture_is_shared(void **state)
{
	auto_answer a = { 0 }, b = { 0 };

	(void)state;
	send_as("viewer", "GET", "/v1/sites", NULL, NULL, &a);
	t.c.model.sites[0].util = 0.12345; /* nobody said so: still the picture from before */
	send_as("admin", "GET", "/v1/sites", NULL, NULL, &b);
	assert_string_equal(a.body.data, b.body.data);
	t.c.model.sites[0].util = 0.95;
	UNTIL(({
		auto_answer c = { 0 };
		send_as("viewer", "GET", "/v1/sites", NULL, NULL, &c);
		strcmp(c.body.data, a.body.data) != 0;
	}));
}

static void test_cache_is_bounded(void **state)
{
	struct cache *c = cache_new();
	mono_t now = mono_now();
	char path[300];

	(void)state;
	for (int i = 0; i < 10 * CACHE_MAX; i++) {
		struct response r = { .status = 200, .body = xstrdup("x"), .len = 1 }, got;
		snprintf(path, sizeof(path), "/v1/nodes/n%d", i);
		struct request req = { .method = "GET", .path = path };
		cache_keep(c, &req, &r, now);
		assert_true(cache_find(c, &req, now, &got));
		shared_unref(got.shared);
		assert_false(cache_find(c, &req, mono_add_ms(now, CACHE_KEEP_MS + 1), &got));
		shared_unref(r.shared);
	}
	memset(path, 'x', sizeof(path) - 1);
	struct request longest = { .method = "GET", .path = path };
	struct response r = { .status = 200, .body = xstrdup("x"), .len = 1 };
	cache_keep(c, &longest, &r, now);
	assert_non_null(r.body); /* not kept, and still the caller's */
	free(r.body);
	cache_free(c);
}

/* -- records ------------------------------------------------------------------------------------------ */

static void decide(const char *site, const char *shard, int n)
{
	events_emit(t.c.events, NULL, 0, "decision", "info",
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "site", site, "shard", shard, "from",
			      "normal", "to", "less", "kind", "shed", "why", json_sprintf("reason %d", n)),
		    "%s at %s: %d", shard, site, n);
}

/* Every page of a list; the number of its rows. */
static size_t page_through(const char *path, const char *name, uint64_t *ret_newest)
{
	json_int_t before = 0;
	size_t rows = 0;

	for (int pages = 0; pages < 100; pages++) {
		auto_free char *at =
			before ? xasprintf("%s&before=%lld", path, (long long)before) : xstrdup(path);
		json_auto_t *j = get(at);
		json_t *list = json_object_get(j, name);
		json_int_t prev = before ? before : INT64_MAX;
		for (size_t i = 0; i < json_array_size(list); i++) {
			json_int_t id = json_integer_value(json_object_get(json_array_get(list, i), "id"));
			assert_true(id < prev); /* newest first, none twice */
			prev = id;
			if (!rows++)
				*ret_newest = (uint64_t)id;
		}
		if (json_is_null(json_object_get(j, "next")))
			return rows;
		before = json_integer_value(json_object_get(j, "next"));
	}
	fail_msg("%s has no end", path);
	return 0;
}

static void test_decisions(void **state)
{
	uint64_t newest = 0;

	(void)state;
	for (int i = 0; i < 1200; i++) {
		if (i % 3 == 0)
			decide(i % 2 ? "fra" : "ams", i % 9 ? "web-a" : "web-b", i);
		else
			events_emit(t.c.events, NULL, 0, "node.up", "info", NULL, "noise");
	}
	assert_int_equal(page_through("/v1/decisions?limit=7", "decisions", &newest), 400);
	assert_int_equal(page_through("/v1/decisions?site=fra&limit=1000", "decisions", &newest), 200);
	assert_int_equal(page_through("/v1/decisions?shard=web-b&site=ams&limit=11", "decisions", &newest),
			 67);
	assert_int_equal(page_through("/v1/decisions?site=nowhere", "decisions", &newest), 0);
	decide("fra", "web-a", 7);
	auto_free char *path =
		xasprintf("/v1/decisions/%llu", (unsigned long long)store_last_event(t.c.store));
	json_auto_t *one = get(path);
	conform(dig(openapi, "components", "schemas", "DecisionDetail", NULL), one, "decision");
	assert_string_equal(json_string_value(json_object_get(one, "why")), "reason 7");
	assert_string_equal(json_string_value(dig(one, "now", "why", NULL)), "hot");
	/* an event that is none */
	events_emit(t.c.events, NULL, 0, "node.up", "info", NULL, "noise");
	auto_free char *noise =
		xasprintf("/v1/decisions/%llu", (unsigned long long)store_last_event(t.c.store));
	assert_int_equal(try_token("viewer", noise), 404);
}

static void test_audit(void **state)
{
	auto_answer mode = { 0 }, drain = { 0 }, undrain = { 0 };
	uint64_t newest = 0;

	(void)state;
	decide("fra", "web-a", 1); /* the engine's: not in the audit */
	send_as("operator", "PUT", "/v1/mode", "{\"mode\":\"steer\",\"reason\":\"launch\"}", NULL, &mode);
	send_as("admin", "POST", "/v1/sites/ams/drain", "{\"reason\":\"works\"}", NULL, &drain);
	send_as("admin", "POST", "/v1/sites/ams/undrain", "{\"reason\":\"done\"}", NULL, &undrain);
	json_auto_t *all = get("/v1/audit"), *drains = get("/v1/audit?kind=drain&actor=admin"),
		    *none = get("/v1/audit?to=2001-01-01T00:00:00Z"),
		    *late = get("/v1/audit?from=2001-01-01T00:00:00.5Z&actor=operator");
	conform(dig(openapi, "components", "schemas", "AuditList", NULL), all, "audit");
	json_t *list = json_object_get(all, "audit"), *first = json_array_get(list, 0);
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(json_string_value(json_object_get(first, "actor")), "admin");
	assert_string_equal(json_string_value(json_object_get(first, "reason")), "done");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 2), "reason")), "launch");
	assert_int_equal(json_array_size(json_object_get(drains, "audit")), 2);
	assert_int_equal(json_array_size(json_object_get(none, "audit")), 0);
	assert_int_equal(json_array_size(json_object_get(late, "audit")), 1);
	assert_int_equal(page_through("/v1/audit?limit=1", "audit", &newest), 3);
	assert_int_equal(try_token("viewer", "/v1/audit?from=yesterday"), 400);
	assert_int_equal(try_token("viewer", "/v1/audit?to=2001-01-01T00:00:00"), 400);
}

/* -- overrides ---------------------------------------------------------------------------------------- */

static void test_overrides(void **state)
{
	auto_answer made = { 0 }, stale = { 0 }, confirmed = { 0 }, late = { 0 }, gone = { 0 },
		    absent = { 0 };
	static const char body[] =
		"{\"site\":\"fra\",\"shard\":\"web-a\",\"grade\":\"less\",\"reason\":\"x\",\"confirm_s\":60}";
	static const char id[] = "/v1/overrides/grade:fra:web-a";
	static const char *const wrong[] = {
		"{\"shard\":\"web-a\",\"reason\":\"x\"}",
		("{\"site\":\"fra\",\"node\":\"fra1\",\"shard\":\"web-a\",\"grade\":\"less\",\"weight\":1,"
		 "\"reason\":\"x\"}"),
		"{\"site\":\"fra\",\"shard\":\"web-a\",\"weight\":1,\"reason\":\"x\"}",
		"{\"node\":\"fra1\",\"shard\":\"web-a\",\"weight\":0,\"reason\":\"x\"}",
		"{\"site\":\"fra\",\"shard\":\"web-a\",\"grade\":\"nonsense\",\"reason\":\"x\"}",
		"{\"site\":\"fra\",\"shard\":\"web-a\",\"grade\":\"less\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		auto_answer r = { 0 };
		if (send_as("operator", "POST", "/v1/overrides", wrong[i], NULL, &r) != 422)
			fail_msg("%s: %ld", wrong[i], r.status);
	}
	assert_int_equal(send_as("operator", "POST", "/v1/overrides", body, NULL, &made), 201);
	conform_answer("/v1/overrides", "POST", &made);
	json_auto_t *j = get(id);
	assert_string_equal(json_string_value(json_object_get(j, "state")), "unconfirmed");
	assert_true(json_is_true(json_object_get(j, "in_effect"))); /* the rig's cell has this grade */
	char *etag = strstr(made.headers.data, "ETag: ");
	auto_free char *match = xasprintf("If-Match: %.*s", (int)strcspn(etag + 6, "\r"), etag + 6);
	assert_int_equal(send_as("operator", "POST", "/v1/overrides/grade:fra:web-a/confirm", "{}",
				 "If-Match: \"other\"", &stale),
			 412);
	assert_int_equal(
		send_as("operator", "POST", "/v1/overrides/grade:fra:web-a/confirm", "{}", match, &confirmed),
		200);
	assert_int_equal(send_as("operator", "DELETE", id, NULL, match, &late), 412);
	json_auto_t *status = get("/v1/status");
	auto_free char *text = json_dumps(json_object_get(status, "alerts"), 0);
	assert_non_null(strstr(text, "grade:fra:web-a"));
	assert_int_equal(
		send_as("operator", "DELETE", "/v1/overrides/grade:fra:web-a?reason=done", NULL, NULL, &gone),
		200);
	assert_int_equal(send_as("operator", "DELETE", id, NULL, NULL, &absent), 404);
	json_auto_t *list = get("/v1/overrides");
	assert_int_equal(json_array_size(json_object_get(list, "overrides")), 0);
	/* who pages must not be given all again when the last one seen has ended */
	auto_answer lost = { 0 };
	assert_int_equal(send_as("viewer", "GET", "/v1/overrides?after=grade:fra:web-a", NULL, NULL, &lost),
			 400);
}

/* -- secrets ------------------------------------------------------------------------------------------ */

/* Everything the server writes while tokens are used rightly and wrongly, as loud as it can be. */
static void test_no_secret_in_a_log(void **state)
{
	char log[] = "/tmp/sluice-log-XXXXXX";
	int fd = mkstemp(log), err = dup(2);

	(void)state;
	assert_true(fd >= 0 && err >= 0);
	fflush(stderr);
	dup2(fd, 2);
	log_init("api_use_test", LOG_LEVEL_DEBUG, false);
	auto_free char *secret = make_token("{\"name\":\"hidden\",\"role\":\"operator\"}");
	auto_answer no = { 0 }, bad = { 0 }, drain = { 0 }, gone = { 0 };
	try_token(secret, "/v1/sites");
	send_as("a-wrong-secret", "GET", "/v1/sites", NULL, NULL, &no);
	send_as(secret, "PUT", "/v1/cluster", "{", NULL, &bad);
	send_as(secret, "POST", "/v1/sites/ams/drain", "{\"reason\":\"x\"}", NULL, &drain);
	send_as("admin", "DELETE", "/v1/tokens/hidden", NULL, NULL, &gone);
	fflush(stderr);
	dup2(err, 2);
	close(err);
	log_init("api_use_test", LOG_LEVEL_ERROR + 1, false);
	off_t len = lseek(fd, 0, SEEK_END);
	auto_free char *text = xcalloc(1, (size_t)len + 1);
	assert_int_equal(pread(fd, text, (size_t)len, 0), len);
	close(fd);
	unlink(log);
	assert_non_null(strstr(text, "token hidden"));
	assert_null(strstr(text, secret));
	assert_null(strstr(text, "a-wrong-secret"));
	/* nor in what is kept */
	json_auto_t *events = get("/v1/events?limit=1000");
	auto_free char *kept = json_dumps(events, 0);
	assert_null(strstr(kept, secret));
}

/* -- CORS, methods, headers --------------------------------------------------------------------------- */

static void test_cors_closed(void **state)
{
	static const char *const methods[] = { "GET", "OPTIONS", "POST", "PUT", "DELETE" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		auto_answer r = { 0 };
		send_as("admin", methods[i], "/v1/sites", NULL, "Origin: https://evil.example", &r);
		assert_null(strstr(r.headers.data, "Access-Control"));
		assert_int_equal(r.status, i ? 405 : 200);
		assert_non_null(strstr(r.headers.data, "X-Content-Type-Options: nosniff"));
		assert_non_null(strstr(r.headers.data, "Cache-Control: no-store"));
	}
}

static void test_header_abuse(void **state)
{
	static const char *const headers[] = {
		"Authorization: Basic YWRtaW46YWRtaW4=",
		"Authorization: Bearer",
		"Authorization: Bearer admin admin",
		"Authorization: bearer\tadmin",
		"X-Forwarded-User: admin",
		"X-HTTP-Method-Override: PUT",
		"Cookie: token=admin",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		auto_answer r = { 0 };
		if (send_as(NULL, "GET", "/v1/sites", NULL, headers[i], &r) != 401)
			fail_msg("%s: %ld", headers[i], r.status);
	}
	/* a token in the URL is no token */
	assert_int_equal(try_token(NULL, "/v1/sites?access_token=admin"), 401);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_parameters),
		T(test_token_life),
		T(test_token_expires),
		T(test_token_line_removed),
		T(test_bad_tokens),
		T(test_idempotency),
		T(test_idempotency_is_bounded),
		T(test_idempotency_is_not_flushed),
		T(test_idempotency_bytes),
		T(test_plain_text),
		T(test_pictures_are_not_mixed),
		T(test_limit),
		T(test_limit_is_bounded),
		T(test_own_write_is_read),
		T(test_picture_is_shared),
		T(test_cache_is_bounded),
		T(test_decisions),
		T(test_audit),
		T(test_overrides),
		T(test_no_secret_in_a_log),
		T(test_cors_closed),
		T(test_header_abuse),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
