/* SPDX-License-Identifier: Apache-2.0
 * Grades and weights set by hand. */
#include <stdlib.h>
#include <string.h>

#include "controller/ctl/column.h"
#include "controller/ctl/ctl.h"
#include "controller/ctl/progress.h"
#include "proto/base/mem.h"

#define EFFECT_MS 60000

/* clang-format off */
static const struct column cols[] = {
	{ "ID",           "id",             COL_TEXT },
	{ "GRADE",        "grade",          COL_TEXT },
	{ ">WEIGHT",      "weight",         COL_NUM },
	{ "STATE",        "state",          COL_TEXT },
	{ "IN EFFECT",    "in_effect",      COL_YES },
	{ ">CONFIRM IN",  "confirm_left_s", COL_NUM },
	{ "UNTIL",        "expires",        COL_TEXT },
	{ ">SINCE",       "age_ms",         COL_SINCE },
	{ "BY",           "actor",          COL_TEXT },
	{ "REASON",       "reason",         COL_TEXT },
	{ 0 },
};
/* clang-format on */

static int show(struct ctl *ctl, json_t *one)
{
	json_auto_t *list = json_array();

	if (ctl->out.format == OUT_JSON) {
		out_json(&ctl->out, one);
		return CTL_OK;
	}
	json_array_append(list, one);
	auto_table *t = column_table(cols, list);
	table_print(t, &ctl->out, 0);
	return CTL_OK;
}

/* SHARD@PLACE=VALUE into a body: a number is a weight of a node, a word a grade of a site. NULL: said why. */
static json_t *body_of(struct ctl *ctl, const char *arg)
{
	auto_free char *copy = xstrdup(arg);
	char *at = strchr(copy, '@'), *eq = at ? strchr(at, '=') : NULL;

	if (!at || !eq || at == copy || eq == at + 1 || !eq[1]) {
		ctl_usage(ctl, "SHARD@SITE=GRADE or SHARD@NODE=WEIGHT is wanted, not '%s'", arg);
		return NULL;
	}
	*at = *eq = 0;
	if (strspn(eq + 1, "0123456789") == strlen(eq + 1))
		return json_pack("{s:s, s:s, s:I}", "shard", copy, "node", at + 1, "weight",
				 (json_int_t)strtoll(eq + 1, NULL, 10));
	return json_pack("{s:s, s:s, s:s}", "shard", copy, "site", at + 1, "grade", eq + 1);
}

/* Until the routers have it: what was ordered and what is announced are two things. */
static int wait_effect(struct ctl *ctl, const char *id)
{
	auto_free char *path = ctl_path("/v1/overrides/", id, "");
	struct progress p;

	progress_start(&p);
	for (;;) {
		auto_reply r = { 0 };
		int rc = ctl_call(ctl, "GET", path, NULL, &r);
		bool in_effect = json_is_true(json_object_get(r.json, "in_effect"));
		bool late = mono_diff_ms(p.start, mono_now()) > EFFECT_MS;
		if (rc || in_effect || late) {
			progress_end(&p);
			if (!rc && !in_effect)
				return ctl_fail(
					"%s is ordered and not in effect after %d s: see sluicectl status",
					id, EFFECT_MS / 1000);
			return rc ? rc : show(ctl, r.json);
		}
		progress_show(&p, "ordered", "%s: ordered, the routers do not all have it yet", id);
		progress_pause();
	}
}

