/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/weights.h"

#include <string.h>

#include "controller/observe.h"

#define BALANCE_ROUNDS	  10   /* averaged by the balancer */
#define BALANCE_FROM	  0.45 /* below this nobody is in danger: evenness is not worth broken connections */
#define BALANCE_HOT	  0.90 /* a node above this needs help now ... */
#define BALANCE_JUMP	  1.25 /* ... when it is this far above its average: no waiting for the average */
#define BALANCE_SETTLE_MS 2500 /* what a change of weights takes to show in the reports */
#define BALANCE_HOT_MS	  4500
#define BALANCE_MS	  10000

/* A second's utilisation is noise of 10-20 %, and each new set of weights breaks the connections it moves:
 * small differences count by their average, a node in need at once. */
static bool average_util(struct node_live *n)
{
	n->slow_rounds += n->slow_rounds < BALANCE_ROUNDS;
	n->util_slow += (n->util - n->util_slow) / n->slow_rounds;
	return n->util > BALANCE_HOT && n->util > n->util_slow * BALANCE_JUMP;
}

static bool in_service(const struct model *m, size_t node, mono_t now)
{
	const struct node_live *n = &m->nodes[node];

	return observe_node_fresh(m, node, now) && n->bgp_ok && n->service_up && !n->drain.on;
}

static void set_weights(struct controller *c, size_t site, mono_t *at, const struct balance_node *b,
			const int *weights)
{
	struct model *m = &c->model;
	const struct cl_site *cs = &m->cl->sites[site];
	char text[TEXT_LEN] = "";

	for (size_t i = 0; i < cs->n_nodes; i++) {
		struct node_live *n = &m->nodes[cs->nodes[i]];
		size_t len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s%s %d->%d (util %.2f)", i ? ", " : "",
			 m->cl->nodes[cs->nodes[i]].name, n->weight, weights[i], b[i].util);
		n->weight = weights[i];
		n->slow_rounds = 0;
	}
	*at = mono_now();
	events_emit(c->events, NULL, 0, "weights", "info", json_pack("{s:s}", "site", cs->name),
		    "weights at %s: %s", cs->name, text);
}

/* What each node brings; false while it is too early or too calm to touch the weights. */
static bool look_at_site(struct model *m, size_t site, mono_t *at, struct balance_node *b)
{
	const struct cl_site *cs = &m->cl->sites[site];
	mono_t now = mono_now();
	bool hot = false, busy = false, joined = false, known = true, need = false;
	int64_t since_ms = mono_is_set(*at) ? mono_diff_ms(*at, now) : BALANCE_MS;

	for (size_t i = 0; i < cs->n_nodes; i++) {
		struct node_live *n = &m->nodes[cs->nodes[i]];
		/* until it has reported, its weight is whatever it was before we started */
		if (n->weight == 0 && n->measured)
			n->weight = 100;
		b[i].usable = in_service(m, cs->nodes[i], now);
		memcpy(b[i].cap, m->cl->nodes[cs->nodes[i]].cap, sizeof(b[i].cap));
		b[i].weight = n->weight;
		joined |= b[i].usable != n->was_usable;
		n->was_usable = b[i].usable;
		if (!b[i].usable)
			continue;
		/* what is measured while flows still move belongs to neither set of weights */
		if (since_ms < BALANCE_SETTLE_MS)
			n->slow_rounds = 0;
		need |= average_util(n);
		known &= n->measured;
	}
	for (size_t i = 0; i < cs->n_nodes; i++) { /* all of the same time, or they cannot be compared */
		const struct node_live *n = &m->nodes[cs->nodes[i]];
		b[i].util = need ? n->util : n->util_slow;
		busy |= b[i].usable && b[i].util > BALANCE_FROM;
		hot |= b[i].usable && b[i].util > BALANCE_HOT;
	}
	if (joined || !known) { /* averages from before say nothing about the present set */
		*at = now;
		return false;
	}
	return busy && since_ms >= (hot ? BALANCE_HOT_MS : BALANCE_MS);
}

void weights_round(struct controller *c, size_t site, mono_t *at)
{
	size_t n = c->model.cl->sites[site].n_nodes;
	auto_free struct balance_node *b = xcalloc(n, sizeof(*b));
	auto_free int *weights = xcalloc(n, sizeof(*weights));

	if (look_at_site(&c->model, site, at, b) && n > 1 && balance_weights(b, n, weights))
		set_weights(c, site, at, b, weights);
}
