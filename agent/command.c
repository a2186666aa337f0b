/* SPDX-License-Identifier: Apache-2.0
 * One row a command. What asks the daemon goes through its socket; its answer is shown, or said why not. */
#include "agent/command.h"

#include <getopt.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/control.h"

struct options {
	const char *config, *socket, *output, *reason, *operand;
};

static const struct row {
	const char *name;
	int (*run)(const struct row *row, const struct options *o);
	const char *operand; /* NULL: takes none */
	const char *help;
} * find(const char *name);

static const char *socket_of(const struct options *o, struct agent_config **ret_cfg)
{
	char why[CONF_WHY_LEN];

	if (o->socket)
		return o->socket;
	/* may not be readable for whoever asks: then it is where it is by default */
	if (agent_config_load(o->config, ret_cfg, why) < 0)
		return "/run/sluice-agent/agent.sock";
	return (*ret_cfg)->socket;
}

/* What commands printed and peers said is in there, and goes to a terminal. */
static void clean(json_t *j)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_string(j)) {
		auto_free char *s = xstrdup(json_string_value(j));
		str_clean(s);
		json_string_set(j, s);
	}
	json_object_foreach(j, key, v)
		clean(v);
	json_array_foreach(j, i, v)
		clean(v);
}

/* The answer, or NULL when it was a refusal or none came: said. request is consumed. */
static json_t *ask(const struct options *o, json_t *request)
{
	struct agent_config *cfg = NULL;
	json_t *answer = NULL;
	char why[TEXT_LEN];
	int err = control_ask(socket_of(o, &cfg), request, &answer, why);

	json_decref(request);
	agent_config_free(cfg);
	if (err < 0) {
		fprintf(stderr, "sluice-agent: %s\n", why);
		return NULL;
	}
	if (!json_is_string(answer)) /* the metrics have lines */
		clean(answer);
	const char *refused = json_string_value(json_object_get(answer, "error"));
	if (!refused)
		return answer;
	fprintf(stderr, "sluice-agent: %s\n", refused);
	json_decref(answer);
	return NULL;
}

/* -- status ------------------------------------------------------------------------------------------ */

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static const char *age(const json_t *o, const char *key, char buf[32])
{
	const json_t *v = json_object_get(o, key);
	long long s = json_integer_value(v) / 1000;

	if (!json_is_integer(v))
		return "-";
	if (s < 1)
		snprintf(buf, 32, "%lld ms", (long long)json_integer_value(v));
	else if (s < 120)
		snprintf(buf, 32, "%lld s", s);
	else if (s < 7200)
		snprintf(buf, 32, "%lld min", s / 60);
	else
		snprintf(buf, 32, "%lld h", s / 3600);
	return buf;
}

static void show_services(const json_t *status)
{
	json_t *s, *c;
	size_t i, k;
	char buf[32];

	printf("\n%-20s %-9s %-8s %6s  %s\n", "SERVICE", "STATE", "SINCE", "WEIGHT", "WHY");
	json_array_foreach(json_object_get(status, "services"), i, s) {
		bool off = json_is_string(json_object_get(s, "disabled"));
		printf("%-20s %-9s %-8s %6lld  %s\n", text(s, "name"), off ? "disabled" : text(s, "status"),
		       age(s, "age_ms", buf), (long long)json_integer_value(json_object_get(s, "weight")),
		       text(s, "reason"));
		json_array_foreach(json_object_get(s, "checks"), k, c)
			printf("  %-18s %-9s %-8s         %s\n", text(c, "name"), text(c, "status"),
			       age(c, "age_ms", buf), text(c, "reason"));
	}
}

static void show_routes(const json_t *status)
{
	json_t *r;
	size_t i;

	printf("\n%-24s %-20s %-10s %-12s %6s %6s  %s\n", "PREFIX", "SERVICE", "ANNOUNCED", "GRADE", "WEIGHT",
	       "PEERS", "TROUBLE");
	json_array_foreach(json_object_get(status, "routes"), i, r)
		printf("%-24s %-20s %-10s %-12s %6lld %6lld  %s\n", text(r, "prefix"), text(r, "service"),
		       json_is_true(json_object_get(r, "announced")) ? "yes" : "no", text(r, "grade"),
		       (long long)json_integer_value(json_object_get(r, "weight")),
		       (long long)json_integer_value(json_object_get(r, "neighbours")), text(r, "error"));
}

