/* SPDX-License-Identifier: Apache-2.0
 * /v1/events: a list, or with Accept: text/event-stream a stream (Server-Sent Events, HTML standard 9.2).
 * /v1/events/{id}: one.
 * Owns the hub: one listener of events.h for all streams, and the heartbeat that keeps proxies and dead
 * connections honest.
 * A stream: REPLAY (rows of the store after Last-Event-ID, in batches) -> LIVE (told by the hub) -> closed.
 * In REPLAY the hub's news are skipped, because the store has them too. A reader that falls behind by more
 * than STREAM_BACKLOG_MAX is cut off; it comes back with Last-Event-ID. */
#include <string.h>
#include <uv.h>

#include "controller/api/api_int.h"

#define LIST_DEFAULT	   100
#define LIST_MAX	   1000
#define REPLAY_BATCH	   100
#define STREAMS_MAX	   1500
#define STREAM_BACKLOG_MAX (256 * 1024)
#define KINDS_LEN	   256

struct sub {
	struct sub *prev, *next;
	struct hub *hub;
	struct stream *stream; /* NULL before the first read */
	char kinds[KINDS_LEN]; /* comma separated; "" is all */
	uint64_t cursor;       /* the last id it has seen or skipped */
	bool live, overrun, revoked;
	uint8_t token[AUTH_HASH_LEN];
	struct buf out;
};

struct hub {
	struct api *a;
	void *listening;
	uv_timer_t heartbeat;
	struct sub *subs;
	size_t n;
};

/* -- the list ----------------------------------------------------------------------------------------- */

struct listing {
	json_t *list;
	size_t limit;
	uint64_t last; /* of the rows that were shown */
};

static int list_row(const struct store_event *ev, void *arg)
{
	struct listing *l = arg;

	json_array_append_new(l->list, events_json(ev));
	l->last = ev->id;
	return json_array_size(l->list) == l->limit;
}

static void turn_round(json_t *list)
{
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n / 2; i++) {
		json_t *a = json_incref(json_array_get(list, i)), *b = json_array_get(list, n - 1 - i);
		json_array_set(list, i, b);
		json_array_set_new(list, n - 1 - i, a);
	}
}

static struct response list(struct api *a, const struct request *req, const char *kinds)
{
	uint64_t after, limit;
	struct response error;

	if (!view_query_uint(req, "limit", LIST_DEFAULT, LIST_MAX, &limit, &error) ||
	    !view_query_uint(req, "after", 0, UINT64_MAX, &after, &error))
		return error;
	bool newest = !request_query(req, "after");
	struct store_pick pick = { .kinds = kinds, .newest_first = newest, .after = after };
	struct listing l = { .list = json_array(), .limit = limit ? (size_t)limit : 1 };
	uint64_t last = store_last_event(a->c->store);
	int r = store_events_pick(a->c->store, &pick, list_row, &l);
	if (r != 0) {
		json_decref(l.list);
		return problem(503, "The store does not answer: %s.", store_why(a->c->store));
	}
	if (newest)
		turn_round(l.list);
	/* a page that is not full has seen everything */
	uint64_t next = !newest && json_array_size(l.list) == l.limit ? l.last : after > last ? after : last;
	return view_reply(200, json_pack("{s:o, s:I, s:I}", "events", l.list, "next", (json_int_t)next,
					 "last", (json_int_t)last));
}

/* -- one ---------------------------------------------------------------------------------------------- */

static int one_row(const struct store_event *ev, void *arg)
{
	json_t **ret = arg;

	*ret = events_json(ev);
	return 1;
}

struct response res_events_one(struct api *a, const struct request *req)
{
	uint64_t id = view_id(req->params[0]);
	json_auto_t *ev = NULL;

	if (id && store_events(a->c->store, id - 1, 1, one_row, &ev) != 0)
		return problem(503, "The store does not answer: %s.", store_why(a->c->store));
	/* where old ones were dropped, the next that is kept comes back */
	if (!ev || (uint64_t)json_integer_value(json_object_get(ev, "id")) != id)
		return problem(404, "There is no event %.20s; the newest is %llu, and the last %d are kept.",
			       req->params[0], (unsigned long long)store_last_event(a->c->store),
			       STORE_EVENTS_KEPT);
	return view_reply(200, json_incref(ev));
}

/* -- the stream --------------------------------------------------------------------------------------- */

static void format(const struct store_event *ev, struct buf *out)
{
	json_auto_t *j = events_json(ev);
	auto_free char *text = json_dumps(j, JSON_COMPACT);

	/* an event the store did not take has no id to come back with */
	if (ev->id)
		buf_addf(out, "id: %llu\n", (unsigned long long)ev->id);
	buf_addf(out, "event: %s\ndata: %s\n\n", ev->kind, text ? text : "{}");
}

static void sub_add(struct sub *s, const struct buf *text)
{
	if (s->out.len + text->len > STREAM_BACKLOG_MAX && s->out.len)
		s->overrun = true;
	else
		buf_add(&s->out, text->data, text->len);
	if (s->stream)
		stream_wake(s->stream);
}

static void on_event(const struct store_event *ev, void *arg)
{
	struct hub *h = arg;
	auto_buf text = { 0 };

	for (struct sub *s = h->subs; s; s = s->next) {
		if (!s->live || (ev->id && ev->id <= s->cursor))
			continue;
		if (ev->id)
			s->cursor = ev->id;
		if (!store_kind_wanted(s->kinds, ev->kind))
			continue;
		if (!text.len)
			format(ev, &text);
		sub_add(s, &text);
	}
}

