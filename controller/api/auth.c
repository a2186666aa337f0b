/* SPDX-License-Identifier: Apache-2.0
 * Owns the list of token hashes and the stat data of the file some came from. A token is compared with every
 * entry in constant time: neither position nor contents can be learned from how long the answer takes.
 * No token is ever logged. */
#include "controller/api/auth.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define HASH_LEN AUTH_HASH_LEN
#define RACY_MS	 2000 /* a file changed so lately may change again without a new mtime */
#define USES_KEY "token-uses"

struct auth {
	char *path;
	struct store *store;
	struct token *tokens; /* those of the file first */
	size_t n, n_file;
	struct stat seen;
	bool loaded, sure, missing_said, uses_changed;
	uint64_t generation;
	int64_t next_expiry_ms; /* 0: none will expire */
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

enum role role_parse(const char *word)
{
	for (size_t i = ROLE_VIEWER; i < ARRAY_LEN(roles); i++)
		if (strcmp(roles[i], word) == 0)
			return (enum role)i;
	return ROLE_NONE;
}

const struct token *auth_find(const struct auth *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->tokens[i].name, name) == 0)
			return &a->tokens[i];
	return NULL;
}

const struct token *auth_tokens(const struct auth *a, size_t *ret_n)
{
	*ret_n = a->n;
	return a->tokens;
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
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~')
			return "the name is not printable ASCII";
	t.role = role_parse(role);
	if (t.role == ROLE_NONE)
		return "the role is not viewer, operator or admin";
	if (!parse_hash(hash, t.hash))
		return "the hash is not 64 hexadecimal digits";
	if (auth_find(a, name))
		return "the name is used by an earlier line";
	if (a->n == AUTH_TOKENS_MAX)
		return "there are too many tokens";
	memcpy(t.name, name, strlen(name) + 1);
	a->tokens[a->n++] = t;
	return NULL;
}

/* -- the store ---------------------------------------------------------------------------------------- */

static int load_stored(const char *key, const char *value, void *arg)
{
	struct auth *a = arg;
	const char *role = "", *hash = "", *actor = "";
	json_int_t since = 0, expires = 0;
	struct token t = { .stored = true };
	json_auto_t *j = json_loads(value, 0, NULL);

	if (json_unpack(j, "{s:s, s:s, s:s, s:I, s:I}", "role", &role, "hash", &hash, "actor", &actor,
			"since_wall_ms", &since, "expires_wall_ms", &expires) < 0 ||
	    !parse_hash(hash, t.hash) || role_parse(role) == ROLE_NONE || a->n == AUTH_TOKENS_MAX) {
		log_warn("stored %s could not be used: left out", key);
		return 0;
	}
	t.role = role_parse(role);
	t.since_wall_ms = since;
	t.expires_wall_ms = expires;
	snprintf(t.name, sizeof(t.name), "%s", key + strlen("token/"));
	snprintf(t.actor, sizeof(t.actor), "%s", actor);
	a->tokens[a->n++] = t;
	return 0;
}

static void load_uses(struct auth *a)
{
	auto_free char *text = NULL;
	const char *name;
	json_t *v;

	if (store_get(a->store, USES_KEY, &text) != 0)
		return;
	json_auto_t *j = json_loads(text, 0, NULL);
	json_object_foreach(j, name, v) {
		struct token *t = (struct token *)(uintptr_t)auth_find(a, name);
		if (t && t->used_wall_ms < json_integer_value(v))
			t->used_wall_ms = json_integer_value(v);
	}
}

void auth_save_uses(struct auth *a)
{
	json_auto_t *j = json_object();

	if (!a->store || !a->uses_changed)
		return;
	for (size_t i = 0; i < a->n; i++)
		if (a->tokens[i].used_wall_ms)
			json_object_set_new(j, a->tokens[i].name, json_integer(a->tokens[i].used_wall_ms));
	auto_free char *text = json_dumps(j, JSON_COMPACT);
	struct store_op op = { USES_KEY, text };
	a->uses_changed = store_write(a->store, &op, 1, NULL) != 0;
}

