/* SPDX-License-Identifier: Apache-2.0
 * Looks at addresses from outside: no controller is asked. Three faces: a live line on a terminal, JSON lines
 * and a metrics file for machines that watch for good, and a summary at the end. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "controller/ctl/ctl.h"
#include "controller/ctl/file.h"
#include "controller/ctl/probe.h"
#include "controller/ctl/probe_view.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define TURN_MS	    100
#define RATE_MAX    1000
#define METRICS_MS  5000
#define DRILL_MS    2000
#define EVENTS_KEPT 256

enum face { FACE_PLAIN, FACE_LIVE, FACE_LINES };

struct run {
	struct ctl *ctl;
	struct probe_cfg cfg;
	struct probe_stats stats[PROBE_TARGETS], second[PROBE_TARGETS]; /* second: as of the last line */
	size_t event_target;
	enum face face;
	unsigned drawn; /* live lines on the screen */
	const char *metrics;
	const char *drill; /* it ends with this drill, whose report gets what was seen */
	json_t *events;	   /* the newest, for -o json */
	bool metrics_failed;
};

static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
	(void)sig;
	ended = 1;
}

/* -- showing ------------------------------------------------------------------------------------------ */

/* RFC 3339 with milliseconds, of a monotonic instant. */
static void wall_text(int64_t at_us, char *buf, size_t size)
{
	int64_t wall = wall_now_ms() - (mono_now().us - at_us) / 1000;
	time_t s = (time_t)(wall / 1000);
	struct tm tm;
	size_t n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));

	snprintf(buf + n, size - n, ".%03dZ", (int)(wall % 1000));
}

static void erase(struct run *r)
{
	for (; r->drawn; r->drawn--)
		fputs("\033[A\033[2K", r->ctl->out.f);
	fputc('\r', r->ctl->out.f);
}

static void draw(struct run *r)
{
	struct winsize w = { 0 };
	int rows = ioctl(fileno(r->ctl->out.f), TIOCGWINSZ, &w) || !w.ws_row ? 24 : w.ws_row;

	erase(r);
	for (size_t t = 0; t < r->cfg.n_targets && (int)t + 1 < rows; t++) {
		fputs("\033[?7l", r->ctl->out.f); /* a long line is cut, not wrapped */
		probe_line(&r->ctl->out, r->cfg.targets[t], &r->stats[t]);
		fputs("\033[?7h\n", r->ctl->out.f);
		r->drawn++;
	}
	fflush(r->ctl->out.f);
}

static json_t *stamped(struct run *r, size_t t, int64_t at_us, json_t *j)
{
	char when[40];

	wall_text(at_us, when, sizeof(when));
	json_object_set_new(j, "time", json_string(when));
	json_object_set_new(j, "target", json_string(r->cfg.targets[t]));
	return j;
}

static void json_line(struct run *r, json_t *j)
{
	json_dumpf(j, r->ctl->out.f, JSON_COMPACT | JSON_ENSURE_ASCII | OUT_REALS);
	fputc('\n', r->ctl->out.f);
	fflush(r->ctl->out.f);
}

static void on_event(const struct probe_event *e, void *arg)
{
	struct run *r = arg;
	json_auto_t *j = stamped(r, r->event_target, e->at_us, probe_event_json(e));
	char text[256];

	if (r->face == FACE_LINES) {
		json_line(r, j);
		return;
	}
	if (json_array_size(r->events) == EVENTS_KEPT)
		json_array_remove(r->events, 0);
	json_array_append(r->events, j);
	if (r->ctl->out.format == OUT_JSON)
		return;
	if (r->face == FACE_LIVE)
		erase(r);
	probe_event_text(e, text, sizeof(text));
	out_text(&r->ctl->out, TINT_DIM, "%s  ", json_string_value(json_object_get(j, "time")) + 11);
	out_text(&r->ctl->out, e->kind == PROBE_OUTAGE_START ? TINT_BAD : TINT_WARN, "%s  %s",
		 r->cfg.targets[r->event_target], text);
	fputc('\n', r->ctl->out.f);
	fflush(r->ctl->out.f);
}

static void on_result(size_t t, const struct probe_result *res, void *arg)
{
	struct run *r = arg;

	r->event_target = t;
	probe_stats_feed(&r->stats[t], res, on_event, r);
}

