/* SPDX-License-Identifier: Apache-2.0
 * What the store keeps of drills that are over. */
#include <string.h>

#include "controller/drill/drill_int.h"

/* {"id", "wall_ms", "verdict"} for every site it weakened. */
static void note_last(struct drills *d, const json_t *report)
{
	const char *verdict = json_string_value(json_object_get(report, "verdict"));
	char id[16];

	drill_id(d->r.id, id);
	for (size_t i = 0; i < d->r.n_targets && strcmp(verdict, "refused") != 0; i++) {
		json_t *site = json_object_get(d->last, d->r.targets[i].site);
		if (!site) {
			site = json_object();
			json_object_set_new(d->last, d->r.targets[i].site, site);
		}
		json_object_set_new(site, d->r.kind->name,
				    json_pack("{s:s, s:I, s:s}", "id", id, "wall_ms",
					      (json_int_t)d->found.ended_wall_ms, "verdict", verdict));
	}
}

static void report_key(unsigned id, char *ret_key, size_t size)
{
	snprintf(ret_key, size, "drill/report/%06u", id);
}

int keep_report(struct drills *d, const json_t *report)
{
	note_last(d, report);
	auto_free char *text = json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(7));
	auto_free char *last = json_dumps(d->last, JSON_COMPACT);
	const char *verdict = json_string_value(json_object_get(report, "verdict"));
	json_t *first = json_array_get(json_object_get(report, "reasons"), 0);
	char key[64], old[64], id[16];

	drill_id(d->r.id, id);
	report_key(d->r.id, key, sizeof(key));
	report_key(d->r.id > DRILLS_KEPT ? d->r.id - DRILLS_KEPT : 0, old, sizeof(old));
	struct store_op ops[] = { { key, text },
				  { "drill/current", NULL },
				  { "drill/cells", NULL },
				  { "drill/last", last },
				  { old, NULL } };
	return events_emit(
		d->c->events, ops, ARRAY_LEN(ops), "drill.report",
		strcmp(verdict, "passed") == 0 ? "info" : "warning",
		json_pack("{s:s, s:s, s:s}", "drill", id, "kind", d->r.kind->name, "verdict", verdict),
		"drill %s, %s: %s: %s", id, d->r.kind->name, verdict, first ? json_string_value(first) : "");
}

static int load_past(const char *key, const char *value, void *arg)
{
	struct drills *d = arg;
	json_auto_t *report = json_loads(value, 0, NULL);
	unsigned id = (unsigned)strtoul(key + strlen("drill/report/"), NULL, 10);

	if (id > d->last_id)
		d->last_id = id;
	if (report)
		json_array_append_new(d->past, view_summary(report));
	return 0;
}

static json_t *load_json(struct drills *d, const char *key)
{
	auto_free char *text = NULL;
	json_t *j = store_get(d->c->store, key, &text) == 0 ? json_loads(text, 0, NULL) : NULL;

	return j ? j : json_object();
}

/* What a standby shows, too. Nothing is parsed again while the last drill is the same. */
void keep_read(struct drills *d)
{
	auto_free char *was = d->past ? json_dumps(d->last, JSON_COMPACT) : NULL;
	json_t *last = load_json(d, "drill/last");
	auto_free char *is = json_dumps(last, JSON_COMPACT);

	d->reads = d->c->reads;
	json_decref(d->last);
	d->last = last;
	json_decref(d->schedule);
	json_decref(d->schedule_last);
	json_decref(d->schedule_refused);
	d->schedule_refused = json_object();
	d->schedule = load_json(d, "drill/schedule");
	d->schedule_last = load_json(d, "drill/schedule-last");
	if (was && strcmp(was, is) == 0)
		return;
	json_decref(d->past);
	d->past = json_array();
	store_each(d->c->store, "drill/report/", load_past, d);
}
