/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drill/watch.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "controller/drill/hands.h"
#include "controller/drill/surge.h"
#include "controller/observe.h"
#include "proto/base/mem.h"

#define DRAINED	 0.05 /* of the load left is drained */
#define STEADY	 0.03 /* samples that differ by less are the same */
#define RISE_MAX 1.30
#define RISE_MIN 0.05 /* of all capacity: below that a rise is no attack */
#define LOSS_MAX 0.05
#define Z90	 1.645

/* -- one stage ------------------------------------------------------------------------------------------ */

void progress_begin(struct progress *p, const struct drill_record *r, size_t from, size_t to, bool back)
{
	*p = (struct progress){ .from = from,
				.to = to,
				.back = back,
				.moves = drill_moves(r->kind) || (back && r->kind->effect == EFFECT_SURGE),
				.confirmed_ms = -1,
				.t50_ms = -1,
				.t80_ms = -1,
				.t95_ms = -1,
				.settled_ms = -1 };
	for (size_t i = from; i < to; i++)
		p->base_bps += r->targets[i].base_bps;
	p->now_bps = back ? 0 : p->base_bps;
}

double progress_done(const struct progress *p)
{
	double part = p->base_bps > 0 ? p->now_bps / p->base_bps : 0;

	if (p->back)
		return p->base_bps > 0 ? fmin(part, 1) : 1;
	return fmax(0, 1 - part);
}

static void mark(int64_t *t, int64_t at_ms, bool reached)
{
	if (*t < 0 && reached)
		*t = at_ms;
}

static bool steady(const struct progress *p)
{
	double lo = p->last[0], hi = p->last[0];

	if (p->n_last < WATCH_LAST)
		return false;
	for (size_t i = 1; i < WATCH_LAST; i++) {
		lo = fmin(lo, p->last[i]);
		hi = fmax(hi, p->last[i]);
	}
	return hi - lo <= STEADY * p->base_bps;
}

bool progress_step(struct progress *p, const struct policy *policy, int64_t at_ms, double now_bps,
		   bool confirmed)
{
	p->now_bps = now_bps;
	p->last[p->n_last++ % WATCH_LAST] = now_bps;
	double done = progress_done(p);
	mark(&p->confirmed_ms, at_ms, confirmed);
	mark(&p->t50_ms, at_ms, done >= 0.50);
	mark(&p->t80_ms, at_ms, done >= 0.80);
	mark(&p->t95_ms, at_ms, done >= 0.95);
	bool ripe = confirmed && at_ms >= policy->settle_min_ms;
	bool moved = !p->moves || done >= 1 - DRAINED || steady(p) || at_ms >= policy->settle_max_ms;
	mark(&p->settled_ms, at_ms, ripe && moved);
	return p->settled_ms >= 0;
}

double targets_bps(const struct model *m, const struct drill_record *r, size_t from, size_t to)
{
	struct target_at at;
	double sum = 0;

	for (size_t i = from; i < to; i++)
		if (target_find(m->cl, &r->targets[i], &at))
			sum += target_bps(m, &at);
	return sum;
}

/* -- read back --------------------------------------------------------------------------------------------
 */

static bool grade_is(const struct model *m, const struct drill_record *r, const struct target_at *at, bool on)
{
	const struct cell_live *c = model_cell(m, at->site, (size_t)at->shard);

	if (at->node >= 0) /* at one node of several: withdrawn there */
		return m->nodes[at->node].shards[at->shard].announced != on;
	return c->grade == (on ? (uint8_t)cluster_grade(m->cl, r->kind->grade) : c->base);
}

static bool is_dead(const struct model *m, const struct target_at *at, bool on)
{
	const struct cl_site *cs = &m->cl->sites[at->site];

	if (at->node >= 0)
		return m->nodes[at->node].shards[at->shard].announced != on;
	for (size_t i = 0; i < cs->n_nodes; i++) {
		const struct node_shard *ns = &m->nodes[cs->nodes[i]].shards[at->shard];
		if (ns->seen && ns->announced == on)
			return false;
	}
	return true;
}

static bool is_silent(const struct model *m, const struct target_at *at, bool on, mono_t now)
{
	return observe_node_fresh(m, (size_t)at->node, now) != on;
}

static bool confirmed_one(const struct model *m, const struct drill_record *r, const struct target_at *at,
			  bool on, mono_t now)
{
	switch (r->kind->effect) {
	case EFFECT_GRADE:
		return grade_is(m, r, at, on);
	case EFFECT_DEAD:
		return is_dead(m, at, on);
	case EFFECT_MUTE:
	case EFFECT_DEAF:
		return is_silent(m, at, on, now);
	case EFFECT_SURGE:
		return on || (r->weights_back && surge_read_back(m, at->site, now) &&
			      surge_grades_back(m, r, at->site));
	default:
		return true;
	}
}

