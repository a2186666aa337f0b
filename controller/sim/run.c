/* SPDX-License-Identifier: Apache-2.0
 * The loop of one run, the drill inside it, and what is measured. */
#include "controller/sim/run.h"

#include <math.h>
#include <string.h>

#include "controller/sim/referee.h"
#include "controller/steer/steer.h"
#include "proto/base/mem.h"

#define CALM_S	      10 /* without overload: relieved */
#define PEAK_FROM_S   60
#define DRILL_IN_S    300 /* a drill asked for so long into an event */
#define DRILL_AT_S    30  /* ... or at this time, before it */
#define DRILL_STAGE_S 60
#define DRILL_HOT     0.85

struct drill {
	struct guard *guard;
	struct policy policy;
	bool running, over;
	size_t site, done; /* shards drained so far */
	int next;
};

struct meter {
	double offered, served, lost;
	double decide[8192];
	size_t n_decide;
	int overload, calm_since, relieved;
	int decisive, landed; /* the last change before it was calm; s from it until calm */
};

/* -- the drill: canary, 25, 50, 100 %; aborts when a site gets hot or drops ------------------------------ */

static void drill_restore(struct drill *d, struct world *w)
{
	for (size_t k = 0; k < w->nk; k++) {
		struct world_cell *c = world_cell(w, d->site, k);
		if (c->pinned)
			world_order(w, d->site, k, 0);
		c->pinned = false;
	}
	d->running = false;
	d->over = true;
}

static bool too_hot(const struct world *w, const struct snapshot *s)
{
	for (size_t i = 0; i < w->ns; i++)
		if (s->sites[i].dropping || s->sites[i].max_node_util > DRILL_HOT)
			return true;
	return false;
}

static void drill_stage(struct drill *d, struct world *w, const struct snapshot *s)
{
	static const double stage[] = { 0, 0.25, 0.5, 1 };
	size_t until = 1;
	uint8_t to = 0;

	while (w->c->grades.g[to].kind != GRADE_DRAIN)
		to++;
	for (size_t i = 0; i < ARRAY_LEN(stage) && until <= d->done; i++)
		until = (size_t)ceil(stage[i] * (double)w->nk);
	for (; d->done < until && d->done < w->nk; d->done++) {
		struct move m = { .site = d->site,
				  .shard = d->done,
				  .from = world_cell(w, d->site, d->done)->wanted,
				  .to = to };
		struct guard_verdict v;
		if (guard_check(d->guard, &d->policy, s, &m, 1, ACTOR_DRILL, &v)) {
			drill_restore(d, w);
			return;
		}
		guard_commit(d->guard, s, &m, 1);
		world_cell(w, d->site, d->done)->pinned = true;
		world_order(w, d->site, d->done, to);
		break; /* one change in flight per site */
	}
	d->next = w->t + DRILL_STAGE_S;
	if (d->done >= w->nk)
		drill_restore(d, w);
}

static void drill_step(struct drill *d, struct world *w, const struct snapshot *s)
{
	int at = w->sc->twist == TW_DRILL ? w->sc->from + DRILL_IN_S : DRILL_AT_S;

	if ((w->sc->twist != TW_DRILL && w->sc->twist != TW_DRILL_FIRST) || d->over || w->t < at)
		return;
	if (!d->guard) {
		policy_default(&d->policy);
		d->guard = guard_new();
		d->site = rng_stream(w->seed, "drill").s % w->ns;
		d->running = true;
		d->next = w->t;
	}
	guard_observe(d->guard, &d->policy, s);
	if (too_hot(w, s))
		drill_restore(d, w); /* preflight and abort are the same question */
	else if (w->t >= d->next)
		drill_stage(d, w, s);
}

