/* SPDX-License-Identifier: Apache-2.0
 * Tokens, signing and revocation against a memory store: every state, and what a restart keeps. */
#include "controller/enrol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proto/wire/msg.h"
#include "proto/wire/ticket.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/certs.h"

static struct controller c;
static struct enrol_cfg cfg;
static char *dir, *paths[4];
static char why[TEXT_LEN];

#define assert_says(text, part)                                                                              \
	do {                                                                                                 \
		if (!strstr(text, part))                                                                     \
			fail_msg("\"%s\" does not say \"%s\"", text, part);                                  \
	} while (0)

static char *new_request(void)
{
	char *csr = NULL;
	auto_free char *key = NULL;

	assert_int_equal(pki_request("x", &csr, &key, why), 0);
	return csr;
}

static void new_token(const char *node, int64_t ttl_s, char *ret_text)
{
	int64_t expires_ms = 0;

	assert_int_equal(enrol_token(c.enrol, "alice", node, ttl_s, ret_text, &expires_ms).status, 200);
	assert_in_range(expires_ms, wall_now_ms() + ttl_s * 1000 - 5000, wall_now_ms() + ttl_s * 1000);
}

static struct op_result redeem(const char *text, struct pki_leaf *ret_leaf)
{
	auto_free char *csr = new_request(), *chain = NULL;

	return enrol_redeem(c.enrol, text, csr, &chain, ret_leaf);
}

static struct pki_leaf enrolled(const char *node)
{
	char text[TICKET_TEXT_LEN];
	struct pki_leaf leaf;

	new_token(node, 600, text);
	assert_int_equal(redeem(text, &leaf).status, 200);
	return leaf;
}

static void restart(void)
{
	enrol_free(c.enrol);
	if (enrol_new(&c, &cfg, &c.enrol, why))
		fail_msg("%s", why);
	enrol_load(c.enrol);
}

static void test_token_once(void **state)
{
	char text[TICKET_TEXT_LEN];
	struct pki_leaf leaf;
	auto_free char *chain = NULL;

	(void)state;
	new_token("fra1", 600, text);
	assert_int_equal(enrol_redeem(c.enrol, text, "no request", &chain, &leaf).status, 422);
	assert_int_equal(redeem(text, &leaf).status, 200); /* a bad request does not spend it */
	assert_string_equal(leaf.name, "fra1");
	struct op_result r = redeem(text, &leaf);
	assert_int_equal(r.status, 403);
	assert_says(r.detail, "was used already");
	restart();
	assert_int_equal(redeem(text, &leaf).status, 403);
}

/* -- told again -- */

static unsigned told;

static void on_told(const struct store_event *ev, void *arg)
{
	told += strcmp(ev->kind, arg) == 0;
}

