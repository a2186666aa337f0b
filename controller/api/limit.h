/* SPDX-License-Identifier: Apache-2.0
 * How often somebody may ask: token buckets by name. Bounded: when the table is full, whoever is forgotten
 * starts with a full bucket again. Pure but for the time it is given. */
#ifndef API_LIMIT_H
#define API_LIMIT_H
#include <stdbool.h>

#include "proto/base/mono.h"

enum limit_kind {
	LIMIT_READ,    /* by token */
	LIMIT_WRITE,   /* by token */
	LIMIT_OPEN,    /* by address, what needs no token */
	LIMIT_REFUSED, /* by address, requests without a valid token */
	LIMIT_KINDS
};

struct limit;
struct limit *limit_new(void);
void limit_free(struct limit *l);
/* Requests a second, of this kind; at most four seconds' worth may come at once. */
void limit_set(struct limit *l, enum limit_kind kind, unsigned per_s);
/* false: not now; ret_wait_s (>= 1) tells when. */
bool limit_take(struct limit *l, enum limit_kind kind, const char *who, mono_t now, unsigned *ret_wait_s);
#endif
