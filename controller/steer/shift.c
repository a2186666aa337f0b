/* SPDX-License-Identifier: Apache-2.0
 * The shift model. Owns its entries, each the evidence of one (site, grade, family); priors are added when
 * asked, so that they can change without relearning. Pure; forgetting happens on read and on write. */
#include "controller/steer/shift.h"

#include <math.h>

#include "controller/steer/key.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"

#define SHED_SD	       0.04 /* shards of one site differ by about so much */
#define PREPEND_MORE   0.2  /* of what one prepend left, a second may take */
#define PREPEND_COUNTS 4.0
#define LESSONS_SANE   1e9
#define FAMILY_MAX     6

struct dest {
	char site[STEER_NAME];
	double alpha;
	UT_hash_handle hh;
};

struct shift_key {
	char site[STEER_NAME], grade[STEER_NAME];
	uint32_t family;
};

struct shift_entry {
	struct shift_key key;
	double a, b;	/* evidence at at_ms, without the prior */
	double lessons; /* of whatever weight, at at_ms */
	int64_t at_ms;
	struct dest *dests;
	UT_hash_handle hh;
};

static struct shift_entry *find(const struct shift *m, const char *site, const char *grade, uint8_t family)
{
	struct shift_key key = { .family = family };
	struct shift_entry *e;

	key_copy(key.site, site);
	key_copy(key.grade, grade);
	HASH_FIND(hh, m->head, &key, sizeof(key), e);
	return e;
}

static struct shift_entry *find_or_add(struct shift *m, const char *site, const char *grade, uint8_t family)
{
	struct shift_entry *e = find(m, site, grade, family);

	if (e || HASH_COUNT(m->head) >= SHIFT_ENTRIES_MAX)
		return e;
	e = xcalloc(1, sizeof(*e));
	e->key.family = family;
	key_copy(e->key.site, site);
	key_copy(e->key.grade, grade);
	HASH_ADD(hh, m->head, key, sizeof(e->key), e);
	return e;
}

static double fade(int64_t dt_ms)
{
	return dt_ms > 0 ? exp2(-(double)dt_ms / SHIFT_HALF_LIFE_MS) : 1;
}

/* Mean and pseudo-counts of what a grade is believed to shed before anything was seen. */
static void prior_of(const struct grade *g, double *ret_mean, double *ret_counts)
{
	static const double prepend[] = { 0.65, 0.75, 0.80 };

	*ret_counts = 2;
	*ret_mean = 0;
	switch (g->kind) {
	case GRADE_NORMAL:
		break;
	case GRADE_COMMUNITY:
		*ret_mean = fmin(0.95, 0.05 + 0.008 * g->strength);
		break;
	case GRADE_PREPEND:
		*ret_mean = prepend[g->prepends <= 1 ? 0 : g->prepends == 2 ? 1 : 2];
		break;
	case GRADE_DRAIN: /* not every neighbour honours graceful shutdown */
		*ret_mean = 0.90;
		*ret_counts = 3;
		break;
	case GRADE_WITHDRAWN: /* 2-3 % of peers miss a withdrawal */
		*ret_mean = 0.985;
		*ret_counts = 200;
		break;
	}
}

struct prior {
	double mean, counts;
};

static struct shed shed_of(const struct shift *m, const struct grade *g, const char *site, uint8_t family,
			   int64_t now_ms, struct prior p)
{
	const struct shift_entry *e = find(m, site, g->name, family);
	double a = p.mean * p.counts, b = (1 - p.mean) * p.counts, seen = 0;

	if (g->kind == GRADE_NORMAL)
		return (struct shed){ 0 };
	if (e) {
		double f = fade(now_ms - e->at_ms);
		a += e->a * f;
		b += e->b * f;
		seen = (e->a + e->b) * f;
	}
	double mean = a / (a + b);
	return (struct shed){ mean, mean * (1 - mean) / (a + b + 1) + SHED_SD * SHED_SD, seen };
}

/* More prepends add little: what one was seen to do is what two are expected to, and a bit. */
static struct prior after_prepend(struct prior p, const struct shed *fewer)
{
	if (fewer->evidence < 2)
		return p;
	return (struct prior){ fewer->mean + PREPEND_MORE * (1 - fewer->mean), PREPEND_COUNTS };
}

