/* SPDX-License-Identifier: Apache-2.0
 * The planner's search. A plan never touches one shard twice (I7), so the effects of its moves are
 * independent: each candidate's is computed once, and a step adds the best of them to the trial. A candidate
 * is taken in one of two tiers: every receiver stays below its limit at 95 %; or, when there is none such,
 * one move that is better than staying with probability 0.95.
 * Then other first moves are followed to their end, as far as the size of the problem allows. */
#include "controller/steer/search_int.h"

#include <math.h>

#include "controller/steer/cost.h"
#include "controller/steer/explain.h"
#include "controller/steer/ledger.h"
#include "proto/base/mem.h"

#define GAIN_MIN      0.05 /* of the cost of the site it is for: smaller gains are not worth a route change */
#define GAIN_MIN_ABS  0.05
#define SHARD_PART    0.5  /* many shards are small shards: half of an average one is worth a change */
#define LOAD_OFF      0.08 /* loads themselves move by so much between a forecast and its check */
#define GUESS_OFF     0.10
#define FORECAST_WIDE 1.15 /* the tails are fatter than a normal's: one site in six does not react at all */
#define LOST_SLACK    1e-6
#define SITES_USUAL   6
#define GAIN_WORTH    (0.003 * COST_LOST) /* so much of all traffic saved is always worth one */
#define MOVE_MIN      0.04		  /* of the site's load: less is not worth one either */
#define ATTRACT_BONUS 1.25		  /* lifting a receiver's prepends is preferred over shedding */
#define STRAY_MAX     0.10		  /* of what moves may land at a site that should not receive */
#define STARTS_MAX    24
#define SECONDS_MAX   8
#define STARTS_WORK   60000 /* site evaluations for other first moves */
#define STARTS_GAIN   0.025 /* another first move must end better by this part if it was never seen, */
#define STARTS_SEEN   0.002 /* by this if it was */
#define SEEN_COUNTS   8
#define PROOF_COUNTS  4	   /* of destinations */
#define TINY	      1e-3 /* of capacity: a change below this is priced by the slope */

/* Why a candidate cannot be taken, most useful reason last. */
struct verdict {
	double gain, gain_sd;
	bool safe; /* tier 1 */
	char why[STEER_TEXT];
};

/* Words only where somebody will read them: candidates are judged thousands of times. */
#define say(s, why, ...)                                                                                     \
	do {                                                                                                 \
		if ((s)->talk)                                                                               \
			explain_text(why, __VA_ARGS__);                                                      \
		else                                                                                         \
			memcpy(why, "-", 2);                                                                 \
	} while (0)

void trial_init(struct trial *t, const struct round *r)
{
	t->load = xcalloc(r->ns, sizeof(*t->load));
	t->dev = xcalloc(r->ns, sizeof(*t->dev));
	memcpy(t->load, r->load, r->ns * sizeof(*t->load));
	memcpy(t->dev, r->spread, r->ns * sizeof(*t->dev));
}

void trial_done(struct trial *t)
{
	free(t->load);
	free(t->dev);
}

void effect_init(struct effect *e, const struct round *r)
{
	e->flow = xcalloc(r->ns, sizeof(*e->flow));
	e->dev = xcalloc(r->ns, sizeof(*e->dev));
}

void effect_done(struct effect *e)
{
	free(e->flow);
	free(e->dev);
}

/* Moves of one site are believed to err together (same grade, same neighbours): deviations add up. */
static void add_site(const struct round *r, size_t j, size_t k, const struct effect *e, struct res_vec *load,
		     double *dev)
{
	for (int x = 0; x < LANES; x++)
		load->v[x] = fmax(0, load->v[x] + e->flow[j].v[x] - r->flow[round_cell(r, j, k)].v[x]);
	*dev += e->dev[j];
}

void trial_add(struct trial *t, const struct round *r, size_t k, const struct effect *e)
{
	for (size_t j = 0; j < r->ns; j++)
		add_site(r, j, k, e, &t->load[j], &t->dev[j]);
}

