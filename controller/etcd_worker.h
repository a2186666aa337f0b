/* SPDX-License-Identifier: Apache-2.0
 * The thread behind store_etcd.c: speaks to etcd so that the loop never waits longer than it says. Between
 * the two: jobs (a write, which the loop waits for), asks (bits), and news (a list, in etcd's order).
 * Keys under PREFIX/: "kv/KEY" (value "=TEXT", or "@ID COUNT": in parts), "part/KEY\1ID\1N", "ev/ID" (JSON),
 * "leader" (with the lease), "epoch" (a counter), "seq" (id of the last write: makes a repeated one
 * harmless).
 */
#ifndef CTRL_ETCD_WORKER_H
#define CTRL_ETCD_WORKER_H
#include "controller/store_etcd.h"

enum news_kind { NEWS_RESET, NEWS_PUT, NEWS_DELETE, NEWS_EVENT, NEWS_EVENT_GONE, NEWS_LEAD };
struct news {
	struct news *next;
	enum news_kind kind;
	enum lead_event lead;
	char *key, *value; /* key; value, event JSON or the leader's text */
	uint64_t number;   /* event id, or the epoch won */
	mono_t at;
};

/* One write. Lists of etcd request operations, handed over to the worker. */
struct job {
	char id[40];
	json_t *parts; /* list of lists: transactions that go before */
	json_t *ops, *undo;
	mono_t end;
};

struct worker;
struct worker *worker_new(const struct store_etcd_cfg *cfg);
void worker_free(struct worker *w);
void worker_ask(struct worker *w, unsigned what);
/* Waits until asks are done, at most ms. */
void worker_settle(struct worker *w, unsigned ms);
/* job is taken over. 0, ERR_CONFLICT (another leads), ERR_REFUSED, ERR_TIMEOUT (and away from now on).
 * ret_why: ETCD_WHY_LEN. */
int worker_write(struct worker *w, struct job *job, char *ret_why);
/* Writes would fail at once. */
bool worker_away(struct worker *w);
/* Everything so far; the caller frees each with news_free. */
struct news *worker_news(struct worker *w);
void news_free(struct news *n);
#endif
