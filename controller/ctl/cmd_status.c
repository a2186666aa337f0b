/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/ctl.h"

static int status_run(struct ctl *ctl, int argc, char **argv)
{
	auto_reply r = { 0 };
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 0, 0);

	if (i < 0)
		return ctl->rc;
	int rc = ctl_call(ctl, "GET", "/v1/status", NULL, &r);
	if (rc)
		return rc;
	out_json(&ctl->out, r.json);
	return CTL_OK;
}

const struct cmd cmd_status = {
	.name = "status",
	.args = "[-o json]",
	.brief = "What is wrong, what is done about it, what holds it back",
	.help = "The first command at 2 a.m. Exit status 0 says that the answer came, not that all is well.",
	.run = status_run,
};
