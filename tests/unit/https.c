/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/https.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct https https;

void https_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	https.multi = curl_multi_init();
}

void https_done(void)
{
	curl_multi_cleanup(https.multi);
	curl_global_cleanup();
}

void answer_done(struct answer *r)
{
	buf_done(&r->body);
	buf_done(&r->headers);
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	buf_add(arg, data, size * n);
	return size * n;
}

static CURL *client(const char *path, const char *token, struct curl_slist **headers, struct answer *r)
{
	CURL *h = curl_easy_init();
	auto_free char *url = xasprintf("https://127.0.0.1:%u%s", https.port, path);

	curl_easy_setopt(h, CURLOPT_URL, url);
	curl_easy_setopt(h, CURLOPT_CAINFO, https.ca);
	curl_easy_setopt(h, CURLOPT_CAPATH, NULL); /* reading the system's takes 30 ms */
	curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, &r->body);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_data);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, &r->headers);
	curl_easy_setopt(h, CURLOPT_PRIVATE, r);
	if (token) {
		auto_free char *auth = xasprintf("Authorization: Bearer %s", token);
		*headers = curl_slist_append(*headers, auth);
	}
	return h;
}

static void finish(CURLMsg *m)
{
	struct answer *r;

	curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r);
	curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &r->status);
	r->code = m->data.result;
	r->done = true;
}

void https_turn(void)
{
	struct curl_waitfd fd = { .fd = uv_backend_fd(https.loop), .events = CURL_WAIT_POLLIN };
	CURLMsg *m;
	int n;

	uv_run(https.loop, UV_RUN_NOWAIT);
	curl_multi_perform(https.multi, &n);
	while ((m = curl_multi_info_read(https.multi, &n)))
		if (m->msg == CURLMSG_DONE)
			finish(m);
	curl_multi_poll(https.multi, &fd, 1, 5, NULL);
}

static void add_headers(const struct ask *q, CURL *h, struct curl_slist **headers)
{
	if (q->header)
		*headers = curl_slist_append(*headers, q->header);
	if (q->chunked)
		*headers = curl_slist_append(*headers, "Transfer-Encoding: chunked");
	*headers = curl_slist_append(*headers, "Expect:");
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, *headers);
}

void ask(const struct ask *q, struct answer *r)
{
	struct curl_slist *headers = NULL;

	*r = (struct answer){ 0 };
	CURL *h = client(q->path, q->token, &headers, r);
	add_headers(q, h, &headers);
	if (strcmp(q->method, "HEAD") == 0)
		curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
	if (q->body) {
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE,
				 (long)(q->body_len ? q->body_len : strlen(q->body)));
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, q->body);
	}
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, q->method);
	if (q->tls)
		curl_easy_setopt(h, CURLOPT_SSLVERSION, q->tls);
	curl_multi_add_handle(https.multi, h);
	UNTIL(r->done);
	curl_multi_remove_handle(https.multi, h);
	curl_easy_cleanup(h);
	curl_slist_free_all(headers);
}

void sse_open(struct sse *s, const char *path, const char *token, const char *last_id)
{
	*s = (struct sse){ 0 };
	s->h = client(path, token, &s->headers, &s->r);
	s->headers = curl_slist_append(s->headers, "Accept: text/event-stream");
	if (last_id) {
		auto_free char *header = xasprintf("Last-Event-ID: %s", last_id);
		s->headers = curl_slist_append(s->headers, header);
	}
	curl_easy_setopt(s->h, CURLOPT_HTTPHEADER, s->headers);
	curl_multi_add_handle(https.multi, s->h);
	UNTIL(s->r.done || s->r.body.len);
}

bool sse_has(const struct sse *s, const char *text)
{
	return s->r.body.data && strstr(s->r.body.data, text);
}

void sse_close(struct sse *s)
{
	curl_multi_remove_handle(https.multi, s->h);
	curl_easy_cleanup(s->h);
	curl_slist_free_all(s->headers);
	answer_done(&s->r);
}
