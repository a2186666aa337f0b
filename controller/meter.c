/* SPDX-License-Identifier: Apache-2.0
 * Rates are smoothed over about two samples: one second of Poisson arrivals is noise of 10-20 %. */
#include "controller/meter.h"

#include <math.h>
#include <string.h>

#include "controller/model.h"

#define SMOOTH	     0.5
#define LEARN	     0.1
#define LEARN_SYNS   5	  /* fewer arrivals in a sample teach nothing */
#define DROP_RATIO   0.01 /* of packets; slow-start bursts drop a little on a healthy link */
#define DROP_UTIL    0.85
#define DEMAND_MAX   4.0 /* x capacity: SYN retransmissions must not promise the moon */
#define BLIND_FACTOR 1.5 /* offered / carried while dropping, when nothing was learned yet */

struct shard_meter {
	struct vip_sample at[SHARD_PREFIXES];
	double in_bps, out_bps, pps, syn_rate; /* smoothed */
	double bytes_per_syn;		       /* 0: not learned */
};

struct meter {
	bool primed;
	uint64_t seq, mono_us;
	char boot_id[NAME_LEN];
	struct host_sample host;
	uint64_t tx_bytes, rx_bytes, tx_packets, rx_packets, drops;
	double bps, pps, cpu, drop_ratio;
	struct shard_meter *shards;
	size_t n_shards;
};

struct meter *meter_new(void)
{
	return xcalloc(1, sizeof(struct meter));
}

void meter_free(struct meter *m)
{
	if (!m)
		return;
	free(m->shards);
	free(m);
}

/* counters only rise; one that fell was reset: no rate this time */
static double delta(uint64_t now, uint64_t before)
{
	return now >= before ? (double)(now - before) : 0;
}

static double smooth(double before, double now)
{
	return before + SMOOTH * (now - before);
}

struct link_sum {
	uint64_t tx_bytes, rx_bytes, tx_packets, rx_packets, drops;
};

static struct link_sum sum_links(const struct msg_report *r)
{
	struct link_sum s = { 0 };

	for (size_t i = 0; i < r->n_links; i++) {
		const struct link_sample *l = &r->links[i];
		s.tx_bytes += l->tx_bytes;
		s.rx_bytes += l->rx_bytes;
		s.tx_packets += l->tx_packets;
		s.rx_packets += l->rx_packets;
		/* the root qdisc's drops are counted in the device's tx_drops by some drivers: take the
		 * larger */
		s.drops += l->qdisc_drops > l->tx_drops ? l->qdisc_drops : l->tx_drops;
	}
	return s;
}

static void feed_links(struct meter *m, const struct msg_report *r, double dt)
{
	struct link_sum s = sum_links(r);
	double tx = delta(s.tx_bytes, m->tx_bytes) * 8 / dt, rx = delta(s.rx_bytes, m->rx_bytes) * 8 / dt;
	double txp = delta(s.tx_packets, m->tx_packets), rxp = delta(s.rx_packets, m->rx_packets);
	double drops = delta(s.drops, m->drops);

	if (m->primed) {
		m->bps = smooth(m->bps, tx > rx ? tx : rx);
		m->pps = smooth(m->pps, (txp > rxp ? txp : rxp) / dt);
		m->drop_ratio = smooth(m->drop_ratio, txp + drops > 0 ? drops / (txp + drops) : 0);
	}
	m->tx_bytes = s.tx_bytes;
	m->rx_bytes = s.rx_bytes;
	m->tx_packets = s.tx_packets;
	m->rx_packets = s.rx_packets;
	m->drops = s.drops;
}

static void feed_host(struct meter *m, const struct msg_report *r)
{
	double total = delta(r->host.cpu_total_us, m->host.cpu_total_us);

	if (m->primed && total > 0)
		m->cpu = smooth(m->cpu, 1000 * delta(r->host.cpu_busy_us, m->host.cpu_busy_us) / total);
	m->host = r->host;
}

