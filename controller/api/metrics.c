/* SPDX-License-Identifier: Apache-2.0
 * /metrics: Prometheus text format 0.0.4. Open to everybody, so numbers and names only, no reasons or
 * addresses. A family is a row; its function gives one number per object, and the row says what the objects
 * are. */
#include <math.h>
#include <string.h>

#include "controller/api/api_int.h"
#include "controller/drill/drill.h"
#include "controller/fleet.h"
#include "controller/rounds.h"

#define CELLS_MAX	50000 /* above this the (site, shard) families are left out */
#define METRICS_KEEP_MS 500   /* everybody may ask, so asking often must be cheap */

struct page {
	struct api *a;
	const struct model *m;
	const struct rounds_view *v; /* NULL before the first round */
	mono_t now;
	double alerts[ALERT_SEVERITIES];
	double drains[DRAIN_STAGES], drain_age_s;
	struct buf out;
	const char *name; /* of the family being written */
};

static double age_s(mono_t at, mono_t now)
{
	return mono_is_set(at) ? (double)mono_diff_ms(at, now) / 1000 : (double)NAN;
}

static void value(struct page *p, double x)
{
	if (isnan(x))
		buf_adds(&p->out, " NaN\n");
	else if (isinf(x))
		buf_adds(&p->out, x > 0 ? " +Inf\n" : " -Inf\n");
	else
		buf_addf(&p->out, " %.15g\n", x);
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

/* -- one number --------------------------------------------------------------------------------------- */

static double epoch(const struct page *p)
{
	return (double)p->m->epoch;
}

static double leading(const struct page *p)
{
	return leads(&p->a->c->lead);
}

static double store_failures(const struct page *p)
{
	return (double)store_health(p->a->c->store)->failures;
}

static double store_failing(const struct page *p)
{
	mono_t since = store_health(p->a->c->store)->failing_since;

	return mono_is_set(since) ? age_s(since, p->now) : 0;
}

static double store_age(const struct page *p)
{
	return age_s(p->a->c->lead.heard_at, p->now);
}

static double uptime(const struct page *p)
{
	return age_s(p->m->started_at, p->now);
}

static double tilt(const struct page *p)
{
	return p->v && p->v->tilt;
}

static double rounds(const struct page *p)
{
	return p->v ? (double)p->v->rounds : 0;
}

static double moves(const struct page *p)
{
	return p->v ? (double)p->v->moves : 0;
}

static double round_age(const struct page *p)
{
	return p->v ? age_s(p->v->at, p->now) : (double)NAN;
}

static double round_late(const struct page *p)
{
	return p->v ? (double)p->v->late_ms / 1000 : (double)NAN;
}

static double decide_time(const struct page *p)
{
	return p->v ? (double)p->v->decide_us / 1e6 : (double)NAN;
}

static double held_back(const struct page *p)
{
	return p->v && p->v->plan ? (double)p->v->plan->n_refused : 0;
}

static double sessions(const struct page *p)
{
	return p->a->c->fleet ? (double)fleet_sessions(p->a->c->fleet) : 0;
}

static double nodes(const struct page *p)
{
	return (double)p->m->cl->n_nodes;
}

static double api_refused(const struct page *p)
{
	return (double)p->a->refused;
}

static double api_limited(const struct page *p)
{
	return (double)p->a->limited;
}

static double tokens(const struct page *p)
{
	size_t n;

	auth_tokens(p->a->auth, &n);
	return (double)n;
}

static double overrides(const struct page *p)
{
	return (double)p->m->n_overrides;
}

static double overrides_unconfirmed(const struct page *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->m->n_overrides; i++)
		n += p->m->overrides[i].confirm_by_wall_ms != 0;
	return (double)n;
}

static double drain_oldest(const struct page *p)
{
	return p->drain_age_s;
}

static double api_connections(const struct page *p)
{
	return http_connections(p->a->http);
}

static double api_streams(const struct page *p)
{
	return (double)hub_listeners(p->a->hub);
}

/* -- words as labels ---------------------------------------------------------------------------------- */

static void mode(struct page *p)
{
	static const enum steer_mode all[] = { MODE_OBSERVE, MODE_STEER, MODE_FREEZE };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		label(p, "mode", steer_mode_str(all[i]), p->m->mode == all[i]);
}

static void plan_state(struct page *p)
{
	for (int s = PLAN_CALM; s <= PLAN_HOLD; s++)
		label(p, "state", plan_state_str((enum plan_state)s),
		      p->v && p->v->plan && (int)p->v->plan->state == s);
}

static void alerts(struct page *p)
{
	label(p, "severity", "alert", p->alerts[ALERT_ALERT]);
	label(p, "severity", "warning", p->alerts[ALERT_WARNING]);
}

static void one_kind(const char *kind, uint64_t n, void *arg)
{
	label(arg, "kind", kind, (double)n);
}

