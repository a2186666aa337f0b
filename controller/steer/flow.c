/* SPDX-License-Identifier: Apache-2.0
 * Where traffic lands under a vector of grades: every weakened site passes the shed part of what reaches it
 * on to its destinations, until all of it rests (an absorbing chain). The least weakened of the sites that
 * can attract at all are the ones that keep everything: prepending everywhere moves nobody. */
#include "controller/steer/round.h"

#include <math.h>

#include "proto/base/mem.h"

#define CHAIN_STEPS 24
#define CHAIN_REST  1e-4 /* of the traffic may stay unplaced; it is left where it is */

struct chain {
	size_t *weak; /* sites that pass traffic on */
	size_t n;
	double *keep; /* per weak: 1 - shed */
	const struct dest_row **dest;
};

static void chain_done(struct chain *c)
{
	free(c->weak);
	free(c->keep);
	free(c->dest);
}

/* The smallest grade among sites that can attract; they are taken as not weakened. */
static unsigned weakest(const struct round *r, size_t k, const uint8_t *grades)
{
	unsigned min = UINT8_MAX;

	for (size_t i = 0; i < r->ns; i++)
		if (!r->off[round_cell(r, i, k)] && grades[i] < min)
			min = grades[i];
	return min;
}

static void chain_init(const struct round *r, size_t k, const uint8_t *grades, struct chain *c)
{
	unsigned min = weakest(r, k, grades), last = (unsigned)r->gs->n - 1;

	*c = (struct chain){ .weak = xcalloc(r->ns, sizeof(*c->weak)),
			     .keep = xcalloc(r->ns, sizeof(*c->keep)),
			     .dest = xcalloc(r->ns, sizeof(*c->dest)) };
	if (min == UINT8_MAX)
		return; /* nobody attracts: nothing moves */
	for (size_t i = 0; i < r->ns; i++) {
		bool off = r->off[round_cell(r, i, k)];

		if (!off && grades[i] <= min)
			continue;
		c->weak[c->n] = i;
		c->keep[c->n] = off ? 0 : 1 - round_shed(r, i, k, grades[i])->mean;
		c->dest[c->n++] = round_dest(r, i, k, off ? last : grades[i]);
	}
}

/* One step: what sits on weak sites in `v` rests in part (out) and moves on in part (v'). */
static double chain_step(const struct round *r, const struct chain *c, struct res_vec *v,
			 struct res_vec *next, struct res_vec *out)
{
	double moving = 0;

	memset(next, 0, r->ns * sizeof(*next));
	for (size_t w = 0; w < c->n; w++) {
		size_t i = c->weak[w];

		for (int x = 0; x < LANES; x++) {
			if (!r->on[x] || v[i].v[x] <= 0)
				continue;
			double go = v[i].v[x] * (1 - c->keep[w]);
			out[i].v[x] += v[i].v[x] - go;
			for (size_t d = 0; d < r->ns; d++)
				next[d].v[x] += go * c->dest[w]->mean[d];
		}
		v[i] = (struct res_vec){ 0 };
	}
	for (size_t w = 0; w < c->n; w++)
		moving += next[c->weak[w]].v[r->main];
	return moving;
}

void flow_shard(const struct round *r, size_t k, const uint8_t *grades, const struct res_vec *home,
		struct res_vec *ret_out)
{
	auto_free struct res_vec *v = xcalloc(r->ns, sizeof(*v)), *next = xcalloc(r->ns, sizeof(*next));
	struct chain c;
	double total = 0;

	chain_init(r, k, grades, &c);
	memset(ret_out, 0, r->ns * sizeof(*ret_out));
	for (size_t i = 0; i < r->ns; i++) {
		ret_out[i] = home[i];
		total += home[i].v[r->main];
	}
	for (size_t w = 0; w < c.n; w++) {
		v[c.weak[w]] = home[c.weak[w]];
		ret_out[c.weak[w]] = (struct res_vec){ 0 };
	}
	double moving = total;
	for (int step = 0; c.n && step < CHAIN_STEPS && moving > CHAIN_REST * total; step++) {
		moving = chain_step(r, &c, v, next, ret_out);
		for (size_t w = 0; w < c.n; w++) {
			v[c.weak[w]] = next[c.weak[w]];
			next[c.weak[w]] = (struct res_vec){ 0 };
		}
		for (size_t i = 0; i < r->ns; i++)
			for (int x = 0; x < LANES; x++)
				ret_out[i].v[x] += next[i].v[x];
	}
	for (size_t w = 0; w < c.n; w++)
		for (int x = 0; x < LANES; x++)
			ret_out[c.weak[w]].v[x] += v[c.weak[w]].v[x];
	chain_done(&c);
}

/* Spread of the change: unknown shed at the site itself, unknown shed and destinations elsewhere. */
static void change_dev(const struct round *r, size_t i, size_t k, unsigned from, unsigned to, double *dev)
{
	const struct shed *a = round_shed(r, i, k, from), *b = round_shed(r, i, k, to);
	const struct dest_row *d = round_dest(r, i, k, to > from ? to : from);
	double h = r->home[round_cell(r, i, k)].v[r->main], step = fabs(b->mean - a->mean);
	double var = fmax(a->var, b->var), wide = round_widen(r, i, k, to > from ? to : from) * h;

	for (size_t j = 0; j < r->ns; j++) {
		double m = d->mean[j];

		dev[j] = j == i ? wide * sqrt(var)
				: wide * sqrt(var * m * m + step * step * m * (1 - m) / (d->alpha + 1));
	}
}

/* Of the shard under the ordered grades, by the model; once a round. */
static const struct res_vec *model_now(const struct round *r, size_t k)
{
	struct res_vec *model = &r->model[k * r->ns];

	if (r->modelled[k])
		return model;
	auto_free uint8_t *grades = xcalloc(r->ns, 1);
	auto_free struct res_vec *home = xcalloc(r->ns, sizeof(*home));
	for (size_t j = 0; j < r->ns; j++) {
		grades[j] = r->grade[round_cell(r, j, k)];
		home[j] = r->home[round_cell(r, j, k)];
	}
	flow_shard(r, k, grades, home, model);
	r->modelled[k] = true;
	return model;
}

void flow_change(const struct round *r, size_t i, size_t k, unsigned to, struct effect *ret_effect)
{
	auto_free uint8_t *grades = xcalloc(r->ns, 1);
	auto_free struct res_vec *home = xcalloc(r->ns, sizeof(*home)), *will = xcalloc(r->ns, sizeof(*will));
	const struct res_vec *was = model_now(r, k);
	size_t c = round_cell(r, i, k);

	for (size_t j = 0; j < r->ns; j++) {
		grades[j] = r->grade[round_cell(r, j, k)];
		home[j] = r->home[round_cell(r, j, k)];
	}
	grades[i] = (uint8_t)to;
	flow_shard(r, k, grades, home, will);
	/* the model moves the measured flow: what it gets wrong about today stays out of the forecast */
	for (size_t j = 0; j < r->ns; j++)
		for (int x = 0; x < LANES; x++)
			ret_effect->flow[j].v[x] =
				fmax(0, r->flow[round_cell(r, j, k)].v[x] + will[j].v[x] - was[j].v[x]);
	change_dev(r, i, k, r->grade[c], to, ret_effect->dev);
}
