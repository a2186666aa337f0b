/* SPDX-License-Identifier: Apache-2.0
 * Owns a GnuTLS session and the bytes between it and its transport. States: handshaking -> open -> failed or
 * closed; failed is final and tls_why stays. No timers: the link has them.
 * A client verifies the server inside the handshake, before it shows its own certificate. A server verifies
 * the client right after it: only then do its keys match what a TLS 1.3 client reads, so that the alert that
 * says why arrives. For the same reason a client that is refused learns it from its first tls_read, not from
 * tls_handshake. */
#include "proto/wire/tls.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "proto/base/err.h"
#include "proto/base/mono.h"
#include "proto/wire/msg.h"
#include "proto/wire/pki.h"

#define PRIORITY      "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define IN_MAX	      (256 * 1024)
#define OUT_MAX	      (8 * 1024 * 1024) /* the link closes long before */
#define HANDSHAKE_MAX (32 * 1024)
#define PEM_MAX	      (256 * 1024)
#define CHAIN_MAX     8
#define KEEP_CAP      4096 /* an idle session keeps no more than this */
#define DATE_LEN      16

struct tls_creds {
	int refs;
	gnutls_certificate_credentials_t cred;
	gnutls_priority_t priority;
	struct pki_leaf leaf;
	bool blind;
};

struct tls {
	struct tls_creds *creds;
	gnutls_session_t session;
	bool server, open;
	int expect_role;
	int failed; /* sticky */
	struct buf in, out;
	size_t in_at; /* consumed part of in */
	struct pki_leaf peer;
	char why[TEXT_LEN];
};

static const char *role_str(int role)
{
	return role == PKI_ROLE_CONTROLLER ? "controller" : "node";
}

static char *date_str(time_t t, char *buf)
{
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(buf, DATE_LEN, "%Y-%m-%d", &tm);
	return buf;
}

/* ---- credentials ---- */

/* what tls_creds_load has in hand */
struct pem {
	gnutls_x509_crt_t ca[CHAIN_MAX], cert[CHAIN_MAX];
	unsigned n_ca, n_cert;
	gnutls_x509_privkey_t key;
};

static int explain(char *ret_why, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int explain(char *ret_why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ret_why, TEXT_LEN, fmt, ap);
	va_end(ap);
	return err;
}

static int read_file(const char *path, struct buf *b, char *ret_why)
{
	char chunk[4096];
	auto_fclose FILE *f = fopen(path, "re");

	if (!f) {
		int err = -errno;
		return explain(ret_why, err, "%s: %s: %s", path, strerror(-err),
			       err == -EACCES ? "let this user read it"
					      : "make it with sluicectl pki and copy it here");
	}
	for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
		if (buf_add(b, chunk, n))
			return explain(ret_why, ERR_LIMIT,
				       "%s: larger than %d bytes: this is no PEM file of ours", path,
				       PEM_MAX);
	explicit_bzero(chunk, sizeof(chunk));
	return ferror(f) ? explain(ret_why, -EIO, "%s: cannot be read", path) : 0;
}

static void wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_done(b);
}

static gnutls_datum_t datum(const char *text)
{
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)text, (unsigned)strlen(text) };
}

static int read_certs(const char *path, const char *text, gnutls_x509_crt_t *ret_list, unsigned *ret_n,
		      char *ret_why)
{
	gnutls_datum_t d = datum(text);
	unsigned n = CHAIN_MAX;
	int err = gnutls_x509_crt_list_import(ret_list, &n, &d, GNUTLS_X509_FMT_PEM,
					      GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);

	if (err < 0)
		return explain(ret_why, ERR_CERT, "%s: not a PEM certificate (%s): issue it again", path,
			       gnutls_strerror(err));
	*ret_n = n;
	return 0;
}

