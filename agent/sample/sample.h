/* SPDX-License-Identifier: Apache-2.0
 * Everything an agent measures, as counters (never rates), each source in its own file. A source that
 * fails is logged once, then left at its last value and retried; one broken source never stops a report.
 * Sources: link.c rtnetlink through libnl-route (link stats, qdisc drops, ethtool speed), tcp.c sock_diag
 * through libnl-idiag (established, longest accept queue) and /proc/net/{snmp,netstat,udp...}, host.c
 * /proc/stat and /proc/net/softnet_stat, vip.c an nftables table `inet sluice` of our own with counted sets
 * (CAP_NET_ADMIN; without it VIP samples are missing and the reason is said once). */
#ifndef SAMPLE_SAMPLE_H
#define SAMPLE_SAMPLE_H
#include "proto/wire/msg.h"

struct sampler;
/* interfaces: names. vips: prefixes to count. */
struct sampler *sampler_new(const char *const *interfaces, size_t n_interfaces, const struct prefix *vips,
			    size_t n_vips);
/* Fills links, vips (heap, caller frees with msg_done of the report) and host, mono_us, boot_id of r. */
void sampler_take(struct sampler *s, struct msg_report *r);
/* Removes the nftables table unless keep: counters survive an agent's restart. */
void sampler_free(struct sampler *s, bool keep);
#endif
