/* SPDX-License-Identifier: Apache-2.0
 * Owns the listening socket and one session per agent. Reports go into the model; what the model wants goes
 * out as a directive when it differs from the last one sent, or when permits are half used up. */
#include "controller/fleet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controller/fleet_int.h"
#include "controller/meter.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define REPORT_MS   1000
#define EXPIRES_MS  3600000 /* I8: a weakening nobody renews for an hour falls back */
#define RENEW_MS    (PERMIT_MS / 3)
#define DEAF_MS	    3000
#define SETTLE_MS   10000      /* after a new leader's start: who else serves is not known yet */
#define DRILL_MS    30000      /* what a drill does to a node ends so long after it was last said */
#define LEASE_NEVER UINT64_MAX /* only an answer ends it */
#define SAY_AGAIN_S 600	       /* who is refused comes back every few seconds; the event does not */

struct node_live *fleet_live(struct session *s)
{
	return &s->fleet->c->model.nodes[s->node];
}

const char *fleet_node_name(const struct session *s)
{
	return s->fleet->c->model.cl->nodes[s->node].name;
}

/* -- refusing ---------------------------------------------------------------------------------------- */

/* True the first time in a while that this one is turned away for this. who: a port at its end is left out.
 */
static bool news(struct fleet *f, const char *who, const char *why)
{
	const char *colon = strrchr(who, ':');
	mono_t now = mono_now();
	struct said it = { .at = now };

	snprintf(it.who, sizeof(it.who), "%.*s", colon ? (int)(colon - who) : (int)strlen(who), who);
	snprintf(it.why, sizeof(it.why), "%s", why);
	for (size_t i = 0; i < SAID; i++) {
		const struct said *s = &f->said[i];
		if (mono_is_set(s->at) && !strcmp(s->who, it.who) && !strcmp(s->why, it.why) &&
		    mono_diff_ms(s->at, now) < SAY_AGAIN_S * 1000)
			return false;
	}
	f->said[f->next_said++ % SAID] = it;
	return true;
}

void fleet_refuse(struct session *s, int code, const char *fmt, ...)
{
	struct msg m = { .kind = MSG_REFUSED, .refused = { .code = code } };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m.refused.reason, sizeof(m.refused.reason), fmt, ap);
	va_end(ap);
	s->refused = true;
	s->fleet->indexed = false;
	if (news(s->fleet, link_peer(s->link), m.refused.reason))
		events_emit(s->fleet->c->events, NULL, 0, "agent.refused", "warning",
			    json_pack("{s:s, s:s}", "node", link_peer(s->link), "from", link_addr(s->link)),
			    "%s (%s): %s", link_peer(s->link), link_addr(s->link), m.refused.reason);
	link_send(s->link, &m);
	link_close(s->link, m.refused.reason);
}

/* -- directives -------------------------------------------------------------------------------------- */

static bool whitelisted(const struct session *s, const struct cl_shard *sh)
{
	for (size_t i = 0; i < sh->n_prefixes; i++) {
		bool in = false;
		for (size_t k = 0; k < s->n_allow && !in; k++)
			in = prefix_contains(&s->allow[k], &sh->prefixes[i]);
		if (!in)
			return false;
	}
	return true;
}

/* What a node should announce: its site's grade, unless the node itself is drained: then the drain grade
 * first, and withdrawn when the drain has come that far and others of the site carry on. */
static uint8_t intent_grade(const struct model *m, size_t node, size_t shard, const struct cell_live *cell)
{
	const struct node_live *n = &m->nodes[node];
	uint8_t withdrawn = (uint8_t)(m->cl->grades.n - 1);

	/* permits that others hold may be used until they are back: a withdrawal waits for them */
	if (cell->wanted == withdrawn && cell->announced && !cell->may_withdraw)
		return cell->grade;
	bool away = n->shards[shard].drill_away;
	if (!n->drain.on && !away)
		return cell->wanted;
	/* a new leader has not heard everybody yet: a drained node stays as it is meanwhile */
	bool settling = mono_diff_ms(m->term_at, mono_now()) < SETTLE_MS;
	if ((away || n->drain.stage == DRAIN_WITHDRAWN) &&
	    (model_covered(m, node, shard) || (settling && !n->shards[shard].announced)))
		return withdrawn;
	ssize_t drain = cluster_grade(m->cl, "drain");
	return m->cl->grades.g[cell->wanted].strength > m->cl->grades.g[drain].strength ? cell->wanted
											: (uint8_t)drain;
}

