/* SPDX-License-Identifier: Apache-2.0
 * An attempt: STARTED -> DONE -> handed on, once all before it of the same target are. Every one owns its
 * curl handle; a timeout is curl's. Behind by more than a second (a stopped process), the schedule starts
 * anew: no storm makes up for what was missed. */
#include "controller/ctl/probe.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define BEHIND_US 1000000

struct attempt {
	struct attempt *next; /* of the same target, by start */
	struct probe *p;
	CURL *curl;
	bool done;
	struct probe_result r;
	char header[PROBE_NAME];
	struct buf body;
	char errbuf[CURL_ERROR_SIZE];
};

struct probe {
	const struct probe_cfg *cfg;
	void (*fn)(size_t t, const struct probe_result *r, void *arg);
	void *arg;
	CURLM *multi;
	struct curl_slist *connect_to[PROBE_TARGETS];
	char *url[PROBE_TARGETS];
	struct attempt *first[PROBE_TARGETS], *last[PROBE_TARGETS];
	int64_t due_us;
	uint64_t started; /* of each target */
	size_t pending;
};

/* Printable ASCII only: it ends up in tables and metrics. */
static void take_name(char *to, const char *from, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < PROBE_NAME; i++)
		to[n++] =
			from[i] > ' ' && from[i] <= '~' && from[i] != '"' && from[i] != '\\' ? from[i] : '_';
	to[n] = 0;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct attempt *a = arg;
	const char *want = a->p->cfg->id_header;
	size_t len = size * n, w = want ? strlen(want) : 0;

	if (w && len > w + 1 && strncasecmp(data, want, w) == 0 && data[w] == ':') {
		const char *from = data + w + 1, *end = data + len;
		while (from < end && (*from == ' ' || *from == '\t'))
			from++;
		while (end > from && strchr(" \t\r\n", end[-1]))
			end--;
		take_name(a->header, from, (size_t)(end - from));
	}
	return len;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct attempt *a = arg;
	size_t len = size * n, room = PROBE_WHO_MAX - a->body.len;

	buf_add(&a->body, data, len < room ? len : room);
	return len;
}

static void who(struct attempt *a)
{
	regmatch_t m[2];

	if (a->header[0])
		snprintf(a->r.node, sizeof(a->r.node), "%s", a->header);
	else if (a->p->cfg->id_body && a->body.data &&
		 regexec(a->p->cfg->id_body, a->body.data, 2, m, 0) == 0) {
		int g = m[1].rm_so >= 0 ? 1 : 0;
		take_name(a->r.node, a->body.data + m[g].rm_so, (size_t)(m[g].rm_eo - m[g].rm_so));
	}
}

/* -- one attempt -------------------------------------------------------------------------------------- */

