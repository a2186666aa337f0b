/* SPDX-License-Identifier: Apache-2.0
 * The objective. Pure arithmetic over one round. */
#include "controller/steer/cost.h"

#include <math.h>

#include "proto/base/mem.h"

#define UTIL_MAX 20.0 /* keep infinities out of sums */

/* value: of the function where the piece starts. */
double cost_phi(double util)
{
	static const struct {
		double at, slope, value;
	} piece[] = { { 1.0, 100, 32.0 / 3 },
		      { 0.9, 70, 11.0 / 3 },
		      { 2.0 / 3, 10, 4.0 / 3 },
		      { 1.0 / 3, 3, 1.0 / 3 },
		      { 0, 1, 0 } };
	double u = util > UTIL_MAX ? UTIL_MAX : util;

	for (size_t i = 0; i < ARRAY_LEN(piece); i++)
		if (u > piece[i].at)
			return piece[i].value + (u - piece[i].at) * piece[i].slope;
	return 0;
}

double cost_lost(double util)
{
	return util > 1 ? 1 - 1 / util : 0;
}

/* Three-point Gauss-Hermite. */
static double expect(double (*f)(double), double u, double sd)
{
	if (!(sd > 1e-9))
		return f(u);
	double step = sd * sqrt(3.0);
	return (f(fmax(0, u - step)) + 4 * f(u) + f(u + step)) / 6;
}

double cost_expect(double u, double sd)
{
	return expect(cost_phi, u, sd);
}

double cost_util_sd(const struct round *r, size_t i, const struct res_vec *load, double dev)
{
	double main = load->v[r->main], cap = r->cap[i].v[r->main];

	if (cap > 0)
		return dev / cap;
	return main > 0 ? round_util(r, i, load) * dev / main : 0;
}

double cost_site(const struct round *r, size_t i, const struct res_vec *load, double dev)
{
	if (!r->s->sites[r->site[i]].healthy)
		return 0;
	double u = round_util(r, i, load), sd = cost_util_sd(r, i, load, dev), lost = 0;
	if (u + 2 * sd > 1 && r->total.v[LANE_WORTH] > 0)
		lost = expect(cost_lost, u, sd) * load->v[LANE_WORTH] / r->total.v[LANE_WORTH];
	return r->prior[i] * cost_expect(u, sd) + COST_LOST * lost;
}

double cost_all(const struct round *r, const struct res_vec *load, const double *dev)
{
	double sum = 0;

	for (size_t i = 0; i < r->ns; i++)
		sum += cost_site(r, i, &load[i], dev[i]);
	return sum;
}

double cost_capacity(const struct round *r)
{
	double sum = 0;

	for (size_t i = 0; i < r->ns; i++) {
		if (!r->receiver[i])
			continue;
		if (r->cap[i].v[r->main] <= 0)
			return INFINITY;
		sum += r->cap[i].v[r->main];
	}
	return sum;
}

double cost_bound(const struct round *r)
{
	double cap = cost_capacity(r), weight = 0, u;

	for (size_t i = 0; i < r->ns; i++)
		weight += r->s->sites[r->site[i]].healthy ? r->prior[i] : 0;
	if (!(cap > 0))
		return INFINITY;
	u = r->total.v[r->main] / cap;
	/* above capacity the least worthy is lost first */
	double worth = r->total.v[LANE_WORTH], lost = worth > cap ? 1 - cap / worth : 0;
	return weight * cost_phi(u) + COST_LOST * lost;
}