/* A node on its way out gets the smallest share: not every router ranks by graceful-shutdown. */
static uint32_t intent_weight(const struct node_live *n, size_t shard)
{
	if (n->shards[shard].weight_pin)
		return (uint32_t)n->shards[shard].weight_pin;
	if (n->drain.on)
		return DRAIN_WEIGHT;
	return (uint32_t)(n->weight > 0 ? n->weight : 100);
}

static void fill_intent(const struct model *m, size_t node, size_t shard, struct shard_intent *in)
{
	const struct cl_shard *sh = &m->cl->shards[shard];
	const struct cell_live *cell = model_cell(m, m->cl->nodes[node].site, shard);
	uint8_t g = intent_grade(m, node, shard, cell);
	const struct grade *grade = &m->cl->grades.g[g];
	const struct cl_grade *attrs = &m->cl->grade_attrs[g];

	memset(in, 0, sizeof(*in));
	memcpy(in->shard, sh->name, sizeof(in->shard));
	memcpy(in->grade, grade->name, sizeof(in->grade));
	memcpy(in->prefixes, sh->prefixes, sizeof(in->prefixes));
	in->n_prefixes = sh->n_prefixes;
	in->prepends = grade->prepends;
	memcpy(in->communities, attrs->communities, sizeof(in->communities));
	in->n_communities = attrs->n_communities;
	in->withdrawn = grade->kind == GRADE_WITHDRAWN;
	in->weight = intent_weight(&m->nodes[node], shard);
	const struct node_shard *ns = &m->nodes[node].shards[shard];
	bool pending = ns->told_withdrawn || (ns->permit && ns->permit_end_us == LEASE_NEVER);
	in->permit_ms = ns->grant && !pending ? PERMIT_MS : 0;
	in->expires_ms = !g ? 0 : cell->drilled || ns->drill_away ? DRILL_MS : EXPIRES_MS;
}

/* What a drill has this node simulate. */
static void fill_simulate(const struct model *m, size_t node, struct msg_directive *d)
{
	const struct node_live *n = &m->nodes[node];

	memcpy(d->drill, m->drill, sizeof(m->drill));
	d->simulate = xcalloc(m->cl->n_shards + m->cl->n_services + 2, sizeof(*d->simulate));
	struct simulate *s = d->simulate;
	if (n->drill_mute)
		*s++ = (struct simulate){ .what = SIMULATE_MUTE };
	if (n->drill_deaf)
		*s++ = (struct simulate){ .what = SIMULATE_DEAF };
	for (size_t i = 0; i < m->cl->n_services; i++) {
		if (strcmp(n->drill_dead, "*") != 0 && strcmp(n->drill_dead, m->cl->services[i].name) != 0)
			continue;
		s->what = SIMULATE_DEAD;
		memcpy((s++)->service, m->cl->services[i].name, NAME_LEN);
	}
	for (size_t k = 0; k < m->cl->n_shards; k++) {
		if (!n->shards[k].drill_dead)
			continue;
		s->what = SIMULATE_DEAD;
		memcpy((s++)->shard, m->cl->shards[k].name, NAME_LEN);
	}
	d->n_simulate = (size_t)(s - d->simulate);
	if (d->n_simulate > MAX_SHARDS)
		d->n_simulate = MAX_SHARDS;
	for (size_t i = 0; i < d->n_simulate; i++)
		d->simulate[i].for_ms = DRILL_MS;
}

static void build(const struct session *s, struct msg_directive *ret_d)
{
	const struct model *m = &s->fleet->c->model;
	struct msg_directive d = { .epoch = m->epoch, .heard_us = s->heard_us };

	d.shards = xcalloc(m->cl->n_shards, sizeof(*d.shards));
	for (size_t k = 0; k < m->cl->n_shards; k++) {
		const struct cell_live *cell = model_cell(m, m->cl->nodes[s->node].site, k);
		if (cell->ordered && whitelisted(s, &m->cl->shards[k]))
			fill_intent(m, (size_t)s->node, k, &d.shards[d.n_shards++]);
	}
	for (size_t i = 0; i < d.n_shards && !s->heard_us; i++)
		d.shards[i].permit_ms = 0;
	if (m->drill[0])
		fill_simulate(m, (size_t)s->node, &d);
	*ret_d = d;
}

