/* SPDX-License-Identifier: Apache-2.0
 * The live picture: what the document says exists, joined with what agents report. Owned by the loop's
 * thread; fleet writes it from reports, rounds writes what was decided, api only reads.
 * Everything that is shown carries its age: *_at are monotonic, unset when never. */
#ifndef CTRL_MODEL_H
#define CTRL_MODEL_H
#include "controller/cluster.h"
#include "controller/drain.h"
#include "proto/base/mono.h"

struct meter;

struct drain {
	bool on; /* stage is not DRAIN_OFF */
	enum drain_stage stage;
	bool keep; /* stays at the drain grade, is not withdrawn */
	char reason[TEXT_LEN], actor[NAME_LEN];
	mono_t since, stage_since;
	int64_t expires_wall_ms;	  /* 0: until undrained; to be shown and stored */
	mono_t expires_at;		  /* the same, and what counts: see model_deadline */
	int64_t wait_ms;		  /* then it is withdrawn however much is left */
	double residual;		  /* of load_before_bps: below it the fall is complete */
	double load_before_bps, load_bps; /* at the start; in the last round */
	char held[STEER_TEXT];		  /* what holds the withdrawal back; "" when nothing does */
};

/* An operator's hand on one (site, shard) or on a node's weight for one shard. Known by names: it may outlive
 * the document it was made for. */
struct override {
	char id[3 * NAME_LEN]; /* "grade:SITE:SHARD" or "weight:NODE:SHARD" */
	char place[NAME_LEN];  /* site, or node */
	char shard[NAME_LEN];
	char grade[NAME_LEN]; /* "": it is a weight */
	int weight;
	char reason[TEXT_LEN], actor[NAME_LEN];
	int64_t since_wall_ms;
	int64_t expires_wall_ms;       /* 0: until deleted */
	int64_t confirm_by_wall_ms;    /* 0: confirmed; else it reverts by itself then */
	mono_t expires_at, confirm_at; /* the same, and what counts: see model_deadline */
	bool held;		       /* its end was refused and said so */
};

/* One (node, shard). */
struct node_shard {
	bool seen;	/* the node has reported this shard's routes */
	bool announced; /* read back by the agent from its RIB-out: every prefix of the shard */
	uint8_t grade;	/* what the routers have */
	uint32_t weight, neighbours;
	int weight_pin;	      /* by an override; 0: none */
	uint32_t hand_weight; /* of the last hand that ended, and may be at the routers still; 0: none */
	char error[TEXT_LEN];
	double in_bps, out_bps, pps, syn_rate; /* measured */
	double lo[RES_N], hi[RES_N];	       /* offered */
	bool service_up;
	bool grant;		/* a permit is wanted for it */
	bool permit_known;	/* a report answered to a directive of this epoch: older permits are gone */
	bool permit;		/* may be held by the agent, or used */
	uint64_t permit_end_us; /* on the agent's own clock (boot_us of its reports) */
	mono_t permit_until;	/* about the same on ours: to be shown, not to be believed */
	uint64_t revoke_seq;	/* directive that took it back; 0: none */
	bool told_withdrawn;	/* by the last directive that named it */
	bool drill_away;	/* a drill withdraws it here, others of the site carry on */
	bool drill_dead;	/* a drill has the agent take it for dead */
};

/* It may withdraw by itself, or have done so unheard: nobody counts on it. */
static inline bool node_shard_may_go(const struct node_shard *ns)
{
	return ns->permit || !ns->permit_known;
}

struct node_live {
	bool connected;
	char addr[NAME_LEN], version[NAME_LEN], boot_id[NAME_LEN];
	mono_t connected_at, report_at;
	bool bgp_ok, service_up; /* service_up: every service it runs is up */
	char service_reason[TEXT_LEN];
	double load[RES_N]; /* offered (>= what was carried when the link drops) */
	double carried_bps;
	double util;	       /* hottest resource, load / capacity */
	struct pace_node pace; /* what the balancer remembers of it */
	bool measured;	       /* rates are known since the agent connected */
	bool dropping;
	int weight; /* 1..100 as ordered or adopted; 0: not known yet */
	struct drain drain;
	struct node_shard *shards; /* n_shards */
	uint64_t applied_seq, sent_seq;
	char applied_error[TEXT_LEN];
	struct meter *meter; /* counters -> rates */
	bool no_drills;	     /* its agent refuses to simulate */
	bool drill_mute, drill_deaf;
	char drill_dead[NAME_LEN]; /* a drill has the agent take this service for dead; "*": all of them */
	double surge;		   /* a drill sees its load multiplied; 0: as it is */
};

