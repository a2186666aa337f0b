/* SPDX-License-Identifier: Apache-2.0
 * Runs when the agent cannot be kept running: withdraws the prefixes of services with on_agent_loss:
 * withdraw, for nobody watches them any more, and leaves all others. It is an agent without checks, for as
 * long as that takes. Timers: one, LOST_MS. */
#include <string.h>

#include "agent/apply.h"
#include "agent/command.h"
#include "agent/config.h"
#include "proto/base/log.h"

#define LOST_MS 10000

struct lost {
	uv_loop_t loop;
	uv_timer_t timer;
	struct apply *apply;
	struct route_want *wants;
	size_t n;
	bool gone;
};

static void finish(struct lost *l)
{
	if (uv_is_closing((uv_handle_t *)&l->timer))
		return;
	uv_close((uv_handle_t *)&l->timer, NULL);
	apply_free(l->apply);
}

static bool is_gone(const struct route_state *routes, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_cmp(&routes[i].prefix, p) == 0)
			return !routes[i].announced && !routes[i].neighbours && !routes[i].error[0];
	return true;
}

static void on_applied(const struct route_state *routes, size_t n, void *arg)
{
	struct lost *l = arg;

	for (size_t i = 0; i < l->n; i++)
		if (!is_gone(routes, n, &l->wants[i].prefix))
			return;
	l->gone = true;
	finish(l);
}

static void on_bgpd(bool up, const char *why, void *arg)
{
	(void)arg;
	if (!up)
		log_error("bgpd: %s", why);
}

static void on_timer(uv_timer_t *t)
{
	finish(t->data);
}

static void collect(struct lost *l, const struct agent_config *cfg)
{
	l->wants = xcalloc(MAX_PREFIXES + 1, sizeof(*l->wants));
	for (unsigned i = 0; i < cfg->services_count; i++) {
		const struct service_cfg *s = &cfg->services[i];
		if (!s->on_agent_loss || strcmp(s->on_agent_loss, "withdraw"))
			continue;
		for (unsigned k = 0; k < s->prefixes_count && l->n < MAX_PREFIXES; k++) {
			struct route_want *w = &l->wants[l->n++];
			prefix_parse(s->prefixes[k], &w->prefix, NULL);
			snprintf(w->grade, sizeof(w->grade), "withdrawn");
		}
	}
}

int command_lost(const char *config)
{
	static const struct apply_ops ops = { .applied = on_applied, .bgpd = on_bgpd };
	struct lost l = { 0 };
	struct agent_config *cfg;
	char why[CONF_WHY_LEN];

	log_init("agent", LOG_LEVEL_INFO, getenv("JOURNAL_STREAM") != NULL);
	if (agent_config_load(config, &cfg, why) < 0) {
		log_error("%s", why);
		return 1;
	}
	collect(&l, cfg);
	if (l.n) {
		uv_loop_init(&l.loop);
		uv_timer_init(&l.loop, &l.timer);
		l.timer.data = &l;
		auto_free struct prefix *own = xcalloc(l.n, sizeof(*own));
		for (size_t i = 0; i < l.n; i++)
			own[i] = l.wants[i].prefix;
		l.apply = apply_new(&l.loop, cfg->frr.vty, own, l.n, &ops, &l);
		apply_want(l.apply, l.wants, l.n);
		uv_timer_start(&l.timer, on_timer, LOST_MS, 0);
		uv_run(&l.loop, UV_RUN_DEFAULT);
		uv_loop_close(&l.loop);
		if (l.gone)
			log_warn("the agent is lost: %zu prefixes withdrawn by on_agent_loss", l.n);
		else
			log_error("the agent is lost, and on_agent_loss could not be done within %d s",
				  LOST_MS / 1000);
	}
	int rc = l.n && !l.gone;
	free(l.wants);
	agent_config_free(cfg);
	return rc;
}