/* What the last second brought, one line for each target. */
static void second_lines(struct run *r)
{
	for (size_t t = 0; t < r->cfg.n_targets; t++) {
		const struct probe_stats *s = &r->stats[t], *was = &r->second[t];
		json_auto_t *j = stamped(r, t, mono_now().us,
					 json_pack("{s:s, s:I, s:I, s:s}", "event", "second", "sent",
						   (json_int_t)(s->sent - was->sent), "lost",
						   (json_int_t)(s->lost - was->lost), "node",
						   s->run ? "" : probe_current(s)));
		json_line(r, j);
		r->second[t] = *s;
	}
}

/* Whole at any instant, for node_exporter's textfile collector. */
static void write_metrics(struct run *r)
{
	auto_buf text = { 0 };
	auto_free char *tmp = xasprintf("%s.new", r->metrics);
	auto_fclose FILE *f = fopen(tmp, "we");

	probe_metrics(r->cfg.targets, r->stats, r->cfg.n_targets, &text);
	bool bad =
		!f || fwrite(text.data, 1, text.len, f) != text.len || fflush(f) || rename(tmp, r->metrics);
	if (bad && !r->metrics_failed)
		ctl_fail("cannot write %s: %s", r->metrics, strerror(errno));
	r->metrics_failed = bad;
}

static int summary(struct run *r)
{
	json_auto_t *list = json_array();
	bool lost = false;

	if (r->face == FACE_LIVE)
		erase(r);
	for (size_t t = 0; t < r->cfg.n_targets; t++) {
		lost |= r->stats[t].lost || !r->stats[t].sent;
		json_array_append_new(list, probe_json(r->cfg.targets[t], &r->stats[t]));
		if (r->face != FACE_LINES && r->ctl->out.format == OUT_TABLE)
			probe_summary(&r->ctl->out, r->cfg.targets[t], &r->stats[t]);
	}
	if (r->face != FACE_LINES && r->ctl->out.format == OUT_JSON) {
		json_auto_t *all = json_pack("{s:O, s:O}", "targets", list, "events", r->events);
		out_json(&r->ctl->out, all);
	}
	return lost ? CTL_FAILED : CTL_OK;
}

/* -- a drill ------------------------------------------------------------------------------------------ */

/* An answer that does not come is no end: a drill may kill controllers. */
static bool drill_is_over(struct run *r)
{
	auto_free char *path = ctl_path("/v1/drills/", r->drill, "");
	struct client *c = ctl_client(r->ctl);
	auto_reply reply = { 0 };

	if (!c)
		return true;
	if (client_call(c, "GET", path, NULL, NULL, &reply))
		return false;
	const char *state = json_string_value(json_object_get(reply.json, "state"));
	return reply.status == 404 || (state && !strcmp(state, "closed"));
}

/* From where the controller cannot be reached it would never end, nor tell anybody what it saw. */
static int find_drill(struct run *r)
{
	auto_free char *path = ctl_path("/v1/drills/", r->drill, "");
	auto_reply reply = { 0 };

	return ctl_call(r->ctl, "GET", path, NULL, &reply);
}

static int tell_drill(struct run *r)
{
	auto_free char *path = ctl_path("/v1/drills/", r->drill, "/probe");
	json_int_t sent = 0, lost = 0, gap_ms = 0;
	char host[65] = "a client";
	auto_reply reply = { 0 };

	gethostname(host, sizeof(host) - 1);
	for (size_t t = 0; t < r->cfg.n_targets; t++) {
		const struct probe_stats *s = &r->stats[t];
		sent += (json_int_t)s->sent;
		lost += (json_int_t)s->lost;
		gap_ms = s->longest_us / 1000 > gap_ms ? s->longest_us / 1000 : gap_ms;
	}
	json_auto_t *body = json_pack("{s:s, s:I, s:I, s:I}", "from", host, "sent", sent, "lost", lost,
				      "longest_gap_ms", gap_ms);
	return ctl_call(r->ctl, "POST", path, body, &reply);
}

/* -- running ------------------------------------------------------------------------------------------ */

