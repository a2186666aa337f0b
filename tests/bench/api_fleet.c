/* SPDX-License-Identifier: Apache-2.0
 * Agents by the hundred, for load: each has its own certificate and session and reports once a second what an
 * idle node would, spread over the second. They obey nothing. Ends with SIGTERM; says "up" when all are.
 * usage: api-fleet PKI-DIR HOST:PORT NODES PREFIX...   nodes are called n0, n1, ... */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/base/addr.h"
#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proto/base/mono.h"
#include "proto/wire/link.h"

#define TICK_MS	   20
#define CONNECTING 50 /* at once */

struct node {
	char name[NAME_LEN];
	struct tls_creds *creds;
	struct link *link;
	uint64_t seq, applied_epoch, applied_seq;
	bool up;
};

static struct {
	uv_loop_t *loop;
	struct sockaddr_storage to;
	struct node *nodes;
	size_t n, n_up, next, turn;
	struct prefix prefixes[64];
	size_t n_prefixes;
	uint64_t bytes;
} fleet;

static void on_up(struct link *l, void *arg)
{
	struct node *n = arg;
	struct msg m = { .kind = MSG_HELLO, .hello = { .major = 1, .version = "load", .boot_id = "boot" } };

	m.hello.prefixes = fleet.prefixes;
	m.hello.n_prefixes = fleet.n_prefixes;
	link_send(l, &m);
	n->up = true;
	if (++fleet.n_up == fleet.n) {
		puts("up");
		fflush(stdout);
	}
}

static void on_msg(struct link *l, const struct msg *m, void *arg)
{
	struct node *n = arg;
	struct msg pong = { .kind = MSG_PONG, .nonce = m->nonce };

	if (m->kind == MSG_PING)
		link_send(l, &pong);
	if (m->kind == MSG_DIRECTIVE) {
		n->applied_epoch = m->directive.epoch;
		n->applied_seq = m->directive.seq;
	}
	if (m->kind == MSG_REFUSED)
		fprintf(stderr, "%s: %s\n", n->name, m->refused.reason);
}

static void on_down(struct link *l, int err, const char *why, void *arg)
{
	struct node *n = arg;

	(void)l;
	if (err)
		fprintf(stderr, "%s: %s\n", n->name, why);
	n->link = NULL;
	fleet.n_up -= n->up;
	n->up = false;
}

static const struct link_ops ops = { on_up, on_msg, on_down };

static void report(struct node *n)
{
	static struct route_state routes[64];
	struct service_state service = { .name = "web", .up = true };
	struct link_sample link = { .name = "eth0", .speed_bps = 10000000000 };
	uint64_t now_us = (uint64_t)mono_now().us;
	struct msg m = { .kind = MSG_REPORT };

	link.rx_bytes = link.tx_bytes = n->seq * 12500000; /* 100 Mbit/s */
	link.rx_packets = link.tx_packets = n->seq * 10000;
	for (size_t i = 0; i < fleet.n_prefixes; i++)
		routes[i] = (struct route_state){ .prefix = fleet.prefixes[i],
						  .grade = "normal",
						  .weight = 100,
						  .neighbours = 2,
						  .announced = true };
	m.report = (struct msg_report){ .seq = ++n->seq,
					.mono_us = now_us,
					.boot_us = now_us,
					.boot_id = "boot",
					.applied_epoch = n->applied_epoch,
					.applied_seq = n->applied_seq,
					.bgp_ok = true,
					.host = { .cpu_busy_us = now_us / 10, .cpu_total_us = now_us },
					.links = &link,
					.n_links = 1,
					.services = &service,
					.n_services = 1,
					.routes = routes,
					.n_routes = fleet.n_prefixes };
	link_send(n->link, &m);
	if (n->seq % 3 == 0)
		link_send(n->link, &(struct msg){ .kind = MSG_PING, .nonce = n->seq });
}

/* A slice of the fleet at a time: the second is used evenly. */
static void on_tick(uv_timer_t *t)
{
	size_t slice = (fleet.n * TICK_MS + 999) / 1000;

	(void)t;
	for (size_t i = 0; i < slice; i++) {
		struct node *n = &fleet.nodes[fleet.turn++ % fleet.n];
		if (n->up)
			report(n);
	}
	while (fleet.next < fleet.n && fleet.next < fleet.n_up + CONNECTING) {
		struct node *n = &fleet.nodes[fleet.next++];
		n->link = link_connect(fleet.loop, n->creds, (struct sockaddr *)&fleet.to, &ops, n);
	}
}

static int prepare(const char *dir, size_t i)
{
	char why[TEXT_LEN], path[3][512];
	static const char *const parts[] = { "ca.pem", NULL, NULL };
	struct node *n = &fleet.nodes[i];

	snprintf(n->name, sizeof(n->name), "n%zu", i);
	snprintf(path[0], sizeof(path[0]), "%s/%s", dir, parts[0]);
	snprintf(path[1], sizeof(path[1]), "%s/%s.pem", dir, n->name);
	snprintf(path[2], sizeof(path[2]), "%s/%s.key", dir, n->name);
	if (pki_issue(dir, n->name, PKI_ROLE_NODE, NULL, 10, false, why) < 0 ||
	    tls_creds_load(path[0], path[1], path[2], &n->creds, why) < 0) {
		fprintf(stderr, "%s: %s\n", n->name, why);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uv_timer_t tick;
	const char *why;
	uv_loop_t loop;

	if (argc < 5 || argc - 4 > 64 || endpoint_parse(argv[2], &fleet.to, &why) < 0) {
		fprintf(stderr, "usage: api-fleet PKI-DIR HOST:PORT NODES PREFIX...\n");
		return 2;
	}
	log_init("api-fleet", LOG_LEVEL_ERROR, false);
	signal(SIGPIPE, SIG_IGN);
	fleet.n = strtoul(argv[3], NULL, 10);
	fleet.nodes = xcalloc(fleet.n, sizeof(*fleet.nodes));
	for (int i = 4; i < argc; i++)
		if (prefix_parse(argv[i], &fleet.prefixes[fleet.n_prefixes++], &why) < 0)
			return 2;
	for (size_t i = 0; i < fleet.n; i++)
		if (prepare(argv[1], i))
			return 1;
	uv_loop_init(&loop);
	fleet.loop = &loop;
	uv_timer_init(&loop, &tick);
	uv_timer_start(&tick, on_tick, 0, TICK_MS);
	return uv_run(&loop, UV_RUN_DEFAULT);
}
