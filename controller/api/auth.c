/* SPDX-License-Identifier: Apache-2.0
 * Owns the list of token hashes and the stat data of the file it came from. A token is compared with every
 * entry in constant time: neither position nor contents can be learned from how long the answer takes.
 * No token is ever logged. */
#include "controller/api/auth.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define HASH_LEN 32
#define RACY_MS	 2000 /* a file changed so lately may change again without a new mtime */

struct token {
	char name[NAME_LEN];
	enum role role;
	uint8_t hash[HASH_LEN];
};

struct auth {
	char *path;
	struct token *tokens;
	size_t n;
	struct stat seen;
	bool loaded, sure, missing_said;
};

static const char *const roles[] = { "none", "viewer", "operator", "admin" };

const char *role_str(enum role r)
{
	return roles[r];
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool parse_hash(const char *hex, uint8_t *ret_hash)
{
	if (strlen(hex) != HASH_LEN * 2)
		return false;
	for (int i = 0; i < HASH_LEN; i++) {
		int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		ret_hash[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static bool parse_role(const char *word, enum role *ret_role)
{
	for (size_t i = ROLE_VIEWER; i < ARRAY_LEN(roles); i++)
		if (strcmp(roles[i], word) == 0) {
			*ret_role = (enum role)i;
			return true;
		}
	return false;
}

static bool name_taken(const struct auth *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->tokens[i].name, name) == 0)
			return true;
	return false;
}

/* NULL when the line was taken or is empty, else what is wrong with it. */
static const char *parse_line(struct auth *a, char *line)
{
	struct token t = { 0 };
	char *save = NULL;
	line[strcspn(line, "#\r\n")] = 0;
	const char *name = strtok_r(line, " \t", &save), *role = strtok_r(NULL, " \t", &save),
		   *hash = strtok_r(NULL, " \t", &save), *more = strtok_r(NULL, " \t", &save);

	if (!name)
		return NULL;
	if (!hash || more)
		return "NAME ROLE SHA256-HEX is needed";
	if (strlen(name) >= NAME_LEN)
		return "the name is too long";
	if (!parse_role(role, &t.role))
		return "the role is not viewer, operator or admin";
	if (!parse_hash(hash, t.hash))
		return "the hash is not 64 hexadecimal digits";
	if (name_taken(a, name))
		return "the name is used by an earlier line";
	if (a->n == AUTH_TOKENS_MAX)
		return "there are too many tokens";
	memcpy(t.name, name, strlen(name) + 1);
	a->tokens[a->n++] = t;
	return NULL;
}

static void read_file(struct auth *a, FILE *f)
{
	auto_free char *line = NULL;
	size_t cap = 0;

	a->n = 0;
	for (int i = 1; getline(&line, &cap, f) >= 0; i++) {
		const char *why = parse_line(a, line);
		if (why)
			log_warn("%s:%d: %s; line skipped", a->path, i, why);
	}
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void forget(struct auth *a, int err)
{
	if (!a->missing_said)
		log_warn("%s: %s: no token is valid", a->path, strerror(err));
	a->missing_said = true;
	a->loaded = false;
	a->n = 0;
}

static void refresh(struct auth *a)
{
	struct stat st;

	if (stat(a->path, &st) != 0) {
		forget(a, errno);
		return;
	}
	if (a->loaded && a->sure && same_file(&st, &a->seen))
		return;
	auto_fclose FILE *f = fopen(a->path, "re");
	if (!f) {
		forget(a, errno);
		return;
	}
	int64_t mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	int64_t age_ms = wall_now_ms() - mtime_ms;
	read_file(a, f);
	a->seen = st;
	a->sure = age_ms > RACY_MS || age_ms < 0;
	a->loaded = true;
	a->missing_said = false;
}

struct auth *auth_new(const char *path)
{
	struct auth *a = xcalloc(1, sizeof(*a));

	a->path = xstrdup(path);
	a->tokens = xcalloc(AUTH_TOKENS_MAX, sizeof(*a->tokens));
	refresh(a);
	return a;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	free(a->tokens);
	free(a->path);
	free(a);
}

enum role auth_check(struct auth *a, const char *header, char *ret_actor)
{
	static const char scheme[] = "Bearer ";
	uint8_t hash[HASH_LEN];
	const struct token *hit = NULL;

	if (!header || strncasecmp(header, scheme, sizeof(scheme) - 1) != 0)
		return ROLE_NONE;
	const char *token = header + sizeof(scheme) - 1;
	token += strspn(token, " ");
	size_t len = strlen(token);
	if (len == 0 || len > AUTH_TOKEN_LEN_MAX)
		return ROLE_NONE;
	refresh(a);
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, token, len, hash) != 0)
		return ROLE_NONE;
	for (size_t i = 0; i < a->n; i++)
		if (gnutls_memcmp(hash, a->tokens[i].hash, HASH_LEN) == 0)
			hit = &a->tokens[i];
	if (!hit)
		return ROLE_NONE;
	memcpy(ret_actor, hit->name, NAME_LEN);
	return hit->role;
}
