/* SPDX-License-Identifier: Apache-2.0
 * The planner's search. A plan never touches one shard twice (I7), so the effects of its moves are
 * independent: each candidate's is computed once, and a step adds the best of them to the trial. A candidate
 * is taken in one of two tiers: every receiver stays below its limit at 95 %; or, when there is none such,
 * one move that is better than staying with probability 0.95. */
#include "controller/steer/search.h"

#include <math.h>

#include "controller/steer/cost.h"
#include "controller/steer/explain.h"
#include "proto/base/mem.h"

#define HOT_MAX	      8	   /* sites planned for in one round */
#define GAIN_MIN      0.05 /* of the cost now: smaller gains are not worth a route change */
#define GAIN_MIN_ABS  0.02
#define MOVE_MIN      0.04 /* of the site's load: less is not worth one either */
#define ATTRACT_BONUS 1.25 /* lifting a receiver's prepends is preferred over shedding */
#define STRAY_MAX     0.10 /* of what moves may land at a site that should not receive */

struct candidate {
	size_t i, k;
	unsigned to;
	enum move_kind kind;
	struct effect effect;
	double moved, sd; /* main resource, leaving (+) or coming (-) */
	bool dead;
};

struct search {
	const struct round *r;
	const struct guard *g;
	struct candidate *c;
	size_t n;
	double *excess, *shed; /* per site: above the trigger; moved so far in this plan */
	double moved, moved_max;
	bool *used; /* per shard */
	struct trial *t;
	struct plan *plan;
};

/* Why a candidate cannot be taken, most useful reason last. */
struct verdict {
	double gain, gain_sd;
	bool safe; /* tier 1 */
	char why[STEER_TEXT];
};

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
	for (int x = 0; x < RES_N; x++)
		load->v[x] = fmax(0, load->v[x] + e->flow[j].v[x] - r->flow[round_cell(r, j, k)].v[x]);
	*dev += e->dev[j];
}

void trial_add(struct trial *t, const struct round *r, size_t k, const struct effect *e)
{
	for (size_t j = 0; j < r->ns; j++)
		add_site(r, j, k, e, &t->load[j], &t->dev[j]);
}

