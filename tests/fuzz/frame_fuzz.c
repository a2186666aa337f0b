/* SPDX-License-Identifier: Apache-2.0
 * Frames cut into pieces by the input itself: byte 0 seeds the piece sizes, the rest is the stream. The
 * frames seen must be those that a plain walk over the whole stream finds, and no more than one frame may be
 * held.
 * links: proto/wire/frame.c proto/base/mem.c proto/base/err.c
 */
#include <string.h>

#include "proto/base/err.h"
#include "proto/wire/frame.h"
#include "tests/fuzz/fuzz.h"

#define MAX 600

/* What a reader without pieces would find at *at: as frame_peek. */
static int walk(const uint8_t *s, size_t n, size_t *at, size_t *ret_len)
{
	if (n - *at < 4)
		return 0;
	const uint8_t *p = s + *at;
	size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (len == 0 || len > MAX)
		return len ? ERR_FRAME_TOO_BIG : ERR_MALFORMED;
	if (n - *at - 4 < len)
		return 0;
	*at += 4 + len;
	*ret_len = len;
	return 1;
}

static int take_all(struct frame_in *f, const uint8_t *s, size_t n, size_t *at)
{
	const uint8_t *body;
	size_t len, expect = 0;
	int r;

	while ((r = frame_peek(f, &body, &len)) == 1) {
		must(walk(s, n, at, &expect) == 1 && len == expect);
		must(memcmp(body, s + *at - len, len) == 0);
		frame_take(f);
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_in f = { .max = MAX };
	size_t at = 0, expect = 0, fed = 0;
	int r = 0;

	if (size < 1)
		return 0;
	unsigned seed = data[0];
	const uint8_t *s = data + 1;
	size_t n = size - 1;
	while (fed < n && r == 0) {
		seed = seed * 1103515245 + 12345;
		size_t piece = 1 + (seed >> 16) % (seed & 1 ? 7 : 2000);
		if (piece > n - fed)
			piece = n - fed;
		int fed_r = frame_feed(&f, s + fed, piece);
		fed += piece;
		r = take_all(&f, s, n, &at);
		must(r <= 0 && fed_r == r);
		must(r < 0 || f.b.len - f.at <= 4 + MAX);
	}
	must(walk(s, n, &at, &expect) == r);
	frame_done(&f);
	return 0;
}
