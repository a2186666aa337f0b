/* SPDX-License-Identifier: Apache-2.0
 * The invariants as a table of pure functions over one check (design: I1..I10). The first that objects
 * decides. Who is bound by what is in the table: an operator's and a rollback's moves answer to fewer rules,
 * nobody's to none. Nothing a move claims about itself (its effect, its kind) is believed. */
#include "controller/steer/guard_int.h"

#include <math.h>
#include <stdarg.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

#define E (1u << ACTOR_ENGINE)
#define R (1u << ACTOR_ROLLBACK)
#define O (1u << ACTOR_OPERATOR)
#define D (1u << ACTOR_DRILL)

__attribute__((format(printf, 2, 3))) static bool object(char why[STEER_TEXT], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, STEER_TEXT, fmt, ap);
	va_end(ap);
	return true;
}

/* The resource capacity is told in, the same for all: the first that anybody configured. */
static int share_res(const struct snapshot *s, double *ret_sum)
{
	for (int r = 0; r < RES_N; r++) {
		*ret_sum = 0;
		for (size_t i = 0; i < s->n_sites; i++)
			*ret_sum += fmax(s->sites[i].cap_all[r], 0);
		if (*ret_sum > 0)
			return r;
	}
	return -1;
}

double guard_site_share(const struct snapshot *s, size_t site)
{
	double sum;
	int r = share_res(s, &sum);

	return r < 0 ? 1.0 / (double)s->n_sites : fmax(s->sites[site].cap_all[r], 0) / sum;
}

/* A site known to be down is no blind spot: what it carried is seen where it lands now. */
double guard_blind_share(const struct snapshot *s, int64_t stale_ms)
{
	double sum, blind = 0;
	int r = share_res(s, &sum);

	for (size_t i = 0; i < s->n_sites; i++)
		if (s->sites[i].healthy && s->sites[i].age_ms > stale_ms)
			blind += r < 0 ? 1.0 / (double)s->n_sites : fmax(s->sites[i].cap_all[r], 0) / sum;
	return blind;
}

unsigned guard_min_sites(const struct snap_shard *k)
{
	return k->min_sites == 1 ? 1 : k->min_sites < 2 ? 2 : k->min_sites;
}

/* A drain is meant to empty a place and ends in withdrawing it: not an announcement to count on. But it is
 * one still, so withdrawing a drained place takes something away, too: I1 is asked in both readings. */
static bool emptied(const struct snapshot *s, unsigned grade, enum grade_kind from)
{
	return s->grades->g[grade].kind >= from;
}

static bool stays(const struct snapshot *s, size_t site, size_t shard, unsigned wanted, enum grade_kind from)
{
	const struct snap_cell *c = snap_cell(s, site, shard);

	return s->sites[site].healthy && c->announced && !emptied(s, c->wanted, from) &&
	       !emptied(s, wanted, from);
}

bool guard_stays_announced(const struct snapshot *s, size_t site, size_t shard, unsigned wanted)
{
	return stays(s, site, shard, wanted, GRADE_DRAIN);
}

static const struct snap_cell *cell_of(const struct check *c, const struct move *m)
{
	return snap_cell(c->s, m->site, m->shard);
}

static unsigned strength(const struct check *c, unsigned grade)
{
	return c->s->grades->g[grade].strength;
}

static bool weakens(const struct check *c, const struct move *m)
{
	return strength(c, m->to) > strength(c, cell_of(c, m)->wanted);
}

/* Toward what the document asks for: a way back. */
static bool returns(const struct check *c, const struct move *m)
{
	const struct snap_cell *cell = cell_of(c, m);
	int base = (int)strength(c, cell->base);

	return m->to == cell->base ||
	       abs((int)strength(c, m->to) - base) < abs((int)strength(c, cell->wanted) - base);
}

static const char *site_name(const struct check *c, size_t i)
{
	return c->s->sites[i].name;
}

static const char *shard_name(const struct check *c, size_t k)
{
	return c->s->shards[k].name;
}

