/* SPDX-License-Identifier: Apache-2.0
 * Permits: which sites' nodes may withdraw a shard without asking. Pure and stateless: what is outstanding
 * comes in (held), because a lease given cannot be taken back before it runs out.
 *
 * Every held permit counts as used. What remains announced then may give further permits as long as I1
 * still holds; a held one is renewed only while I1 holds with it used. Sites are visited in name order,
 * rotated by the shard's name, so that the permits of many shards spread over the sites. */
#include "controller/steer/guard_int.h"

#include "proto/base/mem.h"

struct left {
	unsigned sites;
	double share;
};

static uint32_t name_hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

static bool i1_holds(const struct policy *p, const struct snap_shard *k, struct left l)
{
	return l.sites >= guard_min_sites(k) && l.share + 1e-9 >= p->announced_share_min;
}

static void sort_sites(const struct snapshot *s, size_t *order)
{
	for (size_t i = 0; i < s->n_sites; i++) {
		size_t j = i;
		for (; j && strcmp(s->sites[order[j - 1]].name, s->sites[i].name) > 0; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
}

static void permits_of(const struct policy *p, const struct snapshot *s, size_t k, const size_t *order,
		       const bool *held, bool *ret_grants)
{
	const struct snap_shard *shard = &s->shards[k];
	struct left left = { 0 };
	size_t n = s->n_sites, turn = name_hash(shard->name) % n;

	for (size_t i = 0; i < n; i++) {
		const struct snap_cell *c = snap_cell(s, i, k);
		bool on = guard_stays_announced(s, i, k, c->wanted);

		if (on && !held[i * s->n_shards + k]) {
			left.sites++;
			left.share += guard_site_share(s, i);
		}
	}
	bool ok = i1_holds(p, shard, left);
	for (size_t j = 0; j < n; j++) {
		size_t i = order[(turn + j) % n], cell = i * s->n_shards + k;

		/* not counted on anyway: a dead service still announced there may go as long as the rest hold
		 * I1 */
		if (!guard_stays_announced(s, i, k, s->cells[cell].wanted) || held[cell]) {
			ret_grants[cell] = ok;
			continue;
		}
		struct left then = { left.sites - 1, left.share - guard_site_share(s, i) };
		if (!i1_holds(p, shard, then))
			continue;
		ret_grants[cell] = true;
		left = then;
	}
}

void guard_permits(const struct policy *p, const struct snapshot *s, const bool *held, bool *ret_grants)
{
	auto_free size_t *order = xcalloc(s->n_sites, sizeof(*order));

	memset(ret_grants, 0, s->n_sites * s->n_shards * sizeof(*ret_grants));
	if (!s->n_sites)
		return;
	sort_sites(s, order);
	for (size_t k = 0; k < s->n_shards; k++)
		permits_of(p, s, k, order, held, ret_grants);
}
