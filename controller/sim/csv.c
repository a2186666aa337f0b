/* SPDX-License-Identifier: Apache-2.0
 * Reads the catchment files line by line; every complaint names file and line. Site names are those that
 * occur in the shift file, in order of appearance. */
#include "controller/sim/csv.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "controller/steer/key.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"

#define FIELDS_MAX   4
#define FILE_MAX     (256u << 20)
#define SUM_SLACK    0.02 /* rows of a (home, grade) may miss 1 by rounding */
#define LINE_LEN_MAX 1024

struct reader {
	const char *name, *p, *end;
	unsigned line;
	char text[LINE_LEN_MAX];
	char *field[FIELDS_MAX];
	size_t n;
	char *why;
};

__attribute__((format(printf, 2, 3))) static int complain(const struct reader *r, const char *fmt, ...)
{
	char text[CSV_WHY_LEN / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(r->why, CSV_WHY_LEN, "%.100s: line %u: %s", r->name, r->line, text);
	return ERR_CONFIG;
}

static char *trim(char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	size_t n = strlen(s);
	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r'))
		s[--n] = 0;
	if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
		s[n - 1] = 0;
		s++;
	}
	return s;
}

static int split(struct reader *r)
{
	char *p = r->text;

	r->n = 0;
	for (;;) {
		char *comma = strchr(p, ',');

		if (comma)
			*comma = 0;
		if (r->n == FIELDS_MAX)
			return complain(r, "more than %d fields", FIELDS_MAX);
		r->field[r->n++] = trim(p);
		if (!comma)
			return 0;
		p = comma + 1;
	}
}

/* 1: a line with fields; 0: the end; negative: an error. */
static int next_line(struct reader *r)
{
	while (r->p < r->end) {
		const char *nl = memchr(r->p, '\n', (size_t)(r->end - r->p));
		size_t n = (size_t)((nl ? nl : r->end) - r->p);

		r->line++;
		if (n >= sizeof(r->text))
			return complain(r, "the line is longer than %d bytes", LINE_LEN_MAX - 1);
		if (memchr(r->p, 0, n))
			return complain(r, "a NUL byte: this is not a text file");
		memcpy(r->text, r->p, n);
		r->text[n] = 0;
		r->p += n + (nl != NULL);
		char *s = trim(r->text);
		if (!*s || *s == '#')
			continue;
		return split(r) < 0 ? ERR_CONFIG : 1;
	}
	return 0;
}

static int number(const struct reader *r, const char *what, const char *s, double *ret)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || *end || !isfinite(v))
		return complain(r, "%s \"%.40s\" is not a number", what, s);
	if (v < 0)
		return complain(r, "%s %.40s is negative", what, s);
	*ret = v;
	return 0;
}

static int name_ok(const struct reader *r, const char *what, const char *s)
{
	if (!*s)
		return complain(r, "%s is empty", what);
	if (strlen(s) >= STEER_NAME)
		return complain(r, "%s \"%.20s...\" is longer than %d characters", what, s, STEER_NAME - 1);
	if (!key_name_ok(s))
		return complain(r, "%s \"%.40s\" contains white space", what, s);
	return 0;
}

/* Names by hash: a 500-site file has millions of rows. */
struct names {
	struct name {
		char key[STEER_NAME];
		unsigned index;
		UT_hash_handle hh;
	} * head;
};

static struct name *name_find(const struct names *all, const char *s)
{
	char key[STEER_NAME];
	struct name *n;

	key_copy(key, s);
	HASH_FIND(hh, all->head, key, sizeof(key), n);
	return n;
}

static void name_add(struct names *all, const char *s, unsigned index)
{
	struct name *n = xcalloc(1, sizeof(*n));

	key_copy(n->key, s);
	n->index = index;
	HASH_ADD(hh, all->head, key, sizeof(n->key), n);
}

static void names_done(struct names *all)
{
	struct name *n, *next;

	HASH_ITER(hh, all->head, n, next) {
		HASH_DEL(all->head, n);
		free(n);
	}
}

