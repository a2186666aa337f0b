/* SPDX-License-Identifier: Apache-2.0
 * Rehearsing failure: plan, start, watch, hold, resume, abort, list, report, schedule; and readiness. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "controller/ctl/ctl.h"
#include "controller/ctl/drill_view.h"
#include "controller/ctl/file.h"
#include "controller/ctl/yaml.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define WATCH_MS	500
#define HICCUP_MS	2000
#define WATCH_SILENT_MS 120000 /* without an answer: a controller restarts, or another takes over */

/* -- asking for one ------------------------------------------------------------------------------------- */

struct wish {
	const char *site, *node, *service, *shard, *reason, *factor;
	int64_t hold_s, max_s;
	bool watch;
};

/* What is not said is not sent: the controller has the defaults. */
static void put(json_t *body, const char *key, const char *s)
{
	if (s)
		json_object_set_new(body, key, json_string(s));
}

static json_t *wish_body(struct ctl *ctl, const char *kind, const struct wish *w)
{
	json_t *body = json_pack("{s:s}", "kind", kind);
	char *end = NULL;

	put(body, "site", w->site);
	put(body, "node", w->node);
	put(body, "service", w->service);
	put(body, "shard", w->shard);
	put(body, "reason", w->reason);
	if (w->hold_s)
		json_object_set_new(body, "hold_s", json_integer(w->hold_s));
	if (w->max_s)
		json_object_set_new(body, "max_s", json_integer(w->max_s));
	double factor = w->factor ? strtod(w->factor, &end) : 0;
	if (w->factor && (end == w->factor || *end || !isfinite(factor))) { /* JSON has no nan */
		ctl_usage(ctl, "--factor wants a number such as 2.5, not '%s'", w->factor);
		json_decref(body);
		return NULL;
	}
	if (w->factor)
		json_object_set_new(body, "factor", json_real(factor));
	return body;
}

/* The index of KIND in argv, or -1. */
static int read_wish(struct ctl *ctl, int argc, char **argv, bool start, struct wish *w)
{
	const struct opt opts[] = {
		{ 0, "site", "SITE", "at this site", OPT_STR, &w->site },
		{ 0, "node", "NODE", "at this node", OPT_STR, &w->node },
		{ 0, "service", "SERVICE", "this service only", OPT_STR, &w->service },
		{ 0, "shard", "SHARD", "this shard only", OPT_STR, &w->shard },
		{ 'r', "reason", "TEXT", "why, for whoever looks next (required)", OPT_STR, &w->reason },
		{ 0, "hold", "TIME", "stay so long at 100 % (default: 1m)", OPT_SECONDS, &w->hold_s },
		{ 0, "max", "TIME", "restore after this in any case (default: 30m)", OPT_SECONDS, &w->max_s },
		{ 0, "factor", "N", "surge: the load is taken for N times itself (default: 2)", OPT_STR,
		  &w->factor },
		{ 'w', "watch", NULL, "stay and show how it goes", OPT_FLAG, &w->watch },
	};
	int i = ctl_opts(ctl, opts, ARRAY_LEN(opts) - !start, argc, argv, 1, 1);

	if (i >= 0 && (!w->reason || !*w->reason)) {
		ctl->rc = ctl_usage(ctl, "a drill needs --reason TEXT: somebody will ask");
		return -1;
	}
	return i;
}

static int plan_run(struct ctl *ctl, int argc, char **argv)
{
	struct wish w = { 0 };
	auto_reply r = { 0 };
	int i = read_wish(ctl, argc, argv, false, &w);

	if (i < 0)
		return ctl->rc;
	json_auto_t *body = wish_body(ctl, argv[i], &w);
	if (!body)
		return CTL_USAGE;
	int rc = ctl_call(ctl, "POST", "/v1/drills/plan", body, &r);
	if (rc)
		return rc;
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, r.json);
	else
		drill_plan_print(&ctl->out, r.json);
	bool allowed = json_is_true(json_object_get(r.json, "allowed"));
	return allowed ? CTL_OK : ctl_fail("this drill would be refused now");
}

