/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/certs.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/x509.h>

#include "proto/wire/msg.h"

#define DAY_S 86400

char *certs_new(void)
{
	char *dir = xstrdup("/tmp/sluice-certs.XXXXXX");
	char why[TEXT_LEN] = "";

	assert_non_null(mkdtemp(dir));
	if (pki_init(dir, "lab", 3650, why))
		fail_msg("%s", why);
	return dir;
}

void certs_rm(char *dir)
{
	DIR *d = opendir(dir);

	for (struct dirent *e; d && (e = readdir(d));) {
		auto_free char *path = xasprintf("%s/%s", dir, e->d_name);
		if (e->d_type == DT_REG)
			unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
	free(dir);
}

void certs_issue(const char *dir, const char *name, enum pki_role role, int days)
{
	char why[TEXT_LEN] = "";

	if (pki_issue(dir, name, role, NULL, days, true, why))
		fail_msg("%s", why);
}

static gnutls_datum_t load(const char *dir, const char *name, const char *suffix)
{
	auto_free char *path = xasprintf("%s/%s.%s", dir, name, suffix);
	gnutls_datum_t d;

	assert_int_equal(gnutls_load_file(path, &d), 0);
	return d;
}

static void save(const char *dir, const char *name, const char *suffix, gnutls_datum_t *d)
{
	auto_free char *path = xasprintf("%s/%s.%s", dir, name, suffix);
	auto_fclose FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(d->data, 1, d->size, f), d->size);
	gnutls_free(d->data);
}

static void set_dn(gnutls_x509_crt_t crt, const char *oid, const char *value)
{
	if (value)
		assert_int_equal(gnutls_x509_crt_set_dn_by_oid(crt, oid, 0, value, (unsigned)strlen(value)),
				 0);
}

static void fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const struct odd *o)
{
	time_t now = time(NULL);

	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, "\x41\x42", 2);
	gnutls_x509_crt_set_activation_time(crt, now + (time_t)o->from_days * DAY_S);
	gnutls_x509_crt_set_expiration_time(crt, now + (time_t)o->to_days * DAY_S);
	set_dn(crt, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, o->ou);
	set_dn(crt, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, o->ou2);
	set_dn(crt, GNUTLS_OID_X520_COMMON_NAME, o->cn);
	gnutls_x509_crt_set_basic_constraints(crt, o->ca, -1);
	if (o->purpose)
		gnutls_x509_crt_set_key_purpose_oid(crt, o->purpose, 0);
	assert_int_equal(gnutls_x509_crt_set_key(crt, key), 0);
}

static void sign(gnutls_x509_crt_t crt, const char *dir, const char *signer)
{
	gnutls_datum_t cert = load(dir, signer, "pem"), pem = load(dir, signer, "key");
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t ca;

	gnutls_x509_crt_init(&ca);
	gnutls_x509_privkey_init(&key);
	assert_int_equal(gnutls_x509_crt_import(ca, &cert, GNUTLS_X509_FMT_PEM), 0);
	assert_int_equal(gnutls_x509_privkey_import2(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0), 0);
	assert_int_equal(gnutls_x509_crt_sign2(crt, ca, key, GNUTLS_DIG_SHA256, 0), 0);
	gnutls_x509_crt_deinit(ca);
	gnutls_x509_privkey_deinit(key);
	gnutls_free(cert.data);
	gnutls_free(pem.data);
}

void certs_odd(const char *dir, const char *name, const struct odd *o)
{
	gnutls_datum_t cert, pem;
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;

	gnutls_x509_crt_init(&crt);
	gnutls_x509_privkey_init(&key);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
						      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
			 0);
	fill(crt, key, o);
	sign(crt, dir, o->signer ? o->signer : "ca");
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &cert), 0);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), 0);
	save(dir, name, "pem", &cert);
	save(dir, name, "key", &pem);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

struct tls_creds *certs_load(const char *dir, const char *name)
{
	auto_free char *ca = xasprintf("%s/ca.pem", dir);
	auto_free char *cert = xasprintf("%s/%s.pem", dir, name);
	auto_free char *key = xasprintf("%s/%s.key", dir, name);
	char why[TEXT_LEN] = "";
	struct tls_creds *c = NULL;

	if (tls_creds_load(ca, cert, key, &c, why))
		fail_msg("%s", why);
	return c;
}
