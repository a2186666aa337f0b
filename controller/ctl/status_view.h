/* SPDX-License-Identifier: Apache-2.0
 * The answer of /v1/status for people: what is wrong, what is being done, what is held back, where. */
#ifndef CTL_STATUS_VIEW_H
#define CTL_STATUS_VIEW_H
#include "controller/ctl/output.h"

/* Parts of it, for top: lines printed. */
unsigned status_headline(const struct out *o, const json_t *status);
/* At most so many of what is wrong. */
unsigned status_wrong(const struct out *o, const json_t *status, size_t most);
/* The plan, with what it does and what is held back. */
void status_doing(const struct out *o, const json_t *status);
void status_print(const struct out *o, const json_t *status);
#endif
