/* SPDX-License-Identifier: Apache-2.0
 * A node under another configuration, and its end. A reload makes everything that can fail first, then swaps.
 * Stopping: RUNNING -> (some services are to be withdrawn) PARTING -> no neighbour has their routes, or
 * NODE_STOP_MS are over -> closed. Timers: node.c's tick, faster while PARTING. */
#include <string.h>

#include "agent/node_int.h"
#include "proto/base/log.h"

#define PARTING_MS 50

static bool says_withdraw(const struct node *n, const struct slot *s)
{
	const char *on_stop = s->service < 0 ? NULL : n->cfg->services[s->service].on_stop;

	return on_stop && strcmp(on_stop, "withdraw") == 0;
}

/* Its owner goes, so it is to be treated as dead: at once without a controller, by permit with one. */
bool node_is_parting(const struct node *n, const struct slot *s)
{
	return s->service < 0 || (n->stopping && says_withdraw(n, s));
}

/* -- the end ----------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h)
{
	struct node *n = h->data;

	orders_free(n->orders);
	simulated_done(&n->simulated);
	free(n->state_dir);
	free(n->services);
	free(n->slots);
	free(n);
}

static void node_free(struct node *n)
{
	if (n->session)
		session_free(n->session);
	node_be(n, NULL);
	local_free(n->local);
	for (unsigned i = 0; i < n->cfg->services_count; i++)
		service_free(n->services[i]);
	apply_free(n->apply);
	sampler_free(n->sampler, true);
	uv_close((uv_handle_t *)&n->tick, on_closed);
}

static bool is_gone(const struct node *n, const struct prefix *p)
{
	size_t count;
	const struct route_state *r = apply_state(n->apply, &count);

	for (size_t i = 0; i < count; i++)
		if (prefix_cmp(&r[i].prefix, p) == 0)
			return !r[i].announced && !r[i].neighbours;
	return true;
}

void node_stop_tick(struct node *n)
{
	bool gone = true;
	char p[PREFIX_STRLEN];

	for (size_t i = 0; i < n->n_slots; i++)
		if (says_withdraw(n, &n->slots[i]) && !is_gone(n, &n->slots[i].prefix)) {
			gone = false;
			prefix_str(&n->slots[i].prefix, p);
		}
	bool late = mono_diff_ms(mono_now(), n->stop_by) <= 0;
	if (!gone && late)
		log_error("%s is still announced: bgpd did not withdraw it in %d ms", p, NODE_STOP_MS);
	if (gone || late)
		node_free(n);
}

static void on_parting(uv_timer_t *t)
{
	node_stop_tick(t->data);
}

void node_stop(struct node *n)
{
	bool parting = false;

	n->stopping = true;
	for (size_t i = 0; i < n->n_slots; i++)
		parting |= says_withdraw(n, &n->slots[i]);
	if (!parting) {
		node_free(n);
		return;
	}
	log_info("on_stop: withdrawing before the end");
	n->stop_by = mono_add_ms(mono_now(), NODE_STOP_MS);
	node_decide(n);
	uv_timer_start(&n->tick, on_parting, PARTING_MS, PARTING_MS);
}

/* -- another configuration --------------------------------------------------------------------------- */

static struct service *take_service(struct node *n, const char *name)
{
	for (unsigned i = 0; i < n->cfg->services_count; i++)
		if (n->services[i] && strcmp(n->cfg->services[i].name, name) == 0) {
			struct service *s = n->services[i];
			n->services[i] = NULL;
			return s;
		}
	return NULL;
}

static struct service **make_services(struct node *n, const struct agent_config *cfg)
{
	struct service **list = xcalloc(cfg->services_count, sizeof(struct service *));

	for (unsigned i = 0; i < cfg->services_count; i++) {
		list[i] = take_service(n, cfg->services[i].name);
		if (list[i])
			service_reload(list[i], &cfg->services[i]);
		else
			list[i] = service_new(n->loop, &cfg->services[i], node_on_service, n);
	}
	return list;
}

