/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/api/cache.h"

#include <string.h>

#include "proto/base/mem.h"

#define KEY_MAX 256

struct page {
	char key[KEY_MAX]; /* "": free */
	mono_t at;
	struct response answer; /* shared, not body */
};

struct cache {
	struct page pages[CACHE_MAX];
	size_t next, bytes;
};

struct cache *cache_new(void)
{
	return xcalloc(1, sizeof(struct cache));
}

static void drop(struct cache *c, struct page *p)
{
	if (!p->key[0])
		return;
	c->bytes -= p->answer.len;
	shared_unref(p->answer.shared);
	p->key[0] = 0;
}

void cache_clear(struct cache *c)
{
	for (size_t i = 0; i < CACHE_MAX; i++)
		drop(c, &c->pages[i]);
}

void cache_free(struct cache *c)
{
	if (c)
		cache_clear(c);
	free(c);
}

/* false: too long to be kept. */
static bool key_of(const struct request *req, char *ret)
{
	size_t n = (size_t)snprintf(ret, KEY_MAX, "%s", req->path);

	for (size_t i = 0; n < KEY_MAX && i < req->n_query; i++)
		n += (size_t)snprintf(ret + n, KEY_MAX - n, "\n%s=%zu:%s", req->query[i].key,
				      strlen(req->query[i].value), req->query[i].value);
	return n < KEY_MAX;
}

bool cache_find(struct cache *c, const struct request *req, mono_t now, struct response *ret_response)
{
	char key[KEY_MAX];

	if (!key_of(req, key))
		return false;
	for (size_t i = 0; i < CACHE_MAX; i++) {
		struct page *p = &c->pages[i];
		if (strcmp(p->key, key) != 0)
			continue;
		if (mono_diff_ms(p->at, now) > CACHE_KEEP_MS) {
			drop(c, p);
			return false;
		}
		*ret_response = p->answer;
		shared_ref(p->answer.shared);
		return true;
	}
	return false;
}

void cache_keep(struct cache *c, const struct request *req, struct response *r, mono_t now)
{
	struct page *p = &c->pages[c->next];
	char key[KEY_MAX];

	if (!r->body || r->len > CACHE_BYTES_MAX / 4 || !key_of(req, key))
		return;
	c->next = (c->next + 1) % CACHE_MAX;
	drop(c, p);
	if (c->bytes + r->len > CACHE_BYTES_MAX)
		cache_clear(c);
	r->shared = shared_new(r->body);
	r->body = NULL;
	memcpy(p->key, key, sizeof(key));
	p->at = now;
	p->answer = *r;
	shared_ref(r->shared);
	c->bytes += r->len;
}
