/* SPDX-License-Identifier: Apache-2.0
 * libmicrohttpd inside libuv: its epoll descriptor is a uv_poll_t, its next deadline a uv_timer_t. Owns the
 * daemon, the list of connections and the streams.
 * A connection: OPEN -> (headers) CHECKED -> (body) HANDLED -> answered -> OPEN again, or closed.
 * CHECKED may already hold the answer (404, 401, ...): the body is then read and dropped, so that the client
 * gets to see the answer and not a reset. A stream is RUNNING or SUSPENDED (its read said 0); stream_wake
 * leads back to RUNNING. Timers: MHD's own (idle connections), and one that ends connections which dribble
 * past their deadline. */
#include "controller/api/http.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "controller/api/identity.h"
#include "controller/api/problem.h"
#include "proto/base/addr.h"
#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define SWEEP_MS       250
#define SPIN_US	       2000
#define PAUSE_MAX_MS   20
#define CONN_MEMORY    (32 * 1024) /* MHD's pool per connection: also bounds the headers */
#define STREAM_BLOCK   4096
#define WAKE_BATCH     64
#define BODY_DROP_MAX  (2 * HTTP_BODY_MAX) /* of a body nobody wants, before the connection is cut */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct conn {
	struct conn *prev, *next;
	struct MHD_Connection *mhd;
	mono_t deadline;
	bool streaming;
	char peer[HTTP_PEER_LEN];
};

struct stream {
	struct stream *prev, *next;
	struct stream *due_prev, *due_next; /* in http's list of those to be woken */
	struct http *http;
	struct MHD_Connection *mhd;
	const struct stream_ops *ops;
	void *arg;
	bool opened, suspended, due, ended;
};

/* One request, from its headers to its end. */
struct exchange {
	struct http *http;
	struct request req;
	struct buf body;
	size_t dropped;
	bool answered_early;
	struct response early;
};

struct http {
	uv_loop_t *loop;
	struct MHD_Daemon *daemon;
	const struct http_ops *ops;
	void *arg;
	uv_poll_t poll;
	uv_timer_t timer, sweep;
	uv_idle_t again;
	int handles;	  /* not closed yet */
	int64_t spent_us; /* in MHD since its descriptor last had news */
	unsigned deadline_ms;
	size_t conns_max, per_peer_max;
	struct conn *conns;
	size_t n_conns;
	struct stream *streams;
	struct stream *due_first, *due_last;
	char log[TEXT_LEN]; /* the last thing MHD complained about */
};

const char *request_query(const struct request *req, const char *key)
{
	for (size_t i = 0; i < req->n_query; i++)
		if (strcmp(req->query[i].key, key) == 0)
			return req->query[i].value;
	return NULL;
}

/* -- loop --------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *t);
static void on_again(uv_idle_t *i);

/* MHD wants to run again at once. Usually it has more to send. But 0.9.75 also says so for as long as a TLS
 * handshake is under way and its bytes are not there, and would spin. So: at once while that is cheap, then
 * with pauses that keep MHD at a fifth of the time at most. */
static void run_again(struct http *h, int64_t last_us)
{
	if (h->spent_us < SPIN_US) {
		uv_timer_stop(&h->timer);
		uv_idle_start(&h->again, on_again);
		return;
	}
	int64_t pause_ms = 1 + 4 * last_us / 1000;
	uv_timer_start(&h->timer, on_timer, (uint64_t)(pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS), 0);
}

static void due_remove(struct stream *st);

/* One event may wake a thousand streams: some at a time, so that whoever asks meanwhile does not wait for all
 * of them. MHD's descriptor does not tell of a resumed connection: we run it ourselves. */
static void wake_some(struct http *h)
{
	for (int i = 0; i < WAKE_BATCH && h->due_first; i++) {
		struct stream *st = h->due_first;
		due_remove(st);
		st->suspended = false;
		MHD_resume_connection(st->mhd);
		h->spent_us = 0;
	}
}

static void run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	mono_t before = mono_now();

	uv_idle_stop(&h->again);
	wake_some(h);
	MHD_run(h->daemon);
	int64_t us = mono_now().us - before.us;
	h->spent_us += us;
	if (h->due_first)
		uv_idle_start(&h->again, on_again);
	else if (MHD_get_timeout(h->daemon, &ms) == MHD_YES && ms == 0)
		run_again(h, us);
	else if (ms)
		uv_timer_start(&h->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&h->timer);
}

