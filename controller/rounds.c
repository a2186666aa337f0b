/* SPDX-License-Identifier: Apache-2.0
 * observe -> tilt? -> decide -> act. What is decided is written to the store with its event before any
 * agent hears of it. In observe mode nothing is ordered: cells we never ordered are not even mentioned. */
#include "controller/rounds.h"

#include <math.h>
#include <string.h>

#include "controller/fleet.h"
#include "controller/hold.h"
#include "controller/observe.h"
#include "controller/order.h"
#include "controller/steer/lost.h"
#include "controller/think.h"
#include "controller/weights.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define NEW_CELLS_MS 25 /* of a round for taking over what nobody ordered yet */
#define WAIT_ROUNDS  3	/* for a permit, before that is an alert: another's may have to come back first */
#define SAVE_EVERY   30 /* rounds between saves of the learned state */
#define PROBE_EVERY  3	/* the same, while the store fails */
#define SAVE_CELLS   50 /* orders written at once */

struct rounds {
	struct controller *c;
	uv_timer_t timer;
	struct think *think;
	struct guard *guard;
	struct lost *lost;
	struct snapshot snap;	       /* the present, of the last look */
	unsigned shape, thought_shape; /* counts documents: a plan for an older one is dropped */
	struct rounds_view view;
	mono_t last, tilt_until;
	struct {
		bool lost_said;		 /* taken as lost, and said so */
		enum guard_id hand_said; /* what holds the operator's hand back, and that was said */
	} * sites;
	enum plan_state said; /* the last state that became an event */
	bool wish_pending;
	bool store_failed;     /* in the last round */
	struct hold plan_hold; /* what holds plans back, and that was said */
	struct {
		bool on;
		unsigned waited; /* rounds */
		char why[TEXT_LEN];
	} * wishes; /* node * n_shards + shard: asked for a permit */
};

static const struct cluster *doc(const struct rounds *r)
{
	return r->c->model.cl;
}

/* Cells nobody ordered yet: adopt what is announced, announce the base where nothing is. */
static void order_new_cells(struct rounds *r)
{
	struct model *m = &r->c->model;
	mono_t until = mono_add_ms(mono_now(), NEW_CELLS_MS);

	for (size_t i = 0; i < m->cl->n_sites; i++) {
		if (!m->sites[i].healthy)
			continue;
		for (size_t k = 0; k < m->cl->n_shards; k++) {
			struct cell_live *cell = model_cell(m, i, k);
			if (cell->ordered)
				continue;
			if (cell->announced)
				order_one(r->c, i, k, cell->grade, "adopt",
					  "announced already: taken over as it is");
			else
				order_one(r->c, i, k, model_hand(m, i, k).base, "start",
					  "healthy and not announced yet");
			/* each is a durable write: a large cluster takes some rounds rather than hold one up
			 */
			if (mono_diff_ms(mono_now(), until) <= 0)
				return;
		}
	}
}

/* -- acting ------------------------------------------------------------------------------------------ */

/* Numbers that cannot be are null. */
static json_t *number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

/* What the engine expects of a move of its plan, for the record. */
static json_t *predicted(const struct plan *p, const struct move *mv)
{
	const struct site_forecast *f = p->sites ? &p->sites[mv->site] : NULL;

	return json_pack("{s:{s:I, s:I, s:I}, s:o, s:o}", "moved_bps", "lo", (json_int_t)mv->moved_lo, "mid",
			 (json_int_t)mv->moved, "hi", (json_int_t)mv->moved_hi, "util_before",
			 f ? number(f->before) : json_null(), "util_after",
			 f ? number(f->after) : json_null());
}

/* Of the first n. */
static size_t weakenings(struct rounds *r, const struct plan *p, size_t n)
{
	const struct grade *g = doc(r)->grades.g;
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += g[p->moves[i].to].strength > g[p->moves[i].from].strength;
	return sum;
}

/* Nothing new is weakened that a successor could not know of. */
static bool held_for_store(struct rounds *r, const struct plan *p)
{
	bool held = order_store_fails(r->c) && weakenings(r, p, p->n_moves) > 0;

	if (held && hold_news(&r->plan_hold, "store", mono_now()))
		events_emit(r->c->events, NULL, 0, "guard.hold", "alert",
			    json_pack("{s:s}", "guard", "store"),
			    "a plan that weakens is held back while the store refuses writes: %s",
			    store_why(r->c->store));
	return held;
}

