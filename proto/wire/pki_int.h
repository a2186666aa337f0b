/* SPDX-License-Identifier: Apache-2.0
 * What pki.c (files, the offline CA), pki_sign.c (requests and their signing) and pki_rotate.c share; nobody
 * else includes this. Functions that return a GnuTLS code say so; all others as everywhere. */
#ifndef WIRE_PKI_INT_H
#define WIRE_PKI_INT_H
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdint.h>

#include "proto/wire/pki.h"

#define PATH_LEN 512

/* One certificate being made. */
struct issue {
	gnutls_x509_crt_t crt, ca;
	gnutls_x509_privkey_t key, ca_key;
	char *why;
};
void pki_issue_init(struct issue *s, char *why);
void pki_issue_done(struct issue *s);

struct pki_paths {
	char cert[PATH_LEN], key[PATH_LEN];
};

int pki_explain(char *ret_why, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int pki_tls_error(struct issue *s, int r);

/* ---- files ---- */
int pki_make_paths(const char *dir, const char *name, struct pki_paths *ret_paths, char *ret_why);
int pki_files_free(const struct pki_paths *p, char *ret_why);
/* next: what to do when it is not there. NUL-terminated heap; pki_wipe clears and frees it. */
int pki_load_file(const char *path, gnutls_datum_t *ret_pem, const char *next, char *ret_why);
void pki_wipe(gnutls_datum_t *pem);
/* Both or neither. */
int pki_write_pair(const char *dir, const struct pki_paths *p, const gnutls_datum_t *cert,
		   const gnutls_datum_t *key, bool force, char *ret_why);
/* A certificate file in place of what is there. */
int pki_write_file(const char *dir, const char *path, const gnutls_datum_t *pem, char *ret_why);
/* Into s->ca and s->ca_key: a CA that is valid now and matches its key. */
int pki_load_ca(struct issue *s, const char *dir);
int pki_import_ca(struct issue *s, const struct pki_paths *p, const gnutls_datum_t *cert,
		  const gnutls_datum_t *key);
/* s->crt and s->key to dir/NAME.pem and .key */
int pki_save(struct issue *s, const char *dir, const struct pki_paths *p, bool force);

/* ---- certificates: GnuTLS codes ---- */
int pki_new_key(gnutls_x509_privkey_t key);
int pki_set_dn(struct issue *s, const char *oid, const char *value);
int pki_set_serial(struct issue *s);
/* From now, backdated as pki_issued_s undoes it. */
int pki_set_dates(struct issue *s, int64_t life_s, bool leaf);
int pki_set_key_id(struct issue *s);
int pki_set_issuer_id(struct issue *s);
int pki_set_leaf(struct issue *s, const char *name, enum pki_role role, bool server);
/* Version, serial, dates and a new key. */
int pki_set_common(struct issue *s, int days, bool leaf);
int pki_make_ca(struct issue *s, const char *cluster, int days);
#endif
