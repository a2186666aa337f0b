/* SPDX-License-Identifier: Apache-2.0
 * JSON as text, written straight away: for lists of hundreds of things, where a tree of values costs ten
 * times as much and holds the loop meanwhile. Keys are words of ours; in a list they are NULL. The result is
 * what jansson would dump for the same values. */
#ifndef API_OUT_H
#define API_OUT_H
#include <jansson.h>

#include "controller/api/http.h"
#include "controller/model.h"

/* Zero-initialise. */
struct out {
	struct buf b;
	bool comma; /* before the next value */
};

void out_open(struct out *o, const char *key, char bracket); /* '{' or '[' */
void out_close(struct out *o, char bracket);
void out_text(struct out *o, const char *key, const char *s); /* whatever bytes it has */
void out_int(struct out *o, const char *key, int64_t n);
void out_bool(struct out *o, const char *key, bool b);
void out_null(struct out *o, const char *key);
void out_json(struct out *o, const char *key, json_t *j); /* j: stolen */
/* As their namesakes in view.h. */
void out_ratio(struct out *o, const char *key, double x);
void out_count(struct out *o, const char *key, double x);
void out_age(struct out *o, const char *key, mono_t at, mono_t now);
void out_res(struct out *o, const char *key, const double v[RES_N]);
/* 200; takes the text. */
struct response out_reply(struct out *o);
#endif
