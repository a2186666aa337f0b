/* SPDX-License-Identifier: Apache-2.0
 * Words for what the engine does and does not do. Pure formatting. */
#include "controller/steer/explain.h"

#include <math.h>
#include <stdarg.h>

#include "proto/base/mem.h"

char *explain_qty(int res, double v, char *buf)
{
	static const char *const unit[RES_N] = { "bit/s", "packet/s", "conn/s", "mcpu" };
	static const struct {
		double at;
		const char *prefix;
	} scale[] = { { 1e12, "T" }, { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } };

	for (size_t i = 0; i < ARRAY_LEN(scale); i++)
		if (fabs(v) >= scale[i].at) {
			snprintf(buf, 32, "%.3g %s%s", v / scale[i].at, scale[i].prefix, unit[res]);
			return buf;
		}
	snprintf(buf, 32, "%.3g %s", v, unit[res]);
	return buf;
}

void explain_text(char why[STEER_TEXT], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, STEER_TEXT, fmt, ap);
	va_end(ap);
}

static size_t view_site(const struct round *r, size_t site)
{
	for (size_t i = 0; i < r->ns; i++)
		if (r->site[i] == site)
			return i;
	return 0;
}

static size_t view_shard(const struct round *r, size_t shard)
{
	for (size_t k = 0; k < r->nk; k++)
		if (r->shard[k] == shard)
			return k;
	return 0;
}

void explain_move(const struct round *r, const struct move *m, const struct effect *e,
		  const struct res_vec *after, char why[STEER_TEXT])
{
	size_t i = view_site(r, m->site), k = view_shard(r, m->shard), top = i;
	char moved[32], lo[32], hi[32];
	double most = 0;

	for (size_t j = 0; j < r->ns; j++) {
		double d = fabs(e->flow[j].v[r->main] - r->flow[round_cell(r, j, k)].v[r->main]);
		if (j != i && d > most) {
			most = d;
			top = j;
		}
	}
	explain_text(why,
		     "%s %s at %s, %s to %s: %s %s (90 %%: %s to %s), %s %.0f %% -> %.0f %%, %s %s (%.0f %% "
		     "-> %.0f %%)",
		     move_kind_str(m->kind), r->s->shards[m->shard].name, r->names[i], r->gs->g[m->from].name,
		     r->gs->g[m->to].name, m->moved >= 0 ? "sheds" : "brings",
		     explain_qty(r->main, fabs(m->moved), moved),
		     explain_qty(r->main, fmin(fabs(m->moved_lo), fabs(m->moved_hi)), lo),
		     explain_qty(r->main, fmax(fabs(m->moved_lo), fabs(m->moved_hi)), hi), r->names[i],
		     100 * round_util(r, i, &r->load[i]), 100 * round_util(r, i, &after[i]),
		     m->moved >= 0 ? "most to" : "most from", r->names[top],
		     100 * round_util(r, top, &r->load[top]), 100 * round_util(r, top, &after[top]));
}

size_t explain_hottest(const struct round *r)
{
	size_t best = 0;
	double top = -1; /* a dead site has no utilisation to speak of */

	for (size_t i = 0; i < r->ns; i++) {
		double util = r->s->sites[r->site[i]].healthy ? round_util(r, i, &r->load[i]) : -1;
		if (util > top) {
			best = i;
			top = util;
		}
	}
	return best;
}
