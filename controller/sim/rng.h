/* SPDX-License-Identifier: Apache-2.0
 * Random numbers of the simulator: splitmix64 streams, told apart by purpose, so that what one part draws
 * never changes what another part sees. */
#ifndef SIM_RNG_H
#define SIM_RNG_H
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t s;
};

/* One stream per (seed, purpose). */
struct rng rng_stream(uint64_t seed, const char *purpose);
uint64_t rng_u64(struct rng *r);
double rng_unit(struct rng *r); /* [0, 1) */
double rng_normal(struct rng *r);
double rng_gamma(struct rng *r, double shape);
size_t rng_below(struct rng *r, size_t n);
/* alpha[i] * scale pseudo-counts; ret sums to 1. */
void rng_dirichlet(struct rng *r, const double *alpha, double scale, size_t n, double *ret);
uint64_t rng_mix(uint64_t a, uint64_t b);
#endif
