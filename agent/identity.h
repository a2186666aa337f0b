/* SPDX-License-Identifier: Apache-2.0
 * Who this node is to the controller: key, certificate and the CAs it trusts. They come from the files that
 * agent.yaml names, or from STATE_DIR/identity.json (0600), where renewal keeps what it got: whichever
 * certificate was issued later. A new key is made for each renewal; it never leaves the node. States: GOOD ->
 * (two thirds of its life are over, or another CA signs now) DUE -> ASKED -> GOOD, or after an error or
 * ASK_MS without an answer DUE again, later each time. EXPIRED (or a wrong clock): no session; the node goes
 * on without its controller and looks for better files every minute. The session is never dropped for a
 * renewal: the next one uses the new certificate. */
#ifndef AGENT_IDENTITY_H
#define AGENT_IDENTITY_H
#include <jansson.h>

#include "agent/config.h"
#include "proto/wire/msg.h"
#include "proto/wire/tls.h"

struct identity;
struct identity_ops {
	/* to the controller; only between identity_up and the session's end */
	void (*send)(const struct msg *m, void *arg);
	/* other credentials for the next connection; id keeps its reference */
	void (*creds)(struct tls_creds *creds, void *arg);
};

/* cfg->controller is set. 0 also when the certificate has expired: identity_creds is NULL then. ret_why:
 * CONF_WHY_LEN bytes. */
int identity_new(const struct agent_config *cfg, const char *state_dir, struct identity **ret_id,
		 char *ret_why);
void identity_attach(struct identity *id, const struct identity_ops *ops, void *arg);
void identity_free(struct identity *id);
/* Borrowed; NULL: no usable certificate. */
struct tls_creds *identity_creds(const struct identity *id);
/* The session is up (the agent says who it is), or gone. */
void identity_up(struct identity *id, bool up);
/* CertAnswer and Trust. */
void identity_msg(struct identity *id, const struct msg *m);
/* Every second or so. */
void identity_tick(struct identity *id);
/* {"serial", "issued", "expires" (seconds since 1970), "renew", "trouble" or null} */
json_t *identity_view(const struct identity *id);

/* Pure: when a certificate is to be renewed, in seconds since 1970: two thirds into its life, up to a twelfth
 * later by its serial, so that nodes enrolled together do not come together. */
int64_t identity_renew_s(const struct pki_leaf *l);
#endif
