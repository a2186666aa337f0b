/* SPDX-License-Identifier: Apache-2.0
 * Configuration files: YAML to structs by libcyaml schema rows. Unknown keys, wrong types, missing keys
 * and what conf_walk.h lists are refused with line and column; a file that cannot be read, in words. */
#ifndef BASE_CONF_H
#define BASE_CONF_H
#include <cyaml/cyaml.h>

#include "proto/base/mem.h"

#define CONF_WHY_LEN	1024
#define CONF_BYTES_MAX	(4 * 1024 * 1024)
#define CONF_BYTES_TEXT "4 MiB"

/* 0, or ERR_CONFIG / ERR_LIMIT / -errno with *ret_why (CONF_WHY_LEN): "agent.yaml: line 7, column 3: ... ".
 */
int conf_load(const char *path, const cyaml_schema_value_t *schema, void **ret_data, char *ret_why);
void conf_free(const cyaml_schema_value_t *schema, void *data);
/* The canonical form, defaults filled in by the caller beforehand. */
int conf_print(const cyaml_schema_value_t *schema, const void *data, struct buf *out);
#endif
