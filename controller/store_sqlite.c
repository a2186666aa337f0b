/* SPDX-License-Identifier: Apache-2.0
 * The durable store: one SQLite file in WAL mode with synchronous=FULL, so that a commit that returned is on
 * the disk. The only file with SQL in it. Owns the connection, its prepared statements and a lock file: two
 * controllers on one file would be two leaders.
 * user_version is the schema's version: store_migrations[] lead from each to the next, forward only. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "controller/store_impl.h"
#include "controller/store_index.h"
#include "controller/store_migrate.h"

const char *const store_migrations[] = {
	/* 0 -> 1 */
	"CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE events (id INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL, kind TEXT NOT NULL,"
	" severity TEXT NOT NULL, text TEXT NOT NULL, data TEXT NOT NULL);"
	"CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO counters VALUES ('epoch', 0);",
};
#define SCHEMA_VERSION ((int)ARRAY_LEN(store_migrations))

#define NEAR 16 /* rows that are stepped over rather than looked up */

enum query {
	Q_BEGIN,
	Q_COMMIT,
	Q_ROLLBACK,
	Q_PUT,
	Q_DELETE,
	Q_GET,
	Q_EACH,
	Q_EVENT_ADD,
	Q_EVENT_PRUNE,
	Q_EVENTS,
	Q_EVENTS_BACK,
	Q_EPOCH_UP,
	Q_EPOCH,
	Q_EPOCH_RAISE,
	Q_N
};

static const char *const queries[Q_N] = {
	[Q_BEGIN] = "BEGIN IMMEDIATE",
	[Q_COMMIT] = "COMMIT",
	[Q_ROLLBACK] = "ROLLBACK",
	[Q_PUT] = "INSERT INTO kv VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
	[Q_DELETE] = "DELETE FROM kv WHERE key = ?1",
	[Q_GET] = "SELECT value FROM kv WHERE key = ?1",
	[Q_EACH] = "SELECT key, value FROM kv WHERE key >= ?1 ORDER BY key",
	[Q_EVENT_ADD] = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[Q_EVENT_PRUNE] = "DELETE FROM events WHERE id <= ?1",
	[Q_EVENTS] = ("SELECT id, wall_ms, kind, severity, text, data FROM events WHERE id > ?1 ORDER BY id "
		      "LIMIT ?2"),
	[Q_EVENTS_BACK] =
		("SELECT id, wall_ms, kind, severity, text, data FROM events WHERE id <= ?1 ORDER BY id DESC "
		 "LIMIT ?2"),
	[Q_EPOCH_UP] = "UPDATE counters SET value = value + 1 WHERE name = 'epoch'",
	[Q_EPOCH] = "SELECT value FROM counters WHERE name = 'epoch'",
	[Q_EPOCH_RAISE] = "UPDATE counters SET value = max(value, ?1) WHERE name = 'epoch'",
};

struct sqlite {
	struct store s;
	sqlite3 *db;
	sqlite3_stmt *stmt[Q_N];
	int lock_fd;
	struct store_index *index;
	uint64_t last_event;
};

static struct sqlite *self(struct store *s)
{
	return (struct sqlite *)s;
}

static int fail(struct sqlite *q, const char *what)
{
	int err = sqlite3_extended_errcode(q->db);
	const char *hint = "";

	if ((err & 0xff) == SQLITE_FULL)
		hint = "; free some disk space";
	else if ((err & 0xff) == SQLITE_IOERR)
		hint = "; look at the disk and the kernel log";
	else if ((err & 0xff) == SQLITE_CORRUPT)
		hint = "; stop the controller and restore a backup";
	return store_fail(&q->s, "%s: %s%s", what, sqlite3_errmsg(q->db), hint);
}

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

/* Steps a statement that returns no rows and makes it ready for the next time. */
static int run(struct sqlite *q, enum query id, const char *what)
{
	sqlite3_stmt *st = q->stmt[id];
	int r = sqlite3_step(st) == SQLITE_DONE ? 0 : fail(q, what);

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return r;
}

static int write_op(struct sqlite *q, const struct store_op *op)
{
	enum query id = op->value ? Q_PUT : Q_DELETE;

	bind_text(q->stmt[id], 1, op->key);
	if (op->value)
		bind_text(q->stmt[id], 2, op->value);
	return run(q, id, "cannot write a value");
}

static int write_event(struct sqlite *q, const struct store_event *ev, uint64_t id)
{
	sqlite3_stmt *st = q->stmt[Q_EVENT_ADD];

	sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
	sqlite3_bind_int64(st, 2, ev->wall_ms);
	bind_text(st, 3, ev->kind);
	bind_text(st, 4, ev->severity);
	bind_text(st, 5, ev->text);
	bind_text(st, 6, ev->data ? ev->data : "{}");
	int r = run(q, Q_EVENT_ADD, "cannot write an event");
	if (r != 0 || id <= STORE_EVENTS_KEPT)
		return r;
	sqlite3_bind_int64(q->stmt[Q_EVENT_PRUNE], 1, (sqlite3_int64)(id - STORE_EVENTS_KEPT));
	return run(q, Q_EVENT_PRUNE, "cannot drop old events");
}

