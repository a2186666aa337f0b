/* SPDX-License-Identifier: Apache-2.0
 * A token is 32 random bytes, base64url without padding (RFC 4648, 5): 43 characters. The controller keeps
 * the SHA-256 of those characters only. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "controller/ctl/ctl.h"
#include "controller/ctl/file.h"
#include "proto/base/mem.h"
#include "proto/wire/pki.h"

#define TOKEN_BYTES 32
#define TOKEN_TEXT  44 /* 43 characters and NUL */

static void base64url(const uint8_t *in, size_t len, char *out)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, have = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | in[i];
		for (have += 8; have >= 6; have -= 6)
			*out++ = set[bits >> (have - 6) & 63];
	}
	if (have)
		*out++ = set[bits << (6 - have) & 63];
	*out = 0;
}

static int make(char *ret_secret, char *ret_hash)
{
	uint8_t raw[TOKEN_BYTES], digest[32];

	if (gnutls_rnd(GNUTLS_RND_KEY, raw, sizeof(raw)))
		return ctl_fail("no random numbers: gnutls_rnd failed");
	base64url(raw, sizeof(raw), ret_secret);
	explicit_bzero(raw, sizeof(raw));
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, ret_secret, strlen(ret_secret), digest))
		return ctl_fail("SHA-256 failed");
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret_hash + 2 * i, 3, "%02x", digest[i]);
	return CTL_OK;
}

static int write_secret(const char *path, const char *secret)
{
	char line[TOKEN_TEXT + 1];

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
	char secret[TOKEN_TEXT], hash[65];
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

const struct cmd cmd_token_new = {
	.name = "token new",
	.args = "--name NAME --role viewer|operator|admin [--out FILE]",
	.brief = "Make an API token",
	.help = "Prints the line 'NAME ROLE SHA256' for the controller's token file (api.tokens); append it "
		"there and the\n"
		"controller takes it at once. The secret goes to FILE, or without --out to the line after:\n"
		"  sluicectl token new --name alice --role operator --out alice.token >> /etc/sluice/tokens",
	.run = new_run,
};