static void say_held(struct rounds *r, const struct plan *p, const struct guard_verdict *v)
{
	const struct move *first = &p->moves[0];
	auto_free char *cause = xasprintf("%s %s %s", guard_str(v->id), doc(r)->sites[first->site].name,
					  doc(r)->shards[first->shard].name);

	if (hold_news(&r->plan_hold, cause, mono_now()))
		events_emit(r->c->events, NULL, 0, "guard.hold", "alert",
			    json_pack("{s:s}", "guard", guard_str(v->id)),
			    "the guard holds a plan back (%s): %s", guard_str(v->id), v->why);
}

static void act_on_plan(struct rounds *r, const struct plan *p)
{
	struct guard_verdict verdict;

	if (p->state != PLAN_ACT || !p->n_moves || held_for_store(r, p))
		return;
	/* last before the wire, whatever the engine thought */
	if (guard_check(r->guard, &doc(r)->policy, &r->snap, p->moves, p->n_moves, plan_actor(p), &verdict) <
	    0) {
		say_held(r, p, &verdict);
		return;
	}
	struct change ch[STEER_MOVES];
	for (size_t i = 0; i < p->n_moves; i++) {
		const struct move *mv = &p->moves[i];
		ch[i] = (struct change){ mv->site, mv->shard,	    mv->to, move_kind_str(mv->kind),
					 mv->why,  predicted(p, mv) };
	}
	size_t done = order_all(r->c, ch, p->n_moves, NULL, 0);
	guard_commit(r->guard, &r->snap, p->moves, done);
	r->view.moves += done;
	r->view.weakenings += weakenings(r, p, done);
	for (size_t i = 0; i < p->n_moves; i++)
		json_decref(ch[i].forecast);
}

/* -- permits ----------------------------------------------------------------------------------------- */

static bool node_dead(const struct model *m, size_t node, size_t shard)
{
	const struct node_live *n = &m->nodes[node];

	return mono_is_set(n->report_at) && n->shards[shard].announced && !n->shards[shard].service_up;
}

/* A cell counts as held when its site could go dark by itself: every healthy announcer holds a permit. */
static bool cell_held(const struct model *m, size_t site, size_t shard)
{
	const struct cl_site *cs = &m->cl->sites[site];
	bool any = false;

	for (size_t i = 0; i < cs->n_nodes; i++) {
		const struct node_live *n = &m->nodes[cs->nodes[i]];
		const struct node_shard *ns = &n->shards[shard];
		if (!ns->announced || !ns->service_up || !n->bgp_ok)
			continue;
		if (!node_shard_may_go(ns))
			return false;
		any = true;
	}
	return any;
}

/* Per cell: is it held, and may all of its nodes have a permit? */
static void cell_permits(struct rounds *r, bool *held, bool *grants)
{
	struct model *m = &r->c->model;

	for (size_t i = 0; i < m->cl->n_sites; i++)
		for (size_t k = 0; k < m->cl->n_shards; k++)
			held[i * m->cl->n_shards + k] = cell_held(m, i, k);
	guard_permits(&m->cl->policy, &r->snap, held, grants);
}

/* A site that may not go dark as a whole can still let all nodes but its largest healthy one go. */
static bool spare_node(const struct model *m, size_t node, size_t shard)
{
	const struct cl_site *cs = &m->cl->sites[m->cl->nodes[node].site];
	ssize_t keep = -1;

	for (size_t i = 0; i < cs->n_nodes; i++) {
		size_t o = cs->nodes[i];
		const struct node_shard *ns = &m->nodes[o].shards[shard];
		if (!m->nodes[o].connected || m->nodes[o].drain.on || !ns->announced || !ns->service_up ||
		    node_shard_may_go(ns))
			continue;
		if (keep < 0 || m->cl->nodes[o].cap[RES_BPS] > m->cl->nodes[keep].cap[RES_BPS])
			keep = (ssize_t)o;
	}
	return keep >= 0 && keep != (ssize_t)node;
}

