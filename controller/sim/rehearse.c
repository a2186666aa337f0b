/* SPDX-License-Identifier: Apache-2.0
 * The loop of one rehearsal, and what is measured in it. Engine and guard are used as controller/rounds.c
 * uses them: the engine proposes, the guard is last before the wire. */
#include "controller/sim/rehearse.h"

#include <math.h>
#include <string.h>

#include "controller/steer/steer.h"
#include "proto/base/mem.h"

#define CALM_S	 10
#define BEFORE_S 10 /* of the time before the loss: measured */

static const struct scenario loss_scenario = { "loss",
					       SC_NONE,
					       TW_LOSS,
					       0,
					       REHEARSE_BEFORE_S + REHEARSE_AFTER_S,
					       REHEARSE_BEFORE_S,
					       REHEARSE_BEFORE_S + REHEARSE_AFTER_S };

struct rehearsal {
	struct rehearsal_in in;
	struct engine *engine; /* as it is now: read only */
	double *homes;
};

static struct engine *engine_of(const struct rehearsal_in *in)
{
	struct engine *e = engine_new(in->policy);

	if (in->engine_len)
		engine_load(e, in->engine, in->engine_len); /* unreadable: as if nothing had been learned */
	return e;
}

struct rehearsal *rehearsal_open(const struct rehearsal_in *in)
{
	struct rehearsal *r = xcalloc(1, sizeof(*r));

	r->in = *in;
	r->engine = engine_of(in);
	r->homes = xcalloc(in->now->n_sites * in->now->n_shards + 1, sizeof(double));
	engine_homes(r->engine, in->now, r->homes);
	return r;
}

void rehearsal_close(struct rehearsal *r)
{
	if (!r)
		return;
	engine_free(r->engine);
	free(r->homes);
	free(r);
}

void rehearsed_done(struct rehearsed *r)
{
	void *const all[] = { r->base_util, r->peak_util, r->util, r->bps, r->moves };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		free(all[i]);
	*r = (struct rehearsed){ 0 };
}

/* -- steering ---------------------------------------------------------------------------------------------
 */

struct steering {
	struct engine *engine; /* NULL: nobody answers */
	struct guard *guard;
	const struct policy *policy;
};

static void steering_begin(struct steering *s, const struct rehearsal_in *in, bool on)
{
	*s = (struct steering){ .policy = in->policy };
	if (!on)
		return;
	s->engine = engine_of(in);
	s->guard = guard_new();
	if (in->guard_len)
		guard_load(s->guard, in->guard, in->guard_len);
}

static void steering_done(struct steering *s)
{
	engine_free(s->engine);
	guard_free(s->guard);
}

static void note_move(struct rehearsed *out, int t, const struct move *m)
{
	if (out->n_moves == REHEARSE_MOVES)
		return;
	if (!out->moves)
		out->moves = xcalloc(REHEARSE_MOVES, sizeof(*out->moves));
	struct rehearsed_move *to = &out->moves[out->n_moves++];
	*to = (struct rehearsed_move){
		.t = t, .site = m->site, .shard = m->shard, .from = m->from, .to = m->to
	};
	memcpy(to->why, m->why, sizeof(to->why));
}

static void note_held(struct rehearsed *out, const struct world *w, const char *why)
{
	out->held_end = true;
	if (w->t < w->sc->from)
		return;
	if (!out->held_s++)
		snprintf(out->held, sizeof(out->held), "%s", why);
}

/* One round. */
static void steer(struct steering *s, struct world *w, const struct snapshot *seen, struct rehearsed *out)
{
	struct guard_verdict v;
	struct plan p;
	int since = w->t - w->sc->from;

	guard_observe(s->guard, s->policy, seen);
	engine_step(s->engine, seen, &p);
	out->held_end = false;
	bool hot = w->peak > s->policy->trigger_util;
	if (p.state == PLAN_HOLD && hot)
		note_held(out, w, p.why);
	if (p.state == PLAN_ACT && p.n_moves &&
	    guard_check(s->guard, s->policy, seen, p.moves, p.n_moves, plan_actor(&p), &v) < 0) {
		note_held(out, w, v.why);
		p.n_moves = 0;
	}
	if (p.state != PLAN_ACT)
		p.n_moves = 0;
	if (p.n_moves)
		guard_commit(s->guard, seen, p.moves, p.n_moves);
	for (size_t i = 0; i < p.n_moves; i++) {
		world_order(w, p.moves[i].site, p.moves[i].shard, p.moves[i].to);
		if (since < 0)
			continue;
		out->answered = out->answered < 0 ? since : out->answered;
		out->changes++;
		note_move(out, since, &p.moves[i]);
	}
	plan_done(&p);
}

/* -- measuring --------------------------------------------------------------------------------------------
 */

struct meter {
	double before, before_served;
	double offered, late, dropped, dead;
	double end_offered, end_dropped; /* of the last minute: a ring */
	double ring_offered[REHEARSE_END_S], ring_dropped[REHEARSE_END_S];
	double *ring_util; /* [REHEARSE_END_S][site] */
	int calm_since;
};

