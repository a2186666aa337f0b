/* SPDX-License-Identifier: Apache-2.0
 * An order is written to the store with its event before any agent hears of it, and only then is the model's.
 * Owns nothing. */
#include "controller/order.h"

#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

void order_ops(const struct cluster *cl, size_t site, size_t shard, uint8_t to, uint8_t hand,
	       struct order_keys *keys, struct store_op *ret_ops)
{
	const char *at = cl->sites[site].name, *what = cl->shards[shard].name;

	snprintf(keys->grade, sizeof(keys->grade), "grade/%s/%s", at, what);
	snprintf(keys->hand, sizeof(keys->hand), "hand/%s/%s", at, what);
	ret_ops[0] = (struct store_op){ keys->grade, cl->grades.g[to].name };
	ret_ops[1] = (struct store_op){ keys->hand, hand ? cl->grades.g[hand].name : NULL };
}

static bool is_hand(const struct change *ch)
{
	return strcmp(ch->kind, ORDER_HAND) == 0;
}

bool order_store_fails(const struct controller *c)
{
	return mono_is_set(store_health(c->store)->failing_since);
}

static struct events_draft order_event(const struct controller *c, const struct change *ch)
{
	const struct cluster *cl = c->model.cl;
	const char *site = cl->sites[ch->site].name, *shard = cl->shards[ch->shard].name;
	const char *from = cl->grades.g[cell_order(model_cell(&c->model, ch->site, ch->shard))].name;
	const char *to = cl->grades.g[ch->to].name;

	return (struct events_draft){
		.kind = "decision",
		.severity = "info",
		.text = xasprintf("%s at %s: %s -> %s (%s): %s", shard, site, from, to, ch->kind, ch->why),
		.data = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:O*}", "site", site, "shard", shard,
				  "from", from, "to", to, "kind", ch->kind, "why", ch->why, "predicted",
				  ch->forecast)
	};
}

/* with: what else belongs to it. stored: the changes are written with their events, all or none. */
static int tell_orders(struct controller *c, const struct change *ch, size_t n, const struct store_op *with,
		       size_t n_with, bool stored)
{
	const struct cluster *cl = c->model.cl;
	auto_free struct store_op *ops = xcalloc(2 * n + n_with, sizeof(*ops));
	auto_free struct events_draft *drafts = xcalloc(n, sizeof(*drafts));
	auto_free struct order_keys *keys = xcalloc(n, sizeof(*keys));
	size_t n_ops = 0;

	for (size_t i = 0; i < n; i++) {
		order_ops(cl, ch[i].site, ch[i].shard, ch[i].to, ch[i].to, &keys[i], &ops[n_ops]);
		n_ops += is_hand(&ch[i]) ? 2 : 1; /* the others leave the hand's key as it is */
		drafts[i] = order_event(c, &ch[i]);
	}
	for (size_t i = 0; i < n_with; i++)
		ops[n_ops++] = with[i];
	return events_emit_all(c->events, ops, stored ? n_ops : 0, drafts, n);
}

static void take_order(struct controller *c, const struct change *ch, bool unsaved)
{
	struct cell_live *cell = model_cell(&c->model, ch->site, ch->shard);

	cell->wanted = ch->to;
	cell->ordered = true;
	cell->unsaved = unsaved;
	cell->changed_at = mono_now();
	snprintf(cell->why, sizeof(cell->why), "%s", ch->why);
}

/* Changes that belong together, in one transaction: store and events first, then the model. Without a store
 * steering goes on from memory, and nothing new is weakened; what was ordered meanwhile is written when it
 * takes writes again. */
static int order_together(struct controller *c, const struct change *ch, size_t n,
			  const struct store_op *with, size_t n_with)
{
	const struct grade *g = c->model.cl->grades.g;
	bool weakens = false, failed = order_store_fails(c);

	for (size_t i = 0; i < n; i++)
		weakens |= g[ch[i].to].strength >
			   g[model_cell(&c->model, ch[i].site, ch[i].shard)->wanted].strength;
	if (!failed)
		failed = tell_orders(c, ch, n, with, n_with, true) < 0;
	if (failed && weakens)
		return ERR_STORE;
	if (failed)
		tell_orders(c, ch, n, NULL, 0, false);
	for (size_t i = 0; i < n; i++)
		take_order(c, &ch[i], failed);
	return 0;
}

size_t order_all(struct controller *c, const struct change *ch, size_t n, const struct store_op *with,
		 size_t n_with)
{
	size_t each = n && is_hand(ch) ? 3 : 2; /* keys and an event */
	size_t most = (store_ops_max(c->store) - n_with) / each, done = 0;

	while (done < n) {
		size_t part = n - done < most ? n - done : most;
		if (order_together(c, ch + done, part, with, done ? 0 : n_with) < 0)
			break;
		done += part;
	}
	return done;
}

bool order_one(struct controller *c, size_t site, size_t shard, uint8_t to, const char *kind, const char *why)
{
	struct change ch = { .site = site, .shard = shard, .to = to, .kind = kind, .why = why };

	return order_together(c, &ch, 1, NULL, 0) == 0;
}
