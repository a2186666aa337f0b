/* SPDX-License-Identifier: Apache-2.0
 * /v1/drills, /v1/drill-schedule and /v1/readiness: requests to operations of drill.h and back. */
#include <string.h>

#include "controller/api/api_int.h"
#include "controller/drill/drill.h"
#include "controller/drill/report.h"

static struct response no_drill(const struct request *req)
{
	return problem(404, "There is no drill \"%.32s\".", req->params[0]);
}

/* false: *ret_error is the answer. */
static bool read_spec(const struct request *req, struct drill_spec *ret_spec, struct response *ret_error)
{
	json_auto_t *body = NULL, *errors = json_array();

	if (!view_body(req, &body, ret_error))
		return false;
	spec_parse(body, ret_spec, errors);
	if (json_array_size(errors) == 0)
		return true;
	*ret_error = problem_errors(422, "The drill cannot be made as asked for.", errors);
	return false;
}

struct response res_drills_plan(struct api *a, const struct request *req)
{
	struct drill_spec spec;
	struct response error;
	json_t *picture = NULL;

	if (!read_spec(req, &spec, &error))
		return error;
	struct op_result r = drills_plan(a->c->drills, &spec, &picture);
	return op_reply(r, picture);
}

struct response res_drills_post(struct api *a, const struct request *req)
{
	struct drill_spec spec;
	struct response error;
	json_t *drill = NULL;

	if (!read_spec(req, &spec, &error))
		return error;
	struct op_result r = drills_start(a->c->drills, req->actor, &spec, &drill);
	return op_reply(r, drill);
}

struct response res_drills_list(struct api *a, const struct request *req)
{
	(void)req;
	return view_reply(200, json_pack("{s:o}", "drills", drills_list(a->c->drills)));
}

struct response res_drills_get(struct api *a, const struct request *req)
{
	json_t *drill = drills_get(a->c->drills, req->params[0]);

	return drill ? view_reply(200, drill) : no_drill(req);
}

typedef struct op_result told_fn(struct drills *d, const char *actor, const char *id, const char *reason);

static struct response tell(struct api *a, const struct request *req, told_fn *fn)
{
	json_auto_t *body = NULL;
	const char *reason;
	struct response error;

	if (!view_body(req, &body, &error) || !view_body_text(body, "reason", &reason, &error))
		return error;
	struct op_result r = fn(a->c->drills, req->actor, req->params[0], reason);
	return op_reply(r, r.status == 200 ? drills_get(a->c->drills, req->params[0]) : NULL);
}

struct response res_drills_hold(struct api *a, const struct request *req)
{
	return tell(a, req, drills_pause);
}

struct response res_drills_resume(struct api *a, const struct request *req)
{
	return tell(a, req, drills_resume);
}

struct response res_drills_abort(struct api *a, const struct request *req)
{
	return tell(a, req, drills_abort);
}

struct response res_drills_probe(struct api *a, const struct request *req)
{
	json_auto_t *body = NULL;
	struct response error;

	if (!view_body(req, &body, &error))
		return error;
	struct op_result r = drills_probe(a->c->drills, req->params[0], body);
	return op_reply(r, r.status == 200 ? drills_get(a->c->drills, req->params[0]) : NULL);
}

static struct response as_text(const json_t *report, void (*render)(const json_t *report, struct buf *out),
			       const char *type)
{
	struct buf out = { 0 };

	render(report, &out);
	return (struct response){ .status = 200, .type = type, .body = out.data, .len = out.len };
}

struct response res_drills_report(struct api *a, const struct request *req)
{
	const char *format = request_query(req, "format");
	json_auto_t *report = drills_report(a->c->drills, req->params[0]);
	json_auto_t *drill = drills_get(a->c->drills, req->params[0]);

	if (!report)
		return drill ? problem(409, "Drill %s runs still: its report is written at its end.",
				       req->params[0])
			     : no_drill(req);
	if (!format || strcmp(format, "json") == 0)
		return view_reply(200, json_incref(report));
	if (strcmp(format, "markdown") == 0)
		return as_text(report, report_markdown, "text/markdown; charset=utf-8");
	if (strcmp(format, "html") == 0)
		return as_text(report, report_html, "text/html; charset=utf-8");
	return problem(400, "format is json, markdown or html.");
}

struct response res_drill_schedule_get(struct api *a, const struct request *req)
{
	(void)req;
	return view_reply(200, drills_schedule(a->c->drills));
}

struct response res_drill_schedule_put(struct api *a, const struct request *req)
{
	json_auto_t *body = NULL;
	struct response error;

	if (!view_body(req, &body, &error))
		return error;
	struct op_result r = drills_set_schedule(a->c->drills, req->actor, body);
	return op_reply(r, r.status == 200 ? drills_schedule(a->c->drills) : NULL);
}

struct response res_readiness_get(struct api *a, const struct request *req)
{
	(void)req;
	return view_reply(200, drills_readiness(a->c->drills));
}
