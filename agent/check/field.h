/* SPDX-License-Identifier: Apache-2.0
 * The fields of struct check_cfg as rows. takes: as in struct check_kind. */
#ifndef CHECK_FIELD_H
#define CHECK_FIELD_H
#include "agent/check/check.h"

/* The name of a field that is set although takes does not list it, or NULL. */
const char *field_misplaced(const struct check_cfg *c, const char *takes);
/* The name of a field that takes marks with '!' and is not set, or NULL. */
const char *field_missing(const struct check_cfg *c, const char *takes);
/* A copy with texts (and command) of its own, for field_free. */
void field_copy(const struct check_cfg *from, struct check_cfg *ret_to);
void field_free(struct check_cfg *c);
#endif