static bool has_slot(const struct slot *slots, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_cmp(&slots[i].prefix, p) == 0)
			return true;
	return false;
}

/* The same bgpd and the same prefixes: what talks to bgpd goes on. */
static bool same_announcer(const struct node *n, const struct agent_config *old, const struct slot *slots,
			   size_t n_slots)
{
	if (strcmp(old->frr.vty, n->cfg->frr.vty) || n_slots != n->n_slots)
		return false;
	for (size_t i = 0; i < n_slots; i++)
		if (!has_slot(n->slots, n->n_slots, &slots[i].prefix))
			return false;
	return true;
}

static void remember_last(struct node *n, const struct slot *old, size_t n_old)
{
	for (size_t i = 0; i < n->n_slots; i++)
		for (size_t k = 0; k < n_old; k++)
			if (prefix_cmp(&n->slots[i].prefix, &old[k].prefix) == 0)
				n->slots[i].last = old[k].last;
}

/* Prefixes that no service has any more keep a slot, to be withdrawn. */
static void keep_leavers(struct node *n, const struct slot *old, size_t n_old)
{
	char p[PREFIX_STRLEN];

	for (size_t i = 0; i < n_old; i++) {
		bool still = has_slot(n->slots, n->n_slots, &old[i].prefix), allowed = false;
		for (unsigned k = 0; k < n->cfg->allow.prefixes_count && !allowed; k++)
			allowed = prefix_contains(&n->cfg->prefixes[k], &old[i].prefix);
		if (!still && !allowed)
			log_warn("%s is not in allow.prefixes any more: left as it is in bgpd",
				 prefix_str(&old[i].prefix, p));
		if (still || !allowed)
			continue;
		n->slots = xrealloc(n->slots, n->n_slots + 1, sizeof(*n->slots));
		n->slots[n->n_slots] = old[i];
		n->slots[n->n_slots++].service = -1;
	}
}

/* what was known about routes is known under the new file, too */
static void on_same_routes(struct node *n)
{
	size_t count;
	const struct route_state *r = apply_state(n->apply, &count);

	local_routes(n->local, r, count);
}

static void swap_config(struct node *n, const struct agent_config *cfg)
{
	const struct agent_config *old = n->cfg;
	struct service **services = make_services(n, cfg);
	struct slot *slots = n->slots;
	size_t n_slots = n->n_slots;

	for (unsigned i = 0; i < old->services_count; i++)
		service_free(n->services[i]); /* NULL where it goes on */
	free(n->services);
	n->services = services;
	n->cfg = cfg;
	node_make_slots(n);
	remember_last(n, slots, n_slots);
	keep_leavers(n, slots, n_slots);
	bool same = same_announcer(n, old, slots, n_slots);
	free(slots);
	sampler_free(n->sampler, true);
	node_start_sampler(n);
	if (!same) {
		apply_free(n->apply);
		node_start_apply(n);
	}
	if (!old->controller != !cfg->controller) {
		orders_free(n->orders);
		node_load_orders(n);
	}
	local_reload(n->local, cfg, (struct service *const *)n->services);
	on_same_routes(n);
}

int node_reload(struct node *n, const struct agent_config *cfg, char *ret_why)
{
	struct identity *id = NULL;
	int err = cfg->controller ? identity_new(cfg, n->state_dir, &id, ret_why) : 0;

	if (err < 0)
		return err;
	if (strcmp(n->state_dir, cfg->state_dir))
		log_warn("state_dir: stays %s until the next start", n->state_dir);
	/* a new session speaks with the certificate that the file has now; the controller sees one reconnect
	 */
	if (n->session)
		session_free(n->session);
	n->session = NULL;
	node_be(n, id);
	n->started_at = mono_now();
	n->reloads++;
	swap_config(n, cfg);
	node_decide(n);
	return 0;
}

int node_disable(struct node *n, const char *service, const char *reason, char *ret_why)
{
	return local_disable(n->local, service, reason, ret_why);
}