static int run(struct run *r, int64_t seconds)
{
	if (r->drill && find_drill(r))
		return CTL_FAILED;
	struct probe *p = probe_new(&r->cfg, on_result, r);
	mono_t start = mono_now(), lines = start, metrics = { 0 }, looked = start;
	bool good = true, over = false;

	while (good && !ended && !over && !probe_done(p) &&
	       (!seconds || mono_diff_ms(start, mono_now()) < seconds * 1000)) {
		good = probe_run(p, TURN_MS, false);
		if (r->face == FACE_LIVE)
			draw(r);
		if (r->face == FACE_LINES && mono_diff_ms(lines, mono_now()) >= 1000) {
			second_lines(r);
			lines = mono_now();
		}
		if (r->drill && mono_diff_ms(looked, mono_now()) >= DRILL_MS) {
			over = drill_is_over(r);
			looked = mono_now();
		}
		if (r->metrics &&
		    (!mono_is_set(metrics) || mono_diff_ms(metrics, mono_now()) >= METRICS_MS)) {
			write_metrics(r);
			metrics = mono_now();
		}
	}
	probe_run(p, (int)r->cfg.timeout_ms + 100, true);
	probe_free(p);
	if (r->metrics)
		write_metrics(r);
	if (good && r->drill && tell_drill(r))
		return CTL_FAILED;
	return good ? summary(r) : ctl_fail("libcurl failed");
}

/* -- options ------------------------------------------------------------------------------------------ */

/* VIP, VIP:PORT or [VIP]:PORT; *ret_heap is what it stands for, with the port. */
static char *target_of(const char *arg, enum probe_kind kind)
{
	const char *colon = strrchr(arg, ':'), *first = strchr(arg, ':');
	int port = kind == PROBE_HTTPS ? 443 : 80;

	if (arg[0] == '[')
		return strstr(arg, "]:") ? xstrdup(arg) : xasprintf("%s:%d", arg, port);
	if (colon && colon != first) /* an IPv6 address without a port */
		return xasprintf("[%s]:%d", arg, port);
	return colon ? xstrdup(arg) : xasprintf("%s:%d", arg, port);
}

