/* SPDX-License-Identifier: Apache-2.0
 * Owns the schedule of one check, its rise/fall state and its timeout; what is asked belongs to the kinds.
 * States: WAITING -> PROBING (timer) -> WAITING (check_done, or the timeout) ; any -> CLOSING (check_free).
 * Timers: one. While WAITING it starts the next attempt, while PROBING it is the timeout. The interval runs
 * from the start of one attempt to the start of the next, so a slow answer does not slow down detection.
 * Thread: the loop's. The process must ignore SIGPIPE (daemon.c does): libuv writes without MSG_NOSIGNAL. */
#include "agent/check/check_kind.h"

#include <regex.h>
#include <stdarg.h>
#include <string.h>

#include "agent/check/field.h"
#include "proto/base/err.h"

#define TIME_MIN_MS 10
#define TIME_MAX_MS 3600000
#define RUN_MAX	    100 /* of rise and fall */
#define JITTER_MAX  50

static const struct check_kind *const kinds[] = {
	&check_kind_listen, &check_kind_process, &check_kind_tcp,     &check_kind_http, &check_kind_https,
	&check_kind_dns,    &check_kind_udp,	 &check_kind_address, &check_kind_exec, &check_kind_systemd,
};

struct check {
	struct check_cfg cfg; /* a copy */
	const struct check_kind *kind;
	uv_loop_t *loop;
	uv_timer_t timer;
	check_changed_fn fn;
	void *arg;
	void *probe, *watch;
	const char *phase;
	uint64_t started_ms;	       /* of the last attempt */
	uint64_t result_ms, failed_ms; /* of the last result, the last bad one (0: none) */
	uint32_t random, weight;
	int run;
	enum check_status status;
	bool probing, closing, reweighed, closely;
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
		{ "jitter_pct", c->jitter_pct, 0, JITTER_MAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].value < rows[i].min || rows[i].value > rows[i].max)
			return check_refuse(ret_why, "%s: %u is outside %u..%u", rows[i].field, rows[i].value,
					    rows[i].min, rows[i].max);
	return 0;
}

static int refuse_kind(const char *kind, char *ret_why)
{
	auto_buf names = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		buf_addf(&names, "%s%s", i ? ", " : "", kinds[i]->name);
	return check_refuse(ret_why, "kind: \"%.60s\" is not one of %s", kind, names.data);
}

int check_verify_regex(const char *field, const char *regex, char *ret_why)
{
	char text[128];
	regex_t re;

	if (!regex)
		return 0;
	int err = regcomp(&re, regex, REG_EXTENDED | REG_NOSUB);
	if (!err) {
		regfree(&re);
		return 0;
	}
	regerror(err, NULL, text, sizeof(text));
	return check_refuse(ret_why, "%s: %s", field, text);
}

bool check_regex_matches(const char *regex, const char *text)
{
	regex_t re;

	if (!regex)
		return true;
	if (regcomp(&re, regex, REG_EXTENDED | REG_NOSUB))
		return false;
	bool matches = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return matches;
}

