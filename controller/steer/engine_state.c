/* SPDX-License-Identifier: Apache-2.0
 * The engine's state as text, one fact a line, and back. Format: "sluice-steer 1", then lines of the engine
 * ("now", "restored", "change"), the model ("shed", "dest"), the memory ("site", "flight", "cell"), then the
 * guard's own text from its line "guard 1" to the end. Loaded into fresh structures first: an error changes
 * nothing. Times are the snapshot's now_ms, and "now" is the last one: when the next snapshot's is smaller,
 * the machine was started anew, and all of them are moved so that their ages stay (engine.c, guard.c). */
#include "controller/steer/engine_int.h"

#include "proto/base/err.h"
#include "proto/base/mem.h"

#define HEADER	  "sluice-steer 1"
#define LINE_MAX_ 1024

void engine_save(const struct engine *e, struct buf *out)
{
	size_t n = e->n_changes < ENGINE_CHANGES_MAX ? e->n_changes : ENGINE_CHANGES_MAX;

	buf_adds(out, HEADER "\n");
	if (e->now_ms != RECALL_NEVER)
		buf_addf(out, "now %lld\n", (long long)e->now_ms);
	if (e->restored_ms != RECALL_NEVER)
		buf_addf(out, "restored %lld\n", (long long)e->restored_ms);
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "change %lld\n", (long long)e->changes[i]);
	shift_save(&e->shift, out);
	recall_save(&e->mem, out);
	guard_save(e->guard, out);
}

static int load_line(struct engine *e, const char *line)
{
	long long at;

	if (sscanf(line, "now %lld", &at) == 1) {
		e->now_ms = at;
		return 0;
	}
	if (sscanf(line, "restored %lld", &at) == 1) {
		e->restored_ms = at;
		return 0;
	}
	if (sscanf(line, "change %lld", &at) == 1) {
		e->changes[e->n_changes++ % ENGINE_CHANGES_MAX] = at;
		return 0;
	}
	if (!shift_load_line(&e->shift, line))
		return 0;
	return recall_load_line(&e->mem, line);
}

static int load(struct engine *e, const char *text, size_t len)
{
	const char *p = text, *end = text + len;
	bool header = false;

	while (p < end) {
		char line[LINE_MAX_];
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);

		if (n >= sizeof(line) || memchr(p, 0, n))
			return ERR_MALFORMED;
		memcpy(line, p, n);
		line[n] = 0;
		if (!header && strcmp(line, HEADER))
			return ERR_MALFORMED;
		if (header && !strncmp(line, "guard ", 6))
			return guard_load(e->guard, p, (size_t)(end - p));
		if (header && n && load_line(e, line))
			return ERR_MALFORMED;
		header = true;
		p += n + 1;
	}
	return header ? 0 : ERR_MALFORMED;
}

int engine_load(struct engine *e, const char *text, size_t len)
{
	struct engine *fresh = engine_new(&e->policy);
	int err = load(fresh, text, len);

	if (!err) {
		struct engine old = *e;
		*e = *fresh;
		*fresh = old;
	}
	engine_free(fresh);
	return err;
}
