/* SPDX-License-Identifier: Apache-2.0
 * One record per shard (shard_mem), states and transitions:
 *   resting -> flying    an order of one of its cells changed; what arrived before is kept
 *   flying  -> flying    another order changed meanwhile: the wait starts again, nothing will be learned
 *   flying  -> resting   the routers read back the order, settle_min has passed and the last three samples
 *                        agree; or settle_max has passed. Then: verify, learn.
 * Effects are compared as shares of the shard, so that demand growing meanwhile is not taken for an effect.
 * Learned only when one cell moved, the shard's total held (within 10 % and the samples' own noise), and
 * there was enough to measure. Timers: settle_min, settle_max, in the snapshot's time. */
#include "controller/steer/flight.h"

#include "controller/steer/lean.h"

#include <math.h>

#include "proto/base/mem.h"

#define WIDE	       0.05 /* of a load: its interval is one */
#define SLACK	       0.03 /* of the shard's load there: measuring is not exact either */
#define WIDEN_MORE     2.0
#define WIDEN_LESS     0.9259 /* 2^(-1/9) */
#define SLOW_ALPHA     (1.0 / 30)
#define STABLE_SHARE   0.20 /* samples agree when they differ by less than this of the shard's total */
#define CONSERVE_SHARE 0.10 /* learn only when the total moved less than this (plus noise) */
#define MEASURABLE     0.05 /* of the shard at the site, before or after */
#define TOLD_WIDE      0.25 /* of what was unknown before: so little unknown now tells it */
#define MOVED_NOTHING  0.02 /* of the shard */
#define LEARN_WEIGHT   8.0  /* pseudo-counts of one clean observation */
#define LEARN_MIXED    0.25 /* of that for destinations when other sites are weakened too */

struct settled { /* one shard's flight, measured */
	const struct snapshot *s;
	size_t k, site;
	struct shard_mem *f;
	struct cell_mem **cells; /* n_sites */
	double total, noise;	 /* now; relative noise of the total over the samples */
};

static double sane(double v)
{
	return isfinite(v) && v > 0 ? v : 0;
}

static void push_sample(struct cell_mem *m, const struct snap_cell *c, double lean)
{
	memmove(&m->sample[1], &m->sample[0], (RECALL_SAMPLES - 1) * sizeof(m->sample[0]));
	for (int x = 0; x < RES_N; x++)
		m->sample[0][x] = recall_within(sane(c->lo[x]), sane(c->hi[x]), lean);
	m->n_samples += m->n_samples < RECALL_SAMPLES;
}

static double mean_bps(const struct cell_mem *m)
{
	double sum = 0;

	for (unsigned j = 0; j < m->n_samples; j++)
		sum += m->sample[j][RES_BPS];
	return m->n_samples ? sum / m->n_samples : 0;
}

/* Do the samples agree on the shard's total? */
static bool steady(struct cell_mem **cells, size_t n)
{
	double lo = INFINITY, hi = 0;

	for (int j = 0; j < RECALL_SAMPLES; j++) {
		double sum = 0;
		for (size_t i = 0; i < n; i++)
			sum += cells[i]->sample[j][RES_BPS];
		lo = fmin(lo, sum);
		hi = fmax(hi, sum);
	}
	return hi <= lo * (1 + CONSERVE_SHARE);
}

/* A change ordered while load rises is measured against the newest sample: the mean is history. */
static double latest_bps(const struct cell_mem *m, bool rising)
{
	return rising && m->n_samples ? m->sample[0][RES_BPS] : mean_bps(m);
}

static bool recognised(const struct cell_mem *m, const struct policy *p, int64_t now_ms)
{
	return m->proposed_ms != RECALL_NEVER && !strcmp(m->proposed_to, m->wanted) &&
	       now_ms - m->proposed_ms <= 2 * p->settle_max_ms;
}

static void begin(struct shard_mem *f, struct cell_mem **cells, const struct snapshot *s, size_t k)
{
	bool rising = !steady(cells, s->n_sites);

	f->cells = 0;
	f->total = 0;
	f->own = true;
	for (size_t i = 0; i < s->n_sites; i++) {
		const struct snap_cell *c = snap_cell(s, i, k);
		double lo = sane(c->lo[RES_BPS]), hi = sane(c->hi[RES_BPS]);
		bool wide = hi > lo * (1 + WIDE);

		cells[i]->before = latest_bps(cells[i], rising);
		cells[i]->before_wide[0] = wide ? lo : 0;
		cells[i]->before_wide[1] = wide ? hi : 0;
		f->total += cells[i]->before;
	}
	f->flying = true;
}

