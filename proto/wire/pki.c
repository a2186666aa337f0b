/* SPDX-License-Identifier: Apache-2.0
 * Makes keys and certificates and puts them into files. Stateless. Both files of a pair are written whole
 * under temporary names and renamed at the end, one right after the other: no reader ever sees half a file.
 */
#include "proto/wire/pki.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"
#include "proto/wire/msg.h"
#include "proto/wire/pki_int.h"

#define DAYS_MAX   36500
#define IPS_MAX	   16
#define PEM_LEN	   (64 * 1024)
#define SERIAL_LEN 16
#define DAY_S	   86400

int pki_explain(char *ret_why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ret_why, TEXT_LEN, fmt, ap);
	va_end(ap);
	return err;
}

int pki_tls_error(struct issue *s, int r)
{
	return pki_explain(s->why, ERR_TLS, "GnuTLS: %s", gnutls_strerror(r));
}

bool pki_name_ok(const char *name)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t n = strspn(name, ok);

	return n > 0 && n < NAME_LEN && name[n] == 0 && name[0] != '.' && name[0] != '-';
}

void pki_issue_init(struct issue *s, char *why)
{
	*s = (struct issue){ .why = why };
	if (gnutls_x509_crt_init(&s->crt) < 0 || gnutls_x509_crt_init(&s->ca) < 0 ||
	    gnutls_x509_privkey_init(&s->key) < 0 || gnutls_x509_privkey_init(&s->ca_key) < 0)
		abort();
}

void pki_issue_done(struct issue *s)
{
	gnutls_x509_crt_deinit(s->crt);
	gnutls_x509_crt_deinit(s->ca);
	gnutls_x509_privkey_deinit(s->key);
	gnutls_x509_privkey_deinit(s->ca_key);
}

/* ---- files ---- */

/* Writes dir/.NAME.SUFFIX.XXXXXX and returns its path in ret_tmp; on error there is no file. */
static int write_temp(const char *path, const gnutls_datum_t *pem, mode_t mode, char *ret_tmp, char *ret_why)
{
	snprintf(ret_tmp, PATH_LEN, "%s.XXXXXX", path);
	auto_close int fd = mkostemp(ret_tmp, O_CLOEXEC); /* 0600 until it is whole */
	if (fd < 0) {
		int err = -errno;
		ret_tmp[0] = 0;
		return pki_explain(ret_why, err, "%s: %s: may this user write there?", path, strerror(-err));
	}
	ssize_t n = write(fd, pem->data, pem->size);
	if (n != (ssize_t)pem->size || fchmod(fd, mode) || fsync(fd)) {
		int err = n >= 0 && n != (ssize_t)pem->size ? -ENOSPC : -errno;
		unlink(ret_tmp);
		ret_tmp[0] = 0;
		return pki_explain(ret_why, err, "%s: %s", path, strerror(-err));
	}
	return 0;
}

static int put_in_place(const char *tmp, const char *path, bool force, char *ret_why)
{
	int r = renameat2(AT_FDCWD, tmp, AT_FDCWD, path, force ? 0 : RENAME_NOREPLACE);

	if (r && errno == EINVAL) /* a file system without NOREPLACE: files_free has looked */
		r = rename(tmp, path);
	if (r == 0)
		return 0;
	int err = -errno;
	return pki_explain(ret_why, err, "%s: %s", path, strerror(-err));
}

static void sync_dir(const char *dir)
{
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		fsync(fd);
}

int pki_make_paths(const char *dir, const char *name, struct pki_paths *ret_paths, char *ret_why)
{
	/* room for the suffix of the temporary file */
	if (strlen(dir) + strlen(name) + 24 > PATH_LEN)
		return pki_explain(ret_why, -ENAMETOOLONG, "%s: path too long", dir);
	snprintf(ret_paths->cert, PATH_LEN, "%s/%s.pem", dir, name);
	snprintf(ret_paths->key, PATH_LEN, "%s/%s.key", dir, name);
	return 0;
}

int pki_files_free(const struct pki_paths *p, char *ret_why)
{
	const char *there = access(p->cert, F_OK) == 0 ? p->cert : access(p->key, F_OK) == 0 ? p->key : NULL;

	return there ? pki_explain(ret_why, -EEXIST, "%s exists already: nothing was changed", there) : 0;
}

