/* SPDX-License-Identifier: Apache-2.0
 * Pure: no clock, no I/O, no log, no globals.
 * Arrivals are counted before conntrack and every filter (what reached the node is load, dropped or not) and
 * before a destination NAT hides the VIP; answers after a source NAT has put it back. */
#include "agent/sample/vip_rules.h"

#include <string.h>

#include "proto/base/err.h"

typedef unsigned __int128 u128;

static const char *const way_name[] = { "in", "out", "syn" };

static int addr_bytes(uint8_t family)
{
	return family == 4 ? 4 : 16;
}

char *vip_rules_name(enum vip_way way, const struct prefix *p, char *buf)
{
	static const char digits[] = "0123456789abcdef";
	char hex[33];
	int n = 0;

	/* by hand: every counter of every read passes here */
	for (int i = 0; i < addr_bytes(p->family); i++) {
		hex[n++] = digits[p->a[i] >> 4];
		hex[n++] = digits[p->a[i] & 15];
	}
	snprintf(buf, VIP_NAME_LEN, "%s_%.*s_%u", way_name[way], n, hex, p->len);
	return buf;
}

static int hex_digit(char ch)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = ch ? strchr(digits, ch) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* hex digits up to '_'; NULL unless exactly one address */
static const char *parse_hex(const char *at, struct prefix *ret_prefix)
{
	size_t len = strcspn(at, "_");

	if (len != 8 && len != 32)
		return NULL;
	ret_prefix->family = len == 8 ? 4 : 6;
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_digit(at[i]), low = hex_digit(at[i + 1]);
		if (high < 0 || low < 0)
			return NULL;
		ret_prefix->a[i / 2] = (uint8_t)(high << 4 | low);
	}
	return at + len;
}

int vip_rules_parse(const char *name, enum vip_way *ret_way, struct prefix *ret_prefix)
{
	char same[VIP_NAME_LEN];

	for (int way = 0; way < VIP_WAYS; way++) {
		struct prefix p = { 0 };
		size_t n = strlen(way_name[way]);
		if (strncmp(name, way_name[way], n) != 0 || name[n] != '_')
			continue;
		const char *at = parse_hex(name + n + 1, &p);
		if (!at || *at != '_')
			return ERR_MALFORMED;
		p.len = (uint8_t)atoi(at + 1);
		/* writing it again settles every doubt about signs, zeros and trailing bytes */
		if (strcmp(vip_rules_name((enum vip_way)way, &p, same), name) != 0)
			return ERR_MALFORMED;
		*ret_way = (enum vip_way)way;
		*ret_prefix = p;
		return 0;
	}
	return ERR_MALFORMED;
}

/* sorted: what is around vips[i] is the one before, or around the one before */
void vip_rules_outer(const struct prefix *vips, size_t n, int *ret_outer)
{
	for (size_t i = 0; i < n; i++) {
		int outer = (int)i - 1;
		while (outer >= 0 && !prefix_contains(&vips[outer], &vips[i]))
			outer = ret_outer[outer];
		ret_outer[i] = outer;
	}
}

static u128 first_addr(const struct prefix *p)
{
	u128 v = 0;

	for (int i = 0; i < addr_bytes(p->family); i++)
		v = v << 8 | p->a[i];
	return v;
}

static u128 last_addr(const struct prefix *p)
{
	int host_bits = addr_bytes(p->family) * 8 - p->len;

	return first_addr(p) | (host_bits == 128 ? ~(u128)0 : ((u128)1 << host_bits) - 1);
}

static void add_addr(struct buf *out, uint8_t family, u128 addr)
{
	struct prefix p = { .family = family };
	char text[PREFIX_STRLEN];

	for (int i = addr_bytes(family); i-- > 0; addr >>= 8)
		p.a[i] = (uint8_t)addr;
	buf_adds(out, prefix_addr_str(&p, text));
}

