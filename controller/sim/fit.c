/* SPDX-License-Identifier: Apache-2.0
 * The synthetic graph against the published figures: each site alone is prepended and withdrawn, and what its
 * catchment does is printed beside what was measured on a real testbed. */
#include <math.h>
#include <string.h>

#include "controller/sim/output.h"
#include "proto/base/mem.h"

#define SHARE_MIN 0.01 /* smaller catchments say nothing */

struct sample {
	double *v;
	size_t n;
};

struct fit {
	struct sample one, two, three, drain, peers, receiver, multiple;
	size_t deaf, sites;
};

static void add(struct sample *s, double v)
{
	s->v = xrealloc(s->v, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = v;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double at(const struct sample *s, double q)
{
	return s->n ? s->v[(size_t)(q * (double)(s->n - 1) + 0.5)] : 0;
}

static double shed(struct catch *c, size_t site, const char *grade, double *land)
{
	auto_free uint8_t *vec = xcalloc(c->ns, 1);

	for (size_t g = 0; g < c->grades.n; g++)
		if (!strcmp(c->grades.g[g].name, grade))
			vec[site] = (uint8_t)g;
	catch_land(c, vec, c->weight, land);
	return 1 - land[site] / c->share[site];
}

static void fit_site(struct fit *f, struct catch *c, size_t i)
{
	auto_free double *land = xcalloc(c->ns, sizeof(*land));
	double top = 0, times = 1, gained = 0;

	double one = shed(c, i, "prepend1", land);
	add(&f->one, one);
	add(&f->two, shed(c, i, "prepend2", land));
	add(&f->three, shed(c, i, "prepend3", land));
	f->deaf += one < 0.05;
	f->sites++;
	add(&f->peers, shed(c, i, "no-peers", land));
	add(&f->drain, shed(c, i, "drain", land));
	shed(c, i, "withdrawn", land);
	for (size_t j = 0; j < c->ns; j++) {
		double got = land[j] - c->share[j];
		if (j == i || got <= 0)
			continue;
		top = fmax(top, got);
		gained += got;
		if (c->share[j] >= SHARE_MIN)
			times = fmax(times, land[j] / c->share[j]);
	}
	add(&f->receiver, gained > 0 ? top / gained : 0);
	add(&f->multiple, times);
}

static void line(FILE *out, const char *what, struct sample *s, const char *published)
{
	qsort(s->v, s->n, sizeof(*s->v), by_value);
	fprintf(out, "%-46s median %5.2f  p5 %5.2f  p95 %5.2f  max %5.2f   published: %s\n", what, at(s, 0.5),
		at(s, 0.05), at(s, 0.95), at(s, 1), published);
}

void output_fit(size_t ases, size_t sites, size_t seeds, uint64_t first, FILE *out)
{
	struct fit f = { 0 };

	for (size_t s = 0; s < seeds; s++) {
		struct catch *c = catch_graph(ases, sites, first + s, 0);
		for (size_t i = 0; i < c->ns; i++)
			if (c->share[i] >= SHARE_MIN)
				fit_site(&f, c, i);
		catch_free(c);
	}
	fprintf(out, "%zu graphs of %zu ASes and %zu sites, %zu sites with a catchment of 1 %% or more\n",
		seeds, ases, sites, f.sites);
	line(out, "shed by one prepend", &f.one, "0.75 (0.04 .. 0.98)");
	line(out, "shed by two prepends", &f.two, "little more");
	line(out, "shed by three prepends", &f.three, "little more");
	line(out, "shed by graceful shutdown", &f.drain, "-");
	line(out, "shed by not announcing to peers", &f.peers, "-");
	line(out, "largest receiver of a withdrawn site", &f.receiver, "0.33 .. 0.65");
	line(out, "largest multiple of a neighbour's load", &f.multiple, "up to 2.4");
	fprintf(out, "%-46s %.0f %% of sites                                  published: 1 of 6\n",
		"do not react to a prepend", f.sites ? 100.0 * (double)f.deaf / (double)f.sites : 0);
	struct sample *const all[] = {
		&f.one, &f.two, &f.three, &f.drain, &f.peers, &f.receiver, &f.multiple
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		free(all[i]->v);
}
