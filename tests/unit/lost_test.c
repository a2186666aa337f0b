/* SPDX-License-Identifier: Apache-2.0
 * A silent site is called lost when its traffic is seen elsewhere, and only then. */
#include "controller/steer/lost.h"
#include "tests/unit/steer_world.h"

enum { SITES = 4, SHARDS = 2, LOAD = 100 };

struct fixture {
	struct tw w;
	struct lost *l;
	struct policy p;
};

static void init(struct fixture *f)
{
	tw_init(&f->w, SITES, SHARDS, 1000, LOAD);
	policy_default(&f->p);
	f->l = lost_new();
}

/* One round: the snapshot is made anew, as the controller does, so marks of the last one are gone. */
static void second(struct fixture *f)
{
	f->w.s.now_ms += 1000;
	for (size_t i = 0; i < SITES; i++) {
		f->w.site[i].healthy = true;
		f->w.site[i].cap[RES_BPS] = 1000;
		f->w.site[i].age_ms = f->w.site[i].age_ms ? f->w.site[i].age_ms + 1000 : 0;
	}
	for (size_t c = 0; c < SITES * SHARDS; c++)
		f->w.cell[c].announced = true;
	lost_mark(f->l, &f->p, &f->w.s);
	/* the controller looks twice a round, the second time as of when the round began */
	f->w.s.now_ms -= 3;
	lost_mark(f->l, &f->p, &f->w.s);
	f->w.s.now_ms += 3;
}

static void seconds(struct fixture *f, int n)
{
	while (n-- > 0)
		second(f);
}

static void load(struct fixture *f, size_t site, double bps)
{
	for (size_t k = 0; k < SHARDS; k++)
		tw_load(&f->w, site, k, bps);
}

static void power_gone(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	seconds(&f, 10);
	f.w.site[3].age_ms = 1000;
	for (int t = 1; t <= 8; t++) { /* its clients find others, some before we call it silent */
		load(&f, 0, LOAD * (1 + 0.05 * t));
		load(&f, 1, LOAD * (1 + 0.05 * t));
		second(&f);
		assert_true(f.w.site[3].healthy || t > 5);
	}
	seconds(&f, 3);
	assert_false(f.w.site[3].healthy);
	assert_false(snap_cell(&f.w.s, 3, 0)->announced);
	assert_true(snap_cell(&f.w.s, 3, 0)->hi[RES_BPS] == 0 && f.w.site[3].cap[RES_BPS] == 0);
	assert_true(f.w.site[0].healthy && snap_cell(&f.w.s, 0, 0)->announced);
	f.w.site[3].age_ms = 0;
	load(&f, 3, LOAD);
	second(&f);
	assert_true(f.w.site[3].healthy && snap_cell(&f.w.s, 3, 0)->announced);
	lost_free(f.l);
}

static void cut_off(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	seconds(&f, 10);
	f.w.site[3].age_ms = f.w.site[2].age_ms = 1000;
	seconds(&f, 150);
	assert_true(f.w.site[3].healthy && f.w.site[2].healthy);
	/* growth long after is no evidence any more */
	load(&f, 0, 2 * LOAD);
	load(&f, 1, 2 * LOAD);
	seconds(&f, 30);
	assert_true(f.w.site[3].healthy && f.w.site[2].healthy);
	lost_free(f.l);
}

/* A crowd at one place while another is cut off is a crowd. */
static void crowd(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	seconds(&f, 10);
	f.w.site[3].age_ms = 1000;
	load(&f, 0, 2 * LOAD);
	seconds(&f, 60);
	assert_true(f.w.site[3].healthy);
	lost_free(f.l);
}

/* Of three sites one is lost, and all of it lands at the same other: the amount tells. */
static void one_heir(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.w.s.n_sites = 3;
	seconds(&f, 10);
	f.w.site[2].age_ms = 1000;
	load(&f, 0, 1.6 * LOAD);
	seconds(&f, 12);
	assert_true(f.w.site[2].healthy); /* might be anything */
	load(&f, 0, 1.95 * LOAD);
	seconds(&f, 6);
	assert_false(f.w.site[2].healthy);
	lost_free(f.l);
}

static void two_at_once(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	seconds(&f, 10);
	f.w.site[3].age_ms = f.w.site[2].age_ms = 1000;
	load(&f, 0, 1.8 * LOAD);
	load(&f, 1, 1.9 * LOAD);
	seconds(&f, 12);
	assert_false(f.w.site[3].healthy || f.w.site[2].healthy);
	lost_free(f.l);
}

/* Nobody is left to see: nothing is concluded. */
static void all_silent(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	seconds(&f, 10);
	for (size_t i = 0; i < SITES; i++)
		f.w.site[i].age_ms = 1000;
	seconds(&f, 60);
	for (size_t i = 0; i < SITES; i++)
		assert_true(f.w.site[i].healthy);
	lost_free(f.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_gone), cmocka_unit_test(cut_off),     cmocka_unit_test(crowd),
		cmocka_unit_test(one_heir),   cmocka_unit_test(two_at_once), cmocka_unit_test(all_silent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