static void on_timer(uv_timer_t *t)
{
	run(t->data);
}

static void on_again(uv_idle_t *i)
{
	run(i->data);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct http *h = p->data;

	(void)status;
	(void)events;
	h->spent_us = 0;
	run(h);
}

/* MHD's timeout only knows silence; a client that sends one byte now and then needs this. */
static void on_sweep(uv_timer_t *t)
{
	struct http *h = t->data;
	mono_t now = mono_now();

	identity_sweep(now);
	for (struct conn *c = h->conns; c; c = c->next) {
		if (c->streaming || mono_diff_ms(c->deadline, now) < 0)
			continue;
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
		if (info)
			shutdown(info->connect_fd, SHUT_RDWR);
		c->deadline = mono_add_ms(now, h->deadline_ms);
	}
}

/* -- connections -------------------------------------------------------------------------------------- */

/* One host may use all addresses of its /64. */
void http_peer(const struct sockaddr *sa, char *ret_peer)
{
	struct in6_addr a;

	if (sa->sa_family == AF_INET) {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, ret_peer, HTTP_PEER_LEN);
	} else if (sa->sa_family == AF_INET6) {
		a = ((const struct sockaddr_in6 *)sa)->sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(&a)) {
			inet_ntop(AF_INET, &a.s6_addr[12], ret_peer, HTTP_PEER_LEN);
			return;
		}
		memset(&a.s6_addr[8], 0, 8);
		inet_ntop(AF_INET6, &a, ret_peer, HTTP_PEER_LEN);
	}
}

static void read_peer(struct MHD_Connection *mhd, char *ret_peer)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	if (info && info->client_addr)
		http_peer(info->client_addr, ret_peer);
}

/* Before TLS: a peer with too many connections gets no other. */
static enum MHD_Result on_accept(void *arg, const struct sockaddr *sa, socklen_t len)
{
	const struct http *h = arg;
	char peer[HTTP_PEER_LEN] = "";
	size_t n = 0;

	(void)len;
	http_peer(sa, peer);
	for (const struct conn *c = h->conns; c; c = c->next)
		n += strcmp(c->peer, peer) == 0;
	return n < h->per_peer_max ? MHD_YES : MHD_NO;
}

static void on_connection(void *arg, struct MHD_Connection *mhd, void **ctx,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http *h = arg;
	struct conn *c = *ctx;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		c = xcalloc(1, sizeof(*c));
		c->mhd = mhd;
		read_peer(mhd, c->peer);
		c->deadline = mono_add_ms(mono_now(),
					  h->deadline_ms < HTTP_FIRST_MS ? h->deadline_ms : HTTP_FIRST_MS);
		c->next = h->conns;
		if (c->next)
			c->next->prev = c;
		h->conns = c;
		h->n_conns++;
		*ctx = c;
	} else if (c) {
		if (c->next)
			c->next->prev = c->prev;
		*(c->prev ? &c->prev->next : &h->conns) = c->next;
		h->n_conns--;
		free(c);
		*ctx = NULL;
	}
}

static struct conn *conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **ctx,
			 enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *ctx;
	struct conn *c = conn_of(mhd);
	struct http *h = arg;

	(void)code;
	if (c) {
		c->streaming = false;
		c->deadline = mono_add_ms(mono_now(), h->deadline_ms);
	}
	if (!x)
		return;
	if (x->answered_early)
		free(x->early.body);
	buf_done(&x->body);
	free(x);
	*ctx = NULL;
}

/* -- streams ------------------------------------------------------------------------------------------ */

static void due_remove(struct stream *st)
{
	struct http *h = st->http;

	if (!st->due)
		return;
	*(st->due_prev ? &st->due_prev->due_next : &h->due_first) = st->due_next;
	*(st->due_next ? &st->due_next->due_prev : &h->due_last) = st->due_prev;
	st->due_prev = st->due_next = NULL;
	st->due = false;
}

