/* SPDX-License-Identifier: Apache-2.0
 * The API of a controller that does not lead: who may ask is decided first, reads are answered, every change
 * goes to the leader, or is refused while there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "controller/api/routes.h"
#include "tests/unit/api_rig.h"

#define LEADER "https://192.0.2.2:7443"

static void stand_by(enum lead_state state, const char *api)
{
	t.c.lead = (struct leadership){
		.shared = true, .state = state, .heard_at = mono_now(), .since = mono_now()
	};
	snprintf(t.c.lead.api, sizeof(t.c.lead.api), "%s", api);
	snprintf(t.c.lead.name, sizeof(t.c.lead.name), "two");
}

static int setup(void **state)
{
	int r = rig_setup(state);

	stand_by(LEAD_FOLLOWER, LEADER);
	return r;
}

static int teardown(void **state)
{
	t.c.lead = (struct leadership){ 0 };
	return rig_teardown(state);
}

/* "/v1/sites/{name}/drain" -> "/v1/sites/x/drain" */
static void fill(const char *pattern, char *ret_path)
{
	while (*pattern) {
		if (*pattern == '{') {
			*ret_path++ = 'x';
			pattern = strchr(pattern, '}') + 1;
		} else {
			*ret_path++ = *pattern++;
		}
	}
	*ret_path = 0;
}

static void send_as(const char *token, const char *method, const char *path, struct answer *ret)
{
	ask(&(struct ask){ .method = method,
			   .path = path,
			   .token = token,
			   .body = strcmp(method, "GET") != 0 ? "{}" : NULL },
	    ret);
}

static void expect_change(const struct route *r, long status, const char *header)
{
	char path[256];
	auto_answer a = { 0 };

	fill(r->path, path);
	send_as("admin", r->method, path, &a);
	if (a.status != status || !strcasestr(a.headers.data, header))
		fail_msg("%s %s: %ld\n%s", r->method, path, a.status, a.headers.data);
	conform_answer(r->path, r->method, &a);
}

static void test_changes_go_to_the_leader(void **state)
{
	char header[512], path[256];
	size_t n, changes = 0;
	const struct route *r = routes_table(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(r[i].method, "GET") == 0)
			continue;
		fill(r[i].path, path);
		snprintf(header, sizeof(header), "Location: " LEADER "%s\r\n", path);
		expect_change(&r[i], 307, header);
		changes++;
	}
	assert_in_range(changes, 8, n);
}

static void test_nobody_leads(void **state)
{
	static const enum lead_state states[] = { LEAD_FOLLOWER, LEAD_CANDIDATE, LEAD_LOST };
	size_t n;
	const struct route *r = routes_table(&n);

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(states); s++) {
		stand_by(states[s], "");
		for (size_t i = 0; i < n; i++)
			if (strcmp(r[i].method, "GET") != 0)
				expect_change(&r[i], 503, "Retry-After: 2\r\n");
	}
}

static void test_access_comes_first(void **state)
{
	auto_answer none = { 0 }, low = { 0 };

	(void)state;
	send_as(NULL, "PUT", "/v1/mode", &none);
	assert_int_equal(none.status, 401);
	assert_null(strcasestr(none.headers.data, "Location:"));
	send_as("viewer", "PUT", "/v1/mode", &low);
	assert_int_equal(low.status, 403);
	assert_null(strcasestr(low.headers.data, "Location:"));
}

static void test_query_is_kept(void **state)
{
	auto_answer a = { 0 };

	(void)state;
	send_as("admin", "PUT", "/v1/cluster?dry_run=true", &a);
	assert_int_equal(a.status, 307);
	assert_non_null(strstr(a.headers.data, LEADER "/v1/cluster?dry_run=true\r\n"));
}

static void expect_ready(long status, const char *word)
{
	auto_answer a = { 0 };

	send_as(NULL, "GET", "/readyz", &a);
	assert_int_equal(a.status, status);
	assert_non_null(strstr(a.body.data, word));
	conform_answer("/readyz", "GET", &a);
}

static void test_reads(void **state)
{
	(void)state;
	json_auto_t *s = get("/v1/status");
	assert_string_equal(json_string_value(dig(s, "leader", "role", NULL)), "standby");
	assert_string_equal(json_string_value(dig(s, "leader", "api", NULL)), LEADER);
	/* of nodes it hears nothing: one line says so, not one per node */
	json_t *alerts = dig(s, "alerts", NULL);
	assert_int_equal(json_array_size(alerts), 1);
	assert_string_equal(json_string_value(dig(json_array_get(alerts, 0), "kind", NULL)), "leader");
	expect_ready(200, "standby");
	t.c.lead.heard_at = mono_add_ms(mono_now(), -60000);
	expect_ready(503, "standby");
	stand_by(LEAD_LOST, "");
	expect_ready(503, "lease");
}

/* A leader acts until its deadline, and not a moment longer. */
static void test_leader(void **state)
{
	auto_answer in_time = { 0 }, late = { 0 };
	const struct ask q = {
		.method = "PUT", .path = "/v1/mode", .token = "admin", .body = "{\"mode\":\"freeze\"}"
	};

	(void)state;
	stand_by(LEAD_LEADER, LEADER);
	t.c.lead.deadline = mono_add_ms(mono_now(), 60000);
	ask(&q, &in_time);
	assert_int_equal(in_time.status, 200);
	t.c.lead.deadline = mono_add_ms(mono_now(), -1);
	ask(&q, &late);
	assert_int_equal(late.status, 503);
	assert_non_null(strstr(late.body.data, "lease"));
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_changes_go_to_the_leader),
		T(test_nobody_leads),
		T(test_access_comes_first),
		T(test_query_is_kept),
		T(test_reads),
		T(test_leader),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
