/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drill/outcome.h"

#include <math.h>
#include <string.h>

#define DEMAND_MAX 1.30 /* beyond that it is an attack, or a fault: not taken out */
#define MOVED_MIN  0.01 /* of capacity */
#define MEAN_ABS   0.8	/* of a normal error, in standard deviations */

static double num(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

static double rounded(double x)
{
	return round(x * 10000) / 10000;
}

json_t *basis_json(const struct cluster *cl, const struct forecast_basis *b, const double *noise)
{
	json_t *per_site = json_object();

	for (size_t i = 0; i < cl->n_sites; i++)
		json_object_set_new(per_site, cl->sites[i].name, json_real(rounded(noise[i])));
	return json_pack("{s:b, s:f, s:i, s:o}", "known", b->lessons >= 1, "lessons", rounded(b->lessons),
			 "averaged_s", (int)b->rounds, "noise", per_site);
}

struct outcome {
	const struct drill_record *r;
	const struct series *s;
	double times; /* demand while all was weakened, of what it was before */
	double off, moved, noise;
};

static ssize_t site_of(const struct outcome *o, const json_t *forecast)
{
	const char *name = json_string_value(json_object_get(forecast, "site"));

	for (size_t i = 0; name && i < o->s->n_sites; i++)
		if (strcmp(o->s->sites[i], name) == 0)
			return (ssize_t)i;
	return -1;
}

static void find_demand(struct outcome *o)
{
	double before = 0, after = 0;
	size_t i;
	json_t *f;

	json_array_foreach(o->r->forecast, i, f) {
		ssize_t at = site_of(o, f);
		if (at < 0)
			continue;
		before += o->s->cap[at] * num(f, "util_before");
		after += o->s->cap[at] * o->s->whole_util[at];
	}
	o->times = before > 0 && after > 0 ? after / before : 1;
	o->times = fmax(1 / DEMAND_MAX, fmin(DEMAND_MAX, o->times));
}

/* What is taken for dead is not measured: where it went tells as much. */
static void add_site(struct outcome *o, const json_t *f)
{
	double before = o->times * num(f, "util_before"), after = o->times * num(f, "util_after");
	double sd = num(json_object_get(o->r->basis, "noise"), json_string_value(json_object_get(f, "site")));
	double rounds = fmax(1, num(o->r->basis, "averaged_s"));
	ssize_t at = site_of(o, f);

	if (at < 0 || !o->s->whole_n[at])
		return;
	o->off += fabs(o->s->whole_util[at] - after);
	o->moved += fabs(after - before);
	/* noise grows as the root of the load */
	double grown = before > 0 ? after / before : 1;
	o->noise += MEAN_ABS * sd * sqrt(1 / rounds + grown / o->s->whole_n[at]);
}

static void add_coverage(const json_t *stages, int *ret_seen, int *ret_inside)
{
	size_t i, k;
	json_t *stage, *site;

	json_array_foreach(stages, i, stage)
		json_array_foreach(json_object_get(stage, "sites"), k, site) {
			if (!json_is_number(json_object_get(site, "measured")))
				continue;
			++*ret_seen;
			*ret_inside += json_is_true(json_object_get(site, "covered"));
		}
}

static json_t *pct_or_null(double part, double of, double least)
{
	return of > least ? json_real(rounded(100 * part / of)) : json_null();
}

json_t *outcome_json(const struct drill_record *r, const struct series *s)
{
	struct outcome o = { .r = r, .s = s };
	int seen = 0, inside = 0;
	size_t i;
	json_t *f, *lessons = json_object_get(r->basis, "lessons"),
		   *known = json_object_get(r->basis, "known");

	find_demand(&o);
	json_array_foreach(r->forecast, i, f)
		add_site(&o, f);
	add_coverage(r->stages, &seen, &inside);
	return json_pack("{s:o, s:o, s:o, s:i, s:O*, s:O*}", "error_pct",
			 pct_or_null(o.off, o.moved, MOVED_MIN), "noise_pct",
			 pct_or_null(o.noise, lessons ? o.moved : 0, MOVED_MIN), "coverage_pct",
			 pct_or_null(inside, seen, 0), "samples", seen, "known", known, "lessons", lessons);
}

void outcome_basis_text(const json_t *j, char *ret_text, size_t size)
{
	json_t *known = json_object_get(j, "known");

	ret_text[0] = 0;
	if (json_is_false(known))
		snprintf(ret_text, size,
			 "nobody had measured this shift before: the prediction was a guess from "
			 "what is usual elsewhere");
	else if (json_is_true(known))
		snprintf(ret_text, size, "the prediction was made of what %.0f measured shifts had taught",
			 num(j, "lessons"));
}