static int read_key(const char *path, const char *text, gnutls_x509_privkey_t *ret_key, char *ret_why)
{
	gnutls_datum_t d = datum(text);

	gnutls_x509_privkey_init(ret_key);
	int err = gnutls_x509_privkey_import2(*ret_key, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (err < 0)
		return explain(ret_why, ERR_CERT, "%s: not a PEM private key (%s): issue it again", path,
			       gnutls_strerror(err));
	return 0;
}

static void pem_done(struct pem *p)
{
	for (unsigned i = 0; i < p->n_ca; i++)
		gnutls_x509_crt_deinit(p->ca[i]);
	for (unsigned i = 0; i < p->n_cert; i++)
		gnutls_x509_crt_deinit(p->cert[i]);
	if (p->key)
		gnutls_x509_privkey_deinit(p->key);
}

/* "" when there is none or it is not a name we would issue: never print what a stranger wrote */
static void cert_name(gnutls_x509_crt_t crt, char *ret_name)
{
	size_t size = NAME_LEN;

	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, ret_name, &size) < 0 ||
	    strlen(ret_name) != size || !pki_name_ok(ret_name))
		ret_name[0] = 0;
}

static int check_dates(const char *path, gnutls_x509_crt_t crt, const char *next, char *ret_why)
{
	time_t now = (time_t)(wall_now_ms() / 1000);
	time_t from = gnutls_x509_crt_get_activation_time(crt);
	time_t to = gnutls_x509_crt_get_expiration_time(crt);
	char date[DATE_LEN], today[DATE_LEN];

	if (now >= to)
		return explain(ret_why, ERR_CERT_TIME, "%s: expired on %s: %s (this machine's clock says %s)",
			       path, date_str(to, date), next, date_str(now, today));
	if (now < from)
		return explain(ret_why, ERR_CERT_TIME,
			       "%s: not valid before %s: check this machine's clock, it says %s", path,
			       date_str(from, date), date_str(now, today));
	return 0;
}

static int check_key(const struct pem *p, const char *cert, const char *key, char *ret_why)
{
	unsigned char a[64] = { 0 }, b[64] = { 0 };
	size_t na = sizeof(a), nb = sizeof(b);

	if (gnutls_x509_crt_get_key_id(p->cert[0], 0, a, &na) < 0 ||
	    gnutls_x509_privkey_get_key_id(p->key, 0, b, &nb) < 0 || na != nb || memcmp(a, b, na) != 0)
		return explain(ret_why, ERR_CERT, "%s does not match %s: copy both from the same issue", key,
			       cert);
	return 0;
}

static int check_signed(struct tls_creds *c, struct pem *p, const char *ca, const char *cert, char *ret_why)
{
	gnutls_x509_trust_list_t trust;
	unsigned status = 0;

	gnutls_certificate_get_trust_list(c->cred, &trust);
	int r = gnutls_x509_trust_list_verify_crt(trust, p->cert, p->n_cert, 0, &status, NULL);
	if (r < 0 || status)
		return explain(ret_why, ERR_CERT,
			       "%s is not signed by %s: copy ca.pem from where the certificate was issued",
			       cert, ca);
	return 0;
}

/* Where each text comes from. */
struct origin {
	const char *ca, *cert, *key;
};

/* The leaf's dates are checked last: ERR_CERT_TIME then means that nothing else is wrong. */
static int read_pem(const struct tls_pem *text, const struct origin *o, struct pem *p,
		    struct pki_leaf *ret_leaf, char *ret_why)
{
	char next[160];
	int err = read_certs(o->ca, text->ca, p->ca, &p->n_ca, ret_why);

	if (!err)
		err = read_certs(o->cert, text->cert, p->cert, &p->n_cert, ret_why);
	if (!err)
		err = read_key(o->key, text->key, &p->key, ret_why);
	if (!err)
		err = pki_leaf_read(text->cert, ret_leaf, ret_why);
	if (!err && !ret_leaf->name[0])
		err = explain(ret_why, ERR_CERT, "%s: has no name: issue it with sluicectl pki issue",
			      o->cert);
	if (!err)
		err = check_key(p, o->cert, o->key, ret_why);
	if (!err)
		err = check_dates(o->ca, p->ca[0], "make a new CA with sluicectl pki rotate-ca", ret_why);
	snprintf(next, sizeof(next),
		 "enrol again with sluicectl node token %s, or issue a new one with sluicectl pki issue %s",
		 ret_leaf->name, ret_leaf->name);
	return err ? err : check_dates(o->cert, p->cert[0], next, ret_why);
}

static int verify_in_handshake(gnutls_session_t session);

static struct tls_creds *creds_new(void)
{
	struct tls_creds *c = xcalloc(1, sizeof(*c));

