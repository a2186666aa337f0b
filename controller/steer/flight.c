/* SPDX-License-Identifier: Apache-2.0
 * One record per shard (shard_mem), states and transitions:
 *   resting -> flying    an order of one of its cells changed, or an announcement went or came back by itself
 *                        (quiet: nothing waits for it); what arrived before is kept
 *   flying  -> flying    another changed meanwhile: the wait starts again, nothing will be learned
 *   flying  -> resting   the routers read back the order, settle_min has passed and the last three samples
 *                        agree; or settle_max has passed. Then: verify.
 * What rests is averaged, and lesson.c learns of that, once reports have had the time to speak of it.
 * Effects are compared as shares of the shard, so that demand growing meanwhile is not taken for an effect.
 * Judged only when one cell moved and the shard's total held (within 10 % and the samples' own noise), and
 * never by load that a drill made up. Timers: settle_min, settle_max, in the snapshot's time. */
#include "controller/steer/flight.h"

#include "controller/steer/lean.h"
#include "controller/steer/lesson.h"

#include <math.h>

#include "proto/base/mem.h"

#define WIDE	       0.05 /* of a load: its interval is one */
#define SLACK	       0.03 /* of the shard's load there: measuring is not exact either */
#define WIDEN_MORE     2.0
#define WIDEN_LESS     0.9259 /* 2^(-1/9) */
#define SLOW_ALPHA     (1.0 / 30)
#define WOBBLE_KNOWN   10
#define WOBBLE_STEP    3.0  /* of the usual step */
#define WOBBLE_LEAST   0.02 /* of the load */
#define STABLE_SHARE   0.20 /* samples agree when they differ by less than this of the shard's total */
#define CONSERVE_SHARE 0.10 /* judge only when the total moved less than this (plus noise) */
#define TOLD_WIDE      0.25 /* of what was unknown before: so little unknown now tells it */
#define MOVED_NOTHING  0.02 /* of the shard */
#define DRIFT_SHARE    0.30 /* of the shard: no average of rest is off by so much */
#define MADE_UP_ROUNDS 4    /* the same after a drill that made load up */
#define REPORTS_LAG_MS 4000 /* rates are smoothed (meter.c): reports speak of the present only then */

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

static bool is_wide(const struct snap_cell *c)
{
	return sane(c->hi[RES_BPS]) > sane(c->lo[RES_BPS]) * (1 + WIDE);
}

/* What arrived before: the average of a long rest where there was one, else the last samples. */
static void begin(struct shard_mem *f, struct cell_mem **cells, const struct snapshot *s, size_t k)
{
	bool rising = !steady(cells, s->n_sites), known = f->n_rest >= REST_KNOWN;

	for (size_t i = 0; i < s->n_sites; i++)
		known = known && !is_wide(snap_cell(s, i, k));
	f->n_before = known ? f->n_rest : RECALL_SAMPLES;
	f->cells = f->lessons = f->n_rest = 0;
	f->total = 0;
	f->own = f->quiet = true;
	for (size_t i = 0; i < s->n_sites; i++) {
		const struct snap_cell *c = snap_cell(s, i, k);

		cells[i]->before = known ? cells[i]->rest[RES_BPS] : latest_bps(cells[i], rising);
		cells[i]->before_wide[0] = is_wide(c) ? sane(c->lo[RES_BPS]) : 0;
		cells[i]->before_wide[1] = is_wide(c) ? sane(c->hi[RES_BPS]) : 0;
		f->total += cells[i]->before;
	}
	f->flying = true;
}

/* Announced by nobody, though it is meant to be and was. */
static bool is_gone(const struct snapshot *s, const struct cell_mem *m, const struct snap_cell *c)
{
	size_t last = s->grades->n - 1;

	return m->there && c->wanted < last && c->grade == last;
}

static bool is_ordered(const struct snapshot *s, const struct cell_mem *m, const struct snap_cell *c)
{
	return c->wanted < s->grades->n && m->wanted[0] &&
	       strcmp(m->wanted, s->grades->g[c->wanted].name) != 0;
}