void stream_wake(struct stream *st)
{
	struct http *h = st->http;

	if (!st->suspended || st->due)
		return;
	st->due = true;
	st->due_prev = h->due_last;
	*(h->due_last ? &h->due_last->due_next : &h->due_first) = st;
	h->due_last = st;
	uv_idle_start(&h->again, on_again);
}

static ssize_t stream_read(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct stream *st = arg;

	(void)pos;
	if (st->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!st->opened) {
		st->opened = true;
		st->ops->open(st->arg, st);
	}
	ssize_t n = st->ops->read(st->arg, buf, max);
	if (n < 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		st->suspended = true;
		MHD_suspend_connection(st->mhd);
	}
	return n;
}

static void stream_free(void *arg)
{
	struct stream *st = arg;

	due_remove(st);
	if (st->next)
		st->next->prev = st->prev;
	*(st->prev ? &st->prev->next : &st->http->streams) = st->next;
	st->ops->close(st->arg);
	free(st);
}

static struct MHD_Response *stream_response(struct http *h, struct MHD_Connection *mhd, struct response *r)
{
	struct stream *st = xcalloc(1, sizeof(*st));
	struct conn *c = conn_of(mhd);

	*st = (struct stream){
		.next = h->streams, .http = h, .mhd = mhd, .ops = r->stream, .arg = r->stream_arg
	};
	if (st->next)
		st->next->prev = st;
	h->streams = st;
	if (c)
		c->streaming = true;
	struct MHD_Response *out = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
								     stream_read, st, stream_free);
	if (!out)
		stream_free(st);
	return out;
}

/* -- requests and responses --------------------------------------------------------------------------- */

struct shared {
	size_t refs;
	char *body;
};

struct shared *shared_new(char *body)
{
	struct shared *s = xcalloc(1, sizeof(*s));

	*s = (struct shared){ 1, body };
	return s;
}

void shared_ref(struct shared *s)
{
	s->refs++;
}

void shared_unref(struct shared *s)
{
	if (--s->refs)
		return;
	free(s->body);
	free(s);
}

static void on_sent(void *arg)
{
	shared_unref(arg);
}

static struct MHD_Response *shared_response(struct response *r)
{
	struct MHD_Response *out = MHD_create_response_from_buffer_with_free_callback_cls(
		r->len, r->shared->body, on_sent, r->shared);

	if (!out)
		shared_unref(r->shared);
	return out;
}

static struct MHD_Response *plain_response(struct response *r)
{
	struct MHD_Response *out;

	if (!r->body)
		return MHD_create_response_from_buffer(
			r->static_body ? r->len : 0,
			(void *)(uintptr_t)(r->static_body ? r->static_body : ""), MHD_RESPMEM_PERSISTENT);
	out = MHD_create_response_from_buffer(r->len, r->body, MHD_RESPMEM_MUST_FREE);
	if (!out)
		free(r->body);
	r->body = NULL;
	return out;
}

static enum MHD_Result answer(struct http *h, struct MHD_Connection *mhd, struct response r)
{
	struct MHD_Response *out = r.stream   ? stream_response(h, mhd, &r)
				   : r.shared ? shared_response(&r)
					      : plain_response(&r);

	if (!out)
		return MHD_NO;
	if (r.type)
		MHD_add_response_header(out, MHD_HTTP_HEADER_CONTENT_TYPE, r.type);
	if (r.etag[0])
		MHD_add_response_header(out, MHD_HTTP_HEADER_ETAG, r.etag);
	if (r.allow[0])
		MHD_add_response_header(out, MHD_HTTP_HEADER_ALLOW, r.allow);
	if (r.location[0])
		MHD_add_response_header(out, MHD_HTTP_HEADER_LOCATION, r.location);
	if (r.challenge)
		MHD_add_response_header(out, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"sluice\"");
	if (r.close)
		MHD_add_response_header(out, MHD_HTTP_HEADER_CONNECTION, "close");
	if (r.retry_after_s) {
		char s[16];
		snprintf(s, sizeof(s), "%u", r.retry_after_s);
		MHD_add_response_header(out, MHD_HTTP_HEADER_RETRY_AFTER, s);
	}
	MHD_add_response_header(out, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(out, "X-Content-Type-Options", "nosniff");
	enum MHD_Result ok = MHD_queue_response(mhd, (unsigned)r.status, out);
	MHD_destroy_response(out);
	return ok;
}

static enum MHD_Result add_query(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct request *req = arg;

	(void)kind;
	if (req->n_query == HTTP_QUERY_MAX)
		return MHD_NO;
	req->query[req->n_query++] = (struct http_query){ key, value ? value : "" };
	return MHD_YES;
}

static void read_headers(struct exchange *x, struct MHD_Connection *mhd)
{
	static const char *const names[HDR_N] = {
		[HDR_AUTHORIZATION] = "Authorization",
		[HDR_IF_MATCH] = "If-Match",
		[HDR_ACCEPT] = "Accept",
		[HDR_LAST_EVENT_ID] = "Last-Event-ID",
		[HDR_IDEMPOTENCY_KEY] = "Idempotency-Key",
	};

	MHD_get_connection_values(mhd, MHD_GET_ARGUMENT_KIND, add_query, &x->req);
	for (int i = 0; i < HDR_N; i++)
		x->req.header[i] = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, names[i]);
}

