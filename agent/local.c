/* SPDX-License-Identifier: Apache-2.0
 * Owns the hooks and the memory of what was said about addresses. A dynamic address is wanted unless its
 * service withdraws its routes; it is removed when bgpd's view shows every route of the service gone from
 * every neighbour. Timers: one, the look at disable files, every FILES_MS. */
#include "agent/local.h"

#include <string.h>

#include "agent/disable.h"
#include "agent/hooks.h"
#include "agent/vip.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define FILES_MS   250
#define LINGER_MS  5000
#define LOOK_TICKS 2 /* addresses that somebody took away are put back after so many */

struct local {
	const struct agent_config *cfg;
	struct service *const *services;
	struct hooks *hooks;
	uv_timer_t files;
	struct disable_watch watch;
	struct memory *of; /* per service */
	unsigned ticks;
};

struct memory {
	mono_t gone_at;	     /* since when no neighbour has a route of it; not set: some has */
	char said[TEXT_LEN]; /* the last trouble with an address: said once */
};

static struct service *service_named(const struct local *l, const char *name)
{
	for (unsigned i = 0; i < l->cfg->services_count; i++)
		if (strcmp(l->cfg->services[i].name, name) == 0)
			return l->services[i];
	return NULL;
}

/* -- disabled by hand -------------------------------------------------------------------------------- */

static void look_at_files(struct local *l, bool stirred)
{
	const struct agent_config *cfg = l->cfg;
	char reason[TEXT_LEN];

	/* a callback changes the services' state only, never the list */
	for (unsigned i = 0; i < cfg->services_count; i++) {
		if (!stirred && !cfg->services[i].disable_file)
			continue;
		bool off = disable_reason(cfg->state_dir, &cfg->services[i], reason);
		service_disable(l->services[i], off ? reason : NULL);
	}
}

static void on_files(uv_timer_t *t)
{
	struct local *l = t->data;

	look_at_files(l, disable_stirred(l->cfg->state_dir, &l->watch));
}

int local_disable(struct local *l, const char *service, const char *reason, char *ret_why)
{
	struct service *s = service_named(l, service);

	if (!s) {
		snprintf(ret_why, TEXT_LEN, "there is no service \"%.60s\"", service);
		return ERR_CONFIG;
	}
	int err = disable_set(l->cfg->state_dir, service_cfg(s), reason, ret_why);
	if (!err)
		look_at_files(l, true);
	return err;
}

/* -- addresses --------------------------------------------------------------------------------------- */

static void trouble(struct local *l, const struct service_cfg *cfg, const char *why)
{
	struct memory *m = &l->of[cfg - l->cfg->services];

	if (strcmp(m->said, why) == 0)
		return;
	snprintf(m->said, sizeof(m->said), "%s", why);
	log_error("service %s: %s", cfg->name, why);
}

static void put_addresses(struct local *l, const struct service_cfg *cfg)
{
	char why[TEXT_LEN], text[PREFIX_STRLEN];
	struct prefix p;

	for (unsigned i = 0; i < cfg->addresses_count; i++) {
		prefix_parse(cfg->addresses[i], &p, NULL);
		int rc = vip_add(cfg->vip->interface, cfg->vip->create, &p, why);
		if (rc > 0)
			log_info("service %s: %s put on %s", cfg->name, prefix_addr_str(&p, text),
				 cfg->vip->interface);
		else if (rc < 0)
			trouble(l, cfg, why);
	}
}

static void take_addresses(struct local *l, const struct service_cfg *cfg)
{
	char why[TEXT_LEN], text[PREFIX_STRLEN];
	struct prefix p;

	for (unsigned i = 0; i < cfg->addresses_count; i++) {
		prefix_parse(cfg->addresses[i], &p, NULL);
		int rc = vip_remove(cfg->vip->interface, &p, why);
		if (rc > 0)
			log_info("service %s: %s removed from %s", cfg->name, prefix_addr_str(&p, text),
				 cfg->vip->interface);
		else if (rc < 0)
			trouble(l, cfg, why);
	}
}

static bool wants_addresses(const struct service *s)
{
	const struct service_cfg *cfg = service_cfg(s);
	enum announce_state state = service_announce(s);

	if (!cfg->vip)
		return false;
	/* before the checks have decided, what is there stays and nothing is added */
	if (cfg->vip->dynamic && service_status(s) == SERVICE_UNKNOWN)
		return false;
	return !cfg->vip->dynamic || state == ANNOUNCE_UP || announce_degrades(&cfg->announce, state);
}

/* bgpd was asked, and no neighbour has any route of the service. */
static bool routes_are_gone(const struct service_cfg *cfg, const struct route_state *routes, size_t n)
{
	struct prefix own;

	for (unsigned k = 0; k < cfg->prefixes_count; k++) {
		bool gone = false;
		prefix_parse(cfg->prefixes[k], &own, NULL);
		for (size_t i = 0; i < n; i++)
			if (prefix_cmp(&routes[i].prefix, &own) == 0)
				gone = !routes[i].announced && !routes[i].neighbours && !routes[i].error[0];
		if (!gone)
			return false;
	}
	return true;
}

void local_routes(struct local *l, const struct route_state *routes, size_t n)
{
	for (unsigned i = 0; i < l->cfg->services_count; i++) {
		if (!routes_are_gone(&l->cfg->services[i], routes, n))
			l->of[i].gone_at = (mono_t){ 0 };
		else if (!mono_is_set(l->of[i].gone_at))
			l->of[i].gone_at = mono_now();
	}
}

static bool may_go(const struct local *l, unsigned i)
{
	const struct service *s = l->services[i];
	const struct vip_cfg *vip = service_cfg(s)->vip;

	return vip && vip->dynamic && service_status(s) == SERVICE_DOWN && mono_is_set(l->of[i].gone_at) &&
	       mono_diff_ms(l->of[i].gone_at, mono_now()) >= LINGER_MS;
}

void local_tick(struct local *l)
{
	if (l->ticks++ % LOOK_TICKS)
		return;
	for (unsigned i = 0; i < l->cfg->services_count; i++) {
		if (wants_addresses(l->services[i]))
			put_addresses(l, service_cfg(l->services[i]));
		else if (may_go(l, i))
			take_addresses(l, service_cfg(l->services[i]));
	}
}

void local_service(struct local *l, const struct service *s, const char *reason)
{
	if (service_status(s) == SERVICE_HELD)
		return; /* neither up nor news */
	if (wants_addresses(s))
		put_addresses(l, service_cfg(s));
	hooks_tell(l->hooks, l->cfg, service_cfg(s), service_announce(s), reason);
}

void local_reload(struct local *l, const struct agent_config *cfg, struct service *const *services)
{
	l->cfg = cfg;
	l->services = services;
	l->watch = (struct disable_watch){ 0 };
	free(l->of);
	l->of = xcalloc(cfg->services_count, sizeof(*l->of));
	l->ticks = 0;
	local_tick(l);
}

struct local *local_new(uv_loop_t *loop, const struct agent_config *cfg, struct service *const *services)
{
	struct local *l = xcalloc(1, sizeof(*l));

	l->hooks = hooks_new(loop);
	uv_timer_init(loop, &l->files);
	l->files.data = l;
	/* at once, too: a disabled service must not be announced first */
	uv_timer_start(&l->files, on_files, 0, FILES_MS);
	local_reload(l, cfg, services);
	return l;
}

static void on_closed(uv_handle_t *h)
{
	struct local *l = h->data;

	free(l->of);
	free(l);
}

void local_free(struct local *l)
{
	hooks_free(l->hooks);
	uv_close((uv_handle_t *)&l->files, on_closed);
}
