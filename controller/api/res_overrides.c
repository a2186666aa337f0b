/* SPDX-License-Identifier: Apache-2.0
 * /v1/overrides: an operator's own grade for a (site, shard) or weight for a (node, shard), with an expiry
 * and commit-confirm. */
#include <string.h>

#include "controller/api/api_int.h"

/* of what may change: confirmation */
static void etag_of(const struct override *o, char *ret, size_t size)
{
	snprintf(ret, size, "\"%llx-%d\"", (unsigned long long)o->since_wall_ms, !o->confirm_by_wall_ms);
}

static json_t *left_s(mono_t deadline)
{
	int64_t left = mono_diff_ms(mono_now(), deadline);

	return mono_is_set(deadline) ? json_integer(left > 0 ? left / 1000 : 0) : json_null();
}

static json_t *override_json(const struct model *m, const struct override *o)
{
	ssize_t shard = cluster_shard(m->cl, o->shard), grade = cluster_grade(m->cl, o->grade);
	ssize_t place = o->grade[0] ? cluster_site(m->cl, o->place) : cluster_node(m->cl, o->place);
	bool known = shard >= 0 && place >= 0 && (!o->grade[0] || grade >= 0);
	json_t *j = json_pack("{s:s, s:s?, s:s?, s:s, s:s?, s:o, s:o, s:o, s:I, s:o}", "id", o->id, "site",
			      o->grade[0] ? o->place : NULL, "node", o->grade[0] ? NULL : o->place, "shard",
			      o->shard, "grade", o->grade[0] ? o->grade : NULL, "weight",
			      o->grade[0] ? json_null() : json_integer(o->weight), "reason",
			      view_text(o->reason), "actor", view_text(o->actor), "age_ms",
			      (json_int_t)(wall_now_ms() - o->since_wall_ms), "expires",
			      view_wall(o->expires_wall_ms));

	json_object_set_new(j, "state",
			    json_string(!known			? "unknown"
					: o->confirm_by_wall_ms ? "unconfirmed"
								: "active"));
	json_object_set_new(j, "confirm_by", view_wall(o->confirm_by_wall_ms));
	json_object_set_new(j, "confirm_left_s", left_s(o->confirm_at));
	bool done =
		known && (o->grade[0] ? model_cell(m, (size_t)place, (size_t)shard)->grade == (uint8_t)grade
				      : m->nodes[place].shards[shard].weight == (uint32_t)o->weight);
	json_object_set_new(j, "in_effect", json_boolean(done));
	return j;
}

static struct response one(const struct api *a, const struct override *o, int status)
{
	struct response r = view_reply(status, override_json(&a->c->model, o));

	etag_of(o, r.etag, sizeof(r.etag));
	return r;
}

/* 404 or 412, else the override. */
static const struct override *find(struct api *a, const struct request *req, struct response *ret_error)
{
	const struct override *o = override_find(&a->c->model, req->params[0]);
	const char *match = req->header[HDR_IF_MATCH];
	char etag[sizeof(ret_error->etag)];

	if (!o) {
		*ret_error = problem(404, "There is no override \"%s\" (any more).", req->params[0]);
		return NULL;
	}
	etag_of(o, etag, sizeof(etag));
	if (!match || strcmp(match, "*") == 0 || strcmp(match, etag) == 0)
		return o;
	*ret_error = problem(412, "The override changed meanwhile (it is %s now): read it again.", etag);
	return NULL;
}

static ssize_t index_of(const struct api *a, const char *id)
{
	const struct override *o = override_find(&a->c->model, id);

	return o ? o - a->c->model.overrides : -1;
}

struct response res_overrides_list(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	const char *after = request_query(req, "after");
	ssize_t at = after ? index_of(a, after) : -1;
	struct response error;
	uint64_t limit;

	if (!view_query_uint(req, "limit", VIEW_PAGE_MAX, VIEW_PAGE_MAX, &limit, &error))
		return error;
	if (after && at < 0) /* never silently from the start: whoever pages would see all again */
		return problem(400, "after: there is no override \"%s\" (any more): read the list anew.",
			       after);
	json_t *list = json_array();
	size_t i = (size_t)(at + 1);
	for (; i < m->n_overrides && json_array_size(list) < (limit ? limit : 1); i++)
		json_array_append_new(list, override_json(m, &m->overrides[i]));
	return view_reply(200, json_pack("{s:o, s:s?}", "overrides", list, "next",
					 i > 0 && i < m->n_overrides ? m->overrides[i - 1].id : NULL));
}

struct response res_overrides_get(struct api *a, const struct request *req)
{
	struct response error;
	const struct override *o = find(a, req, &error);

	return o ? one(a, o, 200) : error;
}

static bool read_ask(json_t *body, struct override_ask *ret, struct response *ret_error)
{
	int64_t weight;
	bool site = json_object_get(body, "site"), node = json_object_get(body, "node");
	bool grade = json_object_get(body, "grade"), heavy = json_object_get(body, "weight");

	if (site == node || site != grade || node != heavy) {
		*ret_error = problem(422, "Either site and grade, or node and weight are needed.");
		return false;
	}
	if (!view_body_text(body, "site", &ret->site, ret_error) ||
	    !view_body_text(body, "node", &ret->node, ret_error) ||
	    !view_body_text(body, "shard", &ret->shard, ret_error) ||
	    !view_body_text(body, "grade", &ret->grade, ret_error) ||
	    !view_body_text(body, "reason", &ret->reason, ret_error) ||
	    !view_body_int(body, "weight", 0, 1, 100, &weight, ret_error) ||
	    !view_body_int(body, "expires_s", 0, 0, OP_EXPIRES_MAX_S, &ret->expires_s, ret_error) ||
	    !view_body_int(body, "confirm_s", 0, 0, 86400, &ret->confirm_s, ret_error))
		return false;
	ret->weight = (int)weight;
	*(site ? &ret->node : &ret->site) = NULL;
	return true;
}

struct response res_overrides_post(struct api *a, const struct request *req)
{
	struct override_ask ask = { 0 };
	json_auto_t *body = NULL;
	char id[sizeof(((struct override *)0)->id)];
	struct response error;

	if (!view_body(req, &body, &error) || !read_ask(body, &ask, &error))
		return error;
	struct op_result r = control_override(a->c, req->actor, &ask, id);
	if (r.status != 201)
		return op_reply(r, NULL);
	struct response out = one(a, override_find(&a->c->model, id), 201);
	snprintf(out.location, sizeof(out.location), "/v1/overrides/%s", id);
	return out;
}

struct response res_overrides_confirm(struct api *a, const struct request *req)
{
	json_auto_t *body = NULL;
	struct response error;
	const struct override *o = find(a, req, &error);

	if (!o || !view_body(req, &body, &error))
		return error;
	struct op_result r = control_override_confirm(a->c, req->actor, o->id);
	return r.status == 200 ? one(a, o, 200) : op_reply(r, NULL);
}

struct response res_overrides_delete(struct api *a, const struct request *req)
{
	const char *reason = request_query(req, "reason");
	struct response error;
	const struct override *o = find(a, req, &error);

	if (!o)
		return error;
	struct op_result r = control_override_delete(a->c, req->actor, o->id, reason ? reason : "");
	return op_reply(r, json_pack("{s:s, s:o}", "id", req->params[0], "detail", view_text(r.detail)));
}
