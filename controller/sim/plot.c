/* SPDX-License-Identifier: Apache-2.0
 * The picture: one line per site (the busiest twelve are named and coloured), time to the right, utilisation
 * upwards, a tick per action: red weakens, green strengthens. Plain SVG, nothing to install. */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "controller/sim/output.h"
#include "proto/base/mem.h"

#define WIDTH  1100
#define HEIGHT 520
#define LEFT   60
#define TOP    50
#define RIGHT  170
#define BOTTOM 50
#define NAMED  12

struct plot {
	const struct trace *t;
	FILE *f;
	double top;
};

static const char *const colour[NAMED] = { "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b",
					   "#e377c2", "#7f7f7f", "#bcbd22", "#17becf", "#003f5c", "#a05195" };

static double px(const struct plot *p, double t)
{
	return LEFT + t / p->t->duration * (WIDTH - LEFT - RIGHT);
}

static double py(const struct plot *p, double u)
{
	return HEIGHT - BOTTOM - fmin(u, p->top) / p->top * (HEIGHT - TOP - BOTTOM);
}

static double util_at(const struct trace *t, int tick, size_t i)
{
	return (double)t->util[(size_t)tick * t->ns + i];
}

/* Busiest first; ret[n] indices. */
static void rank(const struct trace *t, size_t *ret)
{
	auto_free double *peak = xcalloc(t->ns, sizeof(*peak));

	for (size_t i = 0; i < t->ns; i++)
		for (int s = 0; s < t->duration; s++)
			peak[i] = fmax(peak[i], util_at(t, s, i));
	for (size_t i = 0; i < t->ns; i++) {
		size_t j = i;
		for (; j && peak[ret[j - 1]] < peak[i]; j--)
			ret[j] = ret[j - 1];
		ret[j] = i;
	}
}

static void axes(const struct plot *p)
{
	for (double u = 0; u <= p->top + 1e-9; u += p->top > 3 ? 1 : 0.25) {
		bool full = fabs(u - 1) < 1e-9;
		fprintf(p->f, "<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' stroke='%s' stroke-width='%s'/>\n",
			LEFT, WIDTH - RIGHT, py(p, u), py(p, u), full ? "#000" : "#ddd", full ? "1" : "0.5");
		fprintf(p->f, "<text x='%d' y='%.1f' text-anchor='end'>%.0f %%</text>\n", LEFT - 6,
			py(p, u) + 4, 100 * u);
	}
	int step = p->t->duration > 2400 ? 600 : p->t->duration > 900 ? 300 : 120;
	for (int t = 0; t <= p->t->duration; t += step)
		fprintf(p->f, "<text x='%.1f' y='%d' text-anchor='middle'>%d s</text>\n", px(p, t),
			HEIGHT - BOTTOM + 18, t);
}

static void lines(const struct plot *p, const struct catch *c, const size_t *order)
{
	int step = p->t->duration > 1200 ? 3 : 1;

	for (size_t n = p->t->ns; n-- > 0;) {
		size_t i = order[n];

		fprintf(p->f, "<polyline fill='none' stroke='%s' stroke-width='%s' points='",
			n < NAMED ? colour[n] : "#ccc", n < NAMED ? "1.5" : "0.5");
		for (int t = 0; t < p->t->duration; t += step)
			fprintf(p->f, "%.1f,%.1f ", px(p, t), py(p, util_at(p->t, t, i)));
		fprintf(p->f, "'/>\n");
		if (n < NAMED)
			fprintf(p->f, "<text x='%d' y='%zu' fill='%s'>%s</text>\n", WIDTH - RIGHT + 10,
				TOP + 12 + n * 18, colour[n], c->name[i]);
	}
}

static void actions(const struct plot *p, const struct catch *c)
{
	for (size_t n = 0; n < p->t->n_marks; n++) {
		const struct mark *m = &p->t->marks[n];
		double x = px(p, m->t), y = py(p, util_at(p->t, m->t - 1, m->site));

		fprintf(p->f,
			"<circle cx='%.1f' cy='%.1f' r='4' fill='%s' stroke='#000' "
			"stroke-width='0.5'><title>%d s: "
			"shard %zu at %s, %s to %s</title></circle>\n",
			x, y, m->to > m->from ? "#d00" : "#0a0", m->t, m->shard, c->name[m->site],
			c->grades.g[m->from].name, c->grades.g[m->to].name);
	}
}

int output_svg(const struct trace *t, const struct scenario *sc, const char *policy, uint64_t seed,
	       const struct catch *c, const char *path)
{
	auto_fclose FILE *f = fopen(path, "we");
	struct plot p = { .t = t, .f = f, .top = 1.25 };
	auto_free size_t *order = xcalloc(t->ns, sizeof(*order));

	if (!f)
		return -errno;
	for (size_t i = 0; i < (size_t)t->duration * t->ns; i++)
		p.top = fmax(p.top, fmin((double)t->util[i] * 1.05, 8));
	rank(t, order);
	fprintf(f,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' font-family='sans-serif' "
		"font-size='12'>\n<rect width='100%%' height='100%%' fill='#fff'/>\n",
		WIDTH, HEIGHT);
	fprintf(f,
		"<text x='%d' y='24' font-size='16'>%s, policy %s, seed %llu: utilisation per site, %zu "
		"action%s</text>\n",
		LEFT, sc->name, policy, (unsigned long long)seed, t->n_marks, t->n_marks == 1 ? "" : "s");
	fprintf(f, "<text x='%d' y='40' fill='#666'>red: weakens; green: strengthens</text>\n", LEFT);
	axes(&p);
	lines(&p, c, order);
	actions(&p, c);
	fprintf(f, "</svg>\n");
	return ferror(f) ? -EIO : 0;
}
