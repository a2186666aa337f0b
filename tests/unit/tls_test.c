/* SPDX-License-Identifier: Apache-2.0
 * Two sessions (or one and a foreign GnuTLS client) that exchange bytes in memory. */
#include "proto/wire/tls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "proto/base/err.h"
#include "proto/base/mono.h"
#include "proto/wire/msg.h"
#include "tests/unit/certs.h"

static struct {
	char *dir, *other;
	struct tls_creds *controller, *node;
} shared;

struct pair {
	struct tls *c, *s;
	int c_end, s_end; /* last answer of tls_handshake */
};

#define assert_says(text, part)                                                                              \
	do {                                                                                                 \
		if (!strstr(text, part))                                                                     \
			fail_msg("\"%s\" does not say \"%s\"", text, part);                                  \
	} while (0)

static void pair_init(struct pair *p, struct tls_creds *client, struct tls_creds *server)
{
	*p = (struct pair){ tls_new(client, false, PKI_ROLE_CONTROLLER), tls_new(server, true, PKI_ROLE_NODE),
			    0, 0 };
}

static void pair_done(struct pair *p)
{
	tls_free(p->c);
	tls_free(p->s);
}

/* Moves what from has to say, in pieces of at most n bytes. True when there was something. */
static bool move(struct tls *from, struct tls *to, size_t n, int *ret_end)
{
	struct buf *out = tls_out(from);
	bool any = out->len > 0;

	while (out->len > 0) {
		size_t piece = out->len < n ? out->len : n;
		assert_int_equal(tls_feed(to, out->data, piece), 0);
		buf_drop(out, piece);
		*ret_end = tls_handshake(to);
	}
	return any;
}

static void shake(struct pair *p, size_t n)
{
	p->c_end = tls_handshake(p->c);
	for (bool any = true; any;) {
		any = move(p->c, p->s, n, &p->s_end);
		any |= move(p->s, p->c, n, &p->c_end);
	}
}

static void pair_up(struct pair *p)
{
	pair_init(p, shared.node, shared.controller);
	shake(p, 100000);
	assert_int_equal(p->c_end, 1);
	assert_int_equal(p->s_end, 1);
}

/* ---- sessions ---- */

static void test_handshake(void **state)
{
	static const size_t pieces[] = { 1, 7, 1000, 100000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct pair p;
		pair_init(&p, shared.node, shared.controller);
		assert_string_equal(tls_peer(p.c), "");
		shake(&p, pieces[i]);
		assert_int_equal(p.c_end, 1);
		assert_int_equal(p.s_end, 1);
		assert_string_equal(tls_peer(p.c), "ctl");
		assert_string_equal(tls_peer(p.s), "fra1");
		pair_done(&p);
	}
}

static void test_data_both_ways(void **state)
{
	const size_t n = 1000000;
	auto_free char *data = xcalloc(1, n);
	struct pair p;
	int end;

	(void)state;
	for (size_t i = 0; i < n; i++)
		data[i] = (char)(i * 31 + i / 256);
	pair_up(&p);
	for (int side = 0; side < 2; side++) {
		struct tls *from = side ? p.s : p.c, *to = side ? p.c : p.s;
		auto_buf got = { 0 };
		assert_int_equal(tls_read(to, &got), 0);
		assert_int_equal(tls_write(from, data, n), 0);
		/* records arrive cut at odd places */
		while (tls_out(from)->len > 0) {
			size_t piece = tls_out(from)->len < 33333 ? tls_out(from)->len : 33333;
			assert_int_equal(tls_feed(to, tls_out(from)->data, piece), 0);
			buf_drop(tls_out(from), piece);
			assert_in_range(tls_read(to, &got), 0, 1);
		}
		assert_int_equal(got.len, n);
		assert_memory_equal(got.data, data, n);
		assert_int_equal(tls_read(to, &got), 0);
	}
	assert_false(move(p.c, p.s, 100, &end));
	pair_done(&p);
}

