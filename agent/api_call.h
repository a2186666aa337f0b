/* SPDX-License-Identifier: Apache-2.0
 * One HTTPS connection to a controller's API for whoever enrols, blocking. CLOSED -> call_open: TLS with
 * nobody trusted, GET /v1/ca with nothing of ours said yet, then the CA that the caller names judges the peer
 * -> OPEN -> call_close. What a peer sends is limited in size and time. */
#ifndef AGENT_API_CALL_H
#define AGENT_API_CALL_H
#include <jansson.h>

#include "proto/base/mono.h"
#include "proto/wire/msg.h"
#include "proto/wire/tls.h"

#define CALL_DEADLINE_MS 15000 /* from call_open to the last answer */
#define CALL_HOST_LEN	 300   /* "HOST:PORT" */
#define CALL_MOVED	 1

/* Initialise with CALL_INIT; also before another call_open. */
struct call {
	int fd;
	struct tls *tls;
	mono_t deadline;
	bool sent;		   /* the last request may have arrived, whatever came of it */
	uint32_t status;	   /* of the last answer; 0: none */
	char moved[CALL_HOST_LEN]; /* with CALL_MOVED: who answers instead */
	char why[TEXT_LEN];
};
#define CALL_INIT                                                                                            \
	{                                                                                                    \
		.fd = -1                                                                                     \
	}

/* where: HOST:PORT or [ADDRESS]:PORT; ca_id as in pki_bundle_ids. 0: the peer is a controller of that CA, or
 * an error with why. To be closed either way. */
int call_open(struct call *c, const char *where, const char *ca_id);
/* 0: *ret_json is the answer's object (status 200); CALL_MOVED: another controller answers that (307, 308:
 * https and the same path only); ERR_REFUSED: the controller said no, in why; else no answer came, and why
 * says so. */
int call_request(struct call *c, const char *method, const char *path, const json_t *body, json_t **ret_json);
void call_close(struct call *c);
/* HOST:PORT of "https://HOST[:PORT]PATH": ret_host has CALL_HOST_LEN bytes. False: it is no such URL. */
bool call_host(const char *url, const char *path, char *ret_host);
#endif
