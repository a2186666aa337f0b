/* SPDX-License-Identifier: Apache-2.0
 * Certificates of nodes: /v1/ca and /v1/enroll are open (the token in the body is what counts),
 * /v1/certificates shows what is on record and what live sessions use. */
#include <string.h>

#include "controller/api/api_int.h"
#include "controller/enrol.h"
#include "controller/fleet.h"
#include "proto/wire/ticket.h"

#define RETRY_S 5

struct response res_ca_get(struct api *a, const struct request *req)
{
	(void)req;
	return view_reply(200, json_pack("{s:s}", "ca", enrol_ca(a->c->enrol)));
}

struct response res_enroll_post(struct api *a, const struct request *req)
{
	json_auto_t *body = NULL;
	auto_free char *chain = NULL;
	struct pki_leaf leaf;
	struct response error;

	if (!view_body(req, &body, &error))
		return error;
	const char *token = json_string_value(json_object_get(body, "token"));
	const char *csr = json_string_value(json_object_get(body, "csr"));
	if (!token || !csr)
		return problem(422, "token and csr are needed, both strings.");
	struct op_result r = enrol_redeem(a->c->enrol, token, csr, &chain, &leaf);
	if (r.status != 200) {
		struct response refused = op_reply(r, NULL);
		refused.challenge = false; /* no API token would help */
		refused.retry_after_s = r.status == 429 ? RETRY_S : 0;
		return refused;
	}
	return view_reply(200, json_pack("{s:s, s:s, s:o, s:s, s:s}", "node", leaf.name, "serial",
					 leaf.serial, "expires", view_wall(leaf.to_s * 1000), "cert", chain,
					 "ca", enrol_ca(a->c->enrol)));
}

struct response res_nodes_token(struct api *a, const struct request *req)
{
	json_auto_t *body = NULL;
	char text[TICKET_TEXT_LEN];
	int64_t ttl_s, expires_ms;
	struct response error;

	if (!view_body(req, &body, &error) ||
	    !view_body_int(body, "ttl_s", ENROL_TTL_S, ENROL_TTL_MIN_S, ENROL_TTL_MAX_S, &ttl_s, &error))
		return error;
	struct op_result op = enrol_token(a->c->enrol, req->actor, req->params[0], ttl_s, text, &expires_ms);
	if (op.status != 200)
		return op_reply(op, NULL);
	struct response r = view_reply(200, json_pack("{s:s, s:s, s:o}", "node", req->params[0], "token",
						      text, "expires", view_wall(expires_ms)));
	r.secret = true;
	explicit_bzero(text, sizeof(text));
	return r;
}

struct response res_nodes_revoke(struct api *a, const struct request *req)
{
	json_auto_t *body = NULL;
	const char *reason, *serial;
	struct response error;

	if (!view_body(req, &body, &error) || !view_body_text(body, "reason", &reason, &error) ||
	    !view_body_text(body, "serial", &serial, &error))
		return error;
	if (!*reason)
		return problem(422, "reason is needed: whoever finds the node refused must know why.");
	if (strlen(serial) >= PKI_SERIAL_LEN || strspn(serial, "0123456789abcdef") != strlen(serial))
		return problem(422, "serial must be lower-case hexadecimal, as /v1/certificates shows it.");
	struct op_result op =
		enrol_revoke(a->c->enrol, req->actor, req->params[0], *serial ? serial : NULL, reason);
	if (op.status == 200 && a->c->fleet)
		fleet_revoked(a->c->fleet);
	return op_reply(op, json_pack("{s:s, s:o}", "node", req->params[0], "detail", view_text(op.detail)));
}

/* -- the list ----------------------------------------------------------------------------------------- */

static json_t *view_mark(const json_t *mark)
{
	if (!mark)
		return json_null();
	return json_pack("{s:o, s:O, s:O}", "time",
			 view_wall(json_integer_value(json_object_get(mark, "at_ms"))), "actor",
			 json_object_get(mark, "actor"), "reason", json_object_get(mark, "reason"));
}

