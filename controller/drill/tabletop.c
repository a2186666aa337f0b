/* SPDX-License-Identifier: Apache-2.0
 * BUSY (tabletop_start) -> OVER (after the worker), or LEAVING (tabletop_drop while busy) -> freed by the
 * worker's last callback. The worker sees all of the struct; the loop reads the three atomics while it is
 * busy, and everything afterwards. */
#include "controller/drill/tabletop.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "controller/observe.h"
#include "controller/sim/rehearse.h"

#define PACE_AT_S   100 /* of the first run: how long would all of it take? */
#define SITES_SHOWN 32
#define UNSTEERED   1.1 /* what the run without steering adds */
#define MARGIN	    0.8 /* of the time there is, for the first run's pace was of a calm stretch */

enum { STEERED, UNSTEERED_, KINDS };

struct tabletop {
	uv_work_t work;
	struct rounds_state state;
	struct live_loss loss;
	struct rehearsed runs[KINDS][TABLETOP_RUNS_MAX];
	mono_t began;
	int64_t took_ms;
	int after_s; /* of each run */
	bool busy, leaving;
	atomic_bool stop;
	atomic_uint done; /* runs */
	atomic_uint permille;
};

/* -- the worker ------------------------------------------------------------------------------------------ */

static int64_t elapsed_ms(const struct tabletop *t)
{
	return mono_diff_ms(t->began, mono_now());
}

/* So many would fit, when one takes so long. */
static unsigned runs_for(double each_ms)
{
	static const struct {
		unsigned runs;
		double ms;
	} steps[] = { { TABLETOP_RUNS_MIN, TABLETOP_MAX_MS },
		      { TABLETOP_RUNS_GOOD, TABLETOP_GOOD_MS },
		      { TABLETOP_RUNS_MAX, TABLETOP_MS } };
	unsigned n = 1;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		double fit = each_ms > 0 ? floor(steps[i].ms / each_ms) : steps[i].runs;
		n = (unsigned)fmax(n, fmin(steps[i].runs, fit));
	}
	return n;
}

static void set_length(struct tabletop *t, double each_s_ms)
{
	double all_s = MARGIN * TABLETOP_MAX_MS / (TABLETOP_RUNS_MIN * UNSTEERED * fmax(each_s_ms, 1e-6));

	t->after_s = (int)fmin(REHEARSE_AFTER_S, fmax(TABLETOP_SHORT_S, all_s - REHEARSE_BEFORE_S));
}

static int until(void *arg, int at_s)
{
	struct tabletop *t = arg;
	unsigned done = atomic_load(&t->done);
	int64_t ms = elapsed_ms(t);
	int length = REHEARSE_BEFORE_S + t->after_s;

	if (atomic_load(&t->stop))
		return 0;
	if (!done && at_s == PACE_AT_S)
		set_length(t, (double)ms / PACE_AT_S);
	if (ms > TABLETOP_MAX_MS)
		return done || at_s < PACE_AT_S ? 0 : at_s;
	/* before the first is over nobody knows how many there will be */
	double of = done ? runs_for((double)ms / done) : TABLETOP_RUNS_MAX;
	double part = (done + (double)at_s / length) / fmax(of, done + 1);
	atomic_store(&t->permille, (unsigned)(990 * fmin(part, 1)));
	return REHEARSE_BEFORE_S + t->after_s;
}

static bool one_pair(struct tabletop *t, const struct rehearsal *r, unsigned n)
{
	for (int k = 0; k < KINDS; k++)
		if (!rehearse(r, n + 1, k == STEERED, until, t, &t->runs[k][n]))
			return false;
	return true;
}

static void play(uv_work_t *w)
{
	struct tabletop *t = w->data;
	struct rehearsal_in in = { .now = &t->state.snapshot,
				   .policy = &t->state.policy,
				   .engine = t->state.engine.data,
				   .engine_len = t->state.engine.len,
				   .guard = t->state.guard.data,
				   .guard_len = t->state.guard.len,
				   .loss = &t->loss };
	struct rehearsal *r = rehearsal_open(&in);
	unsigned n = 0;

	while (n < TABLETOP_RUNS_MAX && (!n || n < runs_for((double)elapsed_ms(t) / n))) {
		if (!one_pair(t, r, n))
			break;
		atomic_store(&t->done, ++n);
	}
	rehearsal_close(r);
	t->took_ms = elapsed_ms(t);
}

/* -- beginning and end ------------------------------------------------------------------------------------
 */

