/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frr/vty.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

/* Owns one pipe to bgpd, the queue of commands not answered yet and the reply being collected.
 * States: WAIT (retry timer runs) -> CONNECTING -> ENABLING -> UP; any of them -> WAIT on a loss;
 * any -> CLOSED by vty_close, and nothing leaves CLOSED.
 * Timers: retry (100 ms doubling to 2 s, back to 100 ms after UP), reply (VTY_TIMEOUT_MS from writing the
 * command; also bounds the connect), kick (0 ms: answers commands given while not connected). */

enum state { WAIT, CONNECTING, ENABLING, UP, CLOSED };

#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 2000
#define CHUNK	     65536
#define TAIL	     4 /* three NULs and the status */

struct item {
	struct item *next;
	vty_reply_fn fn;
	void *arg;
	char *command;
};

struct queue {
	struct item *head, **tail;
};

/* one connection attempt: its own allocation, because a closing pipe lives until its close callback */
struct wire {
	uv_pipe_t pipe;
	uv_connect_t connect;
	struct vty *v; /* NULL once given up */
};

struct vty {
	uv_loop_t *loop;
	char *path;
	struct vty_ops ops;
	void *arg;
	enum state state;
	struct wire *wire;
	uv_timer_t retry, reply, kick;
	unsigned handles; /* open timers, while closing */
	uint64_t backoff_ms;
	bool said_down; /* down() was called since the last up() */
	bool sent;	/* the head of todo is on the wire */
	struct queue todo;
	struct queue refused; /* given while not connected; kick answers them */
	struct buf in;
	size_t scanned; /* bytes of in known to hold no NUL */
	char chunk[CHUNK];
};

static void lose(struct vty *v, int err, const char *why);
static void start_connect(struct vty *v);
static void send_next(struct vty *v);

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_put(struct queue *q, const char *command, vty_reply_fn fn, void *arg)
{
	struct item *i = xcalloc(1, sizeof(*i));

	i->command = xstrdup(command);
	i->fn = fn;
	i->arg = arg;
	*q->tail = i;
	q->tail = &i->next;
}

static struct item *queue_take(struct queue *q)
{
	struct item *i = q->head;

	if (!i)
		return NULL;
	q->head = i->next;
	if (!q->head)
		q->tail = &q->head;
	return i;
}

static void item_answer(struct item *i, int err, int status, const char *text, size_t len)
{
	if (i->fn)
		i->fn(err, status, text, len, i->arg);
	free(i->command);
	free(i);
}

/* Takes the whole queue first: an answer may put new commands. */
static void queue_fail(struct queue *q, int err)
{
	struct queue mine = *q;

	if (!q->head)
		return;
	if (mine.tail == &q->head)
		mine.tail = &mine.head;
	queue_init(q);
	while (mine.head) {
		struct item *i = mine.head;
		mine.head = i->next;
		item_answer(i, err, 0, "", 0);
	}
}

static void on_kick(uv_timer_t *t)
{
	struct vty *v = t->data;

	queue_fail(&v->refused, ERR_CLOSED);
}

static void on_wire_closed(uv_handle_t *h)
{
	free(h->data);
}

static void wire_drop(struct vty *v)
{
	struct wire *w = v->wire;

	v->wire = NULL;
	if (!w)
		return;
	w->v = NULL;
	uv_close((uv_handle_t *)&w->pipe, on_wire_closed);
}

static void on_retry(uv_timer_t *t)
{
	start_connect(t->data);
}

static void schedule_retry(struct vty *v)
{
	v->state = WAIT;
	uv_timer_start(&v->retry, on_retry, v->backoff_ms, 0);
	v->backoff_ms = v->backoff_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : v->backoff_ms * 2;
}

/* Every failure ends here: connection gone, everybody answered, the owner told once, retry scheduled. */
static void lose(struct vty *v, int err, const char *why)
{
	if (v->state == CLOSED)
		return;
	wire_drop(v);
	uv_timer_stop(&v->reply);
	buf_done(&v->in);
	v->scanned = 0;
	v->sent = false;
	schedule_retry(v);
	queue_fail(&v->todo, err);
	if (!v->said_down && v->state != CLOSED) {
		v->said_down = true;
		if (v->ops.down)
			v->ops.down(why, v->arg);
	}
}

