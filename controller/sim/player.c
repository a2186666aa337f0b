/* SPDX-License-Identifier: Apache-2.0
 * The rivals that act on what one site sees.
 * threshold: a health-check script with a load check: above capacity for 3 s, withdraw everything here; after
 *   30 s announce again. It knows nothing of the others.
 * local (after FastRoute): above 0.9, one more shard one grade weaker every 10 s; below 0.6, one step back
 *   every 30 s. It never withdraws. */
#include "controller/sim/player.h"

#include <string.h>

#include "controller/steer/steer.h"
#include "proto/base/mem.h"

void turn_order(struct turn *t, size_t site, size_t shard, uint8_t to)
{
	if (t->n < PLAYER_ORDERS)
		t->orders[t->n++] = (struct order){ site, shard, to };
}

static void *nothing_start(struct world *w)
{
	(void)w;
	return NULL;
}

static void nothing_step(void *state, struct world *w, struct turn *t)
{
	(void)state;
	(void)w;
	(void)t;
}

struct local {
	int *above, *acted;
	size_t *next;
};

static void *local_start(struct world *w)
{
	struct local *l = xcalloc(1, sizeof(*l));

	l->above = xcalloc(w->ns, sizeof(int));
	l->acted = xcalloc(w->ns, sizeof(int));
	l->next = xcalloc(w->ns, sizeof(size_t));
	return l;
}

static void local_end(void *state)
{
	struct local *l = state;

	if (!l)
		return;
	free(l->above);
	free(l->acted);
	free(l->next);
	free(l);
}

static void threshold_step(void *state, struct world *w, struct turn *t)
{
	struct local *l = state;
	uint8_t gone = (uint8_t)(w->c->grades.n - 1);

	for (size_t i = 0; i < w->ns; i++) {
		bool away = world_cell(w, i, 0)->wanted == gone;

		l->above[i] = w->util[i] > 1 ? l->above[i] + 1 : 0;
		if (away ? w->t - l->acted[i] < 30 : l->above[i] < 3)
			continue;
		for (size_t k = 0; k < w->nk; k++)
			turn_order(t, i, k, away ? 0 : gone);
		l->acted[i] = w->t;
		l->above[i] = 0;
	}
}

/* The next shard here that can go one step up or down. */
static bool local_one(struct local *l, struct world *w, size_t i, bool weaken, struct turn *t)
{
	for (size_t n = 0; n < w->nk; n++) {
		size_t k = (l->next[i] + n) % w->nk;
		uint8_t g = world_cell(w, i, k)->wanted;

		if (weaken ? g + 2u >= w->c->grades.n : !g)
			continue;
		turn_order(t, i, k, weaken ? g + 1 : g - 1);
		l->next[i] = k + 1;
		return true;
	}
	return false;
}

static void local_step(void *state, struct world *w, struct turn *t)
{
	struct local *l = state;

	for (size_t i = 0; i < w->ns; i++) {
		bool weaken = w->util[i] > 0.9;

		if ((!weaken && w->util[i] > 0.6) || w->t - l->acted[i] < (weaken ? 10 : 30))
			continue;
		if (local_one(l, w, i, weaken, t))
			l->acted[i] = w->t;
	}
}

const struct player player_table[] = {
	{ "absorb", nothing_start, nothing_step, local_end },
	{ "threshold", local_start, threshold_step, local_end },
	{ "local", local_start, local_step, local_end },
	{ "greedy", greedy_start, steered_step, steered_end },
	{ "sluice", steered_start, steered_step, steered_end },
	{ "oracle", oracle_start, oracle_step, oracle_end },
};
const size_t player_count = ARRAY_LEN(player_table);

const struct player *player_find(const char *name)
{
	for (size_t i = 0; i < player_count; i++)
		if (!strcmp(player_table[i].name, name))
			return &player_table[i];
	return NULL;
}
