/* SPDX-License-Identifier: Apache-2.0
 * The node as JSON, for people and for metrics. Reads only. */
#include <string.h>

#include "agent/hooks.h"
#include "agent/node_int.h"

static json_t *age(mono_t since)
{
	return json_integer(mono_diff_ms(since, mono_now()));
}

/* Words that others may have chosen (a command's output, a file, bgpd), or that were cut. */
static json_t *words(const char *s)
{
	char text[TEXT_LEN];

	msg_text(s, text);
	return json_string(text);
}

static json_t *view_check(const struct check *c)
{
	static const char *const names[] = { "unknown", "up", "down" };
	const struct check_cfg *cfg = check_cfg(c);
	int64_t age_ms = check_age_ms(c);

	return json_pack("{ss ss ss so so si}", "name", cfg->name, "kind", cfg->kind, "status",
			 names[check_status(c)], "reason", words(check_reason(c)), "age_ms",
			 age_ms < 0 ? json_null() : json_integer(age_ms), "weight", (int)check_weight(c));
}

static json_t *view_service(const struct service *s)
{
	const struct service_cfg *cfg = service_cfg(s);
	json_t *checks = json_array(), *prefixes = json_array();
	const char *off = service_disabled(s);
	struct service_state st;

	service_state(s, &st);
	for (unsigned i = 0; i < cfg->checks_count; i++)
		json_array_append_new(checks, view_check(service_check(s, i)));
	for (unsigned i = 0; i < cfg->prefixes_count; i++)
		json_array_append_new(prefixes, json_string(cfg->prefixes[i]));
	return json_pack("{ss ss so so ss si sI so so}", "name", cfg->name, "status",
			 service_status_str(service_status(s)), "disabled", off ? words(off) : json_null(),
			 "reason", words(st.reason), "announce", announce_state_str(service_announce(s)),
			 "weight", (int)service_weight(s), "age_ms", (json_int_t)st.since_ms, "prefixes",
			 prefixes, "checks", checks);
}

static const char *service_of(const struct node *n, const struct prefix *p, const char **ret_refused)
{
	for (size_t i = 0; i < n->n_slots; i++)
		if (prefix_cmp(&n->slots[i].prefix, p) == 0) {
			*ret_refused = n->slots[i].refused;
			return n->slots[i].service < 0 ? NULL : n->cfg->services[n->slots[i].service].name;
		}
	return NULL;
}

static json_t *view_route(const struct node *n, const struct route_state *r)
{
	char p[PREFIX_STRLEN];
	const char *refused = "", *service = service_of(n, &r->prefix, &refused);

	return json_pack("{ss so sb so si si so}", "prefix", prefix_str(&r->prefix, p), "service",
			 service ? json_string(service) : json_null(), "announced", r->announced, "grade",
			 words(r->grade), "weight", (int)r->weight, "neighbours", (int)r->neighbours, "error",
			 words(*refused ? refused : r->error));
}

static json_t *view_controller(const struct node *n)
{
	if (!n->cfg->controller)
		return json_null();
	return json_pack("{sb sI sI so}", "connected", n->session && session_is_active(n->session), "epoch",
			 (json_int_t)orders_epoch(n->orders), "seq", (json_int_t)orders_seq(n->orders),
			 "certificate", n->identity ? identity_view(n->identity) : json_null());
}

json_t *node_status(const struct node *n)
{
	json_t *services = json_array(), *routes = json_array();
	size_t count;
	const struct route_state *r = apply_state(n->apply, &count);

	for (unsigned i = 0; i < n->cfg->services_count; i++)
		json_array_append_new(services, view_service(n->services[i]));
	for (size_t i = 0; i < count; i++)
		json_array_append_new(routes, view_route(n, &r[i]));
	return json_pack("{ss ss so si so s{sb sI so} so so}", "node", n->cfg->node, "version",
			 SLUICE_VERSION, "up_ms", age(n->started_at), "reloads", (int)n->reloads,
			 "controller", view_controller(n), "bgp", "ok", apply_bgp_ok(n->apply), "asn",
			 (json_int_t)apply_asn(n->apply), "trouble", words(n->bgpd), "services", services,
			 "routes", routes);
}
