/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frr/route.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "proto/base/err.h"

/* Canonical texts of route attributes, so that what was asked for and what FRR prints can be compared. Pure.
 */

/* FRR prints these by name (bgpd/bgp_community.c, community_str) */
static const struct {
	const char *name, *text;
} well_known[] = {
	{ "internet", "0:0" },
	{ "graceful-shutdown", "65535:0" },
	{ "accept-own", "65535:1" },
	{ "route-filter-translated-v4", "65535:2" },
	{ "route-filter-v4", "65535:3" },
	{ "route-filter-translated-v6", "65535:4" },
	{ "route-filter-v6", "65535:5" },
	{ "llgr-stale", "65535:6" },
	{ "no-llgr", "65535:7" },
	{ "accept-own-nexthop", "65535:8" },
	{ "blackhole", "65535:666" },
	{ "no-export", "65535:65281" },
	{ "no-advertise", "65535:65282" },
	{ "local-AS", "65535:65283" },
	{ "no-peer", "65535:65284" },
};

/* Exactly n decimal numbers up to max with ':' between; false otherwise. */
static bool numbers(const char *s, size_t n, uint64_t max, uint64_t *ret_v)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t v = 0;
		if (*s < '0' || *s > '9')
			return false;
		for (; *s >= '0' && *s <= '9'; s++) {
			v = v * 10 + (uint64_t)(*s - '0');
			if (v > max)
				return false;
		}
		ret_v[i] = v;
		if (*s != (i + 1 < n ? ':' : 0))
			return false;
		s++;
	}
	return true;
}

bool route_community_canon(const char *s, char ret_text[NAME_LEN])
{
	uint64_t v[2];

	for (size_t i = 0; i < ARRAY_LEN(well_known); i++)
		if (!strcmp(s, well_known[i].name)) {
			snprintf(ret_text, NAME_LEN, "%s", well_known[i].text);
			return true;
		}
	if (!numbers(s, 2, UINT16_MAX, v))
		return false;
	snprintf(ret_text, NAME_LEN, "%" PRIu64 ":%" PRIu64, v[0], v[1]);
	return true;
}

bool route_large_canon(const char *s, char ret_text[NAME_LEN])
{
	uint64_t v[3];

	if (!numbers(s, 3, UINT32_MAX, v))
		return false;
	snprintf(ret_text, NAME_LEN, "%" PRIu64 ":%" PRIu64 ":%" PRIu64, v[0], v[1], v[2]);
	return true;
}

bool route_ext_canon(const char *s, char ret_text[NAME_LEN])
{
	static const char *const kinds[] = { "rt", "soo" };
	uint64_t v[2];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i]);
		if (strncasecmp(s, kinds[i], n) || (s[n] != ' ' && s[n] != ':'))
			continue;
		/* one half has two octets, the other four (RFC 4360, RFC 5668) */
		if (!numbers(s + n + 1, 2, UINT32_MAX, v) || (v[0] > UINT16_MAX && v[1] > UINT16_MAX))
			return false;
		snprintf(ret_text, NAME_LEN, "%s %" PRIu64 ":%" PRIu64, kinds[i], v[0], v[1]);
		return true;
	}
	return false;
}

static int cmp_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int canon_list(char (*list)[NAME_LEN], size_t *n, bool (*canon)(const char *, char *))
{
	size_t kept = 0;

	if (*n > MAX_COMMUNITIES)
		return ERR_LIMIT;
	for (size_t i = 0; i < *n; i++) {
		char text[NAME_LEN];
		if (strnlen(list[i], NAME_LEN) == NAME_LEN || !canon(list[i], text))
			return ERR_MALFORMED;
		memcpy(list[i], text, NAME_LEN);
	}
	qsort(list, *n, NAME_LEN, cmp_text);
	for (size_t i = 0; i < *n; i++)
		if (!kept || strcmp(list[kept - 1], list[i])) {
			if (kept != i)
				memcpy(list[kept], list[i], NAME_LEN);
			kept++;
		}
	*n = kept;
	return 0;
}

static int say(int err, const char *why, const char **ret_why)
{
	if (ret_why)
		*ret_why = why;
	return err;
}

int route_attrs_normalise(struct route_attrs *a, const char **ret_why)
{
	int r;

	if (a->prepends > ROUTE_PREPENDS_MAX)
		return say(ERR_LIMIT, "more than 10 prepends", ret_why);
	if (a->bandwidth_mbps > ROUTE_BANDWIDTH_MAX)
		return say(ERR_LIMIT, "link bandwidth above FRR's limit of 25600 Mbit/s", ret_why);
	if ((r = canon_list(a->communities, &a->n_communities, route_community_canon)))
		return say(r, "not a community (expected e.g. 64500:80), or too many", ret_why);
	if ((r = canon_list(a->large, &a->n_large, route_large_canon)))
		return say(r, "not a large community (expected e.g. 64500:1:2), or too many", ret_why);
	if ((r = canon_list(a->ext, &a->n_ext, route_ext_canon)))
		return say(r, "not an extended community (expected e.g. \"rt 64500:1\"), or too many",
			   ret_why);
	if (a->local_pref == 100)
		a->local_pref = 0;
	return 0;
}

static bool lists_equal(const char (*a)[NAME_LEN], size_t n_a, const char (*b)[NAME_LEN], size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (strcmp(a[i], b[i]))
			return false;
	return true;
}

bool route_attrs_equal(const struct route_attrs *a, const struct route_attrs *b)
{
	return a->prepends == b->prepends && a->bandwidth_mbps == b->bandwidth_mbps && a->med == b->med &&
	       a->local_pref == b->local_pref && lists_equal(a->ext, a->n_ext, b->ext, b->n_ext) &&
	       lists_equal(a->communities, a->n_communities, b->communities, b->n_communities) &&
	       lists_equal(a->large, a->n_large, b->large, b->n_large);
}

const char *route_grade_guess(const struct route_attrs *a)
{
	static const char *const prepend[] = { "normal", "prepend1", "prepend2", "prepend3" };

	if (a->n_large || a->n_ext || a->med || a->local_pref || a->n_communities > 1 ||
	    (a->n_communities && a->prepends))
		return "?";
	if (a->n_communities)
		return strcmp(a->communities[0], "65535:0") ? "?" : "drain";
	return a->prepends < ARRAY_LEN(prepend) ? prepend[a->prepends] : "?";
}
