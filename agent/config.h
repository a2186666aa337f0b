/* SPDX-License-Identifier: Apache-2.0
 * agent.yaml: what this node is, may announce and checks. See deploy/examples/agent.yaml and agent.yaml(5).
 */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H
#include "agent/service.h"
#include "proto/base/conf.h"

struct agent_controller {
	char **endpoints;
	unsigned endpoints_count;
	char *ca, *cert, *key;
};

struct agent_config {
	char *node, *state_dir, *log;
	char *socket;		      /* `sluice-agent status` and others speak to it; "": none */
	char *drills;		      /* "on", "off": what a drill simulates here is refused */
	char *metrics_file;	      /* Prometheus textfile; NULL: none */
	struct command_cfg *commands; /* what checks and hooks may run */
	unsigned commands_count;
	struct neighbour_cfg *neighbours;
	unsigned neighbours_count;
	struct agent_controller *controller; /* NULL: stand alone */
	struct {
		char *vty;
	} frr;
	struct {
		char **prefixes, **communities;
		unsigned prefixes_count, communities_count;
	} allow;
	struct {
		char **interfaces;
		unsigned interfaces_count;
		uint32_t interval_ms;
	} sample;
	struct service_cfg *services;
	unsigned services_count;

	/* parsed forms, filled by agent_config_load */
	struct prefix *prefixes; /* allow.prefixes */
	bool no_drills;
};

/* Reads, fills defaults, verifies. ret_why: CONF_WHY_LEN bytes, file, place and reason. */
int agent_config_load(const char *path, struct agent_config **ret_config, char *ret_why);
void agent_config_free(struct agent_config *c);
int agent_config_print(const struct agent_config *c, struct buf *out);
/* NULL: there is no such command */
struct command_cfg *agent_config_command(const struct agent_config *c, const char *name);
/* The index of the service that owns this prefix, or -1: a prefix without a service has no health. */
int agent_config_service_of(const struct agent_config *c, const struct prefix *p);
#endif