static bool declared_too_big(struct MHD_Connection *mhd)
{
	const char *s = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return s && strtoull(s, NULL, 10) > HTTP_BODY_MAX;
}

static struct response too_big(const struct exchange *x)
{
	return problem(413, "The body is larger than %zu bytes.", x->body.max);
}

/* In place, like MHD's own, except that %00 stays as it is: it would end the text early. */
static size_t unescape(void *arg, struct MHD_Connection *mhd, char *s)
{
	char *out = s, *from = s;
	unsigned byte;

	(void)arg;
	(void)mhd;
	while (*from) {
		bool hex = from[0] == '%' && isxdigit((unsigned char)from[1]) &&
			   isxdigit((unsigned char)from[2]);
		if (hex && sscanf(from + 1, "%2x", &byte) == 1 && byte) {
			*out++ = (char)byte;
			from += 3;
		} else {
			*out++ = *from++;
		}
	}
	*out = 0;
	return (size_t)(out - s);
}

static struct response too_many(const struct http *h)
{
	struct response r = problem(503, "There are %zu connections already.", h->conns_max);

	r.retry_after_s = 1;
	r.close = true;
	return r;
}

/* First call of a request: only the headers are here. */
static enum MHD_Result begin(struct http *h, struct MHD_Connection *mhd, const char *url, const char *method,
			     void **ctx)
{
	struct exchange *x = xcalloc(1, sizeof(*x));
	struct conn *c = conn_of(mhd);

	if (c)
		c->deadline = mono_add_ms(mono_now(), h->deadline_ms);
	*ctx = x;
	x->http = h;
	x->body.max = HTTP_BODY_MAX;
	x->req.method = strcmp(method, "HEAD") == 0 ? "GET" : method;
	x->req.path = url;
	read_peer(mhd, x->req.peer);
	read_headers(x, mhd);
	if (h->n_conns > h->conns_max)
		return answer(h, mhd, too_many(h));
	x->answered_early = !h->ops->check(&x->req, &x->early, h->arg);
	if (x->req.body_max)
		x->body.max = x->req.body_max;
	if (!declared_too_big(mhd))
		return MHD_YES;
	/* not worth reading: answered now, and MHD closes the connection after it */
	struct response r = x->answered_early ? x->early : too_big(x);
	x->answered_early = false;
	return answer(h, mhd, r);
}

static enum MHD_Result take_body(struct exchange *x, const char *data, size_t *len)
{
	if (!x->answered_early && buf_add(&x->body, data, *len) != 0) {
		x->answered_early = true;
		x->early = too_big(x);
	}
	if (x->answered_early) {
		buf_done(&x->body);
		x->dropped += *len;
	}
	*len = 0;
	return x->dropped > BODY_DROP_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *url, const char *method,
				  const char *version, const char *data, size_t *len, void **ctx)
{
	struct http *h = arg;
	struct exchange *x = *ctx;

	(void)version;
	if (!x)
		return begin(h, mhd, url, method, ctx);
	if (*len)
		return take_body(x, data, len);
	if (x->answered_early) {
		struct response r = x->early;
		x->answered_early = false;
		return answer(h, mhd, r);
	}
	x->req.body = x->body.data ? x->body.data : "";
	x->req.body_len = x->body.len;
	return answer(h, mhd, h->ops->handle(&x->req, h->arg));
}

