/* SPDX-License-Identifier: Apache-2.0
 * One event in words, with what happened together with it. What an event carries is in data, whose keys are
 * rows here; keys without a row are shown as they are. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "controller/ctl/ctl.h"
#include "controller/ctl/text.h"
#include "proto/base/mem.h"

#define AROUND	    500 /* ids looked at, before and after */
#define SHOWN_MAX   20
#define TOGETHER_MS 1000

static const struct {
	const char *key, *label;
} parts[] = {
	{ "shard", "shard" },	{ "site", "site" },   { "node", "node" },	{ "from", "from" },
	{ "to", "to" },		{ "state", "state" }, { "kind", "kind" },	{ "why", "why" },
	{ "reason", "reason" }, { "actor", "by" },    { "guard", "invariant" },
};

/* What kinds of decisions there are. */
static const struct {
	const char *kind, *words;
} decisions[] = {
	{ "shed", "load is moved away" },
	{ "attract", "load is drawn in" },
	{ "restore", "the need has passed: back towards normal" },
	{ "rollback", "the move before did not do what was expected: taken back" },
	{ "operator", "an operator asked for it" },
	{ "adopt", "taken over as it was found" },
	{ "start", "announced for the first time" },
};

static const char *str(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	return s ? s : "";
}

static void add(struct table *t, const char *label, const json_t *v)
{
	auto_free char *dump = json_is_string(v) ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

	table_add(t, TINT_DIM, "%s", label);
	table_add(t, TINT_NONE, "%s", dump ? dump : json_string_value(v));
}

static double num(const json_t *v, const char *key)
{
	const json_t *n = json_object_get(v, key);

	return json_is_number(n) ? json_number_value(n) : NAN;
}

/* What the engine expected of it, in one line. */
static void add_predicted(struct table *t, const json_t *p)
{
	const json_t *moved = json_object_get(p, "moved_bps");
	char mid[TEXT_NUM], lo[TEXT_NUM], hi[TEXT_NUM], before[TEXT_NUM], after[TEXT_NUM];

	table_add(t, TINT_DIM, "predicted");
	table_add(t, TINT_NONE, "%s bit/s leave (%s to %s), the site goes from %s to %s",
		  text_si(num(moved, "mid"), mid), text_si(num(moved, "lo"), lo),
		  text_si(num(moved, "hi"), hi), text_pct(num(p, "util_before"), before),
		  text_pct(num(p, "util_after"), after));
}

/* What has become of the place since. */
static void add_now(struct table *t, const json_t *now)
{
	char age[TEXT_NUM];

	if (!json_is_object(now))
		return;
	table_add(t, TINT_DIM, "now");
	table_add(t, TINT_NONE, "%s%s%s, changed %s ago%s%s", str(now, "grade"),
		  strcmp(str(now, "grade"), str(now, "wanted")) ? ", ordered is " : "",
		  strcmp(str(now, "grade"), str(now, "wanted")) ? str(now, "wanted") : "",
		  text_age(num(now, "changed_ms"), age), *str(now, "why") ? ": " : "", str(now, "why"));
}

static bool is_part(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!strcmp(key, parts[i].key))
			return true;
	return false;
}

/* Empty values say nothing. */
static bool is_blank(const json_t *v)
{
	return !v || json_is_null(v) || (json_is_string(v) && !json_string_length(v));
}

static void add_data(struct table *t, json_t *data)
{
	const char *key;
	json_t *v;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!is_blank(json_object_get(data, parts[i].key)))
			add(t, parts[i].label, json_object_get(data, parts[i].key));
	json_object_foreach(data, key, v) {
		if (!strcmp(key, "predicted") && json_is_object(v))
			add_predicted(t, v);
		else if (!is_part(key) && !is_blank(v))
			add(t, key, v);
	}
	for (size_t i = 0; i < ARRAY_LEN(decisions); i++)
		if (!strcmp(str(data, "kind"), decisions[i].kind)) {
			table_add(t, TINT_DIM, "that is");
			table_add(t, TINT_NONE, "%s", decisions[i].words);
		}
}

static void print_event(const struct out *o, const json_t *ev, const json_t *now)
{
	static const char *const titles[] = { "", "", NULL };
	auto_table *t = table_new(titles);

	out_text(o, TINT_BOLD, "%s %" JSON_INTEGER_FORMAT, str(ev, "kind"),
		 json_integer_value(json_object_get(ev, "id")));
	out_text(o, TINT_NONE, "  %s", str(ev, "text"));
	fputc('\n', o->f);
	add(t, "when", json_object_get(ev, "time"));
	add(t, "severity", json_object_get(ev, "severity"));
	add_data(t, json_object_get(ev, "data"));
	add_now(t, now);
	table_print(t, o, 2);
}

