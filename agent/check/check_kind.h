/* SPDX-License-Identifier: Apache-2.0
 * Inside agent/check only: what one kind of check must offer, and the TCP dialling kinds share.
 * A probe is one attempt: heap, owned by the kind, freed in its own close callback. It ends by check_done()
 * exactly once (perhaps before start() returns), or silently when check.c cancels it. */
#ifndef CHECK_CHECK_KIND_H
#define CHECK_CHECK_KIND_H
#include "agent/check/check.h"

struct check_kind {
	const char *name;
	/* fields only this kind knows; target, times, rise and fall are checked before. 0 or ERR_CONFIG */
	int (*verify)(const struct check_cfg *cfg, char *ret_why);
	void *(*start)(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg);
	/* called only while the attempt runs; check_done() must not follow */
	void (*cancel)(void *probe);
};
extern const struct check_kind check_kind_tcp, check_kind_http;

void check_done(struct check *c, bool ok, const char *reason);
/* Static text for the reason of a timeout: what the attempt is waiting for. */
void check_phase(struct check *c, const char *phase);
/* "field: reason" into ret_why. Always ERR_CONFIG. */
int check_refuse(char *ret_why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Pure: one result into the run of equal results (successes count up from 1, failures down from -1). */
enum check_status check_step(enum check_status now, int *run, bool ok, uint32_t rise, uint32_t fall);
/* Pure: ms +-10 %; rnd any 32 bits. */
uint32_t check_jitter(uint32_t ms, uint32_t rnd);

/* First member of a probe that speaks over TCP. */
struct dial {
	uv_tcp_t tcp;
	uv_connect_t req;
	struct check *check; /* NULL once the attempt has ended: late callbacks see it and leave */
	void (*connected)(struct dial *d);
};
/* size: of the whole probe, zeroed. */
struct dial *dial_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg, size_t size,
			void (*connected)(struct dial *d));
void dial_end(struct dial *d, bool ok, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void dial_cancel(void *probe);
#endif
