/* SPDX-License-Identifier: Apache-2.0
 * The guard: one test per invariant, who is bound by it, then random moves against I1 and permits. */
#include "tests/unit/steer_world.h"

struct fixture {
	struct tw w;
	struct policy p;
	struct guard *g;
	struct guard_verdict v;
};

static void init(struct fixture *f, size_t sites, size_t shards)
{
	tw_init(&f->w, sites, shards, 100e6, 5e6);
	policy_default(&f->p);
	f->g = guard_new();
	guard_observe(f->g, &f->p, &f->w.s);
}

static enum guard_id check(struct fixture *f, const struct move *m, size_t n, enum guard_actor actor)
{
	int err = guard_check(f->g, &f->p, &f->w.s, m, n, actor, &f->v);

	assert_int_equal(err, f->v.id == GUARD_OK ? 0 : ERR_GUARD);
	assert_true(f->v.id == GUARD_OK || f->v.why[0]);
	return f->v.id;
}

static enum guard_id one(struct fixture *f, size_t site, size_t shard, uint8_t to, enum guard_actor actor)
{
	struct move m = tw_move(&f->w, site, shard, to);

	return check(f, &m, 1, actor);
}

static void later(struct fixture *f, int64_t ms)
{
	f->w.s.now_ms += ms;
	guard_observe(f->g, &f->p, &f->w.s);
}

static void allows_a_plain_shed(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 4, 4);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	guard_free(f.g);
}

static void i1_last_sites(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 3, 2);
	tw_grade(&f.w, 0, 0, G_GONE);
	assert_int_equal(one(&f, 1, 0, G_GONE, ACTOR_OPERATOR), GUARD_I1);
	assert_int_equal(one(&f, 1, 0, G_GONE, ACTOR_DRILL), GUARD_I1);
	assert_int_equal(one(&f, 1, 1, G_GONE, ACTOR_OPERATOR), GUARD_OK);
	/* a site that is not healthy does not count */
	f.w.site[2].healthy = false;
	assert_int_equal(one(&f, 1, 1, G_GONE, ACTOR_OPERATOR), GUARD_I1);
	/* nor one that was ordered away but still announces */
	f.w.site[2].healthy = true;
	snap_cell(&f.w.s, 2, 1)->wanted = G_GONE;
	assert_int_equal(one(&f, 1, 1, G_GONE, ACTOR_OPERATOR), GUARD_I1);
	/* all moves together */
	snap_cell(&f.w.s, 2, 1)->wanted = G_NORMAL;
	struct move both[] = { tw_move(&f.w, 0, 1, G_GONE), tw_move(&f.w, 1, 1, G_GONE) };
	assert_int_equal(check(&f, both, 2, ACTOR_OPERATOR), GUARD_I1);
	/* a service of one place */
	f.w.shard[0].min_sites = 1;
	f.p.announced_share_min = 0.3;
	assert_int_equal(one(&f, 1, 0, G_GONE, ACTOR_OPERATOR), GUARD_OK);
	guard_free(f.g);
}

static void i1_capacity(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 3, 1);
	f.w.site[0].cap_all[RES_BPS] = 1000e6;
	assert_int_equal(one(&f, 0, 0, G_GONE, ACTOR_OPERATOR), GUARD_I1);
	assert_int_equal(one(&f, 1, 0, G_GONE, ACTOR_OPERATOR), GUARD_OK);
	guard_free(f.g);
}

