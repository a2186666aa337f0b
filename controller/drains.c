/* SPDX-License-Identifier: Apache-2.0
 * Drains of sites, nodes and services: measures what is left, asks the guard before each step, writes every
 * stage down with its event, so that a restart or a new leader goes on where the last one was. The order of
 * stages is drain.c's. A drain lives in the model beside what it drains; here is no state.
 * Keys: drain/site/SITE, drain/node/NODE, drain/service/SERVICE/SITE. */
#include <string.h>

#include "controller/control.h"
#include "controller/rounds.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define SETTLE_MORE_MS 2000  /* after settling: what is measured until then teaches the engine */
#define HELD_RETRY_MS  5000  /* the guard is asked again */
#define NOTHING_BPS    10000 /* less than this is nothing, whatever it was before */

/* What is drained: where in the model. */
struct subject {
	enum drain_kind kind;
	const char *name, *site_name; /* site_name: "" unless it is a service */
	size_t site, at;	      /* at: index of node or service */
};

const char *drain_kind_str(enum drain_kind kind)
{
	static const char *const names[DRAIN_KINDS] = { "site", "node", "service" };

	return names[kind];
}

static bool look_up(const struct model *m, enum drain_kind kind, const char *name, const char *site,
		    struct subject *ret)
{
	const char *where = kind == DRAIN_SITE ? name : site;
	ssize_t at = kind == DRAIN_NODE	     ? cluster_node(m->cl, name)
		     : kind == DRAIN_SERVICE ? cluster_service(m->cl, name)
					     : 0;
	ssize_t i = kind != DRAIN_NODE ? cluster_site(m->cl, where ? where : "")
		    : at < 0	       ? -1
				       : (ssize_t)m->cl->nodes[at].site;

	if (at < 0 || i < 0)
		return false;
	*ret = (struct subject){ kind, name, kind == DRAIN_SERVICE ? site : "", (size_t)i, (size_t)at };
	return true;
}

/* NULL: none was ever made of this service here. */
static struct drain *drain_of(const struct model *m, const struct subject *s)
{
	return s->kind == DRAIN_SITE   ? &m->sites[s->site].drain
	       : s->kind == DRAIN_NODE ? &m->nodes[s->at].drain
				       : m->service_drains[s->site * m->cl->n_services + s->at];
}

static struct drain *drain_make(struct model *m, const struct subject *s)
{
	struct drain **d = &m->service_drains[s->site * m->cl->n_services + s->at];

	if (s->kind == DRAIN_SERVICE && !*d)
		*d = xcalloc(1, sizeof(**d));
	return drain_of(m, s);
}

const struct drain *drain_find(const struct model *m, enum drain_kind kind, const char *name,
			       const char *site)
{
	struct subject s;

	return look_up(m, kind, name, site, &s) ? drain_of(m, &s) : NULL;
}

/* -- what is there ----------------------------------------------------------------------------------- */

static bool concerns(const struct model *m, const struct subject *s, size_t shard)
{
	if (s->kind == DRAIN_SERVICE && m->cl->shards[shard].service != s->at)
		return false;
	return s->kind == DRAIN_NODE || !model_cell(m, s->site, shard)->pinned;
}

static double load_of(const struct model *m, const struct subject *s)
{
	double sum = 0;

	if (s->kind == DRAIN_NODE)
		return m->nodes[s->at].load[RES_BPS];
	for (size_t k = 0; k < m->cl->n_shards; k++)
		if (concerns(m, s, k))
			sum += model_cell(m, s->site, k)->hi[RES_BPS];
	return sum;
}

/* Every node that still announces something concerned has reported lately: silence is no fall. */
static bool heard_lately(const struct model *m, const struct subject *s, mono_t now)
{
	const struct cl_site *cs = &m->cl->sites[s->site];

	for (size_t i = 0; i < cs->n_nodes; i++) {
		const struct node_live *n = &m->nodes[cs->nodes[i]];
		if (s->kind == DRAIN_NODE && cs->nodes[i] != s->at)
			continue;
		for (size_t k = 0; k < m->cl->n_shards; k++)
			if (concerns(m, s, k) && n->shards[k].announced &&
			    mono_diff_ms(n->report_at, now) > m->cl->policy.stale_ms)
				return false;
	}
	return true;
}