static bool i10_freeze(const struct check *c, char *why)
{
	if (c->s->mode == MODE_FREEZE)
		return object(why, "the cluster is frozen: nothing moves");
	return false;
}

/* Not an invariant by itself: an operator's or drill's hand on a cell beats the engine. */
static bool i10_pinned(const struct check *c, char *why)
{
	for (size_t m = 0; m < c->n; m++)
		if (cell_of(c, &c->moves[m])->pinned)
			return object(why, "%s at %s is held by the operator or a drill",
				      shard_name(c, c->moves[m].shard), site_name(c, c->moves[m].site));
	return false;
}

static bool i1_shard(const struct check *c, size_t k, enum grade_kind from, char *why)
{
	unsigned need = guard_min_sites(&c->s->shards[k]), left = 0, was = 0;
	double share = 0;

	for (size_t i = 0; i < c->s->n_sites; i++) {
		was += stays(c->s, i, k, snap_cell(c->s, i, k)->wanted, from);
		if (!stays(c->s, i, k, c->after[i * c->s->n_shards + k], from))
			continue;
		left++;
		share += guard_site_share(c->s, i);
	}
	if (left >= was && left) /* takes no announcement away */
		return false;
	if (left < need)
		return object(why, "%s would be announced by %u healthy site%s, %u needed", shard_name(c, k),
			      left, left == 1 ? "" : "s", need);
	if (share < c->p->announced_share_min)
		return object(why, "%s would be announced by %.0f %% of capacity, %.0f %% needed",
			      shard_name(c, k), 100 * share, 100 * c->p->announced_share_min);
	return false;
}

static bool i1_announced(const struct check *c, char *why)
{
	for (size_t m = 0; m < c->n; m++)
		for (enum grade_kind from = GRADE_DRAIN; from <= GRADE_WITHDRAWN; from++)
			if (emptied(c->s, c->moves[m].to, from) && i1_shard(c, c->moves[m].shard, from, why))
				return true;
	return false;
}

static double cell_load(const struct snap_cell *c, int r)
{
	double v = c->hi[r];

	return isfinite(v) && v > 0 ? v : 0;
}

/* A shard's share among its service's shards by load now, equal shares when there is no load. */
static double shard_share(const struct snapshot *s, size_t shard)
{
	double sum = 0, mine = 0;
	size_t peers = 0;

	for (size_t k = 0; k < s->n_shards; k++) {
		if (strcmp(s->shards[k].service, s->shards[shard].service))
			continue;
		peers++;
		for (size_t i = 0; i < s->n_sites; i++) {
			double v = cell_load(snap_cell(s, i, k), RES_BPS);
			sum += v;
			mine += k == shard ? v : 0;
		}
	}
	return sum > 0 ? mine / sum : 1.0 / (double)peers;
}

static bool i2_coverage(const struct check *c, char *why)
{
	auto_free double *share = xcalloc(c->s->n_shards, sizeof(*share));
	bool any = false;
	double cover = 0;

	for (size_t m = 0; m < c->n; m++)
		any = any || weakens(c, &c->moves[m]);
	if (!any)
		return false;
	for (size_t k = 0; k < c->s->n_shards; k++)
		share[k] = shard_share(c->s, k);
	/* services share the sites: each counts for its part of all traffic through its shards' shares,
	 * so the worst service is what is compared */
	for (size_t m = 0; m < c->n; m++) {
		const char *service = c->s->shards[c->moves[m].shard].service;
		cover = 0;
		for (size_t k = 0; k < c->s->n_shards; k++) {
			if (strcmp(c->s->shards[k].service, service))
				continue;
			for (size_t i = 0; i < c->s->n_sites; i++) {
				unsigned base = snap_cell(c->s, i, k)->base;
				if (strength(c, c->after[i * c->s->n_shards + k]) > strength(c, base))
					cover += guard_site_share(c->s, i) * share[k];
			}
		}
		if (cover > c->p->weaken_share_max + 1e-9)
			return object(why,
				      "%.0f %% of capacity would be weakened for %s, at most %.0f %% allowed",
				      100 * cover, service, 100 * c->p->weaken_share_max);
	}
	return false;
}

