/* SPDX-License-Identifier: Apache-2.0
 * Overrides: an operator's own grade for a (site, shard), or weight for a (node, shard). Made, confirmed and
 * ended here, written to the store with each event; the model keeps the list and rounds.c follows it.
 * An override: WAITING for confirmation (when asked for) -> CONFIRMED -> gone, or WAITING -> reverted by
 * itself. Deadlines are stored as wall time, so that they go on running while no controller does.
 * Key: override/ID. */
#include <string.h>

#include "controller/control.h"
#include "controller/rounds.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

const struct override *override_find(const struct model *m, const char *id)
{
	for (size_t i = 0; i < m->n_overrides; i++)
		if (strcmp(m->overrides[i].id, id) == 0)
			return &m->overrides[i];
	return NULL;
}

static void add(struct model *m, const struct override *o)
{
	m->overrides = xrealloc(m->overrides, m->n_overrides + 1, sizeof(*o));
	m->overrides[m->n_overrides++] = *o;
	model_pin_one(m, o, true);
}

static void drop(struct model *m, const struct override *o)
{
	size_t at = (size_t)(o - m->overrides);

	ssize_t node = cluster_node(m->cl, o->place), shard = cluster_shard(m->cl, o->shard);
	if (!o->grade[0] && node >= 0 && shard >= 0)
		m->nodes[node].shards[shard].hand_weight = (uint32_t)o->weight;
	model_pin_one(m, o, false);
	memmove(&m->overrides[at], &m->overrides[at + 1], (m->n_overrides - at - 1) * sizeof(*o));
	m->n_overrides--;
}

/* -- writing down ------------------------------------------------------------------------------------ */

static json_t *json_of(const struct override *o)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:I, s:I, s:I}", "place", o->place, "shard",
			 o->shard, "grade", o->grade, "weight", o->weight, "reason", o->reason, "actor",
			 o->actor, "since_wall_ms", (json_int_t)o->since_wall_ms, "expires_wall_ms",
			 (json_int_t)o->expires_wall_ms, "confirm_by_wall_ms",
			 (json_int_t)o->confirm_by_wall_ms);
}

static const char *words(const struct override *o, char *buf, size_t size)
{
	if (o->grade[0])
		snprintf(buf, size, "%s at %s held at %s", o->shard, o->place, o->grade);
	else
		snprintf(buf, size, "weight of %s for %s held at %d", o->place, o->shard, o->weight);
	return buf;
}

/* gone: the key is deleted. */
static int write_down(struct controller *c, const struct override *o, bool gone, const char *actor,
		      const char *what, const char *reason)
{
	char key[4 * NAME_LEN], text[4 * NAME_LEN];
	json_auto_t *j = json_of(o);
	auto_free char *value = gone || !j ? NULL : json_dumps(j, JSON_COMPACT);
	struct store_op op = { key, value };

	if (!j)
		return ERR_MALFORMED;
	snprintf(key, sizeof(key), "override/%s", o->id);
	return events_emit(c->events, &op, 1, "override", "info",
			   json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "actor", actor, "override",
				     o->id, "state", what, "reason", reason, o->grade[0] ? "site" : "node",
				     o->place, "shard", o->shard, "grade", o->grade, "weight", o->weight),
			   "override %s by %s (%s): %s", what, actor, words(o, text, sizeof(text)),
			   *reason ? reason : "no reason given");
}

/* -- checks ------------------------------------------------------------------------------------------ */

static struct op_result check_names(const struct model *m, const struct override_ask *a)
{
	if (cluster_shard(m->cl, a->shard) < 0)
		return op_result(404, "there is no shard \"%s\" in the cluster document", a->shard);
	if (a->site && cluster_site(m->cl, a->site) < 0)
		return op_result(404, "there is no site \"%s\" in the cluster document", a->site);
	if (a->site && cluster_grade(m->cl, a->grade) < 0)
		return op_result(422, "there is no grade \"%s\" in the cluster document", a->grade);
	if (!a->site && cluster_node(m->cl, a->node) < 0)
		return op_result(404, "there is no node \"%s\" in the cluster document", a->node);
	if (!a->site && (a->weight < 1 || a->weight > 100))
		return op_result(422, "weight must be 1 to 100");
	return op_result(200, "good");
}

