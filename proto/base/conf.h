/* SPDX-License-Identifier: Apache-2.0
 * Configuration files: YAML to structs by libcyaml schema rows. Unknown keys, wrong types and missing keys
 * are refused with line and column. Also checks that a file exists and can be read, in words. */
#ifndef BASE_CONF_H
#define BASE_CONF_H
#include <cyaml/cyaml.h>

#include "proto/base/mem.h"

#define CONF_WHY_LEN 1024

/* 0, or ERR_CONFIG / -errno with *ret_why (CONF_WHY_LEN): "agent.yaml: line 7, column 3: ... ". */
int conf_load(const char *path, const cyaml_schema_value_t *schema, void **ret_data, char *ret_why);
void conf_free(const cyaml_schema_value_t *schema, void *data);
/* The canonical form, defaults filled in by the caller beforehand. */
int conf_print(const cyaml_schema_value_t *schema, const void *data, struct buf *out);
#endif