/* The answer was lost: whoever has the key gets the certificate that was made then, and nobody else. */
static void test_answer_lost(void **state)
{
	auto_free char *csr = NULL, *key = NULL, *again = NULL, *first = NULL, *later = NULL, *third = NULL;
	char text[TICKET_TEXT_LEN];
	struct pki_leaf leaf, other;

	(void)state;
	new_token("fra1", 600, text);
	assert_int_equal(pki_request("fra1", &csr, &key, why), 0);
	assert_int_equal(enrol_redeem(c.enrol, text, csr, &first, &leaf).status, 200);
	assert_int_equal(pki_request_with("fra1", key, &again, why), 0);
	assert_string_not_equal(csr, again); /* another request, the same key */
	told = 0;
	void *listening = events_listen(c.events, on_told, (void *)(uintptr_t) "cert.refused");
	assert_int_equal(enrol_redeem(c.enrol, text, again, &later, &other).status, 200);
	assert_string_equal(first, later);
	assert_string_equal(leaf.serial, other.serial);
	assert_int_equal(told, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(redeem(text, &other).status, 403);
	assert_int_equal(told, 1); /* on record, and not five times */
	events_ignore(c.events, listening);
	restart();
	assert_int_equal(redeem(text, &other).status, 403);
	assert_int_equal(enrol_redeem(c.enrol, text, again, &third, &other).status, 200);
	assert_string_equal(first, third);
	json_auto_t *list = enrol_list(c.enrol);
	assert_int_equal(json_array_size(list), 1);
}

static void expire(const char *text)
{
	auto_free char *value = NULL, *key = NULL, *next = NULL;
	char hash[TICKET_HASH_LEN];
	struct ticket t;

	assert_int_equal(ticket_parse(text, &t, why), 0);
	assert_int_equal(ticket_hash(t.secret, hash), 0);
	key = xasprintf("enrol/token/%s", hash);
	assert_int_equal(store_get(c.store, key, &value), 0);
	json_auto_t *rec = json_loads(value, 0, NULL);
	json_object_set_new(rec, "expires_ms", json_integer((json_int_t)wall_now_ms() - 1));
	next = json_dumps(rec, JSON_COMPACT);
	assert_int_equal(store_write(c.store, &(struct store_op){ key, next }, 1, NULL), 0);
	restart();
}

/* What is no longer good is not told again. */
static void test_not_told_again(void **state)
{
	auto_free char *csr = NULL, *key = NULL, *chain = NULL, *none = NULL;
	char text[TICKET_TEXT_LEN], one[TICKET_TEXT_LEN];
	struct pki_leaf leaf;

	(void)state;
	assert_int_equal(pki_request("fra1", &csr, &key, why), 0);
	new_token("fra1", 600, one);
	assert_int_equal(enrol_redeem(c.enrol, one, csr, &chain, &leaf).status, 200);
	assert_int_equal(enrol_revoke(c.enrol, "bob", "fra1", leaf.serial, "x").status, 200);
	struct op_result r = enrol_redeem(c.enrol, one, csr, &none, &leaf);
	assert_int_equal(r.status, 403);
	assert_says(r.detail, "revoked by bob");
	free(chain);
	chain = NULL;
	new_token("fra1", 600, text);
	assert_int_equal(enrol_redeem(c.enrol, text, csr, &chain, &leaf).status, 200);
	assert_int_equal(enrol_revoke(c.enrol, "bob", "fra1", NULL, "stolen").status, 200);
	assert_int_equal(enrol_redeem(c.enrol, text, csr, &none, &leaf).status, 403);
	free(chain);
	chain = NULL;
	new_token("fra1", 600, text);
	assert_int_equal(enrol_redeem(c.enrol, text, csr, &chain, &leaf).status, 200);
	expire(text);
	assert_int_equal(enrol_redeem(c.enrol, text, csr, &none, &leaf).status, 403);
}

static void test_token_survives_restart(void **state)
{
	char text[TICKET_TEXT_LEN];
	struct pki_leaf leaf;

	(void)state;
	new_token("fra1", 600, text);
	restart();
	assert_int_equal(redeem(text, &leaf).status, 200);
}

static void test_token_secret_is_nowhere(void **state)
{
	char text[TICKET_TEXT_LEN];
	struct ticket t;
	auto_free char *hash_key = NULL, *value = NULL;
	char hash[TICKET_HASH_LEN];

	(void)state;
	new_token("fra1", 600, text);
	assert_int_equal(ticket_parse(text, &t, why), 0);
	assert_int_equal(ticket_hash(t.secret, hash), 0);
	hash_key = xasprintf("enrol/token/%s", hash);
	assert_int_equal(store_get(c.store, hash_key, &value), 0);
	assert_null(strstr(value, t.secret));
}

static void test_token_expires(void **state)
{
	char text[TICKET_TEXT_LEN];
	struct pki_leaf leaf;

	(void)state;
	new_token("fra1", -1, text); /* the API allows a minute at least */
	struct op_result r = redeem(text, &leaf);
	assert_int_equal(r.status, 403);
	assert_says(r.detail, "has expired");
}

static void test_token_of_another_node(void **state)
{
	char text[TICKET_TEXT_LEN];
	struct pki_leaf leaf;
	struct ticket t;

	(void)state;
	new_token("fra1", 600, text);
	assert_int_equal(ticket_parse(text, &t, why), 0);
	snprintf(t.node, sizeof(t.node), "ams1");
	ticket_text(&t, text);
	struct op_result r = redeem(text, &leaf);
	assert_int_equal(r.status, 403);
	assert_says(r.detail, "made for the node fra1");
}

static void test_wrong_tokens_are_limited(void **state)
{
	char good[TICKET_TEXT_LEN];
	struct pki_leaf leaf;
	int limited = 0;

	(void)state;
	new_token("fra1", 600, good);
	for (int i = 0; i < 30; i++) {
		int status = redeem("sluice1.nonsense", &leaf).status;
		assert_true(status == 401 || status == 429);
		limited += status == 429;
	}
	assert_true(limited >= 15);
	assert_int_equal(redeem(good, &leaf).status, 200);
}

static void test_renewal(void **state)
{
	struct pki_leaf leaf = enrolled("fra1"), next;
	auto_free char *csr = new_request(), *chain = NULL;

	(void)state;
	assert_int_equal(enrol_renew(c.enrol, &leaf, csr, &chain).status, 200);
	assert_int_equal(pki_leaf_read(chain, &next, why), 0);
	assert_string_equal(next.name, "fra1");
	assert_string_not_equal(next.serial, leaf.serial);
	for (int i = 0; i < 40; i++) {
		auto_free char *more = NULL;
		struct op_result r = enrol_renew(c.enrol, &next, csr, &more);
		if (r.status == 429)
			return;
		assert_int_equal(r.status, 200);
	}
	fail_msg("a node may fill the store");
}

static void test_revocation(void **state)
{
	struct pki_leaf first = enrolled("fra1"), second = enrolled("fra1"), other = enrolled("ams1");
	struct pki_leaf foreign = first; /* issued off line, not on record */
	auto_free char *csr = new_request(), *chain = NULL;

	(void)state;
	snprintf(foreign.serial, sizeof(foreign.serial), "00ff");
	assert_int_equal(enrol_revoke(c.enrol, "bob", "fra1", first.serial, "lost disk").status, 200);
	for (int i = 0; i < 2; i++, restart()) {
		assert_true(enrol_refuses(c.enrol, &first, why));
		assert_says(why, "revoked by bob (lost disk)");
		assert_false(enrol_refuses(c.enrol, &second, why));
		assert_false(enrol_refuses(c.enrol, &foreign, why));
		assert_false(enrol_refuses(c.enrol, &other, why));
	}
	assert_int_equal(enrol_renew(c.enrol, &first, csr, &chain).status, 403);
	assert_int_equal(enrol_revoke(c.enrol, "bob", "fra1", NULL, "stolen").status, 200);
	for (int i = 0; i < 2; i++, restart()) {
		assert_true(enrol_refuses(c.enrol, &second, why));
		assert_true(enrol_refuses(c.enrol, &foreign, why));
		assert_false(enrol_refuses(c.enrol, &other, why));
	}
	struct pki_leaf again = enrolled("fra1"); /* in the same second, too */
	assert_false(enrol_refuses(c.enrol, &again, why));
	restart();
	assert_false(enrol_refuses(c.enrol, &again, why));
}

static void test_revocation_takes_tokens(void **state)
{
	char text[TICKET_TEXT_LEN];
	struct pki_leaf leaf;

	(void)state;
	new_token("fra1", 600, text);
	assert_int_equal(enrol_revoke(c.enrol, "bob", "fra1", NULL, "stolen").status, 200);
	for (int i = 0; i < 2; i++, restart()) {
		struct op_result r = redeem(text, &leaf);
		assert_int_equal(r.status, 403);
		assert_says(r.detail, "taken back");
	}
	new_token("fra1", 600, text);
	assert_int_equal(redeem(text, &leaf).status, 200);
}

/* Whoever has a stolen key may renew: not even many certificates delay their end. */
static void test_many_certificates(void **state)
{
	struct pki_leaf leafs[50];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(leafs); i++)
		leafs[i] = enrolled("fra1");
	assert_int_equal(enrol_revoke(c.enrol, "bob", "fra1", NULL, "stolen").status, 200);
	for (size_t i = 0; i < ARRAY_LEN(leafs); i++)
		assert_true(enrol_refuses(c.enrol, &leafs[i], why));
}

