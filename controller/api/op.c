/* SPDX-License-Identifier: Apache-2.0
 * From a request to an operation of control.h and from its result to an answer. Stateless. */
#include <string.h>

#include "controller/api/api_int.h"

struct response op_reply(struct op_result r, json_t *done)
{
	struct response out = r.status < 300 ? view_reply(r.status, json_incref(done))
					     : problem_errors(r.status, r.detail, r.errors);

	json_decref(r.errors);
	json_decref(done);
	return out;
}

static bool exists(struct api *a, enum drain_kind kind, const char *name, struct response *ret_error)
{
	const struct cluster *cl = a->c->model.cl;
	ssize_t at = kind == DRAIN_SITE	  ? cluster_site(cl, name)
		     : kind == DRAIN_NODE ? cluster_node(cl, name)
					  : cluster_service(cl, name);

	if (at < 0)
		*ret_error = problem(404, "There is no %s \"%s\" in the cluster document.",
				     drain_kind_str(kind), name);
	return at >= 0;
}

static json_t *drained(const struct api *a, enum drain_kind kind, const char *name, const char *site)
{
	const struct model *m = &a->c->model;
	json_t *j = json_pack("{s:s, s:o}", "name", name, "drain",
			      view_drain(drain_find(m, kind, name, site), mono_now()));

	if (kind == DRAIN_SERVICE)
		json_object_set_new(j, "site", view_text(site));
	return j;
}

static bool read_ask(json_t *body, struct drain_ask *ret, struct response *ret_error)
{
	json_t *withdraw = json_object_get(body, "withdraw"), *left = json_object_get(body, "residual_pct");

	if (!view_body_text(body, "reason", &ret->reason, ret_error) ||
	    !view_body_text(body, "site", &ret->site, ret_error) ||
	    !view_body_int(body, "expires_s", 0, 0, OP_EXPIRES_MAX_S, &ret->expires_s, ret_error) ||
	    !view_body_int(body, "wait_s", DRAIN_WAIT_S, 0, 86400, &ret->wait_s, ret_error))
		return false;
	ret->residual_pct = left ? json_number_value(left) : DRAIN_RESIDUAL_PCT;
	ret->keep = json_is_false(withdraw);
	if (withdraw && !json_is_boolean(withdraw))
		*ret_error = problem(422, "withdraw must be true or false.");
	else if (left && (!json_is_number(left) || ret->residual_pct < 0 || ret->residual_pct > 100))
		*ret_error = problem(422, "residual_pct must be a number from 0 to 100.");
	else
		return true;
	return false;
}

struct response op_drain(struct api *a, const struct request *req, enum drain_kind kind)
{
	struct drain_ask ask = { .kind = kind, .name = req->params[0] };
	json_auto_t *body = NULL;
	struct response error;

	if (!exists(a, kind, ask.name, &error) || !view_body(req, &body, &error) ||
	    !read_ask(body, &ask, &error))
		return error;
	if (kind == DRAIN_SERVICE && !*ask.site)
		return problem(422, "site must name the site: a service is drained at one site at a time.");
	struct op_result r = control_drain(a->c, req->actor, &ask);
	return op_reply(r, drained(a, kind, ask.name, ask.site));
}

struct response op_undrain(struct api *a, const struct request *req, enum drain_kind kind)
{
	const char *name = req->params[0], *reason, *site;
	json_auto_t *body = NULL;
	struct response error;

	if (!exists(a, kind, name, &error) || !view_body(req, &body, &error) ||
	    !view_body_text(body, "reason", &reason, &error) || !view_body_text(body, "site", &site, &error))
		return error;
	if (kind == DRAIN_SERVICE && !*site)
		return problem(422, "site must name the site where the service was drained.");
	struct op_result r = control_undrain(a->c, req->actor, kind, name, site, reason);
	return op_reply(r, drained(a, kind, name, site));
}
