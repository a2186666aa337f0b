/* SPDX-License-Identifier: Apache-2.0
 * The shift model: wide priors, learning, families apart, monotone grades, text and back. */
#include "tests/unit/steer_world.h"

#include "controller/steer/shift.h"

static double shed(const struct shift *m, unsigned grade, uint8_t family, int64_t now, double *ret_var)
{
	struct shed s[STEER_GRADES];

	shift_sheds(m, &tw_grades, "fra", family, now, s);
	if (ret_var)
		*ret_var = s[grade].var;
	return s[grade].mean;
}

static void priors(void **state)
{
	struct shift m = { 0 };
	double var;

	(void)state;
	assert_true(shed(&m, G_NORMAL, 4, 0, NULL) == 0);
	double one = shed(&m, G_PRE1, 4, 0, &var);
	assert_true(one > 0.5 && one < 0.8 && sqrt(var) > 0.2);
	for (unsigned g = 1; g < tw_grades.n; g++)
		assert_true(shed(&m, g, 4, 0, NULL) >= shed(&m, g - 1, 4, 0, NULL));
	assert_true(shed(&m, G_GONE, 4, 0, NULL) > 0.97);
}

static void learns(void **state)
{
	struct shift m = { 0 };
	double wide, narrow;

	(void)state;
	double before = fabs(shed(&m, G_PRE1, 4, 0, &wide) - 0.33);
	shift_learn_shed(&m, "fra", "prepend1", 4, 0.33, 8, 0);
	double after = fabs(shed(&m, G_PRE1, 4, 0, &narrow) - 0.33);
	assert_true(after < before / 3);
	assert_true(narrow < wide);
	/* the other family knows nothing of it */
	assert_true(shed(&m, G_PRE1, 6, 0, NULL) > 0.6);
	/* days later it is doubted again */
	double doubted;
	shed(&m, G_PRE1, 4, (int64_t)(10 * SHIFT_HALF_LIFE_MS), &doubted);
	assert_true(doubted > narrow);
	shift_done(&m);
}

static void monotone(void **state)
{
	struct shift m = { 0 };

	(void)state;
	shift_learn_shed(&m, "fra", "prepend1", 4, 0.98, 30, 0);
	assert_true(shed(&m, G_PRE2, 4, 0, NULL) >= shed(&m, G_PRE1, 4, 0, NULL));
	shift_learn_shed(&m, "fra", "prepend2", 4, 0.05, 30, 0);
	assert_true(shed(&m, G_PRE2, 4, 0, NULL) >= shed(&m, G_PRE1, 4, 0, NULL));
	shift_done(&m);
}

static void destinations(void **state)
{
	static const char *const sites[] = { "ams", "fra", "nyc" };
	static const double prior[] = { 0.5, 0, 0.5 };
	struct shift m = { 0 };
	double alpha[3];

	(void)state;
	double sum = shift_dests(&m, &tw_grades, "fra", G_PRE1, 4, 0, sites, prior, 3, alpha);
	assert_true(fabs(alpha[0] / sum - 0.5) < 1e-9 && alpha[1] == 0);
	shift_learn_dest(&m, "fra", "prepend1", 4, "nyc", 8, 0);
	sum = shift_dests(&m, &tw_grades, "fra", G_PRE1, 4, 0, sites, prior, 3, alpha);
	assert_true(alpha[2] / sum > 0.85);
	/* informs the withdrawn grade, less */
	sum = shift_dests(&m, &tw_grades, "fra", G_GONE, 4, 0, sites, prior, 3, alpha);
	assert_true(alpha[2] / sum > 0.7 && alpha[2] / sum < 0.85);
	/* and the other family's prior: it is no better known for it */
	sum = shift_dests(&m, &tw_grades, "fra", G_PRE1, 6, 0, sites, prior, 3, alpha);
	assert_true(alpha[2] / sum > 0.85);
	assert_float_equal(sum, SHIFT_DEST_PRIOR, 1e-9);
	shift_done(&m);
}

static void text_and_back(void **state)
{
	struct shift m = { 0 }, n = { 0 };
	auto_buf a = { 0 }, b = { 0 };

	(void)state;
	shift_learn_shed(&m, "fra", "prepend1", 4, 0.33, 8, 77);
	shift_learn_dest(&m, "fra", "prepend1", 4, "nyc", 8, 77);
	shift_save(&m, &a);
	auto_free char *text = xstrdup(a.data);
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		assert_int_equal(shift_load_line(&n, line), 0);
	shift_save(&n, &b);
	assert_string_equal(a.data, b.data);
	assert_int_equal(shift_load_line(&n, "shed fra prepend1 4 nan 1 0"), ERR_MALFORMED);
	assert_int_equal(shift_load_line(&n, "shed fra prepend1 4 -1 1 0"), ERR_MALFORMED);
	assert_int_equal(shift_load_line(&n, "dest ams x 4 nyc 1"), ERR_MALFORMED);
	shift_done(&m);
	shift_done(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(priors),	cmocka_unit_test(learns),	 cmocka_unit_test(monotone),
		cmocka_unit_test(destinations), cmocka_unit_test(text_and_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
