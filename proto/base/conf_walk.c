/* SPDX-License-Identifier: Apache-2.0
 * libyaml's events beside the schema, by recursive descent: the schema bounds the depth, for what is not in
 * it is refused where it begins. What is left to libcyaml: how long, how many, how large, and what is
 * missing. */
#include "proto/base/conf_walk.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "proto/base/err.h"

struct walk {
	yaml_parser_t parser;
	char *why;
	size_t size;
};

static int value(struct walk *w, const yaml_event_t *ev, const cyaml_schema_value_t *schema, const char *key);

static int __attribute__((format(printf, 3, 4)))
fail(struct walk *w, const yaml_mark_t *at, const char *fmt, ...)
{
	int n = snprintf(w->why, w->size, "line %zu, column %zu: ", at->line + 1, at->column + 1);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->why + n, w->size - (size_t)n, fmt, ap);
	va_end(ap);
	for (char *c = w->why; *c; c++) /* a key may hold an escape sequence, or a line's end */
		*c = (unsigned char)*c < ' ' ? '?' : *c;
	return ERR_CONFIG;
}

static int next(struct walk *w, yaml_event_t *ret_ev)
{
	yaml_parser_t *p = &w->parser;

	if (yaml_parser_parse(p, ret_ev))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		abort();
	if (p->error == YAML_READER_ERROR)
		return fail(w, &p->mark, "%s (byte %zu)", p->problem, p->problem_offset);
	return fail(w, &p->problem_mark, "%s%s%s", p->context ? p->context : "", p->context ? ": " : "",
		    p->problem ? p->problem : "not YAML");
}

/* -- scalars ------------------------------------------------------------------------------------------ */

static bool one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (!strcasecmp(s, *words))
			return true;
	return false;
}

static int number(struct walk *w, const yaml_event_t *ev, const cyaml_schema_value_t *schema, const char *key)
{
	const char *s = (const char *)ev->data.scalar.value;

	if (!*s || s[strspn(s, "0123456789")])
		return fail(w, &ev->start_mark,
			    "%s: \"%.40s\" is not a whole number: digits only, the unit is in the key", key,
			    s);
	if (*s == '0' && s[1])
		return fail(w, &ev->start_mark, "%s: \"%.40s\" starts with 0: is it octal?", key, s);
	if (*s == '0' && schema->string.min)
		return fail(w, &ev->start_mark, "%s: 0 is not possible: leave it out for the default", key);
	return 0;
}

/* The words that libcyaml reads as false, and their counterparts. */
static int truth(struct walk *w, const yaml_event_t *ev, const char *key)
{
	static const char *const words[] = { "true", "yes", "on",      "enable", "1", "false",
					     "no",   "off", "disable", "0",	 NULL };
	const char *s = (const char *)ev->data.scalar.value;

	return one_of(s, words) ? 0
				: fail(w, &ev->start_mark, "%s: \"%.40s\" is neither true nor false", key, s);
}

