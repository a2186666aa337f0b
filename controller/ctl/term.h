/* SPDX-License-Identifier: Apache-2.0
 * The whole screen of a terminal, ANSI only (ECMA-48), and keys as they are pressed. However the program
 * ends, by return, exit, a signal or a crash, the terminal is as it was before; Ctrl-Z and fg work. One at a
 * time. */
#ifndef CTL_TERM_H
#define CTL_TERM_H
#include <stdbool.h>
#include <stddef.h>

/* -ENOTTY when input or output is no terminal. */
int term_open(void);
void term_close(void);
struct term_size {
	unsigned rows, cols;
};
struct term_size term_size(void);
/* Replaces the screen by the lines of text, each cut at the right edge; what does not fit below is left out.
 */
void term_draw(const char *text);
/* Waits up to ms. The key; 0: time is over; -1: the window changed its size or we came back from a stop: draw
 * again; -2: the terminal is gone. */
int term_key(int ms);
#endif
