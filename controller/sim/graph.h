/* SPDX-License-Identifier: Apache-2.0
 * A synthetic Internet: a clique of tier-1s, transits and stubs in a plane, customer/provider and peer links;
 * one origin network with sites that buy transit and peer where they stand. Routes follow Gao and Rexford
 * (customer over peer over provider, then the shorter path with prepends, then the nearer site). */
#ifndef SIM_GRAPH_H
#define SIM_GRAPH_H
#include <stddef.h>
#include <stdint.h>

#include "controller/steer/steer.h"

#define GRAPH_NONE UINT16_MAX

struct graph;
/* perturb: part of the ASes whose choice between equal paths follows nothing an outsider could know. */
struct graph *graph_new(size_t ases, size_t sites, uint64_t seed, double perturb);
void graph_free(struct graph *g);
size_t graph_ases(const struct graph *g);
/* Traffic weight of an AS; sums to 1. */
double graph_weight(const struct graph *g, size_t as);
/* grades[sites]: indices into gs, or 255: announces nothing. ret_site[ases]: GRAPH_NONE without a route. */
void graph_route(const struct graph *g, const struct grade_set *gs, const uint8_t *grades,
		 uint16_t *ret_site);
#endif
