/* SPDX-License-Identifier: Apache-2.0
 * Order in every operation: check, guard, store + event in one transaction, then the model. */
#include "controller/control.h"

#include <stdarg.h>
#include <string.h>

#include "controller/fleet.h"
#include "controller/rounds.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

static struct op_result result(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static struct op_result result(int status, const char *fmt, ...)
{
	struct op_result r = { .status = status };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r.detail, sizeof(r.detail), fmt, ap);
	va_end(ap);
	return r;
}

static struct op_result store_failed(struct controller *c)
{
	return result(503, "nothing was changed: the store failed: %s", store_why(c->store));
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
			result(422, "the cluster document has %zu errors; the one from before stays",
			       json_array_size(errors));
		r.errors = errors;
		return r;
	}
	json_decref(errors);
	if (!etag_matches(c->model.cl, if_match)) {
		cluster_free(cl);
		return result(412, "the document changed meanwhile (it is %s now): read it again and repeat",
			      c->model.cl->etag);
	}
	if (dry_run || strcmp(cl->etag, c->model.cl->etag) == 0) {
		struct op_result r = result(200, "%s", dry_run ? "valid; nothing was changed" : "unchanged");
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
		return store_failed(c);
	}
	take_cluster(c, cl);
	return result(200, "applied");
}

/* -- mode -------------------------------------------------------------------------------------------- */

struct op_result control_set_mode(struct controller *c, const char *actor, enum steer_mode mode,
				  const char *reason)
{
	struct model *m = &c->model;
	struct store_op op = { "mode", steer_mode_str(mode) };

	if (m->mode == mode)
		return result(200, "mode is %s already", steer_mode_str(mode));
	int err =
		events_emit(c->events, &op, 1, "mode", "info",
			    json_pack("{s:s, s:s, s:s, s:s}", "actor", actor, "from", steer_mode_str(m->mode),
				      "to", steer_mode_str(mode), "reason", reason),
			    "mode %s -> %s by %s: %s", steer_mode_str(m->mode), steer_mode_str(mode), actor,
			    *reason ? reason : "no reason given");
	if (err < 0)
		return store_failed(c);
	m->mode = mode;
	snprintf(m->mode_reason, sizeof(m->mode_reason), "%s", reason);
	return result(200, "mode is %s", steer_mode_str(mode));
}

/* -- drain ------------------------------------------------------------------------------------------- */

static const char *kind_str(enum drain_kind kind)
{
	return kind == DRAIN_SITE ? "site" : "node";
}

static ssize_t find(const struct model *m, enum drain_kind kind, const char *name)
{
	return kind == DRAIN_SITE ? cluster_site(m->cl, name) : cluster_node(m->cl, name);
}

static struct drain *drain_of(struct model *m, enum drain_kind kind, size_t i)
{
	return kind == DRAIN_SITE ? &m->sites[i].drain : &m->nodes[i].drain;
}

/* A drained site weakens every shard it announces; a drained node does so only when it is alone there. */
static int guard_drain(struct controller *c, enum drain_kind kind, size_t i,
		       struct guard_verdict *ret_verdict)
{
	const struct model *m = &c->model;
	size_t site = kind == DRAIN_SITE ? i : m->cl->nodes[i].site;
	auto_free struct move *moves = xcalloc(m->cl->n_shards, sizeof(*moves));
	uint8_t drain = (uint8_t)cluster_grade(m->cl, "drain");
	size_t n = 0;

	if (kind == DRAIN_NODE && m->cl->sites[site].n_nodes > 1)
		return 0;
	for (size_t k = 0; k < m->cl->n_shards; k++) {
		const struct cell_live *cell = model_cell(m, site, k);
		if (cell->announced && cell->wanted < drain)
			moves[n++] = (struct move){ .site = site,
						    .shard = k,
						    .from = cell->grade,
						    .to = drain,
						    .kind = MOVE_OPERATOR };
	}
	return rounds_guard_operator(c->rounds, moves, n, ret_verdict);
}

static char *drain_text(const struct drain *d)
{
	json_auto_t *j = json_pack("{s:s, s:s, s:I}", "reason", d->reason, "actor", d->actor,
				   "expires_wall_ms", (json_int_t)d->expires_wall_ms);

	return json_dumps(j, JSON_COMPACT);
}

static void drain_key(enum drain_kind kind, const char *name, char *ret_key, size_t size)
{
	snprintf(ret_key, size, "drain/%s/%s", kind_str(kind), name);
}

