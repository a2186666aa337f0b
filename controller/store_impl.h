/* SPDX-License-Identifier: Apache-2.0
 * What a store implementation provides; store.c dispatches. ops run on the loop's thread. */
#ifndef CTRL_STORE_IMPL_H
#define CTRL_STORE_IMPL_H
#include "controller/store.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/wire/msg.h"

typedef int (*store_kv_fn)(const char *key, const char *value, void *arg);
typedef int (*store_event_fn)(const struct store_event *ev, void *arg);

struct store_ops {
	void (*close)(struct store *s);
	int (*write)(struct store *s, const struct store_op *ops, size_t n, struct store_event *evs,
		     size_t n_evs);
	int (*get)(struct store *s, const char *key, char **ret_value);
	int (*each)(struct store *s, const char *prefix, store_kv_fn fn, void *arg);
	int (*events)(struct store *s, uint64_t after, size_t limit, store_event_fn fn, void *arg);
	int (*events_pick)(struct store *s, const struct store_pick *pick, store_event_fn fn, void *arg);
	uint64_t (*last_event)(struct store *s);
	int (*next_epoch)(struct store *s, uint64_t *ret_epoch);
	int (*epoch)(struct store *s, uint64_t *ret_epoch);
	int (*raise_epoch)(struct store *s, uint64_t at_least);
};

/* First member of every implementation. */
struct store {
	const struct store_ops *ops;
	char why[TEXT_LEN];
	struct store_health health;
	size_t ops_max; /* it takes no more; 0: no limit of its own */
};

/* Sets why, returns ERR_STORE. */
int store_fail(struct store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The memory store as a mirror of a shared one: events have their ids already. */
struct store *store_memory_new(size_t events_kept);
void store_memory_event(struct store *s, const struct store_event *ev);
void store_memory_event_gone(struct store *s, uint64_t id);
void store_memory_clear(struct store *s); /* keys only */
#endif
