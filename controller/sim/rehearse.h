/* SPDX-License-Identifier: Apache-2.0
 * What if this were lost? A running cluster's copy (live.h) loses it, and the engine with its guard, as they
 * are now, answers second by second; or nobody does. One run is one possible Internet: ask many. Pure, but
 * for the caller's say in how long it goes on. */
#ifndef SIM_REHEARSE_H
#define SIM_REHEARSE_H
#include "controller/sim/live.h"

#define REHEARSE_BEFORE_S 20 /* the engine looks at it as it is */
#define REHEARSE_AFTER_S  900
#define REHEARSE_END_S	  60 /* the last of it: where it all settled */
#define REHEARSE_STEP_S	  4  /* of what is kept of the course */
#define REHEARSE_MOVES	  64

/* Borrowed for as long as the rehearsal is open. */
struct rehearsal_in {
	const struct snapshot *now;
	const struct policy *policy;
	const char *engine, *guard; /* as saved; NULL: nothing is known */
	size_t engine_len, guard_len;
	const struct live_loss *loss;
};

struct rehearsed_move {
	int t; /* s since the loss */
	size_t site, shard;
	uint8_t from, to;
	char why[STEER_TEXT];
};

struct rehearsed {
	uint64_t seed;
	int ended; /* s after the loss */
	double served_before;
	double served, late, dropped, dead; /* of the demand since the loss, 0..1; live.h */
	double dropped_end;		    /* of the last minute */
	size_t hot, hot_end;		    /* sites: the highest peak, the highest at the end; n: none */
	double peak, end;
	int overloaded, relieved; /* s since the loss: the first above 100 %, none for 10 s; -1: never */
	int answered;		  /* the first change ordered; -1 */
	unsigned changes;
	int held_s;	       /* seconds in which it was held back while somewhere it was hot */
	bool held_end;	       /* at the end still */
	char held[STEER_TEXT]; /* by what, first */
	double *base_util, *peak_util;
	size_t points;
	float *util, *bps; /* [point][site], REHEARSE_STEP_S apart */
	struct rehearsed_move *moves;
	size_t n_moves; /* kept, of changes */
};
void rehearsed_done(struct rehearsed *r);

struct rehearsal;
struct rehearsal *rehearsal_open(const struct rehearsal_in *in);
void rehearsal_close(struct rehearsal *r);
/* until: asked each second t of the run, when it is to end; 0: at once, and nothing is returned. false: so it
 * was. ret is to be given to rehearsed_done then, too. */
typedef int (*rehearse_until)(void *arg, int t);
bool rehearse(const struct rehearsal *r, uint64_t seed, bool steered, rehearse_until until, void *arg,
	      struct rehearsed *ret);
#endif
