/* SPDX-License-Identifier: Apache-2.0
 * sluicectl: finds the command, reads options, talks to the API where the command needs it.
 * Exit status: 0 done, 1 refused or failed, 2 used wrongly. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ctl/ctl.h"
#include "controller/ctl/text.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/wire/msg.h"

/* clang-format off */
static const struct cmd *const commands[] = {
	&cmd_status, &cmd_top, &cmd_get, &cmd_plan, &cmd_whatif, &cmd_apply,
	&cmd_drain, &cmd_undrain, &cmd_override_set, &cmd_override_list, &cmd_override_confirm, &cmd_override_delete,
	&cmd_drill_plan, &cmd_drill_start, &cmd_drill_watch, &cmd_drill_hold, &cmd_drill_resume, &cmd_drill_abort,
	&cmd_drill_list, &cmd_drill_report, &cmd_drill_schedule, &cmd_readiness,
	&cmd_mode, &cmd_events, &cmd_explain, &cmd_audit, &cmd_probe,
	&cmd_node_token, &cmd_node_revoke, &cmd_node_certs,
	&cmd_token_create, &cmd_token_list, &cmd_token_revoke, &cmd_token_new,
	&cmd_pki_init, &cmd_pki_issue, &cmd_pki_enrolment, &cmd_pki_rotate,
};
/* clang-format on */

struct common {
	bool help, version;
	const char *format;
};

#define COMMON_OPTS 8

static size_t common_opts(struct ctl *ctl, struct common *c, struct opt *ret)
{
	const struct opt rows[COMMON_OPTS] = {
		{ 0, "url", "URL", "the controller's API, https://HOST:PORT (SLUICE_URL)", OPT_STR,
		  &ctl->api.url },
		{ 0, "ca", "FILE", "CA certificate that signed the controller's (SLUICE_CA)", OPT_STR,
		  &ctl->api.ca },
		{ 0, "token-file", "FILE", "file that holds the token (SLUICE_TOKEN_FILE)", OPT_STR,
		  &ctl->api.token_file },
		{ 0, "context", "NAME", "entry of ~/.config/sluice/ctl.yaml (SLUICE_CONTEXT)", OPT_STR,
		  &ctl->context },
		{ 'o', "output", "FORMAT", "table or json", OPT_STR, &c->format },
		{ 'h', "help", NULL, "this text", OPT_FLAG, &c->help },
		{ 'V', "version", NULL, "the version", OPT_FLAG, &c->version },
	};
	size_t n = 0;

	for (; rows[n].name; n++)
		ret[n] = rows[n];
	return n;
}

/* -- help --------------------------------------------------------------------------------------------- */

static void help_all(const struct ctl *ctl)
{
	static const char *const titles[] = { "", "", NULL };
	auto_table *t = table_new(titles);
	struct common c = { 0 };
	struct ctl blank = { 0 };
	struct opt opts[OPTS_MAX];

	printf("sluicectl: operate a Sluice anycast cluster\n"
	       "usage: sluicectl [OPTION]... COMMAND [ARGUMENT]...\n\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		table_add(t, TINT_BOLD, "%s", commands[i]->name);
		table_add(t, TINT_NONE, "%s", commands[i]->brief);
	}
	table_print(t, &ctl->out, 2);
	printf("\nOptions for every command:\n");
	opts_help(stdout, opts, common_opts(&blank, &c, opts));
	printf("\nExit status: 0 done, 1 refused or failed, 2 used wrongly.\n"
	       "More about a command: sluicectl COMMAND --help, or man sluicectl.\n");
}

static void help_cmd(const struct ctl *ctl, const struct opt *own, size_t n)
{
	struct common c = { 0 };
	struct ctl blank = { 0 };
	struct opt opts[OPTS_MAX];

	printf("usage: sluicectl %s %s\n%s.\n\n%s\n", ctl->cmd->name, ctl->cmd->args, ctl->cmd->brief,
	       ctl->cmd->help);
	if (n) {
		printf("\nOptions:\n");
		opts_help(stdout, own, n);
	}
	printf("\nOptions for every command:\n");
	opts_help(stdout, opts, common_opts(&blank, &c, opts));
}

/* -- options ------------------------------------------------------------------------------------------ */

static int stop(struct ctl *ctl, int rc)
{
	ctl->rc = rc;
	return -1;
}

