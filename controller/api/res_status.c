/* SPDX-License-Identifier: Apache-2.0
 * /v1/status: the page of two in the morning. What is wrong, what is being done about it, what is held back.
 */
#include <string.h>

#include "controller/api/api_int.h"
#include "controller/fleet.h"
#include "controller/rounds.h"

#define ALERTS_SHOWN   100
#define HOT_SHOWN      20
#define WEAKENED_SHOWN 500

struct alert_list {
	json_t *list;
	size_t total[ALERT_SEVERITIES];
};

static void add_alert(const struct alert *al, void *arg)
{
	static const char *const words[] = { [ALERT_ALERT] = "alert", [ALERT_WARNING] = "warning" };
	struct alert_list *l = arg;

	l->total[al->severity]++;
	if (json_array_size(l->list) < ALERTS_SHOWN)
		json_array_append_new(l->list, json_pack("{s:s, s:s, s:s, s:o}", "severity",
							 words[al->severity], "kind", al->kind, "name",
							 al->name, "text", view_text(al->text)));
}

struct hot {
	const char *kind, *name;
	double util;
};

static int hot_cmp(const void *a, const void *b)
{
	const struct hot *x = a, *y = b;

	return x->util < y->util ? 1 : x->util > y->util ? -1 : strcmp(x->name, y->name);
}

static json_t *hot_json(const struct model *m)
{
	const struct cluster *c = m->cl;
	auto_free struct hot *hot = xcalloc(c->n_sites + c->n_nodes, sizeof(*hot));
	json_t *list = json_array();
	size_t n = 0;

	for (size_t i = 0; i < c->n_sites; i++)
		if (m->sites[i].util >= c->policy.trigger_util)
			hot[n++] = (struct hot){ "site", c->sites[i].name, m->sites[i].util };
	for (size_t i = 0; i < c->n_nodes; i++)
		if (m->nodes[i].util >= c->policy.trigger_util)
			hot[n++] = (struct hot){ "node", c->nodes[i].name, m->nodes[i].util };
	qsort(hot, n, sizeof(*hot), hot_cmp);
	for (size_t i = 0; i < n && i < HOT_SHOWN; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "kind", hot[i].kind, "name",
						      hot[i].name, "util", view_ratio(hot[i].util)));
	return list;
}

/* Cells that are not as the document wants them: what is being done. */
static json_t *weakened_json(const struct model *m, mono_t now)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->cl->n_sites; i++)
		for (size_t k = 0; k < m->cl->n_shards; k++) {
			const struct cell_live *c = model_cell(m, i, k);
			bool asked = c->ordered && c->wanted != c->base;
			bool has = c->announced && c->grade != c->base;
			if ((!asked && !has) || json_array_size(list) == WEAKENED_SHOWN)
				continue;
			json_t *j = view_cell(m, i, k, VIEW_SHARD, now);
			json_object_set_new(j, "site", json_string(m->cl->sites[i].name));
			json_array_append_new(list, j);
		}
	return list;
}

/* {"normal": 7, "prepend1": 1}: how many shards the site announces how strongly */
static json_t *grades_json(const struct model *m, size_t site)
{
	size_t count[STEER_GRADES] = { 0 };
	json_t *j = json_object();

	for (size_t k = 0; k < m->cl->n_shards; k++) {
		uint8_t g = model_cell(m, site, k)->grade;
		if (g < m->cl->grades.n)
			count[g]++;
	}
	for (size_t g = 0; g < m->cl->grades.n; g++)
		if (count[g])
			json_object_set_new(j, m->cl->grades.g[g].name, json_integer((json_int_t)count[g]));
	return j;
}

static json_t *site_line(const struct model *m, size_t i, mono_t now)
{
	const struct cl_site *cs = &m->cl->sites[i];
	const struct site_live *s = &m->sites[i];
	int connected = 0;

	for (size_t k = 0; k < cs->n_nodes; k++)
		connected += m->nodes[cs->nodes[k]].connected;
	return json_pack("{s:s, s:b, s:o, s:b, s:o, s:b, s:i, s:i, s:o}", "name", cs->name, "healthy",
			 s->healthy, "util", view_ratio(s->util), "dropping", s->dropping, "age_ms",
			 view_age(s->report_at, now), "draining", s->drain.on, "nodes", (int)cs->n_nodes,
			 "nodes_connected", connected, "grades", grades_json(m, i));
}

static json_t *sites_json(const struct model *m, mono_t now)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->cl->n_sites; i++)
		json_array_append_new(list, site_line(m, i, now));
	return list;
}

static json_t *nodes_json(const struct model *m)
{
	int connected = 0;

	for (size_t i = 0; i < m->cl->n_nodes; i++)
		connected += m->nodes[i].connected;
	return json_pack("{s:i, s:i}", "total", (int)m->cl->n_nodes, "connected", connected);
}

static void add_plan(json_t *j, const struct rounds_view *v, mono_t now)
{
	bool plan = v && v->plan && v->snapshot;

	json_object_set_new(j, "plan",
			    plan ? json_pack("{s:s, s:o, s:o}", "state", plan_state_str(v->plan->state),
					     "why", view_text(v->plan->why), "age_ms", view_age(v->at, now))
				 : json_null());
	json_object_set_new(j, "moves",
			    plan ? plan_moves(v->snapshot, v->plan->moves, v->plan->n_moves) : json_array());
	json_object_set_new(j, "held_back",
			    plan ? plan_moves(v->snapshot, v->plan->refused, v->plan->n_refused)
				 : json_array());
}

struct response res_status_get(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	const struct rounds_view *v = api_rounds(a);
	struct alert_list alerts = { .list = json_array() };
	mono_t now = mono_now();

	(void)req;
	alerts_each(a, now, add_alert, &alerts);
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:o, s:b, s:o}", "level",
			      alerts.total[ALERT_ALERT]	    ? "alert"
			      : alerts.total[ALERT_WARNING] ? "warning"
							    : "ok",
			      "cluster", m->cl->name, "etag", m->cl->etag, "mode", steer_mode_str(m->mode),
			      "mode_reason", view_text(m->mode_reason), "epoch", (json_int_t)m->epoch,
			      "uptime_ms", view_age(m->started_at, now), "tilt", v ? v->tilt : false,
			      "round_age_ms", v ? view_age(v->at, now) : json_null());
	add_plan(j, v, now);
	json_object_set_new(j, "leader", leader_json(&a->c->lead, now));
	json_object_set_new(j, "alerts", alerts.list);
	json_object_set_new(
		j, "alerts_total",
		json_integer((json_int_t)(alerts.total[ALERT_ALERT] + alerts.total[ALERT_WARNING])));
	json_object_set_new(j, "hot", hot_json(m));
	json_object_set_new(j, "weakened", weakened_json(m, now));
	json_object_set_new(j, "drains", drains_json(m, now));
	json_object_set_new(j, "nodes", nodes_json(m));
	json_object_set_new(j, "sites", sites_json(m, now));
	return view_reply(200, j);
}
