/* SPDX-License-Identifier: Apache-2.0
 * One curl multi handle carries the call under way and the watch, so that one thread serves both. Owns both
 * handles, the endpoint in use and the token. */
#include "controller/etcd.h"

#include <curl/curl.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

#define CONNECT_MS  1000L
#define ANSWER_MAX  (64u * 1024 * 1024)
#define LINE_MAX_   (64u * 1024 * 1024)
#define TOKEN_MAX   1024
#define STEP_MS	    100 /* how long one look for data may take */
#define KEEPALIVE_S 2L	/* a watch on a member that fell silent ends by TCP */

/* The gateway's gRPC codes that say "nothing was done, and asking again does not help". */
enum {
	GRPC_INVALID = 3,
	GRPC_DENIED = 7,
	GRPC_EXHAUSTED = 8,
	GRPC_PRECONDITION = 9,
	GRPC_RANGE = 11,
	GRPC_UNAUTHENTICATED = 16
};

struct etcd {
	struct etcd_cfg cfg;
	CURLM *multi;
	CURL *call, *watch;
	struct curl_slist *call_headers, *watch_headers;
	unsigned at, watch_at; /* endpoints in use */
	struct buf answer, line;
	char token[TOKEN_MAX];
	char errbuf[CURL_ERROR_SIZE], why[ETCD_WHY_LEN];
	bool called, watching;
	CURLcode result;
	char *watch_body;
	etcd_watch_fn fn;
	void *arg;
};

const char *etcd_why(const struct etcd *e)
{
	return e->why;
}

/* -- values ------------------------------------------------------------------------------------------- */

json_t *etcd_b64(const char *text)
{
	gnutls_datum_t in = { (unsigned char *)(uintptr_t)text, (unsigned)strlen(text) }, out;

	if (!in.size)
		return json_string("");
	if (gnutls_base64_encode2(&in, &out) < 0)
		abort(); /* out of memory */
	json_t *j = json_stringn((char *)out.data, out.size);
	gnutls_free(out.data);
	return j;
}

char *etcd_text(const json_t *b64)
{
	gnutls_datum_t in = { (unsigned char *)(uintptr_t)json_string_value(b64),
			      (unsigned)json_string_length(b64) };
	gnutls_datum_t out;

	if (!in.size)
		return xstrdup("");
	if (gnutls_base64_decode2(&in, &out) < 0)
		return NULL;
	char *text = xcalloc(1, out.size + 1);
	memcpy(text, out.data, out.size);
	gnutls_free(out.data);
	return text;
}

int64_t etcd_int(const json_t *object, const char *name)
{
	const json_t *j = json_object_get(object, name);

	return json_is_string(j) ? strtoll(json_string_value(j), NULL, 10) : json_integer_value(j);
}

int64_t etcd_revision(const json_t *answer)
{
	return etcd_int(json_object_get(answer, "header"), "revision");
}

/* -- curl --------------------------------------------------------------------------------------------- */

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct etcd *e = arg;

	return buf_add(&e->answer, data, size * n) == 0 ? n : 0;
}

static void take_line(struct etcd *e, const char *line, size_t len)
{
	json_auto_t *j = json_loadb(line, len, 0, NULL);
	json_t *result = json_object_get(j, "result");

	if (result)
		e->fn(result, e->arg);
}

static size_t on_watch(char *data, size_t size, size_t n, void *arg)
{
	struct etcd *e = arg;
	char *end;

	if (buf_add(&e->line, data, size * n) != 0)
		return 0;
	while (e->line.len && (end = memchr(e->line.data, '\n', e->line.len))) {
		size_t len = (size_t)(end - e->line.data);
		take_line(e, e->line.data, len);
		buf_drop(&e->line, len + 1);
	}
	return n;
}

static struct curl_slist *headers(const struct etcd *e)
{
	struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
	auto_free char *auth = NULL;

	list = curl_slist_append(list, "Expect:");
	if (e->token[0]) {
		auth = xasprintf("Authorization: %s", e->token);
		list = curl_slist_append(list, auth);
	}
	return list;
}

