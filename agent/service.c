/* SPDX-License-Identifier: Apache-2.0
 * Owns one service: its checks, the hold-down and the words for why. The transitions are the table below,
 * every pair of state and event decided; change() alone moves the state and tells the owner, who logs it.
 * Timers: one, the hold-down, running in HELD only (and once at start, for a service without checks).
 * Thread: the loop's. */
#include "agent/service.h"

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
	uint32_t hold_ms;
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

static void explain(const struct service *s, char *ret_reason)
{
	const char *check = NULL, *why = failing(s, &check);

	if (why)
		snprintf(ret_reason, TEXT_LEN, "%s: %s", check, why);
	else if (s->status == SERVICE_HELD)
		snprintf(ret_reason, TEXT_LEN, "healthy again, held down for %u ms", s->hold_ms);
	else if (s->status == SERVICE_UNKNOWN)
		snprintf(ret_reason, TEXT_LEN, "checks not decided yet");
	else
		snprintf(ret_reason, TEXT_LEN, "%s", s->cfg->checks_count ? "all checks pass" : "no checks");
}

static void on_hold(uv_timer_t *timer);

static void enter(struct service *s, enum service_status from, mono_t now)
{
	bool flap = mono_diff_ms(s->last_rise, now) <= (int64_t)s->cfg->hold_down_ms * WINDOW_HOLDS;

	uv_timer_stop(&s->hold);
	if (s->status == SERVICE_UP)
		s->last_rise = now;
	if (s->status == SERVICE_DOWN && from == SERVICE_UP)
		s->falls = flap ? s->falls + 1 : 1;
	if (s->status == SERVICE_HELD) {
		s->hold_ms = service_hold_ms(s->cfg->hold_down_ms, s->falls);
		uv_update_time(s->hold.loop);
		uv_timer_start(&s->hold, on_hold, s->hold_ms, 0);
	}
}

static void change(struct service *s, enum event event)
{
	enum service_status from = s->status, to = next[from][event];
	char reason[TEXT_LEN];

	if (to == from)
		return;
	s->status = to;
	s->since = mono_now();
	enter(s, from, s->since);
	explain(s, reason);
	/* last: the callback may free the service */
	s->fn(s, from, to, reason, s->arg);
}

static bool all_up(const struct service *s)
{
	for (unsigned i = 0; i < s->cfg->checks_count; i++)
		if (check_status(s->checks[i]) != CHECK_UP)
			return false;
	return true;
}

static void on_check(struct check *c, enum check_status status, const char *reason, void *arg)
{
	struct service *s = arg;

	(void)c;
	(void)reason;
	if (status == CHECK_DOWN)
		change(s, EV_FELL);
	else if (all_up(s))
		change(s, EV_ALL_UP);
}

static void on_hold(uv_timer_t *timer)
{
	struct service *s = timer->data;

	change(s, s->status == SERVICE_UNKNOWN ? EV_ALL_UP : EV_HOLD_OVER);
}

struct service *service_new(uv_loop_t *loop, const struct service_cfg *cfg, service_changed_fn fn, void *arg)
{
	struct service *s = xcalloc(1, sizeof(*s));

	s->cfg = cfg;
	s->fn = fn;
	s->arg = arg;
	s->since = mono_now();
	s->checks = xcalloc(cfg->checks_count, sizeof(struct check *));
	uv_timer_init(loop, &s->hold);
	s->hold.data = s;
	for (unsigned i = 0; i < cfg->checks_count; i++)
		s->checks[i] = check_new(loop, &cfg->checks[i], on_check, s);
	/* not from inside here: the caller does not have the pointer yet */
	if (!cfg->checks_count)
		uv_timer_start(&s->hold, on_hold, 0, 0);
	return s;
}

enum service_status service_status(const struct service *s)
{
	return s->status;
}

const struct service_cfg *service_cfg(const struct service *s)
{
	return s->cfg;
}

void service_state(const struct service *s, struct service_state *ret_state)
{
	*ret_state = (struct service_state){ .up = s->status == SERVICE_UP };
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
