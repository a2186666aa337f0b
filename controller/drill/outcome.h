/* SPDX-License-Identifier: Apache-2.0
 * How good was what was said before anything was touched? Error: over all sites, how far their utilisation
 * ended from the forecast of preflight, as part of the change that forecast spoke of. 0 is a perfect
 * forecast, 100 % one that is off by as much as was to move. Measured from when all of it had settled to the
 * end of the hold; demand that rose or fell everywhere is taken out. Null when it never came to the whole, or
 * nothing was to move. noise_pct: the error that the load's own fluctuation, before and after, would cause
 * beside a perfect forecast. Coverage is of the stages' 90 % intervals. Pure but for jansson. */
#ifndef DRILL_OUTCOME_H
#define DRILL_OUTCOME_H
#include "controller/drill/series.h"

/* What a forecast was made of: {"known", "lessons", "averaged_s", "noise": {SITE: sd of utilisation}}. Not
 * known: nobody has measured a shift of it yet, the forecast was the prior's. */
json_t *basis_json(const struct cluster *cl, const struct forecast_basis *b, const double *noise);
/* {"error_pct", "noise_pct", "coverage_pct", "samples", "known", "lessons"} */
json_t *outcome_json(const struct drill_record *r, const struct series *s);
/* A sentence about "known" and "lessons" of such an object; "" when it has none. */
void outcome_basis_text(const json_t *j, char *ret_text, size_t size);
#endif
