/* SPDX-License-Identifier: Apache-2.0
 * Owns one curl handle, used for one request at a time, and the Authorization header line. */
#include "controller/ctl/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

#define CONNECT_TIMEOUT_MS 5000L
#define CALL_TIMEOUT_MS	   30000L
#define STREAM_SILENT_S	   60L /* the server sends a heartbeat far more often */
#define TOKEN_MAX	   512

struct client {
	CURL *curl;
	char *url, *ca;
	char auth[TOKEN_MAX + 32]; /* header line; "" without a token */
	char why[CLIENT_WHY];
	char errbuf[CURL_ERROR_SIZE];
};

struct answer {
	struct buf body;
	struct reply *reply;
	bool too_big;
	CURL *curl;
	/* a stream's 200 answer goes here instead */
	int (*fn)(const char *data, size_t len, void *arg);
	void *arg;
	bool stopped;
};

void reply_done(struct reply *r)
{
	json_decref(r->json);
	free(r->text);
	*r = (struct reply){ 0 };
}

const char *client_why(const struct client *c)
{
	return c->why;
}

/* -- the token ---------------------------------------------------------------------------------------- */

static int token_check(const char *token, const char *path, char *why)
{
	size_t len = strlen(token);

	if (len < 16)
		snprintf(why, CLIENT_WHY, "%s holds no token: make one with sluicectl token new", path);
	else if (strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") !=
		 len)
		snprintf(why, CLIENT_WHY,
			 "%s is not a token file: it should hold the secret alone on one line", path);
	else
		return 0;
	return ERR_CONFIG;
}

static int token_read(const char *path, char *ret_token, char *why)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		snprintf(why, CLIENT_WHY, "cannot read the token file %s: %s", path, strerror(errno));
		return ERR_CONFIG;
	}
	if (S_ISREG(st.st_mode) && (st.st_mode & 077))
		fprintf(stderr,
			"sluicectl: warning: others can read %s: chmod 600 it, and make a new token if they "
			"did\n",
			path);
	ssize_t n = read(fd, ret_token, TOKEN_MAX - 1);
	if (n < 0) {
		snprintf(why, CLIENT_WHY, "cannot read the token file %s: %s", path, strerror(errno));
		return ERR_CONFIG;
	}
	ret_token[n] = 0;
	ret_token[strcspn(ret_token, "\r\n")] = 0;
	return token_check(ret_token, path, why);
}

/* -- making ------------------------------------------------------------------------------------------- */

static int url_check(const char *url, char *why)
{
	if (!url)
		snprintf(why, CLIENT_WHY,
			 "no controller named: give --url https://HOST:PORT, or set SLUICE_URL, or write "
			 "~/.config/sluice/ctl.yaml");
	else if (!strncasecmp(url, "http://", 7))
		snprintf(why, CLIENT_WHY, "%s: the API speaks HTTPS only: use https://", url);
	else if (strncasecmp(url, "https://", 8) || !url[8] || strpbrk(url, "?#@ \t\r\n"))
		snprintf(why, CLIENT_WHY, "%s is not a URL such as https://192.0.2.10:7443", url);
	else
		return 0;
	return ERR_CONFIG;
}

static int auth_line(struct client *c, const char *path, char *why)
{
	char token[TOKEN_MAX];
	int err = token_read(path, token, why);

	if (!err)
		snprintf(c->auth, sizeof(c->auth), "Authorization: Bearer %s", token);
	explicit_bzero(token, sizeof(token));
	return err;
}

int client_new(const struct client_cfg *cfg, struct client **ret_client, char *ret_why)
{
	struct client *c;
	int err = url_check(cfg->url, ret_why);

	if (err)
		return err;
	if (cfg->ca && access(cfg->ca, R_OK)) {
		snprintf(ret_why, CLIENT_WHY, "cannot read the CA certificate %s: %s", cfg->ca,
			 strerror(errno));
		return ERR_CONFIG;
	}
	c = xcalloc(1, sizeof(*c));
	err = cfg->token_file ? auth_line(c, cfg->token_file, ret_why) : 0;
	if (err) {
		client_free(c);
		return err;
	}
	c->url = xstrdup(cfg->url);
	while (strlen(c->url) > 8 && c->url[strlen(c->url) - 1] == '/')
		c->url[strlen(c->url) - 1] = 0;
	c->ca = cfg->ca ? xstrdup(cfg->ca) : NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(c->curl = curl_easy_init()))
		abort();
	*ret_client = c;
	return 0;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	if (c->curl)
		curl_easy_cleanup(c->curl);
	free(c->url);
	free(c->ca);
	explicit_bzero(c->auth, sizeof(c->auth));
	free(c);
}

