/* SPDX-License-Identifier: Apache-2.0
 * sluice-agent: wires the modules of one edge node; no decisions here. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "agent/node.h"
#include "proto/base/daemon.h"
#include "proto/base/log.h"

static const char usage[] =
	"Announces and withdraws anycast routes through FRR's bgpd by local health checks\n"
	"and, when a controller is configured, by its directives. Stopping it changes no\n"
	"announcement.\n";

static void stop(void *arg)
{
	node_free(arg);
}

static int print_config(const struct agent_config *cfg)
{
	auto_buf out = { 0 };

	if (agent_config_print(cfg, &out) < 0)
		return 1;
	fputs(out.data, stdout);
	return 0;
}

static int run(const struct agent_config *cfg)
{
	char why[CONF_WHY_LEN];
	struct node *node;
	uv_loop_t loop;

	uv_loop_init(&loop);
	if (node_new(&loop, cfg, &node, why) < 0) {
		log_error("%s", why);
		uv_loop_close(&loop);
		return 1;
	}
	log_info("node %s: %u services, %s", cfg->node, cfg->services_count,
		 cfg->controller ? "with a controller" : "alone");
	daemon_run(&loop, stop, node);
	uv_loop_close(&loop);
	return 0;
}

int main(int argc, char **argv)
{
	struct daemon_options o = daemon_options(argc, argv, "sluice-agent", "/etc/sluice/agent.yaml", usage);
	struct agent_config *cfg;
	enum log_level level;
	char why[CONF_WHY_LEN];
	int rc = 0;

	if (agent_config_load(o.config, &cfg, why) < 0) {
		fprintf(stderr, "sluice-agent: %s\n", why);
		return 1;
	}
	log_level_parse(cfg->log, &level);
	log_init("agent", level, getenv("JOURNAL_STREAM") != NULL);
	srandom((unsigned)(time(NULL) ^ getpid()));
	if (o.print)
		rc = print_config(cfg);
	else if (o.check)
		printf("%s: good\n", o.config);
	else
		rc = run(cfg);
	agent_config_free(cfg);
	return rc;
}
