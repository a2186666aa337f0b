/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/store_migrate.h"

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/wire/msg.h"

static int version_of(sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	int v = -1;

	if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		v = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return v;
}

int store_migrate(sqlite3 *db, const char *const *steps, int n, const char *path, char *ret_why)
{
	int version = version_of(db);

	if (version < 0) {
		snprintf(ret_why, TEXT_LEN, "%s: %s", path, sqlite3_errmsg(db));
		return ERR_STORE;
	}
	if (version > n) {
		snprintf(ret_why, TEXT_LEN,
			 "%s: written by a newer controller (schema %d, this one knows %d): upgrade it", path,
			 version, n);
		return ERR_STORE;
	}
	for (; version < n; version++) {
		auto_free char *sql = xasprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;",
						steps[version], version + 1);
		if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
			continue;
		snprintf(ret_why, TEXT_LEN,
			 "%s: cannot be migrated from schema %d to %d: %s; it is as before", path, version,
			 version + 1, sqlite3_errmsg(db));
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		return ERR_STORE;
	}
	return 0;
}
