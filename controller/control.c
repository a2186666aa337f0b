/* SPDX-License-Identifier: Apache-2.0
 * Order in every operation: check, guard, store + event in one transaction, then the model. */
#include "controller/control.h"

#include <stdarg.h>
#include <string.h>

#include "controller/enrol.h"
#include "controller/fleet.h"
#include "controller/rounds.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

struct op_result op_result(int status, const char *fmt, ...)
{
	struct op_result r = { .status = status };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r.detail, sizeof(r.detail), fmt, ap);
	va_end(ap);
	return r;
}

struct op_result op_store_failed(struct controller *c)
{
	return op_result(503, "nothing was changed: the store failed: %s", store_why(c->store));
}

bool op_not_frozen(const struct controller *c, struct op_result *ret_result)
{
	if (c->model.mode != MODE_FREEZE)
		return true;
	*ret_result =
		op_result(409, "mode is freeze: nothing is changed; set the mode to observe or steer first");
	return false;
}

/* -- the document ------------------------------------------------------------------------------------ */

static void take_cluster(struct controller *c, struct cluster *cl)
{
	model_set_cluster(&c->model, cl);
	if (c->fleet)
		fleet_changed(c->fleet);
	if (c->rounds)
		rounds_changed(c->rounds);
}

#define FORGET_AT_ONCE 64 /* keys; an etcd transaction has its limit */

struct gone {
	const struct cluster *cl;
	char keys[FORGET_AT_ONCE][4 * NAME_LEN];
	size_t n;
};

/* Of a key "grade/SITE/SHARD", "hand/SITE/SHARD", "drain/site/SITE", "drain/node/NODE",
 * "drain/service/SERVICE/SITE". */
static bool key_is_gone(const struct cluster *cl, const char *key)
{
	char a[NAME_LEN] = "", b[NAME_LEN] = "";

	if (sscanf(key, "grade/%63[^/]/%63[^/]", a, b) == 2 || sscanf(key, "hand/%63[^/]/%63[^/]", a, b) == 2)
		return cluster_site(cl, a) < 0 || cluster_shard(cl, b) < 0;
	if (sscanf(key, "drain/site/%63[^/]", a) == 1)
		return cluster_site(cl, a) < 0;
	if (sscanf(key, "drain/node/%63[^/]", a) == 1)
		return cluster_node(cl, a) < 0;
	if (sscanf(key, "drain/service/%63[^/]/%63[^/]", a, b) == 2)
		return cluster_service(cl, a) < 0 || cluster_site(cl, b) < 0;
	return false;
}

static int find_gone(const char *key, const char *value, void *arg)
{
	struct gone *g = arg;

	(void)value;
	if (key_is_gone(g->cl, key))
		snprintf(g->keys[g->n++], sizeof(g->keys[0]), "%s", key);
	return g->n == FORGET_AT_ONCE;
}

/* Drains and orders of what is not in the document any more: they would rise again with a restart long after
 * it came back. The document is stored by now; what cannot be forgotten is tried with the next one. */
static void forget_gone(struct controller *c)
{
	static const char *const prefixes[] = { "drain/", "grade/", "hand/" };
	auto_free struct gone *g = xcalloc(1, sizeof(*g));
	struct store_op ops[FORGET_AT_ONCE];

	g->cl = c->model.cl;
	do {
		g->n = 0;
		for (size_t i = 0; i < ARRAY_LEN(prefixes) && g->n < FORGET_AT_ONCE; i++)
			store_each(c->store, prefixes[i], find_gone, g);
		for (size_t i = 0; i < g->n; i++)
			ops[i] = (struct store_op){ g->keys[i], NULL };
		if (g->n &&
		    events_emit(c->events, ops, g->n, "cluster", "info",
				json_pack("{s:s, s:I}", "first", g->keys[0], "keys", (json_int_t)g->n),
				"%zu drains and orders of what left the document are forgotten, %s first",
				g->n, g->keys[0]) < 0)
			return;
	} while (g->n == FORGET_AT_ONCE);
}

static bool etag_matches(const struct cluster *cl, const char *if_match)
{
	return !if_match || !*if_match || strcmp(if_match, "*") == 0 || strcmp(if_match, cl->etag) == 0;
}

