/* SPDX-License-Identifier: Apache-2.0
 * Whole files in and out. */
#ifndef CTL_FILE_H
#define CTL_FILE_H
#include "proto/base/mem.h"

/* path "-": standard input. out->max is the limit. 0, -errno, or ERR_LIMIT. */
int file_read(const char *path, struct buf *out);
/* A new file of mode 0600, complete and on disk or not there at all. -EEXIST when there is one already. */
int file_write_secret(const char *path, const char *text);
/* The reason in words. */
const char *file_err(int err);
#endif
