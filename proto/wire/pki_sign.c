/* SPDX-License-Identifier: Apache-2.0
 * Requests and their signing, and what certificates say of themselves. Owns the loaded enrolment CA. What a
 * peer wrote is parsed by GnuTLS, and only the key is taken from it. */
#include <errno.h>
#include <string.h>

#include <gnutls/abstract.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"
#include "proto/wire/msg.h"
#include "proto/wire/pki_int.h"

#define ENROLMENT_CN "Sluice enrolment CA"

struct pki_signer {
	struct issue in; /* ca and ca_key */
	char *pem;	 /* the CA's certificate */
};

static char *take_text(gnutls_datum_t *d)
{
	char *s = xasprintf("%.*s", (int)d->size, (const char *)d->data);

	explicit_bzero(d->data, d->size);
	gnutls_free(d->data);
	return s;
}

static gnutls_datum_t datum(const char *text)
{
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)text, (unsigned)strlen(text) };
}

static void id_text(const unsigned char id[32], char *ret_id)
{
	for (size_t i = 0; i < 32; i++)
		snprintf(ret_id + 2 * i, 3, "%02x", id[i]);
}

/* ---- the enrolment CA ---- */

/* Made by an older version with a path length of 0, it can sign leaves only. */
static int may_sign_cas(struct issue *s, const char *dir)
{
	int path_len = -1;
	unsigned ca = 0;

	if (gnutls_x509_crt_get_basic_constraints(s->ca, NULL, &ca, &path_len) < 0 || path_len == 0)
		return pki_explain(
			s->why, ERR_CERT,
			"%s/ca.pem may not sign other CAs: replace it with sluicectl pki rotate-ca", dir);
	return 0;
}

/* No address at all: what it signs cannot be the server of an https://ADDRESS, even for a client that does
 * not look at key usage (RFC 5280, 4.2.1.10). */
static int forbid_addresses(gnutls_x509_crt_t crt)
{
	static const unsigned char any[32];
	const gnutls_datum_t v4 = { (unsigned char *)(uintptr_t)any, 8 },
			     v6 = { (unsigned char *)(uintptr_t)any, 32 };
	gnutls_x509_name_constraints_t nc;
	int r = gnutls_x509_name_constraints_init(&nc);

	if (r < 0)
		return r;
	if ((r = gnutls_x509_name_constraints_add_excluded(nc, GNUTLS_SAN_IPADDRESS, &v4)) >= 0 &&
	    (r = gnutls_x509_name_constraints_add_excluded(nc, GNUTLS_SAN_IPADDRESS, &v6)) >= 0)
		r = gnutls_x509_crt_set_name_constraints(crt, nc, 1);
	gnutls_x509_name_constraints_deinit(nc);
	return r;
}

static int make_enrolment(struct issue *s, int days)
{
	char org[NAME_LEN] = "";
	size_t size = sizeof(org);
	int r;

	gnutls_x509_crt_get_dn_by_oid(s->ca, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, 0, org, &size);
	if ((r = pki_set_common(s, days, true)) < 0 ||
	    (r = pki_set_dn(s, GNUTLS_OID_X520_ORGANIZATION_NAME, *org ? org : "sluice")) < 0 ||
	    (r = pki_set_dn(s, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, PKI_ENROLMENT_OU)) < 0 ||
	    (r = pki_set_dn(s, GNUTLS_OID_X520_COMMON_NAME, ENROLMENT_CN)) < 0 ||
	    (r = gnutls_x509_crt_set_basic_constraints(s->crt, 1, 0)) < 0 ||
	    (r = gnutls_x509_crt_set_key_usage(s->crt, GNUTLS_KEY_KEY_CERT_SIGN)) < 0 ||
	    (r = gnutls_x509_crt_set_key_purpose_oid(s->crt, GNUTLS_KP_TLS_WWW_CLIENT, 0)) < 0 ||
	    (r = forbid_addresses(s->crt)) < 0 || (r = pki_set_issuer_id(s)) < 0)
		return r;
	return gnutls_x509_crt_sign2(s->crt, s->ca, s->ca_key, GNUTLS_DIG_SHA256, 0);
}