/* How far the load of a cell itself may be off, down and up: known as an interval while its site drops. */
static void demand_range(const struct round *r, size_t i, size_t k, double *ret_lo, double *ret_hi)
{
	const struct snap_cell *cell = round_snap(r, i, k);
	double lo = cell->lo[r->main], hi = cell->hi[r->main], mid = recall_within(lo, hi, r->lean[i]);

	*ret_lo = *ret_hi = 1;
	if (!isfinite(lo + hi) || !(mid > 0) || lo < 0)
		return;
	*ret_lo = lo / mid;
	*ret_hi = hi / mid;
	if (hi > lo) { /* what was counted as offered is a guess, too */
		*ret_lo *= 1 - GUESS_OFF;
		*ret_hi *= 1 + GUESS_OFF;
	}
}

/* One site in six did not react to prepends at all: until this one was seen to, it may be another. */
static bool may_not_react(const struct round *r, size_t i, size_t k, unsigned to)
{
	return r->gs->g[to].kind < GRADE_DRAIN && round_shed(r, i, k, to)->evidence < WIDE_EVIDENCE;
}

/* A belief that came with a stored or imported model, and was never held against what happened here. */
static bool hearsay(const struct round *r, size_t i, size_t k, unsigned to)
{
	return !r->proved[i] && round_shed(r, i, k, to)->evidence >= WIDE_EVIDENCE;
}

static void shed_range(const struct round *r, size_t i, size_t k, double half, struct move *m)
{
	double was = r->flow[round_cell(r, i, k)].v[r->main], less, more;
	bool anything = hearsay(r, i, k, m->to);

	demand_range(r, i, k, &less, &more);
	more *= 1 + r->coming[i];
	m->moved_lo = anything || may_not_react(r, i, k, m->to) ? 0 : fmax(0, (m->moved - half) * less);
	m->moved_hi = (anything ? was : fmin(fmax(was, m->moved), m->moved + half)) * more;
}

/* Who would come back has not been seen since they left: as many again. */
static void attract_range(double half, struct move *m)
{
	m->moved_lo = 2 * m->moved - half;
	m->moved_hi = fmin(0, m->moved + half);
}

struct move search_move(const struct round *r, size_t i, size_t k, unsigned to, enum move_kind kind,
			const struct effect *e)
{
	size_t c = round_cell(r, i, k);
	double moved = r->flow[c].v[r->main] - e->flow[i].v[r->main];
	double half = FORECAST_WIDE * Z90 * e->dev[i] + LOAD_OFF * fabs(moved);
	struct move m = { .site = r->site[i],
			  .shard = r->shard[k],
			  .from = r->grade[c],
			  .to = (uint8_t)to,
			  .kind = kind,
			  .moved = moved };

	if (moved >= 0)
		shed_range(r, i, k, half, &m);
	else
		attract_range(half, &m);
	return m;
}

void search_refuse(struct plan *p, const struct move *m, const char *why)
{
	if (p->n_refused >= STEER_MOVES)
		return;
	for (size_t i = 0; i < p->n_refused; i++)
		if (p->refused[i].site == m->site && p->refused[i].shard == m->shard)
			return;
	p->refused[p->n_refused] = *m;
	snprintf(p->refused[p->n_refused++].why, STEER_TEXT, "%s", why);
}

static bool returns_early(const struct search *s, const struct candidate *c, char *why)
{
	const struct cell_mem *m = s->r->mem[round_cell(s->r, c->i, c->k)];

	if (!m || m->changed_ms == RECALL_NEVER || strcmp(m->previous, s->r->gs->g[c->to].name))
		return false;
	int64_t age = s->r->s->now_ms - m->changed_ms;
	if (age < 0 || age >= s->r->p->no_return_ms)
		return false;
	say(s, why, "it left %s %.0f s ago and does not return within %.0f s", m->previous,
	    (double)age / 1000, (double)s->r->p->no_return_ms / 1000);
	return true;
}

/* Lifting what load made us weaken is restore's, slowly; here only to stop real loss elsewhere. What the
 * document itself weakens may be lifted for any relief. */
