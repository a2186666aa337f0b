/* SPDX-License-Identifier: Apache-2.0
 * One contract, run on every store; then what only the durable one can show: reopening, refusals in words. */
#include "tests/unit/store_contract.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/store_migrate.h"

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/wire/msg.h"

struct fixture {
	struct store *s; /* as in struct subject */
	size_t events_kept;
	bool durable;
	char dir[64], path[96];
};

static void open_store(struct fixture *f)
{
	char why[TEXT_LEN] = "";
	int r = f->durable ? store_open_sqlite(f->path, &f->s, why) : store_open_memory(&f->s);

	if (r != 0)
		fail_msg("%s", why);
}

static int setup(void **state, bool durable)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->durable = durable;
	f->events_kept = STORE_EVENTS_KEPT;
	/* memory when there is some: the contract is about order and content, not about this disk's fsync */
	snprintf(f->dir, sizeof(f->dir), "%s/sluice-store.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/sluice.db", f->dir);
	open_store(f);
	*state = f;
	return 0;
}

static int setup_memory(void **state)
{
	return setup(state, false);
}

static int setup_sqlite(void **state)
{
	return setup(state, true);
}

static int teardown(void **state)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal", ".lock" };
	struct fixture *f = *state;

	store_close(f->s);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		auto_free char *p = xasprintf("%s%s", f->path, suffixes[i]);
		unlink(p);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

/* -- the durable one ---------------------------------------------------------------------------------- */

/* Which events are worth reading is known again. */
static void test_pick_after_reopen(void **state)
{
	struct fixture *f = *state;

	test_events_pick(state);
	store_close(f->s);
	open_store(f);
	expect_picks(f->s);
}

static void test_reopen(void **state)
{
	struct fixture *f = *state;
	uint64_t e = 0;

	assert_int_equal(put(f->s, "mode", "steer"), 0);
	assert_int_equal(event(f->s, "mode", NULL), 1);
	assert_int_equal(store_next_epoch(f->s, &e), 0);
	store_close(f->s);
	open_store(f);
	expect(f->s, "mode", "steer");
	assert_int_equal(store_last_event(f->s), 1);
	assert_int_equal(event(f->s, "more", NULL), 2);
	assert_int_equal(store_next_epoch(f->s, &e), 0);
	assert_int_equal(e, 2);
}

