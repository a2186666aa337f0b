/* SPDX-License-Identifier: Apache-2.0
 * The HTTPS server alone, with short limits: versions of TLS, clients that dribble or stall, streams at the
 * end, and starting that fails in words. */
#include "controller/api/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "controller/api/problem.h"
#include "proto/base/err.h"
#include "proto/base/log.h"
#include "tests/unit/certs.h"
#include "tests/unit/https.h"

#define IDLE_S	    1
#define SHORT_MS    600
#define CONNS_MAX   16
#define PER_PEER    40 /* of this test, whose peers are all one: above CONNS_MAX */
#define BIG_BODY    (4 * 1024 * 1024)
#define STREAM_TEXT "tick\n"

static struct {
	uv_loop_t loop;
	struct http *h;
	char *certs, *ca, *cert, *key;
	unsigned conns_max;
	int opened, closed;
	struct stream *stream;
	int ticks; /* to be sent */
} t;

/* -- what is served ----------------------------------------------------------------------------------- */

static void stream_open(void *arg, struct stream *st)
{
	(void)arg;
	t.opened++;
	t.stream = st;
}

static ssize_t stream_read(void *arg, char *buf, size_t max)
{
	(void)arg;
	if (t.ticks < 0)
		return -1;
	if (!t.ticks || max < strlen(STREAM_TEXT))
		return 0;
	t.ticks--;
	memcpy(buf, STREAM_TEXT, strlen(STREAM_TEXT));
	return (ssize_t)strlen(STREAM_TEXT);
}

static void stream_close(void *arg)
{
	(void)arg;
	t.closed++;
	t.stream = NULL;
}

static const struct stream_ops stream_ops = { stream_open, stream_read, stream_close };

static bool check(struct request *req, struct response *ret_response, void *arg)
{
	(void)arg;
	if (strcmp(req->path, "/no") != 0)
		return true;
	*ret_response = problem(401, "no");
	return false;
}

static struct response handle(struct request *req, void *arg)
{
	(void)arg;
	if (strcmp(req->path, "/stream") == 0)
		return (struct response){ .status = 200, .type = "text/plain", .stream = &stream_ops };
	if (strcmp(req->path, "/big") == 0)
		return (struct response){ .status = 200, .body = xcalloc(1, BIG_BODY), .len = BIG_BODY };
	auto_buf b = { 0 };
	buf_addf(&b, "%s %s body %zu query", req->method, req->path, req->body_len);
	for (size_t i = 0; i < req->n_query; i++)
		buf_addf(&b, " %s=%s", req->query[i].key, req->query[i].value);
	return (struct response){
		.status = 200, .type = "text/plain", .body = xstrdup(b.data), .len = b.len
	};
}

static const struct http_ops ops = { check, handle };

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int setup(void **state)
{
	char why[TEXT_LEN] = "";
	struct sockaddr_in sa = loopback(0);
	struct http_cfg cfg = { .listen = (struct sockaddr *)&sa,
				.cert = t.cert,
				.key = t.key,
				.conns_max = t.conns_max ? t.conns_max : CONNS_MAX,
				.per_peer_max = PER_PEER,
				.idle_s = IDLE_S,
				.deadline_ms = SHORT_MS };

	(void)state;
	uv_loop_init(&t.loop);
	t.opened = t.closed = t.ticks = 0;
	if (http_new(&t.loop, &cfg, &ops, NULL, &t.h, why) != 0)
		fail_msg("%s", why);
	https.loop = &t.loop;
	https.ca = t.ca;
	https.port = http_port(t.h);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_free(t.h);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t.loop), 0);
	assert_int_equal(t.opened, t.closed);
	return 0;
}

static int group_setup(void **state)
{
	char why[TEXT_LEN] = "";

	(void)state;
	log_init("http_test", LOG_LEVEL_ERROR + 1, false);
	https_init();
	t.certs = certs_new();
	if (pki_issue(t.certs, "ctrl", PKI_ROLE_CONTROLLER, "127.0.0.1", 10, true, why))
		fail_msg("%s", why);
	t.ca = xasprintf("%s/ca.pem", t.certs);
	t.cert = xasprintf("%s/ctrl.pem", t.certs);
	t.key = xasprintf("%s/ctrl.key", t.certs);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	https_done();
	certs_rm(t.certs);
	free(t.ca);
	free(t.cert);
	free(t.key);
	return 0;
}