#define NOBODY	SIZE_MAX
#define SEVERAL (SIZE_MAX - 1)

/* Per shard: the site where somebody with a dead service waits for a permit, NOBODY, or SEVERAL. Sites that
 * merely hold a spare permit give it back then. */
static size_t *find_waiting(const struct rounds *r, const bool *cells)
{
	const struct model *m = &r->c->model;
	size_t shards = m->cl->n_shards, *waiting = xcalloc(shards, sizeof(*waiting));

	memset(waiting, 0xff, shards * sizeof(*waiting));
	for (size_t i = 0; i < m->cl->n_nodes; i++)
		for (size_t k = 0; k < shards; k++) {
			size_t site = m->cl->nodes[i].site;
			if (!r->wishes[i * shards + k].on || !node_dead(m, i, k) ||
			    cells[site * shards + k] || spare_node(m, i, k))
				continue;
			waiting[k] = waiting[k] == NOBODY || waiting[k] == site ? site : SEVERAL;
		}
	return waiting;
}

static bool somebody_waits(const size_t *waiting, size_t shard, size_t but_site)
{
	return waiting[shard] != NOBODY && waiting[shard] != but_site;
}

static void decide_permits(struct rounds *r)
{
	struct model *m = &r->c->model;
	size_t shards = m->cl->n_shards, n = m->cl->n_nodes * shards;
	auto_free bool *held = xcalloc(m->cl->n_sites * shards, sizeof(*held));
	auto_free bool *cells = xcalloc(m->cl->n_sites * shards, sizeof(*cells));
	auto_free bool *grants = xcalloc(n, sizeof(*grants));

	cell_permits(r, held, cells);
	for (size_t i = 0; i < m->cl->n_sites * shards;
	     i++) /* a cell that is to be withdrawn is not counted on */
		m->cells[i].may_withdraw = cells[i];
	auto_free size_t *waiting = find_waiting(r, cells);
	r->wish_pending = false;
	for (size_t i = 0; i < m->cl->n_nodes; i++)
		for (size_t k = 0; k < shards; k++) {
			size_t site = m->cl->nodes[i].site;
			bool dead = node_dead(m, i, k);
			bool ok = cells[site * shards + k] || spare_node(m, i, k);
			if (!dead && somebody_waits(waiting, k, site))
				ok = spare_node(m, i, k);
			grants[i * shards + k] = ok && model_cell(m, site, k)->ordered;
			if (dead && !ok)
				r->wish_pending = true;
			if (!dead || ok) {
				r->wishes[i * shards + k].on = false;
				r->wishes[i * shards + k].waited = 0;
			}
		}
	fleet_permits(r->c->fleet, grants);
}

/* Called at once when an agent asks, and when a permit came back. */
static void on_ask(struct controller *c, size_t node, size_t shard, const char *reason)
{
	struct rounds *r = c->rounds;
	const struct cluster *cl = c->model.cl;

	if (!r || (shard == SIZE_MAX && !r->wish_pending))
		return;
	if (shard != SIZE_MAX) {
		size_t i = node * cl->n_shards + shard;
		if (!r->wishes[i].on || strcmp(r->wishes[i].why, reason) != 0)
			events_emit(c->events, NULL, 0, "permit.asked", "warning",
				    json_pack("{s:s, s:s}", "node", cl->nodes[node].name, "shard",
					      cl->shards[shard].name),
				    "%s asks to withdraw %s: %s", cl->nodes[node].name,
				    cl->shards[shard].name, reason);
		r->wishes[i].on = true;
		snprintf(r->wishes[i].why, sizeof(r->wishes[i].why), "%s", reason);
	}
	rounds_snapshot(r);
	decide_permits(r);
	fleet_direct(c->fleet);
}

