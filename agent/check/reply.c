/* SPDX-License-Identifier: Apache-2.0
 * Pure: no clock, no I/O, no log, no globals. States: STATUS LINE -> HEAD -> complete;
 * HEAD -> STATUS LINE after an interim reply. */
#include "agent/check/reply.h"

#include <stdbool.h>

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
	}
	return 0;
}
