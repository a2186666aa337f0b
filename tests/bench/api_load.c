/* SPDX-License-Identifier: Apache-2.0
 * Readers and listeners of the API, over TLS, in one thread with epoll; prints one JSON object.
 * usage: api-load read HOST:PORT CA TOKEN-FILE RATE SECONDS CONNS PATH...
 *          RATE requests a second by the clock, whether the ones before were answered or not (open loop): a
 *          request's time runs from when it was due, so that a server that stalls is charged for all who
 * wait. api-load sse HOST:PORT CA TOKEN-FILE STREAMS EVENTS every event is a change of the mode; its time
 * runs from sending the change to each stream's reading. */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "proto/base/addr.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define HOST_LEN     80
#define WAIT_MS	     10000
#define EVENT_GAP_MS 250

struct conn {
	int fd;
	gnutls_session_t tls;
	struct buf in;
	size_t want; /* of the answer being read, head and body; 0: head not complete */
	mono_t due;  /* of the request under way */
	bool busy;
	unsigned seen; /* k of the last mark */
};

static struct {
	struct sockaddr_storage to;
	const char *host;
	char token[256];
	gnutls_certificate_credentials_t creds;
	int epoll;
	double *times;
	size_t n_times, cap, errors;
} load;

static void die(const char *what)
{
	fprintf(stderr, "api-load: %s\n", what);
	exit(1);
}