static int set_run(struct ctl *ctl, int argc, char **argv)
{
	const char *reason = NULL;
	int64_t expires_s = 0, confirm_s = 0;
	bool wait = false;
	const struct opt opts[] = {
		{ 'r', "reason", "TEXT", "why, for whoever looks next (required)", OPT_STR, &reason },
		{ 'e', "expires", "TIME", "ends by itself after this (default: when deleted)", OPT_SECONDS,
		  &expires_s },
		{ 'c', "confirm", "TIME", "reverts unless confirmed within this", OPT_SECONDS, &confirm_s },
		{ 'w', "wait", NULL, "until the routers have it", OPT_FLAG, &wait },
	};
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	if (!reason || !*reason)
		return ctl_usage(ctl, "an override needs --reason TEXT: somebody will ask");
	json_auto_t *body = body_of(ctl, argv[i]);
	if (!body)
		return CTL_USAGE;
	json_object_set_new(body, "expires_s", json_integer(expires_s));
	json_object_set_new(body, "confirm_s", json_integer(confirm_s));
	if (json_object_set_new(body, "reason", json_string(reason)))
		return ctl_usage(ctl, "the reason is not UTF-8 text");
	int rc = ctl_call(ctl, "POST", "/v1/overrides", body, &r);
	if (rc)
		return rc;
	const char *id = json_string_value(json_object_get(r.json, "id"));
	rc = wait && id ? wait_effect(ctl, id) : show(ctl, r.json);
	if (!rc && confirm_s && id)
		fprintf(stderr,
			"sluicectl: it reverts by itself unless you say: sluicectl override confirm %s\n",
			id);
	return rc;
}

static int list_run(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *all = json_array();
	auto_free char *path = xstrdup("/v1/overrides");
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 0, 0);

	if (i < 0)
		return ctl->rc;
	while (path) {
		auto_reply r = { 0 };
		int rc = ctl_call(ctl, "GET", path, NULL, &r);
		if (rc)
			return rc;
		json_array_extend(all, json_object_get(r.json, "overrides"));
		const char *next = json_string_value(json_object_get(r.json, "next"));
		free(path);
		path = next ? ctl_path("/v1/overrides?after=", next, "") : NULL;
	}
	if (ctl->out.format == OUT_JSON) {
		out_json(&ctl->out, all);
		return CTL_OK;
	}
	auto_table *t = column_table(cols, all);
	if (table_rows(t))
		table_print(t, &ctl->out, 0);
	else
		fprintf(ctl->out.f, "no overrides: everything is the plan's\n");
	return CTL_OK;
}

static int confirm_run(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *body = json_object();
	auto_reply r = { 0 };
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	auto_free char *path = ctl_path("/v1/overrides/", argv[i], "/confirm");
	int rc = ctl_call(ctl, "POST", path, body, &r);
	return rc ? rc : show(ctl, r.json);
}

static int delete_run(struct ctl *ctl, int argc, char **argv)
{
	const char *reason = NULL;
	const struct opt opts[] = { { 'r', "reason", "TEXT", "why, for the audit", OPT_STR, &reason } };
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	auto_free char *query = reason ? ctl_path("?reason=", reason, "") : xstrdup("");
	auto_free char *path = ctl_path("/v1/overrides/", argv[i], query);
	int rc = ctl_call(ctl, "DELETE", path, NULL, &r);
	if (rc)
		return rc;
	if (ctl->out.format == OUT_JSON) {
		out_json(&ctl->out, r.json);
		return CTL_OK;
	}
	out_text(&ctl->out, TINT_NONE, "%s is deleted: the plan decides again", argv[i]);
	fputc('\n', ctl->out.f);
	return CTL_OK;
}

const struct cmd cmd_override_set = {
	.name = "override set",
	.args = "SHARD@SITE=GRADE | SHARD@NODE=WEIGHT --reason TEXT [--expires TIME] [--confirm TIME]",
	.brief = "Set a grade of a site, or a weight of a node, by hand",
	.help = "What is set stays as it is whatever the plan would do, within what the guard allows. With "
		"--confirm it "
		"reverts by\n"
		"itself unless somebody confirms in time: for changes that may cut off whoever makes them.",
	.run = set_run,
};

const struct cmd cmd_override_list = {
	.name = "override list",
	.args = "",
	.brief = "Show what is set by hand, by whom, why and until when",
	.help = "IN EFFECT is read back from the routers.",
	.run = list_run,
};

const struct cmd cmd_override_confirm = {
	.name = "override confirm",
	.args = "ID",
	.brief = "Keep an override that would revert by itself",
	.help = "ID as override list shows it.",
	.run = confirm_run,
};

const struct cmd cmd_override_delete = {
	.name = "override delete",
	.args = "ID [--reason TEXT]",
	.brief = "Give a grade or weight back to the plan",
	.help = "ID as override list shows it.",
	.run = delete_run,
};
