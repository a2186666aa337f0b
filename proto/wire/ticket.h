/* SPDX-License-Identifier: Apache-2.0
 * The one-time token a node enrols with, as text: "sluice1.SECRET.CA.NODE". SECRET is 32 random bytes, CA the
 * SHA-256 of the public key of the CA that the controller answers with (so that nobody is trusted blindly),
 * both in base64url without padding (RFC 4648, 5). The controller keeps the SHA-256 of SECRET only. Pure but
 * for ticket_new's random numbers. */
#ifndef WIRE_TICKET_H
#define WIRE_TICKET_H
#include "proto/wire/pki.h"

#define TICKET_SECRET_LEN 44 /* NUL included */
#define TICKET_TEXT_LEN	  192
#define TICKET_HASH_LEN	  65 /* hex, NUL included */

struct ticket {
	char secret[TICKET_SECRET_LEN];
	char ca_id[PKI_ID_LEN]; /* hex, as pki_bundle_ids */
	char node[64];
};

/* 32 random bytes in base64url: ret_secret has TICKET_SECRET_LEN bytes. API tokens are made so, too. 0 or
 * ERR_TLS. */
int ticket_secret(char *ret_secret);
/* A new secret for this node and CA. 0 or ERR_TLS. */
int ticket_new(const char *node, const char *ca_id, struct ticket *ret);
/* ret_text: TICKET_TEXT_LEN bytes. */
void ticket_text(const struct ticket *t, char *ret_text);
/* White space at the end is allowed. ERR_MALFORMED with ret_why (TEXT_LEN), which never repeats the text. */
int ticket_parse(const char *text, struct ticket *ret, char *ret_why);
/* What is stored of a secret: ret_hex has TICKET_HASH_LEN bytes. */
int ticket_hash(const char *secret, char *ret_hex);
#endif