static void test_data_then_close(void **state)
{
	struct pair p;
	auto_buf got = { 0 };
	int end;

	(void)state;
	pair_up(&p);
	assert_int_equal(tls_write(p.c, "last", 4), 0);
	tls_close(p.c);
	assert_true(move(p.c, p.s, 100000, &end));
	assert_int_equal(tls_read(p.s, &got), 1);
	assert_string_equal(got.data, "last");
	assert_int_equal(tls_read(p.s, &got), ERR_CLOSED);
	assert_int_equal(tls_read(p.s, &got), ERR_CLOSED);
	/* closed one way only: the answer still goes out */
	assert_int_equal(tls_write(p.s, "answer", 6), 0);
	tls_close(p.s);
	buf_drop(&got, got.len);
	assert_true(move(p.s, p.c, 100000, &end));
	assert_int_equal(tls_read(p.c, &got), 1);
	assert_string_equal(got.data, "answer");
	assert_int_equal(tls_read(p.c, &got), ERR_CLOSED);
	pair_done(&p);
}

static void test_data_then_garbage(void **state)
{
	struct pair p;
	auto_buf got = { 0 };
	int end;

	(void)state;
	pair_up(&p);
	tls_write(p.c, "good", 4);
	tls_write(p.c, "bad", 3);
	tls_out(p.c)->data[tls_out(p.c)->len - 1] ^= 1;
	move(p.c, p.s, 100000, &end);
	assert_int_equal(tls_read(p.s, &got), 1);
	assert_string_equal(got.data, "good");
	assert_int_equal(tls_read(p.s, &got), ERR_TLS);
	auto_free char *why = xstrdup(tls_why(p.s));
	assert_says(why, "TLS with the node failed");
	assert_int_equal(tls_read(p.s, &got), ERR_TLS); /* sticky, with its reason */
	assert_int_equal(tls_write(p.s, "x", 1), ERR_TLS);
	assert_string_equal(tls_why(p.s), why);
	/* the other side hears of it */
	move(p.s, p.c, 100000, &end);
	assert_int_equal(tls_read(p.c, &got), ERR_TLS);
	assert_says(tls_why(p.c), "the controller ended TLS");
	assert_int_equal(got.len, 4);
	pair_done(&p);
}

static void test_not_open_yet(void **state)
{
	struct pair p;
	auto_buf got = { 0 };

	(void)state;
	pair_init(&p, shared.node, shared.controller);
	assert_int_equal(tls_write(p.c, "x", 1), ERR_TLS);
	assert_says(tls_why(p.c), "not complete");
	assert_int_equal(tls_read(p.c, &got), 0);
	tls_close(p.c);
	assert_int_equal(tls_out(p.c)->len, 0);
	shake(&p, 100000);
	assert_int_equal(p.s_end, 1);
	pair_done(&p);
}

static void test_limits(void **state)
{
	struct pair p;
	auto_free char *big = xcalloc(1, 1024 * 1024);
	auto_buf got = { .max = 10 };
	int end, err = 0;

	(void)state;
	pair_up(&p);
	/* input that nobody reads */
	assert_int_equal(tls_feed(p.s, big, 200000), 0);
	assert_int_equal(tls_feed(p.s, big, 200000), ERR_LIMIT);
	assert_says(tls_why(p.s), "nobody read");
	pair_done(&p);
	pair_up(&p);
	/* output that nobody sends: all or nothing */
	for (int i = 0; i < 20 && !err; i++) {
		size_t before = tls_out(p.s)->len;
		err = tls_write(p.s, big, 1024 * 1024);
		if (err)
			assert_int_equal(tls_out(p.s)->len, before);
	}
	assert_int_equal(err, ERR_LIMIT);
	assert_says(tls_why(p.s), "too slowly");
	/* more than the reader asked for */
	assert_int_equal(tls_write(p.c, big, 11), 0);
	move(p.c, p.s, 100000, &end);
	assert_int_equal(tls_read(p.s, &got), ERR_LIMIT);
	assert_int_equal(got.len, 0);
	pair_done(&p);
}

static void test_creds_outlive_their_owner(void **state)
{
	struct tls_creds *c = certs_load(shared.dir, "ctl"), *n = certs_load(shared.dir, "fra1");
	struct pair p;

	(void)state;
	assert_string_equal(tls_creds_name(n), "fra1");
	pair_init(&p, n, c);
	tls_creds_unref(c);
	tls_creds_unref(n);
	shake(&p, 100000);
	assert_int_equal(p.s_end, 1);
	pair_done(&p);
	tls_creds_unref(NULL);
	tls_free(NULL);
}