struct site_live {
	bool healthy, dropping;
	double load[RES_N], cap[RES_N], util; /* of healthy nodes */
	mono_t report_at;		      /* oldest that counts */
	struct drain drain;
	bool drilled; /* never a receiver meanwhile */
	struct pace pace;
};

/* One (site, shard). */
struct cell_live {
	uint8_t base; /* what the operator's hand wants: normal, a drain's stage, an override's grade */
	bool pinned;  /* by an override, to grade pin */
	uint8_t pin;
	bool ordered;	/* we have said what we want here; until then nothing is sent: observe touches nothing
			 */
	uint8_t wanted; /* what was ordered */
	uint8_t grade;	/* the weakest any announcing node really has; withdrawn when none announces */
	bool announced;
	bool drilled;	   /* a drill's until it is restored: steering keeps off */
	bool may_withdraw; /* I1 holds without it, all permits used: a withdrawal may go out */
	bool unsaved;	   /* the store does not have it yet */
	mono_t changed_at;
	char why[STEER_TEXT]; /* of the last change */
	double lo[RES_N], hi[RES_N];
};

/* What a cell is meant to be: as ordered, or as it is while nobody ordered anything. */
static inline uint8_t cell_order(const struct cell_live *c)
{
	return c->ordered ? c->wanted : c->grade;
}

struct model {
	struct cluster *cl;
	struct node_live *nodes;
	struct site_live *sites;
	struct cell_live *cells;       /* site * n_shards + shard */
	struct drain **service_drains; /* site * n_services + service; NULL: none */
	struct override *overrides;    /* n_overrides, in the order they were made */
	size_t n_overrides;
	enum steer_mode mode;
	char mode_reason[TEXT_LEN];
	uint64_t epoch;
	mono_t started_at;
	mono_t term_at; /* since when this controller gives the orders */
	char drill[16]; /* id of the drill under way, "": none */
};

void model_init(struct model *m, struct cluster *cl);
/* Takes a new document: live state of what still exists by name is kept. Frees the old document. */
void model_set_cluster(struct model *m, struct cluster *cl);
void model_done(struct model *m);
static inline struct cell_live *model_cell(const struct model *m, size_t site, size_t shard)
{
	return &m->cells[site * m->cl->n_shards + shard];
}
/* What the operator asks of a cell. An override beats the site's drain, that the service's; a site of which
 * every node is drained is drained. */
struct hand {
	uint8_t base;
	bool exact;	 /* neither weaker nor stronger (override) */
	bool held;	 /* not the engine's to move */
	const char *why; /* "" when nobody's hand is on it; lives as long as the model is not changed */
};
struct hand model_hand(const struct model *m, size_t site, size_t shard);
/* The cell is ordered so. What is weaker than a drain stays so; an override is meant as it says. */
bool model_hand_done(const struct model *m, const struct cell_live *cell, const struct hand *h);
/* The hand has moved (drain, override, their end) since base was set: that is an order, in every mode but
 * freeze. */
bool model_hand_moved(const struct model *m, const struct cell_live *cell, const struct hand *h);
/* Other nodes of its site carry this shard in good health. */
bool model_carried(const struct model *m, size_t node, size_t shard);
/* Other nodes of its site carry this shard in good health, and one of them surely stays, or the whole site
 * may go. */
bool model_covered(const struct model *m, size_t node, size_t shard);
/* Puts the overrides on the cells and weights they name; after a change of the document, or of all of them.
 */
void model_pin(struct model *m);
/* The same for one of them that came or goes: there is never a second of the same cell or weight. */
void model_pin_one(struct model *m, const struct override *o, bool on);
/* A deadline made at since_wall_ms (by the wall clock, which goes on while no controller runs) as one that no
 * step of that clock moves from here on. A clock that was wrong at the start puts it off by no more than it
 * was long. Unset: wall_ms is 0. */
mono_t model_deadline(int64_t wall_ms, int64_t since_wall_ms);
static inline bool model_is_over(mono_t deadline, mono_t now)
{
	return mono_is_set(deadline) && mono_diff_ms(deadline, now) > 0;
}
/* The weight a node has by its routers, where we do not know one: a restarted controller changes nothing. Not
 * what a hand put there (an override, a drain), which must not outlive the hand. */
void model_adopt_weight(struct node_live *n, size_t shard);
const char *steer_mode_str(enum steer_mode mode); /* "observe", "steer", "freeze" */
int steer_mode_parse(const char *s, enum steer_mode *ret_mode);
#endif
