/* SPDX-License-Identifier: Apache-2.0
 * Certificates for tests: a CA in a temporary directory, proper ones by pki.h, and odd ones that pki.h would
 * never make. Everything here asserts. */
#ifndef UNIT_CERTS_H
#define UNIT_CERTS_H
#include "proto/wire/pki.h"
#include "proto/wire/tls.h"

/* A new directory with a CA of cluster "lab". certs_rm removes it and frees the string. */
char *certs_new(void);
void certs_rm(char *dir);
void certs_issue(const char *dir, const char *name, enum pki_role role, int days);

struct odd {
	const char *cn, *ou, *ou2, *purpose; /* NULL: left out */
	int from_days, to_days;		     /* from now */
	bool ca;
	const char *signer; /* name of the issuer's files; NULL: "ca" */
};
void certs_odd(const char *dir, const char *name, const struct odd *o);
/* ca.pem of dir, NAME.pem and NAME.key of dir. */
struct tls_creds *certs_load(const char *dir, const char *name);
#endif