static void i2_coverage(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 4, 4);
	/* every cell is 1/16 of capacity: four fit in 30 %, five do not */
	for (size_t k = 0; k < 3; k++)
		tw_grade(&f.w, 0, k, G_PRE1);
	assert_int_equal(one(&f, 0, 3, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	tw_grade(&f.w, 0, 3, G_PRE1);
	assert_int_equal(one(&f, 1, 0, G_PRE1, ACTOR_ENGINE), GUARD_I2);
	assert_int_equal(one(&f, 1, 0, G_PRE1, ACTOR_DRILL), GUARD_I2);
	assert_int_equal(one(&f, 1, 0, G_PRE1, ACTOR_OPERATOR), GUARD_OK);
	/* what the document asks for is not a weakening */
	for (size_t k = 0; k < 4; k++)
		snap_cell(&f.w.s, 0, k)->base = G_PRE1;
	assert_int_equal(one(&f, 1, 0, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	/* going back is none either */
	snap_cell(&f.w.s, 0, 0)->base = G_NORMAL;
	assert_int_equal(one(&f, 0, 0, G_NORMAL, ACTOR_ENGINE), GUARD_OK);
	guard_free(f.g);
}

static void i3_i4_silence(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 4, 4);
	f.w.site[0].age_ms = 6000;
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_I3);
	assert_int_equal(one(&f, 1, 0, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	f.w.site[2].age_ms = 6000;
	assert_int_equal(one(&f, 1, 0, G_PRE1, ACTOR_ENGINE), GUARD_I4);
	assert_int_equal(one(&f, 1, 0, G_PRE1, ACTOR_OPERATOR), GUARD_OK);
	guard_free(f.g);
}

static void i5_room(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 3, 1);
	tw_load(&f.w, 0, 0, 100e6);
	tw_load(&f.w, 1, 0, 80e6);
	tw_load(&f.w, 2, 0, 80e6);
	f.p.weaken_share_max = 1;
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_I5);
	tw_load(&f.w, 1, 0, 10e6);
	tw_load(&f.w, 2, 0, 20e6);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	f.w.site[1].draining = true;
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_I5);
	guard_free(f.g);
}

static void i6_ledger(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 4, 4);
	assert_int_equal(one(&f, 0, 0, G_GONE, ACTOR_ENGINE), GUARD_I6);
	struct move m = tw_move(&f.w, 0, 0, G_PRE1);
	guard_commit(f.g, &f.w.s, &m, 1);
	assert_true(guard_ledger(f.g, "s0", "k0", f.w.s.now_ms) == 1000);
	tw_grade(&f.w, 0, 0, G_PRE1);
	later(&f, 20000);
	/* charged once, though commit and snapshot both told of it */
	assert_in_range(guard_ledger(f.g, "s0", "k0", f.w.s.now_ms), 950, 1000);
	assert_int_equal(one(&f, 0, 0, G_PRE2, ACTOR_ENGINE), GUARD_I6);
	/* the other half of the mirror is the way back */
	assert_int_equal(one(&f, 0, 0, G_NORMAL, ACTOR_ENGINE), GUARD_OK);
	tw_grade(&f.w, 0, 0, G_NORMAL);
	later(&f, 20000);
	assert_in_range(guard_ledger(f.g, "s0", "k0", f.w.s.now_ms), 1900, 2000);
	later(&f, 20000);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_I6);
	later(&f, 40 * 60000);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	guard_free(f.g);
}

/* A drill is asked for: its whole way has a limit of its own, in the same mirror. */
static void i6_drills(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 4, 4);
	f.p.weaken_share_max = 0.9;
	assert_int_equal(one(&f, 0, 0, G_GONE, ACTOR_ENGINE), GUARD_I6);
	assert_int_equal(one(&f, 0, 0, G_GONE, ACTOR_DRILL), GUARD_OK);
	struct move m = tw_move(&f.w, 0, 0, G_GONE);
	guard_commit(f.g, &f.w.s, &m, 1);
	tw_grade(&f.w, 0, 0, G_GONE);
	later(&f, 20000);
	/* the way back was reserved, whoever spent what else meanwhile */
	assert_int_equal(one(&f, 0, 0, G_NORMAL, ACTOR_ROLLBACK), GUARD_OK);
	tw_grade(&f.w, 0, 0, G_NORMAL);
	later(&f, 1000);
	later(&f, 20000);
	assert_int_equal(one(&f, 0, 0, G_GONE, ACTOR_DRILL), GUARD_I6);
	assert_non_null(strstr(f.v.why, "in 45 min"));
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_DRILL), GUARD_I6);
	/* and steering keeps to its half */
	later(&f, 15 * 60000);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_I6);
	later(&f, 31 * 60000);
	assert_int_equal(one(&f, 0, 0, G_GONE, ACTOR_DRILL), GUARD_OK);
	f.p.drill_ledger_max = 2000;
	assert_int_equal(one(&f, 0, 0, G_GONE, ACTOR_DRILL), GUARD_I6);
	assert_non_null(strstr(f.v.why, "drill_ledger_max to 3000"));
	assert_int_equal(one(&f, 0, 0, G_DRAIN, ACTOR_DRILL), GUARD_OK);
	f.p.drill_ledger_max = 0; /* what steering may do, drills may */
	assert_int_equal(one(&f, 0, 0, G_DRAIN, ACTOR_DRILL), GUARD_OK);
	f.p.ledger_max = 2000;
	assert_int_equal(one(&f, 0, 0, G_GONE, ACTOR_DRILL), GUARD_OK);
	guard_free(f.g);
}

