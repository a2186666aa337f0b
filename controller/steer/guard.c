/* SPDX-License-Identifier: Apache-2.0
 * The guard's memory: what was ordered for each (site, shard) and when, which sites fell when, the ledger.
 *
 * A cell is in flight from the moment its order changes (committed here, or seen in a snapshot whoever did
 * it) until the routers read back the order and settle_min has passed; settle_max ends the wait in any case,
 * so that a dead site cannot block forever. A change is charged to the ledger once: at commit, or when first
 * seen. The first sight of a cell is no change. No timers: time is the snapshot's. */
#include "controller/steer/guard_int.h"

#include "proto/base/err.h"
#include "proto/base/mem.h"

#define GUARD_LINE_MAX 512

struct guard *guard_new(void)
{
	struct guard *g = xcalloc(1, sizeof(*g));

	g->blind_ms = INT64_MIN;
	return g;
}

static void clear(struct guard *g)
{
	struct guard_cell *c, *nc;
	struct guard_site *s, *ns;

	HASH_ITER(hh, g->cells, c, nc) {
		HASH_DEL(g->cells, c);
		free(c);
	}
	HASH_ITER(hh, g->sites, s, ns) {
		HASH_DEL(g->sites, s);
		free(s);
	}
	ledger_done(&g->ledger);
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	clear(g);
	free(g);
}

const struct guard_cell *guard_cell_find(const struct guard *g, const char *site, const char *shard)
{
	struct cell_key key = cell_key(site, shard);
	struct guard_cell *c;

	HASH_FIND(hh, g->cells, &key, sizeof(key), c);
	return c;
}

static struct guard_cell *cell_add(struct guard *g, const char *site, const char *shard)
{
	struct guard_cell *c = xcalloc(1, sizeof(*c));

	c->key = cell_key(site, shard);
	HASH_ADD(hh, g->cells, key, sizeof(c->key), c);
	return c;
}

static struct guard_cell *cell_get(struct guard *g, const char *site, const char *shard, bool *ret_new)
{
	struct cell_key key = cell_key(site, shard);
	struct guard_cell *c;

	HASH_FIND(hh, g->cells, &key, sizeof(key), c);
	*ret_new = !c;
	return c ? c : cell_add(g, site, shard);
}

static unsigned grade_by_name(const struct grade_set *gs, const char *name)
{
	for (unsigned i = 0; i < gs->n; i++)
		if (!strcmp(gs->g[i].name, name))
			return i;
	return 0;
}

/* The order for this cell is now `to`: charge it when it is news. */
static struct guard_cell *order(struct guard *g, const struct snapshot *s, size_t site, size_t shard,
				unsigned to)
{
	const char *sn = s->sites[site].name, *kn = s->shards[shard].name, *name = s->grades->g[to].name;
	bool first;
	struct guard_cell *c = cell_get(g, sn, kn, &first);

	if (!first && strcmp(c->wanted, name)) {
		ledger_add(&g->ledger, sn, kn,
			   ledger_cost(s->grades, grade_by_name(s->grades, c->wanted), to), s->now_ms);
		c->changed_ms = s->now_ms;
		c->in_flight = true;
	}
	if (first || c->in_flight || strcmp(c->wanted, name))
		key_copy(c->wanted, name);
	return c;
}

/* What agents withdraw because a drill has them take a service for dead is no order, and routers see it all
 * the same. It always comes back, so that is charged with it: the drill's end may be another controller's. */
static void charge_death(struct guard *g, struct guard_cell *c, const struct snap_cell *cell, int64_t now_ms)
{
	if (cell->drill_dead && !c->drill_dead)
		ledger_add(&g->ledger, c->key.site, c->key.shard, LEDGER_WITHDRAW + LEDGER_CHANGE, now_ms);
	c->drill_dead = cell->drill_dead;
}

static void observe_cell(struct guard *g, const struct policy *p, const struct snapshot *s, size_t i,
			 size_t k)
{
	const struct snap_cell *cell = snap_cell(s, i, k);

	if (cell->wanted >= s->grades->n)
		return;
	struct guard_cell *c = order(g, s, i, k, cell->wanted);
	int64_t age = s->now_ms - c->changed_ms;
	charge_death(g, c, cell, s->now_ms);

	if ((cell->grade == cell->wanted && age >= p->settle_min_ms) || age >= p->settle_max_ms)
		c->in_flight = false;
}

static void observe_site(struct guard *g, const struct snapshot *s, size_t i)
{
	struct guard_site *m;
	char name[STEER_NAME];

	key_copy(name, s->sites[i].name);
	HASH_FIND(hh, g->sites, name, sizeof(name), m);
	if (!m) {
		m = xcalloc(1, sizeof(*m));
		memcpy(m->name, name, sizeof(name));
		m->fell_ms = INT64_MIN;
		m->healthy = s->sites[i].healthy;
		HASH_ADD(hh, g->sites, name, sizeof(m->name), m);
	}
	/* whoever has just started has heard of nobody yet: that is no fall */
	m->heard |= s->sites[i].healthy;
	if (m->heard && m->healthy && !s->sites[i].healthy)
		m->fell_ms = s->now_ms;
	m->healthy = s->sites[i].healthy;
	g->mass_n += m->fell_ms != INT64_MIN && s->now_ms - m->fell_ms <= MASS_WINDOW_MS;
}

