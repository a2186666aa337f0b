/* SPDX-License-Identifier: Apache-2.0
 * /v1/nodes: servers, what they report, and what their routers have. */
#include "controller/api/api_int.h"
#include "controller/api/out.h"

static void out_session(struct out *o, const struct node_live *n, mono_t now)
{
	out_open(o, "session", '{');
	out_bool(o, "connected", n->connected);
	out_text(o, "address", n->addr);
	out_text(o, "version", n->version);
	out_text(o, "boot_id", n->boot_id);
	out_age(o, "age_ms", n->connected_at, now);
	out_close(o, '}');
}

static void out_directive(struct out *o, const struct node_live *n)
{
	out_open(o, "directive", '{');
	out_int(o, "sent_seq", (int64_t)n->sent_seq);
	out_int(o, "applied_seq", (int64_t)n->applied_seq);
	out_text(o, "error", n->applied_error);
	out_close(o, '}');
}

/* Without the bracket at the end. */
static void out_node(struct out *o, const struct model *m, size_t i, mono_t now)
{
	const struct cl_node *cn = &m->cl->nodes[i];
	const struct node_live *n = &m->nodes[i];

	out_open(o, NULL, '{');
	out_text(o, "name", cn->name);
	out_text(o, "site", m->cl->sites[cn->site].name);
	out_session(o, n, now);
	out_bool(o, "bgp_ok", n->bgp_ok);
	out_bool(o, "service_up", n->service_up);
	out_text(o, "service_reason", n->service_reason);
	out_bool(o, "dropping", n->dropping);
	out_age(o, "age_ms", n->report_at, now);
	out_ratio(o, "util", n->util);
	out_res(o, "load", n->load);
	out_res(o, "capacity", cn->cap);
	out_count(o, "carried_bps", n->carried_bps);
	if (n->weight > 0)
		out_int(o, "weight", n->weight);
	else
		out_null(o, "weight");
	out_json(o, "drain", view_drain(&n->drain, now));
	out_directive(o, n);
}

static int64_t permit_left(const struct node_shard *s, mono_t now)
{
	int64_t left = s->permit ? mono_diff_ms(now, s->permit_until) : 0;

	return left > 0 ? left : 0;
}

static void out_node_shard(struct out *o, const struct model *m, size_t node, size_t k, mono_t now)
{
	const struct node_shard *s = &m->nodes[node].shards[k];

	out_open(o, NULL, '{');
	out_text(o, "shard", m->cl->shards[k].name);
	out_bool(o, "announced", s->announced);
	out_text(o, "grade", s->seen ? view_grade(m, s->grade) : "?");
	out_int(o, "weight", (int)s->weight);
	out_int(o, "neighbours", (int)s->neighbours);
	out_text(o, "error", s->error);
	out_bool(o, "service_up", s->service_up);
	out_int(o, "permit_ms", permit_left(s, now));
	out_age(o, "age_ms", s->seen ? m->nodes[node].report_at : (mono_t){ 0 }, now);
	out_count(o, "in_bps", s->in_bps);
	out_count(o, "out_bps", s->out_bps);
	out_count(o, "pps", s->pps);
	out_count(o, "syn_rate", s->syn_rate);
	out_close(o, '}');
}

struct response res_nodes_list(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	mono_t now = mono_now();
	struct out o = { 0 };
	struct view_page page;
	struct response error;

	if (!view_page(req, m->cl, cluster_node, &page, &error))
		return error;
	out_open(&o, NULL, '{');
	out_open(&o, "nodes", '[');
	size_t i = page.from;
	for (; i < m->cl->n_nodes && i - page.from < page.limit; i++) {
		out_node(&o, m, i, now);
		out_close(&o, '}');
	}
	return view_out_page(&o, i > 0 && i < m->cl->n_nodes ? m->cl->nodes[i - 1].name : NULL);
}

struct response res_nodes_get(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	mono_t now = mono_now();
	ssize_t i = cluster_node(m->cl, req->params[0]);
	struct out o = { 0 };

	if (i < 0)
		return problem(404, "There is no node \"%s\" in the cluster document.", req->params[0]);
	out_node(&o, m, (size_t)i, now);
	out_open(&o, "shards", '[');
	for (size_t k = 0; k < m->cl->n_shards; k++)
		out_node_shard(&o, m, (size_t)i, k, now);
	out_close(&o, ']');
	out_close(&o, '}');
	return out_reply(&o);
}

struct response res_nodes_drain(struct api *a, const struct request *req)
{
	return op_drain(a, req, DRAIN_NODE);
}

struct response res_nodes_undrain(struct api *a, const struct request *req)
{
	return op_undrain(a, req, DRAIN_NODE);
}
