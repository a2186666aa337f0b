/* SPDX-License-Identifier: Apache-2.0
 * The http kind: HTTP/1.1 GET over TCP, decided by the status as soon as the reply's head is complete; a body
 * is never waited for. States: CONNECTING -> WRITING -> READING -> CLOSING; no timer of its own. */
#include "agent/check/check_kind.h"

#include <string.h>

#include "agent/check/reply.h"
#include "proto/base/err.h"

#define PATH_MAX_LEN 1024
#define HOST_MAX_LEN 256

struct http_probe {
	struct dial dial; /* first: dial frees the whole */
	uv_write_t write;
	const struct check_cfg *cfg;
	struct reply reply;
	char request[PATH_MAX_LEN + HOST_MAX_LEN + 128];
	char chunk[4096];
};

/* anything else could end the line and start a second request */
static bool is_graphic(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static int http_verify(const struct check_cfg *cfg, char *ret_why)
{
	if (cfg->path && (cfg->path[0] != '/' || !is_graphic(cfg->path) || strlen(cfg->path) > PATH_MAX_LEN))
		return check_refuse(ret_why, "path: must start with / and be plain ASCII of at most %d bytes",
				    PATH_MAX_LEN);
	if (cfg->host && (!*cfg->host || !is_graphic(cfg->host) || strlen(cfg->host) > HOST_MAX_LEN))
		return check_refuse(ret_why, "host: must be plain ASCII of 1 to %d bytes", HOST_MAX_LEN);
	if (cfg->expect_status && (cfg->expect_status < 200 || cfg->expect_status > 599))
		return check_refuse(ret_why, "expect_status: %u is not 0 or 200..599", cfg->expect_status);
	return 0;
}

static void judge(struct http_probe *p)
{
	uint32_t got = p->reply.status, want = p->cfg->expect_status;

	if (want ? got == want : got >= 200 && got < 400)
		dial_end(&p->dial, true, "HTTP %u", got);
	else if (want)
		dial_end(&p->dial, false, "HTTP %u, expected %u", got, want);
	else
		dial_end(&p->dial, false, "HTTP %u, expected 2xx or 3xx", got);
}

static void read_failed(struct http_probe *p, ssize_t err)
{
	if (err == UV_EOF)
		dial_end(&p->dial, false, "%s",
			 p->reply.bytes ? "closed in the middle of the reply" : "closed without a reply");
	else
		dial_end(&p->dial, false, "read: %s", strerror((int)-err));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct http_probe *p = stream->data;

	if (!p->dial.check || n == 0)
		return;
	if (n < 0) {
		read_failed(p, n);
		return;
	}
	int rc = reply_feed(&p->reply, buf->base, (size_t)n);
	if (rc > 0)
		judge(p);
	else if (rc == ERR_LIMIT)
		dial_end(&p->dial, false, "reply: no end of the head within %d bytes", REPLY_MAX);
	else if (rc < 0)
		dial_end(&p->dial, false, "reply: not HTTP/1");
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct http_probe *p = h->data;

	(void)suggested;
	*buf = uv_buf_init(p->chunk, sizeof(p->chunk));
}

static void on_written(uv_write_t *w, int status)
{
	struct http_probe *p = w->data;

	if (p->dial.check && status < 0)
		dial_end(&p->dial, false, "write: %s", strerror(-status));
}

static void ask(struct dial *d)
{
	struct http_probe *p = (struct http_probe *)d;
	const struct check_cfg *cfg = p->cfg;

	check_phase(d->check, "reply");
	int n = snprintf(p->request, sizeof(p->request),
			 "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice-agent\r\nAccept: */*\r\n"
			 "Connection: close\r\n\r\n",
			 cfg->path ? cfg->path : "/", cfg->host ? cfg->host : cfg->target);
	uv_buf_t buf = uv_buf_init(p->request, (unsigned)n);
	p->write.data = p;
	int err = uv_write(&p->write, (uv_stream_t *)&d->tcp, &buf, 1, on_written);
	if (!err)
		err = uv_read_start((uv_stream_t *)&d->tcp, on_alloc, on_read);
	if (err)
		dial_end(d, false, "write: %s", strerror(-err));
}

static void *http_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct dial *d = dial_start(c, loop, cfg, sizeof(struct http_probe), ask);

	/* still valid if dialling failed at once: it is freed by the loop, later */
	((struct http_probe *)d)->cfg = cfg;
	return d;
}

const struct check_kind check_kind_http = { "http", http_verify, http_start, dial_cancel };
