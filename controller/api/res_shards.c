/* SPDX-License-Identifier: Apache-2.0
 * /v1/services, /v1/shards and /v1/grades: what clients use, per site how strongly it is announced, and the
 * ways there are to announce it. */
#include <string.h>

#include "controller/api/api_int.h"
#include "controller/api/out.h"

#define CELLS_PER_PAGE 20000 /* a page ends early rather than grow without bound */

static size_t announced_sites(const struct model *m, size_t shard)
{
	size_t n = 0;

	for (size_t i = 0; i < m->cl->n_sites; i++)
		n += model_cell(m, i, shard)->announced;
	return n;
}

static void out_shard(struct out *o, const struct model *m, size_t k, mono_t now)
{
	const struct cl_shard *s = &m->cl->shards[k];
	const struct cl_service *svc = &m->cl->services[s->service];
	char text[PREFIX_STRLEN];

	out_open(o, NULL, '{');
	out_text(o, "name", s->name);
	out_text(o, "service", svc->name);
	out_open(o, "prefixes", '[');
	for (size_t i = 0; i < s->n_prefixes; i++)
		out_text(o, NULL, prefix_str(&s->prefixes[i], text));
	out_close(o, ']');
	out_int(o, "min_sites", (int)svc->min_sites);
	out_int(o, "announced_sites", (int64_t)announced_sites(m, k));
	out_open(o, "sites", '[');
	for (size_t i = 0; i < m->cl->n_sites; i++)
		view_out_cell(o, m, i, k, VIEW_SITE, now);
	out_close(o, ']');
	out_close(o, '}');
}

struct response res_shards_list(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	mono_t now = mono_now();
	struct out o = { 0 };
	size_t cells = 0;
	struct view_page page;
	struct response error;

	if (!view_page(req, m->cl, cluster_shard, &page, &error))
		return error;
	out_open(&o, NULL, '{');
	out_open(&o, "shards", '[');
	size_t k = page.from;
	for (; k < m->cl->n_shards && k - page.from < page.limit && cells < CELLS_PER_PAGE; k++) {
		out_shard(&o, m, k, now);
		cells += m->cl->n_sites;
	}
	return view_out_page(&o, k > 0 && k < m->cl->n_shards ? m->cl->shards[k - 1].name : NULL);
}

struct response res_shards_get(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	ssize_t k = cluster_shard(m->cl, req->params[0]);
	struct out o = { 0 };

	if (k < 0)
		return problem(404, "There is no shard \"%s\" in the cluster document.", req->params[0]);
	out_shard(&o, m, (size_t)k, mono_now());
	return out_reply(&o);
}

/* announced_sites: of its thinnest shard */
static json_t *service_json(const struct model *m, size_t i)
{
	const struct cl_service *s = &m->cl->services[i];
	json_t *shards = json_array();
	size_t fewest = m->cl->n_sites;

	for (size_t k = 0; k < m->cl->n_shards; k++) {
		if (m->cl->shards[k].service != i)
			continue;
		size_t n = announced_sites(m, k);
		fewest = n < fewest ? n : fewest;
		json_array_append_new(shards, json_string(m->cl->shards[k].name));
	}
	return json_pack("{s:s, s:i, s:i, s:o}", "name", s->name, "min_sites", (int)s->min_sites,
			 "announced_sites", (int)fewest, "shards", shards);
}

struct response res_services_list(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;
	struct view_page page;
	struct response error;

	if (!view_page(req, m->cl, cluster_service, &page, &error))
		return error;
	json_t *list = json_array();
	size_t i = page.from;
	for (; i < m->cl->n_services && json_array_size(list) < page.limit; i++)
		json_array_append_new(list, service_json(m, i));
	return view_reply(200,
			  json_pack("{s:o, s:s?}", "services", list, "next",
				    i > 0 && i < m->cl->n_services ? m->cl->services[i - 1].name : NULL));
}

struct response res_services_get(struct api *a, const struct request *req)
{
	const struct model *m = &a->c->model;

	for (size_t i = 0; i < m->cl->n_services; i++)
		if (strcmp(m->cl->services[i].name, req->params[0]) == 0)
			return view_reply(200, service_json(m, i));
	return problem(404, "There is no service \"%s\" in the cluster document.", req->params[0]);
}

static json_t *grade_json(const struct cluster *c, size_t i)
{
	static const char *const kinds[] = { [GRADE_NORMAL] = "normal",
					     [GRADE_COMMUNITY] = "community",
					     [GRADE_PREPEND] = "prepend",
					     [GRADE_DRAIN] = "drain",
					     [GRADE_WITHDRAWN] = "withdrawn" };
	const struct grade *g = &c->grades.g[i];
	json_t *communities = json_array();

	for (size_t k = 0; k < c->grade_attrs[i].n_communities; k++)
		json_array_append_new(communities, json_string(c->grade_attrs[i].communities[k]));
	return json_pack("{s:s, s:s, s:i, s:i, s:o}", "name", g->name, "kind", kinds[g->kind], "strength",
			 (int)g->strength, "prepends", (int)g->prepends, "communities", communities);
}

struct response res_grades_list(struct api *a, const struct request *req)
{
	const struct cluster *c = a->c->model.cl;
	json_t *list = json_array();

	(void)req;
	for (size_t i = 0; i < c->grades.n; i++)
		json_array_append_new(list, grade_json(c, i));
	return view_reply(200, json_pack("{s:o}", "grades", list));
}
