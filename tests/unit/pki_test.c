/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/pki.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "proto/base/err.h"
#include "proto/wire/msg.h"
#include "proto/wire/tls.h"
#include "tests/unit/certs.h"

#define DAY_S 86400

static char *dir;
static char why[TEXT_LEN];

#define assert_says(text, part)                                                                              \
	do {                                                                                                 \
		if (!strstr(text, part))                                                                     \
			fail_msg("\"%s\" does not say \"%s\"", text, part);                                  \
	} while (0)

static gnutls_x509_crt_t load(const char *name)
{
	auto_free char *path = xasprintf("%s/%s.pem", dir, name);
	gnutls_x509_crt_t crt;
	gnutls_datum_t d;

	assert_int_equal(gnutls_load_file(path, &d), 0);
	gnutls_x509_crt_init(&crt);
	assert_int_equal(gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM), 0);
	gnutls_free(d.data);
	return crt;
}

static void assert_mode(const char *file, mode_t mode)
{
	auto_free char *path = xasprintf("%s/%s", dir, file);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static int count_files(void)
{
	DIR *d = opendir(dir);
	int n = 0;

	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void assert_dn(gnutls_x509_crt_t crt, const char *oid, const char *value)
{
	char text[128] = "";
	size_t size = sizeof(text);

	assert_int_equal(gnutls_x509_crt_get_dn_by_oid(crt, oid, 0, 0, text, &size), 0);
	assert_string_equal(text, value);
}

static void assert_common(gnutls_x509_crt_t crt, int days)
{
	unsigned char serial[32];
	size_t size = sizeof(serial);
	unsigned bits;

	assert_int_equal(gnutls_x509_crt_get_version(crt), 3);
	assert_int_equal(gnutls_x509_crt_get_pk_algorithm(crt, &bits), GNUTLS_PK_ECDSA);
	assert_int_equal(bits, 256);
	assert_int_equal(gnutls_x509_crt_get_signature_algorithm(crt), GNUTLS_SIGN_ECDSA_SHA256);
	assert_int_equal(gnutls_x509_crt_get_serial(crt, serial, &size), 0);
	assert_int_equal(size, 16);
	assert_int_equal(serial[0] & 0x80, 0);
	time_t end = gnutls_x509_crt_get_expiration_time(crt);
	assert_in_range(end, time(NULL) + days * DAY_S - 10, time(NULL) + days * DAY_S + 10);
	assert_true(gnutls_x509_crt_get_activation_time(crt) <= time(NULL) - 3590);
}

static void test_ca(void **state)
{
	unsigned critical, ca, usage;
	int pathlen;

	(void)state;
	gnutls_x509_crt_t crt = load("ca");
	assert_common(crt, 3650);
	assert_dn(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, "lab");
	assert_int_equal(gnutls_x509_crt_get_basic_constraints(crt, &critical, &ca, &pathlen), 1);
	assert_true(critical && ca);
	assert_int_equal(pathlen, 1);
	assert_int_equal(gnutls_x509_crt_get_key_usage(crt, &usage, &critical), 0);
	assert_int_equal(usage, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
	assert_int_equal(gnutls_x509_crt_check_issuer(crt, crt), 1);
	assert_mode("ca.pem", 0644);
	assert_mode("ca.key", 0600);
	gnutls_x509_crt_deinit(crt);
}

static void test_leaf(void **state)
{
	unsigned critical, ca, usage, status = 1;
	char oid[2][64];
	int pathlen;

	(void)state;
	assert_int_equal(pki_issue(dir, "fra1", PKI_ROLE_NODE, "192.0.2.7, 2001:db8::7", 90, false, why), 0);
	gnutls_x509_crt_t crt = load("fra1"), issuer = load("ca");
	assert_common(crt, 90);
	assert_dn(crt, GNUTLS_OID_X520_COMMON_NAME, "fra1");
	assert_dn(crt, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, "node");
	assert_int_equal(gnutls_x509_crt_get_basic_constraints(crt, &critical, &ca, &pathlen), 0);
	assert_false(ca);
	assert_int_equal(gnutls_x509_crt_get_key_usage(crt, &usage, &critical), 0);
	assert_int_equal(usage, GNUTLS_KEY_DIGITAL_SIGNATURE);
	for (unsigned i = 0; i < 2; i++) {
		size_t size = sizeof(oid[i]);
		assert_int_equal(gnutls_x509_crt_get_key_purpose_oid(crt, i, oid[i], &size, &critical), 0);
	}
	assert_string_equal(oid[0], GNUTLS_KP_TLS_WWW_CLIENT);
	assert_string_equal(oid[1], GNUTLS_KP_TLS_WWW_SERVER);
	assert_true(gnutls_x509_crt_check_hostname(crt, "fra1"));
	assert_true(gnutls_x509_crt_check_hostname(crt, "192.0.2.7"));
	assert_true(gnutls_x509_crt_check_hostname(crt, "2001:db8::7"));
	assert_false(gnutls_x509_crt_check_hostname(crt, "192.0.2.8"));
	assert_false(gnutls_x509_crt_check_hostname(crt, "localhost"));
	assert_int_equal(gnutls_x509_crt_list_verify(&crt, 1, &issuer, 1, NULL, 0, 0, &status), 0);
	assert_int_equal(status, 0);
	assert_mode("fra1.pem", 0644);
	assert_mode("fra1.key", 0600);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_crt_deinit(issuer);
}

static void test_controller_serves_localhost(void **state)
{
	(void)state;
	assert_int_equal(pki_issue(dir, "ctl", PKI_ROLE_CONTROLLER, "198.51.100.1", 90, false, why), 0);
	gnutls_x509_crt_t crt = load("ctl");
	assert_dn(crt, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, "controller");
	static const char *const names[] = { "ctl", "localhost", "127.0.0.1", "::1", "198.51.100.1" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_true(gnutls_x509_crt_check_hostname(crt, names[i]));
	gnutls_x509_crt_deinit(crt);
}

static void test_loads_as_credentials(void **state)
{
	(void)state;
	certs_issue(dir, "pair", PKI_ROLE_NODE, 1);
	struct tls_creds *c = certs_load(dir, "pair");
	assert_string_equal(tls_creds_name(c), "pair");
	tls_creds_unref(c);
}

static void test_nothing_is_overwritten(void **state)
{
	(void)state;
	assert_int_equal(pki_init(dir, "lab", 10, why), -EEXIST);
	assert_says(why, "ca.pem exists already");
	assert_int_equal(pki_issue(dir, "once", PKI_ROLE_NODE, NULL, 10, false, why), 0);
	gnutls_x509_crt_t first = load("once");
	int files = count_files();
	assert_int_equal(pki_issue(dir, "once", PKI_ROLE_NODE, NULL, 10, false, why), -EEXIST);
	assert_says(why, "once.pem exists already");
	gnutls_x509_crt_t same = load("once");
	assert_true(gnutls_x509_crt_equals(first, same));
	/* a key without its certificate is not lost either */
	auto_free char *pem = xasprintf("%s/once.pem", dir);
	assert_int_equal(unlink(pem), 0);
	assert_int_equal(pki_issue(dir, "once", PKI_ROLE_NODE, NULL, 10, false, why), -EEXIST);
	assert_says(why, "once.key exists already");
	/* unless asked */
	assert_int_equal(pki_issue(dir, "once", PKI_ROLE_CONTROLLER, NULL, 10, true, why), 0);
	gnutls_x509_crt_t other = load("once");
	assert_false(gnutls_x509_crt_equals(first, other));
	assert_int_equal(count_files(), files); /* no temporary file is left */
	assert_mode("once.key", 0600);
	gnutls_x509_crt_deinit(first);
	gnutls_x509_crt_deinit(same);
	gnutls_x509_crt_deinit(other);
}

/* when a file cannot take its place, no temporary one stays */
static void test_failure_cleans_up(void **state)
{
	auto_free char *key = xasprintf("%s/stuck.key", dir);
	auto_free char *pem = xasprintf("%s/stuck2.pem", dir);

	(void)state;
	assert_int_equal(mkdir(key, 0700), 0);
	int files = count_files();
	assert_int_equal(pki_issue(dir, "stuck", PKI_ROLE_NODE, NULL, 10, true, why), -EISDIR);
	assert_says(why, "stuck.key: Is a directory");
	assert_int_equal(count_files(), files);
	assert_int_equal(rename(key, pem), 0);
	assert_int_equal(pki_issue(dir, "stuck2", PKI_ROLE_NODE, NULL, 10, true, why), -EISDIR);
	assert_int_equal(rmdir(pem), 0);
}

static void test_serials_differ(void **state)
{
	unsigned char serial[8][32];
	size_t size;

	(void)state;
	for (int i = 0; i < 8; i++) {
		certs_issue(dir, "again", PKI_ROLE_NODE, 1);
		gnutls_x509_crt_t crt = load("again");
		size = sizeof(serial[i]);
		gnutls_x509_crt_get_serial(crt, serial[i], &size);
		gnutls_x509_crt_deinit(crt);
		for (int k = 0; k < i; k++)
			assert_memory_not_equal(serial[i], serial[k], 16);
	}
}

static void test_leaf_ends_with_its_ca(void **state)
{
	(void)state;
	certs_issue(dir, "long", PKI_ROLE_NODE, 36500);
	gnutls_x509_crt_t leaf = load("long"), ca = load("ca");
	assert_int_equal(gnutls_x509_crt_get_expiration_time(leaf), gnutls_x509_crt_get_expiration_time(ca));
	gnutls_x509_crt_deinit(leaf);
	gnutls_x509_crt_deinit(ca);
}

static void test_refused_arguments(void **state)
{
	int files = count_files();

	(void)state;
	assert_int_equal(pki_issue(dir, "ca", PKI_ROLE_NODE, NULL, 10, true, why), -EINVAL);
	assert_says(why, "the CA's own files");
	assert_int_equal(pki_issue(dir, "../x", PKI_ROLE_NODE, NULL, 10, true, why), -EINVAL);
	assert_says(why, "\"../x\" cannot be a certificate name");
	assert_int_equal(pki_issue(dir, "x", PKI_ROLE_NODE, NULL, 0, true, why), -EINVAL);
	assert_int_equal(pki_issue(dir, "x", PKI_ROLE_NODE, NULL, 36501, true, why), -EINVAL);
	assert_int_equal(pki_issue(dir, "x", PKI_ROLE_NODE, "192.0.2.7,example.net", 9, true, why), -EINVAL);
	assert_says(why, "\"example.net\" is not an IP address");
	assert_int_equal(pki_issue(dir, "x", PKI_ROLE_NODE,
				   "1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,"
				   "1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,"
				   "1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1",
				   9, true, why),
			 ERR_LIMIT);
	auto_free char *deep = xcalloc(1, 1000);
	memset(deep, 'd', 999);
	assert_int_equal(pki_issue(deep, "x", PKI_ROLE_NODE, NULL, 9, true, why), -ENAMETOOLONG);
	assert_int_equal(pki_init("/proc/nothing", "lab", 9, why), -ENOENT);
	assert_int_equal(pki_init(dir, "", 9, why), -EINVAL);
	assert_int_equal(count_files(), files);
}

static void test_names(void **state)
{
	static const char *const good[] = {
		"a",   "fra1", "web-a.example.net",
		"A_b", "9",    "123456789012345678901234567890123456789012345678901234567890123"
	};
	static const char *const bad[] = {
		"",
		".a",
		"-a",
		"a/b",
		"a b",
		"a\n",
		"caf\303\251",
		"a,b",
		"a=b",
		"*",
		"1234567890123456789012345678901234567890123456789012345678901234"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(pki_name_ok(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (pki_name_ok(bad[i]))
			fail_msg("\"%s\" was taken for a name", bad[i]);
}

static void spoil(const char *from, const char *to)
{
	auto_free char *cmd = xasprintf("cp %s %s/%s", from, dir, to);

	assert_int_equal(system(cmd), 0);
}

/* no CA, half a CA, a CA that is none: each said in words */
static void test_bad_ca(void **state)
{
	char *mine = dir;
	char *other = certs_new();
	auto_free char *my_ca = xasprintf("%s/ca.pem", mine);
	auto_free char *my_key = xasprintf("%s/ca.key", mine);
	auto_free char *leaf = xasprintf("%s/fra1.pem", mine);

	(void)state;
	assert_int_equal(pki_issue("/tmp", "sluice-none", PKI_ROLE_NODE, NULL, 9, false, why), -ENOENT);
	assert_says(why, "make the CA with sluicectl pki init");
	dir = other;
	spoil(my_ca, "ca.pem");
	assert_int_equal(pki_issue(dir, "x", PKI_ROLE_NODE, NULL, 9, false, why), ERR_CERT);
	assert_says(why, "ca.key does not match");
	spoil(my_key, "ca.pem");
	assert_int_equal(pki_issue(dir, "x", PKI_ROLE_NODE, NULL, 9, false, why), ERR_CERT);
	assert_says(why, "not a PEM certificate");
	spoil(leaf, "ca.pem");
	assert_int_equal(pki_issue(dir, "x", PKI_ROLE_NODE, NULL, 9, false, why), ERR_CERT);
	assert_says(why, "not a CA certificate");
	spoil(my_ca, "ca.pem");
	spoil("/dev/null", "ca.key");
	assert_int_equal(pki_issue(dir, "x", PKI_ROLE_NODE, NULL, 9, false, why), ERR_CERT);
	assert_says(why, "not a PEM private key");
	dir = mine;
	certs_odd(mine, "oldca", &(struct odd){ .cn = "old", .from_days = -9, .to_days = -2, .ca = true });
	dir = other;
	auto_free char *old_pem = xasprintf("%s/oldca.pem", mine);
	auto_free char *old_key = xasprintf("%s/oldca.key", mine);
	spoil(old_pem, "ca.pem");
	spoil(old_key, "ca.key");
	assert_int_equal(pki_issue(dir, "x", PKI_ROLE_NODE, NULL, 9, false, why), ERR_CERT);
	assert_says(why, "has expired: make a new CA");
	assert_int_equal(count_files(), 2);
	dir = mine;
	certs_rm(other);
}

/* ---- requests and their signing ---- */

static struct pki_signer *signer_new(void)
{
	auto_free char *cert = xasprintf("%s/enrol.pem", dir), *key = xasprintf("%s/enrol.key", dir);
	struct pki_signer *s = NULL;

	if (pki_enrolment(dir, 400, true, why) || pki_signer_load(cert, key, &s, why))
		fail_msg("%s", why);
	return s;
}

static char *read_text(const char *name)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	gnutls_datum_t d;

	assert_int_equal(gnutls_load_file(path, &d), 0);
	char *text = xasprintf("%.*s", (int)d.size, (const char *)d.data);
	gnutls_free(d.data);
	return text;
}

static void test_sign(void **state)
{
	struct pki_signer *s = signer_new();
	auto_free char *csr = NULL, *key = NULL, *chain = NULL, *ca = read_text("ca.pem");
	struct tls_creds *creds = NULL;
	struct pki_leaf leaf, again;

	(void)state;
	assert_int_equal(pki_request("whatever", &csr, &key, why), 0);
	assert_int_equal(pki_sign(s, csr, "fra7", 90 * 86400, &chain, &leaf, why), 0);
	assert_string_equal(leaf.name, "fra7"); /* ours, not the request's */
	assert_int_equal(strlen(leaf.serial), 32);
	assert_in_range(leaf.to_s, time(NULL) + 90 * 86400 - 5, time(NULL) + 90 * 86400 + 5);
	assert_in_range(pki_issued_s(&leaf), time(NULL) - 5, time(NULL) + 5);
	assert_int_equal(pki_leaf_read(chain, &again, why), 0);
	assert_memory_equal(&leaf, &again, sizeof(leaf));
	if (tls_creds_make(&(struct tls_pem){ ca, chain, key }, "it", &creds, why))
		fail_msg("%s", why);
	assert_string_equal(tls_creds_leaf(creds)->serial, leaf.serial);
	tls_creds_unref(creds);
	pki_signer_free(s);
}

/* A life shorter than the backdating is not all past when it starts. */
static void test_sign_for_a_minute(void **state)
{
	struct pki_signer *s = signer_new();
	auto_free char *csr = NULL, *key = NULL, *chain = NULL;
	struct pki_leaf leaf;

	(void)state;
	assert_int_equal(pki_request("a", &csr, &key, why), 0);
	assert_int_equal(pki_sign(s, csr, "a", 60, &chain, &leaf, why), 0);
	assert_in_range(pki_issued_s(&leaf), time(NULL) - 2, time(NULL) + 2);
	assert_in_range(leaf.to_s - pki_issued_s(&leaf), 59, 61);
	pki_signer_free(s);
}

/* A peer's RSA key, however large, is not worked with: it is refused before its signature is looked at. */
static char *rsa_request(void)
{
	gnutls_datum_t pem = { 0 };
	gnutls_x509_privkey_t key;
	gnutls_x509_crq_t crq;

	assert_int_equal(gnutls_x509_crq_init(&crq), 0);
	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA, 2048, 0), 0);
	assert_int_equal(gnutls_x509_crq_set_version(crq, 1), 0);
	assert_int_equal(gnutls_x509_crq_set_key(crq, key), 0);
	assert_int_equal(gnutls_x509_crq_sign2(crq, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crq_export2(crq, GNUTLS_X509_FMT_PEM, &pem), 0);
	char *text = xasprintf("%.*s", (int)pem.size, (const char *)pem.data);
	gnutls_free(pem.data);
	gnutls_x509_crq_deinit(crq);
	gnutls_x509_privkey_deinit(key);
	return text;
}

static void test_sign_refuses(void **state)
{
	struct pki_signer *s = signer_new();
	auto_free char *csr = NULL, *key = NULL, *chain = NULL;
	struct pki_leaf leaf;

	(void)state;
	assert_int_equal(pki_request("a", &csr, &key, why), 0);
	assert_int_equal(pki_sign(s, "", "a", 60, &chain, &leaf, why), ERR_MALFORMED);
	assert_int_equal(pki_sign(s, key, "a", 60, &chain, &leaf, why), ERR_MALFORMED);
	assert_int_equal(pki_sign(s, csr, "a/b", 60, &chain, &leaf, why), -EINVAL);
	/* one character of its signature */
	char *end = strstr(csr, "-----END");
	end[-10] = end[-10] == 'A' ? 'B' : 'A';
	assert_int_equal(pki_sign(s, csr, "a", 60, &chain, &leaf, why), ERR_MALFORMED);
	auto_free char *rsa = rsa_request();
	end = strstr(rsa, "-----END");
	end[-10] = end[-10] == 'A' ? 'B' : 'A';
	assert_int_equal(pki_sign(s, rsa, "a", 60, &chain, &leaf, why), ERR_NOT_ALLOWED);
	assert_null(chain);
	pki_signer_free(s);
}

static void test_signer_refuses(void **state)
{
	auto_free char *cert = xasprintf("%s/enrol.pem", dir), *key = xasprintf("%s/ca.key", dir);
	struct pki_signer *s = NULL;

	(void)state;
	pki_signer_free(signer_new());
	assert_int_equal(pki_signer_load(cert, key, &s, why), ERR_CERT);
	assert_non_null(strstr(why, "does not match"));
	assert_int_equal(pki_signer_load("/nonexistent", key, &s, why), -ENOENT);
	assert_non_null(strstr(why, "pki enrolment"));
	assert_int_equal(pki_enrolment(dir, 9, false, why), -EEXIST);
}

static void test_rotation(void **state)
{
	char ids[PKI_BUNDLE_MAX][PKI_ID_LEN], old_id[PKI_ID_LEN];
	auto_free char *before = read_text("ca.pem");
	size_t n = 0;

	(void)state;
	assert_int_equal(pki_issue(dir, "early", PKI_ROLE_NODE, NULL, 9, true, why), 0);
	auto_free char *early = read_text("early.pem");
	assert_int_equal(pki_bundle_ids(before, ids, &n, why), 0);
	assert_int_equal(n, 1);
	memcpy(old_id, ids[0], sizeof(old_id));
	assert_int_equal(pki_rotate_finish(dir, why), -ENOENT);
	assert_int_equal(pki_rotate(dir, 3650, why), 0);
	assert_int_equal(pki_rotate(dir, 3650, why), -EALREADY);
	auto_free char *both = read_text("ca.pem");
	assert_int_equal(pki_bundle_ids(both, ids, &n, why), 0);
	assert_int_equal(n, 2);
	assert_string_equal(ids[1], old_id);
	assert_mode("ca-old.key", 0600);
	assert_int_equal(pki_chain_root(early, both), 1);
	assert_int_equal(pki_issue(dir, "late", PKI_ROLE_NODE, NULL, 9, true, why), 0);
	auto_free char *late = read_text("late.pem");
	assert_int_equal(pki_chain_root(late, both), 0);
	assert_int_equal(pki_chain_root(late, before), -ENOENT);
	assert_int_equal(pki_rotate_finish(dir, why), 0);
	auto_free char *after = read_text("ca.pem");
	assert_int_equal(pki_bundle_ids(after, ids, &n, why), 0);
	assert_int_equal(n, 1);
	assert_int_equal(pki_chain_root(early, after), -ENOENT);
	assert_int_equal(pki_chain_root(late, after), 0);
	assert_int_equal(pki_bundle_ids(late, ids, &n, why), ERR_CERT);
	assert_int_equal(pki_bundle_ids("x", ids, &n, why), ERR_CERT);
}

static int suite_init(void **state)
{
	(void)state;
	dir = certs_new();
	return 0;
}

static int suite_done(void **state)
{
	(void)state;
	certs_rm(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ca),
		cmocka_unit_test(test_leaf),
		cmocka_unit_test(test_controller_serves_localhost),
		cmocka_unit_test(test_loads_as_credentials),
		cmocka_unit_test(test_nothing_is_overwritten),
		cmocka_unit_test(test_failure_cleans_up),
		cmocka_unit_test(test_serials_differ),
		cmocka_unit_test(test_leaf_ends_with_its_ca),
		cmocka_unit_test(test_refused_arguments),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bad_ca),
		cmocka_unit_test(test_sign),
		cmocka_unit_test(test_sign_for_a_minute),
		cmocka_unit_test(test_sign_refuses),
		cmocka_unit_test(test_signer_refuses),
		cmocka_unit_test(test_rotation),
	};

	return cmocka_run_group_tests(tests, suite_init, suite_done);
}
