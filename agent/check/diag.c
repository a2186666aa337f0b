/* SPDX-License-Identifier: Apache-2.0
 * Owns nothing between calls. A dump is answered by the kernel within the call that asks, so it may block
 * here. */
#include "agent/check/diag.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/base/mem.h"

#define STATE_CLOSE  7 /* net/tcp_states.h; of an unconnected UDP socket too */
#define STATE_LISTEN 10

struct looking {
	const struct sockaddr_storage *target;
	int found;
	uint32_t inode;
};

static uint16_t port_of(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET ? ((const struct sockaddr_in *)ss)->sin_port
					: ((const struct sockaddr_in6 *)ss)->sin6_port;
}

static bool is_zero(const void *p, size_t len)
{
	static const uint8_t zero[16];

	return memcmp(p, zero, len) == 0;
}

static bool is_v6only(struct nlmsghdr *h)
{
	struct nlattr *a = nlmsg_find_attr(h, sizeof(struct inet_diag_msg), INET_DIAG_SKV6ONLY);

	return a && nla_get_u8(a);
}

/* A dual-stack socket serves IPv4 as ::ffff:a.b.c.d or as :: */
static bool serves(struct nlmsghdr *h, const struct inet_diag_msg *m, const struct sockaddr_storage *target)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *src = (const uint8_t *)m->id.idiag_src;

	if (target->ss_family == AF_INET6) {
		const struct sockaddr_in6 *t = (const struct sockaddr_in6 *)target;
		return m->idiag_family == AF_INET6 && (is_zero(src, 16) || !memcmp(src, &t->sin6_addr, 16));
	}
	const struct sockaddr_in *t = (const struct sockaddr_in *)target;
	if (m->idiag_family == AF_INET)
		return is_zero(src, 4) || !memcmp(src, &t->sin_addr, 4);
	if (is_zero(src, 16))
		return !is_v6only(h);
	return !memcmp(src, mapped, 12) && !memcmp(src + 12, &t->sin_addr, 4);
}

static int on_socket(struct nl_msg *msg, void *arg)
{
	struct looking *l = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);
	const struct inet_diag_msg *m = nlmsg_data(h);

	if (nlmsg_datalen(h) < (int)sizeof(*m) || m->id.idiag_sport != port_of(l->target) ||
	    m->id.idiag_dport)
		return NL_OK;
	if (!serves(h, m, l->target))
		return NL_OK;
	l->found++;
	l->inode = m->idiag_inode;
	return NL_OK;
}

static int dump(struct nl_sock *s, int family, bool udp, struct looking *l)
{
	struct inet_diag_req_v2 req = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = udp ? IPPROTO_UDP : IPPROTO_TCP,
		.idiag_states = 1u << (udp ? STATE_CLOSE : STATE_LISTEN),
		.id.idiag_sport = port_of(l->target),
	};
	int err = nl_send_simple(s, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, sizeof(req));

	return err < 0 ? err : nl_recvmsgs_default(s);
}

int diag_listeners(const struct sockaddr_storage *target, bool udp, uint32_t *ret_inode)
{
	struct looking l = { .target = target };
	struct nl_sock *s = nl_socket_alloc();

	if (!s)
		abort();
	nl_socket_modify_cb(s, NL_CB_VALID, NL_CB_CUSTOM, on_socket, &l);
	int err = nl_connect(s, NETLINK_SOCK_DIAG);
	if (!err && target->ss_family == AF_INET)
		err = dump(s, AF_INET, udp, &l);
	if (err >= 0)
		err = dump(s, AF_INET6, udp, &l);
	nl_socket_free(s);
	if (err < 0)
		return err;
	*ret_inode = l.inode;
	return l.found;
}

/* The message: struct nlmsghdr (16 bytes), then struct inet_diag_msg: family, state, timer, retransmits, then
 * the source port and the destination port, in network order, as the filter's loads take them. */
static int filter(int fd, uint16_t port)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 22), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),	BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = { .len = ARRAY_LEN(code), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

struct nl_sock *diag_watch(const struct sockaddr_storage *target, bool udp)
{
	struct nl_sock *s = nl_socket_alloc();

	if (!s)
		abort();
	nl_socket_disable_seq_check(s);
	if (nl_connect(s, NETLINK_SOCK_DIAG) || filter(nl_socket_get_fd(s), ntohs(port_of(target))) ||
	    nl_socket_add_memberships(s, udp ? SKNLGRP_INET6_UDP_DESTROY : SKNLGRP_INET6_TCP_DESTROY,
				      target->ss_family == AF_INET6 ? 0
				      : udp			    ? SKNLGRP_INET_UDP_DESTROY
								    : SKNLGRP_INET_TCP_DESTROY,
				      0) ||
	    nl_socket_set_nonblocking(s)) {
		nl_socket_free(s);
		return NULL;
	}
	return s;
}

bool diag_drain(struct nl_sock *s)
{
	char junk[512];
	bool any = false;

	/* bounded: more of it wakes the loop again */
	for (int i = 0; i < 256; i++) {
		ssize_t n = recv(nl_socket_get_fd(s), junk, sizeof(junk), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno != ENOBUFS)
			break;
		any = true;
	}
	return any;
}