/* -- connections -------------------------------------------------------------------------------------- */

/* One too many is told so; who left makes room. */
static void test_too_many(void **state)
{
	struct sockaddr_in sa = loopback(http_port(t.h));
	auto_answer r = { 0 }, later = { 0 };
	int held[CONNS_MAX];

	(void)state;
	for (int i = 0; i < CONNS_MAX; i++) {
		held[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(held[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
	}
	UNTIL(http_connections(t.h) == CONNS_MAX);
	ask(&(struct ask){ .method = "GET", .path = "/x" }, &r);
	assert_int_equal(r.status, 503);
	assert_non_null(strstr(r.headers.data, "Retry-After: 1\r\n"));
	assert_non_null(strstr(r.headers.data, "Connection: close\r\n"));
	for (int i = 0; i < CONNS_MAX; i++)
		close(held[i]);
	UNTIL(http_connections(t.h) < CONNS_MAX);
	ask(&(struct ask){ .method = "GET", .path = "/x" }, &later);
	assert_int_equal(later.status, 200);
}

static void test_peer(void **state)
{
	static const struct {
		const char *address, *peer;
	} rows[] = {
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::" },
		{ "2001:db8:1:2:ffff::1", "2001:db8:1:2::" },
		{ "2001:db8:1:3::1", "2001:db8:1:3::" },
		{ "::ffff:192.0.2.7", "192.0.2.7" },
	};
	char peer[HTTP_PEER_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sockaddr_in6 sa = { .sin6_family = AF_INET6 };
		assert_int_equal(inet_pton(AF_INET6, rows[i].address, &sa.sin6_addr), 1);
		http_peer((struct sockaddr *)&sa, peer);
		assert_string_equal(peer, rows[i].peer);
	}
}

static int setup_large(void **state)
{
	t.conns_max = 4 * PER_PEER;
	int r = setup(state);
	t.conns_max = 0;
	return r;
}

static void test_one_peer_is_not_all(void **state)
{
	struct sockaddr_in sa = loopback(http_port(t.h));
	int held[2 * PER_PEER];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		held[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(held[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
	}
	struct pollfd p = { .fd = held[ARRAY_LEN(held) - 1], .events = POLLIN };
	UNTIL(poll(&p, 1, 0) == 1); /* closed */
	assert_int_equal(http_connections(t.h), PER_PEER);
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		close(held[i]);
	UNTIL(http_connections(t.h) == 0);
}

/* -- requests ----------------------------------------------------------------------------------------- */

static void test_tls(void **state)
{
	static const struct {
		long version;
		bool ok;
	} rows[] = {
		{ CURL_SSLVERSION_TLSv1_3 | CURL_SSLVERSION_MAX_TLSv1_3, true },
		{ CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2, true },
		{ CURL_SSLVERSION_TLSv1_1 | CURL_SSLVERSION_MAX_TLSv1_1, false },
		{ CURL_SSLVERSION_TLSv1_0 | CURL_SSLVERSION_MAX_TLSv1_0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_answer r = { 0 };
		ask(&(struct ask){ .method = "GET", .path = "/", .tls = rows[i].version }, &r);
		assert_int_equal(r.code == CURLE_OK && r.status == 200, rows[i].ok);
	}
}

static void test_request(void **state)
{
	auto_answer r = { 0 }, many = { 0 };

	(void)state;
	ask(&(struct ask){ .method = "PUT", .path = "/a%20b%2Fc%00%zz%?x=1&y=%41%00&z", .body = "12345" },
	    &r);
	assert_string_equal(r.body.data, "PUT /a b/c%00%zz% body 5 query x=1 y=A%00 z=");
	/* more arguments than there is room for are left out, not written past the end */
	ask(&(struct ask){ .method = "GET", .path = "/?a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a" },
	    &many);
	assert_int_equal(many.status, 200);
}

/* Nothing listens in plain text. */
static int raw(void)
{
	struct sockaddr_in sa = loopback(https.port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static bool hung_up(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static void test_plain_text(void **state)
{
	auto_close int fd = raw();

	(void)state;
	assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
	char answer[16] = "";
	UNTIL(recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN);
	assert_memory_not_equal(answer, "HTTP", 4); /* a TLS alert, or nothing */
}

/* -- slow ones ---------------------------------------------------------------------------------------- */

static void test_silent(void **state)
{
	auto_close int fd = raw();

	(void)state;
	UNTIL(http_connections(t.h) == 1);
	UNTIL(hung_up(fd));
	UNTIL(http_connections(t.h) == 0);
}

/* A byte of a handshake now and then: never silent for long, never done. */
static void test_dribbled_handshake(void **state)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
	auto_close int fd = raw();
	size_t sent = 0;
	mono_t began = mono_now();

	(void)state;
	UNTIL(({
		if (sent < sizeof(hello) && mono_diff_ms(began, mono_now()) > (int64_t)sent * 100)
			sent += send(fd, &hello[sent], 1, MSG_NOSIGNAL) == 1;
		hung_up(fd);
	}));
	assert_true(mono_diff_ms(began, mono_now()) < 3 * SHORT_MS);
	assert_true(mono_diff_ms(began, mono_now()) > SHORT_MS / 2);
}

struct dribble {
	CURL *h;
	struct answer r;
};

/* A TLS connection whose bytes the test sends by itself. */
static void dribble_open(struct dribble *d)
{
	auto_free char *url = xasprintf("https://127.0.0.1:%u/", https.port);

	*d = (struct dribble){ .h = curl_easy_init() };
	curl_easy_setopt(d->h, CURLOPT_URL, url);
	curl_easy_setopt(d->h, CURLOPT_CAINFO, t.ca);
	curl_easy_setopt(d->h, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(d->h, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(d->h, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(d->h, CURLOPT_PRIVATE, &d->r);
	curl_multi_add_handle(https.multi, d->h);
	UNTIL(d->r.done);
	assert_int_equal(d->r.code, CURLE_OK);
}

static void dribble_close(struct dribble *d)
{
	curl_multi_remove_handle(https.multi, d->h);
	curl_easy_cleanup(d->h);
}

/* Sends text, then one more byte every 100 ms until the server has had enough. */
static void dribble_until_cut(const char *text)
{
	struct dribble d;
	size_t n, sent = 0;
	mono_t began = mono_now();

	dribble_open(&d);
	UNTIL(({
		while (sent < strlen(text) &&
		       curl_easy_send(d.h, text + sent, strlen(text) - sent, &n) == CURLE_OK)
			sent += n;
		if (sent >= strlen(text) &&
		    mono_diff_ms(began, mono_now()) > (int64_t)(sent - strlen(text)) * 100)
			sent += curl_easy_send(d.h, "x", 1, &n) == CURLE_OK;
		http_connections(t.h) == 0;
	}));
	assert_true(mono_diff_ms(began, mono_now()) < 3 * SHORT_MS);
	dribble_close(&d);
}

static void test_dribbled_header(void **state)
{
	(void)state;
	dribble_until_cut("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ");
}

static void test_dribbled_body(void **state)
{
	(void)state;
	dribble_until_cut("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
}

/* The same for a body that will be refused anyway. */
static void test_dribbled_refused(void **state)
{
	(void)state;
	dribble_until_cut("PUT /no HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
}

static void test_never_reads(void **state)
{
	static const char get[] = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
	struct dribble d;
	size_t n;

	(void)state;
	dribble_open(&d);
	assert_int_equal(curl_easy_send(d.h, get, sizeof(get) - 1, &n), CURLE_OK);
	assert_int_equal(n, sizeof(get) - 1);
	UNTIL(http_connections(t.h) == 0);
	dribble_close(&d);
}

/* Clients that stop half-way may not keep the loop busy, nor hold it. */
static void expect_calm(void)
{
	mono_t began = mono_now(), before;
	int64_t longest_ms = 0;
	int restless = 0;

	for (before = began; mono_diff_ms(began, before) < SHORT_MS / 2;) {
		uv_run(&t.loop, UV_RUN_NOWAIT);
		if (uv_backend_timeout(&t.loop) == 0)
			restless++;
		else
			poll(NULL, 0, 1);
		mono_t after = mono_now();
		int64_t ms = mono_diff_ms(before, after);
		longest_ms = ms > longest_ms ? ms : longest_ms;
		before = after;
	}
	assert_int_equal(http_connections(t.h), 1);
	assert_true(longest_ms < SHORT_MS / 4);
	assert_true(restless < 5000); /* wanted to go round again at once */
}

static void test_half_a_handshake(void **state)
{
	auto_close int fd = raw();

	(void)state;
	assert_int_equal(send(fd, "\x16\x03\x01\x02\x00\x01", 6, MSG_NOSIGNAL), 6);
	UNTIL(http_connections(t.h) == 1);
	expect_calm();
}

static void test_half_an_answer(void **state)
{
	static const char get[] = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
	struct dribble d;
	size_t n;

	(void)state;
	dribble_open(&d);
	assert_int_equal(curl_easy_send(d.h, get, sizeof(get) - 1, &n), CURLE_OK);
	expect_calm();
	dribble_close(&d);
}

/* -- streams ------------------------------------------------------------------------------------------ */

static void test_stream(void **state)
{
	struct sse s;

	(void)state;
	t.ticks = 1;
	sse_open(&s, "/stream", NULL, NULL);
	assert_true(sse_has(&s, "tick\n"));
	/* it outlives the deadline and the idle time, which are for requests */
	mono_t began = mono_now();
	UNTIL(mono_diff_ms(began, mono_now()) > 2 * SHORT_MS + IDLE_S * 1000);
	assert_false(s.r.done);
	t.ticks = 2;
	stream_wake(t.stream);
	UNTIL(sse_has(&s, "tick\ntick\ntick\n"));
	t.ticks = -1;
	stream_wake(t.stream);
	UNTIL(s.r.done);
	assert_int_equal(s.r.code, CURLE_OK);
	sse_close(&s);
	UNTIL(t.closed == 1);
}

/* teardown ends a stream that sleeps and one that has something to say */
static void test_stream_at_the_end(void **state)
{
	struct sse asleep, awake;

	(void)state;
	t.ticks = 1;
	sse_open(&asleep, "/stream", NULL, NULL);
	UNTIL(!t.ticks);
	t.ticks = 1;
	sse_open(&awake, "/stream", NULL, NULL);
	t.ticks = 1;
	stream_wake(t.stream);
	sse_close(&asleep);
	sse_close(&awake);
}

/* -- starting ----------------------------------------------------------------------------------------- */

static void test_refused_start(void **state)
{
	struct sockaddr_in taken = loopback(https.port), ok = loopback(0);
	auto_free char *none = xasprintf("%s/none.pem", t.certs);
	const struct {
		struct sockaddr_in *sa;
		const char *cert, *key;
		int err;
		const char *words;
	} rows[] = {
		{ &taken, t.cert, t.key, -EADDRINUSE, "cannot listen for HTTPS on 127.0.0.1:" },
		{ &ok, none, t.key, -ENOENT, "none.pem: No such file" },
		{ &ok, t.cert, t.ca, ERR_TLS, "HTTPS does not start with" },
		{ &ok, "/dev/null", t.key, ERR_CERT, "/dev/null: not a PEM file" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char why[TEXT_LEN] = "";
		struct http *h = NULL;
		struct http_cfg cfg = { .listen = (struct sockaddr *)rows[i].sa,
					.cert = rows[i].cert,
					.key = rows[i].key };
		assert_int_equal(http_new(&t.loop, &cfg, &ops, NULL, &h, why), rows[i].err);
		if (!strstr(why, rows[i].words))
			fail_msg("\"%s\" does not say \"%s\"", why, rows[i].words);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_too_many),
		T(test_tls),
		cmocka_unit_test(test_peer),
		cmocka_unit_test_setup_teardown(test_one_peer_is_not_all, setup_large, teardown),
		T(test_request),
		T(test_plain_text),
		T(test_silent),
		T(test_dribbled_handshake),
		T(test_dribbled_header),
		T(test_dribbled_body),
		T(test_dribbled_refused),
		T(test_never_reads),
		T(test_half_a_handshake),
		T(test_half_an_answer),
		T(test_stream),
		T(test_stream_at_the_end),
		T(test_refused_start),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
