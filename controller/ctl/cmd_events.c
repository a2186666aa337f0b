/* SPDX-License-Identifier: Apache-2.0
 * Events that are stored, and with -f those to come. Following: CONNECTED -> (ended, silent, refused by a
 * restart) -> WAITING, 0.5 s doubling to 10 s -> CONNECTED with Last-Event-ID, so that none is missed or
 * shown twice. An answer that refuses us (4xx) ends it. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "controller/ctl/ctl.h"
#include "controller/ctl/sse.h"
#include "controller/ctl/text.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"

#define WAIT_MIN_MS 500
#define WAIT_MAX_MS 10000
#define PAGE	    1000
#define NEWEST	    100
#define TAIL	    10 /* shown before following */

struct follow {
	struct ctl *ctl;
	struct sse sse;
	bool heard; /* something came on this connection */
	int err;    /* why on_bytes stopped */
};

static enum tint severity_tint(const char *severity)
{
	if (!strcmp(severity, "alert"))
		return TINT_BAD;
	return strcmp(severity, "warning") ? TINT_NONE : TINT_WARN;
}

static const char *str(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	return s ? s : "";
}

static void print_event(const struct ctl *ctl, const json_t *ev)
{
	const struct out *o = &ctl->out;

	if (o->format == OUT_JSON) {
		/* one object a line: what a program reading a stream wants */
		json_dumpf(ev, o->f, JSON_COMPACT | JSON_ENSURE_ASCII | OUT_REALS);
		fputc('\n', o->f);
		return;
	}
	out_text(o, TINT_DIM, "%8" JSON_INTEGER_FORMAT "  %s", json_integer_value(json_object_get(ev, "id")),
		 str(ev, "time"));
	out_text(o, severity_tint(str(ev, "severity")), "  %-7s  %-12s", str(ev, "severity"),
		 str(ev, "kind"));
	out_text(o, TINT_NONE, "  %s", str(ev, "text"));
	fputc('\n', o->f);
}

/* -- what is stored ----------------------------------------------------------------------------------- */

/* "&kind=K" escaped, or "". Heap. */
static char *kind_query(const char *kind)
{
	return kind ? ctl_path("&kind=", kind, "") : xstrdup("");
}

struct page {
	json_int_t next, last; /* the last event looked at, and the last there is */
};

static int print_page(struct ctl *ctl, const char *path, struct page *ret)
{
	auto_reply r = { 0 };
	json_t *ev;
	size_t i;
	int rc = ctl_call(ctl, "GET", path, NULL, &r);

	if (rc)
		return rc;
	json_array_foreach(json_object_get(r.json, "events"), i, ev)
		print_event(ctl, ev);
	ret->next = json_integer_value(json_object_get(r.json, "next"));
	ret->last = json_integer_value(json_object_get(r.json, "last"));
	return CTL_OK;
}

/* The newest limit events; *ret_page says where they end. */
static int newest(struct ctl *ctl, int limit, const char *kind, struct page *ret_page)
{
	auto_free char *query = kind_query(kind);
	auto_free char *path = xasprintf("/v1/events?limit=%d%s", limit, query);

	return print_page(ctl, path, ret_page);
}

static int list_since(struct ctl *ctl, uint64_t since, const char *kind)
{
	auto_free char *query = kind_query(kind);
	struct page p = { (json_int_t)since, 0 };
	json_int_t from;
	int rc;

	do {
		auto_free char *path =
			xasprintf("/v1/events?after=%lld&limit=%d%s", (long long)p.next, PAGE, query);
		from = p.next;
		rc = print_page(ctl, path, &p);
	} while (!rc && p.next > from && p.next < p.last);
	return rc;
}

/* -- what comes --------------------------------------------------------------------------------------- */

static void on_event(const char *id, const char *event, const char *data, void *arg)
{
	struct follow *f = arg;
	json_auto_t *ev = json_loads(data, 0, NULL);

	(void)id;
	if (!strcmp(event, "gap"))
		ctl_fail("events %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT
			 " are too old: no longer stored",
			 json_integer_value(json_object_get(ev, "from")),
			 json_integer_value(json_object_get(ev, "to")));
	else if (json_is_object(ev))
		print_event(f->ctl, ev);
	fflush(f->ctl->out.f);
}

