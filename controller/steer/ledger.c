/* SPDX-License-Identifier: Apache-2.0
 * The flap ledger. Owns its entries; decays them lazily, so there is no timer. */
#include "controller/steer/ledger.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "controller/steer/key.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"

struct ledger_entry {
	struct cell_key key;
	double penalty;
	int64_t at_ms;
	UT_hash_handle hh;
};

double ledger_cost(const struct grade_set *gs, unsigned from, unsigned to)
{
	if (from == to || to >= gs->n || from >= gs->n)
		return 0;
	return gs->g[to].kind == GRADE_WITHDRAWN ? LEDGER_WITHDRAW : LEDGER_CHANGE;
}

double ledger_decay(double penalty, int64_t dt_ms)
{
	double left = dt_ms > 0 ? penalty * exp2(-(double)dt_ms / LEDGER_HALF_LIFE_MS) : penalty;

	return left < LEDGER_FORGET ? 0 : left;
}

static struct ledger_entry *find(const struct ledger *l, const char *site, const char *shard)
{
	struct cell_key key = cell_key(site, shard);
	struct ledger_entry *e;

	HASH_FIND(hh, l->head, &key, sizeof(key), e);
	return e;
}

double ledger_get(const struct ledger *l, const char *site, const char *shard, int64_t now_ms)
{
	const struct ledger_entry *e = find(l, site, shard);

	return e ? ledger_decay(e->penalty, now_ms - e->at_ms) : 0;
}

static struct ledger_entry *find_or_add(struct ledger *l, const char *site, const char *shard)
{
	struct ledger_entry *e = find(l, site, shard);

	if (e)
		return e;
	e = xcalloc(1, sizeof(*e));
	e->key = cell_key(site, shard);
	HASH_ADD(hh, l->head, key, sizeof(e->key), e);
	return e;
}

void ledger_add(struct ledger *l, const char *site, const char *shard, double cost, int64_t now_ms)
{
	if (cost <= 0)
		return;
	struct ledger_entry *e = find_or_add(l, site, shard);
	e->penalty = ledger_decay(e->penalty, now_ms - e->at_ms) + cost;
	e->at_ms = now_ms;
}

static void drop(struct ledger *l, struct ledger_entry *e)
{
	HASH_DEL(l->head, e);
	free(e);
}

void ledger_prune(struct ledger *l, int64_t now_ms)
{
	struct ledger_entry *e, *next;

	HASH_ITER(hh, l->head, e, next) {
		if (ledger_decay(e->penalty, now_ms - e->at_ms) <= 0)
			drop(l, e);
	}
}

void ledger_done(struct ledger *l)
{
	struct ledger_entry *e, *next;

	HASH_ITER(hh, l->head, e, next) {
		drop(l, e);
	}
}

void ledger_rebase(struct ledger *l, int64_t by_ms)
{
	for (struct ledger_entry *e = l->head; e; e = e->hh.next)
		time_shift(&e->at_ms, by_ms);
}

void ledger_save(const struct ledger *l, struct buf *out)
{
	for (const struct ledger_entry *e = l->head; e; e = e->hh.next)
		if (key_name_ok(e->key.site) && key_name_ok(e->key.shard))
			buf_addf(out, "ledger %s %s %.17g %lld\n", e->key.site, e->key.shard, e->penalty,
				 (long long)e->at_ms);
}

int ledger_load_line(struct ledger *l, const char *line)
{
	char site[STEER_NAME], shard[STEER_NAME];
	double penalty;
	long long at_ms;

	if (sscanf(line, "ledger %63s %63s %lf %lld", site, shard, &penalty, &at_ms) != 4 ||
	    !isfinite(penalty) || penalty < 0 || HASH_COUNT(l->head) >= LEDGER_ENTRIES_MAX)
		return ERR_MALFORMED;
	struct ledger_entry *e = find_or_add(l, site, shard);
	e->penalty = penalty;
	e->at_ms = at_ms;
	return 0;
}
