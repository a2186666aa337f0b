/* SPDX-License-Identifier: Apache-2.0
 * The agent's certificate: which of two counts, renewal, what the controller may send that is no good. */
#include "agent/identity.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/err.h"
#include "proto/base/log.h"
#include "tests/unit/certs.h"

static char *dir, *state, *paths[3];
static struct agent_controller ctrl;
static struct agent_config cfg;
static struct pki_signer *signer;
static char why[CONF_WHY_LEN];

/* What went to the controller, newest only. */
static struct {
	unsigned requests, identities, creds;
	char *csr;
	struct msg_identity identity;
} sent;

static void on_send(const struct msg *m, void *arg)
{
	(void)arg;
	if (m->kind == MSG_CERT_REQUEST) {
		sent.requests++;
		free(sent.csr);
		sent.csr = xstrdup(m->cert_request.csr);
	} else if (m->kind == MSG_IDENTITY) {
		sent.identities++;
		sent.identity = m->identity;
	}
}

static void on_creds(struct tls_creds *creds, void *arg)
{
	(void)creds;
	(void)arg;
	sent.creds++;
}

static char *read_text(const char *from, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", from, name);
	auto_fclose FILE *f = fopen(path, "re");
	char *s = xcalloc(65536, 1);

	assert_non_null(f);
	assert_true(fread(s, 1, 65535, f) > 0);
	return s;
}

static struct identity *open_id(void)
{
	static const struct identity_ops ops = { on_send, on_creds };
	struct identity *id = NULL;

	if (identity_new(&cfg, state, &id, why))
		fail_msg("%s", why);
	identity_attach(id, &ops, NULL);
	return id;
}

static void say(struct identity *id, const char *cert, const char *error)
{
	struct msg m = { .kind = MSG_CERT_ANSWER };
	auto_free char *copy = cert ? xstrdup(cert) : NULL;

	m.cert_answer.cert = copy;
	snprintf(m.cert_answer.error, sizeof(m.cert_answer.error), "%s", error);
	identity_msg(id, &m);
}

static void trust(struct identity *id, const char *ca)
{
	auto_free char *copy = xstrdup(ca);
	struct msg m = { .kind = MSG_TRUST, .trust = { copy } };

	identity_msg(id, &m);
}

/* A certificate so old that it is due: two thirds of its life are over. */
static void make_due(void)
{
	certs_odd(dir, "node",
		  &(struct odd){ .cn = "fra1",
				 .ou = "node",
				 .from_days = -90,
				 .to_days = 10,
				 .purpose = "1.3.6.1.5.5.7.3.2" });
}

static struct identity *asked(void)
{
	make_due();
	struct identity *id = open_id();
	sent.requests = 0;

	identity_tick(id);
	assert_int_equal(sent.requests, 0); /* nobody to ask */
	identity_up(id, true);
	identity_tick(id);
	identity_tick(id);
	assert_int_equal(sent.requests, 1); /* once */
	return id;
}

static void test_renew_when(void **st)
{
	(void)st;
	for (int i = 0; i < 1000; i++) {
		struct pki_leaf l = { .from_s = 1000000 - 3600, .to_s = 1000000 + 90 * 86400 };
		snprintf(l.serial, sizeof(l.serial), "%032x", i * 7919);
		int64_t at = identity_renew_s(&l) - 1000000;
		assert_in_range(at, 60 * 86400, 60 * 86400 + 90 * 86400 / 12);
	}
}

static void test_not_due(void **st)
{
	(void)st;
	certs_issue(dir, "node", PKI_ROLE_NODE, 90);
	certs_odd(dir, "node", &(struct odd){ .cn = "fra1", .ou = "node", .from_days = -1, .to_days = 90 });
	struct identity *id = open_id();
	identity_up(id, true);
	identity_tick(id);
	assert_int_equal(sent.requests, 0);
	assert_int_equal(sent.identities, 1);
	assert_int_equal(sent.identity.cas, 1);
	identity_free(id);
}

