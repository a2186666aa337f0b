/* SPDX-License-Identifier: Apache-2.0
 * What this node does with one prefix, given what it was told, how its service is, and whether it may
 * withdraw by itself. Pure: a table in which every combination is decided.
 * The rule behind it: silence never withdraws; a dead service is withdrawn at once with a permit, after
 * asking without one; what is withdrawn stays withdrawn until the service is really back. */
#ifndef AGENT_FAILSAFE_H
#define AGENT_FAILSAFE_H
#include "agent/frr/route.h"
#include "agent/service.h"

enum fs_order { FS_NONE, FS_ANNOUNCE, FS_WITHDRAW };
enum fs_action {
	FS_LEAVE, /* do not touch what bgpd has */
	FS_DO_ANNOUNCE,
	FS_DO_WITHDRAW,
	FS_ASK, /* keep announcing, ask the controller for a permit */
};

struct fs_input {
	enum fs_order order;
	enum service_status health;
	bool permit;	/* valid now */
	bool announced; /* now */
};

enum fs_action failsafe_decide(const struct fs_input *in);
const char *failsafe_action_str(enum fs_action a);

/* The route an intent asks for, before health has its say. Communities are checked against allow
 * (65535:0 is always allowed: drain needs it). ERR_NOT_ALLOWED with ret_why (TEXT_LEN) otherwise. */
int failsafe_route(const struct shard_intent *in, const struct prefix *p, char *const *allow, size_t n_allow,
		   struct route_want *ret_want, char *ret_why);
#endif
