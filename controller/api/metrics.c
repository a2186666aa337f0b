/* SPDX-License-Identifier: Apache-2.0
 * /metrics: Prometheus text format 0.0.4. Open to everybody, so: numbers and names, no reasons and no addresses.
 * Each family is a row; its function writes the samples. */
#include <math.h>
#include <string.h>

#include "controller/api/api_int.h"
#include "controller/fleet.h"
#include "controller/rounds.h"

struct page {
	struct api *a;
	const struct model *m;
	const struct rounds_view *v;
	mono_t now;
	struct buf out;
	const char *name;
};

static const char *const res_names[RES_N] = { "bps", "pps", "conns", "cpu" };

static void value(struct page *p, double x)
{
	if (isnan(x))
		buf_adds(&p->out, " NaN\n");
	else if (isinf(x))
		buf_adds(&p->out, x > 0 ? " +Inf\n" : " -Inf\n");
	else
		buf_addf(&p->out, " %.15g\n", x);
}

static void plain(struct page *p, double x)
{
	buf_adds(&p->out, p->name);
	value(p, x);
}

/* Label values are names of the document or our own words: nothing to escape. */
static void label(struct page *p, const char *k, const char *v, double x)
{
	buf_addf(&p->out, "%s{%s=\"%s\"}", p->name, k, v);
	value(p, x);
}

static void label2(struct page *p, const char *k1, const char *v1, const char *k2, const char *v2, double x)
{
	buf_addf(&p->out, "%s{%s=\"%s\",%s=\"%s\"}", p->name, k1, v1, k2, v2);
	value(p, x);
}

static double age_s(mono_t at, mono_t now)
{
	return mono_is_set(at) ? (double)mono_diff_ms(at, now) / 1000 : (double)NAN;
}

/* -- the controller ----------------------------------------------------------------------------------- */

static void mode(struct page *p)
{
	static const enum steer_mode all[] = { MODE_OBSERVE, MODE_STEER, MODE_FREEZE };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		label(p, "mode", steer_mode_str(all[i]), p->m->mode == all[i]);
}

static void epoch(struct page *p)
{
	plain(p, (double)p->m->epoch);
}

static void uptime(struct page *p)
{
	plain(p, age_s(p->m->started_at, p->now));
}

static void tilt(struct page *p)
{
	plain(p, p->v && p->v->tilt);
}

static void rounds(struct page *p)
{
	plain(p, p->v ? (double)p->v->rounds : 0);
}

static void moves(struct page *p)
{
	plain(p, p->v ? (double)p->v->moves : 0);
}

static void round_age(struct page *p)
{
	plain(p, p->v ? age_s(p->v->at, p->now) : (double)NAN);
}

static void round_late(struct page *p)
{
	plain(p, p->v ? (double)p->v->late_ms / 1000 : (double)NAN);
}

static void decide_time(struct page *p)
{
	plain(p, p->v ? (double)p->v->decide_us / 1e6 : (double)NAN);
}

static void plan_state(struct page *p)
{
	for (int s = PLAN_CALM; s <= PLAN_HOLD; s++)
		label(p, "state", plan_state_str((enum plan_state)s),
		      p->v && p->v->plan && (int)p->v->plan->state == s);
}

static void held_back(struct page *p)
{
	plain(p, p->v && p->v->plan ? (double)p->v->plan->n_refused : 0);
}

static void count_alert(const struct alert *al, void *arg)
{
	double *n = arg;

	n[al->severity]++;
}

static void alerts(struct page *p)
{
	double n[ALERT_SEVERITIES] = { 0 };

	alerts_each(p->a, p->now, count_alert, n);
	label(p, "severity", "alert", n[ALERT_ALERT]);
	label(p, "severity", "warning", n[ALERT_WARNING]);
}

static void one_kind(const char *kind, uint64_t n, void *arg)
{
	label(arg, "kind", kind, (double)n);
}

static void events(struct page *p)
{
	events_counts(p->a->c->events, one_kind, p);
}

static void sessions(struct page *p)
{
	plain(p, p->a->c->fleet ? (double)fleet_sessions(p->a->c->fleet) : 0);
}

/* -- the API ------------------------------------------------------------------------------------------ */

static void api_answers(struct page *p)
{
	label(p, "class", "2xx", (double)p->a->answers[API_2XX]);
	label(p, "class", "4xx", (double)p->a->answers[API_4XX]);
	label(p, "class", "5xx", (double)p->a->answers[API_5XX]);
}

static void api_refused(struct page *p)
{
	plain(p, (double)p->a->refused);
}

static void api_connections(struct page *p)
{
	plain(p, http_connections(p->a->http));
}

static void api_streams(struct page *p)
{
	plain(p, (double)hub_listeners(p->a->hub));
}

/* -- sites -------------------------------------------------------------------------------------------- */

#define EACH_SITE(p, s, name)                                                      \
	for (size_t i_ = 0; i_ < (p)->m->cl->n_sites; i_++)                        \
		for (const struct site_live *s = &(p)->m->sites[i_], *once_ = s; once_; once_ = NULL) \
			for (const char *name = (p)->m->cl->sites[i_].name; name; name = NULL)

static void site_healthy(struct page *p)
{
	EACH_SITE(p, s, name)
		label(p, "site", name, s->healthy);
}

static void site_util(struct page *p)
{
	EACH_SITE(p, s, name)
		label(p, "site", name, s->util);
}

static void site_dropping(struct page *p)
{
	EACH_SITE(p, s, name)
		label(p, "site", name, s->dropping);
}

static void site_draining(struct page *p)
{
	EACH_SITE(p, s, name)
		label(p, "site", name, s->drain.on);
}

static void site_age(struct page *p)
{
	EACH_SITE(p, s, name)
		label(p, "site", name, age_s(s->report_at, p->now));
}

static void site_load(struct page *p)
{
	EACH_SITE(p, s, name)
		for (int r = 0; r < RES_N; r++)
			label2(p, "site", name, "resource", res_names[r], s->load[r]);
}

static void site_capacity(struct page *p)
{
	EACH_SITE(p, s, name)
		for (int r = 0; r < RES_N; r++)
			label2(p, "site", name, "resource", res_names[r], s->cap[r]);
}
