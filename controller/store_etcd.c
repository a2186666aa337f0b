/* SPDX-License-Identifier: Apache-2.0
 * The loop's side of the shared store: reads from the mirror, turns a write into one etcd transaction with
 * its undo, and applies the worker's news to the mirror. Owns mirror and worker.
 * While we lead the mirror changes by our own writes alone and news of keys are echoes; afterwards it is
 * loaded anew. */
#include "controller/store_etcd.h"

#include <errno.h>
#include <string.h>

#include "controller/etcd_worker.h"
#include "controller/store_impl.h"

#define OPS_MAX	   101		 /* keys and events in one write: etcd takes 128 operations, some are ours */
#define INLINE_MAX (1024 * 1024) /* of all values in the transaction; etcd takes 1.5 MiB */
#define PART_MAX   (700 * 1024)
#define RESIGN_MS  1000

struct etcd_store {
	struct store s;
	struct store_etcd_cfg cfg;
	struct store *mirror;
	struct worker *worker;
	bool leading;
	uint64_t epoch, writes;
	bool epoch_given; /* the election's own was handed out */
};

static struct etcd_store *self(struct store *s)
{
	return (struct etcd_store *)s;
}

/* -- operations --------------------------------------------------------------------------------------- */

static json_t *key64(const struct etcd_store *e, const char *kind, const char *key)
{
	auto_free char *full = xasprintf("%s/%s/%s", e->cfg.prefix, kind, key);

	return etcd_b64(full);
}

static json_t *put(const struct etcd_store *e, const char *kind, const char *key, const char *value)
{
	return json_pack("{s:{s:o, s:o}}", "request_put", "key", key64(e, kind, key), "value",
			 etcd_b64(value));
}

static json_t *drop(const struct etcd_store *e, const char *kind, const char *key, const char *to)
{
	json_t *j = json_pack("{s:o}", "key", key64(e, kind, key));

	if (to)
		json_object_set_new(j, "range_end", key64(e, kind, to));
	return json_pack("{s:o}", "request_delete_range", j);
}

static void split(const struct etcd_store *e, struct job *j, const struct store_op *op)
{
	size_t len = strlen(op->value), count = (len + PART_MAX - 1) / PART_MAX;
	auto_free char *all = xasprintf("%s\1", op->key);
	auto_free char *these = xasprintf("%s\1%s\1", op->key, j->id);
	auto_free char *manifest = xasprintf("@%s %zu", j->id, count);

	for (size_t i = 0; i < count; i++) {
		auto_free char *key = xasprintf("%s\1%s\1%04zu", op->key, j->id, i);
		auto_free char *part = strndup(op->value + i * PART_MAX, PART_MAX);
		json_array_append_new(j->parts, json_pack("[o]", put(e, "part", key, part)));
	}
	json_array_append_new(j->ops, put(e, "kv", op->key, manifest));
	json_array_append_new(j->ops, drop(e, "part", all, these)); /* older ones: ids rise */
}

static void add_op(const struct etcd_store *e, struct job *j, const struct store_op *op, size_t *inlined)
{
	size_t len = op->value ? strlen(op->value) : 0;

	if (!op->value) {
		json_array_append_new(j->ops, drop(e, "kv", op->key, NULL));
	} else if (*inlined + len > INLINE_MAX) {
		split(e, j, op);
	} else {
		auto_free char *text = xasprintf("=%s", op->value);
		json_array_append_new(j->ops, put(e, "kv", op->key, text));
		*inlined += len;
	}
}

/* What the mirror has, so that a write without an answer can be taken back. A document fits; what comes in
 * parts is the engine's memory, and there the newer one is as good. */
static void add_undo(struct etcd_store *e, struct job *j, const char *key)
{
	auto_free char *before = NULL;

	if (store_get(e->mirror, key, &before) != 0) {
		json_array_append_new(j->undo, drop(e, "kv", key, NULL));
		return;
	}
	if (strlen(before) > INLINE_MAX)
		return;
	auto_free char *text = xasprintf("=%s", before);
	json_array_append_new(j->undo, put(e, "kv", key, text));
}

/* etcd refuses a key twice in one transaction; the last one counts. */
static bool overwritten(const struct store_op *ops, size_t n, size_t i)
{
	for (size_t k = i + 1; k < n; k++)
		if (strcmp(ops[k].key, ops[i].key) == 0)
			return true;
	return false;
}

static void add_event(const struct etcd_store *e, struct job *j, const struct store_event *ev)
{
	char key[24];
	json_auto_t *doc =
		json_pack("{s:I, s:s, s:s, s:s, s:s}", "wall_ms", (json_int_t)ev->wall_ms, "kind", ev->kind,
			  "severity", ev->severity, "text", ev->text, "data", ev->data ? ev->data : "{}");
	auto_free char *text = json_dumps(doc, JSON_COMPACT);

	snprintf(key, sizeof(key), "%020llu", (unsigned long long)ev->id);
	json_array_append_new(j->ops, put(e, "ev", key, text ? text : "{}"));
	json_array_append_new(j->undo, drop(e, "ev", key, NULL));
}