/* -- one request -------------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;
	long status = 0;

	n *= size;
	if (a->fn) {
		curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
		if (status == 200) {
			a->stopped = a->fn(data, n, a->arg) != 0;
			return a->stopped ? 0 : n;
		}
	}
	a->too_big = buf_add(&a->body, data, n) != 0;
	return a->too_big ? 0 : n;
}

/* The value of "Name: value\r\n" into out when the name is this one. */
static void take_header(const char *line, size_t len, const char *name, char *out, size_t size)
{
	size_t skip = strlen(name);

	if (len <= skip || strncasecmp(line, name, skip) || line[skip] != ':')
		return;
	skip++;
	while (skip < len && line[skip] == ' ')
		skip++;
	while (len > skip && strchr("\r\n ", line[len - 1]))
		len--;
	if (len - skip < size) {
		memcpy(out, line + skip, len - skip);
		out[len - skip] = 0;
	}
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	n *= size;
	take_header(line, n, "ETag", a->reply->etag, sizeof(a->reply->etag));
	take_header(line, n, "Location", a->reply->location, sizeof(a->reply->location));
	return n;
}

static void header_add(struct curl_slist **list, const char *line)
{
	struct curl_slist *more = curl_slist_append(*list, line);

	if (!more)
		abort();
	*list = more;
}

static struct curl_slist *headers(const struct client *c, bool has_body, bool stream, const char *name,
				  const char *value)
{
	struct curl_slist *list = NULL;

	header_add(&list, stream ? "Accept: text/event-stream" : "Accept: application/json");
	header_add(&list, "Expect:"); /* no 100-continue round trip */
	if (has_body)
		header_add(&list, "Content-Type: application/json");
	if (c->auth[0])
		header_add(&list, c->auth);
	if (value && *value) {
		auto_free char *line = xasprintf("%s: %s", name, value);
		header_add(&list, line);
	}
	return list;
}

/* curl with GnuTLS does not look at what a certificate is for: a node's must not pass for the controller's.
 * Called when the connection is up and nothing has been sent. */
static int for_servers(void *arg, char *their_ip, char *our_ip, int their_port, int our_port)
{
	char oid[] = GNUTLS_KP_TLS_WWW_SERVER;
	gnutls_typed_vdata_st data = { GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)oid, 0 };
	struct client *c = arg;
	const struct curl_tlssessioninfo *tls = NULL;
	unsigned status = 1;

	(void)their_ip, (void)our_ip, (void)their_port, (void)our_port;
	if (curl_easy_getinfo(c->curl, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls &&
	    tls->backend == CURLSSLBACKEND_GNUTLS &&
	    gnutls_certificate_verify_peers(tls->internals, &data, 1, &status) >= 0 && !status)
		return CURL_PREREQFUNC_OK;
	return CURL_PREREQFUNC_ABORT;
}

static void prepare(struct client *c, struct answer *a, const char *url, const char *method)
{
	CURL *h = c->curl;

	curl_easy_reset(h);
	c->errbuf[0] = c->why[0] = 0;
	curl_easy_setopt(h, CURLOPT_URL, url);
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https");
	/* a standby sends us to the leader; whoever answers there has a certificate of the same CA */
	curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(h, CURLOPT_MAXREDIRS, 3L);
	curl_easy_setopt(h, CURLOPT_UNRESTRICTED_AUTH, c->ca ? 1L : 0L);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->errbuf);
	curl_easy_setopt(h, CURLOPT_USERAGENT, "sluicectl");
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
	if (c->ca)
		curl_easy_setopt(h, CURLOPT_CAINFO, c->ca);
	curl_easy_setopt(h, CURLOPT_PREREQFUNCTION, for_servers);
	curl_easy_setopt(h, CURLOPT_PREREQDATA, c);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, a);
}

