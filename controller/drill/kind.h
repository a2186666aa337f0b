/* SPDX-License-Identifier: Apache-2.0
 * The kinds of drills, as rows: what they do, where, and how they go on when the controller restarts. */
#ifndef DRILL_KIND_H
#define DRILL_KIND_H
#include <stdbool.h>
#include <stddef.h>

enum drill_effect {
	EFFECT_NONE,  /* nothing is touched: the simulator shows it */
	EFFECT_GRADE, /* a real grade is ordered */
	EFFECT_DEAD,  /* agents take a service for dead and act on it: they withdraw what they may */
	EFFECT_MUTE,  /* agents send no reports */
	EFFECT_DEAF,  /* agents neither hear nor speak: the controller is gone, as far as they can tell */
	EFFECT_SURGE, /* the controller sees a node's load multiplied */
	EFFECTS
};

/* what a drill of this kind may be told to touch */
enum { AT_SITE = 1, AT_NODE = 2, AT_CLUSTER = 4, OF_SERVICE = 8, OF_SHARD = 16, NEEDS_SERVICE = 32 };

struct drill_kind {
	const char *name, *brief;
	enum drill_effect effect;
	const char *grade; /* EFFECT_GRADE, and what others predict with */
	unsigned scopes;
	bool gradual;  /* 25 and 50 % lie between canary and all of it */
	bool taken_up; /* after a restart of the controller it goes on; others restore */
	bool steers;   /* needs mode steer */
};

/* NULL: there is none of this name. */
const struct drill_kind *drill_kind(const char *name);
const struct drill_kind *drill_kinds(size_t *ret_n);
/* Announcements are meant to change. */
bool drill_moves(const struct drill_kind *k);
#endif
