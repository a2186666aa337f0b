/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/steer/lesson.h"

#include <math.h>

#include "proto/base/mem.h"

#define SOON	       3    /* rounds of rest */
#define SOON_WEIGHT    8.0  /* pseudo-counts of one clean observation */
#define LONG_WEIGHT    16.0 /* the same after REST_ROUNDS */
#define MIXED	       0.25 /* of that for destinations when other sites are weakened too */
#define CONSERVE_SHARE 0.10 /* of the total may come or go */
#define CONSERVE_NOISE 0.10 /* more, at most, by noise */
#define CONSERVE_SIGMA 1.645
#define MEASURABLE     0.05 /* of the shard at the site, before or after */
#define MOVED_NOTHING  0.02 /* of the shard */
#define NOISE_WORTH    0.2  /* pseudo-counts times squared error of a fraction known by noisy counts only */
#define GOT_MIN	       -1.0 /* of what moved: beyond that it is noise */
#define GOT_MAX	       2.0

static int grade_of(const struct snapshot *s, const char *name)
{
	for (size_t g = 0; g < s->grades->n; g++)
		if (!strcmp(s->grades->g[g].name, name))
			return (int)g;
	return -1;
}

bool lesson_read(struct lesson *l)
{
	l->from = grade_of(l->s, l->f->from);
	l->to = grade_of(l->s, l->f->to);
	for (l->site = 0; l->site < l->s->n_sites; l->site++)
		if (!strcmp(l->s->sites[l->site].name, l->f->site))
			break;
	return l->f->cells == 1 && l->from >= 0 && l->to >= 0 && l->from != l->to && l->site < l->s->n_sites;
}

static double before(const struct lesson *l, size_t i)
{
	return l->cells[i]->before / l->f->total;
}

static double after(const struct lesson *l, size_t i, double total)
{
	return l->cells[i]->rest[RES_BPS] / total;
}

static bool others_weakened(const struct lesson *l)
{
	for (size_t i = 0; i < l->s->n_sites; i++)
		if (i != l->site &&
		    (snap_cell(l->s, i, l->k)->wanted || !snap_cell(l->s, i, l->k)->announced))
			return true;
	return false;
}

/* The stronger of the two grades is the one whose shed is learned; a way back teaches as much. more, less:
 * share under the weaker, the stronger grade. */
static void learn_shed(const struct lesson *l, struct shift *model, double more, double less, double weight)
{
	const struct grade_set *gs = l->s->grades;
	uint8_t family = l->s->shards[l->k].family;
	struct shed sheds[STEER_GRADES];
	int strong = l->to > l->from ? l->to : l->from, weak = l->to > l->from ? l->from : l->to;

	shift_sheds(model, gs, l->f->site, family, l->s->now_ms, sheds);
	double shed = 1 - (1 - sheds[weak].mean) * fmin(less / more, 1);
	shift_learn_shed(model, l->f->site, gs->g[strong].name, family, shed, weight * fmin(1, more / 0.2),
			 l->s->now_ms);
}

/* Of what moved; who seems to have lost by it counts against: else noise would make heirs of all. */
static void learn_dests(const struct lesson *l, struct shift *model, double total, double moved,
			double weight)
{
	const char *grade = l->s->grades->g[l->to > l->from ? l->to : l->from].name;
	double sign = l->to > l->from ? 1 : -1;

	for (size_t i = 0; i < l->s->n_sites; i++) {
		double got = sign * (after(l, i, total) - before(l, i)) / moved;
		if (i != l->site)
			shift_learn_dest(model, l->f->site, grade, l->s->shards[l->k].family,
					 l->s->sites[i].name, weight * fmin(fmax(got, GOT_MIN), GOT_MAX),
					 l->s->now_ms);
	}
}

/* What a lesson is worth when the fraction it is about is only known to this variance. */
static double worth(double weight, double var)
{
	return weight / (1 + weight * var / NOISE_WORTH);
}

/* Of the difference between after and before, as a share of the shard. */
static double noise(const struct lesson *l, size_t i)
{
	double var = recall_noise(l->cells[i], l->f->n_before) + recall_noise(l->cells[i], l->f->n_rest);

	return var / (l->f->total * l->f->total);
}

static double noise_elsewhere(const struct lesson *l)
{
	double most = 0;

	for (size_t i = 0; i < l->s->n_sites; i++)
		most = i == l->site ? most : fmax(most, noise(l, i));
	return most;
}

static void take(struct lesson *l, struct shift *model, double weight)
{
	double total = 0;

	if (!lesson_read(l) || l->f->total <= 0)
		return;
	for (size_t i = 0; i < l->s->n_sites; i++)
		total += l->cells[i]->rest[RES_BPS];
	double came = fabs(total / l->f->total - 1), sd = 0;
	for (size_t i = 0; i < l->s->n_sites; i++)
		sd = hypot(sd, sqrt(noise(l, i)));
	if (total <= 0 || came > CONSERVE_SHARE + fmin(CONSERVE_SIGMA * sd, CONSERVE_NOISE))
		return;
	double b = before(l, l->site), a = after(l, l->site, total);
	double more = l->to > l->from ? b : a, less = l->to > l->from ? a : b, moved = more - less;
	if (more < MEASURABLE)
		return;
	weight *= fmax(0, 1 - came / more);
	learn_shed(l, model, more, less, worth(weight, noise(l, l->site) / (more * more)));
	if (moved > MOVED_NOTHING)
		learn_dests(l, model, total, moved,
			    worth(weight, noise_elsewhere(l) / (moved * moved)) *
				    (others_weakened(l) ? MIXED : 1));
}

void lesson_step(struct lesson *l, struct shift *model)
{
	struct shard_mem *f = l->f;

	if (f->lessons == 0 && f->n_rest >= SOON) {
		take(l, model, SOON_WEIGHT);
		f->lessons++;
	} else if (f->lessons == 1 && f->n_rest >= REST_ROUNDS) {
		lesson_last(l, model);
	}
}

void lesson_last(struct lesson *l, struct shift *model)
{
	struct shard_mem *f = l->f;

	if (f->lessons == 1 && f->n_rest >= REST_KNOWN)
		take(l, model, LONG_WEIGHT * f->n_rest / REST_ROUNDS);
	f->lessons = LESSONS;
}
