/* SPDX-License-Identifier: Apache-2.0
 * Owns the listening pipe and the clients. A client: READING -> (a line, or too much) ANSWERING -> closed. A
 * client above CONTROL_CLIENTS_MAX is closed at once; one that says nothing in CLIENT_MS, too. */
#include "agent/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/wire/msg.h"

#define CLIENT_MS  5000
#define ANSWER_MAX (16 * 1024 * 1024)
#define DUMP_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY)

struct control {
	uv_pipe_t pipe;
	struct control_ops ops;
	unsigned clients;
	bool closing;
	char *path;
};

struct client {
	uv_pipe_t pipe;
	uv_timer_t timer;
	uv_write_t write;
	struct control *control;
	char *answer;
	int handles;
	size_t len;
	char request[CONTROL_REQUEST_MAX + 1];
};

static void maybe_gone(struct control *c)
{
	if (!c->closing || c->clients)
		return;
	free(c->path);
	free(c);
}

static void on_client_closed(uv_handle_t *h)
{
	struct client *k = h->data;

	if (--k->handles)
		return;
	k->control->clients--;
	maybe_gone(k->control);
	free(k->answer);
	free(k);
}

static void client_close(struct client *k)
{
	if (uv_is_closing((uv_handle_t *)&k->pipe))
		return;
	uv_close((uv_handle_t *)&k->pipe, on_client_closed);
	uv_close((uv_handle_t *)&k->timer, on_client_closed);
}

static void on_timer(uv_timer_t *t)
{
	client_close(t->data);
}

static void on_written(uv_write_t *w, int status)
{
	(void)status;
	client_close(w->data);
}

static json_t *refuse(const char *why)
{
	return json_pack("{ss}", "error", why);
}

static void answer(struct client *k)
{
	json_auto_t *request = json_loadb(k->request, k->len, 0, NULL);
	json_auto_t *reply = request ? k->control->ops.ask(request, k->control->ops.arg)
				     : refuse("the request is not JSON");

	uv_read_stop((uv_stream_t *)&k->pipe);
	k->answer = json_dumps(reply, DUMP_FLAGS);
	if (!k->answer)
		k->answer = xstrdup("{\"error\":\"the answer is no JSON\"}");
	uv_buf_t buf = uv_buf_init(k->answer, (unsigned)strlen(k->answer));
	k->write.data = k;
	if (uv_write(&k->write, (uv_stream_t *)&k->pipe, &buf, 1, on_written))
		client_close(k);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct client *k = h->data;

	(void)suggested;
	*buf = uv_buf_init(k->request + k->len, (unsigned)(CONTROL_REQUEST_MAX - k->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *k = stream->data;

	(void)buf;
	if (n < 0) {
		client_close(k);
		return;
	}
	k->len += (size_t)n;
	if (memchr(k->request, '\n', k->len) || k->len == CONTROL_REQUEST_MAX)
		answer(k);
}

static void on_client(uv_stream_t *stream, int status)
{
	struct control *c = stream->data;

	if (status < 0)
		return;
	struct client *k = xcalloc(1, sizeof(*k));
	k->control = c;
	k->handles = 2;
	c->clients++;
	uv_pipe_init(stream->loop, &k->pipe, 0);
	uv_timer_init(stream->loop, &k->timer);
	k->pipe.data = k->timer.data = k;
	if (uv_accept(stream, (uv_stream_t *)&k->pipe) || c->clients > CONTROL_CLIENTS_MAX) {
		client_close(k);
		return;
	}
	uv_timer_start(&k->timer, on_timer, CLIENT_MS, 0);
	uv_read_start((uv_stream_t *)&k->pipe, on_alloc, on_read);
}

static void on_closed(uv_handle_t *h)
{
	struct control *c = h->data;

	c->closing = true;
	maybe_gone(c);
}

static int speak(const char *path, int *ret_fd)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

struct control *control_new(uv_loop_t *loop, const char *path, const struct control_ops *ops, char *ret_why)
{
	auto_close int fd = -1;

	/* a socket that nobody answers on is left over from a killed agent */
	if (speak(path, &fd) == 0) {
		snprintf(ret_why, TEXT_LEN, "%.150s: another sluice-agent answers there", path);
		return NULL;
	}
	unlink(path);
	struct control *c = xcalloc(1, sizeof(*c));
	c->ops = *ops;
	c->path = xstrdup(path);
	uv_pipe_init(loop, &c->pipe, 0);
	c->pipe.data = c;
	mode_t before = umask(0117);
	int err = uv_pipe_bind(&c->pipe, path);
	umask(before);
	if (!err)
		err = uv_listen((uv_stream_t *)&c->pipe, 8, on_client);
	if (!err)
		return c;
	snprintf(ret_why, TEXT_LEN, "%.150s: %s", path, strerror(-err));
	uv_close((uv_handle_t *)&c->pipe, on_closed);
	return NULL;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	unlink(c->path);
	uv_close((uv_handle_t *)&c->pipe, on_closed);
}

/* -- the other end ----------------------------------------------------------------------------------- */

static int exchange(int fd, const char *line, struct buf *out)
{
	char chunk[16384];
	ssize_t n;

	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		return -errno;
	while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
		if (buf_add(out, chunk, (size_t)n) < 0)
			return ERR_LIMIT;
	return n < 0 ? -errno : 0;
}

int control_ask(const char *path, json_t *request, json_t **ret_answer, char *ret_why)
{
	auto_buf out = { .max = ANSWER_MAX };
	auto_free char *text = json_dumps(request, JSON_COMPACT);
	auto_free char *line = xasprintf("%s\n", text);
	auto_close int fd = -1;
	int err = speak(path, &fd);

	if (!err)
		err = exchange(fd, line, &out);
	if (err) {
		snprintf(ret_why, TEXT_LEN, "%.150s: %s%s", path, err_str(err),
			 err == -ENOENT || err == -ECONNREFUSED ? ": sluice-agent does not run" : "");
		return err;
	}
	*ret_answer = out.data ? json_loadb(out.data, out.len, JSON_DECODE_ANY, NULL) : NULL;
	if (*ret_answer)
		return 0;
	snprintf(ret_why, TEXT_LEN, "%.150s: no answer that is understood", path);
	return ERR_MALFORMED;
}
