/* SPDX-License-Identifier: Apache-2.0
 * Errors as application/problem+json (RFC 9457): {"type", "title", "status", "detail"} and, when a document
 * was wrong, "errors": [{"pointer", "reason"}]. */
#ifndef API_PROBLEM_H
#define API_PROBLEM_H
#include <jansson.h>

#include "controller/api/http.h"

struct response problem(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* errors: borrowed, may be NULL. */
struct response problem_errors(int status, const char *detail, json_t *errors);
#endif
