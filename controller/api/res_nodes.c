/* SPDX-License-Identifier: Apache-2.0
 * /v1/nodes: servers, what they report, and what their routers have. */
#include "controller/api/api_int.h"

static json_t *session_json(const struct node_live *n, mono_t now)
{
	return json_pack("{s:b, s:o, s:o, s:o, s:o}", "connected", n->connected, "address",
			 view_text(n->addr), "version", view_text(n->version), "boot_id",
			 view_text(n->boot_id), "age_ms", view_age(n->connected_at, now));
}

static json_t *node_json(const struct model *m, size_t i, mono_t now)
{
	const struct cl_node *cn = &m->cl->nodes[i];
	const struct node_live *n = &m->nodes[i];
	json_t *j =
		json_pack("{s:s, s:s, s:o, s:b, s:b, s:o, s:b, s:o}", "name", cn->name, "site",
			  m->cl->sites[cn->site].name, "session", session_json(n, now), "bgp_ok", n->bgp_ok,
			  "service_up", n->service_up, "service_reason", view_text(n->service_reason),
			  "dropping", n->dropping, "age_ms", view_age(n->report_at, now));

	json_object_set_new(j, "util", view_ratio(n->util));
	json_object_set_new(j, "load", view_res(n->load));
	json_object_set_new(j, "capacity", view_res(cn->cap));
	json_object_set_new(j, "carried_bps", view_count(n->carried_bps));
	json_object_set_new(j, "weight", n->weight > 0 ? json_integer(n->weight) : json_null());
	json_object_set_new(j, "drain", view_drain(&n->drain, now));
	json_object_set_new(j, "directive",
			    json_pack("{s:I, s:I, s:o}", "sent_seq", (json_int_t)n->sent_seq, "applied_seq",
				      (json_int_t)n->applied_seq, "error", view_text(n->applied_error)));
	return j;
}

static json_t *permit_left(const struct node_shard *s, mono_t now)
{
	int64_t left = s->permit ? mono_diff_ms(now, s->permit_until) : 0;

	return json_integer(left > 0 ? left : 0);
}

static json_t *node_shard_json(const struct model *m, size_t node, size_t k, mono_t now)
{
	const struct node_shard *s = &m->nodes[node].shards[k];
	json_t *j =
		json_pack("{s:s, s:b, s:s, s:i, s:i, s:o, s:b, s:o, s:o}", "shard", m->cl->shards[k].name,
			  "announced", s->announced, "grade", s->seen ? view_grade(m, s->grade) : "?",
			  "weight", (int)s->weight, "neighbours", (int)s->neighbours, "error",
			  view_text(s->error), "service_up", s->service_up, "permit_ms", permit_left(s, now),
			  "age_ms", s->seen ? view_age(m->nodes[node].report_at, now) : json_null());

	json_object_set_new(j, "in_bps", view_count(s->in_bps));
	json_object_set_new(j, "out_bps", view_count(s->out_bps));
	json_object_set_new(j, "pps", view_count(s->pps));
	json_object_set_new(j, "syn_rate", view_count(s->syn_rate));
	return j;
}

struct response res_nodes_list(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	mono_t now = mono_now();
	struct view_page page;
	struct response error;

	if (!view_page(req, m->cl, cluster_node, &page, &error))
		return error;
	json_t *list = json_array();
	size_t i = page.from;
	for (; i < m->cl->n_nodes && json_array_size(list) < page.limit; i++)
		json_array_append_new(list, node_json(m, i, now));
	return view_reply(200, json_pack("{s:o, s:s?}", "nodes", list, "next",
					 i > 0 && i < m->cl->n_nodes ? m->cl->nodes[i - 1].name : NULL));
}

struct response res_nodes_get(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	mono_t now = mono_now();
	ssize_t i = cluster_node(m->cl, req->params[0]);

	if (i < 0)
		return problem(404, "There is no node \"%s\" in the cluster document.", req->params[0]);
	json_t *j = node_json(m, (size_t)i, now), *shards = json_array();
	for (size_t k = 0; k < m->cl->n_shards; k++)
		json_array_append_new(shards, node_shard_json(m, (size_t)i, k, now));
	json_object_set_new(j, "shards", shards);
	return view_reply(200, j);
}

struct response res_nodes_drain(struct api *a, const struct request *req)
{
	return op_drain(a, req, DRAIN_NODE);
}

struct response res_nodes_undrain(struct api *a, const struct request *req)
{
	return op_undrain(a, req, DRAIN_NODE);
}