static void add_range(struct buf *out, uint8_t family, u128 from, u128 to, const char *counter)
{
	add_addr(out, family, from);
	if (to != from) {
		buf_adds(out, "-");
		add_addr(out, family, to);
	}
	buf_addf(out, " : \"%s\", ", counter);
}

/* what of vips[i] no inner prefix covers */
static void add_intervals(struct buf *out, const struct prefix *vips, size_t n, size_t i, const char *counter)
{
	u128 at = first_addr(&vips[i]), end = last_addr(&vips[i]);

	for (size_t j = i + 1; j < n && prefix_contains(&vips[i], &vips[j]); j++) {
		u128 inner = first_addr(&vips[j]);
		if (inner < at)
			continue; /* inside the one before */
		if (inner > at)
			add_range(out, vips[i].family, at, inner - 1, counter);
		if (last_addr(&vips[j]) == end)
			return;
		at = last_addr(&vips[j]) + 1;
	}
	add_range(out, vips[i].family, at, end, counter);
}

/* before any map: nft 1.0.6 sends a new map's elements along with the map, whatever the order in the text */
static void add_counters(struct buf *out, const struct prefix *vips, size_t n)
{
	char counter[VIP_NAME_LEN];

	for (size_t i = 0; i < n; i++)
		for (int way = 0; way < VIP_WAYS; way++)
			buf_addf(out, "add counter inet " VIP_TABLE " %s\n",
				 vip_rules_name((enum vip_way)way, &vips[i], counter));
}

static void add_map(struct buf *out, const struct prefix *vips, size_t n, enum vip_way way, uint8_t family)
{
	char map[16], counter[VIP_NAME_LEN];
	auto_buf elements = { 0 };

	snprintf(map, sizeof(map), "%s%u", way_name[way], family);
	buf_addf(out, "add map inet " VIP_TABLE " %s { type ipv%u_addr : counter; flags interval; }\n", map,
		 family);
	buf_addf(out, "flush map inet " VIP_TABLE " %s\n", map);
	for (size_t i = 0; i < n; i++)
		if (vips[i].family == family)
			add_intervals(&elements, vips, n, i, vip_rules_name(way, &vips[i], counter));
	if (elements.len)
		buf_addf(out, "add element inet " VIP_TABLE " %s { %s }\n", map, elements.data);
}

static const char head[] =
	"add table inet " VIP_TABLE "\n"
	"add chain inet " VIP_TABLE " arrive { type filter hook prerouting priority -310; policy accept; }\n"
	"add chain inet " VIP_TABLE " leave { type filter hook postrouting priority 310; policy accept; }\n"
	"flush chain inet " VIP_TABLE " arrive\n"
	"flush chain inet " VIP_TABLE " leave\n";

static const char rules[] =
	"add rule inet " VIP_TABLE " arrive counter name ip daddr map @in4\n"
	"add rule inet " VIP_TABLE " arrive tcp flags & (syn | ack) == syn counter name ip daddr map @syn4\n"
	"add rule inet " VIP_TABLE " arrive counter name ip6 daddr map @in6\n"
	"add rule inet " VIP_TABLE " arrive tcp flags & (syn | ack) == syn counter name ip6 daddr map @syn6\n"
	"add rule inet " VIP_TABLE " leave counter name ip saddr map @out4\n"
	"add rule inet " VIP_TABLE " leave counter name ip6 saddr map @out6\n";

void vip_rules_script(const struct prefix *vips, size_t n, const char *const *stale, size_t n_stale,
		      bool fresh, struct buf *out)
{
	if (fresh)
		buf_adds(out, "add table inet " VIP_TABLE "\ndelete table inet " VIP_TABLE "\n");
	buf_adds(out, head);
	add_counters(out, vips, n);
	for (int way = 0; way < VIP_WAYS; way++) {
		add_map(out, vips, n, (enum vip_way)way, 4);
		add_map(out, vips, n, (enum vip_way)way, 6);
	}
	for (size_t i = 0; i < n_stale && !fresh; i++)
		buf_addf(out, "delete counter inet " VIP_TABLE " %s\n", stale[i]);
	buf_adds(out, rules);
}