static bool lifts_early(const struct search *s, const struct candidate *c, char *why)
{
	const struct round *r = s->r;

	if (c->kind != MOVE_ATTRACT || r->grade[round_cell(r, c->i, c->k)] <= round_snap(r, c->i, c->k)->base)
		return false;
	for (size_t i = 0; i < r->ns; i++)
		if (s->excess[i] > 0 && candidate_sure_util(r, i) > 1)
			return false;
	say(s, why, "it was weakened for load, and no site is above its capacity now");
	return true;
}

static bool too_small(const struct search *s, const struct candidate *c, double gain, char *why)
{
	const struct round *r = s->r;
	double load = r->load[c->i].v[r->main];
	char a[32];

	double least = fmin(MOVE_MIN, SHARD_PART / (double)r->nk);
	if (c->kind != MOVE_SHED || c->moved >= least * load || gain >= GAIN_WORTH)
		return false;
	say(s, why, "it would shed only %s, %.1f %% of %s's load", explain_qty(r->main, c->moved, a),
	    100 * c->moved / load, r->names[c->i]);
	return true;
}

static bool over_limit(const struct search *s, const struct candidate *c, char *why)
{
	const struct round *r = s->r;
	double size = fabs(c->moved);
	char a[32], b[32];

	if (s->moved + size > s->moved_max) {
		say(s, why, "it would move %s, %s left of this round's limit", explain_qty(r->main, size, a),
		    explain_qty(r->main, s->moved_max - s->moved, b));
		return true;
	}
	if (c->kind != MOVE_SHED)
		return false;
	/* the first move may take the whole excess: a shard cannot be split below a grade */
	double cap = s->excess[c->i] * (s->shed[c->i] > 0 ? r->p->excess_share_max : 1);
	if (s->shed[c->i] + c->moved <= cap)
		return false;
	say(s, why, "it would shed %s, of %s's excess %s may go in this round", explain_qty(r->main, size, a),
	    r->names[c->i], explain_qty(r->main, cap - s->shed[c->i], b));
	return true;
}

/* Does every site that gets more stay below its limit at 95 %? */
static bool receivers_safe(const struct search *s, const struct candidate *c, struct verdict *v)
{
	const struct round *r = s->r;

	for (size_t j = 0; j < r->ns; j++) {
		double gets = c->effect.flow[j].v[r->main] - r->flow[round_cell(r, j, c->k)].v[r->main];
		struct res_vec load = s->t->load[j];
		double dev = s->t->dev[j];

		if (gets <= 1e-6 * fabs(c->moved) || gets <= 0)
			continue;
		/* what lands where all is lost already can only be what the gain has counted as lost */
		if (s->contain && round_util(r, j, &load) > 1)
			continue;
		if (!r->receiver[j] && r->s->sites[r->site[j]].healthy) {
			if (gets <= STRAY_MAX * fabs(c->moved))
				continue;
			say(s, v->why, "%.0f %% of it would land at %s, which is not to receive",
			    100 * gets / fabs(c->moved), r->names[j]);
			return false;
		}
		add_site(r, j, c->k, &c->effect, &load, &dev);
		double u = round_util(r, j, &load), sd = cost_util_sd(r, j, &load, dev);
		if (u + Z90 * sd <= r->p->receiver_max_util)
			continue;
		say(s, v->why, "%s might reach %.0f %% (expected %.0f %%), its limit is %.0f %%", r->names[j],
		    100 * (u + Z90 * sd), 100 * u, 100 * r->p->receiver_max_util);
		return false;
	}
	return true;
}

/* How much the gain varies with where the traffic goes: the gain if all of it went to j, for every j, has
 * under a Dirichlet the variance sum(p_j (g_j - mean)^2) / (alpha + 1). Only what leaves site i is unsure. */
