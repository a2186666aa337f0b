/* SPDX-License-Identifier: Apache-2.0
 * A token is 32 random bytes, base64url without padding (RFC 4648, 5): 43 characters. The controller keeps
 * the SHA-256 of those characters only. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "controller/ctl/column.h"
#include "controller/ctl/ctl.h"
#include "controller/ctl/file.h"
#include "proto/base/mem.h"
#include "proto/wire/ticket.h"

static int make(char *ret_secret, char *ret_hash)
{
	if (ticket_secret(ret_secret))
		return ctl_fail("no random numbers");
	return ticket_hash(ret_secret, ret_hash) ? ctl_fail("SHA-256 failed") : CTL_OK;
}

static int write_secret(const char *path, const char *secret)
{
	char line[TICKET_SECRET_LEN + 1];

	snprintf(line, sizeof(line), "%s\n", secret);
	int err = file_write_secret(path, line);
	explicit_bzero(line, sizeof(line));
	if (err == -EEXIST)
		return ctl_fail("%s exists already: it is not overwritten", path);
	return err ? ctl_fail("cannot write %s: %s", path, file_err(err)) : CTL_OK;
}

static bool role_ok(const char *role)
{
	return role && (!strcmp(role, "viewer") || !strcmp(role, "operator") || !strcmp(role, "admin"));
}

static int new_run(struct ctl *ctl, int argc, char **argv)
{
	const char *name = NULL, *role = NULL, *path = NULL;
	const struct opt opts[] = {
		{ 0, "name", "NAME", "whose it is; shown in events and audit (required)", OPT_STR, &name },
		{ 0, "role", "ROLE", "viewer, operator or admin (required)", OPT_STR, &role },
		{ 0, "out", "FILE", "write the secret to this new file, mode 0600", OPT_STR, &path },
	};
	char secret[TICKET_SECRET_LEN], hash[TICKET_HASH_LEN];
	int i = ctl_opts_(ctl, opts, argc, argv, 0, 0);

	if (i < 0)
		return ctl->rc;
	if (!name || !pki_name_ok(name))
		return ctl_usage(ctl, "--name NAME: letters, digits, '-', '_' and '.', at most 63");
	if (!role_ok(role))
		return ctl_usage(ctl, "--role wants viewer, operator or admin");
	int rc = make(secret, hash);
	if (!rc && path)
		rc = write_secret(path, secret);
	if (!rc)
		printf("%s %s %s\n", name, role, hash);
	if (!rc && !path)
		printf("%s\n", secret);
	explicit_bzero(secret, sizeof(secret));
	return rc;
}

/* -- through the API ---------------------------------------------------------------------------------- */

static int keep_secret(const struct ctl *ctl, const json_t *made, const char *path)
{
	const char *secret = json_string_value(json_object_get(made, "token"));

	if (!secret)
		return ctl_fail("the controller's answer lacks the token");
	if (path)
		return write_secret(path, secret);
	if (ctl->out.format == OUT_TABLE)
		printf("%s\n", secret);
	return CTL_OK;
}

static int create_run(struct ctl *ctl, int argc, char **argv)
{
	const char *role = NULL, *path = NULL;
	int64_t expires_s = 0;
	const struct opt opts[] = {
		{ 0, "role", "ROLE", "viewer, operator or admin (required)", OPT_STR, &role },
		{ 'e', "expires", "TIME", "good for so long (default: until revoked)", OPT_SECONDS,
		  &expires_s },
		{ 0, "out", "FILE", "write the secret to this new file, mode 0600", OPT_STR, &path },
	};
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	if (!role_ok(role))
		return ctl_usage(ctl, "--role wants viewer, operator or admin");
	if (path && access(path, F_OK) == 0)
		return ctl_fail("%s exists already: it is not overwritten", path);
	json_auto_t *body = json_pack("{s:s, s:s, s:I}", "name", argv[i], "role", role, "expires_s",
				      (json_int_t)expires_s);
	if (!body)
		return ctl_usage(ctl, "'%s' is no name", argv[i]);
	int rc = ctl_call(ctl, "POST", "/v1/tokens", body, &r);
	if (rc)
		return rc;
	rc = keep_secret(ctl, r.json, path);
	if (path)
		json_object_del(r.json, "token");
	if (!rc && ctl->out.format == OUT_JSON)
		out_json(&ctl->out, r.json);
	return rc;
}

static int list_run(struct ctl *ctl, int argc, char **argv)
{
	/* clang-format off */
	static const struct column cols[] = {
		{ "NAME",      "name",      COL_TEXT }, { "ROLE",    "role",    COL_TEXT },
		{ "FROM",      "source",    COL_TEXT }, { "BY",      "actor",   COL_TEXT },
		{ "EXPIRES",   "expires",   COL_TEXT }, { "LAST USED", "last_used", COL_TEXT },
		{ 0 },
	};
	/* clang-format on */
	auto_reply r = { 0 };
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 0, 0);

	if (i < 0)
		return ctl->rc;
	int rc = ctl_call(ctl, "GET", "/v1/tokens", NULL, &r);
	if (rc)
		return rc;
	json_t *list = json_object_get(r.json, "tokens");
	if (ctl->out.format == OUT_JSON) {
		out_json(&ctl->out, list);
		return CTL_OK;
	}
	auto_table *t = column_table(cols, list);
	table_print(t, &ctl->out, 0);
	return CTL_OK;
}

static int revoke_run(struct ctl *ctl, int argc, char **argv)
{
	auto_reply r = { 0 };
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	auto_free char *path = ctl_path("/v1/tokens/", argv[i], "");
	int rc = ctl_call(ctl, "DELETE", path, NULL, &r);
	if (rc)
		return rc;
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, r.json);
	else
		printf("revoked\n");
	return CTL_OK;
}

const struct cmd cmd_token_create = {
	.name = "token create",
	.args = "NAME --role viewer|operator|admin [--expires TIME] [--out FILE]",
	.brief = "Make an API token at the controller",
	.help = "The secret is shown once, or goes to FILE; the controller keeps its hash. For the very "
		"first one see "
		"token new.",
	.run = create_run,
};

const struct cmd cmd_token_list = {
	.name = "token list",
	.args = "",
	.brief = "Show API tokens, without their secrets",
	.help = "FROM is api, or file for a line of the controller's token file, which is revoked there.",
	.run = list_run,
};

const struct cmd cmd_token_revoke = {
	.name = "token revoke",
	.args = "NAME",
	.brief = "Revoke an API token, at once",
	.help = "Requests with it are refused from now on, and its event streams end.",
	.run = revoke_run,
};

const struct cmd cmd_token_new = {
	.name = "token new",
	.args = "--name NAME --role viewer|operator|admin [--out FILE]",
	.brief = "Make an API token without a controller, for its token file",
	.help = "Prints the line 'NAME ROLE SHA256' for the controller's token file (api.tokens); append it "
		"there and the\n"
		"controller takes it at once. The secret goes to FILE, or without --out to the line after:\n"
		"  sluicectl token new --name alice --role operator --out alice.token >> /etc/sluice/tokens",
	.run = new_run,
};
