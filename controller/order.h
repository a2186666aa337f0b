/* SPDX-License-Identifier: Apache-2.0
 * Orders for cells: key "grade/SITE/SHARD", event "decision". Runs on the loop; who asks has asked the guard.
 */
#ifndef CTRL_ORDER_H
#define CTRL_ORDER_H
#include "controller/control.h"

/* A cell's new order. */
struct change {
	size_t site, shard;
	uint8_t to;
	const char *kind, *why;
	json_t *forecast; /* may be NULL */
};

/* Changes that belong together, in one transaction with `with`: all or none. Without a store what gives back
 * is ordered from memory, and written when it takes writes again. Returns how many are ordered: fewer than n
 * when the store fails and they weaken; what is more than it takes at once (store_ops_max) is ordered in
 * parts. */
size_t order_all(struct controller *c, const struct change *ch, size_t n, const struct store_op *with,
		 size_t n_with);
bool order_one(struct controller *c, size_t site, size_t shard, uint8_t to, const char *kind,
	       const char *why);
bool order_store_fails(const struct controller *c);
void order_key(const struct cluster *cl, size_t site, size_t shard, char *ret_key, size_t size);
#endif
