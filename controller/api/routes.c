/* SPDX-License-Identifier: Apache-2.0
 * Who may ask what, and how often. Every request goes through check() before its body is read: 404, then 405,
 * then 401 or 403. No other file decides on access. Owns the table only. */
#include "controller/api/routes.h"

#include <string.h>

#include "controller/api/api_int.h"
#include "controller/api/cache.h"
#include "controller/api/idem.h"
#include "controller/api/limit.h"

#define V	      ROLE_VIEWER
#define O	      ROLE_OPERATOR
#define A	      ROLE_ADMIN
#define PAGE	      "limit after"
#define OPEN_BODY_MAX (64 * 1024) /* from whom nobody knows */
#define DRILL	      "kind site node service shard reason hold_s max_s factor"
#define DRAIN	      "reason expires_s wait_s residual_pct withdraw"

/* clang-format off */
static const struct route table[] = {
	{ "GET",    "/v1/cluster",                   V, res_cluster_get,        NULL, NULL },
	{ "PUT",    "/v1/cluster",                   A, res_cluster_put,        "dry_run", "*" },
	{ "GET",    "/v1/sites",                     V, res_sites_list,         PAGE, NULL },
	{ "GET",    "/v1/sites/{name}",              V, res_sites_get,          NULL, NULL },
	{ "POST",   "/v1/sites/{name}/drain",        O, res_sites_drain,        NULL, DRAIN },
	{ "POST",   "/v1/sites/{name}/undrain",      O, res_sites_undrain,      NULL, "reason" },
	{ "GET",    "/v1/nodes",                     V, res_nodes_list,         PAGE, NULL },
	{ "GET",    "/v1/nodes/{name}",              V, res_nodes_get,          NULL, NULL },
	{ "POST",   "/v1/nodes/{name}/drain",        O, res_nodes_drain,        NULL, DRAIN },
	{ "POST",   "/v1/nodes/{name}/undrain",      O, res_nodes_undrain,      NULL, "reason" },
	{ "GET",    "/v1/services",                  V, res_services_list,      PAGE, NULL },
	{ "GET",    "/v1/services/{name}",           V, res_services_get,       NULL, NULL },
	{ "POST",   "/v1/services/{name}/drain",     O, res_services_drain,     NULL, "site " DRAIN },
	{ "POST",   "/v1/services/{name}/undrain",   O, res_services_undrain,   NULL, "site reason" },
	{ "GET",    "/v1/shards",                    V, res_shards_list,        PAGE, NULL },
	{ "GET",    "/v1/shards/{name}",             V, res_shards_get,         NULL, NULL },
	{ "GET",    "/v1/grades",                    V, res_grades_list,        NULL, NULL },
	{ "GET",    "/v1/drains",                    V, res_drains_list,        NULL, NULL },
	{ "GET",    "/v1/overrides",                 V, res_overrides_list,     PAGE, NULL },
	{ "POST",   "/v1/overrides",                 O, res_overrides_post,     NULL, "site node shard grade weight reason expires_s confirm_s" },
	{ "GET",    "/v1/overrides/{id}",            V, res_overrides_get,      NULL, NULL },
	{ "POST",   "/v1/overrides/{id}/confirm",    O, res_overrides_confirm,  NULL, "" },
	{ "DELETE", "/v1/overrides/{id}",            O, res_overrides_delete,   "reason", NULL },
	{ "GET",    "/v1/mode",                      V, res_mode_get,           NULL, NULL },
	{ "PUT",    "/v1/mode",                      O, res_mode_put,           NULL, "mode reason" },
	{ "GET",    "/v1/events",                    V, res_events_get,         "limit after kind", NULL },
	{ "GET",    "/v1/events/{id}",               V, res_events_one,         NULL, NULL },
	{ "GET",    "/v1/decisions",                 V, res_decisions_list,     "limit before site shard", NULL },
	{ "GET",    "/v1/decisions/{id}",            V, res_decisions_get,      NULL, NULL },
	{ "GET",    "/v1/audit",                     V, res_audit_list,         "limit before actor kind from to", NULL },
	{ "GET",    "/v1/tokens",                    A, res_tokens_list,        NULL, NULL },
	{ "POST",   "/v1/tokens",                    A, res_tokens_post,        NULL, "name role expires_s" },
	{ "DELETE", "/v1/tokens/{name}",             A, res_tokens_delete,      NULL, NULL },
	{ "GET",    "/v1/ca",                        ROLE_NONE, res_ca_get,             NULL, NULL },
	{ "POST",   "/v1/enroll",                    ROLE_NONE, res_enroll_post,        NULL, "token csr" },
	{ "POST",   "/v1/nodes/{name}/token",        A, res_nodes_token,        NULL, "ttl_s" },
	{ "POST",   "/v1/nodes/{name}/revoke",       A, res_nodes_revoke,       NULL, "reason serial" },
	{ "GET",    "/v1/certificates",              V, res_certificates_list,  NULL, NULL },
	{ "GET",    "/v1/plan",                      V, res_plan_get,           NULL, NULL },
	{ "POST",   "/v1/whatif",                    V, res_whatif_post,        NULL, "drain lose moves" },
	{ "GET",    "/v1/drills",                    V, res_drills_list,        NULL, NULL },
	{ "POST",   "/v1/drills",                    O, res_drills_post,        NULL, DRILL },
	{ "POST",   "/v1/drills/plan",               V, res_drills_plan,        NULL, DRILL },
	{ "GET",    "/v1/drills/{id}",               V, res_drills_get,         NULL, NULL },
	{ "POST",   "/v1/drills/{id}/hold",          O, res_drills_hold,        NULL, "reason" },
	{ "POST",   "/v1/drills/{id}/resume",        O, res_drills_resume,      NULL, "reason" },
	{ "POST",   "/v1/drills/{id}/abort",         O, res_drills_abort,       NULL, "reason" },
	{ "POST",   "/v1/drills/{id}/probe",         O, res_drills_probe,       NULL, "from sent lost longest_gap_ms" },
	{ "GET",    "/v1/drills/{id}/report",        V, res_drills_report,      "format", NULL },
	{ "GET",    "/v1/drill-schedule",            V, res_drill_schedule_get, NULL, NULL },
	{ "PUT",    "/v1/drill-schedule",            A, res_drill_schedule_put, NULL, "enabled windows blackout drills" },
	{ "GET",    "/v1/readiness",                 V, res_readiness_get,      NULL, NULL },
	{ "GET",    "/v1/status",                    V, res_status_get,         NULL, NULL },
	{ "GET",    "/openapi.json",                 ROLE_NONE, openapi_get,            NULL, NULL },
	{ "GET",    "/metrics",                      ROLE_NONE, metrics_get,            NULL, NULL },
	{ "GET",    "/healthz",                      ROLE_NONE, health_live,            NULL, NULL },
	{ "GET",    "/readyz",                       ROLE_NONE, health_ready,           NULL, NULL },
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

static bool is_read(const struct request *req)
{
	return strcmp(req->method, "GET") == 0;
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

static bool in_limit(struct api *a, enum limit_kind kind, const char *who, struct response *ret_response)
{
	unsigned wait_s;

	if (limit_take(a->limit, kind, who, mono_now(), &wait_s))
		return true;
	a->limited++;
	*ret_response = problem(429, "Too many requests: try again in %u s.", wait_s);
	ret_response->retry_after_s = wait_s;
	return false;
}

static bool authorise(struct api *a, const struct route *rt, struct request *req,
		      struct response *ret_response)
{
	if (rt->role == ROLE_NONE) {
		req->body_max = OPEN_BODY_MAX;
		return in_limit(a, LIMIT_OPEN, req->peer, ret_response);
	}
	api_follow(a);
	req->role = auth_check(a->auth, req->header[HDR_AUTHORIZATION], req->actor, req->token);
	if (req->role >= rt->role)
		return in_limit(a, is_read(req) ? LIMIT_READ : LIMIT_WRITE, req->actor, ret_response);
	a->refused++;
	if (!in_limit(a, LIMIT_REFUSED, req->peer, ret_response))
		return false;
	if (req->role == ROLE_NONE)
		*ret_response = problem(401, "A valid token is needed: Authorization: Bearer TOKEN.");
	else
		*ret_response = problem(403, "This needs the role %s; the token \"%s\" has the role %s.",
					role_str(rt->role), req->actor, role_str(req->role));
	return false;
}

static bool is_text(const char *s)
{
	json_auto_t *utf8 = json_string(s);

	return utf8 && str_plain(s) && strlen(s) < TEXT_LEN;
}

/* What is not documented is refused, not ignored: a typing error must not change what is asked. */
static bool query_known(const struct route *rt, const struct request *req, struct response *ret_response)
{
	for (size_t i = 0; i < req->n_query; i++) {
		const char *key = req->query[i].key, *value = req->query[i].value;
		if (!view_named(rt->query, key))
			*ret_response = problem(400, "?%.64s= is not known here; known: %s.", key,
						rt->query ? rt->query : "none");
		else if (request_query(req, key) != value)
			*ret_response = problem(400, "?%.64s= is there twice.", key);
		else if (!is_text(value))
			*ret_response =
				problem(400,
					"?%.64s= must be plain text (UTF-8, no control characters) of "
					"at most %d bytes.",
					key, TEXT_LEN - 1);
		else
			continue;
		return false;
	}
	return true;
}

/* A list or an object as it is now, which everybody who may see it sees alike; not what never ends. */
static bool may_be_cached(const struct route *rt, const struct request *req)
{
	const char *accept = req->header[HDR_ACCEPT];

	return is_read(req) && rt->role == ROLE_VIEWER && !req->header[HDR_IF_MATCH] &&
	       !(accept && strstr(accept, "text/event-stream"));
}

static struct response read_it(struct api *a, const struct route *rt, struct request *req)
{
	mono_t now = mono_now();
	struct response r;

	if (!may_be_cached(rt, req))
		return rt->handler(a, req);
	if (cache_find(a->cache, req, now, &r))
		return r;
	r = rt->handler(a, req);
	if (r.status == 200)
		cache_keep(a->cache, req, &r, now);
	return r;
}

static struct response change_it(struct api *a, const struct route *rt, struct request *req)
{
	/* others change nothing, and must not push out what an operator did */
	bool ours = rt->role > ROLE_VIEWER;
	bool once = ours && req->header[HDR_IDEMPOTENCY_KEY] && strcmp(req->method, "POST") == 0;
	struct response r;

	if (once && idem_known(a->idem, req, mono_now(), &r))
		return r;
	r = rt->handler(a, req);
	if (ours || (rt->role == ROLE_NONE && r.status == 200))
		cache_clear(a->cache);
	if (once)
		idem_keep(a->idem, req, &r, mono_now());
	return r;
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
	else if (authorise(a, rt, req, &r) && query_known(rt, req, &r) && leader_check(a, req, &r))
		return true;
	*ret_response = counted(a, r);
	return false;
}

static struct response handle(struct request *req, void *arg)
{
	auto_buf allow = { 0 };
	struct api *a = arg;
	const struct route *rt = find(req, &allow);

	req->route = rt;
	if (!rt)
		return counted(a, not_found(req, &allow));
	return counted(a, is_read(req) ? read_it(a, rt, req) : change_it(a, rt, req));
}

const struct http_ops routes_ops = { .check = check, .handle = handle };
