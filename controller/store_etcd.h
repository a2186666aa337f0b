/* SPDX-License-Identifier: Apache-2.0
 * The shared store: etcd, for several controllers of which one leads. A store like the others (store.h), and
 * the lease by which one of them leads.
 * Reads come from a mirror in memory, loaded at the start and kept by a watch, so they never wait. A write is
 * one etcd transaction that holds only while the leader's key is ours: what an old leader still wants to
 * write is refused by etcd itself. It waits at most STORE_ETCD_WRITE_MS; without an answer it fails, writes
 * fail at once from then on, and the worker sees to it that the transaction is not applied, or is undone,
 * before it takes new ones: "failed" stays true. A worker thread owns the connection. All functions are
 * called from the loop's thread. */
#ifndef CTRL_STORE_ETCD_H
#define CTRL_STORE_ETCD_H
#include "controller/etcd.h"
#include "controller/lead.h"
#include "controller/store.h"

#define STORE_ETCD_WRITE_MS 500

struct store_etcd_cfg {
	struct etcd_cfg etcd;
	const char *prefix; /* of all our keys, without a slash at its end: "/sluice/lab" */
	const char *self;   /* what others read while we lead: any text */
	unsigned lease_s;
	size_t events_kept; /* 0: STORE_EVENTS_KEPT */
	bool shared_etcd;   /* others keep their data there, too: leave compaction to its owner */
	/* Something is there for store_etcd_poll; called on the worker's thread. */
	void (*notify)(void *arg);
	void *arg;
};
/* Does not wait for etcd: until it answers, the mirror is empty. cfg's strings must outlive the store. */
struct store *store_open_etcd(const struct store_etcd_cfg *cfg);

/* What to do next; answers arrive through store_etcd_poll. */
enum store_etcd_ask {
	STORE_ETCD_LOOK = 1,	 /* who leads? */
	STORE_ETCD_CAMPAIGN = 2, /* LEAD_WON or LEAD_BEATEN follows */
	STORE_ETCD_RENEW = 4,	 /* LEAD_RENEWED or LEAD_GONE follows */
	STORE_ETCD_RESIGN = 8,
	STORE_ETCD_RELOAD = 16, /* the mirror is not to be trusted: we led */
};
void store_etcd_ask(struct store *s, enum store_etcd_ask what);
/* Waits for a resignation, at the end; at most about a second. */
void store_etcd_resign(struct store *s);

struct store_etcd_news {
	/* at: WON, RENEWED: when the renewal that counts was sent. leader: SEEN_OTHER: its self text. */
	void (*lead)(enum lead_event e, mono_t at, const char *leader, void *arg);
	void (*event)(const struct store_event *ev, void *arg); /* of another controller */
	void (*changed)(void *arg);				/* another controller wrote keys */
};
/* Tells what came since the last call. */
void store_etcd_poll(struct store *s, const struct store_etcd_news *fns, void *arg);
#endif