static void release(struct tabletop *t)
{
	for (int k = 0; k < KINDS; k++)
		for (size_t i = 0; i < TABLETOP_RUNS_MAX; i++)
			rehearsed_done(&t->runs[k][i]);
	rounds_state_done(&t->state);
	live_loss_done(&t->loss);
	free(t);
}

static void played(uv_work_t *w, int status)
{
	struct tabletop *t = w->data;

	(void)status; /* never cancelled by libuv */
	t->busy = false;
	atomic_store(&t->permille, 1000);
	if (t->leaving)
		release(t);
}

struct tabletop *tabletop_start(uv_loop_t *loop, struct rounds_state *state, struct live_loss *loss)
{
	struct tabletop *t = xcalloc(1, sizeof(*t));

	t->state = *state;
	t->state.snapshot.grades = &t->state.grades;
	t->loss = *loss;
	*state = (struct rounds_state){ 0 };
	*loss = (struct live_loss){ 0 };
	t->work.data = t;
	t->began = mono_now();
	t->after_s = REHEARSE_AFTER_S;
	t->busy = true;
	uv_queue_work(loop, &t->work, play, played);
	return t;
}

void tabletop_drop(struct tabletop *t)
{
	if (!t)
		return;
	t->leaving = true;
	atomic_store(&t->stop, true);
	if (!t->busy)
		release(t);
}

double tabletop_part(const struct tabletop *t)
{
	return t->busy ? fmin(0.999, atomic_load(&t->permille) / 1000.0) : 1;
}

unsigned tabletop_runs(const struct tabletop *t)
{
	return atomic_load(&t->done);
}

/* -- what it came to --------------------------------------------------------------------------------------
 */

static double rounded(double x)
{
	return round(x * 100000) / 100000;
}

/* As far as it is told. */
static double worse(double a, double b)
{
	return (rounded(a) > rounded(b)) - (rounded(a) < rounded(b));
}

/* The better run first: by what it lost, by where it settled, by its peak. */
static int by_outcome(const void *a, const void *b)
{
	const struct rehearsed *x = *(const struct rehearsed *const *)a,
			       *y = *(const struct rehearsed *const *)b;
	double d = worse(x->dropped + x->dead, y->dropped + y->dead);

	d = d ? d : worse(x->end, y->end);
	d = d ? d : worse(x->peak, y->peak);
	return (int)(d ? d : worse((double)x->seed, (double)y->seed));
}

struct sorted {
	const struct rehearsed *r[TABLETOP_RUNS_MAX];
	size_t n;
};

static struct sorted sort_runs(const struct tabletop *t, int kind)
{
	struct sorted s = { .n = atomic_load(&t->done) };

	for (size_t i = 0; i < s.n; i++)
		s.r[i] = &t->runs[kind][i];
	qsort(s.r, s.n, sizeof(s.r[0]), by_outcome);
	return s;
}

static const struct rehearsed *median_of(const struct sorted *s)
{
	return s->r[s->n / 2];
}

static json_t *seconds(int s)
{
	return s < 0 ? json_null() : json_integer(s);
}

static json_t *site_name(const struct tabletop *t, size_t i)
{
	const struct snapshot *s = &t->state.snapshot;

	return i < s->n_sites ? json_string(s->sites[i].name) : json_null();
}

static json_t *run_json(const struct tabletop *t, const struct rehearsed *r)
{
	json_t *j = json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:o, s:f, s:o, s:f, s:i, s:i, s:s}", "seed",
			      (json_int_t)r->seed, "served_before", rounded(r->served_before), "served",
			      rounded(r->served), "late", rounded(r->late), "dropped", rounded(r->dropped),
			      "dead", rounded(r->dead), "hottest", site_name(t, r->hot), "peak_util",
			      rounded(r->peak), "hottest_end", site_name(t, r->hot_end), "end_util",
			      rounded(r->end), "changes", (int)r->changes, "held_s", r->held_s, "held_why",
			      r->held);

	double was = r->hot_end < t->state.snapshot.n_sites ? r->base_util[r->hot_end] : 0;
	json_object_set_new(j, "end_util_before", json_real(rounded(was)));
	json_object_set_new(j, "held_end", json_boolean(r->held_end));
	json_object_set_new(j, "overloaded_s", seconds(r->overloaded));
	json_object_set_new(j, "relief_s", seconds(r->relieved));
	json_object_set_new(j, "answered_s", seconds(r->answered));
	return j;
}

static json_t *outcome_json(const struct tabletop *t, int kind)
{
	struct sorted s = sort_runs(t, kind);

	return json_pack("{s:o, s:o}", "median", run_json(t, median_of(&s)), "worst",
			 run_json(t, s.r[s.n - 1]));
}

