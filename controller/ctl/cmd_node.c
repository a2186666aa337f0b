/* SPDX-License-Identifier: Apache-2.0
 * Certificates of nodes, through the API. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "controller/ctl/column.h"
#include "controller/ctl/ctl.h"
#include "controller/ctl/file.h"
#include "proto/base/mem.h"

/* HOST:PORT of the URL, for what to type next. */
static const char *host_of(const char *url)
{
	return strncmp(url, "https://", 8) ? url : url + 8;
}

static int hand_over(struct ctl *ctl, const char *token, const char *path)
{
	if (!path) {
		printf("%s\n", token);
		return CTL_OK;
	}
	auto_free char *line = xasprintf("%s\n", token);
	int err = file_write_secret(path, line);
	explicit_bzero(line, strlen(line));
	if (err == -EEXIST)
		return ctl_fail("%s exists already: it is not overwritten, and the token is lost", path);
	(void)ctl;
	return err ? ctl_fail("cannot write %s: %s", path, file_err(err)) : CTL_OK;
}

static int token_run(struct ctl *ctl, int argc, char **argv)
{
	const char *out = NULL;
	int64_t ttl_s = 3600;
	const struct opt opts[] = {
		{ 0, "ttl", "TIME", "how long it is good, 1m to 7d (default 1h)", OPT_SECONDS, &ttl_s },
		{ 0, "out", "FILE", "write it to this new file, mode 0600", OPT_STR, &out },
	};
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	auto_free char *path = ctl_path("/v1/nodes/", argv[i], "/token");
	json_auto_t *body = json_pack("{s:I}", "ttl_s", (json_int_t)ttl_s);
	int rc = ctl_call(ctl, "POST", path, body, &r);
	if (rc)
		return rc;
	const char *token = json_string_value(json_object_get(r.json, "token"));
	if (!token)
		return ctl_fail("the controller's answer lacks the token");
	if (ctl->out.format == OUT_JSON) {
		out_json(&ctl->out, r.json);
		return CTL_OK;
	}
	rc = hand_over(ctl, token, out);
	if (!rc)
		fprintf(stderr,
			"sluicectl: good once, until %s. Next, on %s:\n"
			"  sluice-agent enroll --controller %s --token-file %s\n",
			json_string_value(json_object_get(r.json, "expires")), argv[i], host_of(ctl->api.url),
			out ? out : "FILE");
	return rc;
}

static int revoke_run(struct ctl *ctl, int argc, char **argv)
{
	const char *reason = NULL, *serial = NULL;
	const struct opt opts[] = {
		{ 'r', "reason", "TEXT", "why, for whoever looks next (required)", OPT_STR, &reason },
		{ 0, "serial", "HEX", "this certificate only (default: all until now)", OPT_STR, &serial },
	};
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	if (!reason || !*reason)
		return ctl_usage(ctl, "a revocation needs --reason TEXT: somebody will ask");
	auto_free char *path = ctl_path("/v1/nodes/", argv[i], "/revoke");
	json_auto_t *body = json_pack("{s:s, s:s*}", "reason", reason, "serial", serial);
	if (!body)
		return ctl_usage(ctl, "the reason is not UTF-8 text");
	int rc = ctl_call(ctl, "POST", path, body, &r);
	if (rc)
		return rc;
	if (ctl->out.format == OUT_JSON) {
		out_json(&ctl->out, r.json);
		return CTL_OK;
	}
	out_text(&ctl->out, TINT_NONE,
		 "%s: %s revoked, and its session ended. What it announces stays: withdraw it at the node, "
		 "or drain it",
		 argv[i], serial ? "certificate" : "every certificate until now");
	fputc('\n', ctl->out.f);
	return CTL_OK;
}

