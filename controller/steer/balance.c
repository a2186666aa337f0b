/* SPDX-License-Identifier: Apache-2.0
 * Weights inside a site. Stateless: the weight a node has now is the memory.
 *
 * A node's fair weight is its share of capacity, times a correction c. Measured utilisation moves c by
 * (site mean / node), or by its square root when the difference may be noise, which converges without
 * overshoot under weighted ECMP; the correction
 * counts in full only when the site is busy (an idle site's ratios are noise) and is clamped, so that a node
 * that claims to be idle attracts at most CORR_MAX times its capacity share. A dead band keeps noise from
 * becoming UPDATEs. */
#include "controller/steer/steer.h"

#include <math.h>

#include "proto/base/mem.h"

#define CORR_MIN  0.125
#define CORR_MAX  1.5
#define STEP_FULL 1.25 /* a difference beyond this is not noise: corrected in one step */
#define UTIL_IDLE 0.05 /* below: capacity only */
#define UTIL_BUSY 0.30 /* above: correction in full */
#define HOT_BAND  0.08 /* a node this much above the mean is worth UPDATEs ... */
#define COLD_BAND 0.20 /* ... or one this much below ... */
#define UTIL_FROM 0.20 /* ... of a mean of at least this */
#define STARVED	  0.30 /* a node whose share is so much smaller than it should be */

/* A node's share of capacity: the smallest over the resources that every usable node limits. */
static void capacity_shares(const struct balance_node *nodes, size_t n, double *share)
{
	size_t usable = 0;

	for (size_t i = 0; i < n; i++)
		usable += nodes[i].usable;
	for (size_t i = 0; i < n; i++)
		share[i] = usable ? 1.0 / (double)usable : 1;
	bool first = true;
	for (int r = 0; r < RES_N; r++) {
		double sum = 0;
		bool all = true;

		for (size_t i = 0; i < n; i++) {
			if (!nodes[i].usable)
				continue;
			sum += nodes[i].cap[r];
			all = all && nodes[i].cap[r] > 0;
		}
		if (!all || sum <= 0)
			continue;
		for (size_t i = 0; i < n; i++)
			share[i] = first ? nodes[i].cap[r] / sum : fmin(share[i], nodes[i].cap[r] / sum);
		first = false;
	}
	double total = 0;
	for (size_t i = 0; i < n; i++)
		total += nodes[i].usable ? share[i] : 0;
	for (size_t i = 0; i < n && total > 0; i++)
		share[i] /= total;
}

