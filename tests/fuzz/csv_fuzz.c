/* SPDX-License-Identifier: Apache-2.0
 * The simulator's catchment files. The input is both: up to the first NUL the shift file, the share file
 * after it. What parses has sites, rows that point at them, and shares that add up to one. */
/* links: controller/sim/csv.c proto/base/mem.c proto/base/err.c */
#include <math.h>
#include <string.h>

#include "controller/sim/csv.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct csv *c)
{
	double sum = 0;

	must(c->n_sites >= 2 && c->n_sites <= CSV_SITES_MAX && c->n_grades < STEER_GRADES);
	for (size_t i = 0; i < c->n_rows; i++) {
		must(c->rows[i].home < c->n_sites && c->rows[i].lands < c->n_sites);
		must(c->rows[i].grade < c->n_grades && c->rows[i].line > 0);
		must(c->rows[i].fraction >= 0 && c->rows[i].fraction <= 1.001);
	}
	for (size_t i = 0; i < c->n_sites; i++) {
		must(c->site[i][0] && strlen(c->site[i]) < STEER_NAME);
		sum += c->share[i];
	}
	must(fabs(sum - 1) < 1e-6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *nul = size ? memchr(text, 0, size) : NULL;
	size_t first = nul ? (size_t)(nul - text) : size;
	char why[CSV_WHY_LEN] = "";
	struct csv c = { 0 };

	if (csv_parse("shift", text, first, "share", nul ? nul + 1 : NULL, nul ? size - first - 1 : 0, &c,
		      why))
		must(strstr(why, "line "));
	else
		check(&c);
	csv_done(&c);
	return 0;
}