static void show(const json_t *status)
{
	const json_t *bgp = json_object_get(status, "bgp"), *ctrl = json_object_get(status, "controller");
	char buf[32];

	printf("node %s, sluice-agent %s, up %s, %s\n", text(status, "node"), text(status, "version"),
	       age(status, "up_ms", buf),
	       !json_is_object(ctrl)				  ? "alone"
	       : json_is_true(json_object_get(ctrl, "connected")) ? "with its controller"
								  : "its controller does not answer");
	const char *trouble =
		json_string_value(json_object_get(json_object_get(ctrl, "certificate"), "trouble"));
	if (trouble)
		printf("certificate: %s\n", trouble);
	if (json_is_true(json_object_get(bgp, "ok")))
		printf("bgp: AS %lld, sessions are up\n",
		       (long long)json_integer_value(json_object_get(bgp, "asn")));
	else
		printf("bgp: NOT OK: %s\n",
		       *text(bgp, "trouble") ? text(bgp, "trouble") : "no session is up");
	show_services(status);
	show_routes(status);
}

static int run_status(const struct row *row, const struct options *o)
{
	json_auto_t *answer = ask(o, json_pack("{ss}", "command", row->name));

	if (!answer)
		return 1;
	if (o->output && strcmp(o->output, "json") == 0) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		show(answer);
	}
	return 0;
}

/* -- the others -------------------------------------------------------------------------------------- */

static int run_metrics(const struct row *row, const struct options *o)
{
	json_auto_t *answer = ask(o, json_pack("{ss}", "command", row->name));

	if (!answer)
		return 1;
	fputs(json_string_value(answer) ? json_string_value(answer) : "", stdout);
	return 0;
}

static int run_switch(const struct row *row, const struct options *o)
{
	if (strcmp(row->name, "disable") == 0 && !o->reason) {
		fprintf(stderr,
			"sluice-agent disable: --reason TEXT is needed: whoever looks next must know why\n");
		return 2;
	}
	json_auto_t *answer = ask(o, json_pack("{ss ss ss}", "command", row->name, "service", o->operand,
					       "reason", o->reason ? o->reason : ""));
	return answer ? 0 : 1;
}

static int run_reload(const struct row *row, const struct options *o)
{
	json_auto_t *answer = ask(o, json_pack("{ss}", "command", row->name));

	return answer ? 0 : 1;
}

static int run_import(const struct row *row, const struct options *o)
{
	(void)row;
	return command_import(o->operand);
}

static int run_lost(const struct row *row, const struct options *o)
{
	(void)row;
	return command_lost(o->config);
}

static const struct row rows[] = {
	{ "status", run_status, NULL, "what is checked and announced, with ages; -o json" },
	{ "disable", run_switch, "SERVICE",
	  "take a service out by hand, with --reason TEXT; survives restarts" },
	{ "enable", run_switch, "SERVICE", "undo it" },
	{ "reload", run_reload, NULL,
	  "read the configuration again, as SIGHUP does, and say whether it was taken" },
	{ "metrics", run_metrics, NULL, "Prometheus text" },
	{ "import", run_import, "FILE",
	  "print an agent.yaml made from exabgp.conf or anycast-healthchecker.conf;\n"
	  "what has no counterpart is named on standard error" },
	{ "lost", run_lost, NULL, "withdraw what on_agent_loss: withdraw says; for units" },
};

static const struct row *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static int help(const struct row *row)
{
	printf("usage: sluice-agent %s [-c FILE] [-s SOCKET]%s%s\n\n%s\n", row->name, row->operand ? " " : "",
	       row->operand ? row->operand : "", row->help);
	return 0;
}

int command_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' }, { "socket", required_argument, NULL, 's' },
		{ "output", required_argument, NULL, 'o' }, { "reason", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },	    { 0 }
	};
	struct options o = { .config = COMMAND_CONFIG };
	const struct row *row = find(argv[0]);
	int c;

	if (strcmp(argv[0], "enroll") == 0) /* the one that has options of its own */
		return command_enroll(argc, argv);

	if (!row) {
		fprintf(stderr, "sluice-agent: \"%s\" is no command; try 'sluice-agent --help'\n", argv[0]);
		return 2;
	}
	while ((c = getopt_long(argc, argv, "c:s:o:r:h", longs, NULL)) != -1) {
		const char **to = c == 'c'   ? &o.config
				  : c == 's' ? &o.socket
				  : c == 'o' ? &o.output
					     : &o.reason;
		if (c == 'h')
			return help(row);
		if (c == '?')
			return 2;
		*to = optarg;
	}
	if (argc - optind != (row->operand ? 1 : 0) ||
	    (o.output && strcmp(o.output, "json") && strcmp(o.output, "text"))) {
		fprintf(stderr, "usage: sluice-agent %s %s\n", row->name,
			row->operand ? row->operand : "[-o json]");
		return 2;
	}
	o.operand = argv[optind];
	return row->run(row, &o);
}
