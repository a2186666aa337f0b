/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controller/ctl/text.h"
#include "proto/base/mem.h"

#define AGAIN_MS 10000

void progress_start(struct progress *p)
{
	const char *term = getenv("TERM");

	*p = (struct progress){ .start = mono_now(),
				.tty = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") };
}

void progress_show(struct progress *p, const char *state, const char *fmt, ...)
{
	bool again = !mono_is_set(p->said) || strcmp(p->state, state) != 0 ||
		     mono_diff_ms(p->said, mono_now()) >= AGAIN_MS;
	char age[TEXT_NUM];
	auto_free char *raw = NULL;
	va_list ap;

	if (!p->tty && !again)
		return;
	va_start(ap, fmt);
	if (vasprintf(&raw, fmt, ap) < 0)
		abort();
	va_end(ap);
	auto_free char *text = text_clean(raw);
	text_age((double)mono_diff_ms(p->start, mono_now()), age);
	if (p->tty)
		/* a long line is cut, not wrapped: it could not be drawn again */
		fprintf(stderr, "\r\033[K\033[?7l%6s  %s\033[?7h", age, text);
	else
		fprintf(stderr, "%s  %s\n", age, text);
	fflush(stderr);
	snprintf(p->state, sizeof(p->state), "%s", state);
	p->said = mono_now();
	p->drawn = p->tty;
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	fflush(stderr);
	p->drawn = false;
}

void progress_pause(void)
{
	nanosleep(&(struct timespec){ 0, 500000000 }, NULL);
}