void shift_sheds(const struct shift *m, const struct grade_set *gs, const char *site, uint8_t family,
		 int64_t now_ms, struct shed *ret_sheds)
{
	struct shed *s = ret_sheds;
	const struct shed *fewer = NULL;

	for (size_t g = 0; g < gs->n; g++) {
		struct prior p;

		prior_of(&gs->g[g], &p.mean, &p.counts);
		if (gs->g[g].kind == GRADE_PREPEND && fewer)
			p = after_prepend(p, fewer);
		s[g] = shed_of(m, &gs->g[g], site, family, now_ms, p);
		if (gs->g[g].kind == GRADE_PREPEND)
			fewer = &s[g];
	}
	/* a stronger grade never sheds less: the better known of two neighbours corrects the other */
	for (size_t g = 1; g < gs->n; g++)
		if (s[g - 1].mean > s[g].mean && s[g - 1].evidence >= s[g].evidence)
			s[g].mean = s[g - 1].mean;
	for (size_t g = gs->n; g-- > 1;)
		if (g > 1 && s[g - 1].mean > s[g].mean)
			s[g - 1].mean = s[g].mean;
}

static double add_dests(const struct shift_entry *e, double w, const char *const *sites, size_t n,
			double *alpha)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		char name[STEER_NAME];
		const struct dest *d;

		key_copy(name, sites[i]);
		HASH_FIND(hh, e->dests, name, sizeof(name), d);
		if (!d)
			continue;
		alpha[i] += w * fmax(d->alpha, 0);
		sum += w * fmax(d->alpha, 0);
	}
	return sum;
}

static double add_family(const struct shift *m, const struct grade_set *gs, const char *site, unsigned grade,
			 uint8_t family, int64_t now_ms, const char *const *sites, size_t n, double *alpha)
{
	double sum = 0;

	for (unsigned g = 0; g < gs->n; g++) {
		const struct shift_entry *e = find(m, site, gs->g[g].name, family);

		if (e && e->dests)
			sum += add_dests(e, (g == grade ? 1 : 0.5) * fade(now_ms - e->at_ms), sites, n,
					 alpha);
	}
	return sum;
}

double shift_dests(const struct shift *m, const struct grade_set *gs, const char *site, unsigned grade,
		   uint8_t family, int64_t now_ms, const char *const *sites, const double *prior, size_t n,
		   double *ret_alpha)
{
	double sum = SHIFT_DEST_PRIOR;

	for (size_t i = 0; i < n; i++)
		ret_alpha[i] = SHIFT_DEST_PRIOR * prior[i];
	/* where the other families went is where this one is expected to go until it was seen */
	for (uint8_t other = 0; other <= FAMILY_MAX; other++)
		if (other != family)
			sum += add_family(m, gs, site, grade, other, now_ms, sites, n, ret_alpha);
	for (size_t i = 0; i < n && sum > SHIFT_DEST_PRIOR; i++)
		ret_alpha[i] *= SHIFT_DEST_PRIOR / sum;
	return SHIFT_DEST_PRIOR + add_family(m, gs, site, grade, family, now_ms, sites, n, ret_alpha);
}

double shift_lessons(const struct shift *m, const struct grade_set *gs, const char *site, uint8_t family,
		     int64_t now_ms)
{
	double sum = 0;

	for (size_t g = 0; g < gs->n; g++) {
		const struct shift_entry *e = find(m, site, gs->g[g].name, family);
		sum += e ? e->lessons * fade(now_ms - e->at_ms) : 0;
	}
	return sum;
}

/* Ages the evidence to now and keeps it bounded. */
static void age(struct shift_entry *e, int64_t now_ms)
{
	double f = fade(now_ms - e->at_ms), total = (e->a + e->b) * f, dests = 0;
	struct dest *d;

	e->lessons *= f;
	if (total > SHIFT_EVIDENCE_MAX)
		f *= SHIFT_EVIDENCE_MAX / total;
	e->a *= f;
	e->b *= f;
	e->at_ms = now_ms;
	f = fmin(f, 1);
	for (d = e->dests; d; d = d->hh.next) {
		d->alpha *= f;
		dests += d->alpha;
	}
	for (d = e->dests; d && dests > SHIFT_EVIDENCE_MAX; d = d->hh.next)
		d->alpha *= SHIFT_EVIDENCE_MAX / dests;
}

