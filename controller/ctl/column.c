/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/column.h"

#include <ctype.h>
#include <string.h>

#include "controller/ctl/text.h"
#include "proto/base/mem.h"

#define UTIL_WARN  0.85
#define UTIL_BAD   1.0
#define AGE_BAD_MS 10000

json_t *column_field(const json_t *obj, const char *field)
{
	char part[64];
	json_t *v = NULL;

	for (const char *dot = field; dot; field = dot + 1) {
		dot = strchr(field, '.');
		size_t len = dot ? (size_t)(dot - field) : strlen(field);
		if (len >= sizeof(part))
			return NULL;
		memcpy(part, field, len);
		part[len] = 0;
		v = json_object_get(v ? v : obj, part);
		if (!v)
			return NULL;
	}
	return v;
}

static void add_text(struct table *t, const struct column *c, const json_t *v)
{
	(void)c;
	if (json_is_string(v)) {
		table_add(t, TINT_NONE, "%s", json_string_value(v));
		return;
	}
	auto_free char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | OUT_REALS);
	table_add(t, TINT_NONE, "%s", text ? text : "?");
}

static void add_num(struct table *t, const struct column *c, const json_t *v)
{
	(void)c;
	if (json_is_integer(v))
		table_add(t, TINT_NONE, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else
		table_add(t, TINT_NONE, "%.4g", json_number_value(v));
}

static void add_si(struct table *t, const struct column *c, const json_t *v)
{
	char buf[TEXT_NUM];

	(void)c;
	table_add(t, TINT_NONE, "%s", text_si(json_number_value(v), buf));
}

static void add_pct(struct table *t, const struct column *c, const json_t *v)
{
	double r = json_number_value(v);
	char buf[TEXT_NUM];

	(void)c;
	table_add(t,
		  r >= UTIL_BAD	   ? TINT_BAD
		  : r >= UTIL_WARN ? TINT_WARN
				   : TINT_NONE,
		  "%s", text_pct(r, buf));
}

static void add_bar(struct table *t, const struct column *c, const json_t *v)
{
	static const char full[] = "||||||||||", none[] = "          ";
	double r = json_number_value(v);
	int n = r >= 1 ? 10 : r > 0 ? (int)(r * 10 + 0.5) : 0;

	(void)c;
	table_add(t,
		  r >= UTIL_BAD	   ? TINT_BAD
		  : r >= UTIL_WARN ? TINT_WARN
				   : TINT_GOOD,
		  "[%.*s%.*s]", n, full, 10 - n, none);
}

static void add_age(struct table *t, const struct column *c, const json_t *v)
{
	double ms = json_number_value(v);
	char buf[TEXT_NUM];

	(void)c;
	table_add(t, ms > AGE_BAD_MS ? TINT_BAD : TINT_NONE, "%s", text_age(ms, buf));
}

static void add_since(struct table *t, const struct column *c, const json_t *v)
{
	char buf[TEXT_NUM];

	(void)c;
	table_add(t, TINT_NONE, "%s", text_age(json_number_value(v), buf));
}

static void add_range(struct table *t, const struct column *c, const json_t *v)
{
	char lo[TEXT_NUM], hi[TEXT_NUM];

	(void)c;
	text_si(json_number_value(json_object_get(v, "lo")), lo);
	text_si(json_number_value(json_object_get(v, "hi")), hi);
	table_add(t, TINT_NONE, strcmp(lo, hi) ? "%s-%s" : "%s", lo, hi);
}

static const char *word(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	return s ? s : "?";
}

static void add_cells(struct table *t, const struct column *c, const json_t *v)
{
	enum tint tint = TINT_NONE;
	auto_buf b = { 0 };
	json_t *cell;
	size_t i;

	(void)c;
	json_array_foreach(v, i, cell) {
		const char *grade = word(cell, "grade"), *wanted = word(cell, "wanted");
		bool same = !strcmp(grade, wanted);

		buf_addf(&b, "%s%s:%s", i ? " " : "", word(cell, "site"), grade);
		if (!same)
			buf_addf(&b, ">%s", wanted);
		if (!same || strcmp(grade, "normal"))
			tint = TINT_WARN;
	}
	table_add(t, tint, "%s", b.len ? b.data : "-");
}

static void add_yes(struct table *t, const struct column *c, const json_t *v)
{
	(void)c;
	table_add(t, json_is_true(v) ? TINT_NONE : TINT_BAD, "%s", json_is_true(v) ? "yes" : "NO");
}

static void add_flag(struct table *t, const struct column *c, const json_t *v)
{
	char word[32] = "";

	bool set = json_is_true(v) || json_is_object(v);

	for (size_t i = 0; set && c->title[i] && i + 1 < sizeof(word); i++)
		word[i] = (char)tolower((unsigned char)c->title[i]);
	table_add(t, TINT_WARN, "%s", word);
}

static void add_list(struct table *t, const struct column *c, const json_t *v)
{
	auto_buf b = { 0 };
	json_t *item;
	size_t i;

	(void)c;
	json_array_foreach(v, i, item) {
		const char *s =
			json_string_value(json_is_object(item) ? json_object_get(item, "name") : item);
		buf_addf(&b, "%s%s", i ? "," : "", s ? s : "?");
	}
	table_add(t, TINT_NONE, "%s", b.len ? b.data : "-");
}

static void add_counts(struct table *t, const struct column *c, const json_t *v)
{
	json_auto_t *map = json_copy((json_t *)(uintptr_t)v);
	enum tint tint = TINT_NONE;
	auto_buf b = { 0 };
	const char *key;
	json_t *n;

	(void)c;
	json_object_foreach(map, key, n) {
		buf_addf(&b, "%s%s:%" JSON_INTEGER_FORMAT, b.len ? " " : "", key, json_integer_value(n));
		if (strcmp(key, "normal"))
			tint = TINT_WARN;
	}
	table_add(t, tint, "%s", b.len ? b.data : "-");
}

static void add_count(struct table *t, const struct column *c, const json_t *v)
{
	(void)c;
	table_add(t, TINT_NONE, "%zu", json_array_size(v));
}

static void (*const writers[])(struct table *, const struct column *, const json_t *) = {
	[COL_TEXT] = add_text,	   [COL_NUM] = add_num,	    [COL_SI] = add_si,	   [COL_PCT] = add_pct,
	[COL_AGE] = add_age,	   [COL_SINCE] = add_since, [COL_YES] = add_yes,   [COL_FLAG] = add_flag,
	[COL_RANGE] = add_range,   [COL_CELLS] = add_cells, [COL_LIST] = add_list, [COL_COUNT] = add_count,
	[COL_COUNTS] = add_counts, [COL_BAR] = add_bar,
};

struct table *column_table(const struct column *cols, json_t *items)
{
	const char *titles[TABLE_COLS + 1] = { NULL };
	struct table *t;
	json_t *item;
	size_t i;

	for (i = 0; cols[i].title && i < TABLE_COLS; i++)
		titles[i] = cols[i].title;
	t = table_new(titles);
	json_array_foreach(items, i, item) {
		for (const struct column *c = cols; c->title; c++) {
			const json_t *v = column_field(item, c->field);
			if (!v || json_is_null(v))
				table_add(t, TINT_DIM, "%s", c->kind == COL_FLAG ? "" : "-");
			else
				writers[c->kind](t, c, v);
		}
	}
	return t;
}
