/* SPDX-License-Identifier: Apache-2.0
 * Server-sent events from bytes (WHATWG HTML, 9.2.6). Pure. A line or event beyond SSE_MAX is an error. */
#ifndef CTL_SSE_H
#define CTL_SSE_H
#include <stdbool.h>

#include "proto/base/mem.h"

#define SSE_MAX (1024 * 1024)

struct sse {
	struct buf line, data;
	char id[64];   /* of the last complete event; kept over reconnects */
	char next[64]; /* id of the event being read */
	char event[64];
	long retry_ms; /* asked for by the server; 0: not */
	bool cr;       /* the last byte was a CR: a LF after it belongs to it */
};

/* fn is called for each event with data. Returns 0, or ERR_LIMIT. */
int sse_feed(struct sse *s, const char *bytes, size_t len,
	     void (*fn)(const char *id, const char *event, const char *data, void *arg), void *arg);
/* A new connection: forgets half an event, keeps id. */
void sse_reset(struct sse *s);
void sse_done(struct sse *s);
#endif
