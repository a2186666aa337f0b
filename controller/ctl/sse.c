/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/sse.h"

#include <string.h>

#include "proto/base/err.h"

typedef void (*event_fn)(const char *id, const char *event, const char *data, void *arg);

/* Too long for us: as if it was not there. */
static void keep(char *to, size_t size, const char *value)
{
	if (strlen(value) < size)
		memcpy(to, value, strlen(value) + 1);
}

static void dispatch(struct sse *s, event_fn fn, void *arg)
{
	memcpy(s->id, s->next, sizeof(s->id));
	if (s->data.len) {
		s->data.data[--s->data.len] = 0; /* the last newline */
		fn(s->id, s->event[0] ? s->event : "message", s->data.data, arg);
	}
	s->data.len = 0;
	s->event[0] = 0;
}

static int field(struct sse *s, const char *name, const char *value)
{
	if (!strcmp(name, "data"))
		return buf_adds(&s->data, value) || buf_add(&s->data, "\n", 1) ? ERR_LIMIT : 0;
	if (!strcmp(name, "event"))
		keep(s->event, sizeof(s->event), value);
	else if (!strcmp(name, "id"))
		keep(s->next, sizeof(s->next), value);
	else if (!strcmp(name, "retry") && *value && strspn(value, "0123456789") == strlen(value) &&
		 strlen(value) < 8)
		s->retry_ms = strtol(value, NULL, 10);
	return 0;
}

static int line(struct sse *s, event_fn fn, void *arg)
{
	char *text = s->line.data, *value = NULL;
	int err = 0;

	if (!s->line.len) {
		dispatch(s, fn, arg);
		return 0;
	}
	s->line.len = 0;
	value = strchr(text, ':');
	if (value == text)
		return 0; /* a comment: the heartbeat */
	if (value) {
		*value++ = 0;
		value += *value == ' ';
	}
	err = field(s, text, value ? value : "");
	return err;
}

int sse_feed(struct sse *s, const char *bytes, size_t len, event_fn fn, void *arg)
{
	s->line.max = s->data.max = SSE_MAX;
	for (size_t i = 0; i < len; i++) {
		char c = bytes[i];
		bool after_cr = s->cr;
		int err = 0;

		s->cr = c == '\r';
		if (c == '\n' && after_cr)
			continue;
		if (c == '\r' || c == '\n')
			err = line(s, fn, arg);
		else
			err = buf_add(&s->line, &c, 1);
		if (err)
			return err;
	}
	return 0;
}

void sse_reset(struct sse *s)
{
	s->line.len = s->data.len = 0;
	s->event[0] = 0;
	s->cr = false;
	memcpy(s->next, s->id, sizeof(s->next));
}

void sse_done(struct sse *s)
{
	buf_done(&s->line);
	buf_done(&s->data);
}
