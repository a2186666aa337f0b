/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/api/idem.h"

#include <gnutls/crypto.h>
#include <string.h>

#include "controller/api/problem.h"
#include "proto/base/mem.h"

#define PRINT_LEN 32

/* One answer. key: of token and Idempotency-Key; what: of method, path, query and body. */
struct memory {
	uint8_t key[PRINT_LEN], what[PRINT_LEN];
	mono_t at; /* unset: free */
	struct response answer;
};

struct idem {
	struct memory ring[IDEM_MAX];
	size_t next, bytes;
};

struct idem *idem_new(void)
{
	return xcalloc(1, sizeof(struct idem));
}

static void forget(struct idem *m, struct memory *e)
{
	m->bytes -= mono_is_set(e->at) ? e->answer.len : 0;
	free(e->answer.body);
	memset(e, 0, sizeof(*e));
}

void idem_free(struct idem *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < IDEM_MAX; i++)
		forget(m, &m->ring[i]);
	free(m);
}

static void add(gnutls_hash_hd_t h, const void *data, size_t len)
{
	gnutls_hash(h, &len, sizeof(len)); /* so that no two lists of parts are one text */
	gnutls_hash(h, data, len);
}

static void print_key(const struct request *req, uint8_t *ret)
{
	gnutls_hash_hd_t h;

	if (gnutls_hash_init(&h, GNUTLS_DIG_SHA256) != 0)
		abort();
	add(h, req->token, sizeof(req->token));
	add(h, req->header[HDR_IDEMPOTENCY_KEY], strlen(req->header[HDR_IDEMPOTENCY_KEY]));
	gnutls_hash_deinit(h, ret);
}

static void print_request(const struct request *req, uint8_t *ret)
{
	gnutls_hash_hd_t h;

	if (gnutls_hash_init(&h, GNUTLS_DIG_SHA256) != 0)
		abort();
	add(h, req->method, strlen(req->method));
	add(h, req->path, strlen(req->path));
	for (size_t i = 0; i < req->n_query; i++) {
		add(h, req->query[i].key, strlen(req->query[i].key));
		add(h, req->query[i].value, strlen(req->query[i].value));
	}
	add(h, req->body, req->body_len);
	gnutls_hash_deinit(h, ret);
}

static bool is_key(const char *s)
{
	size_t n = strlen(s);

	for (const char *p = s; *p; p++)
		if (*p < '!' || *p > '~')
			return false;
	return n >= 1 && n <= IDEM_KEY_MAX;
}

static struct response again(const struct response *r)
{
	struct response copy = *r;

	copy.body = r->body ? xstrdup(r->body) : NULL;
	return copy;
}

bool idem_known(struct idem *m, const struct request *req, mono_t now, struct response *ret_response)
{
	uint8_t key[PRINT_LEN], what[PRINT_LEN];

	if (!is_key(req->header[HDR_IDEMPOTENCY_KEY])) {
		*ret_response =
			problem(400, "Idempotency-Key must be 1 to %d visible characters.", IDEM_KEY_MAX);
		return true;
	}
	print_key(req, key);
	for (size_t i = 0; i < IDEM_MAX; i++) {
		struct memory *e = &m->ring[i];
		if (!mono_is_set(e->at) || memcmp(e->key, key, PRINT_LEN) != 0)
			continue;
		if (mono_diff_ms(e->at, now) > IDEM_KEEP_MS) {
			forget(m, e);
			continue;
		}
		print_request(req, what);
		*ret_response = memcmp(e->what, what, PRINT_LEN) == 0
					? again(&e->answer)
					: problem(422, "This Idempotency-Key was used for another request.");
		return true;
	}
	return false;
}

void idem_keep(struct idem *m, const struct request *req, const struct response *r, mono_t now)
{
	struct memory *e = &m->ring[m->next];
	size_t oldest;

	/* what failed on our side may be tried again */
	if (r->status >= 500 || r->status == 429 || r->stream)
		return;
	oldest = m->next = (m->next + 1) % IDEM_MAX;
	forget(m, e);
	print_key(req, e->key);
	print_request(req, e->what);
	e->at = now;
	e->answer = r->secret
			    ? problem(409, "This was done before, under the same Idempotency-Key; its answer "
					   "held a secret, which is shown once.")
			    : again(r);
	m->bytes += e->answer.len;
	for (; m->bytes > IDEM_BYTES_MAX && &m->ring[oldest] != e; oldest = (oldest + 1) % IDEM_MAX)
		forget(m, &m->ring[oldest]);
}
