/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "controller/ctl/ctl.h"
#include "proto/base/mem.h"

static int show(struct ctl *ctl, const json_t *mode)
{
	const char *name = json_string_value(json_object_get(mode, "mode"));
	const char *reason = json_string_value(json_object_get(mode, "reason"));

	if (ctl->out.format == OUT_JSON) {
		out_json(&ctl->out, mode);
		return CTL_OK;
	}
	out_text(&ctl->out, TINT_BOLD, "%s", name ? name : "?");
	if (reason && *reason)
		out_text(&ctl->out, TINT_NONE, "  (%s)", reason);
	fputc('\n', ctl->out.f);
	return CTL_OK;
}

static int mode_run(struct ctl *ctl, int argc, char **argv)
{
	const char *reason = NULL;
	const struct opt opts[] = {
		{ 'r', "reason", "TEXT", "why, for whoever looks next", OPT_STR, &reason },
	};
	auto_reply r = { 0 };
	json_auto_t *body = NULL;
	int i = ctl_opts_(ctl, opts, argc, argv, 0, 1);

	if (i < 0)
		return ctl->rc;
	if (i < argc) {
		if (strcmp(argv[i], "observe") && strcmp(argv[i], "steer") && strcmp(argv[i], "freeze"))
			return ctl_usage(ctl, "a mode is observe, steer or freeze, not '%s'", argv[i]);
		body = json_pack("{s:s, s:s}", "mode", argv[i], "reason", reason ? reason : "");
		if (!body)
			return ctl_usage(ctl, "the reason is not UTF-8 text");
	} else if (reason) {
		return ctl_usage(ctl, "--reason goes with a new mode");
	}
	int rc = ctl_call(ctl, body ? "PUT" : "GET", "/v1/mode", body, &r);
	return rc ? rc : show(ctl, r.json);
}

const struct cmd cmd_mode = {
	.name = "mode",
	.args = "[observe|steer|freeze] [--reason TEXT]",
	.brief = "Show or set how Sluice acts",
	.help = "  observe  plan and show, touch nothing (a new controller starts so)\n"
		"  steer    act\n"
		"  freeze   touch nothing, whatever happens; beats everything else",
	.run = mode_run,
};
