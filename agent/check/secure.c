/* SPDX-License-Identifier: Apache-2.0
 * Owns a GnuTLS session and two buffers. Allowed order: handshake until 1, then write and read. */
#include "agent/check/secure.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

#include "proto/base/err.h"

#define IN_MAX 262144

/* The system's certificates take megabytes: checks that trust the same share them. */
struct secure_trust {
	struct secure_trust *next;
	gnutls_certificate_credentials_t creds;
	char *ca; /* NULL: the system's */
	bool insecure;
	int refs; /* of checks and of sessions */
};
static struct secure_trust *trusts;

struct secure {
	gnutls_session_t session;
	struct secure_trust *trust;
	struct buf in, out;
	uint32_t expiry_days;
	bool insecure;
};

static bool same_ca(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static int load_trust(struct secure_trust *t)
{
	if (t->insecure)
		return 1;
	return t->ca ? gnutls_certificate_set_x509_trust_file(t->creds, t->ca, GNUTLS_X509_FMT_PEM)
		     : gnutls_certificate_set_x509_system_trust(t->creds);
}

struct secure_trust *secure_trust_new(const struct check_cfg *cfg, char *ret_why)
{
	struct secure_trust *t;

	for (t = trusts; t; t = t->next)
		if (t->insecure == cfg->tls_insecure && same_ca(t->ca, cfg->ca)) {
			t->refs++;
			return t;
		}
	t = xcalloc(1, sizeof(*t));
	t->refs = 1;
	t->insecure = cfg->tls_insecure;
	t->ca = cfg->ca ? xstrdup(cfg->ca) : NULL;
	t->next = trusts;
	trusts = t;
	if (gnutls_certificate_allocate_credentials(&t->creds) < 0)
		abort();
	int n = load_trust(t);
	if (n > 0)
		return t;
	snprintf(ret_why, TEXT_LEN, "ca: %.150s: %s", cfg->ca ? cfg->ca : "the system's certificates",
		 n ? gnutls_strerror(n) : "no certificate in it");
	secure_trust_free(t);
	return NULL;
}

void secure_trust_free(struct secure_trust *t)
{
	if (!t || --t->refs)
		return;
	for (struct secure_trust **at = &trusts; *at; at = &(*at)->next)
		if (*at == t) {
			*at = t->next;
			break;
		}
	gnutls_certificate_free_credentials(t->creds);
	free(t->ca);
	free(t);
}

static ssize_t on_push(gnutls_transport_ptr_t p, const void *data, size_t len)
{
	struct secure *s = p;

	buf_add(&s->out, data, len);
	return (ssize_t)len;
}

static ssize_t on_pull(gnutls_transport_ptr_t p, void *data, size_t len)
{
	struct secure *s = p;
	size_t n = len < s->in.len ? len : s->in.len;

	if (!n) {
		gnutls_transport_set_errno(s->session, EAGAIN);
		return -1;
	}
	memcpy(data, s->in.data, n);
	buf_drop(&s->in, n);
	return (ssize_t)n;
}

static int on_pull_timeout(gnutls_transport_ptr_t p, unsigned ms)
{
	(void)ms;
	return ((struct secure *)p)->in.len > 0;
}

/* tls_name, or the host without a port, or the address that is dialled */
static void name_of(const struct check_cfg *cfg, char ret_name[TEXT_LEN])
{
	const char *from = cfg->tls_name ? cfg->tls_name : cfg->host ? cfg->host : cfg->target;
	const char *start = *from == '[' ? from + 1 : from;
	size_t n = *from == '[' ? strcspn(start, "]") : strcspn(start, ":");

	/* a bare IPv6 address */
	if (*from != '[' && strchr(from, ':') != strrchr(from, ':'))
		n = strlen(from);
	snprintf(ret_name, TEXT_LEN, "%.*s", (int)n, start);
}

static bool is_address(const char *name)
{
	struct prefix p;

	return prefix_parse(name, &p, NULL) == 0;
}

struct secure *secure_new(struct secure_trust *t, const struct check_cfg *cfg)
{
	static const gnutls_datum_t alpn = { (unsigned char *)(uintptr_t) "http/1.1", 8 };
	struct secure *s = xcalloc(1, sizeof(*s));
	char name[TEXT_LEN];

	s->in.max = IN_MAX;
	s->trust = t;
	t->refs++;
	s->expiry_days = cfg->expiry_days;
	s->insecure = cfg->tls_insecure;
	name_of(cfg, name);
	if (gnutls_init(&s->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0)
		abort();
	gnutls_set_default_priority(s->session);
	gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, t->creds);
	gnutls_alpn_set_protocols(s->session, &alpn, 1, 0);
	if (!is_address(name))
		gnutls_server_name_set(s->session, GNUTLS_NAME_DNS, name, strlen(name));
	if (!s->insecure)
		gnutls_session_set_verify_cert(s->session, name, 0);
	gnutls_transport_set_ptr(s->session, s);
	gnutls_transport_set_push_function(s->session, on_push);
	gnutls_transport_set_pull_function(s->session, on_pull);
	gnutls_transport_set_pull_timeout_function(s->session, on_pull_timeout);
	return s;
}

void secure_free(struct secure *s)
{
	if (!s)
		return;
	gnutls_deinit(s->session);
	secure_trust_free(s->trust);
	buf_done(&s->in);
	buf_done(&s->out);
	free(s);
}

void secure_feed(struct secure *s, const void *data, size_t len)
{
	/* over the limit: the record that is cut fails to decrypt */
	buf_add(&s->in, data, len);
}

struct buf *secure_out(struct secure *s)
{
	return &s->out;
}

static int cert_refused(const struct secure *s, char *ret_why)
{
	gnutls_datum_t text = { 0 };
	unsigned status = gnutls_session_get_verify_cert_status(s->session);

	if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0) {
		snprintf(ret_why, TEXT_LEN, "certificate: not good");
		return ERR_CERT;
	}
	snprintf(ret_why, TEXT_LEN, "certificate: %.200s", (const char *)text.data);
	gnutls_free(text.data);
	return ERR_CERT;
}