static void drop_old_events(const struct etcd_store *e, struct job *j, uint64_t newest)
{
	size_t kept = e->cfg.events_kept;
	char oldest[24];

	if (newest <= kept)
		return;
	snprintf(oldest, sizeof(oldest), "%020llu", (unsigned long long)(newest - kept + 1));
	json_array_append_new(j->ops, drop(e, "ev", "0", oldest));
}

static struct job *job_new(struct etcd_store *e)
{
	struct job *j = xcalloc(1, sizeof(*j));

	snprintf(j->id, sizeof(j->id), "%016llx.%016llx", (unsigned long long)e->epoch,
		 (unsigned long long)++e->writes);
	j->parts = json_array();
	j->ops = json_array();
	j->undo = json_array();
	return j;
}

static int may_write(struct etcd_store *e)
{
	if (!e->leading)
		return store_fail(&e->s, "this controller does not lead");
	if (worker_away(e->worker))
		return store_fail(&e->s, "etcd does not answer: waiting for it");
	return 0;
}

static int submit(struct etcd_store *e, struct job *j)
{
	char why[ETCD_WHY_LEN];
	int r = worker_write(e->worker, j, why);

	if (r == ERR_CONFLICT)
		return store_fail(&e->s, "another controller leads now");
	return r == 0 ? 0 : store_fail(&e->s, "%s", why[0] ? why : "etcd does not answer");
}

/* -- the store's own functions ------------------------------------------------------------------------ */

static int etcd_write(struct store *s, const struct store_op *ops, size_t n, struct store_event *evs,
		      size_t n_evs)
{
	struct etcd_store *e = self(s);
	size_t inlined = 0;

	if (may_write(e) != 0)
		return ERR_STORE;
	for (size_t i = 0; i < n_evs; i++)
		inlined += evs[i].data ? strlen(evs[i].data) : 0;
	if (inlined > INLINE_MAX)
		return store_fail(s, "the data of an event is larger than the %d bytes etcd takes",
				  INLINE_MAX);
	struct job *j = job_new(e);
	for (size_t i = 0; i < n_evs; i++) {
		evs[i].id = store_last_event(e->mirror) + 1 + i;
		add_event(e, j, &evs[i]);
	}
	if (n_evs)
		drop_old_events(e, j, evs[n_evs - 1].id);
	for (size_t i = 0; i < n; i++) {
		if (overwritten(ops, n, i))
			continue;
		add_op(e, j, &ops[i], &inlined);
		add_undo(e, j, ops[i].key);
	}
	if (submit(e, j) != 0)
		return ERR_STORE;
	return store_write_events(e->mirror, ops, n, evs, n_evs);
}

static int etcd_get(struct store *s, const char *key, char **ret_value)
{
	return store_get(self(s)->mirror, key, ret_value);
}

static int etcd_each(struct store *s, const char *prefix, store_kv_fn fn, void *arg)
{
	return store_each(self(s)->mirror, prefix, fn, arg);
}

static int etcd_events(struct store *s, uint64_t after, size_t limit, store_event_fn fn, void *arg)
{
	return store_events(self(s)->mirror, after, limit, fn, arg);
}

static int etcd_events_pick(struct store *s, const struct store_pick *pick, store_event_fn fn, void *arg)
{
	return store_events_pick(self(s)->mirror, pick, fn, arg);
}

static uint64_t etcd_last_event(struct store *s)
{
	return store_last_event(self(s)->mirror);
}

/* While another leads: as last read. */
static int etcd_epoch(struct store *s, uint64_t *ret_epoch)
{
	*ret_epoch = self(s)->epoch;
	return 0;
}

static int put_epoch(struct etcd_store *e, uint64_t epoch)
{
	char text[24];

	if (may_write(e) != 0)
		return ERR_STORE;
	struct job *j = job_new(e);
	auto_free char *key = xasprintf("%s/epoch", e->cfg.prefix);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)epoch);
	json_array_append_new(j->ops, json_pack("{s:{s:o, s:o}}", "request_put", "key", etcd_b64(key),
						"value", etcd_b64(text)));
	if (submit(e, j) != 0)
		return ERR_STORE;
	e->epoch = epoch;
	return 0;
}

static int etcd_raise_epoch(struct store *s, uint64_t at_least)
{
	return self(s)->epoch >= at_least ? 0 : put_epoch(self(s), at_least);
}

/* The first of a term is the election's. */
static int etcd_next_epoch(struct store *s, uint64_t *ret_epoch)
{
	struct etcd_store *e = self(s);

	if (e->leading && !e->epoch_given) {
		e->epoch_given = true;
		*ret_epoch = e->epoch;
		return 0;
	}
	if (put_epoch(e, e->epoch + 1) != 0)
		return ERR_STORE;
	*ret_epoch = e->epoch;
	return 0;
}