static double clamp(double v, double lo, double hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static int to_weight(double share, double top)
{
	return (int)clamp(round(100 * share / top), 1, 100);
}

/* Capacity-weighted mean utilisation, and the largest, of the usable nodes. */
static void site_util(const struct balance_node *nodes, const double *share, size_t n, double *ret_mean,
		      double *ret_max)
{
	double sum = 0, weight = 0, max = 0;

	for (size_t i = 0; i < n; i++) {
		if (!nodes[i].usable)
			continue;
		double u = clamp(nodes[i].util, 0, 100);
		sum += share[i] * u;
		weight += share[i];
		max = fmax(max, u);
	}
	*ret_mean = weight > 0 ? sum / weight : 0;
	*ret_max = max;
}

/* share[]: in capacity shares, out wanted shares. */
static void correct(const struct balance_node *nodes, size_t n, double mean, double max, double *share)
{
	double trust = clamp((max - UTIL_IDLE) / (UTIL_BUSY - UTIL_IDLE), 0, 1);
	double wsum = 0;

	for (size_t i = 0; i < n; i++) {
		if (!nodes[i].usable)
			continue;
		wsum += clamp(nodes[i].weight, 1, 100);
	}
	for (size_t i = 0; i < n; i++) {
		if (!nodes[i].usable || wsum <= 0)
			continue;
		double cap = share[i], have = clamp(nodes[i].weight, 1, 100) / wsum;
		double u = clamp(nodes[i].util, mean / 16, 100);
		double off = u > 0 ? mean / u : 1;
		double step = off < 1 / STEP_FULL || off > STEP_FULL ? off : sqrt(off);

		share[i] = cap * pow(clamp(have / cap * step, CORR_MIN, CORR_MAX), trust);
	}
}

static bool worth_it(const struct balance_node *nodes, const int *weights, size_t n, double mean, double max)
{
	bool changed = false, uneven = max < UTIL_IDLE; /* idle: capacity speaks */
	double unit = fmax(mean, UTIL_FROM);

	for (size_t i = 0; i < n; i++) {
		if (!nodes[i].usable)
			continue;
		double off = (nodes[i].util - mean) / unit;

		changed = changed || weights[i] != nodes[i].weight;
		uneven = uneven || off > HOT_BAND || off < -COLD_BAND || nodes[i].weight < 1;
	}
	return changed && uneven;
}

/* No node's share passes CORR_MAX times its capacity share, however the others' corrections fell; what it
 * may not have goes to those below, in proportion. */
static void cap_shares(const struct balance_node *nodes, const double *cap, size_t n, double *share)
{
	for (size_t pass = 0; pass < n; pass++) {
		double sum = 0, fixed = 0, free_sum = 0;
		bool any = false;

		for (size_t i = 0; i < n; i++)
			sum += nodes[i].usable ? share[i] : 0;
		for (size_t i = 0; i < n && sum > 0; i++) {
			if (!nodes[i].usable)
				continue;
			bool over = share[i] / sum >= CORR_MAX * cap[i] - 1e-9;
			any = any || share[i] / sum > CORR_MAX * cap[i] + 1e-9;
			fixed += over ? CORR_MAX * cap[i] : 0;
			free_sum += over ? 0 : share[i];
		}
		if (!any || free_sum <= 0 || fixed >= 1)
			return;
		for (size_t i = 0; i < n; i++) {
			if (!nodes[i].usable)
				continue;
			bool over = share[i] / sum >= CORR_MAX * cap[i] - 1e-9;
			share[i] = over ? CORR_MAX * cap[i] : share[i] / free_sum * (1 - fixed);
		}
	}
}

int balance_start(const struct balance_node *nodes, size_t n, size_t i)
{
	auto_free struct balance_node *all = xcalloc(n, sizeof(*all));
	auto_free double *cap = xcalloc(n, sizeof(*cap));
	double known = 0, wsum = 0, top = 0;

	for (size_t k = 0; k < n; k++) {
		all[k] = nodes[k];
		all[k].usable = true; /* those that are away now come back */
	}
	capacity_shares(all, n, cap);
	for (size_t k = 0; k < n; k++) {
		top = fmax(top, cap[k]);
		known += nodes[k].weight > 0 ? cap[k] : 0;
		wsum += nodes[k].weight > 0 ? nodes[k].weight : 0;
	}
	return known > 0 ? (int)clamp(round(wsum * cap[i] / known), 1, 100) : to_weight(cap[i], top);
}

/* What the weights should be, worth the trouble or not. */
static void wanted(const struct balance_node *nodes, size_t n, double *ret_mean, double *ret_max,
		   int *ret_weights)
{
	auto_free double *share = xcalloc(n, sizeof(*share)), *cap = xcalloc(n, sizeof(*cap));
	double top = 0;

	capacity_shares(nodes, n, cap);
	for (size_t i = 0; i < n; i++)
		share[i] = cap[i];
	site_util(nodes, cap, n, ret_mean, ret_max);
	correct(nodes, n, *ret_mean, *ret_max, share);
	cap_shares(nodes, cap, n, share);
	for (size_t i = 0; i < n; i++)
		if (nodes[i].usable)
			top = fmax(top, share[i]);
	for (size_t i = 0; i < n; i++)
		ret_weights[i] = nodes[i].usable && top > 0 ? to_weight(share[i], top) : nodes[i].weight;
}

static bool keep_all(const struct balance_node *nodes, size_t n, int *ret_weights)
{
	for (size_t i = 0; i < n; i++)
		ret_weights[i] = nodes[i].weight;
	return false;
}

bool balance_weights(const struct balance_node *nodes, size_t n, int *ret_weights)
{
	double mean, max;

	wanted(nodes, n, &mean, &max, ret_weights);
	return worth_it(nodes, ret_weights, n, mean, max) || keep_all(nodes, n, ret_weights);
}

bool balance_give_back(const struct balance_node *nodes, size_t n, int *ret_weights)
{
	double mean, max, have = 0, want = 0;
	bool starved = false;

	wanted(nodes, n, &mean, &max, ret_weights);
	for (size_t i = 0; i < n; i++) {
		have += nodes[i].usable ? nodes[i].weight : 0;
		want += nodes[i].usable ? ret_weights[i] : 0;
	}
	for (size_t i = 0; i < n && have > 0; i++) {
		bool could = nodes[i].usable && (nodes[i].util <= mean || max < UTIL_IDLE);
		starved =
			starved || (could && nodes[i].weight / have < (1 - STARVED) * ret_weights[i] / want);
	}
	return starved || keep_all(nodes, n, ret_weights);
}
