/* SPDX-License-Identifier: Apache-2.0
 * Health checks: a kind is one row of a vtable, an instance watches one thing on a libuv loop.
 * An attempt ends exactly once: with a result, or by the timeout that check.c enforces. rise/fall: so many
 * results in a row flip the state; one failed sample never does unless fall is 1. What the kernel reports and
 * a second look confirms (a listener gone, a process ended, an address removed) counts at once, whatever fall
 * is. A state starts UNKNOWN and is decided by the first rise or fall results. fast_interval_ms applies while
 * the last result disagrees with the state. Each wait is jittered by +-jitter_pct. */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H
#include <stdbool.h>
#include <uv.h>

#include "proto/wire/msg.h"

enum check_status { CHECK_UNKNOWN, CHECK_UP, CHECK_DOWN };

/* A command that checks and hooks may run: only these, and only from the local file. */
struct command_cfg {
	char *name;
	char **argv; /* argv[0]: an absolute path */
	unsigned argv_count;
};

/* Which kind takes which field: the kinds' rows. Texts are NULL and numbers 0 when not given. */
struct check_cfg {
	char *name, *kind;
	char *target;		/* ADDRESS:PORT */
	char *path, *host;	/* http, https: default "/", host header default the target */
	uint32_t expect_status; /* http, https: 0 means any 2xx or 3xx */
	uint32_t interval_ms, fast_interval_ms, timeout_ms, rise, fall, jitter_pct;
	char *expect_body; /* http, https: extended regular expression */
	char *tls_name,
		*ca; /* https: the name in the certificate (default host), CA file (default the system's) */
	bool tls_insecure;    /* https: believe any certificate */
	uint32_t expiry_days; /* https: the certificate must last this long still */
	char *protocol;	      /* listen, process: "tcp" (default) or "udp" */
	uint32_t grace_ms;    /* listen, process: gone no longer than this is a restart */
	char *pidfile;	      /* process: or the owner of the socket on target */
	char *query, *type;   /* dns: name and type (default A) */
	char *rcode, *answer; /* dns: default NOERROR; one record must have this data */
	char *send, *expect;  /* udp: escapes \n \r \t \0 \xHH; regular expression on the reply */
	char *address;	      /* address: the VIP; on any interface unless one is named */
	char *interface;
	char *command;		 /* exec: name of a command */
	bool exit_weight;	 /* exec: exit 2..255 is up with that weight (at most 100) */
	char *unit;		 /* systemd: unit name, must be active */
	struct command_cfg *run; /* exec: what command names; the configuration's */
};

/* Checks the fields of one kind. 0 or ERR_CONFIG; ret_why (TEXT_LEN) names the field and the reason. */
int check_cfg_verify(const struct check_cfg *c, char *ret_why);
/* Same fields, same values: a check of one can go on under the other. */
bool check_cfg_equal(const struct check_cfg *a, const struct check_cfg *b);

struct check;
/* state or weight changed; reason: "connect: Connection refused", "HTTP 503, expected 200", ... */
typedef void (*check_changed_fn)(struct check *c, enum check_status status, const char *reason, void *arg);

/* cfg is copied (the command it runs too). Probing starts at once. */
struct check *check_new(uv_loop_t *loop, const struct check_cfg *cfg, check_changed_fn fn, void *arg);
const struct check_cfg *check_cfg(const struct check *c);
enum check_status check_status(const struct check *c);
const char *check_reason(const struct check *c);
/* 1..100, 100 unless an exec check said otherwise */
uint32_t check_weight(const struct check *c);
/* How long ago the last result came, in ms; -1: none yet. */
int64_t check_age_ms(const struct check *c);
/* The same of the last bad result. */
int64_t check_failed_age_ms(const struct check *c);
/* On: it looks at fast_interval_ms whatever its state. */
void check_closely(struct check *c, bool on);
/* freed by the loop after its handles closed */
void check_free(struct check *c);
#endif
