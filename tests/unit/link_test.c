/* SPDX-License-Identifier: Apache-2.0
 * Two links, or one link and a raw peer that breaks the rules, over loopback in one loop. */
#include "proto/wire/link.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "proto/base/err.h"
#include "proto/base/mono.h"
#include "proto/wire/frame.h"
#include "tests/unit/certs.h"
#include "tests/unit/raw.h"

#define DEADLINE_MS 20000

static struct {
	char *dir, *other;
	struct tls_creds *controller, *node;
} shared;

/* What one side saw. */
struct end {
	struct link *l;
	int ups, downs, msgs, err;
	uint64_t last, sum;
	char why[TEXT_LEN], peer[NAME_LEN];
	bool echo, close_on_up, close_on_msg;
};

struct fix {
	uv_loop_t loop;
	uv_tcp_t server;
	uv_timer_t tick;
	struct tls_creds *server_creds;
	struct end a, b; /* a connects, b accepts */
	struct sockaddr_storage at;
};

#define wait_for(f, cond)                                                                                    \
	do {                                                                                                 \
		mono_t until_ = mono_add_ms(mono_now(), DEADLINE_MS);                                        \
		while (!(cond)) {                                                                            \
			if (mono_diff_ms(mono_now(), until_) < 0)                                            \
				fail_msg("waited in vain for %s; a: %s; b: %s", #cond, (f)->a.why,           \
					 (f)->b.why);                                                        \
			uv_run(&(f)->loop, UV_RUN_ONCE);                                                     \
		}                                                                                            \
	} while (0)

#define assert_says(text, part)                                                                              \
	do {                                                                                                 \
		if (!strstr(text, part))                                                                     \
			fail_msg("\"%s\" does not say \"%s\"", text, part);                                  \
	} while (0)

static void send_nonce(struct link *l, enum msg_kind kind, uint64_t nonce)
{
	struct msg m = { .kind = kind, .nonce = nonce };

	link_send(l, &m);
}

static void on_up(struct link *l, void *arg)
{
	struct end *e = arg;

	assert_int_equal(e->downs, 0);
	e->ups++;
	snprintf(e->peer, sizeof(e->peer), "%s", link_peer(l));
	if (e->close_on_up)
		link_close(l, "no thanks");
}

static void on_msg(struct link *l, const struct msg *m, void *arg)
{
	struct end *e = arg;

	assert_int_equal(e->ups, 1);
	assert_int_equal(e->downs, 0);
	e->msgs++;
	if (m->kind == MSG_PING || m->kind == MSG_PONG) {
		e->last = m->nonce;
		e->sum += m->nonce;
	}
	if (e->echo && m->kind == MSG_PING)
		send_nonce(l, MSG_PONG, m->nonce);
	if (e->close_on_msg)
		link_close(l, "heard enough");
}

static void on_down(struct link *l, int err, const char *why, void *arg)
{
	struct end *e = arg;

	assert_ptr_equal(l, e->l);
	e->downs++;
	e->err = err;
	snprintf(e->why, sizeof(e->why), "%s", why);
	e->l = NULL;
}

static const struct link_ops ops = { on_up, on_msg, on_down };

static void on_connection(uv_stream_t *server, int status)
{
	struct fix *f = server->data;

	assert_int_equal(status, 0);
	f->b.l = link_accept(server, f->server_creds, &ops, &f->b);
	assert_non_null(f->b.l);
	assert_string_equal(link_peer(f->b.l), "");
}

static void on_tick(uv_timer_t *t)
{
	(void)t;
}

static void fix_init(struct fix *f, struct tls_creds *server_creds)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int len = sizeof(f->at);

	memset(f, 0, sizeof(*f));
	uv_loop_init(&f->loop);
	f->server_creds = server_creds;
	f->server.data = f;
	uv_tcp_init(&f->loop, &f->server);
	assert_int_equal(uv_tcp_bind(&f->server, (struct sockaddr *)&any, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&f->server, 8, on_connection), 0);
	assert_int_equal(uv_tcp_getsockname(&f->server, (struct sockaddr *)&f->at, &len), 0);
	uv_timer_init(&f->loop, &f->tick);
	uv_timer_start(&f->tick, on_tick, 2, 2);
}

