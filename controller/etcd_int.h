/* SPDX-License-Identifier: Apache-2.0
 * What the worker's two files share: etcd_worker.c leads and writes, etcd_mirror.c reads. */
#ifndef CTRL_ETCD_INT_H
#define CTRL_ETCD_INT_H
#include <pthread.h>

#include "controller/etcd_worker.h"
#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"

#define CALL_MS 250 /* one attempt; a member that is slower than this is left for the next */

enum write_state { WRITE_NONE, WRITE_WAITING, WRITE_RUNNING, WRITE_DONE };

struct raw {
	struct raw *next;
	bool gone;
	int64_t revision, created;
	char *key, *value;
};

struct worker {
	const struct store_etcd_cfg *cfg;
	struct etcd *net;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t done;
	/* shared */
	unsigned asks, busy;
	struct job *job;
	enum write_state write;
	int result;
	char why[ETCD_WHY_LEN];
	bool away, stop;
	struct news *news, **news_end;
	/* the thread's */
	int64_t lease, created, seq; /* created: revision of our leader key, 0 when it is not ours */
	bool loaded, told_events;
	int64_t revision, seq_seen; /* of the mirror; of "seq" as the watch told */
	unsigned lagging;
	uint64_t last_event;
	struct job *doubt;
	bool doubt_applied;
	mono_t doubt_at, compact_at;
	int64_t compact_to;
	struct raw *raw, **raw_end;    /* what the watch brought, not told yet */
	struct news *held, **held_end; /* of a load under way; held_end NULL: none is */
};

/* News: key and value are taken over. */
void worker_tell(struct worker *w, struct news news);
void worker_tell_lead(struct worker *w, enum lead_event e);

/* Requests; keys without the prefix. */
char *full_key(const struct worker *w, const char *key);
json_t *key64(const struct worker *w, const char *key);

/* Everything, as of one revision; then the watch goes on from there. */
int mirror_load(struct worker *w);
/* Tells what the watch brought, and keeps it going. */
void mirror_turn(struct worker *w);
void mirror_drop(struct worker *w);
#endif
