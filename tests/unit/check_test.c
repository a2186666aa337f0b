/* SPDX-License-Identifier: Apache-2.0
 * Checks against real listeners on loopback that live in the same loop. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "agent/check/check_kind.h"
#include "agent/check/reply.h"
#include "proto/base/err.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/loop_rig.h"

#define DEADLINE_MS 5000

/* -- a server that behaves as told -- */
enum manner { ANSWER, HANG, RESET, CLOSE, FLOOD };

struct server {
	uv_tcp_t tcp;
	enum manner manner;
	const char *reply;
	int accepted, closed;
	char request[2048];
	char target[64];
};

struct peer {
	uv_tcp_t tcp;
	uv_write_t write;
	struct server *server;
	char buf[2048];
};

struct fixture {
	uv_loop_t loop;
	struct server server;
	uv_timer_t guard;
	enum check_status seen[16];
	char reasons[16][TEXT_LEN];
	int n_seen;
};

static void peer_closed(uv_handle_t *h)
{
	struct peer *p = h->data;

	p->server->closed++;
	free(p);
}

static void peer_close(struct peer *p)
{
	if (!uv_is_closing((uv_handle_t *)&p->tcp))
		uv_close((uv_handle_t *)&p->tcp, peer_closed);
}

static void peer_written(uv_write_t *w, int status);

static void peer_write(struct peer *p, const char *text)
{
	/* cast: libuv's buffers are not const, and it does not write to them */
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));

	p->write.data = p;
	uv_write(&p->write, (uv_stream_t *)&p->tcp, &buf, 1, peer_written);
}

static void peer_written(uv_write_t *w, int status)
{
	struct peer *p = w->data;

	if (status < 0 || p->server->manner != FLOOD)
		peer_close(p);
	else
		peer_write(p, "X-More-And-More-And-More-And-More-And-More-And-More: 0123456789\r\n");
}

static void peer_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct peer *p = stream->data;
	struct server *s = p->server;

	(void)buf;
	if (n < 0) {
		peer_close(p);
		return;
	}
	snprintf(s->request, sizeof(s->request), "%.*s", (int)n, p->buf);
	if (s->manner == RESET)
		uv_tcp_close_reset(&p->tcp, peer_closed);
	else if (s->manner == CLOSE)
		peer_close(p);
	else if (s->manner == ANSWER || s->manner == FLOOD)
		peer_write(p, s->reply);
}

static void peer_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct peer *p = h->data;

	(void)suggested;
	*buf = uv_buf_init(p->buf, sizeof(p->buf));
}

static void on_peer(uv_stream_t *stream, int status)
{
	struct server *s = stream->data;
	struct peer *p = xcalloc(1, sizeof(*p));

	assert_int_equal(status, 0);
	p->server = s;
	uv_tcp_init(stream->loop, &p->tcp);
	p->tcp.data = p;
	assert_int_equal(uv_accept(stream, (uv_stream_t *)&p->tcp), 0);
	s->accepted++;
	uv_read_start((uv_stream_t *)&p->tcp, peer_alloc, peer_read);
}

static void server_listen(struct fixture *f, enum manner manner, const char *reply)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);

	f->server.manner = manner;
	f->server.reply = reply;
	f->server.tcp.data = &f->server;
	uv_tcp_init(&f->loop, &f->server.tcp);
	assert_int_equal(endpoint_parse("127.0.0.1:1", &ss, NULL), 0);
	((struct sockaddr_in *)&ss)->sin_port = 0;
	assert_int_equal(uv_tcp_bind(&f->server.tcp, (struct sockaddr *)&ss, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&f->server.tcp, 64, on_peer), 0);
	uv_tcp_getsockname(&f->server.tcp, (struct sockaddr *)&ss, &len);
	endpoint_str((struct sockaddr *)&ss, f->server.target, sizeof(f->server.target));
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	rig_open(&f->loop, &f->guard);
	*state = f;
	return 0;
}