static double dest_var(const struct search *s, const struct candidate *c)
{
	const struct round *r = s->r;
	unsigned now = r->grade[round_cell(r, c->i, c->k)];
	const struct dest_row *d = round_dest(r, c->i, c->k, c->to > now ? c->to : now);
	double mean = 0, square = 0, all = 0;

	for (size_t j = 0; j < r->ns; j++) {
		struct res_vec load = s->t->load[j];
		double gets = c->effect.flow[j].v[r->main] - r->flow[round_cell(r, j, c->k)].v[r->main];

		if (j == c->i || gets * c->moved <= 0 || fabs(gets) < 1e-3 * fabs(c->moved))
			continue;
		for (int x = 0; x < LANES; x++) /* all of it, resources in proportion */
			load.v[x] = fmax(0, load.v[x] + r->flow[round_cell(r, c->i, c->k)].v[x] -
						    c->effect.flow[c->i].v[x]);
		double g = s->cost[j] - cost_site(r, j, &load, s->t->dev[j]);
		mean += fabs(gets) * g;
		square += fabs(gets) * g * g;
		all += fabs(gets);
	}
	if (all <= 0)
		return 0;
	mean /= all;
	double wide = round_widen(r, c->i, c->k, c->to > now ? c->to : now);
	return wide * wide * fmax(0, square / all - mean * mean) / (d->alpha + 1);
}

/* The sites' cost with the change as predicted, more or less of it by some part of its sd. */
static double price(const struct search *s, const struct candidate *c, double part)
{
	const struct round *r = s->r;
	double sum = 0;

	for (size_t j = 0; j < r->ns; j++) {
		const struct res_vec *was = &r->flow[round_cell(r, j, c->k)], *will = &c->effect.flow[j];
		double d = will->v[r->main] - was->v[r->main],
		       worth = will->v[LANE_WORTH] - was->v[LANE_WORTH];

		if (fabs(d) < TINY * candidate_room(r, j)) {
			sum += s->cost[j] + (d * s->slope[j].load + worth * s->slope[j].worth) * (1 + part);
			continue;
		}
		struct res_vec load = s->t->load[j];
		for (int x = 0; x < LANES; x++)
			load.v[x] = fmax(0, load.v[x] + (will->v[x] - was->v[x]) * (1 + part));
		sum += cost_site(r, j, &load, s->t->dev[j] + (part ? 0 : c->effect.dev[j]));
	}
	return sum;
}

/* Of what is worth serving, the part lost when all goes as expected. */
static double lost_then(const struct search *s, const struct candidate *c, bool taken)
{
	const struct round *r = s->r;
	double sum = 0;

	for (size_t j = 0; j < r->ns; j++) {
		struct res_vec load = s->t->load[j];
		double dev = 0;

		if (taken)
			add_site(r, j, c->k, &c->effect, &load, &dev);
		sum += cost_lost(fmin(round_util(r, j, &load), 1e6)) * load.v[LANE_WORTH];
	}
	return sum;
}

/* The smallest gain worth a route change. Among hundreds of sites one is small, and so is all that can be
 * gained for it. */
static double least_gain(const struct search *s, const struct candidate *c, double now)
{
	const struct round *r = s->r;
	double part = fmin(GAIN_MIN, SHARD_PART / (double)r->nk);
	double of = part * (c->kind == MOVE_SHED ? s->cost[c->i] : now);

	return fmax(GAIN_MIN_ABS * fmin(1, SITES_USUAL * r->prior[c->i]), fmin(of, GAIN_WORTH));
}

/* Gain in expectation, and its spread: the same candidate shedding one sd less and one sd more, and going
 * elsewhere than expected. What is no gain is not looked at further. */
static void gain_of(const struct search *s, const struct candidate *c, struct verdict *v)
{
	const struct round *r = s->r;
	double now = 0, rel = fabs(c->moved) > 0 ? fmin(c->sd / fabs(c->moved), 1) : 0;

	for (size_t j = 0; j < r->ns; j++)
		now += s->cost[j];
	double then = price(s, c, 0);
	v->gain = now - then;
	if (v->gain <= 0) {
		say(s, v->why, "it would make things worse: cost %.2f -> %.2f", now, then);
		return;
	}
	if (v->gain < least_gain(s, c, now)) {
		say(s, v->why, "gain %.2f of cost %.2f is not worth a route change", v->gain, now);
		return;
	}
	double lost_if = lost_then(s, c, true), lost_now = lost_then(s, c, false);
	if (lost_if > lost_now + LOST_SLACK * r->total.v[r->main]) {
		char a[32], b[32];
		say(s, v->why, "%s would be lost, %s are now, though with more headroom elsewhere",
		    explain_qty(r->main, lost_if, a), explain_qty(r->main, lost_now, b));
		return;
	}
	v->gain_sd = hypot((price(s, c, -rel) - price(s, c, rel)) / 2, sqrt(dest_var(s, c)));
	if (v->gain < 2 * v->gain_sd)
		say(s, v->why, "gain %.2f is less than twice its uncertainty %.2f", v->gain, v->gain_sd);
}

