/* SPDX-License-Identifier: Apache-2.0
 * From the live model to what the engine sees. Pure but for the monotonic time it is given.
 * First it sums nodes into sites and cells of the model, then it copies those into a snapshot. */
#ifndef CTRL_OBSERVE_H
#define CTRL_OBSERVE_H
#include "controller/model.h"

/* A node counts when its report is fresh, bgpd has a neighbour and it is not drained. */
bool observe_node_fresh(const struct model *m, size_t node, mono_t now);
/* Fills sites[] and cells[] of the model from its nodes. */
void observe_sum(struct model *m, mono_t now);
/* ret: arrays are heap, sized by the model; observe_done frees them. */
void observe_snapshot(const struct model *m, mono_t now, struct snapshot *ret_snapshot);
void observe_done(struct snapshot *s);
/* What the balancer sees of a site. ret: n_nodes each, in the site's order. True: every usable node was
 * measured. */
bool observe_balance(const struct model *m, size_t site, mono_t now, struct balance_node *ret_nodes,
		     struct pace_node *ret_mem);
#endif