int pki_enrolment(const char *dir, int days, bool force, char *ret_why)
{
	struct pki_paths p;
	struct issue s;
	int err = pki_make_paths(dir, "enrol", &p, ret_why);

	if (!err && !force)
		err = pki_files_free(&p, ret_why);
	if (err)
		return err;
	pki_issue_init(&s, ret_why);
	err = pki_load_ca(&s, dir);
	if (!err)
		err = may_sign_cas(&s, dir);
	if (!err) {
		int r = make_enrolment(&s, days);
		err = r < 0 ? pki_tls_error(&s, r) : pki_save(&s, dir, &p, force);
	}
	pki_issue_done(&s);
	return err;
}

int pki_signer_load(const char *cert, const char *key, struct pki_signer **ret_signer, char *ret_why)
{
	static const char next[] = "make the enrolment CA with sluicectl pki enrolment and copy it here";
	struct pki_signer *s = xcalloc(1, sizeof(*s));
	gnutls_datum_t c = { 0 }, k = { 0 };
	struct pki_paths p;

	snprintf(p.cert, sizeof(p.cert), "%s", cert);
	snprintf(p.key, sizeof(p.key), "%s", key);
	pki_issue_init(&s->in, ret_why);
	int err = pki_load_file(cert, &c, next, ret_why);
	if (!err)
		err = pki_load_file(key, &k, next, ret_why);
	if (!err)
		err = pki_import_ca(&s->in, &p, &c, &k);
	pki_wipe(&c);
	pki_wipe(&k);
	if (!err) {
		gnutls_datum_t pem = { 0 };
		int r = gnutls_x509_crt_export2(s->in.ca, GNUTLS_X509_FMT_PEM, &pem);
		err = r < 0 ? pki_tls_error(&s->in, r) : 0;
		s->pem = r < 0 ? NULL : take_text(&pem);
	}
	if (err)
		pki_signer_free(s);
	else
		*ret_signer = s;
	return err;
}

void pki_signer_free(struct pki_signer *s)
{
	if (!s)
		return;
	pki_issue_done(&s->in);
	free(s->pem);
	free(s);
}

/* ---- requests ---- */

/* A GnuTLS code. */
static int fill_request(gnutls_x509_crq_t crq, gnutls_x509_privkey_t key, const char *name)
{
	int r;

	if ((r = gnutls_x509_crq_set_version(crq, 1)) < 0 ||
	    (r = gnutls_x509_crq_set_dn_by_oid(crq, GNUTLS_OID_X520_COMMON_NAME, 0, name,
					       (unsigned)strlen(name))) < 0 ||
	    (r = gnutls_x509_crq_set_key(crq, key)) < 0)
		return r;
	return gnutls_x509_crq_sign2(crq, key, GNUTLS_DIG_SHA256, 0);
}

int pki_request_with(const char *name, const char *key, char **ret_csr, char *ret_why)
{
	gnutls_datum_t csr = { 0 }, pem = datum(key);
	gnutls_x509_privkey_t priv;
	gnutls_x509_crq_t crq;

	if (gnutls_x509_crq_init(&crq) < 0 || gnutls_x509_privkey_init(&priv) < 0)
		abort();
	int r = gnutls_x509_privkey_import2(priv, &pem, GNUTLS_X509_FMT_PEM, NULL, 0), err = 0;
	if (r < 0)
		err = pki_explain(ret_why, ERR_CERT, "not a PEM private key (%s)", gnutls_strerror(r));
	else if ((r = fill_request(crq, priv, name)) < 0 ||
		 (r = gnutls_x509_crq_export2(crq, GNUTLS_X509_FMT_PEM, &csr)) < 0)
		err = pki_explain(ret_why, ERR_TLS, "GnuTLS: %s", gnutls_strerror(r));
	gnutls_x509_crq_deinit(crq);
	gnutls_x509_privkey_deinit(priv);
	if (!err)
		*ret_csr = take_text(&csr);
	return err;
}

int pki_request(const char *name, char **ret_csr, char **ret_key, char *ret_why)
{
	gnutls_datum_t pem = { 0 };
	gnutls_x509_privkey_t key;

	if (gnutls_x509_privkey_init(&key) < 0)
		abort();
	int r = pki_new_key(key);
	if (r >= 0)
		r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
						      &pem);
	gnutls_x509_privkey_deinit(key);
	if (r < 0)
		return pki_explain(ret_why, ERR_TLS, "GnuTLS: %s", gnutls_strerror(r));
	char *text = take_text(&pem);
	int err = pki_request_with(name, text, ret_csr, ret_why);
	if (!err) {
		*ret_key = text;
		return 0;
	}
	explicit_bzero(text, strlen(text));
	free(text);
	return err;
}

