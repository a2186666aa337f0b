/* SPDX-License-Identifier: Apache-2.0
 * Owns the bytes of at most one unfinished frame plus those fed but not yet taken. The header is checked the
 * moment its fourth byte arrives, so a wrong length costs four bytes of memory. Taking a frame moves an
 * index; bytes are moved once per feed, not once per frame. */
#include "proto/wire/frame.h"

#include <string.h>

#include "proto/base/err.h"

#define HEADER 4
/* an idle connection keeps no more than this */
#define KEEP_CAP 4096

static size_t get_be32(const char *p)
{
	const uint8_t *u = (const uint8_t *)p;

	return (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | u[3];
}

/* 1 and the body's length, 0 when the header at that place is not whole yet, negative when it is wrong. */
static int header(const struct frame_in *f, size_t at, size_t *ret_len)
{
	if (f->b.len - at < HEADER)
		return 0;
	size_t len = get_be32(f->b.data + at);
	if (len == 0)
		return ERR_MALFORMED;
	if (len > (f->max ? f->max : FRAME_MAX))
		return ERR_FRAME_TOO_BIG;
	*ret_len = len;
	return 1;
}

/* How many bytes may be stored before the next decision: the rest of a header or the rest of a body. */
static int wanted(struct frame_in *f, size_t *ret_n)
{
	size_t len = 0;
	int r = header(f, f->last, &len);

	if (r < 0)
		return r;
	size_t have = f->b.len - f->last;
	if (r == 1 && have == HEADER + len) {
		f->last = f->b.len;
		have = 0;
		r = 0;
	}
	*ret_n = r == 1 ? HEADER + len - have : HEADER - have;
	return 0;
}

static void drop_taken(struct frame_in *f)
{
	buf_drop(&f->b, f->at);
	f->last -= f->at;
	f->at = 0;
}

int frame_feed(struct frame_in *f, const void *data, size_t len)
{
	const char *p = data;
	size_t n = 0;
	int r;

	drop_taken(f);
	while ((r = wanted(f, &n)) == 0 && len > 0) {
		if (n > len)
			n = len;
		r = buf_add(&f->b, p, n);
		if (r)
			return r;
		p += n;
		len -= n;
	}
	return r;
}

int frame_peek(struct frame_in *f, const uint8_t **ret_body, size_t *ret_len)
{
	size_t len = 0;
	int r = header(f, f->at, &len);

	if (r <= 0)
		return r;
	if (f->b.len - f->at - HEADER < len)
		return 0;
	*ret_body = (const uint8_t *)f->b.data + f->at + HEADER;
	*ret_len = len;
	return 1;
}

void frame_take(struct frame_in *f)
{
	const uint8_t *body;
	size_t len;

	if (frame_peek(f, &body, &len) != 1)
		return;
	f->at += HEADER + len;
	if (f->at < f->b.len)
		return;
	f->at = f->last = f->b.len = 0;
	if (f->b.cap > KEEP_CAP)
		buf_done(&f->b);
}

int frame_put(struct buf *out, const void *body, size_t len)
{
	const uint8_t h[HEADER] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
				    (uint8_t)len };

	if (len == 0 || len > FRAME_MAX)
		return ERR_FRAME_TOO_BIG;
	/* both or nothing: half a frame would poison the stream */
	if (out->max && out->len + HEADER + len > out->max)
		return ERR_LIMIT;
	buf_add(out, h, HEADER);
	return buf_add(out, body, len);
}

void frame_done(struct frame_in *f)
{
	buf_done(&f->b);
	f->at = f->last = 0;
}
