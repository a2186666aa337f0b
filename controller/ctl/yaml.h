/* SPDX-License-Identifier: Apache-2.0
 * One YAML 1.2 (or JSON, its subset) document to jansson values, by the core schema (YAML 1.2.2, 10.3):
 * plain null/true/false/integers/floats become those, everything else and everything quoted is a string.
 * Refused: anchors, aliases, tags, several documents, duplicate or non-scalar keys, infinities, integers
 * beyond 64 bits, and the plain words that YAML 1.1 readers take for booleans (yes, no, on, off).
 * Pure. */
#ifndef CTL_YAML_H
#define CTL_YAML_H
#include <jansson.h>

#define YAML_BYTES_MAX (8 * 1024 * 1024)
#define YAML_NODES_MAX (1024 * 1024)
#define YAML_DEPTH_MAX 64
#define YAML_WHY       256

/* 0, or ERR_MALFORMED / ERR_LIMIT with why (YAML_WHY bytes) starting "LINE:COLUMN: ". Empty text is null. */
int yaml_load(const char *text, size_t len, json_t **ret_value, char *ret_why);
/* Where the value that a JSON pointer (RFC 6901) names starts; for a missing member, where its nearest
 * existing parent starts. Lines and columns count from 1. 0, or -ENOENT when text does not parse so far. */
int yaml_locate(const char *text, size_t len, const char *pointer, size_t *ret_line, size_t *ret_col);
#endif
