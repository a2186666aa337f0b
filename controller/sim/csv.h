/* SPDX-License-Identifier: Apache-2.0
 * The two catchment files. SHIFT: "home,grade,lands,fraction", the rows of one (home, grade) add up to 1.
 * SHARE: "home,share", any positive unit. A header line is optional, empty lines and lines from '#' are
 * skipped, fields may be quoted. Sizes are limited: it is somebody else's file. */
#ifndef SIM_CSV_H
#define SIM_CSV_H
#include <stddef.h>

#include "controller/steer/steer.h"

#define CSV_ROWS_MAX  2000000
#define CSV_WHY_LEN   256
#define CSV_SITES_MAX 500

struct csv_shift {
	unsigned home, grade, lands; /* indices into csv.site and csv.grade */
	double fraction;
	unsigned line;
};

struct csv {
	char (*site)[STEER_NAME];
	size_t n_sites;
	char grade[STEER_GRADES][STEER_NAME];
	size_t n_grades;
	struct csv_shift *rows;
	size_t n_rows;
	double *share; /* n_sites, sums to 1; from the second file, or even */
};

/* 0, or ERR_CONFIG with ret_why (CSV_WHY_LEN) "NAME: line N: ...". share may be NULL: even shares. */
int csv_parse(const char *shift_name, const char *shift, size_t shift_len, const char *share_name,
	      const char *share, size_t share_len, struct csv *ret_csv, char *ret_why);
/* The same from files. */
int csv_load(const char *shift_path, const char *share_path, struct csv *ret_csv, char *ret_why);
void csv_done(struct csv *c);
#endif
