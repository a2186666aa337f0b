/* SPDX-License-Identifier: Apache-2.0
 * The exec kind: a command of the local file says by its exit status how things are: 0 up, 1 down, 2..255
 * down too, unless exit_weight makes it "up, but only worth so much". A probe ends when the command does, or
 * is killed with all its group by the timeout. */
#include <string.h>

#include "agent/check/check_kind.h"
#include "agent/run.h"

#define WEIGHT_FULL 100

static void on_ended(int code, const char *output, void *arg)
{
	struct check *c = arg;
	const struct check_cfg *cfg = check_cfg(c);
	char reason[TEXT_LEN];
	bool ok = code == 0 || (code > 1 && cfg->exit_weight);

	if (code < 0)
		snprintf(reason, sizeof(reason), "%s: %.200s", cfg->command, output);
	else
		snprintf(reason, sizeof(reason), "%s: exit %d%s%.180s", cfg->command, code,
			 *output ? ": " : "", output);
	if (ok)
		check_set_weight(c, code && code < WEIGHT_FULL ? (uint32_t)code : WEIGHT_FULL);
	check_done(c, ok, reason);
}

static void *exec_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	char name[NAME_LEN + 16], why[TEXT_LEN];
	char *env[] = { name, NULL };

	snprintf(name, sizeof(name), "CHECK=%s", cfg->name);
	check_phase(c, cfg->command);
	struct run *r = run_start(loop, cfg->run, env, on_ended, c, why);
	if (!r)
		check_done(c, false, why);
	return r;
}

static void exec_cancel(void *probe)
{
	run_kill(probe);
}

static int exec_verify(const struct check_cfg *cfg, char *ret_why)
{
	if (!cfg->run)
		return check_refuse(ret_why, "command: \"%.60s\" is not in commands", cfg->command);
	return 0;
}

const struct check_kind check_kind_exec = {
	.name = "exec",
	.takes = "command! exit_weight",
	.verify = exec_verify,
	.start = exec_start,
	.cancel = exec_cancel,
};
