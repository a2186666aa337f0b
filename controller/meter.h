/* SPDX-License-Identifier: Apache-2.0
 * Counters to rates for one node. Pure: time comes with the report. Handles counter resets, a reboot
 * (boot id), lost reports (longer interval) and duplicates (ignored).
 * Saturated load is not demand: while the uplink drops, offered load is an interval from what was carried
 * to SYN rate x the bytes a connection takes when nothing drops (learned per shard). */
#ifndef CTRL_METER_H
#define CTRL_METER_H
#include "controller/model.h"

struct meter *meter_new(void);
void meter_free(struct meter *m);
/* Updates n's rates (load, carried_bps, util, dropping, shards[]) from r. cl gives capacities and shards.
 * Returns false when r brought no rates yet (first report, reset, duplicate). */
bool meter_feed(struct meter *m, const struct cluster *cl, size_t node, const struct msg_report *r,
		struct node_live *n);
/* How many times its utilisation a node has when a surge drill takes its load for `times` itself: what the
 * VIPs do not bring, and cpu, stay as they are. */
double meter_surge(const struct cluster *cl, size_t node, const struct node_live *n, double times);
#endif
