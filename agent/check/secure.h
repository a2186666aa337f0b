/* SPDX-License-Identifier: Apache-2.0
 * The client end of TLS as a check needs it, over byte buffers: no sockets here. GnuTLS is seen by this
 * file's .c alone. (proto/wire/tls.h is for our own CA, and both ends.) */
#ifndef CHECK_SECURE_H
#define CHECK_SECURE_H
#include "agent/check/check.h"

/* Whom to trust: read once for a check's life. NULL with ret_why (TEXT_LEN): the CA file cannot be used. */
struct secure_trust;
struct secure_trust *secure_trust_new(const struct check_cfg *cfg, char *ret_why);
void secure_trust_free(struct secure_trust *t);

struct secure;
struct secure *secure_new(struct secure_trust *t, const struct check_cfg *cfg);
void secure_free(struct secure *s);
/* Bytes from the server. */
void secure_feed(struct secure *s, const void *data, size_t len);
/* Bytes for the server: the caller sends and drops them. */
struct buf *secure_out(struct secure *s);
/* 1: done and the certificate is good, 0: needs more bytes, ERR_TLS or ERR_CERT with ret_why (TEXT_LEN). */
int secure_handshake(struct secure *s, char *ret_why);
void secure_write(struct secure *s, const void *data, size_t len);
/* Appends what can be decrypted. 0: no more now, ERR_CLOSED, ERR_TLS with ret_why. */
int secure_read(struct secure *s, struct buf *out, char *ret_why);
#endif