static void changed(struct shard_mem *f, struct cell_mem *m, const char *to, const struct policy *p,
		    int64_t now_ms, struct flight_news *news)
{
	key_copy(m->previous, m->wanted);
	key_copy(m->wanted, to);
	m->changed_ms = now_ms;
	m->restorable_ms = RECALL_NEVER;
	bool own = recognised(m, p, now_ms);
	f->cells++;
	f->own = f->own && own;
	f->kind = own ? m->proposed : MOVE_OPERATOR;
	key_copy(f->site, m->key.site);
	key_copy(f->from, m->previous);
	key_copy(f->to, m->wanted);
	f->moved_lo = own ? m->proposed_moved[0] : 0;
	f->moved = own ? m->proposed_moved[1] : 0;
	f->moved_hi = own ? m->proposed_moved[2] : 0;
	m->proposed_ms = RECALL_NEVER;
	news->own_changes += own;
	news->restored = news->restored || (own && f->kind == MOVE_RESTORE);
}

/* Orders that differ from what was last seen. */
static void notice(struct shard_mem *f, struct cell_mem **cells, const struct policy *p,
		   const struct snapshot *s, size_t k, struct flight_news *news)
{
	bool first = true;

	for (size_t i = 0; i < s->n_sites; i++) {
		const struct snap_cell *c = snap_cell(s, i, k);
		const char *to;

		if (c->wanted >= s->grades->n)
			continue;
		to = s->grades->g[c->wanted].name;
		if (!cells[i]->wanted[0])
			key_copy(cells[i]->wanted, to);
		if (!strcmp(cells[i]->wanted, to))
			continue;
		if (first && !f->flying)
			begin(f, cells, s, k);
		changed(f, cells[i], to, p, s->now_ms, news);
		first = false;
	}
	if (first)
		return;
	f->since_ms = s->now_ms;
	for (size_t i = 0; i < s->n_sites; i++)
		cells[i]->n_samples = 0;
}

static bool applied(const struct snapshot *s, size_t k)
{
	for (size_t i = 0; i < s->n_sites; i++)
		if (s->sites[i].healthy && snap_cell(s, i, k)->grade != snap_cell(s, i, k)->wanted)
			return false;
	return true;
}

static bool stable(struct cell_mem **cells, size_t n)
{
	double total = 0;

	for (size_t i = 0; i < n; i++) {
		if (cells[i]->n_samples < RECALL_SAMPLES)
			return false;
		total += mean_bps(cells[i]);
	}
	for (size_t i = 0; i < n; i++) {
		double lo = INFINITY, hi = 0;
		for (int j = 0; j < RECALL_SAMPLES; j++) {
			lo = fmin(lo, cells[i]->sample[j][RES_BPS]);
			hi = fmax(hi, cells[i]->sample[j][RES_BPS]);
		}
		if (hi - lo > STABLE_SHARE * total)
			return false;
	}
	return true;
}

static void measure(struct settled *m)
{
	double sum[RECALL_SAMPLES] = { 0 }, lo = INFINITY, hi = 0;

	m->total = 0;
	for (size_t i = 0; i < m->s->n_sites; i++) {
		m->total += mean_bps(m->cells[i]);
		for (int j = 0; j < RECALL_SAMPLES; j++)
			sum[j] += m->cells[i]->sample[j][RES_BPS];
	}
	for (int j = 0; j < RECALL_SAMPLES; j++) {
		lo = fmin(lo, sum[j]);
		hi = fmax(hi, sum[j]);
	}
	m->noise = m->total > 0 ? (hi - lo) / m->total : 0;
}

/* Traffic is conserved: what arrives now, at sites that drop no more, tells where in its interval the load
 * was before; and with that what really moved. */
