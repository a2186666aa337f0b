/* SPDX-License-Identifier: Apache-2.0
 * Log lines to stderr: "LEVEL text". With log_init(.., journal=true) each line carries the <N> prefix
 * that systemd-journald reads as a priority. A failure is logged exactly once, where it is handled.
 * Pure code (controller/steer, agent/frr/command and parse) never logs. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* name: shown in front of each line (static storage). */
void log_init(const char *name, enum log_level min, bool journal);
/* "debug", "info", "warn", "error"; -EINVAL otherwise. */
int log_level_parse(const char *s, enum log_level *ret_level);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#endif
