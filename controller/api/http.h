/* SPDX-License-Identifier: Apache-2.0
 * HTTPS as the resources see it: a request in, a response out, and streams for what never ends. http.c is the
 * only file that sees libmicrohttpd. Everything runs on the loop's thread.
 * Limits: HTTP_* below. The headers of the first request must be here within HTTP_FIRST_MS of connecting;
 * then each request must be complete, and its answer taken, within HTTP_DEADLINE_MS. Streams have no
 * deadline. */
#ifndef API_HTTP_H
#define API_HTTP_H
#include <sys/socket.h>
#include <uv.h>

#include "controller/api/auth.h"

#define HTTP_BODY_MAX	  (1024 * 1024)
#define HTTP_CONNS_MAX	  2048
#define HTTP_PER_PEER_MAX 1536
#define HTTP_CONNS_SPARE  64 /* beyond the limit: to be told so (503) and closed */
#define HTTP_IDLE_S	  15
#define HTTP_FIRST_MS	  10000
#define HTTP_DEADLINE_MS  30000
#define HTTP_QUERY_MAX	  16
#define HTTP_PARAMS_MAX	  2
#define HTTP_PEER_LEN	  64

enum http_header {
	HDR_AUTHORIZATION,
	HDR_IF_MATCH,
	HDR_ACCEPT,
	HDR_LAST_EVENT_ID,
	HDR_IDEMPOTENCY_KEY,
	HDR_N
};

struct http_query {
	const char *key, *value; /* value "" when there was none */
};

/* Valid during the call only. */
struct request {
	const char *method, *path; /* HEAD arrives as GET; path is percent-decoded */
	char peer[HTTP_PEER_LEN];  /* http_peer of the client */
	struct http_query query[HTTP_QUERY_MAX];
	size_t n_query;
	const char *header[HDR_N]; /* NULL when absent */
	const char *body;	   /* NUL-terminated; "" when there was none */
	size_t body_len;
	/* set by routes.c */
	char params[HTTP_PARAMS_MAX][128]; /* the {…} parts of the route, in order */
	char actor[NAME_LEN];		   /* name of the token; "" on open routes */
	size_t body_max;		   /* 0: HTTP_BODY_MAX */
	enum role role;
	uint8_t token[AUTH_HASH_LEN]; /* its hash: for answers that never end */
	const struct route *route;
};
/* The value, or NULL. */
const char *request_query(const struct request *req, const char *key);

/* A body that several answers have at once. */
struct shared;
struct shared *shared_new(char *body); /* heap, taken over; one reference */
void shared_ref(struct shared *s);
void shared_unref(struct shared *s);

struct stream;
struct stream_ops {
	/* Before the first read; st is what stream_wake wants. */
	void (*open)(void *arg, struct stream *st);
	/* > 0: bytes put into buf; 0: nothing now, stream_wake tells when; < 0: the end. */
	ssize_t (*read)(void *arg, char *buf, size_t max);
	/* Last call, exactly once, also when open was never called. */
	void (*close)(void *arg);
};
void stream_wake(struct stream *st);

struct response {
	int status;
	const char *type;	 /* static storage */
	char *body;		 /* heap, taken over; NULL: none */
	const char *static_body; /* used when body is NULL */
	struct shared *shared;	 /* used when both are NULL; a reference */
	size_t len;
	char etag[24];
	char allow[64];
	char location[512];
	bool challenge;			 /* WWW-Authenticate */
	bool secret;			 /* the body is shown once: it is not kept for a repetition */
	unsigned retry_after_s;		 /* 0: none */
	bool close;			 /* the connection, after this answer */
	const struct stream_ops *stream; /* instead of a body */
	void *stream_arg;
};

struct http_ops {
	/* Headers are here, the body is not. false: *ret_response is the answer and the body is thrown away.
	 */
	bool (*check)(struct request *req, struct response *ret_response, void *arg);
	/* The whole request. */
	struct response (*handle)(struct request *req, void *arg);
};

struct http_cfg {
	const struct sockaddr *listen;
	const char *cert, *key;	      /* PEM files */
	unsigned idle_s, deadline_ms; /* 0: HTTP_IDLE_S, HTTP_DEADLINE_MS */
	unsigned conns_max;	      /* 0: HTTP_CONNS_MAX */
	unsigned per_peer_max;	      /* 0: HTTP_PER_PEER_MAX */
};
struct http;
/* Whom limits count: an IPv4 address, or the /64 of an IPv6 one. HTTP_PEER_LEN bytes. */
void http_peer(const struct sockaddr *sa, char *ret_peer);
int http_new(uv_loop_t *loop, const struct http_cfg *cfg, const struct http_ops *ops, void *arg,
	     struct http **ret_http, char *ret_why);
/* Ends every stream. The loop must run once more to free the handles. */
void http_free(struct http *h);
uint16_t http_port(const struct http *h);
unsigned http_connections(const struct http *h);
#endif
