/* SPDX-License-Identifier: Apache-2.0
 * /v1/mode: observe, steer or freeze. */
#include <string.h>

#include "controller/api/api_int.h"

static json_t *mode_json(const struct model *m)
{
	return json_pack("{s:s, s:o, s:I}", "mode", steer_mode_str(m->mode), "reason",
			 view_text(m->mode_reason), "epoch", (json_int_t)m->epoch);
}

/* of what a change is based on: the mode and why */
static void set_etag(struct response *r, const struct model *m)
{
	uint32_t h = 2166136261u;

	for (const char *p = m->mode_reason; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	snprintf(r->etag, sizeof(r->etag), "\"%.7s-%08x\"", steer_mode_str(m->mode), h);
}

static struct response reply(const struct model *m)
{
	struct response r = view_reply(200, mode_json(m));

	set_etag(&r, m);
	return r;
}

struct response res_mode_get(struct api *a, const struct request *req)
{
	(void)req;
	return reply(&a->c->model);
}

struct response res_mode_put(struct api *a, const struct request *req)
{
	const char *match = req->header[HDR_IF_MATCH], *reason;
	struct response error, now = { 0 };
	json_auto_t *body = NULL;
	enum steer_mode mode;

	if (!view_body(req, &body, &error))
		return error;
	const char *word = json_string_value(json_object_get(body, "mode"));
	if (!word || steer_mode_parse(word, &mode) != 0)
		return problem(422, "mode must be \"observe\", \"steer\" or \"freeze\".");
	if (!view_body_text(body, "reason", &reason, &error))
		return error;
	/* optional here: a freeze must not wait for somebody to read first */
	set_etag(&now, &a->c->model);
	if (match && strcmp(match, "*") != 0 && strcmp(match, now.etag) != 0)
		return problem(412, "The mode changed meanwhile (it is %s now): read it again.", now.etag);
	struct op_result r = control_set_mode(a->c, req->actor, mode, reason);
	return r.status == 200 ? reply(&a->c->model) : op_reply(r, NULL);
}