static bool same_orders(const struct msg_directive *a, const struct msg_directive *b)
{
	return a->n_shards == b->n_shards && a->n_simulate == b->n_simulate &&
	       (!a->n_shards || memcmp(a->shards, b->shards, a->n_shards * sizeof(*a->shards)) == 0) &&
	       (!a->n_simulate ||
		memcmp(a->simulate, b->simulate, a->n_simulate * sizeof(*a->simulate)) == 0);
}

/* Books what the agent may hold once this directive is out. It may hold what it had before, too, until a
 * report shows that this one arrived. */
static void book_permits(struct session *s, const struct msg_directive *d)
{
	const struct cluster *cl = s->fleet->c->model.cl;
	struct node_live *n = fleet_live(s);
	size_t at = 0; /* a directive names its shards in the document's order */

	for (size_t k = 0; k < cl->n_shards; k++) {
		struct node_shard *ns = &n->shards[k];
		bool named = at < d->n_shards && strcmp(d->shards[at].shard, cl->shards[k].name) == 0;
		const struct shard_intent *in = named ? &d->shards[at++] : NULL;
		uint32_t ms = in ? in->permit_ms : 0;
		/* until it answers, it may still be where the order before sent it */
		if (ns->told_withdrawn && in && !in->withdrawn) {
			ns->permit = true;
			ns->permit_end_us = LEASE_NEVER;
			ns->revoke_seq = d->seq;
		}
		ns->told_withdrawn = in ? in->withdrawn : ns->told_withdrawn;
		if (ms) {
			ns->permit = true;
			ns->revoke_seq = 0;
			ns->permit_end_us = d->heard_us + (uint64_t)ms * 1000;
			ns->permit_until = mono_add_ms(mono_now(), ms);
		} else if (ns->permit && !ns->revoke_seq) {
			ns->revoke_seq = d->seq;
		}
	}
}

static void direct(struct session *s)
{
	struct msg m = { .kind = MSG_DIRECTIVE };

	build(s, &m.directive);
	bool fresh = mono_is_set(s->sent_at) && mono_diff_ms(s->sent_at, mono_now()) < RENEW_MS;
	bool nothing = !m.directive.n_shards && !m.directive.n_simulate && !s->last.n_simulate;
	if (nothing || (fresh && same_orders(&m.directive, &s->last))) {
		directive_done(&m.directive);
		return;
	}
	m.directive.seq = ++s->fleet->seq;
	book_permits(s, &m.directive);
	link_send(s->link, &m);
	fleet_live(s)->sent_seq = m.directive.seq;
	s->sent_at = mono_now();
	directive_done(&s->last);
	s->last = m.directive;
}

void fleet_direct(struct fleet *f)
{
	for (struct session *s = f->sessions; s; s = s->next)
		if (s->node >= 0 && !s->refused && s->heard_us && leads(&f->c->lead))
			direct(s);
}

/* -- permits ----------------------------------------------------------------------------------------- */

void fleet_permits(struct fleet *f, const bool *grants)
{
	const struct model *m = &f->c->model;

	for (size_t i = 0; i < m->cl->n_nodes; i++)
		for (size_t k = 0; k < m->cl->n_shards; k++)
			m->nodes[i].shards[k].grant = grants[i * m->cl->n_shards + k];
}

/* A permit is back when a report, and nothing less, was written after its end or after the directive that
 * took it back: the same report says whether it had been used. Our own clock proves nothing: what an agent
 * did while nobody heard it is not known. True: some came back. */