/* Both temporary files are complete before either takes its place; the key goes first. */
int pki_write_pair(const char *dir, const struct pki_paths *p, const gnutls_datum_t *cert,
		   const gnutls_datum_t *key, bool force, char *ret_why)
{
	char cert_tmp[PATH_LEN] = "", key_tmp[PATH_LEN] = "";
	int err = write_temp(p->key, key, 0600, key_tmp, ret_why);

	if (!err)
		err = write_temp(p->cert, cert, 0644, cert_tmp, ret_why);
	if (!err)
		err = put_in_place(key_tmp, p->key, force, ret_why);
	if (!err) {
		key_tmp[0] = 0;
		err = put_in_place(cert_tmp, p->cert, force, ret_why);
		if (!err)
			cert_tmp[0] = 0;
		else if (!force)
			unlink(p->key);
	}
	if (key_tmp[0])
		unlink(key_tmp);
	if (cert_tmp[0])
		unlink(cert_tmp);
	sync_dir(dir);
	return err;
}

int pki_write_file(const char *dir, const char *path, const gnutls_datum_t *pem, char *ret_why)
{
	char tmp[PATH_LEN] = "";
	int err = write_temp(path, pem, 0644, tmp, ret_why);

	if (!err)
		err = put_in_place(tmp, path, true, ret_why);
	if (err && tmp[0])
		unlink(tmp);
	sync_dir(dir);
	return err;
}

int pki_save(struct issue *s, const char *dir, const struct pki_paths *p, bool force)
{
	gnutls_datum_t cert = { 0 }, key = { 0 };
	int r = gnutls_x509_crt_export2(s->crt, GNUTLS_X509_FMT_PEM, &cert);

	if (r >= 0)
		r = gnutls_x509_privkey_export2_pkcs8(s->key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
						      &key);
	int err = r < 0 ? pki_tls_error(s, r) : pki_write_pair(dir, p, &cert, &key, force, s->why);
	if (key.data)
		explicit_bzero(key.data, key.size);
	gnutls_free(key.data);
	gnutls_free(cert.data);
	return err;
}

int pki_load_file(const char *path, gnutls_datum_t *ret_pem, const char *next, char *ret_why)
{
	auto_fclose FILE *f = fopen(path, "re");

	if (!f) {
		int err = -errno;
		return pki_explain(ret_why, err, "%s: %s: %s", path, strerror(-err), next);
	}
	unsigned char *data = xcalloc(1, PEM_LEN + 1);
	size_t n = fread(data, 1, PEM_LEN, f);
	*ret_pem = (gnutls_datum_t){ data, (unsigned)n };
	return 0;
}

void pki_wipe(gnutls_datum_t *pem)
{
	if (pem->data)
		explicit_bzero(pem->data, pem->size);
	free(pem->data);
}

int pki_import_ca(struct issue *s, const struct pki_paths *p, const gnutls_datum_t *cert,
		  const gnutls_datum_t *key)
{
	unsigned char a[64] = { 0 }, b[64] = { 0 };
	size_t na = sizeof(a), nb = sizeof(b);

	if (gnutls_x509_crt_import(s->ca, cert, GNUTLS_X509_FMT_PEM) < 0)
		return pki_explain(s->why, ERR_CERT, "%s: not a PEM certificate", p->cert);
	if (gnutls_x509_privkey_import2(s->ca_key, key, GNUTLS_X509_FMT_PEM, NULL, 0) < 0)
		return pki_explain(s->why, ERR_CERT, "%s: not a PEM private key", p->key);
	if (gnutls_x509_crt_get_ca_status(s->ca, NULL) <= 0)
		return pki_explain(s->why, ERR_CERT, "%s: not a CA certificate", p->cert);
	if (gnutls_x509_crt_get_key_id(s->ca, 0, a, &na) < 0 ||
	    gnutls_x509_privkey_get_key_id(s->ca_key, 0, b, &nb) < 0 || na != nb || memcmp(a, b, na) != 0)
		return pki_explain(s->why, ERR_CERT, "%s does not match %s", p->key, p->cert);
	if (gnutls_x509_crt_get_expiration_time(s->ca) <= (time_t)(wall_now_ms() / 1000))
		return pki_explain(s->why, ERR_CERT, "%s has expired: make a new CA with sluicectl pki init",
				   p->cert);
	return 0;
}

