/* SPDX-License-Identifier: Apache-2.0
 * /v1/sites: places, their load and age, and how strongly each shard is announced there. */
#include "controller/api/api_int.h"
#include "controller/api/out.h"

/* Without the bracket at the end. */
static void out_site(struct out *o, const struct model *m, size_t i, mono_t now)
{
	const struct cl_site *cs = &m->cl->sites[i];
	const struct site_live *s = &m->sites[i];

	out_open(o, NULL, '{');
	out_text(o, "name", cs->name);
	out_bool(o, "healthy", s->healthy);
	out_bool(o, "dropping", s->dropping);
	out_ratio(o, "util", s->util);
	out_res(o, "load", s->load);
	out_res(o, "capacity", s->cap);
	out_age(o, "age_ms", s->report_at, now);
	out_json(o, "drain", view_drain(&s->drain, now));
	out_open(o, "nodes", '[');
	for (size_t k = 0; k < cs->n_nodes; k++)
		out_text(o, NULL, m->cl->nodes[cs->nodes[k]].name);
	out_close(o, ']');
}

struct response res_sites_list(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	mono_t now = mono_now();
	struct out o = { 0 };
	struct view_page page;
	struct response error;

	if (!view_page(req, m->cl, cluster_site, &page, &error))
		return error;
	out_open(&o, NULL, '{');
	out_open(&o, "sites", '[');
	size_t i = page.from;
	for (; i < m->cl->n_sites && i - page.from < page.limit; i++) {
		out_site(&o, m, i, now);
		out_close(&o, '}');
	}
	return view_out_page(&o, i > 0 && i < m->cl->n_sites ? m->cl->sites[i - 1].name : NULL);
}

struct response res_sites_get(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	mono_t now = mono_now();
	ssize_t i = cluster_site(m->cl, req->params[0]);
	struct out o = { 0 };

	if (i < 0)
		return problem(404, "There is no site \"%s\" in the cluster document.", req->params[0]);
	out_site(&o, m, (size_t)i, now);
	out_open(&o, "shards", '[');
	for (size_t k = 0; k < m->cl->n_shards; k++)
		view_out_cell(&o, m, (size_t)i, k, VIEW_SHARD, now);
	out_close(&o, ']');
	out_close(&o, '}');
	return out_reply(&o);
}

struct response res_sites_drain(struct api *a, const struct request *req)
{
	return op_drain(a, req, DRAIN_SITE);
}

struct response res_sites_undrain(struct api *a, const struct request *req)
{
	return op_undrain(a, req, DRAIN_SITE);
}
