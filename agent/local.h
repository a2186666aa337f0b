/* SPDX-License-Identifier: Apache-2.0
 * What only this machine's file and operator decide about services: who is disabled, addresses on an
 * interface, hooks. An address is there before its route is announced, and goes only after no neighbour has
 * the route. */
#ifndef AGENT_LOCAL_H
#define AGENT_LOCAL_H
#include "agent/config.h"

struct local;
/* services: cfg->services_count of them, in its order; both must outlive it or be replaced by local_reload.
 */
struct local *local_new(uv_loop_t *loop, const struct agent_config *cfg, struct service *const *services);
void local_reload(struct local *l, const struct agent_config *cfg, struct service *const *services);
/* A service changed: hooks, and addresses that are needed again. */
void local_service(struct local *l, const struct service *s, const char *reason);
/* What bgpd has now: addresses that are not needed any more may go. */
void local_routes(struct local *l, const struct route_state *routes, size_t n);
/* Now and then: addresses that somebody removed, disable files. */
void local_tick(struct local *l);
/* reason NULL: enable. 0 or negative with ret_why (TEXT_LEN). */
int local_disable(struct local *l, const char *service, const char *reason, char *ret_why);
void local_free(struct local *l);
#endif
