/* SPDX-License-Identifier: Apache-2.0
 * Statistics over seeds, the table, the JSON. Coverage is pooled over the seeds of a group, because one run
 * makes only a handful of predictions; its spread is over 20 groups of seeds. */
#include "controller/sim/output.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "proto/base/mem.h"

#define GROUPS 20

static const struct {
	const char *key, *title;
	int decimals;
	bool bad_is_high;
} metric[METRICS] = {
	[M_GOODPUT] = { "goodput_pct", "goodput %", 2, false },
	[M_LOST] = { "goodput_lost_pct_s", "lost %s", 0, true },
	[M_RELIEF] = { "relief_s", "relief s", 0, true },
	[M_LANDED] = { NULL, "after last s", 0, true },
	[M_PEAK] = { "peak_util", "peak", 2, true },
	[M_CHANGES] = { "route_changes", "changes", 0, true },
	[M_DAMPING] = { "damping_max", "damping", 0, true },
	[M_COVERAGE] = { "coverage_pct", "cover %", 0, false },
	[M_REGRET] = { "regret_pct", "regret", 2, true },
	[M_DECIDE] = { "decide_ms_p99", "ms p99", 2, true },
	[M_VIOLATIONS] = { "violations", "violations", 0, true },
};

struct stat3 {
	double median, p5, p95;
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(const double *v, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t i = (size_t)at;

	return i + 1 < n ? v[i] + (at - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}

static struct stat3 stat_of(double *v, size_t n)
{
	if (!n)
		return (struct stat3){ 0 };
	qsort(v, n, sizeof(*v), by_value);
	return (struct stat3){ quantile(v, n, 0.5), quantile(v, n, 0.05), quantile(v, n, 0.95) };
}

static const struct result *cell(const struct results *all, size_t s, size_t p)
{
	return &all->r[(s * all->n_players + p) * all->seeds];
}

static struct stat3 coverage(const struct result *r, size_t seeds)
{
	double group[GROUPS], in = 0, of = 0;
	size_t n = 0;

	for (size_t g = 0; g < GROUPS; g++) {
		double inside = 0, predicted = 0;

		for (size_t i = g; i < seeds; i += GROUPS) {
			inside += r[i].inside;
			predicted += r[i].predicted;
		}
		in += inside;
		of += predicted;
		if (predicted > 0)
			group[n++] = 100 * inside / predicted;
	}
	struct stat3 s = stat_of(group, n);
	s.median = of > 0 ? 100 * in / of : 0;
	return s;
}

static struct stat3 stat_metric(const struct results *all, size_t s, size_t p, enum metric m)
{
	auto_free double *v = xcalloc(all->seeds, sizeof(*v));
	const struct result *r = cell(all, s, p);

	if (m == M_COVERAGE)
		return coverage(r, all->seeds);
	for (size_t i = 0; i < all->seeds; i++)
		v[i] = r[i].m[m];
	return stat_of(v, all->seeds);
}

static double total(const struct results *all, size_t s, size_t p)
{
	double sum = 0;

	for (size_t i = 0; i < all->seeds; i++)
		sum += cell(all, s, p)[i].m[M_VIOLATIONS];
	return sum;
}

static void print_row(const struct results *all, size_t s, size_t p, FILE *f)
{
	const struct result *r = cell(all, s, p);

	fprintf(f, "  %-10s", all->players[p]->name);
	for (int m = 0; m < METRICS; m++) {
		struct stat3 v = stat_metric(all, s, p, (enum metric)m);
		char text[48];

		if (m == M_VIOLATIONS)
			snprintf(text, sizeof(text), "%.0f", total(all, s, p));
		else if (all->seeds > 1)
			snprintf(text, sizeof(text), "%.*f (%.*f)", metric[m].decimals, v.median,
				 metric[m].decimals, metric[m].bad_is_high ? v.p95 : v.p5);
		else
			snprintf(text, sizeof(text), "%.*f", metric[m].decimals, v.median);
		fprintf(f, " %15s", text);
	}
	fprintf(f, "\n");
	for (size_t i = 0; i < all->seeds; i++)
		if (r[i].foul[0]) {
			fprintf(f, "             first violation, run %zu: %s\n", i, r[i].foul);
			break;
		}
}

void output_table(const struct results *all, FILE *f)
{
	fprintf(f, "median over %zu seed%s, in brackets the worse of p5 and p95; violations: total\n",
		all->seeds, all->seeds == 1 ? "" : "s");
	for (size_t s = 0; s < all->n_scenarios; s++) {
		fprintf(f, "%s\n  %-10s", all->scenarios[s]->name, "");
		for (int m = 0; m < METRICS; m++)
			fprintf(f, " %15s", metric[m].title);
		fprintf(f, "\n");
		for (size_t p = 0; p < all->n_players; p++)
			print_row(all, s, p, f);
	}
}

static json_t *json_number(double v)
{
	return json_real(isfinite(v) ? v : 0);
}

static json_t *json_cell(const struct results *all, size_t s, size_t p)
{
	json_t *out = json_object();

	for (int m = 0; m < METRICS; m++) {
		struct stat3 v = stat_metric(all, s, p, (enum metric)m);

		if (!metric[m].key)
			continue;
		if (m == M_VIOLATIONS)
			json_object_set_new(out, metric[m].key, json_integer((json_int_t)total(all, s, p)));
		else
			json_object_set_new(out, metric[m].key,
					    json_pack("{s:o, s:o, s:o}", "median", json_number(v.median),
						      "p5", json_number(v.p5), "p95", json_number(v.p95)));
	}
	return out;
}

int output_json(const struct results *all, const char *path)
{
	json_t *scenarios = json_object();

	for (size_t s = 0; s < all->n_scenarios; s++) {
		json_t *one = json_object();

		for (size_t p = 0; p < all->n_players; p++)
			json_object_set_new(one, all->players[p]->name, json_cell(all, s, p));
		json_object_set_new(scenarios, all->scenarios[s]->name, one);
	}
	json_t *root = json_pack("{s:o}", "scenarios", scenarios);
	int err = json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
	json_decref(root);
	return err ? -(errno ? errno : EIO) : 0;
}