	c->refs = 1;
	/* these fail for want of memory only */
	if (gnutls_certificate_allocate_credentials(&c->cred) < 0 ||
	    gnutls_priority_init(&c->priority, PRIORITY, NULL) < 0)
		abort();
	gnutls_certificate_set_verify_function(c->cred, verify_in_handshake);
	return c;
}

static int make(const struct tls_pem *text, const struct origin *o, struct tls_creds **ret_creds,
		char *ret_why)
{
	struct tls_creds *c = creds_new();
	struct pem p = { 0 };
	int r, err = read_pem(text, o, &p, &c->leaf, ret_why);

	if (!err && ((r = gnutls_certificate_set_x509_trust(c->cred, p.ca, (int)p.n_ca)) < 0 ||
		     (r = gnutls_certificate_set_x509_key(c->cred, p.cert, (int)p.n_cert, p.key)) < 0))
		err = explain(ret_why, ERR_TLS, "%s: %s", o->cert, gnutls_strerror(r));
	if (!err)
		err = check_signed(c, &p, o->ca, o->cert, ret_why);
	pem_done(&p);
	if (err)
		tls_creds_unref(c);
	else
		*ret_creds = c;
	return err;
}

int tls_creds_make(const struct tls_pem *pem, const char *where, struct tls_creds **ret_creds, char *ret_why)
{
	return make(pem, &(struct origin){ where, where, where }, ret_creds, ret_why);
}

int tls_creds_load(const char *ca, const char *cert, const char *key, struct tls_creds **ret_creds,
		   char *ret_why)
{
	struct buf texts[] = { { .max = PEM_MAX }, { .max = PEM_MAX }, { .max = PEM_MAX } };
	const char *const paths[] = { ca, cert, key };
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(texts) && !err; i++) {
		buf_adds(&texts[i], "");
		err = read_file(paths[i], &texts[i], ret_why);
	}
	if (!err)
		err = make(&(struct tls_pem){ texts[0].data, texts[1].data, texts[2].data },
			   &(struct origin){ ca, cert, key }, ret_creds, ret_why);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		wipe(&texts[i]);
	return err;
}

struct tls_creds *tls_creds_blind(void)
{
	struct tls_creds *c = creds_new();

	c->blind = true;
	return c;
}

struct tls_creds *tls_creds_ref(struct tls_creds *c)
{
	c->refs++;
	return c;
}

void tls_creds_unref(struct tls_creds *c)
{
	if (!c || --c->refs > 0)
		return;
	if (c->cred)
		gnutls_certificate_free_credentials(c->cred);
	if (c->priority)
		gnutls_priority_deinit(c->priority);
	free(c);
}

const char *tls_creds_name(const struct tls_creds *c)
{
	return c->leaf.name;
}

const struct pki_leaf *tls_creds_leaf(const struct tls_creds *c)
{
	return &c->leaf;
}

/* ---- transport ---- */

static ssize_t pull(gnutls_transport_ptr_t arg, void *data, size_t len)
{
	struct tls *t = arg;
	size_t have = t->in.len - t->in_at;

	if (have == 0) {
		gnutls_transport_set_errno(t->session, EAGAIN);
		return -1;
	}
	if (len > have)
		len = have;
	memcpy(data, t->in.data + t->in_at, len);
	t->in_at += len;
	return (ssize_t)len;
}

static int pull_timeout(gnutls_transport_ptr_t arg, unsigned ms)
{
	struct tls *t = arg;

	(void)ms;
	return t->in.len > t->in_at;
}

static ssize_t push(gnutls_transport_ptr_t arg, const void *data, size_t len)
{
	struct tls *t = arg;

	if (buf_add(&t->out, data, len)) {
		gnutls_transport_set_errno(t->session, ENOBUFS);
		return -1;
	}
	return (ssize_t)len;
}

int tls_feed(struct tls *t, const void *data, size_t len)
{
	buf_drop(&t->in, t->in_at);
	t->in_at = 0;
	if (t->in.len == 0 && t->in.cap > KEEP_CAP)
		buf_done(&t->in);
	int err = buf_add(&t->in, data, len);
	return err ? explain(t->why, err, "more than %d bytes that nobody read", IN_MAX) : 0;
}