static int check_expiry(const struct secure *s, char *ret_why)
{
	const gnutls_datum_t *list;
	gnutls_x509_crt_t crt;
	unsigned n = 0;

	if (!s->expiry_days)
		return 1;
	list = gnutls_certificate_get_peers(s->session, &n);
	if (!n || gnutls_x509_crt_init(&crt) < 0)
		return 1;
	time_t end = -1;
	if (gnutls_x509_crt_import(crt, list, GNUTLS_X509_FMT_DER) == 0)
		end = gnutls_x509_crt_get_expiration_time(crt);
	gnutls_x509_crt_deinit(crt);
	int64_t days = ((int64_t)end - (int64_t)time(NULL)) / 86400;
	if (end != (time_t)-1 && days >= (int64_t)s->expiry_days)
		return 1;
	snprintf(ret_why, TEXT_LEN, "certificate: ends in %lld days, expiry_days is %u", (long long)days,
		 s->expiry_days);
	return ERR_CERT;
}

int secure_handshake(struct secure *s, char *ret_why)
{
	int rc = gnutls_handshake(s->session);

	if (rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED)
		return 0;
	if (rc == 0)
		return check_expiry(s, ret_why);
	if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
		return cert_refused(s, ret_why);
	if (!gnutls_error_is_fatal(rc))
		return 0;
	snprintf(ret_why, TEXT_LEN, "TLS: %s", gnutls_strerror(rc));
	return ERR_TLS;
}

void secure_write(struct secure *s, const void *data, size_t len)
{
	/* into memory, so never short */
	gnutls_record_send(s->session, data, len);
}

int secure_read(struct secure *s, struct buf *out, char *ret_why)
{
	char chunk[4096];

	for (;;) {
		ssize_t n = gnutls_record_recv(s->session, chunk, sizeof(chunk));
		if (n > 0) {
			if (buf_add(out, chunk, (size_t)n) < 0)
				return ERR_CLOSED; /* enough */
			continue;
		}
		if (n == GNUTLS_E_AGAIN)
			return 0;
		if (n == 0 || n == GNUTLS_E_PREMATURE_TERMINATION)
			return ERR_CLOSED;
		if (gnutls_error_is_fatal((int)n)) {
			snprintf(ret_why, TEXT_LEN, "TLS: %s", gnutls_strerror((int)n));
			return ERR_TLS;
		}
	}
}
