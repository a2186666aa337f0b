/* SPDX-License-Identifier: Apache-2.0
 * A drill as it is remembered: what was asked for, what it touches, what each stage measured. Written to the
 * store at every transition ("drill/current"), so that whoever starts or leads next can put everything back.
 * Names, not indices: the document may change. Pure but for jansson. */
#ifndef DRILL_RECORD_H
#define DRILL_RECORD_H
#include <jansson.h>

#include "controller/drill/kind.h"
#include "controller/drill/table.h"
#include "controller/model.h"

#define DRILL_TARGETS_MAX 8192
#define DRILL_HOLD_MAX_MS 3600000
#define DRILL_MAX_MS	  INT64_C(14400000)

struct drill_spec {
	char kind[NAME_LEN];
	char site[NAME_LEN], node[NAME_LEN], service[NAME_LEN], shard[NAME_LEN]; /* "": not said */
	char reason[TEXT_LEN];
	int64_t hold_ms, max_ms; /* at 100 %; of the whole drill until it is made to restore */
	double factor;		 /* surge: 1.1 .. 20 */
};

/* What is weakened together or not at all. */
struct drill_target {
	char site[NAME_LEN];
	char node[NAME_LEN];  /* "": the site as one */
	char shard[NAME_LEN]; /* "": the whole node */
	double base_bps;      /* its load before anything was touched */
	bool on;	      /* weakened now */
};

struct drill_record {
	unsigned id; /* "d7" is 7 */
	const struct drill_kind *kind;
	struct drill_spec spec;
	char actor[NAME_LEN];
	enum drill_state state;
	bool paused;
	uint64_t epoch;		      /* of the controller that leads it */
	int64_t began_wall_ms;	      /* started by the operator */
	int64_t began_ms;	      /* the same on this controller's monotonic clock; not stored */
	struct drill_target *targets; /* heap */
	size_t n_targets;
	double base_total_bps;
	int64_t routes;	   /* a sum over what was announced before: did it stay? */
	json_t *weights;   /* surge: {NODE: weight} of the site, before */
	bool weights_back; /* they have been ordered again; not stored */
	json_t *grades;	   /* surge: {SITE: {SHARD: grade}} that were not as wanted, before */
	json_t *stages;	   /* array, one object per stage that ended; see measure.h */
	json_t *forecast;  /* array per site, of all of it, from preflight */
	json_t *basis;	   /* what that was made of, see outcome.h; an object, or null */
	json_t *probe;	   /* array, what was seen from outside */
	char alarm[NAME_LEN], why[TEXT_LEN]; /* why it was aborted; "" */
};

void record_init(struct drill_record *r, unsigned id, const struct drill_spec *spec, const char *actor);
void record_done(struct drill_record *r);
/* Text for the store and back; ERR_MALFORMED: nothing is taken. */
char *record_text(const struct drill_record *r);
int record_parse(const char *text, struct drill_record *ret_r);
json_t *spec_json(const struct drill_spec *s);
/* "site fra", "node fra1, service web", "the cluster" */
void spec_scope(const struct drill_spec *s, char *ret_text, size_t size);
/* How many targets are weakened in this state. */
size_t record_wanted(const struct drill_record *r, enum drill_state s);
size_t record_on(const struct drill_record *r);
/* Every site the drill weakens. */
bool record_touches(const struct drill_record *r, const char *site);
#endif
