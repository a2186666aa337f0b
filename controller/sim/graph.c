/* SPDX-License-Identifier: Apache-2.0
 * Builds the graph once per seed (compressed link lists, immutable after), and computes routes for a vector
 * of grades: customer routes climb, peer routes take one step, provider routes descend, each by buckets of
 * path length. O(links). */
#include "controller/sim/graph.h"

#include <math.h>
#include <string.h>

#include "controller/sim/rng.h"
#include "proto/base/mem.h"

#define TIER1	     10
#define LEN_MAX	     48
#define LINKS_SITE   12 /* per site */
#define DEAF_PCT     14 /* of sites: their neighbours prefer them whatever the path says */
#define COMPRESS_PCT 65 /* of other links: prepends beyond the first do not count */
#define HONOUR_PCT   93 /* of neighbours honour graceful shutdown */
#define TRIES	     10 /* candidates looked at for one link */
#define CONTINENTS   6

enum { ROUTE_NONE, ROUTE_CUSTOMER, ROUTE_PEER, ROUTE_PROVIDER };

struct links { /* compressed rows: of AS a the neighbours to[at[a] .. at[a + 1]] */
	uint32_t *at, *to;
};

struct site_link {
	uint32_t as;
	bool peer, honours;   /* honours: graceful shutdown */
	uint8_t prepends_max; /* how many it lets count */
	uint32_t tag;	      /* decides which communities it acts on */
};

struct as {
	float x, y;
	double weight;
	bool whim; /* chooses between equals by a rule of its own */
};

struct graph {
	size_t n, sites;
	struct as *as;
	struct links up, down, peer;
	struct site_link (*link)[LINKS_SITE];
	size_t *n_links;
	float (*where)[2]; /* of sites */
	uint64_t seed;
};

struct edge {
	uint32_t a, b;
};

struct build {
	struct graph *g;
	struct rng r;
	struct edge *c2p, *p2p;
	size_t n_c2p, n_p2p, cap_c2p, cap_p2p;
};

static void add_edge(struct edge **list, size_t *n, size_t *cap, uint32_t a, uint32_t b)
{
	if (*n == *cap) {
		*cap = *cap ? *cap * 2 : 4096;
		*list = xrealloc(*list, *cap, sizeof(**list));
	}
	(*list)[(*n)++] = (struct edge){ a, b };
}

static double dist2(const struct graph *g, uint32_t a, float x, float y)
{
	double dx = g->as[a].x - x, dy = g->as[a].y - y;

	return dx * dx + dy * dy;
}

/* An AS below `limit`, rich ones more often, the nearest of some tries. */
static uint32_t pick(struct build *b, float x, float y, uint32_t limit, uint32_t not )
{
	uint32_t best = (uint32_t)rng_below(&b->r, limit);
	double top = INFINITY;

	for (int t = 0; t < TRIES; t++) {
		uint32_t a = (uint32_t)rng_below(&b->r, limit);

		if (b->n_c2p && rng_unit(&b->r) < 0.6)
			a = b->c2p[rng_below(&b->r, b->n_c2p)].b;
		if (a >= limit || a == not )
			continue;
		/* tier-1s are everywhere */
		double d = (a < TIER1 ? 0.15 : sqrt(dist2(b->g, a, x, y))) * (0.5 + rng_unit(&b->r));
		if (d < top) {
			top = d;
			best = a;
		}
	}
	return best;
}

static void place(struct build *b, size_t transits)
{
	struct graph *g = b->g;
	float centre[CONTINENTS][2];

	for (int i = 0; i < CONTINENTS; i++)
		for (int j = 0; j < 2; j++)
			centre[i][j] = (float)rng_unit(&b->r);
	for (size_t i = 0; i < g->n; i++) {
		const float *c = centre[rng_below(&b->r, CONTINENTS)];

		g->as[i].x = c[0] + (float)(0.12 * rng_normal(&b->r));
		g->as[i].y = c[1] + (float)(0.12 * rng_normal(&b->r));
		g->as[i].weight = i < TIER1 ? 0.1 : fmin(pow(1 - rng_unit(&b->r), -1 / 1.3), 200);
		if (i < transits)
			g->as[i].weight *= 2;
	}
	for (size_t s = 0; s < g->sites; s++) {
		const float *c = centre[s % CONTINENTS];
		g->where[s][0] = c[0] + (float)(0.1 * rng_normal(&b->r));
		g->where[s][1] = c[1] + (float)(0.1 * rng_normal(&b->r));
	}
}

static void link_ases(struct build *b, uint32_t transits)
{
	struct graph *g = b->g;

	for (uint32_t i = 0; i < TIER1; i++)
		for (uint32_t j = 0; j < i; j++)
			add_edge(&b->p2p, &b->n_p2p, &b->cap_p2p, i, j);
	for (uint32_t i = TIER1; i < g->n; i++) {
		double u = rng_unit(&b->r);
		int providers = u < 0.38 ? 1 : u < 0.8 ? 2 : 3;
		uint32_t last = i;

		for (int p = 0; p < providers; p++) {
			uint32_t up = pick(b, g->as[i].x, g->as[i].y, i < transits ? i : transits, last);
			if (up != last && up != i)
				add_edge(&b->c2p, &b->n_c2p, &b->cap_c2p, i, up);
			last = up;
		}
		for (int p = 0; i < transits && p < 4; p++) {
			uint32_t o = pick(b, g->as[i].x, g->as[i].y, i, i);
			if (o >= TIER1 && o != i)
				add_edge(&b->p2p, &b->n_p2p, &b->cap_p2p, i, o);
		}
	}
}

