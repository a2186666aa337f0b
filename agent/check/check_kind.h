/* SPDX-License-Identifier: Apache-2.0
 * Inside agent/check only: what one kind of check must offer, and the TCP dialling kinds share.
 * A probe is one attempt: heap, owned by the kind, freed in its own close callback. It ends by check_done()
 * exactly once (perhaps before start() returns), or silently when check.c cancels it.
 * A watch lives as long as its check: sockets that report events, credentials. */
#ifndef CHECK_CHECK_KIND_H
#define CHECK_CHECK_KIND_H
#include "agent/check/check.h"

struct check_kind {
	const char *name;
	/* the fields of struct check_cfg it takes, separated by spaces; '!' after those it needs */
	const char *takes;
	/* what the field rows cannot say; may be NULL. 0 or ERR_CONFIG */
	int (*verify)(const struct check_cfg *cfg, char *ret_why);
	/* NULL: the attempt ended before start returned, or needs no cancelling */
	void *(*start)(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg);
	/* called only while the attempt runs; check_done() must not follow */
	void (*cancel)(void *probe);
	/* both NULL: nothing outlives an attempt */
	void *(*open)(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg);
	void (*close)(void *watch);
};
extern const struct check_kind check_kind_tcp, check_kind_http, check_kind_https, check_kind_listen,
	check_kind_process, check_kind_dns, check_kind_udp, check_kind_address, check_kind_exec,
	check_kind_systemd;

void check_done(struct check *c, bool ok, const char *reason);
/* The attempt has no result: something else decides soon. */
void check_skip(struct check *c);
/* Confirmed dead: DOWN at once, fall or no fall. Also from outside an attempt; a running one is cancelled. */
void check_dead(struct check *c, const char *reason);
/* Something may have got better: the next attempt starts now. */
void check_hurry(struct check *c);
void check_set_weight(struct check *c, uint32_t weight);
void *check_watch(const struct check *c);
/* Static text for the reason of a timeout: what the attempt is waiting for. */
void check_phase(struct check *c, const char *phase);
/* "field: reason" into ret_why. Always ERR_CONFIG. */
int check_refuse(char *ret_why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* An extended regular expression that compiles; empty or NULL is good. */
int check_verify_regex(const char *field, const char *regex, char *ret_why);
/* Does regex (NULL: anything) match text? It was verified before. */
bool check_regex_matches(const char *regex, const char *text);

/* Pure: one result into the run of equal results (successes count up from 1, failures down from -1). */
enum check_status check_step(enum check_status now, int *run, bool ok, uint32_t rise, uint32_t fall);
/* Pure: ms +-pct percent; rnd any 32 bits. */
uint32_t check_jitter(uint32_t ms, uint32_t pct, uint32_t rnd);

/* First member of a probe that speaks over TCP. */
struct dial {
	uv_tcp_t tcp;
	uv_connect_t req;
	struct check *check; /* NULL once the attempt has ended: late callbacks see it and leave */
	void (*connected)(struct dial *d);
	void (*freed)(struct dial *d); /* before the probe's memory goes; may be NULL */
};
/* size: of the whole probe, zeroed. */
struct dial *dial_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg, size_t size,
			void (*connected)(struct dial *d));
void dial_end(struct dial *d, bool ok, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void dial_cancel(void *probe);
#endif
