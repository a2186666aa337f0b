/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drill/surge.h"

#include <math.h>
#include <string.h>

#include "controller/drill/watch.h"
#include "controller/meter.h"
#include "controller/observe.h"
#include "proto/base/mem.h"

#define CAUTION	    0.90  /* a load that is a little smaller has to do, too */
#define FORESEEN_MS 60000 /* averages have settled by then: what is not answered until then never is */
#define LAG_MS	    2000  /* from the order to what reports show */
#define GRADE_MS    4000  /* three samples above the trigger, and a round to think */

/* -- what to expect -------------------------------------------------------------------------------------- */

struct scene {
	size_t n, at; /* nodes of the site; the one */
	struct balance_node *nodes;
	struct pace_node *mem;
	struct pace pace;
};

static double share_of(const struct balance_node *nodes, size_t n, size_t at)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += nodes[i].weight;
	return sum > 0 ? nodes[at].weight / sum : 0;
}

/* The balancer, round by round, on what it would see; ms until it takes weight from the node, or -1. */
static int64_t weight_falls(struct scene *s, int64_t now_ms)
{
	auto_free double *used = xcalloc(s->n, sizeof(*used));
	auto_free int *weights = xcalloc(s->n, sizeof(*weights));
	double before = share_of(s->nodes, s->n, s->at);

	for (int64_t t = 1000; t <= FORESEEN_MS; t += 1000) {
		if (pace_round(&s->pace, s->mem, s->nodes, s->n, true, now_ms + t, used, weights) ==
		    PACE_STAY)
			continue;
		for (size_t i = 0; i < s->n; i++)
			s->nodes[i].weight = weights[i];
		if (share_of(s->nodes, s->n, s->at) < SURGE_FALLS * before)
			return t;
	}
	return -1;
}

static bool weights_held(const struct model *m, size_t node)
{
	const struct node_shard *ns = m->nodes[node].shards;
	bool any = false;

	for (size_t k = 0; k < m->cl->n_shards; k++) {
		if (ns[k].announced && !ns[k].weight_pin)
			return false;
		any |= ns[k].announced;
	}
	return any;
}

static bool grades_held(const struct model *m, size_t site)
{
	bool any = false;

	for (size_t k = 0; k < m->cl->n_shards; k++) {
		bool here = model_cell(m, site, k)->announced;
		if (here && !model_hand(m, site, k).held)
			return false;
		any |= here;
	}
	return any;
}

void surge_foresee(const struct model *m, size_t node, double factor, mono_t now, struct surge_view *ret_view)
{
	size_t site = m->cl->nodes[node].site;
	const struct cl_site *cs = &m->cl->sites[site];
	const struct node_live *live = &m->nodes[node];
	auto_free struct balance_node *nodes = xcalloc(cs->n_nodes, sizeof(*nodes));
	auto_free struct pace_node *mem = xcalloc(cs->n_nodes, sizeof(*mem));
	struct scene s = { .n = cs->n_nodes, .nodes = nodes, .mem = mem, .pace = m->sites[site].pace };
	size_t usable = 0;

	observe_balance(m, site, now, nodes, mem);
	for (size_t i = 0; i < s.n; i++) {
		usable += nodes[i].usable;
		if (cs->nodes[i] == node)
			s.at = i;
		if (mem[i].rounds) /* a second's utilisation is noise */
			nodes[i].util = mem[i].slow;
	}
	double util = nodes[s.at].util * meter_surge(m->cl, node, live, factor);
	nodes[s.at].util = CAUTION * util;
	*ret_view = (struct surge_view){ .util = util, .alone = usable < 2, .after_ms = -1 };
	ret_view->held = ret_view->alone ? grades_held(m, site) : weights_held(m, node);
	if (ret_view->held)
		return;
	if (!ret_view->alone)
		ret_view->after_ms = weight_falls(&s, now.us / 1000);
	else if (CAUTION * util > m->cl->policy.trigger_util)
		ret_view->after_ms = GRADE_MS;
	if (ret_view->after_ms >= 0)
		ret_view->after_ms += LAG_MS;
}

static bool answered_within(const struct model *m, size_t node, double factor, int64_t within_ms, mono_t now)
{
	struct surge_view v;

	surge_foresee(m, node, factor, now, &v);
	return v.after_ms >= 0 && v.after_ms <= within_ms;
}

double surge_factor(const struct model *m, size_t node, int64_t within_ms, mono_t now)
{
	int lo = 10, hi = 10 * SURGE_FACTOR_MAX; /* tenths: lo is not enough, hi is */

	if (!answered_within(m, node, SURGE_FACTOR_MAX, within_ms, now))
		return 0;
	while (hi - lo > 1) {
		int mid = (lo + hi) / 2;
		if (answered_within(m, node, mid / 10.0, within_ms, now))
			hi = mid;
		else
			lo = mid;
	}
	return hi / 10.0;
}

int64_t surge_time_ms(const struct model *m, const struct drill_spec *spec)
{
	return m->cl->policy.settle_min_ms + spec->hold_ms;
}

/* -- weights before and after ---------------------------------------------------------------------------- */

