/* SPDX-License-Identifier: Apache-2.0
 * What apply.c (connection, polling, wants), apply_remade.c (maps not to be touched yet), apply_commit.c
 * (typing the difference), apply_verify.c (reading back) and apply_report.c (saying it) share. Nobody else
 * includes this. */
#ifndef AGENT_APPLY_INT_H
#define AGENT_APPLY_INT_H
#include "agent/apply.h"
#include "agent/frr/command.h"
#include "agent/frr/diff.h"
#include "agent/frr/parse.h"
#include "agent/frr/vty.h"

#define SAMPLE_MAX	 16    /* routes asked one by one; more are read from the neighbours' RIB-outs */
#define RIB_OUT_MAX	 20000 /* a neighbour that is sent more is never asked for its whole RIB-out */
#define VERIFY_PAUSE_MS	 15
#define VERIFY_WITHIN_MS 2000
#define COMMITS_MAX	 8 /* in one pass: it ends, whatever happens */

enum phase { PHASE_OFF, PHASE_IDLE, PHASE_CONFIG, PHASE_PEERS, PHASE_BEFORE, PHASE_COMMIT, PHASE_VERIFY };

/* one allowed prefix */
struct entry {
	struct prefix prefix;
	bool wanted;
	struct route_want want; /* normalised */
	char unfit[TEXT_LEN];	/* why want cannot be typed at all */
	char refused[TEXT_LEN]; /* bgpd's answer, until it takes it */
	unsigned fails;
	uint64_t retry_at_ms; /* with fails > 0 */
	bool unsettled;	      /* changed, and not seen through to the RIB-outs */
	bool typed;	      /* in this pass: its lines were taken */
	struct frr_path before, path;
	uint32_t neighbours; /* RIB-outs that hold it */
};

struct apply {
	uv_loop_t *loop;
	struct vty *vty;
	char *path;
	uv_timer_t timer; /* next poll in PHASE_IDLE, pause in PHASE_VERIFY */
	struct apply_ops ops;
	void *arg;
	enum phase phase;
	bool closed;
	bool answers; /* bgpd(true) was the last thing said */
	bool said;    /* bgpd() was called at all */
	char down[TEXT_LEN];

	struct entry *entries; /* sorted by prefix */
	size_t n;
	bool dirty; /* wants changed since the last diff */

	/* what bgpd has */
	bool have_config;
	uint64_t config_hash, config_at_ms;
	struct frr_config config;
	struct frr_summary summary;
	uint64_t poll_cost_us[2], poll_started_us; /* the last two polls */
	uint64_t poll_at_ms;			   /* the next one, in PHASE_IDLE */

	/* maps made again: [0, n_remade) wait for bgpd; while asking, [suspect_at, n_suspects) are to be
	 * asked */
	char (*remade)[MAP_NAME_LEN];
	size_t n_remade, n_suspects, suspect_at;
	uint64_t remade_at_ms; /* since when some wait; 0: none does */
	void (*remade_then)(struct apply *a);

	/* commit */
	struct diff diff;
	struct command_list list;
	size_t at;	   /* next line of list */
	char **step_error; /* per step of diff */
	unsigned commits;  /* in this pass */
	unsigned locks;	   /* sessions refused in a row */
	char lock[TEXT_LEN];
	uint64_t lock_until_ms, drop_until_ms;
	unsigned drop_fails;

	/* read-back */
	size_t sample[SAMPLE_MAX], n_sample, sample_at, cursor;
	bool to_before; /* the sample's answers go to entry.before */
	void (*paths_then)(struct apply *a);
	bool sweep[AFI_COUNT]; /* all routes of the family are to be read back */
	uint64_t verify_until_ms, swept_at_ms;
	enum afi out_afi;
	size_t out_neighbour;
	uint32_t *out_count; /* per entry: RIB-outs of out_afi seen with it */

	/* report */
	struct route_state *view, *last;
	size_t n_view, n_last;
	bool view_stale, have_last;
	bool changed; /* this pass typed something */
};

uint64_t apply_now_ms(const struct apply *a);
struct entry *apply_entry(const struct apply *a, const struct prefix *p);
size_t apply_established(const struct apply *a, enum afi afi);

/* apply.c: the pass goes on */
void apply_poll(struct apply *a);
void apply_decide(struct apply *a);
void apply_finish(struct apply *a);
void apply_wait(struct apply *a); /* for the next poll */
/* apply_remade.c */
void apply_remade_reset(struct apply *a);
/* Asks bgpd about the maps that may have been made again (fresh: by the configuration; else those that wait
 * already), then calls then. */
void apply_remade_ask(struct apply *a, bool fresh, void (*then)(struct apply *a));
bool apply_is_remade(const struct apply *a, const struct entry *e);
void apply_wait_for_remade(struct apply *a);
/* apply_commit.c */
void apply_commit(struct apply *a); /* types a->diff, then polls */
void apply_commit_reset(struct apply *a);
/* Notes a failure, and says true, when s was typed in this pass already. */
bool apply_step_repeats(struct apply *a, const struct step *s);
/* apply_verify.c */
bool apply_verify_due(const struct apply *a);
void apply_verify(struct apply *a);
void apply_verify_reset(struct apply *a);
/* Asks for each sampled entry's path into to_before ? entry.before : entry.path, then calls then. */
void apply_ask_paths(struct apply *a, bool to_before, void (*then)(struct apply *a));
/* apply_report.c */
void apply_report_build(struct apply *a);
/* the view differs from what was last said; remembers it as said */
bool apply_report_news(struct apply *a);
#endif
