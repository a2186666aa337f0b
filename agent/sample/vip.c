/* SPDX-License-Identifier: Apache-2.0
 * Owns the nftables table `inet sluice`. States: ABSENT -> COUNTING (setup: one transaction) ; COUNTING ->
 * ABSENT when a read finds counters or rules gone (`nft flush ruleset` takes everybody's tables), then set up
 * again, at most every RETRY_TAKES reads. Table and counters outlive the agent unless it is told to remove
 * them. Written through libnftables, whose context lives for one transaction only; read by a netlink dump of
 * the counters (0.1 ms for 20 VIPs and 3 ms for 1,000, where nft's JSON takes 0.6 ms and 38). */
#include "agent/sample/source.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <malloc.h>
#include <netinet/in.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "agent/sample/vip_rules.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define RETRY_TAKES 30
#define STALE_MAX   (MAX_PREFIXES * VIP_WAYS)

struct tally {
	uint64_t bytes, packets;
	bool found;
};

struct vip {
	struct nl_sock *sock;
	struct prefix *vips;
	size_t n;
	struct tally (*own)[VIP_WAYS]; /* of the running dump */
	struct vip_sample *last;
	int *outer;	/* per VIP: the nearest around it, or -1 */
	unsigned rules; /* found by the running dump */
	bool counted;	/* last is set */
	int retry_in;	/* takes until setup may be tried again */
	char **stale;	/* counters of ours that no VIP wants any more, found by the running dump */
	size_t n_stale;
	char why[TEXT_LEN]; /* of the last setup that failed */
};

static void clear_dump(struct vip *v)
{
	for (size_t i = 0; i < v->n_stale; i++)
		free(v->stale[i]);
	free(v->stale);
	v->stale = NULL;
	v->n_stale = 0;
	v->rules = 0;
	memset(v->own, 0, v->n * sizeof(*v->own));
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

static void note(struct vip *v, const char *name, uint64_t bytes, uint64_t packets)
{
	struct prefix p;
	enum vip_way way;

	if (vip_rules_parse(name, &way, &p) < 0)
		return;
	const struct prefix *at = bsearch(&p, v->vips, v->n, sizeof(p), by_prefix);
	if (at) {
		v->own[at - v->vips][way] = (struct tally){ bytes, packets, true };
	} else if (v->n_stale < STALE_MAX) {
		v->stale = xrealloc(v->stale, v->n_stale + 1, sizeof(*v->stale));
		v->stale[v->n_stale++] = xstrdup(name);
	}
}

static uint64_t be64(struct nlattr *a)
{
	return be64toh(nla_get_u64(a));
}

static int on_counter(struct nl_msg *msg, struct vip *v)
{
	static struct nla_policy data_policy[NFTA_COUNTER_MAX + 1] = {
		[NFTA_COUNTER_BYTES] = { .type = NLA_U64 },
		[NFTA_COUNTER_PACKETS] = { .type = NLA_U64 },
	};
	static struct nla_policy policy[NFTA_OBJ_MAX + 1] = {
		[NFTA_OBJ_NAME] = { .type = NLA_STRING },
		[NFTA_OBJ_DATA] = { .type = NLA_NESTED },
	};
	struct nlattr *o[NFTA_OBJ_MAX + 1], *d[NFTA_COUNTER_MAX + 1];

	if (nlmsg_parse(nlmsg_hdr(msg), sizeof(struct nfgenmsg), o, NFTA_OBJ_MAX, policy) < 0 ||
	    !o[NFTA_OBJ_NAME] || !o[NFTA_OBJ_DATA] ||
	    nla_parse_nested(d, NFTA_COUNTER_MAX, o[NFTA_OBJ_DATA], data_policy) < 0 ||
	    !d[NFTA_COUNTER_BYTES] || !d[NFTA_COUNTER_PACKETS])
		return NL_SKIP;
	note(v, nla_get_string(o[NFTA_OBJ_NAME]), be64(d[NFTA_COUNTER_BYTES]), be64(d[NFTA_COUNTER_PACKETS]));
	return NL_OK;
}

static int on_object(struct nl_msg *msg, void *arg)
{
	struct vip *v = arg;

	if ((nlmsg_hdr(msg)->nlmsg_type & 0xff) != NFT_MSG_NEWRULE)
		return on_counter(msg, v);
	v->rules++;
	return NL_OK;
}

/* all counters or all rules of our table; the table's name has the same number in both */
static int ask(struct nl_sock *sock, int what)
{
	struct nfgenmsg head = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
	struct nl_msg *msg = nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | what, NLM_F_DUMP);

	_Static_assert((int)NFTA_OBJ_TABLE == (int)NFTA_RULE_TABLE, "table attribute");
	if (!msg || nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) < 0 ||
	    nla_put_string(msg, NFTA_OBJ_TABLE, VIP_TABLE) < 0 ||
	    (what == NFT_MSG_GETOBJ && nla_put_u32(msg, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER)) < 0))
		abort();
	int err = nl_send_auto(sock, msg);
	nlmsg_free(msg);
	return err < 0 ? err : nl_recvmsgs_default(sock);
}

static int connect_netfilter(struct vip *v)
{
	if (v->sock)
		return 0;
	v->sock = nl_socket_alloc();
	if (!v->sock)
		abort();
	nl_socket_modify_cb(v->sock, NL_CB_VALID, NL_CB_CUSTOM, on_object, v);
	return nl_connect(v->sock, NETLINK_NETFILTER);
}