/* The routers have the drain grade, or something weaker, wherever it concerns. */
static bool grade_arrived(const struct model *m, const struct subject *s)
{
	const struct grade *g = m->cl->grades.g;
	unsigned want = g[cluster_grade(m->cl, "drain")].strength;

	for (size_t k = 0; k < m->cl->n_shards; k++) {
		const struct node_shard *ns = s->kind == DRAIN_NODE ? &m->nodes[s->at].shards[k] : NULL;
		if (!concerns(m, s, k) || (ns && !ns->announced))
			continue;
		if (g[ns ? ns->grade : model_cell(m, s->site, k)->grade].strength < want)
			return false;
	}
	return true;
}

static bool others_carry_on(const struct model *m, const struct subject *s)
{
	const struct cl_site *cs = &m->cl->sites[s->site];

	for (size_t i = 0; s->kind == DRAIN_NODE && i < cs->n_nodes; i++)
		if (cs->nodes[i] != s->at && !m->nodes[cs->nodes[i]].drain.on)
			return true;
	return false;
}

/* A node among others weakens nothing outside; it is withdrawn only where somebody takes over. */
static bool helped(const struct model *m, const struct subject *s, char *ret_why)
{
	for (size_t k = 0; k < m->cl->n_shards; k++) {
		if (!m->nodes[s->at].shards[k].announced || model_covered(m, s->at, k))
			continue;
		snprintf(ret_why, STEER_TEXT, "no other node of %s surely carries %s",
			 m->cl->sites[s->site].name, m->cl->shards[k].name);
		return false;
	}
	return true;
}

/* 0, or ERR_GUARD with the reason: may what is concerned be weakened to this grade now? What the drain of a
 * node leaves to others of its site is not weakened; where they are there only in the document, it is. */
static int ask_guard(struct controller *c, const struct subject *s, const char *grade, char *ret_why)
{
	const struct model *m = &c->model;
	bool others = others_carry_on(m, s);
	auto_free struct move *moves = xcalloc(m->cl->n_shards, sizeof(*moves));
	uint8_t to = (uint8_t)cluster_grade(m->cl, grade);
	struct guard_verdict verdict = { 0 };
	size_t n = 0;

	if (others && strcmp(grade, "withdrawn") == 0)
		return helped(m, s, ret_why) ? 0 : ERR_GUARD;
	for (size_t k = 0; k < m->cl->n_shards; k++) {
		const struct cell_live *cell = model_cell(m, s->site, k);
		uint8_t from = cell_order(cell);
		if (others && (!m->nodes[s->at].shards[k].announced || model_carried(m, s->at, k)))
			continue;
		if (concerns(m, s, k) && cell->announced && from < to)
			moves[n++] = (struct move){
				.site = s->site, .shard = k, .from = from, .to = to, .kind = MOVE_OPERATOR
			};
	}
	if (others && !n)
		return 0;
	int err = rounds_guard_operator(c->rounds, moves, n, &verdict);
	if (err < 0)
		snprintf(ret_why, STEER_TEXT, "%s: %.240s", guard_str(verdict.id), verdict.why);
	return err;
}

/* -- writing down ------------------------------------------------------------------------------------ */

static void key_of(const struct subject *s, char *ret_key, size_t size)
{
	snprintf(ret_key, size, "drain/%s/%s%s%s", drain_kind_str(s->kind), s->name, *s->site_name ? "/" : "",
		 s->site_name);
}

static int64_t wall_of(mono_t at)
{
	return wall_now_ms() - mono_diff_ms(at, mono_now());
}

static mono_t mono_of(int64_t wall_ms)
{
	int64_t ago = wall_now_ms() - wall_ms;

	return mono_add_ms(mono_now(), ago > 0 ? -ago : 0);
}

static char *text_of(const struct drain *d)
{
	json_auto_t *j = json_pack("{s:s, s:s, s:I, s:s, s:b, s:I, s:I, s:I, s:f, s:f}", "reason", d->reason,
				   "actor", d->actor, "expires_wall_ms", (json_int_t)d->expires_wall_ms,
				   "stage", drain_stage_str(d->stage), "keep", d->keep, "since_wall_ms",
				   (json_int_t)wall_of(d->since), "stage_wall_ms",
				   (json_int_t)wall_of(d->stage_since), "wait_ms", (json_int_t)d->wait_ms,
				   "residual", d->residual, "load_before_bps", d->load_before_bps);

	return j ? json_dumps(j, JSON_COMPACT) : xstrdup("{}");
}

