/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drill/series.h"

#include <math.h>
#include <string.h>

#include "proto/base/mem.h"

void series_begin(struct series *s, size_t n_sites, bool util)
{
	*s = (struct series){ .n_sites = n_sites, .step_ms = 1000 };
	s->sites = xcalloc(n_sites + 1, sizeof(*s->sites));
	s->points = xcalloc(SERIES_POINTS, sizeof(*s->points));
	s->bps = xcalloc(SERIES_POINTS * n_sites + 1, sizeof(*s->bps));
	s->util = util ? xcalloc(SERIES_POINTS * n_sites + 1, sizeof(*s->util)) : NULL;
	s->peak_util = xcalloc(n_sites + 1, sizeof(*s->peak_util));
	s->base_util = xcalloc(n_sites + 1, sizeof(*s->base_util));
	s->whole_util = xcalloc(n_sites + 1, sizeof(*s->whole_util));
	s->whole_n = xcalloc(n_sites + 1, sizeof(*s->whole_n));
	s->cap = xcalloc(n_sites + 1, sizeof(*s->cap));
}

void series_init(struct series *s, const struct cluster *cl)
{
	series_begin(s, cl->n_sites, false);
	for (size_t i = 0; i < cl->n_sites; i++)
		memcpy(s->sites[i], cl->sites[i].name, NAME_LEN);
	for (size_t i = 0; i < cl->n_nodes; i++)
		s->cap[cl->nodes[i].site] += cl->nodes[i].cap[RES_BPS];
}

void series_done(struct series *s)
{
	free(s->sites);
	free(s->points);
	free(s->bps);
	free(s->util);
	free(s->peak_util);
	free(s->base_util);
	free(s->whole_util);
	free(s->whole_n);
	free(s->cap);
	*s = (struct series){ 0 };
}

static bool same_sites(const struct series *s, const struct cluster *cl)
{
	if (s->n_sites != cl->n_sites)
		return false;
	for (size_t i = 0; i < cl->n_sites; i++)
		if (strcmp(s->sites[i], cl->sites[i].name) != 0)
			return false;
	return true;
}

static void thin(struct series *s)
{
	for (size_t i = 0; i < s->n / 2; i++) {
		s->points[i] = s->points[2 * i];
		memmove(&s->bps[i * s->n_sites], &s->bps[2 * i * s->n_sites], s->n_sites * sizeof(*s->bps));
	}
	s->n /= 2;
	s->step_ms *= 2;
}

static double site_bps(const struct model *m, size_t site)
{
	double sum = 0;

	for (size_t k = 0; k < m->cl->n_shards; k++) {
		const struct cell_live *c = model_cell(m, site, k);
		sum += (c->lo[RES_BPS] + c->hi[RES_BPS]) / 2;
	}
	return sum;
}

void series_add(struct series *s, const struct model *m, const struct series_point *p)
{
	if (!same_sites(s, m->cl))
		return;
	for (size_t i = 0; i < s->n_sites; i++) {
		if (!s->n)
			s->base_util[i] = m->sites[i].util;
		if (p->whole && m->sites[i].healthy)
			s->whole_util[i] += (m->sites[i].util - s->whole_util[i]) / ++s->whole_n[i];
		s->peak_util[i] = fmax(s->peak_util[i], m->sites[i].util);
	}
	if (s->n && p->at_ms - s->points[s->n - 1].at_ms < s->step_ms)
		return;
	if (s->n == SERIES_POINTS)
		thin(s);
	for (size_t i = 0; i < s->n_sites; i++)
		s->bps[s->n * s->n_sites + i] = site_bps(m, i);
	s->points[s->n++] = *p;
}

static json_t *site_json(const struct series *s, size_t site)
{
	json_t *bps = json_array(), *util = s->util ? json_array() : NULL;

	for (size_t i = 0; i < s->n; i++) {
		json_array_append_new(bps, json_integer((json_int_t)llround(s->bps[i * s->n_sites + site])));
		if (util)
			json_array_append_new(
				util, json_real(round(s->util[i * s->n_sites + site] * 10000) / 10000));
	}
	json_t *cap = s->cap[site] > 0 ? json_integer((json_int_t)llround(s->cap[site])) : NULL;
	return json_pack("{s:s, s:o, s:o*, s:o*}", "site", s->sites[site], "bps", bps, "util", util,
			 "cap_bps", cap);
}

json_t *series_json(const struct series *s)
{
	json_t *t = json_array(), *state = json_array(), *target = json_array(), *sites = json_array();

	for (size_t i = 0; i < s->n; i++) {
		json_array_append_new(t, json_real((double)s->points[i].at_ms / 1000));
		json_array_append_new(state, json_string(drill_state_str(s->points[i].state)));
		json_array_append_new(target, json_integer((json_int_t)llround(s->points[i].target_bps)));
	}
	for (size_t i = 0; i < s->n_sites && i < SERIES_SITES; i++)
		json_array_append_new(sites, site_json(s, i));
	return json_pack("{s:o, s:o, s:o, s:o}", "t_s", t, "state", state, "target_bps", target, "sites",
			 sites);
}