/* ---- refusing, and telling the other side ---- */

/* the server refuses: the client believes it is up until its first read */
static void expect_server_refuses(struct tls_creds *client, const char *server_says, const char *client_says)
{
	struct pair p;
	auto_buf got = { 0 };

	pair_init(&p, client, shared.controller);
	shake(&p, 100000);
	assert_int_equal(p.s_end, ERR_CERT);
	assert_says(tls_why(p.s), server_says);
	assert_int_equal(tls_handshake(p.s), ERR_CERT);
	assert_int_equal(tls_write(p.s, "x", 1), ERR_CERT);
	assert_string_equal(tls_peer(p.s), "");
	assert_int_equal(p.c_end, 1);
	assert_int_equal(tls_read(p.c, &got), ERR_CERT);
	assert_says(tls_why(p.c), client_says);
	assert_int_equal(got.len, 0);
	pair_done(&p);
}

/* the client refuses, before it has shown its own certificate */
static void expect_client_refuses(struct tls_creds *server, const char *client_says, const char *server_says)
{
	struct pair p;

	pair_init(&p, shared.node, server);
	shake(&p, 100000);
	assert_int_equal(p.c_end, ERR_CERT);
	assert_says(tls_why(p.c), client_says);
	assert_int_equal(p.s_end, ERR_CERT);
	assert_says(tls_why(p.s), server_says);
	pair_done(&p);
}

/* CAs of both directories are trusted, so that it is the other side that refuses */
static struct tls_creds *load_with(const char *cert_dir, const char *name)
{
	auto_free char *ca = xasprintf("%s/both.ca", shared.other);
	auto_free char *cmd = xasprintf("cat %s/ca.pem %s/ca.pem > %s", shared.dir, shared.other, ca);
	auto_free char *cert = xasprintf("%s/%s.pem", cert_dir, name);
	auto_free char *key = xasprintf("%s/%s.key", cert_dir, name);
	char why[TEXT_LEN] = "";
	struct tls_creds *c = NULL;

	assert_int_equal(system(cmd), 0);
	if (tls_creds_load(ca, cert, key, &c, why))
		fail_msg("%s", why);
	return c;
}

static void test_other_ca(void **state)
{
	(void)state;
	/* both CAs carry the same name: only the key tells them apart */
	certs_issue(shared.other, "fra1", PKI_ROLE_NODE, 30);
	certs_issue(shared.other, "ctl", PKI_ROLE_CONTROLLER, 30);
	struct tls_creds *node = load_with(shared.other, "fra1"), *ctl = load_with(shared.other, "ctl");
	expect_server_refuses(
		node, "certificate of fra1 is not signed by our CA: issue it with sluicectl pki issue fra1",
		"the controller refused our certificate (signed by another CA): issue a new one with "
		"sluicectl pki issue fra1");
	expect_client_refuses(ctl, "certificate of ctl is not signed by our CA",
			      "the node refused our certificate (signed by another CA)");
	tls_creds_unref(node);
	tls_creds_unref(ctl);
}

static void test_wrong_role(void **state)
{
	(void)state;
	expect_server_refuses(shared.controller, "certificate of ctl was not issued for a node",
			      "(issued for another role)");
	expect_client_refuses(shared.node, "certificate of fra1 was not issued for a controller",
			      "(issued for another role)");
}

static time_t shifted;

static time_t later(time_t *t)
{
	time_t now = time(NULL) + shifted;

	if (t)
		*t = now;
	return now;
}

