/* SPDX-License-Identifier: Apache-2.0
 * Two writers: aligned tables for people, JSON for programs. Colours only when `colour` is set, which
 * out_init does for a terminal without NO_COLOR (no-color.org). Cell text is cleaned (text_clean). */
#ifndef CTL_OUTPUT_H
#define CTL_OUTPUT_H
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum out_format { OUT_TABLE, OUT_JSON };
enum tint { TINT_NONE, TINT_BOLD, TINT_DIM, TINT_GOOD, TINT_WARN, TINT_BAD };

/* 15 digits: 0.85 prints as people typed it */
#define OUT_REALS JSON_REAL_PRECISION(15)

struct out {
	FILE *f;
	enum out_format format;
	bool colour;
};
void out_init(struct out *o, FILE *f);
/* "table" or "json"; -EINVAL otherwise. */
int out_format_parse(const char *s, enum out_format *ret_format);
/* Indented, ASCII-safe, newline at the end. */
void out_json(const struct out *o, const json_t *v);
/* Text on the line as it is, cleaned and tinted. */
void out_text(const struct out *o, enum tint tint, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

struct table;
/* titles: all empty: no line of titles. "NAME", or ">UTIL" for a column aligned right; NULL ends. At most
 * TABLE_COLS. */
#define TABLE_COLS 16
struct table *table_new(const char *const *titles);
/* The next cell; after the last column a new row starts by itself. */
void table_add(struct table *t, enum tint tint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
size_t table_rows(const struct table *t);
/* Titles (when there are any, and rows) and rows, each line starting with indent spaces; nothing after the
 * last text.
 */
void table_print(const struct table *t, const struct out *o, unsigned indent);
void table_free(struct table *t);
static inline void table_cleanup_(struct table **t)
{
	table_free(*t);
}
#define auto_table __attribute__((cleanup(table_cleanup_))) struct table
#endif
