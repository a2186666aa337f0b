/* SPDX-License-Identifier: Apache-2.0
 * TLS 1.3 over byte buffers (GnuTLS), both sides authenticated against our own CA. No sockets here:
 * the owner moves bytes between tls.in/out and its transport. One session is owned by one link. */
#ifndef WIRE_TLS_H
#define WIRE_TLS_H
#include <stdbool.h>

#include "proto/base/mem.h"
#include "proto/wire/pki.h"

struct tls_creds; /* CA, certificate and key; shared by many sessions, reference counted */

/* Reads three PEM files. On error *ret_why (TEXT_LEN bytes) names the file, the reason and the next step
 * (expired, not readable, key does not match). */
int tls_creds_load(const char *ca, const char *cert, const char *key, struct tls_creds **ret_creds,
		   char *ret_why);
/* The same from texts; what is said names where (a file they came from). ERR_CERT_TIME: all is well but for
 * the dates. */
struct tls_pem {
	const char *ca, *cert, *key;
};
int tls_creds_make(const struct tls_pem *pem, const char *where, struct tls_creds **ret_creds, char *ret_why);
/* No certificate and nobody trusted yet: a client that must call tls_trust before it believes a word. */
struct tls_creds *tls_creds_blind(void);
struct tls_creds *tls_creds_ref(struct tls_creds *c);
void tls_creds_unref(struct tls_creds *c);
/* The name in our own certificate. */
const char *tls_creds_name(const struct tls_creds *c);
const struct pki_leaf *tls_creds_leaf(const struct tls_creds *c);

struct tls;
/* expect_role: what the peer's certificate must be issued as, PKI_ROLE_* of pki.h. */
struct tls *tls_new(struct tls_creds *creds, bool server, int expect_role);
void tls_free(struct tls *t);
/* Bytes from the transport. */
int tls_feed(struct tls *t, const void *data, size_t len);
/* Bytes to put on the transport: the caller sends and drops them. */
struct buf *tls_out(struct tls *t);
/* 1: handshake complete; 0: wants more bytes; ERR_TLS / ERR_CERT with tls_why set. Call after every feed
 * and once at start on the client side. */
int tls_handshake(struct tls *t);
/* Name in the peer's certificate; valid after the handshake. */
const char *tls_peer(const struct tls *t);
const struct pki_leaf *tls_peer_leaf(const struct tls *t);
/* With tls_creds_blind, after the handshake: judges the peer by these CAs (PEM) as the handshake would have.
 */
int tls_trust(struct tls *t, const char *ca);
/* Decrypted bytes appended to out. 1: got some; 0: nothing now; ERR_CLOSED; ERR_TLS. */
int tls_read(struct tls *t, struct buf *out);
/* Encrypts all of data. */
int tls_write(struct tls *t, const void *data, size_t len);
/* Starts an orderly close (close_notify into tls_out). */
void tls_close(struct tls *t);
/* Why the last call failed, in a sentence. */
const char *tls_why(const struct tls *t);
#endif
