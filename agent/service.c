/* SPDX-License-Identifier: Apache-2.0
 * Owns one service: its checks, the hold-down, the operator's veto and the words for why. The transitions are
 * the table below, every pair of state and event decided; change() alone moves the state and tells the owner,
 * who logs it. Timers: one, the hold-down, running in HELD only, anew after a bad result (and once at start,
 * for a service without checks). Thread: the loop's. */
#include "agent/service.h"

#include <limits.h>
#include <string.h>

#define DOUBLINGS_MAX 3
#define WINDOW_HOLDS  10 /* a fall this many hold-downs after the rise is no flap */

enum event { EV_FELL, EV_ALL_UP, EV_HOLD_OVER };

static const enum service_status next[][3] = {
	/*                     EV_FELL       EV_ALL_UP     EV_HOLD_OVER */
	[SERVICE_UNKNOWN] = { SERVICE_DOWN, SERVICE_UP, SERVICE_UNKNOWN },
	[SERVICE_UP] = { SERVICE_DOWN, SERVICE_UP, SERVICE_UP },
	[SERVICE_DOWN] = { SERVICE_DOWN, SERVICE_HELD, SERVICE_DOWN },
	[SERVICE_HELD] = { SERVICE_DOWN, SERVICE_HELD, SERVICE_UP },
};

struct service {
	const struct service_cfg *cfg;
	struct check **checks;
	uv_timer_t hold;
	service_changed_fn fn;
	void *arg;
	enum service_status status;
	mono_t since, last_rise;
	unsigned falls; /* in a row, each within the window */
	uint32_t hold_ms, weight;
	char disabled[TEXT_LEN]; /* "": it is not */
};

uint32_t service_hold_ms(uint32_t base_ms, unsigned falls)
{
	unsigned doublings = falls > 1 ? falls - 1 : 0;
	uint64_t ms = (uint64_t)base_ms << (doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX);

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

const char *service_status_str(enum service_status s)
{
	static const char *const names[] = { "unknown", "up", "down", "held" };

	return (unsigned)s < ARRAY_LEN(names) ? names[s] : "?";
}

int service_join(const struct service_cfg *cfg, unsigned up, unsigned down)
{
	unsigned n = cfg->checks_count, need = n;

	if (cfg->join && strcmp(cfg->join, "any") == 0)
		need = 1;
	else if (cfg->join && strcmp(cfg->join, "quorum") == 0)
		need = cfg->quorum;
	if (!n || up >= need)
		return 1;
	return n - down < need ? -1 : 0;
}

static unsigned count(const struct service *s, enum check_status status)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->cfg->checks_count; i++)
		n += check_status(s->checks[i]) == status;
	return n;
}

static int joined(const struct service *s)
{
	return service_join(s->cfg, count(s, CHECK_UP), count(s, CHECK_DOWN));
}

/* the first failing check; NULL when none is down */
static const char *failing(const struct service *s, const char **ret_check)
{
	for (unsigned i = 0; i < s->cfg->checks_count; i++)
		if (check_status(s->checks[i]) == CHECK_DOWN) {
			*ret_check = s->cfg->checks[i].name;
			return check_reason(s->checks[i]);
		}
	return NULL;
}

static void explain_down(const struct service *s, char *ret_reason)
{
	const char *check = NULL, *why = failing(s, &check);
	unsigned down = count(s, CHECK_DOWN);

	if (!why)
		snprintf(ret_reason, TEXT_LEN, "down");
	else if (down > 1)
		snprintf(ret_reason, TEXT_LEN, "%s: %.180s (%u of %u checks fail)", check, why, down,
			 s->cfg->checks_count);
	else
		snprintf(ret_reason, TEXT_LEN, "%s: %s", check, why);
}

