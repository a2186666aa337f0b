/* SPDX-License-Identifier: Apache-2.0
 * What a grade does to a catchment, learned per (site, grade, family): the shed fraction is Beta(a,b), the
 * destinations are Dirichlet over the other sites, known by name. Priors are wide (measured deployments: one
 * prepend sheds 4..98 %, median 75; the largest receiver takes 33..65 %). Fractions are of the traffic homed
 * at the site when all is normal. Evidence halves every SHIFT_HALF_LIFE_MS. */
#ifndef STEER_SHIFT_H
#define STEER_SHIFT_H
#include "controller/steer/steer.h"

#define SHIFT_HALF_LIFE_MS (3 * 24 * 3600 * 1000.0)
#define SHIFT_DEST_PRIOR   2.0	/* pseudo-counts of the prior over destinations */
#define SHIFT_EVIDENCE_MAX 80.0 /* pseudo-counts kept: nothing is ever certain */
#define SHIFT_DEBT_MAX	   8.0	/* the noise that speaks against a destination is kept up to this */
#define SHIFT_ENTRIES_MAX  65536

struct shift_entry;
struct shift {
	struct shift_entry *head; /* zero-initialise */
};

struct shed {
	double mean, var;
	double evidence; /* pseudo-counts beyond the prior */
};

/* ret_sheds[gs->n]: one per grade, monotone in strength. */
void shift_sheds(const struct shift *m, const struct grade_set *gs, const char *site, uint8_t family,
		 int64_t now_ms, struct shed *ret_sheds);
/* Dirichlet pseudo-counts over n sites; prior[] sums to 1 (0 for the site itself). Other grades of the same
 * site and family inform this one at half weight; other families the prior alone. Returns their sum. */
double shift_dests(const struct shift *m, const struct grade_set *gs, const char *site, unsigned grade,
		   uint8_t family, int64_t now_ms, const char *const *sites, const double *prior, size_t n,
		   double *ret_alpha);
/* How often a shift of this site was measured, at any grade; old lessons fade. */
double shift_lessons(const struct shift *m, const struct grade_set *gs, const char *site, uint8_t family,
		     int64_t now_ms);
/* One settled observation: `shed` of the home traffic left, with `weight` pseudo-counts. */
void shift_learn_shed(struct shift *m, const char *site, const char *grade, uint8_t family, double shed,
		      double weight, int64_t now_ms);
/* `weight` pseudo-counts of what left went to `dest`; below 0: it seems to have got less than before, which
 * pays for noise that made it seem more at another time. */
void shift_learn_dest(struct shift *m, const char *site, const char *grade, uint8_t family, const char *dest,
		      double weight, int64_t now_ms);
void shift_done(struct shift *m);
/* The clock moved by so much. */
void shift_rebase(struct shift *m, int64_t by_ms);
/* Lines "shed SITE GRADE FAMILY A B AT LESSONS" and "dest SITE GRADE FAMILY DEST ALPHA". */
void shift_save(const struct shift *m, struct buf *out);
int shift_load_line(struct shift *m, const char *line);
#endif