/* Routers do not care who withdrew: a loss that agents only act is paid for, with its way back. */
static void i6_simulated_deaths(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 4, 4);
	snap_cell(&f.w.s, 0, 0)->drill_dead = true;
	snap_cell(&f.w.s, 0, 0)->announced = false;
	later(&f, 1000);
	assert_in_range(guard_ledger(f.g, "s0", "k0", f.w.s.now_ms), 2990, 3000);
	later(&f, 1000);
	snap_cell(&f.w.s, 0, 0)->drill_dead = false;
	snap_cell(&f.w.s, 0, 0)->announced = true;
	later(&f, 1000);
	assert_in_range(guard_ledger(f.g, "s0", "k0", f.w.s.now_ms), 2990, 3000);
	assert_int_equal(one(&f, 0, 0, G_GONE, ACTOR_DRILL), GUARD_I6);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_I6);
	guard_free(f.g);
}

/* Two grades that weaken alike: back to the document's is a way back. */
static void back_among_equals(void **state)
{
	struct grade_set gs = tw_grades;
	struct fixture f;

	(void)state;
	init(&f, 4, 4);
	gs.g[G_PRE2].strength = gs.g[G_PRE1].strength;
	f.w.s.grades = &gs;
	tw_grade(&f.w, 0, 0, G_PRE1);
	later(&f, 1000);
	snap_cell(&f.w.s, 0, 0)->base = G_PRE2;
	f.p.ledger_max = f.p.drill_ledger_max = 0;
	assert_int_equal(one(&f, 0, 0, G_PRE2, ACTOR_ROLLBACK), GUARD_OK);
	guard_free(f.g);
}

static void i7_in_flight(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 4, 4);
	struct move m = tw_move(&f.w, 0, 0, G_PRE1);
	guard_commit(f.g, &f.w.s, &m, 1);
	snap_cell(&f.w.s, 0, 0)->wanted = G_PRE1;
	later(&f, 1000);
	assert_int_equal(one(&f, 0, 1, G_PRE1, ACTOR_ENGINE), GUARD_I7);
	assert_int_equal(one(&f, 1, 0, G_PRE1, ACTOR_ENGINE), GUARD_I7);
	assert_int_equal(one(&f, 1, 1, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	assert_int_equal(one(&f, 0, 0, G_NORMAL, ACTOR_ROLLBACK), GUARD_OK);
	later(&f, 20000); /* not read back yet */
	assert_int_equal(one(&f, 0, 1, G_PRE1, ACTOR_ENGINE), GUARD_I7);
	snap_cell(&f.w.s, 0, 0)->grade = G_PRE1;
	later(&f, 1000);
	assert_int_equal(one(&f, 0, 1, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	struct move twice[] = { tw_move(&f.w, 1, 1, G_PRE1), tw_move(&f.w, 2, 1, G_PRE1) };
	assert_int_equal(check(&f, twice, 2, ACTOR_ENGINE), GUARD_I7);
	struct move site[] = { tw_move(&f.w, 1, 1, G_PRE1), tw_move(&f.w, 1, 2, G_PRE1) };
	assert_int_equal(check(&f, site, 2, ACTOR_ENGINE), GUARD_OK);
	guard_free(f.g);
}

static void nonsense_is_refused(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 3, 2);
	struct move m = tw_move(&f.w, 0, 0, G_PRE1);
	m.site = 99;
	assert_int_equal(check(&f, &m, 1, ACTOR_OPERATOR), GUARD_I8);
	m = tw_move(&f.w, 0, 0, 77);
	assert_int_equal(check(&f, &m, 1, ACTOR_OPERATOR), GUARD_I8);
	m = tw_move(&f.w, 0, 0, G_PRE1);
	m.from = G_PRE2; /* plan older than the state */
	assert_int_equal(check(&f, &m, 1, ACTOR_ENGINE), GUARD_I8);
	struct move same[] = { tw_move(&f.w, 0, 0, G_PRE1), tw_move(&f.w, 0, 0, G_PRE2) };
	assert_int_equal(check(&f, same, 2, ACTOR_OPERATOR), GUARD_I8);
	guard_free(f.g);
}

static void i9_i10(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 3, 2);
	f.w.s.mode = MODE_FREEZE;
	for (int a = ACTOR_ENGINE; a <= ACTOR_DRILL; a++)
		assert_int_equal(one(&f, 0, 0, G_PRE1, (enum guard_actor)a), GUARD_I10);
	f.w.s.mode = MODE_STEER;
	snap_cell(&f.w.s, 0, 0)->pinned = true;
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_I10);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_OPERATOR), GUARD_OK);
	/* a "rollback" that goes away from the document is an engine's move */
	f.w.site[1].age_ms = f.w.site[2].age_ms = 99000;
	assert_int_equal(one(&f, 0, 1, G_PRE1, ACTOR_ROLLBACK), GUARD_I4);
	tw_grade(&f.w, 0, 1, G_PRE2);
	assert_int_equal(one(&f, 0, 1, G_NORMAL, ACTOR_ROLLBACK), GUARD_OK);
	guard_free(f.g);
}

