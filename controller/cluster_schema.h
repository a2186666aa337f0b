/* SPDX-License-Identifier: Apache-2.0
 * JSON objects read by schema rows: one row per key says type, range, default and where the value goes.
 * Everything wrong is reported at once as {"pointer": RFC 6901, "reason": a sentence}; unknown keys are
 * wrong. Pure. */
#ifndef CTRL_CLUSTER_SCHEMA_H
#define CTRL_CLUSTER_SCHEMA_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define SCHEMA_ERRORS_MAX  100 /* further ones are counted out, not listed */
#define SCHEMA_POINTER_MAX 256

enum field_type {
	FIELD_NAME,   /* char[NAME_LEN]: letters, digits, '-', '_', '.' */
	FIELD_DOUBLE, /* double */
	FIELD_UINT,   /* unsigned */
	FIELD_I64,    /* int64_t */
	FIELD_U64,    /* uint64_t; up to 2^53 as JSON has it */
	FIELD_ARRAY,  /* json_t *, borrowed; min and max are its length */
	FIELD_OBJECT, /* json_t *, borrowed */
};

enum field_missing {
	FIELD_REQUIRED,
	FIELD_DEFAULT, /* def is written */
	FIELD_KEEP,    /* what is there stays */
};

struct field {
	const char *key;
	enum field_type type;
	enum field_missing missing;
	double min, max, def;
	size_t offset;
};

/* false when anything in obj was wrong; the fields that were right are written all the same. */
bool schema_read(json_t *obj, const char *pointer, const struct field *rows, size_t n, void *ret_out,
		 json_t *errors);
void schema_error(json_t *errors, const char *pointer, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
bool schema_name_ok(const char *name);
#endif
