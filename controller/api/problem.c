/* SPDX-License-Identifier: Apache-2.0
 * Problem details. Stateless. */
#include "controller/api/problem.h"

#include <stdarg.h>
#include <string.h>

#include "controller/api/view.h"

static const struct {
	int status;
	const char *title;
} titles[] = {
	{ 307, "Temporary Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 409, "Conflict" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 422, "Unprocessable Content" },
	{ 428, "Precondition Required" },
	{ 429, "Too Many Requests" },
	{ 500, "Internal Server Error" },
	{ 503, "Service Unavailable" },
};

static const char *title(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(titles); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Error";
}

struct response problem_errors(int status, const char *detail, json_t *errors)
{
	json_t *j = json_pack("{s:s, s:s, s:i, s:o, s:O*}", "type", "about:blank", "title", title(status),
			      "status", status, "detail", view_text(detail), "errors", errors);
	struct response r = view_reply(status, j);

	r.type = "application/problem+json";
	r.challenge = status == 401;
	return r;
}

struct response problem(int status, const char *fmt, ...)
{
	char detail[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return problem_errors(status, detail, NULL);
}
