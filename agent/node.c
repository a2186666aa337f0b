/* SPDX-License-Identifier: Apache-2.0
 * Timers: tick, once a second, for what passes with time (permits, expiries). Everything runs on the loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node_int.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define TICK_MS	 1000
#define ASK_MS	 1000 /* a permit is asked for again after this */
#define SPEAK_MS 5000 /* health still unknown after this: speak to the controller all the same */

static int by_prefix(const void *prefix, const void *route)
{
	return prefix_cmp(prefix, &((const struct route_state *)route)->prefix);
}

static const struct route_state *state_of(const struct node *n, const struct prefix *p)
{
	size_t count;
	const struct route_state *r = apply_state(n->apply, &count);

	return count ? bsearch(p, r, count, sizeof(*r), by_prefix) : NULL;
}

static enum fs_order order_of(const struct node *n, const struct order *o)
{
	if (!n->cfg->controller)
		return FS_ANNOUNCE;
	if (!o)
		return FS_NONE;
	return o->intent.withdrawn ? FS_WITHDRAW : FS_ANNOUNCE;
}

static const struct shard_intent *standalone_intent(void)
{
	static const struct shard_intent normal = { .shard = "", .grade = "normal", .weight = 100 };

	return &normal;
}

static void ask(struct node *n, struct slot *s, const struct order *o)
{
	struct msg m = { .kind = MSG_PERMIT_REQUEST };

	if (mono_is_set(s->asked_at) && mono_diff_ms(s->asked_at, mono_now()) < ASK_MS)
		return;
	s->asked_at = mono_now();
	snprintf(m.permit_request.shard, NAME_LEN, "%s", o->intent.shard);
	struct service_state st = { .reason = "removed from agent.yaml" };
	if (s->service >= 0)
		service_state(n->services[s->service], &st);
	snprintf(m.permit_request.reason, TEXT_LEN, "%s", st.reason);
	session_send(n->session, &m);
	session_report_now(n->session);
}

static void say_change(const struct node *n, const struct slot *s, enum fs_action to, const char *health,
		       bool announced)
{
	char p[PREFIX_STRLEN];

	if (to == s->last)
		return;
	log_info("%s: %s -> %s (service %s, %s)", prefix_str(&s->prefix, p), failsafe_action_str(s->last),
		 failsafe_action_str(to), health, announced ? "announced" : "not announced");
	if (to == FS_ASK)
		log_warn("%s: its service is down, but there is no permit to withdraw it: it stays announced "
			 "until %s",
			 p,
			 n->session && session_is_active(n->session)
				 ? "the controller gives one"
				 : "the service or the controller is back");
}

/* What the local file adds to the grade; without it the route is as the controller wants it. */
static void add_local(const struct node *n, struct slot *s, enum announce_state state, struct route_want *w)
{
	const struct service *service = n->services[s->service];
	uint32_t weight = w->weight * service_weight(service) / 100;

	w->weight = w->attrs.bandwidth_mbps = weight ? weight : 1;
	announce_route(&service_cfg(service)->announce, state, s->index, n->cfg->neighbours,
		       n->cfg->neighbours_count, w, s->refused);
}

static enum service_status health_of(const struct node *n, const struct slot *s, const struct order *o)
{
	if (node_is_parting(n, s) ||
	    simulated_dead(&n->simulated, n->cfg->services[s->service].name, o ? o->intent.shard : NULL))
		return SERVICE_DOWN;
	return service_status(n->services[s->service]);
}

/* Kept although its service is down or disabled, with worse attributes. */
static bool degrades(const struct node *n, const struct slot *s)
{
	if (node_is_parting(n, s))
		return false;
	const struct service *service = n->services[s->service];
	return announce_degrades(&service_cfg(service)->announce, service_announce(service));
}

