/* SPDX-License-Identifier: Apache-2.0
 * agent/frr/vty against a scripted server on the same loop: framing in any pieces, order, one in flight,
 * losses of every kind, and closing at every moment. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/frr/vty.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"

#define WITHIN_MS 5000

struct bench;
typedef void (*script_fn)(struct bench *b, const char *command);

struct bench {
	uv_loop_t loop;
	uv_pipe_t listener, client;
	bool listening, has_client;
	char dir[64], path[128];
	script_fn script;
	struct buf in; /* what the server got, not answered yet */
	char chunk[4096];
	struct vty *v;
	unsigned ups, downs, commands, accepted;
	char why[512];
	/* replies */
	unsigned replies;
	int err[32], status[32];
	char text[32][64];
	size_t len[32];
	bool close_in_reply;
};

static void on_written(uv_write_t *w, int status)
{
	(void)status;
	free(w->data);
	free(w);
}

static void server_send(struct bench *b, const char *data, size_t len)
{
	uv_write_t *w = xcalloc(1, sizeof(*w));
	uv_buf_t u = uv_buf_init(xcalloc(1, len), (unsigned)len);

	memcpy(u.base, data, len);
	w->data = u.base;
	assert_int_equal(uv_write(w, (uv_stream_t *)&b->client, &u, 1, on_written), 0);
}

static void server_reply(struct bench *b, const char *text, char status)
{
	auto_buf r = { 0 };
	const char tail[4] = { 0, 0, 0, status };

	buf_adds(&r, text);
	buf_add(&r, tail, 4);
	server_send(b, r.data, r.len);
}

static void on_client_closed(uv_handle_t *h)
{
	struct bench *b = h->data;

	b->has_client = false;
	buf_done(&b->in);
}

static void server_hang_up(struct bench *b)
{
	if (b->has_client && !uv_is_closing((uv_handle_t *)&b->client))
		uv_close((uv_handle_t *)&b->client, on_client_closed);
}

static void on_alloc(uv_handle_t *h, size_t want, uv_buf_t *ret)
{
	struct bench *b = h->data;

	(void)want;
	*ret = uv_buf_init(b->chunk, sizeof(b->chunk));
}

static void on_server_read(uv_stream_t *s, ssize_t n, const uv_buf_t *u)
{
	struct bench *b = s->data;

	if (n < 0) {
		server_hang_up(b);
		return;
	}
	buf_add(&b->in, u->base, (size_t)n);
	size_t len = strnlen(b->in.data, b->in.len);
	if (len == b->in.len)
		return;
	assert_int_equal(b->in.len, len + 1); /* one in flight */
	auto_free char *command = xstrdup(b->in.data);
	buf_drop(&b->in, len + 1);
	b->commands++;
	if (!strcmp(command, "enable"))
		server_reply(b, "", 0);
	else
		b->script(b, command);
}

static void on_connection(uv_stream_t *s, int status)
{
	struct bench *b = s->data;

	assert_int_equal(status, 0);
	assert_false(b->has_client);
	b->has_client = true;
	b->accepted++;
	uv_pipe_init(&b->loop, &b->client, 0);
	b->client.data = b;
	assert_int_equal(uv_accept(s, (uv_stream_t *)&b->client), 0);
	uv_read_start((uv_stream_t *)&b->client, on_alloc, on_server_read);
}

static void server_start(struct bench *b)
{
	uv_pipe_init(&b->loop, &b->listener, 0);
	b->listener.data = b;
	assert_int_equal(uv_pipe_bind(&b->listener, b->path), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&b->listener, 4, on_connection), 0);
	b->listening = true;
}

static void on_up(void *arg)
{
	((struct bench *)arg)->ups++;
}

static void on_down(const char *why, void *arg)
{
	struct bench *b = arg;

	b->downs++;
	snprintf(b->why, sizeof(b->why), "%s", why);
}

static void on_reply(int err, int status, const char *text, size_t len, void *arg)
{
	struct bench *b = arg;
	unsigned i = b->replies++ % ARRAY_LEN(b->err);

	b->err[i] = err;
	b->status[i] = status;
	b->len[i] = len;
	snprintf(b->text[i], sizeof(b->text[i]), "%s", text);
	if (b->close_in_reply) {
		vty_close(b->v);
		b->v = NULL;
	}
}

