/* SPDX-License-Identifier: Apache-2.0
 * What node.c (deciding), node_reload.c (another configuration, the end) and node_view.c (showing it) share.
 * Nobody else includes this. */
#ifndef AGENT_NODE_INT_H
#define AGENT_NODE_INT_H
#include "agent/apply.h"
#include "agent/failsafe.h"
#include "agent/identity.h"
#include "agent/local.h"
#include "agent/node.h"
#include "agent/orders.h"
#include "agent/sample/sample.h"
#include "agent/session.h"
#include "agent/simulate.h"
#include "agent/uplink.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "dev"
#endif

/* One prefix of the configuration. */
struct slot {
	struct prefix prefix;
	int service;	/* index; -1: none any more, it is withdrawn */
	unsigned index; /* of the prefix in its service */
	mono_t asked_at;
	enum fs_action last;
	char refused[TEXT_LEN]; /* why the intent was not taken */
};

struct node {
	uv_loop_t *loop;
	const struct agent_config *cfg;
	char *state_dir; /* of the first configuration */
	struct apply *apply;
	struct service **services;
	struct sampler *sampler;
	struct session *session;
	struct local *local;
	struct slot *slots;
	size_t n_slots;
	struct orders *orders;
	struct simulated simulated; /* by a drill */
	struct uplink uplink;
	char boot_id[NAME_LEN];
	uv_timer_t tick;
	struct identity *identity; /* NULL: alone */
	mono_t started_at;
	bool stopping; /* services with on_stop: withdraw are on their way out */
	mono_t stop_by;
	char bgpd[TEXT_LEN]; /* why bgpd does not answer, "": it does */
	unsigned reloads;
};

void node_decide(struct node *n);
/* node.c: pieces that a reload makes anew */
void node_make_slots(struct node *n);
/* Takes id: who we are from now on; NULL: alone. */
void node_be(struct node *n, struct identity *id);
void node_load_orders(struct node *n);
void node_start_sampler(struct node *n);
void node_start_apply(struct node *n);
void node_on_service(struct service *s, enum service_status from, enum service_status to, const char *reason,
		     void *arg);
/* node_reload.c */
bool node_is_parting(const struct node *n, const struct slot *s);
void node_stop_tick(struct node *n);
#endif
