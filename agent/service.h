/* SPDX-License-Identifier: Apache-2.0
 * A service: its checks joined by "all", plus the hold-down before it counts as up again.
 * States: UNKNOWN -> UP | DOWN; UP -> DOWN at once when a check falls; DOWN -> HELD when all checks are up;
 * HELD -> UP after hold_down_ms, doubled (at most to 8 times its length) for each fall within ten hold-downs
 * of the last rise; HELD -> DOWN. The first decision after start takes no hold-down: a restarted agent must
 * not withdraw. */
#ifndef AGENT_SERVICE_H
#define AGENT_SERVICE_H
#include "agent/check/check.h"
#include "proto/base/mono.h"

enum service_status { SERVICE_UNKNOWN, SERVICE_UP, SERVICE_DOWN, SERVICE_HELD };

struct service_cfg {
	char *name;
	char **prefixes; /* text, as configured */
	unsigned prefixes_count;
	struct check_cfg *checks;
	unsigned checks_count;
	uint32_t hold_down_ms;
};

struct service;
typedef void (*service_changed_fn)(struct service *s, enum service_status from, enum service_status to,
				   const char *reason, void *arg);
struct service *service_new(uv_loop_t *loop, const struct service_cfg *cfg, service_changed_fn fn, void *arg);
enum service_status service_status(const struct service *s);
const char *service_status_str(enum service_status s);
void service_state(const struct service *s, struct service_state *ret_state);
const struct service_cfg *service_cfg(const struct service *s);
void service_free(struct service *s);

/* Pure: how long to hold this time. falls: falls within the window, this one included (>= 1). */
uint32_t service_hold_ms(uint32_t base_ms, unsigned falls);
#endif
