/* SPDX-License-Identifier: Apache-2.0
 * The head of an HTTP/1.x reply, fed in pieces of any size. Only the status is kept; interim
 * replies (1xx, except 101) are skipped. Header fields and the body are cut out of the whole reply when
 * somebody wants them. Source: RFC 9112 sections 4, 6 and 7, RFC 9110 section 15.2. */
#ifndef CHECK_REPLY_H
#define CHECK_REPLY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/mem.h"

#define REPLY_MAX 65536 /* bytes before the end of the head */
#define BODY_MAX  65536 /* bytes of a body that are looked at */

/* Zero-initialise. */
struct reply {
	uint32_t status; /* 100..599 once reply_feed returned 1 */
	uint32_t column; /* in the current line, carriage returns not counted in header lines */
	size_t bytes;	 /* once reply_feed returned 1: the length of all heads */
	size_t head_at;	 /* where the last head starts */
	int in_head;	 /* past the status line */
};

/* 1: the head is complete, 0: more is needed, ERR_MALFORMED, or ERR_LIMIT after REPLY_MAX bytes.
 * Not to be fed again after anything but 0. */
int reply_feed(struct reply *r, const char *data, size_t len);
/* The value of a header field in the last head, without the space around it: a pointer into raw (all bytes so
 * far), its length in *ret_len. r: complete. NULL: not there. */
const char *reply_field(const struct reply *r, const char *raw, const char *name, size_t *ret_len);
/* raw: all bytes so far, from the first of the reply; r: complete. eof: no more will come. Replaces
 * *ret_body, chunks joined, at most BODY_MAX bytes. 1: it is all there (or BODY_MAX of it), 0: more is
 * needed, ERR_MALFORMED, ERR_CLOSED (eof in the middle). */
int reply_body(const struct reply *r, const char *raw, size_t len, bool eof, struct buf *ret_body);
#endif