static bool stale(const struct check *c, size_t i)
{
	return c->s->sites[i].age_ms > c->p->stale_ms;
}

static bool i3_silence(const struct check *c, char *why)
{
	for (size_t m = 0; m < c->n; m++) {
		size_t i = c->moves[m].site;
		if (weakens(c, &c->moves[m]) && stale(c, i))
			return object(why, "%s has been silent for %.1f s: silence never weakens a site",
				      site_name(c, i), (double)c->s->sites[i].age_ms / 1000);
	}
	return false;
}

/* ... and for a while after: what was seen before the gap and what is seen after it make no history. */
static bool i4_stale(const struct check *c, char *why)
{
	double share = guard_blind_share(c->s, c->p->stale_ms);
	int64_t since_ms = c->s->now_ms - c->g->blind_ms;
	bool any = false;

	for (size_t m = 0; m < c->n; m++)
		any = any || weakens(c, &c->moves[m]);
	if (!any)
		return false;
	if (share > GUARD_BLIND_MAX)
		return object(why,
			      "reports from %.0f %% of capacity are stale, at most 33 %% for a new weakening",
			      100 * share);
	if (c->g->blind_ms != INT64_MIN && since_ms < c->p->settle_min_ms)
		return object(why,
			      "reports from over 33 %% of capacity were stale until %.0f s ago, wait %.0f s",
			      (double)since_ms / 1000, (double)c->p->settle_min_ms / 1000);
	return false;
}

/* What the other sites that could take a shard may still get, below the receiver limit. */
static double headroom(const struct check *c, const struct move *m, int r)
{
	double room = 0;

	for (size_t i = 0; i < c->s->n_sites; i++) {
		const struct snap_site *site = &c->s->sites[i];
		double load = 0;

		if (i == m->site || site->draining || stale(c, i) ||
		    !guard_stays_announced(c->s, i, m->shard, c->after[i * c->s->n_shards + m->shard]))
			continue;
		if (site->cap[r] <= 0)
			return INFINITY;
		for (size_t k = 0; k < c->s->n_shards; k++)
			load += cell_load(snap_cell(c->s, i, k), r);
		room += fmax(0, c->p->receiver_max_util * site->cap[r] - load);
	}
	return room;
}

/* A necessary condition that needs no model: all that may leave must find room somewhere. The engine's
 * forecast per receiver is stricter. */
static bool i5_room(const struct check *c, char *why)
{
	for (int r = 0; r < RES_N; r++) {
		double leaving = 0;
		for (size_t m = 0; m < c->n; m++) {
			if (!weakens(c, &c->moves[m]))
				continue;
			leaving += cell_load(cell_of(c, &c->moves[m]), r);
			double room = headroom(c, &c->moves[m], r);
			if (leaving > room)
				return object(why,
					      "up to %.3g may leave %s, the others have room for %.3g below "
					      "%.0f %%",
					      leaving, site_name(c, c->moves[m].site), room,
					      100 * c->p->receiver_max_util);
		}
	}
	return false;
}

static bool i6_ledger(const struct check *c, char *why)
{
	for (size_t m = 0; m < c->n; m++) {
		const struct move *v = &c->moves[m];
		const char *site = site_name(c, v->site), *shard = shard_name(c, v->shard);
		double now = ledger_get(&c->g->ledger, site, shard, c->s->now_ms);
		double cost = ledger_cost(c->s->grades, cell_of(c, v)->wanted, v->to);
		/* half is for going away, the other half is the reserve for coming back; what goes half way
		 * must leave enough of it for the rest of the way */
		double rest = v->to == cell_of(c, v)->base
				      ? 0
				      : ledger_cost(c->s->grades, v->to, cell_of(c, v)->base);
		double max = c->p->ledger_max * (returns(c, v) ? 2 : 1);

		max = fmin(max, 2 * c->p->ledger_max - rest);

		if (now + cost > max || (returns(c, v) && now + cost >= max))
			return object(why, "%s at %s: flap ledger %.0f + %.0f would pass %.0f", shard, site,
				      now, cost, max);
	}
	return false;
}