/* Above capacity there is never enough that may be changed: one shard shows where a site's clients go before
 * more of them follow. */
static bool wants_proof(const struct search *s, const struct candidate *c, char *why)
{
	const struct round *r = s->r;

	double counts = round_dest(r, c->i, c->k, c->to)->alpha;
	if (!s->contain || s->shed[c->i] <= 0 || counts >= PROOF_COUNTS)
		return false;
	say(s, why,
	    "where the clients of %s go is hardly known (%.1f counts, %.1f asked for): one shard first",
	    r->names[c->i], counts, (double)PROOF_COUNTS);
	return true;
}

/* Empty why: may be taken. */
static void judge(const struct search *s, const struct candidate *c, struct verdict *v)
{
	v->gain = -1;
	v->gain_sd = 0;
	v->safe = false;
	v->why[0] = 0;
	gain_of(s, c, v);
	if (v->why[0])
		return;
	if (wants_proof(s, c, v->why) || returns_early(s, c, v->why) || lifts_early(s, c, v->why) ||
	    too_small(s, c, v->gain, v->why) || over_limit(s, c, v->why))
		return;
	v->safe = receivers_safe(s, c, v);
	if (!v->safe && v->gain - Z90 * v->gain_sd > 0 && !s->plan->n_moves)
		v->why[0] = 0; /* tier 2: better with probability 0.95, alone */
}

static double value(const struct candidate *c, const struct verdict *v)
{
	return v->gain * (c->kind == MOVE_ATTRACT ? ATTRACT_BONUS : 1);
}

/* The best candidate of the better tier, or NULL. */
static struct candidate *best(struct search *s, struct verdict *ret_v)
{
	struct candidate *top = NULL;

	for (size_t i = 0; i < s->n; i++) {
		struct candidate *c = &s->c[i];
		struct verdict v;

		if (c->dead || s->used[c->k])
			continue;
		judge(s, c, &v);
		if (v.why[0])
			continue;
		if (top &&
		    (ret_v->safe > v.safe || (ret_v->safe == v.safe && value(top, ret_v) >= value(c, &v))))
			continue;
		top = c;
		*ret_v = v;
	}
	return top;
}

static bool take(struct search *s, struct candidate *c)
{
	struct plan *p = s->plan;
	struct move *m = &p->moves[p->n_moves];
	struct guard_verdict verdict;

	*m = search_move(s->r, c->i, c->k, c->to, c->kind, &c->effect);
	if (guard_check(s->g, s->r->p, s->r->s, p->moves, p->n_moves + 1, ACTOR_ENGINE, &verdict)) {
		char why[STEER_TEXT + 16];
		snprintf(why, sizeof(why), "%s: %s", guard_str(verdict.id), verdict.why);
		search_refuse(p, m, why);
		c->dead = true;
		return false;
	}
	trial_add(s->t, s->r, c->k, &c->effect);
	candidate_slopes(s);
	explain_move(s->r, m, &c->effect, s->t->load, m->why);
	p->n_moves++;
	s->used[c->k] = true;
	s->moved += fabs(c->moved);
	if (c->kind == MOVE_SHED)
		s->shed[c->i] += c->moved;
	return true;
}

static void withdrawal_refused(struct search *s)
{
	const struct round *r = s->r;
	size_t hot[HOT_MAX], best = 0;
	unsigned gone = (unsigned)r->gs->n - 1;

	if (!candidate_hot(r, hot) || candidate_affordable(r, 0, gone))
		return;
	for (size_t k = 0; k < r->nk; k++)
		if (r->flow[round_cell(r, hot[0], k)].v[r->main] >
		    r->flow[round_cell(r, hot[0], best)].v[r->main])
			best = k;
	if (r->off[round_cell(r, hot[0], best)])
		return;
	struct move m = { .site = r->site[hot[0]],
			  .shard = r->shard[best],
			  .from = r->grade[round_cell(r, hot[0], best)],
			  .to = (uint8_t)gone,
			  .kind = MOVE_SHED };
	char why[STEER_TEXT];
	explain_text(why,
		     "a withdrawal costs %.0f in the flap ledger, %.0f may be spent: the operator's choice",
		     ledger_cost(r->gs, m.from, gone), r->p->ledger_max);
	search_refuse(s->plan, &m, why);
}

