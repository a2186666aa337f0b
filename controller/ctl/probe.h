/* SPDX-License-Identifier: Apache-2.0
 * Asks addresses at a rate, each time over a new connection, and hands on what came of it in the order of
 * asking. libcurl's multi interface on one thread; no controller is needed. */
#ifndef CTL_PROBE_H
#define CTL_PROBE_H
#include <regex.h>

#include "controller/ctl/probe_stats.h"

#define PROBE_TARGETS	16
#define PROBE_WHO_MAX	4096 /* bytes of a body that are looked at */
#define PROBE_IN_FLIGHT 4096

enum probe_kind { PROBE_TCP, PROBE_HTTP, PROBE_HTTPS };

struct probe_cfg {
	const char *targets[PROBE_TARGETS]; /* "198.18.1.1:80", "[2001:db8::1]:80" */
	size_t n_targets;
	enum probe_kind kind;
	const char *path, *host; /* host NULL: the address */
	const char *ca;		 /* PEM; NULL: the system's */
	bool no_verify;
	const char *id_header; /* names who answers; NULL: none */
	regex_t *id_body;      /* its first group does; NULL: none */
	unsigned rate;	       /* a second, of each target */
	int64_t timeout_ms;
	uint64_t count; /* attempts at each target; 0: no limit */
};

struct probe;
/* fn: one finished attempt of target t; results of one target come in the order of their starts. */
struct probe *probe_new(const struct probe_cfg *cfg,
			void (*fn)(size_t t, const struct probe_result *r, void *arg), void *arg);
/* Works for up to ms; starts attempts when they are due, unless stop. False: it failed, and errno says why.
 */
bool probe_run(struct probe *p, int ms, bool stop);
/* True once count attempts of each are over. */
bool probe_done(const struct probe *p);
void probe_free(struct probe *p);
#endif