struct op_result control_drain(struct controller *c, const char *actor, enum drain_kind kind,
			       const char *name, const char *reason, int64_t expires_s)
{
	struct model *m = &c->model;
	ssize_t i = find(m, kind, name);
	struct guard_verdict verdict;
	char key[2 * NAME_LEN];

	if (i < 0)
		return result(404, "there is no %s \"%s\" in the cluster document", kind_str(kind), name);
	if (!reason || !*reason)
		return result(422, "a drain needs a reason");
	struct drain *d = drain_of(m, kind, (size_t)i);
	if (d->on)
		return result(409, "%s %s is drained already, by %s: %s", kind_str(kind), name, d->actor,
			      d->reason);
	if (m->mode == MODE_FREEZE)
		return result(409,
			      "mode is freeze: nothing is changed; set the mode to observe or steer first");
	if (guard_drain(c, kind, (size_t)i, &verdict) < 0)
		return result(409, "the guard refuses (%s): %s", guard_str(verdict.id), verdict.why);
	struct drain next = { .on = true,
			      .since = mono_now(),
			      .expires_wall_ms = expires_s ? wall_now_ms() + expires_s * 1000 : 0 };
	snprintf(next.reason, sizeof(next.reason), "%s", reason);
	snprintf(next.actor, sizeof(next.actor), "%s", actor);
	auto_free char *text = drain_text(&next);
	drain_key(kind, name, key, sizeof(key));
	struct store_op op = { key, text };
	int err = events_emit(c->events, &op, 1, "drain", "info",
			      json_pack("{s:s, s:s, s:s, s:s, s:I}", "actor", actor, kind_str(kind), name,
					"reason", reason, "state", "on", "expires_s", (json_int_t)expires_s),
			      "%s %s drained by %s: %s", kind_str(kind), name, actor, reason);
	if (err < 0)
		return store_failed(c);
	*d = next;
	return result(200, "%s %s is being drained", kind_str(kind), name);
}

struct op_result control_undrain(struct controller *c, const char *actor, enum drain_kind kind,
				 const char *name)
{
	struct model *m = &c->model;
	ssize_t i = find(m, kind, name);
	char key[2 * NAME_LEN];

	if (i < 0)
		return result(404, "there is no %s \"%s\" in the cluster document", kind_str(kind), name);
	struct drain *d = drain_of(m, kind, (size_t)i);
	if (!d->on)
		return result(200, "%s %s is not drained", kind_str(kind), name);
	if (m->mode == MODE_FREEZE)
		return result(409,
			      "mode is freeze: nothing is changed; set the mode to observe or steer first");
	drain_key(kind, name, key, sizeof(key));
	struct store_op op = { key, NULL };
	int err = events_emit(
		c->events, &op, 1, "drain", "info",
		json_pack("{s:s, s:s, s:s}", "actor", actor, kind_str(kind), name, "state", "off"),
		"%s %s undrained by %s", kind_str(kind), name, actor);
	if (err < 0)
		return store_failed(c);
	*d = (struct drain){ 0 };
	return result(200, "%s %s is given back", kind_str(kind), name);
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

static int load_drain(const char *key, const char *value, void *arg)
{
	struct controller *c = arg;
	enum drain_kind kind = strncmp(key, "drain/site/", 11) == 0 ? DRAIN_SITE : DRAIN_NODE;
	ssize_t i = find(&c->model, kind, key + 11);
	const char *reason = "", *actor = "";
	json_int_t expires = 0;
	json_auto_t *j = json_loads(value, 0, NULL);

	if (i < 0 || json_unpack(j, "{s:s, s:s, s:I}", "reason", &reason, "actor", &actor, "expires_wall_ms",
				 &expires) < 0) {
		log_warn("stored %s could not be used: left out", key);
		return 0;
	}
	struct drain *d = drain_of(&c->model, kind, (size_t)i);
	*d = (struct drain){ .on = true, .since = mono_now(), .expires_wall_ms = expires };
	snprintf(d->reason, sizeof(d->reason), "%s", reason);
	snprintf(d->actor, sizeof(d->actor), "%s", actor);
	if (kind == DRAIN_SITE)
		for (size_t k = 0; k < c->model.cl->n_shards; k++)
			model_cell(&c->model, (size_t)i, k)->base =
				(uint8_t)cluster_grade(c->model.cl, "drain");
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

int control_load(struct controller *c, char *ret_why)
{
	auto_free char *mode = NULL;
	int err = load_cluster(c, ret_why);

	if (err < 0)
		return err;
	if (store_get(c->store, "mode", &mode) == 0)
		steer_mode_parse(mode, &c->model.mode);
	store_each(c->store, "grade/", load_grade, c);
	store_each(c->store, "drain/", load_drain, c);
	err = store_next_epoch(c->store, &c->model.epoch);
	if (err < 0)
		snprintf(ret_why, TEXT_LEN, "no epoch: %s", store_why(c->store));
	return err;
}