static void settle_before(struct settled *m, struct recall *mem)
{
	double sure = 0, lo = 0, hi = 0, wide = 0;

	for (size_t i = 0; i < m->s->n_sites; i++) {
		const struct cell_mem *c = m->cells[i];
		const struct snap_cell *now = snap_cell(m->s, i, m->k);

		sure += c->before_wide[1] > 0 ? 0 : c->before;
		lo += c->before_wide[0];
		hi += c->before_wide[1];
		wide += fmax(sane(now->hi[RES_BPS]) - sane(now->lo[RES_BPS]), 0);
	}
	if (hi <= lo || wide > TOLD_WIDE * (hi - lo))
		return;
	double lean = fmin(fmax((m->total - sure - lo) / (hi - lo), 0), 1);
	lean_learn(mem, lo, hi, m->total - sure);
	m->f->total = sure + lo + lean * (hi - lo);
	for (size_t i = 0; i < m->s->n_sites; i++) {
		struct cell_mem *c = m->cells[i];
		if (c->before_wide[1] > 0)
			c->before = recall_within(c->before_wide[0], c->before_wide[1], lean);
	}
}

static double share_before(const struct settled *m, size_t i)
{
	return m->cells[i]->before / m->f->total;
}

static double share_after(const struct settled *m, size_t i)
{
	return mean_bps(m->cells[i]) / m->total;
}

static int grade_of(const struct snapshot *s, const char *name)
{
	for (size_t g = 0; g < s->grades->n; g++)
		if (!strcmp(s->grades->g[g].name, name))
			return (int)g;
	return -1;
}

static bool others_weakened(const struct settled *m)
{
	for (size_t i = 0; i < m->s->n_sites; i++)
		if (i != m->site &&
		    (snap_cell(m->s, i, m->k)->wanted || !snap_cell(m->s, i, m->k)->announced))
			return true;
	return false;
}

/* The stronger of the two grades is the one whose shed is learned; a way back teaches as much. */
static void learn_shed(const struct settled *m, struct shift *model, int from, int to, double s0, double s1)
{
	const struct grade_set *gs = m->s->grades;
	uint8_t family = m->s->shards[m->k].family;
	struct shed sheds[STEER_GRADES];
	bool away = to > from;
	int strong = away ? to : from, weak = away ? from : to;
	double more = away ? s0 : s1, less = away ? s1 : s0; /* share under the weaker, the stronger grade */

	shift_sheds(model, gs, m->f->site, family, m->s->now_ms, sheds);
	double shed = 1 - (1 - sheds[weak].mean) * fmin(less / more, 1);
	shift_learn_shed(model, m->f->site, gs->g[strong].name, family, shed,
			 LEARN_WEIGHT * fmin(1, more / 0.2), m->s->now_ms);
}

static void learn_dests(const struct settled *m, struct shift *model, int from, int to)
{
	const char *grade = m->s->grades->g[to > from ? to : from].name;
	double sum = 0, sign = to > from ? 1 : -1, w = LEARN_WEIGHT * (others_weakened(m) ? LEARN_MIXED : 1);

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < m->s->n_sites; i++) {
			double got = sign * (share_after(m, i) - share_before(m, i));
			if (i == m->site || got <= 0)
				continue;
			if (!pass)
				sum += got;
			else if (sum > MOVED_NOTHING)
				shift_learn_dest(model, m->f->site, grade, m->s->shards[m->k].family,
						 m->s->sites[i].name, w * got / sum, m->s->now_ms);
		}
}

/* Nine of ten forecasts shall hold: each that does not widens the next, each that does narrows them. */
static void widen(double *w, bool inside)
{
	*w = fmin(fmax(fmax(*w, 1) * (inside ? WIDEN_LESS : WIDEN_MORE), 1), WIDEN_MAX);
}

/* Was the forecast made of what was learned, or of the prior? */
static bool was_seen(const struct settled *m, const struct shift *model, int strong)
{
	struct shed sheds[STEER_GRADES];

	shift_sheds(model, m->s->grades, m->f->site, m->s->shards[m->k].family, m->s->now_ms, sheds);
	return sheds[strong].evidence >= WIDE_EVIDENCE;
}

static void verify(const struct settled *m, double s0, double s1, bool seen, struct recall *mem,
		   struct flight_news *news)
{
	struct site_mem *site = recall_site(mem, m->f->site);
	double moved = (s0 - s1) * m->total, slack = (0.5 * m->noise + SLACK * fmax(s0, s1)) * m->total;
	bool inside = moved >= m->f->moved_lo - slack && moved <= m->f->moved_hi + slack;
	bool forecast = m->f->kind == MOVE_SHED || m->f->kind == MOVE_ATTRACT;

