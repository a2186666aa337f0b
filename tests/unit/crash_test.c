/* SPDX-License-Identifier: Apache-2.0
 * What was acknowledged is there after any crash: kill -9 at random moments, and power cuts that lose any
 * part of what was not synced. Every write changes two keys and adds an event, which must stay together.
 * CRASH_ROUNDS and SEED in the environment: a longer run, or the same one again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/store.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/wire/msg.h"
#include "tests/unit/power_vfs.h"

#define ROUNDS	   200
#define KILL_US	   12000 /* at most so long after its start the writer dies */
#define CUT_WRITES 12

struct fixture {
	char dir[64], path[96];
	unsigned seed, rounds;
};

static unsigned from_env(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);

	return s ? (unsigned)strtoul(s, NULL, 10) : otherwise;
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "%s/sluice-crash.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/sluice.db", f->dir);
	f->seed = from_env("SEED", (unsigned)time(NULL) ^ (unsigned)getpid());
	f->rounds = from_env("CRASH_ROUNDS", ROUNDS);
	print_message("seed %u\n", f->seed);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal", ".lock" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		auto_free char *p = xasprintf("%s%s", f->path, suffixes[i]);
		unlink(p);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

static struct store *open_it(const char *path)
{
	char why[TEXT_LEN] = "";
	struct store *s = NULL;

	if (store_open_sqlite(path, &s, why) != 0)
		fail_msg("it does not open any more: %s", why);
	return s;
}

static int write_number(struct store *s, unsigned i, unsigned *seed)
{
	char text[16], fill[3000];
	size_t len = (size_t)rand_r(seed) % sizeof(fill);

	snprintf(text, sizeof(text), "%u", i);
	memset(fill, 'x', len);
	fill[len ? len - 1 : 0] = 0;
	struct store_op op[] = { { "a", text }, { "fill", fill }, { "b", text } };
	struct store_event ev = { .kind = "n", .severity = "info", .text = text };
	return store_write(s, op, ARRAY_LEN(op), &ev);
}

static unsigned number(struct store *s, const char *key)
{
	auto_free char *v = NULL;

	return store_get(s, key, &v) == 0 ? (unsigned)strtoul(v, NULL, 10) : 0;
}

static int last_text(const struct store_event *ev, void *arg)
{
	*(unsigned *)arg = (unsigned)strtoul(ev->text, NULL, 10);
	return 0;
}

static void check_pages(const char *path)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
	sqlite3_finalize(st);
	sqlite3_close(db);
}

/* Everything acknowledged, at most one more, keys and event of the same write. Returns where it stands. */
static unsigned check(const char *path, unsigned acknowledged)
{
	struct store *s = open_it(path);
	unsigned n = number(s, "a"), event = 0;

	assert_int_equal(number(s, "b"), n);
	store_events(s, store_last_event(s) ? store_last_event(s) - 1 : 0, 1, last_text, &event);
	assert_int_equal(event, n);
	assert_int_equal(store_last_event(s), n);
	store_close(s);
	check_pages(path);
	if (n != acknowledged && n != acknowledged + 1)
		fail_msg("%u was acknowledged, %u is there", acknowledged, n);
	return n;
}

/* -- kill -9 ------------------------------------------------------------------------------------------ */

static void write_until_killed(const char *path, unsigned from, unsigned seed, int fd)
{
	char why[TEXT_LEN];
	struct store *s;

	if (store_open_sqlite(path, &s, why) != 0)
		_exit(1);
	for (unsigned i = from + 1;; i++)
		if (write_number(s, i, &seed) != 0 || write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(1);
}

static unsigned last_acknowledged(int fd, unsigned otherwise)
{
	unsigned i;

	while (read(fd, &i, sizeof(i)) == sizeof(i))
		otherwise = i;
	return otherwise;
}

static void test_kill(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0, quiet = 0;

	for (unsigned round = 0; round < f->rounds; round++) {
		int fds[2], status;
		unsigned child_seed = (unsigned)rand_r(&f->seed), us = (unsigned)rand_r(&f->seed) % KILL_US;
		assert_int_equal(pipe(fds), 0);
		pid_t pid = fork();
		if (pid == 0) {
			close(fds[0]);
			write_until_killed(f->path, n, child_seed, fds[1]);
		}
		close(fds[1]);
		usleep(us);
		kill(pid, SIGKILL);
		unsigned acknowledged = last_acknowledged(fds[0], n);
		close(fds[0]);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status)); /* it did not fail by itself */
		quiet += acknowledged == n;
		n = check(f->path, acknowledged);
	}
	print_message("%u kills, %u of them before a first write; %u writes, 0 lost\n", f->rounds, quiet, n);
	assert_in_range(n, f->rounds, UINT32_MAX);
}

/* -- power -------------------------------------------------------------------------------------------- */

/* Opens, writes and closes; the cut falls somewhere in that, also into opening and the last checkpoint. */
static unsigned write_some(struct fixture *f, unsigned n)
{
	struct store *s = open_it(f->path);

	for (unsigned i = 1; i <= CUT_WRITES; i++) {
		assert_int_equal(write_number(s, n + i, &f->seed), 0);
		power_vfs_ack();
	}
	store_close(s);
	return n + CUT_WRITES;
}

static void test_power(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0, cuts = 0, acked;

	power_vfs_use();
	for (unsigned round = 0; round < 2 * f->rounds; round++) {
		power_vfs_arm(1 + (unsigned)rand_r(&f->seed) % (CUT_WRITES * 12), &f->seed);
		write_some(f, n);
		if (!power_vfs_was_cut(&acked)) {
			n += acked;
			continue;
		}
		cuts++;
		power_vfs_settle();
		power_vfs_arm(0, &f->seed);
		n = check(f->path, n + acked);
	}
	power_vfs_leave();
	print_message("%u power cuts, %u writes, 0 lost\n", cuts, n);
	assert_in_range(cuts, f->rounds, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_power, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