/* -- watching ------------------------------------------------------------------------------------------- */

static void pause_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static unsigned columns(void)
{
	struct winsize ws;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 20 ? ws.ws_col - 1u : 200;
}

/* On a terminal one line that is drawn over; elsewhere a line per stage, or per simulated run. */
static void show(struct ctl *ctl, const json_t *drill, bool tty, char *last, size_t size)
{
	const char *waits = json_string_value(json_object_get(drill, "waits"));
	const char *state = waits ? waits : json_string_value(json_object_get(drill, "state"));
	const json_t *sim = json_object_get(drill, "simulated");
	auto_free char *key = sim ? xasprintf("%.0f", json_number_value(json_object_get(sim, "runs")))
				  : xstrdup(state ? state : "");
	auto_free char *line = drill_line(drill, tty ? columns() : 400);

	if (tty)
		fprintf(ctl->out.f, "\r\033[K%s", line);
	else if (strcmp(last, key) != 0)
		fprintf(ctl->out.f, "%s\n", line);
	snprintf(last, size, "%s", key);
	fflush(ctl->out.f);
}

static int ended(struct ctl *ctl, const json_t *drill, bool tty)
{
	const char *verdict = json_string_value(json_object_get(drill, "verdict"));

	if (tty)
		fputs("\r\033[K", ctl->out.f);
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, drill);
	else
		drill_end_print(&ctl->out, drill);
	return verdict && strcmp(verdict, "passed") == 0 ? CTL_OK : CTL_FAILED;
}

/* How long nobody has answered. */
struct silence {
	mono_t since; /* unset: somebody did */
	bool told;
};

/* On a terminal on the line that is drawn over; elsewhere once, beside what is printed, when it is no hiccup.
 */
static void show_silence(struct ctl *ctl, struct silence *s, const char *why)
{
	bool tty = ctl->out.format != OUT_JSON && isatty(STDOUT_FILENO);
	int64_t ms = mono_diff_ms(s->since, mono_now());
	auto_free char *line = drill_silent_line(ms, why, tty ? columns() : 400);

	if (!tty && ms < HICCUP_MS)
		return;
	if (tty)
		fprintf(ctl->out.f, "\r\033[K%s", line);
	else if (!s->told)
		fprintf(stderr, "%s\n", line);
	fflush(ctl->out.f);
	s->told = true;
}

static int give_up(struct ctl *ctl, const struct silence *s, const char *why)
{
	if (s->told && ctl->out.format != OUT_JSON && isatty(STDOUT_FILENO))
		fputc('\n', ctl->out.f);
	fflush(ctl->out.f);
	return ctl_fail("%s; the drill goes on without being watched", why);
}

/* Asks until there is an answer: the drill does not depend on us, nor quite on the controller. CTL_OK, or has
 * said why not. */
static int ask(struct ctl *ctl, const char *path, struct reply *ret_reply)
{
	struct client *c = ctl_client(ctl);
	struct silence s = { 0 };

	for (; c; pause_ms(WATCH_MS)) {
		char why[64] = "";
		int err = client_call(c, "GET", path, NULL, NULL, ret_reply);
		if (!err && ret_reply->status < 500)
			return CTL_OK;
		snprintf(why, sizeof(why), "status %ld", ret_reply->status);
		reply_done(ret_reply);
		if (!mono_is_set(s.since))
			s.since = mono_now();
		if (err == ERR_CERT) /* waiting would not help */
			return ctl_fail("%s", client_why(c));
		if (mono_diff_ms(s.since, mono_now()) >= WATCH_SILENT_MS)
			return give_up(ctl, &s, err ? client_why(c) : why);
		show_silence(ctl, &s, err ? client_why(c) : why);
	}
	return CTL_FAILED;
}