json_t *surge_weights(const struct model *m, size_t site)
{
	const struct cl_site *cs = &m->cl->sites[site];
	json_t *j = json_object();

	for (size_t i = 0; i < cs->n_nodes; i++)
		if (m->nodes[cs->nodes[i]].weight > 0)
			json_object_set_new(j, m->cl->nodes[cs->nodes[i]].name,
					    json_integer(m->nodes[cs->nodes[i]].weight));
	return j;
}

double surge_share(const struct model *m, size_t node, const json_t *weights)
{
	const struct cl_site *cs = &m->cl->sites[m->cl->nodes[node].site];
	double own = 0, sum = 0;

	for (size_t i = 0; i < cs->n_nodes; i++) {
		const char *name = m->cl->nodes[cs->nodes[i]].name;
		double w = weights ? json_number_value(json_object_get(weights, name))
				   : m->nodes[cs->nodes[i]].weight;
		sum += w;
		own += cs->nodes[i] == node ? w : 0;
	}
	return sum > 0 ? own / sum : 0;
}

bool surge_read_back(const struct model *m, size_t site, mono_t now)
{
	const struct cl_site *cs = &m->cl->sites[site];

	for (size_t i = 0; i < cs->n_nodes; i++) {
		const struct node_live *n = &m->nodes[cs->nodes[i]];
		if (observe_node_fresh(m, cs->nodes[i], now) && n->applied_seq < n->sent_seq)
			return false;
	}
	return true;
}

/* -- grades before and after ----------------------------------------------------------------------------- */

json_t *surge_grades(const struct model *m)
{
	const struct cluster *cl = m->cl;
	json_t *j = json_object();

	for (size_t i = 0; i < cl->n_sites; i++) {
		json_auto_t *shards = json_object();
		for (size_t k = 0; k < cl->n_shards; k++) {
			const struct cell_live *c = model_cell(m, i, k);
			if (cell_order(c) != c->base)
				json_object_set_new(shards, cl->shards[k].name,
						    json_string(cl->grades.g[cell_order(c)].name));
		}
		if (json_object_size(shards))
			json_object_set(j, cl->sites[i].name, shards);
	}
	return j;
}

uint8_t surge_before(const struct model *m, const struct drill_record *r, size_t site, size_t shard)
{
	json_t *kept = json_object_get(json_object_get(r->grades, m->cl->sites[site].name),
				       m->cl->shards[shard].name);
	ssize_t grade = json_is_string(kept) ? cluster_grade(m->cl, json_string_value(kept)) : -1;

	return grade < 0 ? model_cell(m, site, shard)->base : (uint8_t)grade;
}

static bool weaker(const struct model *m, uint8_t a, uint8_t b)
{
	return m->cl->grades.g[a].strength > m->cl->grades.g[b].strength;
}

bool surge_weakened(const struct model *m, const struct drill_record *r, size_t site, size_t shard)
{
	const struct cell_live *c = model_cell(m, site, shard);

	return c->ordered && weaker(m, c->wanted, surge_before(m, r, site, shard)) &&
	       !model_hand(m, site, shard).held;
}

bool surge_may_be_real(const struct drill_record *r)
{
	static const enum alarm loads[] = { ALARM_ATTACK, ALARM_RECEIVER, ALARM_DROPS };

	for (size_t i = 0; i < ARRAY_LEN(loads); i++)
		if (strcmp(r->alarm, alarm_str(loads[i])) == 0)
			return true;
	return false;
}

bool surge_grades_back(const struct model *m, const struct drill_record *r, size_t site)
{
	for (size_t i = 0; i < m->cl->n_sites && !surge_may_be_real(r); i++)
		for (size_t k = 0; k < m->cl->n_shards; k++) {
			uint8_t before = surge_before(m, r, i, k);
			bool heard = i != site || model_hand(m, i, k).held ||
				     !weaker(m, model_cell(m, i, k)->grade, before);
			if (surge_weakened(m, r, i, k) || !heard)
				return false;
		}
	return true;
}

/* -- the answer ------------------------------------------------------------------------------------------ */

void surge_answer_text(const struct surge_answer *a, char *ret_text, size_t size)
{
	char more[32] = "";

	if (a->more)
		snprintf(more, sizeof(more), ", and %u more", a->more);
	if (a->grade)
		snprintf(ret_text, size, "%.60s at %.60s from %.60s to %.60s%s", a->shard, a->site,
			 a->grade_from, a->grade_to, more);
	else
		snprintf(ret_text, size, "weight of %.60s from %d to %d (from %.0f to %.0f %% of %.60s)",
			 a->node, a->from, a->to, 100 * a->share_from, 100 * a->share_to, a->site);
}

json_t *surge_answer_json(const struct surge_answer *a)
{
	if (a->after_ms < 0)
		return json_null();
	if (a->grade)
		return json_pack("{s:s, s:s, s:s, s:s, s:s}", "by", "grade", "site", a->site, "shard",
				 a->shard, "grade_from", a->grade_from, "grade_to", a->grade_to);
	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f}", "by", "weight", "site", a->site, "node",
			 a->node, "weight_from", a->from, "weight_to", a->to, "share_from",
			 round(1e4 * a->share_from) / 1e4, "share_to", round(1e4 * a->share_to) / 1e4);
}
