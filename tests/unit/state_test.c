/* SPDX-License-Identifier: Apache-2.0
 * The file: what is written is read, whatever is broken is refused in words, and nothing of it is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/state.h"
#include "proto/base/err.h"

static struct state sample(void)
{
	struct state s = { .boot_id = "11111111-2222",
			   .directive = { .epoch = 7, .seq = 42, .heard_us = 99 } };

	s.directive.n_shards = 2;
	s.directive.shards = xcalloc(2, sizeof(*s.directive.shards));
	for (size_t i = 0; i < 2; i++) {
		struct shard_intent *in = &s.directive.shards[i];
		snprintf(in->shard, sizeof(in->shard), "web-%zu", i);
		snprintf(in->grade, sizeof(in->grade), "normal");
		prefix_parse(i ? "198.18.2.0/24" : "198.18.1.0/24", &in->prefixes[0], NULL);
		in->n_prefixes = 1;
		in->weight = 100;
		in->permit_ms = 60000;
	}
	return s;
}

static char *new_dir(void)
{
	char *dir = xstrdup("/tmp/sluice-state-XXXXXX");

	assert_non_null(mkdtemp(dir));
	return dir;
}

static void drop_dir(char *dir)
{
	auto_free char *path = xasprintf("%s/directive", dir);

	unlink(path);
	rmdir(dir);
	free(dir);
}

static void test_round_trip(void **state)
{
	struct state s = sample(), got;
	auto_buf out = { 0 };
	char why[TEXT_LEN];

	(void)state;
	state_encode(&s, &out);
	assert_int_equal(state_decode(out.data, out.len, &got, why), 0);
	assert_string_equal(got.boot_id, s.boot_id);
	assert_int_equal(got.directive.epoch, 7);
	assert_int_equal(got.directive.seq, 42);
	assert_int_equal(got.directive.heard_us, 99);
	assert_int_equal(got.directive.n_shards, 2);
	assert_memory_equal(got.directive.shards, s.directive.shards, 2 * sizeof(*s.directive.shards));
	state_done(&got);
	state_done(&s);
}

/* Every byte counts: one flipped bit anywhere, or one byte missing, is never read as something else. */
static void test_every_flip_and_cut_is_seen(void **state)
{
	struct state s = sample(), got;
	auto_buf out = { 0 };
	char why[TEXT_LEN] = "";

	(void)state;
	state_encode(&s, &out);
	for (size_t i = 0; i < out.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			out.data[i] ^= (char)(1 << bit);
			assert_true(state_decode(out.data, out.len, &got, why) < 0);
			assert_true(strlen(why) > 5);
			out.data[i] ^= (char)(1 << bit);
		}
	for (size_t n = 0; n < out.len; n++)
		assert_true(state_decode(out.data, n, &got, why) < 0);
	state_done(&s);
}

static void test_save_and_load(void **state)
{
	char *dir = new_dir(), why[TEXT_LEN];
	struct state s = sample(), got = { 0 };
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(state_load(dir, &got, why), -ENOENT);
	assert_int_equal(state_save(dir, &s, &fd, why), 0);
	close(fd);
	s.directive.seq = 43;
	assert_int_equal(state_save(dir, &s, &fd, why), 0);
	close(fd);
	assert_int_equal(state_load(dir, &got, why), 0);
	assert_int_equal(got.directive.seq, 43);
	auto_free char *tmp = xasprintf("%s/directive.new", dir);
	auto_free char *path = xasprintf("%s/directive", dir);
	assert_int_equal(stat(tmp, &st), -1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	state_done(&got);
	state_done(&s);
	drop_dir(dir);
}

static void test_a_failed_save_leaves_no_old_permit(void **state)
{
	char *dir = new_dir(), why[TEXT_LEN];
	struct state s = sample(), got;
	int fd;

	(void)state;
	assert_int_equal(state_save(dir, &s, &fd, why), 0);
	close(fd);
	auto_free char *tmp = xasprintf("%s/directive.new", dir);
	assert_int_equal(mkdir(tmp, 0700), 0); /* in the way of the next write, root or not */
	assert_int_equal(state_save(dir, &s, &fd, why), -EISDIR);
	assert_non_null(strstr(why, dir));
	assert_int_equal(state_load(dir, &got, why), -ENOENT);
	rmdir(tmp);
	state_done(&s);
	drop_dir(dir);
}

static void test_another_version_is_named(void **state)
{
	struct state s = sample(), got;
	auto_buf out = { 0 };
	char why[TEXT_LEN];

	(void)state;
	state_encode(&s, &out);
	out.data[11] = 2;
	assert_int_equal(state_decode(out.data, out.len, &got, why), ERR_VERSION);
	assert_non_null(strstr(why, "version"));
	state_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_flip_and_cut_is_seen),
		cmocka_unit_test(test_save_and_load),
		cmocka_unit_test(test_a_failed_save_leaves_no_old_permit),
		cmocka_unit_test(test_another_version_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
