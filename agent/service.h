/* SPDX-License-Identifier: Apache-2.0
 * A service: its checks joined by all, any or a quorum, plus the hold-down before it counts as up again.
 * States: UNKNOWN -> UP | DOWN; UP -> DOWN at once when the join fails; DOWN -> HELD when it holds again;
 * HELD -> UP after hold_down_ms without one bad result, doubled (at most to 8 times its length) for each fall
 * while HELD or within ten hold-downs of the last rise; HELD -> DOWN. While HELD the checks look at their
 * fast interval: what flaps as fast as they look must not pass by chance. The first decision after start
 * takes no hold-down: a restarted agent must not withdraw. Disabled by the operator it counts as DOWN
 * whatever the checks say; they go on, so enabling it needs no wait. */
#ifndef AGENT_SERVICE_H
#define AGENT_SERVICE_H
#include "agent/announce.h"
#include "agent/check/check.h"
#include "proto/base/mono.h"

enum service_status { SERVICE_UNKNOWN, SERVICE_UP, SERVICE_DOWN, SERVICE_HELD };

/* names of commands, or NULL */
struct hooks_cfg {
	char *up, *down, *disabled;
};

struct vip_cfg {
	char *interface; /* "lo", or one to be made: */
	bool create;	 /* a dummy interface */
	bool dynamic;	 /* removed while the service is withdrawn */
};

struct service_cfg {
	char *name;
	char **prefixes; /* text, as configured */
	unsigned prefixes_count;
	struct check_cfg *checks;
	unsigned checks_count;
	uint32_t hold_down_ms;
	char *join;	 /* "all" (NULL too), "any", "quorum" */
	uint32_t quorum; /* so many checks, with "quorum" */
	struct announce_cfg announce;
	char **addresses; /* VIPs to put on vip.interface */
	unsigned addresses_count;
	struct vip_cfg *vip;
	char *disable_file;
	struct hooks_cfg *hooks;
	char *on_stop, *on_agent_loss; /* "keep", "withdraw" */
};

struct service;
typedef void (*service_changed_fn)(struct service *s, enum service_status from, enum service_status to,
				   const char *reason, void *arg);
/* cfg must outlive the service. */
struct service *service_new(uv_loop_t *loop, const struct service_cfg *cfg, service_changed_fn fn, void *arg);
/* Goes on under another configuration: checks that are the same keep their state, and so does the service. */
void service_reload(struct service *s, const struct service_cfg *cfg);
/* NULL: enabled. fn is called when that changes service_status(). */
void service_disable(struct service *s, const char *reason);
/* Why it is disabled, or NULL. */
const char *service_disabled(const struct service *s);
/* What its routes should say. */
enum announce_state service_announce(const struct service *s);
/* 1..100: the smallest its checks give */
uint32_t service_weight(const struct service *s);
enum service_status service_status(const struct service *s);
const char *service_status_str(enum service_status s);
void service_state(const struct service *s, struct service_state *ret_state);
const struct service_cfg *service_cfg(const struct service *s);
/* The i-th of cfg->checks. */
const struct check *service_check(const struct service *s, unsigned i);
void service_free(struct service *s);

/* Pure: 1 the join holds, -1 it fails, 0 undecided, with so many of n checks up and down. */
int service_join(const struct service_cfg *cfg, unsigned up, unsigned down);
/* Pure: how long to hold this time. falls: falls within the window, this one included (>= 1). */
uint32_t service_hold_ms(uint32_t base_ms, unsigned falls);
#endif