/* Appends what this slot wants, if anything. */
static void decide_slot(struct node *n, struct slot *s, struct route_want *wants, size_t *n_wants)
{
	const struct route_state *now = state_of(n, &s->prefix);
	const struct order *o = orders_of(n->orders, &s->prefix);
	enum service_status health = health_of(n, s, o);
	bool degraded = degrades(n, s);
	struct fs_input in = {
		.order = order_of(n, o),
		.health = health,
		.permit = !n->cfg->controller || order_permits(o, orders_now_us()),
		.announced = now && now->announced,
	};
	enum fs_action a = failsafe_decide(&in);

	say_change(n, s, a, service_status_str(health), in.announced);
	s->last = a;
	if (a == FS_LEAVE || (a == FS_ASK && !o))
		return;
	if (a == FS_ASK && n->session && !degraded)
		ask(n, s, o);
	struct route_want *w = &wants[*n_wants];
	if (failsafe_route(o ? &o->intent : standalone_intent(), &s->prefix, n->cfg->allow.communities,
			   n->cfg->allow.communities_count, w, s->refused) < 0)
		return;
	s->refused[0] = 0;
	if (a == FS_DO_WITHDRAW && w->announced && !degraded) {
		w->announced = false;
		snprintf(w->grade, sizeof(w->grade), "withdrawn");
	}
	if (w->announced && s->service >= 0)
		add_local(n, s, degraded ? service_announce(n->services[s->service]) : ANNOUNCE_UP, w);
	++*n_wants;
}

/* -- without a controller ---------------------------------------------------------------------------- */

/* Every service whose prefixes the shard names is up. */
static bool shard_is_up(const struct shard_intent *in, void *arg)
{
	const struct node *n = arg;

	for (size_t i = 0; i < n->n_slots; i++)
		for (size_t k = 0; k < in->n_prefixes; k++)
			if (prefix_cmp(&n->slots[i].prefix, &in->prefixes[k]) == 0 &&
			    health_of(n, &n->slots[i], NULL) != SERVICE_UP)
				return false;
	return true;
}

/* Weakenings that ran out without news go back one by one. */
static void relax(struct node *n)
{
	struct msg m = { .kind = MSG_REPORT };
	struct orders_relax r = { .up = shard_is_up, .arg = n, .random = (uint32_t)random() };
	char shard[NAME_LEN];

	if (!orders_expired(n->orders, orders_now_us()))
		return;
	sampler_take(n->sampler, &m.report);
	bool known = uplink_feed(&n->uplink, &m.report, &r.util);
	msg_done(&m);
	if (known && orders_relax(n->orders, orders_now_us(), &r, shard))
		log_warn("%s: its weakening ran out without news from the controller: back to normal", shard);
}

void node_decide(struct node *n)
{
	auto_free struct route_want *wants = xcalloc(n->n_slots, sizeof(*wants));
	size_t count = 0;

	for (size_t i = 0; i < n->n_slots; i++)
		decide_slot(n, &n->slots[i], wants, &count);
	int err = apply_want(n->apply, wants, count);
	if (err < 0)
		log_error("routes not taken: %s", err_str(err));
}

/* -- drills ------------------------------------------------------------------------------------------ */

static enum session_voice voice_of(const struct simulated *m)
{
	return simulated_deaf(m) ? SESSION_SILENT : simulated_mute(m) ? SESSION_NO_REPORTS : SESSION_SPEAKS;
}

/* Logged whenever what is simulated changes: nobody shall hunt a failure that is only rehearsed. */
static void on_simulated(struct node *n)
{
	const struct simulated *m = &n->simulated;

	if (m->n)
		log_warn("drill %s: simulating %zu failures%s%s", m->drill, m->n,
			 simulated_mute(m) ? ", silent" : "", simulated_deaf(m) ? ", deaf" : "");
	else
		log_info("drill %s: nothing is simulated any more", m->drill);
	if (!n->session)
		return;
	session_quiet(n->session, voice_of(m));
	session_report_now(n->session);
}

static void end_simulations(struct node *n)
{
	if (simulated_expire(&n->simulated, orders_now_us()))
		on_simulated(n);
}

static void hear_drill(struct node *n, const struct msg_directive *d, char *ret_error)
{
	if (d->epoch >= orders_epoch(n->orders) &&
	    simulated_take(&n->simulated, d, n->cfg->no_drills, orders_now_us(), ret_error))
		on_simulated(n);
	if (ret_error[0])
		log_warn("%s", ret_error);
}

static void maybe_speak(struct node *n);

