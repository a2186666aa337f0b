/* SPDX-License-Identifier: Apache-2.0
 * Events: owns the list of listeners and the counts by kind. An event goes to the store first, so that it has
 * its id, then to the log, then to the listeners.
 * A store that fails: an event alone is still told (id 0), and stored when it takes writes again; the last
 * LATE_MAX such events are kept. An event with ops tells of a change that now did
 * not happen, so the refusal is told instead, as an alert "store.failed". */
#include "controller/events.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define KINDS_MAX 128 /* kinds are words in our own source; this catches a mistake */
#define KIND_LEN  48
#define LATE_MAX  500

struct listener {
	struct listener *next;
	events_fn fn; /* NULL: ignored during a call, freed after it */
	void *arg;
};

struct count {
	char kind[KIND_LEN];
	uint64_t n;
};

struct events {
	struct store *store;
	bool standby;
	struct listener *listeners;
	struct store_event late[LATE_MAX]; /* a ring of copies: [first_late .. + n_late) */
	size_t first_late, n_late;
	int telling; /* depth: a listener may emit, or be ignored, while it is told */
	struct count counts[KINDS_MAX];
	size_t n_counts;
};

struct events *events_new(struct store *s)
{
	struct events *e = xcalloc(1, sizeof(*e));

	e->store = s;
	return e;
}

static void sweep(struct events *e)
{
	for (struct listener **p = &e->listeners; *p;) {
		struct listener *l = *p;
		if (l->fn) {
			p = &l->next;
			continue;
		}
		*p = l->next;
		free(l);
	}
}

/* -- told, and not stored yet ------------------------------------------------------------------------- */

static void drop_late(struct events *e)
{
	struct store_event *ev = &e->late[e->first_late];
	const char *texts[] = { ev->kind, ev->severity, ev->text, ev->data };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free((void *)(uintptr_t)texts[i]);
	e->first_late = (e->first_late + 1) % LATE_MAX;
	e->n_late--;
}

static void keep_late(struct events *e, const struct store_event *ev)
{
	if (e->n_late == LATE_MAX)
		drop_late(e);
	e->late[(e->first_late + e->n_late++) % LATE_MAX] = (struct store_event){
		.wall_ms = ev->wall_ms,
		.kind = xstrdup(ev->kind),
		.severity = xstrdup(ev->severity),
		.text = xstrdup(ev->text),
		.data = xstrdup(ev->data),
	};
}

/* In their order, before anything newer. */
static void store_late(struct events *e)
{
	while (e->n_late && store_write(e->store, NULL, 0, &e->late[e->first_late]) == 0)
		drop_late(e);
}

size_t events_unstored(const struct events *e)
{
	return e->n_late;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	while (e->n_late)
		drop_late(e);
	for (struct listener *l = e->listeners; l; l = l->next)
		l->fn = NULL;
	sweep(e);
	free(e);
}

void *events_listen(struct events *e, events_fn fn, void *arg)
{
	struct listener *l = xcalloc(1, sizeof(*l));

	*l = (struct listener){ .next = e->listeners, .fn = fn, .arg = arg };
	e->listeners = l;
	return l;
}

void events_ignore(struct events *e, void *handle)
{
	struct listener *l = handle;

	if (!l)
		return;
	l->fn = NULL;
	if (!e->telling)
		sweep(e);
}

static void count(struct events *e, const char *kind)
{
	size_t i = 0;

	while (i < e->n_counts && strcmp(e->counts[i].kind, kind) != 0)
		i++;
	if (i == KINDS_MAX)
		return;
	if (i == e->n_counts)
		snprintf(e->counts[e->n_counts++].kind, KIND_LEN, "%s", kind);
	e->counts[i].n++;
}

static void hand_out(struct events *e, const struct store_event *ev)
{
	e->telling++;
	for (struct listener *l = e->listeners; l; l = l->next)
		if (l->fn)
			l->fn(ev, l->arg);
	if (--e->telling == 0)
		sweep(e);
}

static void tell(struct events *e, const struct store_event *ev)
{
	bool alert = strcmp(ev->severity, "alert") == 0, warning = strcmp(ev->severity, "warning") == 0;

	log_write(alert	    ? LOG_LEVEL_ERROR
		  : warning ? LOG_LEVEL_WARN
			    : LOG_LEVEL_INFO,
		  "%s: %s", ev->kind, ev->text);
	count(e, ev->kind);
	hand_out(e, ev);
}

