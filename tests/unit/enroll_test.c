/* SPDX-License-Identifier: Apache-2.0
 * sluice-agent enroll against controllers that are not one: who is asked, who is told the token, and what is
 * written. They serve from threads of their own, because enroll blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>
#include <microhttpd.h>

#include "agent/api_call.h"
#include "agent/command.h"
#include "proto/base/log.h"
#include "proto/wire/ticket.h"
#include "tests/unit/certs.h"

/* A controller: it signs, or sends on to location. */
struct fake {
	const char *dir; /* of its certificates */
	char location[200];
	struct MHD_Daemon *d;
	uint16_t port;
	struct pki_signer *signer;
	char *ca, *cert, *key;
	atomic_int refuse;	/* with this status */
	atomic_int lose;	/* so many answers to tokens are lost */
	char id[2][PKI_ID_LEN]; /* of the first and the last key that came with a token */
	atomic_int asked, told; /* for /v1/ca; with a token */
};

static char *home, *other, *dest;
static struct fake fakes[5];
static char said[8192]; /* by the last enrolment, out and err */
static char token[TICKET_TEXT_LEN];

/* -- the controllers -- */

static char *read_text(const char *dir, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	auto_fclose FILE *f = fopen(path, "re");
	char *s = xcalloc(65536, 1);

	assert_non_null(f);
	assert_true(fread(s, 1, 65535, f) > 0);
	return s;
}

static char *signed_by(struct fake *f, const struct buf *body)
{
	json_auto_t *j = json_loads(body->data ? body->data : "", 0, NULL);
	const char *csr = json_string_value(json_object_get(j, "csr"));
	auto_free char *chain = NULL;
	char why[TEXT_LEN];
	struct pki_leaf leaf;

	if (!csr || pki_sign(f->signer, csr, "fra1", 86400, &chain, &leaf, why))
		return xstrdup("{}");
	json_auto_t *answer = json_pack("{s:s, s:s}", "cert", chain, "ca", f->ca);
	return json_dumps(answer, JSON_COMPACT);
}

static enum MHD_Result reply(struct MHD_Connection *conn, int status, const char *location, char *body)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE);

	if (*location)
		MHD_add_response_header(r, "Location", location);
	enum MHD_Result ok = MHD_queue_response(conn, (unsigned)status, r);
	MHD_destroy_response(r);
	return ok;
}

static void note(struct fake *f, const struct buf *body)
{
	json_auto_t *j = json_loads(body->data ? body->data : "", 0, NULL);
	const char *csr = json_string_value(json_object_get(j, "csr"));
	char why[TEXT_LEN];

	if (body->data && strstr(body->data, token))
		atomic_fetch_add(&f->told, 1);
	if (csr && pki_request_id(csr, f->id[1], why) == 0 && !f->id[0][0])
		memcpy(f->id[0], f->id[1], PKI_ID_LEN);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn, const char *url, const char *method,
				  const char *version, const char *data, size_t *len, void **req)
{
	struct fake *f = arg;
	struct buf *body = *req;

	(void)version;
	if (!body) {
		*req = xcalloc(1, sizeof(struct buf));
		return MHD_YES;
	}
	if (*len) {
		buf_add(body, data, *len);
		*len = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") == 0 && strcmp(url, "/v1/ca") == 0) {
		json_auto_t *j = json_pack("{s:s}", "ca", f->ca);
		atomic_fetch_add(&f->asked, 1);
		return reply(conn, 200, "", json_dumps(j, JSON_COMPACT));
	}
	note(f, body);
	if (atomic_fetch_sub(&f->lose, 1) > 0)
		return MHD_NO; /* closes the connection */
	if (f->refuse)
		return reply(conn, f->refuse, "", xstrdup("{}"));
	if (f->location[0])
		return reply(conn, 307, f->location, xstrdup("{}"));
	return reply(conn, 200, "", signed_by(f, body));
}

static void on_done(void *arg, struct MHD_Connection *conn, void **req, enum MHD_RequestTerminationCode why)
{
	(void)arg;
	(void)conn;
	(void)why;
	if (*req)
		buf_done(*req);
	free(*req);
}