/* After a failure inside a transaction; SQLite may have rolled back by itself already. */
static int give_up(struct sqlite *q)
{
	char why[TEXT_LEN];

	if (!sqlite3_get_autocommit(q->db)) {
		memcpy(why, q->s.why, sizeof(why));
		run(q, Q_ROLLBACK, "cannot roll back");
		memcpy(q->s.why, why, sizeof(why));
	}
	return ERR_STORE;
}

static int sqlite_write(struct store *s, const struct store_op *ops, size_t n, struct store_event *evs,
			size_t n_evs)
{
	struct sqlite *q = self(s);

	if (run(q, Q_BEGIN, "cannot begin to write") != 0)
		return ERR_STORE;
	for (size_t i = 0; i < n; i++)
		if (write_op(q, &ops[i]) != 0)
			return give_up(q);
	for (size_t i = 0; i < n_evs; i++)
		if (write_event(q, &evs[i], q->last_event + 1 + i) != 0)
			return give_up(q);
	if (run(q, Q_COMMIT, "cannot commit") != 0)
		return give_up(q);
	for (size_t i = 0; i < n_evs; i++) {
		evs[i].id = ++q->last_event;
		store_index_add(q->index, evs[i].id, evs[i].kind, evs[i].data);
	}
	return 0;
}

static const char *column_text(sqlite3_stmt *st, int i)
{
	const char *s = (const char *)sqlite3_column_text(st, i);

	return s ? s : "";
}

/* After a loop over rows: r is what the last sqlite3_step said. */
static int end_rows(struct sqlite *q, enum query id, int r)
{
	int ret = r == SQLITE_DONE || r == SQLITE_ROW ? 0 : fail(q, "cannot read");

	sqlite3_reset(q->stmt[id]);
	sqlite3_clear_bindings(q->stmt[id]);
	return ret;
}

static int sqlite_get(struct store *s, const char *key, char **ret_value)
{
	struct sqlite *q = self(s);
	sqlite3_stmt *st = q->stmt[Q_GET];
	char *value = NULL;

	bind_text(st, 1, key);
	int r = sqlite3_step(st);
	if (r == SQLITE_ROW)
		value = xstrdup(column_text(st, 0));
	int ret = end_rows(q, Q_GET, r);
	if (ret != 0)
		return ret;
	if (!value)
		return -ENOENT;
	*ret_value = value;
	return 0;
}

static int sqlite_each(struct store *s, const char *prefix, store_kv_fn fn, void *arg)
{
	struct sqlite *q = self(s);
	sqlite3_stmt *st = q->stmt[Q_EACH];
	size_t len = strlen(prefix);
	int r;

	bind_text(st, 1, prefix);
	while ((r = sqlite3_step(st)) == SQLITE_ROW) {
		const char *key = column_text(st, 0);
		if (strncmp(key, prefix, len) != 0 || fn(key, column_text(st, 1), arg) != 0)
			break;
	}
	return end_rows(q, Q_EACH, r);
}

static struct store_event row_event(sqlite3_stmt *st)
{
	return (struct store_event){
		.id = (uint64_t)sqlite3_column_int64(st, 0),
		.wall_ms = sqlite3_column_int64(st, 1),
		.kind = column_text(st, 2),
		.severity = column_text(st, 3),
		.text = column_text(st, 4),
		.data = column_text(st, 5),
	};
}