static void test_dates(void **state)
{
	char date[16], says[128];
	time_t end = time(NULL) + 86400, start = time(NULL) - 3600;

	(void)state;
	certs_issue(shared.dir, "short", PKI_ROLE_NODE, 1);
	certs_issue(shared.dir, "shortctl", PKI_ROLE_CONTROLLER, 1);
	struct tls_creds *node = certs_load(shared.dir, "short"), *ctl = certs_load(shared.dir, "shortctl");
	gnutls_global_set_time_function(later);
	shifted = 2 * 86400;
	strftime(date, sizeof(date), "%Y-%m-%d", gmtime(&end));
	snprintf(says, sizeof(says),
		 "certificate of short expired on %s: issue a new one with sluicectl pki issue short", date);
	expect_server_refuses(node, says, "(expired or not valid yet)");
	expect_client_refuses(ctl, "certificate of shortctl expired on", "(expired or not valid yet)");
	shifted = -2 * 86400;
	strftime(date, sizeof(date), "%Y-%m-%d", gmtime(&start));
	snprintf(says, sizeof(says), "certificate of shortctl is not valid before %s: check the clocks",
		 date);
	expect_client_refuses(ctl, says, "(expired or not valid yet)");
	gnutls_global_set_time_function(time);
	tls_creds_unref(node);
	tls_creds_unref(ctl);
}

