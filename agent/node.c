/* SPDX-License-Identifier: Apache-2.0
 * Timers: tick, once a second, for what passes with time (permits, expiries). Everything runs on the loop. */
#include "agent/node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/apply.h"
#include "agent/failsafe.h"
#include "agent/sample/sample.h"
#include "agent/session.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "dev"
#endif
#define TICK_MS	 1000
#define ASK_MS	 1000 /* a permit is asked for again after this */
#define SPEAK_MS 5000 /* health still unknown after this: speak to the controller all the same */

/* One prefix of the configuration. */
struct slot {
	struct prefix prefix;
	int service; /* index, -1: none */
	struct shard_intent intent;
	bool has_intent;
	mono_t permit_until, expires_at, asked_at;
	enum fs_action last;
	char refused[TEXT_LEN]; /* why the intent was not taken */
};

struct node {
	uv_loop_t *loop;
	const struct agent_config *cfg;
	struct apply *apply;
	struct service **services;
	struct sampler *sampler;
	struct session *session;
	struct slot *slots;
	size_t n_slots;
	uint64_t epoch, seq; /* of the last directive taken */
	bool applied_sent;
	char boot_id[NAME_LEN];
	uv_timer_t tick;
	struct tls_creds *creds; /* NULL: alone, or the session has been started */
	mono_t started_at;
};

static const struct route_state *state_of(const struct node *n, const struct prefix *p)
{
	size_t count;
	const struct route_state *r = apply_state(n->apply, &count);

	for (size_t i = 0; i < count; i++)
		if (prefix_cmp(&r[i].prefix, p) == 0)
			return &r[i];
	return NULL;
}

static bool later(mono_t t)
{
	return mono_is_set(t) && mono_diff_ms(mono_now(), t) > 0;
}

static enum fs_order order_of(const struct node *n, const struct slot *s)
{
	if (!n->cfg->controller)
		return FS_ANNOUNCE;
	if (!s->has_intent)
		return FS_NONE;
	return s->intent.withdrawn ? FS_WITHDRAW : FS_ANNOUNCE;
}

static const struct shard_intent *standalone_intent(void)
{
	static const struct shard_intent normal = { .shard = "", .grade = "normal", .weight = 100 };

	return &normal;
}

static void ask(struct node *n, struct slot *s)
{
	struct msg m = { .kind = MSG_PERMIT_REQUEST };

	if (mono_is_set(s->asked_at) && mono_diff_ms(s->asked_at, mono_now()) < ASK_MS)
		return;
	s->asked_at = mono_now();
	snprintf(m.permit_request.shard, NAME_LEN, "%s", s->intent.shard);
	struct service_state st;
	service_state(n->services[s->service], &st);
	snprintf(m.permit_request.reason, TEXT_LEN, "%s", st.reason);
	session_send(n->session, &m);
	session_report_now(n->session);
}

static void say_change(const struct slot *s, enum fs_action to, const char *health, bool announced)
{
	char p[PREFIX_STRLEN];

	if (to == s->last)
		return;
	log_info("%s: %s -> %s (service %s, %s)", prefix_str(&s->prefix, p), failsafe_action_str(s->last),
		 failsafe_action_str(to), health, announced ? "announced" : "not announced");
}

/* Appends what this slot wants, if anything. */
static void decide_slot(struct node *n, struct slot *s, struct route_want *wants, size_t *n_wants)
{
	const struct route_state *now = state_of(n, &s->prefix);
	enum service_status health =
		s->service < 0 ? SERVICE_UNKNOWN : service_status(n->services[s->service]);
	struct fs_input in = {
		.order = order_of(n, s),
		.health = health,
		.permit = !n->cfg->controller || later(s->permit_until),
		.announced = now && now->announced,
	};
	enum fs_action a = failsafe_decide(&in);
	const struct shard_intent *intent = s->has_intent ? &s->intent : standalone_intent();

	say_change(s, a, service_status_str(health), in.announced);
	s->last = a;
	if (a == FS_ASK && n->session)
		ask(n, s);
	if (a == FS_LEAVE)
		return;
	if (a == FS_ASK && !s->has_intent)
		return;
	struct route_want *w = &wants[*n_wants];
	if (failsafe_route(intent, &s->prefix, n->cfg->allow.communities, n->cfg->allow.communities_count, w,
			   s->refused) < 0)
		return;
	s->refused[0] = 0;
	if (a == FS_DO_WITHDRAW && w->announced) {
		w->announced = false;
		snprintf(w->grade, sizeof(w->grade), "withdrawn");
	}
	++*n_wants;
}

