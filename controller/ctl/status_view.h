/* SPDX-License-Identifier: Apache-2.0
 * The answer of /v1/status for people: what is wrong, what is being done, what is held back, where. */
#ifndef CTL_STATUS_VIEW_H
#define CTL_STATUS_VIEW_H
#include "controller/ctl/output.h"

void status_print(const struct out *o, const json_t *status);
#endif