static bool is_p256(gnutls_pubkey_t key)
{
	gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;

	return gnutls_pubkey_get_pk_algorithm(key, NULL) == GNUTLS_PK_ECDSA &&
	       gnutls_pubkey_export_ecc_raw2(key, &curve, NULL, NULL, 0) >= 0 &&
	       curve == GNUTLS_ECC_CURVE_SECP256R1;
}

/* Its key, when the request proves that the sender has it. */
static int key_of(const char *csr, gnutls_pubkey_t key, char *ret_why)
{
	gnutls_datum_t d = datum(csr);
	gnutls_x509_crq_t crq;
	int err = 0;

	if (gnutls_x509_crq_init(&crq) < 0)
		abort();
	if (gnutls_x509_crq_import(crq, &d, GNUTLS_X509_FMT_PEM) < 0)
		err = pki_explain(ret_why, ERR_MALFORMED, "csr: not a PEM certificate request (PKCS#10)");
	else if (gnutls_pubkey_import_x509_crq(key, crq, 0) < 0 || !is_p256(key))
		err = pki_explain(ret_why, ERR_NOT_ALLOWED, "csr: its key is not ECDSA on P-256");
	/* last: with an RSA key as large as the request allows this would take a minute */
	else if (gnutls_x509_crq_verify(crq, 0) < 0)
		err = pki_explain(ret_why, ERR_MALFORMED, "csr: not signed by its own key");
	gnutls_x509_crq_deinit(crq);
	return err;
}

int pki_request_id(const char *csr, char *ret_id, char *ret_why)
{
	unsigned char id[64];
	size_t n = sizeof(id);
	gnutls_pubkey_t key;

	if (gnutls_pubkey_init(&key) < 0)
		abort();
	int err = key_of(csr, key, ret_why);
	if (!err && (gnutls_pubkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, id, &n) < 0 || n != 32))
		err = pki_explain(ret_why, ERR_MALFORMED, "csr: its key has no id");
	if (!err)
		id_text(id, ret_id);
	gnutls_pubkey_deinit(key);
	return err;
}

void pki_leaf_of(struct gnutls_x509_crt_int *crt, struct pki_leaf *ret)
{
	unsigned char serial[32];
	size_t n = sizeof(serial), size = sizeof(ret->name);

	*ret = (struct pki_leaf){ .from_s = gnutls_x509_crt_get_activation_time(crt),
				  .to_s = gnutls_x509_crt_get_expiration_time(crt) };
	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, ret->name, &size) < 0 ||
	    !pki_name_ok(ret->name))
		ret->name[0] = 0;
	if (gnutls_x509_crt_get_serial(crt, serial, &n) < 0 || n * 2 >= sizeof(ret->serial))
		n = 0;
	for (size_t i = 0; i < n; i++)
		snprintf(ret->serial + 2 * i, 3, "%02x", serial[i]);
}

static int make_node(struct issue *s, const char *name, gnutls_pubkey_t key, int64_t life_s)
{
	int r;

	if ((r = gnutls_x509_crt_set_version(s->crt, 3)) < 0 || (r = pki_set_serial(s)) < 0 ||
	    (r = pki_set_dates(s, life_s, true)) < 0 || (r = gnutls_x509_crt_set_pubkey(s->crt, key)) < 0 ||
	    (r = pki_set_key_id(s)) < 0 || (r = pki_set_leaf(s, name, PKI_ROLE_NODE, false)) < 0)
		return r;
	return gnutls_x509_crt_sign2(s->crt, s->ca, s->ca_key, GNUTLS_DIG_SHA256, 0);
}

