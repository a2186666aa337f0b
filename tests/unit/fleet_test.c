/* SPDX-License-Identifier: Apache-2.0
 * The fleet and an agent over a real session on loopback: what may be ordered when. The agent is a link that
 * keeps what it is sent; what comes before a pong came before what was pinged for. */
#include "controller/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/log.h"
#include "tests/unit/certs.h"
#include "tests/unit/loop_rig.h"

#define DEADLINE_MS 20000

static const char document[] =
	"{\"name\": \"t\", \"sites\": ["
	"{\"name\": \"a\", \"nodes\": [{\"name\": \"a1\", \"capacity\": {\"bps\": 1000000}}]},"
	"{\"name\": \"b\", \"nodes\": [{\"name\": \"b1\", \"capacity\": {\"bps\": 1000000}}]}],"
	"\"services\": [{\"name\": \"web\", \"shards\": [{\"name\": \"s1\", \"prefixes\": "
	"[\"198.18.1.0/24\"]}]}]}";

struct agent {
	struct link *link;
	bool gone;
	int welcomes, directives;
	uint64_t pongs, heard_us, permit_ms;
};

static struct rig {
	uv_loop_t loop;
	uv_timer_t guard;
	struct controller c;
	struct tls_creds *controller, *node;
	struct sockaddr_storage at;
	char *dir;
	struct prefix prefix;
} t;

/* -- the agent -- */

static void on_up(struct link *l, void *arg)
{
	struct msg m = { .kind = MSG_HELLO,
			 .hello = { .major = PROTO_MAJOR,
				    .version = "test",
				    .boot_id = "boot",
				    .prefixes = &t.prefix,
				    .n_prefixes = 1 } };

	(void)arg;
	link_send(l, &m);
}

static void on_msg(struct link *l, const struct msg *m, void *arg)
{
	struct agent *a = arg;

	(void)l;
	if (m->kind == MSG_WELCOME)
		a->welcomes++;
	if (m->kind == MSG_PONG)
		a->pongs = m->nonce;
	if (m->kind != MSG_DIRECTIVE)
		return;
	a->directives++;
	a->heard_us = m->directive.heard_us;
	a->permit_ms = m->directive.n_shards ? m->directive.shards[0].permit_ms : 0;
}

static void on_down(struct link *l, int err, const char *why, void *arg)
{
	struct agent *a = arg;

	(void)l;
	(void)err;
	(void)why;
	a->gone = true;
}

static void agent_start(struct agent *a)
{
	static const struct link_ops ops = { on_up, on_msg, on_down };

	*a = (struct agent){ 0 };
	a->link = link_connect(&t.loop, t.node, (const struct sockaddr *)&t.at, &ops, a);
	wait_until(&t, a->welcomes);
}

static void agent_end(struct agent *a)
{
	link_close(a->link, "bye");
	wait_until(&t, a->gone && fleet_sessions(t.c.fleet) == 0);
}

static void agent_report(struct agent *a, uint64_t boot_us)
{
	struct service_state service = { .name = "web", .up = true };
	struct route_state route = {
		.prefix = t.prefix, .grade = "normal", .announced = true, .weight = 100
	};
	struct msg m = { .kind = MSG_REPORT,
			 .report = { .seq = boot_us,
				     .boot_us = boot_us,
				     .boot_id = "boot",
				     .bgp_ok = true,
				     .services = &service,
				     .n_services = 1,
				     .routes = &route,
				     .n_routes = 1 } };
	struct node_live *n = &t.c.model.nodes[0];

	n->report_at = (mono_t){ 0 };
	link_send(a->link, &m);
	wait_until(&t, mono_is_set(n->report_at));
}

/* Until all that was sent to it is there. */
static void agent_drain(struct agent *a)
{
	struct msg m = { .kind = MSG_PING, .nonce = a->pongs + 1 };

	link_send(a->link, &m);
	wait_until(&t, a->pongs == m.nonce);
}

/* -- what must hold -- */

/* The lease of a permit starts with a report, and what is announced is adopted from one: a session that has
 * not reported is ordered nothing, whatever is known from the session before. */
