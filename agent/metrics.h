/* SPDX-License-Identifier: Apache-2.0
 * Status as Prometheus text. Pure, but for metrics_write. */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H
#include <jansson.h>

#include "proto/base/mem.h"

/* status: what node_status() gives. */
void metrics_text(const json_t *status, struct buf *out);
/* The node exporter's textfile collector reads it: beside and renamed. 0 or -errno. */
int metrics_write(const char *path, const json_t *status);
#endif
