/* SPDX-License-Identifier: Apache-2.0
 * Owns one TCP connection with its TLS session, its frames and its timer, and itself: it lives from
 * link_connect/link_accept until both libuv handles have closed, and down() is the last thing it does.
 * Allowed transitions: CONNECTING -> HANDSHAKE -> UP -> CLOSED, and any -> CLOSED; set_state is the only
 * writer. CLOSED has two ways out: cut (handles close at once: the transport is broken or the peer is silent)
 * and drain (what is queued, close_notify or an alert is still sent, then we wait for the peer's FIN; closing
 * a socket with unread input would make the kernel send RST and the peer lose our last words). down() is
 * never called from inside link_connect, link_send or link_close. One timer: handshake, then idle, then drain
 * (LINGER_MS). At most one write is in flight; what is sent meanwhile gathers in the TLS output. */
#include "proto/wire/link.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proto/wire/frame.h"

#define LINGER_MS 2000
#define KEEP_CAP  4096 /* an idle link keeps no larger output buffer */

enum state { CONNECTING, HANDSHAKE, UP, CLOSED };
static const char *const state_names[] = { "connecting", "handshake", "up", "closed" };

struct link {
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_connect_t connect;
	uv_write_t write;
	uv_shutdown_t shutdown;
	int handles; /* still open */

	enum state state;
	bool silent;	/* never handed out: no down() */
	bool cutting;	/* handles are closing */
	bool draining;	/* last words go out, input is thrown away */
	bool half;	/* our FIN is on its way */
	bool half_sent; /* our FIN is out */
	bool got_fin;
	bool mute; /* nothing more can be written */

	struct tls *tls;
	struct frame_in in;
	struct buf flight; /* what the write in flight reads from */
	bool writing;
	uint64_t heard_ms; /* loop time */
	uint64_t handshake_ms, idle_ms;

	const struct link_ops *ops;
	void *arg;
	int err;
	char why[TEXT_LEN];
	char addr[64];
};

static void on_timer(uv_timer_t *timer);
static void drain_step(struct link *l);

/* ---- state ---- */

static void set_state(struct link *l, enum state to, const char *why)
{
	log_debug("link %s: %s -> %s%s%s", l->addr, state_names[l->state], state_names[to], *why ? ": " : "",
		  why);
	l->state = to;
}

static void on_closed(uv_handle_t *h)
{
	struct link *l = h->data;

	if (--l->handles > 0)
		return;
	if (!l->silent)
		l->ops->down(l, l->err, l->why, l->arg);
	tls_free(l->tls);
	frame_done(&l->in);
	buf_done(&l->flight);
	free(l);
}

static void cut(struct link *l)
{
	if (l->cutting)
		return;
	l->cutting = true;
	uv_close((uv_handle_t *)&l->tcp, on_closed);
	uv_close((uv_handle_t *)&l->timer, on_closed);
}

/* The first reason counts. False when the link is closed already. */
static bool enter_closed(struct link *l, int err, const char *fmt, va_list ap)
{
	if (l->state == CLOSED)
		return false;
	vsnprintf(l->why, sizeof(l->why), fmt, ap);
	l->err = err;
	set_state(l, CLOSED, l->why);
	return true;
}

