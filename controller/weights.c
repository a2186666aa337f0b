/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/weights.h"

#include <string.h>

#include "controller/observe.h"

static bool announces(const struct model *m, const struct node_live *n)
{
	for (size_t k = 0; k < m->cl->n_shards; k++)
		if (n->shards[k].announced)
			return true;
	return false;
}

/* Until a node has reported, its weight is whatever it was before we started. One that announces without any
 * has the same as others that do; one that comes new begins with its part. */
static void begin(struct model *m, size_t site, struct balance_node *b)
{
	const struct cl_site *cs = &m->cl->sites[site];

	for (size_t i = 0; i < cs->n_nodes; i++) {
		struct node_live *n = &m->nodes[cs->nodes[i]];
		if (n->weight == 0 && mono_is_set(n->report_at) && n->bgp_ok)
			n->weight = announces(m, n) ? 100 : balance_start(b, cs->n_nodes, i);
	}
	for (size_t i = 0; i < cs->n_nodes; i++)
		b[i].weight = m->nodes[cs->nodes[i]].weight;
}

/* used: what the decision rested on, or NULL */
static void order(struct controller *c, size_t site, const int *weights, const double *used, const char *why)
{
	struct model *m = &c->model;
	const struct cl_site *cs = &m->cl->sites[site];
	char text[TEXT_LEN] = "";
	bool changed = false;

	for (size_t i = 0; i < cs->n_nodes; i++) {
		struct node_live *n = &m->nodes[cs->nodes[i]];
		int to = weights[i] > 0 ? weights[i] : n->weight;
		size_t len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s%s %d->%d (util %.2f)", i ? ", " : "",
			 m->cl->nodes[cs->nodes[i]].name, n->weight, to, used ? used[i] : n->util);
		changed |= to != n->weight;
		n->weight = to;
	}
	if (changed)
		events_emit(c->events, NULL, 0, "weights", "info",
			    json_pack("{s:s, s:s}", "site", cs->name, "why", why), "weights at %s, %s: %s",
			    cs->name, why, text);
}

static void keep(struct model *m, size_t site, const struct pace_node *mem)
{
	const struct cl_site *cs = &m->cl->sites[site];

	for (size_t i = 0; i < cs->n_nodes; i++)
		m->nodes[cs->nodes[i]].pace = mem[i];
}

void weights_round(struct controller *c, size_t site)
{
	struct model *m = &c->model;
	size_t n = m->cl->sites[site].n_nodes;
	auto_free struct balance_node *b = xcalloc(n, sizeof(*b));
	auto_free struct pace_node *mem = xcalloc(n, sizeof(*mem));
	auto_free double *used = xcalloc(n, sizeof(*used));
	auto_free int *weights = xcalloc(n, sizeof(*weights));
	mono_t now = mono_now();
	bool known = observe_balance(m, site, now, b, mem);

	begin(m, site, b);
	enum pace_why why = pace_round(&m->sites[site].pace, mem, b, n, known, now.us / 1000, used, weights);
	keep(m, site, mem);
	if (why != PACE_STAY && n > 1)
		order(c, site, weights, used, why == PACE_BALANCE ? "balanced" : "given back");
}

void weights_set(struct controller *c, size_t site, const int *weights, const char *why)
{
	struct model *m = &c->model;
	size_t n = m->cl->sites[site].n_nodes;
	auto_free struct balance_node *b = xcalloc(n, sizeof(*b));
	auto_free struct pace_node *mem = xcalloc(n, sizeof(*mem));
	mono_t now = mono_now();

	observe_balance(m, site, now, b, mem);
	pace_forget(&m->sites[site].pace, mem, n, now.us / 1000);
	keep(m, site, mem);
	order(c, site, weights, NULL, why);
}