/* Still waiting after whole rounds: the guard holds a dead service on the air, and says so, once. */
static void alert_waiting(struct rounds *r)
{
	const struct cluster *cl = doc(r);

	for (size_t i = 0; i < cl->n_nodes && r->wish_pending; i++)
		for (size_t k = 0; k < cl->n_shards; k++) {
			size_t at = i * cl->n_shards + k;
			if (!r->wishes[at].on || ++r->wishes[at].waited != WAIT_ROUNDS)
				continue;
			events_emit(r->c->events, NULL, 0, "guard.hold", "alert",
				    json_pack("{s:s, s:s}", "node", cl->nodes[i].name, "shard",
					      cl->shards[k].name),
				    "the guard keeps %s announced at %s though its service is down: "
				    "withdrawing it "
				    "would leave fewer than %u healthy sites",
				    cl->shards[k].name, cl->nodes[i].name,
				    cl->services[cl->shards[k].service].min_sites);
		}
}

/* -- the round --------------------------------------------------------------------------------------- */

static bool check_tilt(struct rounds *r, mono_t now)
{
	int64_t gap = mono_is_set(r->last) ? mono_diff_ms(r->last, now) : ROUND_MS;

	r->view.late_ms = gap > ROUND_MS ? gap - ROUND_MS : 0;
	r->last = now;
	if (gap > ROUND_MS + TILT_STALL_MS) {
		r->tilt_until = mono_add_ms(now, TILT_HOLD_MS);
		events_emit(r->c->events, NULL, 0, "tilt", "alert", NULL,
			    "the controller stalled for %ld ms: observing only for %d s", (long)gap,
			    TILT_HOLD_MS / 1000);
	}
	return mono_is_set(r->tilt_until) && mono_diff_ms(now, r->tilt_until) > 0;
}

static void say_plan(struct rounds *r, const struct plan *p)
{
	enum plan_state s = p->state;

	if (s == r->said)
		return;
	bool bad = s == PLAN_HOLD || s == PLAN_CONTAIN || s == PLAN_ABSORB;
	events_emit(r->c->events, NULL, 0, "plan", bad ? "alert" : "info",
		    json_pack("{s:s, s:s}", "from", plan_state_str(r->said), "to", plan_state_str(s)),
		    "%s: %s", plan_state_str(s), p->why);
	r->said = s;
}

static bool drill_takes_node(const struct model *m, size_t site, size_t shard)
{
	const struct cl_site *cs = &m->cl->sites[site];

	for (size_t i = 0; i < cs->n_nodes; i++)
		if (m->nodes[cs->nodes[i]].shards[shard].drill_away)
			return true;
	return false;
}

static bool site_has_drained_node(const struct model *m, size_t site)
{
	for (size_t i = 0; i < m->cl->n_nodes; i++)
		if (m->cl->nodes[i].site == site && m->nodes[i].drain.on)
			return true;
	return false;
}

/* The guard once more, for all that one site's hands weaken: each was allowed when it was asked for, but not
 * beside all others, nor in the world of now. n 0: nothing. */
static bool hands_allowed(struct rounds *r, size_t site, const struct move *moves, size_t n)
{
	const char *name = doc(r)->sites[site].name;
	struct guard_verdict verdict;
	bool allowed = !n || rounds_guard_operator(r, moves, n, &verdict) == 0;

	if (!allowed && r->sites[site].hand_said != verdict.id)
		events_emit(r->c->events, NULL, 0, "guard.hold", "alert",
			    json_pack("{s:s, s:s}", "guard", guard_str(verdict.id), "site", name),
			    "the guard holds back what the operator ordered at %s (%s): %s", name,
			    guard_str(verdict.id), verdict.why);
	r->sites[site].hand_said = allowed ? GUARD_OK : verdict.id;
	return allowed;
}

/* What is held back, or the store does not take, keeps its base: once more in the next round. */
static void follow_site(struct rounds *r, size_t site, mono_t until)
{
	struct model *m = &r->c->model;
	auto_free struct move *moves = NULL;
	size_t n = 0;

	for (int weakens = 0; weakens < 2; weakens++) {
		bool allowed = !weakens || hands_allowed(r, site, moves, n);
		for (size_t k = 0; k < m->cl->n_shards && mono_diff_ms(mono_now(), until) > 0; k++) {
			struct cell_live *cell = model_cell(m, site, k);
			struct hand h = model_hand(m, site, k);
			uint8_t now = cell_order(cell);
			if (!cell->ordered && !cell->announced && !h.exact)
				continue; /* nothing there yet to be weakened: when it comes */
			bool weaker = m->cl->grades.g[h.base].strength > m->cl->grades.g[now].strength;
			if (!model_hand_moved(m, cell, &h)) {
				cell->base = h.base;
			} else if (weaker && !weakens) {
				moves = moves ? moves : xcalloc(m->cl->n_shards, sizeof(*moves));
				moves[n++] = (struct move){ .site = site,
							    .shard = k,
							    .from = now,
							    .to = h.base,
							    .kind = MOVE_OPERATOR };
			} else if (allowed && order_one(r->c, site, k, h.base, ORDER_HAND,
							h.held ? h.why : "drain or override ended")) {
				cell->base = h.base;
			}
		}
		if (!n) {
			r->sites[site].hand_said = GUARD_OK;
			break;
		}
	}
}