int pki_load_ca(struct issue *s, const char *dir)
{
	static const char next[] = "make the CA with sluicectl pki init";
	gnutls_datum_t cert = { 0 }, key = { 0 };
	struct pki_paths p;
	int err = pki_make_paths(dir, "ca", &p, s->why);

	if (!err)
		err = pki_load_file(p.cert, &cert, next, s->why);
	if (!err)
		err = pki_load_file(p.key, &key, next, s->why);
	if (!err)
		err = pki_import_ca(s, &p, &cert, &key);
	pki_wipe(&cert);
	pki_wipe(&key);
	return err;
}

/* ---- certificates ---- */

int pki_set_dn(struct issue *s, const char *oid, const char *value)
{
	return gnutls_x509_crt_set_dn_by_oid(s->crt, oid, 0, value, (unsigned)strlen(value));
}

/* Not guessable and never reused: random, positive, not zero (RFC 5280, 4.1.2.2). */
int pki_set_serial(struct issue *s)
{
	unsigned char serial[SERIAL_LEN];
	int r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));

	serial[0] = (serial[0] & 0x7f) | 0x40;
	return r < 0 ? r : gnutls_x509_crt_set_serial(s->crt, serial, sizeof(serial));
}

int pki_set_dates(struct issue *s, int64_t life_s, bool leaf)
{
	time_t now = (time_t)(wall_now_ms() / 1000), to = now + (time_t)life_s;
	time_t back = life_s < PKI_BACKDATE_S ? (time_t)life_s : PKI_BACKDATE_S;
	int r = gnutls_x509_crt_set_activation_time(s->crt, now - back);

	/* a certificate does not outlive its CA */
	if (leaf && to > gnutls_x509_crt_get_expiration_time(s->ca))
		to = gnutls_x509_crt_get_expiration_time(s->ca);
	return r < 0 ? r : gnutls_x509_crt_set_expiration_time(s->crt, to);
}

int pki_set_key_id(struct issue *s)
{
	unsigned char id[64];
	size_t n = sizeof(id);
	int r = gnutls_x509_crt_get_key_id(s->crt, 0, id, &n);

	return r < 0 ? r : gnutls_x509_crt_set_subject_key_id(s->crt, id, n);
}

int pki_new_key(gnutls_x509_privkey_t key)
{
	return gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
}

static int set_key(struct issue *s)
{
	int r;

	if ((r = pki_new_key(s->key)) < 0 || (r = gnutls_x509_crt_set_key(s->crt, s->key)) < 0)
		return r;
	return pki_set_key_id(s);
}

int pki_set_common(struct issue *s, int days, bool leaf)
{
	int r;

	if ((r = gnutls_x509_crt_set_version(s->crt, 3)) < 0 || (r = pki_set_serial(s)) < 0 ||
	    (r = pki_set_dates(s, (int64_t)days * DAY_S, leaf)) < 0)
		return r;
	return set_key(s);
}

