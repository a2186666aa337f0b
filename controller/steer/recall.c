/* SPDX-License-Identifier: Apache-2.0
 * The engine's memory of sites, shards and cells. Owns the records; others hold pointers only within one
 * round (recall_sync may free what left the document). */
#include "controller/steer/recall.h"

#include <math.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

struct site_mem *recall_site(const struct recall *r, const char *name)
{
	char key[STEER_NAME];
	struct site_mem *m;

	key_copy(key, name);
	HASH_FIND(hh, r->sites, key, sizeof(key), m);
	return m;
}

struct shard_mem *recall_shard(const struct recall *r, const char *name)
{
	char key[STEER_NAME];
	struct shard_mem *m;

	key_copy(key, name);
	HASH_FIND(hh, r->shards, key, sizeof(key), m);
	return m;
}

struct cell_mem *recall_cell(const struct recall *r, const char *site, const char *shard)
{
	struct cell_key key = cell_key(site, shard);
	struct cell_mem *m;

	HASH_FIND(hh, r->cells, &key, sizeof(key), m);
	return m;
}

static struct site_mem *site_add(struct recall *r, const char *name)
{
	struct site_mem *m = recall_site(r, name);

	if (m)
		return m;
	m = xcalloc(1, sizeof(*m));
	key_copy(m->name, name);
	HASH_ADD(hh, r->sites, name, sizeof(m->name), m);
	return m;
}

static struct shard_mem *shard_add(struct recall *r, const char *name)
{
	struct shard_mem *m = recall_shard(r, name);

	if (m)
		return m;
	m = xcalloc(1, sizeof(*m));
	key_copy(m->name, name);
	HASH_ADD(hh, r->shards, name, sizeof(m->name), m);
	return m;
}

static struct cell_mem *cell_add(struct recall *r, const char *site, const char *shard)
{
	struct cell_mem *m = recall_cell(r, site, shard);

	if (m)
		return m;
	m = xcalloc(1, sizeof(*m));
	m->key = cell_key(site, shard);
	m->changed_ms = m->proposed_ms = m->restorable_ms = RECALL_NEVER;
	HASH_ADD(hh, r->cells, key, sizeof(m->key), m);
	return m;
}

/* Names no longer in the snapshot go. Runs only when the counts differ: names are otherwise all known. */
static void forget(struct recall *r, const struct snapshot *s)
{
	struct recall keep = { 0 };
	struct site_mem *site, *nsite;
	struct shard_mem *shard, *nshard;
	struct cell_mem *cell, *ncell;

	for (size_t i = 0; i < s->n_sites; i++)
		site_add(&keep, s->sites[i].name);
	for (size_t k = 0; k < s->n_shards; k++)
		shard_add(&keep, s->shards[k].name);
	HASH_ITER(hh, r->cells, cell, ncell) {
		if (recall_site(&keep, cell->key.site) && recall_shard(&keep, cell->key.shard))
			continue;
		HASH_DEL(r->cells, cell);
		free(cell);
	}
	HASH_ITER(hh, r->sites, site, nsite) {
		if (recall_site(&keep, site->name))
			continue;
		HASH_DEL(r->sites, site);
		free(site);
	}
	HASH_ITER(hh, r->shards, shard, nshard) {
		if (recall_shard(&keep, shard->name))
			continue;
		HASH_DEL(r->shards, shard);
		free(shard);
	}
	recall_done(&keep);
}

struct cell_mem *recall_at(const struct recall *r, const struct snapshot *s, size_t site, size_t shard)
{
	size_t at = site * s->n_shards + shard;
	struct cell_mem *m = r->n_grid == s->n_sites * s->n_shards ? r->grid[at] : NULL;

	if (m && !strncmp(m->key.site, s->sites[site].name, STEER_NAME - 1) &&
	    !strncmp(m->key.shard, s->shards[shard].name, STEER_NAME - 1))
		return m;
	return recall_cell(r, s->sites[site].name, s->shards[shard].name);
}

static void grid(struct recall *r, const struct snapshot *s)
{
	size_t n = s->n_sites * s->n_shards;

	if (r->n_grid != n) {
		free(r->grid);
		r->grid = xcalloc(n, sizeof(struct cell_mem *));
		r->n_grid = n;
	}
	for (size_t i = 0; i < s->n_sites; i++)
		for (size_t k = 0; k < s->n_shards; k++) {
			struct cell_mem *m = recall_at(r, s, i, k);
			r->grid[i * s->n_shards + k] =
				m ? m : cell_add(r, s->sites[i].name, s->shards[k].name);
		}
}

void recall_sync(struct recall *r, const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_sites; i++)
		site_add(r, s->sites[i].name);
	for (size_t k = 0; k < s->n_shards; k++)
		shard_add(r, s->shards[k].name);
	grid(r, s);
	if (HASH_COUNT(r->sites) != s->n_sites || HASH_COUNT(r->shards) != s->n_shards)
		forget(r, s);
}

