/* SPDX-License-Identifier: Apache-2.0
 * The live picture: what the document says exists, joined with what agents report. Owned by the loop's
 * thread; fleet writes it from reports, rounds writes what was decided, api only reads.
 * Everything that is shown carries its age: *_at are monotonic, unset when never. */
#ifndef CTRL_MODEL_H
#define CTRL_MODEL_H
#include "controller/cluster.h"
#include "proto/base/mono.h"

struct meter;

struct drain {
	bool on;
	char reason[TEXT_LEN], actor[NAME_LEN];
	mono_t since;
	int64_t expires_wall_ms; /* 0: until undrained */
};

/* One (node, shard). */
struct node_shard {
	bool seen;	/* the node has reported this shard's routes */
	bool announced; /* read back by the agent from its RIB-out: every prefix of the shard */
	uint8_t grade;	/* what the routers have */
	uint32_t weight, neighbours;
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
	double util;	  /* hottest resource, load / capacity */
	double util_slow; /* averaged since the weights last changed, over 10 rounds at most */
	unsigned slow_rounds;
	bool measured;	 /* rates are known since the agent connected */
	bool was_usable; /* in the last round, to the balancer */
	bool dropping;
	int weight; /* 1..100 as ordered or adopted; 0: not known yet */
	struct drain drain;
	struct node_shard *shards; /* n_shards */
	uint64_t applied_seq, sent_seq;
	char applied_error[TEXT_LEN];
	struct meter *meter; /* counters -> rates */
};

struct site_live {
	bool healthy, dropping;
	double load[RES_N], cap[RES_N], util; /* of healthy nodes */
	mono_t report_at;		      /* oldest that counts */
	struct drain drain;
};

/* One (site, shard). */
struct cell_live {
	uint8_t base;	/* normal, or drain while drained */
	bool ordered;	/* we have said what we want here; until then nothing is sent: observe touches nothing
			 */
	uint8_t wanted; /* what was ordered */
	uint8_t grade;	/* the weakest any announcing node really has; withdrawn when none announces */
	bool announced;
	bool may_withdraw; /* I1 holds without it, all permits used: a withdrawal may go out */
	mono_t changed_at;
	char why[STEER_TEXT]; /* of the last change */
	double lo[RES_N], hi[RES_N];
};

struct model {
	struct cluster *cl;
	struct node_live *nodes;
	struct site_live *sites;
	struct cell_live *cells; /* site * n_shards + shard */
	enum steer_mode mode;
	char mode_reason[TEXT_LEN];
	uint64_t epoch;
	mono_t started_at;
};

void model_init(struct model *m, struct cluster *cl);
/* Takes a new document: live state of what still exists by name is kept. Frees the old document. */
void model_set_cluster(struct model *m, struct cluster *cl);
void model_done(struct model *m);
static inline struct cell_live *model_cell(const struct model *m, size_t site, size_t shard)
{
	return &m->cells[site * m->cl->n_shards + shard];
}
const char *steer_mode_str(enum steer_mode mode); /* "observe", "steer", "freeze" */
int steer_mode_parse(const char *s, enum steer_mode *ret_mode);
#endif