/* The common ones have been read: what they say about output. -1: stop. */
static int common_done(struct ctl *ctl, const struct common *c)
{
	if (c->version) {
		printf("sluicectl %s (protocol %d.%d)\n", SLUICE_VERSION, PROTO_MAJOR, PROTO_MINOR);
		return stop(ctl, CTL_OK);
	}
	if (c->format && out_format_parse(c->format, &ctl->out.format))
		return stop(ctl, ctl_usage(ctl, "-o wants table or json, not '%s'", c->format));
	return 0;
}

int ctl_opts(struct ctl *ctl, const struct opt *own, size_t n, int argc, char **argv, int min, int max)
{
	struct common c = { 0 };
	struct opt opts[OPTS_MAX];
	char why[256];
	int first;

	if (n + COMMON_OPTS > OPTS_MAX)
		abort();
	size_t all = common_opts(ctl, &c, opts);
	for (size_t i = 0; i < n; i++)
		opts[all++] = own[i];
	if (opts_parse(opts, all, argc, argv, false, &first, why, sizeof(why)))
		return stop(ctl, ctl_usage(ctl, "%s", why));
	if (c.help) {
		help_cmd(ctl, own, n);
		return stop(ctl, CTL_OK);
	}
	if (common_done(ctl, &c))
		return -1;
	if (argc - first < min)
		return stop(ctl, ctl_usage(ctl, "something is missing: %s", ctl->cmd->args));
	if (argc - first > max)
		return stop(ctl, ctl_usage(ctl, "'%s' is one argument too many", argv[first + max]));
	return first;
}

/* -- words on stderr ---------------------------------------------------------------------------------- */

static void say_va(const char *fmt, va_list ap)
{
	auto_free char *raw = NULL;

	if (vasprintf(&raw, fmt, ap) < 0)
		abort();
	auto_free char *text = text_clean(raw);
	fprintf(stderr, "sluicectl: %s\n", text);
}

int ctl_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_va(fmt, ap);
	va_end(ap);
	return CTL_FAILED;
}

int ctl_usage(const struct ctl *ctl, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_va(fmt, ap);
	va_end(ap);
	fprintf(stderr, "try: sluicectl %s%s--help\n", ctl->cmd ? ctl->cmd->name : "", ctl->cmd ? " " : "");
	return CTL_USAGE;
}

/* -- calls -------------------------------------------------------------------------------------------- */

struct client *ctl_client(struct ctl *ctl)
{
	char why[CLIENT_WHY];

	if (ctl->client)
		return ctl->client;
	if (context_load(ctl))
		return NULL;
	if (client_new(&ctl->api, &ctl->client, why)) {
		ctl_fail("%s", why);
		return NULL;
	}
	return ctl->client;
}

static const char *text_of(const json_t *map, const char *key, const char *otherwise)
{
	const char *s = json_string_value(json_object_get(map, key));

	return s && *s ? s : otherwise;
}

int ctl_problem(const struct ctl *ctl, const struct reply *r)
{
	const char *title = text_of(r->json, "title", "the controller refused");
	const char *detail = text_of(r->json, "detail", r->text && *r->text ? r->text : NULL);
	json_t *e;
	size_t i;

	ctl_fail("%s (%ld)%s%s", title, r->status, detail ? ": " : "", detail ? detail : "");
	json_array_foreach(json_object_get(r->json, "errors"), i, e)
		ctl_fail("  %s: %s", text_of(e, "pointer", text_of(e, "code", "(document)")),
			 text_of(e, "reason", "?"));
	if (r->status == 401 && !ctl->api.token_file)
		ctl_fail("no token was sent: give --token-file FILE or set SLUICE_TOKEN_FILE");
	if (r->status >= 300 && r->status < 400 && r->location[0])
		ctl_fail("another controller leads: use --url with the host of %s, or --ca, which vouches "
			 "for it",
			 r->location);
	return CTL_FAILED;
}

/* A standby says who leads. Our own CA vouches for that one, too; a public one could not. */
static bool follow_leader(struct ctl *ctl, const struct reply *r)
{
	const char *path = strstr(r->location, "/v1/");
	char why[CLIENT_WHY];
	struct client *next;

	if (r->status != 307 || !path || !ctl->api.ca || ctl->leader)
		return false;
	ctl->leader = xasprintf("%.*s", (int)(path - r->location), r->location);
	struct client_cfg cfg = { ctl->leader, ctl->api.ca, ctl->api.token_file };
	if (client_new(&cfg, &next, why))
		return false;
	client_free(ctl->client);
	ctl->client = next;
	return true;
}

