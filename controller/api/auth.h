/* SPDX-License-Identifier: Apache-2.0
 * Bearer tokens (RFC 6750). The file holds "NAME ROLE SHA256-HEX" lines, never the tokens; '#' starts a
 * comment. It is read again when it changes, so a removed line is a revoked token at once. A broken line is
 * logged by its number and skipped; a file that is gone means no token is valid. */
#ifndef API_AUTH_H
#define API_AUTH_H
#include "proto/wire/msg.h"

#define AUTH_TOKENS_MAX	   1000
#define AUTH_TOKEN_LEN_MAX 512

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN };
const char *role_str(enum role r); /* "none", "viewer", ... */

struct auth;
struct auth *auth_new(const char *path);
void auth_free(struct auth *a);
/* header: the Authorization header or NULL. ROLE_NONE when it names no valid token; else ret_actor (NAME_LEN)
 * is the token's name. */
enum role auth_check(struct auth *a, const char *header, char *ret_actor);
#endif
