/* SPDX-License-Identifier: Apache-2.0
 * sluice-agent enroll: one connection to the controller's API. Steps: TLS with nobody trusted -> GET /v1/ca,
 * nothing of ours said yet -> the CA whose hash is in the token judges the peer -> POST /v1/enroll -> files.
 * What could fail here is tried before the token is spent. Blocking: it runs beside the daemon, by hand. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/check/reply.h"
#include "agent/command.h"
#include "proto/base/err.h"
#include "proto/base/mono.h"
#include "proto/wire/msg.h"
#include "proto/wire/ticket.h"
#include "proto/wire/tls.h"

#define DEADLINE_MS 15000
#define ANSWER_MAX  (256 * 1024)
#define TOKEN_MAX   1024
#define OWNER	    "sluice" /* the unit's user */

struct options {
	const char *controller, *node, *token_file, *dir, *owner;
	bool force;
};

struct call {
	int fd;
	struct tls *tls;
	mono_t deadline;
	char why[TEXT_LEN];
};

static int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int fail(const char *fmt, ...)
{
	char text[2 * TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	str_clean(text); /* the other end's words, and nobody knows yet whose they are */
	fprintf(stderr, "sluice-agent enroll: %s\n", text);
	return 1;
}

/* -- the connection ----------------------------------------------------------------------------------- */

static int wait_for(struct call *c, short events)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	int64_t left = mono_diff_ms(mono_now(), c->deadline);

	if (left > 0 && poll(&p, 1, (int)left) > 0)
		return 0;
	snprintf(c->why, sizeof(c->why), "no answer within %d s", DEADLINE_MS / 1000);
	return ERR_TIMEOUT;
}