struct op_result control_put_cluster(struct controller *c, const char *actor, json_t *document,
				     const char *if_match, bool dry_run)
{
	struct cluster *cl;
	json_t *errors = json_array();

	if (cluster_parse(document, &cl, errors) < 0) {
		struct op_result r =
			op_result(422, "the cluster document has %zu errors; the one from before stays",
				  json_array_size(errors));
		r.errors = errors;
		return r;
	}
	json_decref(errors);
	if (!etag_matches(c->model.cl, if_match)) {
		cluster_free(cl);
		return op_result(412,
				 "the document changed meanwhile (it is %s now): read it again and repeat",
				 c->model.cl->etag);
	}
	if (dry_run || strcmp(cl->etag, c->model.cl->etag) == 0) {
		struct op_result r =
			op_result(200, "%s", dry_run ? "valid; nothing was changed" : "unchanged");
		cluster_free(cl);
		return r;
	}
	auto_free char *text = json_dumps(cl->doc, JSON_COMPACT);
	struct store_op op = { "cluster", text };
	int err = events_emit(
		c->events, &op, 1, "cluster", "info",
		json_pack("{s:s, s:s, s:s}", "actor", actor, "from", c->model.cl->etag, "to", cl->etag),
		"cluster document applied by %s: %zu sites, %zu nodes, %zu shards", actor, cl->n_sites,
		cl->n_nodes, cl->n_shards);
	if (err < 0) {
		cluster_free(cl);
		return op_store_failed(c);
	}
	take_cluster(c, cl);
	forget_gone(c);
	return op_result(200, "applied");
}

/* -- mode -------------------------------------------------------------------------------------------- */

struct op_result control_set_mode(struct controller *c, const char *actor, enum steer_mode mode,
				  const char *reason)
{
	struct model *m = &c->model;
	struct store_op ops[] = { { "mode", steer_mode_str(mode) }, { "mode_reason", reason } };

	if (m->mode == mode)
		return op_result(200, "mode is %s already", steer_mode_str(mode));
	int err =
		events_emit(c->events, ops, ARRAY_LEN(ops), "mode", "info",
			    json_pack("{s:s, s:s, s:s, s:s}", "actor", actor, "from", steer_mode_str(m->mode),
				      "to", steer_mode_str(mode), "reason", reason),
			    "mode %s -> %s by %s: %s", steer_mode_str(m->mode), steer_mode_str(mode), actor,
			    *reason ? reason : "no reason given");
	if (err < 0)
		return op_store_failed(c);
	m->mode = mode;
	snprintf(m->mode_reason, sizeof(m->mode_reason), "%s", reason);
	return op_result(200, "mode is %s", steer_mode_str(mode));
}

/* -- tokens ------------------------------------------------------------------------------------------ */

struct op_result control_token_make(struct controller *c, const char *actor, const char *name,
				    const char *role, const char *hash_hex, int64_t expires_s)
{
	int64_t now = wall_now_ms(), expires = expires_s ? now + expires_s * 1000 : 0;
	char key[2 * NAME_LEN];
	json_auto_t *j =
		json_pack("{s:s, s:s, s:s, s:I, s:I}", "role", role, "hash", hash_hex, "actor", actor,
			  "since_wall_ms", (json_int_t)now, "expires_wall_ms", (json_int_t)expires);
	auto_free char *value = json_dumps(j, JSON_COMPACT);
	struct store_op op = { key, value };

	snprintf(key, sizeof(key), "token/%s", name);
	int err = events_emit(c->events, &op, 1, "token", "info",
			      json_pack("{s:s, s:s, s:s, s:s, s:I}", "actor", actor, "token", name, "role",
					role, "state", "made", "expires_s", (json_int_t)expires_s),
			      "token %s (%s) made by %s", name, role, actor);
	return err < 0 ? op_store_failed(c) : op_result(201, "token %s is made", name);
}

struct op_result control_token_revoke(struct controller *c, const char *actor, const char *name)
{
	char key[2 * NAME_LEN];
	struct store_op op = { key, NULL };

	snprintf(key, sizeof(key), "token/%s", name);
	int err = events_emit(c->events, &op, 1, "token", "info",
			      json_pack("{s:s, s:s, s:s}", "actor", actor, "token", name, "state", "revoked"),
			      "token %s revoked by %s", name, actor);
	return err < 0 ? op_store_failed(c) : op_result(200, "token %s is revoked", name);
}

/* -- start ------------------------------------------------------------------------------------------- */