static void fix_done(struct fix *f)
{
	if (f->a.l)
		link_close(f->a.l, "test over");
	if (f->b.l)
		link_close(f->b.l, "test over");
	wait_for(f, !f->a.l && !f->b.l);
	uv_close((uv_handle_t *)&f->server, NULL);
	uv_close((uv_handle_t *)&f->tick, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_true(f->a.downs <= 1 && f->b.downs <= 1);
}

static void connect_a(struct fix *f, struct tls_creds *creds)
{
	f->a.l = link_connect(&f->loop, creds, (struct sockaddr *)&f->at, &ops, &f->a);
	assert_non_null(f->a.l);
}

static void both_up(struct fix *f)
{
	fix_init(f, shared.controller);
	connect_a(f, shared.node);
	wait_for(f, f->a.ups && f->b.ups);
}

/* ---- with a raw peer ---- */

static void raw_up(struct raw *r, struct fix *f)
{
	fix_init(f, shared.controller);
	raw_init(r, &f->at, shared.node);
	wait_for(f, raw_pump(r) && r->up && f->b.ups);
}

static void raw_expect(struct fix *f, struct raw *r, int err, const char *says)
{
	wait_for(f, raw_pump(r) && f->b.downs);
	assert_int_equal(f->b.err, err);
	assert_says(f->b.why, says);
	raw_done(r);
	fix_done(f);
}

/* ---- tests ---- */

static void test_both_ways(void **state)
{
	struct fix f;

	(void)state;
	both_up(&f);
	assert_string_equal(f.a.peer, "ctl");
	assert_string_equal(f.b.peer, "fra1");
	assert_int_equal(strncmp(link_addr(f.b.l), "127.0.0.1:", 10), 0);
	send_nonce(f.a.l, MSG_PING, 7);
	send_nonce(f.b.l, MSG_PING, 8);
	wait_for(&f, f.a.msgs && f.b.msgs);
	assert_int_equal(f.b.last, 7);
	assert_int_equal(f.a.last, 8);
	link_close(f.a.l, "done here");
	wait_for(&f, f.a.downs && f.b.downs);
	assert_int_equal(f.a.err, 0);
	assert_string_equal(f.a.why, "done here");
	assert_int_equal(f.b.err, 0);
	assert_says(f.b.why, "closed by the peer");
	fix_done(&f);
}

static void test_send_before_up_is_ignored(void **state)
{
	struct fix f;

	(void)state;
	fix_init(&f, shared.controller);
	connect_a(&f, shared.node);
	send_nonce(f.a.l, MSG_PING, 1);
	wait_for(&f, f.a.ups && f.b.ups);
	send_nonce(f.a.l, MSG_PING, 2);
	wait_for(&f, f.b.msgs);
	assert_int_equal(f.b.last, 2);
	fix_done(&f);
}

/* a refuses or is refused: both must learn why */
static void expect_refusal(struct tls_creds *client, struct tls_creds *server, const char *a_says,
			   const char *b_says)
{
	struct fix f;

	fix_init(&f, server);
	connect_a(&f, client);
	wait_for(&f, f.a.downs && f.b.downs);
	assert_int_equal(f.a.err, ERR_CERT);
	assert_int_equal(f.b.err, ERR_CERT);
	assert_says(f.a.why, a_says);
	assert_says(f.b.why, b_says);
	assert_int_equal(f.b.ups, 0);
	fix_done(&f);
}

/* trusts both CAs, so that it is the other side that refuses */
static struct tls_creds *stranger(const char *name)
{
	auto_free char *cmd =
		xasprintf("cat %s/ca.pem %s/ca.pem > %s/both.pem", shared.dir, shared.other, shared.other);
	auto_free char *ca = xasprintf("%s/both.pem", shared.other);
	auto_free char *cert = xasprintf("%s/%s.pem", shared.other, name);
	auto_free char *key = xasprintf("%s/%s.key", shared.other, name);
	char why[TEXT_LEN] = "";
	struct tls_creds *c = NULL;

	assert_int_equal(system(cmd), 0);
	if (tls_creds_load(ca, cert, key, &c, why))
		fail_msg("%s", why);
	return c;
}

static void test_wrong_ca(void **state)
{
	(void)state;
	certs_issue(shared.other, "fra1", PKI_ROLE_NODE, 30);
	certs_issue(shared.other, "ctl", PKI_ROLE_CONTROLLER, 30);
	struct tls_creds *node = stranger("fra1"), *ctl = stranger("ctl");

	expect_refusal(node, shared.controller,
		       "the controller refused our certificate (signed by another CA)",
		       "certificate of fra1 is not signed by our CA");
	expect_refusal(shared.node, ctl, "certificate of ctl is not signed by our CA",
		       "the node refused our certificate (signed by another CA)");
	tls_creds_unref(node);
	tls_creds_unref(ctl);
}

static void test_wrong_role(void **state)
{
	(void)state;
	expect_refusal(shared.controller, shared.controller, "(issued for another role)",
		       "certificate of ctl was not issued for a node");
	expect_refusal(shared.node, shared.node, "certificate of fra1 was not issued for a controller",
		       "(issued for another role)");
}

static void test_oversize_frame(void **state)
{
	struct fix f;
	struct raw r;

	(void)state;
	raw_up(&r, &f);
	raw_send(&r, "\x00\x04\x00\x01", 4);
	raw_expect(&f, &r, ERR_FRAME_TOO_BIG, "frame larger than the limit");
}

static void test_empty_frame(void **state)
{
	struct fix f;
	struct raw r;

	(void)state;
	raw_up(&r, &f);
	raw_send(&r, "\x00\x00\x00\x00", 4);
	raw_expect(&f, &r, ERR_MALFORMED, "frame from 127.0.0.1");
}

static void test_bad_message(void **state)
{
	struct fix f;
	struct raw r;

	(void)state;
	raw_up(&r, &f);
	raw_send(&r, "\x00\x00\x00\x02\x0a\x7f", 6);
	raw_expect(&f, &r, ERR_MALFORMED, "message from 127.0.0.1");
}

static void test_unknown_message_is_ignored(void **state)
{
	struct fix f;
	struct raw r;

	(void)state;
	raw_up(&r, &f);
	/* field 99, then a Ping of nonce 5 */
	raw_send(&r, "\x00\x00\x00\x03\x9a\x06\x00\x00\x00\x00\x04\x4a\x02\x08\x05", 15);
	wait_for(&f, raw_pump(&r) && f.b.msgs);
	assert_int_equal(f.b.msgs, 1);
	assert_int_equal(f.b.last, 5);
	raw_done(&r);
	wait_for(&f, f.b.downs);
	fix_done(&f);
}

static void test_truncated_then_closed(void **state)
{
	struct fix f;
	struct raw r;

	(void)state;
	raw_up(&r, &f);
	raw_send(&r, "\x00\x00\x00\x10half", 8);
	tls_close(r.tls);
	raw_expect(&f, &r, ERR_MALFORMED, "inside a frame");
}

static void test_truncated_then_cut(void **state)
{
	struct fix f;
	struct raw r;

	(void)state;
	raw_up(&r, &f);
	raw_send(&r, "\x00\x00\x00\x10half", 8);
	shutdown(r.fd, SHUT_WR);
	raw_expect(&f, &r, ERR_CLOSED, "connection lost inside a frame");
}

static void test_cut_between_frames(void **state)
{
	struct fix f;
	struct raw r;

	(void)state;
	raw_up(&r, &f);
	shutdown(r.fd, SHUT_WR);
	raw_expect(&f, &r, ERR_CLOSED, "connection lost");
}

static void test_reset(void **state)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	struct fix f;
	struct raw r;

	(void)state;
	raw_up(&r, &f);
	setsockopt(r.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(r.fd);
	r.fd = -1;
	wait_for(&f, f.b.downs);
	assert_int_equal(f.b.err, -ECONNRESET);
	raw_done(&r);
	fix_done(&f);
}

static void test_not_tls(void **state)
{
	struct fix f;
	struct raw r;

	(void)state;
	fix_init(&f, shared.controller);
	raw_init(&r, &f.at, NULL);
	assert_int_equal(write(r.fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27), 27);
	raw_expect(&f, &r, ERR_TLS, "right port");
}

static void test_handshake_timeout(void **state)
{
	struct fix f;
	struct raw r;

	(void)state;
	fix_init(&f, shared.controller);
	raw_init(&r, &f.at, NULL);
	wait_for(&f, f.b.l);
	link_set_timeouts(f.b.l, 30, 0);
	raw_expect(&f, &r, ERR_TIMEOUT, "no TLS session after 30 ms");
}

static void test_idle_timeout(void **state)
{
	struct fix f;

	(void)state;
	both_up(&f);
	mono_t start = mono_now();
	link_set_timeouts(f.b.l, 0, 250);
	/* talking keeps it up */
	for (int i = 1; i <= 16; i++) {
		mono_t next = mono_add_ms(start, i * 25);
		send_nonce(f.a.l, MSG_PING, (uint64_t)i);
		wait_for(&f, mono_diff_ms(next, mono_now()) >= 0);
	}
	assert_int_equal(f.b.downs, 0);
	wait_for(&f, f.b.downs && f.a.downs);
	assert_int_equal(f.b.err, ERR_TIMEOUT);
	assert_says(f.b.why, "nothing heard for");
	assert_true(mono_diff_ms(start, mono_now()) >= 375 + 250 - 20); /* loop time is behind */
	fix_done(&f);
}

/* our own stall must not look like the peer's silence */
static void test_stall_is_not_silence(void **state)
{
	struct fix f;

	(void)state;
	both_up(&f);
	link_set_timeouts(f.b.l, 0, 50);
	send_nonce(f.a.l, MSG_PING, 1);
	mono_t end = mono_add_ms(mono_now(), 120);
	while (mono_diff_ms(end, mono_now()) < 0)
		;
	wait_for(&f, f.b.msgs || f.b.downs);
	assert_int_equal(f.b.downs, 0);
	fix_done(&f);
}

static void fill_directive(struct msg *m, size_t n)
{
	m->kind = MSG_DIRECTIVE;
	m->directive = (struct msg_directive){ .n_shards = n };
	m->directive.shards = xcalloc(n, sizeof(*m->directive.shards));
	for (size_t i = 0; i < n; i++) {
		struct shard_intent *s = &m->directive.shards[i];
		snprintf(s->shard, NAME_LEN, "shard-with-a-long-name-to-take-up-some-room-%zu", i);
		snprintf(s->grade, NAME_LEN, "a-grade-with-a-long-name-to-take-up-some-room-too");
		s->weight = 100;
		for (s->n_communities = 0; s->n_communities < MAX_COMMUNITIES; s->n_communities++)
			snprintf(s->communities[s->n_communities], NAME_LEN, "4200000000:4200000000:%zu",
				 4200000000);
	}
}

static void test_backlog_limit(void **state)
{
	struct fix f;
	struct raw r;
	struct msg m;

	(void)state;
	raw_up(&r, &f);
	r.deaf = true;
	fill_directive(&m, 600);
	int sent = 0;
	/* the kernel takes some megabytes before anything waits with us */
	for (; sent < 1000 && !f.b.downs; sent++) {
		if (f.b.l)
			link_send(f.b.l, &m);
		uv_run(&f.loop, UV_RUN_NOWAIT);
	}
	msg_done(&m);
	assert_in_range(sent, 4 * 1024 / 256, 999);
	wait_for(&f, f.b.downs);
	size_t waiting = 0;
	assert_int_equal(sscanf(f.b.why, "%*s reads too slowly: %zu bytes", &waiting), 1);
	assert_in_range(waiting, LINK_BACKLOG_MAX, LINK_BACKLOG_MAX + FRAME_MAX + 4096);
	raw_expect(&f, &r, ERR_LIMIT, "reads too slowly");
}

static void test_message_too_big(void **state)
{
	struct fix f;
	struct msg m;

	(void)state;
	both_up(&f);
	fill_directive(&m, MAX_SHARDS);
	link_send(f.a.l, &m);
	msg_done(&m);
	wait_for(&f, f.a.downs && f.b.downs);
	assert_int_equal(f.a.err, ERR_FRAME_TOO_BIG);
	assert_says(f.a.why, "Directive");
	assert_int_equal(f.b.err, 0);
	fix_done(&f);
}

static void test_burst(void **state)
{
	const uint64_t n = 20000;
	struct fix f;
	struct msg m;

	(void)state;
	both_up(&f);
	f.b.echo = true;
	fill_directive(&m, 100);
	for (uint64_t i = 1; i <= n; i++) {
		send_nonce(f.a.l, MSG_PING, i);
		if (i % 2000 == 0)
			link_send(f.a.l, &m);
	}
	msg_done(&m);
	wait_for(&f, f.a.msgs == (int)n || f.a.downs || f.b.downs);
	assert_int_equal(f.b.msgs, n + n / 2000);
	assert_int_equal(f.a.msgs, n);
	assert_int_equal(f.a.sum, n * (n + 1) / 2);
	assert_int_equal(f.a.last, n);
	fix_done(&f);
}

/* what was sent before link_close arrives, also when it does not fit into the socket */
static void test_close_flushes(void **state)
{
	struct fix f;
	struct msg m;

	(void)state;
	both_up(&f);
	fill_directive(&m, 500);
	for (int i = 0; i < 20; i++)
		link_send(f.b.l, &m);
	msg_done(&m);
	link_close(f.b.l, "restarting");
	send_nonce(f.b.l, MSG_PING, 1);
	assert_int_equal(f.b.downs, 0);
	wait_for(&f, f.a.downs && f.b.downs);
	assert_int_equal(f.a.msgs, 20);
	assert_int_equal(f.a.err, 0);
	assert_int_equal(f.b.err, 0);
	assert_string_equal(f.b.why, "restarting");
	fix_done(&f);
}

/* unread input of the closing side must not turn its last words into a reset */
static void test_last_words_survive_unread_input(void **state)
{
	struct fix f;

	(void)state;
	both_up(&f);
	f.b.close_on_msg = true;
	for (uint64_t i = 1; i <= 20000; i++)
		send_nonce(f.a.l, MSG_PING, i);
	send_nonce(f.b.l, MSG_PING, 99);
	wait_for(&f, f.a.downs && f.b.downs);
	assert_int_equal(f.b.msgs, 1);
	assert_int_equal(f.a.last, 99);
	assert_int_equal(f.a.err, 0);
	assert_int_equal(f.b.err, 0);
	fix_done(&f);
}

static void test_close_in_callbacks(void **state)
{
	struct fix f;

	(void)state;
	fix_init(&f, shared.controller);
	f.b.close_on_up = true;
	connect_a(&f, shared.node);
	wait_for(&f, f.a.downs && f.b.downs);
	assert_string_equal(f.b.why, "no thanks");
	assert_int_equal(f.a.err, 0);
	fix_done(&f);
	fix_init(&f, shared.controller);
	f.a.close_on_up = true;
	connect_a(&f, shared.node);
	wait_for(&f, f.a.downs && f.b.downs);
	assert_string_equal(f.a.why, "no thanks");
	assert_int_equal(f.b.err, 0);
	fix_done(&f);
}

static void test_close_while_connecting(void **state)
{
	struct fix f;

	(void)state;
	fix_init(&f, shared.controller);
	connect_a(&f, shared.node);
	link_close(f.a.l, "changed my mind");
	link_close(f.a.l, "twice");
	assert_int_equal(f.a.downs, 0);
	wait_for(&f, f.a.downs);
	assert_int_equal(f.a.err, 0);
	assert_string_equal(f.a.why, "changed my mind");
	wait_for(&f, !f.b.l);
	fix_done(&f);
}

/* a peer that neither reads nor closes holds an orderly close up for a bounded time only */
static void test_close_of_a_deaf_peer_ends(void **state)
{
	struct fix f;
	struct raw r;
	struct msg m;

	(void)state;
	raw_up(&r, &f);
	r.deaf = true;
	fill_directive(&m, 100);
	for (int i = 0; i < 40; i++)
		link_send(f.b.l, &m);
	msg_done(&m);
	mono_t start = mono_now();
	link_close(f.b.l, "bye");
	wait_for(&f, f.b.downs);
	assert_in_range(mono_diff_ms(start, mono_now()), 1000, 5000);
	raw_expect(&f, &r, 0, "bye");
}

/* closing a socket with unread input would reset it, and our last words with it */
static void test_close_waits_for_the_peers_fin(void **state)
{
	struct fix f;
	struct raw r;
	int err = -1;
	socklen_t len = sizeof(err);

	(void)state;
	raw_up(&r, &f);
	r.stays = true;
	link_close(f.b.l, "bye");
	wait_for(&f, raw_pump(&r) && r.eof);
	assert_int_equal(r.read_err, ERR_CLOSED);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(send(r.fd, "more", 4, MSG_NOSIGNAL), 4);
		uv_run(&f.loop, UV_RUN_ONCE);
	}
	assert_int_equal(getsockopt(r.fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	assert_int_equal(err, 0);
	assert_int_equal(f.b.downs, 0);
	shutdown(r.fd, SHUT_WR);
	raw_expect(&f, &r, 0, "bye");
}

/* the other side of it: we write into a reset, and still read what came before it */
static void test_last_words_before_a_reset(void **state)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	struct fix f;
	struct raw r;

	(void)state;
	raw_up(&r, &f);
	raw_send(&r, "\x00\x00\x00\x04\x4a\x02\x08\x05", 8);
	setsockopt(r.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(r.fd);
	r.fd = -1;
	send_nonce(f.b.l, MSG_PING, 1);
	send_nonce(f.b.l, MSG_PING, 2);
	wait_for(&f, f.b.downs);
	assert_int_equal(f.b.msgs, 1);
	assert_int_equal(f.b.last, 5);
	assert_int_equal(f.b.err, ERR_CLOSED); /* our write has taken the ECONNRESET */
	raw_done(&r);
	fix_done(&f);
}

static void test_accept_of_nothing(void **state)
{
	struct fix f;

	(void)state;
	fix_init(&f, shared.controller);
	assert_null(link_accept((uv_stream_t *)&f.server, shared.controller, &ops, &f.b));
	fix_done(&f);
	assert_int_equal(f.b.downs, 0);
}

static void test_refused_connect(void **state)
{
	struct fix f;

	(void)state;
	fix_init(&f, shared.controller);
	/* bound but not listening: nobody else gets the port */
	auto_close int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	memcpy(&f.at, &at, sizeof(at));
	connect_a(&f, shared.node);
	wait_for(&f, f.a.downs);
	assert_int_equal(f.a.err, -ECONNREFUSED);
	assert_says(f.a.why, "connect to 127.0.0.1:");
	fix_done(&f);
}

static int suite_init(void **state)
{
	(void)state;
	shared.dir = certs_new();
	shared.other = certs_new();
	certs_issue(shared.dir, "ctl", PKI_ROLE_CONTROLLER, 30);
	certs_issue(shared.dir, "fra1", PKI_ROLE_NODE, 30);
	shared.controller = certs_load(shared.dir, "ctl");
	shared.node = certs_load(shared.dir, "fra1");
	return 0;
}

static int suite_done(void **state)
{
	(void)state;
	tls_creds_unref(shared.controller);
	tls_creds_unref(shared.node);
	certs_rm(shared.dir);
	certs_rm(shared.other);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_send_before_up_is_ignored),
		cmocka_unit_test(test_wrong_ca),
		cmocka_unit_test(test_wrong_role),
		cmocka_unit_test(test_oversize_frame),
		cmocka_unit_test(test_empty_frame),
		cmocka_unit_test(test_bad_message),
		cmocka_unit_test(test_unknown_message_is_ignored),
		cmocka_unit_test(test_truncated_then_closed),
		cmocka_unit_test(test_truncated_then_cut),
		cmocka_unit_test(test_cut_between_frames),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_not_tls),
		cmocka_unit_test(test_handshake_timeout),
		cmocka_unit_test(test_idle_timeout),
		cmocka_unit_test(test_stall_is_not_silence),
		cmocka_unit_test(test_backlog_limit),
		cmocka_unit_test(test_message_too_big),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_close_flushes),
		cmocka_unit_test(test_last_words_survive_unread_input),
		cmocka_unit_test(test_close_in_callbacks),
		cmocka_unit_test(test_close_while_connecting),
		cmocka_unit_test(test_close_of_a_deaf_peer_ends),
		cmocka_unit_test(test_close_waits_for_the_peers_fin),
		cmocka_unit_test(test_last_words_before_a_reset),
		cmocka_unit_test(test_accept_of_nothing),
		cmocka_unit_test(test_refused_connect),
	};

	return cmocka_run_group_tests(tests, suite_init, suite_done);
}
