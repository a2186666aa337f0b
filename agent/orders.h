/* SPDX-License-Identifier: Apache-2.0
 * What the controller last ordered of this node, and the leases that came with it; on disk, too (state.h).
 * All times are CLOCK_BOOTTIME microseconds of this machine: a suspended machine's leases run on, and a lease
 * starts at the report that the controller had heard (directive.heard_us), however long the way back took.
 * A shard that a newer directive does not name keeps its order and has no permit, until one of its prefixes
 * is another shard's. */
#ifndef AGENT_ORDERS_H
#define AGENT_ORDERS_H
#include "proto/wire/msg.h"

struct order {
	struct shard_intent intent;
	uint64_t permit_end_us; /* 0: no permit */
	uint64_t expires_at_us; /* a weakening's; 0: never */
};

struct orders;
/* Now, on the clock that leases are measured by. */
uint64_t orders_now_us(void);
struct orders_disk {
	const char *dir;		 /* must outlive the orders; NULL: nothing is kept */
	void (*sync)(int fd, void *arg); /* fsyncs and closes, in its own time; NULL: closed at once */
	void *arg;
};
/* Loads what is there; a loss is logged, once. */
struct orders *orders_new(const struct orders_disk *disk, const char *boot_id, uint64_t now_us);
/* 0, or ERR_STALE_EPOCH with ret_why (TEXT_LEN): older than what was obeyed; nothing is taken then. On disk
 * before it returns. *ret_back (may be NULL): a permit was taken away. */
int orders_take(struct orders *o, const struct msg_directive *d, uint64_t now_us, bool *ret_back,
		char *ret_why);
/* The order about this prefix, or NULL; valid until the next call that takes o. */
const struct order *orders_of(const struct orders *o, const struct prefix *p);
static inline bool order_permits(const struct order *x, uint64_t now_us)
{
	return x && x->permit_end_us > now_us;
}
/* Some weakening has run out without news. */
bool orders_expired(const struct orders *o, uint64_t now_us);

/* I8 without a controller: of the weakenings that have run out one steps back to normal, the next no earlier
 * than ORDERS_GAP_MS plus up to as much again (by random) later; only shards whose services are up, and only
 * while the uplink is below ORDERS_UTIL_MAX (negative: not known, and not asked). The shard's name in
 * ret_shard, or false. */
#define ORDERS_GAP_MS	15000
#define ORDERS_UTIL_MAX 0.5
struct orders_relax {
	bool (*up)(const struct shard_intent *in, void *arg);
	void *arg;
	double util;
	uint32_t random;
};
bool orders_relax(struct orders *o, uint64_t now_us, const struct orders_relax *r, char ret_shard[NAME_LEN]);

uint64_t orders_epoch(const struct orders *o);
uint64_t orders_seq(const struct orders *o);
void orders_free(struct orders *o);
#endif
