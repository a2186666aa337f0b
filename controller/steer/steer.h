/* SPDX-License-Identifier: Apache-2.0
 * What the engine sees (snapshot), what it says (plan), and how it may act (policy).
 * Pure: no clock (now_ms is an input), no I/O, no log, no globals. Same input, same plan, byte for byte;
 * the order of sites and shards in a snapshot does not matter: they are known by name.
 * Units: bit/s, packet/s, new connections/s, cpu as fraction of the machine x 1000; utilisation 1.0 =
 * capacity. */
#ifndef STEER_STEER_H
#define STEER_STEER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEER_NAME	 64
#define STEER_TEXT	 256
#define STEER_GRADES	 24 /* normal + operator's + prepend1..3 + drain + withdrawn */
#define STEER_MOVES	 16 /* per plan */
#define STEER_SITES_MAX	 512
#define STEER_SHARDS_MAX 1024

enum res { RES_BPS, RES_PPS, RES_CONNS, RES_CPU, RES_N };

enum grade_kind { GRADE_NORMAL, GRADE_COMMUNITY, GRADE_PREPEND, GRADE_DRAIN, GRADE_WITHDRAWN };

struct grade {
	char name[STEER_NAME];
	enum grade_kind kind;
	unsigned prepends;
	unsigned strength; /* 0 normal .. 100 withdrawn: how much it is meant to weaken; sorts the set */
};

/* g[0] is normal, g[n-1] is withdrawn, sorted by strength. */
struct grade_set {
	struct grade g[STEER_GRADES];
	size_t n;
};

enum steer_mode { MODE_OBSERVE, MODE_STEER, MODE_FREEZE };

struct policy {
	double trigger_util;			  /* 0.85 */
	double urgent_util;			  /* 1.10 */
	double release_util;			  /* 0.65 */
	double receiver_max_util;		  /* 0.90 */
	int64_t settle_min_ms, settle_max_ms;	  /* 15 s, 60 s */
	int64_t restore_hold_ms;		  /* 10 min */
	int64_t no_return_ms;			  /* 15 min: no A-B-A on one (site, shard) */
	int64_t stale_ms;			  /* 5 s: older reports are silence */
	unsigned round_moves_max;		  /* 4 */
	double round_share_max, urgent_share_max; /* 0.10, 0.25 of all traffic per round */
	double excess_share_max;		  /* 0.60 of the excess per round */
	double weaken_share_max;		  /* 0.30: I2 */
	double announced_share_min;		  /* 0.50: I1 */
	unsigned changes_max;			  /* 6 in changes_window_ms: then hold and alert */
	int64_t changes_window_ms;		  /* 10 min */
	double ledger_max;			  /* 1000: half of damping's 2000; I6 */
	double drill_ledger_max; /* 3000: half of RFC 7196's 6000; a drill, its way back included */
	uint64_t seed;		 /* for jitter: input, not state */
};
/* The defaults above. */
void policy_default(struct policy *ret_policy);

struct snap_site {
	char name[STEER_NAME];
	bool healthy;	       /* >= 1 node reports, is in service and its bgpd has a neighbour */
	bool draining;	       /* by the operator or a drill: never a receiver */
	int64_t age_ms;	       /* of the oldest report that counts */
	double cap[RES_N];     /* of the healthy nodes; 0: not limited by this resource */
	double cap_all[RES_N]; /* of all configured nodes, for I1/I2/I4 shares */
	double max_node_util;  /* hottest node, any resource (already balanced by weights) */
	bool dropping;	       /* drops seen: load is a lower bound of demand */
	bool made_up;	       /* a drill multiplies its load: to be answered, not learned from */
};

struct snap_shard {
	char name[STEER_NAME], service[STEER_NAME];
	unsigned min_sites; /* >= 1; default 2 */
	uint8_t family;	    /* 4, 6, or 0 for both: models are kept apart */
};

/* One (site, shard): index site * n_shards + shard. */
struct snap_cell {
	double lo[RES_N], hi[RES_N]; /* offered load arriving here: an interval, equal when nothing drops */
	uint8_t grade;		     /* what the routers have (read back), index into the grade set */
	uint8_t wanted;		     /* what was last ordered; differs from grade while in flight */
	uint8_t base;		     /* what the document or the operator asks for when nothing is wrong */
	bool pinned;		     /* operator override or drill: not ours to move */
	bool announced;		     /* by at least one healthy node */
	bool drill_dead;	     /* a drill made its agents withdraw it, without an order */
};

