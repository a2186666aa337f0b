/* SPDX-License-Identifier: Apache-2.0
 * libyaml's events to jansson values by recursive descent. The depth limit is what bounds the recursion, the
 * node limit what bounds memory. One walk serves both loading and locating: `want` is the rest of a JSON
 * pointer while the walk is on its path, else NULL. */
#include "controller/ctl/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

struct walk {
	yaml_parser_t parser;
	size_t depth, nodes;
	yaml_mark_t found; /* the deepest node so far on the wanted path */
	bool have_found;
	char *why; /* YAML_WHY bytes */
};

static int value(struct walk *w, const yaml_event_t *ev, const char *want, json_t **ret);

static int __attribute__((format(printf, 4, 5)))
fail(struct walk *w, int err, yaml_mark_t at, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(w->why, YAML_WHY, "%zu:%zu: ", at.line + 1, at.column + 1);

	va_start(ap, fmt);
	vsnprintf(w->why + n, YAML_WHY - (size_t)n, fmt, ap);
	va_end(ap);
	return err;
}

static int next(struct walk *w, yaml_event_t *ret_ev)
{
	yaml_parser_t *p = &w->parser;

	if (yaml_parser_parse(p, ret_ev))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		abort();
	if (p->error == YAML_READER_ERROR)
		return fail(w, ERR_MALFORMED, p->mark, "%s (byte %zu)", p->problem, p->problem_offset);
	return fail(w, ERR_MALFORMED, p->problem_mark, "%s%s%s", p->context ? p->context : "",
		    p->context ? ": " : "", p->problem ? p->problem : "not YAML");
}

/* -- scalars ------------------------------------------------------------------------------------------ */

static bool one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(s, *words))
			return true;
	return false;
}

static const char *digits(const char *s, const char *set)
{
	return s + strspn(s, set);
}

