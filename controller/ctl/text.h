/* SPDX-License-Identifier: Apache-2.0
 * Figures and names as people read them. Pure. Buffers hold TEXT_NUM bytes; each returns its buffer. */
#ifndef CTL_TEXT_H
#define CTL_TEXT_H
#include <stdint.h>

#define TEXT_NUM 32

/* "90s", "30m", "1h30m", "2d": whole units, largest first not required. -EINVAL: not one, zero, or above
 * ten years. */
int text_duration(const char *s, int64_t *ret_s);
/* 850 -> "0.8s", 75000 -> "1m15s", 3h and above without seconds; negative -> "-" (never). */
char *text_age(double ms, char *buf);
/* bit/s, decimal prefixes: "820", "12.3k", "20.0M". */
char *text_si(double v, char *buf);
/* 0.853 -> "85%" */
char *text_pct(double ratio, char *buf);
/* A copy fit for a terminal: control characters (C0, C1, DEL), bidirectional overrides and bytes that are
 * not UTF-8 become '?'. Heap. What a peer wrote can then not speak to the terminal. */
char *text_clean(const char *s);
/* Terminal columns of clean UTF-8 text, one per character. */
unsigned text_width(const char *s);
#endif