static int load_cluster(struct controller *c, char *ret_why)
{
	auto_free char *text = NULL;
	struct cluster *cl;
	json_error_t at;

	if (store_get(c->store, "cluster", &text) < 0)
		return 0;
	json_auto_t *document = json_loads(text, 0, &at);
	json_auto_t *errors = json_array();
	if (!document || cluster_parse(document, &cl, errors) < 0) {
		json_t *first = json_array_get(errors, 0);
		snprintf(ret_why, TEXT_LEN, "the stored cluster document is not valid: %s %s",
			 first ? json_string_value(json_object_get(first, "pointer")) : "",
			 first ? json_string_value(json_object_get(first, "reason")) : at.text);
		return ERR_STORE;
	}
	model_set_cluster(&c->model, cl);
	return 0;
}

static int load_grade(const char *key, const char *value, void *arg)
{
	struct controller *c = arg;
	char site[NAME_LEN], shard[NAME_LEN];

	if (sscanf(key, "grade/%63[^/]/%63s", site, shard) != 2)
		return 0;
	ssize_t i = cluster_site(c->model.cl, site), k = cluster_shard(c->model.cl, shard);
	ssize_t g = cluster_grade(c->model.cl, value);
	if (i < 0 || k < 0 || g < 0)
		return 0; /* gone from the document since */
	struct cell_live *cell = model_cell(&c->model, (size_t)i, (size_t)k);
	cell->wanted = (uint8_t)g;
	cell->ordered = true;
	snprintf(cell->why, sizeof(cell->why), "as before the restart");
	return 0;
}

static int load_hand(const char *key, const char *value, void *arg)
{
	struct controller *c = arg;
	char site[NAME_LEN], shard[NAME_LEN];

	if (sscanf(key, "hand/%63[^/]/%63s", site, shard) != 2)
		return 0;
	ssize_t i = cluster_site(c->model.cl, site), k = cluster_shard(c->model.cl, shard);
	ssize_t g = cluster_grade(c->model.cl, value);
	if (i >= 0 && k >= 0 && g >= 0)
		model_cell(&c->model, (size_t)i, (size_t)k)->base = (uint8_t)g;
	return 0;
}

/* What the hands ask for is ordered already, as far as it came: not again because of the restart. Where it
 * did not come that far, base says what was ordered last, and the rounds follow. */
static void take_hands(struct model *m)
{
	for (size_t i = 0; i < m->cl->n_sites; i++)
		for (size_t k = 0; k < m->cl->n_shards; k++) {
			struct cell_live *cell = model_cell(m, i, k);
			struct hand h = model_hand(m, i, k);
			if (cell->ordered && model_hand_done(m, cell, &h))
				cell->base = h.base;
		}
}

/* Everything below is set again by what is stored, or is gone. */
static void forget(struct model *m)
{
	m->mode = MODE_OBSERVE;
	m->mode_reason[0] = 0;
	for (size_t i = 0; i < m->cl->n_sites; i++)
		m->sites[i].drain = (struct drain){ 0 };
	for (size_t i = 0; i < m->cl->n_nodes; i++)
		m->nodes[i].drain = (struct drain){ 0 };
	for (size_t i = 0; i < m->cl->n_sites * m->cl->n_services; i++)
		if (m->service_drains[i])
			*m->service_drains[i] = (struct drain){ 0 };
	m->n_overrides = 0;
	model_pin(m);
	for (size_t i = 0; i < m->cl->n_sites * m->cl->n_shards; i++) {
		m->cells[i].base = 0;
		m->cells[i].ordered = false;
		m->cells[i].wanted = (uint8_t)(m->cl->grades.n - 1);
	}
}

int control_read(struct controller *c, char *ret_why)
{
	auto_free char *mode = NULL;
	auto_free char *reason = NULL;
	int err = load_cluster(c, ret_why);

	if (err < 0)
		return err;
	forget(&c->model);
	c->reads++;
	if (store_get(c->store, "mode", &mode) == 0)
		steer_mode_parse(mode, &c->model.mode);
	if (store_get(c->store, "mode_reason", &reason) == 0)
		snprintf(c->model.mode_reason, sizeof(c->model.mode_reason), "%s", reason);
	store_each(c->store, "grade/", load_grade, c);
	store_each(c->store, "hand/", load_hand, c);
	drains_load(c);
	overrides_load(c);
	take_hands(&c->model);
	if (c->enrol)
		enrol_load(c->enrol);
	return 0;
}

int control_load(struct controller *c, char *ret_why)
{
	int err = control_read(c, ret_why);

	if (err < 0)
		return err;
	c->model.term_at = mono_now();
	err = store_next_epoch(c->store, &c->model.epoch);
	if (err < 0)
		snprintf(ret_why, TEXT_LEN, "no epoch: %s", store_why(c->store));
	return err;
}
