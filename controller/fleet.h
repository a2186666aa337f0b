/* SPDX-License-Identifier: Apache-2.0
 * Agent sessions: who is connected, reports into the model, directives out.
 * Session states: ACCEPTED -> (Hello, name in the document, not taken) -> ACTIVE -> GONE.
 * An unknown node or a second session of one name is refused in words; the first session stays.
 * Where we do not lead, an agent is told who does and may wait here, its Hello kept: WAITING -> ACTIVE when
 * we win. Nothing is ordered before the session's first report: what is announced is adopted. Permits
 * (modelled in tests/spin/permit.pml): a lease starts at the agent's own boot_us of its last report, so
 * neither a slow network nor two clocks can stretch it; until a report written after its end, or after the
 * directive that took it back, shows what became of it, its node is not counted on. A controller that just
 * started, or a new leader, knows of no permit and therefore counts on nobody before such a report. */
#ifndef CTRL_FLEET_H
#define CTRL_FLEET_H
#include "controller/control.h"
#include "proto/wire/link.h"

#define FLEET_SESSIONS_MAX 8192
#define PERMIT_MS	   60000

struct fleet;
/* Listens at once. ret_why: TEXT_LEN bytes. */
int fleet_new(struct controller *c, struct tls_creds *creds, const struct sockaddr *listen,
	      struct fleet **ret_fleet, char *ret_why);
void fleet_free(struct fleet *f);
/* An agent asked for a permit since the last round (shard index is in the model); rounds decides. Called on
 * the loop, at once, so that a dead service waits one round trip and not one round. */
typedef void (*fleet_ask_fn)(struct controller *c, size_t node, size_t shard, const char *reason);
void fleet_on_ask(struct fleet *f, fleet_ask_fn fn);
/* Sends every connected node its full intended state, when it differs from what it was last sent or when
 * its permits need renewal. */
void fleet_direct(struct fleet *f);
/* Permits as rounds wants them from now on: grants[node * n_shards + shard]. One that is taken back counts as
 * held until a report shows that the agent took a directive without it, or that it ran out on the agent's
 * clock. */
void fleet_permits(struct fleet *f, const bool *grants);
/* Leadership changed: waiting agents are taken, or all are told who leads. */
void fleet_lead(struct fleet *f);
/* All sessions end; the agents come back. Before the model is read anew. */
void fleet_dismiss(struct fleet *f, const char *why);
/* The document changed: sessions of nodes that are gone are closed. */
void fleet_changed(struct fleet *f);
size_t fleet_sessions(const struct fleet *f);
/* The CAs to trust changed: every agent is told. */
void fleet_trust(struct fleet *f);
/* Something was revoked: sessions whose certificate is not taken any more end, in words. */
void fleet_revoked(struct fleet *f);
/* Other credentials for connections to come. */
void fleet_set_creds(struct fleet *f, struct tls_creds *creds);
struct fleet_identity {
	const struct pki_leaf *shown; /* the certificate that opened the session */
	const struct msg_identity
		*told; /* what the agent says it has now; NULL: an older agent, or not yet */
};
/* False when the node is not connected. */
bool fleet_identity(struct fleet *f, size_t node, struct fleet_identity *ret);
#endif
