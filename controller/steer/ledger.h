/* SPDX-License-Identifier: Apache-2.0
 * A mirror of route-flap damping per (site, shard): what the most eager router of the Internet may hold
 * against the prefix. Costs are those of RFC 2439 as FRR has them (withdrawal 1000, attribute change 500)
 * times AMPLIFY for path hunting; half-life 15 min; forgotten below half of the reuse limit (375). */
#ifndef STEER_LEDGER_H
#define STEER_LEDGER_H
#include "controller/steer/steer.h"

#define LEDGER_AMPLIFY	    2
#define LEDGER_WITHDRAW	    (1000.0 * LEDGER_AMPLIFY)
#define LEDGER_CHANGE	    (500.0 * LEDGER_AMPLIFY)
#define LEDGER_HALF_LIFE_MS (15 * 60 * 1000.0)
#define LEDGER_FORGET	    375.0
#define LEDGER_ENTRIES_MAX  ((size_t)STEER_SITES_MAX * STEER_SHARDS_MAX)

struct ledger_entry;
struct ledger {
	struct ledger_entry *head; /* zero-initialise */
};

/* Cost of moving between two grades: 0 when equal. Announcing again counts as a change (Juniper does). */
double ledger_cost(const struct grade_set *gs, unsigned from, unsigned to);
double ledger_decay(double penalty, int64_t dt_ms);
double ledger_get(const struct ledger *l, const char *site, const char *shard, int64_t now_ms);
void ledger_add(struct ledger *l, const char *site, const char *shard, double cost, int64_t now_ms);
/* Drops entries that have decayed to nothing. */
void ledger_prune(struct ledger *l, int64_t now_ms);
void ledger_done(struct ledger *l);
/* The clock moved by so much. */
void ledger_rebase(struct ledger *l, int64_t by_ms);
/* Lines "ledger SITE SHARD PENALTY AT_MS". load_line: ERR_MALFORMED when it is not one. */
void ledger_save(const struct ledger *l, struct buf *out);
int ledger_load_line(struct ledger *l, const char *line);
#endif
