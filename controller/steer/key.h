/* SPDX-License-Identifier: Apache-2.0
 * Things are known by name: a zero-padded key for uthash, and which names survive a line of text. */
#ifndef STEER_KEY_H
#define STEER_KEY_H
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#define uthash_fatal(msg) abort() /* out of memory aborts everywhere */
#include <uthash.h>

#include "controller/steer/steer.h"

/* A time that is not set stays so; others move when the clock they were told by starts anew. */
static inline void time_shift(int64_t *t, int64_t by)
{
	if (*t != INT64_MIN)
		*t += by;
}

struct cell_key {
	char site[STEER_NAME], shard[STEER_NAME];
};

static inline void key_copy(char dst[STEER_NAME], const char *src)
{
	size_t n = strnlen(src, STEER_NAME - 1);

	memset(dst, 0, STEER_NAME);
	memcpy(dst, src, n);
}

static inline struct cell_key cell_key(const char *site, const char *shard)
{
	struct cell_key k;

	key_copy(k.site, site);
	key_copy(k.shard, shard);
	return k;
}

/* No white space or control characters, not empty: fits a line of the saved state. */
static inline int key_name_ok(const char *s)
{
	if (!*s)
		return 0;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return 0;
	return 1;
}
#endif