static void test_renewal(void **st)
{
	struct identity *id = asked();
	auto_free char *chain = NULL;
	struct pki_leaf leaf;
	struct stat file;
	auto_free char *kept = xasprintf("%s/identity.json", state);

	(void)st;
	assert_int_equal(pki_sign(signer, sent.csr, "fra1", 86400, &chain, &leaf, why), 0);
	unsigned before = sent.creds;
	say(id, chain, "");
	assert_int_equal(sent.creds, before + 1);
	assert_string_equal(sent.identity.serial, leaf.serial);
	assert_string_equal(sent.identity.error, "");
	assert_int_equal(stat(kept, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	identity_free(id);
	id = open_id(); /* the kept one was issued later than the file */
	assert_string_equal(tls_creds_leaf(identity_creds(id))->serial, leaf.serial);
	identity_free(id);
	certs_issue(dir, "fra1", PKI_ROLE_NODE, 30);

	free(paths[1]);
	free(paths[2]);
	ctrl.cert = paths[1] = xasprintf("%s/fra1.pem", dir);
	ctrl.key = paths[2] = xasprintf("%s/fra1.key", dir);
	/* validity has seconds: until the next one after the kept one's */
	for (int i = 0; i < 300 && time(NULL) <= file.st_mtime; i++)
		usleep(10000);
	certs_issue(dir, "fra1", PKI_ROLE_NODE, 30);
	id = open_id(); /* enrolled again since: now the files count */
	assert_string_not_equal(tls_creds_leaf(identity_creds(id))->serial, leaf.serial);
	identity_free(id);
}

static void test_bad_answers(void **st)
{
	struct identity *id = asked();
	auto_free char *chain = NULL, *other_key = NULL, *other = NULL,
		       *kept = xasprintf("%s/identity.json", state);
	struct pki_leaf leaf;
	char serial[PKI_SERIAL_LEN];

	(void)st;
	snprintf(serial, sizeof(serial), "%s", tls_creds_leaf(identity_creds(id))->serial);
	assert_int_equal(pki_sign(signer, sent.csr, "ams1", 86400, &chain, &leaf, why), 0);
	say(id, chain, ""); /* of another node */
	assert_non_null(strstr(sent.identity.error, "another node"));
	say(id, chain, ""); /* nobody asked for this one */
	assert_int_equal(pki_request("fra1", &other, &other_key, why), 0);
	free(chain);
	chain = NULL;
	struct identity *again = asked();
	assert_int_equal(pki_sign(signer, other, "fra1", 86400, &chain, &leaf, why), 0);
	say(again, chain, ""); /* of another key */
	assert_non_null(strstr(sent.identity.error, "does not match"));
	identity_free(again);
	again = asked();
	say(again, "garbage", "");
	assert_non_null(strstr(sent.identity.error, "not a PEM certificate"));
	identity_free(again);
	again = asked();
	say(again, NULL, "no enrolment CA here");
	assert_string_equal(sent.identity.error, "no enrolment CA here");
	identity_tick(again);
	assert_int_equal(sent.requests, 1); /* not at once */
	assert_string_equal(tls_creds_leaf(identity_creds(id))->serial, serial);
	assert_int_equal(access(kept, F_OK), -1); /* nothing of it was kept */
	identity_free(again);
	identity_free(id);
}

static void test_trust(void **st)
{
	certs_odd(dir, "node", &(struct odd){ .cn = "fra1", .ou = "node", .from_days = -1, .to_days = 90 });
	struct identity *id = open_id();
	char *other = certs_new();
	auto_free char *ours = read_text(dir, "ca.pem"), *theirs = read_text(other, "ca.pem");
	auto_free char *both = xasprintf("%s%s", ours, theirs), *moved = xasprintf("%s%s", theirs, ours);

	(void)st;
	identity_up(id, true);
	trust(id, "nonsense");
	trust(id, both);
	assert_int_equal(sent.identity.cas, 2);
	identity_tick(id);
	assert_int_equal(sent.requests, 0);
	trust(id, moved); /* another one signs now: due at once, the old one trusted meanwhile */
	assert_int_equal(sent.identity.cas, 2);
	identity_tick(id);
	assert_int_equal(sent.requests, 1);
	trust(id, theirs); /* ours gone before we were renewed: we keep what we can use */
	assert_int_equal(sent.identity.cas, 2);
	assert_non_null(identity_creds(id));
	identity_free(id);
	certs_rm(other);
}

static void test_expired(void **st)
{
	(void)st;
	certs_odd(dir, "node", &(struct odd){ .cn = "fra1", .ou = "node", .from_days = -9, .to_days = -2 });
	struct identity *id = open_id();
	json_auto_t *view = identity_view(id);
	assert_null(identity_creds(id));
	assert_non_null(strstr(json_string_value(json_object_get(view, "trouble")), "expired on"));
	identity_free(id);
	certs_odd(dir, "node", &(struct odd){ .cn = "ams1", .ou = "node", .from_days = -9, .to_days = 2 });
	struct identity *none = NULL;
	assert_int_equal(identity_new(&cfg, state, &none, why), ERR_CERT);
	assert_non_null(strstr(why, "must be the same"));
}

static int setup(void **st)
{
	static const char *const names[] = { "ca.pem", "node.pem", "node.key" };
	auto_free char *cert = NULL, *key = NULL;

	(void)st;
	log_init("identity_test", LOG_LEVEL_ERROR + 1, false);
	memset(&sent, 0, sizeof(sent));
	dir = certs_new();
	state = certs_new();
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		paths[i] = xasprintf("%s/%s", dir, names[i]);
	ctrl = (struct agent_controller){ .ca = paths[0], .cert = paths[1], .key = paths[2] };
	cfg = (struct agent_config){ .controller = &ctrl };
	cfg.node = xstrdup("fra1");
	cert = xasprintf("%s/enrol.pem", dir);
	key = xasprintf("%s/enrol.key", dir);
	assert_int_equal(pki_enrolment(dir, 30, true, why), 0);
	assert_int_equal(pki_signer_load(cert, key, &signer, why), 0);
	return 0;
}

static int teardown(void **st)
{
	(void)st;
	pki_signer_free(signer);
	free(sent.csr);
	free(cfg.node);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		free(paths[i]);
	certs_rm(dir);
	certs_rm(state);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_renew_when),  T(test_not_due), T(test_renewal),
		T(test_bad_answers), T(test_trust),   T(test_expired),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