struct buf *tls_out(struct tls *t)
{
	return &t->out;
}

/* ---- failures ---- */

static int fail(struct tls *t, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int fail(struct tls *t, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->why, sizeof(t->why), fmt, ap);
	va_end(ap);
	t->failed = err;
	return err;
}

static const struct {
	gnutls_alert_description_t alert;
	const char *words;
} cert_alerts[] = {
	{ GNUTLS_A_CERTIFICATE_EXPIRED, "expired or not valid yet" },
	{ GNUTLS_A_UNKNOWN_CA, "signed by another CA" },
	{ GNUTLS_A_CERTIFICATE_REQUIRED, "none was sent" },
	{ GNUTLS_A_ACCESS_DENIED, "issued for another role" },
	{ GNUTLS_A_CERTIFICATE_REVOKED, "revoked" },
	{ GNUTLS_A_BAD_CERTIFICATE, "not one that Sluice issues" },
	{ GNUTLS_A_UNSUPPORTED_CERTIFICATE, "not for this use" },
	{ GNUTLS_A_CERTIFICATE_UNKNOWN, "not acceptable" },
};

static int fail_alert(struct tls *t)
{
	gnutls_alert_description_t a = gnutls_alert_get(t->session);
	const char *name = gnutls_alert_get_name(a);

	for (size_t i = 0; i < ARRAY_LEN(cert_alerts); i++)
		if (cert_alerts[i].alert == a)
			return fail(t, ERR_CERT,
				    "the %s refused our certificate (%s): issue a new one with sluicectl pki "
				    "issue %s",
				    role_str(t->expect_role), cert_alerts[i].words, t->creds->leaf.name);
	return fail(t, ERR_TLS, "the %s ended TLS: %s", role_str(t->expect_role),
		    name ? name : "unknown alert");
}

static int fail_gnutls(struct tls *t, int r)
{
	const char *who = role_str(t->expect_role);

	switch (r) {
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		return fail_alert(t);
	case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
	case GNUTLS_E_NO_CIPHER_SUITES:
	case GNUTLS_E_NO_COMMON_KEY_SHARE:
		return fail(t, ERR_TLS, "the %s and we have no TLS 1.3 in common (%s)", who,
			    gnutls_strerror(r));
	case GNUTLS_E_UNEXPECTED_PACKET:
	case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
	case GNUTLS_E_RECORD_OVERFLOW:
		return fail(t, ERR_TLS, "the other end does not speak TLS: is this the right port?");
	case GNUTLS_E_KEY_USAGE_VIOLATION:
		return fail(t, ERR_CERT,
			    "the %s's certificate is not for TLS: issue it with sluicectl pki issue", who);
	default:
		return fail(t, ERR_TLS, "TLS with the %s failed: %s", who, gnutls_strerror(r));
	}
}

/* ---- the peer's certificate ---- */