struct refusal {
	struct candidate *c;
	struct verdict v;
};

static int by_gain(const void *a, const void *b)
{
	const struct refusal *x = a, *y = b;

	return (x->v.gain < y->v.gain) - (x->v.gain > y->v.gain);
}

/* What was best by gain but not taken, and why. One per cell. */
static void refusals(struct search *s)
{
	auto_free struct refusal *all = xcalloc(s->n + 1, sizeof(*all));
	size_t n = 0;

	s->talk = true;
	for (size_t i = 0; i < s->n; i++) {
		if (s->c[i].dead || s->used[s->c[i].k])
			continue;
		all[n].c = &s->c[i];
		judge(s, &s->c[i], &all[n].v);
		n += all[n].v.why[0] != 0;
	}
	qsort(all, n, sizeof(*all), by_gain);
	for (size_t i = 0; i < n && s->plan->n_refused < STEER_MOVES / 2; i++) {
		struct candidate *c = all[i].c;
		struct move m = search_move(s->r, c->i, c->k, c->to, c->kind, &c->effect);
		search_refuse(s->plan, &m, all[i].v.why);
	}
	withdrawal_refused(s);
}

static double moved_max(const struct round *r)
{
	double share = r->p->round_share_max;

	for (size_t i = 0; i < r->ns; i++)
		if (r->urgent[i] && r->hot[i])
			share = r->p->urgent_share_max;
	return share * r->total.v[r->main];
}

/* Back to where the round stands: nothing planned. */
static void reset(struct search *s)
{
	const struct round *r = s->r;

	memcpy(s->t->load, r->load, r->ns * sizeof(*s->t->load));
	memcpy(s->t->dev, r->spread, r->ns * sizeof(*s->t->dev));
	memset(s->shed, 0, r->ns * sizeof(*s->shed));
	memset(s->used, 0, r->nk * sizeof(*s->used));
	s->moved = 0;
	s->plan->n_moves = s->plan->n_refused = 0;
	for (size_t i = 0; i < s->n; i++)
		s->c[i].dead = false;
	candidate_slopes(s);
}

/* A beginning of a plan: up to two moves that need not be the best ones. */
struct start {
	struct candidate *c[2];
};

/* From a beginning, or from none, best first. Returns the cost then. */
static double climb(struct search *s, const struct start *from, unsigned moves_max)
{
	reset(s);
	for (size_t i = 0; from && i < ARRAY_LEN(from->c); i++)
		if (from->c[i] && s->plan->n_moves < moves_max)
			take(s, from->c[i]);
	while (s->plan->n_moves < moves_max) {
		struct verdict v = { 0 };
		struct candidate *c = best(s, &v);

		if (!c)
			break;
		if (take(s, c) && !v.safe)
			break; /* tier 2 goes alone */
	}
	return cost_all(s->r, s->t->load, s->t->dev);
}

/* The next moves worth trying from the trial as it is, in tier 1, best first. */
static size_t next_moves(struct search *s, size_t max, struct candidate **ret)
{
	double worth[STARTS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct verdict v;

		if (s->c[i].dead || s->used[s->c[i].k])
			continue;
		judge(s, &s->c[i], &v);
		if (v.why[0] || !v.safe)
			continue;
		double w = value(&s->c[i], &v);
		size_t j = n < max ? n : max - 1;
		if (n == max && worth[j] >= w)
			continue;
		n += n < max;
		for (; j && worth[j - 1] < w; j--) {
			worth[j] = worth[j - 1];
			ret[j] = ret[j - 1];
		}
		worth[j] = w;
		ret[j] = &s->c[i];
	}
	return n;
}

