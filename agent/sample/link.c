/* SPDX-License-Identifier: Apache-2.0
 * Owns the named links: rtnetlink counters, drops of their root qdiscs, speed by ethtool. A link never seen
 * is left out of the report (zeros would claim an idle link); one that vanished stays at its last values.
 * Speed comes from the ioctl, not /sys: a network namespace may see another's /sys. */
#include "agent/sample/source.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <netlink/cache.h>
#include <netlink/route/link.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>

struct one {
	struct link_sample last;
	int ifindex; /* of this take; 0: not there */
	bool seen;
};

struct link {
	struct nl_sock *sock;
	int ioctl_fd;
	size_t n;
	struct one links[];
};

static void *link_new(const struct source_cfg *cfg)
{
	struct link *l = xcalloc(1, sizeof(*l) + cfg->n_interfaces * sizeof(l->links[0]));

	l->ioctl_fd = -1;
	l->n = cfg->n_interfaces;
	for (size_t i = 0; i < l->n; i++)
		snprintf(l->links[i].last.name, NAME_LEN, "%s", cfg->interfaces[i]);
	return l;
}

/* 0 is "unknown" on the wire; the kernel says -1. Two steps: it first tells how long its masks are. */
static uint64_t read_speed(int fd, const char *name)
{
	union {
		struct ethtool_link_settings s;
		uint8_t room[sizeof(struct ethtool_link_settings) + 3 * 127 * sizeof(uint32_t)];
	} req = { .s.cmd = ETHTOOL_GLINKSETTINGS };
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_data = (char *)&req;
	if (ioctl(fd, SIOCETHTOOL, &ifr) < 0 || req.s.link_mode_masks_nwords >= 0)
		return 0;
	req.s = (struct ethtool_link_settings){ .cmd = ETHTOOL_GLINKSETTINGS,
						.link_mode_masks_nwords =
							(int8_t)-req.s.link_mode_masks_nwords };
	if (ioctl(fd, SIOCETHTOOL, &ifr) < 0 || req.s.speed == (uint32_t)SPEED_UNKNOWN)
		return 0;
	return (uint64_t)req.s.speed * 1000000;
}

static void copy_stats(struct rtnl_link *from, struct link_sample *to)
{
	to->rx_bytes = rtnl_link_get_stat(from, RTNL_LINK_RX_BYTES);
	to->tx_bytes = rtnl_link_get_stat(from, RTNL_LINK_TX_BYTES);
	to->rx_packets = rtnl_link_get_stat(from, RTNL_LINK_RX_PACKETS);
	to->tx_packets = rtnl_link_get_stat(from, RTNL_LINK_TX_PACKETS);
	/* missed: the card had no buffer left; dropped: the host had none */
	to->rx_drops = rtnl_link_get_stat(from, RTNL_LINK_RX_DROPPED) +
		       rtnl_link_get_stat(from, RTNL_LINK_RX_MISSED_ERR);
	to->tx_drops = rtnl_link_get_stat(from, RTNL_LINK_TX_DROPPED);
}

static int read_one(struct link *l, struct one *o)
{
	struct rtnl_link *found = NULL;
	int err = strlen(o->last.name) < IFNAMSIZ ? rtnl_link_get_kernel(l->sock, 0, o->last.name, &found)
						  : -NLE_NODEV;

	o->ifindex = 0;
	if (err)
		return err;
	o->ifindex = rtnl_link_get_ifindex(found);
	o->seen = true;
	copy_stats(found, &o->last);
	rtnl_link_put(found);
	o->last.speed_bps = l->ioctl_fd < 0 ? 0 : read_speed(l->ioctl_fd, o->last.name);
	return 0;
}

static struct one *by_ifindex(struct link *l, int ifindex)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->links[i].ifindex == ifindex && ifindex > 0)
			return &l->links[i];
	return NULL;
}

/* the root alone: a qdisc counts the drops of its children as its own */
static int read_qdiscs(struct link *l)
{
	struct nl_cache *all = NULL;
	int err = rtnl_qdisc_alloc_cache(l->sock, &all);

	if (err)
		return err;
	for (struct nl_object *o = nl_cache_get_first(all); o; o = nl_cache_get_next(o)) {
		struct rtnl_tc *tc = TC_CAST((struct rtnl_qdisc *)o);
		struct one *one = by_ifindex(l, rtnl_tc_get_ifindex(tc));
		if (one && rtnl_tc_get_parent(tc) == TC_H_ROOT)
			one->last.qdisc_drops = rtnl_tc_get_stat(tc, RTNL_TC_DROPS);
	}
	nl_cache_free(all);
	return 0;
}

static int connect_route(struct link *l)
{
	if (l->ioctl_fd < 0)
		l->ioctl_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (l->sock)
		return 0;
	l->sock = nl_socket_alloc();
	if (!l->sock)
		abort();
	return nl_connect(l->sock, NETLINK_ROUTE);
}

static void forget_socket(struct link *l)
{
	nl_socket_free(l->sock);
	l->sock = NULL;
}

static int read_all(struct link *l, char *ret_why)
{
	char missing[TEXT_LEN] = "";
	int err = connect_route(l);

	for (size_t i = 0; !err && i < l->n; i++) {
		err = read_one(l, &l->links[i]);
		if (err != -NLE_NODEV && err != -NLE_OBJ_NOTFOUND)
			continue;
		size_t len = strlen(missing);
		snprintf(missing + len, sizeof(missing) - len, " %s", l->links[i].last.name);
		err = 0;
	}
	if (!err && l->n)
		err = read_qdiscs(l);
	if (!err)
		return *missing ? source_fail(ret_why, -ENODEV, "not there:%s", missing) : 0;
	forget_socket(l);
	return source_fail(ret_why, -EIO, "rtnetlink: %s", nl_geterror(err));
}

static int link_take(void *self, struct msg_report *r, char *ret_why)
{
	struct link *l = self;
	int err = read_all(l, ret_why);

	r->links = xcalloc(l->n, sizeof(*r->links));
	r->n_links = 0;
	for (size_t i = 0; i < l->n; i++)
		if (l->links[i].seen)
			r->links[r->n_links++] = l->links[i].last;
	return err;
}

static void link_free(void *self, bool keep)
{
	struct link *l = self;

	(void)keep;
	nl_socket_free(l->sock);
	if (l->ioctl_fd >= 0)
		close(l->ioctl_fd);
	free(l);
}

const struct source source_link = { "link", link_new, link_take, link_free };
