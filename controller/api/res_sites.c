/* SPDX-License-Identifier: Apache-2.0
 * /v1/sites: places, their load and age, and how strongly each shard is announced there. */
#include "controller/api/api_int.h"

static json_t *node_names(const struct cluster *c, const struct cl_site *s)
{
	json_t *names = json_array();

	for (size_t i = 0; i < s->n_nodes; i++)
		json_array_append_new(names, json_string(c->nodes[s->nodes[i]].name));
	return names;
}

static json_t *site_json(const struct model *m, size_t i, mono_t now)
{
	const struct site_live *s = &m->sites[i];

	return json_pack("{s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "name", m->cl->sites[i].name,
			 "healthy", s->healthy, "dropping", s->dropping, "util", view_ratio(s->util), "load",
			 view_res(s->load), "capacity", view_res(s->cap), "age_ms",
			 view_age(s->report_at, now), "drain", view_drain(&s->drain, now), "nodes",
			 node_names(m->cl, &m->cl->sites[i]));
}

struct response res_sites_list(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	mono_t now = mono_now();
	struct view_page page;
	struct response error;

	if (!view_page(req, m->cl, cluster_site, &page, &error))
		return error;
	json_t *list = json_array();
	size_t i = page.from;
	for (; i < m->cl->n_sites && json_array_size(list) < page.limit; i++)
		json_array_append_new(list, site_json(m, i, now));
	return view_reply(200, json_pack("{s:o, s:s?}", "sites", list, "next",
					 i > 0 && i < m->cl->n_sites ? m->cl->sites[i - 1].name : NULL));
}

struct response res_sites_get(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	mono_t now = mono_now();
	ssize_t i = cluster_site(m->cl, req->params[0]);

	if (i < 0)
		return problem(404, "There is no site \"%s\" in the cluster document.", req->params[0]);
	json_t *j = site_json(m, (size_t)i, now), *shards = json_array();
	for (size_t k = 0; k < m->cl->n_shards; k++)
		json_array_append_new(shards, view_cell(m, (size_t)i, k, VIEW_SHARD, now));
	json_object_set_new(j, "shards", shards);
	return view_reply(200, j);
}

struct response res_sites_drain(struct api *a, const struct request *req)
{
	return op_drain(a, req, DRAIN_SITE);
}

struct response res_sites_undrain(struct api *a, const struct request *req)
{
	return op_undrain(a, req, DRAIN_SITE);
}
