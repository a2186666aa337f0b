/* SPDX-License-Identifier: Apache-2.0
 * This node: joins the last directive, the services' health and what bgpd has into what should be announced.
 * Owns the parts (apply, services, sampler, session) and the memory of orders and permits. Whatever changes,
 * node_decide() runs the same table (failsafe.h) over every allowed prefix. */
#ifndef AGENT_NODE_H
#define AGENT_NODE_H
#include "agent/config.h"

struct node;
/* ret_why: CONF_WHY_LEN bytes. cfg must outlive the node. */
int node_new(uv_loop_t *loop, const struct agent_config *cfg, struct node **ret_node, char *ret_why);
/* Closes everything, changes no announcement; freed by the loop. */
void node_free(struct node *n);
#endif