static void drain_stages(struct page *p)
{
	for (int s = DRAIN_DRAINING; s < DRAIN_STAGES; s++)
		label(p, "stage", drain_stage_str((enum drain_stage)s), p->drains[s]);
}

static void events(struct page *p)
{
	events_counts(p->a->c->events, one_kind, p);
}

static void api_answers(struct page *p)
{
	label(p, "class", "2xx", (double)p->a->answers[API_2XX]);
	label(p, "class", "4xx", (double)p->a->answers[API_4XX]);
	label(p, "class", "5xx", (double)p->a->answers[API_5XX]);
}

/* -- drills ------------------------------------------------------------------------------------------- */

static void one_age(const char *site, const char *kind, int64_t wall_ms, const char *verdict, void *arg)
{
	(void)verdict;
	label2(arg, "site", site, "kind", kind, (double)(wall_now_ms() - wall_ms) / 1000);
}

static void one_verdict(const char *site, const char *kind, int64_t wall_ms, const char *verdict, void *arg)
{
	(void)wall_ms;
	label2(arg, "site", site, "kind", kind, strcmp(verdict, "passed") == 0);
}

static void drill_age(struct page *p)
{
	drills_each_last(p->a->c->drills, one_age, p);
}

static void drill_passed(struct page *p)
{
	drills_each_last(p->a->c->drills, one_verdict, p);
}

static double drill_running(const struct page *p)
{
	return p->m->drill[0] != 0;
}

/* -- per site, node, shard, cell ---------------------------------------------------------------------- */

static double site_healthy(const struct page *p, size_t i)
{
	return p->m->sites[i].healthy;
}

static double site_util(const struct page *p, size_t i)
{
	return p->m->sites[i].util;
}

static double site_dropping(const struct page *p, size_t i)
{
	return p->m->sites[i].dropping;
}

static double site_draining(const struct page *p, size_t i)
{
	return p->m->sites[i].drain.on;
}

static double site_age(const struct page *p, size_t i)
{
	return age_s(p->m->sites[i].report_at, p->now);
}

static double site_load(const struct page *p, size_t i, int r)
{
	return p->m->sites[i].load[r];
}

static double site_capacity(const struct page *p, size_t i, int r)
{
	return p->m->sites[i].cap[r];
}

static double node_connected(const struct page *p, size_t i)
{
	return p->m->nodes[i].connected;
}

static double node_cert(const struct page *p, size_t i)
{
	struct fleet_identity id;

	if (!p->a->c->fleet || !fleet_identity(p->a->c->fleet, i, &id))
		return (double)NAN;
	return (double)((id.told ? (int64_t)id.told->to_s : id.shown->to_s) - wall_now_ms() / 1000);
}

static double node_util(const struct page *p, size_t i)
{
	return p->m->nodes[i].util;
}

static double node_weight(const struct page *p, size_t i)
{
	return p->m->nodes[i].weight > 0 ? p->m->nodes[i].weight : (double)NAN;
}

static double node_bgp(const struct page *p, size_t i)
{
	return p->m->nodes[i].bgp_ok;
}

static double node_service(const struct page *p, size_t i)
{
	return p->m->nodes[i].service_up;
}

static double node_dropping(const struct page *p, size_t i)
{
	return p->m->nodes[i].dropping;
}

static double node_age(const struct page *p, size_t i)
{
	return age_s(p->m->nodes[i].report_at, p->now);
}

static double shard_sites(const struct page *p, size_t k)
{
	double n = 0;

	for (size_t i = 0; i < p->m->cl->n_sites; i++)
		n += model_cell(p->m, i, k)->announced;
	return n;
}

static double shard_min_sites(const struct page *p, size_t k)
{
	return p->m->cl->services[p->m->cl->shards[k].service].min_sites;
}

static double cell_announced(const struct page *p, const struct cell_live *c)
{
	(void)p;
	return c->announced;
}

static double cell_strength(const struct page *p, const struct cell_live *c)
{
	return c->grade < p->m->cl->grades.n ? p->m->cl->grades.g[c->grade].strength : (double)NAN;
}

static double cell_load(const struct page *p, const struct cell_live *c)
{
	(void)p;
	return c->hi[RES_BPS];
}

/* -- the page ----------------------------------------------------------------------------------------- */

enum kind { GAUGE, COUNTER };

/* Exactly one of the functions is set. */
struct family {
	const char *name;
	enum kind kind;
	const char *help;
	double (*one)(const struct page *p);
	void (*words)(struct page *p);
	double (*site)(const struct page *p, size_t i);
	double (*site_res)(const struct page *p, size_t i, int r);
	double (*node)(const struct page *p, size_t i);
	double (*shard)(const struct page *p, size_t k);
	double (*cell)(const struct page *p, const struct cell_live *c);
};

