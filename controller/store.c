/* SPDX-License-Identifier: Apache-2.0
 * The store's front: checks what callers hand in, then the implementation. No state of its own. */
#include "controller/store.h"

#include <stdarg.h>
#include <string.h>

#include "controller/store_impl.h"

#define STORE_KEY_MAX 512

int store_fail(struct store *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	return ERR_STORE;
}

void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}

static int check_op(struct store *s, const struct store_op *op)
{
	size_t len = strlen(op->key);

	if (len == 0 || len > STORE_KEY_MAX)
		return store_fail(s, "a key of %zu bytes; 1 to %d are possible", len, STORE_KEY_MAX);
	if (op->value && strlen(op->value) > STORE_VALUE_MAX)
		return store_fail(s, "the value of %.64s is larger than %d bytes", op->key, STORE_VALUE_MAX);
	return 0;
}

static int mind(struct store *s, int r)
{
	struct store_health *h = &s->health;

	/* on a full disk a small write may still fit: one success proves nothing yet */
	if (r == 0 && mono_diff_ms(h->failed_at, mono_now()) >= STORE_SOUND_MS)
		h->failing_since = (mono_t){ 0 };
	if (r == 0)
		return r;
	h->failed_at = mono_now();
	if (!mono_is_set(h->failing_since))
		h->failing_since = h->failed_at;
	h->failures++;
	return r;
}

const struct store_health *store_health(const struct store *s)
{
	return &s->health;
}

size_t store_ops_max(const struct store *s)
{
	return s->ops_max ? s->ops_max : STORE_OPS_MAX;
}

int store_write_events(struct store *s, const struct store_op *ops, size_t n, struct store_event *evs,
		       size_t n_evs)
{
	for (size_t i = 0; i < n; i++)
		if (check_op(s, &ops[i]) != 0)
			return ERR_STORE;
	for (size_t i = 0; i < n_evs; i++)
		if (evs[i].data && strlen(evs[i].data) > STORE_VALUE_MAX)
			return store_fail(s, "the data of an event is larger than %d bytes", STORE_VALUE_MAX);
	if (s->ops_max && n + n_evs > s->ops_max)
		return store_fail(s, "a change of %zu keys and events; this store takes %zu at once",
				  n + n_evs, s->ops_max);
	if (n + n_evs == 0)
		return 0;
	return mind(s, s->ops->write(s, ops, n, evs, n_evs));
}

int store_write(struct store *s, const struct store_op *ops, size_t n, struct store_event *ev)
{
	return store_write_events(s, ops, n, ev, ev != NULL);
}

int store_get(struct store *s, const char *key, char **ret_value)
{
	return s->ops->get(s, key, ret_value);
}

int store_each(struct store *s, const char *prefix, store_kv_fn fn, void *arg)
{
	return s->ops->each(s, prefix, fn, arg);
}

int store_events(struct store *s, uint64_t after, size_t limit, store_event_fn fn, void *arg)
{
	return s->ops->events(s, after, limit, fn, arg);
}

int store_events_pick(struct store *s, const struct store_pick *pick, store_event_fn fn, void *arg)
{
	return s->ops->events_pick(s, pick, fn, arg);
}

bool store_kind_wanted(const char *kinds, const char *kind)
{
	if (!*kinds)
		return true;
	for (const char *s = kinds;; s++) {
		size_t n = strcspn(s, ",");
		if (n && strncmp(s, kind, n) == 0 && (kind[n] == 0 || kind[n] == '.'))
			return true;
		s += n;
		if (!*s)
			return false;
	}
}

uint64_t store_last_event(struct store *s)
{
	return s->ops->last_event(s);
}

int store_next_epoch(struct store *s, uint64_t *ret_epoch)
{
	return mind(s, s->ops->next_epoch(s, ret_epoch));
}

int store_epoch(struct store *s, uint64_t *ret_epoch)
{
	return s->ops->epoch(s, ret_epoch);
}

int store_raise_epoch(struct store *s, uint64_t at_least)
{
	return mind(s, s->ops->raise_epoch(s, at_least));
}

const char *store_why(const struct store *s)
{
	return s->why;
}
