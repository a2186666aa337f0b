/* SPDX-License-Identifier: Apache-2.0
 * What differs between two JSON documents. Lists whose items all have a unique "name" are compared by name,
 * their order does not count; other lists are compared as a whole. 1 and 1.0 are the same number. Pure. */
#ifndef CTRL_DIFF_H
#define CTRL_DIFF_H
#include <jansson.h>

/* An array of {"op": "add" | "remove" | "change", "path": "/sites/fra/nodes/fra2", "from": V, "to": V}.
 * path is a JSON pointer with names in place of positions; from is absent in add, to in remove. New
 * reference, never NULL. */
json_t *diff_documents(json_t *from, json_t *to);
#endif