struct snapshot {
	int64_t now_ms;
	enum steer_mode mode;
	const struct grade_set *grades;
	struct snap_site *sites;
	struct snap_shard *shards;
	struct snap_cell *cells;
	size_t n_sites, n_shards;
};

static inline struct snap_cell *snap_cell(const struct snapshot *s, size_t site, size_t shard)
{
	return &s->cells[site * s->n_shards + shard];
}

/* Some of it is a drill's invention. */
static inline bool snapshot_made_up(const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_sites; i++)
		if (s->sites[i].made_up)
			return true;
	return false;
}

enum move_kind { MOVE_SHED, MOVE_ATTRACT, MOVE_RESTORE, MOVE_ROLLBACK, MOVE_OPERATOR };

struct move {
	size_t site, shard; /* indices into the snapshot */
	uint8_t from, to;   /* grades */
	enum move_kind kind;
	double moved_lo, moved,
		moved_hi;     /* predicted load leaving (+) or coming (-), RES_BPS, 90 % interval */
	char why[STEER_TEXT]; /* one sentence with numbers */
};

struct site_forecast {
	double before, after_lo, after, after_hi; /* utilisation of the site, 90 % interval */
};

/* What a forecast is made of. */
struct forecast_basis {
	double lessons;	 /* measured shifts of the least known of what is weakened, old ones fading; 0: priors
			  */
	unsigned rounds; /* that the loads are averages of; few: something has changed just now */
};

enum plan_state {
	PLAN_CALM,    /* nothing to do */
	PLAN_WATCH,   /* above a threshold, not yet often enough, or settling */
	PLAN_ACT,     /* moves[] */
	PLAN_ABSORB,  /* hot, but no move helps enough: why says so */
	PLAN_CONTAIN, /* demand above capacity: attacked shards stay where they land */
	PLAN_HOLD,    /* a guard or a limit holds something back: why says which */
};

struct plan {
	enum plan_state state;
	char why[STEER_TEXT];
	struct move moves[STEER_MOVES];
	size_t n_moves;
	struct move refused[STEER_MOVES]; /* considered and not taken, most useful first; why says why not */
	size_t n_refused;
	struct site_forecast *sites; /* heap, n_sites of the snapshot; plan_done frees */
	double gap_pct;		     /* distance of the objective from a bound */
	double coverage_pct;	     /* measured coverage of 90 % intervals so far; 0: none yet */
};
void plan_done(struct plan *p);
const char *plan_state_str(enum plan_state s);
const char *move_kind_str(enum move_kind k);

/* The engine: learned model, ledger, in-flight moves, hysteresis. */
struct engine;
struct engine *engine_new(const struct policy *p);
void engine_free(struct engine *e);
void engine_set_policy(struct engine *e, const struct policy *p);
/* One round. Observes always (learns, counts), and proposes; the guard has already been applied to moves[].
 * In MODE_OBSERVE the plan is what would be done; in MODE_FREEZE there are no moves. The caller reports
 * what it really ordered through snap_cell.wanted of the next snapshot. */
void engine_step(struct engine *e, const struct snapshot *s, struct plan *ret_plan);
/* The operator's question: what if these moves were made now? ret_plan: forecast and the guard's view
 * (refused[]), nothing remembered. */
void engine_whatif(const struct engine *e, const struct snapshot *s, const struct move *moves, size_t n,
		   struct plan *ret_plan);
/* Utilisation per site after any number of moves made together, those of several sites of one shard too; no
 * guard is asked, nothing remembered. ret_sites: n_sites of the snapshot. */
void engine_forecast(const struct engine *e, const struct snapshot *s, const struct move *moves, size_t n,
		     struct site_forecast *ret_sites);
/* What it takes each site's own clients to ask for, bit/s, were all grades normal: by the snapshot's cells.
 */
void engine_homes(const struct engine *e, const struct snapshot *s, double *ret_bps);
/* What it has learned of grades; steer/shift.h. */
struct shift;
const struct shift *engine_model(const struct engine *e);
/* What that is made of. ret_noise: per site of the snapshot, the standard deviation of its utilisation by
 * itself, from one second to another. */
void engine_basis(const struct engine *e, const struct snapshot *s, const struct move *moves, size_t n,
		  struct forecast_basis *ret_basis, double *ret_noise);
/* State as text (one line per fact, versioned), for the store; and back. ERR_MALFORMED: nothing loaded. */
struct buf;
void engine_save(const struct engine *e, struct buf *out);
int engine_load(struct engine *e, const char *text, size_t len);