static void set_up(struct attempt *a, size_t t)
{
	const struct probe_cfg *cfg = a->p->cfg;
	CURL *h = a->curl;

	curl_easy_setopt(h, CURLOPT_URL, a->p->url[t]);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_CONNECT_TO, a->p->connect_to[t]);
	curl_easy_setopt(h, CURLOPT_CONNECT_ONLY, cfg->kind == PROBE_TCP ? 1L : 0L);
	curl_easy_setopt(h, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(h, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)cfg->timeout_ms);
	curl_easy_setopt(h, CURLOPT_USERAGENT, "sluicectl probe");
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, a->errbuf);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, a);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(h, CURLOPT_PRIVATE, a);
	if (cfg->ca)
		curl_easy_setopt(h, CURLOPT_CAINFO, cfg->ca);
	if (cfg->no_verify) {
		curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static void start(struct probe *p, size_t t)
{
	struct attempt *a = xcalloc(1, sizeof(*a));

	a->p = p;
	a->r.start_us = mono_now().us;
	a->curl = curl_easy_init();
	if (!a->curl)
		abort();
	set_up(a, t);
	*(p->last[t] ? &p->last[t]->next : &p->first[t]) = a;
	p->last[t] = a;
	p->pending++;
	curl_multi_add_handle(p->multi, a->curl);
}

static void finish(struct attempt *a, CURLcode code)
{
	long status = 0;

	a->done = true;
	a->r.took_us = mono_now().us - a->r.start_us;
	curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
	a->r.ok = code == CURLE_OK && (a->p->cfg->kind == PROBE_TCP || (status >= 200 && status < 400));
	if (a->r.ok)
		who(a);
	else if (code == CURLE_OK)
		snprintf(a->r.error, sizeof(a->r.error), "HTTP status %ld", status);
	else
		snprintf(a->r.error, sizeof(a->r.error), "%.120s",
			 a->errbuf[0] ? a->errbuf : curl_easy_strerror(code));
}

static void attempt_free(struct attempt *a)
{
	curl_multi_remove_handle(a->p->multi, a->curl);
	curl_easy_cleanup(a->curl);
	buf_done(&a->body);
	free(a);
}

static void hand_on(struct probe *p, size_t t)
{
	struct attempt *a;

	while ((a = p->first[t]) && a->done) {
		p->first[t] = a->next;
		if (!a->next)
			p->last[t] = NULL;
		p->fn(t, &a->r, p->arg);
		attempt_free(a);
		p->pending--;
	}
}

/* -- all of them -------------------------------------------------------------------------------------- */

struct probe *probe_new(const struct probe_cfg *cfg,
			void (*fn)(size_t t, const struct probe_result *r, void *arg), void *arg)
{
	struct probe *p = xcalloc(1, sizeof(*p));

	*p = (struct probe){ .cfg = cfg, .fn = fn, .arg = arg, .due_us = mono_now().us };
	curl_global_init(CURL_GLOBAL_DEFAULT);
	p->multi = curl_multi_init();
	for (size_t t = 0; t < cfg->n_targets; t++) {
		const char *target = cfg->targets[t], *port = strrchr(target, ':');
		const char *scheme = cfg->kind == PROBE_HTTPS ? "https" : "http";
		p->url[t] = cfg->host ? xasprintf("%s://%s%s%s", scheme, cfg->host, port, cfg->path)
				      : xasprintf("%s://%s%s", scheme, target, cfg->path);
		if (cfg->host) {
			auto_free char *to = xasprintf("::%s", target);
			p->connect_to[t] = curl_slist_append(NULL, to);
		}
	}
	return p;
}

static void start_due(struct probe *p)
{
	int64_t now = mono_now().us, every = 1000000 / p->cfg->rate;

	if (now - p->due_us > BEHIND_US)
		p->due_us = now;
	for (; p->due_us <= now && (!p->cfg->count || p->started < p->cfg->count);
	     p->due_us += every, p->started++)
		for (size_t t = 0; t < p->cfg->n_targets && p->pending < PROBE_IN_FLIGHT; t++)
			start(p, t);
}

static void collect(struct probe *p)
{
	struct CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(p->multi, &left))) {
		struct attempt *a = NULL;
		if (m->msg != CURLMSG_DONE)
			continue;
		CURLcode code = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &a);
		finish(a, code);
	}
	for (size_t t = 0; t < p->cfg->n_targets; t++)
		hand_on(p, t);
}

bool probe_run(struct probe *p, int ms, bool stop)
{
	int64_t until = mono_now().us + (int64_t)ms * 1000, now;
	int running;

	do {
		if (!stop)
			start_due(p);
		if (curl_multi_perform(p->multi, &running) != CURLM_OK)
			return false;
		collect(p);
		if ((stop && !p->pending) || probe_done(p))
			return true;
		now = mono_now().us;
		int64_t wait = (stop || p->due_us > until ? until : p->due_us) - now;
		if (wait > 0 &&
		    curl_multi_poll(p->multi, NULL, 0, (int)((wait + 999) / 1000), NULL) != CURLM_OK)
			return false;
	} while (mono_now().us < until);
	return true;
}

bool probe_done(const struct probe *p)
{
	return p->cfg->count && p->started >= p->cfg->count && !p->pending;
}

void probe_free(struct probe *p)
{
	for (size_t t = 0; t < p->cfg->n_targets; t++) {
		for (struct attempt *a; (a = p->first[t]);) {
			p->first[t] = a->next;
			attempt_free(a);
		}
		curl_slist_free_all(p->connect_to[t]);
		free(p->url[t]);
	}
	curl_multi_cleanup(p->multi);
	free(p);
}
