/* SPDX-License-Identifier: Apache-2.0
 * Certificates of nodes: one-time tokens, signing, renewal, revocation, and the CAs that everybody trusts.
 * A token: OUT -> USED (kept until it expires: the same key gets the same certificate again, in case the
 * answer was lost, and any other is refused and recorded) or EXPIRED. A certificate: GOOD -> REVOKED or
 * expired. Like control.h: checked, written to the store with its event, and only then in effect. The store's
 * keys are "enrol/token/SHA256", "enrol/cert/NODE/SERIAL" and "enrol/revoked/NODE"; all is held in memory,
 * too, so that a store that is away neither lets a revoked node in nor keeps a good one out. */
#ifndef CTRL_ENROL_H
#define CTRL_ENROL_H
#include <jansson.h>

#include "controller/control.h"
#include "proto/wire/pki.h"

#define ENROL_LIFE_S	(90 * 86400)
#define ENROL_TTL_S	3600
#define ENROL_TTL_MIN_S 60
#define ENROL_TTL_MAX_S (7 * 86400)
#define ENROL_TOKENS	1024 /* out at once */

struct enrol_cfg {
	const char *ca;		/* PEM bundle file; the first CA signs now */
	const char *own;	/* the controller's certificate: new nodes are told which CA vouches for it */
	const char *cert, *key; /* of the enrolment CA; NULL: this controller signs nothing */
	int64_t life_s;		/* of what it signs */
};

struct enrol;
/* c's store need not be loaded yet. ret_why: TEXT_LEN bytes. */
int enrol_new(struct controller *c, const struct enrol_cfg *cfg, struct enrol **ret_enrol, char *ret_why);
/* The files again; all or nothing. The caller then tells the agents (fleet_trust). */
int enrol_reload(struct enrol *e, const struct enrol_cfg *cfg, char *ret_why);
/* Reads what the store has; at start and when this controller begins to lead. */
void enrol_load(struct enrol *e);
void enrol_free(struct enrol *e);

/* ret_text: TICKET_TEXT_LEN bytes, the only time the secret is seen. */
struct op_result enrol_token(struct enrol *e, const char *actor, const char *node, int64_t ttl_s,
			     char *ret_text, int64_t *ret_expires_ms);
/* 401: not a token of ours (429: too many of those); 403: used with another key, or expired. *ret_chain is
 * heap. */
struct op_result enrol_redeem(struct enrol *e, const char *token, const char *csr, char **ret_chain,
			      struct pki_leaf *ret_leaf);
/* Over the node's own session, which showed this certificate. */
struct op_result enrol_renew(struct enrol *e, const struct pki_leaf *shown, const char *csr,
			     char **ret_chain);
/* serial NULL: every certificate of the node issued until now, and its tokens. */
struct op_result enrol_revoke(struct enrol *e, const char *actor, const char *node, const char *serial,
			      const char *reason);
/* True: this certificate is not taken any more; ret_why (TEXT_LEN) says who, why and what to do. */
bool enrol_refuses(const struct enrol *e, const struct pki_leaf *l, char *ret_why);
/* PEM of every CA to trust. */
const char *enrol_ca(const struct enrol *e);
/* Index of the CA (0 signs now) whose id this is, or -1. */
int enrol_ca_index(const struct enrol *e, const char *id);
size_t enrol_cas(const struct enrol *e);
bool enrol_signs(const struct enrol *e);
/* Every certificate on record: {"node", "serial", "issued_wall_ms", "expires_wall_ms", "by", "revoked":
 * {...}?}. New reference. */
json_t *enrol_list(const struct enrol *e);
#endif
