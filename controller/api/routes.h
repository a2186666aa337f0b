/* SPDX-License-Identifier: Apache-2.0
 * The one table of what can be asked: method, path pattern, role needed, handler. */
#ifndef API_ROUTES_H
#define API_ROUTES_H
#include "controller/api/http.h"

struct api;
struct route {
	const char *method, *path; /* "/v1/sites/{name}/drain" */
	enum role role;		   /* ROLE_NONE: open to everybody */
	struct response (*handler)(struct api *a, const struct request *req);
	const char *query; /* names it takes, with one space between; NULL: none. Others are refused */
	const char *body;  /* keys of the JSON object it takes, likewise; NULL: no body; "*": a document */
};
/* For tests and for walking openapi.json. */
const struct route *routes_table(size_t *ret_n);
/* http_ops of the API; arg is struct api. */
extern const struct http_ops routes_ops;
#endif
