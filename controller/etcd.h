/* SPDX-License-Identifier: Apache-2.0
 * etcd's JSON gateway (/v3, etcd 3.4 and later): calls, one watch, authentication by user and password.
 * Keys and values are bytes; on the wire they are base64. Nothing here knows what is stored.
 * One thread owns a struct etcd; only etcd_wake may come from another. An endpoint that does not answer is
 * left for the next one.
 * Source: https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/ */
#ifndef CTRL_ETCD_H
#define CTRL_ETCD_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/mono.h"

#define ETCD_WHY_LEN 256

struct etcd_cfg {
	char **endpoints; /* "https://10.0.0.1:2379" */
	unsigned n_endpoints;
	const char *ca, *cert, *key; /* PEM files; NULL: none */
	const char *user, *password; /* NULL: no authentication */
};

struct etcd;
struct etcd *etcd_new(const struct etcd_cfg *cfg);
void etcd_free(struct etcd *e);
const char *etcd_why(const struct etcd *e);

/* POSTs body (stolen) to /v3/PATH. 0 with *ret_answer (the caller decrefs); ERR_REFUSED: etcd answered with a
 * final error and did nothing; ERR_TIMEOUT: no answer, or none that says what happened. */
int etcd_call(struct etcd *e, const char *path, json_t *body, unsigned timeout_ms, json_t **ret_answer);

/* fn per line of the watch, {"header", "events", "canceled", ...}, while any function of e runs. */
typedef void (*etcd_watch_fn)(json_t *result, void *arg);
void etcd_watch(struct etcd *e, const char *key, const char *range_end, int64_t from_revision,
		etcd_watch_fn fn, void *arg);
bool etcd_watching(const struct etcd *e);
void etcd_watch_stop(struct etcd *e);
/* Reads the watch until etcd_wake is called or timeout_ms passed. */
void etcd_wait(struct etcd *e, unsigned timeout_ms);
void etcd_wake(struct etcd *e);

json_t *etcd_b64(const char *text);
/* Heap text; NULL when it is none. */
char *etcd_text(const json_t *b64);
int64_t etcd_int(const json_t *object, const char *name); /* numbers arrive as strings; 0 when absent */
int64_t etcd_revision(const json_t *answer);
#endif
