/* SPDX-License-Identifier: Apache-2.0
 * Inside agent/sample only: what one source must offer. sample.c owns the saying of failures. */
#ifndef SAMPLE_SOURCE_H
#define SAMPLE_SOURCE_H
#include "proto/wire/msg.h"

struct source_cfg {
	const char *const *interfaces;
	size_t n_interfaces;
	const struct prefix *vips; /* sorted by prefix_cmp, no doubles */
	size_t n_vips;
};

struct source {
	const char *name;
	void *(*new)(const struct source_cfg *cfg); /* copies what it keeps of cfg */
	/* Writes its part of r, from memory where it cannot be read now. 0, or negative with ret_why
	 * (TEXT_LEN) saying it in the same words as long as the failure stays the same. */
	int (*take)(void *self, struct msg_report *r, char *ret_why);
	void (*free)(void *self, bool keep);
};
extern const struct source source_link, source_tcp, source_host, source_vip;

/* Text into ret_why; returns err. */
int source_fail(char *ret_why, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A whole file of /proc, at most 1 MiB. */
int source_read(const char *path, struct buf *ret_text);
#endif
