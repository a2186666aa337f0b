/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "agent/apply_int.h"
#include "proto/base/log.h"
#include "proto/base/mono.h"

/* Types one diff as one configure session, line by line, and notes what was refused.
 * BEFORE: the routes that will be changed in place are looked at (their version tells later that bgpd took
 * the change through); COMMIT: the lines go out. A refused line ends its step, a refused session line ends
 * all. Then the configuration is read again: that, not the answers, decides what bgpd has.
 * Back-off: a refused route 1 s doubling to 60 s; a refused session 200 ms doubling to 2 s. */

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define LOCK_MIN_MS  200
#define LOCK_MAX_MS  2000

static uint64_t backoff(unsigned fails, uint64_t min_ms, uint64_t max_ms)
{
	uint64_t ms = fails > 16 ? max_ms : min_ms << (fails - 1);

	return ms > max_ms ? max_ms : ms;
}

void apply_commit_reset(struct apply *a)
{
	for (size_t i = 0; a->step_error && i < a->diff.n; i++)
		free(a->step_error[i]);
	free(a->step_error);
	a->step_error = NULL;
	diff_done(&a->diff);
	command_list_done(&a->list);
	a->at = 0;
}

/* The first line of bgpd's answer. */
static char *words(const char *line, const char *reply)
{
	size_t n = strcspn(reply, "\n");

	if (!n)
		return xasprintf("bgpd refused \"%s\" without a word", line);
	return xasprintf("bgpd refused \"%s\": %.*s", line, (int)(n > 120 ? 120 : n), reply);
}

static void entry_taken(struct apply *a, struct entry *e)
{
	e->typed = true;
	e->unsettled = true;
	a->changed = true;
}

static void entry_refused(struct apply *a, struct entry *e, const char *why)
{
	e->fails++;
	e->retry_at_ms = apply_now_ms(a) + backoff(e->fails, RETRY_MIN_MS, RETRY_MAX_MS);
	snprintf(e->refused, sizeof(e->refused), "%s; retrying", why);
}

static void drop_refused(struct apply *a)
{
	a->drop_fails++;
	a->drop_until_ms = apply_now_ms(a) + backoff(a->drop_fails, RETRY_MIN_MS, RETRY_MAX_MS);
}

static void settle_step(struct apply *a, size_t i)
{
	const struct step *s = &a->diff.steps[i];
	const char *error = a->step_error[i];
	struct entry *e = s->kind == STEP_SET || s->kind == STEP_UNSET ? apply_entry(a, &s->prefix) : NULL;

	if (e && error)
		entry_refused(a, e, error);
	else if (e)
		entry_taken(a, e);
	if (s->kind == STEP_DROP && error)
		drop_refused(a);
}

bool apply_step_repeats(struct apply *a, const struct step *s)
{
	struct entry *e = s->kind == STEP_SET || s->kind == STEP_UNSET ? apply_entry(a, &s->prefix) : NULL;

	if (e && e->typed) {
		entry_refused(a, e, "bgpd took the lines, but its configuration does not show them");
		e->typed = false;
		return true;
	}
	if (s->kind != STEP_DROP)
		return false;
	drop_refused(a);
	return true;
}

static void commit_done(struct apply *a)
{
	if (a->lock[0]) {
		a->locks++;
		a->lock_until_ms = apply_now_ms(a) + backoff(a->locks, LOCK_MIN_MS, LOCK_MAX_MS);
	} else {
		a->locks = 0;
		for (size_t i = 0; i < a->diff.n; i++)
			settle_step(a, i);
	}
	apply_commit_reset(a);
	a->cursor = a->n; /* bgpd works first in, first out: what was typed last is through last */
	a->verify_until_ms = apply_now_ms(a) + VERIFY_WITHIN_MS;
	apply_poll(a);
}

/* The error of the map that step i points at, when the same commit failed to make it. */
static const char *map_error(const struct apply *a, size_t i)
{
	for (size_t m = 0; m < i; m++)
		if (a->step_error[m] && a->diff.steps[m].kind == STEP_MAP &&
		    !strcmp(a->diff.steps[m].map, a->diff.steps[i].map))
			return a->step_error[m];
	return NULL;
}

static bool skip(struct apply *a, const struct command *c)
{
	if (c->step == COMMAND_SESSION)
		return a->lock[0] && a->at + 1 < a->list.n; /* all but `end` */
	if (a->lock[0] || a->step_error[c->step])
		return true;
	if (a->diff.steps[c->step].kind != STEP_SET)
		return false;
	const char *why = map_error(a, c->step);
	if (why)
		a->step_error[c->step] = xstrdup(why);
	return why != NULL;
}

static void type_next(struct apply *a);

static void on_typed(int err, int status, const char *text, size_t len, void *arg)
{
	struct apply *a = arg;

	(void)len;
	if (err || a->closed)
		return;
	const struct command *c = &a->list.commands[a->at];
	const struct step *s = c->step == COMMAND_SESSION ? NULL : &a->diff.steps[c->step];
	if (command_verdict(s, status, text) == VERDICT_REFUSED) {
		auto_free char *why = words(c->line, text);
		if (s)
			a->step_error[c->step] = xstrdup(why);
		else
			snprintf(a->lock, sizeof(a->lock), "%s; retrying", why);
	}
	a->at++;
	type_next(a);
}

static void type_next(struct apply *a)
{
	while (a->at < a->list.n && skip(a, &a->list.commands[a->at]))
		a->at++;
	if (a->at == a->list.n) {
		commit_done(a);
		return;
	}
	vty_send(a->vty, a->list.commands[a->at].line, on_typed, a);
	if (a->phase != PHASE_COMMIT) /* bgpd went away under the write: the list is gone */
		return;
	log_debug("bgpd, at %" PRId64 " us: %s", mono_now().us, a->list.commands[a->at].line);
}

static void type_all(struct apply *a)
{
	a->phase = PHASE_COMMIT;
	a->lock[0] = 0;
	a->step_error = xcalloc(a->diff.n, sizeof(*a->step_error));
	command_build(&a->diff, a->config.asn, a->config.instances, &a->list);
	type_next(a);
}

void apply_commit(struct apply *a)
{
	uv_timer_stop(&a->timer);
	a->commits++;
	a->phase = PHASE_BEFORE;
	a->n_sample = 0;
	for (size_t i = a->diff.n; i-- && a->n_sample < SAMPLE_MAX;) {
		const struct step *s = &a->diff.steps[i];
		struct entry *e = s->kind == STEP_SET ? apply_entry(a, &s->prefix) : NULL;
		if (!e)
			continue;
		e->before = (struct frr_path){ 0 };
		if (!s->fresh)
			a->sample[a->n_sample++] = (size_t)(e - a->entries);
	}
	apply_ask_paths(a, true, type_all);
}