static bool is_news(struct cell_mem **cells, const struct snapshot *s, size_t k)
{
	for (size_t i = 0; i < s->n_sites; i++) {
		const struct snap_cell *c = snap_cell(s, i, k);
		if (is_ordered(s, cells[i], c) || is_gone(s, cells[i], c) != cells[i]->gone)
			return true;
	}
	return false;
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
	f->quiet = false;
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

static void wait_anew(struct shard_mem *f, struct cell_mem **cells, const struct snapshot *s)
{
	f->since_ms = s->now_ms;
	f->heard_ms = RECALL_NEVER;
	for (size_t i = 0; i < s->n_sites; i++)
		cells[i]->n_samples = 0;
}

/* Orders that differ from what was last seen. */
static void notice(struct shard_mem *f, struct cell_mem **cells, const struct policy *p,
		   const struct snapshot *s, size_t k, struct flight_news *news)
{
	unsigned before = f->cells;

	for (size_t i = 0; i < s->n_sites; i++) {
		const struct snap_cell *c = snap_cell(s, i, k);

		if (is_ordered(s, cells[i], c))
			changed(f, cells[i], s->grades->g[c->wanted].name, p, s->now_ms, news);
		else if (!cells[i]->wanted[0] && c->wanted < s->grades->n)
			key_copy(cells[i]->wanted, s->grades->g[c->wanted].name);
	}
	if (f->cells != before)
		wait_anew(f, cells, s);
}

/* Announcements that went, or came back, without an order: the clients move all the same. */
static void notice_quiet(struct shard_mem *f, struct cell_mem **cells, const struct snapshot *s, size_t k)
{
	const char *last = s->grades->g[s->grades->n - 1].name;
	unsigned before = f->cells;

	for (size_t i = 0; i < s->n_sites; i++) {
		const struct snap_cell *c = snap_cell(s, i, k);
		struct cell_mem *m = cells[i];
		bool gone = is_gone(s, m, c), ordered = c->wanted + 1u >= s->grades->n;

		if (gone != m->gone) {
			f->cells++;
			key_copy(f->site, m->key.site);
			key_copy(f->from, gone ? m->wanted : last);
			key_copy(f->to, gone ? last : m->wanted);
			f->own = false;
			f->kind = MOVE_OPERATOR;
		}
		m->gone = gone;
		m->there = !ordered && (m->there || c->grade + 1u < s->grades->n);
	}
	if (f->cells != before)
		wait_anew(f, cells, s);
}

static bool applied(struct cell_mem **cells, const struct snapshot *s, size_t k)
{
	for (size_t i = 0; i < s->n_sites; i++)
		if (s->sites[i].healthy && !cells[i]->gone &&
		    snap_cell(s, i, k)->grade != snap_cell(s, i, k)->wanted)
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

/* What happened, as far as it can be told apart: one cell moved and the shard's total held. */
static void finish(struct settled *m, struct recall *mem, struct shift *model, struct flight_news *news)
{
	struct lesson l = { .s = m->s, .k = m->k, .f = m->f, .cells = m->cells };

	measure(m);
	settle_before(m, mem);
	if (!lesson_read(&l) || m->f->total <= 0 || m->total <= 0 ||
	    fabs(m->total / m->f->total - 1) > CONSERVE_SHARE + m->noise)
		return;
	m->site = l.site;
	double s0 = m->cells[m->site]->before / m->f->total, s1 = mean_bps(m->cells[m->site]) / m->total;
	verify(m, s0, s1, was_seen(m, model, l.to > l.from ? l.to : l.from), mem, news);
}

/* The demand has changed: what was averaged is history, and what happens now is not the change's doing. */
static bool drifted(const struct shard_mem *f, struct cell_mem **cells, size_t n)
{
	double total = 0, now = 0, most = 0;

	if (f->n_rest < REST_KNOWN)
		return false;
	for (size_t i = 0; i < n; i++) {
		total += cells[i]->rest[RES_BPS];
		now += mean_bps(cells[i]);
		most = fmax(most, fabs(mean_bps(cells[i]) - cells[i]->rest[RES_BPS]));
	}
	return fmax(most, fabs(now - total)) > DRIFT_SHARE * total;
}

/* What its load does while nothing is done to it. One great step is demand that changes, not noise. */
static void wobble(struct cell_mem *m, unsigned n_rest)
{
	double step = fabs(m->sample[0][RES_BPS] - m->sample[1][RES_BPS]);
	double most = fmax(WOBBLE_STEP * sqrt(m->wobble), WOBBLE_LEAST * m->rest[RES_BPS]);

	if (n_rest < 2)
		return;
	if (m->n_wobble >= WOBBLE_KNOWN)
		step = fmin(step, most);
	m->n_wobble += m->n_wobble < WOBBLE_ROUNDS;
	m->wobble += (step * step - m->wobble) / m->n_wobble;
}

/* The last samples are of the present, too. */
static void take_samples(struct shard_mem *f, struct cell_mem **cells, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cells[i]->n_samples < RECALL_SAMPLES)
			return;
	f->n_rest = RECALL_SAMPLES;
	for (size_t i = 0; i < n; i++)
		for (int x = 0; x < RES_N; x++)
			cells[i]->rest[x] = (cells[i]->sample[1][x] + cells[i]->sample[2][x]) / 2;
}

/* Nothing is in flight and reports speak of the present: averages, and what is learned of them. */
static void rest(struct shard_mem *f, struct cell_mem **cells, const struct snapshot *s, size_t k,
		 struct shift *model)
{
	int64_t lag_ms = s->now_ms - f->heard_ms;
	struct lesson l = { .s = s, .k = k, .f = f, .cells = cells };

	if (drifted(f, cells, s->n_sites)) {
		f->n_rest = 0;
		f->lessons = LESSONS;
	}
	f->n_rest += f->n_rest < REST_ROUNDS;
	if (f->n_rest == 1 && lag_ms >= REPORTS_LAG_MS + (RECALL_SAMPLES - 1) * 1000)
		take_samples(f, cells, s->n_sites);
	for (size_t i = 0; i < s->n_sites; i++) {
		wobble(cells[i], f->n_rest);
		for (int x = 0; x < RES_N; x++)
			cells[i]->rest[x] += (cells[i]->sample[0][x] - cells[i]->rest[x]) / f->n_rest;
	}
	lesson_step(&l, model);
}

/* True: it is not in flight, or no more. */
static bool settle(struct shard_mem *f, struct cell_mem **cells, const struct policy *p,
		   const struct snapshot *s, bool there)
{
	if (!f->flying)
		return true;
	if (f->since_ms > s->now_ms) /* saved by a clock that ran ahead of this one */
		f->since_ms = s->now_ms;
	int64_t age = s->now_ms - f->since_ms;
	bool done = there && age >= p->settle_min_ms && stable(cells, s->n_sites);
	return done || age >= p->settle_max_ms;
}

/* Load that is partly a drill's invention says nothing about what a change moves, neither before nor after;
 * nor does what is heard right after it. */
static bool made_up(struct shard_mem *f, struct cell_mem **cells, const struct snapshot *s, size_t k,
		    struct shift *model)
{
	struct lesson l = { .s = s, .k = k, .f = f, .cells = cells };
	unsigned was = f->made_up;

	f->made_up = snapshot_made_up(s) ? MADE_UP_ROUNDS : was ? was - 1 : 0;
	if (!was && !f->made_up)
		return false;
	if (!was)
		lesson_last(&l, model); /* what has rested until now is true */
	for (size_t i = 0; i < s->n_sites && f->made_up < MADE_UP_ROUNDS; i++)
		cells[i]->n_samples = 0;
	f->n_rest = 0;
	return true;
}

static void observe_shard(struct recall *mem, struct shift *model, const struct policy *p,
			  const struct snapshot *s, size_t k, struct cell_mem **cells, const double *lean,
			  struct flight_news *news)
{
	struct shard_mem *f = recall_shard(mem, s->shards[k].name);
	struct lesson l = { .s = s, .k = k, .f = f, .cells = cells };
	bool unreal = made_up(f, cells, s, k, model);

	if (!f->flying && is_news(cells, s, k)) {
		lesson_last(&l, model);
		begin(f, cells, s, k);
	}
	notice(f, cells, p, s, k, news);
	notice_quiet(f, cells, s, k);
	for (size_t i = 0; i < s->n_sites; i++)
		push_sample(cells[i], snap_cell(s, i, k), lean[i]);
	if (unreal) { /* nothing to compare with */
		f->total = 0;
		f->lessons = LESSONS;
	}
	bool there = applied(cells, s, k), flew = f->flying;
	if (!there)
		f->heard_ms = RECALL_NEVER;
	else if (f->heard_ms == RECALL_NEVER)
		f->heard_ms = s->now_ms;
	if (!settle(f, cells, p, s, there))
		return;
	f->flying = false;
	struct settled m = { .s = s, .k = k, .f = f, .cells = cells };
	if (flew && there && f->total > 0) /* else it never took effect: nothing to learn */
		finish(&m, mem, model, news);
	if (there && !unreal && s->now_ms - f->heard_ms >= REPORTS_LAG_MS)
		rest(f, cells, s, k, model);
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
