/* SPDX-License-Identifier: Apache-2.0
 * The actions behind lead.h's table. State changes in one place, take(), and is said there: old -> new. */
#include "controller/term.h"

#include <errno.h>
#include <string.h>

#include "controller/drill/drill.h"
#include "controller/fleet.h"
#include "controller/rounds.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

#define LOOK_MS	  1000
#define ANSWER_MS 5000 /* a campaign without an answer for so long is none */
#define RELEASE_MS                                                                                           \
	30000 /* agents of a LOST controller are sent round: perhaps another leads that they reach */
#define PASSWORD_MAX 512

struct term {
	struct controller *c;
	struct store_etcd_cfg cfg;
	char *self, *password;
	uv_async_t async;
	uv_timer_t timer;
	int handles;
	mono_t asked_at, released_at;
	bool gone;  /* LOST: the lease is known to be gone, there is nothing to renew */
	bool stale; /* the model is older than the mirror */
	bool stopped;
};

static int64_t lease_ms(const struct term *t)
{
	return (int64_t)t->cfg.lease_s * 1000;
}

static void ask(struct term *t, enum store_etcd_ask what)
{
	t->asked_at = mono_now();
	store_etcd_ask(t->c->store, what);
}

/* -- actions ------------------------------------------------------------------------------------------ */

static void campaign(struct term *t, mono_t at)
{
	(void)at;
	ask(t, STORE_ETCD_CAMPAIGN);
}

/* The margin covers what happens between looking at the clock and the last byte of an order. */
static void extend(struct term *t, mono_t at)
{
	t->c->lead.deadline = mono_add_ms(at, lease_ms(t) - lease_ms(t) / 6);
	t->gone = false;
}

static void resign(struct term *t, mono_t at)
{
	(void)at;
	events_standby(t->c->events, true);
	store_etcd_ask(t->c->store, STORE_ETCD_RESIGN);
	store_etcd_ask(t->c->store, STORE_ETCD_RELOAD);
}

static void take_name(struct leadership *l, const char *text)
{
	json_auto_t *j = json_loads(text ? text : "{}", 0, NULL);
	const char *name = "", *agents = "", *api = "";

	json_unpack(j, "{s:s, s:s, s:s}", "name", &name, "agents", &agents, "api", &api);
	snprintf(l->name, sizeof(l->name), "%s", name);
	snprintf(l->agents, sizeof(l->agents), "%s", agents);
	snprintf(l->api, sizeof(l->api), "%s", api);
}

/* Nothing of before counts: the document and the decisions are the store's, the present is what agents will
 * say. Until they have said it nothing is ordered, and what they announce is adopted. */
static void begin(struct term *t, mono_t at)
{
	struct controller *c = t->c;
	mono_t started_at = c->model.started_at;
	char why[TEXT_LEN] = "";

	extend(t, at);
	take_name(&c->lead, t->self);
	fleet_dismiss(c->fleet, "a new term begins");
	model_done(&c->model);
	model_init(&c->model, cluster_empty());
	c->model.started_at = started_at;
	t->stale = false;
	if (control_load(c, why) < 0) {
		log_error("cannot lead: %s", why);
		rounds_begin(c->rounds);
		c->lead.state = LEAD_FOLLOWER;
		resign(t, at);
		return;
	}
	events_standby(c->events, false);
	rounds_begin(c->rounds);
	if (c->drills)
		drills_load(c->drills);
	fleet_lead(c->fleet);
	events_emit(c->events, NULL, 0, "leader", "info",
		    json_pack("{s:s, s:s, s:I}", "name", c->lead.name, "api", c->lead.api, "epoch",
			      (json_int_t)c->model.epoch),
		    "%s (%s) leads: epoch %lu, mode %s, %zu nodes", c->lead.name, c->lead.agents,
		    c->model.epoch, steer_mode_str(c->model.mode), c->model.cl->n_nodes);
}

static void halt(struct term *t, mono_t at)
{
	(void)at;
	t->released_at = mono_now();
	events_emit(t->c->events, NULL, 0, "leader.lost", "alert", NULL,
		    "the lease could not be renewed: nothing is ordered, agents keep what they announce");
}