static void test_no_order_before_a_report(void **state)
{
	struct agent a;

	(void)state;
	for (uint64_t session = 1; session <= 2; session++) {
		agent_start(&a);
		for (int round = 0; round < 3; round++)
			fleet_direct(t.c.fleet);
		agent_drain(&a);
		assert_int_equal(a.directives, 0);
		agent_report(&a, 1000 * session);
		fleet_direct(t.c.fleet);
		agent_drain(&a);
		assert_int_equal(a.directives, 1);
		assert_int_equal(a.heard_us, 1000 * session);
		assert_int_equal(a.permit_ms, PERMIT_MS);
		agent_end(&a);
	}
}

/* An order that says nothing new is not said. */
static void test_said_once(void **state)
{
	struct agent a;

	(void)state;
	agent_start(&a);
	agent_report(&a, 1000);
	for (int round = 0; round < 3; round++)
		fleet_direct(t.c.fleet);
	agent_drain(&a);
	assert_int_equal(a.directives, 1);
	model_cell(&t.c.model, 0, 0)->wanted = (uint8_t)cluster_grade(t.c.model.cl, "drain");
	for (int round = 0; round < 3; round++)
		fleet_direct(t.c.fleet);
	agent_drain(&a);
	assert_int_equal(a.directives, 2);
	agent_end(&a);
}

/* Whoever does not lead orders nothing. */
static void test_no_order_from_a_standby(void **state)
{
	struct agent a;

	(void)state;
	agent_start(&a);
	agent_report(&a, 1000);
	t.c.lead.shared = true;
	fleet_direct(t.c.fleet);
	agent_drain(&a);
	assert_int_equal(a.directives, 0);
	t.c.lead.shared = false;
	fleet_direct(t.c.fleet);
	agent_drain(&a);
	assert_int_equal(a.directives, 1);
	agent_end(&a);
}

/* -- the suite -- */

/* The only one that listens; with the agent's end closed there is no other. */
static void find_server(uv_handle_t *h, void *arg)
{
	struct sockaddr_storage *at = arg;
	int len = sizeof(*at);

	if (h->type == UV_TCP)
		uv_tcp_getsockname((uv_tcp_t *)h, (struct sockaddr *)at, &len);
}

static int setup(void **state)
{
	json_auto_t *doc = json_loads(document, 0, NULL), *errors = json_array();
	char why[TEXT_LEN] = "";
	struct cluster *cl;

	(void)state;
	memset(&t.c, 0, sizeof(t.c));
	rig_open(&t.loop, &t.guard);
	t.c.loop = &t.loop;
	store_open_memory(&t.c.store);
	t.c.events = events_new(t.c.store);
	assert_int_equal(cluster_parse(doc, &cl, errors), 0);
	model_init(&t.c.model, cl);
	t.c.model.epoch = 7;
	for (size_t i = 0; i < cl->n_sites; i++)
		*model_cell(&t.c.model, i, 0) = (struct cell_live){ .ordered = true };
	t.c.model.nodes[0].shards[0].grant = true;
	assert_int_equal(uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)&t.at), 0);
	if (fleet_new(&t.c, t.controller, (const struct sockaddr *)&t.at, &t.c.fleet, why))
		fail_msg("%s", why);
	uv_walk(&t.loop, find_server, &t.at);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fleet_free(t.c.fleet);
	rig_close(&t.loop, &t.guard);
	model_done(&t.c.model);
	events_free(t.c.events);
	store_close(t.c.store);
	return 0;
}

static int suite_init(void **state)
{
	const char *bad;

	(void)state;
	log_init("fleet_test", LOG_LEVEL_ERROR + 1, false);
	assert_int_equal(prefix_parse("198.18.1.0/24", &t.prefix, &bad), 0);
	t.dir = certs_new();
	certs_issue(t.dir, "ctl", PKI_ROLE_CONTROLLER, 30);
	certs_issue(t.dir, "a1", PKI_ROLE_NODE, 30);
	t.controller = certs_load(t.dir, "ctl");
	t.node = certs_load(t.dir, "a1");
	return 0;
}

static int suite_done(void **state)
{
	(void)state;
	tls_creds_unref(t.controller);
	tls_creds_unref(t.node);
	certs_rm(t.dir);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_no_order_before_a_report),
		T(test_said_once),
		T(test_no_order_from_a_standby),
	};

	return cmocka_run_group_tests(tests, suite_init, suite_done);
}