static int on_bytes(const char *data, size_t len, void *arg)
{
	struct follow *f = arg;

	f->heard = true;
	f->err = sse_feed(&f->sse, data, len, on_event, f);
	if (!f->err && ferror(f->ctl->out.f))
		f->err = -EPIPE;
	return f->err;
}

/* How long to wait before the next attempt: what the server asked for, or doubling while nothing is heard; up
 * to a fifth more, so that not everybody comes back at once. */
static long next_wait_ms(const struct follow *f, long last_ms)
{
	long ms = f->heard ? WAIT_MIN_MS : last_ms * 2;
	uint32_t r = 0;

	if (f->heard && f->sse.retry_ms > ms)
		ms = f->sse.retry_ms;
	if (ms > WAIT_MAX_MS)
		ms = WAIT_MAX_MS;
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) < 0)
		r = 0;
	return ms + (long)(r % (unsigned long)(ms / 5));
}

static void wait_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* One connection until it ends. -1: try again; else the exit status, said why. */
static int follow_once(struct follow *f, const char *path)
{
	struct ctl *ctl = f->ctl;
	auto_reply r = { 0 };

	sse_reset(&f->sse);
	f->heard = false;
	int err = client_stream(ctl->client, path, f->sse.id, on_bytes, f, &r);
	if (f->err)
		return f->err == ERR_LIMIT ? ctl_fail("an event is larger than we take") : CTL_FAILED;
	if (err == ERR_CERT)
		return ctl_fail("%s", client_why(ctl->client));
	if (!err && r.status < 500)
		return ctl_problem(ctl, &r);
	return -1;
}

/* Never CTL_OK: following ends by a signal or a refusal. */
static int follow(struct ctl *ctl, const char *path, uint64_t since)
{
	struct follow f = { .ctl = ctl };
	long wait = WAIT_MIN_MS;
	int rc;

	if (!ctl_client(ctl))
		return CTL_FAILED;
	snprintf(f.sse.id, sizeof(f.sse.id), "%llu", (unsigned long long)since);
	fflush(ctl->out.f);
	while ((rc = follow_once(&f, path)) < 0) {
		const char *why = client_why(ctl->client);
		wait = next_wait_ms(&f, wait);
		ctl_fail("%s; trying again in %.1f s", *why ? why : "the controller is not ready",
			 (double)wait / 1000);
		wait_ms(wait);
	}
	sse_done(&f.sse);
	return rc;
}

static int events_run(struct ctl *ctl, int argc, char **argv)
{
	const char *kind = NULL;
	uint64_t since = UINT64_MAX;
	bool follows = false;
	const struct opt opts[] = {
		{ 'f', "follow", NULL, "wait for more, until interrupted", OPT_FLAG, &follows },
		{ 0, "since", "ID", "only those after this one", OPT_UINT, &since },
		{ 0, "kind", "KIND", "only this kind, such as decision, drain, mode, guard.hold", OPT_STR,
		  &kind },
	};
	struct page tail = { 0, 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 0, 0);

	if (i < 0)
		return ctl->rc;
	if (!follows && since != UINT64_MAX)
		return list_since(ctl, since, kind);
	if (since == UINT64_MAX) {
		int rc = newest(ctl, follows ? TAIL : NEWEST, kind, &tail);
		if (rc || !follows)
			return rc;
		since = (uint64_t)tail.last;
	}
	auto_free char *path = kind ? ctl_path("/v1/events?kind=", kind, "") : xstrdup("/v1/events");
	return follow(ctl, path, since);
}

const struct cmd cmd_events = {
	.name = "events",
	.args = "[-f] [--since ID] [--kind KIND]",
	.brief = "What happened, and with -f what happens",
	.help = "One line each: id, time (UTC), severity, kind, text. With -o json one object a line. "
		"Following survives\n"
		"a restart of the controller and misses nothing.",
	.run = events_run,
};
