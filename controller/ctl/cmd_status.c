/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/ctl.h"
#include "controller/ctl/status_view.h"

static int status_run(struct ctl *ctl, int argc, char **argv)
{
	auto_reply r = { 0 };
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 0, 0);

	if (i < 0)
		return ctl->rc;
	int rc = ctl_call(ctl, "GET", "/v1/status", NULL, &r);
	if (rc)
		return rc;
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, r.json);
	else
		status_print(&ctl->out, r.json);
	return CTL_OK;
}

const struct cmd cmd_status = {
	.name = "status",
	.args = "[-o json]",
	.brief = "What is wrong, what is done about it, what holds it back",
	.help = "The first command at 2 a.m. The first word is ok, warning or alert. Exit status 0 says that "
		"the answer\n"
		"came, not that all is well: scripts read .level of -o json.",
	.run = status_run,
};
