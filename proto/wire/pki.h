/* SPDX-License-Identifier: Apache-2.0
 * Our own small CA (GnuTLS, P-256, RFC 5280). A certificate's name is its CN and a DNS SAN; its role is an
 * organizational unit, so that a node's certificate can never play the controller.
 * The CA (ca.pem, ca.key) may stay off line. The controller holds an enrolment CA signed by it, which can
 * make nodes and nothing else: its extended key usage is TLS clients, which binds what it signs.
 * Files: keys 0600, certificates 0644; nothing existing is overwritten unless asked.
 * ret_why: TEXT_LEN bytes, a sentence with the next step. */
#ifndef WIRE_PKI_H
#define WIRE_PKI_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pki_role { PKI_ROLE_NODE = 1, PKI_ROLE_CONTROLLER = 2 };
#define PKI_ENROLMENT_OU "enrolment" /* of the enrolment CA's own name */
#define PKI_BACKDATE_S	 3600	     /* validity starts so much before the issue: clocks differ */
#define PKI_BUNDLE_MAX	 8	     /* certificates in a bundle */
#define PKI_ID_LEN	 65	     /* SHA-256 of a public key in hex, NUL included */
#define PKI_SERIAL_LEN	 41	     /* in hex, NUL included */

/* dir/ca.pem and dir/ca.key, valid for days. -EEXIST when there is one already. */
int pki_init(const char *dir, const char *cluster, int days, char *ret_why);
/* dir/NAME.pem and dir/NAME.key signed by dir/ca.*; ips: comma separated addresses for the SAN, or NULL.
 * The controller's certificate serves HTTPS too. */
int pki_issue(const char *dir, const char *name, enum pki_role role, const char *ips, int days, bool force,
	      char *ret_why);
/* dir/enrol.pem and dir/enrol.key: the enrolment CA, signed by dir/ca.*. */
int pki_enrolment(const char *dir, int days, bool force, char *ret_why);
/* dir/NAME.key, dir/NAME.pem and dir/ca.pem from texts, in place of what is there; all are whole at any
 * instant. */
int pki_install(const char *dir, const char *name, const char *ca, const char *cert, const char *key,
		char *ret_why);
/* -EEXIST with ret_why when dir/NAME.key or dir/NAME.pem is there; else 0. */
int pki_installed(const char *dir, const char *name, char *ret_why);
/* letters, digits, '-', '_' and '.', 1..63, not starting with '.' or '-' */
bool pki_name_ok(const char *name);

/* Rotation of the CA: a new one next to the old; dir/ca.pem then holds both, the new one first, dir/ca.key is
 * the new one's and the old key is kept as dir/ca-old.key. -EALREADY while a rotation is under way. */
int pki_rotate(const char *dir, int days, char *ret_why);
/* dir/ca.pem keeps its first certificate only. -ENOENT when there is only one. */
int pki_rotate_finish(const char *dir, char *ret_why);

/* ---- requests (RFC 2986) and their signing ---- */

/* A new key and a request for this name; both PEM, heap. The caller wipes the key. */
int pki_request(const char *name, char **ret_csr, char **ret_key, char *ret_why);
/* A request with a key that is there already (PEM); ERR_CERT when it is none. */
int pki_request_with(const char *name, const char *key, char **ret_csr, char *ret_why);
/* Which key a request is of, when it proves that the sender has it: ret_id has PKI_ID_LEN bytes. */
int pki_request_id(const char *csr, char *ret_id, char *ret_why);

/* The key of a request whose answer has not come: dir/NAME.key.asked, 0600. Kept replaces what is there;
 * -ENOENT when there is none; forget removes it, if any. */
int pki_asked_keep(const char *dir, const char *name, const char *key, char *ret_why);
int pki_asked_load(const char *dir, const char *name, char **ret_key);
void pki_asked_forget(const char *dir, const char *name);

struct pki_signer;
int pki_signer_load(const char *cert, const char *key, struct pki_signer **ret_signer, char *ret_why);
void pki_signer_free(struct pki_signer *s);

/* What a certificate says of itself. */
struct pki_leaf {
	char name[64], serial[PKI_SERIAL_LEN];
	int64_t from_s, to_s; /* seconds since 1970 */
};
/* Signs a request: the key is taken from it, when it is P-256 and signed itself; name and role are ours,
 * nothing else of it is used. *ret_chain: PEM of the new certificate and the signer's, heap. */
int pki_sign(const struct pki_signer *s, const char *csr, const char *name, int64_t life_s, char **ret_chain,
	     struct pki_leaf *ret_leaf, char *ret_why);
/* The first certificate of a PEM text. */
int pki_leaf_read(const char *pem, struct pki_leaf *ret_leaf, char *ret_why);
struct gnutls_x509_crt_int; /* GnuTLS's certificate, for tls.c */
void pki_leaf_of(struct gnutls_x509_crt_int *crt, struct pki_leaf *ret_leaf);
/* When it was issued: the backdating undone. */
int64_t pki_issued_s(const struct pki_leaf *l);

/* The CAs of a bundle: their ids, in order. 0 with *ret_n, or ERR_CERT when one is no CA. */
int pki_bundle_ids(const char *pem, char ret_ids[PKI_BUNDLE_MAX][PKI_ID_LEN], size_t *ret_n, char *ret_why);
/* Which CA of the bundle the chain (PEM, leaf first) hangs from, whatever the time: its index, or -ENOENT. */
int pki_chain_root(const char *chain, const char *bundle);
#endif
