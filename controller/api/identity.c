/* SPDX-License-Identifier: Apache-2.0
 * Owns the list of identities: the first is served, the others were, and are kept for RETIRED_MS, because a
 * handshake that began with one points into it until its end. */
#include "controller/api/identity.h"

#include <errno.h>
#include <string.h>

#include "controller/api/http.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"

#define PEM_MAX	   (256 * 1024)
#define CHAIN_MAX  8
#define RETIRED_MS (3 * HTTP_FIRST_MS)

struct identity {
	struct identity *next;
	mono_t retired_at;
	gnutls_pcert_st certs[CHAIN_MAX];
	unsigned n_certs;
	gnutls_privkey_t key;
};

static struct identity *serving;

static int read_pem(const char *path, struct buf *out, char *ret_why)
{
	char block[4096];
	size_t n;
	auto_fclose FILE *f = fopen(path, "re");

	out->max = PEM_MAX;
	if (!f) {
		snprintf(ret_why, TEXT_LEN, "%s: %s", path, strerror(errno));
		return -errno;
	}
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		if (buf_add(out, block, n) != 0)
			break;
	if (ferror(f) || !feof(f) || !out->len) {
		snprintf(ret_why, TEXT_LEN, "%s: not a PEM file", path);
		return ERR_CERT;
	}
	return 0;
}

static void identity_free(struct identity *id)
{
	if (!id)
		return;
	for (unsigned i = 0; i < id->n_certs; i++)
		gnutls_pcert_deinit(&id->certs[i]);
	if (id->key)
		gnutls_privkey_deinit(id->key);
	free(id);
}

static bool key_fits(const struct identity *id)
{
	uint8_t a[64], b[64];
	size_t na = sizeof(a), nb = sizeof(b);
	gnutls_pubkey_t pub;

	if (gnutls_pubkey_init(&pub) != 0)
		return false;
	bool fits = gnutls_pubkey_import_privkey(pub, id->key, 0, 0) == 0 &&
		    gnutls_pubkey_get_key_id(pub, GNUTLS_KEYID_USE_SHA256, a, &na) == 0 &&
		    gnutls_pubkey_get_key_id(id->certs[0].pubkey, GNUTLS_KEYID_USE_SHA256, b, &nb) == 0 &&
		    na == nb && memcmp(a, b, na) == 0;
	gnutls_pubkey_deinit(pub);
	return fits;
}

/* A GnuTLS error code, or 0. */
static int identity_fill(struct identity *id, const struct buf *cert, const struct buf *key)
{
	const gnutls_datum_t c = { (void *)cert->data, (unsigned)cert->len },
			     k = { (void *)key->data, (unsigned)key->len };
	unsigned n = CHAIN_MAX;
	int err = gnutls_pcert_list_import_x509_raw(id->certs, &n, &c, GNUTLS_X509_FMT_PEM, 0);

	if (err < 0)
		return err;
	id->n_certs = n;
	err = gnutls_privkey_init(&id->key);
	if (err == 0)
		err = gnutls_privkey_import_x509_raw(id->key, &k, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (err == 0 && (n == 0 || !key_fits(id)))
		err = GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
	return err;
}

static int identity_load(const char *cert_path, const char *key_path, struct identity **ret, char *ret_why)
{
	auto_buf cert = { 0 }, key = { 0 };
	int r = read_pem(cert_path, &cert, ret_why);

	if (r == 0)
		r = read_pem(key_path, &key, ret_why);
	if (r != 0)
		return r;
	struct identity *id = xcalloc(1, sizeof(*id));
	r = identity_fill(id, &cert, &key);
	explicit_bzero(key.data, key.len);
	if (r == 0) {
		*ret = id;
		return 0;
	}
	identity_free(id);
	snprintf(ret_why, TEXT_LEN, "HTTPS does not start with %s and %s: %s", cert_path, key_path,
		 gnutls_strerror(r));
	return ERR_TLS;
}

int identity_serve(const char *cert, const char *key, char *ret_why)
{
	struct identity *id;
	int r = identity_load(cert, key, &id, ret_why);

	if (r != 0)
		return r;
	if (serving)
		serving->retired_at = mono_now();
	id->next = serving;
	serving = id;
	return 0;
}

void identity_revert(void)
{
	struct identity *id = serving;

	serving = id->next;
	identity_free(id);
}

int identity_callback(gnutls_session_t session, const gnutls_datum_t *req_ca_dn, int nreqs,
		      const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length, gnutls_pcert_st **pcert,
		      unsigned int *pcert_length, gnutls_privkey_t *pkey)
{
	(void)session;
	(void)req_ca_dn;
	(void)nreqs;
	(void)pk_algos;
	(void)pk_algos_length;
	*pcert = serving->certs;
	*pcert_length = serving->n_certs;
	*pkey = serving->key;
	return 0;
}

void identity_sweep(mono_t now)
{
	struct identity **p = serving ? &serving->next : &serving;

	while (*p) {
		struct identity *id = *p;
		if (mono_diff_ms(id->retired_at, now) < RETIRED_MS) {
			p = &id->next;
			continue;
		}
		*p = id->next;
		identity_free(id);
	}
}

void identity_done(void)
{
	while (serving) {
		struct identity *id = serving;
		serving = id->next;
		identity_free(id);
	}
}