static const struct vip_sample *find_vip(const struct msg_report *r, const struct prefix *p)
{
	for (size_t i = 0; i < r->n_vips; i++)
		if (prefix_cmp(&r->vips[i].prefix, p) == 0)
			return &r->vips[i];
	return NULL;
}

static void feed_shard(struct meter *m, struct shard_meter *sm, const struct cl_shard *sh,
		       const struct msg_report *r, double dt, bool dropping)
{
	double in = 0, out = 0, packets = 0, syns = 0;

	for (size_t i = 0; i < sh->n_prefixes; i++) {
		const struct vip_sample *v = find_vip(r, &sh->prefixes[i]);
		if (!v)
			continue;
		in += delta(v->in_bytes, sm->at[i].in_bytes);
		out += delta(v->out_bytes, sm->at[i].out_bytes);
		packets += delta(v->out_packets, sm->at[i].out_packets);
		syns += delta(v->syns, sm->at[i].syns);
		sm->at[i] = *v;
	}
	if (!m->primed)
		return;
	sm->in_bps = smooth(sm->in_bps, in * 8 / dt);
	sm->out_bps = smooth(sm->out_bps, out * 8 / dt);
	sm->pps = smooth(sm->pps, packets / dt);
	sm->syn_rate = smooth(sm->syn_rate, syns / dt);
	if (!dropping && syns >= LEARN_SYNS && out > 0) {
		double now = out / syns;
		sm->bytes_per_syn =
			sm->bytes_per_syn > 0 ? sm->bytes_per_syn + LEARN * (now - sm->bytes_per_syn) : now;
	}
}

/* offered load of one shard while the link drops; what it carries is the lower bound */
static double offered_bps(const struct shard_meter *sm)
{
	double carried = sm->out_bps > sm->in_bps ? sm->out_bps : sm->in_bps;
	double by_syn = sm->syn_rate * sm->bytes_per_syn * 8;

	if (sm->bytes_per_syn <= 0)
		return carried * BLIND_FACTOR;
	return by_syn > carried ? by_syn : carried;
}

/* times: 1, or what a surge drill makes of the load */
static void fill_shard(const struct shard_meter *sm, bool dropping, double times, struct node_shard *ns)
{
	double carried = sm->out_bps > sm->in_bps ? sm->out_bps : sm->in_bps;

	ns->in_bps = sm->in_bps;
	ns->out_bps = sm->out_bps;
	ns->pps = sm->pps;
	ns->syn_rate = sm->syn_rate;
	memset(ns->lo, 0, sizeof(ns->lo));
	memset(ns->hi, 0, sizeof(ns->hi));
	ns->lo[RES_BPS] = carried;
	ns->hi[RES_BPS] = dropping ? offered_bps(sm) : carried;
	double scale = carried > 0 ? ns->hi[RES_BPS] / carried : 1;
	ns->lo[RES_PPS] = sm->pps;
	ns->hi[RES_PPS] = sm->pps * scale;
	ns->lo[RES_CONNS] = ns->hi[RES_CONNS] = sm->syn_rate;
	for (int i = 0; i < RES_N; i++) {
		ns->lo[i] *= times;
		ns->hi[i] *= times;
	}
}

static double surge_of(const struct node_live *n)
{
	return n->surge > 0 ? n->surge : 1;
}

static double hottest(const double *load, const double *cap)
{
	double u = 0;

	for (int i = 0; i < RES_N; i++)
		if (cap[i] > 0 && load[i] / cap[i] > u)
			u = load[i] / cap[i];
	return u;
}

/* CPU is shared out to shards by their packets, so that moving a shard moves its cpu */
static void share_cpu(const struct meter *m, struct node_live *n, size_t n_shards)
{
	double packets = 0;

	for (size_t i = 0; i < n_shards; i++)
		packets += n->shards[i].pps;
	for (size_t i = 0; i < n_shards && packets > 0; i++)
		n->shards[i].lo[RES_CPU] = n->shards[i].hi[RES_CPU] = m->cpu * n->shards[i].pps / packets;
}