static void on_tick(uv_timer_t *t)
{
	struct node *n = t->data;

	maybe_speak(n);
	if (n->identity)
		identity_tick(n->identity);
	end_simulations(n);
	relax(n);
	local_tick(n->local);
	node_decide(n);
}

/* -- the parts call back ---------------------------------------------------------------------------- */

void node_on_service(struct service *s, enum service_status from, enum service_status to, const char *reason,
		     void *arg)
{
	struct node *n = arg;

	if (from != to)
		log_info("service %s: %s -> %s: %s", service_cfg(s)->name, service_status_str(from),
			 service_status_str(to), reason);
	else
		log_info("service %s: %s, weight %u: %s", service_cfg(s)->name, service_status_str(to),
			 service_weight(s), reason);
	if (n->stopping)
		return;
	if (to == SERVICE_UP) /* its addresses first */
		local_service(n->local, s, reason);
	maybe_speak(n);
	node_decide(n);
	if (to != SERVICE_UP)
		local_service(n->local, s, reason);
	if (n->session)
		session_report_now(n->session);
}

static void copy_routes(struct node *n, struct route_state **ret_routes, size_t *ret_n)
{
	size_t count;
	const struct route_state *now = apply_state(n->apply, &count);
	struct route_state *r = xcalloc(count + n->n_slots, sizeof(*r));
	size_t k = 0;

	for (size_t i = 0; i < count; i++)
		r[k++] = now[i];
	for (size_t i = 0; i < n->n_slots; i++) {
		struct slot *s = &n->slots[i];
		if (!s->refused[0])
			continue;
		const struct route_state *have = state_of(n, &s->prefix);
		struct route_state *to = have ? &r[have - now] : &r[k++];
		to->prefix = s->prefix;
		snprintf(to->error, sizeof(to->error), "%s", s->refused);
	}
	*ret_routes = r;
	*ret_n = k;
}

static void send_applied(struct node *n, const char *error)
{
	struct msg m = { .kind = MSG_APPLIED,
			 .applied = { .epoch = orders_epoch(n->orders), .seq = orders_seq(n->orders) } };

	if (!n->session)
		return;
	snprintf(m.applied.error, sizeof(m.applied.error), "%s", error);
	copy_routes(n, &m.applied.routes, &m.applied.n_routes);
	session_send(n->session, &m);
	msg_done(&m);
}

static void on_applied(const struct route_state *routes, size_t count, void *arg)
{
	struct node *n = arg;
	char p[PREFIX_STRLEN];

	for (size_t i = 0; i < count; i++)
		if (routes[i].error[0])
			log_warn("%s: %s", prefix_str(&routes[i].prefix, p), routes[i].error);
	local_routes(n->local, routes, count);
	send_applied(n, "");
	node_decide(n);
}

static void on_bgpd(bool up, const char *why, void *arg)
{
	struct node *n = arg;

	snprintf(n->bgpd, sizeof(n->bgpd), "%s", up ? "" : why);
	if (up)
		log_info("bgpd answers%s%s", *why ? ": " : "", why);
	else
		log_warn("bgpd: %s", why);
	if (n->session)
		session_report_now(n->session);
}

static void on_hello(struct msg_hello *h, void *arg)
{
	struct node *n = arg;

	snprintf(h->version, sizeof(h->version), "%s", SLUICE_VERSION);
	snprintf(h->boot_id, sizeof(h->boot_id), "%s", n->boot_id);
	h->last_epoch = orders_epoch(n->orders);
	h->no_drills = n->cfg->no_drills;
	h->prefixes = xcalloc(n->cfg->allow.prefixes_count, sizeof(*h->prefixes));
	h->n_prefixes = n->cfg->allow.prefixes_count;
	memcpy(h->prefixes, n->cfg->prefixes, h->n_prefixes * sizeof(*h->prefixes));
}

static void tell_service(const struct node *n, const struct service *s, struct service_state *ret_state)
{
	service_state(s, ret_state);
	if (!simulated_dead(&n->simulated, ret_state->name, NULL))
		return;
	ret_state->up = false;
	snprintf(ret_state->reason, sizeof(ret_state->reason), "simulated by drill %s", n->simulated.drill);
}