static int sqlite_events(struct store *s, uint64_t after, size_t limit, store_event_fn fn, void *arg)
{
	struct sqlite *q = self(s);
	sqlite3_stmt *st = q->stmt[Q_EVENTS];
	int r;

	sqlite3_bind_int64(st, 1, after > INT64_MAX ? INT64_MAX : (sqlite3_int64)after);
	sqlite3_bind_int64(st, 2, limit > STORE_EVENTS_KEPT ? STORE_EVENTS_KEPT : (sqlite3_int64)limit);
	while ((r = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_event ev = row_event(st);
		if (fn(&ev, arg) != 0)
			break;
	}
	return end_rows(q, Q_EVENTS, r);
}

/* To the row of that id, or the next there is; *at: where st stands, 0 nowhere. As sqlite3_step. */
static int seek(sqlite3_stmt *st, bool newest_first, uint64_t id, uint64_t *at)
{
	uint64_t far = newest_first ? *at - id : id - *at;
	int r = SQLITE_ROW;

	if (!*at || far > NEAR) {
		sqlite3_reset(st);
		sqlite3_bind_int64(st, 1, (sqlite3_int64)(newest_first ? id : id - 1));
		sqlite3_bind_int64(st, 2, STORE_EVENTS_KEPT);
		*at = 0;
	}
	while (r == SQLITE_ROW && (!*at || (newest_first ? *at > id : *at < id))) {
		r = sqlite3_step(st);
		*at = r == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	}
	return r;
}

static int sqlite_events_pick(struct store *s, const struct store_pick *pick, store_event_fn fn, void *arg)
{
	struct sqlite *q = self(s);
	enum query which = pick->newest_first ? Q_EVENTS_BACK : Q_EVENTS;
	struct store_query query;
	uint64_t at = 0;
	int r = SQLITE_DONE;

	store_query_init(&query, q->index, pick);
	for (uint64_t id; (id = store_query_next(&query));) {
		r = seek(q->stmt[which], pick->newest_first, id, &at);
		if (r != SQLITE_ROW)
			break;
		struct store_event ev = row_event(q->stmt[which]);
		if (ev.id == id && store_kind_wanted(pick->kinds, ev.kind) && fn(&ev, arg) != 0)
			break;
	}
	return end_rows(q, which, r);
}

static uint64_t sqlite_last_event(struct store *s)
{
	return self(s)->last_event;
}

static int read_epoch(struct sqlite *q, uint64_t *ret_epoch)
{
	int r = sqlite3_step(q->stmt[Q_EPOCH]);

	if (r == SQLITE_ROW)
		*ret_epoch = (uint64_t)sqlite3_column_int64(q->stmt[Q_EPOCH], 0);
	else if (r == SQLITE_DONE)
		return store_fail(&q->s, "the epoch is missing: restore a backup");
	return end_rows(q, Q_EPOCH, r);
}

static int sqlite_next_epoch(struct store *s, uint64_t *ret_epoch)
{
	struct sqlite *q = self(s);
	uint64_t epoch = 0;

	if (run(q, Q_BEGIN, "cannot begin a new epoch") != 0)
		return ERR_STORE;
	if (run(q, Q_EPOCH_UP, "cannot write the epoch") != 0 || read_epoch(q, &epoch) != 0 ||
	    run(q, Q_COMMIT, "cannot commit the epoch") != 0)
		return give_up(q);
	*ret_epoch = epoch;
	return 0;
}

static int sqlite_epoch(struct store *s, uint64_t *ret_epoch)
{
	return read_epoch(self(s), ret_epoch);
}

static int sqlite_raise_epoch(struct store *s, uint64_t at_least)
{
	struct sqlite *q = self(s);

	sqlite3_bind_int64(q->stmt[Q_EPOCH_RAISE], 1, (sqlite3_int64)at_least);
	return run(q, Q_EPOCH_RAISE, "cannot raise the epoch");
}

static void sqlite_close(struct store *s)
{
	struct sqlite *q = self(s);

	for (int i = 0; i < Q_N; i++)
		sqlite3_finalize(q->stmt[i]);
	sqlite3_close(q->db);
	if (q->lock_fd >= 0)
		close(q->lock_fd);
	store_index_free(q->index);
	free(q);
}

static const struct store_ops sqlite_ops = {
	.close = sqlite_close,
	.write = sqlite_write,
	.get = sqlite_get,
	.each = sqlite_each,
	.events = sqlite_events,
	.events_pick = sqlite_events_pick,
	.last_event = sqlite_last_event,
	.next_epoch = sqlite_next_epoch,
	.epoch = sqlite_epoch,
	.raise_epoch = sqlite_raise_epoch,
};

/* -- opening ------------------------------------------------------------------------------------------ */

int store_lock_sqlite(const char *path, int *ret_fd, char *ret_why)
{
	auto_free char *lock = xasprintf("%s.lock", path);
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0) {
		snprintf(ret_why, TEXT_LEN, "%s: %s; the state directory must exist and be writable", lock,
			 strerror(errno));
		return ERR_STORE;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		snprintf(ret_why, TEXT_LEN, "%s: another controller is running on this store", path);
		return ERR_STORE;
	}
	*ret_fd = fd;
	return 0;
}