static void point(struct term *t, mono_t at)
{
	(void)at;
	events_standby(t->c->events, true);
	fleet_lead(t->c->fleet);
}

/* -- events ------------------------------------------------------------------------------------------- */

static void take(struct term *t, enum lead_event e, mono_t at)
{
	static void (*const actions[])(struct term * t, mono_t at) = {
		[LEAD_CAMPAIGN] = campaign, [LEAD_BEGIN] = begin, [LEAD_EXTEND] = extend,
		[LEAD_HALT] = halt,	    [LEAD_POINT] = point, [LEAD_RESIGN] = resign,
	};
	struct leadership *l = &t->c->lead;
	enum lead_state from = l->state;
	struct lead_step step = lead_decide(from, e);

	l->state = step.to;
	if (step.to != from) {
		l->since = mono_now();
		log_info("leadership: %s -> %s (%s)", lead_state_str(from), lead_state_str(step.to),
			 lead_event_str(e));
	}
	if (step.to == LEAD_FOLLOWER && (from == LEAD_LEADER || from == LEAD_LOST))
		store_etcd_ask(t->c->store, STORE_ETCD_RELOAD);
	if (actions[step.action])
		actions[step.action](t, at);
}

static void on_lead(enum lead_event e, mono_t at, const char *leader, void *arg)
{
	struct term *t = arg;
	struct leadership *l = &t->c->lead, before = *l;
	bool known = false;

	if (e != LEAD_AWAY)
		l->heard_at = mono_now();
	if (e == LEAD_GONE)
		t->gone = true;
	if (e == LEAD_SEEN_OTHER && leader && strcmp(leader, t->self) == 0)
		leader = NULL; /* ourselves, in an earlier life: it ends with its lease */
	if (e == LEAD_SEEN_OTHER || (e == LEAD_SEEN_NONE && l->state != LEAD_LEADER)) {
		take_name(l, leader);
		known = strcmp(l->agents, before.agents) == 0;
	}
	if (e == LEAD_SEEN_OTHER && known && l->state == LEAD_FOLLOWER)
		return; /* said already */
	take(t, e, at);
}

static void on_event(const struct store_event *ev, void *arg)
{
	events_follow(((struct term *)arg)->c->events, ev);
}

static void on_changed(void *arg)
{
	((struct term *)arg)->stale = true;
}

static void poll(struct term *t)
{
	static const struct store_etcd_news news = { .lead = on_lead,
						     .event = on_event,
						     .changed = on_changed };

	if (!t->stopped)
		store_etcd_poll(t->c->store, &news, t);
}

static void on_async(uv_async_t *async)
{
	poll(async->data);
}

static void notify(void *arg)
{
	uv_async_send(&((struct term *)arg)->async);
}

/* -- the timer ---------------------------------------------------------------------------------------- */

static bool due(const struct term *t, int64_t every_ms)
{
	return mono_diff_ms(t->asked_at, mono_now()) >= every_ms;
}

static void tick_follower(struct term *t)
{
	if (due(t, LOOK_MS))
		ask(t, STORE_ETCD_LOOK);
}

static void tick_candidate(struct term *t)
{
	if (due(t, ANSWER_MS))
		take(t, LEAD_AWAY, mono_now());
}

static void tick_leader(struct term *t)
{
	if (t->c->lead.deadline.us <= mono_now().us)
		take(t, LEAD_DEADLINE, mono_now());
	if (due(t, lease_ms(t) / 4))
		ask(t, STORE_ETCD_RENEW);
}

static void tick_lost(struct term *t)
{
	if (due(t, lease_ms(t) / 4))
		ask(t, t->gone ? STORE_ETCD_LOOK : STORE_ETCD_RENEW);
	if (mono_diff_ms(t->released_at, mono_now()) < RELEASE_MS)
		return;
	t->released_at = mono_now();
	fleet_dismiss(t->c->fleet, "this controller cannot renew its lease: look for another that leads");
}

static void refresh(struct term *t)
{
	char why[TEXT_LEN] = "";

	t->stale = false;
	if (listens(&t->c->lead))
		return;
	if (control_read(t->c, why) < 0)
		log_warn("%s", why);
	rounds_changed(t->c->rounds);
}

