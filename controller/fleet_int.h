/* SPDX-License-Identifier: Apache-2.0
 * What fleet.c (sessions, directives, permits) and fleet_certs.c (certificates) share; nobody else includes
 * this. */
#ifndef CTRL_FLEET_INT_H
#define CTRL_FLEET_INT_H
#include "controller/fleet.h"

#define SAID 64

struct session {
	struct fleet *fleet;
	struct link *link;
	ssize_t node;	       /* index in the model, -1 before Hello */
	bool refused, waiting; /* waiting: for a leader; its Hello is kept */
	struct msg_hello hello;
	mono_t sent_at;
	uint64_t heard_us;    /* boot_us of its newest report; 0: none yet, so no lease can start */
	struct prefix *allow; /* the agent's whitelist */
	size_t n_allow;
	struct msg_directive last; /* as sent; seq is the fleet's */
	struct msg_identity identity;
	bool identified;
	struct session *next;
};

struct said {
	char who[NAME_LEN], why[TEXT_LEN];
	mono_t at;
};

struct fleet {
	struct controller *c;
	struct tls_creds *creds;
	uv_tcp_t server;
	struct session *sessions;
	size_t n_sessions;
	struct session **by_node; /* made anew when asked for after a change */
	bool indexed;
	uint64_t seq;
	fleet_ask_fn ask;
	struct said said[SAID]; /* a ring */
	size_t next_said;
};

/* s->node is known. */
struct node_live *fleet_live(struct session *s);
const char *fleet_node_name(const struct session *s);
/* In words, and the end of the session. */
void fleet_refuse(struct session *s, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* NULL: not connected. */
struct session *fleet_of_node(struct fleet *f, size_t node);

/* fleet_certs.c */
void fleet_send_trust(struct session *s);
void fleet_cert_request(struct session *s, const struct msg *m);
void fleet_identified(struct session *s, const struct msg *m);
/* True: its certificate is not taken any more, and it was told so. */
bool fleet_refuses_cert(struct session *s);
#endif
