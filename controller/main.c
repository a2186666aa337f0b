/* SPDX-License-Identifier: Apache-2.0
 * sluice-controller: wires the modules; no decisions here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controller/api/api.h"
#include "controller/config.h"
#include "controller/enrol.h"
#include "controller/fleet.h"
#include "controller/rounds.h"
#include "controller/term.h"
#include "proto/base/daemon.h"
#include "proto/base/log.h"

static const char usage[] = "Receives load reports from sluice-agents and steers anycast traffic so that no\n"
			    "server is overwhelmed. Starts in mode observe; see sluicectl(1) mode.\n"
			    "Stopping it changes no announcement.\n";

struct app {
	struct controller c;
	struct api *api;
};

static void stop(void *arg)
{
	struct app *a = arg;

	if (a->api)
		api_free(a->api);
	if (a->c.rounds)
		rounds_free(a->c.rounds);
	if (a->c.fleet)
		fleet_free(a->c.fleet);
	if (a->c.term)
		term_stop(a->c.term);
	store_close(a->c.store); /* ends its thread, which calls term */
	a->c.store = NULL;
	term_free(a->c.term);
}

static void release(struct app *a)
{
	model_done(&a->c.model);
	enrol_free(a->c.enrol);
	if (a->c.events)
		events_free(a->c.events);
}

static int open_store(struct controller *c, const struct ctrl_config *cfg, struct tls_creds *creds,
		      char *ret_why)
{
	auto_free char *path = xasprintf("%s/sluice.db", cfg->state_dir);

	if (strcmp(cfg->store.kind, "etcd") == 0)
		return term_open(c, cfg, tls_creds_name(creds), &c->term, ret_why);
	return store_open_sqlite(path, &c->store, ret_why);
}

static int start_listening(struct app *a, const struct ctrl_config *cfg, struct tls_creds *creds,
			   char *ret_why)
{
	struct api_cfg api = { .listen = cfg->api_listen,
			       .ca = cfg->tls.ca,
			       .cert = cfg->tls.cert,
			       .key = cfg->tls.key,
			       .tokens = cfg->api.tokens };
	int err = fleet_new(&a->c, creds, (const struct sockaddr *)&cfg->agents_listen, &a->c.fleet, ret_why);

	if (err < 0)
		return err;
	a->c.rounds = rounds_new(&a->c);
	return api_new(&a->c, &api, &a->api, ret_why);
}

static int start_with(struct app *a, const struct ctrl_config *cfg, struct tls_creds *creds, char *ret_why)
{
	int err = open_store(&a->c, cfg, creds, ret_why);

	if (err < 0)
		return err;
	a->c.events = events_new(a->c.store);
	err = enrol_new(&a->c,
			&(struct enrol_cfg){ cfg->tls.ca, cfg->tls.cert, cfg->enrol.cert, cfg->enrol.key,
					     cfg->enrol.life_s },
			&a->c.enrol, ret_why);
	if (err < 0)
		return err;
	err = a->c.term ? 0 : control_load(&a->c, ret_why);
	if (err < 0)
		return err;
	err = start_listening(a, cfg, creds, ret_why);
	if (err < 0)
		return err;
	if (a->c.term)
		term_start(a->c.term);
	events_emit(a->c.events, NULL, 0, "controller.start", "info", NULL,
		    "controller started: epoch %lu, mode %s, %zu nodes", a->c.model.epoch,
		    steer_mode_str(a->c.model.mode), a->c.model.cl->n_nodes);
	return 0;
}

static int start(struct app *a, const struct ctrl_config *cfg, char *ret_why)
{
	struct tls_creds *creds;
	int err = tls_creds_load(cfg->tls.ca, cfg->tls.cert, cfg->tls.key, &creds, ret_why);

	if (err < 0)
		return err;
	err = start_with(a, cfg, creds, ret_why);
	tls_creds_unref(creds);
	return err;
}

static int run(const struct ctrl_config *cfg)
{
	char why[CONF_WHY_LEN];
	struct app a = { 0 };
	uv_loop_t loop;

	uv_loop_init(&loop);
	a.c.loop = &loop;
	model_init(&a.c.model, cluster_empty());
	int err = start(&a, cfg, why);
	if (err < 0) {
		log_error("%s", why);
		stop(&a);
		uv_run(&loop, UV_RUN_DEFAULT);
	} else {
		daemon_run(&loop, stop, &a);
	}
	release(&a);
	uv_loop_close(&loop);
	return err < 0;
}

static int print_config(const struct ctrl_config *cfg)
{
	auto_buf out = { 0 };

	if (ctrl_config_print(cfg, &out) < 0)
		return 1;
	fputs(out.data, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct daemon_options o =
		daemon_options(argc, argv, "sluice-controller", "/etc/sluice/controller.yaml", usage);
	struct ctrl_config *cfg;
	enum log_level level;
	char why[CONF_WHY_LEN];
	int rc = 0;

	if (ctrl_config_load(o.config, &cfg, why) < 0) {
		fprintf(stderr, "sluice-controller: %s\n", why);
		return 1;
	}
	log_level_parse(cfg->log, &level);
	log_init("controller", level, getenv("JOURNAL_STREAM") != NULL);
	srandom((unsigned)(time(NULL) ^ getpid()));
	if (o.print)
		rc = print_config(cfg);
	else if (o.check)
		printf("%s: good\n", o.config);
	else
		rc = run(cfg);
	ctrl_config_free(cfg);
	return rc;
}