bool targets_confirmed(const struct model *m, const struct drill_record *r, size_t from, size_t to, bool on,
		       mono_t now, char *ret_what)
{
	struct target_at at;

	for (size_t i = from; i < to; i++) {
		const struct drill_target *t = &r->targets[i];
		if (!target_find(m->cl, t, &at))
			continue; /* gone from the document: nobody speaks of it any more */
		if (confirmed_one(m, r, &at, on, now))
			continue;
		snprintf(ret_what, TEXT_LEN, "%.60s%s%.60s", t->shard, t->shard[0] ? " at " : "",
			 t->node[0] ? t->node : t->site);
		return false;
	}
	return true;
}

/* -- predicted and measured ------------------------------------------------------------------------- */

void noise_add(struct noise *x, double util)
{
	if (x->n++)
		x->sum2 += (util - x->last) * (util - x->last);
	x->last = util;
}

/* By successive differences, which a drill's own steps disturb little; doubled, as reports are smoothed. */
double noise_sd(const struct noise *x)
{
	return x->n > 1 ? 2 * sqrt(x->sum2 / (2.0 * (x->n - 1))) : 0;
}

void prediction_begin(struct prediction *p, struct site_forecast *f, const struct noise *noise,
		      const struct model *m)
{
	size_t n = m->cl->n_sites;

	prediction_done(p);
	*p = (struct prediction){ .f = f,
				  .mean = xcalloc(n + 1, sizeof(*p->mean)),
				  .total_bps = watch_total_bps(m),
				  .noise = noise,
				  .n = n };
}

void prediction_add(struct prediction *p, const struct model *m)
{
	p->samples++;
	p->now_bps += (watch_total_bps(m) - p->now_bps) / p->samples;
	for (size_t i = 0; p->f && i < p->n && i < m->cl->n_sites; i++)
		p->mean[i] += (m->sites[i].util - p->mean[i]) / p->samples;
}

struct site_forecast prediction_now(const struct prediction *p, size_t i)
{
	double times = p->total_bps > 0 && p->now_bps > 0 ? p->now_bps / p->total_bps : 1;
	struct site_forecast f = p->f[i];

	times = fmax(1 / RISE_MAX, fmin(RISE_MAX, times)); /* beyond that it is an attack, or a fault */
	f.before *= times;
	f.after_lo *= times;
	f.after *= times;
	f.after_hi *= times;
	return f;
}

void prediction_done(struct prediction *p)
{
	free(p->f);
	free(p->mean);
	*p = (struct prediction){ 0 };
}

bool prediction_missed(const struct prediction *p, size_t i)
{
	struct site_forecast f = prediction_now(p, i);
	double own = (f.after_hi - f.after_lo) / (2 * Z90), load = noise_sd(&p->noise[i]);

	return fabs(p->mean[i] - f.after) > MISS_SIGMA * sqrt(own * own + load * load) + MISS_FLOOR;
}

bool prediction_covers(const struct prediction *p, size_t i)
{
	struct site_forecast f = prediction_now(p, i);
	double load = Z90 * noise_sd(&p->noise[i]) / sqrt(p->samples ? p->samples : 1);

	return p->mean[i] >= f.after_lo - load && p->mean[i] <= f.after_hi + load;
}

/* -- abort conditions --------------------------------------------------------------------------------- */

static bool say(char *ret_why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool say(char *ret_why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ret_why, TEXT_LEN, fmt, ap);
	va_end(ap);
	return true;
}

double watch_total_bps(const struct model *m)
{
	double sum = 0;

	for (size_t i = 0; i < m->cl->n_nodes; i++) {
		const struct node_live *n = &m->nodes[i];
		for (size_t k = 0; k < m->cl->n_shards; k++)
			sum += (n->shards[k].lo[RES_BPS] + n->shards[k].hi[RES_BPS]) / 2 /
			       (n->surge > 0 ? n->surge : 1);
	}
	return sum;
}

static double capacity_bps(const struct model *m)
{
	double sum = 0;

	for (size_t i = 0; i < m->cl->n_nodes; i++)
		sum += m->cl->nodes[i].cap[RES_BPS];
	return sum;
}

static bool freeze(const struct watch_input *in, char *why)
{
	return in->m->mode == MODE_FREEZE && say(why, "mode is freeze: %.200s", in->m->mode_reason);
}

static bool attack(const struct watch_input *in, char *why)
{
	const struct plan *plan = in->view ? in->view->plan : NULL;
	double total = watch_total_bps(in->m), base = in->r->base_total_bps;

	/* a surge drill makes the plan busy by intent */
	if (plan && in->r->kind->effect != EFFECT_SURGE &&
	    (plan->state == PLAN_CONTAIN || plan->state == PLAN_ABSORB))
		return say(why, "steering sees an attack or overload (%s): %.180s",
			   plan_state_str(plan->state), plan->why);
	if (total > RISE_MAX * base && total - base > RISE_MIN * capacity_bps(in->m))
		return say(why, "demand rose from %.1f to %.1f Mbit/s: this is not the drill", base / 1e6,
			   total / 1e6);
	return false;
}

static bool node_is_target(const struct watch_input *in, size_t node)
{
	const char *name = in->m->cl->nodes[node].name;
	const char *site = in->m->cl->sites[in->m->cl->nodes[node].site].name;

	for (size_t i = 0; i < in->r->n_targets; i++) {
		const struct drill_target *t = &in->r->targets[i];
		if (t->node[0] ? strcmp(t->node, name) == 0 : strcmp(t->site, site) == 0)
			return true;
	}
	return false;
}