/* Each order is a durable write: a site of hundreds of shards takes some rounds rather than stop the loop. */
static void follow_hands(struct rounds *r)
{
	struct model *m = &r->c->model;
	mono_t until = mono_add_ms(mono_now(), HANDS_MS);

	for (size_t i = 0; i < m->cl->n_sites; i++) {
		for (size_t k = 0; k < m->cl->n_shards; k++) {
			struct cell_live *cell = model_cell(m, i, k);
			/* draining one node speaks for its whole site: say what the others keep */
			if (!cell->ordered && cell->announced &&
			    (site_has_drained_node(m, i) || drill_takes_node(m, i, k)))
				order_one(r->c, i, k, cell->grade, "adopt", "a node of this site is drained");
		}
		follow_site(r, i, until);
	}
}

void rounds_follow(struct rounds *r)
{
	if (!r || r->view.tilt || r->c->model.mode == MODE_FREEZE || !leads(&r->c->lead))
		return;
	rounds_snapshot(r);
	follow_hands(r);
	fleet_direct(r->c->fleet);
}

static void save(struct rounds *r)
{
	auto_buf engine = { .max = STORE_VALUE_MAX };
	auto_buf guard = { .max = STORE_VALUE_MAX };

	if (think_save(r->think, &engine) < 0)
		return; /* under way: the next time */
	guard_save(r->guard, &guard);
	struct store_op ops[] = { { "engine", engine.data ? engine.data : "" },
				  { "guard", guard.data ? guard.data : "" } };
	if (store_write(r->c->store, ops, ARRAY_LEN(ops), NULL) < 0)
		log_warn("learned state not saved: %s", store_why(r->c->store));
}