/* No two CAs of a cluster have one name: who verifies looks for the issuer by name first. */
static int set_ca_name(struct issue *s)
{
	unsigned char id[64];
	size_t n = sizeof(id);
	char name[NAME_LEN];
	int r = gnutls_x509_crt_get_key_id(s->crt, 0, id, &n);

	snprintf(name, sizeof(name), "Sluice CA %02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
	return r < 0 ? r : pki_set_dn(s, GNUTLS_OID_X520_COMMON_NAME, name);
}

int pki_make_ca(struct issue *s, const char *cluster, int days)
{
	int r;

	if ((r = pki_set_common(s, days, false)) < 0 ||
	    (r = pki_set_dn(s, GNUTLS_OID_X520_ORGANIZATION_NAME, cluster)) < 0 || (r = set_ca_name(s)) < 0 ||
	    (r = gnutls_x509_crt_set_basic_constraints(s->crt, 1, 1)) < 0 ||
	    (r = gnutls_x509_crt_set_key_usage(s->crt, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN)) < 0)
		return r;
	return gnutls_x509_crt_sign2(s->crt, s->crt, s->key, GNUTLS_DIG_SHA256, 0);
}

static int add_ip(struct issue *s, const char *text)
{
	unsigned char ip[16];
	unsigned n = inet_pton(AF_INET, text, ip) == 1 ? 4 : inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;

	if (n == 0)
		return pki_explain(s->why, -EINVAL, "\"%.45s\" is not an IP address", text);
	int r = gnutls_x509_crt_set_subject_alt_name(s->crt, GNUTLS_SAN_IPADDRESS, ip, n, GNUTLS_FSAN_APPEND);
	return r < 0 ? pki_tls_error(s, r) : 0;
}

static int add_ips(struct issue *s, const char *ips)
{
	auto_free char *copy = xstrdup(ips ? ips : "");
	char *save_ptr = NULL;
	int n = 0;

	for (char *p = strtok_r(copy, ", ", &save_ptr); p; p = strtok_r(NULL, ", ", &save_ptr)) {
		if (++n > IPS_MAX)
			return pki_explain(s->why, ERR_LIMIT, "more than %d addresses", IPS_MAX);
		int err = add_ip(s, p);
		if (err)
			return err;
	}
	return 0;
}

static int add_dns(struct issue *s, const char *name)
{
	return gnutls_x509_crt_set_subject_alt_name(s->crt, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name),
						    GNUTLS_FSAN_APPEND);
}

int pki_set_issuer_id(struct issue *s)
{
	unsigned char id[64];
	size_t n = sizeof(id);
	int r = gnutls_x509_crt_get_key_id(s->ca, 0, id, &n);

	return r < 0 ? r : gnutls_x509_crt_set_authority_key_id(s->crt, id, n);
}

int pki_set_leaf(struct issue *s, const char *name, enum pki_role role, bool server)
{
	const char *ou = role == PKI_ROLE_CONTROLLER ? "controller" : "node";
	int r;

	if ((r = pki_set_dn(s, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, ou)) < 0 ||
	    (r = pki_set_dn(s, GNUTLS_OID_X520_COMMON_NAME, name)) < 0 || (r = add_dns(s, name)) < 0 ||
	    (r = gnutls_x509_crt_set_basic_constraints(s->crt, 0, -1)) < 0 ||
	    (r = gnutls_x509_crt_set_key_usage(s->crt, GNUTLS_KEY_DIGITAL_SIGNATURE)) < 0 ||
	    (r = gnutls_x509_crt_set_key_purpose_oid(s->crt, GNUTLS_KP_TLS_WWW_CLIENT, 0)) < 0 ||
	    (server && (r = gnutls_x509_crt_set_key_purpose_oid(s->crt, GNUTLS_KP_TLS_WWW_SERVER, 0)) < 0))
		return r;
	return pki_set_issuer_id(s);
}

static int make_leaf(struct issue *s, const char *name, enum pki_role role, const char *ips, int days)
{
	int r = pki_set_common(s, days, true);

	if (r >= 0)
		r = pki_set_leaf(s, name, role, true);
	/* its HTTPS listens on the loopback by default */
	if (r >= 0 && role == PKI_ROLE_CONTROLLER)
		r = add_dns(s, "localhost");
	if (r < 0)
		return pki_tls_error(s, r);
	int err = role == PKI_ROLE_CONTROLLER ? add_ips(s, "127.0.0.1,::1") : 0;
	if (!err)
		err = add_ips(s, ips);
	if (err)
		return err;
	r = gnutls_x509_crt_sign2(s->crt, s->ca, s->ca_key, GNUTLS_DIG_SHA256, 0);
	return r < 0 ? pki_tls_error(s, r) : 0;
}

/* ---- what others made ---- */

static gnutls_datum_t datum(const char *text)
{
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)text, (unsigned)strlen(text) };
}

