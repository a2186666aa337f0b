/* SPDX-License-Identifier: Apache-2.0
 * The http and https kinds: HTTP/1.1 GET over TCP, decided by the status as soon as the reply's head is
 * complete; a body is waited for only when expect_body wants it, and up to BODY_MAX.
 * States: CONNECTING -> (https: SHAKING HANDS) -> WRITING -> READING -> CLOSING; no timer of its own. */
#include "agent/check/check_kind.h"

#include <string.h>

#include "agent/check/reply.h"
#include "agent/check/secure.h"
#include "proto/base/err.h"

#define PATH_MAX_LEN 1024
#define HOST_MAX_LEN 256

struct http_probe {
	struct dial dial; /* first: dial frees the whole */
	const struct check_cfg *cfg;
	struct secure *tls; /* NULL: plain */
	bool shaken;
	struct reply reply;
	bool head_done;
	struct buf raw; /* with expect_body: all of the reply */
	char chunk[4096];
};

/* One write; the data lives until it is done. */
struct out {
	uv_write_t req;
	struct http_probe *probe;
	char data[];
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
	if (cfg->tls_name &&
	    (!*cfg->tls_name || !is_graphic(cfg->tls_name) || strlen(cfg->tls_name) > HOST_MAX_LEN))
		return check_refuse(ret_why, "tls_name: must be plain ASCII of 1 to %d bytes", HOST_MAX_LEN);
	if (cfg->expect_status && (cfg->expect_status < 200 || cfg->expect_status > 599))
		return check_refuse(ret_why, "expect_status: %u is not 0 or 200..599", cfg->expect_status);
	return check_verify_regex("expect_body", cfg->expect_body, ret_why);
}

static bool status_is_good(const struct http_probe *p)
{
	uint32_t got = p->reply.status, want = p->cfg->expect_status;

	return want ? got == want : got >= 200 && got < 400;
}

static void judge_status(struct http_probe *p)
{
	uint32_t got = p->reply.status, want = p->cfg->expect_status;

	if (status_is_good(p))
		dial_end(&p->dial, true, "HTTP %u", got);
	else if (want)
		dial_end(&p->dial, false, "HTTP %u, expected %u", got, want);
	else
		dial_end(&p->dial, false, "HTTP %u, expected 2xx or 3xx", got);
}

static void judge_body(struct http_probe *p, bool eof)
{
	auto_buf body = { 0 };
	int rc = reply_body(&p->reply, p->raw.data, p->raw.len, eof, &body);

	if (rc == 0)
		return;
	if (rc == ERR_CLOSED)
		dial_end(&p->dial, false, "closed in the middle of the body");
	else if (rc < 0)
		dial_end(&p->dial, false, "body: not HTTP/1");
	else if (check_regex_matches(p->cfg->expect_body, body.data ? body.data : ""))
		dial_end(&p->dial, true, "HTTP %u, body matches", p->reply.status);
	else
		dial_end(&p->dial, false, "HTTP %u, but the body does not match expect_body",
			 p->reply.status);
}

/* The server's words, decrypted. */
static void take(struct http_probe *p, const char *data, size_t len)
{
	if (p->cfg->expect_body)
		buf_add(&p->raw, data, len);
	if (!p->head_done) {
		int rc = reply_feed(&p->reply, data, len);
		if (rc == ERR_LIMIT)
			dial_end(&p->dial, false, "reply: no end of the head within %d bytes", REPLY_MAX);
		else if (rc < 0)
			dial_end(&p->dial, false, "reply: not HTTP/1");
		if (rc <= 0)
			return;
		p->head_done = true;
		check_phase(p->dial.check, "body");
	}
	if (!p->cfg->expect_body || !status_is_good(p))
		judge_status(p);
	else
		judge_body(p, false);
}

static void closed(struct http_probe *p)
{
	if (p->tls && !p->shaken)
		dial_end(&p->dial, false, "TLS: closed during the handshake");
	else if (p->head_done)
		judge_body(p, true);
	else
		dial_end(&p->dial, false, "%s",
			 p->reply.bytes ? "closed in the middle of the reply" : "closed without a reply");
}

/* -- to the server -- */

static void on_written(uv_write_t *w, int status)
{
	struct out *o = w->data;

	if (status < 0 && status != UV_ECANCELED && o->probe->dial.check)
		dial_end(&o->probe->dial, false, "write: %s", strerror(-status));
	free(o);
}

static void put(struct http_probe *p, const char *data, size_t len)
{
	struct out *o = xcalloc(1, sizeof(*o) + len);

	memcpy(o->data, data, len);
	o->probe = p;
	o->req.data = o;
	uv_buf_t buf = uv_buf_init(o->data, (unsigned)len);
	int err = uv_write(&o->req, (uv_stream_t *)&p->dial.tcp, &buf, 1, on_written);
	if (!err)
		return;
	free(o);
	dial_end(&p->dial, false, "write: %s", strerror(-err));
}