static int fail_cert(struct tls *t, gnutls_alert_description_t alert, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int fail_cert(struct tls *t, gnutls_alert_description_t alert, const char *fmt, ...)
{
	char why[TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	gnutls_alert_send(t->session, GNUTLS_AL_FATAL, alert);
	return fail(t, ERR_CERT, "%s", why);
}

/* The words for what GnuTLS holds against the chain; the first that applies. */
static int fail_status(struct tls *t, unsigned status, gnutls_x509_crt_t crt, const char *name)
{
	const char *who = name[0] ? name : "the peer", *issue = name[0] ? name : "NAME";
	const unsigned foreign = GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNATURE_FAILURE |
				 GNUTLS_CERT_SIGNER_NOT_CA | GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE;
	char date[DATE_LEN];

	if (status & GNUTLS_CERT_REVOKED)
		return fail_cert(t, GNUTLS_A_CERTIFICATE_REVOKED, "certificate of %s is revoked", who);
	if (status & foreign)
		return fail_cert(t, GNUTLS_A_UNKNOWN_CA,
				 "certificate of %s is not signed by our CA: "
				 "issue it with sluicectl pki issue %s where our ca.key is",
				 who, issue);
	if (status & GNUTLS_CERT_EXPIRED)
		return fail_cert(
			t, GNUTLS_A_CERTIFICATE_EXPIRED,
			"certificate of %s expired on %s: issue a new one with sluicectl pki issue %s", who,
			date_str(gnutls_x509_crt_get_expiration_time(crt), date), issue);
	if (status & GNUTLS_CERT_NOT_ACTIVATED)
		return fail_cert(
			t, GNUTLS_A_CERTIFICATE_EXPIRED,
			"certificate of %s is not valid before %s: check the clocks of both machines", who,
			date_str(gnutls_x509_crt_get_activation_time(crt), date));
	if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
		return fail_cert(
			t, GNUTLS_A_UNSUPPORTED_CERTIFICATE,
			"certificate of %s is not for TLS %s: issue a new one with sluicectl pki issue %s",
			who, t->server ? "clients" : "servers", issue);
	return fail_cert(t, GNUTLS_A_BAD_CERTIFICATE,
			 "certificate of %s is not valid: issue a new one with sluicectl pki issue %s", who,
			 issue);
}

/* Exactly one organizational unit, and it is the role we expect. */
static bool role_ok(gnutls_x509_crt_t crt, int role)
{
	char ou[NAME_LEN], more[NAME_LEN];
	size_t size = sizeof(ou), more_size = sizeof(more);
	const char *oid = GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME;

	if (gnutls_x509_crt_get_dn_by_oid(crt, oid, 0, 0, ou, &size) < 0 || strcmp(ou, role_str(role)) != 0)
		return false;
	return gnutls_x509_crt_get_dn_by_oid(crt, oid, 1, 0, more, &more_size) ==
	       GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
}

static int verify_cert(struct tls *t, gnutls_x509_crt_t crt)
{
	const char *oid = t->server ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER;
	auto_free char *purpose = xstrdup(oid);
	gnutls_typed_vdata_st data = { GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)purpose, 0 };
	char name[NAME_LEN];
	unsigned status = 0;

	cert_name(crt, name);
	int r = gnutls_certificate_verify_peers(t->session, &data, 1, &status);
	if (r < 0 || status)
		return fail_status(t, r < 0 ? GNUTLS_CERT_INVALID : status, crt, name);
	if (!name[0])
		return fail_cert(t, GNUTLS_A_BAD_CERTIFICATE,
				 "the %s's certificate has no name: issue it with sluicectl pki issue",
				 role_str(t->expect_role));
	if (!role_ok(crt, t->expect_role))
		return fail_cert(t, GNUTLS_A_ACCESS_DENIED,
				 "certificate of %s was not issued for a %s: issue it with that role", name,
				 role_str(t->expect_role));
	pki_leaf_of(crt, &t->peer);
	return 0;
}

static int verify_peer(struct tls *t)
{
	unsigned n = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(t->session, &n);
	gnutls_x509_crt_t crt;

	if (!chain || n == 0 || gnutls_certificate_type_get(t->session) != GNUTLS_CRT_X509)
		return fail_cert(t, GNUTLS_A_CERTIFICATE_REQUIRED,
				 "the peer sent no certificate: is it a %s of this cluster?",
				 role_str(t->expect_role));
	if (gnutls_x509_crt_init(&crt) < 0)
		abort();
	int err = gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) < 0
			  ? fail_cert(t, GNUTLS_A_BAD_CERTIFICATE, "the peer's certificate does not parse")
			  : verify_cert(t, crt);
	gnutls_x509_crt_deinit(crt);
	return err;
}

static int verify_in_handshake(gnutls_session_t session)
{
	struct tls *t = gnutls_session_get_ptr(session);

	if (t->server || t->creds->blind)
		return 0;
	return verify_peer(t) ? GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR : 0;
}

/* ---- the session ---- */

struct tls *tls_new(struct tls_creds *creds, bool server, int expect_role)
{
	unsigned flags = (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS |
			 GNUTLS_NO_SIGNAL | GNUTLS_FORCE_CLIENT_CERT;
	struct tls *t = xcalloc(1, sizeof(*t));

	t->creds = tls_creds_ref(creds);
	t->server = server;
	t->expect_role = expect_role;
	t->in.max = IN_MAX;
	t->out.max = OUT_MAX;
	/* these fail for want of memory only */
	if (gnutls_init(&t->session, flags) < 0 || gnutls_priority_set(t->session, creds->priority) < 0 ||
	    gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, creds->cred) < 0)
		abort();
	gnutls_session_set_ptr(t->session, t);
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_push_function(t->session, push);
	gnutls_transport_set_pull_function(t->session, pull);
	gnutls_transport_set_pull_timeout_function(t->session, pull_timeout);
	gnutls_handshake_set_max_packet_length(t->session, HANDSHAKE_MAX);
	if (server)
		/* verify_peer requires it, and says so in words */
		gnutls_certificate_server_set_request(t->session, GNUTLS_CERT_REQUEST);
	return t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	gnutls_deinit(t->session);
	tls_creds_unref(t->creds);
	buf_done(&t->in);
	buf_done(&t->out);
	free(t);
}