/* Of a site's cell that is announced: may it go to this grade? */
static int ask_guard(struct controller *c, const struct override *o, uint8_t to, struct op_result *ret)
{
	const struct model *m = &c->model;
	ssize_t site = cluster_site(m->cl, o->place), shard = cluster_shard(m->cl, o->shard);
	struct guard_verdict verdict = { 0 };

	if (!o->grade[0] || site < 0 || shard < 0)
		return 0;
	const struct cell_live *cell = model_cell(m, (size_t)site, (size_t)shard);
	uint8_t now = cell_order(cell);
	struct move move = {
		.site = (size_t)site, .shard = (size_t)shard, .from = now, .to = to, .kind = MOVE_OPERATOR
	};
	if (!cell->announced || now == to)
		return 0;
	int err = rounds_guard_operator(c->rounds, &move, 1, &verdict);
	if (err < 0)
		*ret = op_result(409, "the guard refuses (%s): %.200s", guard_str(verdict.id), verdict.why);
	return err;
}

/* -- operations -------------------------------------------------------------------------------------- */

static void set_deadlines(struct override *o)
{
	o->expires_at = model_deadline(o->expires_wall_ms, o->since_wall_ms);
	o->confirm_at = model_deadline(o->confirm_by_wall_ms, o->since_wall_ms);
}

static struct override override_of(const char *actor, const struct override_ask *a)
{
	int64_t now = wall_now_ms();
	struct override o = { .weight = a->site ? 0 : a->weight,
			      .since_wall_ms = now,
			      .expires_wall_ms = a->expires_s ? now + a->expires_s * 1000 : 0,
			      .confirm_by_wall_ms = a->confirm_s ? now + a->confirm_s * 1000 : 0 };

	set_deadlines(&o);
	snprintf(o.place, sizeof(o.place), "%s", a->site ? a->site : a->node);
	snprintf(o.shard, sizeof(o.shard), "%s", a->shard);
	snprintf(o.grade, sizeof(o.grade), "%s", a->site ? a->grade : "");
	snprintf(o.reason, sizeof(o.reason), "%s", a->reason);
	snprintf(o.actor, sizeof(o.actor), "%s", actor);
	snprintf(o.id, sizeof(o.id), "%s:%s:%s", a->site ? "grade" : "weight", o.place, o.shard);
	return o;
}

struct op_result control_override(struct controller *c, const char *actor, const struct override_ask *a,
				  char *ret_id)
{
	struct model *m = &c->model;
	struct op_result r = check_names(m, a);

	if (r.status != 200)
		return r;
	if (!a->reason || !*a->reason)
		return op_result(422, "an override needs a reason");
	struct override o = override_of(actor, a);
	if (override_find(m, o.id))
		return op_result(409, "there is an override %s already: delete it first", o.id);
	if (m->n_overrides >= OVERRIDES_MAX)
		return op_result(409, "there are %d overrides already", OVERRIDES_MAX);
	if (!op_not_frozen(c, &r) ||
	    ask_guard(c, &o, o.grade[0] ? (uint8_t)cluster_grade(m->cl, o.grade) : 0, &r) < 0)
		return r;
	if (write_down(c, &o, false, actor, a->confirm_s ? "made, to be confirmed" : "made", o.reason) < 0)
		return op_store_failed(c);
	add(m, &o);
	rounds_follow(c->rounds);
	memcpy(ret_id, o.id, sizeof(o.id));
	return op_result(201, a->confirm_s ? "%s; it reverts by itself in %lld s unless confirmed" : "%s",
			 o.id, (long long)a->confirm_s);
}

static struct op_result no_such(const char *id)
{
	return op_result(404, "there is no override \"%.128s\" (any more)", id);
}

struct op_result control_override_confirm(struct controller *c, const char *actor, const char *id)
{
	struct override *o = (struct override *)(uintptr_t)override_find(&c->model, id);

	if (!o)
		return no_such(id);
	if (!o->confirm_by_wall_ms)
		return op_result(200, "%s is confirmed already", id);
	struct override next = *o;
	next.confirm_by_wall_ms = 0;
	next.confirm_at = (mono_t){ 0 };
	if (write_down(c, &next, false, actor, "confirmed", o->reason) < 0)
		return op_store_failed(c);
	*o = next;
	return op_result(200, "%s is confirmed", id);
}

