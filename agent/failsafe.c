/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/failsafe.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"

struct row {
	enum fs_action off;	  /* not announced */
	enum fs_action on;	  /* announced, no permit */
	enum fs_action on_permit; /* announced, permit */
};

#define L FS_LEAVE
#define A FS_DO_ANNOUNCE
#define W FS_DO_WITHDRAW
#define Q FS_ASK
static const struct row table[3][4] = {
	/*                   UNKNOWN      UP           DOWN         HELD (up, not for long enough) */
	[FS_NONE] = { { L, L, L }, { L, L, L }, { L, Q, W }, { L, L, L } },
	[FS_ANNOUNCE] = { { L, A, A }, { A, A, A }, { W, Q, W }, { W, A, A } },
	[FS_WITHDRAW] = { { W, W, W }, { W, W, W }, { W, W, W }, { W, W, W } },
};
#undef L
#undef A
#undef W
#undef Q

enum fs_action failsafe_decide(const struct fs_input *in)
{
	const struct row *r = &table[in->order][in->health];

	if (!in->announced)
		return r->off;
	return in->permit ? r->on_permit : r->on;
}

const char *failsafe_action_str(enum fs_action a)
{
	static const char *const names[] = { "leave", "announce", "withdraw", "ask" };

	return names[a];
}

static bool community_allowed(const char *c, char *const *allow, size_t n_allow)
{
	if (strcmp(c, "65535:0") == 0)
		return true;
	for (size_t i = 0; i < n_allow; i++)
		if (strcmp(allow[i], c) == 0)
			return true;
	return false;
}

static int cmp_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int failsafe_route(const struct shard_intent *in, const struct prefix *p, char *const *allow, size_t n_allow,
		   struct route_want *ret_want, char *ret_why)
{
	struct route_want w = { .prefix = *p, .announced = !in->withdrawn, .weight = in->weight };

	memcpy(w.grade, in->grade, sizeof(w.grade));
	w.attrs.prepends = in->prepends;
	w.attrs.bandwidth_mbps = in->weight;
	for (size_t i = 0; i < in->n_communities; i++) {
		const char *c = in->communities[i];
		if (!community_allowed(c, allow, n_allow)) {
			snprintf(ret_why, TEXT_LEN, "community %s is not in this node's allow.communities",
				 c);
			return ERR_NOT_ALLOWED;
		}
		/* two colons make a large community (RFC 8092) */
		bool large = strchr(strchr(c, ':') ? strchr(c, ':') + 1 : c, ':') != NULL;
		if (large)
			memcpy(w.attrs.large[w.attrs.n_large++], c, NAME_LEN);
		else
			memcpy(w.attrs.communities[w.attrs.n_communities++], c, NAME_LEN);
	}
	qsort(w.attrs.communities, w.attrs.n_communities, NAME_LEN, cmp_name);
	qsort(w.attrs.large, w.attrs.n_large, NAME_LEN, cmp_name);
	*ret_want = w;
	return 0;
}