static int watch(struct ctl *ctl, const char *id)
{
	auto_free char *path = ctl_path("/v1/drills/", id, "");
	bool json = ctl->out.format == OUT_JSON, tty = !json && isatty(STDOUT_FILENO);
	char last[256] = "";

	for (;; pause_ms(WATCH_MS)) {
		auto_reply r = { 0 };
		if (ask(ctl, path, &r))
			return CTL_FAILED;
		if (r.status != 200)
			return ctl_problem(ctl, &r);
		if (json_is_string(json_object_get(r.json, "verdict")))
			return ended(ctl, r.json, tty);
		if (!json)
			show(ctl, r.json, tty, last, sizeof(last));
	}
}

static int start_run(struct ctl *ctl, int argc, char **argv)
{
	struct wish w = { 0 };
	auto_reply r = { 0 };
	int i = read_wish(ctl, argc, argv, true, &w);

	if (i < 0)
		return ctl->rc;
	json_auto_t *body = wish_body(ctl, argv[i], &w);
	if (!body)
		return CTL_USAGE;
	int rc = ctl_call(ctl, "POST", "/v1/drills", body, &r);
	if (rc)
		return rc;
	const char *id = json_string_value(json_object_get(r.json, "id"));
	/* a tabletop touches nothing and takes seconds: its outcome is all there is to wait for */
	bool simulated = strcmp(argv[i], "tabletop") == 0 && ctl->out.format != OUT_JSON;
	if ((w.watch || simulated) && id)
		return watch(ctl, id);
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, r.json);
	else
		fprintf(ctl->out.f, "drill %s has begun: sluicectl drill watch %s\n", id, id);
	return CTL_OK;
}

/* The drill under way, or the newest; NULL after having said that there is none. Heap. */
static char *newest_of(const struct reply *r)
{
	json_t *first = json_array_get(json_object_get(r->json, "drills"), 0);
	const char *id = json_string_value(json_object_get(first, "id"));
	if (!id)
		ctl_fail("there has been no drill yet: sluicectl drill plan --help");
	return id ? xstrdup(id) : NULL;
}

static char *newest(struct ctl *ctl)
{
	auto_reply r = { 0 };

	return ctl_call(ctl, "GET", "/v1/drills", NULL, &r) ? NULL : newest_of(&r);
}

/* The same, waiting for an answer. */
static char *newest_by_and_by(struct ctl *ctl)
{
	auto_reply r = { 0 };

	if (ask(ctl, "/v1/drills", &r))
		return NULL;
	if (r.status == 200)
		return newest_of(&r);
	ctl_problem(ctl, &r);
	return NULL;
}

static int watch_run(struct ctl *ctl, int argc, char **argv)
{
	int i = ctl_opts(ctl, NULL, 0, argc, argv, 0, 1);

	if (i < 0)
		return ctl->rc;
	auto_free char *id = i < argc ? xstrdup(argv[i]) : newest_by_and_by(ctl);
	return id ? watch(ctl, id) : CTL_FAILED;
}

/* -- telling it ----------------------------------------------------------------------------------------- */

static int tell(struct ctl *ctl, int argc, char **argv, const char *what, const char *done)
{
	const char *reason = "";
	const struct opt opts[] = { { 'r', "reason", "TEXT", "why, for the record", OPT_STR, &reason } };
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 0, 1);

	if (i < 0)
		return ctl->rc;
	auto_free char *id = i < argc ? xstrdup(argv[i]) : newest(ctl);
	if (!id)
		return CTL_FAILED;
	auto_free char *path = ctl_path("/v1/drills/", id, what);
	json_auto_t *body = json_pack("{s:s}", "reason", reason);
	if (!body)
		return ctl_usage(ctl, "the reason is not UTF-8 text");
	int rc = ctl_call(ctl, "POST", path, body, &r);
	if (rc)
		return rc;
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, r.json);
	else
		drill_told_print(&ctl->out, r.json, done);
	return CTL_OK;
}