/* A child writes until it is killed and says each acknowledged number through a pipe. */
static void write_until_killed(const char *path, int fd)
{
	char why[TEXT_LEN], text[32];
	struct store *s;

	if (store_open_sqlite(path, &s, why) != 0)
		_exit(1);
	for (uint32_t i = 1;; i++) {
		snprintf(text, sizeof(text), "%u", i);
		struct store_op op = { "n", text };
		struct store_event ev = { .kind = "n", .severity = "info", .text = text };
		if (store_write(s, &op, 1, &ev) != 0 || write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
}

static uint32_t read_until_killed(int fd, pid_t pid, uint32_t after)
{
	uint32_t i, last = 0;

	while (read(fd, &i, sizeof(i)) == sizeof(i)) {
		last = i;
		if (i == after)
			kill(pid, SIGKILL);
	}
	return last;
}

static void test_kill(void **state)
{
	struct fixture *f = *state;

	for (uint32_t round = 1; round <= 8; round++) {
		int fds[2], status;
		auto_free char *n = NULL;
		assert_int_equal(pipe(fds), 0);
		store_close(f->s);
		f->s = NULL;
		pid_t pid = fork();
		if (pid == 0) {
			close(fds[0]);
			write_until_killed(f->path, fds[1]);
		}
		close(fds[1]);
		uint32_t last = read_until_killed(fds[0], pid, round * 7);
		close(fds[0]);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		open_store(f);
		assert_int_equal(store_get(f->s, "n", &n), 0);
		/* what was acknowledged is there, and at most one more that was about to be */
		assert_in_range(strtoul(n, NULL, 10), last, last + 1);
	}
}

static int open_again(const char *path, char *why)
{
	struct store *s = NULL;
	int r = store_open_sqlite(path, &s, why);

	if (r == 0)
		store_close(s);
	return r;
}

static void test_locked(void **state)
{
	struct fixture *f = *state;
	char why[TEXT_LEN] = "";

	assert_int_equal(open_again(f->path, why), ERR_STORE);
	assert_non_null(strstr(why, "another controller"));
}

static void test_newer_schema(void **state)
{
	struct fixture *f = *state;
	char why[TEXT_LEN] = "";
	sqlite3 *db;

	store_close(f->s);
	f->s = NULL;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(open_again(f->path, why), ERR_STORE);
	assert_non_null(strstr(why, "newer controller"));
}

/* What schema 1 was when it was shipped, with something in it. Never edit: it stands for files out there. */
static const char schema_1[] =
	"CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE events (id INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL, kind TEXT NOT NULL,"
	" severity TEXT NOT NULL, text TEXT NOT NULL, data TEXT NOT NULL);"
	"CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO counters VALUES ('epoch', 6);"
	"INSERT INTO kv VALUES ('mode', 'steer');"
	"INSERT INTO events VALUES (9, 1700000000123, 'mode', 'info', 't', '{\"a\":1}');"
	"PRAGMA user_version = 1;";

static void test_older_schema(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch = 0;
	sqlite3 *db;

	store_close(f->s);
	f->s = NULL;
	unlink(f->path);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, schema_1, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	open_store(f);
	expect(f->s, "mode", "steer");
	expect_events(f->s, 0, 10, "9:mode:{\"a\":1};");
	assert_int_equal(store_next_epoch(f->s, &epoch), 0);
	assert_int_equal(epoch, 7);
	assert_int_equal(event(f->s, "more", NULL), 10);
}

static int value_of(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st = NULL;
	int v = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		v = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return v;
}

/* Every step forward, a step that fails half way, and the step after it once it is repaired. */
static void test_migrations(void **state)
{
	static const char *const good[] = { "CREATE TABLE t (a); INSERT INTO t VALUES (1);",
					    "ALTER TABLE t ADD COLUMN b DEFAULT 2;",
					    "UPDATE t SET a = a + b;" };
	static const char *const bad[] = { "", "", "UPDATE t SET a = 100; INSERT INTO nowhere VALUES (1);" };
	char why[TEXT_LEN] = "";
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(store_migrate(db, good, 1, "x", why), 0);
	assert_int_equal(value_of(db, "PRAGMA user_version"), 1);
	assert_int_equal(store_migrate(db, good, 2, "x", why), 0);
	assert_int_equal(store_migrate(db, bad, 3, "x", why), ERR_STORE);
	assert_non_null(strstr(why, "from schema 2 to 3"));
	assert_int_equal(value_of(db, "PRAGMA user_version"), 2);
	assert_int_equal(value_of(db, "SELECT a FROM t"), 1);
	assert_int_equal(store_migrate(db, good, 3, "x", why), 0);
	assert_int_equal(value_of(db, "SELECT a FROM t"), 3);
	assert_int_equal(store_migrate(db, good, 2, "x", why), ERR_STORE);
	assert_non_null(strstr(why, "newer"));
	sqlite3_close(db);
}

static void test_copy(void **state)
{
	struct fixture *f = *state;
	char why[TEXT_LEN] = "";
	auto_free char *to = xasprintf("%s.copy", f->path), *lock = xasprintf("%s.lock", to);
	struct store *copy = NULL;

	assert_int_equal(put(f->s, "mode", "steer"), 0);
	assert_int_equal(event(f->s, "mode", NULL), 1);
	assert_int_equal(store_copy_sqlite(f->path, to, why), 0); /* while it is in use */
	assert_int_equal(put(f->s, "mode", "freeze"), 0);
	assert_int_equal(store_copy_sqlite(f->path, to, why), ERR_STORE);
	assert_non_null(strstr(why, "exists already"));
	assert_int_equal(store_open_sqlite(to, &copy, why), 0);
	expect(copy, "mode", "steer");
	expect_events(copy, 0, 10, "1:mode:{};");
	store_close(copy);
	unlink(to);
	unlink(lock);
	assert_int_equal(store_copy_sqlite("/etc/passwd", to, why), ERR_STORE);
	assert_non_null(strstr(why, "not a Sluice database"));
	assert_int_equal(access(to, F_OK), -1);
}

static void test_not_a_database(void **state)
{
	struct fixture *f = *state;
	char why[TEXT_LEN] = "";

	store_close(f->s);
	f->s = NULL;
	auto_fclose FILE *file = fopen(f->path, "w");
	assert_non_null(file);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", file);
	fflush(file);
	assert_int_equal(open_again(f->path, why), ERR_STORE);
	assert_non_null(strstr(why, "not a Sluice database"));
}

static void test_no_directory(void **state)
{
	char why[TEXT_LEN] = "";

	(void)state;
	assert_int_equal(open_again("/nonexistent/sluice.db", why), ERR_STORE);
	assert_non_null(strstr(why, "must exist"));
}

static void limit_files(rlim_t bytes)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = bytes < r.rlim_max ? bytes : r.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* A disk that takes no more: the writer is told, the state from before stays, and writing goes on when there
 * is room again. */
static void test_disk_refuses(void **state)
{
	struct fixture *f = *state;
	auto_free char *v = xcalloc(1, 1000001);
	const struct store_op ops[] = { { "mode", "freeze" }, { "big", v } };
	struct store_event ev = { .kind = "k", .severity = "info", .text = "t" };

	memset(v, 'x', 1000000);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(put(f->s, "mode", "steer"), 0);
	assert_int_equal(event(f->s, "first", NULL), 1);
	limit_files(200000);
	assert_int_equal(store_write(f->s, ops, 2, &ev), ERR_STORE);
	assert_non_null(strstr(store_why(f->s), "disk"));
	expect(f->s, "mode", "steer");
	expect(f->s, "big", NULL);
	assert_int_equal(store_last_event(f->s), 1);
	limit_files(RLIM_INFINITY);
	assert_int_equal(store_write(f->s, ops, 2, &ev), 0);
	assert_int_equal(ev.id, 2);
	expect(f->s, "mode", "freeze");
}

#define teardown_memory teardown
#define teardown_sqlite teardown

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT(memory),
		CONTRACT(sqlite),
		ON(sqlite, test_reopen),
		ON(sqlite, test_pick_after_reopen),
		ON(sqlite, test_kill),
		ON(sqlite, test_locked),
		ON(sqlite, test_newer_schema),
		ON(sqlite, test_older_schema),
		ON(memory, test_migrations),
		ON(sqlite, test_copy),
		ON(sqlite, test_not_a_database),
		ON(sqlite, test_no_directory),
		ON(sqlite, test_disk_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
