/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/diff.h"

#include <stdbool.h>
#include <string.h>

#include "proto/base/mem.h"

static void compare(json_t *out, const char *path, json_t *from, json_t *to);

static char *join(const char *path, const char *member)
{
	auto_buf b = { 0 };

	buf_addf(&b, "%s/", path);
	for (; *member; member++) {
		if (*member == '~' || *member == '/')
			buf_adds(&b, *member == '~' ? "~0" : "~1");
		else
			buf_add(&b, member, 1);
	}
	return xstrdup(b.data);
}

static void note(json_t *out, const char *op, const char *path, json_t *from, json_t *to)
{
	json_t *change = json_pack("{s:s, s:s}", "op", op, "path", path);

	if (from)
		json_object_set(change, "from", from);
	if (to)
		json_object_set(change, "to", to);
	json_array_append_new(out, change);
}

/* name -> item, or NULL when the list is not one of uniquely named objects. New reference. */
static json_t *by_name(json_t *list)
{
	json_auto_t *map = json_object();
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		const char *name = json_string_value(json_object_get(item, "name"));
		if (!name || json_object_get(map, name))
			return NULL;
		json_object_set(map, name, item);
	}
	return json_incref(map);
}

static void compare_maps(json_t *out, const char *path, json_t *from, json_t *to)
{
	const char *key;
	json_t *v;

	json_object_foreach(from, key, v) {
		auto_free char *member = join(path, key);
		json_t *other = json_object_get(to, key);
		if (other)
			compare(out, member, v, other);
		else
			note(out, "remove", member, v, NULL);
	}
	json_object_foreach(to, key, v) {
		auto_free char *member = join(path, key);
		if (!json_object_get(from, key))
			note(out, "add", member, NULL, v);
	}
}

static void compare(json_t *out, const char *path, json_t *from, json_t *to)
{
	if (json_is_object(from) && json_is_object(to)) {
		compare_maps(out, path, from, to);
		return;
	}
	if (json_is_array(from) && json_is_array(to)) {
		json_auto_t *a = by_name(from), *b = by_name(to);
		if (a && b) {
			compare_maps(out, path, a, b);
			return;
		}
	}
	if (json_is_number(from) && json_is_number(to) && json_is_integer(from) != json_is_integer(to)) {
		if (json_number_value(from) == json_number_value(to))
			return;
	} else if (json_equal(from, to)) {
		return;
	}
	note(out, "change", path, from, to);
}

json_t *diff_documents(json_t *from, json_t *to)
{
	json_t *out = json_array();

	compare(out, "", from, to);
	return out;
}