static json_t *moves_json(const struct tabletop *t, const struct rehearsed *r)
{
	const struct snapshot *s = &t->state.snapshot;
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_moves; i++) {
		const struct rehearsed_move *m = &r->moves[i];
		json_array_append_new(list,
				      json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "t_s", m->t, "site",
						s->sites[m->site].name, "shard", s->shards[m->shard].name,
						"from", s->grades->g[m->from].name, "to",
						s->grades->g[m->to].name, "why", m->why));
	}
	return list;
}

/* The lost site, then by the peak of this run. */
static double place_of(const struct tabletop *t, const struct rehearsed *r, size_t i)
{
	return i == t->loss.site ? (double)INFINITY : r->peak_util[i];
}

/* Snapshot indices. */
static size_t *order_sites(const struct tabletop *t, const struct rehearsed *r)
{
	size_t n = t->state.snapshot.n_sites, *at = xcalloc(n + 1, sizeof(*at));

	for (size_t i = 0; i < n; i++) {
		size_t j = i;
		for (; j && place_of(t, r, at[j - 1]) < place_of(t, r, i); j--)
			at[j] = at[j - 1];
		at[j] = i;
	}
	return at;
}

static json_t *sites_json(const struct tabletop *t, int kind, const struct rehearsed *median)
{
	auto_free size_t *at = order_sites(t, median);
	const struct snapshot *s = &t->state.snapshot;
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_sites && i < SITES_SHOWN; i++) {
		double peak = 0;
		for (size_t n = 0; n < atomic_load(&t->done); n++)
			peak = fmax(peak, t->runs[kind][n].peak_util[at[i]]);
		json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f}", "site", s->sites[at[i]].name,
						      "util_before", rounded(median->base_util[at[i]]),
						      "peak_util", rounded(median->peak_util[at[i]]),
						      "peak_worst", rounded(peak)));
	}
	return list;
}

/* As things are, somebody answers or nobody does: that is what the verdict is about. */
static int judged(const struct tabletop *t)
{
	return t->state.snapshot.mode == MODE_STEER ? STEERED : UNSTEERED_;
}

json_t *tabletop_json(const struct tabletop *t)
{
	int kind = judged(t);
	struct sorted s = sort_runs(t, kind);

	if (!s.n)
		return json_null();
	const struct rehearsed *m = median_of(&s);
	struct sorted answered = sort_runs(t, STEERED);
	return json_pack("{s:s, s:s, s:i, s:i, s:I, s:o, s:o, s:o, s:o}", "mode",
			 steer_mode_str(t->state.snapshot.mode), "judged",
			 kind == STEERED ? "steered" : "unsteered", "runs", (int)s.n, "simulated_s", m->ended,
			 "took_ms", (json_int_t)t->took_ms, "steered", outcome_json(t, STEERED), "unsteered",
			 outcome_json(t, UNSTEERED_), "sites", sites_json(t, kind, m), "moves",
			 moves_json(t, median_of(&answered)));
}

void tabletop_series(const struct tabletop *t, struct series *ret_series)
{
	struct sorted s = sort_runs(t, judged(t));
	size_t ns = t->state.snapshot.n_sites;

	if (!s.n)
		return;
	const struct rehearsed *m = median_of(&s);
	auto_free size_t *at = order_sites(t, m);
	series_begin(ret_series, ns, true);
	ret_series->step_ms = REHEARSE_STEP_S * 1000;
	for (size_t i = 0; i < ns; i++) {
		memcpy(ret_series->sites[i], t->state.snapshot.sites[at[i]].name, NAME_LEN);
		ret_series->base_util[i] = m->base_util[at[i]];
		ret_series->peak_util[i] = fmax(m->base_util[at[i]], m->peak_util[at[i]]);
	}
	for (size_t p = 0; p < m->points && p < SERIES_POINTS; p++) {
		int64_t at_ms = ((int64_t)(p + 1) * REHEARSE_STEP_S - REHEARSE_BEFORE_S) * 1000;
		ret_series->points[p] =
			(struct series_point){ .at_ms = at_ms,
					       .state = at_ms < 0 ? DRILL_PREFLIGHT : DRILL_100,
					       .target_bps = (double)m->bps[p * ns + t->loss.site] };
		for (size_t i = 0; i < ns; i++) {
			ret_series->bps[p * ns + i] = (double)m->bps[p * ns + at[i]];
			ret_series->util[p * ns + i] = (double)m->util[p * ns + at[i]];
		}
		ret_series->n++;
	}
}
