/* SPDX-License-Identifier: Apache-2.0
 * Bearer tokens (RFC 6750), from two places. The file holds "NAME ROLE SHA256-HEX" lines, never the tokens;
 * '#' starts a comment. It is read again when it changes, so a removed line is a revoked token at once. A
 * broken line is logged by its number and skipped; a file that is gone means none of its tokens is valid.
 * The store holds those made through the API ("token/NAME"), with who made them and until when they are good.
 */
#ifndef API_AUTH_H
#define API_AUTH_H
#include "controller/store.h"
#include "proto/wire/msg.h"

#define AUTH_TOKENS_MAX	   1000
#define AUTH_TOKEN_LEN_MAX 512
#define AUTH_HASH_LEN	   32

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN };
const char *role_str(enum role r); /* "none", "viewer", ... */
/* ROLE_NONE when it is none of the others. */
enum role role_parse(const char *word);

struct token {
	char name[NAME_LEN];
	enum role role;
	uint8_t hash[AUTH_HASH_LEN];
	bool stored;		 /* in the store; else a line of the file */
	char actor[NAME_LEN];	 /* who made it; "" in the file */
	int64_t since_wall_ms;	 /* 0: not known */
	int64_t expires_wall_ms; /* 0: never */
	int64_t used_wall_ms;	 /* 0: not since the file or the record of uses was read */
};

struct auth;
/* s: may be NULL: only the file counts. */
struct auth *auth_new(const char *path, struct store *s);
void auth_free(struct auth *a);
/* Another file, after the configuration was read again. */
void auth_set_path(struct auth *a, const char *path);
/* The store's tokens have changed. */
void auth_reload(struct auth *a);
/* header: the Authorization header or NULL. ROLE_NONE when it names no valid token; else ret_actor (NAME_LEN)
 * is the token's name and ret_hash (AUTH_HASH_LEN) what auth_still asks about. */
enum role auth_check(struct auth *a, const char *header, char *ret_actor, uint8_t *ret_hash);
/* Is it valid still? For answers that never end. */
bool auth_still(struct auth *a, const uint8_t *hash);
/* Rises whenever a token may have lost its validity. Looks at the file and at the clock. */
uint64_t auth_generation(struct auth *a);
const struct token *auth_find(const struct auth *a, const char *name);
const struct token *auth_tokens(const struct auth *a, size_t *ret_n);
/* Writes down when tokens were last used, if that has changed: once in a while and at the end. */
void auth_save_uses(struct auth *a);
/* The SHA-256 of a secret in hexadecimal: 65 bytes. */
void auth_hash_hex(const char *secret, char *ret_hex);
#endif
