/* SPDX-License-Identifier: Apache-2.0
 * A store that forgets: for tests, and as the mirror that serves a shared store's reads. Owns sorted keys and
 * a ring of the last events. No transaction can fail half way, so none needs undoing. */
#include <errno.h>
#include <string.h>

#include "controller/store_impl.h"
#include "controller/store_index.h"

struct kv {
	char *key, *value;
};

struct memory {
	struct store s;
	struct kv *kv; /* sorted by key */
	size_t n_kv, cap_kv;
	struct store_event *ring; /* event id at [id % kept]; a mirror may have holes */
	struct store_index *index;
	size_t kept;
	uint64_t last_event, epoch;
};

static struct memory *self(struct store *s)
{
	return (struct memory *)s;
}

/* Where key is, or would be. */
static size_t kv_find(const struct memory *m, const char *key, bool *ret_found)
{
	size_t lo = 0, hi = m->n_kv;

	*ret_found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(m->kv[mid].key, key);
		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void kv_delete(struct memory *m, size_t at)
{
	free(m->kv[at].key);
	free(m->kv[at].value);
	memmove(&m->kv[at], &m->kv[at + 1], (--m->n_kv - at) * sizeof(*m->kv));
}

static void kv_insert(struct memory *m, size_t at, const struct store_op *op)
{
	if (m->n_kv == m->cap_kv) {
		m->cap_kv = m->cap_kv ? m->cap_kv * 2 : 16;
		m->kv = xrealloc(m->kv, m->cap_kv, sizeof(*m->kv));
	}
	memmove(&m->kv[at + 1], &m->kv[at], (m->n_kv++ - at) * sizeof(*m->kv));
	m->kv[at] = (struct kv){ xstrdup(op->key), xstrdup(op->value) };
}

static void kv_apply(struct memory *m, const struct store_op *op)
{
	bool found;
	size_t at = kv_find(m, op->key, &found);

	if (!op->value) {
		if (found)
			kv_delete(m, at);
	} else if (found) {
		char *old = m->kv[at].value;
		m->kv[at].value = xstrdup(op->value);
		free(old);
	} else {
		kv_insert(m, at, op);
	}
}

static void event_done(struct store_event *ev)
{
	free((void *)(uintptr_t)ev->kind);
	free((void *)(uintptr_t)ev->severity);
	free((void *)(uintptr_t)ev->text);
	free((void *)(uintptr_t)ev->data);
}

void store_memory_event(struct store *s, const struct store_event *ev)
{
	struct memory *m = self(s);
	struct store_event *slot = &m->ring[ev->id % m->kept];

	event_done(slot);
	*slot = (struct store_event){
		.id = ev->id,
		.wall_ms = ev->wall_ms,
		.kind = xstrdup(ev->kind),
		.severity = xstrdup(ev->severity),
		.text = xstrdup(ev->text),
		.data = xstrdup(ev->data ? ev->data : "{}"),
	};
	store_index_add(m->index, ev->id, ev->kind, ev->data);
	if (ev->id > m->last_event)
		m->last_event = ev->id;
}

void store_memory_event_gone(struct store *s, uint64_t id)
{
	struct memory *m = self(s);
	struct store_event *slot = &m->ring[id % m->kept];

	if (slot->id == id) {
		event_done(slot);
		*slot = (struct store_event){ 0 };
	}
	m->last_event -= id && id == m->last_event;
}

void store_memory_clear(struct store *s)
{
	while (self(s)->n_kv)
		kv_delete(self(s), self(s)->n_kv - 1);
}

static int memory_write(struct store *s, const struct store_op *ops, size_t n, struct store_event *evs,
			size_t n_evs)
{
	for (size_t i = 0; i < n; i++)
		kv_apply(self(s), &ops[i]);
	for (size_t i = 0; i < n_evs; i++) {
		evs[i].id = self(s)->last_event + 1;
		store_memory_event(s, &evs[i]);
	}
	return 0;
}

static int memory_get(struct store *s, const char *key, char **ret_value)
{
	bool found;
	size_t at = kv_find(self(s), key, &found);

	if (!found)
		return -ENOENT;
	*ret_value = xstrdup(self(s)->kv[at].value);
	return 0;
}

static int memory_each(struct store *s, const char *prefix, store_kv_fn fn, void *arg)
{
	struct memory *m = self(s);
	size_t len = strlen(prefix);
	bool found;

	for (size_t i = kv_find(m, prefix, &found); i < m->n_kv; i++)
		if (strncmp(m->kv[i].key, prefix, len) != 0 || fn(m->kv[i].key, m->kv[i].value, arg) != 0)
			break;
	return 0;
}

static int memory_events(struct store *s, uint64_t after, size_t limit, store_event_fn fn, void *arg)
{
	struct memory *m = self(s);
	uint64_t first = m->last_event > m->kept ? m->last_event - m->kept + 1 : 1;

	if (after >= m->last_event)
		return 0;
	if (after + 1 > first)
		first = after + 1;
	for (uint64_t id = first; id <= m->last_event && limit > 0; id++) {
		const struct store_event *ev = &m->ring[id % m->kept];
		if (ev->id != id)
			continue;
		if (fn(ev, arg) != 0)
			break;
		limit--;
	}
	return 0;
}

static int memory_events_pick(struct store *s, const struct store_pick *pick, store_event_fn fn, void *arg)
{
	struct memory *m = self(s);
	struct store_query q;

	store_query_init(&q, m->index, pick);
	for (uint64_t id; (id = store_query_next(&q));) {
		const struct store_event *ev = &m->ring[id % m->kept];
		if (ev->id == id && store_kind_wanted(pick->kinds, ev->kind) && fn(ev, arg) != 0)
			break;
	}
	return 0;
}

static uint64_t memory_last_event(struct store *s)
{
	return self(s)->last_event;
}

static int memory_next_epoch(struct store *s, uint64_t *ret_epoch)
{
	*ret_epoch = ++self(s)->epoch;
	return 0;
}

static int memory_epoch(struct store *s, uint64_t *ret_epoch)
{
	*ret_epoch = self(s)->epoch;
	return 0;
}

static int memory_raise_epoch(struct store *s, uint64_t at_least)
{
	if (self(s)->epoch < at_least)
		self(s)->epoch = at_least;
	return 0;
}

static void memory_close(struct store *s)
{
	struct memory *m = self(s);

	store_memory_clear(s);
	free(m->kv);
	for (size_t i = 0; i < m->kept; i++)
		event_done(&m->ring[i]);
	free(m->ring);
	store_index_free(m->index);
	free(m);
}

static const struct store_ops memory_ops = {
	.close = memory_close,
	.write = memory_write,
	.get = memory_get,
	.each = memory_each,
	.events = memory_events,
	.events_pick = memory_events_pick,
	.last_event = memory_last_event,
	.next_epoch = memory_next_epoch,
	.epoch = memory_epoch,
	.raise_epoch = memory_raise_epoch,
};

struct store *store_memory_new(size_t kept)
{
	struct memory *m = xcalloc(1, sizeof(*m));

	m->s.ops = &memory_ops;
	m->kept = kept;
	m->ring = xcalloc(kept, sizeof(*m->ring));
	m->index = store_index_new(kept);
	return &m->s;
}

int store_open_memory(struct store **ret_store)
{
	*ret_store = store_memory_new(STORE_EVENTS_KEPT);
	return 0;
}