/* curl's code as a sentence with a next step */
static void explain(struct client *c, CURLcode code, const struct answer *a)
{
	const char *more = c->errbuf[0] ? c->errbuf : curl_easy_strerror(code);

	if (code == CURLE_ABORTED_BY_CALLBACK) /* for_servers */
		more = "its certificate is not one for TLS servers";
	switch (code) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(c->why, CLIENT_WHY,
			 "cannot reach the controller at %s: %s. Is sluice-controller running there?", c->url,
			 more);
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_ABORTED_BY_CALLBACK:
		snprintf(c->why, CLIENT_WHY,
			 "%s is not trusted: %s. Its certificate must be signed by %s, be valid now, and "
			 "carry the name or "
			 "address in the URL",
			 c->url, more, c->ca ? c->ca : "a CA of this system (name yours with --ca)");
		break;
	case CURLE_SSL_CACERT_BADFILE:
		snprintf(c->why, CLIENT_WHY, "%s is not a PEM file of CA certificates",
			 c->ca ? c->ca : "the CA file");
		break;
	case CURLE_OPERATION_TIMEDOUT:
		snprintf(c->why, CLIENT_WHY, "no answer from %s in time: %s", c->url, more);
		break;
	default:
		if (a->too_big)
			more = "its answer is larger than we take";
		snprintf(c->why, CLIENT_WHY, "talking to %s failed: %s", c->url, more);
	}
}

static int error_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_ABORTED_BY_CALLBACK:
		return ERR_CERT;
	case CURLE_OPERATION_TIMEDOUT:
		return ERR_TIMEOUT;
	default:
		return ERR_CLOSED;
	}
}

/* A JSON body becomes json, any other text. */
static void take_body(struct answer *a)
{
	struct reply *r = a->reply;

	if (a->body.len)
		r->json = json_loadb(a->body.data, a->body.len, JSON_DECODE_ANY, NULL);
	if (!r->json) {
		r->text = a->body.data ? a->body.data : xstrdup("");
		a->body = (struct buf){ 0 };
	}
	buf_done(&a->body);
}

static int run(struct client *c, struct answer *a, struct curl_slist *list)
{
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, list);
	CURLcode code = curl_easy_perform(c->curl);
	curl_slist_free_all(list);
	if (code != CURLE_OK && !a->stopped) {
		explain(c, code, a);
		buf_done(&a->body);
		return error_of(code);
	}
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &a->reply->status);
	take_body(a);
	return 0;
}

int client_call(struct client *c, const char *method, const char *path, const json_t *body,
		const char *if_match, struct reply *ret_reply)
{
	auto_free char *url = xasprintf("%s%s", c->url, path);
	auto_free char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	struct answer a = { .reply = ret_reply, .curl = c->curl, .body = { .max = CLIENT_REPLY_MAX } };

	*ret_reply = (struct reply){ 0 };
	prepare(c, &a, url, method);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, CALL_TIMEOUT_MS);
	if (text) {
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, text);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
	}
	return run(c, &a, headers(c, text, false, "If-Match", if_match));
}

int client_stream(struct client *c, const char *path, const char *last_id,
		  int (*fn)(const char *data, size_t len, void *arg), void *arg, struct reply *ret_reply)
{
	auto_free char *url = xasprintf("%s%s", c->url, path);
	struct answer a = {
		.reply = ret_reply, .curl = c->curl, .fn = fn, .arg = arg, .body = { .max = CLIENT_REPLY_MAX }
	};

	*ret_reply = (struct reply){ 0 };
	prepare(c, &a, url, "GET");
	curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, STREAM_SILENT_S);
	int err = run(c, &a, headers(c, false, true, "Last-Event-ID", last_id));
	if (!err && ret_reply->status == 200 && !a.stopped) {
		snprintf(c->why, CLIENT_WHY, "%s ended the stream", c->url);
		return ERR_CLOSED;
	}
	return err;
}
