/* SPDX-License-Identifier: Apache-2.0
 * The REST API under /v1 on libmicrohttpd's epoll descriptor inside the loop. http.c alone sees MHD. */
#ifndef API_API_H
#define API_API_H
#include "controller/control.h"

struct api_cfg {
	struct sockaddr_storage listen;
	const char *ca, *cert, *key;	    /* PEM files; HTTPS always */
	unsigned reads_per_s, writes_per_s; /* of one token; 0: limit.c's */
	const char *tokens; /* file of "NAME ROLE SHA256-HEX" lines; read again when it changes */
};
struct api;
int api_new(struct controller *c, const struct api_cfg *cfg, struct api **ret_api, char *ret_why);
/* A reload in two steps: other certificates for connections to come (an error leaves the old ones, and
 * api_revert brings them back when another part of the reload fails), then tokens and limits. listen stays.
 */
int api_prepare(struct api *a, const struct api_cfg *cfg, char *ret_why);
void api_revert(struct api *a);
void api_commit(struct api *a, const struct api_cfg *cfg);
/* The loop must run once more to free the handles. */
void api_free(struct api *a);
/* The port it listens on, also when cfg asked for port 0. */
uint16_t api_port(const struct api *a);
#endif
