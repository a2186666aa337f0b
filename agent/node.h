/* SPDX-License-Identifier: Apache-2.0
 * This node: joins the last directive, the services' health and what bgpd has into what should be announced.
 * Owns the parts (apply, services, sampler, session) and the memory of orders and permits. Whatever changes,
 * node_decide() runs the same table (failsafe.h) over every allowed prefix. */
#ifndef AGENT_NODE_H
#define AGENT_NODE_H
#include <jansson.h>

#include "agent/config.h"

struct node;
/* ret_why: CONF_WHY_LEN bytes. cfg must outlive the node or be replaced by node_reload. */
int node_new(uv_loop_t *loop, const struct agent_config *cfg, struct node **ret_node, char *ret_why);
/* Goes on under cfg: checks that are the same keep their state, routes do not flap. On error nothing changed.
 */
int node_reload(struct node *n, const struct agent_config *cfg, char *ret_why);
/* Closes everything; freed by the loop. Changes no announcement, but for services with on_stop: withdraw:
 * those are withdrawn first, for which it takes up to NODE_STOP_MS. */
#define NODE_STOP_MS 3000
void node_stop(struct node *n);

/* Everything that is worth knowing, each state with its age in ms. The caller's. */
json_t *node_status(const struct node *n);
/* reason NULL: enable. 0 or negative with ret_why (TEXT_LEN). */
int node_disable(struct node *n, const char *service, const char *reason, char *ret_why);
#endif