int pki_sign(const struct pki_signer *signer, const char *csr, const char *name, int64_t life_s,
	     char **ret_chain, struct pki_leaf *ret_leaf, char *ret_why)
{
	struct issue s = signer->in; /* borrows the CA and its key */
	gnutls_datum_t pem = { 0 };
	gnutls_pubkey_t key;

	if (!pki_name_ok(name))
		return pki_explain(ret_why, -EINVAL, "\"%.63s\" cannot be a node's name", name);
	if (gnutls_pubkey_init(&key) < 0 || gnutls_x509_crt_init(&s.crt) < 0)
		abort();
	s.why = ret_why;
	int err = key_of(csr, key, ret_why);
	if (!err && gnutls_x509_crt_get_expiration_time(s.ca) <= (time_t)(wall_now_ms() / 1000))
		err = pki_explain(
			ret_why, ERR_CERT,
			"the enrolment CA has expired: make a new one with sluicectl pki enrolment");
	if (!err) {
		int r = make_node(&s, name, key, life_s);
		if (r >= 0)
			r = gnutls_x509_crt_export2(s.crt, GNUTLS_X509_FMT_PEM, &pem);
		err = r < 0 ? pki_tls_error(&s, r) : 0;
	}
	if (!err) {
		auto_free char *leaf = take_text(&pem);
		*ret_chain = xasprintf("%s%s", leaf, signer->pem);
		pki_leaf_of(s.crt, ret_leaf);
	}
	gnutls_pubkey_deinit(key);
	gnutls_x509_crt_deinit(s.crt);
	return err;
}

/* ---- what certificates say ---- */

struct list {
	gnutls_x509_crt_t crt[PKI_BUNDLE_MAX];
	unsigned n;
};

static int list_read(const char *pem, struct list *ret, char *ret_why)
{
	gnutls_datum_t d = datum(pem);

	ret->n = PKI_BUNDLE_MAX;
	int r = gnutls_x509_crt_list_import(ret->crt, &ret->n, &d, GNUTLS_X509_FMT_PEM,
					    GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
	if (r >= 0)
		return 0;
	ret->n = 0;
	return pki_explain(ret_why, ERR_CERT, "not a PEM certificate (%s)", gnutls_strerror(r));
}

static void list_done(struct list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		gnutls_x509_crt_deinit(l->crt[i]);
}

int pki_leaf_read(const char *pem, struct pki_leaf *ret_leaf, char *ret_why)
{
	struct list l = { .n = 0 };
	int err = list_read(pem, &l, ret_why);

	if (!err)
		pki_leaf_of(l.crt[0], ret_leaf);
	list_done(&l);
	return err;
}

int64_t pki_issued_s(const struct pki_leaf *l)
{
	int64_t half = (l->to_s - l->from_s) / 2;

	return l->from_s + (half < PKI_BACKDATE_S ? half : PKI_BACKDATE_S);
}

static int ca_id(gnutls_x509_crt_t crt, char *ret_id)
{
	unsigned char id[64];
	size_t n = sizeof(id);

	if (gnutls_x509_crt_get_ca_status(crt, NULL) <= 0 ||
	    gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, id, &n) < 0 || n != 32)
		return ERR_CERT;
	id_text(id, ret_id);
	return 0;
}

int pki_bundle_ids(const char *pem, char ret_ids[PKI_BUNDLE_MAX][PKI_ID_LEN], size_t *ret_n, char *ret_why)
{
	struct list l = { .n = 0 };
	int err = list_read(pem, &l, ret_why);

	for (unsigned i = 0; i < l.n && !err; i++)
		if (ca_id(l.crt[i], ret_ids[i]))
			err = pki_explain(ret_why, ERR_CERT, "certificate %u is not one of a CA", i + 1);
	if (!err)
		*ret_n = l.n;
	list_done(&l);
	return err;
}

static bool hangs_from(const struct list *chain, gnutls_x509_crt_t ca)
{
	gnutls_x509_trust_list_t trust;
	unsigned status = 1;

	if (gnutls_x509_trust_list_init(&trust, 0) < 0)
		abort();
	gnutls_x509_trust_list_add_cas(trust, &ca, 1, 0);
	gnutls_x509_crt_t crts[PKI_BUNDLE_MAX];
	memcpy(crts, chain->crt, sizeof(crts));
	int r = gnutls_x509_trust_list_verify_crt(trust, crts, chain->n, GNUTLS_VERIFY_DISABLE_TIME_CHECKS,
						  &status, NULL);
	gnutls_x509_trust_list_deinit(trust, 0);
	return r >= 0 && !status;
}

int pki_chain_root(const char *chain, const char *bundle)
{
	struct list c = { .n = 0 }, b = { .n = 0 };
	char why[TEXT_LEN];
	int found = -ENOENT;

	if (!list_read(chain, &c, why) && !list_read(bundle, &b, why))
		for (unsigned i = 0; i < b.n && found < 0; i++)
			if (hangs_from(&c, b.crt[i]))
				found = (int)i;
	list_done(&c);
	list_done(&b);
	return found;
}
