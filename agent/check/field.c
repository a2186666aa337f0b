/* SPDX-License-Identifier: Apache-2.0
 * Pure: what the fields of a check's configuration are, apart from what they mean. One row a field:
 * comparing, copying, and refusing a field to a kind that does not take it, all walk the rows. */
#include "agent/check/field.h"

#include <stddef.h>
#include <string.h>

enum type { TEXT, NUMBER, FLAG };

static const struct row {
	const char *name;
	enum type type;
	size_t offset;
} rows[] = {
#define ROW(type, member)                                                                                    \
	{                                                                                                    \
#member, type, offsetof(struct check_cfg, member)                                            \
	}
	ROW(TEXT, name),
	ROW(TEXT, kind),
	ROW(TEXT, target),
	ROW(TEXT, path),
	ROW(TEXT, host),
	ROW(NUMBER, expect_status),
	ROW(NUMBER, interval_ms),
	ROW(NUMBER, fast_interval_ms),
	ROW(NUMBER, timeout_ms),
	ROW(NUMBER, rise),
	ROW(NUMBER, fall),
	ROW(NUMBER, jitter_pct),
	ROW(TEXT, expect_body),
	ROW(TEXT, tls_name),
	ROW(TEXT, ca),
	ROW(FLAG, tls_insecure),
	ROW(NUMBER, expiry_days),
	ROW(TEXT, protocol),
	ROW(NUMBER, grace_ms),
	ROW(TEXT, pidfile),
	ROW(TEXT, query),
	ROW(TEXT, type),
	ROW(TEXT, rcode),
	ROW(TEXT, answer),
	ROW(TEXT, send),
	ROW(TEXT, expect),
	ROW(TEXT, address),
	ROW(TEXT, interface),
	ROW(TEXT, command),
	ROW(FLAG, exit_weight),
	ROW(TEXT, unit),
};

/* every check has these */
static const char common[] = "name kind interval_ms fast_interval_ms timeout_ms rise fall jitter_pct";

static const void *at(const struct check_cfg *c, const struct row *r)
{
	return (const char *)c + r->offset;
}

static const char *text_of(const struct check_cfg *c, const struct row *r)
{
	return *(char *const *)at(c, r);
}

static bool is_set(const struct check_cfg *c, const struct row *r)
{
	switch (r->type) {
	case TEXT:
		return text_of(c, r) != NULL;
	case NUMBER:
		return *(const uint32_t *)at(c, r) != 0;
	case FLAG:
		return *(const bool *)at(c, r);
	}
	return false;
}

/* The word in list; *ret_needed: it has a '!' behind. */
static bool listed(const char *list, const char *word, bool *ret_needed)
{
	size_t len = strlen(word);

	for (const char *s = list; *s; s += strcspn(s, " "), s += *s == ' ') {
		size_t n = strcspn(s, " !");
		if (n != len || strncmp(s, word, len))
			continue;
		*ret_needed = s[n] == '!';
		return true;
	}
	return false;
}

const char *field_misplaced(const struct check_cfg *c, const char *takes)
{
	bool needed;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (is_set(c, &rows[i]) && !listed(common, rows[i].name, &needed) &&
		    !listed(takes, rows[i].name, &needed))
			return rows[i].name;
	return NULL;
}

const char *field_missing(const struct check_cfg *c, const char *takes)
{
	bool needed;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (listed(takes, rows[i].name, &needed) && needed && !is_set(c, &rows[i]))
			return rows[i].name;
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_command(const struct command_cfg *a, const struct command_cfg *b)
{
	if (!a || !b)
		return a == b;
	if (a->argv_count != b->argv_count)
		return false;
	for (unsigned i = 0; i < a->argv_count; i++)
		if (strcmp(a->argv[i], b->argv[i]))
			return false;
	return true;
}

bool check_cfg_equal(const struct check_cfg *a, const struct check_cfg *b)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		bool same = false;
		switch (r->type) {
		case TEXT:
			same = same_text(text_of(a, r), text_of(b, r));
			break;
		case NUMBER:
			same = *(const uint32_t *)at(a, r) == *(const uint32_t *)at(b, r);
			break;
		case FLAG:
			same = *(const bool *)at(a, r) == *(const bool *)at(b, r);
			break;
		}
		if (!same)
			return false;
	}
	return same_command(a->run, b->run);
}

static struct command_cfg *copy_command(const struct command_cfg *from)
{
	struct command_cfg *to = xcalloc(1, sizeof(*to));

	to->name = from->name ? xstrdup(from->name) : NULL;
	to->argv = xcalloc(from->argv_count + 1, sizeof(*to->argv));
	to->argv_count = from->argv_count;
	for (unsigned i = 0; i < from->argv_count; i++)
		to->argv[i] = xstrdup(from->argv[i]);
	return to;
}

void field_copy(const struct check_cfg *from, struct check_cfg *ret_to)
{
	*ret_to = *from;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].type == TEXT && text_of(from, &rows[i]))
			*(char **)((char *)ret_to + rows[i].offset) = xstrdup(text_of(from, &rows[i]));
	ret_to->run = from->run ? copy_command(from->run) : NULL;
}

void field_free(struct check_cfg *c)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].type == TEXT)
			free(*(char **)((char *)c + rows[i].offset));
	for (unsigned i = 0; c->run && i < c->run->argv_count; i++)
		free(c->run->argv[i]);
	if (c->run) {
		free(c->run->argv);
		free(c->run->name);
	}
	free(c->run);
}