static void test_odd_certificates(void **state)
{
	static const struct {
		struct odd odd;
		const char *server_says, *client_says;
	} rows[] = {
		{ { .cn = "x", .ou = "node", .ou2 = "controller", .to_days = 9 },
		  "not issued for a node",
		  "another role" },
		{ { .cn = "x", .ou = "controller", .ou2 = "node", .to_days = 9 },
		  "not issued for a node",
		  "another role" },
		{ { .cn = "x", .to_days = 9 }, "not issued for a node", "another role" },
		{ { .cn = "x", .ou = "nodes", .to_days = 9 }, "not issued for a node", "another role" },
		{ { .cn = "x", .ou = "node", .purpose = GNUTLS_KP_TLS_WWW_SERVER, .to_days = 9 },
		  "not for TLS clients",
		  "not for this use" },
		{ { .cn = "x", .ou = "node", .purpose = GNUTLS_KP_CODE_SIGNING, .to_days = 9 },
		  "not for TLS clients",
		  "not for this use" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		certs_odd(shared.dir, "odd", &rows[i].odd);
		struct tls_creds *c = certs_load(shared.dir, "odd");
		expect_server_refuses(c, rows[i].server_says, rows[i].client_says);
		tls_creds_unref(c);
	}
	/* no purpose at all means any */
	struct pair p;
	certs_odd(shared.dir, "odd", &(struct odd){ .cn = "x", .ou = "node", .to_days = 9 });
	struct tls_creds *c = certs_load(shared.dir, "odd");
	pair_init(&p, c, shared.controller);
	shake(&p, 100000);
	assert_int_equal(p.s_end, 1);
	assert_string_equal(tls_peer(p.s), "x");
	pair_done(&p);
	tls_creds_unref(c);
}

/* ---- foreign clients ---- */

struct foreign {
	gnutls_session_t session;
	gnutls_certificate_credentials_t cred;
	struct tls *server;
	struct buf in;
};

static ssize_t foreign_push(gnutls_transport_ptr_t arg, const void *data, size_t len)
{
	struct foreign *f = arg;

	assert_int_equal(tls_feed(f->server, data, len), 0);
	return (ssize_t)len;
}

static ssize_t foreign_pull(gnutls_transport_ptr_t arg, void *data, size_t len)
{
	struct foreign *f = arg;
	struct buf *out = tls_out(f->server);

	if (out->len == 0) {
		gnutls_transport_set_errno(f->session, EAGAIN);
		return -1;
	}
	if (len > out->len)
		len = out->len;
	memcpy(data, out->data, len);
	buf_drop(out, len);
	return (ssize_t)len;
}

/* cert, key: names of files, or NULL for none */
static void foreign_init(struct foreign *f, const char *priority, const char *cert, const char *key)
{
	memset(f, 0, sizeof(*f));
	f->server = tls_new(shared.controller, true, PKI_ROLE_NODE);
	gnutls_certificate_allocate_credentials(&f->cred);
	if (cert)
		assert_int_equal(
			gnutls_certificate_set_x509_key_file(f->cred, cert, key, GNUTLS_X509_FMT_PEM), 0);
	gnutls_init(&f->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_FORCE_CLIENT_CERT);
	assert_int_equal(gnutls_priority_set_direct(f->session, priority, NULL), 0);
	gnutls_credentials_set(f->session, GNUTLS_CRD_CERTIFICATE, f->cred);
	gnutls_transport_set_ptr(f->session, f);
	gnutls_transport_set_push_function(f->session, foreign_push);
	gnutls_transport_set_pull_function(f->session, foreign_pull);
}

static void foreign_done(struct foreign *f)
{
	gnutls_deinit(f->session);
	gnutls_certificate_free_credentials(f->cred);
	tls_free(f->server);
}

/* Until neither side moves; the answer of the server. */
static int foreign_shake(struct foreign *f)
{
	int client = GNUTLS_E_AGAIN, server = 0;

	for (int i = 0; i < 20 && server == 0; i++) {
		if (client == GNUTLS_E_AGAIN)
			client = gnutls_handshake(f->session);
		server = tls_handshake(f->server);
	}
	return server;
}

static void expect_alert(struct foreign *f, gnutls_alert_description_t alert)
{
	char data[16];

	assert_int_equal(gnutls_record_recv(f->session, data, sizeof(data)), GNUTLS_E_FATAL_ALERT_RECEIVED);
	assert_int_equal(gnutls_alert_get(f->session), alert);
}

static void test_no_certificate(void **state)
{
	struct foreign f;

	(void)state;
	foreign_init(&f, "NORMAL", NULL, NULL);
	assert_int_equal(foreign_shake(&f), ERR_CERT);
	assert_says(tls_why(f.server), "sent no certificate");
	expect_alert(&f, GNUTLS_A_CERTIFICATE_REQUIRED);
	foreign_done(&f);
}

static void test_old_tls(void **state)
{
	struct foreign f;

	(void)state;
	foreign_init(&f, "NORMAL:-VERS-ALL:+VERS-TLS1.2", NULL, NULL);
	assert_int_equal(foreign_shake(&f), ERR_TLS);
	assert_says(tls_why(f.server), "TLS 1.3");
	assert_int_equal(gnutls_handshake(f.session), GNUTLS_E_FATAL_ALERT_RECEIVED);
	foreign_done(&f);
}

static void expect_cert_refused(const char *cert, const char *key, const char *says,
				gnutls_alert_description_t alert)
{
	auto_free char *c = xasprintf("%s/%s", shared.dir, cert);
	auto_free char *k = xasprintf("%s/%s", shared.dir, key);
	struct foreign f;

	foreign_init(&f, "NORMAL", c, k);
	assert_int_equal(foreign_shake(&f), ERR_CERT);
	assert_says(tls_why(f.server), says);
	expect_alert(&f, alert);
	foreign_done(&f);
}

/* what our own loader would not even load */
static void test_foreign_certificates(void **state)
{
	auto_free char *cmd =
		xasprintf("cat %s/forged.pem %s/fra1.pem > %s/chain.pem", shared.dir, shared.dir, shared.dir);

	(void)state;
	/* a node that plays CA for a controller, or for another node */
	certs_odd(shared.dir, "forged",
		  &(struct odd){ .cn = "ams1", .ou = "node", .to_days = 9, .signer = "fra1" });
	assert_int_equal(system(cmd), 0);
	expect_cert_refused("chain.pem", "forged.key", "not signed by our CA", GNUTLS_A_UNKNOWN_CA);
	/* names that would play games with logs, paths or terminals: never repeated */
	static const char *const names[] = { "fra1\nforged", "../ca", "", "a b", "\033[31m" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		certs_odd(shared.dir, "odd",
			  &(struct odd){ .cn = names[i][0] ? names[i] : NULL, .ou = "node", .to_days = 9 });
		expect_cert_refused("odd.pem", "odd.key", "the node's certificate has no name",
				    GNUTLS_A_BAD_CERTIFICATE);
	}
	certs_odd(shared.dir, "odd",
		  &(struct odd){ .cn = "old", .ou = "node", .from_days = -9, .to_days = -2 });
	expect_cert_refused("odd.pem", "odd.key", "certificate of old expired on",
			    GNUTLS_A_CERTIFICATE_EXPIRED);
	/* the CA's own certificate is nobody's */
	auto_free char *ca = xasprintf("%s/ca.pem", shared.dir);
	auto_free char *key = xasprintf("%s/ca.key", shared.dir);
	struct foreign f;
	foreign_init(&f, "NORMAL", ca, key);
	assert_true(foreign_shake(&f) < 0);
	foreign_done(&f);
}

static void test_garbage_handshakes(void **state)
{
	unsigned seed = (unsigned)mono_now().us;
	struct pair p;

	(void)state;
	print_message("seed %u\n", seed);
	/* a client hello with one byte wrong somewhere: refused or passed on, never more than that */
	for (int i = 0; i < 300; i++) {
		pair_init(&p, shared.node, shared.controller);
		tls_handshake(p.c);
		struct buf *out = tls_out(p.c);
		out->data[(size_t)rand_r(&seed) % out->len] ^= (char)(1 + rand_r(&seed) % 255);
		move(p.c, p.s, 1000000, &p.s_end);
		assert_true(p.s_end <= 0);
		if (p.s_end)
			assert_true(tls_why(p.s)[0]);
		pair_done(&p);
	}
	pair_init(&p, shared.node, shared.controller);
	assert_int_equal(tls_feed(p.s, "GET / HTTP/1.1\r\n\r\n", 18), 0);
	assert_int_equal(tls_handshake(p.s), ERR_TLS);
	assert_says(tls_why(p.s), "right port");
	pair_done(&p);
}

/* ---- a client that trusts nobody yet ---- */

static char *read_text(const char *dir, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	gnutls_datum_t d;

	assert_int_equal(gnutls_load_file(path, &d), 0);
	char *text = xasprintf("%.*s", (int)d.size, (const char *)d.data);
	gnutls_free(d.data);
	return text;
}

static void blind_pair(struct pair *p, struct tls_creds *server)
{
	struct tls_creds *blind = tls_creds_blind();

	*p = (struct pair){ tls_new(blind, false, PKI_ROLE_CONTROLLER), tls_new(server, true, PKI_ROLE_NODE),
			    0, 0 };
	tls_creds_unref(blind);
	shake(p, 100000);
	assert_int_equal(p->c_end, 1);
	assert_string_equal(tls_peer(p->c), "");
}

static void test_blind_then_trust(void **state)
{
	auto_free char *ours = read_text(shared.dir, "ca.pem"), *other = read_text(shared.other, "ca.pem");
	struct pair p;

	(void)state;
	blind_pair(&p, shared.controller);
	assert_int_equal(tls_trust(p.c, ours), 0);
	assert_string_equal(tls_peer(p.c), "ctl");
	pair_done(&p);
	blind_pair(&p, shared.controller);
	assert_int_equal(tls_trust(p.c, other), ERR_CERT);
	assert_says(tls_why(p.c), "not signed by our CA");
	pair_done(&p);
	blind_pair(&p, shared.controller);
	assert_int_equal(tls_trust(p.c, "nonsense"), ERR_CERT);
	pair_done(&p);
	blind_pair(&p, shared.node); /* a node plays the controller */
	assert_int_equal(tls_trust(p.c, ours), ERR_CERT);
	assert_says(tls_why(p.c), "was not issued for a controller");
	pair_done(&p);
}

/* Whoever steals the enrolment CA's key can make nodes, and no controller however it is written. */
static void test_enrolment_makes_nodes_only(void **state)
{
	auto_free char *cmd = xasprintf("cat %s/enrol.pem >> %s/evil.pem", shared.dir, shared.dir);
	char why[TEXT_LEN] = "";

	(void)state;
	assert_int_equal(pki_enrolment(shared.dir, 30, true, why), 0);
	certs_odd(
		shared.dir, "evil",
		&(struct odd){
			.cn = "ctl", .ou = "controller", .from_days = -1, .to_days = 9, .signer = "enrol" });
	assert_int_equal(system(cmd), 0);
	struct tls_creds *evil = certs_load(shared.dir, "evil");
	expect_client_refuses(evil, "is not for TLS servers", "refused our certificate");
	tls_creds_unref(evil);
}

/* ---- loading ---- */

static void expect_load(const char *ca, const char *cert, const char *key, int err, const char *says)
{
	auto_free char *a = xasprintf("%s/%s", shared.dir, ca);
	auto_free char *c = xasprintf("%s/%s", shared.dir, cert);
	auto_free char *k = xasprintf("%s/%s", shared.dir, key);
	struct tls_creds *creds = NULL;
	char why[TEXT_LEN] = "";

	assert_int_equal(tls_creds_load(a, c, k, &creds, why), err);
	assert_null(creds);
	assert_says(why, says);
	assert_says(why, shared.dir); /* names the file */
}

static void write_file(const char *name, size_t n)
{
	auto_free char *path = xasprintf("%s/%s", shared.dir, name);
	auto_fclose FILE *f = fopen(path, "we");

	while (n--)
		fputc('x', f);
}

static void test_load_errors(void **state)
{
	(void)state;
	expect_load("none.pem", "fra1.pem", "fra1.key", -ENOENT,
		    "none.pem: No such file or directory: make it");
	expect_load("ca.pem", "none.pem", "fra1.key", -ENOENT, "none.pem");
	expect_load("ca.pem", "fra1.pem", "none.key", -ENOENT, "none.key");
	expect_load("ca.pem", "fra1.pem", "ctl.key", ERR_CERT, "ctl.key does not match");
	expect_load("fra1.pem", "ctl.pem", "ctl.key", ERR_CERT, "is not signed by");
	expect_load("ca.pem", "fra1.key", "fra1.key", ERR_CERT, "not a PEM certificate");
	expect_load("ca.pem", "fra1.pem", "fra1.pem", ERR_CERT, "not a PEM private key");
	expect_load("ca.pem", "ca.pem", "ca.key", ERR_CERT, "has no name");
	expect_load("ca.pem", ".", "fra1.key", -EIO, "cannot be read");
	write_file("empty", 0);
	expect_load("ca.pem", "fra1.pem", "empty", ERR_CERT, "not a PEM private key");
	expect_load("empty", "fra1.pem", "fra1.key", ERR_CERT, "not a PEM certificate");
	write_file("big", 300000);
	expect_load("ca.pem", "big", "fra1.key", ERR_LIMIT, "larger than");
	certs_odd(shared.dir, "odd",
		  &(struct odd){ .cn = "old", .ou = "node", .from_days = -9, .to_days = -2 });
	expect_load("ca.pem", "odd.pem", "odd.key", ERR_CERT_TIME,
		    "issue a new one with sluicectl pki issue old");
	certs_odd(shared.dir, "odd",
		  &(struct odd){ .cn = "new", .ou = "node", .from_days = 2, .to_days = 9 });
	expect_load("ca.pem", "odd.pem", "odd.key", ERR_CERT_TIME, "check this machine's clock");
}

static int suite_init(void **state)
{
	(void)state;
	shared.dir = certs_new();
	shared.other = certs_new();
	certs_issue(shared.dir, "ctl", PKI_ROLE_CONTROLLER, 30);
	certs_issue(shared.dir, "fra1", PKI_ROLE_NODE, 30);
	shared.controller = certs_load(shared.dir, "ctl");
	shared.node = certs_load(shared.dir, "fra1");
	return 0;
}

static int suite_done(void **state)
{
	(void)state;
	tls_creds_unref(shared.controller);
	tls_creds_unref(shared.node);
	certs_rm(shared.dir);
	certs_rm(shared.other);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_data_both_ways),
		cmocka_unit_test(test_data_then_close),
		cmocka_unit_test(test_data_then_garbage),
		cmocka_unit_test(test_not_open_yet),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_creds_outlive_their_owner),
		cmocka_unit_test(test_other_ca),
		cmocka_unit_test(test_wrong_role),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_odd_certificates),
		cmocka_unit_test(test_no_certificate),
		cmocka_unit_test(test_old_tls),
		cmocka_unit_test(test_foreign_certificates),
		cmocka_unit_test(test_garbage_handshakes),
		cmocka_unit_test(test_blind_then_trust),
		cmocka_unit_test(test_enrolment_makes_nodes_only),
		cmocka_unit_test(test_load_errors),
	};

	return cmocka_run_group_tests(tests, suite_init, suite_done);
}
