/* SPDX-License-Identifier: Apache-2.0
 * /v1/drains: every drain that is on, with its stage, its age and its numbers. */
#include "controller/api/api_int.h"

struct drain_list {
	json_t *list;
	mono_t now;
};

static void add_drain(enum drain_kind kind, const char *name, const char *site, const struct drain *d,
		      void *arg)
{
	struct drain_list *l = arg;
	json_t *j = view_drain(d, l->now);

	json_object_set_new(j, "kind", json_string(drain_kind_str(kind)));
	json_object_set_new(j, "name", json_string(name));
	json_object_set_new(j, "site", kind == DRAIN_SERVICE ? json_string(site) : json_null());
	json_array_append_new(l->list, j);
}

json_t *drains_json(const struct model *m, mono_t now)
{
	struct drain_list l = { json_array(), now };

	drains_each(m, add_drain, &l);
	return l.list;
}

struct response res_drains_list(struct api *a, const struct request *req)
{
	(void)req;
	return view_reply(200, json_pack("{s:o}", "drains", drains_json(&a->c->model, mono_now())));
}

struct response res_services_drain(struct api *a, const struct request *req)
{
	return op_drain(a, req, DRAIN_SERVICE);
}

struct response res_services_undrain(struct api *a, const struct request *req)
{
	return op_undrain(a, req, DRAIN_SERVICE);
}
