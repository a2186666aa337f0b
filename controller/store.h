/* SPDX-License-Identifier: Apache-2.0
 * Durable state: small keyed values and an append-only list of events. A call that returned 0 is durable.
 * Implementations: store_sqlite.c (WAL, synchronous=FULL, schema version in user_version), store_memory.c.
 * Keys: "cluster", "mode", "drain/site/NAME", "drain/node/NAME",
 * "drain/service/NAME/SITE", "override/ID", "token/NAME", "token-uses", "engine", "guard",
 * "grade/SITE/SHARD". Values are text up to STORE_VALUE_MAX. Wall time appears in events only. */
#ifndef CTRL_STORE_H
#define CTRL_STORE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/mono.h"

#define STORE_VALUE_MAX	  (8 * 1024 * 1024)
#define STORE_EVENTS_KEPT 20000

struct store;

/* why: TEXT_LEN bytes, says what to do (newer schema, not writable, not a database). */
int store_open_sqlite(const char *path, struct store **ret_store, char *ret_why);
int store_open_memory(struct store **ret_store);
void store_close(struct store *s);

struct store_op {
	const char *key;
	const char *value; /* NULL deletes */
};
struct store_event {
	uint64_t id; /* given by the store, rising from 1 without gaps */
	int64_t wall_ms;
	const char *kind;     /* "mode", "drain", "decision", "node.up", "guard.hold", ... */
	const char *severity; /* "info", "warning", "alert" */
	const char *text;     /* one sentence */
	const char *data;     /* JSON object text */
};

/* All ops and, when not NULL, the event: one transaction. ev->id is set. ERR_STORE: nothing happened. */
int store_write(struct store *s, const struct store_op *ops, size_t n, struct store_event *ev);
/* The same with several events: their ids follow each other. */
int store_write_events(struct store *s, const struct store_op *ops, size_t n, struct store_event *evs,
		       size_t n_evs);
/* So many keys and events together are to be written at once: what a store of its own takes (etcd), or what
 * does not keep the loop waiting. */
#define STORE_OPS_MAX 4096
size_t store_ops_max(const struct store *s);
/* 0 with *ret_value (heap), or -ENOENT. */
int store_get(struct store *s, const char *key, char **ret_value);
/* Keys that start with prefix, in order. fn returns nonzero to stop. */
int store_each(struct store *s, const char *prefix, int (*fn)(const char *key, const char *value, void *arg),
	       void *arg);
/* Events with id > after, oldest first, at most limit. */
int store_events(struct store *s, uint64_t after, size_t limit,
		 int (*fn)(const struct store_event *ev, void *arg), void *arg);
/* Which of the events: a question about few reads few rows. */
struct store_pick {
	const char *kinds;	/* as store_kind_wanted */
	bool actor;		/* only those whose data may name an actor */
	bool newest_first;	/* else oldest first */
	uint64_t after, before; /* ids, these two not included; before 0: to the end */
};
/* fn returns nonzero to stop. */
int store_events_pick(struct store *s, const struct store_pick *pick,
		      int (*fn)(const struct store_event *ev, void *arg), void *arg);
/* kinds: separated by commas, each also for what follows it and a dot ("agent": "agent.up"); "" is every
 * kind. */
bool store_kind_wanted(const char *kinds, const char *kind);
uint64_t store_last_event(struct store *s);
/* A new epoch, greater than any before, durable. */
int store_next_epoch(struct store *s, uint64_t *ret_epoch);
/* The last one given. */
int store_epoch(struct store *s, uint64_t *ret_epoch);
/* The next one will be greater than that. */
int store_raise_epoch(struct store *s, uint64_t at_least);

/* One file, consistent, of a store that may be in use; to must not exist. Damage in from is found. */
int store_copy_sqlite(const char *from, const char *to, char *ret_why);
/* Nobody else opens path while *ret_fd is open. */
int store_lock_sqlite(const char *path, int *ret_fd, char *ret_why);
/* Of writes: since when they fail, and how many did. failing_since is unset again by a write that succeeds
 * STORE_SOUND_MS after the last failure. */
#define STORE_SOUND_MS 3000
struct store_health {
	mono_t failing_since, failed_at;
	uint64_t failures;
};
const struct store_health *store_health(const struct store *s);
/* Why the last call failed. */
const char *store_why(const struct store *s);
#endif