/* Stage, store and event are one. d: as it will be. */
static int write_down(struct controller *c, const struct subject *s, const struct drain *d,
		      const char *severity, const char *actor, const char *text)
{
	char key[4 * NAME_LEN];
	auto_free char *value = d->on ? text_of(d) : NULL;
	struct store_op op = { key, value };

	key_of(s, key, sizeof(key));
	return events_emit(c->events, &op, 1, "drain", severity,
			   json_pack("{s:s, s:s, s:s*, s:s, s:s, s:s, s:I}", "actor", actor,
				     drain_kind_str(s->kind), s->name, "site",
				     s->kind == DRAIN_SERVICE ? s->site_name : NULL, "reason", d->reason,
				     "stage", drain_stage_str(d->stage), "state", d->on ? "on" : "off",
				     "load_bps", (json_int_t)d->load_bps),
			   "%s", text);
}

static const char *at_site(const struct subject *s, char *buf, size_t size)
{
	snprintf(buf, size, "%s %s%s%s", drain_kind_str(s->kind), s->name, *s->site_name ? " at " : "",
		 s->site_name);
	return buf;
}

/* -- operations -------------------------------------------------------------------------------------- */

static struct op_result no_such(const struct drain_ask *a)
{
	if (a->kind == DRAIN_SERVICE)
		return op_result(404, "there is no service \"%s\" or no site \"%s\" in the cluster document",
				 a->name, a->site ? a->site : "");
	return op_result(404, "there is no %s \"%s\" in the cluster document", drain_kind_str(a->kind),
			 a->name);
}

static struct drain drain_begin(const struct model *m, const struct subject *s, const char *actor,
				const struct drain_ask *a)
{
	double load = load_of(m, s);
	struct drain d = { .on = true,
			   .stage = drain_step(DRAIN_OFF, DRAIN_EV_START).next,
			   .keep = a->keep,
			   .since = mono_now(),
			   .stage_since = mono_now(),
			   .expires_wall_ms = a->expires_s ? wall_now_ms() + a->expires_s * 1000 : 0,
			   .expires_at = a->expires_s ? mono_add_ms(mono_now(), a->expires_s * 1000)
						      : (mono_t){ 0 },
			   .wait_ms = a->wait_s * 1000,
			   .residual = a->residual_pct / 100,
			   .load_before_bps = load,
			   .load_bps = load };

	snprintf(d.reason, sizeof(d.reason), "%s", a->reason);
	snprintf(d.actor, sizeof(d.actor), "%s", actor);
	return d;
}

struct op_result control_drain(struct controller *c, const char *actor, const struct drain_ask *a)
{
	char why[STEER_TEXT], what[3 * NAME_LEN], text[2 * TEXT_LEN];
	struct op_result refused;
	struct subject s;

	if (!look_up(&c->model, a->kind, a->name, a->site, &s))
		return no_such(a);
	if (!a->reason || !*a->reason)
		return op_result(422, "a drain needs a reason");
	struct drain *d = drain_of(&c->model, &s);
	at_site(&s, what, sizeof(what));
	if (d && d->on)
		return op_result(409, "%s is drained already, by %s: %.100s", what, d->actor, d->reason);
	if (!op_not_frozen(c, &refused))
		return refused;
	if (ask_guard(c, &s, "drain", why) < 0)
		return op_result(409, "the guard refuses (%.200s)", why);
	struct drain next = drain_begin(&c->model, &s, actor, a);
	snprintf(text, sizeof(text), "%s drained by %s: %s", what, actor, a->reason);
	if (write_down(c, &s, &next, "info", actor, text) < 0)
		return op_store_failed(c);
	*drain_make(&c->model, &s) = next;
	rounds_follow(c->rounds);
	return op_result(200, "%s is being drained", what);
}

