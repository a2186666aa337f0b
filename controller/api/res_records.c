/* SPDX-License-Identifier: Apache-2.0
 * /v1/decisions and /v1/audit: two readings of the events in the store. Decisions are what was ordered, with
 * its reason; the audit is what people and their deadlines did: every event that names an actor.
 * Newest first; ?before=ID goes on. A page may be short, or empty, and still have a next: one request looks
 * at SCAN_MAX events at most, so that it never holds up the loop. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controller/api/api_int.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000
#define SCAN_STEP    500
#define SCAN_MAX     4000

struct scan {
	const struct request *req;
	json_t *(*take)(const struct scan *s, const struct store_event *ev); /* NULL: not this one */
	int64_t from_ms, to_ms;						     /* of the audit */
	uint64_t end;  /* rows from here on are left alone */
	json_t *found; /* of one step, oldest first */
};

static int scan_row(const struct store_event *ev, void *arg)
{
	struct scan *s = arg;

	if (ev->id >= s->end)
		return 1;
	json_t *j = s->take(s, ev);
	if (j)
		json_array_append_new(s->found, j);
	return 0;
}

static uint64_t id_at(json_t *list, size_t i)
{
	return (uint64_t)json_integer_value(json_object_get(json_array_get(list, i), "id"));
}

/* Steps backwards from before until there are enough. *ret_next: 0 at the oldest. */
static int scan_back(struct store *store, struct scan *s, uint64_t before, size_t limit, json_t *list,
		     uint64_t *ret_next)
{
	uint64_t last = store_last_event(store),
		 oldest = last > STORE_EVENTS_KEPT ? last - STORE_EVENTS_KEPT : 0;
	uint64_t stop = before > SCAN_MAX ? before - SCAN_MAX : 1;

	s->end = before;
	while (s->end > oldest + 1 && s->end > stop && json_array_size(list) < limit) {
		uint64_t from = s->end > SCAN_STEP ? s->end - SCAN_STEP : 1;
		json_auto_t *found = s->found = json_array();
		if (store_events(store, from - 1, SCAN_STEP, scan_row, s) != 0)
			return -1;
		s->end = from;
		for (size_t i = json_array_size(found); i-- > 0 && json_array_size(list) < limit;) {
			json_array_append(list, json_array_get(found, i));
			if (json_array_size(list) == limit)
				s->end = id_at(found, i);
		}
	}
	*ret_next = s->end > oldest + 1 ? s->end : 0;
	return 0;
}

static struct response records(struct api *a, struct scan *s, const char *name)
{
	uint64_t limit, before, next, last = store_last_event(a->c->store);
	struct response error;

	if (!view_query_uint(s->req, "limit", PAGE_DEFAULT, PAGE_MAX, &limit, &error) ||
	    !view_query_uint(s->req, "before", last + 1, last + 1, &before, &error))
		return error;
	json_t *list = json_array();
	if (scan_back(a->c->store, s, before, limit ? (size_t)limit : 1, list, &next) != 0) {
		json_decref(list);
		return problem(503, "The store does not answer: %s.", store_why(a->c->store));
	}
	return view_reply(200, json_pack("{s:o, s:o}", name, list, "next",
					 next ? json_integer((json_int_t)next) : json_null()));
}

/* -- decisions ---------------------------------------------------------------------------------------- */

static bool is_wanted(json_t *data, const struct request *req, const char *key)
{
	const char *wanted = request_query(req, key), *is = json_string_value(json_object_get(data, key));

	return !wanted || (is && strcmp(wanted, is) == 0);
}

static json_t *decision_json(const struct store_event *ev)
{
	json_auto_t *e = events_json(ev);
	json_t *d = json_object_get(e, "data"), *j = json_object();
	static const char *const words[] = { "site", "shard", "from", "to", "kind", "why" };

	json_object_set(j, "id", json_object_get(e, "id"));
	json_object_set(j, "time", json_object_get(e, "time"));
	json_object_set(j, "text", json_object_get(e, "text"));
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		json_object_set_new(j, words[i],
				    view_text(json_string_value(json_object_get(d, words[i])) ?: ""));
	json_t *predicted = json_object_get(d, "predicted");
	json_object_set(j, "predicted", predicted ? predicted : json_null());
	return j;
}