static bool release_permits(struct session *s, const struct msg_report *r)
{
	const struct model *m = &s->fleet->c->model;
	struct node_live *n = fleet_live(s);
	bool answered = r->applied_seq && r->applied_epoch == m->epoch, back = false;

	for (size_t k = 0; k < m->cl->n_shards; k++) {
		struct node_shard *ns = &n->shards[k];
		bool revoked = answered && ns->revoke_seq && r->applied_seq >= ns->revoke_seq;
		bool was = node_shard_may_go(ns);
		if (answered)
			ns->permit_known = true;
		if (ns->permit && (revoked || r->boot_us >= ns->permit_end_us)) {
			ns->permit = false;
			ns->revoke_seq = 0;
		}
		back |= was && !node_shard_may_go(ns);
	}
	return back;
}

/* -- what agents say --------------------------------------------------------------------------------- */

static const struct route_state *route_of(const struct route_state *r, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_cmp(&r[i].prefix, p) == 0)
			return &r[i];
	return NULL;
}

static void take_routes(struct session *s, const struct route_state *routes, size_t n_routes)
{
	const struct cluster *cl = s->fleet->c->model.cl;
	struct node_live *n = fleet_live(s);

	for (size_t k = 0; k < cl->n_shards; k++) {
		struct node_shard *ns = &n->shards[k];
		bool all = true;
		uint8_t grade = (uint8_t)(cl->grades.n - 1);
		ns->error[0] = 0;
		for (size_t i = 0; i < cl->shards[k].n_prefixes; i++) {
			const struct route_state *r = route_of(routes, n_routes, &cl->shards[k].prefixes[i]);
			if (!r || !r->announced)
				all = false;
			if (!r)
				continue;
			ns->seen = true;
			/* attributes we do not know are an announcement like any other: nothing weaker */
			ssize_t g = r->announced ? cluster_grade(cl, r->grade) : -1;
			uint8_t known = g < 0 ? 0 : (uint8_t)g;
			if (r->announced && known < grade)
				grade = known;
			ns->weight = r->weight;
			ns->neighbours = r->neighbours;
			if (r->error[0])
				snprintf(ns->error, sizeof(ns->error), "%s", r->error);
		}
		ns->announced = all;
		ns->grade = grade;
		model_adopt_weight(n, k);
	}
}

static void take_services(struct session *s, const struct msg_report *r)
{
	const struct cluster *cl = s->fleet->c->model.cl;
	struct node_live *n = fleet_live(s);

	n->service_up = r->n_services > 0;
	n->service_reason[0] = 0;
	for (size_t i = 0; i < r->n_services; i++)
		if (!r->services[i].up) {
			n->service_up = false;
			snprintf(n->service_reason, sizeof(n->service_reason), "%.60s: %.190s",
				 r->services[i].name, r->services[i].reason);
		}
	for (size_t k = 0; k < cl->n_shards; k++) {
		const char *name = cl->services[cl->shards[k].service].name;
		n->shards[k].service_up = false;
		for (size_t i = 0; i < r->n_services; i++)
			if (strcmp(r->services[i].name, name) == 0)
				/* what a drill takes for dead has to be dead for permits, too */
				n->shards[k].service_up = r->services[i].up && !n->shards[k].drill_dead;
	}
}

static void on_report(struct session *s, const struct msg *m)
{
	struct node_live *n = fleet_live(s);
	const struct msg_report *r = &m->report;

	if (r->boot_us < s->heard_us) /* overtaken: it must not undo what a newer one said */
		return;
	s->heard_us = r->boot_us;
	if (!n->meter)
		n->meter = meter_new();
	n->report_at = mono_now();
	n->bgp_ok = r->bgp_ok;
	n->applied_seq = r->applied_seq;
	if (meter_feed(n->meter, s->fleet->c->model.cl, (size_t)s->node, r, n))
		n->measured = true;
	take_services(s, r);
	take_routes(s, r->routes, r->n_routes);
	if (release_permits(s, r) && s->fleet->ask) /* somebody may wait for it */
		s->fleet->ask(s->fleet->c, (size_t)s->node, SIZE_MAX, "");
}

