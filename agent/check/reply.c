/* SPDX-License-Identifier: Apache-2.0
 * Pure: no clock, no I/O, no log, no globals. States: STATUS LINE -> HEAD -> complete;
 * HEAD -> STATUS LINE after an interim reply. */
#include "agent/check/reply.h"

#include <string.h>
#include <strings.h>

#include "proto/base/err.h"

static bool is_digit(char ch)
{
	return ch >= '0' && ch <= '9';
}

/* "HTTP/1.D SSS", then a space or the end of the line; the phrase after it is anything */
static int status_byte(struct reply *r, char ch)
{
	static const char version[] = "HTTP/1.";
	uint32_t at = r->column++;

	if (at < sizeof(version) - 1)
		return ch == version[at] ? 0 : ERR_MALFORMED;
	if (at == 7)
		return is_digit(ch) ? 0 : ERR_MALFORMED;
	if (at == 8)
		return ch == ' ' ? 0 : ERR_MALFORMED;
	if (at < 12) {
		if (!is_digit(ch))
			return ERR_MALFORMED;
		r->status = r->status * 10 + (uint32_t)(ch - '0');
		return 0;
	}
	if (at == 12 && ((ch != ' ' && ch != '\r' && ch != '\n') || r->status < 100 || r->status > 599))
		return ERR_MALFORMED;
	if (ch == '\n') {
		r->in_head = 1;
		r->column = 0;
	}
	return 0;
}

static int head_byte(struct reply *r, char ch)
{
	if (ch == '\r')
		return 0;
	if (ch != '\n') {
		r->column++;
		return 0;
	}
	if (r->column) {
		r->column = 0;
		return 0;
	}
	if (r->status >= 200 || r->status == 101)
		return 1;
	r->in_head = 0;
	r->status = 0;
	return 0;
}

int reply_feed(struct reply *r, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (r->bytes++ == REPLY_MAX)
			return ERR_LIMIT;
		int rc = r->in_head ? head_byte(r, data[i]) : status_byte(r, data[i]);
		if (rc)
			return rc;
		if (!r->in_head && !r->column)
			r->head_at = r->bytes;
	}
	return 0;
}

/* -- the body -- */

const char *reply_field(const struct reply *r, const char *raw, const char *name, size_t *ret_len)
{
	const char *end = raw + r->bytes;
	size_t n = strlen(name);

	for (const char *line = raw + r->head_at, *next; line < end; line = next) {
		next = memchr(line, '\n', (size_t)(end - line));
		if (!next++)
			return NULL;
		if ((size_t)(next - line) <= n || strncasecmp(line, name, n) || line[n] != ':')
			continue;
		const char *v = line + n + 1, *stop = next - 1;
		while (v < stop && (*v == ' ' || *v == '\t'))
			v++;
		while (stop > v && (stop[-1] == '\r' || stop[-1] == ' '))
			stop--;
		*ret_len = (size_t)(stop - v);
		return v;
	}
	return NULL;
}

/* Digits up to 2^40; the number of characters read, 0: there was none. */
static size_t number(const char *s, size_t len, unsigned base, uint64_t *ret_n)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < len && n < (UINT64_C(1) << 40); i++) {
		unsigned char ch = (unsigned char)s[i] | 0x20;
		unsigned digit = is_digit(s[i])		  ? (unsigned)(s[i] - '0')
				 : ch >= 'a' && ch <= 'f' ? (unsigned)(ch - 'a' + 10)
							  : 99;
		if (digit >= base)
			break;
		n = n * base + digit;
	}
	*ret_n = n;
	return i;
}

/* As much of it as BODY_MAX allows. True: that limit is reached. */
static bool add(struct buf *body, const char *data, size_t len)
{
	size_t room = BODY_MAX - body->len;

	buf_add(body, data, len < room ? len : room);
	return body->len == BODY_MAX;
}

static int chunked(const char *s, size_t len, bool eof, struct buf *body)
{
	int more = eof ? ERR_CLOSED : 0;

	for (size_t at = 0;;) {
		const char *nl = memchr(s + at, '\n', len - at);
		uint64_t size;
		if (!nl)
			return len - at > 1024 ? ERR_MALFORMED : more;
		if (!number(s + at, len - at, 16, &size))
			return ERR_MALFORMED;
		at = (size_t)(nl - s) + 1;
		if (!size)
			return 1;
		size_t have = len - at < size ? len - at : (size_t)size;
		if (add(body, s + at, have))
			return 1;
		at += have;
		/* the chunk's own line end */
		const char *end = memchr(s + at, '\n', len - at);
		if (have < size || !end)
			return more;
		if (end - (s + at) > 1)
			return ERR_MALFORMED;
		at = (size_t)(end - s) + 1;
	}
}

int reply_body(const struct reply *r, const char *raw, size_t len, bool eof, struct buf *ret_body)
{
	const char *body = raw + r->bytes, *v;
	size_t have = len - r->bytes, n;
	uint64_t size;

	buf_drop(ret_body, ret_body->len);
	v = reply_field(r, raw, "Transfer-Encoding", &n);
	if (v && n >= 7 && strncasecmp(v + n - 7, "chunked", 7) == 0)
		return chunked(body, have, eof, ret_body);
	v = reply_field(r, raw, "Content-Length", &n);
	if (v) {
		if (!n || number(v, n, 10, &size) != n)
			return ERR_MALFORMED;
		bool full = add(ret_body, body, have < size ? have : (size_t)size);
		return full || have >= size ? 1 : eof ? ERR_CLOSED : 0;
	}
	return add(ret_body, body, have) || eof;
}
