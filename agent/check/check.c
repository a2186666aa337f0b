/* SPDX-License-Identifier: Apache-2.0
 * Owns the schedule of one check, its rise/fall state and its timeout; what is asked belongs to the kinds.
 * States: WAITING -> PROBING (timer) -> WAITING (check_done, or the timeout) ; any -> CLOSING (check_free).
 * Timers: one. While WAITING it starts the next attempt, while PROBING it is the timeout. The interval runs
 * from the start of one attempt to the start of the next, so a slow answer does not slow down detection.
 * Thread: the loop's. The process must ignore SIGPIPE (daemon.c does): libuv writes without MSG_NOSIGNAL. */
#include "agent/check/check_kind.h"

#include <stdarg.h>
#include <string.h>

#include "proto/base/err.h"

#define TIME_MIN_MS 10
#define TIME_MAX_MS 3600000
#define RUN_MAX	    100 /* of rise and fall */

static const struct check_kind *const kinds[] = { &check_kind_tcp, &check_kind_http };

struct check {
	const struct check_cfg *cfg;
	const struct check_kind *kind;
	uv_loop_t *loop;
	uv_timer_t timer;
	check_changed_fn fn;
	void *arg;
	void *probe;
	const char *phase;
	uint64_t started_ms;
	uint32_t random;
	int run;
	enum check_status status;
	bool probing, closing;
	char reason[TEXT_LEN];
};

int check_refuse(char *ret_why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ret_why, TEXT_LEN, fmt, ap);
	va_end(ap);
	return ERR_CONFIG;
}

static const struct check_kind *find_kind(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

static int verify_ranges(const struct check_cfg *c, char *ret_why)
{
	const struct {
		const char *field;
		uint32_t value, min, max;
	} rows[] = {
		{ "interval_ms", c->interval_ms, TIME_MIN_MS, TIME_MAX_MS },
		{ "fast_interval_ms", c->fast_interval_ms, TIME_MIN_MS, c->interval_ms },
		{ "timeout_ms", c->timeout_ms, TIME_MIN_MS, TIME_MAX_MS },
		{ "rise", c->rise, 1, RUN_MAX },
		{ "fall", c->fall, 1, RUN_MAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].value < rows[i].min || rows[i].value > rows[i].max)
			return check_refuse(ret_why, "%s: %u is outside %u..%u", rows[i].field, rows[i].value,
					    rows[i].min, rows[i].max);
	return 0;
}

int check_cfg_verify(const struct check_cfg *c, char *ret_why)
{
	const struct check_kind *kind = find_kind(c->kind);
	struct sockaddr_storage ss;
	const char *why = NULL;

	if (!c->name || !*c->name || strlen(c->name) >= NAME_LEN)
		return check_refuse(ret_why, "name: 1 to %d characters", NAME_LEN - 1);
	if (!kind)
		return check_refuse(ret_why, "kind: \"%s\" is not one of tcp, http", c->kind ? c->kind : "");
	if (!c->target)
		return check_refuse(ret_why, "target: missing, expected ADDRESS:PORT");
	if (endpoint_parse(c->target, &ss, &why) < 0)
		return check_refuse(ret_why, "target: \"%s\": %s", c->target, why);
	int err = verify_ranges(c, ret_why);
	return err ? err : kind->verify(c, ret_why);
}

enum check_status check_step(enum check_status now, int *run, bool ok, uint32_t rise, uint32_t fall)
{
	if (ok)
		*run = *run < 0 ? 1 : *run < RUN_MAX ? *run + 1 : RUN_MAX;
	else
		*run = *run > 0 ? -1 : *run > -RUN_MAX ? *run - 1 : -RUN_MAX;
	if (*run >= (int)rise)
		return CHECK_UP;
	return *run <= -(int)fall ? CHECK_DOWN : now;
}

uint32_t check_jitter(uint32_t ms, uint32_t rnd)
{
	uint32_t span = ms / 5;

	return ms - ms / 10 + (span ? rnd % (span + 1) : 0);
}

/* Marsaglia's xorshift32: only to keep a fleet's probes out of step */
static uint32_t next_random(struct check *c)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 17;
	c->random ^= c->random << 5;
	return c->random;
}

static bool agrees(const struct check *c)
{
	return (c->status == CHECK_UP && c->run > 0) || (c->status == CHECK_DOWN && c->run < 0);
}

static void on_timer(uv_timer_t *timer);

static void wait_for_next(struct check *c)
{
	uint32_t base = agrees(c) ? c->cfg->interval_ms : c->cfg->fast_interval_ms;
	uint64_t wait = check_jitter(base, next_random(c));
	uint64_t spent = uv_now(c->loop) - c->started_ms;

	/* the 1 ms keeps a check that outlasts its interval from starving the loop */
	uv_timer_start(&c->timer, on_timer, spent < wait ? wait - spent : 1, 0);
}

void check_done(struct check *c, bool ok, const char *reason)
{
	enum check_status before = c->status;

	c->probing = false;
	c->probe = NULL;
	c->status = check_step(c->status, &c->run, ok, c->cfg->rise, c->cfg->fall);
	/* the reason explains the status, so one stray result does not replace it */
	if (c->status == CHECK_UNKNOWN || agrees(c))
		snprintf(c->reason, sizeof(c->reason), "%s", reason);
	uv_update_time(c->loop);
	wait_for_next(c);
	/* last: the callback may free the check */
	if (c->status != before)
		c->fn(c, c->status, c->reason, c->arg);
}

void check_phase(struct check *c, const char *phase)
{
	c->phase = phase;
}

static void timed_out(struct check *c)
{
	char reason[TEXT_LEN];

	c->kind->cancel(c->probe);
	snprintf(reason, sizeof(reason), "%s: no answer within %u ms", c->phase, c->cfg->timeout_ms);
	check_done(c, false, reason);
}

static void on_timer(uv_timer_t *timer)
{
	struct check *c = timer->data;

	if (c->probing) {
		timed_out(c);
		return;
	}
	c->probing = true;
	c->started_ms = uv_now(c->loop);
	uv_timer_start(&c->timer, on_timer, c->cfg->timeout_ms, 0);
	void *probe = c->kind->start(c, c->loop, c->cfg);
	if (c->probing)
		c->probe = probe;
}

struct check *check_new(uv_loop_t *loop, const struct check_cfg *cfg, check_changed_fn fn, void *arg)
{
	struct check *c = xcalloc(1, sizeof(*c));

	c->cfg = cfg;
	c->kind = find_kind(cfg->kind);
	if (!c->kind)
		abort(); /* check_cfg_verify refuses it */
	c->loop = loop;
	c->fn = fn;
	c->arg = arg;
	c->random = (uint32_t)(uv_hrtime() ^ (uintptr_t)c) | 1;
	snprintf(c->reason, sizeof(c->reason), "no result yet");
	uv_timer_init(loop, &c->timer);
	c->timer.data = c;
	uv_timer_start(&c->timer, on_timer, 0, 0);
	return c;
}

enum check_status check_status(const struct check *c)
{
	return c->status;
}

const char *check_reason(const struct check *c)
{
	return c->reason;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void check_free(struct check *c)
{
	if (!c || c->closing)
		return;
	c->closing = true;
	if (c->probing)
		c->kind->cancel(c->probe);
	uv_close((uv_handle_t *)&c->timer, on_closed);
}