static void link_sites(struct build *b, uint32_t transits)
{
	struct graph *g = b->g;

	for (size_t s = 0; s < g->sites; s++) {
		size_t providers = 1 + rng_below(&b->r, 3), peers = 1 + rng_below(&b->r, LINKS_SITE - 4);

		bool deaf = rng_below(&b->r, 100) < DEAF_PCT;

		for (size_t l = 0; l < providers + peers; l++) {
			struct site_link *k = &g->link[s][g->n_links[s]];
			bool dup = false;

			*k = (struct site_link){ .peer = l >= providers,
						 .honours = rng_below(&b->r, 100) < HONOUR_PCT,
						 .tag = (uint32_t)rng_u64(&b->r) };
			k->prepends_max = deaf ? 0 : rng_below(&b->r, 100) < COMPRESS_PCT ? 1 : 16;
			k->as = !l && rng_unit(&b->r) < 0.5
					? (uint32_t)rng_below(&b->r, TIER1)
					: pick(b, g->where[s][0], g->where[s][1], transits, UINT32_MAX);
			for (size_t o = 0; o < g->n_links[s]; o++)
				dup = dup || g->link[s][o].as == k->as;
			g->n_links[s] += !dup;
		}
	}
}

/* Rows of `from` -> `to`; flip: the other direction; both: peers. */
static struct links rows(const struct edge *e, size_t n_e, size_t n, bool forward, bool backward)
{
	struct links l = { xcalloc(n + 2, sizeof(uint32_t)), xcalloc(2 * n_e + 1, sizeof(uint32_t)) };

	for (size_t i = 0; i < n_e; i++) {
		l.at[e[i].a + 2] += forward;
		l.at[e[i].b + 2] += backward;
	}
	for (size_t i = 2; i < n + 2; i++)
		l.at[i] += l.at[i - 1];
	for (size_t i = 0; i < n_e; i++) {
		if (forward)
			l.to[l.at[e[i].a + 1]++] = e[i].b;
		if (backward)
			l.to[l.at[e[i].b + 1]++] = e[i].a;
	}
	return l;
}

struct graph *graph_new(size_t ases, size_t sites, uint64_t seed, double perturb)
{
	struct graph *g = xcalloc(1, sizeof(*g));
	struct build b = { .g = g, .r = rng_stream(seed, "graph") };
	uint32_t transits = (uint32_t)(TIER1 + 20 + ases / 12);
	double sum = 0;

	g->n = ases < 200 ? 200 : ases;
	g->sites = sites;
	g->seed = seed;
	g->as = xcalloc(g->n, sizeof(*g->as));
	g->link = xcalloc(sites, sizeof(*g->link));
	g->n_links = xcalloc(sites, sizeof(*g->n_links));
	g->where = xcalloc(sites, sizeof(*g->where));
	place(&b, transits);
	link_ases(&b, transits);
	link_sites(&b, transits);
	g->up = rows(b.c2p, b.n_c2p, g->n, true, false);
	g->down = rows(b.c2p, b.n_c2p, g->n, false, true);
	g->peer = rows(b.p2p, b.n_p2p, g->n, true, true);
	free(b.c2p);
	free(b.p2p);
	struct rng r = rng_stream(seed, "whim");
	for (size_t i = 0; i < g->n; i++) {
		sum += g->as[i].weight;
		g->as[i].whim = rng_unit(&r) < perturb;
	}
	for (size_t i = 0; i < g->n; i++)
		g->as[i].weight /= sum;
	return g;
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	void *const all[] = { g->as,	  g->up.at,   g->up.to, g->down.at, g->down.to,
			      g->peer.at, g->peer.to, g->link,	g->n_links, g->where };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		free(all[i]);
	free(g);
}

size_t graph_ases(const struct graph *g)
{
	return g->n;
}

double graph_weight(const struct graph *g, size_t as)
{
	return g->as[as].weight;
}

/* -- routes ---------------------------------------------------------------------------------------- */

struct offer {
	uint32_t as, next; /* next: of the bucket, 0: none (indices from 1) */
	uint16_t site;
};

struct routing {
	const struct graph *g;
	uint8_t *kind, *len;
	uint16_t *site;
	struct offer *offer;
	size_t n_offers, cap_offers;
	uint32_t bucket[LEN_MAX + 1];
};

