/* SPDX-License-Identifier: Apache-2.0
 * Answers to reads, kept for CACHE_KEEP_MS, so that many readers of one picture cost one picture. Emptied by
 * every event and every change, so that nobody reads what was before his own write. Bounded in number and
 * bytes. */
#ifndef API_CACHE_H
#define API_CACHE_H
#include "controller/api/http.h"

#define CACHE_KEEP_MS	200
#define CACHE_MAX	64
#define CACHE_BYTES_MAX (32 * 1024 * 1024)

struct cache;
struct cache *cache_new(void);
void cache_free(struct cache *c);
bool cache_find(struct cache *c, const struct request *req, mono_t now, struct response *ret_response);
/* Takes the body of r over; r still has it, shared. */
void cache_keep(struct cache *c, const struct request *req, struct response *r, mono_t now);
void cache_clear(struct cache *c);
#endif