static const char *state_of(const json_t *rec, int64_t now_ms)
{
	if (json_object_get(rec, "revoked"))
		return "revoked";
	return json_integer_value(json_object_get(rec, "expires_ms")) < now_ms ? "expired" : "good";
}

/* What its agent will show next time; of an older agent, what it showed. */
static const char *serial_in_use(const struct fleet_identity *id)
{
	return id->told ? id->told->serial : id->shown->serial;
}

/* "current": the CA that signs now; "old": one that is still trusted; null: not known. */
static json_t *view_ca(const struct enrol *e, const char *id)
{
	int i = id ? enrol_ca_index(e, id) : -1;

	return i < 0 ? json_null() : json_string(i == 0 ? "current" : "old");
}

/* What its agent says it takes for the CA that signs. */
static json_t *view_trusts(const struct api *a, const struct fleet_identity *id, const char *serial)
{
	if (!id->told || strcmp(id->told->serial, serial) != 0)
		return json_null();
	return view_ca(a->c->enrol, id->told->ca_id);
}

static json_t *view_cert(const struct api *a, const json_t *rec, int64_t now_ms)
{
	const char *node = json_string_value(json_object_get(rec, "node"));
	const char *serial = json_string_value(json_object_get(rec, "serial"));
	ssize_t at = cluster_node(a->c->model.cl, node);
	struct fleet_identity id;

	bool used = at >= 0 && a->c->fleet && fleet_identity(a->c->fleet, (size_t)at, &id) &&
		    strcmp(serial_in_use(&id), serial) == 0;
	return json_pack("{s:s, s:s, s:o, s:o, s:O, s:s, s:b, s:o, s:o, s:o}", "node", node, "serial", serial,
			 "issued", view_wall(json_integer_value(json_object_get(rec, "issued_ms"))),
			 "expires", view_wall(json_integer_value(json_object_get(rec, "expires_ms"))), "by",
			 json_object_get(rec, "by"), "state", state_of(rec, now_ms), "in_use", used, "ca",
			 view_ca(a->c->enrol, json_string_value(json_object_get(rec, "ca"))), "trusts",
			 used ? view_trusts(a, &id, serial) : json_null(), "revoked",
			 view_mark(json_object_get(rec, "revoked")));
}

/* Issued elsewhere: known since its node is connected. */
static json_t *view_foreign(const struct api *a, const char *node, const struct fleet_identity *id)
{
	const struct pki_leaf *l = id->shown;

	return json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:b, s:n, s:o, s:n}", "node", node, "serial",
			 l->serial, "issued", view_wall(pki_issued_s(l) * 1000), "expires",
			 view_wall(l->to_s * 1000), "by", "pki issue", "state", "good", "in_use", 1, "ca",
			 "trusts", view_trusts(a, id, l->serial), "revoked");
}

static void add_foreign(const struct api *a, json_t *list, const json_t *recorded)
{
	const struct cluster *cl = a->c->model.cl;
	struct fleet_identity id;

	for (size_t i = 0; a->c->fleet && i < cl->n_nodes; i++)
		if (fleet_identity(a->c->fleet, i, &id) && !json_object_get(recorded, serial_in_use(&id)))
			json_array_append_new(list, view_foreign(a, cl->nodes[i].name, &id));
}

struct response res_certificates_list(struct api *a, const struct request *req)
{
	json_auto_t *records = enrol_list(a->c->enrol), *recorded = json_object();
	json_t *list = json_array(), *rec;
	int64_t now_ms = wall_now_ms();
	size_t i;

	(void)req;
	json_array_foreach(records, i, rec) {
		json_array_append_new(list, view_cert(a, rec, now_ms));
		json_object_set(recorded, json_string_value(json_object_get(rec, "serial")), json_true());
	}
	add_foreign(a, list, recorded);
	return view_reply(200,
			  json_pack("{s:o, s:I, s:b}", "certificates", list, "cas",
				    (json_int_t)enrol_cas(a->c->enrol), "signs", enrol_signs(a->c->enrol)));
}
