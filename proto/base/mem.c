/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/mem.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/err.h"

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return must(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		abort();
	return must(realloc(p, bytes ? bytes : 1));
}

char *xstrdup(const char *s)
{
	return must(strdup(s));
}

char *xasprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	va_end(ap);
	return s;
}

void close_cleanup_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	size_t need = b->len + len + 1;

	if (b->max && b->len + len > b->max)
		return ERR_LIMIT;
	if (need > b->cap) {
		size_t cap = b->cap ? b->cap : 256;
		while (cap < need)
			cap *= 2;
		b->data = xrealloc(b->data, cap, 1);
		b->cap = cap;
	}
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = 0;
	return 0;
}

int buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	auto_free char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	return buf_add(b, s, (size_t)n);
}

void buf_drop(struct buf *b, size_t n)
{
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ .max = b->max };
}

/* Bytes of the control character at s; 0: it is none. C1 is two bytes in UTF-8. */
static size_t control_len(const char *s)
{
	if ((unsigned char)*s < 0x20 || *s == 0x7f)
		return 1;
	return (unsigned char)s[0] == 0xc2 && ((unsigned char)s[1] & 0xe0) == 0x80 ? 2 : 0;
}

bool str_plain(const char *s)
{
	while (*s && !control_len(s))
		s++;
	return !*s;
}

void str_clean(char *s)
{
	for (size_t n; *s; s += n ? n : 1) {
		n = control_len(s);
		memset(s, ' ', n);
	}
}