/* The engine's plan goes to the guard as what it is: undoing does not wait for what is in flight. */
static void rollback_plan(void **state)
{
	struct plan plan = { .n_moves = 1 };
	struct fixture f;

	(void)state;
	init(&f, 4, 4);
	struct move m = tw_move(&f.w, 0, 0, G_PRE1);
	guard_commit(f.g, &f.w.s, &m, 1);
	snap_cell(&f.w.s, 0, 0)->wanted = G_PRE1;
	later(&f, 1000);
	plan.moves[0] = tw_move(&f.w, 0, 0, G_NORMAL);
	plan.moves[0].kind = MOVE_RESTORE;
	assert_int_equal(check(&f, plan.moves, 1, plan_actor(&plan)), GUARD_I7);
	plan.moves[0].kind = MOVE_ROLLBACK;
	assert_int_equal(check(&f, plan.moves, 1, plan_actor(&plan)), GUARD_OK);
	/* one that only calls itself so is seen through, and one among others does not speak for them */
	plan.moves[0] = tw_move(&f.w, 0, 1, G_PRE1);
	plan.moves[0].kind = MOVE_ROLLBACK;
	assert_int_equal(check(&f, plan.moves, 1, plan_actor(&plan)), GUARD_I7);
	plan.moves[1].kind = MOVE_SHED;
	plan.n_moves = 2;
	assert_int_equal(plan_actor(&plan), ACTOR_ENGINE);
	guard_free(f.g);
}

/* A site known to be dead is no blind spot; one that is silent is, and for a while after. */
static void dead_is_not_stale(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 5, 4);
	for (size_t i = 3; i < 5; i++)
		f.w.site[i].age_ms = 10000;
	later(&f, 1000);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_I4);
	f.w.site[4].healthy = false; /* found to be gone: 20 % are left in the dark */
	later(&f, 14000);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_I4); /* just now it was 40 % */
	later(&f, 1000);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	assert_int_equal(one(&f, 3, 0, G_PRE1, ACTOR_ENGINE), GUARD_I3);
	guard_free(f.g);
}

/* a controller that has just started has heard of nobody: nothing fell */
static void a_restart_is_no_fall(void **state)
{
	struct guard *g = guard_new(), *after = guard_new();
	struct guard_verdict v;
	auto_buf text = { 0 };
	struct policy p;
	struct tw w;

	(void)state;
	policy_default(&p);
	tw_init(&w, 4, 1, 100, 1);
	guard_observe(g, &p, &w.s);
	guard_save(g, &text);
	assert_int_equal(guard_load(after, text.data, text.len), 0);
	for (size_t i = 0; i < 4; i++)
		w.site[i].healthy = false;
	guard_observe(after, &p, &w.s);
	for (size_t i = 0; i < 4; i++)
		w.site[i].healthy = true;
	w.s.now_ms += 2000;
	guard_observe(after, &p, &w.s);
	struct move m = tw_move(&w, 0, 0, G_PRE1);
	guard_check(after, &p, &w.s, &m, 1, ACTOR_ENGINE, &v);
	assert_int_not_equal(v.id, GUARD_MASS);
	guard_free(g);
	guard_free(after);
}

