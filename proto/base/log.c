/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/base/mem.h"

static const struct {
	const char *name;
	int priority; /* sd-daemon(3) */
} levels[] = { { "debug", 7 }, { "info", 6 }, { "warn", 4 }, { "error", 3 } };

static struct {
	const char *name;
	enum log_level min;
	bool journal;
} self = { "sluice", LOG_LEVEL_INFO, false };

void log_init(const char *name, enum log_level min, bool journal)
{
	self.name = name;
	self.min = min;
	self.journal = journal;
}

int log_level_parse(const char *s, enum log_level *ret_level)
{
	for (int i = 0; i < 4; i++)
		if (strcmp(levels[i].name, s) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char text[2048], stamp[40] = "";
	va_list ap;

	if (level < self.min)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	str_clean(text); /* a peer's text may end up here: one line stays one line */
	if (self.journal) {
		fprintf(stderr, "<%d>%s\n", levels[level].priority, text);
		return;
	}
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	snprintf(stamp, sizeof(stamp), "%02d:%02d:%02d.%03ld", tm.tm_hour, tm.tm_min, tm.tm_sec,
		 ts.tv_nsec / 1000000);
	fprintf(stderr, "%s %s %-5s %s\n", stamp, self.name, levels[level].name, text);
}