static void lose_connect(struct vty *v, int err)
{
	auto_free char *why = NULL;

	if (err == UV_ENOENT)
		why = xasprintf("no socket at %s: start bgpd, or set frr.vty to its bgpd.vty (Debian: "
				"/run/frr/bgpd.vty)",
				v->path);
	else if (err == UV_EACCES || err == UV_EPERM)
		why = xasprintf("no permission for %s: add the agent's user to group frrvty", v->path);
	else if (err == UV_ECONNREFUSED || err == UV_ENOTSOCK)
		why = xasprintf("nothing listens at %s: start bgpd, or set frr.vty to its bgpd.vty", v->path);
	else if (err == UV_ENAMETOOLONG)
		why = xasprintf(
			"the path %s is too long for a socket: frr.vty must have fewer than %zu bytes",
			v->path, sizeof(((struct sockaddr_un *)0)->sun_path));
	else
		why = xasprintf("cannot connect to %s: %s", v->path, uv_strerror(err));
	lose(v, ERR_CLOSED, why);
}

static void lose_reply(struct vty *v, int err)
{
	auto_free char *why = NULL;

	if (err == ERR_TIMEOUT)
		why = xasprintf("bgpd did not answer within %d ms at %s: is it overloaded or stopped?",
				VTY_TIMEOUT_MS, v->path);
	else if (err == ERR_LIMIT)
		why = xasprintf("a reply above %d MiB at %s: connection closed", VTY_REPLY_MAX >> 20,
				v->path);
	else if (err == ERR_MALFORMED)
		why = xasprintf("%s does not speak FRR's vty protocol: set frr.vty to bgpd.vty", v->path);
	else
		why = xasprintf("bgpd closed its vty socket %s: it stopped or restarts", v->path);
	lose(v, err, why);
}

static void on_reply_timeout(uv_timer_t *t)
{
	lose_reply(t->data, ERR_TIMEOUT);
}

/* 1: a whole reply, *ret_text_len long, is in v->in; 0: more bytes needed; negative: not the protocol. */
static int reply_find(struct vty *v, size_t *ret_text_len)
{
	const char *nul = memchr(v->in.data + v->scanned, 0, v->in.len - v->scanned);

	if (!nul) {
		v->scanned = v->in.len;
		return 0;
	}
	size_t at = (size_t)(nul - v->in.data);
	v->scanned = at;
	for (size_t i = at; i < v->in.len && i < at + TAIL - 1; i++)
		if (v->in.data[i])
			return ERR_MALFORMED;
	if (v->in.len < at + TAIL)
		return 0;
	if (v->in.len > at + TAIL) /* nobody asked for more */
		return ERR_MALFORMED;
	*ret_text_len = at;
	return 1;
}

static void take_reply(struct vty *v, size_t len)
{
	struct buf in = v->in; /* the callback may close v */
	struct item *i = queue_take(&v->todo);
	int status = (unsigned char)in.data[len + TAIL - 1];

	v->in = (struct buf){ .max = VTY_REPLY_MAX + TAIL };
	v->scanned = 0;
	v->sent = false;
	uv_timer_stop(&v->reply);
	item_answer(i, 0, status, in.data, len);
	/* keep a small buffer: most replies are empty */
	if (v->state == CLOSED || v->in.data || in.cap > 2 * CHUNK) {
		buf_done(&in);
	} else {
		in.len = 0;
		v->in = in;
	}
	send_next(v);
}

static void on_alloc(uv_handle_t *h, size_t want, uv_buf_t *ret_buf)
{
	struct wire *w = h->data;

	(void)want;
	*ret_buf = w->v ? uv_buf_init(w->v->chunk, CHUNK) : uv_buf_init(NULL, 0);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct wire *w = s->data;
	struct vty *v = w->v;
	size_t len = 0;

	if (!v || n == 0)
		return;
	if (n < 0) {
		lose_reply(v, ERR_CLOSED);
		return;
	}
	if (!v->sent) {
		lose_reply(v, ERR_MALFORMED);
		return;
	}
	int r = buf_add(&v->in, b->base, (size_t)n);
	if (r == 0)
		r = reply_find(v, &len);
	if (r < 0)
		lose_reply(v, r);
	else if (r > 0)
		take_reply(v, len);
}

struct write_req {
	uv_write_t req;
	char data[];
};

static void on_written(uv_write_t *req, int status)
{
	(void)status; /* a failed write shows as a read error or the reply's timeout */
	free(req->data);
}

