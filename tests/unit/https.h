/* SPDX-License-Identifier: Apache-2.0
 * An HTTPS client (libcurl) that turns the server's loop while it waits: client and server in one thread.
 * Waiting always has a deadline. */
#ifndef UNIT_HTTPS_H
#define UNIT_HTTPS_H
#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define HTTPS_DEADLINE_MS 8000

/* Set by the test: the server's loop and port, the CA's file. multi by https_init. */
struct https {
	uv_loop_t *loop;
	CURLM *multi;
	const char *ca;
	uint16_t port;
};
extern struct https https;
void https_init(void);
void https_done(void);

struct answer {
	long status;
	struct buf body, headers;
	CURLcode code;
	bool done;
};
void answer_done(struct answer *r);
#define auto_answer __attribute__((cleanup(answer_done))) struct answer

struct ask {
	const char *method, *path, *token, *body, *header;
	size_t body_len; /* 0: strlen(body) */
	bool chunked;
	long tls; /* CURL_SSLVERSION_*; 0: any */
};
void ask(const struct ask *q, struct answer *r);

/* One turn of server and client, some ms at most. */
void https_turn(void);
#define UNTIL(cond)                                                                                          \
	do {                                                                                                 \
		mono_t until_ = mono_add_ms(mono_now(), HTTPS_DEADLINE_MS);                                  \
		while (!(cond)) {                                                                            \
			if (mono_diff_ms(until_, mono_now()) > 0)                                            \
				fail_msg("not within %d ms: %s", HTTPS_DEADLINE_MS, #cond);                  \
			https_turn();                                                                        \
		}                                                                                            \
	} while (0)

/* An event stream that is read as it comes. */
struct sse {
	CURL *h;
	struct curl_slist *headers;
	struct answer r;
};
void sse_open(struct sse *s, const char *path, const char *token, const char *last_id);
bool sse_has(const struct sse *s, const char *text);
void sse_close(struct sse *s);
#endif