/* clang-format off */
static const struct family families[] = {
	{ "sluice_mode", GAUGE, "1 for the mode in force.", .words = mode },
	{ "sluice_epoch", GAUGE, "Fencing number of this controller's term.", .one = epoch },
	{ "sluice_leader", GAUGE, "1 while this controller leads, or is alone.", .one = leading },
	{ "sluice_store_failures_total", COUNTER, "Writes that the store refused.", .one = store_failures },
	{ "sluice_store_failing_seconds", GAUGE, "Since writes fail; 0 while they do not.", .one = store_failing },
	{ "sluice_store_age_seconds", GAUGE, "Since a shared store last answered; NaN when it is not shared.", .one = store_age },
	{ "sluice_uptime_seconds", GAUGE, "Since this controller started.", .one = uptime },
	{ "sluice_tilt", GAUGE, "1 while the controller observes and does not act.", .one = tilt },
	{ "sluice_rounds_total", COUNTER, "Rounds of observing and deciding.", .one = rounds },
	{ "sluice_moves_total", COUNTER, "Grade changes ordered.", .one = moves },
	{ "sluice_round_age_seconds", GAUGE, "Since the last round ended.", .one = round_age },
	{ "sluice_round_late_seconds", GAUGE, "How late the last round began.", .one = round_late },
	{ "sluice_decide_seconds", GAUGE, "Time the last decision took.", .one = decide_time },
	{ "sluice_plan_state", GAUGE, "1 for the state of the last plan.", .words = plan_state },
	{ "sluice_held_back", GAUGE, "Moves the last plan considered and did not take.", .one = held_back },
	{ "sluice_alerts", GAUGE, "What is wrong now, by severity.", .words = alerts },
	{ "sluice_events_total", COUNTER, "Events since the start, by kind.", .words = events },
	{ "sluice_agent_sessions", GAUGE, "Agents connected.", .one = sessions },
	{ "sluice_nodes", GAUGE, "Nodes in the cluster document.", .one = nodes },
	{ "sluice_api_requests_total", COUNTER, "Requests answered, by status class.", .words = api_answers },
	{ "sluice_api_refused_total", COUNTER, "Requests refused for their token or role.", .one = api_refused },
	{ "sluice_api_limited_total", COUNTER, "Requests refused because there were too many (429).", .one = api_limited },
	{ "sluice_api_tokens", GAUGE, "Tokens known, of file and store.", .one = tokens },
	{ "sluice_drains", GAUGE, "Drains that are on, by stage; held: something holds the withdrawal back.", .words = drain_stages },
	{ "sluice_drain_oldest_age_seconds", GAUGE, "Age of the oldest drain; 0: none.", .one = drain_oldest },
	{ "sluice_overrides", GAUGE, "Overrides that are on.", .one = overrides },
	{ "sluice_overrides_unconfirmed", GAUGE, "Those that revert by themselves unless confirmed.", .one = overrides_unconfirmed },
	{ "sluice_api_connections", GAUGE, "HTTPS connections open.", .one = api_connections },
	{ "sluice_api_streams", GAUGE, "Event streams open.", .one = api_streams },
	{ "sluice_drill_age_seconds", GAUGE, "Since a drill of this kind last ended at the site.", .words = drill_age },
	{ "sluice_drill_passed", GAUGE, "1 when the last drill of this kind at the site passed.", .words = drill_passed },
	{ "sluice_drill_running", GAUGE, "1 while a drill weakens something.", .one = drill_running },
	{ "sluice_site_healthy", GAUGE, "1 when a node of the site reports, serves and has BGP.", .site = site_healthy },
	{ "sluice_site_util_ratio", GAUGE, "Load of the site's hottest resource over its capacity.", .site = site_util },
	{ "sluice_site_dropping", GAUGE, "1 while the site drops traffic.", .site = site_dropping },
	{ "sluice_site_draining", GAUGE, "1 while the operator drains the site.", .site = site_draining },
	{ "sluice_site_report_age_seconds", GAUGE, "Age of the site's oldest report that counts; NaN: never.", .site = site_age },
	{ "sluice_site_load", GAUGE, "Offered load by resource: bit/s, packet/s, connections/s, thousandths of the cpu.", .site_res = site_load },
	{ "sluice_site_capacity", GAUGE, "Capacity of the healthy nodes by resource; 0: not limited.", .site_res = site_capacity },
	{ "sluice_node_connected", GAUGE, "1 while the node's agent is connected.", .node = node_connected },
	{ "sluice_node_certificate_left_seconds", GAUGE, "Until the certificate of the connected agent ends; NaN: not connected.", .node = node_cert },
	{ "sluice_node_util_ratio", GAUGE, "Load of the node's hottest resource over its capacity.", .node = node_util },
	{ "sluice_node_weight", GAUGE, "Share inside its site, 1 to 100; NaN: not known yet.", .node = node_weight },
	{ "sluice_node_bgp_up", GAUGE, "1 while its bgpd answers and has an established neighbour.", .node = node_bgp },
	{ "sluice_node_service_up", GAUGE, "1 while every service on it passes its checks.", .node = node_service },
	{ "sluice_node_dropping", GAUGE, "1 while the node drops traffic.", .node = node_dropping },
	{ "sluice_node_report_age_seconds", GAUGE, "Age of the node's last report; NaN: never.", .node = node_age },
	{ "sluice_shard_announced_sites", GAUGE, "Sites that announce the shard.", .shard = shard_sites },
	{ "sluice_shard_min_sites", GAUGE, "Sites that must announce the shard.", .shard = shard_min_sites },
	{ "sluice_announced", GAUGE, "1 while the site announces the shard.", .cell = cell_announced },
	{ "sluice_grade_strength", GAUGE, "How weakened: 0 normal to 100 withdrawn.", .cell = cell_strength },
	{ "sluice_shard_load", GAUGE, "Load of the shard arriving at the site, bit/s, upper bound.", .cell = cell_load },
};
/* clang-format on */