static void offer(struct routing *r, uint32_t as, unsigned len, uint16_t site)
{
	if (len > LEN_MAX)
		return;
	if (r->n_offers + 1 >= r->cap_offers) {
		r->cap_offers = r->cap_offers ? r->cap_offers * 2 : 8192;
		r->offer = xrealloc(r->offer, r->cap_offers, sizeof(*r->offer));
	}
	r->offer[++r->n_offers] = (struct offer){ as, r->bucket[len], site };
	r->bucket[len] = (uint32_t)r->n_offers;
}

/* Between routes that are otherwise equal. */
static bool closer(const struct graph *g, uint32_t as, uint16_t a, uint16_t b)
{
	if (a == b)
		return false;
	if (g->as[as].whim)
		return rng_mix(g->seed ^ as, a) < rng_mix(g->seed ^ as, b);
	return dist2(g, as, g->where[a][0], g->where[a][1]) < dist2(g, as, g->where[b][0], g->where[b][1]);
}

static bool take(struct routing *r, uint32_t as, uint8_t kind, unsigned len, uint16_t site)
{
	if (r->kind[as] && (r->kind[as] < kind || (r->kind[as] == kind && r->len[as] < len)))
		return false;
	if (r->kind[as] == kind && r->len[as] == len) {
		if (closer(r->g, as, site, r->site[as]))
			r->site[as] = site;
		return false;
	}
	r->kind[as] = kind;
	r->len[as] = (uint8_t)len;
	r->site[as] = site;
	return true;
}

static bool hears(const struct site_link *l, const struct grade *g)
{
	switch (g->kind) {
	case GRADE_WITHDRAWN:
		return false;
	case GRADE_DRAIN:
		return !l->honours;
	case GRADE_COMMUNITY:
		if (!strcmp(g->name, "no-peers"))
			return !l->peer;
		return l->tag % 100 >= g->strength;
	default:
		return true;
	}
}

/* Offers every site's announcement to its neighbours of one kind. drain: graceful shutdown counts. */
static size_t announce(struct routing *r, const struct grade_set *gs, const uint8_t *grades, bool peers,
		       bool drain)
{
	size_t n = 0;

	for (size_t s = 0; s < r->g->sites; s++) {
		if (grades[s] >= gs->n)
			continue;
		const struct grade *g = &gs->g[grades[s]];
		for (size_t l = 0; l < r->g->n_links[s]; l++) {
			const struct site_link *k = &r->g->link[s][l];

			if (k->peer != peers || (!hears(k, g) && (drain || g->kind != GRADE_DRAIN)))
				continue;
			unsigned len = 1 + (g->prepends < k->prepends_max ? g->prepends : k->prepends_max);
			n++;
			if (peers)
				take(r, k->as, ROUTE_PEER, len, (uint16_t)s);
			else
				offer(r, k->as, len, (uint16_t)s);
		}
	}
	return n;
}

/* Buckets in order of length; an AS that took a route passes it on along `via`. */
static void spread(struct routing *r, uint8_t kind, const struct links *via)
{
	for (unsigned len = 1; len <= LEN_MAX; len++) {
		uint32_t first = r->bucket[len];

		r->bucket[len] = 0;
		for (uint32_t o = first; o; o = r->offer[o].next)
			if (!take(r, r->offer[o].as, kind, len, r->offer[o].site))
				r->offer[o].site = GRAPH_NONE;
		for (uint32_t o = first; o; o = r->offer[o].next) {
			uint32_t as = r->offer[o].as;

			if (r->offer[o].site == GRAPH_NONE)
				continue;
			for (uint32_t l = via->at[as]; l < via->at[as + 1]; l++)
				offer(r, via->to[l], len + 1, r->site[as]);
		}
	}
}

static void peer_step(struct routing *r)
{
	for (uint32_t as = 0; as < r->g->n; as++) {
		if (r->kind[as] != ROUTE_CUSTOMER)
			continue;
		for (uint32_t l = r->g->peer.at[as]; l < r->g->peer.at[as + 1]; l++)
			take(r, r->g->peer.to[l], ROUTE_PEER, r->len[as] + 1u, r->site[as]);
	}
}

void graph_route(const struct graph *g, const struct grade_set *gs, const uint8_t *grades, uint16_t *ret_site)
{
	auto_free uint8_t *kind = xcalloc(g->n, 1), *len = xcalloc(g->n, 1);
	struct routing r = { .g = g, .kind = kind, .len = len, .site = ret_site };
	bool drain = true;

	for (size_t i = 0; i < g->n; i++)
		ret_site[i] = GRAPH_NONE;
	if (!announce(&r, gs, grades, false, true)) {
		/* nobody else is there: the least preferred route is used */
		drain = false;
		announce(&r, gs, grades, false, false);
	}
	spread(&r, ROUTE_CUSTOMER, &g->up);
	peer_step(&r);
	announce(&r, gs, grades, true, drain);
	r.n_offers = 0;
	for (uint32_t as = 0; as < g->n; as++)
		for (uint32_t l = kind[as] ? g->down.at[as] : 1; kind[as] && l < g->down.at[as + 1]; l++)
			if (!kind[g->down.to[l]])
				offer(&r, g->down.to[l], len[as] + 1u, ret_site[as]);
	spread(&r, ROUTE_PROVIDER, &g->down);
	free(r.offer);
}