/* What was ordered from memory. */
static void save_orders(struct rounds *r)
{
	struct model *m = &r->c->model;
	auto_free struct order_keys *keys = xcalloc(SAVE_CELLS, sizeof(*keys));
	struct store_op ops[2 * SAVE_CELLS];
	struct cell_live *cells[SAVE_CELLS];
	size_t n = 0;

	for (size_t i = 0; i < m->cl->n_sites; i++)
		for (size_t k = 0; k < m->cl->n_shards && n < SAVE_CELLS; k++) {
			if (!model_cell(m, i, k)->unsaved)
				continue;
			cells[n] = model_cell(m, i, k);
			order_ops(m->cl, i, k, cells[n]->wanted, cells[n]->base, &keys[n], &ops[2 * n]);
			n++;
		}
	if (n && store_write(r->c->store, ops, 2 * n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		cells[i]->unsaved = false;
}

/* The store, once a round: what was learned, and whether a failing one takes writes again. */
static void mind_store(struct rounds *r)
{
	if (r->view.rounds % (order_store_fails(r->c) ? PROBE_EVERY : SAVE_EVERY) == 0)
		save(r);
	if (r->store_failed && !order_store_fails(r->c))
		events_emit(r->c->events, NULL, 0, "store.back", "info", NULL,
			    "the store takes writes again");
	r->store_failed = order_store_fails(r->c);
	if (!order_store_fails(r->c))
		save_orders(r);
}

/* The model as a snapshot; what fell silent and is found to be gone is marked in it. */
static void look(struct rounds *r, mono_t now, struct snapshot *ret_snapshot)
{
	observe_snapshot(&r->c->model, now, ret_snapshot);
	lost_mark(r->lost, &doc(r)->policy, ret_snapshot);
}

/* A site that was well when it was last heard of, and is not counted on any more. */
static void say_lost(struct rounds *r)
{
	for (size_t i = 0; i < r->snap.n_sites; i++) {
		bool lost = r->c->model.sites[i].healthy && !r->snap.sites[i].healthy;
		const char *name = r->snap.sites[i].name;

		if (lost == r->sites[i].lost_said)
			continue;
		r->sites[i].lost_said = lost;
		if (lost)
			events_emit(r->c->events, NULL, 0, "site.lost", "alert",
				    json_pack("{s:s}", "site", name),
				    "%s has been silent for %.0f s and what it carried arrives elsewhere: "
				    "taken as "
				    "lost",
				    name, (double)r->snap.sites[i].age_ms / 1000);
		else
			events_emit(r->c->events, NULL, 0, "site.back", "info",
				    json_pack("{s:s}", "site", name), "%s reports again", name);
	}
}

const struct snapshot *rounds_snapshot(struct rounds *r)
{
	mono_t now = mono_now();

	observe_sum(&r->c->model, now);
	observe_done(&r->snap);
	look(r, now, &r->snap);
	return &r->snap;
}

/* The plan is made beside the loop, of a copy; the loop goes on meanwhile. */
static void decide(struct rounds *r)
{
	struct snapshot copy;

	guard_observe(r->guard, &doc(r)->policy, rounds_snapshot(r));
	say_lost(r);
	look(r, r->last, &copy);
	r->thought_shape = r->shape;
	if (think_start(r->think, &copy) < 0) {
		observe_done(&copy);
		r->view.skipped++;
	}
}

static bool may_act(const struct rounds *r)
{
	return !r->view.tilt && r->c->model.mode == MODE_STEER && leads(&r->c->lead);
}

static void on_plan(const struct snapshot *s, const struct plan *p, int64_t took_us, void *arg)
{
	struct rounds *r = arg;

	if (r->thought_shape != r->shape)
		return; /* its indices are gone */
	r->view.plan = p;
	r->view.snapshot = s;
	r->view.at = mono_now();
	r->view.decide_us = took_us;
	say_plan(r, p);
	if (!may_act(r))
		return;
	rounds_snapshot(r); /* the guard judges by the present */
	act_on_plan(r, p);
	fleet_direct(r->c->fleet);
}

static void on_round(uv_timer_t *t)
{
	struct rounds *r = t->data;
	struct model *m = &r->c->model;
	bool lead = leads(&r->c->lead);

	if (!listens(&r->c->lead)) { /* a standby hears no agent: there is nothing to think about */
		r->last = (mono_t){ 0 };
		return;
	}
	r->view.tilt = check_tilt(r, mono_now());
	r->view.rounds++;
	if (lead)
		mind_store(r);
	decide(r);
	if (!r->view.tilt && m->mode != MODE_FREEZE && lead) {
		drains_round(r->c);
		overrides_round(r->c);
		follow_hands(r);
	}
	if (may_act(r)) {
		order_new_cells(r);
		for (size_t i = 0; i < m->cl->n_sites; i++)
			weights_round(r->c, i);
	}
	decide_permits(r);
	alert_waiting(r);
	fleet_direct(r->c->fleet);
}

int rounds_whatif(struct rounds *r, const struct move *moves, size_t n, struct plan *ret_plan)
{
	return think_whatif(r->think, rounds_snapshot(r), moves, n, ret_plan);
}

const struct rounds_view *rounds_view(const struct rounds *r)
{
	return r && r->view.rounds ? &r->view : NULL;
}

int rounds_guard(struct rounds *r, const struct move *moves, size_t n, enum guard_actor actor,
		 struct guard_verdict *ret_verdict)
{
	guard_observe(r->guard, &doc(r)->policy, rounds_snapshot(r));
	return guard_check(r->guard, &doc(r)->policy, &r->snap, moves, n, actor, ret_verdict);
}

int rounds_guard_operator(struct rounds *r, const struct move *moves, size_t n,
			  struct guard_verdict *ret_verdict)
{
	return rounds_guard(r, moves, n, ACTOR_OPERATOR, ret_verdict);
}

int rounds_order(struct rounds *r, const struct move *moves, size_t n, enum guard_actor actor,
		 const char *why, const struct store_op *with, size_t n_with,
		 struct guard_verdict *ret_verdict)
{
	auto_free struct change *ch = xcalloc(n + 1, sizeof(*ch));
	int err = rounds_guard(r, moves, n, actor, ret_verdict);

	if (err < 0)
		return err;
	for (size_t i = 0; i < n; i++)
		ch[i] = (struct change){ moves[i].site, moves[i].shard, moves[i].to, "drill", why, NULL };
	size_t done = order_all(r->c, ch, n, with, n_with);
	guard_commit(r->guard, &r->snap, moves, done);
	decide_permits(r); /* a withdrawal waits for permits that are out */
	fleet_direct(r->c->fleet);
	return done == n ? 0 : ERR_STORE;
}

int rounds_forecast(struct rounds *r, const struct move *moves, size_t n, struct site_forecast *ret_sites)
{
	return think_forecast(r->think, rounds_snapshot(r), moves, n, ret_sites);
}

int rounds_basis(struct rounds *r, const struct move *moves, size_t n, struct forecast_basis *ret_basis,
		 double *ret_noise)
{
	return think_basis(r->think, rounds_snapshot(r), moves, n, ret_basis, ret_noise);
}

int rounds_state(struct rounds *r, struct rounds_state *ret_state)
{
	struct rounds_state s = { .grades = doc(r)->grades, .policy = doc(r)->policy };
	int err = think_save(r->think, &s.engine);

	if (err < 0)
		return err;
	rounds_snapshot(r);
	guard_save(r->guard, &s.guard);
	look(r, mono_now(), &s.snapshot);
	*ret_state = s;
	ret_state->snapshot.grades = &ret_state->grades;
	return 0;
}

void rounds_changed(struct rounds *r)
{
	think_set_policy(r->think, &doc(r)->policy);
	r->shape++;
	free(r->wishes);
	r->wishes = xcalloc(doc(r)->n_nodes * doc(r)->n_shards, sizeof(*r->wishes));
	r->wish_pending = false;
	free(r->sites);
	r->sites = xcalloc(doc(r)->n_sites, sizeof(*r->sites));
	r->view.plan = NULL; /* it speaks of indices that are gone */
	r->view.snapshot = NULL;
	rounds_snapshot(r);
}

static void load(struct rounds *r)
{
	auto_free char *engine = NULL;
	auto_free char *guard = NULL;

	if (store_get(r->c->store, "engine", &engine) == 0 &&
	    think_load(r->think, engine, strlen(engine)) < 0)
		log_warn("the stored model could not be read: learning starts anew");
	if (store_get(r->c->store, "guard", &guard) == 0 && guard_load(r->guard, guard, strlen(guard)) < 0)
		log_warn("the stored ledger could not be read: it starts anew");
}

struct rounds *rounds_new(struct controller *c)
{
	struct rounds *r = xcalloc(1, sizeof(*r));

	r->c = c;
	r->think = think_new(c->loop, &c->model.cl->policy, on_plan, r);
	r->guard = guard_new();
	r->lost = lost_new();
	load(r);
	rounds_changed(r);
	fleet_on_ask(c->fleet, on_ask);
	uv_timer_init(c->loop, &r->timer);
	r->timer.data = r;
	uv_timer_start(&r->timer, on_round, ROUND_MS, ROUND_MS);
	return r;
}

void rounds_begin(struct rounds *r)
{
	think_free(r->think);
	guard_free(r->guard);
	r->think = think_new(r->c->loop, &doc(r)->policy, on_plan, r);
	r->guard = guard_new();
	r->view = (struct rounds_view){ 0 };
	r->said = 0;
	r->last = r->tilt_until = (mono_t){ 0 };
	load(r);
	rounds_changed(r);
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void rounds_free(struct rounds *r)
{
	if (leads(&r->c->lead))
		save(r);
	fleet_on_ask(r->c->fleet, NULL);
	observe_done(&r->snap);
	think_free(r->think);
	guard_free(r->guard);
	lost_free(r->lost);
	free(r->wishes);
	free(r->sites);
	uv_close((uv_handle_t *)&r->timer, on_closed);
}
