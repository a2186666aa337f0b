/* SPDX-License-Identifier: Apache-2.0
 * /v1/tokens: made here, the secret is shown once and only its hash is kept. Those of the token file are
 * listed, and revoked there. */
#include <string.h>

#include "controller/api/api_int.h"
#include "proto/wire/pki.h"
#include "proto/wire/ticket.h"

static json_t *token_json(const struct token *t)
{
	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "name", view_text(t->name), "role",
			 role_str(t->role), "source", t->stored ? "api" : "file", "actor",
			 t->stored ? view_text(t->actor) : json_null(), "created",
			 view_wall(t->since_wall_ms), "expires", view_wall(t->expires_wall_ms), "last_used",
			 view_wall(t->used_wall_ms));
}

struct response res_tokens_list(struct api *a, const struct request *req)
{
	json_t *list = json_array();
	size_t n;
	const struct token *t = auth_tokens(a->auth, &n);

	(void)req;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, token_json(&t[i]));
	return view_reply(200, json_pack("{s:o}", "tokens", list));
}

static struct response created(struct api *a, const char *name, const char *secret)
{
	json_t *j = token_json(auth_find(a->auth, name));

	json_object_set_new(j, "token", json_string(secret));
	struct response r = view_reply(201, j);
	r.secret = true;
	snprintf(r.location, sizeof(r.location), "/v1/tokens/%s", name);
	return r;
}

struct response res_tokens_post(struct api *a, const struct request *req)
{
	char secret[TICKET_SECRET_LEN], hash[2 * AUTH_HASH_LEN + 1];
	const char *name, *role;
	json_auto_t *body = NULL;
	struct response error;
	int64_t expires_s;
	size_t n;

	if (!view_body(req, &body, &error) || !view_body_text(body, "name", &name, &error) ||
	    !view_body_text(body, "role", &role, &error) ||
	    !view_body_int(body, "expires_s", 0, 0, OP_EXPIRES_MAX_S, &expires_s, &error))
		return error;
	if (!pki_name_ok(name))
		return problem(422, "name must be 1 to 63 letters, digits, '-', '_' or '.'.");
	if (role_parse(role) == ROLE_NONE)
		return problem(422, "role must be \"viewer\", \"operator\" or \"admin\".");
	if (auth_find(a->auth, name))
		return problem(409, "There is a token \"%s\" already: revoke it first.", name);
	auth_tokens(a->auth, &n);
	if (n >= AUTH_TOKENS_MAX)
		return problem(409, "There are %d tokens already: revoke some first.", AUTH_TOKENS_MAX);
	if (ticket_secret(secret))
		return problem(500, "No random numbers.");
	auth_hash_hex(secret, hash);
	struct op_result op = control_token_make(a->c, req->actor, name, role, hash, expires_s);
	if (op.status == 201)
		auth_reload(a->auth);
	struct response r = op.status == 201 ? created(a, name, secret) : op_reply(op, NULL);
	explicit_bzero(secret, sizeof(secret));
	return r;
}

struct response res_tokens_delete(struct api *a, const struct request *req)
{
	const struct token *t = auth_find(a->auth, req->params[0]);
	char name[NAME_LEN];

	if (!t)
		return problem(404, "There is no token \"%s\".", req->params[0]);
	if (!t->stored)
		return problem(409, "\"%s\" is a line of the token file: delete the line, it counts at once.",
			       req->params[0]);
	memcpy(name, t->name, sizeof(name));
	struct op_result op = control_token_revoke(a->c, req->actor, name);
	if (op.status == 200)
		auth_reload(a->auth);
	return op_reply(op, json_pack("{s:s, s:o}", "name", name, "detail", view_text(op.detail)));
}