/* Worth another call: nothing fatal, and it took input since the last one. */
static bool again(const struct tls *t, int r, size_t was)
{
	return r < 0 && !gnutls_error_is_fatal(r) && t->in_at > was && t->in_at < t->in.len;
}

int tls_handshake(struct tls *t)
{
	size_t was;
	int r;

	if (t->failed || t->open)
		return t->failed ? t->failed : 1;
	do {
		was = t->in_at;
		r = gnutls_handshake(t->session);
	} while (again(t, r, was));
	if (t->failed) /* refused by verify_in_handshake */
		return t->failed;
	if (r < 0 && !gnutls_error_is_fatal(r))
		return 0;
	if (r < 0) {
		gnutls_alert_send_appropriate(t->session, r);
		return fail_gnutls(t, r);
	}
	if (t->server && verify_peer(t))
		return t->failed;
	t->open = true;
	return 1;
}

const char *tls_peer(const struct tls *t)
{
	return t->open ? t->peer.name : "";
}

const struct pki_leaf *tls_peer_leaf(const struct tls *t)
{
	return &t->peer;
}

int tls_trust(struct tls *t, const char *ca)
{
	gnutls_datum_t d = datum(ca);

	if (!t->open || t->failed)
		return t->failed ? t->failed : explain(t->why, ERR_TLS, "the handshake is not complete");
	if (gnutls_certificate_set_x509_trust_mem(t->creds->cred, &d, GNUTLS_X509_FMT_PEM) < 1)
		return fail(t, ERR_CERT, "what the %s gave us is not a CA certificate",
			    role_str(t->expect_role));
	return verify_peer(t);
}

/* One record or less. Positive: bytes got; 0: closed; else a GnuTLS error. */
static ssize_t read_some(struct tls *t, char *data, size_t size)
{
	size_t was;
	ssize_t r;

	do {
		was = t->in_at;
		r = gnutls_record_recv(t->session, data, size);
	} while (again(t, (int)r, was));
	return r;
}

int tls_read(struct tls *t, struct buf *out)
{
	char data[16 * 1024];
	size_t before = out->len;

	while (t->open && !t->failed) {
		ssize_t r = read_some(t, data, sizeof(data));
		if (r > 0) {
			if (buf_add(out, data, (size_t)r))
				fail(t, ERR_LIMIT, "more data than expected at once");
		} else if (r == 0) {
			fail(t, ERR_CLOSED, "closed by the peer");
		} else if (gnutls_error_is_fatal((int)r)) {
			gnutls_alert_send_appropriate(t->session, (int)r);
			fail_gnutls(t, (int)r);
		} else {
			break;
		}
	}
	return out->len > before ? 1 : t->failed;
}

int tls_write(struct tls *t, const void *data, size_t len)
{
	const char *p = data;

	/* checked before: half a write would break the stream */
	if (t->out.len + len + len / 64 + 1024 > OUT_MAX)
		return explain(t->why, ERR_LIMIT, "the peer reads too slowly: %zu bytes wait", t->out.len);
	if (!t->open || (t->failed && t->failed != ERR_CLOSED))
		return t->failed ? t->failed : explain(t->why, ERR_TLS, "the handshake is not complete");
	while (len > 0) {
		ssize_t n = gnutls_record_send(t->session, p, len);
		if (n <= 0)
			return fail_gnutls(t, (int)n);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

void tls_close(struct tls *t)
{
	if (t->open && (!t->failed || t->failed == ERR_CLOSED))
		gnutls_bye(t->session, GNUTLS_SHUT_WR);
}

const char *tls_why(const struct tls *t)
{
	return t->why;
}