/* Issued by a controller whose clock is ahead, revoked by one whose clock is not. */
static void test_clock_ahead(void **state)
{
	struct pki_leaf leaf = enrolled("fra1");

	(void)state;
	leaf.from_s += 30;
	leaf.to_s += 30;
	assert_int_equal(enrol_revoke(c.enrol, "bob", "fra1", NULL, "stolen").status, 200);
	assert_true(enrol_refuses(c.enrol, &leaf, why));
	restart();
	assert_true(enrol_refuses(c.enrol, &leaf, why));
}

static void test_list(void **state)
{
	struct pki_leaf leaf = enrolled("fra1");
	json_auto_t *before = enrol_list(c.enrol);

	(void)state;
	assert_int_equal(json_array_size(before), 1);
	json_t *one = json_array_get(before, 0);
	assert_string_equal(json_string_value(json_object_get(one, "serial")), leaf.serial);
	assert_string_equal(json_string_value(json_object_get(one, "by")), "token of alice");
	assert_null(json_object_get(one, "revoked"));
	assert_int_equal(enrol_revoke(c.enrol, "bob", "fra1", NULL, "x").status, 200);
	json_auto_t *after = enrol_list(c.enrol);
	assert_non_null(json_object_get(json_array_get(after, 0), "revoked"));
}