static json_t *take_decision(const struct scan *s, const struct store_event *ev)
{
	if (strcmp(ev->kind, "decision") != 0)
		return NULL;
	json_t *j = decision_json(ev);
	if (is_wanted(j, s->req, "site") && is_wanted(j, s->req, "shard"))
		return j;
	json_decref(j);
	return NULL;
}

struct response res_decisions_list(struct api *a, const struct request *req)
{
	return records(a, &(struct scan){ .req = req, .take = take_decision }, "decisions");
}

static int one_decision(const struct store_event *ev, void *arg)
{
	json_t **ret = arg;

	if (strcmp(ev->kind, "decision") == 0)
		*ret = decision_json(ev);
	return 1;
}

/* What has become of it: the cell as it is now, when it still exists. */
static json_t *cell_now(const struct model *m, json_t *decision)
{
	const char *site = json_string_value(json_object_get(decision, "site")),
		   *shard = json_string_value(json_object_get(decision, "shard"));
	ssize_t i = cluster_site(m->cl, site), k = cluster_shard(m->cl, shard);

	return i < 0 || k < 0 ? json_null() : view_cell(m, (size_t)i, (size_t)k, VIEW_SHARD, mono_now());
}

struct response res_decisions_get(struct api *a, const struct request *req)
{
	uint64_t id = view_id(req->params[0]);
	json_t *j = NULL;

	if (id && store_events(a->c->store, id - 1, 1, one_decision, &j) != 0)
		return problem(503, "The store does not answer: %s.", store_why(a->c->store));
	if (!j || (uint64_t)json_integer_value(json_object_get(j, "id")) != id) {
		json_decref(j);
		return problem(404, "There is no decision %.20s: the last %d events are kept.",
			       req->params[0], STORE_EVENTS_KEPT);
	}
	json_object_set_new(j, "now", cell_now(&a->c->model, j));
	return view_reply(200, j);
}

/* -- audit -------------------------------------------------------------------------------------------- */

static json_t *take_audit(const struct scan *s, const struct store_event *ev)
{
	const char *kinds = request_query(s->req, "kind");

	if (ev->wall_ms < s->from_ms || ev->wall_ms > s->to_ms || !ev->data ||
	    !strstr(ev->data, "\"actor\"") || (kinds && !view_kind_wanted(kinds, ev->kind)))
		return NULL;
	json_auto_t *e = events_json(ev);
	json_t *d = json_object_get(e, "data");
	const char *reason = json_string_value(json_object_get(d, "reason"));
	if (!json_is_string(json_object_get(d, "actor")) || !is_wanted(d, s->req, "actor"))
		return NULL;
	return json_pack("{s:O, s:O, s:O, s:O, s:o, s:O, s:O}", "id", json_object_get(e, "id"), "time",
			 json_object_get(e, "time"), "actor", json_object_get(d, "actor"), "kind",
			 json_object_get(e, "kind"), "reason", view_text(reason ? reason : ""), "text",
			 json_object_get(e, "text"), "data", d);
}

/* RFC 3339 in UTC: 2026-01-31T12:00:00Z, fractions allowed. */
static bool read_time(const struct request *req, const char *key, int64_t def, int64_t *ret_ms,
		      struct response *ret_error)
{
	const char *s = request_query(req, key);
	struct tm tm = { 0 };

	*ret_ms = def;
	if (!s)
		return true;
	const char *end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	double fraction = 0;
	if (end && *end == '.') {
		char *after;
		fraction = strtod(end, &after);
		end = after;
	}
	if (!end || strcmp(end, "Z") != 0) {
		*ret_error = problem(400, "?%s= must be a time such as 2026-01-31T12:00:00Z.", key);
		return false;
	}
	*ret_ms = (int64_t)timegm(&tm) * 1000 + (int64_t)(fraction * 1000);
	return true;
}

struct response res_audit_list(struct api *a, const struct request *req)
{
	struct scan s = { .req = req, .take = take_audit };
	struct response error;

	if (!read_time(req, "from", INT64_MIN, &s.from_ms, &error) ||
	    !read_time(req, "to", INT64_MAX, &s.to_ms, &error))
		return error;
	return records(a, &s, "audit");
}
