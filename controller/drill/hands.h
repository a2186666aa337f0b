/* SPDX-License-Identifier: Apache-2.0
 * What operators order by hand where a drill is at work: drains of its sites, and of nodes and services
 * there, and overrides of its cells. A drill may begin beside some; one that is made or ended meanwhile ends
 * the drill: what it touches is the operator's then, and a node made deaf would not hear of it. Pure. */
#ifndef DRILL_HANDS_H
#define DRILL_HANDS_H
#include "controller/drill/record.h"

/* One number for all of them. */
uint64_t hands_sum(const struct model *m, const struct drill_record *r);
/* Was it another number before? ret_why (TEXT_LEN): who did what. */
bool hands_changed(const struct model *m, const struct drill_record *r, uint64_t was, char *ret_why);
#endif
