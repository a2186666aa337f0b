/* SPDX-License-Identifier: Apache-2.0
 * HTTPS to the controller's API (libcurl). The token comes from a file and goes into one header only; it is
 * in no message and wiped when the client is freed. Redirects are not followed: a token stays with the host
 * it was meant for. */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H
#include <jansson.h>

#define CLIENT_WHY	 512
#define CLIENT_REPLY_MAX (64 * 1024 * 1024)
#define CLIENT_PATH_MAX	 1024

struct client_cfg {
	const char *url;	/* "https://HOST:PORT" */
	const char *ca;		/* PEM file; NULL: the system's */
	const char *token_file; /* NULL: no token */
};

struct client;
struct reply {
	long status;
	json_t *json;	/* NULL when the body is not JSON */
	char *text;	/* the body when it is not JSON, else NULL */
	char etag[128]; /* "" when there is none */
	char location[256];
};
void reply_done(struct reply *r);
#define auto_reply __attribute__((cleanup(reply_done))) struct reply

/* why: CLIENT_WHY bytes, names the file or option and the next step. */
int client_new(const struct client_cfg *cfg, struct client **ret_client, char *ret_why);
void client_free(struct client *c);
/* body, if_match may be NULL. 0: there is an answer, of whatever status. Negative: none, see client_why. */
int client_call(struct client *c, const char *method, const char *path, const json_t *body,
		const char *if_match, struct reply *ret_reply);
/* A response without end. last_id: sent as Last-Event-ID when not "". fn gets the bytes of a 200 answer as
 * they come and returns nonzero to stop; ERR_CLOSED when the server ended it, ERR_TIMEOUT when it fell
 * silent. 0: stopped by fn, or a status other than 200, which is then in *ret_reply. */
int client_stream(struct client *c, const char *path, const char *last_id,
		  int (*fn)(const char *data, size_t len, void *arg), void *arg, struct reply *ret_reply);
const char *client_why(const struct client *c);
#endif
