/* SPDX-License-Identifier: Apache-2.0
 * What is measured while a drill runs: has the stage's move happened, is it over, does something speak
 * against going on? Pure: reads the model, keeps its own counts, changes nothing. Times are milliseconds
 * since the stage began unless said otherwise; -1: not yet. */
#ifndef DRILL_WATCH_H
#define DRILL_WATCH_H
#include "controller/drill/preflight.h"

#define WATCH_LAST 3 /* samples that must agree */

/* -- one stage ------------------------------------------------------------------------------------------ */

struct progress {
	size_t from, to; /* targets that this stage moves */
	double base_bps; /* of those, before anything was touched */
	double now_bps;
	bool moves;	      /* load is meant to move; else reading back is all */
	bool back;	      /* they come back instead of leaving */
	int64_t confirmed_ms; /* every router, agent or report says so */
	int64_t t50_ms, t80_ms, t95_ms;
	int64_t settled_ms;
	double last[WATCH_LAST];
	size_t n_last;
};
void progress_begin(struct progress *p, const struct drill_record *r, size_t from, size_t to, bool back);
/* One sample, at most one a second. confirmed: see targets_confirmed. True: it is over, now or before. */
bool progress_step(struct progress *p, const struct policy *policy, int64_t at_ms, double now_bps,
		   bool confirmed);
/* What has left (or come back), 0..1; 1 when there was nothing. */
double progress_done(const struct progress *p);

/* Sum of the loads of targets[from..to). */
double targets_bps(const struct model *m, const struct drill_record *r, size_t from, size_t to);
/* They are as the drill wants them (on), or as they were (off): read back, not merely ordered. ret_what
 * (TEXT_LEN): the first that is not. */
bool targets_confirmed(const struct model *m, const struct drill_record *r, size_t from, size_t to, bool on,
		       mono_t now, char *ret_what);

/* -- predicted and measured ------------------------------------------------------------------------- */

/* How much a site's utilisation moves by itself, from one sample to the next. */
struct noise {
	double last, sum2;
	unsigned n; /* samples */
};
void noise_add(struct noise *x, double util);
double noise_sd(const struct noise *x);

/* Per site of the document; heap. f NULL: nothing was predicted. */
struct prediction {
	struct site_forecast *f;
	double *mean;		   /* measured, since the stage settled */
	double total_bps, now_bps; /* all demand when it was made, and since the stage settled */
	unsigned samples;
	const struct noise *noise; /* borrowed */
	size_t n;
};
void prediction_begin(struct prediction *p, struct site_forecast *f, const struct noise *noise,
		      const struct model *m);
void prediction_add(struct prediction *p, const struct model *m);
void prediction_done(struct prediction *p);
#define MISS_SIGMA 3	/* of the prediction's own and the load's */
#define MISS_FLOOR 0.05 /* of capacity */
bool prediction_missed(const struct prediction *p, size_t i);
/* What was predicted of site i, had the demand been what it is now: demand that rises or falls everywhere is
 * not the drill's doing. */
struct site_forecast prediction_now(const struct prediction *p, size_t i);
/* Inside the 90 % interval, give or take the load's own noise. */
bool prediction_covers(const struct prediction *p, size_t i);

/* -- abort conditions --------------------------------------------------------------------------------- */

enum alarm {
	ALARM_FREEZE,	  /* the mode became freeze: nothing new may be changed */
	ALARM_ATTACK,	  /* demand nobody rehearses: the plan contains or absorbs, or it rose by 30 % */
	ALARM_RECEIVER,	  /* somebody else came above 85 % */
	ALARM_DROPS,	  /* somebody drops */
	ALARM_REPORTS,	  /* above 5 % of the nodes not meant to be silent are */
	ALARM_PREDICTION, /* missed by three sigma */
	ALARM_GUARD,	  /* refused the next stage */
	ALARM_NO_EFFECT,  /* the stage's move never came */
	ALARM_OPERATOR,	  /* ordered something where the drill is */
	ALARM_LEADER,	  /* the controller restarted, or another leads */
	ALARM_DOCUMENT,	  /* the cluster document changed */
	ALARM_STORE,	  /* it has refused writes for STORE_PATIENCE_MS */
	ALARM_DURATION,	  /* took longer than asked for */
	ALARMS
};
#define STORE_PATIENCE_MS 60000
const char *alarm_str(enum alarm a);

struct watch {
	unsigned count[ALARMS]; /* samples in a row */
};
struct watch_input {
	const struct model *m;
	const struct rounds_view *view; /* may be NULL */
	const struct drill_record *r;
	mono_t now;
	int64_t elapsed_ms;		     /* of the drill */
	uint64_t hands;			     /* hands_sum when it began */
	const struct prediction *prediction; /* to be checked now; NULL: it is too early */
};
/* The first condition that holds for as long as it must; ALARMS: none. ret_why: TEXT_LEN. */
enum alarm watch_step(struct watch *w, const struct watch_input *in, char *ret_why);
/* All demand now, bit/s, without what a surge drill makes up. */
double watch_total_bps(const struct model *m);
#endif