static void on_report(struct msg_report *r, void *arg)
{
	struct node *n = arg;

	sampler_take(n->sampler, r);
	r->applied_epoch = orders_epoch(n->orders);
	r->applied_seq = orders_seq(n->orders);
	r->boot_us = orders_now_us();
	r->bgp_ok = apply_bgp_ok(n->apply);
	r->services = xcalloc(n->cfg->services_count, sizeof(*r->services));
	r->n_services = n->cfg->services_count;
	for (size_t i = 0; i < r->n_services; i++)
		tell_service(n, n->services[i], &r->services[i]);
	copy_routes(n, &r->routes, &r->n_routes);
}

static struct slot *slot_of(struct node *n, const struct prefix *p)
{
	for (size_t i = 0; i < n->n_slots; i++)
		if (prefix_cmp(&n->slots[i].prefix, p) == 0)
			return &n->slots[i];
	return NULL;
}

/* Prefixes of a directive that no service of ours has. */
static void find_strangers(struct node *n, const struct msg_directive *d, char *ret_error)
{
	char p[PREFIX_STRLEN];

	for (size_t i = 0; i < d->n_shards; i++)
		for (size_t k = 0; k < d->shards[i].n_prefixes; k++) {
			struct slot *s = slot_of(n, &d->shards[i].prefixes[k]);
			if (s) {
				s->refused[0] = 0;
				continue;
			}
			snprintf(ret_error, TEXT_LEN,
				 "%s is not a prefix of a service in this node's agent.yaml: refused",
				 prefix_str(&d->shards[i].prefixes[k], p));
			log_warn("shard %s: %s", d->shards[i].shard, ret_error);
		}
}

static void on_directive(const struct msg_directive *d, void *arg)
{
	struct node *n = arg;
	char error[TEXT_LEN] = "";
	bool back = false;

	hear_drill(n, d, error);
	if (simulated_deaf(&n->simulated)) { /* of this directive only the drill was heard */
		node_decide(n);
		return;
	}
	if (orders_take(n->orders, d, orders_now_us(), &back, error) < 0) {
		log_warn("%s", error);
		send_applied(n, error);
		return;
	}
	find_strangers(n, d, error);
	node_decide(n);
	send_applied(n, error);
	if (back) /* somebody may wait for a permit that came back: only a report returns it */
		session_report_now(n->session);
}

static void on_session(bool active, const char *why, void *arg)
{
	struct node *n = arg;

	if (n->identity)
		identity_up(n->identity, active);
	if (active)
		log_info("controller: connected to %s", why);
	else
		log_warn("controller: %s; keeping what is announced", why);
}

static void on_cert(const struct msg *m, void *arg)
{
	struct node *n = arg;

	if (n->identity)
		identity_msg(n->identity, m);
}

static bool health_known(const struct node *n)
{
	for (unsigned i = 0; i < n->cfg->services_count; i++)
		if (service_status(n->services[i]) == SERVICE_UNKNOWN)
			return false;
	return true;
}

static const struct apply_ops apply_callbacks = { .applied = on_applied, .bgpd = on_bgpd };
static const struct session_ops session_callbacks = {
	.hello = on_hello,
	.report = on_report,
	.directive = on_directive,
	.state = on_session,
	.cert = on_cert,
};

/* A report says up or down: the first one waits until the checks know, or a restarted agent would look dead.
 */
static void maybe_speak(struct node *n)
{
	if (n->session || !n->identity || !identity_creds(n->identity) ||
	    (!health_known(n) && mono_diff_ms(n->started_at, mono_now()) < SPEAK_MS))
		return;
	n->session = session_new(n->loop, n->cfg, identity_creds(n->identity), &session_callbacks, n);
	session_quiet(n->session, voice_of(&n->simulated));
}

/* -- building ---------------------------------------------------------------------------------------- */

void node_make_slots(struct node *n)
{
	const struct agent_config *c = n->cfg;
	size_t max = 0;

	for (unsigned i = 0; i < c->services_count; i++)
		max += c->services[i].prefixes_count;
	n->slots = xcalloc(max, sizeof(*n->slots));
	n->n_slots = 0;
	for (unsigned i = 0; i < c->services_count; i++)
		for (unsigned k = 0; k < c->services[i].prefixes_count; k++) {
			struct slot *s = &n->slots[n->n_slots++];
			prefix_parse(c->services[i].prefixes[k], &s->prefix, NULL);
			s->service = (int)i;
			s->index = k;
		}
}

