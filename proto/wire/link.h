/* SPDX-License-Identifier: Apache-2.0
 * One connection between an agent and the controller: TCP (libuv) + tls + frame + msg. Used by both sides.
 * States: CONNECTING -> HANDSHAKE -> UP -> CLOSED; any state may go to CLOSED; nothing leaves CLOSED.
 * Timers: the handshake must end within LINK_HANDSHAKE_MS; an UP link that hears nothing for LINK_IDLE_MS is
 * closed. All callbacks run on the loop's thread. Output waiting above LINK_BACKLOG_MAX closes the link. */
#ifndef WIRE_LINK_H
#define WIRE_LINK_H
#include <uv.h>

#include "proto/wire/msg.h"
#include "proto/wire/pki.h"
#include "proto/wire/tls.h"

#define LINK_HANDSHAKE_MS 5000
#define LINK_IDLE_MS	  10000
#define LINK_BACKLOG_MAX  (4 * 1024 * 1024)

struct link;
struct link_ops {
	/* handshake done; the peer's name is link_peer(l). On the connecting side down() with ERR_CERT may
	 * follow at once: a TLS 1.3 server judges our certificate after our own handshake is over. */
	void (*up)(struct link *l, void *arg);
	/* m belongs to the link and is freed after the call */
	void (*msg)(struct link *l, const struct msg *m, void *arg);
	/* last call, exactly once, also when it never came up; err 0: closed in order. The link frees itself.
	 */
	void (*down)(struct link *l, int err, const char *why, void *arg);
};

struct link *link_connect(uv_loop_t *loop, struct tls_creds *creds, const struct sockaddr *to,
			  const struct link_ops *ops, void *arg);
/* Takes one connection from a listening handle; NULL when accept fails. */
struct link *link_accept(uv_stream_t *server, struct tls_creds *creds, const struct link_ops *ops, void *arg);
/* Ignored unless UP. */
void link_send(struct link *l, const struct msg *m);
/* Sends what is queued and closes; down() follows. */
void link_close(struct link *l, const char *why);
const char *link_peer(const struct link *l);		/* certificate name; "" before UP */
const struct pki_leaf *link_leaf(const struct link *l); /* of the same certificate; valid once UP */
const char *link_addr(const struct link *l);		/* remote ADDRESS:PORT */
void link_set_arg(struct link *l, void *arg);
/* Other times than LINK_HANDSHAKE_MS and LINK_IDLE_MS, counted from now; 0 keeps one as it is. For tests. */
void link_set_timeouts(struct link *l, uint64_t handshake_ms, uint64_t idle_ms);
#endif