static void flush(struct http_probe *p)
{
	struct buf *out = secure_out(p->tls);

	if (!out->len)
		return;
	put(p, out->data, out->len);
	buf_drop(out, out->len);
}

static void ask(struct http_probe *p)
{
	const struct check_cfg *cfg = p->cfg;
	auto_free char *request =
		xasprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice-agent\r\nAccept: */*\r\n"
			  "Connection: close\r\n\r\n",
			  cfg->path ? cfg->path : "/", cfg->host ? cfg->host : cfg->target);

	check_phase(p->dial.check, "reply");
	if (!p->tls) {
		put(p, request, strlen(request));
		return;
	}
	secure_write(p->tls, request, strlen(request));
	flush(p);
}

/* -- from the server -- */

static void shake(struct http_probe *p)
{
	char why[TEXT_LEN];
	int rc = secure_handshake(p->tls, why);

	flush(p);
	if (!p->dial.check)
		return;
	if (rc < 0) {
		dial_end(&p->dial, false, "%s", why);
		return;
	}
	if (rc == 0)
		return;
	p->shaken = true;
	ask(p);
}

static void take_secure(struct http_probe *p, const char *data, size_t len)
{
	auto_buf plain = { .max = REPLY_MAX + BODY_MAX };
	char why[TEXT_LEN] = "";

	secure_feed(p->tls, data, len);
	if (!p->shaken)
		shake(p);
	if (!p->dial.check || !p->shaken)
		return;
	int rc = secure_read(p->tls, &plain, why);
	if (plain.len)
		take(p, plain.data, plain.len);
	if (!p->dial.check)
		return;
	if (rc == ERR_CLOSED)
		closed(p);
	else if (rc < 0)
		dial_end(&p->dial, false, "%s", why);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct http_probe *p = stream->data;

	if (!p->dial.check || n == 0)
		return;
	if (n == UV_EOF)
		closed(p);
	else if (n < 0)
		dial_end(&p->dial, false, "read: %s", strerror((int)-n));
	else if (p->tls)
		take_secure(p, buf->base, (size_t)n);
	else
		take(p, buf->base, (size_t)n);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct http_probe *p = h->data;

	(void)suggested;
	*buf = uv_buf_init(p->chunk, sizeof(p->chunk));
}

static void on_connected(struct dial *d)
{
	struct http_probe *p = (struct http_probe *)d;
	int err = uv_read_start((uv_stream_t *)&d->tcp, on_alloc, on_read);

	if (err) {
		dial_end(d, false, "read: %s", strerror(-err));
		return;
	}
	if (!p->tls) {
		ask(p);
		return;
	}
	check_phase(d->check, "TLS handshake");
	shake(p);
}

static void on_freed(struct dial *d)
{
	struct http_probe *p = (struct http_probe *)d;

	secure_free(p->tls);
	buf_done(&p->raw);
}

static struct http_probe *begin(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct http_probe *p = (struct http_probe *)dial_start(c, loop, cfg, sizeof(*p), on_connected);

	/* still valid if dialling failed at once: it is freed by the loop, later */
	p->cfg = cfg;
	p->raw.max = REPLY_MAX + 2 * BODY_MAX;
	p->dial.freed = on_freed;
	return p;
}

static void *http_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	return begin(c, loop, cfg);
}

/* -- https -- */

struct trust_watch {
	struct secure_trust *trust;
	char why[TEXT_LEN];
};

static void *https_open(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct trust_watch *w = xcalloc(1, sizeof(*w));

	(void)c;
	(void)loop;
	w->trust = secure_trust_new(cfg, w->why);
	return w;
}

static void https_close(void *watch)
{
	struct trust_watch *w = watch;

	secure_trust_free(w->trust);
	free(w);
}

static void *https_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct trust_watch *w = check_watch(c);

	if (!w->trust) {
		check_done(c, false, w->why);
		return NULL;
	}
	struct http_probe *p = begin(c, loop, cfg);
	if (p->dial.check)
		p->tls = secure_new(w->trust, cfg);
	return p;
}

const struct check_kind check_kind_http = {
	.name = "http",
	.takes = "target! path host expect_status expect_body",
	.verify = http_verify,
	.start = http_start,
	.cancel = dial_cancel,
};

const struct check_kind check_kind_https = {
	.name = "https",
	.takes = "target! path host expect_status expect_body tls_name ca tls_insecure expiry_days",
	.verify = http_verify,
	.start = https_start,
	.cancel = dial_cancel,
	.open = https_open,
	.close = https_close,
};