static void test_without_a_signer(void **state)
{
	struct enrol_cfg bare = { .ca = cfg.ca, .own = cfg.own };
	char text[TICKET_TEXT_LEN];
	int64_t expires_ms;

	(void)state;
	assert_int_equal(enrol_reload(c.enrol, &bare, why), 0);
	struct op_result r = enrol_token(c.enrol, "alice", "fra1", 600, text, &expires_ms);
	assert_int_equal(r.status, 409);
	assert_says(r.detail, "sluicectl pki enrolment");
	bare.ca = "/nonexistent";
	assert_true(enrol_reload(c.enrol, &bare, why) < 0); /* and what was there stays */
	assert_non_null(strstr(enrol_ca(c.enrol), "BEGIN CERTIFICATE"));
}

/* Another CA's enrolment CA is no use to anybody. */
static void test_signer_of_another_ca(void **state)
{
	char *other = certs_new();
	auto_free char *cert = xasprintf("%s/enrol.pem", other), *key = xasprintf("%s/enrol.key", other);
	struct enrol_cfg wrong = { cfg.ca, cfg.own, cert, key, 0 };

	(void)state;
	assert_int_equal(pki_enrolment(other, 9, true, why), 0);
	assert_int_equal(enrol_reload(c.enrol, &wrong, why), ERR_CERT);
	assert_says(why, "is not signed by");
	certs_rm(other);
}

static void test_ticket_text(void **state)
{
	char text[TICKET_TEXT_LEN], line[TICKET_TEXT_LEN + 8];
	struct ticket t, back;

	(void)state;
	new_token("a.b-c_d", 600, text);
	assert_int_equal(ticket_parse(text, &t, why), 0);
	assert_string_equal(t.node, "a.b-c_d");
	snprintf(line, sizeof(line), "%s \r\n", text);
	assert_int_equal(ticket_parse(line, &back, why), 0);
	assert_memory_equal(&t, &back, sizeof(t));
	for (size_t n = strlen(text) - strlen("a.b-c_d"); n > 0; n--) {
		text[n] = 0;
		assert_int_equal(ticket_parse(text, &t, why), ERR_MALFORMED);
		assert_null(strstr(why, t.secret));
	}
}

static void test_corpus(void **state)
{
	(void)state;
	assert_true(fuzz_replay("tests/fuzz/corpus/enrol") > 0);
}

static int setup(void **state)
{
	(void)state;
	c = (struct controller){ 0 };
	store_open_memory(&c.store);
	c.events = events_new(c.store);
	if (enrol_new(&c, &cfg, &c.enrol, why))
		fail_msg("%s", why);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	enrol_free(c.enrol);
	events_free(c.events);
	store_close(c.store);
	return 0;
}

static int suite_init(void **state)
{
	static const char *const names[] = { "ca.pem", "ctl.pem", "enrol.pem", "enrol.key" };

	(void)state;
	log_init("enrol_test", LOG_LEVEL_ERROR + 1, false);
	dir = certs_new();
	certs_issue(dir, "ctl", PKI_ROLE_CONTROLLER, 30);
	assert_int_equal(pki_enrolment(dir, 400, true, why), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		paths[i] = xasprintf("%s/%s", dir, names[i]);
	cfg = (struct enrol_cfg){ paths[0], paths[1], paths[2], paths[3], 0 };
	return 0;
}

static int suite_done(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		free(paths[i]);
	certs_rm(dir);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_token_once),
		T(test_answer_lost),
		T(test_not_told_again),
		T(test_token_survives_restart),
		T(test_token_secret_is_nowhere),
		T(test_token_expires),
		T(test_token_of_another_node),
		T(test_wrong_tokens_are_limited),
		T(test_renewal),
		T(test_revocation),
		T(test_revocation_takes_tokens),
		T(test_many_certificates),
		T(test_clock_ahead),
		T(test_list),
		T(test_without_a_signer),
		T(test_signer_of_another_ca),
		T(test_ticket_text),
		T(test_corpus),
	};

	return cmocka_run_group_tests(tests, suite_init, suite_done);
}
