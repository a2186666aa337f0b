/* SPDX-License-Identifier: Apache-2.0
 * Forward migrations of a SQLite schema. steps[i] leads from version i to i + 1 (user_version). */
#ifndef CTRL_STORE_MIGRATE_H
#define CTRL_STORE_MIGRATE_H
#include <sqlite3.h>

extern const char *const store_migrations[];

/* Each step and its new version are one transaction: a failure or a crash leaves the version before, and its
 * data. A schema newer than n is refused. ret_why: TEXT_LEN, names path. 0 or ERR_STORE. */
int store_migrate(sqlite3 *db, const char *const *steps, int n, const char *path, char *ret_why);
#endif
