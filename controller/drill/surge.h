/* SPDX-License-Identifier: Apache-2.0
 * Surge: a node's load is taken for a multiple, and steering is to answer: by weights where the site has
 * other nodes in service, by grades where the node is alone. What to expect, and what came. Pure: reads the
 * model. */
#ifndef DRILL_SURGE_H
#define DRILL_SURGE_H
#include "controller/drill/record.h"

#define SURGE_FACTOR_MAX 20
#define SURGE_FALLS	 0.98 /* a share below so much of what it was has fallen */

struct surge_view {
	double util;	  /* of the node, as it would be seen */
	bool alone;	  /* only grades can answer */
	bool held;	  /* by an operator's overrides: nothing can */
	int64_t after_ms; /* about when the answer comes; -1: never */
};
void surge_foresee(const struct model *m, size_t node, double factor, mono_t now,
		   struct surge_view *ret_view);
/* The smallest factor that is answered within so long; 0: none is. */
double surge_factor(const struct model *m, size_t node, int64_t within_ms, mono_t now);
/* How long this drill leaves for an answer. */
int64_t surge_time_ms(const struct model *m, const struct drill_spec *spec);

/* {NODE: weight} of a site's nodes. */
json_t *surge_weights(const struct model *m, size_t site);
/* The node's part of its site's weights, 0..1: as kept, or (NULL) as it is. */
double surge_share(const struct model *m, size_t node, const json_t *weights);
/* {SITE: {SHARD: grade}} of the cells that are ordered otherwise than wanted. */
json_t *surge_grades(const struct model *m);
/* The order of a cell before the drill. */
uint8_t surge_before(const struct model *m, const struct drill_record *r, size_t site, size_t shard);
/* It is weaker now, and no operator's hand is on it: to be given back with the load. */
bool surge_weakened(const struct model *m, const struct drill_record *r, size_t site, size_t shard);
/* It was ended by what may be real load: what steering did stays its own to give back. */
bool surge_may_be_real(const struct drill_record *r);
/* Everything is ordered as before, and the site's routers have it. */
bool surge_grades_back(const struct model *m, const struct drill_record *r, size_t site);
/* The site's agents have applied what was ordered last, as far as they can be heard. (What weight a route has
 * may be a check's, too.) */
bool surge_read_back(const struct model *m, size_t site, mono_t now);

/* How steering answered. */
struct surge_answer {
	int64_t after_ms; /* since the load was scaled; -1: it did not */
	bool grade;	  /* else by a weight */
	char node[NAME_LEN], site[NAME_LEN], shard[NAME_LEN];
	int from, to;		     /* weight of the node */
	double share_from, share_to; /* its part of the site's */
	char grade_from[NAME_LEN], grade_to[NAME_LEN];
	unsigned more;	     /* grades that were changed, too */
	char plan[TEXT_LEN]; /* what steering said while it did not answer */
};
/* "weight of fra3 from 50 to 17 (20 to 8 % of fra)" */
void surge_answer_text(const struct surge_answer *a, char *ret_text, size_t size);
json_t *surge_answer_json(const struct surge_answer *a);
#endif
