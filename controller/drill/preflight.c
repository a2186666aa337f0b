/* SPDX-License-Identifier: Apache-2.0
 * Reasons are rows: each function looks at one thing and may add what it finds. */
#include "controller/drill/preflight.h"

#include <stdarg.h>
#include <string.h>

#include "controller/drill/surge.h"
#include "controller/observe.h"
#include "proto/base/mem.h"

/* -- finding targets --------------------------------------------------------------------------------- */

bool target_find(const struct cluster *cl, const struct drill_target *t, struct target_at *ret_at)
{
	ssize_t site = cluster_site(cl, t->site);

	ret_at->node = t->node[0] ? cluster_node(cl, t->node) : -1;
	ret_at->shard = t->shard[0] ? cluster_shard(cl, t->shard) : -1;
	ret_at->site = site < 0 ? 0 : (size_t)site;
	return site >= 0 && (ret_at->node >= 0 || !t->node[0]) && (ret_at->shard >= 0 || !t->shard[0]);
}

static double node_shard_bps(const struct model *m, size_t node, ssize_t shard)
{
	const struct node_shard *ns = m->nodes[node].shards;
	double sum = 0;

	for (size_t k = 0; k < m->cl->n_shards; k++)
		if (shard < 0 || k == (size_t)shard)
			sum += (ns[k].lo[RES_BPS] + ns[k].hi[RES_BPS]) / 2;
	return sum;
}

double target_bps(const struct model *m, const struct target_at *at)
{
	const struct cl_site *cs = &m->cl->sites[at->site];
	double sum = 0;

	if (at->node >= 0)
		return node_shard_bps(m, (size_t)at->node, at->shard);
	for (size_t i = 0; i < cs->n_nodes; i++)
		sum += node_shard_bps(m, cs->nodes[i], at->shard);
	return sum;
}

/* Another node of the site announces the shard: then the site as a whole keeps it. */
static bool others_announce(const struct model *m, size_t site, size_t node, size_t shard)
{
	const struct cl_site *cs = &m->cl->sites[site];

	for (size_t i = 0; i < cs->n_nodes; i++)
		if (cs->nodes[i] != node && m->nodes[cs->nodes[i]].shards[shard].announced)
			return true;
	return false;
}

struct finder {
	const struct model *m;
	const struct drill_spec *spec;
	const struct drill_kind *kind;
	ssize_t site, node, service, shard;
	struct preflight *p;
};

static void add_move(struct finder *f, size_t site, size_t shard)
{
	const struct cell_live *c = model_cell(f->m, site, shard);
	ssize_t to = cluster_grade(f->m->cl, f->kind->grade);

	f->p->moves[f->p->n_moves++] = (struct move){ .site = site,
						      .shard = shard,
						      .from = c->ordered ? c->wanted : c->grade,
						      .to = (uint8_t)(to < 0 ? 0 : to),
						      .kind = MOVE_OPERATOR };
}

static void add_target(struct finder *f, size_t site, ssize_t node, ssize_t shard)
{
	const struct cluster *cl = f->m->cl;
	struct target_at at = { .site = site, .node = node, .shard = shard };
	struct drill_target *t = &f->p->targets[f->p->n_targets++];

	snprintf(t->site, sizeof(t->site), "%s", cl->sites[site].name);
	snprintf(t->node, sizeof(t->node), "%s", node >= 0 ? cl->nodes[node].name : "");
	snprintf(t->shard, sizeof(t->shard), "%s", shard >= 0 ? cl->shards[shard].name : "");
	t->base_bps = target_bps(f->m, &at);
}

static bool wants_shard(const struct finder *f, size_t k)
{
	return (f->shard < 0 || k == (size_t)f->shard) &&
	       (f->service < 0 || f->m->cl->shards[k].service == (size_t)f->service);
}

