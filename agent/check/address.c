/* SPDX-License-Identifier: Apache-2.0
 * The address kind: the VIP really is on an interface, and usable. Changes arrive by rtnetlink groups; each
 * is followed by a dump, and a dump without the address is a confirmed loss. No timers. */
#include "agent/check/check_kind.h"

#include <linux/if_addr.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>

struct watch {
	struct check *check;
	struct nl_sock *sock; /* NULL: no events */
	uv_poll_t poll;
};

static bool same_address(struct rtnl_addr *a, const struct prefix *want)
{
	struct nl_addr *local = rtnl_addr_get_local(a);
	size_t size = want->family == 4 ? 4 : 16;

	return local && nl_addr_get_family(local) == (want->family == 4 ? AF_INET : AF_INET6) &&
	       nl_addr_get_len(local) == size && !memcmp(nl_addr_get_binary_addr(local), want->a, size);
}

/* True: it is there; ret_reason either way. */
static bool look(const struct check_cfg *cfg, char *ret_reason)
{
	unsigned index = cfg->interface ? if_nametoindex(cfg->interface) : 0;
	struct nl_sock *s = nl_socket_alloc();
	struct nl_cache *cache = NULL;
	struct prefix want;
	bool found = false;

	if (!s)
		abort();
	prefix_parse(cfg->address, &want, NULL);
	snprintf(ret_reason, TEXT_LEN, "%s is not on %s", cfg->address,
		 cfg->interface ? cfg->interface : "any interface");
	int err = nl_connect(s, NETLINK_ROUTE);
	if (!err)
		err = rtnl_addr_alloc_cache(s, &cache);
	if (err)
		snprintf(ret_reason, TEXT_LEN, "rtnetlink: %s", nl_geterror(err));
	for (struct nl_object *o = cache ? nl_cache_get_first(cache) : NULL; o && !found;
	     o = nl_cache_get_next(o)) {
		struct rtnl_addr *a = (struct rtnl_addr *)o;
		char name[IF_NAMESIZE] = "?";
		if (!same_address(a, &want) ||
		    (cfg->interface && (unsigned)rtnl_addr_get_ifindex(a) != index))
			continue;
		if_indextoname((unsigned)rtnl_addr_get_ifindex(a), name);
		found = !(rtnl_addr_get_flags(a) & (IFA_F_TENTATIVE | IFA_F_DADFAILED));
		snprintf(ret_reason, TEXT_LEN, "%s on %s%s", cfg->address, name,
			 found ? "" : ", but not usable (DAD)");
	}
	if (cache)
		nl_cache_free(cache);
	nl_socket_free(s);
	return found;
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	char reason[TEXT_LEN], junk[4096];

	(void)status;
	(void)events;
	for (int i = 0; i < 256; i++)
		if (recv(nl_socket_get_fd(w->sock), junk, sizeof(junk), MSG_DONTWAIT) < 0)
			break;
	bool up = look(check_cfg(w->check), reason);
	if (!up && check_status(w->check) != CHECK_DOWN)
		check_dead(w->check, reason);
	else if (up && check_status(w->check) != CHECK_UP)
		check_hurry(w->check);
}

static void *address_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	char reason[TEXT_LEN];
	bool up = look(cfg, reason);

	(void)loop;
	check_done(c, up, reason);
	return NULL;
}

static void on_closed(uv_handle_t *h)
{
	struct watch *w = h->data;

	nl_socket_free(w->sock);
	free(w);
}

static void address_close(void *watch)
{
	uv_close((uv_handle_t *)&((struct watch *)watch)->poll, on_closed);
}

static void *address_open(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct nl_sock *s = nl_socket_alloc();

	(void)cfg;
	if (!s)
		abort();
	if (nl_connect(s, NETLINK_ROUTE) ||
	    nl_socket_add_memberships(s, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, 0)) {
		nl_socket_free(s);
		return NULL; /* the polling goes on */
	}
	nl_socket_set_nonblocking(s);
	struct watch *w = xcalloc(1, sizeof(*w));
	w->check = c;
	w->sock = s;
	uv_poll_init(loop, &w->poll, nl_socket_get_fd(s));
	w->poll.data = w;
	uv_poll_start(&w->poll, UV_READABLE, on_event);
	return w;
}

static int address_verify(const struct check_cfg *cfg, char *ret_why)
{
	const char *why = NULL;
	struct prefix p;

	if (prefix_parse(cfg->address, &p, &why) < 0)
		return check_refuse(ret_why, "address: \"%.60s\": %s", cfg->address, why);
	if (!prefix_is_host(&p))
		return check_refuse(ret_why, "address: \"%.60s\" is no single address", cfg->address);
	if (cfg->interface && (!*cfg->interface || strlen(cfg->interface) >= IF_NAMESIZE))
		return check_refuse(ret_why, "interface: 1 to %d characters", IF_NAMESIZE - 1);
	return 0;
}

const struct check_kind check_kind_address = {
	.name = "address",
	.takes = "address! interface",
	.verify = address_verify,
	.start = address_start,
	.open = address_open,
	.close = address_close,
};