static int dial(const struct addrinfo *a, struct call *c)
{
	int err = 0;
	socklen_t len = sizeof(err);

	c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	if (connect(c->fd, a->ai_addr, a->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (wait_for(c, POLLOUT))
		return ERR_TIMEOUT;
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return -err;
}

/* HOST:PORT or [ADDRESS]:PORT */
static int connect_to(const char *where, struct call *c)
{
	const char *colon = strrchr(where, ':');
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int err = -EINVAL;

	if (!colon || colon == where || !colon[1]) {
		snprintf(c->why, sizeof(c->why),
			 "--controller wants HOST:PORT of the API, such as 192.0.2.10:7443");
		return err;
	}
	bool v6 = where[0] == '[';
	auto_free char *host = xasprintf("%.*s", (int)(colon - where) - 2 * v6, where + v6);
	int r = getaddrinfo(host, colon + 1, &hints, &list);
	if (r) {
		snprintf(c->why, sizeof(c->why), "%s: %s", host, gai_strerror(r));
		return err;
	}
	for (const struct addrinfo *a = list; a && err; a = a->ai_next) {
		if (c->fd >= 0)
			close(c->fd);
		err = dial(a, c);
	}
	freeaddrinfo(list);
	if (err && err != ERR_TIMEOUT)
		snprintf(c->why, sizeof(c->why),
			 "cannot reach %s: %s: does the controller's api.listen say so?", where,
			 err_str(err));
	return err;
}

static int flush(struct call *c)
{
	struct buf *out = tls_out(c->tls);

	while (out->len) {
		ssize_t n = send(c->fd, out->data, out->len, MSG_NOSIGNAL);
		if (n > 0)
			buf_drop(out, (size_t)n);
		else if (n < 0 && errno == EAGAIN) {
			if (wait_for(c, POLLOUT))
				return ERR_TIMEOUT;
		} else if (n < 0 && errno != EINTR) {
			snprintf(c->why, sizeof(c->why), "the connection broke: %s", strerror(errno));
			return -errno;
		}
	}
	return 0;
}

/* More bytes from the peer into TLS. */
static int fill(struct call *c)
{
	char data[16384];
	int err = wait_for(c, POLLIN);
	ssize_t n = err ? 0 : recv(c->fd, data, sizeof(data), 0);

	if (err)
		return err;
	if (n > 0)
		return tls_feed(c->tls, data, (size_t)n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	snprintf(c->why, sizeof(c->why),
		 "the other end closed the connection: is it the API's port, and HTTPS?");
	return ERR_CLOSED;
}

static int from_tls(struct call *c, int err)
{
	snprintf(c->why, sizeof(c->why), "%s", tls_why(c->tls));
	return err;
}

static int handshake(struct call *c)
{
	struct tls_creds *blind = tls_creds_blind();
	int r, err = 0;

	c->tls = tls_new(blind, false, PKI_ROLE_CONTROLLER);
	tls_creds_unref(blind);
	while ((r = tls_handshake(c->tls)) == 0 && !err) {
		err = flush(c);
		if (!err)
			err = fill(c);
	}
	if (!err && r < 0) {
		flush(c); /* the alert */
		return from_tls(c, r);
	}
	return err ? err : flush(c);
}

/* -- requests ----------------------------------------------------------------------------------------- */

static int read_reply(struct call *c, struct reply *r, struct buf *body)
{
	auto_buf raw = { .max = ANSWER_MAX };
	size_t seen = 0;
	int done = 0, got = 0;

	while (done == 0) {
		int err = fill(c);
		if (err)
			return err;
		got = tls_read(c->tls, &raw);
		if (got < 0)
			return from_tls(c, got);
		if (raw.len > seen && !r->status)
			done = reply_feed(r, raw.data + seen, raw.len - seen);
		seen = raw.len;
		if (done == 1 || (done == 0 && r->status))
			done = reply_body(r, raw.data, raw.len, false, body);
	}
	if (done > 0)
		return 0;
	snprintf(c->why, sizeof(c->why), "the other end does not answer as the API does: %s", err_str(done));
	return done;
}

/* A JSON object, when the status is 200; else why says what the controller says. */
static int request(struct call *c, const char *method, const char *path, const json_t *body,
		   json_t **ret_json)
{
	auto_free char *text = body ? json_dumps(body, JSON_COMPACT) : xstrdup("");
	auto_free char *head = xasprintf("%s %s HTTP/1.1\r\nHost: controller\r\nAccept: application/json\r\n"
					 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
					 method, path, strlen(text));
	auto_buf answer = { 0 };
	struct reply r = { 0 };
	int err = tls_write(c->tls, head, strlen(head));

	if (!err && *text)
		err = tls_write(c->tls, text, strlen(text));
	if (err)
		return from_tls(c, err);
	err = flush(c);
	if (!err)
		err = read_reply(c, &r, &answer);
	explicit_bzero(text, strlen(text));
	if (err)
		return err;
	json_auto_t *j = answer.data ? json_loads(answer.data, 0, NULL) : NULL;
	const char *detail = json_string_value(json_object_get(j, "detail"));
	if (r.status != 200 || !j) {
		snprintf(c->why, sizeof(c->why), "the controller refused (%u): %.200s", r.status,
			 detail ? detail : "it is not a Sluice controller, or an older one");
		return ERR_REFUSED;
	}
	*ret_json = json_incref(j);
	return 0;
}

/* The one certificate of the bundle that the token names; heap, NULL when there is none. */
static char *pinned(const char *bundle, const char *id)
{
	static const char end[] = "-----END CERTIFICATE-----";
	char ids[PKI_BUNDLE_MAX][PKI_ID_LEN], why[TEXT_LEN];
	size_t n = 0;

	if (pki_bundle_ids(bundle, ids, &n, why) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const char *stop = strstr(bundle, end);
		if (!stop)
			return NULL;
		stop += sizeof(end) - 1;
		if (strcmp(ids[i], id) == 0)
			return xasprintf("%.*s\n", (int)(stop - bundle), bundle);
		bundle = stop;
	}
	return NULL;
}

/* From here on the peer is known to be the controller that the token is of. */
static int check_controller(struct call *c, const struct ticket *t)
{
	json_t *answer = NULL;
	int err = request(c, "GET", "/v1/ca", NULL, &answer);

	if (err)
		return err;
	const char *ca = json_string_value(json_object_get(answer, "ca"));
	auto_free char *pin = ca ? pinned(ca, t->ca_id) : NULL;
	json_decref(answer);
	if (!pin) {
		snprintf(c->why, sizeof(c->why),
			 "this is not the controller that made the token: it names another CA. Nothing was "
			 "told to it");
		return ERR_CERT;
	}
	err = tls_trust(c->tls, pin);
	return err ? from_tls(c, err) : 0;
}

/* -- files -------------------------------------------------------------------------------------------- */

static int read_token(const char *path, struct ticket *ret)
{
	char text[TOKEN_MAX + 1], why[TEXT_LEN];
	bool in = strcmp(path, "-") == 0;
	FILE *f = in ? stdin : fopen(path, "re");
	struct stat st;

	if (!f)
		return fail("%s: %s", path, strerror(errno));
	if (!in && fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
		fprintf(stderr, "sluice-agent enroll: warning: others can read %s\n", path);
	size_t n = fread(text, 1, TOKEN_MAX, f);
	text[n] = 0;
	if (!in)
		fclose(f);
	if (!n)
		return fail("%s is empty: no token came", in ? "standard input" : path);
	int err = ticket_parse(text, ret, why);
	explicit_bzero(text, sizeof(text));
	return err ? fail("%s: %s", in ? "standard input" : path, why) : 0;
}

static int give_key(const struct options *o)
{
	const struct passwd *pw = o->owner ? getpwnam(o->owner) : geteuid() == 0 ? getpwnam(OWNER) : NULL;
	auto_free char *path = xasprintf("%s/node.key", o->dir);

	if (!pw)
		return o->owner ? fail("there is no user %s: chown %s to the agent's user", o->owner, path)
				: 0;
	if (chown(path, pw->pw_uid, pw->pw_gid))
		return fail("%s: %s: chown it to the agent's user", path, strerror(errno));
	return 0;
}

/* Before the token is spent. */
static int may_write(const struct options *o)
{
	char why[TEXT_LEN];

	if (mkdir(o->dir, 0755) && errno != EEXIST)
		return fail("%s: %s", o->dir, strerror(errno));
	if (access(o->dir, W_OK | X_OK))
		return fail("%s: %s: run it as root, or give --dir", o->dir, strerror(errno));
	if (!o->force && pki_installed(o->dir, "node", why))
		return fail("%s; --force replaces it", why);
	return 0;
}

static int install(const struct options *o, const struct ticket *t, const json_t *answer, const char *key)
{
	const char *cert = json_string_value(json_object_get(answer, "cert"));
	const char *ca = json_string_value(json_object_get(answer, "ca"));
	struct tls_creds *creds = NULL;
	char why[TEXT_LEN], until[32];

	if (!cert || !ca ||
	    tls_creds_make(&(struct tls_pem){ ca, cert, key }, "what the controller sent", &creds, why))
		return fail("%s", cert && ca ? why : "the controller's answer lacks the certificate");
	time_t to = (time_t)tls_creds_leaf(creds)->to_s;
	tls_creds_unref(creds);
	if (pki_install(o->dir, "node", ca, cert, key, why))
		return fail("%s", why);
	strftime(until, sizeof(until), "%Y-%m-%d %H:%M UTC", gmtime(&to));
	printf("%s is enrolled until %s, and renews by itself\n"
	       "  %s/node.key   its key: it never leaves this machine\n"
	       "  %s/node.pem   its certificate\n"
	       "  %s/ca.pem     whom it trusts\n",
	       t->node, until, o->dir, o->dir, o->dir);
	int rc = give_key(o);
	printf("next: name the three in agent.yaml (controller: ca, cert, key), then systemctl restart "
	       "sluice-agent\n");
	return rc;
}

static int enroll(const struct options *o, const struct ticket *t, const char *text)
{
	struct call c = { .fd = -1, .deadline = mono_add_ms(mono_now(), DEADLINE_MS) };
	char *csr = NULL, *key = NULL;
	json_t *answer = NULL;
	int err = pki_request(t->node, &csr, &key, c.why);

	if (!err)
		err = connect_to(o->controller, &c);
	if (!err)
		err = handshake(&c);
	if (!err)
		err = check_controller(&c, t);
	if (!err) {
		json_auto_t *body = json_pack("{s:s, s:s}", "token", text, "csr", csr);
		err = request(&c, "POST", "/v1/enroll", body, &answer);
	}
	int rc = err ? fail("%s", c.why) : install(o, t, answer, key);
	if (key)
		explicit_bzero(key, strlen(key));
	free(key);
	free(csr);
	json_decref(answer);
	tls_free(c.tls);
	if (c.fd >= 0)
		close(c.fd);
	return rc;
}

/* -- the command -------------------------------------------------------------------------------------- */

static const char usage[] =
	"usage: sluice-agent enroll --controller HOST:PORT --token-file FILE|- [OPTION]...\n\n"
	"Makes this node's key, asks the controller for its certificate with a one-time token, and\n"
	"writes DIR/node.key, DIR/node.pem and DIR/ca.pem. The token comes from\n"
	"  sluicectl node token NAME\n"
	"and says which controller to believe.\n\n"
	"      --controller HOST:PORT  the controller's API\n"
	"      --token-file FILE       the token; - is standard input\n"
	"      --node NAME             the node's name; it must be the token's\n"
	"      --dir DIR               where to write (default /etc/sluice)\n"
	"      --owner USER            who may read the key (default sluice, when run as root)\n"
	"      --force                 replace what is there\n"
	"  -h, --help                  this\n\n"
	"Exit status: 0 enrolled, 1 refused or failed, 2 used wrongly.\n";

static bool parse(int argc, char **argv, struct options *o, int *ret_rc)
{
	static const struct option longs[] = {
		{ "controller", required_argument, NULL, 'C' },
		{ "token-file", required_argument, NULL, 't' },
		{ "node", required_argument, NULL, 'n' },
		{ "dir", required_argument, NULL, 'd' },
		{ "owner", required_argument, NULL, 'u' },
		{ "force", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	*ret_rc = 2;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		const char **to = c == 'C'   ? &o->controller
				  : c == 't' ? &o->token_file
				  : c == 'n' ? &o->node
				  : c == 'u' ? &o->owner
					     : &o->dir;
		if (c == 'h') {
			fputs(usage, stdout);
			*ret_rc = 0;
		}
		if (c == 'h' || c == '?')
			return false;
		if (c == 'f')
			o->force = true;
		else
			*to = optarg;
	}
	if (optind == argc && o->controller && o->token_file)
		return true;
	fprintf(stderr, "sluice-agent enroll: --controller HOST:PORT and --token-file FILE are needed\n");
	return false;
}

int command_enroll(int argc, char **argv)
{
	struct options o = { .dir = "/etc/sluice" };
	char text[TICKET_TEXT_LEN];
	struct ticket t;
	int rc;

	if (!parse(argc, argv, &o, &rc))
		return rc;
	if (read_token(o.token_file, &t))
		return 1;
	if (o.node && strcmp(o.node, t.node) != 0)
		return fail("the token was made for %s, not for %s", t.node, o.node);
	rc = may_write(&o);
	if (rc)
		return rc;
	ticket_text(&t, text);
	rc = enroll(&o, &t, text);
	explicit_bzero(text, sizeof(text));
	explicit_bzero(&t, sizeof(t));
	return rc;
}