struct op_result control_undrain(struct controller *c, const char *actor, enum drain_kind kind,
				 const char *name, const char *site, const char *reason)
{
	char what[3 * NAME_LEN], text[2 * TEXT_LEN];
	struct op_result refused;
	struct subject s;

	if (!look_up(&c->model, kind, name, site, &s))
		return no_such(&(struct drain_ask){ .kind = kind, .name = name, .site = site });
	struct drain *d = drain_of(&c->model, &s);
	at_site(&s, what, sizeof(what));
	if (!d || !d->on)
		return op_result(200, "%s is not drained", what);
	if (!op_not_frozen(c, &refused))
		return refused;
	struct drain next = { .load_bps = d->load_bps };
	snprintf(next.reason, sizeof(next.reason), "%s", reason);
	snprintf(text, sizeof(text), "%s undrained by %s (it was %s)%s%.200s", what, actor,
		 drain_stage_str(d->stage), *reason ? ": " : "", reason);
	if (write_down(c, &s, &next, "info", actor, text) < 0)
		return op_store_failed(c);
	*d = (struct drain){ 0 };
	for (size_t k = 0; kind == DRAIN_NODE && k < c->model.cl->n_shards; k++)
		c->model.nodes[s.at].shards[k].hand_weight = DRAIN_WEIGHT;
	rounds_follow(c->rounds);
	return op_result(200, "%s is given back", what);
}

/* -- the round --------------------------------------------------------------------------------------- */

/* One event; what it asks for leads to the next. false: nothing came of it. */
static bool feed(struct controller *c, const struct subject *s, struct drain *d, enum drain_event ev)
{
	struct drain_step step = drain_step(d->stage, ev);
	char what[3 * NAME_LEN], text[3 * TEXT_LEN], why[STEER_TEXT] = "";
	struct drain next = *d;

	if (step.act == DRAIN_ASK) {
		bool silent = !heard_lately(&c->model, s, mono_now());
		if (silent)
			snprintf(why, sizeof(why), "no fresh report: silence never withdraws");
		bool no = silent || ask_guard(c, s, "withdrawn", why) < 0;
		memcpy(d->held, why, sizeof(d->held));
		return feed(c, s, d, no ? DRAIN_EV_REFUSED : DRAIN_EV_ALLOWED);
	}
	if (step.next == d->stage)
		return false;
	next.stage = step.next;
	next.stage_since = mono_now();
	snprintf(text, sizeof(text), "drain of %s: %s -> %s, %.3g of %.3g Mbit/s left%s%s",
		 at_site(s, what, sizeof(what)), drain_stage_str(d->stage), drain_stage_str(next.stage),
		 d->load_bps / 1e6, d->load_before_bps / 1e6,
		 next.stage == DRAIN_HELD ? ": held back by " : "", next.stage == DRAIN_HELD ? d->held : "");
	if (write_down(c, s, &next, next.stage == DRAIN_HELD ? "alert" : "info", d->actor, text) < 0)
		return false; /* not stored, not done: the next round tries again */
	*d = next;
	if (step.act == DRAIN_WITHDRAW)
		rounds_follow(c->rounds); /* before the next one asks the guard */
	return true;
}

/* What moves between sites must settle first; inside a site it is the measure alone. */
static bool is_fallen(const struct model *m, const struct subject *s, const struct drain *d)
{
	double enough = d->load_before_bps * d->residual;
	int64_t settle_ms = others_carry_on(m, s) ? 0 : m->cl->policy.settle_min_ms + SETTLE_MORE_MS;

	if (d->stage == DRAIN_WAITING && mono_diff_ms(d->stage_since, mono_now()) < settle_ms)
		return false;
	return d->load_bps <= (enough > NOTHING_BPS ? enough : NOTHING_BPS);
}

static void go_on(struct controller *c, const struct subject *s, struct drain *d)
{
	const struct model *m = &c->model;
	mono_t now = mono_now();
	int64_t stage_ms = mono_diff_ms(d->stage_since, now);

	if (model_is_over(d->expires_at, now)) {
		control_undrain(c, "expiry", s->kind, s->name, s->site_name, "its time is over");
		return;
	}
	d->load_bps = load_of(m, s);
	if (d->stage != DRAIN_HELD)
		d->held[0] = 0;
	if (d->stage == DRAIN_DRAINING && grade_arrived(m, s))
		feed(c, s, d, DRAIN_EV_HEARD);
	if (d->keep || (d->stage == DRAIN_HELD && stage_ms % HELD_RETRY_MS >= ROUND_MS))
		return;
	if (is_fallen(m, s, d))
		feed(c, s, d, DRAIN_EV_FALLEN);
	else if (mono_diff_ms(d->since, now) > d->wait_ms)
		feed(c, s, d, DRAIN_EV_LATE);
}

