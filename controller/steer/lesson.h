/* SPDX-License-Identifier: Apache-2.0
 * What a change of one shard teaches the shift model, from averages before it (cell_mem.before) and since it
 * settled (cell_mem.rest). Taken twice: soon, so that the next decision knows, and again when it has rested
 * for a while or something else changes, when noise has averaged out. Nothing is learned when more than one
 * cell moved, when there was too little to measure, or when the shard's total did not hold: the more it
 * changed beside what moved, the less the lesson counts. */
#ifndef STEER_LESSON_H
#define STEER_LESSON_H
#include "controller/steer/recall.h"
#include "controller/steer/shift.h"

struct lesson {
	const struct snapshot *s;
	size_t k; /* the shard */
	struct shard_mem *f;
	struct cell_mem **cells; /* n_sites */
	/* filled by lesson_read */
	size_t site;
	int from, to; /* grades */
};

/* Which cell went from which grade to which? False: not one alone, or nobody knows it any more. */
bool lesson_read(struct lesson *l);
/* After each round of rest. */
void lesson_step(struct lesson *l, struct shift *model);
/* It will rest no more. */
void lesson_last(struct lesson *l, struct shift *model);
#endif