static int site_index(const struct reader *r, struct csv *c, struct names *all, const char *what,
		      const char *s, unsigned *ret)
{
	struct name *n;

	if (name_ok(r, what, s) < 0)
		return ERR_CONFIG;
	if ((n = name_find(all, s))) {
		*ret = n->index;
		return 0;
	}
	if (c->n_sites >= CSV_SITES_MAX)
		return complain(r, "more than %d sites", CSV_SITES_MAX);
	c->site = xrealloc(c->site, c->n_sites + 1, sizeof(*c->site));
	key_copy(c->site[c->n_sites], s);
	name_add(all, s, (unsigned)c->n_sites);
	*ret = (unsigned)c->n_sites++;
	return 0;
}

static int grade_index(const struct reader *r, struct csv *c, const char *s, unsigned *ret)
{
	if (name_ok(r, "grade", s) < 0)
		return ERR_CONFIG;
	for (*ret = 0; *ret < c->n_grades; ++*ret)
		if (!strcmp(c->grade[*ret], s))
			return 0;
	/* six grades are always there */
	if (c->n_grades >= STEER_GRADES - 6)
		return complain(r, "more than %d grades", STEER_GRADES - 6);
	key_copy(c->grade[c->n_grades++], s);
	return 0;
}

static int shift_row(const struct reader *r, struct csv *c, struct names *all, size_t *cap)
{
	struct csv_shift row = { .line = r->line };

	if (r->n != 4)
		return complain(r, "%zu field%s, expected home,grade,lands,fraction", r->n,
				r->n == 1 ? "" : "s");
	if (site_index(r, c, all, "home", r->field[0], &row.home) < 0 ||
	    grade_index(r, c, r->field[1], &row.grade) < 0 ||
	    site_index(r, c, all, "lands", r->field[2], &row.lands) < 0 ||
	    number(r, "fraction", r->field[3], &row.fraction) < 0)
		return ERR_CONFIG;
	if (row.fraction > 1 + 1e-6)
		return complain(r, "fraction %s is above 1", r->field[3]);
	if (c->n_rows >= CSV_ROWS_MAX)
		return complain(r, "more than %d rows", CSV_ROWS_MAX);
	if (c->n_rows == *cap) {
		*cap = *cap ? *cap * 2 : 1024;
		c->rows = xrealloc(c->rows, *cap, sizeof(*c->rows));
	}
	c->rows[c->n_rows++] = row;
	return 0;
}

static int check_sums(struct reader *r, const struct csv *c)
{
	size_t n = c->n_sites * (c->n_grades ? c->n_grades : 1);
	auto_free double *sum = xcalloc(n, sizeof(*sum));
	auto_free unsigned *line = xcalloc(n, sizeof(*line));

	for (size_t i = 0; i < c->n_rows; i++) {
		size_t at = c->rows[i].home * c->n_grades + c->rows[i].grade;
		sum[at] += c->rows[i].fraction;
		line[at] = c->rows[i].line;
	}
	for (size_t at = 0; at < n; at++) {
		if (!line[at] || fabs(sum[at] - 1) <= SUM_SLACK)
			continue;
		r->line = line[at];
		return complain(r, "the rows of %s at %s add up to %.4f, not 1", c->site[at / c->n_grades],
				c->grade[at % c->n_grades], sum[at]);
	}
	return 0;
}

static bool header(const struct reader *r, const char *first)
{
	return r->n && !strcasecmp(r->field[0], first);
}

static int read_shift(struct reader *r, struct csv *c, struct names *all)
{
	size_t cap = 0;
	bool first = true;
	int more;

	while ((more = next_line(r)) > 0) {
		bool skip = first && header(r, "home");
		first = false;
		if (!skip && shift_row(r, c, all, &cap) < 0)
			return ERR_CONFIG;
	}
	if (more < 0)
		return more;
	if (c->n_sites < 2)
		return complain(r, "%zu site%s in the file, at least 2 needed", c->n_sites,
				c->n_sites == 1 ? "" : "s");
	return check_sums(r, c);
}

