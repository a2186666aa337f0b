/* SPDX-License-Identifier: Apache-2.0
 * Who may ask what. Every request goes through check() before its body is read: 404, then 405, then 401 or
 * 403. No other file decides on access. Owns the table only. */
#include "controller/api/routes.h"

#include <string.h>

#include "controller/api/api_int.h"

/* clang-format off */
static const struct route table[] = {
	{ "GET",  "/v1/cluster",              ROLE_VIEWER,   res_cluster_get },
	{ "PUT",  "/v1/cluster",              ROLE_ADMIN,    res_cluster_put },
	{ "GET",  "/v1/sites",                ROLE_VIEWER,   res_sites_list },
	{ "GET",  "/v1/sites/{name}",         ROLE_VIEWER,   res_sites_get },
	{ "POST", "/v1/sites/{name}/drain",   ROLE_OPERATOR, res_sites_drain },
	{ "POST", "/v1/sites/{name}/undrain", ROLE_OPERATOR, res_sites_undrain },
	{ "GET",  "/v1/nodes",                ROLE_VIEWER,   res_nodes_list },
	{ "GET",  "/v1/nodes/{name}",         ROLE_VIEWER,   res_nodes_get },
	{ "POST", "/v1/nodes/{name}/drain",   ROLE_OPERATOR, res_nodes_drain },
	{ "POST", "/v1/nodes/{name}/undrain", ROLE_OPERATOR, res_nodes_undrain },
	{ "GET",  "/v1/services",             ROLE_VIEWER,   res_services_list },
	{ "GET",  "/v1/services/{name}",      ROLE_VIEWER,   res_services_get },
	{ "GET",  "/v1/shards",               ROLE_VIEWER,   res_shards_list },
	{ "GET",  "/v1/shards/{name}",        ROLE_VIEWER,   res_shards_get },
	{ "GET",  "/v1/mode",                 ROLE_VIEWER,   res_mode_get },
	{ "PUT",  "/v1/mode",                 ROLE_OPERATOR, res_mode_put },
	{ "GET",  "/v1/events",               ROLE_VIEWER,   res_events_get },
	{ "GET",  "/v1/events/{id}",          ROLE_VIEWER,   res_events_one },
	{ "GET",  "/v1/plan",                 ROLE_VIEWER,   res_plan_get },
	{ "POST", "/v1/whatif",               ROLE_VIEWER,   res_whatif_post },
	{ "GET",  "/v1/status",               ROLE_VIEWER,   res_status_get },
	{ "GET",  "/openapi.json",            ROLE_NONE,     openapi_get },
	{ "GET",  "/metrics",                 ROLE_NONE,     metrics_get },
	{ "GET",  "/healthz",                 ROLE_NONE,     health_live },
	{ "GET",  "/readyz",                  ROLE_NONE,     health_ready },
};
/* clang-format on */

const struct route *routes_table(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(table);
	return table;
}

/* Segment by segment; {…} takes one whole, non-empty segment. */
static bool match(const char *pattern, const char *path, char params[][128])
{
	size_t n = 0;

	for (;;) {
		size_t pl = strcspn(pattern, "/"), sl = strcspn(path, "/");
		if (pattern[0] == '{') {
			if (sl == 0 || sl >= 128 || n == HTTP_PARAMS_MAX)
				return false;
			memcpy(params[n], path, sl);
			params[n++][sl] = 0;
		} else if (pl != sl || memcmp(pattern, path, pl) != 0) {
			return false;
		}
		pattern += pl;
		path += sl;
		if (!*pattern || !*path)
			return !*pattern && !*path;
		pattern++;
		path++;
	}
}

/* NULL with *ret_allow empty: no such path; else the methods it has. */
static const struct route *find(struct request *req, struct buf *ret_allow)
{
	char params[HTTP_PARAMS_MAX][128] = { "" };

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (!match(table[i].path, req->path, params))
			continue;
		memcpy(req->params, params, sizeof(params));
		if (strcmp(table[i].method, req->method) == 0)
			return &table[i];
		buf_addf(ret_allow, "%s%s", ret_allow->len ? ", " : "", table[i].method);
	}
	return NULL;
}

static struct response not_found(const struct request *req, const struct buf *allow)
{
	if (!allow->len)
		return problem(404, "There is no %.128s here. /openapi.json lists what there is.", req->path);
	struct response r = problem(405, "%.16s is not possible on %.128s; possible: %s.", req->method,
				    req->path, allow->data);
	snprintf(r.allow, sizeof(r.allow), "%s", allow->data);
	return r;
}

static bool authorise(struct api *a, const struct route *rt, struct request *req,
		      struct response *ret_response)
{
	if (rt->role == ROLE_NONE)
		return true;
	req->role = auth_check(a->auth, req->header[HDR_AUTHORIZATION], req->actor);
	if (req->role >= rt->role)
		return true;
	a->refused++;
	if (req->role == ROLE_NONE)
		*ret_response = problem(401, "A valid token is needed: Authorization: Bearer TOKEN.");
	else
		*ret_response = problem(403, "This needs the role %s; the token \"%s\" has the role %s.",
					role_str(rt->role), req->actor, role_str(req->role));
	return false;
}

static struct response counted(struct api *a, struct response r)
{
	a->answers[r.status >= 500 ? API_5XX : r.status >= 400 ? API_4XX : API_2XX]++;
	return r;
}

static bool check(struct request *req, struct response *ret_response, void *arg)
{
	auto_buf allow = { 0 };
	struct api *a = arg;
	const struct route *rt = find(req, &allow);
	struct response r;

	if (!rt)
		r = not_found(req, &allow);
	else if (authorise(a, rt, req, &r))
		return true;
	*ret_response = counted(a, r);
	return false;
}

static struct response handle(struct request *req, void *arg)
{
	auto_buf allow = { 0 };
	struct api *a = arg;
	const struct route *rt = find(req, &allow);

	return counted(a, rt ? rt->handler(a, req) : not_found(req, &allow));
}

const struct http_ops routes_ops = { .check = check, .handle = handle };