void shift_learn_shed(struct shift *m, const char *site, const char *grade, uint8_t family, double shed,
		      double weight, int64_t now_ms)
{
	struct shift_entry *e = find_or_add(m, site, grade, family);

	if (!e || !(weight > 0) || !isfinite(shed))
		return;
	shed = fmin(fmax(shed, 0), 1);
	age(e, now_ms);
	e->lessons++;
	e->a += weight * shed;
	e->b += weight * (1 - shed);
}

void shift_learn_dest(struct shift *m, const char *site, const char *grade, uint8_t family, const char *dest,
		      double weight, int64_t now_ms)
{
	struct shift_entry *e = find_or_add(m, site, grade, family);
	char name[STEER_NAME];
	struct dest *d;

	if (!e || !isfinite(weight))
		return;
	age(e, now_ms);
	key_copy(name, dest);
	HASH_FIND(hh, e->dests, name, sizeof(name), d);
	if (!d) {
		if (HASH_COUNT(e->dests) >= STEER_SITES_MAX)
			return;
		d = xcalloc(1, sizeof(*d));
		key_copy(d->site, dest);
		HASH_ADD(hh, e->dests, site, sizeof(d->site), d);
	}
	d->alpha = fmax(d->alpha + weight, -SHIFT_DEBT_MAX);
}

void shift_done(struct shift *m)
{
	struct shift_entry *e, *ne;
	struct dest *d, *nd;

	HASH_ITER(hh, m->head, e, ne) {
		HASH_ITER(hh, e->dests, d, nd) {
			HASH_DEL(e->dests, d);
			free(d);
		}
		HASH_DEL(m->head, e);
		free(e);
	}
}

void shift_rebase(struct shift *m, int64_t by_ms)
{
	for (struct shift_entry *e = m->head; e; e = e->hh.next)
		time_shift(&e->at_ms, by_ms);
}

void shift_save(const struct shift *m, struct buf *out)
{
	for (const struct shift_entry *e = m->head; e; e = e->hh.next) {
		if (!key_name_ok(e->key.site) || !key_name_ok(e->key.grade))
			continue;
		buf_addf(out, "shed %s %s %u %.17g %.17g %lld %.17g\n", e->key.site, e->key.grade,
			 e->key.family, e->a, e->b, (long long)e->at_ms, e->lessons);
		for (const struct dest *d = e->dests; d; d = d->hh.next)
			if (key_name_ok(d->site))
				buf_addf(out, "dest %s %s %u %s %.17g\n", e->key.site, e->key.grade,
					 e->key.family, d->site, d->alpha);
	}
}

int shift_load_line(struct shift *m, const char *line)
{
	char site[STEER_NAME], grade[STEER_NAME], dest[STEER_NAME];
	struct shift_entry *e;
	unsigned family;
	double a, b, lessons = 1; /* the last came later: older states lack it */
	long long at;

	if (sscanf(line, "shed %63s %63s %u %lf %lf %lld %lf", site, grade, &family, &a, &b, &at, &lessons) >=
	    6) {
		if (!(a >= 0 && b >= 0 && a + b <= 10 * SHIFT_EVIDENCE_MAX) || family > FAMILY_MAX ||
		    !(e = find_or_add(m, site, grade, (uint8_t)family)))
			return ERR_MALFORMED;
		e->a = a;
		e->b = b;
		e->at_ms = at;
		e->lessons = lessons >= 0 && lessons < LESSONS_SANE ? lessons : 0;
		return 0;
	}
	if (sscanf(line, "dest %63s %63s %u %63s %lf", site, grade, &family, dest, &a) == 5) {
		e = family <= FAMILY_MAX ? find(m, site, grade, (uint8_t)family) : NULL;
		if (!e || !(a >= -SHIFT_DEBT_MAX && a <= 10 * SHIFT_EVIDENCE_MAX))
			return ERR_MALFORMED;
		shift_learn_dest(m, site, grade, (uint8_t)family, dest, a, e->at_ms);
		return 0;
	}
	return ERR_MALFORMED;
}
