/* SPDX-License-Identifier: Apache-2.0
 * /v1/mode: observe, steer or freeze. */
#include <string.h>

#include "controller/api/api_int.h"

static json_t *mode_json(const struct model *m)
{
	return json_pack("{s:s, s:o, s:I}", "mode", steer_mode_str(m->mode), "reason",
			 view_text(m->mode_reason), "epoch", (json_int_t)m->epoch);
}

struct response res_mode_get(struct api *a, const struct request *req)
{
	(void)req;
	return view_reply(200, mode_json(&a->c->model));
}

struct response res_mode_put(struct api *a, const struct request *req)
{
	static const char *const keys[] = { "mode", "reason", NULL };
	json_auto_t *body = NULL;
	struct response error;
	enum steer_mode mode;

	if (!view_body(req, keys, &body, &error))
		return error;
	const char *word = json_string_value(json_object_get(body, "mode"));
	json_t *reason = json_object_get(body, "reason");
	if (!word || steer_mode_parse(word, &mode) != 0)
		return problem(422, "mode must be \"observe\", \"steer\" or \"freeze\".");
	if (reason && (!json_is_string(reason) || json_string_length(reason) >= TEXT_LEN))
		return problem(422, "reason must be a string of at most %d bytes.", TEXT_LEN - 1);
	struct op_result r =
		control_set_mode(a->c, req->actor, mode, reason ? json_string_value(reason) : "");
	return op_reply(r, mode_json(&a->c->model));
}