static void on_applied(struct session *s, const struct msg *m)
{
	struct node_live *n = fleet_live(s);

	if (m->applied.error[0] && strcmp(m->applied.error, n->applied_error) != 0)
		events_emit(s->fleet->c->events, NULL, 0, "agent.error", "warning",
			    json_pack("{s:s}", "node", fleet_node_name(s)), "%s: %s", fleet_node_name(s),
			    m->applied.error);
	snprintf(n->applied_error, sizeof(n->applied_error), "%s", m->applied.error);
	if (m->applied.epoch != s->fleet->c->model.epoch)
		return;
	n->applied_seq = m->applied.seq;
	take_routes(s, m->applied.routes, m->applied.n_routes);
}

static void on_permit_request(struct session *s, const struct msg *m)
{
	ssize_t k = cluster_shard(s->fleet->c->model.cl, m->permit_request.shard);

	if (k >= 0 && s->fleet->ask)
		s->fleet->ask(s->fleet->c, (size_t)s->node, (size_t)k, m->permit_request.reason);
}

static void on_ping(struct session *s, const struct msg *m)
{
	struct msg pong = { .kind = MSG_PONG, .nonce = m->nonce };

	link_send(s->link, &pong);
}

/* -- sessions ---------------------------------------------------------------------------------------- */

struct session *fleet_of_node(struct fleet *f, size_t node)
{
	size_t n = f->c->model.cl->n_nodes;

	if (!f->indexed) {
		free(f->by_node);
		f->by_node = xcalloc(n, sizeof(struct session *));
		for (struct session *s = f->sessions; s; s = s->next)
			if (s->node >= 0 && !s->refused)
				f->by_node[s->node] = s;
		f->indexed = true;
	}
	return node < n ? f->by_node[node] : NULL;
}

static struct session *session_of(const struct fleet *f, size_t node, const struct session *but)
{
	for (struct session *s = f->sessions; s; s = s->next)
		if (s != but && !s->refused && s->node == (ssize_t)node)
			return s;
	return NULL;
}

static void welcome(struct session *s, const struct msg_hello *h)
{
	struct controller *c = s->fleet->c;
	struct msg m = { .kind = MSG_WELCOME,
			 .welcome = { .major = PROTO_MAJOR,
				      .minor = PROTO_MINOR,
				      .epoch = c->model.epoch,
				      .report_interval_ms = REPORT_MS } };
	struct node_live *n = fleet_live(s);

	snprintf(m.welcome.controller, sizeof(m.welcome.controller), "%s", tls_creds_name(s->fleet->creds));
	s->allow = xcalloc(h->n_prefixes, sizeof(*s->allow));
	memcpy(s->allow, h->prefixes, h->n_prefixes * sizeof(*s->allow));
	s->n_allow = h->n_prefixes;
	n->connected = true;
	n->no_drills = h->no_drills;
	n->measured = false;
	n->connected_at = mono_now();
	snprintf(n->addr, sizeof(n->addr), "%s", link_addr(s->link));
	snprintf(n->version, sizeof(n->version), "%s", h->version);
	/* no permit survives a reboot, but it may have been used before: wait for what its reports say */
	for (size_t k = 0; k < c->model.cl->n_shards && strcmp(n->boot_id, h->boot_id) != 0; k++)
		n->shards[k].permit = n->shards[k].permit_known = false;
	snprintf(n->boot_id, sizeof(n->boot_id), "%s", h->boot_id);
	link_send(s->link, &m);
	if (c->enrol)
		fleet_send_trust(s);
	events_emit(c->events, NULL, 0, "agent.up", "info", json_pack("{s:s}", "node", fleet_node_name(s)),
		    "agent %s connected from %s", fleet_node_name(s), n->addr);
	for (size_t k = 0; k < c->model.cl->n_shards; k++)
		if (!whitelisted(s, &c->model.cl->shards[k]))
			log_warn(
				"%s may not announce shard %s: it is not in allow.prefixes of its agent.yaml",
				fleet_node_name(s), c->model.cl->shards[k].name);
}

/* Who leads, as far as we know; the agent follows, or stays until we know better. */
static void point(struct session *s)
{
	struct msg m = { .kind = MSG_NOT_LEADER };

	snprintf(m.not_leader.leader, sizeof(m.not_leader.leader), "%s", s->fleet->c->lead.agents);
	link_send(s->link, &m);
}

