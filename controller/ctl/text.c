/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/mem.h"

#define DURATION_MAX_S (3650LL * 86400)

static int64_t unit_s(char c)
{
	switch (c) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	}
	return 0;
}

int text_duration(const char *s, int64_t *ret_s)
{
	int64_t total = 0;

	if (!*s)
		return -EINVAL;
	while (*s) {
		int64_t n = 0;

		if (!isdigit((unsigned char)*s))
			return -EINVAL;
		for (; isdigit((unsigned char)*s); s++) {
			n = n * 10 + (*s - '0');
			if (n > DURATION_MAX_S)
				return -EINVAL;
		}
		int64_t unit = unit_s(*s++);
		if (!unit)
			return -EINVAL;
		total += n * unit;
		if (total > DURATION_MAX_S)
			return -EINVAL;
	}
	if (!total)
		return -EINVAL;
	*ret_s = total;
	return 0;
}

char *text_age(double ms, char *buf)
{
	if (!(ms >= 0) || ms > 1e15) {
		snprintf(buf, TEXT_NUM, "-");
		return buf;
	}
	long long s = (long long)(ms / 1000);
	if (ms < 10000)
		snprintf(buf, TEXT_NUM, "%.1fs", ms / 1000);
	else if (s < 60)
		snprintf(buf, TEXT_NUM, "%llds", s);
	else if (s < 3600)
		snprintf(buf, TEXT_NUM, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, TEXT_NUM, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(buf, TEXT_NUM, "%lldd%lldh", s / 86400, s / 3600 % 24);
	return buf;
}

char *text_si(double v, char *buf)
{
	static const char *const unit[] = { "", "k", "M", "G", "T", "P" };
	size_t i = 0;

	if (!isfinite(v)) {
		snprintf(buf, TEXT_NUM, "-");
		return buf;
	}
	/* 999.95 and above would print as 1000.0 */
	while (fabs(v) >= 999.95 && i + 1 < ARRAY_LEN(unit)) {
		v /= 1000;
		i++;
	}
	snprintf(buf, TEXT_NUM, i ? "%.1f%s" : "%.0f%s", v, unit[i]);
	return buf;
}

char *text_pct(double ratio, char *buf)
{
	if (isfinite(ratio) && fabs(ratio) < 1e6)
		snprintf(buf, TEXT_NUM, "%.0f%%", ratio * 100);
	else
		snprintf(buf, TEXT_NUM, "-");
	return buf;
}

/* Length of the character at s, 0 when the bytes are not UTF-8 (RFC 3629: no overlong forms, no surrogates).
 */
static size_t utf8_char(const unsigned char *s, unsigned *ret_cp)
{
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *s < 0x80		   ? 1
		     : (*s & 0xe0) == 0xc0 ? 2
		     : (*s & 0xf0) == 0xe0 ? 3
		     : (*s & 0xf8) == 0xf0 ? 4
					   : 0;
	unsigned cp;

	if (!len)
		return 0;
	cp = len == 1 ? *s : *s & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (s[i] & 0x3f);
	}
	if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		return 0;
	*ret_cp = cp;
	return len;
}

static int unfit(unsigned cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200e || cp == 0x200f;
}

char *text_clean(const char *s)
{
	char *copy = xcalloc(strlen(s) + 1, 1), *to = copy;

	while (*s) {
		unsigned cp = 0;
		size_t len = utf8_char((const unsigned char *)s, &cp);

		if (!len || unfit(cp)) {
			*to++ = '?';
			s += len ? len : 1;
			continue;
		}
		memcpy(to, s, len);
		to += len;
		s += len;
	}
	return copy;
}

unsigned text_width(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}