static void explain(const struct service *s, char *ret_reason)
{
	unsigned up = count(s, CHECK_UP);

	if (s->disabled[0])
		snprintf(ret_reason, TEXT_LEN, "disabled: %.240s", s->disabled);
	else if (s->status == SERVICE_DOWN)
		explain_down(s, ret_reason);
	else if (s->status == SERVICE_HELD)
		snprintf(ret_reason, TEXT_LEN, "healthy again, held down for %u ms", s->hold_ms);
	else if (s->status == SERVICE_UNKNOWN)
		snprintf(ret_reason, TEXT_LEN, "checks not decided yet");
	else if (up < s->cfg->checks_count)
		snprintf(ret_reason, TEXT_LEN, "%u of %u checks pass", up, s->cfg->checks_count);
	else
		snprintf(ret_reason, TEXT_LEN, "%s", s->cfg->checks_count ? "all checks pass" : "no checks");
}

static void on_hold(uv_timer_t *timer);

static void look_closely(struct service *s, bool on)
{
	for (unsigned i = 0; i < s->cfg->checks_count; i++)
		check_closely(s->checks[i], on);
}

static void hold_for(struct service *s, uint32_t ms)
{
	uv_update_time(s->hold.loop);
	uv_timer_start(&s->hold, on_hold, ms, 0);
}

static void fell(struct service *s, enum service_status from, mono_t now)
{
	bool soon = mono_diff_ms(s->last_rise, now) <= (int64_t)s->cfg->hold_down_ms * WINDOW_HOLDS;

	if (from != SERVICE_UNKNOWN && s->falls < UINT_MAX)
		s->falls = soon || from == SERVICE_HELD ? s->falls + 1 : 1;
}

static void enter(struct service *s, enum service_status from, mono_t now)
{
	uv_timer_stop(&s->hold);
	look_closely(s, s->status == SERVICE_HELD);
	if (s->status == SERVICE_UP)
		s->last_rise = now;
	if (s->status == SERVICE_DOWN)
		fell(s, from, now);
	if (s->status == SERVICE_HELD) {
		s->hold_ms = service_hold_ms(s->cfg->hold_down_ms, s->falls);
		hold_for(s, s->hold_ms);
	}
}

/* How much of the hold-down is left since the last bad result of a check that counts as up. */
static uint32_t hold_left_ms(const struct service *s)
{
	int64_t left = 0;

	for (unsigned i = 0; i < s->cfg->checks_count; i++) {
		int64_t age = check_failed_age_ms(s->checks[i]);
		if (check_status(s->checks[i]) == CHECK_UP && age >= 0 && (int64_t)s->hold_ms - age > left)
			left = (int64_t)s->hold_ms - age;
	}
	return (uint32_t)left;
}

/* last in every caller: the callback may free the service */
static void tell(struct service *s, enum service_status from)
{
	char reason[TEXT_LEN];

	explain(s, reason);
	s->fn(s, from, service_status(s), reason, s->arg);
}

static void change(struct service *s, enum event event)
{
	enum service_status from = s->status, to = next[from][event];

	if (to == from)
		return;
	s->status = to;
	s->since = mono_now();
	enter(s, from, s->since);
	if (!s->disabled[0])
		tell(s, from);
}

static void judge(struct service *s)
{
	int now = joined(s);

	if (now)
		change(s, now > 0 ? EV_ALL_UP : EV_FELL);
}

static void on_check(struct check *c, enum check_status status, const char *reason, void *arg)
{
	struct service *s = arg;
	enum service_status before = s->status;

	(void)c;
	(void)status;
	(void)reason;
	uint32_t weight = service_weight(s);
	bool reweighed = weight != s->weight;
	s->weight = weight;
	if (reweighed && before == SERVICE_UP && joined(s) > 0)
		tell(s, before);
	else
		judge(s);
}

static void on_hold(uv_timer_t *timer)
{
	struct service *s = timer->data;

	if (s->status != SERVICE_HELD)
		judge(s);
	else if (hold_left_ms(s))
		hold_for(s, hold_left_ms(s));
	else
		change(s, EV_HOLD_OVER);
}

