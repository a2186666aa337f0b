/* SPDX-License-Identifier: Apache-2.0
 * The true catchments of one seed: where clients land under any vector of grades. Two kinds: a table (from
 * catchment files, composed as a chain and perturbed) and an AS graph (routes computed for every vector).
 * Clients come in groups (a table's homes, a graph's ASes), each with a home: the site it reaches when all
 * is normal. Results are cached per vector of grades. */
#ifndef SIM_CATCH_H
#define SIM_CATCH_H
#include "controller/sim/csv.h"
#include "controller/sim/rng.h"

#define CATCH_OFF 255 /* in a vector of grades: this site announces nothing */

struct graph;
struct catch
{
	size_t ns, ng; /* sites, client groups */
	char(*name)[STEER_NAME];
	struct grade_set grades;
	uint16_t *home; /* per group */
	double *weight; /* per group, of legitimate traffic; sums to 1 */
	double *share;	/* per site: its groups' weights */
	double *table;	/* [home][grade][lands], or NULL */
	double *mix;	/* [home][lands] where the table's second hop goes (not independent of the first) */
	struct graph *graph;
	struct catch_entry *cache;
	size_t cached, cache_max;
};

/* perturb: strength of what makes the truth differ from the file (0: nothing). */
struct catch *catch_table(const struct csv *csv, uint64_t seed, double perturb);
struct catch *catch_graph(size_t ases, size_t sites, uint64_t seed, double perturb);
void catch_free(struct catch *c);
/* w: per group. ret_out: per site; sums to what w sums to, or to less when nobody announces. */
void catch_land(struct catch *c, const uint8_t *grades, const double *w, double *ret_out);
#endif
