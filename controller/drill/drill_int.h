/* SPDX-License-Identifier: Apache-2.0
 * What the files that run drills share: drill.c (states), stage.c (what each waits for), measure.c (samples),
 * act.c (effects), ops.c (the operator), keep.c and salvage.c (the store), view.c (what is shown). */
#ifndef DRILL_INT_H
#define DRILL_INT_H
#include <uv.h>

#include "controller/drill/drill.h"
#include "controller/drill/outcome.h"
#include "controller/drill/report.h"
#include "controller/drill/schedule.h"
#include "controller/drill/tabletop.h"

struct drills {
	struct controller *c;
	uv_timer_t timer;
	unsigned last_id;
	unsigned reads;		     /* of the store, see controller.reads */
	json_t *past;		     /* array of summaries, oldest first */
	json_t *last;		     /* {SITE: {KIND: {"id", "wall_ms", "verdict"}}} */
	json_t *schedule;	     /* as given */
	json_t *schedule_last;	     /* {NAME: wall_ms} */
	json_t *schedule_refused;    /* the same; of this term */
	struct readiness *ready;     /* view.c */
	const struct store_op *with; /* one that is stored with the next transition; NULL: none */

	/* the drill under way */
	bool running;
	struct drill_record r;
	char etag[24];	/* of the document it began with */
	uint64_t hands; /* of operators when it began; hands.h */
	struct series series;
	struct watch watch;
	struct progress progress;
	struct prediction prediction; /* of the stage */
	struct noise *noise;	      /* per site of the document */
	struct findings found;
	struct tabletop *table; /* on its thread, or over; NULL: none */
	bool applied;		/* the stage's effects are out */
	bool hurry;		/* restore at once */
	char waits[TEXT_LEN];	/* why what is to be restored cannot be ordered now; "" */
	mono_t waits_since;
	size_t back_from;	/* restoring: targets from here on are asked back */
	unsigned looked;	/* samples since the stage settled, or of the baseline */
	uint64_t weakenings_at; /* steering's at the beginning */
	mono_t began_at, state_at, stage_at, sampled_at, full_at, grace_until;
};

/* drill.c */
void drills_tick(struct drills *d);			     /* every DRILLS_TICK_MS */
void drills_begin(struct drills *d, struct drill_record *r); /* takes r */
int drills_event(struct drills *d, enum drill_event ev, const char *actor, const char *why);
void drills_alarm(struct drills *d, enum alarm a, const char *why); /* aborts, for the first alarm's reason */
bool drills_document_changed(const struct drills *d);
mono_t drills_store_fails(const struct drills *d); /* since when; unset: it does not */

/* stage.c: one step of a state; drill.c calls it once a sample */
#define STAGE_CHECKED 2 /* samples after a stage settled, for the prediction */
void stage_preflight(struct drills *d);
void stage_weaken(struct drills *d);
void stage_hold(struct drills *d);
void stage_restore(struct drills *d);
void stage_end(struct drills *d); /* what it measured becomes part of the record */

/* table_stage.c: what a tabletop does instead of weakening */
int tabletop_begin(struct drills *d); /* 0, -EBUSY: ask again */
bool tabletop_over(struct drills *d); /* and then its findings are there */
void tabletop_end(struct drills *d);  /* whatever it is doing */

/* measure.c */
void measure(struct drills *d);			/* one sample */
int64_t measure_routes(const struct drills *d); /* a sum over what is announced how */
void measure_before_surge(struct drills *d);	/* weights and grades as they are */

/* keep.c */
int keep_report(struct drills *d, const json_t *report); /* in place of the drill under way */
void keep_read(struct drills *d);			 /* past drills and the schedule */

/* salvage.c */
#define DRILL_ID_MAX 1000000
char *salvage_text(const struct drill_record *r); /* for "drill/cells": what it has ordered */
/* text: no record, or NULL. True: a drill that is to be restored, made of what is known. */
bool salvage(struct drills *d, const char *text, struct drill_record *ret_r);

/* act.c: effects on the model and the wire. Idempotent. */
int act_weaken(struct drills *d, size_t from, size_t to,
	       char *ret_why);	  /* 0, -EAGAIN, ERR_GUARD, ERR_STORE */
void act_whole(struct drills *d); /* all targets are weakened: services count as dead */
void act_restore(struct drills *d, size_t from, size_t to);
bool act_is_back(const struct drills *d, size_t from, size_t to); /* nothing is left to be ordered back */
void act_release(struct drills *d);				  /* nothing is a drill's any more */
void act_claim(struct drills *d);				  /* steering keeps off the targets */
size_t act_moves(const struct drills *d, size_t from, size_t to,
		 struct move *ret_moves); /* to the kind's grade */

/* ops.c */
int ops_facts(struct drills *d, const struct drill_spec *spec, struct preflight *p,
	      struct site_forecast *forecast, struct preflight_facts *ret_f);
/* What a forecast of these moves is made of, see outcome.h; null when nothing moves or it cannot be told now.
 * ret_settled: the loads have been the same long enough to be averages. */
json_t *ops_basis(struct drills *d, const struct preflight *p, bool *ret_settled);

/* view.c */
json_t *view_summary(const json_t *report);
/* One site's forecasts anew, the next one's the next time: never long at once. */
void readiness_step(struct drills *d);
void readiness_done(struct drills *d);
void drill_id(unsigned id, char ret_id[16]);
#endif
