/* SPDX-License-Identifier: Apache-2.0
 * The whole API behind its real HTTPS server on loopback, with the real operations on a store in memory; the
 * guard, the rounds and the fleet are stand-ins that say what stub is set to. The model is a small cluster
 * with something wrong with it. Answers can be held against openapi.json. */
#ifndef UNIT_API_RIG_H
#define UNIT_API_RIG_H
#include <jansson.h>

#include "controller/api/api.h"
#include "controller/drill/table.h"
#include "controller/rounds.h"
#include "tests/unit/https.h"

extern char rig_cluster[]; /* the document of the model */

struct stub {
	bool no_round, busy, guard_refuses;
	struct move moves[STEER_MOVES]; /* the last question of what if */
	size_t n_moves;
};
extern struct stub stub;

struct rig {
	uv_loop_t loop;
	struct controller c;
	struct api *a;
	char *certs, *ca, *tokens; /* tokens "viewer", "operator" and "admin" with the role of their name */
};
extern struct rig t;
extern json_t *openapi;

int rig_group_setup(void **state);
int rig_group_teardown(void **state);
int rig_setup(void **state);
int rig_teardown(void **state);
/* Drill d1, a tabletop, in this state; DRAFT: none is under way; REPORT: it is over. */
void rig_drill(enum drill_state s);

/* Asserts that it is JSON; new reference. */
json_t *answer_json(const struct answer *r);
/* 200 as viewer. */
json_t *get(const char *path);
/* Follows keys, NULL at the end; borrowed, NULL when there is none. */
json_t *dig(json_t *j, ...) __attribute__((sentinel));
/* v is as the schema promises, without a field more or less. */
void conform(json_t *schema, json_t *v, const char *at);
/* The answer of an operation, by its status. */
void conform_answer(const char *path, const char *method, const struct answer *r);
#endif