static void on_tick(uv_timer_t *timer)
{
	static void (*const ticks[LEAD_STATES])(struct term * t) = {
		[LEAD_FOLLOWER] = tick_follower,
		[LEAD_CANDIDATE] = tick_candidate,
		[LEAD_LEADER] = tick_leader,
		[LEAD_LOST] = tick_lost,
	};
	struct term *t = timer->data;

	poll(t);
	ticks[t->c->lead.state](t);
	if (t->stale)
		refresh(t);
}

/* -- begin and end ------------------------------------------------------------------------------------ */

static int read_password(const char *path, char **ret_password, char *ret_why)
{
	char text[PASSWORD_MAX];
	auto_fclose FILE *f = fopen(path, "re");

	if (!f || !fgets(text, sizeof(text), f)) {
		snprintf(ret_why, TEXT_LEN, "store.password_file: %s: %s", path,
			 f ? "is empty" : strerror(errno));
		return ERR_CONFIG;
	}
	text[strcspn(text, "\r\n")] = 0;
	*ret_password = xstrdup(text);
	explicit_bzero(text, sizeof(text));
	return 0;
}

int term_store_cfg(const struct ctrl_config *cfg, const char *self, struct store_etcd_cfg *ret,
		   char **ret_password, char *ret_why)
{
	*ret_password = NULL;
	if (cfg->store.password_file && read_password(cfg->store.password_file, ret_password, ret_why) < 0)
		return ERR_CONFIG;
	*ret = (struct store_etcd_cfg){
		.etcd = { .endpoints = cfg->store.endpoints,
			  .n_endpoints = cfg->store.endpoints_count,
			  .ca = cfg->store.ca,
			  .cert = cfg->store.cert,
			  .key = cfg->store.key,
			  .user = cfg->store.user,
			  .password = *ret_password },
		.prefix = cfg->store.prefix,
		.self = self,
		.lease_s = cfg->store.lease_s,
		.shared_etcd = cfg->store.leave_compaction,
	};
	return 0;
}

int term_open(struct controller *c, const struct ctrl_config *cfg, const char *name, struct term **ret_term,
	      char *ret_why)
{
	struct term *t = xcalloc(1, sizeof(*t));
	json_auto_t *self = json_pack("{s:s, s:s, s:s}", "name", name, "agents", cfg->advertise.agents, "api",
				      cfg->advertise.api);

	t->self = json_dumps(self, JSON_COMPACT | JSON_SORT_KEYS);
	if (term_store_cfg(cfg, t->self, &t->cfg, &t->password, ret_why) < 0) {
		free(t->self);
		free(t);
		return ERR_CONFIG;
	}
	t->c = c;
	t->cfg.notify = notify;
	t->cfg.arg = t;
	uv_async_init(c->loop, &t->async, on_async);
	uv_timer_init(c->loop, &t->timer);
	t->async.data = t->timer.data = t;
	t->handles = 2;
	c->store = store_open_etcd(&t->cfg);
	c->lead = (struct leadership){ .shared = true, .since = mono_now() };
	*ret_term = t;
	return 0;
}

void term_start(struct term *t)
{
	events_standby(t->c->events, true);
	store_etcd_ask(t->c->store, STORE_ETCD_LOOK);
	uv_timer_start(&t->timer, on_tick, TERM_TICK_MS, TERM_TICK_MS);
}

void term_stop(struct term *t)
{
	bool led = t->c->lead.state == LEAD_LEADER || t->c->lead.state == LEAD_CANDIDATE;

	t->stopped = true;
	take(t, LEAD_STOP, mono_now());
	if (led)
		store_etcd_resign(t->c->store);
	uv_timer_stop(&t->timer);
}

static void on_closed(uv_handle_t *h)
{
	struct term *t = h->data;

	if (--t->handles)
		return;
	free(t->self);
	if (t->password)
		explicit_bzero(t->password, strlen(t->password));
	free(t->password);
	free(t);
}

void term_free(struct term *t)
{
	if (!t)
		return;
	uv_close((uv_handle_t *)&t->async, on_closed);
	uv_close((uv_handle_t *)&t->timer, on_closed);
}