/* clang-format off */
static const struct column cert_cols[] = {
	{ "NODE",    "node",           COL_TEXT },
	{ "SERIAL",  "serial",         COL_TEXT },
	{ "STATE",   "state",          COL_TEXT },
	{ "IN USE",  "in_use",         COL_FLAG },
	{ "EXPIRES", "expires",        COL_TEXT },
	{ "CA",      "ca",             COL_TEXT },
	{ "TRUSTS",  "trusts",         COL_TEXT },
	{ "BY",      "by",             COL_TEXT },
	{ "WHY",     "revoked.reason", COL_TEXT },
	{ 0 },
};
/* clang-format on */

static const char *str(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	return s ? s : "";
}

/* By node, the newest first; json_t ** */
static int by_node(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int c = strcmp(str(x, "node"), str(y, "node"));

	return c ? c : strcmp(str(y, "issued"), str(x, "issued"));
}

/* Those of one node, or all; only what still counts unless all. New reference. */
static json_t *choose(const json_t *certs, const char *node, bool all)
{
	size_t n = 0, i;
	json_t **rows = xcalloc(json_array_size(certs), sizeof(json_t *)), *c, *out = json_array();

	json_array_foreach(certs, i, c)
		if ((!node || !strcmp(str(c, "node"), node)) && (all || strcmp(str(c, "state"), "expired")))
			rows[n++] = c;
	if (n)
		qsort(rows, n, sizeof(json_t *), by_node);
	for (i = 0; i < n; i++)
		json_array_append(out, rows[i]);
	free(rows);
	return out;
}

static int certs_run(struct ctl *ctl, int argc, char **argv)
{
	bool all = false;
	const struct opt opts[] = { { 'a', "all", NULL, "expired ones, too", OPT_FLAG, &all } };
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 0, 1);

	if (i < 0)
		return ctl->rc;
	int rc = ctl_call(ctl, "GET", "/v1/certificates", NULL, &r);
	if (rc)
		return rc;
	json_auto_t *rows = choose(json_object_get(r.json, "certificates"), i < argc ? argv[i] : NULL, all);
	if (ctl->out.format == OUT_JSON) {
		out_json(&ctl->out, rows);
		return CTL_OK;
	}
	auto_table *t = column_table(cert_cols, rows);
	if (table_rows(t))
		table_print(t, &ctl->out, 0);
	else
		fprintf(ctl->out.f, "no certificates\n");
	if (json_integer_value(json_object_get(r.json, "cas")) > 1)
		fprintf(ctl->out.f,
			"\nA rotation of the CA is under way: end it when nothing in use says old "
			"(sluicectl pki rotate-ca --finish)\n");
	if (json_is_false(json_object_get(r.json, "signs")))
		fprintf(ctl->out.f, "\nThis controller holds no enrolment CA: nothing renews by itself "
				    "(sluicectl pki enrolment)\n");
	return CTL_OK;
}

const struct cmd cmd_node_token = {
	.name = "node token",
	.args = "NAME [--ttl TIME] [--out FILE]",
	.brief = "Make a one-time token for a node to enrol with",
	.help = "Prints the token, which only one enrolment of this node can use, and says on standard error "
		"what to type\n"
		"there. It carries the hash of the cluster's CA, so that the node believes no other "
		"controller.\n"
		"  sluicectl node token fra1 | ssh fra1 sluice-agent enroll --controller HOST:PORT "
		"--token-file -",
	.run = token_run,
};

const struct cmd cmd_node_revoke = {
	.name = "node revoke",
	.args = "NAME --reason TEXT [--serial HEX]",
	.brief = "Take a node's certificates back, at once",
	.help = "Every certificate of the node issued until now, and its unused tokens; its session ends. "
		"What it\n"
		"announces is not touched: silence never withdraws. To come back it must enrol again.",
	.run = revoke_run,
};

const struct cmd cmd_node_certs = {
	.name = "node certs",
	.args = "[NAME] [--all]",
	.brief = "Show certificates of nodes: whose, until when, in use or not",
	.help = "CA and TRUSTS say current or old while the CA is being rotated: which CA signed it, and "
		"which its\n"
		"agent takes for the one that signs. Certificates made by hand show while their node is "
		"connected.",
	.run = certs_run,
};
