/* SPDX-License-Identifier: Apache-2.0
 * Health checks: a kind is one row of a vtable, an instance probes one target on a libuv loop.
 * An attempt ends by done() exactly once: result, or the timeout that check.c enforces. rise/fall: so many
 * results in a row flip the state; one failed sample never does unless fall is 1. A state starts UNKNOWN and
 * is decided by the first rise or fall results. fast_interval_ms applies while the last result disagrees
 * with the state. Each wait is jittered by +-10 %. */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H
#include <stdbool.h>
#include <uv.h>

#include "proto/wire/msg.h"

enum check_status { CHECK_UNKNOWN, CHECK_UP, CHECK_DOWN };

struct check_cfg {
	char *name, *kind;	/* kind: "tcp", "http" */
	char *target;		/* ADDRESS:PORT */
	char *path, *host;	/* http: default "/", host header default the target */
	uint32_t expect_status; /* http: default 200; 0 means any 2xx or 3xx */
	uint32_t interval_ms, fast_interval_ms, timeout_ms, rise, fall;
};

/* Checks the fields of one kind. 0 or ERR_CONFIG; ret_why (TEXT_LEN) names the field and the reason. */
int check_cfg_verify(const struct check_cfg *c, char *ret_why);

struct check;
/* state changed; reason: "connect: Connection refused", "HTTP 503, expected 200", ... */
typedef void (*check_changed_fn)(struct check *c, enum check_status status, const char *reason, void *arg);

/* cfg must outlive the check. Probing starts at once. */
struct check *check_new(uv_loop_t *loop, const struct check_cfg *cfg, check_changed_fn fn, void *arg);
enum check_status check_status(const struct check *c);
const char *check_reason(const struct check *c);
/* freed by the loop after its handles closed */
void check_free(struct check *c);
#endif