static void on_deadline(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

/* Runs the loop until *counter reaches n. */
static void run_until(struct bench *b, const unsigned *counter, unsigned n)
{
	bool late = false;
	uv_timer_t t;

	uv_timer_init(&b->loop, &t);
	t.data = &late;
	uv_timer_start(&t, on_deadline, WITHIN_MS, 0);
	while (*counter < n && !late)
		uv_run(&b->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&t, NULL);
	uv_run(&b->loop, UV_RUN_NOWAIT);
	if (late)
		fail_msg("still %u of %u after %d ms", *counter, n, WITHIN_MS);
}

static int setup(void **state)
{
	struct bench *b = xcalloc(1, sizeof(*b));

	strcpy(b->dir, "/tmp/vty-test-XXXXXX");
	if (!mkdtemp(b->dir))
		return -1;
	snprintf(b->path, sizeof(b->path), "%s/bgpd.vty", b->dir);
	uv_loop_init(&b->loop);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	vty_close(b->v);
	server_hang_up(b);
	if (b->listening)
		uv_close((uv_handle_t *)&b->listener, NULL);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0); /* nothing left open */
	buf_done(&b->in);
	unlink(b->path);
	rmdir(b->dir);
	free(b);
	return 0;
}

static void start(struct bench *b, script_fn script)
{
	static const struct vty_ops ops = { .up = on_up, .down = on_down };

	b->script = script;
	b->v = vty_new(&b->loop, b->path, &ops, b);
}

static void echo(struct bench *b, const char *command)
{
	server_reply(b, command, command[0] == '!' ? 13 : 0);
}

static void in_order(void **state)
{
	struct bench *b = *state;

	server_start(b);
	start(b, echo);
	run_until(b, &b->ups, 1);
	assert_true(vty_is_up(b->v));
	vty_send(b->v, "one", on_reply, b);
	vty_send(b->v, "!two", on_reply, b);
	vty_send(b->v, "", on_reply, b);
	vty_send(b->v, "nobody listens", NULL, NULL);
	vty_send(b->v, "four", on_reply, b);
	run_until(b, &b->replies, 4);
	static const char *const text[] = { "one", "!two", "", "four" };
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(b->err[i], 0);
		assert_string_equal(b->text[i], text[i]);
		assert_int_equal(b->len[i], strlen(text[i]));
		assert_int_equal(b->status[i], i == 1 ? VTY_WARNING : VTY_OK);
	}
	assert_int_equal(b->downs, 0);
}

static uv_timer_t drip_timer;
static size_t drip_at;
#define DRIP_LEN 9

static void drip_next(uv_timer_t *t)
{
	static const char data[DRIP_LEN] = { 'd', 'r', 'i', 'p', '\n', 0, 0, 0, 13 };

	server_send(t->data, data + drip_at, 1);
	if (++drip_at == DRIP_LEN)
		uv_close((uv_handle_t *)t, NULL);
}

static void drip(struct bench *b, const char *command)
{
	(void)command;
	drip_at = 0;
	uv_timer_init(&b->loop, &drip_timer);
	drip_timer.data = b;
	uv_timer_start(&drip_timer, drip_next, 1, 1);
}

static void byte_by_byte(void **state)
{
	struct bench *b = *state;

	server_start(b);
	start(b, drip);
	run_until(b, &b->ups, 1);
	vty_send(b->v, "x", on_reply, b);
	run_until(b, &b->replies, 1);
	assert_string_equal(b->text[0], "drip\n");
	assert_int_equal(b->status[0], 13);
}

static void big(struct bench *b, const char *command)
{
	size_t n = !strcmp(command, "too big") ? VTY_REPLY_MAX + 100 : VTY_REPLY_MAX - 100;
	auto_free char *text = xcalloc(1, n + 4);

	memset(text, 'x', n);
	server_send(b, text, n + 4);
}

static void size_limit(void **state)
{
	struct bench *b = *state;

	server_start(b);
	start(b, big);
	run_until(b, &b->ups, 1);
	vty_send(b->v, "just fits", on_reply, b);
	run_until(b, &b->replies, 1);
	assert_int_equal(b->err[0], 0);
	assert_int_equal(b->len[0], VTY_REPLY_MAX - 100);
	vty_send(b->v, "too big", on_reply, b);
	vty_send(b->v, "waits", on_reply, b);
	run_until(b, &b->replies, 3);
	assert_int_equal(b->err[1], ERR_LIMIT);
	assert_int_equal(b->err[2], ERR_LIMIT);
	assert_int_equal(b->downs, 1);
	run_until(b, &b->ups, 2); /* and it comes back by itself */
}

static void garbage(struct bench *b, const char *command)
{
	if (!strcmp(command, "nul"))
		server_send(b, "a\0b\0\0\0\0", 7);
	else if (!strcmp(command, "more"))
		server_send(b, "ok\0\0\0\0surplus", 13);
	else
		server_hang_up(b);
}

