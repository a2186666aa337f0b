/* SPDX-License-Identifier: Apache-2.0
 * sluice-agent enroll: a certificate for a one-time token, from the controller that leads. Steps: a
 * connection to a controller that the CA whose hash is in the token vouches for (api_call.h) -> POST
 * /v1/enroll -> files. A controller that does not lead names the one that does: the same steps again there,
 * HOPS times at most. What could fail here is tried before the token is spent. Blocking: it runs beside the
 * daemon, by hand. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/api_call.h"
#include "agent/command.h"
#include "proto/base/err.h"
#include "proto/wire/ticket.h"

#define TOKEN_MAX 1024
#define HOPS	  3	   /* from a controller that does not lead to another */
#define OWNER	  "sluice" /* the unit's user */
#define PATH	  "/v1/enroll"

struct options {
	const char *controller, *node, *token_file, *dir, *owner;
	bool force;
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

/* -- asking ------------------------------------------------------------------------------------------- */

/* A request for a certificate, made once: asked again, it is of the same key. */
struct wish {
	const struct options *o;
	const struct ticket *t;
	char *csr, *key;
	json_t *body;
};

/* With a key that was asked for before and had no answer, or a new one. */
static int wish_make(struct wish *w, const char *text, char *ret_why)
{
	int err = pki_asked_load(w->o->dir, "node", &w->key);

	if (!err)
		err = pki_request_with(w->t->node, w->key, &w->csr, ret_why);
	if (err) {
		free(w->key);
		w->key = NULL;
		err = pki_request(w->t->node, &w->csr, &w->key, ret_why);
	}
	if (!err)
		w->body = json_pack("{s:s, s:s}", "token", text, "csr", w->csr);
	return err;
}

static void wish_done(struct wish *w)
{
	if (w->key)
		explicit_bzero(w->key, strlen(w->key));
	free(w->key);
	free(w->csr);
	json_decref(w->body);
}

/* The controller at where, or the one that it names; every one of them has to show that it is of the token's
 * CA before it is told anything. */
static int ask_at(struct call *c, const char *where, const struct wish *w, json_t **ret_answer)
{
	char host[CALL_HOST_LEN], why[TEXT_LEN];
	int err = CALL_MOVED, hop = 0;

	for (; err == CALL_MOVED && hop <= HOPS; hop++) {
		if (hop) {
			fprintf(stderr, "sluice-agent enroll: %s does not lead: asking %s\n", where,
				c->moved);
			snprintf(host, sizeof(host), "%s", c->moved);
			where = host;
			call_close(c);
		}
		err = call_open(c, where, w->t->ca_id);
		if (!err)
			err = pki_asked_keep(w->o->dir, "node", w->key, c->why);
		if (!err)
			err = call_request(c, "POST", PATH, w->body, ret_answer);
	}
	if (err == CALL_MOVED) {
		snprintf(c->why, sizeof(c->why), "sent on %d times, and still no controller leads: try again",
			 HOPS);
		return ERR_REFUSED;
	}
	if (err && hop > 1) {
		memcpy(why, c->why, sizeof(why));
		snprintf(c->why, sizeof(c->why), "%.100s: %.150s", where, why);
	}
	return err;
}

/* Once more when the answer may have been lost: the token may be spent by then. */
static int ask(struct call *c, const struct wish *w, json_t **ret_answer)
{
	int err = ask_at(c, w->o->controller, w, ret_answer);

	if (err && c->sent && !c->status) {
		char why[TEXT_LEN];
		memcpy(why, c->why, sizeof(why));
		str_clean(why);
		fprintf(stderr, "sluice-agent enroll: %s: asking again\n", why);
		call_close(c);
		err = ask_at(c, w->o->controller, w, ret_answer);
	}
	return err;
}

static int enroll(const struct options *o, const struct ticket *t, const char *text)
{
	struct wish w = { .o = o, .t = t };
	struct call c = CALL_INIT;
	json_t *answer = NULL;
	int err = wish_make(&w, text, c.why);

	if (!err)
		err = ask(&c, &w, &answer);
	int rc = err ? fail("%s", c.why) : install(o, t, answer, w.key);
	/* a controller that is in trouble may have spent the token all the same */
	if (rc == 0 || (err && c.status >= 400 && c.status < 500))
		pki_asked_forget(o->dir, "node");
	else if (c.sent)
		fprintf(stderr,
			"sluice-agent enroll: the same token still works with the same key, "
			"%s/node.key.asked: run it "
			"again\n",
			o->dir);
	wish_done(&w);
	json_decref(answer);
	call_close(&c);
	return rc;
}

/* -- the command -------------------------------------------------------------------------------------- */

static const char usage[] =
	"usage: sluice-agent enroll --controller HOST:PORT --token-file FILE|- [OPTION]...\n\n"
	"Makes this node's key, asks the controller for its certificate with a one-time token, and\n"
	"writes DIR/node.key, DIR/node.pem and DIR/ca.pem. The token comes from\n"
	"  sluicectl node token NAME\n"
	"and says which controller to believe.\n\n"
	"      --controller HOST:PORT  the API of the controller, or of one of several\n"
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