static void keep_hello(struct session *s, const struct msg_hello *h)
{
	free(s->hello.prefixes);
	s->hello = *h;
	s->hello.prefixes = xcalloc(h->n_prefixes, sizeof(*h->prefixes));
	memcpy(s->hello.prefixes, h->prefixes, h->n_prefixes * sizeof(*h->prefixes));
	s->waiting = true;
}

static void admit(struct session *s, const struct msg_hello *h)
{
	struct controller *c = s->fleet->c;
	ssize_t node = cluster_node(c->model.cl, link_peer(s->link));

	if (h->major != PROTO_MAJOR) {
		fleet_refuse(s, ERR_VERSION,
			     "agent speaks protocol %u, this controller speaks %u: upgrade the older one",
			     h->major, PROTO_MAJOR);
		return;
	}
	if (fleet_refuses_cert(s))
		return;
	if (node < 0) {
		fleet_refuse(s, -ENOENT,
			     "node \"%s\" is not in the cluster document: add it with sluicectl apply",
			     link_peer(s->link));
		return;
	}
	const struct session *other = session_of(s->fleet, (size_t)node, s);
	if (other) {
		fleet_refuse(
			s, ERR_CONFLICT,
			"an agent named \"%s\" is connected from %s already: two agents cannot share a name",
			link_peer(s->link), link_addr(other->link));
		return;
	}
	if (h->last_epoch > c->model.epoch)
		log_warn("%s obeyed epoch %lu, ours is %lu: it will refuse our directives",
			 link_peer(s->link), h->last_epoch, c->model.epoch);
	s->node = node;
	s->fleet->indexed = false;
	welcome(s, h);
}

static void on_hello(struct session *s, const struct msg *m)
{
	const struct leadership *l = &s->fleet->c->lead;

	if (listens(l)) {
		admit(s, &m->hello);
		return;
	}
	keep_hello(s, &m->hello);
	point(s);
	/* cut off from the store, we would not hear who leads: the agent is better off elsewhere */
	if (mono_diff_ms(l->heard_at, mono_now()) > DEAF_MS)
		link_close(s->link, "this controller does not lead and cannot reach its store");
}

static void on_msg(struct link *l, const struct msg *m, void *arg)
{
	static const struct {
		void (*fn)(struct session *, const struct msg *);
		bool before_hello;
	} handlers[] = {
		[MSG_HELLO] = { on_hello, true },
		[MSG_REPORT] = { on_report, false },
		[MSG_APPLIED] = { on_applied, false },
		[MSG_PERMIT_REQUEST] = { on_permit_request, false },
		[MSG_CERT_REQUEST] = { fleet_cert_request, false },
		[MSG_IDENTITY] = { fleet_identified, false },
		[MSG_PING] = { on_ping, true },
	};
	struct session *s = arg;

	(void)l;
	if (!s || s->refused || m->kind >= ARRAY_LEN(handlers) || !handlers[m->kind].fn)
		return;
	if (s->waiting && m->kind != MSG_PING)
		return;
	if ((s->node < 0) != handlers[m->kind].before_hello && m->kind != MSG_PING) {
		fleet_refuse(s, ERR_MALFORMED, "%s came %s Hello", msg_kind_str(m->kind),
			     s->node < 0 ? "before" : "after");
		return;
	}
	handlers[m->kind].fn(s, m);
}

/* -- connections ------------------------------------------------------------------------------------- */

static void on_up(struct link *l, void *arg)
{
	(void)arg;
	log_debug("%s: TLS is up with %s", link_addr(l), link_peer(l));
}

static void free_session(struct session *s)
{
	for (struct session **p = &s->fleet->sessions; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			break;
		}
	s->fleet->n_sessions--;
	s->fleet->indexed = false;
	directive_done(&s->last);
	free(s->allow);
	free(s->hello.prefixes);
	free(s);
}

static void on_down(struct link *l, int err, const char *why, void *arg)
{
	struct session *s = arg;
	const char *reason = why && *why ? why : err_str(err);

	if (!s)
		return;
	if (s->node >= 0 && !s->refused) {
		fleet_live(s)->connected = false;
		events_emit(s->fleet->c->events, NULL, 0, "agent.down", "warning",
			    json_pack("{s:s}", "node", fleet_node_name(s)),
			    "agent %s is gone (%s): what it announces stays as it is", fleet_node_name(s),
			    reason);
	} else if (!s->refused && news(s->fleet, link_addr(l), reason)) {
		events_emit(s->fleet->c->events, NULL, 0, "agent.rejected", "warning",
			    json_pack("{s:s}", "from", link_addr(l)), "connection from %s: %s", link_addr(l),
			    reason);
	}
	free_session(s);
}