static void nonsense(void **state)
{
	static const char *const command[] = { "nul", "more", "hang up" };
	static const int err[] = { ERR_MALFORMED, ERR_MALFORMED, ERR_CLOSED };
	static const char *const word[] = { "protocol", "protocol", "closed" };
	struct bench *b = *state;

	server_start(b);
	start(b, garbage);
	for (unsigned i = 0; i < 3; i++) {
		run_until(b, &b->ups, i + 1);
		assert_int_equal(b->downs, i);
		vty_send(b->v, command[i], on_reply, b);
		run_until(b, &b->replies, i + 1);
		assert_int_equal(b->err[i], err[i]);
		run_until(b, &b->downs, i + 1);
		assert_non_null(strstr(b->why, word[i]));
	}
	run_until(b, &b->ups, 4);
}

static void unasked(void **state)
{
	struct bench *b = *state;

	server_start(b);
	start(b, echo);
	run_until(b, &b->ups, 1);
	server_send(b, "hello", 5);
	run_until(b, &b->downs, 1);
	assert_non_null(strstr(b->why, "protocol"));
	assert_false(vty_is_up(b->v));
}

static void no_socket(void **state)
{
	struct bench *b = *state;

	start(b, echo);
	vty_send(b->v, "early", on_reply, b);
	assert_int_equal(b->replies, 0); /* from the loop, not from inside */
	run_until(b, &b->replies, 1);
	assert_int_equal(b->err[0], ERR_CLOSED);
	run_until(b, &b->downs, 1);
	assert_non_null(strstr(b->why, b->path));
	assert_non_null(strstr(b->why, "frr.vty"));
	server_start(b);
	run_until(b, &b->ups, 1);
	assert_int_equal(b->downs, 1); /* said once, however many attempts */
}

static void not_a_socket(void **state)
{
	struct bench *b = *state;
	auto_fclose FILE *f = fopen(b->path, "w");

	assert_non_null(f);
	start(b, echo);
	run_until(b, &b->downs, 1);
	assert_non_null(strstr(b->why, "nothing listens"));
}

static void long_path(void **state)
{
	struct bench *b = *state;
	char good[128];

	memcpy(good, b->path, sizeof(good));
	memset(b->path, 'p', sizeof(b->path) - 1);
	start(b, echo);
	run_until(b, &b->downs, 1);
	assert_non_null(strstr(b->why, "too long"));
	memcpy(b->path, good, sizeof(good));
}

static void silent(struct bench *b, const char *command)
{
	(void)b;
	(void)command;
}

static void close_with_pending(void **state)
{
	struct bench *b = *state;

	server_start(b);
	start(b, silent);
	run_until(b, &b->ups, 1);
	vty_send(b->v, "one", on_reply, b);
	vty_send(b->v, "two", on_reply, b);
	run_until(b, &b->commands, 2);
	vty_close(b->v);
	b->v = NULL;
	assert_int_equal(b->replies, 2);
	assert_int_equal(b->err[0], ERR_CLOSED);
	assert_int_equal(b->err[1], ERR_CLOSED);
	assert_int_equal(b->downs, 0); /* the owner knows */
}

static void close_in_reply(void **state)
{
	struct bench *b = *state;

	server_start(b);
	start(b, echo);
	run_until(b, &b->ups, 1);
	b->close_in_reply = true;
	vty_send(b->v, "one", on_reply, b);
	vty_send(b->v, "two", on_reply, b);
	run_until(b, &b->replies, 2);
	assert_int_equal(b->err[0], 0);
	assert_string_equal(b->text[0], "one");
	assert_int_equal(b->err[1], ERR_CLOSED);
}

static void close_at_once(void **state)
{
	struct bench *b = *state;

	server_start(b);
	start(b, echo);
	uv_run(&b->loop, UV_RUN_NOWAIT); /* teardown closes it in the middle of connecting */
}

static void comes_back(void **state)
{
	struct bench *b = *state;

	server_start(b);
	start(b, echo);
	for (unsigned i = 1; i <= 3; i++) {
		run_until(b, &b->ups, i);
		server_hang_up(b);
		run_until(b, &b->downs, i);
	}
	run_until(b, &b->ups, 4);
	assert_int_equal(b->accepted, 4);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(in_order),	      CASE(byte_by_byte),  CASE(size_limit),
		CASE(nonsense),	      CASE(unasked),	   CASE(no_socket),
		CASE(not_a_socket),   CASE(long_path),	   CASE(close_with_pending),
		CASE(close_in_reply), CASE(close_at_once), CASE(comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