/* The site as a whole is what is drilled: its own load says nothing about receivers. */
static bool site_is_target(const struct watch_input *in, size_t site)
{
	const struct cl_site *cs = &in->m->cl->sites[site];

	for (size_t i = 0; i < cs->n_nodes; i++)
		if (!node_is_target(in, cs->nodes[i]))
			return false;
	return cs->n_nodes > 0;
}

static bool receiver(const struct watch_input *in, char *why)
{
	for (size_t i = 0; i < in->m->cl->n_sites; i++) {
		double u = in->m->sites[i].util;
		bool surged = in->r->kind->effect == EFFECT_SURGE &&
			      record_touches(in->r, in->m->cl->sites[i].name);
		if (u > RECEIVER_MAX && !surged && !site_is_target(in, i))
			return say(why, "receiver %s came to %.0f %%, the limit is %.0f %%",
				   in->m->cl->sites[i].name, 100 * u, 100 * RECEIVER_MAX);
	}
	return false;
}

static bool drops(const struct watch_input *in, char *why)
{
	for (size_t i = 0; i < in->m->cl->n_nodes; i++)
		if (in->m->nodes[i].dropping)
			return say(why, "node %s drops traffic", in->m->cl->nodes[i].name);
	return false;
}

static bool reports(const struct watch_input *in, char *why)
{
	enum drill_effect e = in->r->kind->effect;
	size_t lost = 0, all = 0;
	const char *name = "";

	for (size_t i = 0; i < in->m->cl->n_nodes; i++) {
		if ((e == EFFECT_MUTE || e == EFFECT_DEAF) && node_is_target(in, i))
			continue;
		all++;
		if (observe_node_fresh(in->m, i, in->now))
			continue;
		lost++;
		name = in->m->cl->nodes[i].name;
	}
	if ((double)lost <= LOSS_MAX * (double)all)
		return false;
	return say(why, "%zu of %zu nodes are silent, %s among them", lost, all, name);
}

static bool prediction(const struct watch_input *in, char *why)
{
	const struct prediction *p = in->prediction;

	for (size_t i = 0; p && p->f && i < p->n && i < in->m->cl->n_sites; i++) {
		/* a dead site's load is not counted at it */
		if (!in->m->sites[i].healthy || !prediction_missed(p, i))
			continue;
		struct site_forecast f = prediction_now(p, i);
		return say(why, "site %s is at %.0f %%, predicted was %.0f %% (%.0f..%.0f %%)",
			   in->m->cl->sites[i].name, 100 * p->mean[i], 100 * f.after, 100 * f.after_lo,
			   100 * f.after_hi);
	}
	return false;
}

static bool operator(const struct watch_input *in, char *why)
{
	return hands_changed(in->m, in->r, in->hands, why);
}

static bool leader(const struct watch_input *in, char *why)
{
	if (in->m->epoch == in->r->epoch)
		return false;
	return say(why, "epoch %lu became %lu: another controller leads", (unsigned long)in->r->epoch,
		   (unsigned long)in->m->epoch);
}

static bool duration(const struct watch_input *in, char *why)
{
	if (in->elapsed_ms <= in->r->spec.max_ms)
		return false;
	return say(why, "took longer than %ld s", (long)(in->r->spec.max_ms / 1000));
}

static const struct {
	const char *name;
	unsigned samples; /* in a row */
	bool (*holds)(const struct watch_input *in, char *why);
} rows[ALARMS] = {
	[ALARM_FREEZE] = { "freeze", 1, freeze },
	[ALARM_ATTACK] = { "attack", 2, attack },
	[ALARM_RECEIVER] = { "receiver", 2, receiver },
	[ALARM_DROPS] = { "drops", 2, drops },
	[ALARM_REPORTS] = { "reports", 1, reports },
	[ALARM_PREDICTION] = { "prediction", 1, prediction },
	[ALARM_GUARD] = { "guard", 1, NULL },
	[ALARM_NO_EFFECT] = { "no-effect", 1, NULL },
	[ALARM_OPERATOR] = { "operator", 1, operator },
	[ALARM_LEADER] = { "leader", 1, leader },
	[ALARM_DOCUMENT] = { "document", 1, NULL },
	[ALARM_STORE] = { "store", 1, NULL },
	[ALARM_DURATION] = { "duration", 1, duration },
};

const char *alarm_str(enum alarm a)
{
	return (unsigned)a < ALARMS ? rows[a].name : "none";
}

enum alarm watch_step(struct watch *w, const struct watch_input *in, char *ret_why)
{
	char why[TEXT_LEN];

	for (int a = 0; a < ALARMS; a++) {
		if (!rows[a].holds)
			continue;
		w->count[a] = rows[a].holds(in, why) ? w->count[a] + 1 : 0;
		if (w->count[a] < rows[a].samples)
			continue;
		memcpy(ret_why, why, TEXT_LEN);
		return (enum alarm)a;
	}
	return ALARMS;
}
