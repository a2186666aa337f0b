/* SPDX-License-Identifier: Apache-2.0
 * Results as a table, as JSON and as a picture. */
#ifndef SIM_OUTPUT_H
#define SIM_OUTPUT_H
#include <stdio.h>

#include "controller/sim/run.h"

/* results[(scenario * n_players + player) * seeds + seed] */
struct results {
	const struct scenario *const *scenarios;
	size_t n_scenarios;
	const struct player *const *players;
	size_t n_players;
	size_t seeds;
	struct result *r;
};

void output_table(const struct results *all, FILE *f);
/* {"scenarios": {NAME: {POLICY: {METRIC: {median, p5, p95}}}}}; violations: a total. 0 or -errno. */
int output_json(const struct results *all, const char *path);
/* Utilisation of every site over time with the actions marked. 0 or -errno. */
int output_svg(const struct trace *t, const struct scenario *sc, const char *policy, uint64_t seed,
	       const struct catch *c, const char *path);
/* How the synthetic graph compares to the published figures. */
void output_fit(size_t ases, size_t sites, size_t seeds, uint64_t first, FILE *f);
#endif
