/* SPDX-License-Identifier: Apache-2.0
 * sluice-controller: wires the modules; no decisions here. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "controller/api/api.h"
#include "controller/backup.h"
#include "controller/config.h"
#include "controller/drill/drill.h"
#include "controller/enrol.h"
#include "controller/fleet.h"
#include "controller/rounds.h"
#include "controller/term.h"
#include "proto/base/daemon.h"
#include "proto/base/log.h"

static const char usage[] = "Receives load reports from sluice-agents and steers anycast traffic so that no\n"
			    "server is overwhelmed. Starts in mode observe; see sluicectl(1) mode.\n"
			    "Stopping it changes no announcement. SIGHUP reads the configuration again.\n";

struct app {
	struct controller c;
	struct api *api;
	const char *path;		   /* of the configuration */
	const struct ctrl_config *started; /* what needs a restart is as in here */
	struct ctrl_config *reloaded;	   /* the last that was taken; NULL: started */
	uv_signal_t hup;
};

static void stop(void *arg)
{
	struct app *a = arg;

	uv_close((uv_handle_t *)&a->hup, NULL);
	if (a->api)
		api_free(a->api);
	if (a->c.drills)
		drills_free(a->c.drills);
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
	if (a->reloaded)
		ctrl_config_free(a->reloaded);
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

static struct api_cfg api_of(const struct ctrl_config *cfg)
{
	return (struct api_cfg){ .listen = cfg->api_listen,
				 .ca = cfg->tls.ca,
				 .cert = cfg->tls.cert,
				 .key = cfg->tls.key,
				 .reads_per_s = cfg->api.reads_per_s,
				 .writes_per_s = cfg->api.writes_per_s,
				 .tokens = cfg->api.tokens };
}

static struct enrol_cfg enrol_of(const struct ctrl_config *cfg)
{
	return (struct enrol_cfg){ cfg->tls.ca, cfg->tls.cert, cfg->enrol.cert, cfg->enrol.key,
				   cfg->enrol.life_s };
}

static int start_listening(struct app *a, const struct ctrl_config *cfg, struct tls_creds *creds,
			   char *ret_why)
{
	struct api_cfg api = api_of(cfg);
	int err = fleet_new(&a->c, creds, (const struct sockaddr *)&cfg->agents_listen, &a->c.fleet, ret_why);

	if (err < 0)
		return err;
	a->c.rounds = rounds_new(&a->c);
	a->c.drills = drills_new(&a->c);
	return api_new(&a->c, &api, &a->api, ret_why);
}

static int start_with(struct app *a, const struct ctrl_config *cfg, struct tls_creds *creds, char *ret_why)
{
	int err = open_store(&a->c, cfg, creds, ret_why);

	if (err < 0)
		return err;
	a->c.events = events_new(a->c.store);
	struct enrol_cfg enrol = enrol_of(cfg);
	err = enrol_new(&a->c, &enrol, &a->c.enrol, ret_why);
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

/* -- SIGHUP ------------------------------------------------------------------------------------------ */

/* Everything that can fail first; then nothing does. */
static int take(struct app *a, const struct ctrl_config *cfg, char *ret_why)
{
	struct api_cfg api = api_of(cfg);
	struct enrol_cfg enrol = enrol_of(cfg);
	struct tls_creds *creds;
	enum log_level level;
	int err = tls_creds_load(cfg->tls.ca, cfg->tls.cert, cfg->tls.key, &creds, ret_why);

	if (err < 0)
		return err;
	err = api_prepare(a->api, &api, ret_why);
	if (err == 0) {
		err = enrol_reload(a->c.enrol, &enrol, ret_why);
		if (err < 0)
			api_revert(a->api);
	}
	if (err == 0) {
		fleet_set_creds(a->c.fleet, creds);
		fleet_trust(a->c.fleet);
		api_commit(a->api, &api);
		log_level_parse(cfg->log, &level);
		log_init("controller", level, getenv("JOURNAL_STREAM") != NULL);
	}
	tls_creds_unref(creds);
	return err;
}

static int reload(struct app *a, char *ret_why)
{
	struct ctrl_config *cfg;
	auto_buf fixed = { 0 };
	int err = ctrl_config_load(a->path, &cfg, ret_why);

	if (err < 0)
		return err;
	err = take(a, cfg, ret_why);
	if (err < 0) {
		ctrl_config_free(cfg);
		return err;
	}
	ctrl_config_fixed(a->started, cfg, &fixed);
	if (fixed.len)
		events_emit(a->c.events, NULL, 0, "controller.reload", "warning",
			    json_pack("{s:s}", "needs_restart", fixed.data),
			    "configuration reloaded; needs a restart to count: %s", fixed.data);
	else
		events_emit(a->c.events, NULL, 0, "controller.reload", "info", NULL,
			    "configuration reloaded");
	if (a->reloaded)
		ctrl_config_free(a->reloaded);
	a->reloaded = cfg;
	return 0;
}

static void on_hup(uv_signal_t *s, int signum)
{
	struct app *a = s->data;
	char why[CONF_WHY_LEN];

	(void)signum;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)mono_now().us);
	if (reload(a, why) < 0)
		events_emit(a->c.events, NULL, 0, "controller.reload", "alert", NULL,
			    "not reloaded, the former configuration goes on: %s", why);
	sd_notify(0, "READY=1");
}

static int run(const char *path, const struct ctrl_config *cfg)
{
	char why[CONF_WHY_LEN];
	struct app a = { .path = path, .started = cfg };
	uv_loop_t loop;

	daemon_prepare();
	uv_loop_init(&loop);
	a.c.loop = &loop;
	uv_signal_init(&loop, &a.hup);
	a.hup.data = &a;
	model_init(&a.c.model, cluster_empty());
	int err = start(&a, cfg, why);
	if (err < 0) {
		log_error("%s", why);
		stop(&a);
		uv_run(&loop, UV_RUN_DEFAULT);
	} else {
		uv_signal_start(&a.hup, on_hup, SIGHUP);
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

/* What was done, or why not, in one line. */
static int move_state(int (*fn)(const struct ctrl_config *, const char *, char *),
		      const struct ctrl_config *cfg, const char *file)
{
	char text[CONF_WHY_LEN] = "";
	int err = fn(cfg, file, text);

	fprintf(err < 0 ? stderr : stdout, "%s%s\n", err < 0 ? "sluice-controller: " : "", text);
	return err < 0;
}

int main(int argc, char **argv)
{
	const char *backup = NULL, *restore = NULL;
	const struct daemon_extra extras[] = {
		{ "backup", "FILE", "copy the whole state into FILE, also of a running controller, and exit",
		  &backup },
		{ "restore", "FILE", "replace the state by FILE's, with no controller running, and exit",
		  &restore },
		{ 0 },
	};
	struct daemon_options o = daemon_options_with(argc, argv, "sluice-controller",
						      "/etc/sluice/controller.yaml", usage, extras);
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
	else if (backup)
		rc = move_state(backup_make, cfg, backup);
	else if (restore)
		rc = move_state(backup_restore, cfg, restore);
	else
		rc = run(o.config, cfg);
	ctrl_config_free(cfg);
	return rc;
}