static int read_share(struct reader *r, struct csv *c, struct names *all)
{
	auto_free unsigned *line = xcalloc(c->n_sites, sizeof(*line));
	bool first = true;
	double sum = 0;
	int more;

	while ((more = next_line(r)) > 0) {
		struct name *n;
		bool skip = first && header(r, "home");

		first = false;
		if (skip)
			continue;
		if (r->n != 2)
			return complain(r, "%zu field%s, expected home,share", r->n, r->n == 1 ? "" : "s");
		if (name_ok(r, "home", r->field[0]) < 0)
			return ERR_CONFIG;
		if (!(n = name_find(all, r->field[0])))
			return complain(r, "\"%.40s\" is no site of the shift file", r->field[0]);
		if (line[n->index])
			return complain(r, "\"%.40s\" again, first on line %u", r->field[0], line[n->index]);
		line[n->index] = r->line;
		if (number(r, "share", r->field[1], &c->share[n->index]) < 0)
			return ERR_CONFIG;
		sum += c->share[n->index];
	}
	if (more < 0)
		return more;
	if (!(sum > 0) || !isfinite(sum))
		return complain(r, "the shares add up to nothing");
	for (size_t i = 0; i < c->n_sites; i++)
		c->share[i] /= sum;
	return 0;
}

int csv_parse(const char *shift_name, const char *shift, size_t shift_len, const char *share_name,
	      const char *share, size_t share_len, struct csv *ret_csv, char *ret_why)
{
	struct reader r = { .name = shift_name, .p = shift, .end = shift + shift_len, .why = ret_why };
	struct csv c = { 0 };
	struct names all = { 0 };
	int err = read_shift(&r, &c, &all);

	c.share = xcalloc(c.n_sites ? c.n_sites : 1, sizeof(*c.share));
	if (!err && share) {
		r = (struct reader){
			.name = share_name, .p = share, .end = share + share_len, .why = ret_why
		};
		err = read_share(&r, &c, &all);
	} else {
		for (size_t i = 0; i < c.n_sites; i++)
			c.share[i] = 1.0 / (double)c.n_sites;
	}
	names_done(&all);
	if (err)
		csv_done(&c);
	else
		*ret_csv = c;
	return err;
}

static char *slurp(const char *path, size_t *ret_len, char *ret_why)
{
	auto_fclose FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t len = 0, cap = 0;

	if (!f) {
		snprintf(ret_why, CSV_WHY_LEN, "%.150s: %s", path, strerror(errno));
		return NULL;
	}
	for (size_t n = 1; n; len += n) {
		if (len == cap)
			text = xrealloc(text, cap = cap ? cap * 2 : 65536, 1);
		n = len < FILE_MAX ? fread(text + len, 1, cap - len, f) : 0;
	}
	if (ferror(f) || len >= FILE_MAX) {
		snprintf(ret_why, CSV_WHY_LEN, "%.150s: %s", path,
			 ferror(f) ? "cannot be read" : "larger than 256 MB");
		free(text);
		return NULL;
	}
	*ret_len = len;
	return text;
}

int csv_load(const char *shift_path, const char *share_path, struct csv *ret_csv, char *ret_why)
{
	size_t shift_len = 0, share_len = 0;
	auto_free char *shift = slurp(shift_path, &shift_len, ret_why);
	auto_free char *share = shift && share_path ? slurp(share_path, &share_len, ret_why) : NULL;

	if (!shift || (share_path && !share))
		return ERR_CONFIG;
	return csv_parse(shift_path, shift, shift_len, share_path ? share_path : "", share, share_len,
			 ret_csv, ret_why);
}

void csv_done(struct csv *c)
{
	free(c->site);
	free(c->rows);
	free(c->share);
	*c = (struct csv){ 0 };
}
