/* SPDX-License-Identifier: Apache-2.0
 * Other tools' configurations -> agent.yaml. Readers fill struct imported; what has no counterpart is a note.
 * Pure, but for command_import(). */
#ifndef AGENT_IMPORT_H
#define AGENT_IMPORT_H
#include <stdbool.h>

#include "proto/base/mem.h"

#define IMPORT_SERVICES_MAX 64
#define IMPORT_WORDS_MAX    128

struct words {
	char *w[IMPORT_WORDS_MAX]; /* heap */
	size_t n, left_out;	   /* left_out: what did not fit */
};

/* one state's attributes; -1: not said */
struct imported_attrs {
	long med, prepends;
	struct words communities;
};

struct imported_service {
	char *name, *command, *disable_file, *interface;
	struct words prefixes, communities, extcommunities;
	struct imported_attrs state[3]; /* up, down, disabled */
	struct words hooks[3];
	double interval_s, fast_interval_s, timeout_s;
	long rise, fall, increase, local_pref;
	bool degrade_down, degrade_disabled, dynamic, setup, keep_on_stop;
};

struct imported {
	struct imported_service services[IMPORT_SERVICES_MAX];
	size_t n;
	struct words notes; /* what was not mapped, a sentence each */
};

/* text: of an exabgp.conf (process { run ... healthcheck ... }) or of a healthcheck's own file (key = value).
 */
void import_exabgp(const char *text, struct imported *ret);
/* text: of an anycast-healthchecker.conf (INI). */
void import_ahc(const char *text, struct imported *ret);
/* Which of both it looks like. */
bool import_is_ahc(const char *text);
/* The agent.yaml. */
void import_print(const struct imported *in, struct buf *out);
void imported_done(struct imported *in);

void words_add(struct words *w, const char *text);
/* Splits like a shell does: blanks, quotes, backslashes. */
void words_split(struct words *w, const char *text);
void import_note(struct imported *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A new one with nothing said, or NULL (noted) when there are too many. */
struct imported_service *import_service(struct imported *in, const char *name);
/* Replaces *to. */
void import_set(char **to, const char *text);
#endif
