/* SPDX-License-Identifier: Apache-2.0
 * What a probe found, for people, for programs and for Prometheus. */
#ifndef CTL_PROBE_VIEW_H
#define CTL_PROBE_VIEW_H
#include <jansson.h>

#include "controller/ctl/output.h"
#include "controller/ctl/probe_stats.h"
#include "proto/base/mem.h"

/* One sentence, without time and target. buf: any size. */
void probe_event_text(const struct probe_event *e, char *buf, size_t size);
/* {"event": "outage.start" | "outage.end" | "switch", "from", "to", "gap_ms", "lost", "error"}. New
 * reference. */
json_t *probe_event_json(const struct probe_event *e);
/* {"target", "sent", "lost", "loss", "answered_by": [...], "outages", "longest_outage_ms", "switches",
 * "longest_switch_ms", "error"}. New reference. */
json_t *probe_json(const char *target, const struct probe_stats *s);
/* One line, as it stands. */
void probe_line(const struct out *o, const char *target, const struct probe_stats *s);
/* The table at the end. */
void probe_summary(const struct out *o, const char *target, const struct probe_stats *s);
/* Appends metrics in the text format, all targets. */
void probe_metrics(const char *const *targets, const struct probe_stats *s, size_t n, struct buf *out);
#endif
