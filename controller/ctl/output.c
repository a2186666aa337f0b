/* SPDX-License-Identifier: Apache-2.0
 * The table keeps all cells until it is printed, as widths are known only then. */
#include "controller/ctl/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/ctl/text.h"
#include "proto/base/mem.h"

static const char *const tint_sgr[] = {
	[TINT_NONE] = "",	  [TINT_BOLD] = "\033[1m",  [TINT_DIM] = "\033[2m",
	[TINT_GOOD] = "\033[32m", [TINT_WARN] = "\033[33m", [TINT_BAD] = "\033[1;31m",
};

struct cell {
	char *text; /* cleaned; heap */
	enum tint tint;
};

struct table {
	const char *titles[TABLE_COLS];
	size_t cols;
	struct cell *cells; /* row by row */
	size_t n, room;
};

void out_init(struct out *o, FILE *f)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	*o = (struct out){ .f = f, .format = OUT_TABLE };
	o->colour = isatty(fileno(f)) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

int out_format_parse(const char *s, enum out_format *ret_format)
{
	if (!strcmp(s, "table"))
		*ret_format = OUT_TABLE;
	else if (!strcmp(s, "json"))
		*ret_format = OUT_JSON;
	else
		return -EINVAL;
	return 0;
}

void out_json(const struct out *o, const json_t *v)
{
	/* ASCII: names and reasons written by others then cannot carry terminal sequences either */
	json_dumpf(v, o->f, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY | OUT_REALS);
	fputc('\n', o->f);
}

static void put(const struct out *o, enum tint tint, const char *text)
{
	if (o->colour && tint != TINT_NONE)
		fprintf(o->f, "%s%s\033[0m", tint_sgr[tint], text);
	else
		fputs(text, o->f);
}

static char *clean_va(const char *fmt, va_list ap)
{
	auto_free char *raw = NULL;

	if (vasprintf(&raw, fmt, ap) < 0)
		abort();
	return text_clean(raw);
}

void out_text(const struct out *o, enum tint tint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *text = clean_va(fmt, ap);
	va_end(ap);
	put(o, tint, text);
}

struct table *table_new(const char *const *titles)
{
	struct table *t = xcalloc(1, sizeof(*t));

	for (; titles[t->cols]; t->cols++) {
		if (t->cols == TABLE_COLS)
			abort();
		t->titles[t->cols] = titles[t->cols];
	}
	return t;
}

void table_add(struct table *t, enum tint tint, const char *fmt, ...)
{
	va_list ap;

	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cells = xrealloc(t->cells, t->room, sizeof(*t->cells));
	}
	va_start(ap, fmt);
	t->cells[t->n++] = (struct cell){ .text = clean_va(fmt, ap), .tint = tint };
	va_end(ap);
}

size_t table_rows(const struct table *t)
{
	return (t->n + t->cols - 1) / t->cols;
}

static bool is_right(const char *title)
{
	return title[0] == '>';
}

static const char *title_text(const char *title)
{
	return is_right(title) ? title + 1 : title;
}

static void print_cell(const struct out *o, const char *text, enum tint tint, unsigned width, bool right,
		       bool last)
{
	unsigned w = text_width(text);
	int pad = width > w ? (int)(width - w) : 0;

	if (right)
		fprintf(o->f, "%*s", pad, "");
	put(o, tint, text);
	if (!last)
		fprintf(o->f, "%*s", (right ? 0 : pad) + 2, "");
}

/* Index past the last cell of the row that has text: nothing is written after it. */
static size_t row_end(const struct cell *row, size_t n)
{
	while (n && !row[n - 1].text[0])
		n--;
	return n;
}

static bool has_titles(const struct table *t)
{
	for (size_t c = 0; c < t->cols; c++)
		if (t->titles[c][0])
			return true;
	return false;
}

static void print_titles(const struct table *t, const struct out *o, const unsigned *width, unsigned indent)
{
	fprintf(o->f, "%*s", (int)indent, "");
	for (size_t c = 0; c < t->cols; c++)
		print_cell(o, title_text(t->titles[c]), TINT_DIM, width[c], is_right(t->titles[c]),
			   c + 1 == t->cols);
	fputc('\n', o->f);
}

void table_print(const struct table *t, const struct out *o, unsigned indent)
{
	unsigned width[TABLE_COLS] = { 0 };

	if (!t->n)
		return;
	for (size_t c = 0; c < t->cols; c++)
		width[c] = text_width(title_text(t->titles[c]));
	for (size_t i = 0; i < t->n; i++) {
		unsigned w = text_width(t->cells[i].text);
		if (w > width[i % t->cols])
			width[i % t->cols] = w;
	}
	if (has_titles(t))
		print_titles(t, o, width, indent);
	for (size_t r = 0; r < t->n; r += t->cols) {
		size_t left = t->n - r < t->cols ? t->n - r : t->cols, end = row_end(&t->cells[r], left);

		fprintf(o->f, "%*s", (int)indent, "");
		for (size_t c = 0; c < end; c++)
			print_cell(o, t->cells[r + c].text, t->cells[r + c].tint, width[c],
				   is_right(t->titles[c]), c + 1 == end);
		fputc('\n', o->f);
	}
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}
