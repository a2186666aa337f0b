/* SPDX-License-Identifier: Apache-2.0
 * When the record of the drill under way cannot be read (damaged, or a newer version's): which cells a drill
 * had ordered is kept beside it, "drill/cells", a line each, written with the orders. They are restored as if
 * it had been aborted; the record itself is kept as "drill/unreadable" for whoever wants to know why. */
#include <string.h>

#include "controller/drill/drill_int.h"

char *salvage_text(const struct drill_record *r)
{
	auto_buf b = { 0 };

	for (size_t i = 0; i < r->n_targets; i++)
		if (r->targets[i].on && !r->targets[i].node[0] && r->targets[i].shard[0])
			buf_addf(&b, "%s %s\n", r->targets[i].site, r->targets[i].shard);
	return xstrdup(b.len ? b.data : "");
}

/* A line that cannot be read loses itself alone. */
static void read_cells(const char *text, struct drill_record *r)
{
	r->targets = xcalloc(DRILL_TARGETS_MAX, sizeof(*r->targets));
	for (const char *line = text; *line && r->n_targets < DRILL_TARGETS_MAX;) {
		struct drill_target *t = &r->targets[r->n_targets];
		r->n_targets += sscanf(line, "%63s %63s", t->site, t->shard) == 2;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
}

/* What can be made out of a text that is no record. */
static void read_what_is_left(const struct drills *d, const char *text, struct drill_record *r)
{
	json_auto_t *j = json_loads(text, 0, NULL);
	json_int_t id = json_integer_value(json_object_get(j, "id"));
	const char *kind = json_string_value(json_object_get(json_object_get(j, "spec"), "kind"));
	const struct drill_kind *k = kind ? drill_kind(kind) : NULL;
	struct drill_spec spec = { .max_ms = DRILL_MAX_MS, .factor = 1 };

	snprintf(spec.kind, sizeof(spec.kind), "%s",
		 k && k->effect == EFFECT_GRADE ? k->name : "hard-withdraw");
	snprintf(spec.reason, sizeof(spec.reason), "not known any more");
	record_init(r, id > d->last_id && id < DRILL_ID_MAX ? (unsigned)id : d->last_id + 1, &spec,
		    "not known any more");
}

static void judge(struct drill_record *r)
{
	r->state = DRILL_RESTORE;
	r->began_wall_ms = wall_now_ms();
	snprintf(r->alarm, sizeof(r->alarm), "%s", alarm_str(ALARM_LEADER));
	snprintf(r->why, sizeof(r->why),
		 "the record of the drill could not be read when the controller started, or took the lead");
	snprintf(r->spec.site, sizeof(r->spec.site), "%s", r->n_targets ? r->targets[0].site : "");
	for (size_t i = 0; i < r->n_targets; i++)
		if (strcmp(r->targets[i].site, r->spec.site) != 0)
			r->spec.site[0] = 0;
}

bool salvage(struct drills *d, const char *text, struct drill_record *ret_r)
{
	auto_free char *cells = NULL;
	bool ordered = store_get(d->c->store, "drill/cells", &cells) == 0;

	if (!text && !ordered)
		return false;
	read_what_is_left(d, text ? text : "", ret_r);
	read_cells(cells ? cells : "", ret_r);
	judge(ret_r);
	/* with cells to restore what is in their place is the new record, written next */
	struct store_op ops[] = { { "drill/unreadable", text },
				  { "drill/current", NULL },
				  { "drill/cells", NULL } };
	events_emit(d->c->events, text ? ops : ops + 1, (ret_r->n_targets ? 0 : 2) + (text != NULL),
		    "drill.unreadable", "alert", json_pack("{s:i}", "cells", (int)ret_r->n_targets),
		    "the stored record of the drill under way %s: %zu shards that a drill had weakened are "
		    "restored%s",
		    text ? "could not be read" : "is gone", ret_r->n_targets,
		    text ? "; it is kept as drill/unreadable" : "");
	if (ret_r->n_targets)
		return true;
	record_done(ret_r);
	return false;
}