static int hold_run(struct ctl *ctl, int argc, char **argv)
{
	return tell(ctl, argc, argv, "/hold", "stays in its stage: sluicectl drill resume");
}

static int resume_run(struct ctl *ctl, int argc, char **argv)
{
	return tell(ctl, argc, argv, "/resume", "goes on");
}

static int abort_run(struct ctl *ctl, int argc, char **argv)
{
	return tell(ctl, argc, argv, "/abort", "is aborted: everything is being restored");
}

/* -- reading -------------------------------------------------------------------------------------------- */

static int show_path(struct ctl *ctl, int argc, char **argv, const char *path,
		     void (*print)(const struct out *o, const json_t *answer))
{
	auto_reply r = { 0 };

	if (ctl_opts(ctl, NULL, 0, argc, argv, 0, 0) < 0)
		return ctl->rc;
	int rc = ctl_call(ctl, "GET", path, NULL, &r);
	if (rc)
		return rc;
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, r.json);
	else
		print(&ctl->out, r.json);
	return CTL_OK;
}

static int list_run(struct ctl *ctl, int argc, char **argv)
{
	return show_path(ctl, argc, argv, "/v1/drills", drill_list_print);
}

static int readiness_run(struct ctl *ctl, int argc, char **argv)
{
	return show_path(ctl, argc, argv, "/v1/readiness", readiness_print);
}

static int report_run(struct ctl *ctl, int argc, char **argv)
{
	bool html = false;
	const struct opt opts[] = { { 0, "html", NULL, "one page with plots, to be kept or sent", OPT_FLAG,
				      &html } };
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 0, 1);

	if (i < 0)
		return ctl->rc;
	auto_free char *id = i < argc ? xstrdup(argv[i]) : newest(ctl);
	if (!id)
		return CTL_FAILED;
	const char *format = html ? "html" : ctl->out.format == OUT_JSON ? "json" : "markdown";
	auto_free char *query = xasprintf("/report?format=%s", format);
	auto_free char *path = ctl_path("/v1/drills/", id, query);
	int rc = ctl_call(ctl, "GET", path, NULL, &r);
	if (rc)
		return rc;
	if (r.json)
		out_json(&ctl->out, r.json);
	else
		fputs(r.text ? r.text : "", ctl->out.f);
	return CTL_OK;
}

static int schedule_set(struct ctl *ctl, const char *file)
{
	auto_buf text = { .max = YAML_BYTES_MAX };
	json_auto_t *body = NULL;
	auto_reply r = { 0 };
	char why[YAML_WHY];
	int err = file_read(file, &text);

	if (err)
		return ctl_fail("cannot read %s: %s", file, file_err(err));
	if (yaml_load(text.data ? text.data : "", text.len, &body, why))
		return ctl_fail("%s:%s", file, why);
	int rc = ctl_call(ctl, "PUT", "/v1/drill-schedule", body, &r);
	if (rc)
		return rc;
	bool on = json_is_true(json_object_get(r.json, "enabled"));
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, r.json);
	else
		fprintf(ctl->out.f, "the schedule is %s\n", on ? "on" : "off");
	return CTL_OK;
}

static int schedule_run(struct ctl *ctl, int argc, char **argv)
{
	const char *file = NULL;
	const struct opt opts[] = { { 'f', "file", "FILE", "set it from this YAML or JSON file; - is stdin",
				      OPT_STR, &file } };
	auto_reply r = { 0 };

	if (ctl_opts_(ctl, opts, argc, argv, 0, 0) < 0)
		return ctl->rc;
	if (file)
		return schedule_set(ctl, file);
	int rc = ctl_call(ctl, "GET", "/v1/drill-schedule", NULL, &r);
	if (rc)
		return rc;
	if (ctl->out.format == OUT_JSON)
		out_json(&ctl->out, r.json);
	else
		drill_schedule_print(&ctl->out, r.json);
	return CTL_OK;
}

/* -- rows ----------------------------------------------------------------------------------------------- */