static void each(const struct model *m, void (*fn)(const struct subject *s, struct drain *d, void *arg),
		 void *arg)
{
	const struct cluster *cl = m->cl;

	for (size_t i = 0; i < cl->n_sites; i++) {
		struct subject site = { DRAIN_SITE, cl->sites[i].name, "", i, 0 };
		if (m->sites[i].drain.on)
			fn(&site, &m->sites[i].drain, arg);
		for (size_t v = 0; v < cl->n_services; v++) {
			struct subject s = { DRAIN_SERVICE, cl->services[v].name, cl->sites[i].name, i, v };
			struct drain *d = drain_of(m, &s);
			if (d && d->on)
				fn(&s, d, arg);
		}
	}
	for (size_t i = 0; i < cl->n_nodes; i++) {
		struct subject s = { DRAIN_NODE, cl->nodes[i].name, "", cl->nodes[i].site, i };
		if (m->nodes[i].drain.on)
			fn(&s, &m->nodes[i].drain, arg);
	}
}

struct turn {
	struct controller *c;
	mono_t until;
};

static void round_one(const struct subject *s, struct drain *d, void *arg)
{
	const struct turn *t = arg;

	if (mono_diff_ms(mono_now(), t->until) > 0)
		go_on(t->c, s, d);
}

/* Each stage is a durable write: what does not fit waits for the next round. */
void drains_round(struct controller *c)
{
	struct turn t = { c, mono_add_ms(mono_now(), HANDS_MS) };

	each(&c->model, round_one, &t);
}

struct teller {
	drain_fn fn;
	void *arg;
};

static void tell_one(const struct subject *s, struct drain *d, void *arg)
{
	struct teller *t = arg;

	t->fn(s->kind, s->name, s->site_name, d, t->arg);
}

void drains_each(const struct model *m, drain_fn fn, void *arg)
{
	struct teller t = { fn, arg };

	each(m, tell_one, &t);
}

/* -- start ------------------------------------------------------------------------------------------- */

static bool read_text(const char *value, struct drain *ret)
{
	const char *reason = "", *actor = "", *stage = "draining";
	json_int_t expires = 0, since = wall_now_ms(), stage_since = since, wait = DRAIN_WAIT_S * 1000;
	double residual = DRAIN_RESIDUAL_PCT / 100, before = 0;
	int keep = 0;
	json_auto_t *j = json_loads(value, 0, NULL);

	if (json_unpack(j, "{s:s, s:s, s:I, s?s, s?b, s?I, s?I, s?I, s?F, s?F}", "reason", &reason, "actor",
			&actor, "expires_wall_ms", &expires, "stage", &stage, "keep", &keep, "since_wall_ms",
			&since, "stage_wall_ms", &stage_since, "wait_ms", &wait, "residual", &residual,
			"load_before_bps", &before) < 0)
		return false;
	*ret = (struct drain){ .on = true,
			       .stage = drain_stage_parse(stage),
			       .keep = keep,
			       .since = mono_of(since),
			       .stage_since = mono_of(stage_since),
			       .expires_wall_ms = expires,
			       .expires_at = model_deadline(expires, since),
			       .wait_ms = wait,
			       .residual = residual,
			       .load_before_bps = before };
	snprintf(ret->reason, sizeof(ret->reason), "%s", reason);
	snprintf(ret->actor, sizeof(ret->actor), "%s", actor);
	return ret->stage != DRAIN_OFF && ret->stage != DRAIN_STAGES;
}

static int load_drain(const char *key, const char *value, void *arg)
{
	struct controller *c = arg;
	char kind[16] = "", name[NAME_LEN] = "", site[NAME_LEN] = "";
	struct subject s;
	struct drain d;
	int k = 0;

	int n = sscanf(key, "drain/%15[^/]/%63[^/]/%63[^/]", kind, name, site);
	while (k < DRAIN_KINDS && strcmp(kind, drain_kind_str((enum drain_kind)k)) != 0)
		k++;
	if (n < 2 || k == DRAIN_KINDS || !look_up(&c->model, (enum drain_kind)k, name, site, &s) ||
	    !read_text(value, &d)) {
		log_warn("stored %s could not be used: left out", key);
		return 0;
	}
	*drain_make(&c->model, &s) = d;
	return 0;
}

void drains_load(struct controller *c)
{
	store_each(c->store, "drain/", load_drain, c);
}
