/* SPDX-License-Identifier: Apache-2.0
 * What happens, as data. Times in s from the start of a run; sizes as multiples of all legitimate load. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H
#include <stdbool.h>
#include <stddef.h>

enum scenario_kind { SC_NONE, SC_ATTACK, SC_CROWD, SC_DIURNAL };
enum scenario_twist {
	TW_NONE,
	TW_ONE_SHARD,	/* the attack hits one shard only */
	TW_PULSE,	/* on and off */
	TW_FOLLOWS,	/* the attack moves to where there is room left */
	TW_NODE,	/* a node of a site dies */
	TW_SITE,	/* the largest site dies */
	TW_FLAP,	/* a site's link comes and goes */
	TW_PARTITION,	/* the controller hears nobody and nobody hears it */
	TW_STALE,	/* reports of most sites stop */
	TW_DRILL,	/* a drill is asked for within the event */
	TW_DRILL_FIRST, /* the event comes within a drill */
	TW_LIARS,	/* some agents report nonsense */
	TW_WRONG,	/* the model starts with strong wrong beliefs */
	TW_LOSS,	/* what live.h says is lost; in no scenario of the table */
};

struct scenario {
	const char *name;
	enum scenario_kind kind;
	enum scenario_twist twist;
	double size;
	int duration, from, until; /* the event; goodput is measured over it */
};

const struct scenario *scenario_find(const char *name);
extern const struct scenario scenario_table[];
extern const size_t scenario_count;
/* Is the event's load there at t? How much of its size? */
double scenario_level(const struct scenario *s, int t);
#endif