static void mass(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 6, 4);
	f.w.site[4].healthy = false;
	later(&f, 1000);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	f.w.site[5].healthy = false;
	later(&f, 1000);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_MASS);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_OPERATOR), GUARD_OK);
	later(&f, 61000);
	assert_int_equal(one(&f, 0, 0, G_PRE1, ACTOR_ENGINE), GUARD_OK);
	guard_free(f.g);
}

static uint64_t next(uint64_t *s)
{
	*s = *s * 6364136223846793005u + 1442695040888963407u;
	return *s >> 33;
}

static unsigned announced(const struct tw *w, size_t k, const bool *gone, double *ret_share)
{
	unsigned n = 0;
	double share = 0, all = 0;

	for (size_t i = 0; i < w->s.n_sites; i++) {
		const struct snap_cell *c = &w->cell[i * w->s.n_shards + k];
		all += w->site[i].cap_all[RES_BPS];
		if (!w->site[i].healthy || !c->announced || c->wanted == G_GONE ||
		    gone[i * w->s.n_shards + k])
			continue;
		n++;
		share += w->site[i].cap_all[RES_BPS];
	}
	*ret_share = share / all;
	return n;
}

static void scramble(struct tw *w, uint64_t *rng)
{
	for (size_t i = 0; i < w->s.n_sites; i++) {
		w->site[i].healthy = next(rng) % 5 > 0;
		w->site[i].age_ms = next(rng) % 5 ? 0 : 9000;
		w->site[i].cap_all[RES_BPS] = (double)(1 + next(rng) % 20) * 10e6;
	}
	for (size_t c = 0; c < w->s.n_sites * w->s.n_shards; c++) {
		w->cell[c].grade = next(rng) % 3 ? G_NORMAL : (uint8_t)(next(rng) % 6);
		w->cell[c].wanted = next(rng) % 4 ? w->cell[c].grade : (uint8_t)(next(rng) % 6);
		w->cell[c].announced = w->cell[c].grade != G_GONE;
	}
}

/* Whatever is let through never takes the last announcements. */
static void random_i1(void **state)
{
	uint64_t rng = 42;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng);
	for (int t = 0; t < 20000; t++) {
		struct fixture f;
		bool before[TW_SITES * TW_SHARDS] = { 0 }, after[TW_SITES * TW_SHARDS] = { 0 };
		struct move m[4];
		size_t n = 1 + next(&rng) % 4;

		init(&f, 2 + next(&rng) % 6, 1 + next(&rng) % 3);
		scramble(&f.w, &rng);
		for (size_t j = 0; j < n; j++) {
			m[j] = tw_move(&f.w, next(&rng) % f.w.s.n_sites, next(&rng) % f.w.s.n_shards,
				       (uint8_t)(next(&rng) % 6));
			after[m[j].site * f.w.s.n_shards + m[j].shard] = m[j].to == G_GONE;
		}
		if (check(&f, m, n, (enum guard_actor)(next(&rng) % 4)) == GUARD_OK)
			for (size_t k = 0; k < f.w.s.n_shards; k++) {
				double was_share, share;
				unsigned was = announced(&f.w, k, before, &was_share);
				unsigned now = announced(&f.w, k, after, &share);
				assert_true(now == was || (now >= 2 && share >= f.p.announced_share_min));
			}
		guard_free(f.g);
	}
}

