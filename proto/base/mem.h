/* SPDX-License-Identifier: Apache-2.0
 * Allocation that aborts when memory is out (systemd restarts us, routes stay), cleanup attributes for
 * locals, and a growing byte buffer with a hard limit. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline void free_cleanup_(void *pp)
{
	free(*(void **)pp);
}
static inline void fclose_cleanup_(FILE **f)
{
	if (*f)
		fclose(*f);
}
void close_cleanup_(int *fd);

#define auto_free   __attribute__((cleanup(free_cleanup_)))
#define auto_fclose __attribute__((cleanup(fclose_cleanup_)))
#define auto_close  __attribute__((cleanup(close_cleanup_)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* No control characters, C0 or C1: one line, and nothing that a terminal obeys. */
bool str_plain(const char *s);
/* In place: each of them becomes a space. */
void str_clean(char *s);

/* Zero-initialise, set max (0: no limit). data is NUL-terminated one byte past len whenever it is not NULL.
 */
struct buf {
	char *data;
	size_t len, cap, max;
};
/* ERR_LIMIT when the buffer would pass max; the buffer is unchanged then. */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_adds(struct buf *b, const char *s);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first n bytes. */
void buf_drop(struct buf *b, size_t n);
void buf_done(struct buf *b);
#define auto_buf __attribute__((cleanup(buf_done))) struct buf
#endif