static bool target_ok(const char *t)
{
	return strspn(t, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-[]%") ==
		       strlen(t) &&
	       t[0] != ':' && t[0] != '-';
}

static int set_kind(struct ctl *ctl, struct run *r, const char *kind)
{
	static const char *const kinds[] = { "tcp", "http", "https" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(kind, kinds[i])) {
			r->cfg.kind = (enum probe_kind)i;
			return CTL_OK;
		}
	return ctl_usage(ctl, "--kind wants tcp, http or https, not '%s'", kind);
}

static enum face face_of(const struct ctl *ctl, bool lines)
{
	const char *term = getenv("TERM");
	bool tty = isatty(fileno(ctl->out.f)) && term && strcmp(term, "dumb");

	return lines ? FACE_LINES : tty && ctl->out.format == OUT_TABLE ? FACE_LIVE : FACE_PLAIN;
}

static int probe_targets(struct run *r, int64_t seconds, char **argv, int n)
{
	char *heap[PROBE_TARGETS] = { NULL };
	int rc = CTL_OK;

	for (int i = 0; i < n && !rc; i++) {
		heap[i] = target_of(argv[i], r->cfg.kind);
		if (!target_ok(heap[i]))
			rc = ctl_usage(r->ctl, "'%s' is no address such as 198.18.1.1:80 or [2001:db8::1]:80",
				       argv[i]);
		r->cfg.targets[r->cfg.n_targets++] = heap[i];
		probe_stats_init(&r->stats[i]);
		probe_stats_init(&r->second[i]);
	}
	if (!rc) {
		struct sigaction sa = { .sa_handler = on_signal };
		sigaction(SIGINT, &sa, NULL);
		sigaction(SIGTERM, &sa, NULL);
		rc = run(r, seconds);
	}
	for (int i = 0; i < n; i++)
		free(heap[i]);
	return rc;
}

static int check_options(struct ctl *ctl, const struct run *r, uint64_t rate, uint64_t timeout_ms)
{
	if (rate < 1 || rate > RATE_MAX)
		return ctl_usage(ctl, "--rate wants 1 to %d a second", RATE_MAX);
	if (timeout_ms < 1 || timeout_ms > 60000)
		return ctl_usage(ctl, "--timeout-ms wants 1 to 60000");
	if (r->cfg.path[0] != '/')
		return ctl_usage(ctl, "--path starts with /");
	return CTL_OK;
}

static int probe_cmd(struct ctl *ctl, int argc, char **argv)
{
	struct run *r = xcalloc(1, sizeof(*r)); /* the answers' ring is large */
	const char *kind = "http", *pattern = NULL;
	uint64_t rate = 10, timeout_ms = 1000;
	int64_t seconds = 0;
	bool lines = false;
	regex_t re;
	r->ctl = ctl;
	r->cfg.path = "/";
	r->cfg.id_header = "X-Served-By";
	const struct opt opts[] = {
		{ 'k', "kind", "KIND", "tcp, http or https (default http)", OPT_STR, &kind },
		{ 0, "path", "PATH", "what to ask for (default /)", OPT_STR, &r->cfg.path },
		{ 0, "host", "NAME", "name in Host and TLS (default the address)", OPT_STR, &r->cfg.host },
		{ 0, "vip-ca", "FILE", "CA of the VIP's certificate (default the system's)", OPT_STR,
		  &r->cfg.ca },
		{ 0, "no-verify", NULL, "believe any certificate of the VIP", OPT_FLAG, &r->cfg.no_verify },
		{ 0, "id-header", "NAME", "header that names who answers (default X-Served-By)", OPT_STR,
		  &r->cfg.id_header },
		{ 0, "id-body", "REGEX", "its first group in the body does", OPT_STR, &pattern },
		{ 'r', "rate", "N", "attempts a second (default 10)", OPT_UINT, &rate },
		{ 0, "timeout-ms", "N", "an answer later than this is lost (default 1000)", OPT_UINT,
		  &timeout_ms },
		{ 'n', "count", "N", "stop after so many", OPT_UINT, &r->cfg.count },
		{ 'd', "duration", "TIME", "stop after this: 30s, 5m", OPT_SECONDS, &seconds },
		{ 0, "lines", NULL, "JSON lines: events, and every second", OPT_FLAG, &lines },
		{ 0, "drill", "ID", "until this drill is over; its report gets what was seen", OPT_STR,
		  &r->drill },
		{ 0, "metrics", "FILE", "keep metrics for Prometheus in this file", OPT_STR, &r->metrics },
	};
	int i = ctl_opts_(ctl, opts, argc, argv, 1, PROBE_TARGETS), rc = i < 0 ? ctl->rc : CTL_OK;

	if (i >= 0 && !rc)
		rc = set_kind(ctl, r, kind);
	if (i >= 0 && !rc)
		rc = check_options(ctl, r, rate, timeout_ms);
	if (i >= 0 && !rc && pattern && regcomp(&re, pattern, REG_EXTENDED))
		rc = ctl_usage(ctl, "--id-body: '%s' is no regular expression", pattern);
	else if (i >= 0 && !rc && pattern)
		r->cfg.id_body = &re;
	if (i >= 0 && !rc) {
		r->cfg.rate = (unsigned)rate;
		r->cfg.timeout_ms = (int64_t)timeout_ms;
		r->face = face_of(ctl, lines);
		r->events = json_array();
		rc = probe_targets(r, seconds, argv + i, argc - i);
	}
	if (r->cfg.id_body)
		regfree(&re);
	json_decref(r->events);
	free(r);
	return rc;
}

const struct cmd cmd_probe = {
	.name = "probe",
	.args = "VIP[:PORT]... [--kind tcp|http|https] [--rate N] [--count N | --duration TIME]",
	.brief = "Ask addresses from outside: who answers, what is lost, how fast a switch is",
	.help = "Each attempt is a new connection, as a new client's. No controller is needed: run it where "
		"clients "
		"are.\n"
		"Until interrupted, or --count, or --duration, or the end of a drill (--drill, which needs a "
		"controller). An outage lasts from the last answer before "
		"it to the "
		"first\n"
		"after it; a switch is when who answered is not heard any more. For watching for good: "
		"--lines and\n"
		"--metrics. Exit status: 0 all was answered, 1 something was lost.",
	.run = probe_cmd,
};
