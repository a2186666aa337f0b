/* SPDX-License-Identifier: Apache-2.0
 * Certificates over sessions: what agents are told to trust, renewal, revocation. Stateless. */
#include <string.h>

#include "controller/enrol.h"
#include "controller/fleet_int.h"
#include "proto/base/err.h"

void fleet_send_trust(struct session *s)
{
	auto_free char *ca = xstrdup(enrol_ca(s->fleet->c->enrol));
	struct msg m = { .kind = MSG_TRUST, .trust = { .ca = ca } };

	link_send(s->link, &m);
}

void fleet_trust(struct fleet *f)
{
	for (struct session *s = f->sessions; s; s = s->next)
		if (s->node >= 0 && !s->refused)
			fleet_send_trust(s);
}

void fleet_cert_request(struct session *s, const struct msg *m)
{
	struct msg answer = { .kind = MSG_CERT_ANSWER };
	const char *csr = m->cert_request.csr;

	if (!s->fleet->c->enrol)
		return;
	struct op_result r =
		enrol_renew(s->fleet->c->enrol, link_leaf(s->link), csr ? csr : "", &answer.cert_answer.cert);
	if (r.status != 200)
		snprintf(answer.cert_answer.error, sizeof(answer.cert_answer.error), "%s", r.detail);
	link_send(s->link, &answer);
	msg_done(&answer);
}

void fleet_identified(struct session *s, const struct msg *m)
{
	const char *error = m->identity.error;

	if (error[0] && strcmp(error, s->identity.error) != 0)
		events_emit(s->fleet->c->events, NULL, 0, "cert.late", "warning",
			    json_pack("{s:s, s:I}", "node", fleet_node_name(s), "expires_s",
				      (json_int_t)m->identity.to_s),
			    "the certificate of %s could not be renewed: %s", fleet_node_name(s), error);
	s->identity = m->identity;
	s->identified = true;
}

bool fleet_refuses_cert(struct session *s)
{
	char why[TEXT_LEN];

	if (!s->fleet->c->enrol || !enrol_refuses(s->fleet->c->enrol, link_leaf(s->link), why))
		return false;
	fleet_refuse(s, ERR_CERT, "%s", why);
	return true;
}

void fleet_revoked(struct fleet *f)
{
	for (struct session *s = f->sessions; s; s = s->next)
		if (s->node >= 0 && !s->refused && fleet_refuses_cert(s))
			fleet_live(s)->connected = false;
}

bool fleet_identity(struct fleet *f, size_t node, struct fleet_identity *ret)
{
	const struct session *s = fleet_of_node(f, node);

	if (!s)
		return false;
	ret->shown = link_leaf(s->link);
	ret->told = s->identified ? &s->identity : NULL;
	return true;
}
