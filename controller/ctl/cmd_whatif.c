/* SPDX-License-Identifier: Apache-2.0
 * The operator's question before the operator's order. Nothing is ordered. */
#include <string.h>

#include "controller/ctl/ctl.h"
#include "controller/ctl/plan_view.h"
#include "proto/base/mem.h"

/* SHARD@SITE=GRADE; NULL when it is not one. */
static json_t *move_of(const char *s)
{
	const char *at = strchr(s, '@'), *eq = at ? strchr(at, '=') : NULL;

	if (!eq || at == s || eq == at + 1 || !eq[1])
		return NULL;
	return json_pack("{s:s%, s:s%, s:s}", "shard", s, (size_t)(at - s), "site", at + 1,
			 (size_t)(eq - at - 1), "grade", eq + 1);
}

/* NULL after having said which one is wrong. */
static json_t *moves_body(struct ctl *ctl, const struct opt_list *list)
{
	json_auto_t *moves = json_array();

	for (size_t i = 0; i < list->n; i++)
		if (json_array_append_new(moves, move_of(list->v[i]))) {
			ctl_usage(ctl, "--move wants SHARD@SITE=GRADE, not '%s'", list->v[i]);
			return NULL;
		}
	return json_pack("{s:O}", "moves", moves);
}

static json_t *site_body(struct ctl *ctl, const char *what, const char *site)
{
	json_t *body = json_pack("{s:{s:s}}", what, "site", site);

	if (!body)
		ctl_usage(ctl, "the name of the site is not UTF-8 text");
	return body;
}

static int ask(struct ctl *ctl, const json_t *body)
{
	auto_reply r = { 0 };
	int rc = ctl_call(ctl, "POST", "/v1/whatif", body, &r);

	if (rc)
		return rc;
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, r.json);
	else
		whatif_print(&ctl->out, r.json);
	/* for scripts: an order would be refused too */
	return whatif_refused(r.json) ? ctl_fail("the guard would refuse this") : CTL_OK;
}

static int whatif_run(struct ctl *ctl, int argc, char **argv)
{
	const char *drain = NULL, *lose = NULL;
	struct opt_list moves = { .n = 0 };
	const struct opt opts[] = {
		{ 0, "drain", "SITE", "if this site were drained", OPT_STR, &drain },
		{ 0, "lose", "SITE", "if this site were gone", OPT_STR, &lose },
		{ 0, "move", "SHARD@SITE=GRADE", "if this were announced so; up to 16 of them", OPT_LIST,
		  &moves },
	};
	int i = ctl_opts_(ctl, opts, argc, argv, 0, 0);

	if (i < 0)
		return ctl->rc;
	if (!!drain + !!lose + !!moves.n != 1)
		return ctl_usage(ctl, "what if what? one of --drain SITE, --lose SITE and --move "
				      "SHARD@SITE=GRADE");
	json_auto_t *body = moves.n ? moves_body(ctl, &moves)
			    : drain ? site_body(ctl, "drain", drain)
				    : site_body(ctl, "lose", lose);
	return body ? ask(ctl, body) : CTL_USAGE;
}

const struct cmd cmd_whatif = {
	.name = "whatif",
	.args = "--drain SITE | --lose SITE | --move SHARD@SITE=GRADE...",
	.brief = "Show where the load would go, and whether the guard would allow it",
	.help = "Nothing is ordered. The forecast is of the utilisation of each site, with the limits of its "
		"90 %\n"
		"interval. Exit status 1 also when the guard would refuse it.",
	.run = whatif_run,
};
