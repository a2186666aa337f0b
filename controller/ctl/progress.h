/* SPDX-License-Identifier: Apache-2.0
 * A wait shows where it stands, on standard error: one line that is drawn again on a terminal; elsewhere a
 * line when the state changes, and every ten seconds. */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H
#include <stdbool.h>

#include "proto/base/mono.h"

struct progress {
	mono_t start, said;
	char state[64];
	bool tty, drawn;
};
void progress_start(struct progress *p);
/* state: what it is about, for lines elsewhere; the text follows the time since the start. */
void progress_show(struct progress *p, const char *state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The line goes, so that the last word can be printed. */
void progress_end(struct progress *p);
/* Half a second, or less when interrupted. */
void progress_pause(void);
#endif
