/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "controller/ctl/ctl.h"
#include "proto/base/mem.h"

/* "/v1/sites/NAME/drain"; NULL after having said what is wrong. Heap. */
static char *target(struct ctl *ctl, const char *kind, const char *name, const char *what)
{
	auto_free char *after = xasprintf("/%s", what);

	if (!strcmp(kind, "site"))
		return ctl_path("/v1/sites/", name, after);
	if (!strcmp(kind, "node"))
		return ctl_path("/v1/nodes/", name, after);
	ctl_usage(ctl, "%s what? site NAME or node NAME, not '%s'", what, kind);
	return NULL;
}

static int done(struct ctl *ctl, const struct reply *r, const char *fmt, const char *kind, const char *name)
{
	if (ctl->out.format == OUT_JSON && r->json) {
		out_json(&ctl->out, r->json);
		return CTL_OK;
	}
	if (ctl->out.format == OUT_TABLE) {
		out_text(&ctl->out, TINT_NONE, fmt, kind, name);
		fputc('\n', ctl->out.f);
	}
	return CTL_OK;
}

static int drain_run(struct ctl *ctl, int argc, char **argv)
{
	const char *reason = NULL;
	int64_t expires_s = 0;
	const struct opt opts[] = {
		{ 'r', "reason", "TEXT", "why, for whoever looks next (required)", OPT_STR, &reason },
		{ 'e', "expires", "TIME", "undrain by itself after this: 30m, 2h (default: never)",
		  OPT_SECONDS, &expires_s },
	};
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 2, 2);

	if (i < 0)
		return ctl->rc;
	if (!reason || !*reason)
		return ctl_usage(ctl, "a drain needs --reason TEXT: somebody will ask");
	auto_free char *path = target(ctl, argv[i], argv[i + 1], "drain");
	if (!path)
		return CTL_USAGE;
	json_auto_t *body = json_pack("{s:s, s:I}", "reason", reason, "expires_s", (json_int_t)expires_s);
	if (!body)
		return ctl_usage(ctl, "the reason is not UTF-8 text");
	int rc = ctl_call(ctl, "POST", path, body, &r);
	return rc ? rc
		  : done(ctl, &r, "%s %s is draining: watch it with sluicectl status", argv[i], argv[i + 1]);
}

static int undrain_run(struct ctl *ctl, int argc, char **argv)
{
	auto_reply r = { 0 };
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 2, 2);

	if (i < 0)
		return ctl->rc;
	auto_free char *path = target(ctl, argv[i], argv[i + 1], "undrain");
	if (!path)
		return CTL_USAGE;
	json_auto_t *body = json_object();
	int rc = ctl_call(ctl, "POST", path, body, &r);
	return rc ? rc : done(ctl, &r, "%s %s serves again as soon as it is healthy", argv[i], argv[i + 1]);
}

const struct cmd cmd_drain = {
	.name = "drain",
	.args = "site|node NAME --reason TEXT [--expires TIME]",
	.brief = "Move users away from a site or node, gently",
	.help = "The announcement is weakened (graceful shutdown) so that users move while their connections "
		"last.\n"
		"Refused when it would leave a shard with too few places.",
	.run = drain_run,
};

const struct cmd cmd_undrain = {
	.name = "undrain",
	.args = "site|node NAME",
	.brief = "End a drain",
	.help = "The place announces again as its health and the plan allow.",
	.run = undrain_run,
};