struct move search_move(const struct round *r, size_t i, size_t k, unsigned to, enum move_kind kind,
			const struct effect *e)
{
	size_t c = round_cell(r, i, k);
	double was = r->flow[c].v[r->main], moved = was - e->flow[i].v[r->main], half = Z90 * e->dev[i];
	struct move m = { .site = r->site[i],
			  .shard = r->shard[k],
			  .from = r->grade[c],
			  .to = (uint8_t)to,
			  .kind = kind,
			  .moved = moved,
			  .moved_lo = moved - half,
			  .moved_hi = moved + half };

	if (moved >= 0) {
		m.moved_lo = fmax(0, m.moved_lo);
		m.moved_hi = fmin(fmax(was, moved), m.moved_hi);
	} else {
		m.moved_hi = fmin(0, m.moved_hi);
	}
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

static void add_candidate(struct search *s, size_t i, size_t k, unsigned to, enum move_kind kind)
{
	struct candidate *c = &s->c[s->n];

	*c = (struct candidate){ .i = i, .k = k, .to = to, .kind = kind };
	effect_init(&c->effect, s->r);
	flow_change(s->r, i, k, to, &c->effect);
	c->moved = s->r->flow[round_cell(s->r, i, k)].v[s->r->main] - c->effect.flow[i].v[s->r->main];
	c->sd = c->effect.dev[i];
	s->n++;
}

static void site_candidates(struct search *s, size_t i, bool shed)
{
	const struct round *r = s->r;

	for (size_t k = 0; k < r->nk; k++) {
		size_t c = round_cell(r, i, k);

		if (r->off[c] || r->shard_busy[k] || round_snap(r, i, k)->pinned)
			continue;
		if (shed && r->flow[c].v[r->main] <= 1e-3 * r->load[i].v[r->main])
			continue;
		unsigned lo = shed ? r->grade[c] + 1u : 0, hi = shed ? (unsigned)r->gs->n : r->grade[c];
		for (unsigned to = lo; to < hi; to++)
			add_candidate(s, i, k, to, shed ? MOVE_SHED : MOVE_ATTRACT);
	}
}

/* Hottest first; at most HOT_MAX. */
static size_t hot_sites(const struct round *r, size_t *ret_hot)
{
	size_t n = 0;

	for (size_t i = 0; i < r->ns; i++) {
		double u = round_util(r, i, &r->load[i]);

		if (!r->hot[i] || r->site_busy[i] || u <= r->p->trigger_util)
			continue;
		size_t j = n < HOT_MAX ? n : HOT_MAX - 1;
		if (n == HOT_MAX && round_util(r, ret_hot[j], &r->load[ret_hot[j]]) >= u)
			continue;
		n += n < HOT_MAX;
		for (; j && round_util(r, ret_hot[j - 1], &r->load[ret_hot[j - 1]]) < u; j--)
			ret_hot[j] = ret_hot[j - 1];
		ret_hot[j] = i;
	}
	return n;
}

/* Utilisation both as measured and as forecast: what is only on its way here may yet not come. */
static double sure_util(const struct round *r, size_t i)
{
	struct res_vec seen = { 0 };

	for (size_t k = 0; k < r->nk; k++)
		for (int x = 0; x < RES_N; x++)
			seen.v[x] += r->seen[round_cell(r, i, k)].v[x];
	return fmin(round_util(r, i, &r->load[i]), round_util(r, i, &seen));
}

static double excess_of(const struct round *r, size_t i)
{
	double u = sure_util(r, i);

	return u > r->p->trigger_util ? r->load[i].v[r->main] * (1 - r->p->trigger_util / u) : 0;
}

static void candidates(struct search *s)
{
	const struct round *r = s->r;
	size_t hot[HOT_MAX], n = hot_sites(r, hot), lifted = 0;

	for (size_t i = 0; i < r->ns; i++)
		for (size_t k = 0; k < r->nk; k++)
			lifted += r->grade[round_cell(r, i, k)];
	s->c = xcalloc(n * r->nk * r->gs->n + lifted, sizeof(*s->c));
	for (size_t h = 0; h < n; h++) {
		s->excess[hot[h]] = excess_of(r, hot[h]);
		site_candidates(s, hot[h], true);
	}
	for (size_t i = 0; n && i < r->ns; i++)
		if (r->receiver[i] && !r->site_busy[i] && round_util(r, i, &r->load[i]) < r->p->trigger_util)
			site_candidates(s, i, false);
}

static bool returns_early(const struct search *s, const struct candidate *c, char *why)
{
	const struct cell_mem *m = s->r->mem[round_cell(s->r, c->i, c->k)];

	if (!m || m->changed_ms == RECALL_NEVER || strcmp(m->previous, s->r->gs->g[c->to].name))
		return false;
	int64_t age = s->r->s->now_ms - m->changed_ms;
	if (age < 0 || age >= s->r->p->no_return_ms)
		return false;
	explain_text(why, "it left %s %.0f s ago and does not return within %.0f s", m->previous,
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
		if (s->excess[i] > 0 && sure_util(r, i) > 1)
			return false;
	explain_text(why, "it was weakened for load, and no site is above its capacity now");
	return true;
}

static bool too_small(const struct search *s, const struct candidate *c, char *why)
{
	const struct round *r = s->r;
	double load = r->load[c->i].v[r->main];
	char a[32];

	if (c->kind != MOVE_SHED || c->moved >= MOVE_MIN * load)
		return false;
	explain_text(why, "it would shed only %s, %.1f %% of %s's load", explain_qty(r->main, c->moved, a),
		     100 * c->moved / load, r->names[c->i]);
	return true;
}

static bool over_limit(const struct search *s, const struct candidate *c, char *why)
{
	const struct round *r = s->r;
	double size = fabs(c->moved);
	char a[32], b[32];

	if (s->moved + size > s->moved_max) {
		explain_text(why, "it would move %s, %s left of this round's limit",
			     explain_qty(r->main, size, a), explain_qty(r->main, s->moved_max - s->moved, b));
		return true;
	}
	if (c->kind != MOVE_SHED)
		return false;
	/* the first move may take the whole excess: a shard cannot be split below a grade */
	double cap = s->excess[c->i] * (s->shed[c->i] > 0 ? r->p->excess_share_max : 1);
	if (s->shed[c->i] + c->moved <= cap)
		return false;
	explain_text(why, "it would shed %s, of %s's excess %s may go in this round",
		     explain_qty(r->main, size, a), r->names[c->i],
		     explain_qty(r->main, cap - s->shed[c->i], b));
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
		if (!r->receiver[j] && r->s->sites[r->site[j]].healthy) {
			if (gets <= STRAY_MAX * fabs(c->moved))
				continue;
			explain_text(v->why, "%.0f %% of it would land at %s, which is not to receive",
				     100 * gets / fabs(c->moved), r->names[j]);
			return false;
		}
		add_site(r, j, c->k, &c->effect, &load, &dev);
		double u = round_util(r, j, &load), sd = cost_util_sd(r, j, &load, dev);
		if (u + Z90 * sd <= r->p->receiver_max_util)
			continue;
		explain_text(v->why, "%s might reach %.0f %% (expected %.0f %%), its limit is %.0f %%",
			     r->names[j], 100 * (u + Z90 * sd), 100 * u, 100 * r->p->receiver_max_util);
		return false;
	}
	return true;
}

/* How much the gain varies with where the traffic goes: the gain if all of it went to j, for every j, has
 * under a Dirichlet the variance sum(p_j (g_j - mean)^2) / (alpha + 1). Only what leaves site i is unsure. */
static double dest_var(const struct search *s, const struct candidate *c)
{
	const struct round *r = s->r;
	const struct dest_row *d = round_dest(
		r, c->i, c->k,
		c->to > r->grade[round_cell(r, c->i, c->k)] ? c->to : r->grade[round_cell(r, c->i, c->k)]);
	double mean = 0, square = 0, all = 0;

	for (size_t j = 0; j < r->ns; j++) {
		struct res_vec load = s->t->load[j];
		double gets = c->effect.flow[j].v[r->main] - r->flow[round_cell(r, j, c->k)].v[r->main];

		if (j == c->i || gets * c->moved <= 0)
			continue;
		for (int x = 0; x < RES_N; x++) /* all of it, resources in proportion */
			load.v[x] = fmax(0, load.v[x] + r->flow[round_cell(r, c->i, c->k)].v[x] -
						    c->effect.flow[c->i].v[x]);
		double g =
			cost_site(r, j, &s->t->load[j], s->t->dev[j]) - cost_site(r, j, &load, s->t->dev[j]);
		mean += fabs(gets) * g;
		square += fabs(gets) * g * g;
		all += fabs(gets);
	}
	if (all <= 0)
		return 0;
	mean /= all;
	return fmax(0, square / all - mean * mean) / (d->alpha + 1);
}

/* Gain in expectation, and its spread: the same candidate shedding one sd less and one sd more, and going
 * elsewhere than expected. */
static void gain_of(const struct search *s, const struct candidate *c, struct verdict *v)
{
	const struct round *r = s->r;
	double now = 0, then = 0, less = 0, more = 0;
	double rel = fabs(c->moved) > 0 ? fmin(c->sd / fabs(c->moved), 1) : 0;

	for (size_t j = 0; j < r->ns; j++) {
		struct res_vec load = s->t->load[j], lo = load, hi = load;
		double dev = s->t->dev[j];

		now += cost_site(r, j, &load, dev);
		for (int x = 0; x < RES_N; x++) {
			double d = c->effect.flow[j].v[x] - r->flow[round_cell(r, j, c->k)].v[x];
			lo.v[x] = fmax(0, load.v[x] + d * (1 - rel));
			hi.v[x] = fmax(0, load.v[x] + d * (1 + rel));
		}
		less += cost_site(r, j, &lo, dev);
		more += cost_site(r, j, &hi, dev);
		add_site(r, j, c->k, &c->effect, &load, &dev);
		then += cost_site(r, j, &load, dev);
	}
	v->gain = now - then;
	v->gain_sd = hypot((less - more) / 2, sqrt(dest_var(s, c)));
	if (v->gain <= 0)
		explain_text(v->why, "it would make things worse: cost %.2f -> %.2f", now, then);
	else if (v->gain < GAIN_MIN * now || v->gain < GAIN_MIN_ABS)
		explain_text(v->why, "gain %.2f of cost %.2f is not worth a route change", v->gain, now);
	else if (v->gain < 2 * v->gain_sd)
		explain_text(v->why, "gain %.2f is less than twice its uncertainty %.2f", v->gain,
			     v->gain_sd);
}

/* Empty why: may be taken. */
static void judge(const struct search *s, const struct candidate *c, struct verdict *v)
{
	*v = (struct verdict){ .gain = -1 };
	gain_of(s, c, v);
	if (v->why[0])
		return;
	if (returns_early(s, c, v->why) || lifts_early(s, c, v->why) || too_small(s, c, v->why) ||
	    over_limit(s, c, v->why))
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
	explain_move(s->r, m, &c->effect, s->t->load, m->why);
	p->n_moves++;
	s->used[c->k] = true;
	s->moved += fabs(c->moved);
	if (c->kind == MOVE_SHED)
		s->shed[c->i] += c->moved;
	return true;
}

/* What was best by gain but not taken, and why. */
static void refusals(struct search *s)
{
	for (int round = 0; round < STEER_MOVES / 2; round++) {
		struct candidate *top = NULL;
		struct verdict topv = { .gain = -INFINITY };

		for (size_t i = 0; i < s->n; i++) {
			struct verdict v;

			if (s->c[i].dead || s->used[s->c[i].k])
				continue;
			judge(s, &s->c[i], &v);
			if (v.why[0] && v.gain > topv.gain) {
				top = &s->c[i];
				topv = v;
			}
		}
		if (!top)
			return;
		top->dead = true;
		struct move m = search_move(s->r, top->i, top->k, top->to, top->kind, &top->effect);
		search_refuse(s->plan, &m, topv.why);
	}
}

static double moved_max(const struct round *r)
{
	double share = r->p->round_share_max;

	for (size_t i = 0; i < r->ns; i++)
		if (r->urgent[i] && r->hot[i])
			share = r->p->urgent_share_max;
	return share * r->total.v[r->main];
}

size_t search_run(const struct round *r, const struct guard *g, unsigned moves_max, struct plan *ret_plan,
		  struct trial *ret_trial)
{
	auto_free double *excess = xcalloc(r->ns, sizeof(*excess)), *shed = xcalloc(r->ns, sizeof(*shed));
	auto_free bool *used = xcalloc(r->nk, sizeof(*used));
	struct search s = { .r = r,
			    .g = g,
			    .excess = excess,
			    .shed = shed,
			    .used = used,
			    .t = ret_trial,
			    .plan = ret_plan,
			    .moved_max = moved_max(r) };

	candidates(&s);
	if (moves_max > STEER_MOVES)
		moves_max = STEER_MOVES;
	while (ret_plan->n_moves < moves_max) {
		struct verdict v = { 0 };
		struct candidate *c = best(&s, &v);

		if (!c)
			break;
		if (take(&s, c) && !v.safe)
			break; /* tier 2 goes alone */
	}
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
	ret_plan->gap_pct = isfinite(bound) && bound > 1e-9 ? fmax(0, 100 * (cost / bound - 1)) : 0;
}
