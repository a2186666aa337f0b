/* SPDX-License-Identifier: Apache-2.0
 * What a drill found, for a manager and for an engineer: JSON, and Markdown and one HTML page made of that
 * JSON, so that old reports can be shown again. Pure. */
#ifndef DRILL_REPORT_H
#define DRILL_REPORT_H
#include "controller/drill/series.h"
#include "controller/drill/surge.h"
#include "controller/drill/watch.h"
#include "proto/base/mem.h"

enum { RESIDUAL_60, RESIDUAL_300, RESIDUAL_600, RESIDUALS };

/* What only the one who ran it knows. */
struct findings {
	int64_t ended_wall_ms, duration_ms;
	int64_t restore_ms;	    /* from the order to everything read back and the load returned; -1 */
	double residual[RESIDUALS]; /* so many seconds after 100 % was ordered, 0..1; NAN: not reached */
	bool refused;		    /* by the second look of preflight */
	bool operator_aborted;
	char aborted_by[NAME_LEN];
	enum drill_state aborted_in;
	bool all_held;		/* 100 % was reached and held */
	unsigned engine_moves;	/* weakenings ordered by steering meanwhile */
	bool weakening_refused; /* stale-telemetry: the guard was asked, and refused */
	bool weakening_asked;	/* it had to: more than a third was silent */
	bool routes_kept;	/* controller-loss, stale-telemetry: announced as before */
	char unread[TEXT_LEN];	/* restored, and never read back: what; "" */
	int64_t waited_ms;	/* the restore, until it could be ordered */
	char waited_for[TEXT_LEN];
	struct surge_answer answer;
	double drained;		  /* at the end of 100 %: 0..1 */
	double predicted_drained; /* lower end; NAN: nothing was predicted */
	json_t *tabletop;	  /* tabletop.h; NULL: it never came so far */
};

/* One stage of r that ended. */
json_t *stage_json(const struct model *m, const struct drill_record *r, const struct progress *p,
		   const struct prediction *pred);
/* What was seen from outside, added up: of an array of {"from", "sent", "lost", "longest_gap_ms"}. */
json_t *report_probe(json_t *seen);
json_t *report_wall(int64_t wall_ms); /* "2026-11-24T10:00:00Z"; null: not known */
/* All of it. s may be empty. */
json_t *report_json(const struct drill_record *r, const struct series *s, const struct findings *f);
void report_markdown(const json_t *report, struct buf *out);
void report_html(const json_t *report, struct buf *out); /* report_html.c */
#endif