/* What the hand would ask for without it. */
static uint8_t grade_without(struct model *m, const struct override *o)
{
	ssize_t site = cluster_site(m->cl, o->place), shard = cluster_shard(m->cl, o->shard);

	if (!o->grade[0] || site < 0 || shard < 0)
		return 0;
	struct cell_live *cell = model_cell(m, (size_t)site, (size_t)shard);
	bool pinned = cell->pinned;
	cell->pinned = false;
	uint8_t base = model_hand(m, (size_t)site, (size_t)shard).base;
	cell->pinned = pinned;
	return base;
}

static struct op_result end(struct controller *c, const struct override *o, const char *actor,
			    const char *what, const char *reason)
{
	struct op_result r;

	if (!op_not_frozen(c, &r) || ask_guard(c, o, grade_without(&c->model, o), &r) < 0)
		return r;
	if (write_down(c, o, true, actor, what, reason) < 0)
		return op_store_failed(c);
	r = op_result(200, "%s is %s", o->id, what);
	drop(&c->model, o);
	rounds_follow(c->rounds);
	return r;
}

struct op_result control_override_delete(struct controller *c, const char *actor, const char *id,
					 const char *reason)
{
	const struct override *o = override_find(&c->model, id);

	return o ? end(c, o, actor, "deleted", reason) : no_such(id);
}

/* -- the round --------------------------------------------------------------------------------------- */

struct ending {
	const char *actor, *what, *why;
};

/* Why and how it ends now; NULL: it stays. */
static const struct ending *over(const struct override *o, mono_t now)
{
	static const struct ending unconfirmed = { "commit-confirm", "reverted", "not confirmed in time" },
				   expired = { "expiry", "expired", "its time is over" };

	return model_is_over(o->confirm_at, now)   ? &unconfirmed
	       : model_is_over(o->expires_at, now) ? &expired
						   : NULL;
}

static void end_over(struct controller *c, struct override *o, const struct ending *e)
{
	struct op_result r = end(c, o, e->actor, e->what, e->why);

	if (r.status == 200 || o->held)
		return;
	o->held = true;
	events_emit(c->events, NULL, 0, "guard.hold", "alert", json_pack("{s:s}", "override", o->id),
		    "override %s cannot end: %s", o->id, r.detail);
}

/* Each end is a durable write: hundreds at once take some rounds rather than stop the loop. Those that were
 * held back before come last. */
void overrides_round(struct controller *c)
{
	struct model *m = &c->model;
	mono_t now = mono_now(), until = mono_add_ms(now, HANDS_MS);

	for (int held = 0; held < 2; held++)
		for (size_t i = m->n_overrides; i-- > 0 && mono_diff_ms(mono_now(), until) > 0;) {
			const struct ending *e = over(&m->overrides[i], now);
			if (e && m->overrides[i].held == (bool)held)
				end_over(c, &m->overrides[i], e);
		}
}

/* -- start ------------------------------------------------------------------------------------------- */

static int load_override(const char *key, const char *value, void *arg)
{
	struct controller *c = arg;
	const char *place, *shard, *grade, *reason, *actor;
	json_int_t since, expires, confirm;
	struct override o = { 0 };
	json_auto_t *j = json_loads(value, 0, NULL);

	if (json_unpack(j, "{s:s, s:s, s:s, s:i, s:s, s:s, s:I, s:I, s:I}", "place", &place, "shard", &shard,
			"grade", &grade, "weight", &o.weight, "reason", &reason, "actor", &actor,
			"since_wall_ms", &since, "expires_wall_ms", &expires, "confirm_by_wall_ms",
			&confirm) < 0 ||
	    c->model.n_overrides >= OVERRIDES_MAX) {
		log_warn("stored %s could not be used: left out", key);
		return 0;
	}
	o.since_wall_ms = since;
	o.expires_wall_ms = expires;
	o.confirm_by_wall_ms = confirm;
	set_deadlines(&o);
	snprintf(o.id, sizeof(o.id), "%s", key + strlen("override/"));
	snprintf(o.place, sizeof(o.place), "%s", place);
	snprintf(o.shard, sizeof(o.shard), "%s", shard);
	snprintf(o.grade, sizeof(o.grade), "%s", grade);
	snprintf(o.reason, sizeof(o.reason), "%s", reason);
	snprintf(o.actor, sizeof(o.actor), "%s", actor);
	add(&c->model, &o);
	return 0;
}

void overrides_load(struct controller *c)
{
	store_each(c->store, "override/", load_override, c);
}