void recall_done(struct recall *r)
{
	struct site_mem *site, *nsite;
	struct shard_mem *shard, *nshard;
	struct cell_mem *cell, *ncell;

	HASH_ITER(hh, r->sites, site, nsite) {
		HASH_DEL(r->sites, site);
		free(site);
	}
	HASH_ITER(hh, r->shards, shard, nshard) {
		HASH_DEL(r->shards, shard);
		free(shard);
	}
	HASH_ITER(hh, r->cells, cell, ncell) {
		HASH_DEL(r->cells, cell);
		free(cell);
	}
	free(r->grid);
	r->grid = NULL;
	r->n_grid = 0;
}

void recall_rebase(struct recall *r, int64_t by_ms)
{
	for (struct shard_mem *m = r->shards; m; m = m->hh.next)
		time_shift(&m->since_ms, by_ms);
	for (struct shard_mem *m = r->shards; m; m = m->hh.next)
		time_shift(&m->heard_ms, by_ms);
	for (struct cell_mem *m = r->cells; m; m = m->hh.next) {
		time_shift(&m->changed_ms, by_ms);
		time_shift(&m->proposed_ms, by_ms);
		time_shift(&m->restorable_ms, by_ms);
	}
}

/* "-" stands for an empty name. */
static const char *dash(const char *s)
{
	return *s ? s : "-";
}

static void undash(char dst[STEER_NAME], const char *s)
{
	key_copy(dst, strcmp(s, "-") ? s : "");
}

static void save_cells(const struct recall *r, struct buf *out)
{
	for (const struct cell_mem *m = r->cells; m; m = m->hh.next)
		if (key_name_ok(m->key.site) && key_name_ok(m->key.shard)) {
			if (m->n_calm)
				buf_addf(out, "calm %s %s %.17g %u\n", m->key.site, m->key.shard, m->calm,
					 m->n_calm);
			if (m->before_wide[1] > 0)
				buf_addf(out, "wide %s %s %.17g %.17g\n", m->key.site, m->key.shard,
					 m->before_wide[0], m->before_wide[1]);
			buf_addf(out, "cell %s %s %s %s %lld %.17g %.17g %.17g %.17g %.17g\n", m->key.site,
				 m->key.shard, dash(m->wanted), dash(m->previous), (long long)m->changed_ms,
				 m->home[0], m->home[1], m->home[2], m->home[3], m->before);
		}
}

void recall_save(const struct recall *r, struct buf *out)
{
	if (r->trust_n > 0)
		buf_addf(out, "lean %.17g %.17g\n", r->trust, r->trust_n);
	buf_addf(out, "widen %.17g %.17g\n", r->widen[WIDE_PRIOR], r->widen[WIDE_SEEN]);
	for (const struct site_mem *m = r->sites; m; m = m->hh.next)
		if (key_name_ok(m->name))
			buf_addf(out, "site %s %.17g %.17g %.17g %.17g\n", m->name, m->imbalance, m->seen,
				 m->inside, m->widen);
	for (const struct shard_mem *m = r->shards; m; m = m->hh.next)
		if (key_name_ok(m->name) && m->flying && !m->quiet)
			buf_addf(out, "flight %s %d %u %lld %d %s %s %s %.17g %.17g %.17g %.17g\n", m->name,
				 m->own, m->cells, (long long)m->since_ms, (int)m->kind, dash(m->site),
				 dash(m->from), dash(m->to), m->total, m->moved_lo, m->moved, m->moved_hi);
	save_cells(r, out);
}

static int load_site(struct recall *r, const char *line)
{
	char name[STEER_NAME];
	double imbalance, seen, inside, wide = 0; /* the last came later: older states lack it */

	if (sscanf(line, "site %63s %lf %lf %lf %lf", name, &imbalance, &seen, &inside, &wide) < 4 ||
	    !isfinite(imbalance + seen + inside + wide) || HASH_COUNT(r->sites) >= STEER_SITES_MAX)
		return ERR_MALFORMED;
	struct site_mem *m = site_add(r, name);
	m->imbalance = imbalance;
	m->seen = fmax(seen, 0);
	m->inside = fmin(fmax(inside, 0), m->seen);
	m->widen = fmin(fmax(wide, 0), WIDEN_MAX);
	return 0;
}