/* The clock starts anew when the machine does: what was remembered keeps its age. */
static void rebase(struct guard *g, int64_t now_ms)
{
	int64_t by = g->told && now_ms < g->now_ms ? now_ms - g->now_ms : 0;

	g->told = true;
	g->now_ms = now_ms;
	if (!by)
		return;
	for (struct guard_cell *c = g->cells; c; c = c->hh.next)
		time_shift(&c->changed_ms, by);
	for (struct guard_site *m = g->sites; m; m = m->hh.next)
		time_shift(&m->fell_ms, by);
	time_shift(&g->blind_ms, by);
	ledger_rebase(&g->ledger, by);
}

void guard_observe(struct guard *g, const struct policy *p, const struct snapshot *s)
{
	rebase(g, s->now_ms);
	g->mass_n = 0;
	for (size_t i = 0; i < s->n_sites; i++)
		observe_site(g, s, i);
	if (guard_blind_share(s, p->stale_ms) > GUARD_BLIND_MAX)
		g->blind_ms = s->now_ms;
	/* one site of three is a site lost, not a broken check: it takes two */
	g->mass = g->mass_n >= 2 && (double)g->mass_n > MASS_SHARE * (double)s->n_sites;
	for (size_t i = 0; i < s->n_sites; i++)
		for (size_t k = 0; k < s->n_shards; k++)
			observe_cell(g, p, s, i, k);
	ledger_prune(&g->ledger, s->now_ms);
}

void guard_commit(struct guard *g, const struct snapshot *s, const struct move *moves, size_t n)
{
	for (size_t m = 0; m < n; m++) {
		bool first;

		if (moves[m].site >= s->n_sites || moves[m].shard >= s->n_shards ||
		    moves[m].to >= s->grades->n)
			continue;
		/* a cell never observed: its order so far is the snapshot's */
		struct guard_cell *c =
			cell_get(g, s->sites[moves[m].site].name, s->shards[moves[m].shard].name, &first);
		unsigned was = snap_cell(s, moves[m].site, moves[m].shard)->wanted;
		if (first && was < s->grades->n)
			key_copy(c->wanted, s->grades->g[was].name);
		order(g, s, moves[m].site, moves[m].shard, moves[m].to);
	}
}

double guard_ledger(const struct guard *g, const char *site, const char *shard, int64_t now_ms)
{
	return ledger_get(&g->ledger, site, shard, now_ms);
}

void guard_save(const struct guard *g, struct buf *out)
{
	buf_adds(out, "guard 1\n");
	if (g->told)
		buf_addf(out, "now %lld\n", (long long)g->now_ms);
	for (const struct guard_cell *c = g->cells; c; c = c->hh.next)
		if (key_name_ok(c->key.site) && key_name_ok(c->key.shard) && key_name_ok(c->wanted))
			buf_addf(out, "order %s %s %s %lld %d\n", c->key.site, c->key.shard, c->wanted,
				 (long long)c->changed_ms, c->in_flight);
	for (const struct guard_site *m = g->sites; m; m = m->hh.next)
		if (key_name_ok(m->name))
			buf_addf(out, "health %s %d %lld\n", m->name, m->healthy, (long long)m->fell_ms);
	ledger_save(&g->ledger, out);
}

static int load_order(struct guard *g, const char *line)
{
	char site[STEER_NAME], shard[STEER_NAME], wanted[STEER_NAME];
	long long at;
	int flying;
	bool first;

	if (sscanf(line, "order %63s %63s %63s %lld %d", site, shard, wanted, &at, &flying) != 5 ||
	    HASH_COUNT(g->cells) >= LEDGER_ENTRIES_MAX)
		return ERR_MALFORMED;
	struct guard_cell *c = cell_get(g, site, shard, &first);
	key_copy(c->wanted, wanted);
	c->changed_ms = at;
	c->in_flight = flying;
	return 0;
}

static int load_health(struct guard *g, const char *line)
{
	char name[STEER_NAME] = "";
	struct guard_site *m;
	int healthy;
	long long fell;

	if (sscanf(line, "health %63s %d %lld", name, &healthy, &fell) != 3 ||
	    HASH_COUNT(g->sites) >= STEER_SITES_MAX)
		return ERR_MALFORMED;
	m = xcalloc(1, sizeof(*m));
	key_copy(m->name, name);
	m->healthy = healthy;
	m->fell_ms = fell;
	HASH_REPLACE(hh, g->sites, name, sizeof(m->name), m, (struct guard_site *){ NULL });
	return 0;
}

static int load_line(struct guard *g, const char *line)
{
	long long now;

	if (sscanf(line, "now %lld", &now) == 1) {
		g->told = true;
		g->now_ms = now;
		return 0;
	}
	if (!strncmp(line, "order ", 6))
		return load_order(g, line);
	if (!strncmp(line, "health ", 7))
		return load_health(g, line);
	if (!strncmp(line, "ledger ", 7))
		return ledger_load_line(&g->ledger, line);
	return ERR_MALFORMED;
}

int guard_load(struct guard *g, const char *text, size_t len)
{
	struct guard fresh = { .blind_ms = INT64_MIN };
	const char *p = text, *end = text + len;
	bool header = false;
	int err = 0;

	while (!err && p < end) {
		char line[GUARD_LINE_MAX];
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);

		if (n >= sizeof(line) || memchr(p, 0, n)) {
			err = ERR_MALFORMED;
			break;
		}
		memcpy(line, p, n);
		line[n] = 0;
		p += n + 1;
		if (!header)
			err = strcmp(line, "guard 1") ? ERR_MALFORMED : 0;
		else if (n)
			err = load_line(&fresh, line);
		header = true;
	}
	if (err || !header) {
		clear(&fresh);
		return ERR_MALFORMED;
	}
	clear(g);
	*g = fresh;
	return 0;
}
