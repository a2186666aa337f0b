/* SPDX-License-Identifier: Apache-2.0
 * A running cluster's copy in the simulator, and the loss of a part of it. Sites, shards, capacities, present
 * loads and grades are the cluster's; how its clients would answer to other grades is drawn from what the
 * engine has learned, as widely as it is unsure: one seed, one possible Internet. All resources are
 * simulated, as so much per bit/s of a shard. Nodes of a site are one pool. Pure. */
#ifndef SIM_LIVE_H
#define SIM_LIVE_H
#include "controller/sim/world.h"

struct shift;

enum live_fate {
	FATE_KEPT,
	FATE_GONE,  /* the site announces the shard no more */
	FATE_STAYS, /* it does, though nobody there serves it: no permit to withdraw */
	FATE_THIN,  /* only what is left of the site's capacity serves it */
};

struct live_loss {
	size_t site;
	bool dark;   /* all of the site: it says nothing any more */
	bool silent; /* a node does: the controller's picture of the site ages, and keeps the node's load */
	bool blind_all;	     /* no node of the site is in service any more, to the controller */
	double gone[RES_N];  /* capacity of the site that is not there any more */
	double blind[RES_N]; /* ... that the controller takes for out of service: a service of the node is
				dead */
	double thin[RES_N];  /* ... that does not serve shards of FATE_THIN any more */
	uint8_t *fate;	     /* per shard, enum live_fate */
	double *frozen;	     /* per shard, bit/s the silent node last spoke of */
};
void live_loss_init(struct live_loss *l, size_t shards);
void live_loss_done(struct live_loss *l);

struct live {
	const struct snapshot *now; /* borrowed, as the others */
	const struct policy *policy;
	const struct live_loss *loss;
	struct catch *family[3]; /* 0, 4, 6; NULL: no shard is of it */
	double *ratio;		 /* [shard][RES_N], per bit/s */
	double *skew;		 /* per site */
	bool *mute;		 /* per site: silent from the start */
	/* measured by the last tick, bit/s; what is not of them, nor served, lands nowhere */
	double late;	/* on the way still to what is not announced there any more */
	double dropped; /* by sites with too little capacity */
	double dead;	/* where nobody serves it */
};

/* homes: as engine_homes. The loss comes at sc->from; sc->twist is TW_LOSS. world_free, then live_free. */
struct world *live_world(const struct live *in, const struct shift *model, const double *homes,
			 const struct scenario *sc, uint64_t seed, struct live *ret_live);
void live_done(struct live *l);
/* A deep copy; report_snapshot_free frees it. */
struct snapshot *live_snapshot(const struct snapshot *s);
#endif
