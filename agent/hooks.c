/* SPDX-License-Identifier: Apache-2.0
 * Owns the hooks that run and the ones that wait. Per service: IDLE -> RUNNING -> (a change came meanwhile)
 * RUNNING again, else IDLE. Timers: one per service, the end of patience with a running hook. */
#include "agent/hooks.h"

#include <string.h>

#include "agent/run.h"
#include "proto/base/log.h"

#define ENV_N 5

/* What is to be run: all of its own, the configuration may change meanwhile. */
struct call {
	struct command_cfg cmd;
	char *env[ENV_N + 1];
};

struct keeper {
	struct keeper *next;
	char service[NAME_LEN];
	enum announce_state last;
	bool told;	 /* last means something */
	struct run *run; /* NULL: IDLE */
	struct call *now, *waits;
	uv_timer_t patience;
};

struct hooks {
	uv_loop_t *loop;
	struct keeper *keepers;
};

const char *announce_state_str(enum announce_state state)
{
	static const char *const names[] = { "up", "down", "disabled" };

	return names[state];
}

static void call_free(struct call *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->cmd.argv_count; i++)
		free(c->cmd.argv[i]);
	free(c->cmd.argv);
	free(c->cmd.name);
	for (int i = 0; i < ENV_N; i++)
		free(c->env[i]);
	free(c);
}

static struct call *call_new(const struct command_cfg *cmd, const struct agent_config *cfg,
			     const struct service_cfg *s, enum announce_state state, const char *reason)
{
	struct call *c = xcalloc(1, sizeof(*c));
	auto_buf prefixes = { 0 };

	c->cmd.name = xstrdup(cmd->name);
	c->cmd.argv = xcalloc(cmd->argv_count + 1, sizeof(char *));
	c->cmd.argv_count = cmd->argv_count;
	for (unsigned i = 0; i < cmd->argv_count; i++)
		c->cmd.argv[i] = xstrdup(cmd->argv[i]);
	for (unsigned i = 0; i < s->prefixes_count; i++)
		buf_addf(&prefixes, "%s%s", i ? " " : "", s->prefixes[i]);
	c->env[0] = xasprintf("STATE=%s", announce_state_str(state));
	c->env[1] = xasprintf("SERVICE=%s", s->name);
	c->env[2] = xasprintf("REASON=%s", reason);
	c->env[3] = xasprintf("NODE=%s", cfg->node);
	c->env[4] = xasprintf("PREFIXES=%s", prefixes.data ? prefixes.data : "");
	return c;
}

static void start(struct keeper *k);

static void ended(struct keeper *k)
{
	uv_timer_stop(&k->patience);
	call_free(k->now);
	k->now = NULL;
	k->run = NULL;
	if (k->waits)
		start(k);
}

static void on_ended(int code, const char *output, void *arg)
{
	struct keeper *k = arg;

	if (code)
		log_warn("hook %s of service %s: exit %d%s%s", k->now->cmd.name, k->service, code,
			 *output ? ": " : "", output);
	ended(k);
}

static void on_patience(uv_timer_t *t)
{
	struct keeper *k = t->data;

	log_warn("hook %s of service %s: killed after %d s", k->now->cmd.name, k->service,
		 HOOK_TIMEOUT_MS / 1000);
	run_kill(k->run);
	ended(k);
}

static void start(struct keeper *k)
{
	char why[TEXT_LEN];

	k->now = k->waits;
	k->waits = NULL;
	k->run = run_start(k->patience.loop, &k->now->cmd, k->now->env, on_ended, k, why);
	if (k->run) {
		uv_timer_start(&k->patience, on_patience, HOOK_TIMEOUT_MS, 0);
		return;
	}
	log_warn("hook of service %s: %s", k->service, why);
	call_free(k->now);
	k->now = NULL;
}

static struct keeper *keeper_of(struct hooks *h, const char *service)
{
	struct keeper *k;

	for (k = h->keepers; k; k = k->next)
		if (strcmp(k->service, service) == 0)
			return k;
	k = xcalloc(1, sizeof(*k));
	snprintf(k->service, sizeof(k->service), "%s", service);
	uv_timer_init(h->loop, &k->patience);
	k->patience.data = k;
	k->next = h->keepers;
	h->keepers = k;
	return k;
}

struct hooks *hooks_new(uv_loop_t *loop)
{
	struct hooks *h = xcalloc(1, sizeof(*h));

	h->loop = loop;
	return h;
}

void hooks_tell(struct hooks *h, const struct agent_config *cfg, const struct service_cfg *s,
		enum announce_state state, const char *reason)
{
	struct keeper *k = keeper_of(h, s->name);
	bool news = !k->told || state != k->last;

	k->told = true;
	k->last = state;
	if (!news || !s->hooks)
		return;
	const char *const names[] = { s->hooks->up, s->hooks->down, s->hooks->disabled };
	const struct command_cfg *cmd = names[state] ? agent_config_command(cfg, names[state]) : NULL;
	call_free(k->waits);
	k->waits = cmd ? call_new(cmd, cfg, s, state, reason) : NULL;
	if (k->waits && !k->run)
		start(k);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void hooks_free(struct hooks *h)
{
	for (struct keeper *k = h->keepers, *next; k; k = next) {
		next = k->next;
		if (k->run)
			run_leave(k->run);
		call_free(k->now);
		call_free(k->waits);
		uv_close((uv_handle_t *)&k->patience, on_closed);
	}
	free(h);
}
