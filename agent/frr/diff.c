/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frr/diff.h"

#include <inttypes.h>
#include <string.h>

/* What differs between wanted routes and bgpd's configuration, as ordered steps. Pure, no state. */

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* FNV-1a, 64 bit: only a label, equality is decided by comparing the attributes */
static uint64_t hash_bytes(uint64_t h, const char *s)
{
	do {
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	} while (*s++);
	return h;
}

static uint64_t hash_attrs(const struct route_attrs *a)
{
	char head[64];
	uint64_t h;

	snprintf(head, sizeof(head), "%" PRIu32 " %" PRIu32, a->prepends, a->bandwidth_mbps);
	h = hash_bytes(0xcbf29ce484222325ULL, head);
	for (size_t i = 0; i < a->n_communities; i++)
		h = hash_bytes(h, a->communities[i]);
	for (size_t i = 0; i < a->n_large; i++)
		h = hash_bytes(h, a->large[i]);
	for (size_t i = 0; i < a->n_ext; i++)
		h = hash_bytes(h, a->ext[i]);
	/* only where there are any: the labels of an older version's maps stay the same */
	if (a->med || a->local_pref) {
		snprintf(head, sizeof(head), "%" PRIu32 " %" PRIu32, a->med, a->local_pref);
		h = hash_bytes(h, head);
	}
	return h;
}

static bool map_says(const struct frr_map *m, const struct route_attrs *a)
{
	return m && !m->odd && route_attrs_equal(&m->attrs, a);
}

bool diff_map_intact(const struct frr_config *seen, const char *name)
{
	const struct frr_map *m = frr_map_find(seen, name);
	char want[MAP_NAME_LEN];

	if (!*name)
		return true;
	if (!m || m->odd) /* a map that is gone is safe to leave, one that is not ours may be anything */
		return !m && !strncmp(name, MAP_PREFIX, sizeof(MAP_PREFIX) - 1);
	int len = snprintf(want, sizeof(want), MAP_PREFIX "%016" PRIx64 "-", hash_attrs(&m->attrs));
	return !strncmp(name, want, (size_t)len);
}

bool diff_matches(const struct frr_config *seen, const struct route_want *w)
{
	const struct frr_network *net = frr_network_find(seen, &w->prefix);

	if (!w->announced || !net)
		return !net && !w->announced;
	return !net->odd && map_says(frr_map_find(seen, net->map), &w->attrs);
}

static struct step *add(struct diff *d, enum step_kind kind)
{
	if (d->n == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 32;
		d->steps = xrealloc(d->steps, d->cap, sizeof(*d->steps));
	}
	d->steps[d->n] = (struct step){ .kind = kind };
	return &d->steps[d->n++];
}

static bool name_taken(const struct frr_config *seen, const struct diff *d, const char *name)
{
	if (frr_map_find(seen, name))
		return true;
	/* a deleted map that a network still points at: making it again would be editing it in place */
	for (size_t i = 0; i < seen->n_networks; i++)
		if (!strcmp(seen->networks[i].map, name))
			return true;
	for (size_t i = 0; i < d->n; i++)
		if (d->steps[i].kind == STEP_MAP && !strcmp(d->steps[i].map, name))
			return true;
	return false;
}

static void pick_name(const struct frr_config *seen, const struct diff *d, uint64_t hash, char *buf)
{
	/* a letter is taken only by an edited map or, hardly, by another hash alike */
	for (;; hash++)
		for (const char *l = LETTERS; *l; l++) {
			snprintf(buf, MAP_NAME_LEN, MAP_PREFIX "%016" PRIx64 "-%c", hash, *l);
			if (!name_taken(seen, d, buf))
				return;
		}
}

/* The map that says a: one bgpd has, or one the steps make. */
static const char *map_for(const struct frr_config *seen, struct diff *d, const struct route_attrs *a)
{
	uint64_t hash = hash_attrs(a);
	char want[MAP_NAME_LEN];
	int len = snprintf(want, sizeof(want), MAP_PREFIX "%016" PRIx64 "-", hash);

	for (size_t i = 0; i < seen->n_maps; i++)
		if (!strncmp(seen->maps[i].name, want, (size_t)len) && map_says(&seen->maps[i], a))
			return seen->maps[i].name;
	for (size_t i = 0; i < d->n; i++)
		if (d->steps[i].kind == STEP_MAP && route_attrs_equal(d->steps[i].attrs, a))
			return d->steps[i].map;
	pick_name(seen, d, hash, want);
	struct step *s = add(d, STEP_MAP);
	s->attrs = a;
	memcpy(s->map, want, sizeof(want));
	return s->map;
}

static void announce(const struct frr_config *seen, const struct route_want *w, struct diff *maps,
		     struct diff *sets)
{
	const char *map = map_for(seen, maps, &w->attrs);
	struct step *s = add(sets, STEP_SET);

	s->prefix = w->prefix;
	s->fresh = !frr_network_find(seen, &w->prefix);
	memcpy(s->map, map, sizeof(s->map));
}

static void append(struct diff *to, struct diff *from)
{
	for (size_t i = 0; i < from->n; i++)
		*add(to, from->steps[i].kind) = from->steps[i];
	diff_done(from);
}

static const struct step *step_for(const struct diff *d, const struct prefix *p)
{
	for (size_t lo = 0, hi = d->n; lo < hi;) { /* wants are sorted, so are their steps */
		size_t mid = lo + (hi - lo) / 2;
		int c = prefix_cmp(&d->steps[mid].prefix, p);
		if (c == 0)
			return &d->steps[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static size_t map_index(const struct frr_config *c, const char *name)
{
	const struct frr_map *m = frr_map_find(c, name);

	return m ? (size_t)(m - c->maps) : c->n_maps;
}

static void drop_unused(const struct frr_config *seen, const struct diff *unsets, const struct diff *sets,
			struct diff *ret)
{
	auto_free bool *used = xcalloc(seen->n_maps + 1, sizeof(*used)); /* the last: none of ours */

	for (size_t i = 0; i < sets->n; i++)
		used[map_index(seen, sets->steps[i].map)] = true;
	for (size_t i = 0; i < seen->n_networks; i++) {
		const struct frr_network *net = &seen->networks[i];
		if (!step_for(unsets, &net->prefix) && !step_for(sets, &net->prefix))
			used[map_index(seen, net->map)] = true;
	}
	for (size_t i = 0; i < seen->n_maps; i++)
		if (!used[i] && !seen->maps[i].held)
			memcpy(add(ret, STEP_DROP)->map, seen->maps[i].name, MAP_NAME_LEN);
}

void diff_make(const struct frr_config *seen, const struct route_want *wants, size_t n, const bool *held,
	       struct diff *ret)
{
	struct diff unsets = { 0 }, maps = { 0 }, sets = { 0 }, drops = { 0 };

	for (size_t i = 0; i < n; i++) {
		if ((held && held[i]) || diff_matches(seen, &wants[i]))
			continue;
		if (wants[i].announced)
			announce(seen, &wants[i], &maps, &sets);
		else
			add(&unsets, STEP_UNSET)->prefix = wants[i].prefix;
	}
	if (n) /* nobody has said anything yet: nothing is to be changed, not even tidied */
		drop_unused(seen, &unsets, &sets, &drops);
	*ret = (struct diff){ 0 };
	append(ret, &unsets);
	append(ret, &maps);
	append(ret, &sets);
	append(ret, &drops);
}

void diff_done(struct diff *d)
{
	free(d->steps);
	*d = (struct diff){ 0 };
}