/* All outstanding permits used at once keep I1, whatever was held before. */
static void permits(void **state)
{
	uint64_t rng = 7;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng);
	for (int t = 0; t < 20000; t++) {
		struct fixture f;
		bool held[TW_SITES * TW_SHARDS] = { 0 }, grants[TW_SITES * TW_SHARDS], none[64] = { 0 };

		init(&f, 1 + next(&rng) % 7, 1 + next(&rng) % 3);
		scramble(&f.w, &rng);
		size_t cells = f.w.s.n_sites * f.w.s.n_shards;
		guard_permits(&f.p, &f.w.s, held, grants);
		for (int round = 0; round < 3; round++) {
			bool used[TW_SITES * TW_SHARDS];
			for (size_t c = 0; c < cells; c++)
				used[c] = held[c] || grants[c];
			for (size_t k = 0; k < f.w.s.n_shards; k++) {
				double share, was_share;
				bool any = false;
				for (size_t i = 0; i < f.w.s.n_sites; i++)
					any = any || grants[i * f.w.s.n_shards + k];
				unsigned left = announced(&f.w, k, used, &share);
				announced(&f.w, k, none, &was_share);
				assert_true(!any || (left >= 2 && share >= f.p.announced_share_min - 1e-6));
			}
			/* time passes: some are held, a site falls, ask again */
			memcpy(held, used, cells * sizeof(bool));
			f.w.site[next(&rng) % f.w.s.n_sites].healthy = false;
			guard_permits(&f.p, &f.w.s, held, grants);
		}
		guard_free(f.g);
	}
}

static void permits_are_given(void **state)
{
	struct fixture f;
	bool held[64] = { 0 }, grants[64];

	(void)state;
	init(&f, 4, 2);
	guard_permits(&f.p, &f.w.s, held, grants);
	for (size_t k = 0; k < 2; k++) {
		int n = 0;
		for (size_t i = 0; i < 4; i++)
			n += grants[i * 2 + k];
		assert_int_equal(n, 2);
	}
	/* held ones are renewed, no others given */
	memcpy(held, grants, sizeof(held));
	guard_permits(&f.p, &f.w.s, held, grants);
	for (size_t c = 0; c < 8; c++)
		assert_int_equal(grants[c], held[c]);
	guard_free(f.g);
}

static void text_and_back(void **state)
{
	struct fixture f;
	auto_buf a = { 0 }, b = { 0 };

	(void)state;
	init(&f, 4, 4);
	struct move m = tw_move(&f.w, 0, 0, G_PRE1);
	guard_commit(f.g, &f.w.s, &m, 1);
	guard_save(f.g, &a);
	struct guard *g = guard_new();
	assert_int_equal(guard_load(g, a.data, a.len), 0);
	guard_save(g, &b);
	assert_string_equal(a.data, b.data);
	guard_free(f.g);
	f.g = g;
	snap_cell(&f.w.s, 0, 0)->wanted = G_PRE1;
	later(&f, 1000);
	assert_int_equal(one(&f, 1, 0, G_PRE1, ACTOR_ENGINE), GUARD_I7);
	assert_in_range(guard_ledger(f.g, "s0", "k0", f.w.s.now_ms), 990, 1000);
	/* any cut of the text either loads or leaves everything as it was */
	for (size_t n = 0; n < a.len; n++) {
		struct guard *h = guard_new();
		guard_load(h, a.data, n);
		guard_free(h);
	}
	assert_int_equal(guard_load(g, "guard 2\n", 8), ERR_MALFORMED);
	assert_in_range(guard_ledger(g, "s0", "k0", f.w.s.now_ms), 990, 1000);
	guard_free(f.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allows_a_plain_shed),
		cmocka_unit_test(i1_last_sites),
		cmocka_unit_test(i1_capacity),
		cmocka_unit_test(i2_coverage),
		cmocka_unit_test(i3_i4_silence),
		cmocka_unit_test(i5_room),
		cmocka_unit_test(i6_ledger),
		cmocka_unit_test(i6_drills),
		cmocka_unit_test(i6_simulated_deaths),
		cmocka_unit_test(back_among_equals),
		cmocka_unit_test(i7_in_flight),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(i9_i10),
		cmocka_unit_test(rollback_plan),
		cmocka_unit_test(dead_is_not_stale),
		cmocka_unit_test(mass),
		cmocka_unit_test(a_restart_is_no_fall),
		cmocka_unit_test(random_i1),
		cmocka_unit_test(permits),
		cmocka_unit_test(permits_are_given),
		cmocka_unit_test(text_and_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
