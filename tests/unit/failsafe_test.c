/* SPDX-License-Identifier: Apache-2.0
 * Walks every order x health x permit x announced; the promises are checked as sentences, not as a copy of
 * the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "agent/failsafe.h"
#include "proto/base/err.h"

static void each(void (*check)(const struct fs_input *in, enum fs_action a))
{
	for (int i = 0; i < 3 * 4 * 2 * 2; i++) {
		struct fs_input in = {
			.order = i % 3, .health = i / 3 % 4, .permit = i / 12 % 2, .announced = i / 24
		};
		check(&in, failsafe_decide(&in));
	}
}

static void silence_check(const struct fs_input *in, enum fs_action a)
{
	/* nothing heard, and no proof of death with a permit: nothing is withdrawn */
	if (in->order == FS_NONE && !(in->health == SERVICE_DOWN && in->permit))
		assert_int_not_equal(a, FS_DO_WITHDRAW);
}

static void test_silence_never_withdraws(void **state)
{
	(void)state;
	each(silence_check);
}

static void permit_check(const struct fs_input *in, enum fs_action a)
{
	if (in->order == FS_ANNOUNCE && in->announced && a == FS_DO_WITHDRAW) {
		assert_true(in->permit);
		assert_int_equal(in->health, SERVICE_DOWN);
	}
	if (a == FS_ASK) {
		assert_false(in->permit);
		assert_int_equal(in->health, SERVICE_DOWN);
		assert_true(in->announced);
	}
}

static void test_withdraws_alone_only_with_a_permit(void **state)
{
	(void)state;
	each(permit_check);
}

static void dead_check(const struct fs_input *in, enum fs_action a)
{
	if (!in->announced && in->health != SERVICE_UP)
		assert_int_not_equal(a, FS_DO_ANNOUNCE);
	if (in->order == FS_WITHDRAW)
		assert_int_equal(a, FS_DO_WITHDRAW);
	if (in->order == FS_ANNOUNCE && in->health == SERVICE_UP)
		assert_int_equal(a, FS_DO_ANNOUNCE);
}

static void test_dead_service_is_never_newly_announced(void **state)
{
	(void)state;
	each(dead_check);
}

static struct shard_intent intent(void)
{
	struct shard_intent in = {
		.shard = "web-a", .grade = "less", .prepends = 2, .weight = 40, .n_communities = 3
	};

	strcpy(in.communities[0], "64500:80");
	strcpy(in.communities[1], "64500:1:2");
	strcpy(in.communities[2], "65535:0");
	return in;
}

static void test_route_of_an_intent(void **state)
{
	struct shard_intent in = intent();
	struct prefix p;
	struct route_want w;
	char why[TEXT_LEN], c1[] = "64500:80", c2[] = "64500:1:2";
	char *allow[] = { c1, c2 };

	(void)state;
	assert_int_equal(prefix_parse("198.18.1.0/24", &p, NULL), 0);
	assert_int_equal(failsafe_route(&in, &p, allow, 2, &w, why), 0);
	assert_true(w.announced);
	assert_int_equal(w.attrs.prepends, 2);
	assert_int_equal(w.attrs.bandwidth_mbps, 40);
	assert_int_equal(w.attrs.n_communities, 2);
	assert_string_equal(w.attrs.communities[0], "64500:80");
	assert_string_equal(w.attrs.communities[1], "65535:0");
	assert_int_equal(w.attrs.n_large, 1);
	assert_string_equal(w.attrs.large[0], "64500:1:2");
}

static void test_community_outside_the_whitelist(void **state)
{
	struct shard_intent in = intent();
	struct prefix p;
	struct route_want w;
	char why[TEXT_LEN], c1[] = "64500:80";
	char *allow[] = { c1 };

	(void)state;
	assert_int_equal(prefix_parse("198.18.1.0/24", &p, NULL), 0);
	assert_int_equal(failsafe_route(&in, &p, allow, 1, &w, why), ERR_NOT_ALLOWED);
	assert_non_null(strstr(why, "64500:1:2"));
	assert_non_null(strstr(why, "allow.communities"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silence_never_withdraws),
		cmocka_unit_test(test_withdraws_alone_only_with_a_permit),
		cmocka_unit_test(test_dead_service_is_never_newly_announced),
		cmocka_unit_test(test_route_of_an_intent),
		cmocka_unit_test(test_community_outside_the_whitelist),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
