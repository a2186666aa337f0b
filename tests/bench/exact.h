/* SPDX-License-Identifier: Apache-2.0
 * The exact optimum of one planning round, by GLPK: tests only. */
#ifndef BENCH_EXACT_H
#define BENCH_EXACT_H
#include "controller/steer/search.h"

/* Cost of the best set of at most moves_max changes, one per shard, under the limits the search keeps
 * (receivers below their limit at 95 %, share of the excess, traffic per round). The guard is asked for each
 * change alone. The site costs are piecewise linear in the program; the solution is priced exactly.
 * Negative: not solved. */
double exact_cost(const struct round *r, const struct guard *g, unsigned moves_max);
#endif
