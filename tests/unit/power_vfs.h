/* SPDX-License-Identifier: Apache-2.0
 * A SQLite VFS over the system's own that knows what would be left after a power cut: what was synced, plus
 * any part of what was not, torn at sectors and in any order, as disks with a write cache do it. Files stay
 * real meanwhile. One database, one connection. Directory entries are taken to be durable at once.
 * Source: https://www.sqlite.org/atomiccommit.html (what SQLite assumes of a disk) */
#ifndef UNIT_POWER_VFS_H
#define UNIT_POWER_VFS_H
#include <stddef.h>

/* Becomes the default VFS. */
void power_vfs_use(void);
void power_vfs_leave(void);
/* Before opening: the cut comes at the cut_at-th write, truncation or sync from now. 0: never. */
void power_vfs_arm(unsigned cut_at, unsigned *seed);
/* Whether the cut has come; *ret_acked is what power_vfs_ack counted by then. */
int power_vfs_was_cut(unsigned *ret_acked);
void power_vfs_ack(void);
/* Puts what the cut left in place of the real files. After closing. */
void power_vfs_settle(void);
#endif