static void setup(struct etcd *e, CURL *h, const char *endpoint, const char *path)
{
	auto_free char *url = xasprintf("%s/v3/%s", endpoint, path);

	curl_easy_setopt(h, CURLOPT_URL, url);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(h, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	curl_easy_setopt(h, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
	if (e->cfg.ca)
		curl_easy_setopt(h, CURLOPT_CAINFO, e->cfg.ca);
	if (e->cfg.cert) {
		curl_easy_setopt(h, CURLOPT_SSLCERT, e->cfg.cert);
		curl_easy_setopt(h, CURLOPT_SSLKEY, e->cfg.key);
	}
}

/* What ended meanwhile. */
static void reap(struct etcd *e)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(e->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		CURL *h = m->easy_handle;
		CURLcode result = m->data.result;
		curl_multi_remove_handle(e->multi, h);
		if (h == e->call) {
			e->called = false;
			e->result = result;
		} else {
			e->watching = false;
			e->watch_at++;
		}
	}
}

static void step(struct etcd *e, int timeout_ms)
{
	int running;

	curl_multi_poll(e->multi, NULL, 0, timeout_ms, NULL);
	curl_multi_perform(e->multi, &running);
	reap(e);
}

/* One attempt at the endpoint in use. */
static CURLcode post(struct etcd *e, const char *path, const char *text, unsigned timeout_ms,
		     long *ret_status)
{
	int running;

	e->answer.len = 0;
	e->answer.max = ANSWER_MAX;
	e->errbuf[0] = 0;
	setup(e, e->call, e->cfg.endpoints[e->at % e->cfg.n_endpoints], path);
	struct curl_slist *list = headers(e);
	curl_easy_setopt(e->call, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(e->call, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
	curl_easy_setopt(e->call, CURLOPT_POSTFIELDS, text);
	curl_easy_setopt(e->call, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(e->call, CURLOPT_ERRORBUFFER, e->errbuf);
	curl_easy_setopt(e->call, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(e->call, CURLOPT_WRITEDATA, e);
	e->called = true;
	curl_multi_add_handle(e->multi, e->call);
	curl_multi_perform(e->multi, &running);
	reap(e);
	while (e->called)
		step(e, STEP_MS);
	curl_easy_getinfo(e->call, CURLINFO_RESPONSE_CODE, ret_status);
	curl_easy_setopt(e->call, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(list);
	return e->result;
}

/* -- calls -------------------------------------------------------------------------------------------- */

static bool is_final(int64_t code)
{
	return code == GRPC_INVALID || code == GRPC_DENIED || code == GRPC_EXHAUSTED ||
	       code == GRPC_PRECONDITION || code == GRPC_RANGE || code == GRPC_UNAUTHENTICATED;
}

static int judge(struct etcd *e, long status, json_t **ret_answer, bool *ret_token_bad)
{
	json_t *j =
		json_loadb(e->answer.data ? e->answer.data : "", e->answer.len, JSON_DISABLE_EOF_CHECK, NULL);
	const char *text = json_string_value(json_object_get(j, "message"));
	int64_t code = etcd_int(j, "code");

	*ret_token_bad = false;
	if (status == 200 && j) {
		*ret_answer = j;
		return 0;
	}
	snprintf(e->why, sizeof(e->why), "etcd at %s: %s", e->cfg.endpoints[e->at % e->cfg.n_endpoints],
		 text		 ? text
		 : e->answer.len ? e->answer.data
				 : "an empty answer");
	e->why[strcspn(e->why, "\r\n")] = 0;
	/* 3.4 says InvalidArgument for a missing token, Unauthenticated for an old one */
	*ret_token_bad =
		e->cfg.user && (code == GRPC_UNAUTHENTICATED || (text && strstr(text, "user name is empty")));
	json_decref(j);
	return is_final(code) ? ERR_REFUSED : ERR_TIMEOUT;
}

static int try_all(struct etcd *e, const char *path, const char *text, unsigned timeout_ms,
		   json_t **ret_answer, bool *ret_token_bad)
{
	mono_t end = mono_add_ms(mono_now(), timeout_ms);
	long status = 0;

	for (unsigned i = 0; i < e->cfg.n_endpoints; i++) {
		int64_t left = mono_diff_ms(mono_now(), end);
		if (left <= 0 && i)
			break;
		CURLcode r = post(e, path, text, left > 0 ? (unsigned)left : 1, &status);
		if (r == CURLE_OK)
			return judge(e, status, ret_answer, ret_token_bad);
		snprintf(e->why, sizeof(e->why), "etcd at %s: %s",
			 e->cfg.endpoints[e->at % e->cfg.n_endpoints],
			 e->errbuf[0] ? e->errbuf : curl_easy_strerror(r));
		e->at++;
		if (r != CURLE_COULDNT_CONNECT) /* it may have been heard */
			break;
	}
	return ERR_TIMEOUT;
}

static int authenticate(struct etcd *e, unsigned timeout_ms)
{
	json_auto_t *body = json_pack("{s:s, s:s}", "name", e->cfg.user, "password", e->cfg.password);
	char *text = json_dumps(body, JSON_COMPACT);
	json_auto_t *answer = NULL;
	bool bad;

	e->token[0] = 0;
	int r = try_all(e, "auth/authenticate", text, timeout_ms, &answer, &bad);
	gnutls_memset(text, 0, strlen(text));
	free(text);
	if (r == 0)
		snprintf(e->token, sizeof(e->token), "%s",
			 json_string_value(json_object_get(answer, "token")) ?: "");
	return r;
}

int etcd_call(struct etcd *e, const char *path, json_t *body, unsigned timeout_ms, json_t **ret_answer)
{
	auto_free char *text = json_dumps(body, JSON_COMPACT);
	bool token_bad = false;
	int r = 0;

	json_decref(body);
	if (e->cfg.user && !e->token[0])
		r = authenticate(e, timeout_ms);
	if (r == 0)
		r = try_all(e, path, text, timeout_ms, ret_answer, &token_bad);
	if (r == ERR_REFUSED && token_bad && authenticate(e, timeout_ms) == 0)
		r = try_all(e, path, text, timeout_ms, ret_answer, &token_bad);
	return r;
}

/* -- the watch ---------------------------------------------------------------------------------------- */

void etcd_watch_stop(struct etcd *e)
{
	if (e->watching)
		curl_multi_remove_handle(e->multi, e->watch);
	e->watching = false;
	e->line.len = 0;
}

void etcd_watch(struct etcd *e, const char *key, const char *range_end, int64_t from_revision,
		etcd_watch_fn fn, void *arg)
{
	char revision[24];

	etcd_watch_stop(e);
	snprintf(revision, sizeof(revision), "%lld", (long long)from_revision);
	json_auto_t *body = json_pack("{s:{s:o, s:o, s:s}}", "create_request", "key", etcd_b64(key),
				      "range_end", etcd_b64(range_end), "start_revision", revision);
	free(e->watch_body);
	e->watch_body = json_dumps(body, JSON_COMPACT);
	e->fn = fn;
	e->arg = arg;
	e->line.max = LINE_MAX_;
	setup(e, e->watch, e->cfg.endpoints[e->watch_at % e->cfg.n_endpoints], "watch");
	curl_easy_setopt(e->watch, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(e->watch_headers);
	e->watch_headers = headers(e);
	curl_easy_setopt(e->watch, CURLOPT_HTTPHEADER, e->watch_headers);
	curl_easy_setopt(e->watch, CURLOPT_POSTFIELDS, e->watch_body);
	curl_easy_setopt(e->watch, CURLOPT_WRITEFUNCTION, on_watch);
	curl_easy_setopt(e->watch, CURLOPT_WRITEDATA, e);
	curl_multi_add_handle(e->multi, e->watch);
	e->watching = true;
}

bool etcd_watching(const struct etcd *e)
{
	return e->watching;
}

void etcd_wait(struct etcd *e, unsigned timeout_ms)
{
	step(e, (int)timeout_ms);
}

void etcd_wake(struct etcd *e)
{
	curl_multi_wakeup(e->multi);
}

/* -- begin and end ------------------------------------------------------------------------------------ */

struct etcd *etcd_new(const struct etcd_cfg *cfg)
{
	struct etcd *e = xcalloc(1, sizeof(*e));

	curl_global_init(CURL_GLOBAL_DEFAULT);
	e->cfg = *cfg;
	e->multi = curl_multi_init();
	e->call = curl_easy_init();
	e->watch = curl_easy_init();
	if (!e->multi || !e->call || !e->watch)
		abort(); /* out of memory */
	return e;
}

void etcd_free(struct etcd *e)
{
	etcd_watch_stop(e);
	curl_easy_cleanup(e->call);
	curl_easy_cleanup(e->watch);
	curl_multi_cleanup(e->multi);
	curl_slist_free_all(e->watch_headers);
	buf_done(&e->answer);
	buf_done(&e->line);
	free(e->watch_body);
	gnutls_memset(e->token, 0, sizeof(e->token));
	free(e);
}