static void read_boot_id(struct node *n)
{
	auto_fclose FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(n->boot_id, sizeof(n->boot_id), f))
		snprintf(n->boot_id, sizeof(n->boot_id), "unknown");
	n->boot_id[strcspn(n->boot_id, "\n")] = 0;
}

static void on_synced(uv_fs_t *req)
{
	uv_fs_t close_req;

	/* only a power cut could tell the difference, and after one every lease is void: nothing to say */
	uv_fs_close(req->loop, &close_req, (uv_file)(intptr_t)req->data, NULL);
	uv_fs_req_cleanup(req);
	free(req);
}

/* In the thread pool: the loop must not wait for a disk while services die. */
static void sync_state(int fd, void *arg)
{
	struct node *n = arg;
	uv_fs_t *req = xcalloc(1, sizeof(*req));

	req->data = (void *)(intptr_t)fd;
	uv_fs_fsync(n->loop, req, fd, on_synced);
}

void node_load_orders(struct node *n)
{
	struct orders_disk disk = { .dir = n->cfg->controller ? n->state_dir : NULL,
				    .sync = sync_state,
				    .arg = n };

	n->orders = orders_new(&disk, n->boot_id, orders_now_us());
}

void node_start_sampler(struct node *n)
{
	const struct agent_config *cfg = n->cfg;
	auto_free struct prefix *vips = xcalloc(n->n_slots, sizeof(*vips));

	for (size_t i = 0; i < n->n_slots; i++)
		vips[i] = n->slots[i].prefix;
	n->sampler = sampler_new((const char *const *)cfg->sample.interfaces, cfg->sample.interfaces_count,
				 vips, n->n_slots);
}

void node_start_apply(struct node *n)
{
	auto_free struct prefix *own = xcalloc(n->n_slots, sizeof(*own));

	/* not allow.prefixes: those may be wider, and what no service names is not ours */
	for (size_t i = 0; i < n->n_slots; i++)
		own[i] = n->slots[i].prefix;
	n->apply = apply_new(n->loop, n->cfg->frr.vty, own, n->n_slots, &apply_callbacks, n);
}

static void start_parts(struct node *n)
{
	const struct agent_config *cfg = n->cfg;

	node_start_sampler(n);
	node_start_apply(n);
	n->services = xcalloc(cfg->services_count, sizeof(*n->services));
	for (unsigned i = 0; i < cfg->services_count; i++)
		n->services[i] = service_new(n->loop, &cfg->services[i], node_on_service, n);
	n->local = local_new(n->loop, cfg, (struct service *const *)n->services);
}

/* -- certificates ------------------------------------------------------------------------------------- */

static void send_identity(const struct msg *m, void *arg)
{
	struct node *n = arg;

	if (n->session)
		session_send(n->session, m);
}

static void on_creds(struct tls_creds *creds, void *arg)
{
	struct node *n = arg;

	if (n->session)
		session_set_creds(n->session, creds);
}

void node_be(struct node *n, struct identity *id)
{
	static const struct identity_ops ops = { .send = send_identity, .creds = on_creds };

	identity_free(n->identity);
	n->identity = id;
	if (id)
		identity_attach(id, &ops, n);
}

int node_new(uv_loop_t *loop, const struct agent_config *cfg, struct node **ret_node, char *ret_why)
{
	struct identity *id = NULL;
	int err = cfg->controller ? identity_new(cfg, cfg->state_dir, &id, ret_why) : 0;

	if (err < 0)
		return err;
	struct node *n = xcalloc(1, sizeof(*n));
	n->loop = loop;
	n->cfg = cfg;
	n->state_dir = xstrdup(cfg->state_dir);
	node_make_slots(n);
	read_boot_id(n);
	node_load_orders(n);
	node_be(n, id);
	n->started_at = mono_now();
	start_parts(n);
	uv_timer_init(loop, &n->tick);
	n->tick.data = n;
	uv_timer_start(&n->tick, on_tick, TICK_MS, TICK_MS);
	*ret_node = n;
	return 0;
}
