/* SPDX-License-Identifier: Apache-2.0
 * One datagram to the target, one back: what the udp and dns kinds share. */
#ifndef CHECK_EXCHANGE_H
#define CHECK_EXCHANGE_H
#include "agent/check/check_kind.h"

#define DATAGRAM_MAX 4096

struct exchange {
	uv_udp_t udp;
	struct check *check; /* NULL once the attempt has ended */
	const struct check_cfg *cfg;
	void (*answered)(struct exchange *x, size_t len); /* may let it pass: then more are waited for */
	uint16_t id;
	char reply[DATAGRAM_MAX + 1]; /* NUL behind what came */
};

/* data is sent before it returns. */
struct exchange *exchange_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg,
				const void *data, size_t len,
				void (*answered)(struct exchange *x, size_t len));
void exchange_end(struct exchange *x, bool ok, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void exchange_cancel(void *probe);
#endif
