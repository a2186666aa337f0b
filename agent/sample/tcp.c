/* SPDX-License-Identifier: Apache-2.0
 * Owns what the transport layer tells: connections, the longest accept queue of a listener that serves a VIP,
 * drops at full listen queues and full UDP buffers. Only listeners are dumped by sock_diag: a dump of every
 * connection would cost what a busy node does not have, and CurrEstab counts them for free. */
#include "agent/sample/source.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <netlink/cache.h>
#include <netlink/idiag/idiagnl.h>
#include <netlink/idiag/msg.h>
#include <netlink/netlink.h>

#include "agent/sample/proc.h"
#include "proto/base/err.h"

struct tcp {
	struct nl_sock *sock;
	struct prefix *vips;
	size_t n_vips;
	struct host_sample last;
};

static void *tcp_new(const struct source_cfg *cfg)
{
	struct tcp *t = xcalloc(1, sizeof(*t));

	t->vips = xcalloc(cfg->n_vips, sizeof(*t->vips));
	t->n_vips = cfg->n_vips;
	if (cfg->n_vips)
		memcpy(t->vips, cfg->vips, cfg->n_vips * sizeof(*t->vips));
	return t;
}

static bool is_any(const struct prefix *a)
{
	static const uint8_t zero[16];

	return memcmp(a->a, zero, sizeof(zero)) == 0;
}

/* A wildcard listener serves the VIPs too; with no VIPs given every listener counts. The family is the
 * message's: libnl 3.7 makes every address 16 bytes long. */
static bool serves_vip(const struct tcp *t, struct idiagnl_msg *m)
{
	bool v4 = idiagnl_msg_get_family(m) == AF_INET;
	struct prefix host = { .family = v4 ? 4 : 6, .len = v4 ? 32 : 128 };
	struct nl_addr *addr = idiagnl_msg_get_src(m);
	size_t size = v4 ? 4 : 16;

	if (!addr || nl_addr_get_len(addr) < size)
		return false;
	memcpy(host.a, nl_addr_get_binary_addr(addr), size);
	if (!t->n_vips || is_any(&host))
		return true;
	for (size_t i = 0; i < t->n_vips; i++)
		if (prefix_contains(&t->vips[i], &host))
			return true;
	return false;
}

static uint64_t longest_queue(const struct tcp *t, struct nl_cache *listeners)
{
	uint64_t longest = 0;

	for (struct nl_object *o = nl_cache_get_first(listeners); o; o = nl_cache_get_next(o)) {
		struct idiagnl_msg *m = (struct idiagnl_msg *)o;
		uint64_t queue = idiagnl_msg_get_rqueue(m);
		if (idiagnl_msg_get_state(m) == TCP_LISTEN && queue > longest && serves_vip(t, m))
			longest = queue;
	}
	return longest;
}

static int read_listeners(struct tcp *t, char *ret_why)
{
	struct nl_cache *listeners = NULL;
	int err = 0;

	if (!t->sock) {
		t->sock = nl_socket_alloc();
		if (!t->sock)
			abort();
		err = idiagnl_connect(t->sock);
	}
	if (!err)
		err = idiagnl_msg_alloc_cache(t->sock, AF_UNSPEC, 1 << TCP_LISTEN, &listeners);
	if (err) {
		nl_socket_free(t->sock);
		t->sock = NULL;
		return source_fail(ret_why, -EIO, "sock_diag: %s", nl_geterror(err));
	}
	t->last.listen_queue = longest_queue(t, listeners);
	nl_cache_free(listeners);
	return 0;
}

static int read_snmp(struct tcp *t, char *ret_why)
{
	auto_buf v4 = { 0 };
	auto_buf v6 = { 0 };
	uint64_t rcvbuf, mem = 0, rcvbuf6 = 0, mem6 = 0;
	int err = source_read("/proc/net/snmp", &v4);

	if (!err)
		err = proc_pair(v4.data, "Tcp:", "CurrEstab", &t->last.tcp_established);
	if (!err)
		err = proc_pair(v4.data, "Udp:", "RcvbufErrors", &rcvbuf);
	if (err)
		return source_fail(ret_why, err, "/proc/net/snmp: %s", err_str(err));
	/* older kernels have no MemErrors, hosts may have no IPv6: both are no failure */
	proc_pair(v4.data, "Udp:", "MemErrors", &mem);
	if (source_read("/proc/net/snmp6", &v6) == 0) {
		proc_line(v6.data, "Udp6RcvbufErrors", &rcvbuf6);
		proc_line(v6.data, "Udp6MemErrors", &mem6);
	}
	t->last.udp_drops = rcvbuf + mem + rcvbuf6 + mem6;
	return 0;
}

/* ListenDrops counts the overflows too (tcp_listendrop() follows each): adding both would count twice */
static int read_netstat(struct tcp *t, char *ret_why)
{
	auto_buf text = { 0 };
	int err = source_read("/proc/net/netstat", &text);

	if (!err)
		err = proc_pair(text.data, "TcpExt:", "ListenDrops", &t->last.listen_drops);
	return err ? source_fail(ret_why, err, "/proc/net/netstat: %s", err_str(err)) : 0;
}

static int tcp_take(void *self, struct msg_report *r, char *ret_why)
{
	struct tcp *t = self;
	int err_netstat = read_netstat(t, ret_why), err_snmp = read_snmp(t, ret_why);
	int err_diag = read_listeners(t, ret_why);

	r->host.tcp_established = t->last.tcp_established;
	r->host.listen_queue = t->last.listen_queue;
	r->host.listen_drops = t->last.listen_drops;
	r->host.udp_drops = t->last.udp_drops;
	return err_diag ? err_diag : err_snmp ? err_snmp : err_netstat;
}

static void tcp_free(void *self, bool keep)
{
	struct tcp *t = self;

	(void)keep;
	nl_socket_free(t->sock);
	free(t->vips);
	free(t);
}

const struct source source_tcp = { "tcp", tcp_new, tcp_take, tcp_free };