static void fill_node(const struct meter *m, const struct cl_node *cn, size_t n_shards, struct node_live *n)
{
	double offered = 0, carried = 0, conns = 0;

	for (size_t i = 0; i < n_shards; i++) {
		offered += n->shards[i].hi[RES_BPS];
		carried += n->shards[i].lo[RES_BPS];
		conns += n->shards[i].syn_rate;
	}
	/* what the link carries besides the VIPs is load too */
	double other = m->bps > carried ? m->bps - carried : 0;
	n->carried_bps = m->bps;
	n->load[RES_BPS] = fmin(offered + other, cn->cap[RES_BPS] * DEMAND_MAX);
	n->load[RES_PPS] = m->pps * surge_of(n);
	n->load[RES_CONNS] = conns * surge_of(n);
	n->load[RES_CPU] = m->cpu;
	share_cpu(m, n, n_shards);
	n->util = hottest(n->load, cn->cap);
}

double meter_surge(const struct cluster *cl, size_t node, const struct node_live *n, double times)
{
	const double *cap = cl->nodes[node].cap;
	double load[RES_N], vips = 0, now = hottest(n->load, cap);

	for (size_t i = 0; i < cl->n_shards; i++)
		vips += n->shards[i].hi[RES_BPS];
	memcpy(load, n->load, sizeof(load));
	load[RES_BPS] = fmin(load[RES_BPS] + (times - 1) * vips, cap[RES_BPS] * DEMAND_MAX);
	load[RES_PPS] *= times;
	load[RES_CONNS] *= times;
	return now > 0 ? fmax(hottest(load, cap) / now, 1) : 1;
}

static bool usable(struct meter *m, const struct msg_report *r, double *ret_dt)
{
	if (m->primed && strcmp(m->boot_id, r->boot_id) == 0 && r->mono_us <= m->mono_us)
		return false; /* a duplicate, or late */
	if (!m->primed || strcmp(m->boot_id, r->boot_id) != 0) {
		m->primed = false;
		snprintf(m->boot_id, sizeof(m->boot_id), "%s", r->boot_id);
	}
	*ret_dt = m->primed ? (double)(r->mono_us - m->mono_us) / 1e6 : 1;
	m->mono_us = r->mono_us;
	return true;
}

bool meter_feed(struct meter *m, const struct cluster *cl, size_t node, const struct msg_report *r,
		struct node_live *n)
{
	const struct cl_node *cn = &cl->nodes[node];
	double dt;

	if (!usable(m, r, &dt))
		return false;
	if (m->n_shards != cl->n_shards) { /* the document changed: learn anew */
		free(m->shards);
		m->shards = xcalloc(cl->n_shards, sizeof(*m->shards));
		m->n_shards = cl->n_shards;
		m->primed = false;
	}
	/* an out-of-turn report a few ms after the last one would be all noise */
	if (m->primed && dt < 0.2) {
		m->mono_us -= (uint64_t)(dt * 1e6);
		return true;
	}
	feed_links(m, r, dt);
	feed_host(m, r);
	double carried_util = cn->cap[RES_BPS] > 0 ? m->bps / cn->cap[RES_BPS] : 0;
	bool dropping = m->drop_ratio > DROP_RATIO && carried_util > DROP_UTIL;
	for (size_t i = 0; i < cl->n_shards; i++) {
		feed_shard(m, &m->shards[i], &cl->shards[i], r, dt, dropping);
		if (m->primed)
			fill_shard(&m->shards[i], dropping, surge_of(n), &n->shards[i]);
	}
	bool had = m->primed;
	m->primed = true;
	if (!had)
		return false;
	n->dropping = dropping;
	fill_node(m, cn, cl->n_shards, n);
	return true;
}
