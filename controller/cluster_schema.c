/* SPDX-License-Identifier: Apache-2.0
 * Reads one JSON object by a table of rows. It owns nothing: values go where the caller's rows say, errors
 * into the caller's array. Pure. */
#include "controller/cluster_schema.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "proto/wire/msg.h"

void schema_error(json_t *errors, const char *pointer, const char *fmt, ...)
{
	char reason[512];
	size_t n = json_array_size(errors);
	va_list ap;

	if (n > SCHEMA_ERRORS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (n == SCHEMA_ERRORS_MAX) {
		pointer = "";
		snprintf(reason, sizeof(reason), "more errors than %d: correct these first",
			 SCHEMA_ERRORS_MAX);
	}
	/* vsnprintf may have cut a character of a quoted string in half */
	json_t *text = json_string(reason);
	if (!text)
		text = json_string("wrong, in a way that cannot be quoted here");
	json_t *where = json_string(pointer);
	if (!where)
		where = json_string("");
	json_array_append_new(errors, json_pack("{s:o, s:o}", "pointer", where, "reason", text));
}

bool schema_name_ok(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t n = strlen(name);

	return n > 0 && n < NAME_LEN && name[0] != '.' && name[0] != '-' && strspn(name, allowed) == n;
}

static const char *type_words(const json_t *v)
{
	static const char *const words[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
		[JSON_INTEGER] = "a number", [JSON_REAL] = "a number",	[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",	     [JSON_NULL] = "null",
	};

	return words[json_typeof(v)];
}

/* RFC 6901: '~' is ~0 and '/' is ~1. A long key is cut. */
static void pointer_add(char *out, const char *pointer, const char *key)
{
	size_t n = (size_t)snprintf(out, SCHEMA_POINTER_MAX, "%s/", pointer);

	for (; *key && n < SCHEMA_POINTER_MAX - 3; key++)
		if (*key == '~' || *key == '/') {
			out[n++] = '~';
			out[n++] = *key == '~' ? '0' : '1';
		} else {
			out[n++] = *key;
		}
	out[n] = 0;
}

static bool read_name(const struct field *f, json_t *v, const char *at, void *out, json_t *errors)
{
	const char *s = json_string_value(v);

	if (!s) {
		schema_error(errors, at, "is %s; a name in quotes is needed", type_words(v));
		return false;
	}
	if (!schema_name_ok(s)) {
		schema_error(
			errors, at,
			"not a name: 1 to %d letters, digits, '-', '_' or '.', not starting with '.' or '-'",
			NAME_LEN - 1);
		return false;
	}
	memcpy((char *)out + f->offset, s, strlen(s) + 1);
	return true;
}

static void write_number(const struct field *f, double x, void *out)
{
	void *to = (char *)out + f->offset;

	switch (f->type) {
	case FIELD_DOUBLE:
		*(double *)to = x;
		break;
	case FIELD_UINT:
		*(unsigned *)to = (unsigned)x;
		break;
	case FIELD_I64:
		*(int64_t *)to = (int64_t)x;
		break;
	case FIELD_U64:
		*(uint64_t *)to = (uint64_t)x;
		break;
	default:
		break;
	}
}

static bool read_number(const struct field *f, json_t *v, const char *at, void *out, json_t *errors)
{
	if (!json_is_number(v)) {
		schema_error(errors, at, "is %s; a number from %.15g to %.15g is needed", type_words(v),
			     f->min, f->max);
		return false;
	}
	double x = json_number_value(v);
	if (f->type != FIELD_DOUBLE && x != floor(x)) {
		schema_error(errors, at, "%.15g is not a whole number", x);
		return false;
	}
	if (!(x >= f->min && x <= f->max)) {
		schema_error(errors, at, "%.15g is out of range: %.15g to %.15g", x, f->min, f->max);
		return false;
	}
	write_number(f, x, out);
	return true;
}

static bool read_array(const struct field *f, json_t *v, const char *at, void *out, json_t *errors)
{
	if (!json_is_array(v)) {
		schema_error(errors, at, "is %s; a list is needed", type_words(v));
		return false;
	}
	size_t n = json_array_size(v);
	if (n < (size_t)f->min || n > (size_t)f->max) {
		schema_error(errors, at, "has %zu entries; %.0f to %.0f are possible", n, f->min, f->max);
		return false;
	}
	*(json_t **)(void *)((char *)out + f->offset) = v;
	return true;
}

static bool read_object(const struct field *f, json_t *v, const char *at, void *out, json_t *errors)
{
	if (!json_is_object(v)) {
		schema_error(errors, at, "is %s; an object is needed", type_words(v));
		return false;
	}
	*(json_t **)(void *)((char *)out + f->offset) = v;
	return true;
}

static bool (*const readers[])(const struct field *, json_t *, const char *, void *, json_t *) = {
	[FIELD_NAME] = read_name,     [FIELD_DOUBLE] = read_number, [FIELD_UINT] = read_number,
	[FIELD_I64] = read_number,    [FIELD_U64] = read_number,    [FIELD_ARRAY] = read_array,
	[FIELD_OBJECT] = read_object,
};

static const struct field *find_row(const struct field *rows, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].key, key) == 0)
			return &rows[i];
	return NULL;
}

static void unknown_key(const struct field *rows, size_t n, const char *at, json_t *errors)
{
	auto_buf known = { .max = 400 };

	for (size_t i = 0; i < n; i++)
		if (buf_addf(&known, "%s%s", i ? ", " : "", rows[i].key) != 0)
			break;
	schema_error(errors, at, "unknown key; known here: %s", known.data ? known.data : "none");
}

static bool read_missing(const struct field *f, const char *at, void *out, json_t *errors)
{
	if (f->missing == FIELD_REQUIRED) {
		schema_error(errors, at, "missing");
		return false;
	}
	if (f->missing == FIELD_DEFAULT)
		write_number(f, f->def, out);
	return true;
}

bool schema_read(json_t *obj, const char *pointer, const struct field *rows, size_t n, void *ret_out,
		 json_t *errors)
{
	char at[SCHEMA_POINTER_MAX];
	bool ok = true;
	const char *key;
	json_t *v;

	if (!json_is_object(obj)) {
		schema_error(errors, pointer, "is %s; an object is needed", type_words(obj));
		return false;
	}
	json_object_foreach(obj, key, v) {
		if (find_row(rows, n, key))
			continue;
		pointer_add(at, pointer, key);
		unknown_key(rows, n, at, errors);
		ok = false;
	}
	for (size_t i = 0; i < n; i++) {
		v = json_object_get(obj, rows[i].key);
		pointer_add(at, pointer, rows[i].key);
		if (!v)
			ok &= read_missing(&rows[i], at, ret_out, errors);
		else
			ok &= readers[rows[i].type](&rows[i], v, at, ret_out, errors);
	}
	return ok;
}
