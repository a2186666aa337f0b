/* SPDX-License-Identifier: Apache-2.0
 * A mixed-integer program: one binary per candidate change; per site a utilisation that adds up from them,
 * and its cost as a piecewise linear function (not convex above capacity: binaries choose the segment).
 * The guard's view of whole plans comes in as cuts. Rows: one change a shard, moves in all, receivers at 95
 * %, shed per hot site, traffic per round. */
#include "tests/bench/exact.h"

#include <math.h>
#include <string.h>
#include <glpk.h>

#include "controller/steer/cost.h"
#include "proto/base/mem.h"

#define SEGMENTS 24
#define U_TOP	 4.0
#define BIG	 1e3
#define CUTS_MAX 200

struct change {
	size_t i, k;
	unsigned to;
	struct effect effect;
	double moved;
};

struct program {
	const struct round *r;
	struct change *c;
	size_t n;
	glp_prob *lp;
	int first_u, first_seg; /* columns */
};

static double gets(const struct round *r, const struct change *c, size_t j)
{
	return c->effect.flow[j].v[r->main] - r->flow[round_cell(r, j, c->k)].v[r->main];
}

static void collect(struct program *p, const struct guard *g)
{
	const struct round *r = p->r;

	p->c = xcalloc(r->ns * r->nk * r->gs->n + 1, sizeof(*p->c));
	for (size_t i = 0; i < r->ns; i++)
		for (size_t k = 0; r->hot[i] && k < r->nk; k++)
			for (unsigned to = r->grade[round_cell(r, i, k)] + 1u; to < r->gs->n; to++) {
				struct change *c = &p->c[p->n];
				struct guard_verdict v;

				*c = (struct change){ .i = i, .k = k, .to = to };
				effect_init(&c->effect, r);
				flow_change(r, i, k, to, &c->effect);
				c->moved = -gets(r, c, i);
				struct move m = search_move(r, i, k, to, MOVE_SHED, &c->effect);
				if (guard_check(g, r->p, r->s, &m, 1, ACTOR_ENGINE, &v))
					effect_done(&c->effect);
				else
					p->n++;
			}
}

static int row(glp_prob *lp, double lo, double hi, const int *ind, const double *val, int len)
{
	int at = glp_add_rows(lp, 1);

	glp_set_row_bnds(lp, at, lo <= -BIG * BIG ? GLP_UP : lo == hi ? GLP_FX : GLP_DB, lo, hi);
	glp_set_mat_row(lp, at, len, ind, val);
	return at;
}

static double knot(int s)
{
	return U_TOP * s / SEGMENTS;
}

/* Cost of a site at a utilisation, everything in proportion: what the program may know. */
static double site_cost(const struct round *r, size_t j, double u)
{
	struct res_vec load = { 0 };

	load.v[r->main] = u * r->cap[j].v[r->main];
	load.v[LANE_WORTH] = load.v[r->main];
	return cost_site(r, j, &load, r->spread[j]);
}

/* u_j = sum over segments of (lambda on both ends); one segment chosen. */
static void site_rows(struct program *p, size_t j)
{
	const struct round *r = p->r;
	size_t len = p->n + 2 * SEGMENTS + 2;
	auto_free int *ind = xcalloc(len + 1, sizeof(int));
	auto_free double *val = xcalloc(len + 1, sizeof(double));
	int n = 0, a = glp_add_cols(p->lp, 2 * SEGMENTS), z = glp_add_cols(p->lp, SEGMENTS);
	double cap = r->cap[j].v[r->main];

	for (int s = 0; s < SEGMENTS; s++) {
		for (int end = 0; end < 2; end++) {
			glp_set_col_bnds(p->lp, a + 2 * s + end, GLP_LO, 0, 0);
			glp_set_obj_coef(p->lp, a + 2 * s + end, site_cost(r, j, knot(s + end)));
			ind[++n] = a + 2 * s + end;
			val[n] = knot(s + end);
		}
		glp_set_col_kind(p->lp, z + s, GLP_BV);
		int pair[] = { 0, a + 2 * s, a + 2 * s + 1, z + s };
		double one[] = { 0, 1, 1, -1 };
		row(p->lp, 0, 0, pair, one, 3);
	}
	for (size_t c = 0; c < p->n; c++) {
		ind[++n] = (int)c + 1;
		val[n] = -gets(r, &p->c[c], j) / cap;
	}
	double now = r->load[j].v[r->main] / cap;
	row(p->lp, now, now, ind, val, n);
	n = 0;
	for (int s = 0; s < SEGMENTS; s++) {
		ind[++n] = z + s;
		val[n] = 1;
	}
	row(p->lp, 1, 1, ind, val, n);
}

/* If a change sends site j anything, j stays below its limit at 95 % (unless it is hot itself and shrinks).
 */
static void receiver_rows(struct program *p, size_t j)
{
	const struct round *r = p->r;
	auto_free int *ind = xcalloc(p->n + 2, sizeof(int));
	auto_free double *val = xcalloc(p->n + 2, sizeof(double));
	double cap = r->cap[j].v[r->main];
	double room = r->p->receiver_max_util - (r->load[j].v[r->main] + Z90 * r->spread[j]) / cap;

	for (size_t c = 0; c < p->n; c++) {
		if (gets(r, &p->c[c], j) <= 1e-6 * p->c[c].moved)
			continue;
		int n = 0;
		for (size_t o = 0; o < p->n; o++) {
			ind[++n] = (int)o + 1;
			val[n] = gets(r, &p->c[o], j) / cap + Z90 * p->c[o].effect.dev[j] / cap +
				 (o == c ? BIG : 0);
		}
		row(p->lp, -2 * BIG * BIG, room + BIG, ind, val, n);
	}
}

