/* SPDX-License-Identifier: Apache-2.0
 * The other end of a link, by hand: a plain socket, with a TLS session or without, that can break the rules.
 * Everything here asserts. */
#ifndef UNIT_RAW_H
#define UNIT_RAW_H
#include <sys/socket.h>

#include "proto/wire/tls.h"

struct raw {
	int fd;
	struct tls *tls;
	bool up, eof, deaf, stays; /* stays: does not answer a FIN with its own */
	struct buf plain;
	int read_err;
};

/* Connects to at, which listens on IPv4. creds NULL: no TLS. */
void raw_init(struct raw *r, const struct sockaddr_storage *at, struct tls_creds *creds);
void raw_done(struct raw *r);
/* One non-blocking turn. Always true, to fit into a condition. */
bool raw_pump(struct raw *r);
/* Through TLS, whatever the bytes are. */
void raw_send(struct raw *r, const void *data, size_t len);
#endif
