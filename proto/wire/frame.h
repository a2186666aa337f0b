/* SPDX-License-Identifier: Apache-2.0
 * Length-prefixed frames: 4 bytes big-endian length, then that many bytes. Pure.
 * A length of 0 or above the limit is an error at once, before any byte of the body is stored. */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H
#include "proto/base/mem.h"

#define FRAME_MAX (256 * 1024)

struct frame_in {
	struct buf b;
	size_t max;	 /* 0 means FRAME_MAX */
	size_t at, last; /* private: where the oldest and the newest frame begin in b */
};

/* Adds received bytes; ERR_* as frame_peek as soon as a header is wrong: whole frames before it can still be
 * taken. The owner takes all whole frames after each feed, then no more than one frame is held. */
int frame_feed(struct frame_in *f, const void *data, size_t len);
/* 1: *ret_body and *ret_len point into f until the next feed or take; 0: more bytes needed; negative:
 * ERR_FRAME_TOO_BIG, ERR_MALFORMED (the connection cannot go on). */
int frame_peek(struct frame_in *f, const uint8_t **ret_body, size_t *ret_len);
/* Drops the frame that frame_peek showed. */
void frame_take(struct frame_in *f);
/* Appends header and body. ERR_FRAME_TOO_BIG when len is 0 or above FRAME_MAX. */
int frame_put(struct buf *out, const void *body, size_t len);
void frame_done(struct frame_in *f);
#endif