/* A weakening whose controller fell silent falls back to normal, if the service is up. Runs out only after
 * expires_ms without news, so a controller's restart changes nothing. */
static void expire(struct slot *s)
{
	char p[PREFIX_STRLEN];

	if (!s->has_intent || !mono_is_set(s->expires_at) || later(s->expires_at))
		return;
	log_warn("%s: grade %s expired without news from the controller: back to normal",
		 prefix_str(&s->prefix, p), s->intent.grade);
	snprintf(s->intent.grade, sizeof(s->intent.grade), "normal");
	s->intent.prepends = 0;
	s->intent.n_communities = 0;
	s->intent.withdrawn = false;
	s->expires_at = (mono_t){ 0 };
}

static void node_decide(struct node *n)
{
	auto_free struct route_want *wants = xcalloc(n->n_slots, sizeof(*wants));
	size_t count = 0;

	for (size_t i = 0; i < n->n_slots; i++) {
		expire(&n->slots[i]);
		decide_slot(n, &n->slots[i], wants, &count);
	}
	int err = apply_want(n->apply, wants, count);
	if (err < 0)
		log_error("routes not taken: %s", err_str(err));
}

static void maybe_speak(struct node *n);

static void on_tick(uv_timer_t *t)
{
	maybe_speak(t->data);
	node_decide(t->data);
}

/* -- the parts call back ---------------------------------------------------------------------------- */

static void on_service(struct service *s, enum service_status from, enum service_status to,
		       const char *reason, void *arg)
{
	struct node *n = arg;

	log_info("service %s: %s -> %s: %s", service_cfg(s)->name, service_status_str(from),
		 service_status_str(to), reason);
	maybe_speak(n);
	node_decide(n);
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
	struct msg m = { .kind = MSG_APPLIED, .applied = { .epoch = n->epoch, .seq = n->seq } };

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
	send_applied(n, "");
	node_decide(n);
}

static void on_bgpd(bool up, const char *why, void *arg)
{
	struct node *n = arg;

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
	h->last_epoch = n->epoch;
	h->prefixes = xcalloc(n->cfg->allow.prefixes_count, sizeof(*h->prefixes));
	h->n_prefixes = n->cfg->allow.prefixes_count;
	memcpy(h->prefixes, n->cfg->prefixes, h->n_prefixes * sizeof(*h->prefixes));
}

static void on_report(struct msg_report *r, void *arg)
{
	struct node *n = arg;

	sampler_take(n->sampler, r);
	r->applied_epoch = n->epoch;
	r->applied_seq = n->seq;
	r->bgp_ok = apply_bgp_ok(n->apply);
	r->services = xcalloc(n->cfg->services_count, sizeof(*r->services));
	r->n_services = n->cfg->services_count;
	for (size_t i = 0; i < r->n_services; i++)
		service_state(n->services[i], &r->services[i]);
	copy_routes(n, &r->routes, &r->n_routes);
}

static struct slot *slot_of(struct node *n, const struct prefix *p)
{
	for (size_t i = 0; i < n->n_slots; i++)
		if (prefix_cmp(&n->slots[i].prefix, p) == 0)
			return &n->slots[i];
	return NULL;
}

static void take_intent(struct slot *s, const struct shard_intent *in)
{
	mono_t now = mono_now();

	s->intent = *in;
	s->has_intent = true;
	s->permit_until = in->permit_ms ? mono_add_ms(now, in->permit_ms) : (mono_t){ 0 };
	s->expires_at = in->expires_ms ? mono_add_ms(now, in->expires_ms) : (mono_t){ 0 };
	s->refused[0] = 0;
}

static void on_directive(const struct msg_directive *d, void *arg)
{
	struct node *n = arg;
	char error[TEXT_LEN] = "", p[PREFIX_STRLEN];

	if (d->epoch < n->epoch || (d->epoch == n->epoch && d->seq <= n->seq && n->seq)) {
		snprintf(error, sizeof(error),
			 "directive %lu of epoch %lu is older than %lu of epoch %lu: refused", d->seq,
			 d->epoch, n->seq, n->epoch);
		log_warn("%s", error);
		send_applied(n, error);
		return;
	}
	n->epoch = d->epoch;
	n->seq = d->seq;
	for (size_t i = 0; i < d->n_shards; i++)
		for (size_t k = 0; k < d->shards[i].n_prefixes; k++) {
			struct slot *s = slot_of(n, &d->shards[i].prefixes[k]);
			if (s) {
				take_intent(s, &d->shards[i]);
				continue;
			}
			snprintf(error, sizeof(error),
				 "%s is not a prefix of a service in this node's agent.yaml: refused",
				 prefix_str(&d->shards[i].prefixes[k], p));
			log_warn("shard %s: %s", d->shards[i].shard, error);
		}
	node_decide(n);
	send_applied(n, error);
}

