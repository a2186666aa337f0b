/* SPDX-License-Identifier: Apache-2.0
 * What the local file adds to a route, and the join of checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "agent/service.h"
#include "proto/base/err.h"

static char c1[] = "64500:1", large[] = "64500:1:2", rt[] = "RT:64500:9", bad[] = "red",
	    degrade[] = "degrade", any[] = "any", quorum[] = "quorum", transit[] = "transit",
	    t_comm[] = "64500:101", other[] = "other";

static void test_adds_to_the_grade(void **state)
{
	char *communities[] = { c1, large }, *ext[] = { rt }, *names[] = { transit };
	struct announce_attrs up = { .med = 100,
				     .prepends = 1,
				     .local_pref = 200,
				     .communities = communities,
				     .communities_count = 2,
				     .extcommunities = ext,
				     .extcommunities_count = 1 };
	struct announce_cfg cfg = {
		.up = &up, .med_increase = 5, .neighbours = names, .neighbours_count = 1
	};
	const struct neighbour_cfg list[] = { { other, c1 }, { transit, t_comm } };
	struct route_want w = { .announced = true,
				.attrs = {
					.prepends = 2, .n_communities = 1, .communities = { "65535:0" } } };
	char why[TEXT_LEN];

	(void)state;
	assert_int_equal(announce_verify(&cfg, list, 2, why), 0);
	assert_int_equal(announce_route(&cfg, ANNOUNCE_UP, 3, list, 2, &w, why), 0);
	assert_int_equal(w.attrs.med, 115);
	assert_int_equal(w.attrs.prepends, 3);
	assert_int_equal(w.attrs.local_pref, 200);
	assert_int_equal(w.attrs.n_communities, 3);
	assert_string_equal(w.attrs.communities[0], "64500:1");
	assert_string_equal(w.attrs.communities[1], "64500:101");
	assert_string_equal(w.attrs.communities[2], "65535:0");
	assert_string_equal(w.attrs.large[0], "64500:1:2");
	assert_string_equal(w.attrs.ext[0], "rt 64500:9");
	/* nothing is said about the other states */
	struct route_want plain = { .announced = true };
	assert_int_equal(announce_route(&cfg, ANNOUNCE_DOWN, 0, list, 2, &plain, why), 0);
	assert_int_equal(plain.attrs.med, 0);
	assert_int_equal(plain.attrs.n_communities, 1);
}

static void test_what_does_not_fit_changes_nothing(void **state)
{
	struct announce_attrs up = { .prepends = 9 };
	struct announce_cfg cfg = { .up = &up };
	struct route_want w = { .attrs = { .prepends = 2 } }, before = w;
	char why[TEXT_LEN] = "";

	(void)state;
	assert_int_equal(announce_route(&cfg, ANNOUNCE_UP, 0, NULL, 0, &w, why), ERR_LIMIT);
	assert_string_equal(why, "more than 10 prepends");
	assert_memory_equal(&w, &before, sizeof(w));
}

static void test_verify(void **state)
{
	char *wrong[] = { bad }, *names[] = { transit };
	struct announce_attrs attrs = { .communities = wrong, .communities_count = 1 };
	struct announce_cfg rows[] = { { .down = &attrs },
				       { .on_down = bad },
				       { .neighbours = names, .neighbours_count = 1 } };
	static const char *const says[] = { "down: not a community", "on_down: \"red\"",
					    "neighbours: \"transit\"" };
	char why[TEXT_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(announce_verify(&rows[i], NULL, 0, why), ERR_CONFIG);
		assert_int_equal(strncmp(why, says[i], strlen(says[i])), 0);
	}
}

static void test_degrades(void **state)
{
	struct announce_cfg cfg = { .on_down = degrade };

	(void)state;
	assert_false(announce_degrades(&cfg, ANNOUNCE_UP));
	assert_true(announce_degrades(&cfg, ANNOUNCE_DOWN));
	assert_false(announce_degrades(&cfg, ANNOUNCE_DISABLED));
}

/* every number of checks, up and down, against the plain definition */
static void test_join_exhaustive(void **state)
{
	(void)state;
	for (unsigned n = 0; n <= 6; n++)
		for (unsigned need = 1; need <= n + (n == 0); need++)
			for (unsigned up = 0; up <= n; up++)
				for (unsigned down = 0; up + down <= n; down++) {
					struct service_cfg cfg = { .checks_count = n,
								   .join = quorum,
								   .quorum = need };
					int want = !n || up >= need ? 1 : n - down < need ? -1 : 0;
					assert_int_equal(service_join(&cfg, up, down), want);
					cfg.join = NULL;
					if (need == n || !n)
						assert_int_equal(service_join(&cfg, up, down), want);
					cfg.join = any;
					if (need == 1)
						assert_int_equal(service_join(&cfg, up, down), want);
				}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adds_to_the_grade),
		cmocka_unit_test(test_what_does_not_fit_changes_nothing),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_degrades),
		cmocka_unit_test(test_join_exhaustive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
