/* SPDX-License-Identifier: Apache-2.0
 * sluice-agent: wires the modules of one edge node; no decisions here. Without a command it is the daemon;
 * commands are rows of a table (command.h). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "agent/command.h"
#include "agent/control.h"
#include "agent/metrics.h"
#include "agent/node.h"
#include "proto/base/daemon.h"
#include "proto/base/log.h"

#define METRICS_MS 5000

struct agent {
	uv_loop_t loop;
	const char *path;
	struct agent_config *cfg;
	struct node *node;
	struct control *control; /* NULL: the socket could not be made */
	uv_signal_t hup;
	uv_timer_t metrics;
	bool metrics_failed; /* said already */
};

static const char usage[] =
	"Announces and withdraws anycast routes through FRR's bgpd by local health checks\n"
	"and, when a controller is configured, by its directives. Stopping it changes no\n"
	"announcement, unless on_stop says so. SIGHUP reads the configuration again.\n\n"
	"commands: enroll, status, disable, enable, reload, metrics, import, lost\n"
	"          (sluice-agent COMMAND --help)\n";

static int print_config(const struct agent_config *cfg)
{
	auto_buf out = { 0 };

	if (agent_config_print(cfg, &out) < 0)
		return 1;
	fputs(out.data, stdout);
	return 0;
}

/* -- reload: all or nothing -------------------------------------------------------------------------- */

static int reload(struct agent *a, char *ret_why)
{
	struct agent_config *cfg;
	enum log_level level;
	int err = agent_config_load(a->path, &cfg, ret_why);

	if (err < 0)
		return err;
	err = node_reload(a->node, cfg, ret_why);
	if (err < 0) {
		agent_config_free(cfg);
		return err;
	}
	agent_config_free(a->cfg);
	a->cfg = cfg;
	log_level_parse(cfg->log, &level);
	log_init("agent", level, getenv("JOURNAL_STREAM") != NULL);
	return 0;
}

static int reload_and_say(struct agent *a, char *ret_why)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)mono_now().us);
	int err = reload(a, ret_why);
	if (err < 0)
		log_error("not reloaded, the former configuration goes on: %s", ret_why);
	else
		log_info("reloaded: %u services", a->cfg->services_count);
	sd_notify(0, "READY=1");
	return err;
}

static void on_hup(uv_signal_t *s, int signum)
{
	char why[CONF_WHY_LEN];

	(void)signum;
	reload_and_say(s->data, why);
}

/* -- the local socket -------------------------------------------------------------------------------- */

static json_t *refusal(const char *why)
{
	return json_pack("{ss}", "error", why);
}

static json_t *ask_status(struct agent *a, const json_t *request)
{
	(void)request;
	return node_status(a->node);
}

static json_t *ask_metrics(struct agent *a, const json_t *request)
{
	json_auto_t *status = node_status(a->node);
	auto_buf text = { 0 };

	(void)request;
	metrics_text(status, &text);
	return json_string(text.data);
}

static json_t *switch_service(struct agent *a, const json_t *request, const char *reason)
{
	const char *service = json_string_value(json_object_get(request, "service"));
	char why[TEXT_LEN];

	if (!service)
		return refusal("service: missing");
	int err = node_disable(a->node, service, reason, why);
	if (err < 0)
		return refusal(why);
	if (reason)
		log_warn("service %s: disabled by the operator: %s", service, reason);
	else
		log_warn("service %s: enabled by the operator", service);
	return json_pack("{sb}", "ok", 1);
}

static json_t *ask_disable(struct agent *a, const json_t *request)
{
	const char *reason = json_string_value(json_object_get(request, "reason"));

	if (!reason || !*reason || strlen(reason) >= TEXT_LEN || strpbrk(reason, "\r\n"))
		return refusal("reason: one line, so that whoever looks next knows");
	return switch_service(a, request, reason);
}

