/* SPDX-License-Identifier: Apache-2.0
 * The udp kind: what is sent is answered, with something that expect matches. And the exchange that dns
 * builds on. States of an exchange: SENT -> ANSWERED or REFUSED (ICMP) -> CLOSING; no timer of its own. */
#include "agent/check/check_kind.h"

#include <stdarg.h>
#include <string.h>

#include "agent/check/exchange.h"

#define SEND_MAX 1024

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void exchange_cancel(void *probe)
{
	struct exchange *x = probe;

	x->check = NULL;
	uv_close((uv_handle_t *)&x->udp, on_closed);
}

void exchange_end(struct exchange *x, bool ok, const char *fmt, ...)
{
	struct check *c = x->check;
	char reason[TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	exchange_cancel(x);
	check_done(c, ok, reason);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct exchange *x = h->data;

	(void)suggested;
	*buf = uv_buf_init(x->reply, sizeof(x->reply) - 1);
}

/* connected: only the target's datagrams arrive, and its host's refusals */
static void on_datagram(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
			unsigned flags)
{
	struct exchange *x = udp->data;

	(void)flags;
	if (!x->check || (n == 0 && !from))
		return;
	if (n < 0) {
		exchange_end(x, false, "udp: %s", strerror((int)-n));
		return;
	}
	buf->base[n] = 0;
	x->answered(x, (size_t)n);
}

struct exchange *exchange_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg,
				const void *data, size_t len,
				void (*answered)(struct exchange *x, size_t len))
{
	struct exchange *x = xcalloc(1, sizeof(*x));
	struct sockaddr_storage ss = { 0 };
	/* cast: libuv's buffers are not const, and it does not write to them */
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);

	x->check = c;
	x->cfg = cfg;
	x->answered = answered;
	x->udp.data = x;
	check_phase(c, "reply");
	endpoint_parse(cfg->target, &ss, NULL);
	uv_udp_init(loop, &x->udp);
	int err = uv_udp_connect(&x->udp, (struct sockaddr *)&ss);
	if (!err)
		err = uv_udp_recv_start(&x->udp, on_alloc, on_datagram);
	if (!err)
		err = uv_udp_try_send(&x->udp, &buf, 1, NULL);
	if (err < 0)
		exchange_end(x, false, "udp: %s", strerror(-err));
	return x;
}

/* -- the kind -- */

static int hex(char ch)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = ch ? strchr(digits, ch >= 'A' && ch <= 'F' ? ch | 0x20 : ch) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* \n \r \t \0 \\ \xHH; the number of bytes, or -1: something else follows a backslash, or it is too long. */
static int unescape(const char *s, char ret_out[SEND_MAX])
{
	static const char from[] = "nrt0\\", to[] = "\n\r\t\0\\";
	int n = 0;

	for (; *s; s++) {
		if (n == SEND_MAX)
			return -1;
		if (*s != '\\') {
			ret_out[n++] = *s;
			continue;
		}
		s++;
		const char *at = *s ? strchr(from, *s) : NULL;
		if (at) {
			ret_out[n++] = to[at - from];
		} else if (*s == 'x' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
			ret_out[n++] = (char)(hex(s[1]) << 4 | hex(s[2]));
			s += 2;
		} else {
			return -1;
		}
	}
	return n;
}

static void on_answer(struct exchange *x, size_t len)
{
	/* a regular expression sees text only */
	for (size_t i = 0; i < len; i++)
		if (!x->reply[i])
			x->reply[i] = '.';
	if (check_regex_matches(x->cfg->expect, x->reply))
		exchange_end(x, true, "answered, %zu bytes", len);
	else
		exchange_end(x, false, "answered, but expect does not match");
}

static void *udp_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	char data[SEND_MAX];
	int n = unescape(cfg->send, data);

	return exchange_start(c, loop, cfg, data, n > 0 ? (size_t)n : 0, on_answer);
}

static int udp_verify(const struct check_cfg *cfg, char *ret_why)
{
	char data[SEND_MAX];

	if (unescape(cfg->send, data) < 0)
		return check_refuse(ret_why, "send: at most %d bytes, with \\n \\r \\t \\0 \\\\ \\xHH",
				    SEND_MAX);
	return check_verify_regex("expect", cfg->expect, ret_why);
}

const struct check_kind check_kind_udp = {
	.name = "udp",
	.takes = "target! send! expect",
	.verify = udp_verify,
	.start = udp_start,
	.cancel = exchange_cancel,
};
