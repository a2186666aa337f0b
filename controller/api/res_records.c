/* SPDX-License-Identifier: Apache-2.0
 * /v1/decisions and /v1/audit: two readings of the events in the store. Decisions are what was ordered, with
 * its reason; the audit is what people and their deadlines did: every event that names an actor.
 * Newest first; ?before=ID goes on. A page may be short, or empty, and still have a next: one request reads
 * SCAN_MAX of the events of its kind at most, so that it never holds up the loop. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controller/api/api_int.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000
#define SCAN_MAX     1000

struct scan {
	const struct request *req;
	json_t *(*take)(const struct scan *s, const struct store_event *ev); /* NULL: not this one */
	struct store_pick pick;
	const char *keys[2]; /* of the query: what the event's data must say */
	char *texts[2];	     /* the same as it stands in the data, or NULL: to be found before it is parsed */
	int64_t from_ms, to_ms; /* of the audit */
	size_t limit, looked;
	uint64_t at; /* the last one looked at */
	json_t *list;
};

static bool may_be_wanted(const struct scan *s, const struct store_event *ev)
{
	for (size_t i = 0; i < ARRAY_LEN(s->texts); i++)
		if (s->texts[i] && !strstr(ev->data, s->texts[i]))
			return false;
	return true;
}

static int scan_row(const struct store_event *ev, void *arg)
{
	struct scan *s = arg;
	json_t *j = may_be_wanted(s, ev) ? s->take(s, ev) : NULL;

	if (j)
		json_array_append_new(s->list, j);
	s->at = ev->id;
	return ++s->looked == SCAN_MAX || json_array_size(s->list) == s->limit;
}

static int scan(struct store *store, struct scan *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->keys); i++) {
		const char *wanted = s->keys[i] ? request_query(s->req, s->keys[i]) : NULL;
		json_auto_t *j = wanted ? json_string(wanted) : NULL;
		s->texts[i] = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
	}
	s->list = json_array();
	int r = store_events_pick(store, &s->pick, scan_row, s);
	for (size_t i = 0; i < ARRAY_LEN(s->texts); i++)
		free(s->texts[i]);
	return r;
}

static struct response records(struct api *a, struct scan *s, const char *name)
{
	uint64_t limit, before, last = store_last_event(a->c->store);
	struct response error;

	if (!view_query_uint(s->req, "limit", PAGE_DEFAULT, PAGE_MAX, &limit, &error) ||
	    !view_query_uint(s->req, "before", last + 1, last + 1, &before, &error))
		return error;
	s->limit = limit ? (size_t)limit : 1;
	s->pick.newest_first = true;
	s->pick.before = before;
	if (before && scan(a->c->store, s) != 0) {
		json_decref(s->list);
		return problem(503, "The store does not answer: %s.", store_why(a->c->store));
	}
	if (!s->list)
		s->list = json_array();
	uint64_t oldest = last > STORE_EVENTS_KEPT ? last - STORE_EVENTS_KEPT + 1 : 1;
	bool stopped = s->at > oldest && (s->looked == SCAN_MAX || json_array_size(s->list) == s->limit);
	return view_reply(200, json_pack("{s:o, s:o}", name, s->list, "next",
					 stopped ? json_integer((json_int_t)s->at) : json_null()));
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
	return records(a,
		       &(struct scan){ .req = req,
				       .take = take_decision,
				       .keys = { "site", "shard" },
				       .pick = { .kinds = "decision" } },
		       "decisions");
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
	if (ev->wall_ms < s->from_ms || ev->wall_ms > s->to_ms)
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
	const char *kinds = request_query(req, "kind");
	struct scan s = { .req = req,
			  .take = take_audit,
			  .keys = { "actor" },
			  .pick = { .kinds = kinds ? kinds : "", .actor = true } };
	struct response error;

	if (!read_time(req, "from", INT64_MIN, &s.from_ms, &error) ||
	    !read_time(req, "to", INT64_MAX, &s.to_ms, &error))
		return error;
	return records(a, &s, "audit");
}