/* not from inside the caller: it does not expect to be told yet */
static void judge_later(struct service *s)
{
	if (s->status != SERVICE_HELD)
		uv_timer_start(&s->hold, on_hold, 0, 0);
}

struct service *service_new(uv_loop_t *loop, const struct service_cfg *cfg, service_changed_fn fn, void *arg)
{
	struct service *s = xcalloc(1, sizeof(*s));

	s->cfg = cfg;
	s->fn = fn;
	s->arg = arg;
	s->since = mono_now();
	s->weight = 100;
	s->checks = xcalloc(cfg->checks_count, sizeof(struct check *));
	uv_timer_init(loop, &s->hold);
	s->hold.data = s;
	for (unsigned i = 0; i < cfg->checks_count; i++)
		s->checks[i] = check_new(loop, &cfg->checks[i], on_check, s);
	if (!cfg->checks_count)
		judge_later(s);
	return s;
}

/* The old check with the same configuration, taken out of the old list. */
static struct check *take_check(struct check **old, unsigned n, const struct check_cfg *cfg)
{
	for (unsigned i = 0; i < n; i++)
		if (old[i] && check_cfg_equal(check_cfg(old[i]), cfg)) {
			struct check *c = old[i];
			old[i] = NULL;
			return c;
		}
	return NULL;
}

void service_reload(struct service *s, const struct service_cfg *cfg)
{
	struct check **old = s->checks;
	unsigned n_old = s->cfg->checks_count;

	s->cfg = cfg;
	s->checks = xcalloc(cfg->checks_count, sizeof(struct check *));
	for (unsigned i = 0; i < cfg->checks_count; i++) {
		s->checks[i] = take_check(old, n_old, &cfg->checks[i]);
		if (!s->checks[i])
			s->checks[i] = check_new(s->hold.loop, &cfg->checks[i], on_check, s);
	}
	for (unsigned i = 0; i < n_old; i++)
		check_free(old[i]);
	free(old);
	/* the join may have changed; a hold that runs goes on */
	judge_later(s);
}

void service_disable(struct service *s, const char *reason)
{
	enum service_status from = service_status(s);
	bool was = s->disabled[0], is = reason != NULL;

	snprintf(s->disabled, sizeof(s->disabled), "%s", is ? *reason ? reason : "no reason given" : "");
	if (was == is)
		return;
	s->since = mono_now();
	tell(s, from);
}

const char *service_disabled(const struct service *s)
{
	return s->disabled[0] ? s->disabled : NULL;
}

enum announce_state service_announce(const struct service *s)
{
	if (s->disabled[0])
		return ANNOUNCE_DISABLED;
	return s->status == SERVICE_DOWN || s->status == SERVICE_HELD ? ANNOUNCE_DOWN : ANNOUNCE_UP;
}

uint32_t service_weight(const struct service *s)
{
	uint32_t least = 100;

	for (unsigned i = 0; i < s->cfg->checks_count; i++)
		if (check_weight(s->checks[i]) < least)
			least = check_weight(s->checks[i]);
	return least;
}

const struct check *service_check(const struct service *s, unsigned i)
{
	return s->checks[i];
}

enum service_status service_status(const struct service *s)
{
	return s->disabled[0] ? SERVICE_DOWN : s->status;
}

const struct service_cfg *service_cfg(const struct service *s)
{
	return s->cfg;
}

void service_state(const struct service *s, struct service_state *ret_state)
{
	*ret_state = (struct service_state){ .up = service_status(s) == SERVICE_UP };
	snprintf(ret_state->name, sizeof(ret_state->name), "%s", s->cfg->name);
	ret_state->since_ms = (uint64_t)mono_diff_ms(s->since, mono_now());
	explain(s, ret_state->reason);
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void service_free(struct service *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->cfg->checks_count; i++)
		check_free(s->checks[i]);
	free(s->checks);
	s->checks = NULL;
	uv_close((uv_handle_t *)&s->hold, on_closed);
}
