/* SPDX-License-Identifier: Apache-2.0
 * Puts the API together: tokens, event listeners, HTTPS. Owns struct api. */
#include "controller/api/api.h"

#include "controller/api/api_int.h"
#include "controller/api/cache.h"
#include "controller/api/idem.h"
#include "controller/api/identity.h"
#include "controller/api/limit.h"
#include "controller/api/routes.h"
#include "controller/rounds.h"

#define TICK_MS	   1000
#define USES_TICKS 300 /* between records of when tokens were used */

static void on_event(const struct store_event *ev, void *arg)
{
	struct api *a = arg;

	(void)ev;
	cache_clear(a->cache);
}

void api_follow(struct api *a)
{
	if (a->reads == a->c->reads)
		return;
	a->reads = a->c->reads;
	auth_reload(a->auth);
	cache_clear(a->cache);
}

/* Tokens end by time, by another controller's hand, or by an editor's: nobody tells us. */
static void on_tick(uv_timer_t *t)
{
	struct api *a = t->data;

	api_follow(a);
	uint64_t generation = auth_generation(a->auth);
	if (generation != a->generation)
		hub_recheck(a->hub);
	a->generation = generation;
	if (++a->ticks % USES_TICKS == 0)
		auth_save_uses(a->auth);
}

static void start_parts(struct api *a, const struct api_cfg *cfg)
{
	a->auth = auth_new(cfg->tokens, a->c->store);
	a->hub = hub_new(a, HUB_HEARTBEAT_MS);
	a->limit = limit_new();
	a->idem = idem_new();
	a->cache = cache_new();
	a->listening = events_listen(a->c->events, on_event, a);
	uv_timer_init(a->c->loop, &a->tick);
	a->tick.data = a;
	uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
}

static void set_limits(struct api *a, const struct api_cfg *cfg)
{
	if (cfg->reads_per_s)
		limit_set(a->limit, LIMIT_READ, cfg->reads_per_s);
	if (cfg->writes_per_s)
		limit_set(a->limit, LIMIT_WRITE, cfg->writes_per_s);
}

int api_new(struct controller *c, const struct api_cfg *cfg, struct api **ret_api, char *ret_why)
{
	struct api *a = xcalloc(1, sizeof(*a));
	struct http_cfg http = {
		.listen = (const struct sockaddr *)&cfg->listen,
		.cert = cfg->cert,
		.key = cfg->key,
	};

	a->c = c;
	int r = http_new(c->loop, &http, &routes_ops, a, &a->http, ret_why);
	if (r != 0) {
		free(a);
		return r;
	}
	start_parts(a, cfg);
	set_limits(a, cfg);
	*ret_api = a;
	return 0;
}

int api_prepare(struct api *a, const struct api_cfg *cfg, char *ret_why)
{
	(void)a;
	return identity_serve(cfg->cert, cfg->key, ret_why);
}

void api_revert(struct api *a)
{
	(void)a;
	identity_revert();
}

void api_commit(struct api *a, const struct api_cfg *cfg)
{
	auth_set_path(a->auth, cfg->tokens);
	set_limits(a, cfg);
}

uint16_t api_port(const struct api *a)
{
	return http_port(a->http);
}

const struct rounds_view *api_rounds(const struct api *a)
{
	return a->c->rounds ? rounds_view(a->c->rounds) : NULL;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void api_free(struct api *a)
{
	if (!a)
		return;
	http_free(a->http); /* closes the streams, which the hub still has to see */
	hub_free(a->hub);
	events_ignore(a->c->events, a->listening);
	auth_free(a->auth);
	limit_free(a->limit);
	idem_free(a->idem);
	cache_free(a->cache);
	buf_done(&a->metrics);
	uv_close((uv_handle_t *)&a->tick, on_closed);
}
