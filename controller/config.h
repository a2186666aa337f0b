/* SPDX-License-Identifier: Apache-2.0
 * controller.yaml. See deploy/examples/controller.yaml and controller.yaml(5). */
#ifndef CTRL_CONFIG_H
#define CTRL_CONFIG_H
#include "proto/base/addr.h"
#include "proto/base/conf.h"

struct ctrl_config {
	char *state_dir, *log;
	struct {
		char *listen;
	} agents;
	struct {
		char *listen, *tokens;
		uint32_t reads_per_s, writes_per_s; /* of one token */
	} api;
	struct {
		char *ca, *cert, *key;
	} tls;
	struct {
		char *cert, *key; /* of the enrolment CA; NULL: nodes get their certificates by hand */
		uint32_t life_s;  /* of what it signs */
	} enrol;
	struct {
		char *kind; /* "sqlite", "etcd" */
		char **endpoints;
		unsigned endpoints_count;
		char *prefix, *ca, *cert, *key, *user, *password_file;
		uint32_t lease_s;
		bool leave_compaction;
	} store;
	struct {
		char *agents, *api; /* where agents and operators reach this controller; with etcd */
	} advertise;
	/* parsed, filled by ctrl_config_load */
	struct sockaddr_storage agents_listen, api_listen;
};

/* ret_why: CONF_WHY_LEN bytes. */
int ctrl_config_load(const char *path, struct ctrl_config **ret_config, char *ret_why);
/* Keys that differ and count only after a restart, with ", " between. */
void ctrl_config_fixed(const struct ctrl_config *running, const struct ctrl_config *next,
		       struct buf *ret_keys);
void ctrl_config_free(struct ctrl_config *c);
int ctrl_config_print(const struct ctrl_config *c, struct buf *out);
#endif
