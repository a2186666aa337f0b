/* SPDX-License-Identifier: Apache-2.0
 * The tcp kind: the handshake completes in time. And the dialling that other TCP kinds build on.
 * States of a dial: CONNECTING -> CONNECTED -> CLOSING; dial_end and dial_cancel lead to CLOSING from either.
 * It has no timer of its own: check.c cancels it. */
#include "agent/check/check_kind.h"

#include <stdarg.h>
#include <string.h>

static void on_closed(uv_handle_t *h)
{
	struct dial *d = h->data;

	if (d->freed)
		d->freed(d);
	free(d);
}

void dial_cancel(void *probe)
{
	struct dial *d = probe;

	d->check = NULL;
	uv_close((uv_handle_t *)&d->tcp, on_closed);
}

void dial_end(struct dial *d, bool ok, const char *fmt, ...)
{
	struct check *c = d->check;
	char reason[TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	dial_cancel(d);
	check_done(c, ok, reason);
}

static void on_connect(uv_connect_t *req, int status)
{
	struct dial *d = req->data;

	if (!d->check)
		return;
	/* libuv's codes are -errno here, and strerror is what operators search for */
	if (status < 0)
		dial_end(d, false, "connect: %s", strerror(-status));
	else
		d->connected(d);
}

struct dial *dial_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg, size_t size,
			void (*connected)(struct dial *d))
{
	struct dial *d = xcalloc(1, size);
	struct sockaddr_storage ss = { 0 };

	d->check = c;
	d->connected = connected;
	d->tcp.data = d;
	d->req.data = d;
	check_phase(c, "connect");
	endpoint_parse(cfg->target, &ss, NULL);
	uv_tcp_init(loop, &d->tcp);
	int err = uv_tcp_connect(&d->req, &d->tcp, (const struct sockaddr *)&ss, on_connect);
	if (err < 0)
		dial_end(d, false, "connect: %s", strerror(-err));
	return d;
}

static void answered(struct dial *d)
{
	dial_end(d, true, "connected");
}

static void *tcp_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	return dial_start(c, loop, cfg, sizeof(struct dial), answered);
}

const struct check_kind check_kind_tcp = {
	.name = "tcp", .takes = "target!", .start = tcp_start, .cancel = dial_cancel
};