static void start(struct fake *f, const char *dir)
{
	auto_free char *cert = xasprintf("%s/enrol.pem", dir), *key = xasprintf("%s/enrol.key", dir);
	char why[TEXT_LEN];

	f->dir = dir;
	f->ca = read_text(dir, "ca.pem");
	f->cert = read_text(dir, "ctl.pem");
	f->key = read_text(dir, "ctl.key");
	if (pki_signer_load(cert, key, &f->signer, why))
		fail_msg("%s", why);
	f->d = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_TLS, 0, NULL, NULL, on_request, f,
				MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL, MHD_OPTION_HTTPS_MEM_CERT,
				f->cert, MHD_OPTION_HTTPS_MEM_KEY, f->key, MHD_OPTION_END);
	assert_non_null(f->d);
	f->port = MHD_get_daemon_info(f->d, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void stop(struct fake *f)
{
	MHD_stop_daemon(f->d);
	pki_signer_free(f->signer);
	free(f->ca);
	free(f->cert);
	free(f->key);
}

static void send_on(struct fake *from, const struct fake *to)
{
	snprintf(from->location, sizeof(from->location), "https://127.0.0.1:%u/v1/enroll", to->port);
}

/* -- the node -- */

static int enroll(const struct fake *at)
{
	auto_free char *where = xasprintf("127.0.0.1:%u", at->port), *file = xasprintf("%s/token", home);
	const char *words[] = { "enroll", "--controller", where, "--token-file",
				file,	  "--dir",	  dest,	 "--force" };
	char *argv[ARRAY_LEN(words) + 1] = { NULL };
	FILE *out = stdout, *err = stderr, *to = fmemopen(said, sizeof(said) - 1, "w");

	memset(said, 0, sizeof(said));
	assert_non_null(to);
	setvbuf(to, NULL, _IONBF, 0);
	stdout = stderr = to;
	optind = 0;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		argv[i] = xstrdup(words[i]);
	int rc = command_enroll((int)ARRAY_LEN(words), argv);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		free(argv[i]);
	stdout = out;
	stderr = err;
	fclose(to);
	return rc;
}

static void must_say(const char *part)
{
	if (!strstr(said, part))
		fail_msg("\"%s\" does not say \"%s\"", said, part);
}

static bool has(const char *name)
{
	auto_free char *path = xasprintf("%s/%s", dest, name);

	return access(path, F_OK) == 0;
}

static bool has_cert(void)
{
	return has("node.pem");
}

static int setup(void **state)
{
	auto_free char *file = xasprintf("%s/token", home);
	static const char *const made[] = { "node.pem", "node.key", "ca.pem", "node.key.asked" };
	char ids[PKI_BUNDLE_MAX][PKI_ID_LEN], why[TEXT_LEN];
	struct ticket t;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(made); i++) {
		auto_free char *path = xasprintf("%s/%s", dest, made[i]);
		unlink(path);
	}
	for (size_t i = 0; i < ARRAY_LEN(fakes); i++) {
		fakes[i].location[0] = 0;
		fakes[i].asked = fakes[i].told = fakes[i].lose = fakes[i].refuse = 0;
		fakes[i].id[0][0] = 0;
	}
	assert_int_equal(pki_bundle_ids(fakes[0].ca, ids, &n, why), 0);
	assert_int_equal(ticket_new("fra1", ids[0], &t), 0);
	ticket_text(&t, token);
	auto_fclose FILE *f = fopen(file, "we");
	assert_non_null(f);
	fchmod(fileno(f), 0600);
	fprintf(f, "%s\n", token);
	return 0;
}

/* -- what must hold -- */

static void test_at_the_leader(void **state)
{
	(void)state;
	assert_int_equal(enroll(&fakes[0]), 0);
	must_say("fra1 is enrolled until");
	assert_true(has_cert());
}

static void test_through_a_standby(void **state)
{
	(void)state;
	send_on(&fakes[1], &fakes[0]);
	assert_int_equal(enroll(&fakes[1]), 0);
	must_say("does not lead: asking 127.0.0.1:");
	assert_true(has_cert());
	assert_int_equal(fakes[0].asked, 1); /* it, too, had to show whose it is */
	assert_int_equal(fakes[0].told, 1);
}

static void test_three_hops(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++)
		send_on(&fakes[i + 1], &fakes[i]);
	assert_int_equal(enroll(&fakes[3]), 0);
	assert_true(has_cert());
}

static void test_no_end_of_hops(void **state)
{
	(void)state;
	send_on(&fakes[0], &fakes[1]);
	send_on(&fakes[1], &fakes[0]);
	assert_int_equal(enroll(&fakes[0]), 1);
	must_say("sent on 3 times");
	assert_int_equal(fakes[0].told + fakes[1].told, 4);
	assert_false(has_cert());
}

/* A controller of another cluster, wherever it stands in the chain, is told nothing. */
static void test_sent_on_to_a_stranger(void **state)
{
	struct fake *stranger = &fakes[4];

	(void)state;
	send_on(&fakes[0], stranger);
	assert_int_equal(enroll(&fakes[0]), 1);
	must_say("not the controller that made the token");
	assert_int_equal(stranger->asked, 1);
	assert_int_equal(stranger->told, 0);
	assert_false(has_cert());
}