static void on_session(bool active, const char *why, void *arg)
{
	(void)arg;
	if (active)
		log_info("controller: connected to %s", why);
	else
		log_warn("controller: %s; keeping what is announced", why);
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
	.hello = on_hello, .report = on_report, .directive = on_directive, .state = on_session
};

/* A report says up or down: the first one waits until the checks know, or a restarted agent would look dead.
 */
static void maybe_speak(struct node *n)
{
	if (!n->creds || (!health_known(n) && mono_diff_ms(n->started_at, mono_now()) < SPEAK_MS))
		return;
	n->session = session_new(n->loop, n->cfg, n->creds, &session_callbacks, n);
	tls_creds_unref(n->creds);
	n->creds = NULL;
}

/* -- building ---------------------------------------------------------------------------------------- */

static void make_slots(struct node *n)
{
	const struct agent_config *c = n->cfg;
	size_t max = 0;

	for (unsigned i = 0; i < c->services_count; i++)
		max += c->services[i].prefixes_count;
	n->slots = xcalloc(max, sizeof(*n->slots));
	for (unsigned i = 0; i < c->services_count; i++)
		for (unsigned k = 0; k < c->services[i].prefixes_count; k++) {
			struct slot *s = &n->slots[n->n_slots++];
			prefix_parse(c->services[i].prefixes[k], &s->prefix, NULL);
			s->service = (int)i;
		}
}

static void read_boot_id(struct node *n)
{
	auto_fclose FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(n->boot_id, sizeof(n->boot_id), f))
		snprintf(n->boot_id, sizeof(n->boot_id), "unknown");
	n->boot_id[strcspn(n->boot_id, "\n")] = 0;
}

static int check_certificate(const struct agent_config *cfg, struct tls_creds *creds, char *ret_why)
{
	if (strcmp(tls_creds_name(creds), cfg->node) == 0)
		return 0;
	snprintf(ret_why, CONF_WHY_LEN,
		 "%s is the certificate of \"%s\", but node is \"%s\": they must be the same",
		 cfg->controller->cert, tls_creds_name(creds), cfg->node);
	return ERR_CERT;
}

static void start_parts(struct node *n)
{
	const struct agent_config *cfg = n->cfg;
	auto_free struct prefix *vips = xcalloc(n->n_slots, sizeof(*vips));

	for (size_t i = 0; i < n->n_slots; i++)
		vips[i] = n->slots[i].prefix;
	n->sampler = sampler_new((const char *const *)cfg->sample.interfaces, cfg->sample.interfaces_count,
				 vips, n->n_slots);
	n->apply = apply_new(n->loop, cfg->frr.vty, cfg->prefixes, cfg->allow.prefixes_count,
			     &apply_callbacks, n);
	n->services = xcalloc(cfg->services_count, sizeof(*n->services));
	for (unsigned i = 0; i < cfg->services_count; i++)
		n->services[i] = service_new(n->loop, &cfg->services[i], on_service, n);
}

int node_new(uv_loop_t *loop, const struct agent_config *cfg, struct node **ret_node, char *ret_why)
{
	struct tls_creds *creds = NULL;
	char why[TEXT_LEN];
	int err = 0;

	if (cfg->controller) {
		err = tls_creds_load(cfg->controller->ca, cfg->controller->cert, cfg->controller->key, &creds,
				     why);
		if (err < 0) {
			snprintf(ret_why, CONF_WHY_LEN, "%s", why);
			return err;
		}
		err = check_certificate(cfg, creds, ret_why);
		if (err < 0) {
			tls_creds_unref(creds);
			return err;
		}
	}
	struct node *n = xcalloc(1, sizeof(*n));
	n->loop = loop;
	n->cfg = cfg;
	make_slots(n);
	read_boot_id(n);
	n->creds = creds;
	n->started_at = mono_now();
	start_parts(n);
	uv_timer_init(loop, &n->tick);
	n->tick.data = n;
	uv_timer_start(&n->tick, on_tick, TICK_MS, TICK_MS);
	*ret_node = n;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct node *n = h->data;

	free(n->services);
	free(n->slots);
	free(n);
}

void node_free(struct node *n)
{
	if (n->session)
		session_free(n->session);
	if (n->creds)
		tls_creds_unref(n->creds);
	for (unsigned i = 0; i < n->cfg->services_count; i++)
		service_free(n->services[i]);
	apply_free(n->apply);
	sampler_free(n->sampler, true);
	uv_close((uv_handle_t *)&n->tick, on_closed);
}
