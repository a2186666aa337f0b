/* SPDX-License-Identifier: Apache-2.0
 * What libcyaml takes in silence, refused with its true line and column: numbers with something after them
 * ("10s" would be 10) or with a leading zero (octal), words that are neither true nor false (they would be
 * true), empty values, keys that are there twice or are not known, text with a NUL in it (it would end
 * there), anchors, aliases, tags, and a second document (it would be left out). Pure. */
#ifndef BASE_CONF_WALK_H
#define BASE_CONF_WALK_H
#include <cyaml/cyaml.h>

/* A number of which 0 would be read as "not given": then its default would be taken, unseen. */
#define CONF_UINT_NOT_0(field_key, structure, member)                                                        \
	{                                                                                                    \
		.key = field_key, .data_offset = offsetof(structure, member), .value = {                     \
			.type = CYAML_UINT,                                                                  \
			.flags = CYAML_FLAG_OPTIONAL,                                                        \
			.data_size = sizeof(((structure *)NULL)->member),                                    \
			.string = { .min = 1 }, /* no part of a number's schema to libcyaml */               \
		}                                                                                            \
	}

/* 0, or ERR_CONFIG with "line 7, column 3: ..." in ret_why. An empty text is no error here. */
int conf_walk(const char *text, size_t len, const cyaml_schema_value_t *schema, char *ret_why, size_t size);
#endif