/* A drill is asked for, not automatic use: its way out and back together has a limit of its own, in the same
 * mirror. */
static bool i6_drill(const struct check *c, char *why)
{
	double max = fmax(c->p->drill_ledger_max, 2 * c->p->ledger_max);

	for (size_t m = 0; m < c->n; m++) {
		const struct move *v = &c->moves[m];
		const char *site = site_name(c, v->site), *shard = shard_name(c, v->shard);
		double now = ledger_get(&c->g->ledger, site, shard, c->s->now_ms);
		double whole = ledger_cost(c->s->grades, cell_of(c, v)->wanted, v->to) +
			       ledger_cost(c->s->grades, v->to, cell_of(c, v)->base);
		if (now + whole <= max)
			continue;
		if (whole > max)
			return object(why,
				      "%s at %s: %s and back costs %.0f on the flap ledger, a drill may use "
				      "%.0f: where no neighbour damps below it, set policy drill_ledger_max "
				      "to %.0f",
				      shard, site, c->s->grades->g[v->to].name, whole, max, whole);
		double wait_ms = LEDGER_HALF_LIFE_MS * log2(now / fmax(max - whole, LEDGER_FORGET));
		return object(why,
			      "%s at %s: flap ledger %.0f + %.0f with the way back would pass %.0f "
			      "(drill_ledger_max): possible in %.0f min",
			      shard, site, now, whole, max, ceil(wait_ms / 60000));
	}
	return false;
}

static bool flying(const struct check *c, size_t i, size_t k)
{
	const struct guard_cell *g = guard_cell_find(c->g, site_name(c, i), shard_name(c, k));
	const struct snap_cell *cell = snap_cell(c->s, i, k);

	/* a silent or dead site's read-back cannot be waited for: its own flight record ends at settle_max */
	return (g && g->in_flight) ||
	       (cell->grade != cell->wanted && c->s->sites[i].healthy && !stale(c, i) && !g);
}

static bool i7_in_flight(const struct check *c, char *why)
{
	for (size_t m = 0; m < c->n; m++) {
		const struct move *v = &c->moves[m];
		for (size_t i = 0; i < c->s->n_sites; i++)
			if (flying(c, i, v->shard))
				return object(why, "a change of %s at %s has not settled",
					      shard_name(c, v->shard), site_name(c, i));
		for (size_t k = 0; k < c->s->n_shards; k++)
			if (flying(c, v->site, k))
				return object(why, "a change of %s at %s has not settled", shard_name(c, k),
					      site_name(c, v->site));
	}
	return false;
}

static bool i7_one_per_shard(const struct check *c, char *why)
{
	for (size_t m = 0; m < c->n; m++)
		for (size_t o = 0; o < m; o++)
			if (c->moves[o].shard == c->moves[m].shard)
				return object(why, "%s would change at two places at once",
					      shard_name(c, c->moves[m].shard));
	return false;
}

/* A weakening beyond the document's own grade has the document's grade as its way back. */
static bool i8_way_back(const struct check *c, char *why)
{
	for (size_t m = 0; m < c->n; m++) {
		const struct move *v = &c->moves[m];
		if (v->from != cell_of(c, v)->wanted)
			return object(why, "%s at %s is no longer at %s: the plan is older than the state",
				      shard_name(c, v->shard), site_name(c, v->site),
				      c->s->grades->g[v->from].name);
	}
	return false;
}

static bool mass(const struct check *c, char *why)
{
	if (c->g->mass)
		return object(why,
			      "%zu of %zu sites turned unhealthy within 60 s: the check may be what broke",
			      c->g->mass_n, c->s->n_sites);
	return false;
}