static void on_heartbeat(uv_timer_t *t)
{
	static char beat[] = ": heartbeat\n\n";
	const struct buf text = { .data = beat, .len = sizeof(beat) - 1 };
	struct hub *h = t->data;

	for (struct sub *s = h->subs; s; s = s->next)
		sub_add(s, &text);
}

static int replay_row(const struct store_event *ev, void *arg)
{
	struct sub *s = arg;

	/* ids have no gaps: what is missing here was dropped for age */
	if (ev->id > s->cursor + 1)
		buf_addf(&s->out, "event: gap\ndata: {\"from\":%llu,\"to\":%llu}\n\n",
			 (unsigned long long)s->cursor + 1, (unsigned long long)ev->id - 1);
	s->cursor = ev->id;
	if (store_kind_wanted(s->kinds, ev->kind))
		format(ev, &s->out);
	return 0;
}

/* One more batch; when the store has no more, the hub takes over in the same turn of the loop. */
static bool replay(struct sub *s)
{
	struct store *store = s->hub->a->c->store;

	while (!s->live && !s->out.len) {
		if (s->cursor >= store_last_event(store))
			s->live = true;
		else if (store_events(store, s->cursor, REPLAY_BATCH, replay_row, s) != 0)
			return false;
	}
	return true;
}

static void sub_open(void *arg, struct stream *st)
{
	struct sub *s = arg;

	s->stream = st;
}

static ssize_t sub_read(void *arg, char *buf, size_t max)
{
	struct sub *s = arg;

	if (s->overrun || s->revoked || (!s->live && !replay(s)))
		return -1;
	size_t n = s->out.len < max ? s->out.len : max;
	if (!n)
		return 0;
	memcpy(buf, s->out.data, n);
	buf_drop(&s->out, n);
	return (ssize_t)n;
}

static void sub_close(void *arg)
{
	struct sub *s = arg;

	if (s->next)
		s->next->prev = s->prev;
	*(s->prev ? &s->prev->next : &s->hub->subs) = s->next;
	s->hub->n--;
	buf_done(&s->out);
	free(s);
}

static const struct stream_ops sub_ops = { .open = sub_open, .read = sub_read, .close = sub_close };

static struct response stream(struct api *a, const struct request *req, const char *kinds, uint64_t after)
{
	struct hub *h = a->hub;
	struct sub *s;

	if (h->n >= STREAMS_MAX) {
		struct response full = problem(503, "There are %zu event streams already.", h->n);
		full.retry_after_s = 10;
		return full;
	}
	s = xcalloc(1, sizeof(*s));
	s->hub = h;
	s->cursor = after;
	memcpy(s->token, req->token, sizeof(s->token));
	snprintf(s->kinds, sizeof(s->kinds), "%s", kinds);
	buf_adds(&s->out, "retry: 2000\n\n");
	s->next = h->subs;
	if (s->next)
		s->next->prev = s;
	h->subs = s;
	h->n++;
	return (struct response){
		.status = 200, .type = "text/event-stream", .stream = &sub_ops, .stream_arg = s
	};
}

/* Last-Event-ID wins over ?after=: it is what a reconnecting client adds by itself. */
static struct response start_stream(struct api *a, const struct request *req, const char *kinds)
{
	uint64_t last = store_last_event(a->c->store), after;
	struct request with_header = *req;
	struct response error;

	if (req->header[HDR_LAST_EVENT_ID]) {
		with_header.query[0] = (struct http_query){ "after", req->header[HDR_LAST_EVENT_ID] };
		with_header.n_query = 1;
	}
	if (!view_query_uint(&with_header, "after", last, last, &after, &error))
		return error;
	return stream(a, req, kinds, after);
}

struct response res_events_get(struct api *a, const struct request *req)
{
	const char *kinds = request_query(req, "kind"), *accept = req->header[HDR_ACCEPT];

	if (kinds && strlen(kinds) >= KINDS_LEN)
		return problem(400, "?kind= is longer than %d bytes.", KINDS_LEN - 1);
	if (accept && strstr(accept, "text/event-stream"))
		return start_stream(a, req, kinds ? kinds : "");
	return list(a, req, kinds ? kinds : "");
}

/* -- the hub ------------------------------------------------------------------------------------------ */

struct hub *hub_new(struct api *a, uint64_t heartbeat_ms)
{
	struct hub *h = xcalloc(1, sizeof(*h));

	h->a = a;
	h->listening = events_listen(a->c->events, on_event, h);
	uv_timer_init(a->c->loop, &h->heartbeat);
	h->heartbeat.data = h;
	uv_timer_start(&h->heartbeat, on_heartbeat, heartbeat_ms, heartbeat_ms);
	return h;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void hub_free(struct hub *h)
{
	if (!h)
		return;
	events_ignore(h->a->c->events, h->listening);
	uv_close((uv_handle_t *)&h->heartbeat, on_closed);
}

void hub_recheck(struct hub *h)
{
	for (struct sub *s = h->subs; s; s = s->next) {
		if (auth_still(h->a->auth, s->token))
			continue;
		s->revoked = true;
		if (s->stream)
			stream_wake(s->stream);
	}
}

size_t hub_listeners(const struct hub *h)
{
	return h->n;
}