static void find_shards(struct finder *f)
{
	const struct cluster *cl = f->m->cl;
	size_t site = f->node >= 0 ? cl->nodes[f->node].site : (size_t)f->site;

	for (size_t k = 0; k < cl->n_shards; k++) {
		if (!wants_shard(f, k))
			continue;
		if (f->node < 0 && model_cell(f->m, site, k)->announced) {
			add_target(f, site, -1, (ssize_t)k);
			add_move(f, site, k);
		} else if (f->node >= 0 && f->m->nodes[f->node].shards[k].announced) {
			/* alone at its site: the site is what goes */
			bool alone = !others_announce(f->m, site, (size_t)f->node, k);
			bool as_site = alone && f->kind->effect == EFFECT_GRADE;
			add_target(f, site, as_site ? -1 : f->node, (ssize_t)k);
			if (alone)
				add_move(f, site, k);
		}
	}
}

static void find_nodes(struct finder *f)
{
	for (size_t i = 0; i < f->m->cl->n_nodes; i++)
		if ((f->node < 0 || i == (size_t)f->node) &&
		    (f->site < 0 || f->m->cl->nodes[i].site == (size_t)f->site))
			add_target(f, f->m->cl->nodes[i].site, (ssize_t)i, -1);
}

/* the least loaded first, those without any load last: a canary that carries nothing shows nothing */
static int by_load(const void *a, const void *b)
{
	const struct drill_target *x = a, *y = b;

	if ((x->base_bps > 0) != (y->base_bps > 0))
		return x->base_bps > 0 ? -1 : 1;
	if (x->base_bps < y->base_bps || x->base_bps > y->base_bps)
		return x->base_bps < y->base_bps ? -1 : 1;
	return strcmp(x->shard, y->shard);
}

/* -- the request ------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void wrong(struct preflight *p, const char *pointer,
							const char *fmt, ...)
{
	char text[TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(p->wrong, json_pack("{s:s, s:s}", "pointer", pointer, "reason", text));
}

static void wrong_kind(struct preflight *p, const char *kind)
{
	auto_buf names = { 0 };
	size_t n;
	const struct drill_kind *kinds = drill_kinds(&n);

	for (size_t i = 0; i < n; i++)
		buf_addf(&names, "%s%s", i ? ", " : "", kinds[i].name);
	wrong(p, "/kind", "there is no kind of drill named \"%s\"; there are %s", kind, names.data);
}

static ssize_t named(struct finder *f, const char *what, const char *name, unsigned allowed,
		     ssize_t (*index)(const struct cluster *, const char *))
{
	auto_free char *pointer = xasprintf("/%s", what);

	if (!name[0])
		return -1;
	ssize_t i = index(f->m->cl, name);
	if (!allowed)
		wrong(f->p, pointer, "a drill of kind %s is not told a %s", f->kind->name, what);
	else if (i < 0)
		wrong(f->p, pointer, "there is no %s \"%s\" in the cluster document", what, name);
	return i;
}

static void read_scope(struct finder *f)
{
	const struct drill_spec *s = f->spec;
	unsigned may = f->kind->scopes;

	f->site = named(f, "site", s->site, may & AT_SITE, cluster_site);
	f->node = named(f, "node", s->node, may & AT_NODE, cluster_node);
	f->service = named(f, "service", s->service, may & OF_SERVICE, cluster_service);
	f->shard = named(f, "shard", s->shard, may & OF_SHARD, cluster_shard);
	if (s->site[0] && s->node[0])
		wrong(f->p, "/node", "either a site or a node, not both");
	if (!s->site[0] && !s->node[0] && !(may & AT_CLUSTER))
		wrong(f->p, (may & AT_SITE) ? "/site" : "/node", "a drill of kind %s needs %s", f->kind->name,
		      (may & AT_SITE) && (may & AT_NODE) ? "a site or a node"
		      : (may & AT_SITE)			 ? "a site"
							 : "a node");
	if (s->service[0] && s->shard[0])
		wrong(f->p, "/shard", "either a service or a shard, not both");
	if ((may & NEEDS_SERVICE) && !s->service[0])
		wrong(f->p, "/service",
		      "a drill of kind %s needs a service; for everything at once there is %s", f->kind->name,
		      s->node[0] ? "node-loss" : "site-loss");
}

static void read_numbers(struct finder *f)
{
	const struct drill_spec *s = f->spec;

	if (!s->reason[0])
		wrong(f->p, "/reason", "a drill needs a reason: somebody will ask");
	if (s->hold_ms < 0 || s->hold_ms > DRILL_HOLD_MAX_MS)
		wrong(f->p, "/hold_s", "must be from 0 to %d", DRILL_HOLD_MAX_MS / 1000);
	if (s->max_ms < 10000 || s->max_ms > DRILL_MAX_MS)
		wrong(f->p, "/max_s", "must be from 10 to %ld", (long)(DRILL_MAX_MS / 1000));
	if (f->kind->effect == EFFECT_SURGE && !(s->factor >= 1.1 && s->factor <= SURGE_FACTOR_MAX))
		wrong(f->p, "/factor", "must be from 1.1 to %d", SURGE_FACTOR_MAX);
}

void preflight_resolve(const struct model *m, const struct drill_spec *spec, struct preflight *ret_p)
{
	struct finder f = { .m = m, .spec = spec, .kind = drill_kind(spec->kind), .p = ret_p };
	size_t most = m->cl->n_shards + m->cl->n_nodes + 1;

	*ret_p = (struct preflight){ .wrong = json_array(), .against = json_array() };
	ret_p->targets = xcalloc(most, sizeof(*ret_p->targets));
	ret_p->moves = xcalloc(most, sizeof(*ret_p->moves));
	if (!f.kind) {
		wrong_kind(ret_p, spec->kind);
		return;
	}
	read_scope(&f);
	read_numbers(&f);
	if (json_array_size(ret_p->wrong))
		return;
	if (drill_moves(f.kind) || f.kind->effect == EFFECT_NONE)
		find_shards(&f);
	else
		find_nodes(&f);
	qsort(ret_p->targets, ret_p->n_targets, sizeof(*ret_p->targets), by_load);
}

/* -- against ----------------------------------------------------------------------------------------- */

