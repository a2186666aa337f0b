/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drill/record.h"

#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

void record_init(struct drill_record *r, unsigned id, const struct drill_spec *spec, const char *actor)
{
	*r = (struct drill_record){ .id = id, .kind = drill_kind(spec->kind), .spec = *spec };
	snprintf(r->actor, sizeof(r->actor), "%s", actor);
	r->stages = json_array();
	r->forecast = json_array();
	r->basis = json_null();
	r->probe = json_array();
	r->weights = json_object();
	r->grades = json_object();
}

void record_done(struct drill_record *r)
{
	free(r->targets);
	json_decref(r->stages);
	json_decref(r->forecast);
	json_decref(r->basis);
	json_decref(r->probe);
	json_decref(r->weights);
	json_decref(r->grades);
	*r = (struct drill_record){ 0 };
}

/* -- text -------------------------------------------------------------------------------------------- */

json_t *spec_json(const struct drill_spec *s)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:f}", "kind", s->kind, "site", s->site,
			 "node", s->node, "service", s->service, "shard", s->shard, "reason", s->reason,
			 "hold_ms", (json_int_t)s->hold_ms, "max_ms", (json_int_t)s->max_ms, "factor",
			 s->factor);
}

static json_t *target_json(const struct drill_target *t)
{
	return json_pack("{s:s, s:s, s:s, s:f, s:b}", "site", t->site, "node", t->node, "shard", t->shard,
			 "base_bps", t->base_bps, "on", t->on);
}

char *record_text(const struct drill_record *r)
{
	json_t *targets = json_array();

	for (size_t i = 0; i < r->n_targets; i++)
		json_array_append_new(targets, target_json(&r->targets[i]));
	json_auto_t *j = json_pack(
		"{s:i, s:o, s:s, s:s, s:b, s:I, s:I, s:o, s:f, s:I, s:O, s:O, s:O, s:O, s:O, s:O, s:s, s:s}",
		"id", (int)r->id, "spec", spec_json(&r->spec), "actor", r->actor, "state",
		drill_state_str(r->state), "paused", r->paused, "epoch", (json_int_t)r->epoch,
		"began_wall_ms", (json_int_t)r->began_wall_ms, "targets", targets, "base_total_bps",
		r->base_total_bps, "routes", (json_int_t)r->routes, "stages", r->stages, "forecast",
		r->forecast, "basis", r->basis, "probe", r->probe, "weights", r->weights, "grades", r->grades,
		"alarm", r->alarm, "why", r->why);

	return j ? json_dumps(j, JSON_COMPACT) : NULL;
}

static void copy(char *to, size_t size, json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	snprintf(to, size, "%s", s ? s : "");
}

static void parse_spec(json_t *j, struct drill_spec *s)
{
	copy(s->kind, sizeof(s->kind), j, "kind");
	copy(s->site, sizeof(s->site), j, "site");
	copy(s->node, sizeof(s->node), j, "node");
	copy(s->service, sizeof(s->service), j, "service");
	copy(s->shard, sizeof(s->shard), j, "shard");
	copy(s->reason, sizeof(s->reason), j, "reason");
	s->hold_ms = json_integer_value(json_object_get(j, "hold_ms"));
	s->max_ms = json_integer_value(json_object_get(j, "max_ms"));
	s->factor = json_number_value(json_object_get(j, "factor"));
}

static void parse_targets(json_t *list, struct drill_record *r)
{
	size_t i;
	json_t *j;

	r->targets = xcalloc(json_array_size(list) + 1, sizeof(*r->targets));
	json_array_foreach(list, i, j) {
		struct drill_target *t = &r->targets[r->n_targets++];
		copy(t->site, sizeof(t->site), j, "site");
		copy(t->node, sizeof(t->node), j, "node");
		copy(t->shard, sizeof(t->shard), j, "shard");
		t->base_bps = json_number_value(json_object_get(j, "base_bps"));
		t->on = json_is_true(json_object_get(j, "on"));
	}
}

static json_t *array_of(json_t *j, const char *key)
{
	json_t *list = json_object_get(j, key);

	return json_is_array(list) ? json_incref(list) : json_array();
}

static json_t *object_of(json_t *j, const char *key)
{
	json_t *o = json_object_get(j, key);

	return json_is_object(o) ? json_incref(o) : json_object();
}

int record_parse(const char *text, struct drill_record *ret_r)
{
	json_auto_t *j = json_loads(text, 0, NULL);
	struct drill_spec spec = { 0 };
	const char *state = json_string_value(json_object_get(j, "state"));
	json_t *targets = json_object_get(j, "targets");
	enum drill_state s;

	parse_spec(json_object_get(j, "spec"), &spec);
	if (!state || drill_state_parse(state, &s) < 0 || !drill_kind(spec.kind) ||
	    json_array_size(targets) > DRILL_TARGETS_MAX)
		return ERR_MALFORMED;
	*ret_r = (struct drill_record){ .kind = drill_kind(spec.kind), .spec = spec, .state = s };
	ret_r->id = (unsigned)json_integer_value(json_object_get(j, "id"));
	copy(ret_r->actor, sizeof(ret_r->actor), j, "actor");
	copy(ret_r->alarm, sizeof(ret_r->alarm), j, "alarm");
	copy(ret_r->why, sizeof(ret_r->why), j, "why");
	ret_r->paused = json_is_true(json_object_get(j, "paused"));
	ret_r->epoch = (uint64_t)json_integer_value(json_object_get(j, "epoch"));
	ret_r->began_wall_ms = json_integer_value(json_object_get(j, "began_wall_ms"));
	ret_r->base_total_bps = json_number_value(json_object_get(j, "base_total_bps"));
	ret_r->routes = json_integer_value(json_object_get(j, "routes"));
	ret_r->stages = array_of(j, "stages");
	ret_r->forecast = array_of(j, "forecast");
	ret_r->basis = json_is_object(json_object_get(j, "basis")) ? json_incref(json_object_get(j, "basis"))
								   : json_null();
	ret_r->probe = array_of(j, "probe");
	ret_r->weights = object_of(j, "weights");
	ret_r->grades = object_of(j, "grades");
	parse_targets(targets, ret_r);
	return 0;
}

/* -- reading ----------------------------------------------------------------------------------------- */

void spec_scope(const struct drill_spec *s, char *ret_text, size_t size)
{
	auto_buf text = { 0 };
	const struct {
		const char *word, *name;
	} parts[] = {
		{ "site", s->site }, { "node", s->node }, { "service", s->service }, { "shard", s->shard }
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].name[0])
			buf_addf(&text, "%s%s %s", text.len ? ", " : "", parts[i].word, parts[i].name);
	snprintf(ret_text, size, "%s", text.len ? text.data : "the cluster");
}

size_t record_wanted(const struct drill_record *r, enum drill_state s)
{
	size_t n = r->n_targets;

	if (r->kind->effect == EFFECT_NONE) /* all at once, and not really */
		return s == DRILL_100 || s == DRILL_HOLD ? n : 0;
	if (s == DRILL_HOLD)
		return n;
	if (!drill_is_stage(s) || !n)
		return 0;
	if (s == DRILL_CANARY || (!r->kind->gradual && s != DRILL_100))
		return 1;
	return (n * (size_t)drill_state_pct(s) + 99) / 100;
}

size_t record_on(const struct drill_record *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_targets; i++)
		n += r->targets[i].on;
	return n;
}

bool record_touches(const struct drill_record *r, const char *site)
{
	for (size_t i = 0; i < r->n_targets; i++)
		if (strcmp(r->targets[i].site, site) == 0)
			return true;
	return false;
}