static void per_site(struct page *p, const struct family *f)
{
	for (size_t i = 0; i < p->m->cl->n_sites; i++)
		label(p, "site", p->m->cl->sites[i].name, f->site(p, i));
}

static void per_site_res(struct page *p, const struct family *f)
{
	static const char *const names[RES_N] = { "bps", "pps", "conns", "cpu" };

	for (size_t i = 0; i < p->m->cl->n_sites; i++)
		for (int r = 0; r < RES_N; r++)
			label2(p, "site", p->m->cl->sites[i].name, "resource", names[r],
			       f->site_res(p, i, r));
}

static void per_node(struct page *p, const struct family *f)
{
	const struct cluster *c = p->m->cl;

	for (size_t i = 0; i < c->n_nodes; i++)
		label2(p, "site", c->sites[c->nodes[i].site].name, "node", c->nodes[i].name, f->node(p, i));
}

static void per_shard(struct page *p, const struct family *f)
{
	for (size_t k = 0; k < p->m->cl->n_shards; k++)
		label(p, "shard", p->m->cl->shards[k].name, f->shard(p, k));
}

static void per_cell(struct page *p, const struct family *f)
{
	const struct cluster *c = p->m->cl;

	if (c->n_sites * c->n_shards > CELLS_MAX)
		return;
	for (size_t i = 0; i < c->n_sites; i++)
		for (size_t k = 0; k < c->n_shards; k++)
			label2(p, "site", c->sites[i].name, "shard", c->shards[k].name,
			       f->cell(p, model_cell(p->m, i, k)));
}

static void write_family(struct page *p, const struct family *f)
{
	buf_addf(&p->out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name,
		 f->kind == COUNTER ? "counter" : "gauge");
	p->name = f->name;
	if (f->one) {
		buf_adds(&p->out, f->name);
		value(p, f->one(p));
	} else if (f->words) {
		f->words(p);
	} else if (f->site) {
		per_site(p, f);
	} else if (f->site_res) {
		per_site_res(p, f);
	} else if (f->node) {
		per_node(p, f);
	} else if (f->shard) {
		per_shard(p, f);
	} else {
		per_cell(p, f);
	}
}

static void count_alert(const struct alert *al, void *arg)
{
	struct page *p = arg;

	p->alerts[al->severity]++;
}

static void count_drain(enum drain_kind kind, const char *name, const char *site, const struct drain *d,
			void *arg)
{
	struct page *p = arg;
	double age = age_s(d->since, p->now);

	(void)kind;
	(void)name;
	(void)site;
	p->drains[d->stage]++;
	p->drain_age_s = age > p->drain_age_s ? age : p->drain_age_s;
}

static void write_page(struct api *a, mono_t now)
{
	struct page p = { .a = a, .m = &a->c->model, .v = api_rounds(a), .now = now };

	alerts_each(a, p.now, count_alert, &p);
	drains_each(p.m, count_drain, &p);
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		write_family(&p, &families[i]);
	buf_done(&a->metrics);
	a->metrics = p.out;
	a->metrics_at = now;
}

struct response metrics_get(struct api *a, const struct request *req)
{
	mono_t now = mono_now();

	(void)req;
	if (!mono_is_set(a->metrics_at) || mono_diff_ms(a->metrics_at, now) > METRICS_KEEP_MS)
		write_page(a, now);
	char *copy = xcalloc(1, a->metrics.len);
	memcpy(copy, a->metrics.data, a->metrics.len);
	return (struct response){
		.status = 200,
		.type = "text/plain; version=0.0.4; charset=utf-8",
		.body = copy,
		.len = a->metrics.len,
	};
}
