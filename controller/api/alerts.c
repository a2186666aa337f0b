/* SPDX-License-Identifier: Apache-2.0
 * What is wrong at this moment, derived from the model each time it is asked: nothing is remembered, so
 * nothing can be forgotten. Rules are rows; each looks at one kind of object. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "controller/api/api_int.h"
#include "controller/drill/drill.h"
#include "controller/fleet.h"
#include "controller/rounds.h"

#define ROUND_LATE_MS (5 * ROUND_MS)
#define DEAF_MS	      3000

struct finder {
	const struct api *a;
	const struct model *m;
	mono_t now;
	enum alert_severity wanted; /* of this pass: alerts come before warnings */
	void (*fn)(const struct alert *al, void *arg);
	void *arg;
};

static void found(const struct finder *f, enum alert_severity severity, const char *kind, const char *name,
		  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void found(const struct finder *f, enum alert_severity severity, const char *kind, const char *name,
		  const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (severity != f->wanted)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->fn(&(struct alert){ severity, kind, name, text }, f->arg);
}

static void find_round(const struct finder *f)
{
	const struct rounds_view *v = api_rounds(f->a);
	int64_t age_ms = v ? mono_diff_ms(v->at, f->now) : mono_diff_ms(f->m->started_at, f->now);

	if (age_ms > ROUND_LATE_MS)
		found(f, ALERT_ALERT, "round", "", "no round ended for %" PRId64 " ms: nothing is decided",
		      age_ms);
	if (v && v->tilt)
		found(f, ALERT_ALERT, "round", "",
		      "tilt: the loop stalled or the clock jumped; we observe and do not act");
}

static void find_leader(const struct finder *f)
{
	const struct leadership *l = &f->a->c->lead;
	int64_t deaf_ms = mono_diff_ms(l->heard_at, f->now);

	if (!l->shared)
		return;
	if (!mono_is_set(l->heard_at) || deaf_ms > DEAF_MS)
		found(f, ALERT_ALERT, "store", "",
		      "no answer%s: nothing new is decided, announcements stay: %s",
		      mono_is_set(l->heard_at) ? "" : " since the start", store_why(f->a->c->store));
	if (l->state == LEAD_LOST)
		found(f, ALERT_ALERT, "leader", "",
		      "the lease cannot be renewed: nothing is ordered, agents hold");
	else if (l->state != LEAD_LEADER && !l->api[0])
		found(f, ALERT_ALERT, "leader", "", "no controller leads");
	else if (l->state != LEAD_LEADER)
		found(f, ALERT_WARNING, "leader", l->name,
		      "this is a standby, which hears no agent: the present is at %s", l->api);
}

static void find_store(const struct finder *f)
{
	const struct store_health *h = store_health(f->a->c->store);

	if (mono_is_set(h->failing_since) && leads(&f->a->c->lead))
		found(f, ALERT_ALERT, "store", "",
		      "writes have failed for %" PRId64
		      " s (%s): changes are refused, nothing new is weakened",
		      mono_diff_ms(h->failing_since, f->now) / 1000, store_why(f->a->c->store));
}

static void find_mode(const struct finder *f)
{
	if (f->m->mode == MODE_FREEZE)
		found(f, ALERT_WARNING, "mode", "", "freeze: nothing is changed (%s)", f->m->mode_reason);
}

/* Whoever is woken up shall know what is only rehearsed. */
static void find_drill(const struct finder *f)
{
	const char *waits = drills_waits(f->a->c->drills);

	if (f->m->drill[0] && *waits)
		found(f, ALERT_ALERT, "drill", f->m->drill, "it cannot be restored yet: %s", waits);
	else if (f->m->drill[0])
		found(f, ALERT_WARNING, "drill", f->m->drill,
		      "a drill is under way: sluicectl drill watch; sluicectl drill abort restores at once");
}

static void find_plan(const struct finder *f)
{
	const struct rounds_view *v = api_rounds(f->a);

	if (!v || !v->plan)
		return;
	if (v->plan->state == PLAN_HOLD || v->plan->state == PLAN_ABSORB)
		found(f, ALERT_WARNING, "plan", "", "%s: %s", plan_state_str(v->plan->state), v->plan->why);
	else if (v->plan->state == PLAN_CONTAIN)
		found(f, ALERT_ALERT, "plan", "", "%s: %s", plan_state_str(v->plan->state), v->plan->why);
}

static void find_sites(const struct finder *f)
{
	const struct policy *p = &f->m->cl->policy;

	for (size_t i = 0; i < f->m->cl->n_sites; i++) {
		const struct site_live *s = &f->m->sites[i];
		const char *name = f->m->cl->sites[i].name;
		if (!s->healthy)
			found(f, ALERT_ALERT, "site", name,
			      "not healthy: no node there reports, serves and has BGP");
		if (s->healthy && s->util >= 1.0)
			found(f, ALERT_ALERT, "site", name, "above its capacity: %.0f %%", s->util * 100);
		else if (s->healthy && s->util >= p->trigger_util)
			found(f, ALERT_WARNING, "site", name, "hot: %.0f %% of its capacity", s->util * 100);
	}
}

/* A certificate renews by itself at two thirds of its life: in the last quarter something is wrong. */
static void find_cert(const struct finder *f, size_t node)
{
	const char *name = f->m->cl->nodes[node].name;
	int64_t now_s = wall_now_ms() / 1000, from_s, to_s;
	struct fleet_identity id;

	if (!f->a->c->fleet || !fleet_identity(f->a->c->fleet, node, &id))
		return;
	from_s = id.told ? (int64_t)id.told->from_s : pki_issued_s(id.shown);
	to_s = id.told ? (int64_t)id.told->to_s : id.shown->to_s;
	if (to_s - now_s < (to_s - from_s) / 4)
		found(f, ALERT_ALERT, "certificate", name,
		      "its certificate ends in %" PRId64
		      " h and was not renewed%s%s: without one it stays connected, "
		      "and cannot come back",
		      to_s > now_s ? (to_s - now_s) / 3600 : 0, id.told && id.told->error[0] ? ": " : "",
		      id.told ? id.told->error : "");
	else if (id.told && id.told->error[0])
		found(f, ALERT_WARNING, "certificate", name, "its certificate could not be renewed yet: %s",
		      id.told->error);
}

static void find_node(const struct finder *f, const struct node_live *n, const char *name)
{
	int64_t age_ms = mono_diff_ms(n->report_at, f->now);

	if (!n->connected) {
		found(f, ALERT_WARNING, "node", name,
		      mono_is_set(n->report_at) ? "not connected; last heard %" PRId64 " s ago"
						: "never connected",
		      age_ms / 1000);
		return;
	}
	if (!mono_is_set(n->report_at))
		found(f, ALERT_WARNING, "node", name, "connected and has not reported yet");
	else if (age_ms > f->m->cl->policy.stale_ms)
		found(f, ALERT_WARNING, "node", name, "its last report is %" PRId64 " ms old", age_ms);
	if (!n->bgp_ok)
		found(f, ALERT_ALERT, "node", name, "bgpd does not answer or has no established neighbour");
	if (!n->service_up)
		found(f, ALERT_WARNING, "service", name, "service down: %s", n->service_reason);
	if (n->dropping)
		found(f, ALERT_ALERT, "node", name, "drops traffic; load is %.0f %% of its capacity",
		      n->util * 100);
	if (n->applied_error[0])
		found(f, ALERT_ALERT, "node", name, "refused its directive: %s", n->applied_error);
	for (size_t k = 0; k < f->m->cl->n_shards; k++)
		if (n->shards[k].error[0])
			found(f, ALERT_ALERT, "route", name, "%s: %s", f->m->cl->shards[k].name,
			      n->shards[k].error);
}

static void find_nodes(const struct finder *f)
{
	for (size_t i = 0; i < f->m->cl->n_nodes; i++) {
		find_node(f, &f->m->nodes[i], f->m->cl->nodes[i].name);
		find_cert(f, i);
	}
}

static void find_shards(const struct finder *f)
{
	for (size_t k = 0; k < f->m->cl->n_shards; k++) {
		const struct cl_shard *s = &f->m->cl->shards[k];
		unsigned n = 0, min = f->m->cl->services[s->service].min_sites;
		for (size_t i = 0; i < f->m->cl->n_sites; i++)
			n += model_cell(f->m, i, k)->announced;
		if (n == 0)
			found(f, ALERT_ALERT, "shard", s->name, "announced nowhere");
		else if (n < min)
			found(f, ALERT_ALERT, "shard", s->name, "announced by %u site%s; %u are needed", n,
			      n == 1 ? "" : "s", min);
	}
}

static void find_drain(enum drain_kind kind, const char *name, const char *site, const struct drain *d,
		       void *arg)
{
	const struct finder *f = arg;
	const char *at = *site ? " at " : "";

	if (d->stage == DRAIN_HELD)
		found(f, ALERT_ALERT, "drain", name, "drain of %s %s%s%s is held back for %" PRId64 " s: %s",
		      drain_kind_str(kind), name, at, site, mono_diff_ms(d->stage_since, f->now) / 1000,
		      d->held);
	else
		found(f, ALERT_WARNING, "drain", name, "%s %s%s%s is drained (%s) by %s: %s",
		      drain_kind_str(kind), name, at, site, drain_stage_str(d->stage), d->actor, d->reason);
}

static void find_drains(const struct finder *f)
{
	drains_each(f->m, find_drain, (void *)(uintptr_t)f);
}

static void find_overrides(const struct finder *f)
{
	for (size_t i = 0; i < f->m->n_overrides; i++) {
		const struct override *o = &f->m->overrides[i];
		if (o->held)
			found(f, ALERT_ALERT, "override", o->id,
			      "cannot end: the guard or the mode holds it");
		else if (o->confirm_by_wall_ms)
			found(f, ALERT_WARNING, "override", o->id,
			      "not confirmed: it reverts in %" PRId64 " s (%s: %s)",
			      mono_diff_ms(f->now, o->confirm_at) / 1000, o->actor, o->reason);
		else
			found(f, ALERT_WARNING, "override", o->id, "held by %s: %s", o->actor, o->reason);
	}
}

void alerts_each(const struct api *a, mono_t now, void (*fn)(const struct alert *al, void *arg), void *arg)
{
	static void (*const rules[])(const struct finder *f) = {
		find_store,  find_leader, find_round, find_mode,   find_drill,	   find_plan,
		find_shards, find_sites,  find_nodes, find_drains, find_overrides,
	};
	struct finder f = { .a = a, .m = &a->c->model, .now = now, .fn = fn, .arg = arg };

	/* a standby hears no agent: of the present it knows nothing, good or bad */
	size_t n = listens(&a->c->lead) ? ARRAY_LEN(rules) : 2;

	for (f.wanted = 0; f.wanted < ALERT_SEVERITIES; f.wanted++)
		for (size_t i = 0; i < n; i++)
			rules[i](&f);
}
