/* SPDX-License-Identifier: Apache-2.0
 * Owns nothing between calls. An address is added as a host address without DAD: it is anycast, others have
 * it. */
#include "agent/vip.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <string.h>
#include <sys/socket.h>

static struct nl_sock *open_route(int *ret_err)
{
	struct nl_sock *s = nl_socket_alloc();

	if (!s)
		abort();
	*ret_err = nl_connect(s, NETLINK_ROUTE);
	return s;
}

static struct rtnl_addr *make(unsigned index, const struct prefix *p)
{
	int family = p->family == 4 ? AF_INET : AF_INET6;
	struct nl_addr *local = nl_addr_build(family, p->a, p->family == 4 ? 4 : 16);
	struct rtnl_addr *a = rtnl_addr_alloc();

	if (!local || !a)
		abort();
	nl_addr_set_prefixlen(local, p->len);
	rtnl_addr_set_ifindex(a, (int)index);
	rtnl_addr_set_local(a, local);
	if (p->family == 6)
		rtnl_addr_set_flags(a, IFA_F_NODAD);
	nl_addr_put(local);
	return a;
}

static bool is_it(struct rtnl_addr *a, unsigned index, const struct prefix *p)
{
	struct nl_addr *local = rtnl_addr_get_local(a);
	size_t size = p->family == 4 ? 4 : 16;

	return (unsigned)rtnl_addr_get_ifindex(a) == index && local &&
	       nl_addr_get_family(local) == (p->family == 4 ? AF_INET : AF_INET6) &&
	       nl_addr_get_len(local) == size && !memcmp(nl_addr_get_binary_addr(local), p->a, size);
}

int vip_present(const char *interface, const struct prefix *address)
{
	unsigned index = if_nametoindex(interface);
	struct nl_cache *cache = NULL;
	int err, found = 0;

	if (!index)
		return 0;
	struct nl_sock *s = open_route(&err);
	if (!err)
		err = rtnl_addr_alloc_cache(s, &cache);
	for (struct nl_object *o = cache ? nl_cache_get_first(cache) : NULL; o && !found;
	     o = nl_cache_get_next(o))
		found = is_it((struct rtnl_addr *)o, index, address);
	if (cache)
		nl_cache_free(cache);
	nl_socket_free(s);
	return err < 0 ? err : found;
}

static int say(char *ret_why, const char *what, const char *interface, int err)
{
	const char *words = nl_geterror(err);

	if (err == -NLE_PERM)
		words = "needs CAP_NET_ADMIN";
	else if (err == -NLE_OPNOTSUPP)
		words = "this kernel has no dummy interfaces; use lo";
	snprintf(ret_why, TEXT_LEN, "%s %.15s: %.150s", what, interface, words);
	return err;
}

static int make_interface(struct nl_sock *s, const char *name, char *ret_why)
{
	struct rtnl_link *link = rtnl_link_alloc();

	if (!link)
		abort();
	rtnl_link_set_name(link, name);
	rtnl_link_set_flags(link, IFF_UP);
	rtnl_link_set_type(link, "dummy");
	int err = rtnl_link_add(s, link, NLM_F_CREATE);
	rtnl_link_put(link);
	return err < 0 ? say(ret_why, "making interface", name, err) : 0;
}

int vip_add(const char *interface, bool create, const struct prefix *address, char *ret_why)
{
	char text[PREFIX_STRLEN], what[PREFIX_STRLEN + 16];
	int err, present = vip_present(interface, address);

	if (present > 0)
		return 0;
	struct nl_sock *s = open_route(&err);
	if (err < 0)
		say(ret_why, "rtnetlink for", interface, err);
	if (!err && !if_nametoindex(interface) && create)
		err = make_interface(s, interface, ret_why);
	unsigned index = err ? 0 : if_nametoindex(interface);
	if (!err && !index) {
		snprintf(ret_why, TEXT_LEN, "there is no interface %.15s", interface);
		err = -NLE_OBJ_NOTFOUND;
	}
	if (!err) {
		struct rtnl_addr *a = make(index, address);
		snprintf(what, sizeof(what), "adding %s to", prefix_addr_str(address, text));
		err = rtnl_addr_add(s, a, NLM_F_CREATE);
		rtnl_addr_put(a);
		err = err == -NLE_EXIST ? 0 : err;
		if (err < 0)
			say(ret_why, what, interface, err);
	}
	nl_socket_free(s);
	return err < 0 ? err : 1;
}

int vip_remove(const char *interface, const struct prefix *address, char *ret_why)
{
	char text[PREFIX_STRLEN], what[PREFIX_STRLEN + 16];
	int err;

	if (vip_present(interface, address) == 0)
		return 0;
	struct nl_sock *s = open_route(&err);
	struct rtnl_addr *a = make(if_nametoindex(interface), address);
	if (!err)
		err = rtnl_addr_delete(s, a, 0);
	rtnl_addr_put(a);
	nl_socket_free(s);
	if (err >= 0)
		return 1;
	snprintf(what, sizeof(what), "removing %s from", prefix_addr_str(address, text));
	return say(ret_why, what, interface, err);
}