/* The transport is of no more use. */
static void fail_cut(struct link *l, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void fail_cut(struct link *l, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	enter_closed(l, err, fmt, ap);
	va_end(ap);
	cut(l);
}

/* The transport works: let the peer hear why. */
static void fail_drain(struct link *l, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void fail_drain(struct link *l, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	bool first = enter_closed(l, err, fmt, ap);
	va_end(ap);
	if (!first)
		return;
	tls_close(l->tls);
	l->draining = true;
	uv_timer_start(&l->timer, on_timer, LINGER_MS, 0);
	drain_step(l);
}

/* ---- output ---- */

static void flush(struct link *l);

/* A peer that said why and went may have left it in our socket: the reader finds it, then the reset. */
static void write_failed(struct link *l, int err)
{
	if (err != UV_ECONNRESET && err != UV_EPIPE)
		fail_cut(l, err, "write to %s: %s", l->addr, uv_strerror(err));
	l->mute = true;
}

static void on_written(uv_write_t *req, int status)
{
	struct link *l = req->data;

	l->writing = false;
	buf_done(&l->flight);
	if (l->cutting)
		return;
	if (status < 0)
		write_failed(l, status);
	if (l->draining)
		drain_step(l);
	else
		flush(l);
}

/* Most writes fit into the socket at once and need no request. False when the transport failed. */
static bool try_write(struct link *l, struct buf *out)
{
	uv_buf_t b = uv_buf_init(out->data, (unsigned)out->len);
	int n = uv_try_write((uv_stream_t *)&l->tcp, &b, 1);

	if (n == UV_EAGAIN)
		return true;
	if (n < 0) {
		write_failed(l, n);
		return false;
	}
	buf_drop(out, (size_t)n);
	if (out->len == 0 && out->cap > KEEP_CAP)
		buf_done(out);
	return true;
}

static void flush(struct link *l)
{
	struct buf *out = tls_out(l->tls);

	if (l->mute)
		buf_done(out);
	if (l->cutting || l->writing || out->len == 0 || !try_write(l, out) || out->len == 0)
		return;
	l->flight = *out;
	*out = (struct buf){ .max = out->max };
	uv_buf_t b = uv_buf_init(l->flight.data, (unsigned)l->flight.len);
	int r = uv_write(&l->write, (uv_stream_t *)&l->tcp, &b, 1, on_written);
	if (r)
		write_failed(l, r);
	else
		l->writing = true;
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
	struct link *l = req->data;

	(void)status; /* the peer may have gone first */
	l->half_sent = true;
	if (!l->cutting)
		drain_step(l);
}

/* Everything out, then our FIN, then the peer's FIN. The timer ends it when the peer does not. */
static void drain_step(struct link *l)
{
	flush(l);
	if (l->cutting || l->writing)
		return;
	if (!l->half) {
		l->half = true;
		if (uv_shutdown(&l->shutdown, (uv_stream_t *)&l->tcp, on_shutdown))
			cut(l);
		return;
	}
	if (l->half_sent && l->got_fin)
		cut(l);
}

void link_send(struct link *l, const struct msg *m)
{
	auto_buf body = { 0 };
	auto_buf frame = { 0 };

	if (l->state != UP)
		return;
	int err = msg_pack(m, &body);
	if (!err)
		err = frame_put(&frame, body.data, body.len);
	if (err) {
		fail_drain(l, err, "%s of %zu bytes cannot be sent: %s", msg_kind_str(m->kind), body.len,
			   err_str(err));
		return;
	}
	err = tls_write(l->tls, frame.data, frame.len);
	if (err) {
		fail_cut(l, err, "%s", tls_why(l->tls));
		return;
	}
	flush(l);
	size_t waiting = l->flight.len + tls_out(l->tls)->len;
	if (l->state == UP && waiting > LINK_BACKLOG_MAX)
		fail_cut(l, ERR_LIMIT, "%s reads too slowly: %zu bytes wait", l->addr, waiting);
}

/* ---- input ---- */

/* One frame. False when the link is no longer up. */
static bool deliver(struct link *l, const uint8_t *body, size_t len)
{
	char why[TEXT_LEN];
	struct msg m;
	int err = msg_unpack(body, len, &m, why);

	if (err) {
		fail_drain(l, err, "message from %s: %s", l->addr, why);
		return false;
	}
	if (m.kind) /* 0: from a newer minor version, not for us */
		l->ops->msg(l, &m, l->arg);
	msg_done(&m);
	return l->state == UP;
}

/* All whole frames of plain. False when the link is no longer up. */
static bool deliver_all(struct link *l, const struct buf *plain)
{
	const uint8_t *body = NULL;
	size_t len = 0;
	int err = frame_feed(&l->in, plain->data, plain->len);

	while (frame_peek(&l->in, &body, &len) == 1) {
		if (!deliver(l, body, len))
			return false;
		frame_take(&l->in);
	}
	if (err)
		fail_drain(l, err, "frame from %s: %s", l->addr, err_str(err));
	return !err;
}

static void read_plain(struct link *l)
{
	while (l->state == UP) {
		auto_buf plain = { 0 };
		int r = tls_read(l->tls, &plain);
		if (r == 0)
			break;
		if (r == 1 && !deliver_all(l, &plain))
			break;
		if (r == ERR_CLOSED && l->in.b.len > 0)
			fail_drain(l, ERR_MALFORMED, "%s closed inside a frame", l->addr);
		else if (r == ERR_CLOSED)
			fail_drain(l, 0, "closed by the peer");
		else if (r < 0)
			fail_drain(l, r, "%s", tls_why(l->tls));
	}
}

static void go_up(struct link *l)
{
	set_state(l, UP, tls_peer(l->tls));
	uv_timer_start(&l->timer, on_timer, l->idle_ms, 0);
	l->ops->up(l, l->arg);
}

static void shake(struct link *l)
{
	int r = tls_handshake(l->tls);

	if (r < 0)
		fail_drain(l, r, "%s", tls_why(l->tls));
	else
		flush(l);
	if (r == 1 && l->state == HANDSHAKE)
		go_up(l);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret_buf)
{
	/* libuv fills it and calls on_read before anything else happens on this thread */
	static _Thread_local char scratch[64 * 1024];

	(void)h;
	(void)hint;
	*ret_buf = uv_buf_init(scratch, sizeof(scratch));
}

static void on_eof(struct link *l)
{
	l->got_fin = true;
	if (l->draining)
		drain_step(l);
	else if (l->state == HANDSHAKE)
		fail_cut(l, ERR_CLOSED, "%s closed during the TLS handshake", l->addr);
	else
		fail_cut(l, ERR_CLOSED, "%s: connection lost%s", l->addr,
			 l->in.b.len ? " inside a frame" : "");
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	struct link *l = stream->data;

	if (l->cutting || n == 0)
		return;
	if (n == UV_EOF) {
		on_eof(l);
		return;
	}
	if (n < 0) {
		fail_cut(l, (int)n, "read from %s: %s", l->addr, uv_strerror((int)n));
		return;
	}
	if (l->draining)
		return;
	l->heard_ms = uv_now(l->tcp.loop);
	int err = tls_feed(l->tls, b->base, (size_t)n);
	if (err) {
		fail_drain(l, err, "%s", tls_why(l->tls));
		return;
	}
	if (l->state == HANDSHAKE)
		shake(l);
	read_plain(l);
	/* TLS may have something to say by itself: a key update */
	if (l->state == UP)
		flush(l);
}

/* ---- time ---- */

/* After a stall of our own loop timers run before input is read: what waits in the kernel has been said. */
static bool input_waits(struct link *l)
{
	uv_os_fd_t fd;
	int n = 0;

	return uv_fileno((uv_handle_t *)&l->tcp, &fd) == 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct link *l = timer->data;
	uint64_t idle_ms = uv_now(timer->loop) - l->heard_ms;

	if (l->state == CLOSED)
		cut(l);
	else if ((l->state != UP || idle_ms >= l->idle_ms) && input_waits(l))
		uv_timer_start(timer, on_timer, 1, 0);
	else if (l->state != UP)
		fail_cut(l, ERR_TIMEOUT, "%s: no TLS session after %llu ms", l->addr,
			 (unsigned long long)l->handshake_ms);
	else if (idle_ms >= l->idle_ms)
		fail_cut(l, ERR_TIMEOUT, "%s: nothing heard for %llu ms", l->addr,
			 (unsigned long long)idle_ms);
	else
		uv_timer_start(timer, on_timer, l->idle_ms - idle_ms, 0);
}

void link_set_timeouts(struct link *l, uint64_t handshake_ms, uint64_t idle_ms)
{
	if (handshake_ms)
		l->handshake_ms = handshake_ms;
	if (idle_ms)
		l->idle_ms = idle_ms;
	if (l->state == CLOSED)
		return;
	l->heard_ms = uv_now(l->timer.loop);
	uv_timer_start(&l->timer, on_timer, l->state == UP ? l->idle_ms : l->handshake_ms, 0);
}

/* ---- birth and death ---- */

/* libuv writes without MSG_NOSIGNAL. A handler that the program has set stays. */
static void ignore_sigpipe(void)
{
	struct sigaction now;

	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

static struct link *link_new(uv_loop_t *loop, struct tls_creds *creds, bool server,
			     const struct link_ops *ops, void *arg)
{
	struct link *l = xcalloc(1, sizeof(*l));

	ignore_sigpipe();
	uv_tcp_init(loop, &l->tcp);
	uv_timer_init(loop, &l->timer);
	l->handles = 2;
	l->tcp.data = l->timer.data = l->connect.data = l->write.data = l->shutdown.data = l;
	l->tls = tls_new(creds, server, server ? PKI_ROLE_NODE : PKI_ROLE_CONTROLLER);
	l->ops = ops;
	l->arg = arg;
	l->handshake_ms = LINK_HANDSHAKE_MS;
	l->idle_ms = LINK_IDLE_MS;
	snprintf(l->addr, sizeof(l->addr), "?");
	uv_timer_start(&l->timer, on_timer, l->handshake_ms, 0);
	return l;
}

static void start_handshake(struct link *l)
{
	set_state(l, HANDSHAKE, "");
	uv_tcp_nodelay(&l->tcp, 1);
	int r = uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read);
	if (r)
		fail_cut(l, r, "read from %s: %s", l->addr, uv_strerror(r));
	else
		shake(l);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct link *l = req->data;

	if (status < 0) /* ECANCELED when we were closed meanwhile */
		fail_cut(l, status, "connect to %s: %s", l->addr, uv_strerror(status));
	else
		start_handshake(l);
}

struct link *link_connect(uv_loop_t *loop, struct tls_creds *creds, const struct sockaddr *to,
			  const struct link_ops *ops, void *arg)
{
	struct link *l = link_new(loop, creds, false, ops, arg);

	endpoint_str(to, l->addr, sizeof(l->addr));
	int r = uv_tcp_connect(&l->connect, &l->tcp, to, on_connected);
	if (r)
		fail_cut(l, r, "connect to %s: %s", l->addr, uv_strerror(r));
	return l;
}

struct link *link_accept(uv_stream_t *server, struct tls_creds *creds, const struct link_ops *ops, void *arg)
{
	struct link *l = link_new(server->loop, creds, true, ops, arg);
	struct sockaddr_storage ss = { 0 };
	int len = sizeof(ss);

	if (uv_accept(server, (uv_stream_t *)&l->tcp)) {
		l->silent = true;
		fail_cut(l, ERR_CLOSED, "accept failed");
		return NULL;
	}
	if (uv_tcp_getpeername(&l->tcp, (struct sockaddr *)&ss, &len) == 0)
		endpoint_str((struct sockaddr *)&ss, l->addr, sizeof(l->addr));
	start_handshake(l);
	return l;
}

void link_close(struct link *l, const char *why)
{
	if (l->state == UP)
		fail_drain(l, 0, "%s", why);
	else if (l->state != CLOSED)
		fail_cut(l, 0, "%s", why);
}

const char *link_peer(const struct link *l)
{
	return tls_peer(l->tls);
}

const struct pki_leaf *link_leaf(const struct link *l)
{
	return tls_peer_leaf(l->tls);
}

const char *link_addr(const struct link *l)
{
	return l->addr;
}

void link_set_arg(struct link *l, void *arg)
{
	l->arg = arg;
}
