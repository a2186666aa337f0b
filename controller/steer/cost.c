/* SPDX-License-Identifier: Apache-2.0
 * The objective. Pure arithmetic over one round. */
#include "controller/steer/cost.h"

#include <math.h>

#include "proto/base/mem.h"

#define UTIL_MAX 20.0 /* keep infinities out of sums */

double cost_phi(double util)
{
	static const struct {
		double at, slope;
	} piece[] = { { 0, 1 }, { 1.0 / 3, 3 }, { 2.0 / 3, 10 }, { 0.9, 70 }, { 1.0, 500 }, { 1.1, 5000 } };
	double u = util > UTIL_MAX ? UTIL_MAX : util, sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(piece) && u > piece[i].at; i++) {
		double end = i + 1 < ARRAY_LEN(piece) ? fmin(u, piece[i + 1].at) : u;
		sum += (end - piece[i].at) * piece[i].slope;
	}
	return sum;
}

double cost_expect(double u, double sd)
{
	if (!(sd > 1e-9))
		return cost_phi(u);
	double step = sd * sqrt(3.0);
	return (cost_phi(fmax(0, u - step)) + 4 * cost_phi(u) + cost_phi(u + step)) / 6;
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
	return r->prior[i] * cost_expect(round_util(r, i, load), cost_util_sd(r, i, load, dev));
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
	double cap = cost_capacity(r), weight = 0;

	for (size_t i = 0; i < r->ns; i++)
		weight += r->s->sites[r->site[i]].healthy ? r->prior[i] : 0;
	return cap > 0 ? weight * cost_phi(r->total.v[r->main] / cap) : INFINITY;
}
