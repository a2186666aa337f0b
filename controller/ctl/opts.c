/* SPDX-License-Identifier: Apache-2.0
 * Options from rows. Owns nothing: values point into argv or the caller's variables. */
#include "controller/ctl/opts.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ctl/text.h"
#include "proto/base/mem.h"

#define VAL_BASE 1000 /* getopt's value of row 0: above any letter */

static int set_uint(const struct opt *o, const char *s)
{
	char *end;

	errno = 0;
	unsigned long long v = strtoull(s, &end, 10);
	if (errno || end == s || *end || *s == '-' || *s == '+')
		return -EINVAL;
	*(uint64_t *)o->dest = v;
	return 0;
}

static int set_list(const struct opt *o, const char *s, char *why, size_t size)
{
	struct opt_list *list = o->dest;

	if (list->n == OPT_LIST_MAX) {
		snprintf(why, size, "--%s may be given %d times, not more", o->name, OPT_LIST_MAX);
		return -EINVAL;
	}
	list->v[list->n++] = s;
	return 0;
}

static int set(const struct opt *o, char *value, char *why, size_t size)
{
	const char *want = NULL;

	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)o->dest = true;
		return 0;
	case OPT_STR:
		*(const char **)o->dest = value;
		return 0;
	case OPT_LIST:
		return set_list(o, value, why, size);
	case OPT_UINT:
		want = set_uint(o, value) ? "a whole number" : NULL;
		break;
	case OPT_SECONDS:
		want = text_duration(value, o->dest) ? "a time such as 90s, 30m, 1h30m or 2d" : NULL;
		break;
	}
	if (!want)
		return 0;
	snprintf(why, size, "--%s wants %s, not '%s'", o->name, want, value);
	return -EINVAL;
}

/* getopt's two tables from our rows */
static void build(const struct opt *opts, size_t n, bool stop_early, struct option *ret_long, char *ret_short)
{
	char *s = ret_short;

	if (stop_early)
		*s++ = '+';
	*s++ = ':';
	for (size_t i = 0; i < n; i++) {
		ret_long[i] = (struct option){ .name = opts[i].name,
					       .has_arg = opts[i].kind == OPT_FLAG ? no_argument
										   : required_argument,
					       .val = VAL_BASE + (int)i };
		if (!opts[i].letter)
			continue;
		*s++ = opts[i].letter;
		if (opts[i].kind != OPT_FLAG)
			*s++ = ':';
	}
	*s = 0;
}

static const struct opt *find(const struct opt *opts, size_t n, int c)
{
	if (c >= VAL_BASE && (size_t)(c - VAL_BASE) < n)
		return &opts[c - VAL_BASE];
	for (size_t i = 0; i < n; i++)
		if (opts[i].letter && opts[i].letter == c)
			return &opts[i];
	return NULL;
}

int opts_parse(const struct opt *opts, size_t n, int argc, char **argv, bool stop_early, int *ret_first,
	       char *why, size_t size)
{
	struct option lng[OPTS_MAX + 1] = { 0 };
	char shrt[2 * OPTS_MAX + 3];
	int c;

	if (n > OPTS_MAX)
		abort();
	build(opts, n, stop_early, lng, shrt);
	optind = 0; /* glibc: start afresh */
	opterr = 0;
	while ((c = getopt_long(argc, argv, shrt, lng, NULL)) != -1) {
		const struct opt *o = find(opts, n, c == ':' ? optopt : c);

		if (c == ':') {
			snprintf(why, size, "%s needs a value", argv[optind - 1]);
			return -EINVAL;
		}
		if (!o) {
			/* a bad letter may stand inside a word, which optind has not passed yet */
			const char *word = argv[optind - 1];
			if (optopt && optopt < VAL_BASE)
				snprintf(why, size, "unknown option -%c", optopt);
			else
				snprintf(why, size, "unknown or ambiguous option %s", word);
			return -EINVAL;
		}
		if (set(o, optarg, why, size))
			return -EINVAL;
	}
	*ret_first = optind;
	return 0;
}

void opts_help(FILE *f, const struct opt *opts, size_t n)
{
	size_t width = 0;

	for (size_t i = 0; i < n; i++) {
		size_t w = strlen(opts[i].name) + (opts[i].value ? strlen(opts[i].value) + 1 : 0);
		width = w > width ? w : width;
	}
	for (size_t i = 0; i < n; i++) {
		const struct opt *o = &opts[i];
		int used = fprintf(f, o->letter ? "  -%c, " : "      ", o->letter);

		used += fprintf(f, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
		fprintf(f, "%*s%s\n", (int)width + 10 - used, "", o->help);
	}
}