/* -- start and end ------------------------------------------------------------------------------------ */

static void on_mhd_log(void *arg, const char *fmt, va_list ap)
{
	struct http *h = arg;

	vsnprintf(h->log, sizeof(h->log), fmt, ap);
	h->log[strcspn(h->log, "\n")] = 0;
	log_debug("http: %s", h->log);
}

static int listen_on(const struct sockaddr *sa, char *ret_why)
{
	char where[80];
	int one = 1, err;
	socklen_t len = sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, sa, len) == 0 && listen(fd, 1024) == 0)
			return fd;
	}
	err = errno;
	snprintf(ret_why, TEXT_LEN, "cannot listen for HTTPS on %s: %s",
		 endpoint_str(sa, where, sizeof(where)), strerror(err));
	if (fd >= 0)
		close(fd);
	return -err;
}

static int start_daemon(struct http *h, const struct http_cfg *cfg, char *ret_why)
{
	int fd = listen_on(cfg->listen, ret_why);

	if (fd < 0)
		return fd;
	unsigned flags = MHD_USE_EPOLL | MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	h->daemon = MHD_start_daemon(
		flags, 0, on_accept, h, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, h,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_HTTPS_CERT_CALLBACK, identity_callback,
		MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)(h->conns_max + HTTP_CONNS_SPARE), MHD_OPTION_CONNECTION_TIMEOUT,
		cfg->idle_s ? cfg->idle_s : HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONN_MEMORY, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
		MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
		MHD_OPTION_END);
	if (h->daemon)
		return 0;
	close(fd);
	snprintf(ret_why, TEXT_LEN, "HTTPS does not start with %s and %s: %s", cfg->cert, cfg->key,
		 h->log[0] ? h->log : "reason unknown");
	return ERR_TLS;
}

int http_new(uv_loop_t *loop, const struct http_cfg *cfg, const struct http_ops *ops, void *arg,
	     struct http **ret_http, char *ret_why)
{
	struct http *h = xcalloc(1, sizeof(*h));

	h->loop = loop;
	h->ops = ops;
	h->arg = arg;
	h->conns_max = cfg->conns_max ? cfg->conns_max : HTTP_CONNS_MAX;
	h->per_peer_max = cfg->per_peer_max ? cfg->per_peer_max : HTTP_PER_PEER_MAX;
	h->deadline_ms = cfg->deadline_ms ? cfg->deadline_ms : HTTP_DEADLINE_MS;
	int r = identity_serve(cfg->cert, cfg->key, ret_why);
	if (r == 0)
		r = start_daemon(h, cfg, ret_why);
	if (r != 0) {
		identity_done();
		free(h);
		return r;
	}
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	uv_poll_init(loop, &h->poll, info->epoll_fd);
	uv_timer_init(loop, &h->timer);
	uv_timer_init(loop, &h->sweep);
	uv_idle_init(loop, &h->again);
	h->poll.data = h->timer.data = h->sweep.data = h->again.data = h;
	h->handles = 4;
	uv_poll_start(&h->poll, UV_READABLE, on_poll);
	uv_timer_start(&h->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	*ret_http = h;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct http *h = handle->data;

	if (--h->handles > 0)
		return;
	identity_done();
	free(h);
}

void http_free(struct http *h)
{
	if (!h)
		return;
	uv_close((uv_handle_t *)&h->poll, on_closed);
	uv_close((uv_handle_t *)&h->timer, on_closed);
	uv_close((uv_handle_t *)&h->sweep, on_closed);
	uv_close((uv_handle_t *)&h->again, on_closed);
	for (struct stream *st = h->streams; st; st = st->next) {
		st->ended = true;
		if (st->suspended)
			MHD_resume_connection(st->mhd);
	}
	MHD_stop_daemon(h->daemon); /* panics on suspended connections: all were woken */
}

uint16_t http_port(const struct http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_LISTEN_FD);
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (!info || getsockname(info->listen_fd, (struct sockaddr *)&ss, &len) != 0)
		return 0;
	return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
					      : ((struct sockaddr_in *)&ss)->sin_port);
}

unsigned http_connections(const struct http *h)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info ? info->num_connections : 0;
}
