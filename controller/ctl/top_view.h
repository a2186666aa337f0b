/* SPDX-License-Identifier: Apache-2.0
 * One page of top. Pure but for printing. */
#ifndef CTL_TOP_VIEW_H
#define CTL_TOP_VIEW_H
#include "controller/ctl/output.h"

enum top_page { TOP_NODES, TOP_SHARDS, TOP_PLAN, TOP_PAGES };

struct top_data {
	const json_t *status;	      /* /v1/status; NULL: not heard yet */
	const json_t *nodes, *shards; /* lists */
	const char *trouble;	      /* why the newest is not here; "" */
	double age_ms;		      /* of status */
};
/* rows: lines that fit; lists are cut to them, the hottest first. */
void top_print(const struct out *o, const struct top_data *d, enum top_page page, unsigned rows);
#endif
