/* SPDX-License-Identifier: Apache-2.0
 * The head of an HTTP reply: cutting the input into pieces (byte 0 seeds their sizes) must not change what is
 * found, a status found is in range, and nothing is read past the limit.
 * links: agent/check/reply.c proto/base/mem.c
 */
#include <stdlib.h>

#include "agent/check/reply.h"
#include "proto/base/err.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reply whole = { 0 }, pieces = { 0 };
	int r = 0;

	if (size < 1)
		return 0;
	unsigned seed = data[0];
	const char *s = (const char *)data + 1;
	size_t n = size - 1;
	int want = reply_feed(&whole, s, n);
	for (size_t fed = 0, piece; fed < n && r == 0; fed += piece) {
		seed = seed * 1103515245 + 12345;
		piece = 1 + (seed >> 16) % (seed & 1 ? 7 : 2000);
		if (piece > n - fed)
			piece = n - fed;
		r = reply_feed(&pieces, s + fed, piece);
	}
	must(r == want && pieces.status == whole.status && pieces.bytes == whole.bytes);
	if (r == 1) {
		struct buf body = { 0 };
		for (int eof = 0; eof < 2; eof++) {
			int rc = reply_body(&whole, s, n, eof, &body);
			must(rc == 1 || rc == ERR_MALFORMED || (eof ? rc == ERR_CLOSED : rc == 0));
			must(body.len <= BODY_MAX);
		}
		buf_done(&body);
	}
	must(r == 0 || r == 1 || r == ERR_MALFORMED || r == ERR_LIMIT);
	must(whole.bytes <= REPLY_MAX + 1);
	must(r != 1 || (whole.status >= 101 && whole.status <= 599));
	return 0;
}