void events_standby(struct events *e, bool standby)
{
	e->standby = standby;
	while (standby && e->n_late) /* another leads: the history is its now */
		drop_late(e);
}

void events_follow(struct events *e, const struct store_event *ev)
{
	count(e, ev->kind);
	hand_out(e, ev);
}

/* An event alone is told all the same; a change that did not happen is told as one refusal. */
static void tell_failure(struct events *e, struct store_event *evs, size_t n, size_t n_ops)
{
	log_error("store: event \"%s\" is not stored: %s", evs[0].kind, store_why(e->store));
	for (size_t i = 0; i < n && !n_ops; i++) {
		evs[i].id = 0;
		keep_late(e, &evs[i]);
		tell(e, &evs[i]);
	}
	if (!n_ops)
		return;
	auto_free char *more = n > 1 ? xasprintf(" (and %zu more)", n - 1) : xstrdup("");
	auto_free char *text = xasprintf("not done, because the store failed (%s): %s%s", store_why(e->store),
					 evs[0].text, more);
	struct store_event ev = evs[0];
	ev.id = 0;
	ev.kind = "store.failed";
	ev.severity = "alert";
	ev.text = text;
	keep_late(e, &ev);
	tell(e, &ev);
}

static int emit(struct events *e, const struct store_op *ops, size_t n_ops, struct store_event *evs, size_t n)
{
	if (e->standby && !n_ops) {
		for (size_t i = 0; i < n; i++)
			tell(e, &evs[i]);
		return 0;
	}
	store_late(e);
	int r = store_write_events(e->store, ops, n_ops, evs, n);
	for (size_t i = 0; i < n && r == 0; i++)
		tell(e, &evs[i]);
	if (r != 0)
		tell_failure(e, evs, n, n_ops);
	return r;
}

static char *data_text(json_t *data)
{
	char *json = data ? json_dumps(data, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(data);
	return json ? json : xstrdup("{}");
}

int events_emit_all(struct events *e, const struct store_op *ops, size_t n_ops, struct events_draft *drafts,
		    size_t n)
{
	auto_free struct store_event *evs = xcalloc(n + 1, sizeof(*evs));
	int64_t now = wall_now_ms();

	for (size_t i = 0; i < n; i++)
		evs[i] = (struct store_event){ .wall_ms = now,
					       .kind = drafts[i].kind,
					       .severity = drafts[i].severity,
					       .text = drafts[i].text,
					       .data = data_text(drafts[i].data) };
	int r = n ? emit(e, ops, n_ops, evs, n) : 0;
	for (size_t i = 0; i < n; i++) {
		free(drafts[i].text);
		free((void *)(uintptr_t)evs[i].data);
	}
	return r;
}

int events_emit(struct events *e, const struct store_op *ops, size_t n_ops, const char *kind,
		const char *severity, json_t *data, const char *fmt, ...)
{
	auto_free char *json = data_text(data);
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct store_event ev = {
		.wall_ms = wall_now_ms(), .kind = kind, .severity = severity, .text = text, .data = json
	};
	return emit(e, ops, n_ops, &ev, 1);
}

static json_t *time_json(int64_t wall_ms)
{
	time_t s = (time_t)(wall_ms / 1000);
	char day[32];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	return json_sprintf("%s.%03dZ", day, (int)(wall_ms % 1000));
}

/* A reason may have been cut inside a UTF-8 character. */
static json_t *text_json(const char *s)
{
	json_t *j = json_string(s);

	if (j)
		return j;
	auto_free char *ascii = xstrdup(s);
	for (char *p = ascii; *p; p++)
		if (*p & 0x80)
			*p = '?';
	return json_string(ascii);
}

json_t *events_json(const struct store_event *ev)
{
	json_t *data = json_loads(ev->data ? ev->data : "{}", 0, NULL);

	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "id", (json_int_t)ev->id, "time",
			 time_json(ev->wall_ms), "kind", text_json(ev->kind), "severity",
			 text_json(ev->severity), "text", text_json(ev->text), "data",
			 data ? data : json_object());
}

void events_counts(const struct events *e, void (*fn)(const char *kind, uint64_t n, void *arg), void *arg)
{
	for (size_t i = 0; i < e->n_counts; i++)
		fn(e->counts[i].kind, e->counts[i].n, arg);
}