struct judge {
	const struct model *m;
	const struct drill_spec *spec;
	const struct drill_kind *kind;
	const struct preflight_facts *f;
	struct preflight *p;
};

__attribute__((format(printf, 3, 4))) static void against(const struct judge *j, const char *code,
							  const char *fmt, ...)
{
	char text[TEXT_LEN + 64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(j->p->against,
			      json_pack("{s:s, s:s, s:s}", "pointer", "", "code", code, "reason", text));
}

static void no_other_drill(const struct judge *j)
{
	if (j->f->running)
		against(j, "running", "drill d%u is under way: one at a time", j->f->running);
}

static void has_targets(const struct judge *j)
{
	if (!j->p->n_targets)
		against(j, "nothing", "nothing of this is announced: there is nothing to rehearse");
}

static void mode_allows(const struct judge *j)
{
	if (j->m->mode == MODE_FREEZE)
		against(j, "mode", "mode is freeze: nothing may be changed");
	else if (j->kind->steers && j->m->mode != MODE_STEER)
		against(j, "mode", "a drill of kind %s asks whether steering answers: mode must be steer",
			j->kind->name);
}

static void no_tilt(const struct judge *j)
{
	if (!j->f->view)
		against(j, "round", "no round has ended since the start: wait a second");
	else if (j->f->view->tilt)
		against(j, "tilt", "tilt: the controller stalled or its clock jumped");
}

static void no_attack(const struct judge *j)
{
	const struct plan *plan = j->f->view ? j->f->view->plan : NULL;

	if (plan && (plan->state == PLAN_CONTAIN || plan->state == PLAN_ABSORB || plan->state == PLAN_ACT ||
		     plan->state == PLAN_HOLD))
		against(j, "attack", "steering has its hands full (%s): %s", plan_state_str(plan->state),
			plan->why);
}

static void sites_well(const struct judge *j)
{
	const struct cluster *cl = j->m->cl;

	for (size_t i = 0; i < cl->n_sites; i++) {
		const struct site_live *s = &j->m->sites[i];
		if (!s->healthy)
			against(j, "unhealthy", "site %s is not healthy", cl->sites[i].name);
		if (s->dropping)
			against(j, "drops", "site %s drops traffic", cl->sites[i].name);
		if (s->util > RECEIVER_MAX)
			against(j, "hot", "site %s is at %.0f %% already", cl->sites[i].name, 100 * s->util);
	}
}

static void reports_fresh(const struct judge *j)
{
	for (size_t i = 0; i < j->m->cl->n_nodes; i++)
		if (!observe_node_fresh(j->m, i, j->f->now))
			against(j, "reports", "node %s is silent", j->m->cl->nodes[i].name);
}

/* For every node of the document: does a target speak of it? Heap. */
static bool *touched_nodes(const struct judge *j)
{
	const struct cluster *cl = j->m->cl;
	bool *touched = xcalloc(cl->n_nodes + 1, sizeof(*touched));
	struct target_at at;

	for (size_t i = 0; i < j->p->n_targets; i++) {
		if (!target_find(cl, &j->p->targets[i], &at))
			continue;
		for (size_t k = 0; k < cl->sites[at.site].n_nodes && at.node < 0; k++)
			touched[cl->sites[at.site].nodes[k]] = true;
		if (at.node >= 0)
			touched[at.node] = true;
	}
	return touched;
}

static void nodes_agree(const struct judge *j)
{
	auto_free bool *touched = touched_nodes(j);

	for (size_t i = 0; i < j->m->cl->n_nodes; i++) {
		if (j->kind->effect == EFFECT_NONE || !touched[i])
			continue;
		if (j->m->nodes[i].no_drills)
			against(j, "refused", "node %s refuses drills (drills: off in its agent.yaml)",
				j->m->cl->nodes[i].name);
		if (j->m->nodes[i].drain.on)
			against(j, "drained", "node %s is drained", j->m->cl->nodes[i].name);
	}
}

/* As the document wants it, and settled: or what was weak before would be restored to something else. */
static void cells_normal(const struct judge *j)
{
	const struct cluster *cl = j->m->cl;

	for (size_t i = 0; i < j->p->n_moves; i++) {
		const struct move *mv = &j->p->moves[i];
		const struct cell_live *c = model_cell(j->m, mv->site, mv->shard);
		const char *site = cl->sites[mv->site].name, *shard = cl->shards[mv->shard].name;
		if (j->m->sites[mv->site].drain.on)
			against(j, "drained", "site %s is drained: %s there cannot be rehearsed", site,
				shard);
		else if (c->grade != c->base || (c->ordered && c->wanted != c->base))
			against(j, "weakened", "%s at %s is at %s already", shard, site,
				cl->grades.g[c->ordered ? c->wanted : c->grade].name);
	}
}

static void guard_allows(const struct judge *j)
{
	if (j->f->guard_refuses)
		against(j, guard_str(j->f->verdict.id), "the guard refuses: %s", j->f->verdict.why);
}

static void receivers_cool(const struct judge *j)
{
	const struct cluster *cl = j->m->cl;

	if (!j->p->n_moves || !drill_moves(j->kind))
		return;
	if (!j->f->forecast) {
		against(j, "forecast", "no forecast could be made just now: ask again in a second");
		return;
	}
	for (size_t i = 0; i < cl->n_sites; i++) {
		const struct site_forecast *f = &j->f->forecast[i];
		if (f->after_hi > RECEIVER_MAX && f->after > f->before)
			against(j, "receiver",
				"site %s would come to %.0f %% (at most %.0f %%), the limit is %.0f %%",
				cl->sites[i].name, 100 * f->after, 100 * f->after_hi, 100 * RECEIVER_MAX);
	}
}

/* A node goes, its site stays: what is left of the site must carry it. */
static void neighbours_cool(const struct judge *j)
{
	const struct cluster *cl = j->m->cl;
	const struct drill_target *t = j->p->n_targets ? &j->p->targets[0] : NULL;
	ssize_t node = t && t->node[0] ? cluster_node(cl, t->node) : -1;

	if (node < 0 || !drill_moves(j->kind) || j->p->n_moves)
		return;
	size_t site = cl->nodes[node].site;
	double left = j->m->sites[site].cap[RES_BPS] - cl->nodes[node].cap[RES_BPS];
	double util = left > 0 ? j->m->sites[site].load[RES_BPS] / left : 9.99;
	if (util > RECEIVER_MAX)
		against(j, "receiver", "without %s site %s would come to %.0f %%, the limit is %.0f %%",
			t->node, cl->sites[site].name, 100 * util, 100 * RECEIVER_MAX);
}

/* A drill that steering has no reason to answer would prove nothing. */
static void surge_shows(const struct judge *j)
{
	const struct drill_target *t = j->p->n_targets ? &j->p->targets[0] : NULL;
	ssize_t node = t && t->node[0] ? cluster_node(j->m->cl, t->node) : -1;
	struct surge_view v;

	if (j->kind->effect != EFFECT_SURGE || node < 0 || !observe_node_fresh(j->m, (size_t)node, j->f->now))
		return;
	int64_t time_ms = surge_time_ms(j->m, j->spec);
	surge_foresee(j->m, (size_t)node, j->spec->factor, j->f->now, &v);
	double enough = surge_factor(j->m, (size_t)node, time_ms, j->f->now);
	if (v.held) {
		against(j, "held",
			"%s of %s is held by an operator's hand: steering could not answer; take it away "
			"first",
			v.alone ? "every grade at the site" : "the weight", t->node);
	} else if (v.after_ms > time_ms) {
		against(j, "hold",
			"steering would answer after about %ld s, the load is held for %ld s: hold it for "
			"%ld s",
			(long)(v.after_ms / 1000), (long)(time_ms / 1000),
			(long)((v.after_ms - time_ms + j->spec->hold_ms + 999) / 1000));
	} else if (v.after_ms < 0 && enough > 0) {
		against(j, "factor",
			"%s would be seen at %.0f %%, at which steering need not answer%s: take a factor of "
			"%.1f",
			t->node, 100 * v.util, v.alone ? " (it is alone at its site)" : "", enough);
	} else if (v.after_ms < 0) {
		against(j, "factor",
			"%s would be seen at %.0f %%, and steering would not answer even to %d times its "
			"load: wait "
			"until it carries more, or has its weight back",
			t->node, 100 * v.util, SURGE_FACTOR_MAX);
	}
}

void preflight_judge(const struct model *m, const struct drill_spec *spec, const struct preflight_facts *f,
		     struct preflight *p)
{
	static const struct {
		void (*look)(const struct judge *j);
		bool tabletop; /* asked for what touches nothing, too */
	} rows[] = {
		{ no_other_drill, true }, { has_targets, true },     { no_tilt, false },
		{ mode_allows, false },	  { no_attack, false },	     { sites_well, false },
		{ reports_fresh, false }, { nodes_agree, false },    { cells_normal, false },
		{ guard_allows, false },  { receivers_cool, false }, { neighbours_cool, false },
		{ surge_shows, false },
	};
	struct judge j = { .m = m, .spec = spec, .kind = drill_kind(spec->kind), .f = f, .p = p };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].tabletop || j.kind->effect != EFFECT_NONE)
			rows[i].look(&j);
}

void preflight_done(struct preflight *p)
{
	json_decref(p->wrong);
	json_decref(p->against);
	free(p->targets);
	free(p->moves);
	*p = (struct preflight){ 0 };
}

json_t *forecast_json(const struct model *m, const struct site_forecast *f)
{
	json_t *list = json_array();

	for (size_t i = 0; f && i < m->cl->n_sites; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:f, s:f, s:f, s:f}", "site", m->cl->sites[i].name,
						"util_before", f[i].before, "util_after_lo", f[i].after_lo,
						"util_after", f[i].after, "util_after_hi", f[i].after_hi));
	return list;
}
