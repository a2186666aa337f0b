/* SPDX-License-Identifier: Apache-2.0
 * From a request to an operation of control.h and from its result to an answer. Stateless. */
#include <string.h>

#include "controller/api/api_int.h"

#define EXPIRES_MAX_S (366 * 86400)

struct response op_reply(struct op_result r, json_t *done)
{
	struct response out = r.status == 200 ? view_reply(200, json_incref(done))
					      : problem_errors(r.status, r.detail, r.errors);

	json_decref(r.errors);
	json_decref(done);
	return out;
}

static bool read_reason(json_t *body, const char **ret_reason, struct response *ret_error)
{
	json_t *v = json_object_get(body, "reason");

	*ret_reason = v ? json_string_value(v) : "";
	if (*ret_reason && strlen(*ret_reason) < TEXT_LEN)
		return true;
	*ret_error = problem(422, "reason must be a string of at most %d bytes.", TEXT_LEN - 1);
	return false;
}

static bool read_expires(json_t *body, int64_t *ret_s, struct response *ret_error)
{
	json_t *v = json_object_get(body, "expires_s");

	*ret_s = v ? json_integer_value(v) : 0;
	if (!v || (json_is_integer(v) && *ret_s >= 0 && *ret_s <= EXPIRES_MAX_S))
		return true;
	*ret_error = problem(422, "expires_s must be a whole number from 0 (never) to %d.", EXPIRES_MAX_S);
	return false;
}

static bool exists(struct api *a, enum drain_kind kind, const char *name, struct response *ret_error)
{
	const struct cluster *cl = a->c->model.cl;
	ssize_t at = kind == DRAIN_SITE ? cluster_site(cl, name) : cluster_node(cl, name);

	if (at < 0)
		*ret_error = problem(404, "There is no %s \"%s\" in the cluster document.",
				     kind == DRAIN_SITE ? "site" : "node", name);
	return at >= 0;
}

static json_t *drained(const struct api *a, enum drain_kind kind, const char *name)
{
	const struct model *m = &a->c->model;
	ssize_t at = kind == DRAIN_SITE ? cluster_site(m->cl, name) : cluster_node(m->cl, name);
	static const struct drain none;
	const struct drain *d = at < 0		     ? &none
				: kind == DRAIN_SITE ? &m->sites[at].drain
						     : &m->nodes[at].drain;

	return json_pack("{s:s, s:o}", "name", name, "drain", view_drain(d, mono_now()));
}

struct response op_drain(struct api *a, const struct request *req, enum drain_kind kind)
{
	static const char *const keys[] = { "reason", "expires_s", NULL };
	const char *name = req->params[0], *reason;
	json_auto_t *body = NULL;
	int64_t expires_s;
	struct response error;

	if (!exists(a, kind, name, &error) || !view_body(req, keys, &body, &error) ||
	    !read_reason(body, &reason, &error) || !read_expires(body, &expires_s, &error))
		return error;
	struct op_result r = control_drain(a->c, req->actor, kind, name, reason, expires_s);
	return op_reply(r, drained(a, kind, name));
}

struct response op_undrain(struct api *a, const struct request *req, enum drain_kind kind)
{
	static const char *const keys[] = { "reason", NULL };
	const char *name = req->params[0];
	json_auto_t *body = NULL;
	struct response error;

	if (!exists(a, kind, name, &error) || !view_body(req, keys, &body, &error))
		return error;
	struct op_result r = control_undrain(a->c, req->actor, kind, name);
	return op_reply(r, drained(a, kind, name));
}