static const struct link_ops link_callbacks = { .up = on_up, .msg = on_msg, .down = on_down };

static void on_connection(uv_stream_t *server, int status)
{
	struct fleet *f = server->data;

	if (status < 0)
		return;
	struct session *s = xcalloc(1, sizeof(*s));
	*s = (struct session){ .fleet = f, .node = -1, .next = f->sessions };
	s->link = link_accept(server, f->creds, &link_callbacks, s);
	if (!s->link) {
		free(s);
		return;
	}
	f->sessions = s;
	if (++f->n_sessions > FLEET_SESSIONS_MAX)
		link_close(s->link, "too many agents are connected");
}

void fleet_set_creds(struct fleet *f, struct tls_creds *creds)
{
	tls_creds_unref(f->creds);
	f->creds = tls_creds_ref(creds);
}

void fleet_on_ask(struct fleet *f, fleet_ask_fn fn)
{
	f->ask = fn;
}

/* Indices changed: find every node again by its certificate. */
void fleet_changed(struct fleet *f)
{
	f->indexed = false;
	for (struct session *s = f->sessions; s; s = s->next) {
		if (s->node < 0 || s->refused)
			continue;
		s->node = cluster_node(f->c->model.cl, link_peer(s->link));
		if (s->node < 0)
			fleet_refuse(s, -ENOENT, "node \"%s\" was removed from the cluster document",
				     link_peer(s->link));
		else
			s->sent_at = (mono_t){ 0 };
	}
}

static void dismiss(struct session *s, const char *why)
{
	if (s->node >= 0)
		fleet_live(s)->connected = false;
	s->node = -1;
	s->refused = true;
	s->fleet->indexed = false;
	link_close(s->link, why);
}

void fleet_dismiss(struct fleet *f, const char *why)
{
	for (struct session *s = f->sessions; s; s = s->next)
		if (s->node >= 0 && !s->refused)
			dismiss(s, why);
}

void fleet_lead(struct fleet *f)
{
	bool take = listens(&f->c->lead);

	for (struct session *s = f->sessions; s; s = s->next) {
		if (s->refused || (take && !s->waiting) || (!take && s->node < 0 && !s->waiting))
			continue;
		if (take) {
			s->waiting = false;
			admit(s, &s->hello);
			continue;
		}
		point(s);
		if (s->node >= 0)
			dismiss(s, "this controller does not lead any more");
	}
}

size_t fleet_sessions(const struct fleet *f)
{
	return f->n_sessions;
}

static void on_closed(uv_handle_t *h)
{
	struct fleet *f = h->data;

	tls_creds_unref(f->creds);
	free(f->by_node);
	free(f);
}

int fleet_new(struct controller *c, struct tls_creds *creds, const struct sockaddr *listen,
	      struct fleet **ret_fleet, char *ret_why)
{
	struct fleet *f = xcalloc(1, sizeof(*f));
	char where[80];

	*f = (struct fleet){ .c = c, .creds = tls_creds_ref(creds) };
	uv_tcp_init(c->loop, &f->server);
	f->server.data = f;
	int err = uv_tcp_bind(&f->server, listen, 0);
	if (!err)
		err = uv_listen((uv_stream_t *)&f->server, 512, on_connection);
	if (err) {
		snprintf(ret_why, TEXT_LEN, "agents.listen %s: %s",
			 endpoint_str(listen, where, sizeof(where)), uv_strerror(err));
		uv_close((uv_handle_t *)&f->server, on_closed);
		return err;
	}
	*ret_fleet = f;
	return 0;
}

void fleet_free(struct fleet *f)
{
	while (f->sessions) {
		struct session *s = f->sessions;
		link_set_arg(s->link, NULL);
		link_close(s->link, "controller stops");
		free_session(s);
	}
	uv_close((uv_handle_t *)&f->server, on_closed);
}