static json_t *ask_enable(struct agent *a, const json_t *request)
{
	return switch_service(a, request, NULL);
}

static json_t *ask_reload(struct agent *a, const json_t *request)
{
	char why[CONF_WHY_LEN];

	(void)request;
	return reload_and_say(a, why) < 0 ? refusal(why) : json_pack("{sb}", "ok", 1);
}

static json_t *on_ask(const json_t *request, void *arg)
{
	static const struct {
		const char *name;
		json_t *(*fn)(struct agent *a, const json_t *request);
	} rows[] = { { "status", ask_status },
		     { "metrics", ask_metrics },
		     { "disable", ask_disable },
		     { "enable", ask_enable },
		     { "reload", ask_reload } };
	const char *name = json_string_value(json_object_get(request, "command"));

	for (size_t i = 0; name && i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].fn(arg, request);
	return refusal("command: status, metrics, disable, enable or reload");
}

static void start_control(struct agent *a)
{
	struct control_ops ops = { .ask = on_ask, .arg = a };
	char why[TEXT_LEN];

	if (!*a->cfg->socket)
		return;
	a->control = control_new(&a->loop, a->cfg->socket, &ops, why);
	if (!a->control)
		log_warn("no status and no commands: %s", why);
}

static void on_metrics(uv_timer_t *t)
{
	struct agent *a = t->data;

	if (!a->cfg->metrics_file)
		return;
	json_auto_t *status = node_status(a->node);
	int err = metrics_write(a->cfg->metrics_file, status);
	if (err < 0 && !a->metrics_failed)
		log_warn("metrics_file %s: %s", a->cfg->metrics_file, strerror(-err));
	a->metrics_failed = err < 0;
}

/* -- running ----------------------------------------------------------------------------------------- */

static void stop(void *arg)
{
	struct agent *a = arg;

	control_free(a->control);
	uv_close((uv_handle_t *)&a->hup, NULL);
	uv_close((uv_handle_t *)&a->metrics, NULL);
	node_stop(a->node);
}

static int run(const char *path, struct agent_config *cfg)
{
	struct agent a = { .path = path, .cfg = cfg };
	char why[CONF_WHY_LEN];

	daemon_prepare();
	uv_loop_init(&a.loop);
	if (node_new(&a.loop, cfg, &a.node, why) < 0) {
		log_error("%s", why);
		uv_loop_close(&a.loop);
		agent_config_free(cfg);
		return 1;
	}
	log_info("node %s: %u services, %s", cfg->node, cfg->services_count,
		 cfg->controller ? "with a controller" : "alone");
	start_control(&a);
	uv_signal_init(&a.loop, &a.hup);
	uv_timer_init(&a.loop, &a.metrics);
	a.hup.data = a.metrics.data = &a;
	uv_signal_start(&a.hup, on_hup, SIGHUP);
	uv_timer_start(&a.metrics, on_metrics, 1000, METRICS_MS);
	daemon_run(&a.loop, stop, &a);
	uv_loop_close(&a.loop);
	agent_config_free(a.cfg);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] != '-')
		return command_main(argc - 1, argv + 1);

	struct daemon_options o = daemon_options(argc, argv, "sluice-agent", COMMAND_CONFIG, usage);
	struct agent_config *cfg;
	enum log_level level;
	char why[CONF_WHY_LEN];

	if (agent_config_load(o.config, &cfg, why) < 0) {
		fprintf(stderr, "sluice-agent: %s\n", why);
		return 1;
	}
	log_level_parse(cfg->log, &level);
	log_init("agent", level, getenv("JOURNAL_STREAM") != NULL);
	srandom((unsigned)(time(NULL) ^ getpid()));
	if (!o.print && !o.check)
		return run(o.config, cfg);
	int rc = o.print ? print_config(cfg) : 0;
	if (!o.print)
		printf("%s: good\n", o.config);
	agent_config_free(cfg);
	return rc;
}
