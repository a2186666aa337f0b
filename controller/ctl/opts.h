/* SPDX-License-Identifier: Apache-2.0
 * Command line options as rows: parsed by getopt_long, printed by --help. */
#ifndef CTL_OPTS_H
#define CTL_OPTS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OPTS_MAX     24
#define OPT_LIST_MAX 16

struct opt_list {
	const char *v[OPT_LIST_MAX]; /* points into argv */
	size_t n;
};

enum opt_kind {
	OPT_FLAG,    /* bool */
	OPT_STR,     /* const char *, points into argv */
	OPT_UINT,    /* uint64_t */
	OPT_LIST,    /* struct opt_list: may be given more than once */
	OPT_SECONDS, /* int64_t, from "90s", "30m", "1h30m", "2d" */
};

struct opt {
	char letter; /* 0: none */
	const char *name, *value, *help;
	enum opt_kind kind;
	void *dest;
};

/* stop_early: the first argument ends the options. 0 with *ret_first the index of the first argument
 * (argv is permuted), or -EINVAL with the reason in why (size bytes). At most OPTS_MAX rows. */
int opts_parse(const struct opt *opts, size_t n, int argc, char **argv, bool stop_early, int *ret_first,
	       char *why, size_t size);
/* One aligned line each. */
void opts_help(FILE *f, const struct opt *opts, size_t n);
#endif