static void add_time(double ms)
{
	if (load.n_times == load.cap) {
		load.cap = load.cap ? 2 * load.cap : 4096;
		load.times = xrealloc(load.times, load.cap, sizeof(*load.times));
	}
	load.times[load.n_times++] = ms;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(double p)
{
	size_t i = (size_t)(p * (double)(load.n_times - 1) + 0.5);

	return load.n_times ? load.times[i] : -1;
}

static void print_times(json_t *more)
{
	qsort(load.times, load.n_times, sizeof(*load.times), by_size);
	json_object_set_new(more, "n", json_integer((json_int_t)load.n_times));
	json_object_set_new(more, "errors", json_integer((json_int_t)load.errors));
	json_object_set_new(more, "p50_ms", json_real(percentile(0.50)));
	json_object_set_new(more, "p99_ms", json_real(percentile(0.99)));
	json_object_set_new(more, "max_ms", json_real(percentile(1)));
	json_dumpf(more, stdout, JSON_REAL_PRECISION(5));
	putchar('\n');
	json_decref(more);
}

/* -- TLS ---------------------------------------------------------------------------------------------- */

static void conn_open(struct conn *c)
{
	int one = 1, r;

	c->fd = socket(load.to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(c->fd, (struct sockaddr *)&load.to, sizeof(struct sockaddr_in)) != 0)
		die(strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	gnutls_init(&c->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
	gnutls_set_default_priority(c->tls);
	gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, load.creds);
	gnutls_session_set_verify_cert(c->tls, load.host, 0);
	gnutls_transport_set_int(c->tls, c->fd);
	while ((r = gnutls_handshake(c->tls)) < 0)
		if (gnutls_error_is_fatal(r))
			die(gnutls_strerror(r));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &ev);
}

static void conn_send(struct conn *c, const char *text, size_t len)
{
	while (len) {
		ssize_t n = gnutls_record_send(c->tls, text, len);
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			continue; /* small against the socket's buffer: not for long */
		if (n < 0)
			die(gnutls_strerror((int)n));
		text += n;
		len -= (size_t)n;
	}
}

static void conn_read(struct conn *c)
{
	char block[16384];
	ssize_t n;

	while ((n = gnutls_record_recv(c->tls, block, sizeof(block))) != 0) {
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			return;
		if (n < 0 && !gnutls_error_is_fatal((int)n))
			continue;
		if (n < 0)
			die(gnutls_strerror((int)n));
		buf_add(&c->in, block, (size_t)n);
	}
	die("the server closed a connection");
}

/* -- reading ------------------------------------------------------------------------------------------ */

static void ask(struct conn *c, const char *path, mono_t due)
{
	char text[1024];
	int n = snprintf(text, sizeof(text),
			 "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, load.host,
			 load.token);

	c->due = due;
	c->busy = true;
	c->want = 0;
	conn_send(c, text, (size_t)n);
}

/* Head and Content-Length, as the server always has it for what is no stream. */
static bool answered(struct conn *c)
{
	if (!c->want) {
		buf_add(&c->in, "", 1);
		c->in.len--;
		char *end = c->in.data ? strstr(c->in.data, "\r\n\r\n") : NULL;
		char *len = end ? strcasestr(c->in.data, "\r\nContent-Length: ") : NULL;
		if (!end)
			return false;
		c->want =
			(size_t)(end + 4 - c->in.data) + (len && len < end ? strtoul(len + 18, NULL, 10) : 0);
		load.errors += strncmp(c->in.data, "HTTP/1.1 200", 12) != 0;
	}
	return c->in.len >= c->want;
}

static void finish(struct conn *c, size_t *n_done)
{
	add_time((double)(mono_now().us - c->due.us) / 1000);
	buf_drop(&c->in, c->want);
	c->busy = false;
	c->want = 0;
	++*n_done;
}

/* In turn: the server closes what is not used for a while. */
static struct conn *idle(struct conn *conns, size_t n)
{
	static size_t turn;

	for (size_t i = 0; i < n; i++) {
		struct conn *c = &conns[turn++ % n];
		if (!c->busy)
			return c;
	}
	return NULL;
}

static int wait_some(int timeout_ms, void (*fn)(struct conn *c, void *arg), void *arg)
{
	struct epoll_event ev[256];
	int n = epoll_wait(load.epoll, ev, 256, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct conn *c = ev[i].data.ptr;
		conn_read(c);
		fn(c, arg);
	}
	return n;
}

static void on_answer(struct conn *c, void *arg)
{
	if (c->busy && answered(c))
		finish(c, arg);
}

static void run_read(char **argv, int argc)
{
	double rate = strtod(argv[0], NULL);
	size_t total = (size_t)(rate * strtod(argv[1], NULL)), n = strtoul(argv[2], NULL, 10), sent = 0,
	       done = 0;
	auto_free struct conn *conns = xcalloc(n, sizeof(*conns));

	for (size_t i = 0; i < n; i++)
		conn_open(&conns[i]);
	mono_t start = mono_now();
	while (done < total) {
		mono_t now = mono_now();
		struct conn *c;
		while (sent < total && (double)(now.us - start.us) * rate / 1e6 >= (double)sent &&
		       (c = idle(conns, n))) {
			mono_t due = { start.us + (int64_t)((double)sent / rate * 1e6) };
			ask(c, argv[3 + (int)(sent % (size_t)(argc - 3))], due);
			sent++;
		}
		wait_some(sent < total ? 1 : 100, on_answer, &done);
	}
	double took_s = (double)(mono_now().us - start.us) / 1e6;
	print_times(json_pack("{s:f, s:f}", "asked_rps", rate, "rps", (double)done / took_s));
}

/* -- listening ---------------------------------------------------------------------------------------- */

struct waiting {
	char mark[64];
	unsigned k;		    /* from 1 */
	const struct conn *changer; /* hears the mark in its own answer */
	mono_t sent;
	size_t heard;
};

static void on_stream(struct conn *c, void *arg)
{
	struct waiting *w = arg;

	buf_add(&c->in, "", 1);
	c->in.len--;
	if (c == w->changer || c->seen == w->k || !strstr(c->in.data, w->mark))
		return;
	c->seen = w->k; /* the mark is in it twice, and may come in two records */
	add_time((double)(mono_now().us - w->sent.us) / 1000);
	buf_drop(&c->in, c->in.len);
	w->heard++;
}

static void change(struct conn *c, const char *mark)
{
	char body[128], text[1024];
	int n = snprintf(body, sizeof(body), "{\"mode\":\"%s\",\"reason\":\"%s\"}",
			 strtoul(mark + 5, NULL, 10) % 2 == 0 ? "steer" : "observe", mark);

	n = snprintf(text, sizeof(text),
		     "PUT /v1/mode HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: "
		     "%d\r\n\r\n%s",
		     load.host, load.token, n, body);
	conn_send(c, text, (size_t)n);
}

static void nothing(struct conn *c, void *arg)
{
	(void)arg;
	buf_drop(&c->in, c->in.len);
}

static void run_sse(char **argv)
{
	size_t n = strtoul(argv[0], NULL, 10), events = strtoul(argv[1], NULL, 10);
	auto_free struct conn *conns = xcalloc(n + 1, sizeof(*conns));
	char text[1024];
	int len = snprintf(text, sizeof(text),
			   "GET /v1/events?kind=mode HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
			   "Accept: text/event-stream\r\n\r\n",
			   load.host, load.token);

	for (size_t i = 0; i <= n; i++) {
		conn_open(&conns[i]);
		if (i < n)
			conn_send(&conns[i], text, (size_t)len);
		wait_some(0, nothing, NULL);
	}
	for (size_t k = 0; k < events; k++) {
		mono_t until = mono_add_ms(mono_now(), EVENT_GAP_MS);
		while (mono_diff_ms(mono_now(), until) > 0)
			wait_some(10, nothing, NULL);
		struct waiting w = { .sent = mono_now(), .k = (unsigned)k + 1, .changer = &conns[n] };
		snprintf(w.mark, sizeof(w.mark), "mark-%zu.", k);
		change(&conns[n], w.mark);
		until = mono_add_ms(w.sent, WAIT_MS);
		while (w.heard < n && mono_diff_ms(mono_now(), until) > 0)
			wait_some(10, on_stream, &w);
		load.errors += n - w.heard;
	}
	print_times(json_pack("{s:I, s:I}", "streams", (json_int_t)n, "events", (json_int_t)events));
}

/* -- start -------------------------------------------------------------------------------------------- */

static void read_token(const char *path)
{
	auto_fclose FILE *f = fopen(path, "re");

	if (!f || !fgets(load.token, sizeof(load.token), f))
		die("no token");
	load.token[strcspn(load.token, "\n")] = 0;
}

int main(int argc, char **argv)
{
	static char host[HOST_LEN];
	const char *why;
	bool reads = argc >= 9 && strcmp(argv[1], "read") == 0,
	     sse = argc == 7 && strcmp(argv[1], "sse") == 0;

	if ((!reads && !sse) || endpoint_parse(argv[2], &load.to, &why) < 0) {
		fprintf(stderr, "usage: api-load read HOST:PORT CA TOKEN-FILE RATE SECONDS CONNS PATH...\n"
				"       api-load sse HOST:PORT CA TOKEN-FILE STREAMS EVENTS\n");
		return 2;
	}
	snprintf(host, sizeof(host), "%.*s", (int)strcspn(argv[2], ":"), argv[2]);
	load.host = host;
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	gnutls_certificate_allocate_credentials(&load.creds);
	if (gnutls_certificate_set_x509_trust_file(load.creds, argv[3], GNUTLS_X509_FMT_PEM) <= 0)
		die("no CA");
	read_token(argv[4]);
	if (reads)
		run_read(argv + 5, argc - 5);
	else
		run_sse(argv + 5);
	return load.errors != 0;
}
