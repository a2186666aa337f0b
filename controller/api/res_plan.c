/* SPDX-License-Identifier: Apache-2.0
 * /v1/plan: what the last round thought: moves, what it refused and why, and where load would go. */
#include "controller/api/api_int.h"
#include "controller/rounds.h"

static const char *grade_name(const struct snapshot *s, uint8_t g)
{
	return s->grades && g < s->grades->n ? s->grades->g[g].name : "?";
}

static json_t *move_json(const struct snapshot *s, const struct move *m)
{
	bool known = m->site < s->n_sites && m->shard < s->n_shards;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:o, s:o, s:o}, s:o}", "site",
			 known ? s->sites[m->site].name : "?", "shard",
			 known ? s->shards[m->shard].name : "?", "from", grade_name(s, m->from), "to",
			 grade_name(s, m->to), "kind", move_kind_str(m->kind), "moved_bps", "lo",
			 view_count(m->moved_lo), "mid", view_count(m->moved), "hi", view_count(m->moved_hi),
			 "why", view_text(m->why));
}

json_t *plan_moves(const struct snapshot *s, const struct move *m, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n && i < STEER_MOVES; i++)
		json_array_append_new(list, move_json(s, &m[i]));
	return list;
}

json_t *plan_forecast(const struct snapshot *s, const struct plan *p)
{
	json_t *list = json_array();

	for (size_t i = 0; p->sites && i < s->n_sites; i++) {
		const struct site_forecast *f = &p->sites[i];
		json_array_append_new(list,
				      json_pack("{s:s, s:o, s:o, s:o, s:o}", "site", s->sites[i].name,
						"util_before", view_ratio(f->before), "util_after_lo",
						view_ratio(f->after_lo), "util_after", view_ratio(f->after),
						"util_after_hi", view_ratio(f->after_hi)));
	}
	return list;
}

struct response res_plan_get(struct api *a, const struct request *req)
{
	const struct rounds_view *v = api_rounds(a);

	(void)req;
	if (!v || !v->plan || !v->snapshot)
		return view_reply(200, json_pack("{s:n, s:s, s:n, s:s, s:b, s:[], s:[], s:[], s:n, s:n, s:i}",
						 "state", "why",
						 "No round has ended since the start or the last change.",
						 "age_ms", "mode", steer_mode_str(a->c->model.mode), "tilt",
						 false, "moves", "refused", "forecast", "gap_pct",
						 "coverage_pct", "round", 0));
	const struct plan *p = v->plan;
	json_t *j = json_pack("{s:s, s:o, s:o, s:s, s:b, s:o, s:o, s:o}", "state", plan_state_str(p->state),
			      "why", view_text(p->why), "age_ms", view_age(v->at, mono_now()), "mode",
			      steer_mode_str(a->c->model.mode), "tilt", v->tilt, "moves",
			      plan_moves(v->snapshot, p->moves, p->n_moves), "refused",
			      plan_moves(v->snapshot, p->refused, p->n_refused), "forecast",
			      plan_forecast(v->snapshot, p));
	json_object_set_new(j, "gap_pct", view_ratio(p->gap_pct));
	json_object_set_new(j, "coverage_pct",
			    p->coverage_pct > 0 ? view_ratio(p->coverage_pct) : json_null());
	json_object_set_new(j, "round", json_integer((json_int_t)v->rounds));
	return view_reply(200, j);
}
