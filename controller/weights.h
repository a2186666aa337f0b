/* SPDX-License-Identifier: Apache-2.0
 * The weights of a site's nodes among themselves, brought into the model and out of it. What they should be
 * is balance_weights' to say, and when they are changed pace_round's. */
#ifndef CTRL_WEIGHTS_H
#define CTRL_WEIGHTS_H
#include "controller/control.h"

/* Once a round. */
void weights_round(struct controller *c, size_t site);
/* What the balancer sees of a site. ret: n_nodes each, in the site's order. True: every usable node was
 * measured. */
bool weights_look(const struct model *m, size_t site, mono_t now, struct balance_node *ret_nodes,
		  struct pace_node *ret_mem);
/* Orders these, 1..100 (0: as it is), and forgets what was measured before. */
void weights_set(struct controller *c, size_t site, const int *weights, const char *why);
#endif
