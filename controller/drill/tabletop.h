/* SPDX-License-Identifier: Apache-2.0
 * A tabletop: the loss is rehearsed on the simulator (controller/sim/rehearse.h) and nothing is touched, so
 * it may be asked for in every mode, and while things are bad. Runs on a worker thread, on a copy; the loop
 * only begins it, asks whether it is over, and reads. As many possible Internets are tried, over as many
 * simulated minutes, as fit a budget of time; one on which steering answers, and the same one on which nobody
 * does. */
#ifndef DRILL_TABLETOP_H
#define DRILL_TABLETOP_H
#include <uv.h>

#include "controller/drill/record.h"
#include "controller/drill/series.h"
#include "controller/rounds.h"

#define TABLETOP_RUNS_MAX  15
#define TABLETOP_RUNS_GOOD 5
#define TABLETOP_RUNS_MIN  3
#define TABLETOP_MS	   2500	 /* beyond it, fewer than RUNS_MAX */
#define TABLETOP_GOOD_MS   10000 /* fewer than RUNS_GOOD */
#define TABLETOP_MAX_MS	   30000 /* shorter ones, then fewer than RUNS_MIN */
#define TABLETOP_SHORT_S   300	 /* no shorter */

struct live_loss;
/* Where; -1: there is no such place. */
ssize_t loss_site(const struct model *m, const struct drill_spec *spec);
/* What of the present model the spec says is lost. grants: per cell, may its nodes withdraw it? */
void loss_find(const struct model *m, const struct drill_spec *spec, const bool *grants,
	       struct live_loss *ret_loss);

struct tabletop;
/* Takes state and loss. */
struct tabletop *tabletop_start(uv_loop_t *loop, struct rounds_state *state, struct live_loss *loss);
/* What it has come to, 0..1; 1: it is over, and the others below may be asked. */
double tabletop_part(const struct tabletop *t);
unsigned tabletop_runs(const struct tabletop *t); /* finished */
/* {"mode", "judged", "runs", "simulated_s", "took_ms", "steered", "unsteered", "sites", "moves"}; new
 * reference. */
json_t *tabletop_json(const struct tabletop *t);
/* The course of the median run: the lost site, then the others by their peak. */
void tabletop_series(const struct tabletop *t, struct series *ret_series);
/* Ends it, over or not; NULL is fine. It is gone when its thread has noticed. */
void tabletop_drop(struct tabletop *t);

/* tabletop_view.c: pure. "passed" or "failed"; says why into reasons. tabletop NULL: it never came so far. */
const char *tabletop_verdict(const json_t *tabletop, json_t *reasons);
void tabletop_markdown(const json_t *tabletop, struct buf *out);
void tabletop_html(const json_t *tabletop, struct buf *out);
#endif