static void etcd_close(struct store *s)
{
	struct etcd_store *e = self(s);

	worker_free(e->worker);
	store_close(e->mirror);
	free(e);
}

static const struct store_ops etcd_ops = {
	.close = etcd_close,
	.write = etcd_write,
	.get = etcd_get,
	.each = etcd_each,
	.events = etcd_events,
	.events_pick = etcd_events_pick,
	.last_event = etcd_last_event,
	.next_epoch = etcd_next_epoch,
	.epoch = etcd_epoch,
	.raise_epoch = etcd_raise_epoch,
};

/* -- news --------------------------------------------------------------------------------------------- */

struct polled {
	const struct store_etcd_news *fns;
	void *arg;
	bool changed;
};

static void take_event(struct etcd_store *e, const struct news *n, const struct polled *p)
{
	json_auto_t *j = json_loads(n->value, 0, NULL);
	json_int_t wall_ms = 0;
	struct store_event ev = { .id = n->number };

	if (json_unpack(j, "{s:I, s:s, s:s, s:s, s:s}", "wall_ms", &wall_ms, "kind", &ev.kind, "severity",
			&ev.severity, "text", &ev.text, "data", &ev.data) < 0)
		return; /* not ours */
	bool fresh = ev.id > store_last_event(e->mirror);
	ev.wall_ms = wall_ms;
	store_memory_event(e->mirror, &ev);
	if (fresh && p->fns && p->fns->event)
		p->fns->event(&ev, p->arg);
}

static void take_lead(struct etcd_store *e, const struct news *n, struct polled *p)
{
	if (n->lead == LEAD_WON) {
		e->leading = true;
		e->epoch = n->number;
		e->epoch_given = false;
		e->writes = 0;
	} else if (n->lead == LEAD_GONE) {
		e->leading = false;
	} else if (n->number && !e->leading) {
		e->epoch = n->number;
	}
	if (p->changed && p->fns && p->fns->changed) /* in order: first what came before */
		p->fns->changed(p->arg);
	p->changed = false;
	if (n->lead == LEAD_AWAY && n->value)
		store_fail(&e->s, "%s", n->value);
	if (p->fns && p->fns->lead)
		p->fns->lead(n->lead, n->at, n->lead == LEAD_SEEN_OTHER ? n->value : NULL, p->arg);
}

static void take_key(struct etcd_store *e, const struct news *n, struct polled *p)
{
	struct store_op op = { n->key, n->value };

	store_write(e->mirror, &op, 1, NULL);
	p->changed = true;
}

static void take(struct etcd_store *e, const struct news *n, struct polled *p)
{
	if (n->kind == NEWS_LEAD) {
		take_lead(e, n, p);
		return;
	}
	if (e->leading) /* an echo, or a write that was given up and is being undone */
		return;
	switch (n->kind) {
	case NEWS_RESET:
		store_memory_clear(e->mirror);
		p->changed = true;
		break;
	case NEWS_PUT:
	case NEWS_DELETE:
		take_key(e, n, p);
		break;
	case NEWS_EVENT:
		take_event(e, n, p);
		break;
	case NEWS_EVENT_GONE:
		store_memory_event_gone(e->mirror, n->number);
		break;
	case NEWS_LEAD:
		break;
	}
}

void store_etcd_poll(struct store *s, const struct store_etcd_news *fns, void *arg)
{
	struct etcd_store *e = self(s);
	struct polled p = { .fns = fns, .arg = arg };

	for (struct news *n = worker_news(e->worker), *next; n; n = next) {
		next = n->next;
		take(e, n, &p);
		news_free(n);
	}
	if (p.changed && fns && fns->changed)
		fns->changed(arg);
}

void store_etcd_ask(struct store *s, enum store_etcd_ask what)
{
	if (what == STORE_ETCD_RESIGN || what == STORE_ETCD_RELOAD)
		self(s)->leading = false;
	worker_ask(self(s)->worker, what);
}

void store_etcd_resign(struct store *s)
{
	store_etcd_ask(s, STORE_ETCD_RESIGN);
	worker_settle(self(s)->worker, RESIGN_MS);
}

struct store *store_open_etcd(const struct store_etcd_cfg *cfg)
{
	struct etcd_store *e = xcalloc(1, sizeof(*e));

	e->s.ops = &etcd_ops;
	e->s.ops_max = OPS_MAX;
	e->cfg = *cfg;
	if (!e->cfg.events_kept)
		e->cfg.events_kept = STORE_EVENTS_KEPT;
	e->mirror = store_memory_new(e->cfg.events_kept);
	e->worker = worker_new(&e->cfg);
	return &e->s;
}