	if (!m->f->own)
		return;
	if (site) {
		site->seen++;
		site->inside += inside;
		if (forecast)
			widen(&site->widen, inside);
	}
	if (forecast)
		widen(&mem->widen[seen ? WIDE_SEEN : WIDE_PRIOR], inside);
	if (inside || !forecast || news->n_misses >= FLIGHT_MISSES)
		return;
	news->miss[news->n_misses++] = (struct miss){
		.site = m->site, .shard = m->k, .moved = moved, .useless = fabs(s0 - s1) < MOVED_NOTHING
	};
}

static void finish(struct settled *m, struct recall *mem, struct shift *model, struct flight_news *news)
{
	struct shard_mem *f = m->f;
	int from = grade_of(m->s, f->from), to = grade_of(m->s, f->to);

	for (m->site = 0; m->site < m->s->n_sites; m->site++)
		if (!strcmp(m->s->sites[m->site].name, f->site))
			break;
	measure(m);
	settle_before(m, mem);
	if (f->cells != 1 || from < 0 || to < 0 || from == to || m->site == m->s->n_sites || f->total <= 0 ||
	    m->total <= 0 || fabs(m->total / f->total - 1) > CONSERVE_SHARE + m->noise)
		return;
	double s0 = share_before(m, m->site), s1 = share_after(m, m->site);
	verify(m, s0, s1, was_seen(m, model, to > from ? to : from), mem, news);
	if ((to > from ? s0 : s1) < MEASURABLE)
		return;
	learn_shed(m, model, from, to, s0, s1);
	learn_dests(m, model, from, to);
}

static void observe_shard(struct recall *mem, struct shift *model, const struct policy *p,
			  const struct snapshot *s, size_t k, struct cell_mem **cells, const double *lean,
			  struct flight_news *news)
{
	struct shard_mem *f = recall_shard(mem, s->shards[k].name);

	notice(f, cells, p, s, k, news);
	for (size_t i = 0; i < s->n_sites; i++)
		push_sample(cells[i], snap_cell(s, i, k), lean[i]);
	if (!f->flying)
		return;
	if (f->since_ms > s->now_ms) /* saved by a clock that ran ahead of this one */
		f->since_ms = s->now_ms;
	int64_t age = s->now_ms - f->since_ms;
	bool done = applied(s, k) && age >= p->settle_min_ms && stable(cells, s->n_sites);
	if (!done && age < p->settle_max_ms)
		return;
	f->flying = false;
	if (!applied(s, k))
		return; /* never took effect: nothing to learn */
	struct settled m = { .s = s, .k = k, .f = f, .cells = cells };
	finish(&m, mem, model, news);
}

static void slow_load(struct site_mem *m, const struct snapshot *s, size_t i)
{
	double now = 0;

	for (size_t k = 0; k < s->n_shards; k++)
		now += recall_within(sane(snap_cell(s, i, k)->lo[RES_BPS]),
				     sane(snap_cell(s, i, k)->hi[RES_BPS]), RECALL_LEAN);
	m->slow += (m->slow > 0 ? SLOW_ALPHA : 1) * (now - m->slow);
}

void flight_observe(struct recall *mem, struct shift *model, const struct policy *p, const struct snapshot *s,
		    struct flight_news *ret_news)
{
	auto_free struct cell_mem **cells = xcalloc(s->n_sites, sizeof(*cells));
	auto_free double *lean = xcalloc(s->n_sites, sizeof(*lean));

	for (size_t i = 0; i < s->n_sites; i++)
		lean[i] = lean_of(mem, s->sites[i].name);
	for (size_t i = 0; i < s->n_sites; i++)
		slow_load(recall_site(mem, s->sites[i].name), s, i);
	*ret_news = (struct flight_news){ 0 };
	for (size_t k = 0; k < s->n_shards; k++) {
		for (size_t i = 0; i < s->n_sites; i++)
			cells[i] = recall_at(mem, s, i, k);
		observe_shard(mem, model, p, s, k, cells, lean, ret_news);
	}
}

void flight_propose(struct recall *mem, const struct snapshot *s, const struct move *m)
{
	struct cell_mem *c = recall_cell(mem, s->sites[m->site].name, s->shards[m->shard].name);

	if (!c)
		return;
	c->proposed = m->kind;
	c->proposed_ms = s->now_ms;
	key_copy(c->proposed_to, s->grades->g[m->to].name);
	c->proposed_moved[0] = m->moved_lo;
	c->proposed_moved[1] = m->moved;
	c->proposed_moved[2] = m->moved_hi;
}