/* -- guard.c: independent of the engine; last before the wire ------------------------------------- */
enum guard_id {
	GUARD_OK,
	GUARD_I1,
	GUARD_I2,
	GUARD_I3,
	GUARD_I4,
	GUARD_I5,
	GUARD_I6,
	GUARD_I7,
	GUARD_I8,
	GUARD_I9,
	GUARD_I10,
	GUARD_MASS /* > 25 % of sites unhealthy within 60 s */
};
const char *guard_str(enum guard_id id);
enum guard_actor { ACTOR_ENGINE, ACTOR_ROLLBACK, ACTOR_OPERATOR, ACTOR_DRILL };
/* As whom the engine's plan goes to the guard: undoing answers to fewer rules (I9), and the guard sees for
 * itself that it undoes. */
enum guard_actor plan_actor(const struct plan *p);
struct guard_verdict {
	enum guard_id id;
	char why[STEER_TEXT]; /* a sentence naming shard, sites and numbers */
};
/* What the guard remembers between rounds (site health history for GUARD_MASS, ledger for I6). */
struct guard;
struct guard *guard_new(void);
void guard_free(struct guard *g);
/* Call once a round before any check. */
void guard_observe(struct guard *g, const struct policy *p, const struct snapshot *s);
/* All moves together. 0, or ERR_GUARD with the first violated invariant. */
int guard_check(const struct guard *g, const struct policy *p, const struct snapshot *s,
		const struct move *moves, size_t n, enum guard_actor actor,
		struct guard_verdict *ret_verdict);
/* Tells the guard that these moves were sent (ledger, in flight). */
void guard_commit(struct guard *g, const struct snapshot *s, const struct move *moves, size_t n);
/* I6's ledger for one (site, shard), after decay to now. */
double guard_ledger(const struct guard *g, const char *site, const char *shard, int64_t now_ms);
void guard_save(const struct guard *g, struct buf *out);
int guard_load(struct guard *g, const char *text, size_t len);

/* Permits: for each cell, may this site's nodes withdraw this shard by themselves? All permits of one
 * shard used at once still keep I1. held: currently outstanding permits (they cannot be recalled before
 * they expire), grants: filled, n_sites * n_shards. */
void guard_permits(const struct policy *p, const struct snapshot *s, const bool *held, bool *ret_grants);

/* -- balance.c: inside a site ---------------------------------------------------------------------- */
struct balance_node {
	bool usable;	   /* reports, healthy, announcing */
	double cap[RES_N]; /* 0: not limited */
	double util;	   /* hottest resource, offered / capacity */
	int weight;	   /* 1..100, now */
};
/* New weights 1..100. Proportional to capacity corrected by measured utilisation, damped, with a dead band:
 * on steady load it settles and then stops changing. Returns true when any weight should change.
 * usable nodes only; others keep their weight. */
bool balance_weights(const struct balance_node *nodes, size_t n, int *ret_weights);
/* The same for a site that is in no need: only when some node has far less than it should have. */
bool balance_give_back(const struct balance_node *nodes, size_t n, int *ret_weights);
/* The weight with which node i begins: its share of capacity among those that have one (weight 0: none yet),
 * so that its coming changes nobody else's. */
int balance_start(const struct balance_node *nodes, size_t n, size_t i);

/* -- pace.c: when weights are changed, and how calmly ----------------------------------------------- */
struct pace_node {
	double slow, calm; /* utilisation averaged since the weights last changed: over 10, over 30 rounds */
	unsigned rounds;   /* counted up to 30 */
	bool was_usable;
};
/* Of one site. All zero: new. */
struct pace {
	int64_t at_ms;	    /* the last change, or the last time the set of nodes changed */
	int64_t starved_ms; /* since when somebody has far too little; 0: nobody */
	int64_t calm_at_ms; /* the last time something was given back */
	int64_t patience_ms;
};
enum pace_why { PACE_STAY, PACE_BALANCE, PACE_GIVE_BACK };
/* Once a second. used: utilisation that the decision rests on; all_known: every usable node was measured.
 * When not PACE_STAY ret_weights are to be ordered, and are taken as ordered. */
enum pace_why pace_round(struct pace *p, struct pace_node *mem, const struct balance_node *nodes, size_t n,
			 bool all_known, int64_t now_ms, double *ret_used, int *ret_weights);
/* Weights were set by somebody else: what was measured with the old ones is forgotten. */
void pace_forget(struct pace *p, struct pace_node *mem, size_t n, int64_t now_ms);
#endif
