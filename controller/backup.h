/* SPDX-License-Identifier: Apache-2.0
 * The whole state as one SQLite file, from either store and into either: a backup, and the way from one store
 * to the other. ret_text: CONF_WHY_LEN, what was done or why not. */
#ifndef CTRL_BACKUP_H
#define CTRL_BACKUP_H
#include "controller/config.h"

/* Also of a running controller. file must not exist; it appears when it is complete. */
int backup_make(const struct ctrl_config *cfg, const char *file, char *ret_text);
/* Refused while a controller runs on the store. What was there before is kept beside it (SQLite). Agents obey
 * rising epochs only, so the epoch goes on well above the one of the backup. */
int backup_restore(const struct ctrl_config *cfg, const char *file, char *ret_text);
#endif
