/* SPDX-License-Identifier: Apache-2.0
 * What every sluicectl command gets, and the table row that describes one.
 * A command's run() returns the exit status: CTL_OK, CTL_FAILED (refused or failed), CTL_USAGE. */
#ifndef CTL_CTL_H
#define CTL_CTL_H
#include <jansson.h>

#include "controller/ctl/client.h"
#include "controller/ctl/opts.h"
#include "controller/ctl/output.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "dev"
#endif

enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

struct ctl;
struct cmd {
	const char *name;  /* one word, or two: "pki init" */
	const char *args;  /* what follows the name in the usage line */
	const char *brief; /* one line, for the list of commands */
	const char *help;  /* paragraphs for --help */
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

struct ctl {
	const struct cmd *cmd;
	struct client_cfg api; /* from options, environment, context file; strings are borrowed or in ctx */
	json_t *ctx;	       /* the context file, owns strings of api */
	char *paths[3];	       /* heap: paths of the context file made absolute */
	const char *context;   /* --context */
	struct out out;
	struct client *client; /* made at the first call */
	char *leader;	       /* URL of the one that a standby sent us to; heap */
	int rc;		       /* exit status when ctl_opts says stop */
};

/* Options of the command plus those common to all; min..max arguments. Returns the index in argv of the
 * first argument (argv is permuted), or -1: stop and return ctl->rc. */
int ctl_opts(struct ctl *ctl, const struct opt *opts, size_t n, int argc, char **argv, int min, int max);
#define ctl_opts_(ctl, opts, argc, argv, min, max) ctl_opts(ctl, opts, ARRAY_LEN(opts), argc, argv, min, max)

/* One line on stderr, control characters removed. Returns CTL_FAILED. */
int ctl_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, with a pointer to --help. Returns CTL_USAGE. */
int ctl_usage(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The connection; NULL after having said why. */
struct client *ctl_client(struct ctl *ctl);
/* One request, at the leader when a standby sends us there. CTL_OK: there is an answer, of whatever status.
 */
int ctl_send(struct ctl *ctl, const char *method, const char *path, const json_t *body, const char *if_match,
	     struct reply *ret_reply);
/* The same. CTL_OK with *ret_reply filled for any 2xx; otherwise the problem is printed. */
int ctl_call(struct ctl *ctl, const char *method, const char *path, const json_t *body,
	     struct reply *ret_reply);
/* Prints a reply that is not 2xx: title, detail, every {pointer, reason}. Returns CTL_FAILED. */
int ctl_problem(const struct ctl *ctl, const struct reply *r);
/* "/v1/sites/NAME/drain" with NAME escaped; heap. */
char *ctl_path(const char *before, const char *name, const char *after);

/* Fills what options and environment left open in ctl->api. CTL_OK, or has said why. context.c */
int context_load(struct ctl *ctl);

extern const struct cmd cmd_apply, cmd_status, cmd_get, cmd_drain, cmd_undrain, cmd_mode, cmd_events,
	cmd_plan, cmd_whatif, cmd_explain, cmd_pki_init, cmd_pki_issue, cmd_token_new, cmd_pki_enrolment,
	cmd_pki_rotate, cmd_probe, cmd_top, cmd_audit, cmd_override_set, cmd_override_list,
	cmd_override_confirm, cmd_override_delete, cmd_token_create, cmd_token_list, cmd_token_revoke,
	cmd_node_token, cmd_node_revoke, cmd_node_certs;
extern const struct cmd cmd_drill_plan, cmd_drill_start, cmd_drill_watch, cmd_drill_hold, cmd_drill_resume,
	cmd_drill_abort, cmd_drill_list, cmd_drill_report, cmd_drill_schedule, cmd_readiness;
#endif