int ctl_send(struct ctl *ctl, const char *method, const char *path, const json_t *body, const char *if_match,
	     struct reply *ret_reply)
{
	struct client *c = ctl_client(ctl);

	if (!c)
		return CTL_FAILED;
	if (client_call(c, method, path, body, if_match, ret_reply))
		return ctl_fail("%s", client_why(c));
	if (!follow_leader(ctl, ret_reply))
		return CTL_OK;
	reply_done(ret_reply);
	return ctl_send(ctl, method, path, body, if_match, ret_reply);
}

int ctl_call(struct ctl *ctl, const char *method, const char *path, const json_t *body,
	     struct reply *ret_reply)
{
	int rc = ctl_send(ctl, method, path, body, NULL, ret_reply);

	if (rc)
		return rc;
	if (ret_reply->status < 200 || ret_reply->status > 299)
		return ctl_problem(ctl, ret_reply);
	return CTL_OK;
}

static bool unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       strchr("-._~", c);
}

char *ctl_path(const char *before, const char *name, const char *after)
{
	auto_buf path = { 0 };

	buf_adds(&path, before);
	for (; *name; name++)
		buf_addf(&path, unreserved((unsigned char)*name) ? "%c" : "%%%02X", (unsigned char)*name);
	buf_adds(&path, after);
	return xstrdup(path.data ? path.data : "");
}

/* -- finding the command ------------------------------------------------------------------------------ */

/* Words of the name that argv starts with; 0: not this one. */
static int matches(const struct cmd *cmd, int argc, char **argv)
{
	const char *space = strchr(cmd->name, ' ');
	size_t len = space ? (size_t)(space - cmd->name) : strlen(cmd->name);

	if (strlen(argv[0]) != len || strncmp(cmd->name, argv[0], len))
		return 0;
	if (!space)
		return 1;
	return argc > 1 && !strcmp(space + 1, argv[1]) ? 2 : 0;
}

/* "pki" alone, or "pki wrong": the names that start so. */
static int half_a_command(const struct ctl *ctl, int argc, char **argv)
{
	auto_buf names = { 0 };
	size_t len = strlen(argv[0]);
	bool help = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));

	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!strncmp(commands[i]->name, argv[0], len) && commands[i]->name[len] == ' ')
			buf_addf(&names, "  sluicectl %s %s\n      %s\n", commands[i]->name,
				 commands[i]->args, commands[i]->brief);
	if (!names.len)
		return ctl_usage(ctl, "unknown command '%s'", argv[0]);
	fprintf(help ? stdout : stderr, "usage:\n%s", names.data);
	return help ? CTL_OK : CTL_USAGE;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		int words = matches(commands[i], argc, argv);
		if (!words)
			continue;
		ctl->cmd = commands[i];
		return ctl->cmd->run(ctl, argc - words + 1, argv + words - 1);
	}
	return half_a_command(ctl, argc, argv);
}

static int start(struct ctl *ctl, int argc, char **argv)
{
	struct common c = { 0 };
	struct opt opts[OPTS_MAX];
	char why[256];
	int first;

	if (opts_parse(opts, common_opts(ctl, &c, opts), argc, argv, true, &first, why, sizeof(why)))
		return ctl_usage(ctl, "%s", why);
	if (common_done(ctl, &c))
		return ctl->rc;
	if (first < argc && !strcmp(argv[first], "help")) {
		if (++first == argc)
			c.help = true;
		else if (first < argc)
			return run(ctl, 3,
				   (char *[]){ argv[first], first + 1 < argc ? argv[first + 1] : argv[first],
					       (char[]){ "--help" }, NULL });
	}
	if (c.help) {
		help_all(ctl);
		return CTL_OK;
	}
	if (first == argc)
		return ctl_usage(ctl, "which command?");
	return run(ctl, argc - first, argv + first);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	int rc;

	out_init(&ctl.out, stdout);
	rc = start(&ctl, argc, argv);
	client_free(ctl.client);
	json_decref(ctl.ctx);
	free(ctl.leader);
	for (size_t i = 0; i < ARRAY_LEN(ctl.paths); i++)
		free(ctl.paths[i]);
	if (fflush(stdout) || ferror(stdout))
		rc = ctl_fail("cannot write the output");
	return rc;
}