/* -- measuring ------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(struct meter *m, const struct world *w, struct result *r)
{
	const struct scenario *sc = w->sc;
	double lost = w->legit_offered > 0 ? 100 * (1 - w->legit_served / w->legit_offered) : 0;

	m->lost += lost;
	if (w->t < sc->from)
		return;
	if (w->t < sc->until) {
		m->offered += w->legit_offered;
		m->served += w->legit_served;
		if (w->t >= sc->from + PEAK_FROM_S)
			r->m[M_PEAK] = fmax(r->m[M_PEAK], w->peak);
	}
	if (w->peak > 1) {
		if (!m->overload)
			m->overload = w->t;
		m->calm_since = 0;
		return;
	}
	if (!m->calm_since) {
		m->calm_since = w->t;
		m->decisive = w->last_applied;
	}
	bool acted = w->first_applied && w->t > w->first_applied;
	int from = acted ? w->first_applied : m->overload;
	if (m->overload && !m->relieved && w->t - m->calm_since >= CALM_S && m->calm_since >= from) {
		m->relieved = m->calm_since;
		m->landed = m->calm_since - (m->decisive ? m->decisive : from);
	}
}

static void summarise(struct meter *m, const struct world *w, const struct referee *ref, struct result *r)
{
	int from = w->first_applied ? w->first_applied : m->overload;

	r->m[M_GOODPUT] = m->offered > 0 ? 100 * m->served / m->offered : 100;
	r->m[M_LOST] = m->lost;
	r->m[M_RELIEF] = !m->overload ? 0 : m->relieved ? m->relieved - from : fmax(w->sc->until - from, 0);
	r->m[M_LANDED] = m->relieved || !m->overload ? m->landed : r->m[M_RELIEF];
	r->m[M_CHANGES] = referee_changes(ref);
	r->m[M_DAMPING] = referee_damping(ref);
	r->m[M_COVERAGE] = r->predicted > 0 ? 100 * r->inside / r->predicted : NAN;
	r->m[M_VIOLATIONS] = referee_violations(ref);
	snprintf(r->foul, sizeof(r->foul), "%s", referee_first(ref));
	if (m->n_decide) {
		qsort(m->decide, m->n_decide, sizeof(double), by_value);
		r->m[M_DECIDE] = m->decide[(size_t)(0.99 * (double)(m->n_decide - 1))];
	}
}

static void trace_tick(struct trace *tr, const struct world *w, const struct turn *t)
{
	for (size_t i = 0; i < w->ns; i++)
		tr->util[(size_t)(w->t - 1) * w->ns + i] = (float)w->util[i];
	for (size_t n = 0; n < t->n; n++) {
		const struct order *o = &t->orders[n];
		tr->marks = xrealloc(tr->marks, tr->n_marks + 1, sizeof(*tr->marks));
		tr->marks[tr->n_marks++] = (struct mark){ w->t, o->site, o->shard,
							  world_cell(w, o->site, o->shard)->wanted, o->to };
	}
}

void trace_done(struct trace *t)
{
	free(t->util);
	free(t->marks);
	*t = (struct trace){ 0 };
}

void run(struct catch *c, const struct scenario *sc, const struct player *p, size_t shards, uint64_t seed,
	 double perturb, struct trace *trace, struct result *ret_result)
{
	struct world *w = world_new(c, sc, shards, seed, perturb);
	struct snapshot *seen = report_snapshot_new(w);
	struct referee *ref = referee_new(w);
	auto_free struct order *orders = xcalloc(PLAYER_ORDERS, sizeof(*orders));
	auto_free struct meter *m = xcalloc(1, sizeof(*m));
	struct drill d = { 0 };
	void *state = p->start(w);

	*ret_result = (struct result){ 0 };
	if (trace) {
		*trace = (struct trace){ .ns = w->ns, .duration = sc->duration };
		trace->util = xcalloc((size_t)sc->duration * w->ns, sizeof(float));
	}
	while (w->t < sc->duration) {
		struct turn t = { .seen = seen, .orders = orders };

		world_tick(w);
		report_snapshot_fill(w, seen);
		referee_observe(ref, w);
		drill_step(&d, w, seen);
		report_snapshot_fill(w, seen);
		p->step(state, w, &t);
		referee_judge(ref, w, &t);
		if (trace)
			trace_tick(trace, w, &t);
		for (size_t n = 0; n < t.n; n++)
			world_order(w, orders[n].site, orders[n].shard, orders[n].to);
		measure(m, w, ret_result);
		if (t.decide_ms > 0 && m->n_decide < ARRAY_LEN(m->decide))
			m->decide[m->n_decide++] = t.decide_ms;
		ret_result->inside += t.inside;
		ret_result->predicted += t.predicted;
	}
	summarise(m, w, ref, ret_result);
	p->end(state);
	guard_free(d.guard);
	referee_free(ref);
	report_snapshot_free(seen);
	world_free(w);
}
