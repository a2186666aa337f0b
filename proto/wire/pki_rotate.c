/* SPDX-License-Identifier: Apache-2.0
 * Another CA in place of the present one. In between both are in ca.pem: first the one that signs. The old
 * key is kept under its own name before the new one takes its place, so that an aborted run loses neither. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/wire/msg.h"
#include "proto/wire/pki_int.h"

static int keep_old_key(const char *dir, const struct pki_paths *p, char *ret_why)
{
	struct pki_paths old;
	int err = pki_make_paths(dir, "ca-old", &old, ret_why);

	if (err)
		return err;
	unlink(old.key);
	if (link(p->key, old.key))
		return pki_explain(ret_why, -errno, "%s: %s", old.key, strerror(errno));
	return 0;
}

static int write_bundle(struct issue *s, const char *dir, const struct pki_paths *p,
			const gnutls_datum_t *old)
{
	gnutls_datum_t crt = { 0 }, key = { 0 };
	int r = gnutls_x509_crt_export2(s->crt, GNUTLS_X509_FMT_PEM, &crt);

	if (r >= 0)
		r = gnutls_x509_privkey_export2_pkcs8(s->key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
						      &key);
	if (r < 0) {
		gnutls_free(crt.data);
		return pki_tls_error(s, r);
	}
	auto_free char *text = xasprintf("%.*s%.*s", (int)crt.size, (const char *)crt.data, (int)old->size,
					 (const char *)old->data);
	gnutls_datum_t both = { (unsigned char *)text, (unsigned)strlen(text) };
	int err = pki_write_pair(dir, p, &both, &key, true, s->why);
	explicit_bzero(key.data, key.size);
	gnutls_free(key.data);
	gnutls_free(crt.data);
	return err;
}

static int one_ca(const gnutls_datum_t *pem, const char *path, size_t *ret_n, char *ret_why)
{
	auto_free char *text = xasprintf("%.*s", (int)pem->size, (const char *)pem->data);
	char ids[PKI_BUNDLE_MAX][PKI_ID_LEN], why[TEXT_LEN];

	if (pki_bundle_ids(text, ids, ret_n, why))
		return pki_explain(ret_why, ERR_CERT, "%s: %.180s", path, why);
	return 0;
}

static int rotate(struct issue *s, const char *dir, const struct pki_paths *p, const gnutls_datum_t *old,
		  int days)
{
	char org[NAME_LEN] = "sluice";
	size_t n = 0, size = sizeof(org);
	int err = one_ca(old, p->cert, &n, s->why);

	if (!err && n > 1)
		err = pki_explain(s->why, -EALREADY,
				  "%s holds %zu CAs: a rotation is under way; end it with sluicectl pki "
				  "rotate-ca --finish",
				  p->cert, n);
	if (!err)
		err = pki_load_ca(s, dir);
	if (err)
		return err;
	gnutls_x509_crt_get_dn_by_oid(s->ca, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, 0, org, &size);
	int r = pki_make_ca(s, org, days);
	err = r < 0 ? pki_tls_error(s, r) : keep_old_key(dir, p, s->why);
	return err ? err : write_bundle(s, dir, p, old);
}

int pki_rotate(const char *dir, int days, char *ret_why)
{
	gnutls_datum_t old = { 0 };
	struct pki_paths p;
	struct issue s;
	int err = pki_make_paths(dir, "ca", &p, ret_why);

	if (!err)
		err = pki_load_file(p.cert, &old, "make the CA with sluicectl pki init", ret_why);
	if (err)
		return err;
	pki_issue_init(&s, ret_why);
	err = rotate(&s, dir, &p, &old, days);
	pki_issue_done(&s);
	pki_wipe(&old);
	return err;
}

int pki_rotate_finish(const char *dir, char *ret_why)
{
	static const char end[] = "-----END CERTIFICATE-----\n";
	gnutls_datum_t pem = { 0 };
	struct pki_paths p;
	size_t n = 0;
	int err = pki_make_paths(dir, "ca", &p, ret_why);

	if (!err)
		err = pki_load_file(p.cert, &pem, "make the CA with sluicectl pki init", ret_why);
	if (!err)
		err = one_ca(&pem, p.cert, &n, ret_why);
	if (!err && n < 2)
		err = pki_explain(ret_why, -ENOENT, "%s holds one CA: there is no rotation to end", p.cert);
	const char *stop = err ? NULL : strstr((const char *)pem.data, end);
	if (stop) {
		pem.size = (unsigned)(stop + sizeof(end) - 1 - (const char *)pem.data);
		err = pki_write_file(dir, p.cert, &pem, ret_why);
	}
	pki_wipe(&pem);
	return err;
}