int pki_install(const char *dir, const char *name, const char *ca, const char *cert, const char *key,
		char *ret_why)
{
	gnutls_datum_t ca_pem = datum(ca), cert_pem = datum(cert), key_pem = datum(key);
	struct pki_paths ours, theirs;
	int err = pki_make_paths(dir, name, &ours, ret_why);

	if (!err)
		err = pki_make_paths(dir, "ca", &theirs, ret_why);
	if (!err)
		err = pki_write_file(dir, theirs.cert, &ca_pem, ret_why);
	return err ? err : pki_write_pair(dir, &ours, &cert_pem, &key_pem, true, ret_why);
}

int pki_installed(const char *dir, const char *name, char *ret_why)
{
	struct pki_paths p;
	int err = pki_make_paths(dir, name, &p, ret_why);

	return err ? err : pki_files_free(&p, ret_why);
}

static int asked_path(const char *dir, const char *name, char *ret_path, char *ret_why)
{
	struct pki_paths p;
	int err = pki_make_paths(dir, name, &p, ret_why);

	if (!err)
		snprintf(ret_path, PATH_LEN, "%.490s.asked", p.key);
	return err;
}

int pki_asked_keep(const char *dir, const char *name, const char *key, char *ret_why)
{
	char path[PATH_LEN], tmp[PATH_LEN] = "";
	gnutls_datum_t pem = datum(key);
	int err = asked_path(dir, name, path, ret_why);

	if (!err)
		err = write_temp(path, &pem, 0600, tmp, ret_why);
	if (!err)
		err = put_in_place(tmp, path, true, ret_why);
	if (err && tmp[0])
		unlink(tmp);
	sync_dir(dir);
	return err;
}

int pki_asked_load(const char *dir, const char *name, char **ret_key)
{
	char path[PATH_LEN], why[TEXT_LEN];
	gnutls_datum_t pem = { 0 };
	int err = asked_path(dir, name, path, why);

	if (!err)
		err = pki_load_file(path, &pem, "", why);
	if (!err)
		*ret_key = (char *)pem.data;
	return err;
}

void pki_asked_forget(const char *dir, const char *name)
{
	char path[PATH_LEN], why[TEXT_LEN];

	if (asked_path(dir, name, path, why) == 0 && unlink(path) == 0)
		sync_dir(dir);
}

/* ---- interface ---- */

static int check_args(const char *what, const char *name, int days, char *ret_why)
{
	if (!pki_name_ok(name))
		return pki_explain(
			ret_why, -EINVAL,
			"\"%.63s\" cannot be a %s name: letters, digits, '-', '_', '.', at most 63", name,
			what);
	if (days < 1 || days > DAYS_MAX)
		return pki_explain(ret_why, -EINVAL, "%d days: give 1..%d", days, DAYS_MAX);
	return 0;
}

int pki_init(const char *dir, const char *cluster, int days, char *ret_why)
{
	struct pki_paths p;
	struct issue s;
	int err = check_args("cluster", cluster, days, ret_why);

	if (!err)
		err = pki_make_paths(dir, "ca", &p, ret_why);
	if (!err && mkdir(dir, 0755) && errno != EEXIST) {
		err = -errno;
		pki_explain(ret_why, err, "%s: %s", dir, strerror(-err));
	}
	if (!err)
		err = pki_files_free(&p, ret_why);
	if (err)
		return err;
	pki_issue_init(&s, ret_why);
	int r = pki_make_ca(&s, cluster, days);
	err = r < 0 ? pki_tls_error(&s, r) : pki_save(&s, dir, &p, false);
	pki_issue_done(&s);
	return err;
}

int pki_issue(const char *dir, const char *name, enum pki_role role, const char *ips, int days, bool force,
	      char *ret_why)
{
	struct pki_paths p;
	struct issue s;
	int err = check_args("certificate", name, days, ret_why);

	if (!err && strcmp(name, "ca") == 0)
		err = pki_explain(ret_why, -EINVAL,
				  "\"ca\" is the name of the CA's own files: choose another");
	if (!err)
		err = pki_make_paths(dir, name, &p, ret_why);
	if (!err && !force)
		err = pki_files_free(&p, ret_why);
	if (err)
		return err;
	pki_issue_init(&s, ret_why);
	err = pki_load_ca(&s, dir);
	if (!err)
		err = make_leaf(&s, name, role, ips, days);
	if (!err)
		err = pki_save(&s, dir, &p, force);
	pki_issue_done(&s);
	return err;
}