static void limit_rows(struct program *p, unsigned moves_max)
{
	const struct round *r = p->r;
	auto_free int *ind = xcalloc(p->n + 2, sizeof(int));
	auto_free double *val = xcalloc(p->n + 2, sizeof(double));
	double total = r->total.v[r->main];
	int n;

	for (size_t k = 0; k < r->nk; k++) {
		n = 0;
		for (size_t c = 0; c < p->n; c++)
			if (p->c[c].k == k) {
				ind[++n] = (int)c + 1;
				val[n] = 1;
			}
		if (n)
			row(p->lp, -2 * BIG * BIG, 1, ind, val, n);
	}
	for (int what = 0; what < 2; what++) {
		n = 0;
		for (size_t c = 0; c < p->n; c++) {
			ind[++n] = (int)c + 1;
			val[n] = what ? p->c[c].moved / total : 1;
		}
		row(p->lp, -2 * BIG * BIG, what ? r->p->urgent_share_max : moves_max, ind, val, n);
	}
}

/* x_c and x_o both taken: their sum within the share of the excess; x_c alone: within the excess. */
static void excess_rows(struct program *p)
{
	const struct round *r = p->r;
	auto_free int *ind = xcalloc(p->n + 2, sizeof(int));
	auto_free double *val = xcalloc(p->n + 2, sizeof(double));

	for (size_t i = 0; i < r->ns; i++) {
		if (!r->hot[i])
			continue;
		double load = r->load[i].v[r->main];
		double excess = load * (1 - r->p->trigger_util / round_util(r, i, &r->load[i]));
		int n = 0, many = glp_add_cols(p->lp, 1);

		glp_set_col_kind(p->lp, many, GLP_BV); /* more than one change here */
		for (size_t c = 0; c < p->n; c++)
			if (p->c[c].i == i) {
				ind[++n] = (int)c + 1;
				val[n] = p->c[c].moved / load;
			}
		ind[++n] = many;
		val[n] = (1 - r->p->excess_share_max) * excess / load;
		row(p->lp, -2 * BIG * BIG, excess / load, ind, val, n);
		n = 0;
		for (size_t c = 0; c < p->n; c++)
			if (p->c[c].i == i) {
				ind[++n] = (int)c + 1;
				val[n] = 1;
			}
		ind[++n] = many;
		val[n] = -(double)r->nk;
		row(p->lp, -2 * BIG * BIG, 1, ind, val, n);
	}
}

/* The guard judges plans, not changes: a set it refuses is cut off. false: it has nothing against this one.
 */
static bool cut_refused(struct program *p, const struct guard *g)
{
	auto_free int *ind = xcalloc(p->n + 1, sizeof(int));
	auto_free double *val = xcalloc(p->n + 1, sizeof(double));
	auto_free struct move *moves = xcalloc(p->n + 1, sizeof(*moves));
	struct guard_verdict v;
	int n = 0;

	for (size_t c = 0; c < p->n; c++) {
		if (glp_mip_col_val(p->lp, (int)c + 1) < 0.5)
			continue;
		moves[n] = search_move(p->r, p->c[c].i, p->c[c].k, p->c[c].to, MOVE_SHED, &p->c[c].effect);
		ind[++n] = (int)c + 1;
		val[n] = 1;
	}
	if (!n || !guard_check(g, p->r->p, p->r->s, moves, (size_t)n, ACTOR_ENGINE, &v))
		return false;
	row(p->lp, -2 * BIG * BIG, n - 1, ind, val, n);
	return true;
}

static double priced(const struct program *p)
{
	struct trial t;

	trial_init(&t, p->r);
	for (size_t c = 0; c < p->n; c++)
		if (glp_mip_col_val(p->lp, (int)c + 1) > 0.5)
			trial_add(&t, p->r, p->c[c].k, &p->c[c].effect);
	double cost = cost_all(p->r, t.load, t.dev);
	trial_done(&t);
	return cost;
}

double exact_cost(const struct round *r, const struct guard *g, unsigned moves_max)
{
	struct program p = { .r = r };
	glp_iocp how;
	double cost = -1;

	collect(&p, g);
	glp_term_out(GLP_OFF);
	p.lp = glp_create_prob();
	glp_set_obj_dir(p.lp, GLP_MIN);
	if (p.n) {
		glp_add_cols(p.lp, (int)p.n);
		for (size_t c = 0; c < p.n; c++)
			glp_set_col_kind(p.lp, (int)c + 1, GLP_BV);
		for (size_t j = 0; j < r->ns; j++) {
			site_rows(&p, j);
			receiver_rows(&p, j);
		}
		limit_rows(&p, moves_max);
		excess_rows(&p);
		glp_init_iocp(&how);
		how.presolve = GLP_ON;
		how.tm_lim = 5000;
		how.mip_gap = 1e-4;
		for (int cuts = 0; cuts < CUTS_MAX && cost < 0; cuts++) {
			if (glp_intopt(p.lp, &how) || glp_mip_status(p.lp) != GLP_OPT)
				break;
			if (!cut_refused(&p, g))
				cost = priced(&p);
		}
	}
	glp_delete_prob(p.lp);
	for (size_t c = 0; c < p.n; c++)
		effect_done(&p.c[c].effect);
	free(p.c);
	return cost;
}