/* -- what happened together --------------------------------------------------------------------------- */

/* "2026-01-02T03:04:05.678Z"; -1: not a time. */
static int64_t time_ms(const json_t *ev)
{
	struct tm tm = { 0 };
	const char *end = strptime(str(ev, "time"), "%Y-%m-%dT%H:%M:%S", &tm);
	int ms = 0;

	if (!end || sscanf(end, ".%3dZ", &ms) != 1)
		return -1;
	return (int64_t)timegm(&tm) * 1000 + ms;
}

static bool together(const json_t *a, const json_t *b)
{
	int64_t x = time_ms(a), y = time_ms(b);

	return x >= 0 && y >= 0 && llabs(x - y) < TOGETHER_MS && !strcmp(str(a, "kind"), str(b, "kind")) &&
	       !json_equal(json_object_get(a, "id"), json_object_get(b, "id"));
}

static int neighbours(struct ctl *ctl, const json_t *ev, json_t *ret_list)
{
	json_int_t id = json_integer_value(json_object_get(ev, "id"));
	auto_free char *query = ctl_path("&kind=", str(ev, "kind"), "");
	auto_free char *path = xasprintf("/v1/events?limit=%d&after=%lld%s", 2 * AROUND,
					 (long long)(id > AROUND ? id - AROUND : 0), query);
	auto_reply r = { 0 };
	json_t *other;
	size_t i;
	int rc = ctl_call(ctl, "GET", path, NULL, &r);

	json_array_foreach(json_object_get(r.json, "events"), i, other)
		if (!rc && together(ev, other))
			json_array_append(ret_list, other);
	return rc;
}

static void print_neighbours(const struct out *o, const json_t *list)
{
	static const char *const titles[] = { ">ID", "WHAT", NULL };
	auto_table *t = table_new(titles);
	json_t *ev;
	size_t i;

	if (!json_array_size(list))
		return;
	json_array_foreach(list, i, ev) {
		if (i == SHOWN_MAX)
			break;
		table_add(t, TINT_DIM, "%" JSON_INTEGER_FORMAT,
			  json_integer_value(json_object_get(ev, "id")));
		table_add(t, TINT_NONE, "%s", str(ev, "text"));
	}
	fprintf(o->f, "within a second of it\n");
	table_print(t, o, 2);
	if (json_array_size(list) > SHOWN_MAX)
		fprintf(o->f, "  and %zu more: sluicectl events --since ID\n",
			json_array_size(list) - SHOWN_MAX);
}

/* The decision's cell as it is now; NULL when there is none to speak of. New reference. */
static json_t *now_of(struct ctl *ctl, const json_t *ev)
{
	auto_free char *path = xasprintf("/v1/decisions/%" JSON_INTEGER_FORMAT,
					 json_integer_value(json_object_get(ev, "id")));
	auto_reply r = { 0 };

	if (strcmp(str(ev, "kind"), "decision") || ctl_call(ctl, "GET", path, NULL, &r))
		return NULL;
	return json_incref(json_object_get(r.json, "now"));
}

static int explain_run(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *list = json_array();
	auto_reply r = { 0 };
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	if (!*argv[i] || strspn(argv[i], "0123456789") != strlen(argv[i]))
		return ctl_usage(ctl, "an event has a number, as sluicectl events shows it; not '%s'",
				 argv[i]);
	auto_free char *path = ctl_path("/v1/events/", argv[i], "");
	int rc = ctl_call(ctl, "GET", path, NULL, &r);
	if (!rc)
		rc = neighbours(ctl, r.json, list);
	if (rc)
		return rc;
	json_auto_t *now = now_of(ctl, r.json);
	if (ctl->out.format == OUT_JSON) {
		json_auto_t *both =
			json_pack("{s:O, s:O, s:O*}", "event", r.json, "neighbours", list, "now", now);
		out_json(&ctl->out, both);
		return CTL_OK;
	}
	print_event(&ctl->out, r.json, now);
	print_neighbours(&ctl->out, list);
	return CTL_OK;
}

const struct cmd cmd_explain = {
	.name = "explain",
	.args = "ID",
	.brief = "One decision or other event in words: what, why, when",
	.help = "ID is the number that sluicectl events shows. Events of the same kind less than a second "
		"away "
		"are shown\n"
		"with it: what one round decided belongs together. Of a decision, also what was predicted "
		"and what the "
		"place does\n"
		"now.",
	.run = explain_run,
};
