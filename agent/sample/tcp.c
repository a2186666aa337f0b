/* SPDX-License-Identifier: Apache-2.0
 * Owns what the transport layer tells: connections, the longest accept queue of a listener that serves a VIP,
 * drops at full listen queues and full UDP buffers. Only listeners are dumped by sock_diag: a dump of every
 * connection would cost what a busy node does not have, and CurrEstab counts them for free. */
#include "agent/sample/source.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include "agent/sample/proc.h"
#include "proto/base/err.h"

struct tcp {
	struct nl_sock *sock;
	struct prefix *vips;
	size_t n_vips;
	struct host_sample last;
	uint32_t longest; /* in the running dump */
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

/* A wildcard listener serves the VIPs too; with no VIPs given every listener counts. */
static bool serves_vip(const struct tcp *t, const struct inet_diag_msg *m)
{
	bool v4 = m->idiag_family == AF_INET;
	struct prefix host = { .family = v4 ? 4 : 6, .len = v4 ? 32 : 128 };

	memcpy(host.a, m->id.idiag_src, v4 ? 4 : 16);
	if (!t->n_vips || is_any(&host))
		return true;
	for (size_t i = 0; i < t->n_vips; i++)
		if (prefix_contains(&t->vips[i], &host))
			return true;
	return false;
}

static int on_listener(struct nl_msg *msg, void *arg)
{
	struct tcp *t = arg;
	const struct inet_diag_msg *m = nlmsg_data(nlmsg_hdr(msg));

	if (nlmsg_datalen(nlmsg_hdr(msg)) >= (int)sizeof(*m) && m->idiag_rqueue > t->longest &&
	    serves_vip(t, m))
		t->longest = m->idiag_rqueue;
	return NL_OK;
}

static int connect_diag(struct tcp *t)
{
	if (t->sock)
		return 0;
	t->sock = nl_socket_alloc();
	if (!t->sock)
		abort();
	nl_socket_modify_cb(t->sock, NL_CB_VALID, NL_CB_CUSTOM, on_listener, t);
	return nl_connect(t->sock, NETLINK_SOCK_DIAG);
}

static int dump(struct tcp *t, int family)
{
	struct inet_diag_req_v2 req = { .sdiag_family = (uint8_t)family,
					.sdiag_protocol = IPPROTO_TCP,
					.idiag_states = 1 << TCP_LISTEN };
	int err = nl_send_simple(t->sock, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, sizeof(req));

	return err < 0 ? err : nl_recvmsgs_default(t->sock);
}

static int read_listeners(struct tcp *t, char *ret_why)
{
	int err = connect_diag(t);

	t->longest = 0;
	if (err >= 0)
		err = dump(t, AF_INET);
	if (err >= 0)
		err = dump(t, AF_INET6);
	if (err < 0) {
		nl_socket_free(t->sock);
		t->sock = NULL;
		return source_fail(ret_why, -EIO, "sock_diag: %s", nl_geterror(err));
	}
	t->last.listen_queue = t->longest;
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