/* [-+]? [0-9]+ | 0o [0-7]+ | 0x [0-9a-fA-F]+ */
static bool is_int(const char *s, int *ret_base, const char **ret_digits)
{
	const char *set = "0123456789";

	*ret_base = 10;
	*ret_digits = s;
	if (s[0] == '0' && (s[1] == 'o' || s[1] == 'x')) {
		*ret_base = s[1] == 'o' ? 8 : 16;
		set = s[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF";
		s += 2;
		*ret_digits = s;
	} else if (*s == '-' || *s == '+') {
		s++;
	}
	return *s && !*digits(s, set);
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(const char *s)
{
	const char *dec = "0123456789", *end;
	bool some;

	s += *s == '-' || *s == '+';
	end = digits(s, dec);
	some = end > s;
	if (*end == '.') {
		s = end + 1;
		end = digits(s, dec);
		some = some || end > s;
	}
	if (!some)
		return false;
	if (*end != 'e' && *end != 'E')
		return !*end;
	s = end + 1;
	s += *s == '-' || *s == '+';
	end = digits(s, dec);
	return end > s && !*end;
}

static bool is_infinite_word(const char *s)
{
	static const char *const words[] = { ".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL };

	return one_of(s + (*s == '-' || *s == '+'), words);
}

static int number(struct walk *w, yaml_mark_t at, const char *s, json_t **ret)
{
	const char *start;
	int base;

	errno = 0;
	if (is_int(s, &base, &start)) {
		long long v = strtoll(start, NULL, base);
		if (errno)
			return fail(w, ERR_MALFORMED, at, "the number %.40s does not fit 64 bits", s);
		*ret = json_integer(v);
		return 0;
	}
	double d = strtod(s, NULL);
	if (!isfinite(d))
		return fail(w, ERR_MALFORMED, at, "the number %.40s is too large", s);
	*ret = json_real(d);
	return 0;
}

static int plain(struct walk *w, yaml_mark_t at, const char *s, json_t **ret)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "true", "True", "TRUE", NULL };
	static const char *const falses[] = { "false", "False", "FALSE", NULL };
	static const char *const unclear[] = { "yes", "Yes", "YES", "no",  "No",  "NO", "on",
					       "On",  "ON",  "off", "Off", "OFF", NULL };
	const char *ignored;
	int base;

	if (one_of(s, nulls))
		*ret = json_null();
	else if (one_of(s, trues))
		*ret = json_true();
	else if (one_of(s, falses))
		*ret = json_false();
	else if (one_of(s, unclear))
		return fail(w, ERR_MALFORMED, at, "'%s' is unclear: write true or false, or quote it", s);
	else if (is_infinite_word(s))
		return fail(w, ERR_MALFORMED, at, "'%s' is not a number we can use", s);
	else if (is_int(s, &base, &ignored) || is_float(s))
		return number(w, at, s, ret);
	else
		*ret = json_string(s);
	return 0;
}

static int scalar_text(struct walk *w, const yaml_event_t *ev, const char **ret)
{
	const char *s = (const char *)ev->data.scalar.value;

	if (strlen(s) != ev->data.scalar.length)
		return fail(w, ERR_MALFORMED, ev->start_mark, "text with a NUL character");
	*ret = s;
	return 0;
}

static int scalar(struct walk *w, const yaml_event_t *ev, json_t **ret)
{
	const char *s = NULL;
	int err = scalar_text(w, ev, &s);

	if (err)
		return err;
	if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return plain(w, ev->start_mark, s, ret);
	*ret = json_string(s);
	return *ret ? 0 : fail(w, ERR_MALFORMED, ev->start_mark, "text that is not UTF-8");
}

/* -- the path of a JSON pointer ----------------------------------------------------------------------- */

/* The rest of the pointer behind this member, or NULL when the path does not go through it. */
static const char *descend(const char *want, const char *member)
{
	if (!want || *want++ != '/')
		return NULL;
	for (; *member; member++, want++) {
		if (*member == '~' || *member == '/') {
			if (want[0] != '~' || want[1] != (*member == '~' ? '0' : '1'))
				return NULL;
			want++;
		} else if (*want != *member) {
			return NULL;
		}
	}
	return *want == '/' || !*want ? want : NULL;
}

static const char *descend_index(const char *want, size_t index)
{
	char member[24];

	snprintf(member, sizeof(member), "%zu", index);
	return descend(want, member);
}

/* -- collections -------------------------------------------------------------------------------------- */

static int sequence(struct walk *w, const char *want, json_t **ret)
{
	json_auto_t *list = json_array();

	for (size_t i = 0;; i++) {
		yaml_event_t ev;
		json_t *item = NULL;
		int err = next(w, &ev);

		if (err)
			return err;
		bool end = ev.type == YAML_SEQUENCE_END_EVENT;
		if (!end)
			err = value(w, &ev, descend_index(want, i), &item);
		yaml_event_delete(&ev);
		if (err)
			return err;
		if (end)
			break;
		json_array_append_new(list, item);
	}
	*ret = json_incref(list);
	return 0;
}

static int member(struct walk *w, const yaml_event_t *key_ev, const char *want, json_t *map)
{
	const char *key = NULL;
	json_t *item = NULL;
	yaml_event_t ev;
	int err;

	if (key_ev->type != YAML_SCALAR_EVENT)
		return fail(w, ERR_MALFORMED, key_ev->start_mark, "a key must be plain text");
	if (key_ev->data.scalar.anchor || key_ev->data.scalar.tag)
		return fail(w, ERR_MALFORMED, key_ev->start_mark, "anchors and tags are not taken here");
	err = scalar_text(w, key_ev, &key);
	if (err)
		return err;
	if (json_object_get(map, key))
		return fail(w, ERR_MALFORMED, key_ev->start_mark, "the key '%.60s' appears twice", key);
	err = next(w, &ev);
	if (err)
		return err;
	err = value(w, &ev, descend(want, key), &item);
	yaml_event_delete(&ev);
	if (err)
		return err;
	if (json_object_set_new(map, key, item))
		return fail(w, ERR_MALFORMED, key_ev->start_mark, "a key that is not UTF-8");
	return 0;
}

static int mapping(struct walk *w, const char *want, json_t **ret)
{
	json_auto_t *map = json_object();

	for (;;) {
		yaml_event_t key;
		int err = next(w, &key);

		if (err)
			return err;
		bool end = key.type == YAML_MAPPING_END_EVENT;
		if (!end)
			err = member(w, &key, want, map);
		yaml_event_delete(&key);
		if (err)
			return err;
		if (end)
			break;
	}
	*ret = json_incref(map);
	return 0;
}

static bool has_anchor_or_tag(const yaml_event_t *ev)
{
	switch (ev->type) {
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

static int collection(struct walk *w, const yaml_event_t *ev, const char *want, json_t **ret)
{
	int err;

	if (w->depth == YAML_DEPTH_MAX)
		return fail(w, ERR_LIMIT, ev->start_mark, "nested deeper than %d", YAML_DEPTH_MAX);
	w->depth++;
	err = ev->type == YAML_SEQUENCE_START_EVENT ? sequence(w, want, ret) : mapping(w, want, ret);
	w->depth--;
	return err;
}

static int value(struct walk *w, const yaml_event_t *ev, const char *want, json_t **ret)
{
	if (++w->nodes > YAML_NODES_MAX)
		return fail(w, ERR_LIMIT, ev->start_mark, "more than %d values", YAML_NODES_MAX);
	if (ev->type == YAML_ALIAS_EVENT || has_anchor_or_tag(ev))
		return fail(w, ERR_MALFORMED, ev->start_mark,
			    "anchors (&), aliases (*) and tags (!) are not taken here; quote the text if it "
			    "starts so");
	if (want) {
		w->found = ev->start_mark;
		w->have_found = true;
	}
	if (ev->type == YAML_SCALAR_EVENT)
		return scalar(w, ev, ret);
	return collection(w, ev, want, ret);
}

/* -- the document ------------------------------------------------------------------------------------- */

/* The event after the one document must be the stream's end. */
static int document_end(struct walk *w)
{
	yaml_event_t ev;
	int err;

	while (!(err = next(w, &ev))) {
		yaml_event_type_t type = ev.type;
		yaml_mark_t at = ev.start_mark;

		yaml_event_delete(&ev);
		if (type == YAML_STREAM_END_EVENT)
			return 0;
		if (type != YAML_DOCUMENT_END_EVENT)
			return fail(w, ERR_MALFORMED, at, "a second document: one file holds one");
	}
	return err;
}

static int document(struct walk *w, const char *want, json_t **ret)
{
	yaml_event_t ev;
	int err;

	*ret = NULL;
	while (!(err = next(w, &ev))) {
		yaml_event_type_t type = ev.type;
		bool skip = type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT;

		if (type == YAML_STREAM_END_EVENT)
			*ret = json_null();
		else if (!skip)
			err = value(w, &ev, want, ret);
		yaml_event_delete(&ev);
		if (!skip)
			return err || type == YAML_STREAM_END_EVENT ? err : document_end(w);
	}
	return err;
}

static int walk(const char *text, size_t len, const char *want, json_t **ret_value, yaml_mark_t *ret_found,
		char *ret_why)
{
	struct walk w = { .why = ret_why };
	json_t *v = NULL;
	int err;

	if (len > YAML_BYTES_MAX)
		return fail(&w, ERR_LIMIT, (yaml_mark_t){ 0 }, "larger than %d MiB", YAML_BYTES_MAX >> 20);
	if (!yaml_parser_initialize(&w.parser))
		abort();
	yaml_parser_set_encoding(&w.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&w.parser, (const unsigned char *)text, len);
	err = document(&w, want, &v);
	yaml_parser_delete(&w.parser);
	*ret_found = w.found;
	if (want && !w.have_found)
		err = -ENOENT;
	if (err || !ret_value) {
		json_decref(v);
		return err;
	}
	*ret_value = v;
	return 0;
}

/* -- JSON as programs write it -------------------------------------------------------------------------- */

static bool within_limits(json_t *v, size_t depth, size_t *nodes)
{
	const char *key;
	json_t *item;
	size_t i;

	depth += json_is_array(v) || json_is_object(v);
	if (++*nodes > YAML_NODES_MAX || depth > YAML_DEPTH_MAX)
		return false;
	json_array_foreach(v, i, item)
		if (!within_limits(item, depth, nodes))
			return false;
	json_object_foreach(v, key, item)
		if (!within_limits(item, depth, nodes))
			return false;
	return true;
}

/* libyaml takes nearly all of JSON, but not surrogate pairs or keys beyond 1024 bytes: so text that is wholly
 * JSON goes to jansson. NULL: not JSON, or beyond the limits; YAML then says what is wrong, and where. */
static json_t *as_json(const char *text, size_t len)
{
	size_t at = 0, nodes = 0;

	while (at < len && strchr(" \t\r\n", text[at]) && text[at])
		at++;
	if (at == len || (text[at] != '{' && text[at] != '['))
		return NULL;
	json_auto_t *v = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	return v && within_limits(v, 0, &nodes) ? json_incref(v) : NULL;
}

int yaml_load(const char *text, size_t len, json_t **ret_value, char *ret_why)
{
	json_t *v = len <= YAML_BYTES_MAX ? as_json(text, len) : NULL;
	yaml_mark_t ignored;

	if (v) {
		*ret_value = v;
		return 0;
	}

	return walk(text, len, NULL, ret_value, &ignored, ret_why);
}

int yaml_locate(const char *text, size_t len, const char *pointer, size_t *ret_line, size_t *ret_col)
{
	char why[YAML_WHY];
	yaml_mark_t at;

	if (walk(text, len, pointer, NULL, &at, why))
		return -ENOENT;
	*ret_line = at.line + 1;
	*ret_col = at.column + 1;
	return 0;
}