static int scalar(struct walk *w, const yaml_event_t *ev, const cyaml_schema_value_t *schema, const char *key)
{
	const char *s = (const char *)ev->data.scalar.value;

	if (strlen(s) != ev->data.scalar.length)
		return fail(w, &ev->start_mark, "%s: text with a NUL character", key);
	if (!*s && ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return fail(w, &ev->start_mark, "%s: no value: leave the key out for the default", key);
	return schema->type == CYAML_UINT   ? number(w, ev, schema, key)
	       : schema->type == CYAML_BOOL ? truth(w, ev, key)
					    : 0;
}

/* -- collections -------------------------------------------------------------------------------------- */

static int sequence(struct walk *w, const cyaml_schema_value_t *entry, const char *key)
{
	yaml_event_t ev;
	int err;

	while (!(err = next(w, &ev))) {
		bool end = ev.type == YAML_SEQUENCE_END_EVENT;
		err = end ? 0 : value(w, &ev, entry, key);
		yaml_event_delete(&ev);
		if (end || err)
			break;
	}
	return err;
}

static int member(struct walk *w, const yaml_event_t *key, const cyaml_schema_field_t *fields, uint64_t *seen)
{
	const char *name = (const char *)key->data.scalar.value;
	const cyaml_schema_field_t *f = fields;
	yaml_event_t ev;

	if (key->type != YAML_SCALAR_EVENT)
		return fail(w, &key->start_mark, "a key must be plain text");
	while (f->key && (strcmp(f->key, name) || strlen(name) != key->data.scalar.length))
		f++;
	if (!f->key)
		return fail(w, &key->start_mark, "Unexpected key: %.60s", name);
	if (*seen & UINT64_C(1) << (f - fields))
		return fail(w, &key->start_mark, "%s: this key is there twice", name);
	*seen |= UINT64_C(1) << (f - fields);
	int err = next(w, &ev);
	if (err)
		return err;
	err = value(w, &ev, &f->value, name);
	yaml_event_delete(&ev);
	return err;
}

static int mapping(struct walk *w, const cyaml_schema_field_t *fields)
{
	uint64_t seen = 0; /* by row: no table is that long */
	yaml_event_t key;
	int err;

	while (!(err = next(w, &key))) {
		bool end = key.type == YAML_MAPPING_END_EVENT;
		err = end ? 0 : member(w, &key, fields, &seen);
		yaml_event_delete(&key);
		if (end || err)
			break;
	}
	return err;
}

static bool has_anchor_or_tag(const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		return true;
	case YAML_SCALAR_EVENT:
		return ev->data.scalar.anchor || ev->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return ev->data.sequence_start.anchor || ev->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return ev->data.mapping_start.anchor || ev->data.mapping_start.tag;
	default:
		return false;
	}
}

static int value(struct walk *w, const yaml_event_t *ev, const cyaml_schema_value_t *schema, const char *key)
{
	bool list = schema->type == CYAML_SEQUENCE, map = schema->type == CYAML_MAPPING;
	yaml_event_type_t wanted = list	 ? YAML_SEQUENCE_START_EVENT
				   : map ? YAML_MAPPING_START_EVENT
					 : YAML_SCALAR_EVENT;

	if (has_anchor_or_tag(ev))
		return fail(w, &ev->start_mark,
			    "anchors (&), aliases (*) and tags (!) are not taken here; quote the text if it "
			    "starts so");
	if (ev->type != wanted)
		return fail(w, &ev->start_mark, "%s: %s is needed here", key,
			    list  ? "a list"
			    : map ? "a mapping (key: value)"
				  : "a single value");
	return list  ? sequence(w, schema->sequence.entry, key)
	       : map ? mapping(w, schema->mapping.fields)
		     : scalar(w, ev, schema, key);
}

/* -- the document ------------------------------------------------------------------------------------- */

static int document(struct walk *w, const cyaml_schema_value_t *schema)
{
	bool more = true, had = false;
	yaml_event_t ev;
	int err;

	while (more && !(err = next(w, &ev))) {
		switch (ev.type) {
		case YAML_STREAM_END_EVENT:
			more = false;
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (had)
				err = fail(w, &ev.start_mark, "a second document: one file holds one");
			had = true;
			break;
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		default:
			err = value(w, &ev, schema, "the file");
		}
		yaml_event_delete(&ev);
		if (err)
			return err;
	}
	return err;
}

int conf_walk(const char *text, size_t len, const cyaml_schema_value_t *schema, char *ret_why, size_t size)
{
	struct walk w = { .why = ret_why, .size = size };

	if (!yaml_parser_initialize(&w.parser))
		abort();
	yaml_parser_set_input_string(&w.parser, (const unsigned char *)text, len);
	int err = document(&w, schema);
	yaml_parser_delete(&w.parser);
	return err;
}
