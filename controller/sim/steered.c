/* SPDX-License-Identifier: Apache-2.0
 * sluice: the controller's objects used as controller/rounds.c uses them: engine, then the guard before the
 * wire. greedy: the same engine without patience (no settling, no ledger, no limits), and no guard behind
 * it: what a controller becomes that takes the model at its word. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "controller/sim/player.h"
#include "controller/steer/steer.h"
#include "proto/base/mem.h"

#define WRONG_COUNTS 20
#define GREEDY_S     5 /* it plans so often, over and over */

bool steered_talk;

struct steered {
	struct engine *engine;
	struct guard *guard; /* NULL: greedy */
	struct policy policy;
};

/* Strong beliefs, all of them wrong: what sheds little is believed to shed all, and it goes elsewhere. */
static void wrong_model(struct steered *s, const struct world *w)
{
	struct rng r = rng_stream(w->seed, "wrong");
	auto_buf text = { 0 };

	buf_adds(&text, "sluice-steer 1\n");
	for (size_t i = 0; i < w->ns; i++)
		for (size_t g = 1; g < w->c->grades.n; g++) {
			bool much = rng_unit(&r) < 0.5;
			size_t to = rng_below(&r, w->ns);

			buf_addf(&text, "shed %s %s 4 %g %g 1000000\n", w->c->name[i], w->c->grades.g[g].name,
				 much ? 0.95 * WRONG_COUNTS : 0.05 * WRONG_COUNTS,
				 much ? 0.05 * WRONG_COUNTS : 0.95 * WRONG_COUNTS);
			if (to != i)
				buf_addf(&text, "dest %s %s 4 %s %d\n", w->c->name[i], w->c->grades.g[g].name,
					 w->c->name[to], WRONG_COUNTS);
		}
	if (engine_load(s->engine, text.data, text.len) < 0)
		abort(); /* the format is ours */
}

void *steered_start(struct world *w)
{
	struct steered *s = xcalloc(1, sizeof(*s));

	policy_default(&s->policy);
	s->policy.seed = w->seed;
	s->engine = engine_new(&s->policy);
	s->guard = guard_new();
	if (w->sc->twist == TW_WRONG)
		wrong_model(s, w);
	return s;
}

void *greedy_start(struct world *w)
{
	struct steered *s = steered_start(w);

	guard_free(s->guard);
	s->guard = NULL;
	s->policy.settle_min_ms = s->policy.settle_max_ms = 0;
	s->policy.no_return_ms = 0;
	s->policy.restore_hold_ms = 10000;
	s->policy.changes_max = 1000;
	s->policy.ledger_max = 1e9;
	s->policy.weaken_share_max = 1;
	s->policy.round_share_max = s->policy.urgent_share_max = 1;
	s->policy.excess_share_max = 1;
	engine_set_policy(s->engine, &s->policy);
	return s;
}

void steered_end(void *state)
{
	struct steered *s = state;

	engine_free(s->engine);
	guard_free(s->guard);
	free(s);
}

/* Was the truth inside the interval? What would really leave the site were only this cell changed. */
static bool inside(struct world *w, const struct move *m)
{
	auto_free uint8_t *vec = xcalloc(w->ns, 1);
	auto_free double *was = xcalloc(w->ns, sizeof(double)), *will = xcalloc(w->ns, sizeof(double)),
			 *legit = xcalloc(w->ns, sizeof(double));

	world_vector(w, m->shard, vec);
	world_would(w, m->shard, vec, was, legit);
	vec[m->site] = w->c->grades.g[m->to].kind == GRADE_WITHDRAWN ? CATCH_OFF : m->to;
	world_would(w, m->shard, vec, will, legit);
	double moved = was[m->site] - will[m->site], slack = 0.02 * was[m->site];
	bool in = moved >= m->moved_lo - slack && moved <= m->moved_hi + slack;
	if (steered_talk)
		fprintf(stderr, "        %s %s %s>%s %.3g: predicted %.3g (%.3g .. %.3g), of %.3g\n",
			in ? "in" : "OUT", move_kind_str(m->kind), w->c->grades.g[m->from].name,
			w->c->grades.g[m->to].name, moved, m->moved, m->moved_lo, m->moved_hi, was[m->site]);
	return in;
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void say(const struct world *w, const struct plan *p)
{
	static char last[STEER_TEXT];

	if (!steered_talk || (!p->n_moves && !strncmp(last, p->why, 12) && w->t % 30))
		return;
	snprintf(last, sizeof(last), "%s", p->why);
	fprintf(stderr, "%5d goodput %5.1f peak %.2f %-7s gap %.0f: %s\n", w->t,
		100 * w->legit_served / fmax(w->legit_offered, 1), w->peak, plan_state_str(p->state),
		p->gap_pct, p->why);
	for (size_t i = 0; i < p->n_moves; i++)
		fprintf(stderr, "        -> %s\n", p->moves[i].why);
	for (size_t i = 0; i < p->n_refused && i < 3; i++)
		fprintf(stderr, "        no: %s at %s to %s: %s\n", w->c->name[p->refused[i].site],
			w->c->grades.g[p->refused[i].from].name, w->c->grades.g[p->refused[i].to].name,
			p->refused[i].why);
}

void steered_step(void *state, struct world *w, struct turn *t)
{
	struct steered *s = state;

	if (!s->guard && w->t % GREEDY_S)
		return;
	struct guard_verdict v;
	struct plan p;
	double before = now_ms();

	if (s->guard)
		guard_observe(s->guard, &s->policy, t->seen);
	engine_step(s->engine, t->seen, &p);
	t->decide_ms = now_ms() - before;
	say(w, &p);
	bool go = p.state == PLAN_ACT && p.n_moves;
	if (go && s->guard &&
	    guard_check(s->guard, &s->policy, t->seen, p.moves, p.n_moves, plan_actor(&p), &v))
		go = false;
	if (go && s->guard)
		guard_commit(s->guard, t->seen, p.moves, p.n_moves);
	for (size_t i = 0; go && i < p.n_moves; i++) {
		turn_order(t, p.moves[i].site, p.moves[i].shard, p.moves[i].to);
		if (p.moves[i].kind == MOVE_RESTORE || p.moves[i].kind == MOVE_ROLLBACK)
			continue;
		t->predicted++;
		t->inside += inside(w, &p.moves[i]);
	}
	plan_done(&p);
}
