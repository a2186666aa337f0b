/* SPDX-License-Identifier: Apache-2.0
 * The nftables table `inet sluice` as text: one named counter per VIP prefix and direction, found by maps
 * from address intervals. Pure. Prefixes may nest: the maps hold disjoint intervals, so a packet counts at
 * the longest prefix alone and whoever reads adds the inner ones to the outer (vip_rules_outer).
 * vips: sorted by prefix_cmp, no doubles. Source: nft(8), STATEFUL OBJECTS and MAPS. */
#ifndef SAMPLE_VIP_RULES_H
#define SAMPLE_VIP_RULES_H
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/addr.h"
#include "proto/base/mem.h"

#define VIP_TABLE    "sluice"
#define VIP_NAME_LEN 48
#define VIP_RULES    6 /* rules in the table */

enum vip_way { VIP_IN, VIP_OUT, VIP_SYN, VIP_WAYS };

/* "in_c6120100_24"; buf holds VIP_NAME_LEN. Returns buf. */
char *vip_rules_name(enum vip_way way, const struct prefix *p, char *buf);
/* The reverse. 0 or ERR_MALFORMED: no name of ours. */
int vip_rules_parse(const char *name, enum vip_way *ret_way, struct prefix *ret_prefix);
/* For each of n: index of the nearest prefix around it, or -1. */
void vip_rules_outer(const struct prefix *vips, size_t n, int *ret_outer);
/* One transaction. Counters that exist keep their values; stale ones (names) are removed. fresh: the table is
 * removed first, whatever is in it. */
void vip_rules_script(const struct prefix *vips, size_t n, const char *const *stale, size_t n_stale,
		      bool fresh, struct buf *out);
#endif
