/* SPDX-License-Identifier: Apache-2.0
 * Stateless but for what the caller holds. */
#include "controller/api/out.h"

#include <math.h>
#include <string.h>

#include "controller/api/view.h"

#define DIGITS 24

static void key_of(struct out *o, const char *key)
{
	if (o->comma)
		buf_add(&o->b, ",", 1);
	o->comma = true;
	if (!key)
		return;
	buf_add(&o->b, "\"", 1);
	buf_adds(&o->b, key);
	buf_add(&o->b, "\":", 2);
}

void out_open(struct out *o, const char *key, char bracket)
{
	key_of(o, key);
	buf_add(&o->b, &bracket, 1);
	o->comma = false;
}

void out_close(struct out *o, char bracket)
{
	buf_add(&o->b, &bracket, 1);
	o->comma = true;
}

void out_json(struct out *o, const char *key, json_t *j)
{
	auto_free char *text = json_dumps(j, VIEW_DUMP | JSON_ENCODE_ANY);

	json_decref(j);
	key_of(o, key);
	buf_adds(&o->b, text ? text : "null");
}

/* Nothing in it that JSON would write otherwise. */
static bool is_plain(const char *s, size_t *ret_len)
{
	size_t n = 0;

	for (; s[n]; n++)
		if (s[n] < ' ' || s[n] > '~' || s[n] == '"' || s[n] == '\\')
			return false;
	*ret_len = n;
	return true;
}

void out_text(struct out *o, const char *key, const char *s)
{
	size_t len;

	if (!is_plain(s, &len)) {
		out_json(o, key, view_text(s));
		return;
	}
	key_of(o, key);
	buf_add(&o->b, "\"", 1);
	buf_add(&o->b, s, len);
	buf_add(&o->b, "\"", 1);
}

/* The digits of n to the end of s; where they begin. */
static char *digits(char s[DIGITS], uint64_t n)
{
	char *p = s + DIGITS;

	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	return p;
}

void out_int(struct out *o, const char *key, int64_t n)
{
	char s[DIGITS], *p = digits(s, n < 0 ? -(uint64_t)n : (uint64_t)n);

	if (n < 0)
		*--p = '-';
	key_of(o, key);
	buf_add(&o->b, p, (size_t)(s + DIGITS - p));
}

void out_bool(struct out *o, const char *key, bool b)
{
	key_of(o, key);
	buf_adds(&o->b, b ? "true" : "false");
}

void out_null(struct out *o, const char *key)
{
	key_of(o, key);
	buf_add(&o->b, "null", 4);
}

/* Four decimals without the zeros at the end, but for the first. */
void out_ratio(struct out *o, const char *key, double x)
{
	char s[DIGITS], *p, *end = s + DIGITS;

	if (!isfinite(x) || fabs(x) >= 1e9) {
		out_json(o, key, view_ratio(x));
		return;
	}
	uint64_t n = (uint64_t)llround(fabs(x) * 1e4);
	p = digits(s, n);
	while (end - p < 5)
		*--p = '0';
	char whole[DIGITS + 2];
	size_t w = (size_t)(end - p) - 4;
	memcpy(whole, p, w);
	whole[w] = '.';
	memcpy(whole + w + 1, p + w, 4);
	size_t len = w + 5;
	while (whole[len - 1] == '0' && len > w + 2)
		len--;
	key_of(o, key);
	if (x < 0 && n)
		buf_add(&o->b, "-", 1);
	buf_add(&o->b, whole, len);
}

void out_count(struct out *o, const char *key, double x)
{
	if (isfinite(x) && fabs(x) < 9e18)
		out_int(o, key, llround(x));
	else
		out_null(o, key);
}

void out_age(struct out *o, const char *key, mono_t at, mono_t now)
{
	int64_t ms = mono_diff_ms(at, now);

	if (mono_is_set(at))
		out_int(o, key, ms > 0 ? ms : 0);
	else
		out_null(o, key);
}

void out_res(struct out *o, const char *key, const double v[RES_N])
{
	out_open(o, key, '{');
	out_count(o, "bps", v[RES_BPS]);
	out_count(o, "pps", v[RES_PPS]);
	out_count(o, "conns", v[RES_CONNS]);
	out_count(o, "cpu", v[RES_CPU]);
	out_close(o, '}');
}

struct response out_reply(struct out *o)
{
	struct response r = { .status = 200, .type = "application/json", .body = o->b.data, .len = o->b.len };

	o->b = (struct buf){ 0 };
	return r;
}