/* What was never seen promises more than it keeps. */
static double start_margin(const struct round *r, const struct candidate *c)
{
	unsigned now = r->grade[round_cell(r, c->i, c->k)], strong = c->to > now ? c->to : now;

	return round_shed(r, c->i, c->k, strong)->evidence >= SEEN_COUNTS ? STARTS_SEEN : STARTS_GAIN;
}

static void attempt(struct search *s, const struct start *from, unsigned moves_max, struct start *best,
		    double *lowest)
{
	double cost = climb(s, from, moves_max), margin = start_margin(s->r, from->c[0]);

	if (from->c[1])
		margin = fmax(margin, start_margin(s->r, from->c[1]));
	if (cost >= *lowest * (1 - margin))
		return;
	*lowest = cost;
	*best = *from;
}

/* The bounded second opinion: what is best first need not be in the best pair, so a few other first moves are
 * followed to their end, in small problems with a few other second ones, and the best end is taken. */
static void improve(struct search *s, unsigned moves_max)
{
	struct candidate *first[STARTS_MAX], *second[SECONDS_MAX];
	size_t work = s->n * s->r->ns, max = work ? STARTS_WORK / work : 0;
	double lowest = climb(s, NULL, moves_max);
	struct start best = { { NULL, NULL } };

	if (moves_max < 2 || !s->plan->n_moves || max < 2)
		return;
	reset(s);
	size_t n = next_moves(s, max > STARTS_MAX ? STARTS_MAX : max, first);
	size_t seconds = n ? max / n : 0;
	for (size_t i = 0; i < n; i++) {
		struct start from = { { first[i], NULL } };

		attempt(s, &from, moves_max, &best, &lowest);
		if (seconds < 2)
			continue;
		reset(s);
		take(s, first[i]);
		size_t m = next_moves(s, seconds > SECONDS_MAX ? SECONDS_MAX : seconds, second);
		for (size_t j = 0; j < m; j++) {
			from.c[1] = second[j];
			attempt(s, &from, moves_max, &best, &lowest);
		}
	}
	climb(s, &best, moves_max);
}

size_t search_run(const struct round *r, const struct guard *g, unsigned moves_max, bool contain,
		  struct plan *ret_plan, struct trial *ret_trial)
{
	auto_free double *excess = xcalloc(r->ns, sizeof(*excess)), *shed = xcalloc(r->ns, sizeof(*shed));
	auto_free double *cost = xcalloc(r->ns, sizeof(*cost));
	auto_free struct slope *slope = xcalloc(r->ns, sizeof(*slope));
	auto_free bool *used = xcalloc(r->nk, sizeof(*used));
	struct search s = { .r = r,
			    .g = g,
			    .contain = contain,
			    .cost = cost,
			    .slope = slope,
			    .excess = excess,
			    .shed = shed,
			    .used = used,
			    .t = ret_trial,
			    .plan = ret_plan,
			    .moved_max = moved_max(r) };

	candidate_slopes(&s);
	candidate_collect(&s);
	improve(&s, moves_max > STEER_MOVES ? STEER_MOVES : moves_max);
	refusals(&s);
	for (size_t i = 0; i < s.n; i++)
		effect_done(&s.c[i].effect);
	free(s.c);
	return ret_plan->n_moves;
}

void search_forecast(const struct round *r, const struct trial *t, struct plan *ret_plan)
{
	double bound = cost_bound(r), cost = cost_all(r, t->load, t->dev);

	free(ret_plan->sites);
	ret_plan->sites = xcalloc(r->ns, sizeof(*ret_plan->sites));
	for (size_t i = 0; i < r->ns; i++) {
		struct site_forecast *f = &ret_plan->sites[r->site[i]];
		double half = Z90 * cost_util_sd(r, i, &t->load[i], t->dev[i]);

		f->before = round_util(r, i, &r->load[i]);
		f->after = round_util(r, i, &t->load[i]);
		f->after_lo = fmax(0, f->after - half);
		f->after_hi = f->after + half;
	}
	ret_plan->gap_pct = isfinite(bound) ? fmax(0, 100 * (cost - bound) / COST_LOST) : 0;
}