static int exec(struct sqlite *q, const char *sql)
{
	return sqlite3_exec(q->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

static int one_int(struct sqlite *q, const char *sql, int64_t *ret_value)
{
	sqlite3_stmt *st = NULL;
	int r = sqlite3_prepare_v2(q->db, sql, -1, &st, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	if (r == SQLITE_ROW)
		*ret_value = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return r == SQLITE_ROW ? 0 : -1;
}

static int open_db(struct sqlite *q, const char *path)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

	if (sqlite3_open_v2(path, &q->db, flags, NULL) != SQLITE_OK)
		return fail(q, path);
	if (sqlite3_db_readonly(q->db, "main") == 1)
		return store_fail(&q->s, "%s: not writable by this user", path);
	sqlite3_busy_timeout(q->db, 1000); /* someone takes a backup */
	if (exec(q, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;") != 0) {
		if (sqlite3_errcode(q->db) == SQLITE_NOTADB)
			return store_fail(&q->s, "%s: not a Sluice database; move it away to start anew",
					  path);
		return fail(q, path);
	}
	return store_migrate(q->db, store_migrations, SCHEMA_VERSION, path, q->s.why);
}

static int fill_index(struct sqlite *q)
{
	sqlite3_stmt *st = q->stmt[Q_EVENTS];
	int r;

	q->index = store_index_new(STORE_EVENTS_KEPT);
	sqlite3_bind_int64(st, 1, 0);
	sqlite3_bind_int64(st, 2, STORE_EVENTS_KEPT);
	while ((r = sqlite3_step(st)) == SQLITE_ROW)
		store_index_add(q->index, (uint64_t)sqlite3_column_int64(st, 0), column_text(st, 2),
				column_text(st, 5));
	return end_rows(q, Q_EVENTS, r);
}

static int prepare(struct sqlite *q, const char *path)
{
	int64_t last = 0;

	for (int i = 0; i < Q_N; i++)
		if (sqlite3_prepare_v3(q->db, queries[i], -1, SQLITE_PREPARE_PERSISTENT, &q->stmt[i], NULL) !=
		    SQLITE_OK)
			return fail(q, path);
	if (one_int(q, "SELECT coalesce(max(id), 0) FROM events", &last) != 0)
		return fail(q, path);
	q->last_event = (uint64_t)last;
	return fill_index(q);
}

int store_open_sqlite(const char *path, struct store **ret_store, char *ret_why)
{
	struct sqlite *q = xcalloc(1, sizeof(*q));

	q->s.ops = &sqlite_ops;
	q->lock_fd = -1;
	if (store_lock_sqlite(path, &q->lock_fd, q->s.why) != 0 || open_db(q, path) != 0 ||
	    prepare(q, path) != 0) {
		snprintf(ret_why, TEXT_LEN, "%s", q->s.why);
		sqlite_close(&q->s);
		return ERR_STORE;
	}
	*ret_store = &q->s;
	return 0;
}

/* -- a copy ------------------------------------------------------------------------------------------- */

static int copy_pages(sqlite3 *from, sqlite3 *to)
{
	sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");

	if (!b)
		return sqlite3_errcode(to);
	sqlite3_backup_step(b, -1);
	return sqlite3_backup_finish(b);
}

static bool is_sound(struct sqlite *q)
{
	sqlite3_stmt *st = NULL;
	bool sound = sqlite3_prepare_v2(q->db, "PRAGMA integrity_check", -1, &st, NULL) == SQLITE_OK &&
		     sqlite3_step(st) == SQLITE_ROW && strcmp(column_text(st, 0), "ok") == 0;

	sqlite3_finalize(st);
	return sound;
}

static int open_source(struct sqlite *q, const char *from, char *ret_why)
{
	int64_t version = 0;

	if (sqlite3_open_v2(from, &q->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		snprintf(ret_why, TEXT_LEN, "%s: %s", from, sqlite3_errmsg(q->db));
		return ERR_STORE;
	}
	sqlite3_busy_timeout(q->db, 5000);
	if (one_int(q, "PRAGMA user_version", &version) == 0 && version > 0)
		return 0;
	snprintf(ret_why, TEXT_LEN, "%s: not a Sluice database", from);
	return ERR_STORE;
}

static int fill_copy(struct sqlite *src, struct sqlite *dst, const char *from, const char *to, char *ret_why)
{
	if (sqlite3_open_v2(to, &dst->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK ||
	    copy_pages(src->db, dst->db) != SQLITE_OK || exec(dst, "PRAGMA journal_mode = DELETE") != 0) {
		snprintf(ret_why, TEXT_LEN, "%s: %s", to, sqlite3_errmsg(dst->db));
		return ERR_STORE;
	}
	if (is_sound(dst))
		return 0;
	snprintf(ret_why, TEXT_LEN, "%s is damaged: what could be read is not consistent", from);
	return ERR_STORE;
}

int store_copy_sqlite(const char *from, const char *to, char *ret_why)
{
	struct sqlite src = { 0 }, dst = { 0 };

	if (access(to, F_OK) == 0) {
		snprintf(ret_why, TEXT_LEN, "%s exists already: name another file", to);
		return ERR_STORE;
	}
	int r = open_source(&src, from, ret_why);
	if (r == 0)
		r = fill_copy(&src, &dst, from, to, ret_why);
	sqlite3_close(src.db);
	sqlite3_close(dst.db);
	if (r != 0)
		unlink(to);
	return r;
}
