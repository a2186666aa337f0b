/* SPDX-License-Identifier: Apache-2.0
 * Sentences with numbers. Every text the engine shows is made here or by the guard. */
#ifndef STEER_EXPLAIN_H
#define STEER_EXPLAIN_H
#include "controller/steer/round.h"

/* "12.4 Mbit/s" for a resource; buf holds 32. Returns buf. */
char *explain_qty(int res, double v, char *buf);
void explain_text(char why[STEER_TEXT], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "shed web-a at fra: prepend1 moves 9.1 (4.2..13.0) Mbit/s, fra 160 % -> 142 %, most to ams (31 %)". */
void explain_move(const struct round *r, const struct move *m, const struct effect *e,
		  const struct res_vec *after, char why[STEER_TEXT]);
/* The hottest site, for plan->why. */
size_t explain_hottest(const struct round *r);
#endif
