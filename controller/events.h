/* SPDX-License-Identifier: Apache-2.0
 * One event is a log line, a stored row, and a message to every listener (SSE) at once.
 * A store that fails does not lose the event for log and listeners. */
#ifndef CTRL_EVENTS_H
#define CTRL_EVENTS_H
#include <jansson.h>
#include <stdbool.h>

#include "controller/store.h"

struct events;
struct events *events_new(struct store *s);
void events_free(struct events *e);
/* data: stolen, may be NULL. ops: written in the same transaction, so that a decision and its record cannot
 * part. 0 or ERR_STORE (then ops were not written). */
int events_emit(struct events *e, const struct store_op *ops, size_t n_ops, const char *kind,
		const char *severity, json_t *data, const char *fmt, ...)
	__attribute__((format(printf, 7, 8)));
/* Several events in one transaction with the ops: all or nothing. data and text are stolen. */
struct events_draft {
	const char *kind, *severity;
	char *text; /* heap */
	json_t *data;
};
int events_emit_all(struct events *e, const struct store_op *ops, size_t n_ops, struct events_draft *drafts,
		    size_t n);
typedef void (*events_fn)(const struct store_event *ev, void *arg);
/* Called for every event from the loop's thread. Returns a handle for events_ignore. */
void *events_listen(struct events *e, events_fn fn, void *arg);
void events_ignore(struct events *e, void *handle);
/* A standby's events are its own affair: told to log and listeners, never stored. */
void events_standby(struct events *e, bool standby);
/* An event that another controller stored: to the listeners alone. */
void events_follow(struct events *e, const struct store_event *ev);
/* Told and not stored yet, because the store fails. */
size_t events_unstored(const struct events *e);
/* {"id", "time" (RFC 3339), "kind", "severity", "text", "data"} */
json_t *events_json(const struct store_event *ev);
/* Number emitted so far by kind, for metrics: fn per kind. */
void events_counts(const struct events *e, void (*fn)(const char *kind, uint64_t n, void *arg), void *arg);
#endif