/* Behind those of the file. */
static void load_store(struct auth *a)
{
	a->n = a->n_file;
	a->next_expiry_ms = 0;
	a->generation++;
	if (!a->store)
		return;
	store_each(a->store, "token/", load_stored, a);
	load_uses(a);
	for (size_t i = a->n_file; i < a->n; i++) {
		int64_t at = a->tokens[i].expires_wall_ms;
		if (at > wall_now_ms() && (!a->next_expiry_ms || at < a->next_expiry_ms))
			a->next_expiry_ms = at;
	}
}

void auth_reload(struct auth *a)
{
	auth_save_uses(a);
	load_store(a);
}

/* -- the file ----------------------------------------------------------------------------------------- */

static void read_file(struct auth *a, FILE *f)
{
	auto_free char *line = NULL;
	size_t cap = 0;

	auth_save_uses(a);
	a->n = 0;
	for (int i = 1; getline(&line, &cap, f) >= 0; i++) {
		const char *why = parse_line(a, line);
		if (why)
			log_warn("%s:%d: %s; line skipped", a->path, i, why);
	}
	a->n_file = a->n;
	load_store(a);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void forget(struct auth *a, int err)
{
	if (!a->missing_said)
		log_warn("%s: %s: none of its tokens is valid", a->path, strerror(err));
	bool news = a->loaded || !a->missing_said;
	a->missing_said = true;
	a->loaded = false;
	a->n_file = 0;
	if (news)
		load_store(a);
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

struct auth *auth_new(const char *path, struct store *s)
{
	struct auth *a = xcalloc(1, sizeof(*a));

	a->path = xstrdup(path);
	a->store = s;
	a->tokens = xcalloc(AUTH_TOKENS_MAX, sizeof(*a->tokens));
	refresh(a);
	return a;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	auth_save_uses(a);
	free(a->tokens);
	free(a->path);
	free(a);
}

void auth_set_path(struct auth *a, const char *path)
{
	if (strcmp(a->path, path) == 0)
		return;
	free(a->path);
	a->path = xstrdup(path);
	a->loaded = a->missing_said = false;
	refresh(a);
}

/* -- asking ------------------------------------------------------------------------------------------- */

/* Looks at every entry, whichever it is. */
static struct token *find_hash(struct auth *a, const uint8_t *hash)
{
	struct token *hit = NULL;
	int64_t now = wall_now_ms();

	for (size_t i = 0; i < a->n; i++)
		if (gnutls_memcmp(hash, a->tokens[i].hash, HASH_LEN) == 0)
			hit = &a->tokens[i];
	return hit && (!hit->expires_wall_ms || now < hit->expires_wall_ms) ? hit : NULL;
}

enum role auth_check(struct auth *a, const char *header, char *ret_actor, uint8_t *ret_hash)
{
	static const char scheme[] = "Bearer ";

	if (!header || strncasecmp(header, scheme, sizeof(scheme) - 1) != 0)
		return ROLE_NONE;
	const char *token = header + sizeof(scheme) - 1;
	token += strspn(token, " ");
	size_t len = strlen(token);
	if (len == 0 || len > AUTH_TOKEN_LEN_MAX)
		return ROLE_NONE;
	refresh(a);
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, token, len, ret_hash) != 0)
		return ROLE_NONE;
	struct token *hit = find_hash(a, ret_hash);
	if (!hit)
		return ROLE_NONE;
	hit->used_wall_ms = wall_now_ms();
	a->uses_changed = true;
	memcpy(ret_actor, hit->name, NAME_LEN);
	return hit->role;
}

bool auth_still(struct auth *a, const uint8_t *hash)
{
	return find_hash(a, hash) != NULL;
}

uint64_t auth_generation(struct auth *a)
{
	refresh(a);
	if (a->next_expiry_ms && wall_now_ms() >= a->next_expiry_ms)
		load_store(a); /* finds the next one, too */
	return a->generation;
}

void auth_hash_hex(const char *secret, char *ret_hex)
{
	uint8_t hash[HASH_LEN] = { 0 };

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, secret, strlen(secret), hash) != 0)
		abort();
	for (size_t i = 0; i < HASH_LEN; i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", hash[i]);
}