static void close_all(uv_handle_t *h, void *arg)
{
	struct fixture *f = arg;

	if (uv_is_closing(h))
		return;
	bool peer = h->data && h != (uv_handle_t *)&f->server.tcp && h != (uv_handle_t *)&f->guard;
	uv_close(h, peer ? peer_closed : NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	uv_walk(&f->loop, close_all, f);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
	return 0;
}

static void on_changed(struct check *c, enum check_status status, const char *reason, void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(status, check_status(c));
	assert_string_equal(reason, check_reason(c));
	assert_true(f->n_seen < 16);
	snprintf(f->reasons[f->n_seen], TEXT_LEN, "%s", reason);
	f->seen[f->n_seen++] = status;
}

static char name_[] = "answers", tcp_[] = "tcp", http_[] = "http";

static struct check_cfg config(struct fixture *f, char *kind)
{
	return (struct check_cfg){ .name = name_,
				   .kind = kind,
				   .target = f->server.target,
				   .expect_status = kind == http_ ? 200 : 0,
				   .interval_ms = 30,
				   .fast_interval_ms = 10,
				   .timeout_ms = 1000,
				   .rise = 1,
				   .fall = 1 };
}

/* One check from nothing to its first state. */
static void expect_first(struct fixture *f, const struct check_cfg *cfg, enum check_status status,
			 const char *reason)
{
	char why[TEXT_LEN] = "";

	assert_int_equal(check_cfg_verify(cfg, why), 0);
	struct check *c = check_new(&f->loop, cfg, on_changed, f);
	assert_int_equal(check_status(c), CHECK_UNKNOWN);
	wait_until(f, f->n_seen);
	assert_string_equal(f->reasons[0], reason);
	assert_int_equal(f->seen[0], status);
	check_free(c);
}

/* -- tests -- */
static void test_tcp_up(void **state)
{
	struct fixture *f = *state;

	server_listen(f, HANG, NULL);
	struct check_cfg cfg = config(f, tcp_);
	expect_first(f, &cfg, CHECK_UP, "connected");
}

static void test_tcp_refused(void **state)
{
	struct fixture *f = *state;
	char closed[] = "127.0.0.1:1";
	struct check_cfg cfg = config(f, tcp_);

	cfg.target = closed;
	expect_first(f, &cfg, CHECK_DOWN, "connect: Connection refused");
}

/* 240/4 has no route and no neighbour: connect() itself fails, or nobody answers; either is no crash */
static void test_tcp_unreachable(void **state)
{
	struct fixture *f = *state;
	char nowhere[] = "[2001:db8:dead::1]:80";
	struct check_cfg cfg = config(f, tcp_);

	cfg.target = nowhere;
	cfg.timeout_ms = 100;
	struct check *c = check_new(&f->loop, &cfg, on_changed, f);
	wait_until(f, f->n_seen);
	assert_int_equal(f->seen[0], CHECK_DOWN);
	assert_int_equal(strncmp(f->reasons[0], "connect: ", 9), 0);
	check_free(c);
}

static void test_http_request_and_status(void **state)
{
	struct fixture *f = *state;
	char path[] = "/healthz", host[] = "www.example.net";

	server_listen(f, ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	struct check_cfg cfg = config(f, http_);
	cfg.path = path;
	cfg.host = host;
	expect_first(f, &cfg, CHECK_UP, "HTTP 200");
	assert_int_equal(strncmp(f->server.request, "GET /healthz HTTP/1.1\r\nHost: www.example.net\r\n", 46),
			 0);
	assert_non_null(strstr(f->server.request, "\r\nConnection: close\r\n"));
	assert_string_equal(f->server.request + strlen(f->server.request) - 4, "\r\n\r\n");
}

static void test_http_defaults(void **state)
{
	struct fixture *f = *state;
	char head[128];

	server_listen(f, ANSWER, "HTTP/1.0 302 Found\nLocation: /x\n\n");
	struct check_cfg cfg = config(f, http_);
	cfg.expect_status = 0;
	expect_first(f, &cfg, CHECK_UP, "HTTP 302");
	snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: %s\r\n", f->server.target);
	assert_int_equal(strncmp(f->server.request, head, strlen(head)), 0);
}

static void test_http_failures(void **state)
{
	static const struct {
		enum manner manner;
		uint32_t expect;
		const char *reply, *reason;
	} rows[] = {
		{ ANSWER, 200, "HTTP/1.1 503 Busy\r\n\r\n", "HTTP 503, expected 200" },
		{ ANSWER, 0, "HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404, expected 2xx or 3xx" },
		{ ANSWER, 200, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oops\r\n\r\n",
		  "HTTP 500, expected 200" },
		{ ANSWER, 200, "SSH-2.0-OpenSSH_9.2\r\n", "reply: not HTTP/1" },
		{ ANSWER, 200, "HTTP/1.1 200 OK\r\nServer: x\r\n", "closed in the middle of the reply" },
		{ CLOSE, 200, NULL, "closed without a reply" },
		{ RESET, 200, NULL, "read: Connection reset by peer" },
		{ FLOOD, 200, "HTTP/1.1 200 OK\r\n", "reply: no end of the head within 65536 bytes" },
		{ HANG, 200, NULL, "reply: no answer within 100 ms" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture *f;
		setup((void **)&f);
		server_listen(f, rows[i].manner, rows[i].reply);
		struct check_cfg cfg = config(f, http_);
		cfg.expect_status = rows[i].expect;
		if (rows[i].manner == HANG)
			cfg.timeout_ms = 100;
		expect_first(f, &cfg, CHECK_DOWN, rows[i].reason);
		teardown((void **)&f);
	}
	(void)state;
}

/* a body larger than every limit does not matter once the head is there */
static void test_http_large_body(void **state)
{
	struct fixture *f = *state;

	server_listen(f, FLOOD, "HTTP/1.1 200 OK\r\n\r\n");
	struct check_cfg cfg = config(f, http_);
	expect_first(f, &cfg, CHECK_UP, "HTTP 200");
	wait_until(f, f->server.closed == f->server.accepted);
}

/* a hung server is noticed in fall timeouts, and its connections do not pile up */
static void test_hung_bounded(void **state)
{
	struct fixture *f = *state;

	server_listen(f, HANG, NULL);
	struct check_cfg cfg = config(f, http_);
	cfg.timeout_ms = 50;
	cfg.fall = 3;
	struct check *c = check_new(&f->loop, &cfg, on_changed, f);
	uint64_t start = uv_hrtime();
	wait_until(f, f->n_seen);
	uint64_t took_ms = (uv_hrtime() - start) / 1000000;
	assert_int_equal(f->seen[0], CHECK_DOWN);
	assert_int_equal(f->server.accepted, 3);
	assert_true(took_ms >= 145 && took_ms < DEADLINE_MS / 2);
	check_free(c);
	wait_until(f, f->server.closed == f->server.accepted);
}

/* up, falls, comes back; one stray failure with fall 2 changes nothing, reason included */
static void test_rise_and_fall(void **state)
{
	struct fixture *f = *state;

	server_listen(f, ANSWER, "HTTP/1.1 200 OK\r\n\r\n");
	struct check_cfg cfg = config(f, http_);
	cfg.rise = 3;
	cfg.fall = 2;
	struct check *c = check_new(&f->loop, &cfg, on_changed, f);
	wait_until(f, f->n_seen == 1);
	assert_int_equal(f->server.accepted, 3);
	assert_int_equal(f->seen[0], CHECK_UP);
	f->server.reply = "HTTP/1.1 500 No\r\n\r\n";
	wait_until(f, f->n_seen == 2);
	assert_int_equal(f->seen[1], CHECK_DOWN);
	assert_string_equal(f->reasons[1], "HTTP 500, expected 200");
	f->server.reply = "HTTP/1.1 200 OK\r\n\r\n";
	wait_until(f, f->n_seen == 3);
	assert_int_equal(f->seen[2], CHECK_UP);
	f->server.manner = CLOSE;
	int before = f->server.accepted;
	wait_until(f, f->server.closed > before);
	f->server.manner = ANSWER;
	/* the next attempt begins after the stray result was counted */
	wait_until(f, f->server.accepted == before + 2);
	assert_string_equal(check_reason(c), "HTTP 200");
	wait_until(f, f->server.closed > before + 4);
	assert_int_equal(f->n_seen, 3);
	check_free(c);
}

/* interval while steady, fast_interval while the last result disagrees */
static void test_intervals(void **state)
{
	struct fixture *f = *state;

	server_listen(f, ANSWER, "HTTP/1.1 200 OK\r\n\r\n");
	struct check_cfg cfg = config(f, http_);
	cfg.interval_ms = 300;
	cfg.fast_interval_ms = 10;
	cfg.fall = 4;
	struct check *c = check_new(&f->loop, &cfg, on_changed, f);
	wait_until(f, f->n_seen == 1);
	uint64_t start = uv_hrtime();
	int before = f->server.accepted;
	wait_until(f, f->server.accepted == before + 3);
	assert_true((uv_hrtime() - start) / 1000000 >= 3 * 270 - 5);
	f->server.manner = CLOSE;
	wait_until(f, f->server.accepted == before + 4);
	start = uv_hrtime();
	wait_until(f, f->n_seen == 2); /* three more */
	assert_true((uv_hrtime() - start) / 1000000 < 270);
	check_free(c);
}

static void free_inside(struct check *c, enum check_status status, const char *reason, void *arg)
{
	(void)status;
	(void)reason;
	((struct fixture *)arg)->n_seen++;
	check_free(c);
}

static void test_free_anywhere(void **state)
{
	struct fixture *f = *state;
	char closed[] = "127.0.0.1:1";

	server_listen(f, HANG, NULL);
	struct check_cfg cfg = config(f, http_), refused = config(f, tcp_);
	refused.target = closed;
	check_free(NULL);
	check_free(check_new(&f->loop, &cfg, on_changed, f)); /* before it starts */
	struct check *running = check_new(&f->loop, &cfg, on_changed, f);
	wait_until(f, f->server.accepted == 1);
	check_free(running);			       /* in the middle of an attempt */
	check_new(&f->loop, &refused, free_inside, f); /* from its own callback */
	wait_until(f, f->n_seen == 1);
	wait_until(f, f->server.closed == 1);
	assert_int_equal(f->n_seen, 1);
}

static void test_verify(void **state)
{
	static const struct {
		const char *kind, *target, *path, *host;
		uint32_t expect, interval, fast, timeout, rise, fall;
		const char *why;
	} rows[] = {
		{ "tcp", "127.0.0.1:80", NULL, NULL, 0, 1000, 200, 1000, 2, 2, NULL },
		{ "http", "[::1]:80", "/a?b=c", "h", 0, 10, 10, 10, 1, 100, NULL },
		{ "icmp", "127.0.0.1:80", NULL, NULL, 0, 1000, 200, 1000, 2, 2,
		  "kind: \"icmp\" is not one of listen, " },
		{ NULL, "127.0.0.1:80", NULL, NULL, 200, 1000, 200, 1000, 2, 2,
		  "kind: \"\" is not one of listen, " },
		{ "tcp", NULL, NULL, NULL, 200, 1000, 200, 1000, 2, 2,
		  "target: missing, expected ADDRESS:PORT" },
		{ "tcp", "localhost:80", NULL, NULL, 0, 1000, 200, 1000, 2, 2, "target: " },
		{ "tcp", "127.0.0.1:80", NULL, NULL, 0, 9, 9, 1000, 2, 2,
		  "interval_ms: 9 is outside 10..3600000" },
		{ "tcp", "127.0.0.1:80", NULL, NULL, 0, 1000, 2000, 1000, 2, 2,
		  "fast_interval_ms: 2000 is outside 10..1000" },
		{ "tcp", "127.0.0.1:80", NULL, NULL, 0, 1000, 200, 0, 2, 2,
		  "timeout_ms: 0 is outside 10..3600000" },
		{ "tcp", "127.0.0.1:80", NULL, NULL, 0, 1000, 200, 1000, 0, 2, "rise: 0 is outside 1..100" },
		{ "tcp", "127.0.0.1:80", NULL, NULL, 0, 1000, 200, 1000, 2, 101,
		  "fall: 101 is outside 1..100" },
		{ "tcp", "127.0.0.1:80", "/", NULL, 0, 1000, 200, 1000, 2, 2,
		  "path: a tcp check has no such field" },
		{ "http", "127.0.0.1:80", "x", NULL, 200, 1000, 200, 1000, 2, 2, "path: " },
		{ "http", "127.0.0.1:80", "/a b", NULL, 200, 1000, 200, 1000, 2, 2, "path: " },
		{ "http", "127.0.0.1:80", "/\r\nX: y", NULL, 200, 1000, 200, 1000, 2, 2, "path: " },
		{ "http", "127.0.0.1:80", "/", "a\nb", 200, 1000, 200, 1000, 2, 2, "host: " },
		{ "http", "127.0.0.1:80", "/", "", 200, 1000, 200, 1000, 2, 2, "host: " },
		{ "http", "127.0.0.1:80", "/", NULL, 199, 1000, 200, 1000, 2, 2,
		  "expect_status: 199 is not 0 or 200..599" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char why[TEXT_LEN] = "", *text[4] = { NULL };
		const char *from[4] = { rows[i].kind, rows[i].target, rows[i].path, rows[i].host };
		for (int k = 0; k < 4; k++)
			text[k] = from[k] ? xstrdup(from[k]) : NULL;
		struct check_cfg cfg = { .name = name_,
					 .kind = text[0],
					 .target = text[1],
					 .path = text[2],
					 .host = text[3],
					 .expect_status = rows[i].expect,
					 .interval_ms = rows[i].interval,
					 .fast_interval_ms = rows[i].fast,
					 .timeout_ms = rows[i].timeout,
					 .rise = rows[i].rise,
					 .fall = rows[i].fall };
		int err = check_cfg_verify(&cfg, why);
		assert_int_equal(err, rows[i].why ? ERR_CONFIG : 0);
		assert_int_equal(
			strncmp(why, rows[i].why ? rows[i].why : "", rows[i].why ? strlen(rows[i].why) : 1),
			0);
		for (int k = 0; k < 4; k++)
			free(text[k]);
	}
}

/* every run of results, against the plain definition: rise or fall equal results in a row */
static void test_step_exhaustive(void **state)
{
	(void)state;
	for (unsigned rise = 1; rise <= 4; rise++)
		for (unsigned fall = 1; fall <= 4; fall++)
			for (unsigned bits = 0; bits < 1024; bits++) {
				enum check_status now = CHECK_UNKNOWN, want = CHECK_UNKNOWN;
				int run = 0;
				for (unsigned i = 0, ups = 0, downs = 0; i < 10; i++) {
					bool ok = bits >> i & 1;
					ups = ok ? ups + 1 : 0;
					downs = ok ? 0 : downs + 1;
					want = ups >= rise ? CHECK_UP : downs >= fall ? CHECK_DOWN : want;
					now = check_step(now, &run, ok, rise, fall);
					assert_int_equal(now, want);
				}
			}
}

static void test_jitter(void **state)
{
	uint32_t low = UINT32_MAX, high = 0;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t ms = check_jitter(1000, 10, i * 2654435761u);
		low = ms < low ? ms : low;
		high = ms > high ? ms : high;
	}
	assert_true(low >= 900 && low < 910);
	assert_true(high <= 1100 && high > 1090);
	assert_int_equal(check_jitter(0, 10, 7), 0);
	assert_int_equal(check_jitter(1, 10, 7), 1);
	assert_int_equal(check_jitter(1000, 0, 7), 1000);
	assert_true(check_jitter(UINT32_MAX, 50, UINT32_MAX) >= UINT32_MAX / 2);
}

static void test_reply(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint32_t status;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\n\r\n", 1, 200 },
		{ "HTTP/1.1 200\r\n\r\n", 1, 200 },
		{ "HTTP/1.0 404 \n\n", 1, 404 },
		{ "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\nA: b\r\n\r\nrest", 1, 204 },
		{ "HTTP/1.1 101 Switching\r\n\r\n", 1, 101 },
		{ "HTTP/1.1 200 OK\r\nA: b\r\n", 0, 200 },
		{ "", 0, 0 },
		{ "HTTP/2 200 OK\r\n", ERR_MALFORMED, 0 },
		{ "HTTP/1.1  200", ERR_MALFORMED, 0 },
		{ "HTTP/1.1 20\r\n", ERR_MALFORMED, 0 },
		{ "HTTP/1.1 2000 OK\r\n", ERR_MALFORMED, 0 },
		{ "HTTP/1.1 099 OK\r\n", ERR_MALFORMED, 0 },
		{ "HTTP/1.1 600 OK\r\n", ERR_MALFORMED, 0 },
		{ "HTTP/1.1 -12 OK\r\n", ERR_MALFORMED, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct reply whole = { 0 }, bytes = { 0 };
		int rc = 0;
		assert_int_equal(reply_feed(&whole, rows[i].text, strlen(rows[i].text)), rows[i].rc);
		for (const char *p = rows[i].text; *p && rc == 0; p++)
			rc = reply_feed(&bytes, p, 1);
		assert_int_equal(rc, rows[i].rc);
		if (rc >= 0) {
			assert_int_equal(whole.status, rows[i].status);
			assert_int_equal(bytes.status, rows[i].status);
		}
	}
}

/* cut everywhere: less than all is never taken for all, and nothing is read that is not there */
static void test_body(void **state)
{
	static const struct {
		const char *raw, *body;
		int rc, at_eof;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 1, 1 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, more", "hello", 1, 1 },
		{ "HTTP/1.1 200 OK\r\ncontent-length:  5 \r\n\r\nhell", "hell", 0, ERR_CLOSED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", "", ERR_MALFORMED, ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 1, 1 },
		{ "HTTP/1.0 200 OK\n\nhello", "hello", 0, 1 },
		{ "HTTP/1.1 100 Continue\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
		  "2\r\n\r\nok",
		  "ok", 1, 1 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n, "
		  "world!!!\r\n0\r\n\r\n",
		  "hello, world!!!", 1, 1 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "hel", 0, ERR_CLOSED },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "", ERR_MALFORMED,
		  ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n", "he", ERR_MALFORMED,
		  ERR_MALFORMED },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello", "hello",
		  0, ERR_CLOSED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct reply r = { 0 };
		auto_buf body = { 0 };
		size_t len = strlen(rows[i].raw);
		assert_int_equal(reply_feed(&r, rows[i].raw, len), 1);
		for (size_t n = r.bytes; n < len; n++) {
			auto_free char *cut = xcalloc(1, n ? n : 1);
			memcpy(cut, rows[i].raw, n);
			int rc = reply_body(&r, cut, n, false, &body);
			if (rc == 1 && strcmp(body.data ? body.data : "", rows[i].body))
				fail_msg("row %zu, cut to %zu: all of it is \"%s\"", i, n, body.data);
		}
		assert_int_equal(reply_body(&r, rows[i].raw, len, false, &body), rows[i].rc);
		assert_string_equal(body.data ? body.data : "", rows[i].body);
		assert_int_equal(reply_body(&r, rows[i].raw, len, true, &body), rows[i].at_eof);
	}
}

static void test_reply_limit(void **state)
{
	struct reply r = { 0 };
	int rc = reply_feed(&r, "HTTP/1.1 200 OK\r\n", 17);

	(void)state;
	for (size_t i = 17; i < REPLY_MAX; i++) {
		assert_int_equal(rc, 0);
		rc = reply_feed(&r, "a", 1);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(reply_feed(&r, "a", 1), ERR_LIMIT);
}

static void test_reply_corpus(void **state)
{
	(void)state;
	assert_true(fuzz_replay("tests/fuzz/corpus/http") >= 8);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
#define on_loop(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		on_loop(test_tcp_up),
		on_loop(test_tcp_refused),
		on_loop(test_tcp_unreachable),
		on_loop(test_http_request_and_status),
		on_loop(test_http_defaults),
		cmocka_unit_test(test_http_failures),
		on_loop(test_http_large_body),
		on_loop(test_hung_bounded),
		on_loop(test_rise_and_fall),
		on_loop(test_intervals),
		on_loop(test_free_anywhere),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_step_exhaustive),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_reply_limit),
		cmocka_unit_test(test_reply_corpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