static void keep_point(struct rehearsed *out, const struct world *w, size_t max)
{
	if (w->t % REHEARSE_STEP_S || out->points == max)
		return;
	for (size_t i = 0; i < w->ns; i++) {
		double bps = 0;
		for (size_t k = 0; k < w->nk; k++)
			bps += w->arrive[i * w->nk + k];
		out->util[out->points * w->ns + i] = (float)w->util[i];
		out->bps[out->points * w->ns + i] = (float)bps;
	}
	out->points++;
}

static void find_relief(struct meter *m, const struct world *w, struct rehearsed *out)
{
	int since = w->t - w->sc->from;

	if (w->peak > 1) {
		out->overloaded = out->overloaded < 0 ? since : out->overloaded;
		out->relieved = -1;
		m->calm_since = -1;
		return;
	}
	m->calm_since = m->calm_since < 0 ? since : m->calm_since;
	if (out->overloaded >= 0 && out->relieved < 0 && since - m->calm_since >= CALM_S)
		out->relieved = m->calm_since;
}

static void measure_run(struct meter *m, const struct world *w, struct rehearsed *out)
{
	const struct live *l = w->live;
	size_t slot = (size_t)(w->t % REHEARSE_END_S);

	if (w->t < w->sc->from) {
		if (w->t < w->sc->from - BEFORE_S)
			return;
		m->before += w->legit_offered;
		m->before_served += w->legit_served;
		memcpy(out->base_util, w->util, w->ns * sizeof(double));
		return;
	}
	m->offered += w->legit_offered;
	m->late += l->late;
	m->dropped += l->dropped;
	m->dead += l->dead;
	m->ring_offered[slot] = w->legit_offered;
	m->ring_dropped[slot] = l->dropped;
	memcpy(&m->ring_util[slot * w->ns], w->util, w->ns * sizeof(double));
	for (size_t i = 0; i < w->ns; i++)
		out->peak_util[i] = fmax(out->peak_util[i], w->util[i]);
	find_relief(m, w, out);
}

static void summarise(const struct meter *m, const struct world *w, struct rehearsed *out)
{
	double all = 0, dropped = 0;

	out->ended = w->t - w->sc->from;
	size_t n = out->ended < REHEARSE_END_S ? (size_t)(out->ended > 0 ? out->ended : 0) : REHEARSE_END_S;
	out->served_before = m->before > 0 ? m->before_served / m->before : 1;
	out->late = m->offered > 0 ? m->late / m->offered : 0;
	out->dropped = m->offered > 0 ? m->dropped / m->offered : 0;
	out->dead = m->offered > 0 ? m->dead / m->offered : 0;
	out->served = fmax(0, 1 - out->late - out->dropped - out->dead);
	for (size_t s = 0; s < REHEARSE_END_S; s++) {
		all += m->ring_offered[s];
		dropped += m->ring_dropped[s];
	}
	out->dropped_end = all > 0 ? dropped / all : 0;
	out->hot = out->hot_end = w->ns;
	for (size_t i = 0; i < w->ns; i++) {
		double mean = 0;
		for (size_t s = 0; s < REHEARSE_END_S && n; s++)
			mean += m->ring_util[s * w->ns + i] / (double)n;
		if (out->hot == w->ns || out->peak_util[i] > out->peak) {
			out->hot = i;
			out->peak = out->peak_util[i];
		}
		if (out->hot_end == w->ns || mean > out->end) {
			out->hot_end = i;
			out->end = mean;
		}
	}
}

static void rehearsed_init(struct rehearsed *out, uint64_t seed, size_t ns, size_t points)
{
	*out = (struct rehearsed){ .seed = seed, .overloaded = -1, .relieved = -1, .answered = -1 };
	out->base_util = xcalloc(ns + 1, sizeof(double));
	out->peak_util = xcalloc(ns + 1, sizeof(double));
	out->util = xcalloc(points * ns + 1, sizeof(float));
	out->bps = xcalloc(points * ns + 1, sizeof(float));
}

bool rehearse(const struct rehearsal *r, uint64_t seed, bool steered, rehearse_until until, void *arg,
	      struct rehearsed *ret)
{
	const struct live in = { .now = r->in.now, .policy = r->in.policy, .loss = r->in.loss };
	size_t ns = in.now->n_sites, points = (size_t)loss_scenario.duration / REHEARSE_STEP_S;
	auto_free struct meter *m = xcalloc(1, sizeof(*m));
	auto_free double *ring = xcalloc(REHEARSE_END_S * ns + 1, sizeof(double));
	struct steering s;
	struct live live;
	int end = loss_scenario.duration;

	rehearsed_init(ret, seed, ns, points);
	if (!ns || !in.now->n_shards || until(arg, 0) <= 0)
		return false;
	m->ring_util = ring;
	m->calm_since = -1;
	struct world *w = live_world(&in, engine_model(r->engine), r->homes, &loss_scenario, seed, &live);
	struct snapshot *seen = live_snapshot(in.now);
	seen->mode = MODE_STEER;
	steering_begin(&s, &r->in, steered);
	for (int want = end; w->t < end && want > 0; want = until(arg, w->t)) {
		end = want < end ? want : end;
		world_tick(w);
		report_snapshot_fill(w, seen);
		if (s.engine)
			steer(&s, w, seen, ret);
		measure_run(m, w, ret);
		keep_point(ret, w, points);
	}
	bool whole = w->t >= end;
	summarise(m, w, ret);
	steering_done(&s);
	report_snapshot_free(seen);
	world_free(w);
	live_done(&live);
	return whole;
}
