/* SPDX-License-Identifier: Apache-2.0
 * splitmix64 (Steele et al. 2014), Marsaglia-Tsang gamma. Holds no state but the caller's. */
#include "controller/sim/rng.h"

#include <math.h>

static uint64_t scramble(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t rng_mix(uint64_t a, uint64_t b)
{
	return scramble(a + 0x9e3779b97f4a7c15u * (b + 1));
}

struct rng rng_stream(uint64_t seed, const char *purpose)
{
	uint64_t h = 1469598103934665603u;

	for (const char *p = purpose; *p; p++)
		h = (h ^ (uint8_t)*p) * 1099511628211u;
	return (struct rng){ rng_mix(h, seed) };
}

uint64_t rng_u64(struct rng *r)
{
	r->s += 0x9e3779b97f4a7c15u;
	return scramble(r->s);
}

double rng_unit(struct rng *r)
{
	return (double)(rng_u64(r) >> 11) / (double)(1ull << 53);
}

size_t rng_below(struct rng *r, size_t n)
{
	return n ? (size_t)(rng_u64(r) % n) : 0;
}

double rng_normal(struct rng *r)
{
	double u = rng_unit(r), v = rng_unit(r);

	return sqrt(-2 * log(1 - u)) * cos(2 * M_PI * v);
}

double rng_gamma(struct rng *r, double shape)
{
	if (shape < 1)
		return rng_gamma(r, shape + 1) * pow(1 - rng_unit(r), 1 / shape);
	double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
	for (int i = 0; i < 1000; i++) {
		double x = rng_normal(r), v = 1 + c * x;

		if (v <= 0)
			continue;
		v = v * v * v;
		if (log(1 - rng_unit(r)) < 0.5 * x * x + d - d * v + d * log(v))
			return d * v;
	}
	return d;
}

void rng_dirichlet(struct rng *r, const double *alpha, double scale, size_t n, double *ret)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		ret[i] = alpha[i] > 0 ? rng_gamma(r, fmax(alpha[i] * scale, 1e-3)) : 0;
		sum += ret[i];
	}
	for (size_t i = 0; i < n; i++)
		ret[i] = sum > 0 ? ret[i] / sum : 1.0 / (double)n;
}