/* Command and its NUL. Most fit the socket at once; the rest is queued with its own copy. */
static int wire_put(struct wire *w, const char *s, size_t len)
{
	uv_buf_t b = uv_buf_init((char *)(uintptr_t)s, (unsigned)len);
	int n = uv_try_write((uv_stream_t *)&w->pipe, &b, 1);

	if (n == UV_EAGAIN)
		n = 0;
	if (n < 0 || (size_t)n == len)
		return n < 0 ? n : 0;
	struct write_req *r = xcalloc(1, sizeof(*r) + len);
	memcpy(r->data, s + n, len - (size_t)n);
	r->req.data = r;
	b = uv_buf_init(r->data, (unsigned)(len - (size_t)n));
	n = uv_write(&r->req, (uv_stream_t *)&w->pipe, &b, 1, on_written);
	if (n < 0)
		free(r);
	return n;
}

static void send_next(struct vty *v)
{
	if ((v->state != UP && v->state != ENABLING) || v->sent || !v->todo.head)
		return;
	const char *c = v->todo.head->command;
	v->sent = true;
	uv_timer_start(&v->reply, on_reply_timeout, VTY_TIMEOUT_MS, 0);
	if (wire_put(v->wire, c, strlen(c) + 1) < 0)
		lose_reply(v, ERR_CLOSED);
}

static void on_enabled(int err, int status, const char *text, size_t len, void *arg)
{
	struct vty *v = arg;

	(void)text;
	(void)len;
	if (err)
		return; /* lose() is under way */
	if (status != VTY_OK) {
		lose_reply(v, ERR_MALFORMED);
		return;
	}
	v->state = UP;
	v->backoff_ms = RETRY_MIN_MS;
	v->said_down = false;
	if (v->ops.up)
		v->ops.up(v->arg);
}

static void on_connect(uv_connect_t *req, int status)
{
	struct wire *w = req->data;
	struct vty *v = w->v;

	if (!v)
		return;
	if (status == 0)
		status = uv_read_start((uv_stream_t *)&w->pipe, on_alloc, on_read);
	if (status < 0) {
		lose_connect(v, status);
		return;
	}
	v->state = ENABLING;
	v->in = (struct buf){ .max = VTY_REPLY_MAX + TAIL };
	queue_put(&v->todo, "enable", on_enabled, v);
	send_next(v);
}

static void start_connect(struct vty *v)
{
	struct wire *w = xcalloc(1, sizeof(*w));

	w->v = v;
	w->pipe.data = w;
	w->connect.data = w;
	v->wire = w;
	v->state = CONNECTING;
	uv_pipe_init(v->loop, &w->pipe, 0);
	if (strlen(v->path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		lose_connect(v, UV_ENAMETOOLONG); /* libuv would cut it silently */
		return;
	}
	uv_timer_start(&v->reply, on_reply_timeout, VTY_TIMEOUT_MS, 0);
	uv_pipe_connect(&w->connect, &w->pipe, v->path, on_connect);
}

struct vty *vty_new(uv_loop_t *loop, const char *path, const struct vty_ops *ops, void *arg)
{
	struct vty *v = xcalloc(1, sizeof(*v));

	v->loop = loop;
	v->path = xstrdup(path);
	v->ops = *ops;
	v->arg = arg;
	v->backoff_ms = RETRY_MIN_MS;
	queue_init(&v->todo);
	queue_init(&v->refused);
	uv_timer_init(loop, &v->retry);
	uv_timer_init(loop, &v->reply);
	uv_timer_init(loop, &v->kick);
	v->retry.data = v->reply.data = v->kick.data = v;
	v->state = WAIT;
	uv_timer_start(&v->retry, on_retry, 0, 0); /* callbacks never come from inside vty_new */
	return v;
}

void vty_send(struct vty *v, const char *command, vty_reply_fn fn, void *arg)
{
	if (v->state == UP) {
		queue_put(&v->todo, command, fn, arg);
		send_next(v);
		return;
	}
	queue_put(&v->refused, command, fn, arg);
	uv_timer_start(&v->kick, on_kick, 0, 0);
}

bool vty_is_up(const struct vty *v)
{
	return v->state == UP;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct vty *v = h->data;

	if (--v->handles)
		return;
	free(v->path);
	free(v);
}

void vty_close(struct vty *v)
{
	if (!v || v->state == CLOSED)
		return;
	v->state = CLOSED;
	wire_drop(v);
	buf_done(&v->in);
	queue_fail(&v->todo, ERR_CLOSED);
	queue_fail(&v->refused, ERR_CLOSED);
	v->handles = 3;
	uv_close((uv_handle_t *)&v->retry, on_timer_closed);
	uv_close((uv_handle_t *)&v->reply, on_timer_closed);
	uv_close((uv_handle_t *)&v->kick, on_timer_closed);
}
