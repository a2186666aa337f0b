/* SPDX-License-Identifier: Apache-2.0
 * /v1/cluster: the document, as given, with its etag. */
#include <string.h>

#include "controller/api/api_int.h"
#include "controller/diff.h"

static void set_etag(struct response *r, const struct cluster *c)
{
	snprintf(r->etag, sizeof(r->etag), "%s", c->etag);
}

struct response res_cluster_get(struct api *a, const struct request *req)
{
	const struct cluster *c = a->c->model.cl;

	(void)req;
	struct response r = view_reply(200, json_incref(c->doc));
	set_etag(&r, c);
	return r;
}

static bool dry_run(const struct request *req)
{
	const char *s = request_query(req, "dry_run");

	return s && strcmp(s, "0") != 0 && strcmp(s, "false") != 0;
}

/* If-Match: * asks for any document, and there always is one. */
static const char *if_match(const struct request *req)
{
	const char *s = req->header[HDR_IF_MATCH];

	return s && strcmp(s, "*") != 0 ? s : "";
}

static json_t *put_json(const struct op_result *op, const struct cluster *c, bool dry, bool changed,
			json_t *changes)
{
	return json_pack("{s:s, s:b, s:b, s:o, s:O}", "etag", c->etag, "dry_run", dry, "changed", changed,
			 "detail", view_text(op->detail), "changes", changes);
}

struct response res_cluster_put(struct api *a, const struct request *req)
{
	char before[sizeof(a->c->model.cl->etag)];
	json_auto_t *doc = NULL;
	struct response error;
	bool dry = dry_run(req);

	if (!req->body_len)
		return problem(400, "The body must be a cluster document.");
	if (!view_body(req, &doc, &error))
		return error;
	if (!dry && !req->header[HDR_IF_MATCH])
		return problem(428, "If-Match is needed: the ETag of the document you read, or *.");
	memcpy(before, a->c->model.cl->etag, sizeof(before));
	json_auto_t *changes = diff_documents(a->c->model.cl->doc, doc);
	struct op_result op = control_put_cluster(a->c, req->actor, doc, if_match(req), dry);
	const struct cluster *c = a->c->model.cl;
	struct response r = op_reply(op, put_json(&op, c, dry, strcmp(before, c->etag) != 0, changes));
	if (r.status == 200 || r.status == 412)
		set_etag(&r, c);
	return r;
}
