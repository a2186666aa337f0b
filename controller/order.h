/* SPDX-License-Identifier: Apache-2.0
 * Orders for cells: key "grade/SITE/SHARD", event "decision"; and key "hand/SITE/SHARD", as long as it is an
 * operator's drain or override that wants it so: a hand that lets go while nobody is there to follow it is
 * known by that. Runs on the loop; who asks has asked the guard. */
#ifndef CTRL_ORDER_H
#define CTRL_ORDER_H
#include "controller/control.h"

#define ORDER_HAND "operator"

/* A cell's new order. All of one call are of ORDER_HAND, or none. */
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
struct order_keys {
	char grade[3 * NAME_LEN], hand[3 * NAME_LEN];
};
/* Two operations: what is ordered, and what of it is the hand's; hand 0: nothing. */
void order_ops(const struct cluster *cl, size_t site, size_t shard, uint8_t to, uint8_t hand,
	       struct order_keys *keys, struct store_op *ret_ops);
#endif