/* -EAGAIN, without words: others change nftables faster than it can be read; the next take will do */
static int dump(struct vip *v, char *ret_why)
{
	int err = connect_netfilter(v), tries = 3;

	while (!err && tries-- > 0) {
		clear_dump(v);
		err = ask(v->sock, NFT_MSG_GETOBJ);
		if (!err)
			err = ask(v->sock, NFT_MSG_GETRULE);
		if (!err)
			return 0;
		if (err == -NLE_DUMP_INTR)
			err = 0;
	}
	if (!err)
		return -EAGAIN;
	nl_socket_free(v->sock);
	v->sock = NULL;
	if (err == -NLE_PERM)
		return source_fail(ret_why, -EPERM, "counting VIPs needs CAP_NET_ADMIN");
	return source_fail(ret_why, -EIO, "nftables: %s", nl_geterror(err));
}

static bool complete(const struct vip *v)
{
	for (size_t i = 0; i < v->n; i++)
		for (int way = 0; way < VIP_WAYS; way++)
			if (!v->own[i][way].found)
				return false;
	return v->rules == VIP_RULES;
}

/* the context is not kept: libnftables caches what it has seen */
static int run_nft(const char *script, char *ret_why)
{
	struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	int err = 0;

	if (!ctx)
		return source_fail(ret_why, -EIO, "nftables: no context");
	if (nft_ctx_buffer_output(ctx) || nft_ctx_buffer_error(ctx))
		abort();
	if (nft_run_cmd_from_buffer(ctx, script) != 0) {
		const char *text = nft_ctx_get_error_buffer(ctx);
		err = source_fail(ret_why, -EIO, "nftables: %.*s", (int)strcspn(text, "\n"), text);
	}
	nft_ctx_free(ctx);
	malloc_trim(0); /* its parser leaves up to 20 MB with 1,000 VIPs */
	return err;
}

/* fresh only when the table that exists cannot be brought in shape: it costs the counters */
static int setup(struct vip *v, bool fresh, char *ret_why)
{
	auto_buf script = { 0 };

	vip_rules_script(v->vips, v->n, (const char *const *)v->stale, v->n_stale, fresh, &script);
	return run_nft(script.data, ret_why);
}

static int repair(struct vip *v, char *ret_why)
{
	if (v->retry_in > 0) {
		snprintf(ret_why, TEXT_LEN, "%s", v->why);
		return *v->why ? -EIO : 0;
	}
	v->retry_in = RETRY_TAKES;
	if (v->counted)
		log_warn("sample vip: somebody changed table inet " VIP_TABLE ", setting it up again");
	v->why[0] = 0;
	if (setup(v, false, v->why) == 0 || setup(v, true, v->why) == 0) {
		v->why[0] = 0;
		return dump(v, ret_why);
	}
	snprintf(ret_why, TEXT_LEN, "%s", v->why);
	return -EIO;
}

/* inner prefixes come after outer ones: backwards, each is complete before it is added outwards */
static void sum_up(struct vip *v)
{
	memset(v->last, 0, v->n * sizeof(*v->last));
	for (size_t i = v->n; i-- > 0;) {
		struct vip_sample *s = &v->last[i];
		s->prefix = v->vips[i];
		s->in_bytes += v->own[i][VIP_IN].bytes;
		s->in_packets += v->own[i][VIP_IN].packets;
		s->out_bytes += v->own[i][VIP_OUT].bytes;
		s->out_packets += v->own[i][VIP_OUT].packets;
		s->syns += v->own[i][VIP_SYN].packets;
		if (v->outer[i] < 0)
			continue;
		struct vip_sample *o = &v->last[v->outer[i]];
		o->in_bytes += s->in_bytes;
		o->in_packets += s->in_packets;
		o->out_bytes += s->out_bytes;
		o->out_packets += s->out_packets;
		o->syns += s->syns;
	}
	v->counted = true;
}

static void *vip_new(const struct source_cfg *cfg)
{
	struct vip *v = xcalloc(1, sizeof(*v));

	v->n = cfg->n_vips;
	v->vips = xcalloc(v->n, sizeof(*v->vips));
	v->own = xcalloc(v->n, sizeof(*v->own));
	v->last = xcalloc(v->n, sizeof(*v->last));
	if (v->n)
		memcpy(v->vips, cfg->vips, v->n * sizeof(*v->vips));
	v->outer = xcalloc(v->n, sizeof(*v->outer));
	vip_rules_outer(v->vips, v->n, v->outer);
	return v;
}

static int vip_take(void *self, struct msg_report *r, char *ret_why)
{
	struct vip *v = self;

	if (!v->n)
		return 0;
	if (v->retry_in > 0)
		v->retry_in--;
	int err = dump(v, ret_why);
	if (!err && (!complete(v) || !v->counted))
		err = repair(v, ret_why);
	if (!err && complete(v))
		sum_up(v);
	if (err == -EAGAIN)
		err = 0;
	if (v->counted) {
		r->vips = xcalloc(v->n, sizeof(*r->vips));
		memcpy(r->vips, v->last, v->n * sizeof(*r->vips));
		r->n_vips = v->n;
	}
	return err;
}

static void vip_free(void *self, bool keep)
{
	struct vip *v = self;
	char why[TEXT_LEN];

	/* a dump that works shows that we may; in the same transaction `add` makes `delete` never miss */
	int err = keep || !v->n ? -ENOENT : dump(v, why);
	if ((err == 0 || err == -EAGAIN) &&
	    run_nft("add table inet " VIP_TABLE "\ndelete table inet " VIP_TABLE "\n", why) < 0)
		log_warn("sample vip: %s", why);
	clear_dump(v);
	nl_socket_free(v->sock);
	free(v->vips);
	free(v->own);
	free(v->last);
	free(v->outer);
	free(v);
}

const struct source source_vip = { "vip", vip_new, vip_take, vip_free };