static int load_flight(struct recall *r, const char *line)
{
	char name[STEER_NAME], site[STEER_NAME], from[STEER_NAME], to[STEER_NAME];
	struct shard_mem f = { .flying = true };
	int own, kind;
	long long since;

	if (sscanf(line, "flight %63s %d %u %lld %d %63s %63s %63s %lf %lf %lf %lf", name, &own, &f.cells,
		   &since, &kind, site, from, to, &f.total, &f.moved_lo, &f.moved, &f.moved_hi) != 12 ||
	    kind < 0 || kind > MOVE_OPERATOR || HASH_COUNT(r->shards) >= STEER_SHARDS_MAX ||
	    !isfinite(f.total + f.moved_lo + f.moved + f.moved_hi))
		return ERR_MALFORMED;
	struct shard_mem *m = shard_add(r, name);
	m->flying = true;
	m->heard_ms = RECALL_NEVER;
	m->own = own;
	m->cells = f.cells;
	m->since_ms = since;
	m->kind = (enum move_kind)kind;
	undash(m->site, site);
	undash(m->from, from);
	undash(m->to, to);
	m->total = f.total;
	m->moved_lo = f.moved_lo;
	m->moved = f.moved;
	m->moved_hi = f.moved_hi;
	return 0;
}

static int load_cell(struct recall *r, const char *line)
{
	char site[STEER_NAME], shard[STEER_NAME], wanted[STEER_NAME], previous[STEER_NAME];
	long long changed;
	double h[RES_N], before;

	if (sscanf(line, "cell %63s %63s %63s %63s %lld %lf %lf %lf %lf %lf", site, shard, wanted, previous,
		   &changed, &h[0], &h[1], &h[2], &h[3], &before) != 10 ||
	    HASH_COUNT(r->cells) >= (size_t)STEER_SITES_MAX * STEER_SHARDS_MAX)
		return ERR_MALFORMED;
	for (int i = 0; i < RES_N; i++)
		if (!isfinite(h[i]) || h[i] < 0)
			return ERR_MALFORMED;
	struct cell_mem *m = cell_add(r, site, shard);
	undash(m->wanted, wanted);
	undash(m->previous, previous);
	m->changed_ms = changed;
	memcpy(m->home, h, sizeof(h));
	m->before = isfinite(before) ? before : 0;
	return 0;
}

static int load_calm(struct recall *r, const char *line)
{
	char site[STEER_NAME], shard[STEER_NAME];
	double calm;
	unsigned n;

	if (sscanf(line, "calm %63s %63s %lf %u", site, shard, &calm, &n) != 4 || !isfinite(calm) ||
	    calm < 0 || HASH_COUNT(r->cells) >= (size_t)STEER_SITES_MAX * STEER_SHARDS_MAX)
		return ERR_MALFORMED;
	struct cell_mem *m = cell_add(r, site, shard);
	m->calm = calm;
	m->n_calm = n < CALM_ROUNDS ? n : CALM_ROUNDS;
	return 0;
}

static int load_wide(struct recall *r, const char *line)
{
	char site[STEER_NAME], shard[STEER_NAME];
	double lo, hi;

	if (sscanf(line, "wide %63s %63s %lf %lf", site, shard, &lo, &hi) != 4 || !(lo >= 0 && hi >= lo) ||
	    !isfinite(hi) || HASH_COUNT(r->cells) >= (size_t)STEER_SITES_MAX * STEER_SHARDS_MAX)
		return ERR_MALFORMED;
	struct cell_mem *m = cell_add(r, site, shard);
	m->before_wide[0] = lo;
	m->before_wide[1] = hi;
	return 0;
}

static int load_lean(struct recall *r, const char *line)
{
	double trust, n;

	if (sscanf(line, "lean %lf %lf", &trust, &n) != 2 || !(n >= 0 && n <= 1000) ||
	    !(trust >= 0 && trust <= n))
		return ERR_MALFORMED;
	r->trust = trust;
	r->trust_n = n;
	return 0;
}

static int load_widen(struct recall *r, const char *line)
{
	double prior, seen = 0;

	if (sscanf(line, "widen %lf %lf", &prior, &seen) < 1 || !(prior >= 0 && seen >= 0))
		return ERR_MALFORMED;
	r->widen[WIDE_PRIOR] = fmin(prior, WIDEN_MAX);
	r->widen[WIDE_SEEN] = fmin(seen, WIDEN_MAX);
	return 0;
}

int recall_load_line(struct recall *r, const char *line)
{
	if (!strncmp(line, "site ", 5))
		return load_site(r, line);
	if (!strncmp(line, "flight ", 7))
		return load_flight(r, line);
	if (!strncmp(line, "cell ", 5))
		return load_cell(r, line);
	if (!strncmp(line, "calm ", 5))
		return load_calm(r, line);
	if (!strncmp(line, "wide ", 5))
		return load_wide(r, line);
	if (!strncmp(line, "lean ", 5))
		return load_lean(r, line);
	if (!strncmp(line, "widen ", 6))
		return load_widen(r, line);
	return ERR_MALFORMED;
}