#define WHERE "KIND [--site SITE | --node NODE] [--service SERVICE | --shard SHARD] --reason TEXT"
#define KINDS                                                                                                \
	"Kinds: soft-drain, hard-withdraw (real grades, one shard, then 25, 50, 100 %); service-kill, "      \
	"node-loss,\n"                                                                                       \
	"site-loss (agents take services for dead); controller-loss, stale-telemetry (agents fall silent); " \
	"surge\n"                                                                                            \
	"(a node's load is taken for a multiple); tabletop (a loss in the simulator, in every mode: "        \
	"nothing is "                                                                                        \
	"touched)."

const struct cmd cmd_drill_plan = {
	.name = "drill plan",
	.args = WHERE,
	.brief = "Show what a drill would do, and every reason against it",
	.help = "Nothing is begun. Exit status 1 when it would be refused.\n" KINDS,
	.run = plan_run,
};

const struct cmd cmd_drill_start = {
	.name = "drill start",
	.args = WHERE " [--hold TIME] [--max TIME] [--watch]",
	.brief = "Rehearse a failure, step by step, with a report at the end",
	.help = "Each stage waits for the measured move. It is aborted, and everything restored, at the "
		"first "
		"bad\n"
		"sign. With --watch the exit status is 0 only when it passed.\n" KINDS,
	.run = start_run,
};

const struct cmd cmd_drill_watch = {
	.name = "drill watch",
	.args = "[ID]",
	.brief = "Follow a drill to its end",
	.help = "Without ID the one under way. Exit status 0 when it passed. Leaving does not stop it. While "
		"the "
		"controller\n"
		"does not answer it waits, up to two minutes, and says so.",
	.run = watch_run,
};

const struct cmd cmd_drill_hold = {
	.name = "drill hold",
	.args = "[ID] [--reason TEXT]",
	.brief = "Keep a drill in its stage",
	.help = "It is restored all the same when its time is over.",
	.run = hold_run,
};

const struct cmd cmd_drill_resume = {
	.name = "drill resume",
	.args = "[ID] [--reason TEXT]",
	.brief = "Let a held drill go on",
	.help = "The next stage begins as soon as the present one has been measured.",
	.run = resume_run,
};

const struct cmd cmd_drill_abort = {
	.name = "drill abort",
	.args = "[ID] [--reason TEXT]",
	.brief = "End a drill: restore everything at once",
	.help = "Possible in every stage. The report is written all the same.",
	.run = abort_run,
};

const struct cmd cmd_drill_list = {
	.name = "drill list",
	.args = "",
	.brief = "List drills, newest first",
	.help = "The 200 newest are kept.",
	.run = list_run,
};

const struct cmd cmd_drill_report = {
	.name = "drill report",
	.args = "[ID] [--html]",
	.brief = "Print what a drill found",
	.help = "Markdown; one self-contained page with --html; everything with -o json.",
	.run = report_run,
};

const struct cmd cmd_drill_schedule = {
	.name = "drill schedule",
	.args = "[-f FILE]",
	.brief = "Show or set the drills that begin by themselves",
	.help = "Shows when each is due next and last began, windows and blackout days; all of it with -o "
		"json.\n"
		"Off by default; times are UTC. One that never ran is due in the first open window, which "
		"may be now.\n"
		"See sluicectl(1) for the file: windows, blackout days, drills.",
	.run = schedule_run,
};

const struct cmd cmd_readiness = {
	.name = "readiness",
	.args = "",
	.brief = "Show for each site whether it could be lost now",
	.help = "CAN GO: no receiver would come above receiver_max_util of the policy (90 % by default), at "
		"the "
		"upper end\n"
		"of the prediction. MAY DRILL: none above 85 %, where a drill is refused. Then when it was "
		"last\n"
		"drilled, the hottest receiver if it were lost, and if the next largest went too. AGE: since "
		"that was\n"
		"worked out.",
	.run = readiness_run,
};
