/* SPDX-License-Identifier: Apache-2.0
 * The head of an HTTP/1.x reply, fed in pieces of any size. Only the status is kept; header fields are
 * skipped, interim replies (1xx, except 101) too. Source: RFC 9112 section 4, RFC 9110 section 15.2. */
#ifndef CHECK_REPLY_H
#define CHECK_REPLY_H
#include <stddef.h>
#include <stdint.h>

#define REPLY_MAX 65536 /* bytes before the end of the head */

/* Zero-initialise. */
struct reply {
	uint32_t status; /* 100..599 once reply_feed returned 1 */
	uint32_t column; /* in the current line, carriage returns not counted in header lines */
	size_t bytes;
	int in_head; /* past the status line */
};

/* 1: the head is complete, 0: more is needed, ERR_MALFORMED, or ERR_LIMIT after REPLY_MAX bytes.
 * Not to be fed again after anything but 0. */
int reply_feed(struct reply *r, const char *data, size_t len);
#endif