static void test_sent_on_to_nowhere(void **state)
{
	static const char *const rows[] = {
		"http://127.0.0.1:1/v1/enroll",
		"https://127.0.0.1:1/v1/token",
		"//127.0.0.1:1/v1/enroll",
		"/v1/enroll",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(fakes[0].location, sizeof(fakes[0].location), "%s", rows[i]);
		assert_int_equal(enroll(&fakes[0]), 1);
		must_say("sends us on (307) to where we do not go");
		must_say(rows[i]);
	}
	assert_int_equal(fakes[0].told, ARRAY_LEN(rows));
	assert_false(has_cert());
}

/* The token is spent by then: the same key is what gets the certificate all the same. */
static void test_answer_lost(void **state)
{
	struct fake *f = &fakes[0];

	(void)state;
	f->lose = 1;
	assert_int_equal(enroll(f), 0);
	must_say("asking again");
	assert_true(has_cert());
	assert_false(has("node.key.asked"));
	assert_int_equal(f->told, 2);
	assert_string_equal(f->id[0], f->id[1]);
}

static void test_answers_lost(void **state)
{
	struct fake *f = &fakes[0];
	auto_free char *asked = xasprintf("%s/node.key.asked", dest);
	struct stat st;

	(void)state;
	f->lose = 2;
	assert_int_equal(enroll(f), 1);
	must_say("the same token still works");
	assert_false(has_cert());
	assert_int_equal(stat(asked, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(enroll(f), 0); /* later, by hand */
	assert_true(has_cert());
	assert_false(has("node.key.asked"));
	assert_string_equal(f->id[0], f->id[1]);
}

/* A controller that cannot be reached meanwhile is no answer; a refusal is one. */
static void test_key_is_kept(void **state)
{
	struct fake *f = &fakes[0], nobody = { .port = 1 };

	(void)state;
	assert_int_equal(enroll(&nobody), 1);
	assert_false(has("node.key.asked")); /* nothing was asked */
	f->lose = 2;
	assert_int_equal(enroll(f), 1);
	assert_int_equal(enroll(&nobody), 1);
	assert_int_equal(enroll(&fakes[4]), 1);
	f->refuse = 503;
	assert_int_equal(enroll(f), 1);
	assert_true(has("node.key.asked"));
	f->refuse = 403;
	assert_int_equal(enroll(f), 1);
	assert_false(has("node.key.asked"));
	assert_string_equal(f->id[0], f->id[1]);
	f->refuse = 0;
	assert_int_equal(enroll(f), 0);
	assert_string_not_equal(f->id[0], f->id[1]);
}

static void test_urls(void **state)
{
	static const struct {
		const char *url, *host;
	} rows[] = {
		{ "https://10.0.0.1:7443/v1/enroll", "10.0.0.1:7443" },
		{ "https://ctl-1.example.net/v1/enroll", "ctl-1.example.net:443" },
		{ "https://[2001:db8::1]:7443/v1/enroll", "[2001:db8::1]:7443" },
		{ "https://[2001:db8::1]/v1/enroll", "[2001:db8::1]:443" },
		{ "https:///v1/enroll", NULL },
		{ "https://a/v1/enroll?x=y", NULL },
		{ "https://user@a/v1/enroll", NULL },
		{ "https://a/b/v1/enroll", NULL },
		{ "https://a%2f/v1/enroll", NULL },
		{ "https://a/v1/enrol", NULL },
		{ "http://a/v1/enroll", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char host[CALL_HOST_LEN];
		bool ok = call_host(rows[i].url, "/v1/enroll", host);
		if (ok != (rows[i].host != NULL) || (ok && strcmp(host, rows[i].host) != 0))
			fail_msg("%s: %s", rows[i].url, ok ? host : "no");
	}
}

/* -- the suite -- */

static char *make_cluster(void)
{
	char *dir = certs_new(), why[TEXT_LEN];

	certs_issue(dir, "ctl", PKI_ROLE_CONTROLLER, 30);
	assert_int_equal(pki_enrolment(dir, 400, true, why), 0);
	return dir;
}

static int suite_init(void **state)
{
	(void)state;
	log_init("enroll_test", LOG_LEVEL_ERROR + 1, false);
	home = make_cluster();
	other = make_cluster();
	dest = certs_new();
	for (size_t i = 0; i < ARRAY_LEN(fakes); i++)
		start(&fakes[i], i == ARRAY_LEN(fakes) - 1 ? other : home);
	return 0;
}

static int suite_done(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fakes); i++)
		stop(&fakes[i]);
	certs_rm(home);
	certs_rm(other);
	certs_rm(dest);
	return 0;
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_at_the_leader),	T(test_through_a_standby),     T(test_three_hops),
		T(test_no_end_of_hops), T(test_sent_on_to_a_stranger), T(test_sent_on_to_nowhere),
		T(test_answer_lost),	T(test_answers_lost),	       T(test_key_is_kept),
		T(test_urls),
	};

	return cmocka_run_group_tests(tests, suite_init, suite_done);
}