static const struct rule {
	enum guard_id id;
	unsigned actors;
	bool (*violated)(const struct check *c, char *why);
} rules[] = {
	{ GUARD_I10, E | R | O | D, i10_freeze },
	{ GUARD_I8, E | R | O | D, i8_way_back },
	{ GUARD_I1, E | R | O | D, i1_announced },
	{ GUARD_I10, E, i10_pinned },
	{ GUARD_MASS, E | D, mass },
	{ GUARD_I7, E | D, i7_one_per_shard },
	{ GUARD_I7, E | D, i7_in_flight },
	{ GUARD_I3, E | D, i3_silence },
	{ GUARD_I4, E | D, i4_stale },
	{ GUARD_I6, E, i6_ledger },
	{ GUARD_I6, D, i6_drill },
	{ GUARD_I2, E | D, i2_coverage },
	{ GUARD_I5, E | D, i5_room },
};

/* Indices a caller got wrong are refused, not followed. */
static bool well_formed(const struct snapshot *s, const struct move *moves, size_t n, char *why)
{
	for (size_t c = 0; c < s->n_sites * s->n_shards; c++)
		if (s->cells[c].grade >= s->grades->n || s->cells[c].wanted >= s->grades->n ||
		    s->cells[c].base >= s->grades->n)
			return !object(why, "the snapshot names a grade that does not exist");
	for (size_t m = 0; m < n; m++)
		if (moves[m].site >= s->n_sites || moves[m].shard >= s->n_shards ||
		    moves[m].to >= s->grades->n || moves[m].from >= s->grades->n)
			return !object(why, "move %zu names a site, shard or grade that does not exist", m);
	for (size_t m = 0; m < n; m++)
		for (size_t o = 0; o < m; o++)
			if (moves[o].site == moves[m].site && moves[o].shard == moves[m].shard)
				return !object(why, "%s at %s is moved twice in one plan",
					       s->shards[moves[m].shard].name, s->sites[moves[m].site].name);
	return true;
}

/* A rollback is what undoes: it goes back toward the document, or it is an engine's move. */
static enum guard_actor true_actor(const struct check *c)
{
	if (c->actor != ACTOR_ROLLBACK)
		return c->actor;
	for (size_t m = 0; m < c->n; m++)
		if (!returns(c, &c->moves[m]))
			return ACTOR_ENGINE;
	return ACTOR_ROLLBACK;
}

int guard_check(const struct guard *g, const struct policy *p, const struct snapshot *s,
		const struct move *moves, size_t n, enum guard_actor actor, struct guard_verdict *ret_verdict)
{
	size_t cells = s->n_sites * s->n_shards;
	auto_free uint8_t *after = xcalloc(cells, 1);
	struct guard_verdict v = { .id = GUARD_OK };
	struct check c = { g, p, s, moves, n, actor, after };

	if (!well_formed(s, moves, n, v.why)) {
		v.id = GUARD_I8;
		*ret_verdict = v;
		return ERR_GUARD;
	}
	for (size_t i = 0; i < cells; i++)
		after[i] = s->cells[i].wanted;
	for (size_t m = 0; m < n; m++)
		after[moves[m].site * s->n_shards + moves[m].shard] = moves[m].to;
	c.actor = true_actor(&c);
	for (size_t i = 0; n && i < ARRAY_LEN(rules); i++) {
		if (!(rules[i].actors & (1u << c.actor)) || !rules[i].violated(&c, v.why))
			continue;
		v.id = rules[i].id;
		*ret_verdict = v;
		return ERR_GUARD;
	}
	*ret_verdict = v;
	return 0;
}

const char *guard_str(enum guard_id id)
{
	static const char *const names[] = {
		[GUARD_OK] = "ok", [GUARD_I1] = "I1", [GUARD_I2] = "I2",   [GUARD_I3] = "I3",
		[GUARD_I4] = "I4", [GUARD_I5] = "I5", [GUARD_I6] = "I6",   [GUARD_I7] = "I7",
		[GUARD_I8] = "I8", [GUARD_I9] = "I9", [GUARD_I10] = "I10", [GUARD_MASS] = "MASS",
	};
	return (size_t)id < ARRAY_LEN(names) ? names[id] : "?";
}