int check_cfg_verify(const struct check_cfg *c, char *ret_why)
{
	const struct check_kind *kind = find_kind(c->kind);
	struct sockaddr_storage ss;
	const char *why = NULL;

	if (!c->name || !*c->name || strlen(c->name) >= NAME_LEN)
		return check_refuse(ret_why, "name: 1 to %d characters", NAME_LEN - 1);
	if (!kind)
		return refuse_kind(c->kind ? c->kind : "", ret_why);
	const char *field = field_missing(c, kind->takes);
	if (field)
		return check_refuse(ret_why, "%s: missing%s", field,
				    strcmp(field, "target") ? "" : ", expected ADDRESS:PORT");
	field = field_misplaced(c, kind->takes);
	if (field)
		return check_refuse(ret_why, "%s: a %s check has no such field", field, kind->name);
	if (c->target && endpoint_parse(c->target, &ss, &why) < 0)
		return check_refuse(ret_why, "target: \"%s\": %s", c->target, why);
	int err = verify_ranges(c, ret_why);
	return err || !kind->verify ? err : kind->verify(c, ret_why);
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

uint32_t check_jitter(uint32_t ms, uint32_t pct, uint32_t rnd)
{
	uint32_t most = (uint32_t)((uint64_t)ms * pct / 100);

	return ms - most + rnd % (2 * most + 1);
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
	uint32_t base = agrees(c) && !c->closely ? c->cfg.interval_ms : c->cfg.fast_interval_ms;
	uint64_t wait = check_jitter(base, c->cfg.jitter_pct, next_random(c));
	uint64_t spent = uv_now(c->loop) - c->started_ms;

	/* the 1 ms keeps a check that outlasts its interval from starving the loop */
	uv_timer_start(&c->timer, on_timer, spent < wait ? wait - spent : 1, 0);
}

void check_done(struct check *c, bool ok, const char *reason)
{
	enum check_status before = c->status;

	c->probing = false;
	c->probe = NULL;
	uv_update_time(c->loop);
	c->result_ms = uv_now(c->loop) + 1; /* never 0 */
	if (!ok)
		c->failed_ms = c->result_ms;
	c->status = check_step(c->status, &c->run, ok, c->cfg.rise, c->cfg.fall);
	/* the reason explains the status, so one stray result does not replace it */
	if (c->status == CHECK_UNKNOWN || agrees(c))
		snprintf(c->reason, sizeof(c->reason), "%s", reason);
	wait_for_next(c);
	/* last: the callback may free the check */
	bool tell = c->status != before || c->reweighed;
	c->reweighed = false;
	if (tell)
		c->fn(c, c->status, c->reason, c->arg);
}

void check_skip(struct check *c)
{
	c->probing = false;
	c->probe = NULL;
	uv_update_time(c->loop);
	wait_for_next(c);
}

static void stop_attempt(struct check *c)
{
	if (c->probing && c->probe)
		c->kind->cancel(c->probe);
	c->probing = false;
	c->probe = NULL;
}

void check_dead(struct check *c, const char *reason)
{
	stop_attempt(c);
	c->run = -RUN_MAX;
	check_done(c, false, reason);
}

void check_hurry(struct check *c)
{
	if (!c->probing)
		uv_timer_start(&c->timer, on_timer, 0, 0);
}

void check_set_weight(struct check *c, uint32_t weight)
{
	if (c->weight == weight)
		return;
	c->weight = weight;
	c->reweighed = true; /* told with the result that comes next */
}

void *check_watch(const struct check *c)
{
	return c->watch;
}

void check_phase(struct check *c, const char *phase)
{
	c->phase = phase;
}

static void timed_out(struct check *c)
{
	char reason[TEXT_LEN];

	stop_attempt(c);
	snprintf(reason, sizeof(reason), "%s: no answer within %u ms", c->phase, c->cfg.timeout_ms);
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
	c->phase = "check";
	c->started_ms = uv_now(c->loop);
	uv_timer_start(&c->timer, on_timer, c->cfg.timeout_ms, 0);
	void *probe = c->kind->start(c, c->loop, &c->cfg);
	if (c->probing)
		c->probe = probe;
}

struct check *check_new(uv_loop_t *loop, const struct check_cfg *cfg, check_changed_fn fn, void *arg)
{
	struct check *c = xcalloc(1, sizeof(*c));

	field_copy(cfg, &c->cfg);
	c->kind = find_kind(cfg->kind);
	if (!c->kind)
		abort(); /* check_cfg_verify refuses it */
	c->loop = loop;
	c->fn = fn;
	c->arg = arg;
	c->weight = 100;
	c->random = (uint32_t)(uv_hrtime() ^ (uintptr_t)c) | 1;
	snprintf(c->reason, sizeof(c->reason), "no result yet");
	uv_timer_init(loop, &c->timer);
	c->timer.data = c;
	uv_timer_start(&c->timer, on_timer, 0, 0);
	if (c->kind->open)
		c->watch = c->kind->open(c, loop, &c->cfg);
	return c;
}

const struct check_cfg *check_cfg(const struct check *c)
{
	return &c->cfg;
}

uint32_t check_weight(const struct check *c)
{
	return c->weight;
}

static int64_t age_ms(const struct check *c, uint64_t at_ms)
{
	return at_ms ? (int64_t)(uv_now(c->loop) + 1 - at_ms) : -1;
}

int64_t check_age_ms(const struct check *c)
{
	return age_ms(c, c->result_ms);
}

int64_t check_failed_age_ms(const struct check *c)
{
	return age_ms(c, c->failed_ms);
}

void check_closely(struct check *c, bool on)
{
	c->closely = on;
	/* the wait that runs may be a long one; once, so that asking again does not starve it */
	if (on && !c->probing && uv_timer_get_due_in(&c->timer) > c->cfg.fast_interval_ms)
		uv_timer_start(&c->timer, on_timer, c->cfg.fast_interval_ms, 0);
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
	struct check *c = h->data;

	field_free(&c->cfg);
	free(c);
}

void check_free(struct check *c)
{
	if (!c || c->closing)
		return;
	c->closing = true;
	stop_attempt(c);
	if (c->watch)
		c->kind->close(c->watch);
	uv_close((uv_handle_t *)&c->timer, on_closed);
}
