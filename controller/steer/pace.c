/* SPDX-License-Identifier: Apache-2.0
 * When the weights of a site are changed. Each new set breaks the connections it moves, so there are three
 * speeds:
 *   a node in need       at once, by what is measured now
 *   a busy site          by the average of ten seconds
 *   a calm site          nobody is in danger, and evenness is not worth broken connections. Yet what a hot
 * spell took from a node must not stay away for ever, or the next crowd finds a site with fewer servers: a
 * node that was far below its part for a minute gets it back. Where that does not last (it heats again, or
 * some large flows move about) the minute is doubled each time. */
#include <string.h>

#include "controller/steer/steer.h"
#include "proto/base/mem.h"

#define SLOW_ROUNDS 10
#define CALM_ROUNDS 30
#define BUSY_FROM   0.45 /* below this nobody is in danger */
#define HOT	    0.90 /* a node above this needs help now ... */
#define JUMP	    1.25 /* ... when it is this far above its average: no waiting for the average */
#define SETTLE_MS   2500 /* what a change of weights takes to show in the reports */
#define HOT_MS	    4500
#define BUSY_MS	    10000
#define CALM_MS	    60000 /* doubled by each time that comes soon after the one before */
#define CALM_MAX_MS 3600000
#define FORGIVE	    8 /* times the patience without giving back: patience is short again */

void pace_forget(struct pace *p, struct pace_node *mem, size_t n, int64_t now_ms)
{
	for (size_t i = 0; i < n; i++)
		mem[i].rounds = 0;
	p->at_ms = now_ms;
	p->starved_ms = 0;
}

/* True: in need. A second's utilisation is noise of 10-20 %. */
static bool average(struct pace_node *mem, double util)
{
	mem->rounds += mem->rounds < CALM_ROUNDS;
	mem->slow += (util - mem->slow) / (mem->rounds < SLOW_ROUNDS ? mem->rounds : SLOW_ROUNDS);
	mem->calm += (util - mem->calm) / mem->rounds;
	return util > HOT && util > mem->slow * JUMP;
}

static int64_t patience(const struct pace *p, int64_t now_ms)
{
	return p->patience_ms && now_ms - p->calm_at_ms < FORGIVE * p->patience_ms ? p->patience_ms : CALM_MS;
}

static void gave_back(struct pace *p, int64_t now_ms)
{
	int64_t next = 2 * patience(p, now_ms);

	p->patience_ms = next < CALM_MAX_MS ? next : CALM_MAX_MS;
	p->calm_at_ms = now_ms;
}

struct look {
	bool joined, need, busy, hot;
	unsigned rounds; /* of the node known for the shortest time */
};

/* nodes: their utilisation becomes the one to decide by. */
static struct look look_at(struct pace_node *mem, struct balance_node *nodes, size_t n, int64_t since_ms)
{
	struct look l = { .rounds = CALM_ROUNDS };

	for (size_t i = 0; i < n; i++) {
		l.joined |= nodes[i].usable != mem[i].was_usable;
		mem[i].was_usable = nodes[i].usable;
		if (!nodes[i].usable)
			continue;
		/* what is measured while flows still move belongs to neither set of weights */
		if (since_ms < SETTLE_MS)
			mem[i].rounds = 0;
		l.need |= average(&mem[i], nodes[i].util);
		l.rounds = mem[i].rounds < l.rounds ? mem[i].rounds : l.rounds;
	}
	for (size_t i = 0; i < n; i++) { /* all of the same time, or they cannot be compared */
		if (!l.need)
			nodes[i].util = mem[i].slow;
		l.busy |= nodes[i].usable && nodes[i].util > BUSY_FROM;
		l.hot |= nodes[i].usable && nodes[i].util > HOT;
	}
	return l;
}

/* Somebody has been starved for as long as it takes; b: averages of calm. */
static bool give_back(struct pace *p, const struct balance_node *b, size_t n, int64_t now_ms,
		      int *ret_weights)
{
	if (!balance_give_back(b, n, ret_weights)) {
		p->starved_ms = 0;
		return false;
	}
	if (!p->starved_ms)
		p->starved_ms = now_ms;
	return now_ms - p->starved_ms >= patience(p, now_ms);
}

enum pace_why pace_round(struct pace *p, struct pace_node *mem, const struct balance_node *nodes, size_t n,
			 bool all_known, int64_t now_ms, double *ret_used, int *ret_weights)
{
	auto_free struct balance_node *b = xcalloc(n, sizeof(*b));
	int64_t since_ms = now_ms - p->at_ms;
	enum pace_why why = PACE_STAY;

	memcpy(b, nodes, n * sizeof(*b));
	struct look l = look_at(mem, b, n, since_ms);
	if (l.joined || !all_known) { /* averages from before say nothing about the present set */
		p->at_ms = now_ms;
		return PACE_STAY;
	}
	if (l.busy) {
		p->starved_ms = 0;
		if (since_ms >= (l.hot ? HOT_MS : BUSY_MS) && balance_weights(b, n, ret_weights))
			why = PACE_BALANCE;
	} else if (l.rounds >= CALM_ROUNDS) {
		for (size_t i = 0; i < n; i++)
			b[i].util = mem[i].calm;
		if (give_back(p, b, n, now_ms, ret_weights))
			why = PACE_GIVE_BACK;
	}
	if (why == PACE_STAY)
		return PACE_STAY;
	for (size_t i = 0; i < n; i++)
		ret_used[i] = b[i].util;
	if (why == PACE_GIVE_BACK)
		gave_back(p, now_ms);
	pace_forget(p, mem, n, now_ms);
	return why;
}
