/* SPDX-License-Identifier: Apache-2.0
 * Drains, and waiting for them: draining -> waiting -> (held) -> withdrawn, as the controller says.
 * Interrupting the wait leaves the drain as it is. */
#include <math.h>
#include <string.h>

#include "controller/ctl/ctl.h"
#include "controller/ctl/progress.h"
#include "controller/ctl/text.h"
#include "proto/base/mem.h"

static const struct what {
	const char *kind, *path;
} whats[] = { { "site", "/v1/sites/" }, { "node", "/v1/nodes/" }, { "service", "/v1/services/" } };

static const struct what *what_of(struct ctl *ctl, const char *kind, const char *site)
{
	bool service = !strcmp(kind, "service");

	for (size_t i = 0; i < ARRAY_LEN(whats); i++)
		if (!strcmp(whats[i].kind, kind) && service == (site != NULL))
			return &whats[i];
	if (service)
		ctl_usage(ctl, "a service is drained somewhere: give --site SITE");
	else if (site && (!strcmp(kind, "site") || !strcmp(kind, "node")))
		ctl_usage(ctl, "--site goes with a service");
	else
		ctl_usage(ctl, "what? site NAME, node NAME or service NAME, not '%s'", kind);
	return NULL;
}

static const char *str(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	return s ? s : "";
}

static double num(const json_t *v, const char *key)
{
	return json_number_value(json_object_get(v, key));
}

static int say(struct ctl *ctl, const struct reply *r, const char *fmt, const char *kind, const char *name)
{
	if (ctl->out.format == OUT_JSON && r->json) {
		out_json(&ctl->out, r->json);
		return CTL_OK;
	}
	out_text(&ctl->out, TINT_NONE, fmt, kind, name);
	fputc('\n', ctl->out.f);
	return CTL_OK;
}

/* -- waiting ------------------------------------------------------------------------------------------ */

struct drained {
	const char *kind, *name, *site; /* site NULL: no service */
};

static json_t *find_drain(json_t *list, const struct drained *d)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		if (!strcmp(str(one, "kind"), d->kind) && !strcmp(str(one, "name"), d->name) &&
		    (!d->site || !strcmp(str(one, "site"), d->site)))
			return one;
	return NULL;
}

static void show_drain(struct progress *p, const json_t *d)
{
	double before = num(d, "load_before_bps"), load = num(d, "load_bps");
	const char *stage = str(d, "stage"), *held = str(d, "held_by");
	char is[TEXT_NUM], was[TEXT_NUM], pct[TEXT_NUM];

	progress_show(p, stage, "%s: %s%s%s  load %s of %s bit/s (%s, to fall below %.0f%%)%s%s",
		      str(d, "name"), stage, *held ? ", held back: " : "", held, text_si(load, is),
		      text_si(before, was), text_pct(before > 0 ? load / before : NAN, pct),
		      num(d, "residual_pct"),
		      json_is_true(json_object_get(d, "withdraw")) ? "" : ", then it stays", "");
}

/* The last stage there is to wait for. */
static bool settled(const json_t *d)
{
	if (json_is_true(json_object_get(d, "withdraw")))
		return !strcmp(str(d, "stage"), "withdrawn");
	return strcmp(str(d, "stage"), "draining") &&
	       num(d, "load_bps") <= num(d, "load_before_bps") * num(d, "residual_pct") / 100;
}

static int wait_drain(struct ctl *ctl, const struct drained *d)
{
	struct progress p;
	int rc = CTL_OK;

	progress_start(&p);
	for (;;) {
		auto_reply r = { 0 };
		rc = ctl_call(ctl, "GET", "/v1/drains", NULL, &r);
		json_t *one = rc ? NULL : find_drain(json_object_get(r.json, "drains"), d);
		if (rc || !one || settled(one)) {
			progress_end(&p);
			if (rc)
				return rc;
			return one ? say(ctl, &r, "%s %s is drained", d->kind, d->name)
				   : ctl_fail("somebody ended the drain of %s %s, or it expired", d->kind,
					      d->name);
		}
		show_drain(&p, one);
		progress_pause();
	}
}

/* Announced nowhere weaker than usual: how many of its parts are back. */
static size_t parts_back(json_t *parts)
{
	json_t *cell;
	size_t i, n = 0;

	json_array_foreach(parts, i, cell) {
		const char *grade = str(cell, "grade");
		n += json_is_true(json_object_get(cell, "announced")) && strcmp(grade, "drain") &&
		     strcmp(grade, "withdrawn");
	}
	return n;
}

static int wait_back(struct ctl *ctl, const struct what *w, const struct drained *d)
{
	auto_free char *path = ctl_path(w->path, d->name, "");
	struct progress p;

	progress_start(&p);
	for (;;) {
		auto_reply r = { 0 };
		int rc = ctl_call(ctl, "GET", path, NULL, &r);
		json_t *parts = json_object_get(r.json, "shards");
		size_t all = json_array_size(parts), back = parts_back(parts);
		if (rc || back == all) {
			progress_end(&p);
			return rc ? rc
				  : say(ctl, &r, "%s %s announces all it should again", d->kind, d->name);
		}
		progress_show(&p, "back", "%s: %zu of %zu shards are announced again", d->name, back, all);
		progress_pause();
	}
}

/* -- commands ----------------------------------------------------------------------------------------- */

struct drain_opts {
	const char *reason, *site;
	int64_t expires_s, wait_s;
	uint64_t residual_pct;
	bool wait, keep;
};

static json_t *drain_body(const struct drain_opts *o)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:b, s:s*}", "reason", o->reason, "expires_s",
			 (json_int_t)o->expires_s, "wait_s", (json_int_t)o->wait_s, "residual_pct",
			 (json_int_t)o->residual_pct, "withdraw", !o->keep, "site", o->site);
}

static int drain_run(struct ctl *ctl, int argc, char **argv)
{
	struct drain_opts o = { .wait_s = 300, .residual_pct = 10 };
	const struct opt opts[] = {
		{ 'r', "reason", "TEXT", "why, for whoever looks next (required)", OPT_STR, &o.reason },
		{ 'e', "expires", "TIME", "undrain by itself after this: 30m, 2h (default: never)",
		  OPT_SECONDS, &o.expires_s },
		{ 0, "site", "SITE", "where, for a service", OPT_STR, &o.site },
		{ 0, "wait-max", "TIME", "withdraw after this, however much is left (default 5m)",
		  OPT_SECONDS, &o.wait_s },
		{ 0, "residual", "PCT", "of the load before: drained below this (default 10)", OPT_UINT,
		  &o.residual_pct },
		{ 0, "keep", NULL, "stay announced at the drain grade, never withdraw", OPT_FLAG, &o.keep },
		{ 'w', "wait", NULL, "until it is drained, showing how far it is", OPT_FLAG, &o.wait },
	};
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 2, 2);

	if (i < 0)
		return ctl->rc;
	if (!o.reason || !*o.reason)
		return ctl_usage(ctl, "a drain needs --reason TEXT: somebody will ask");
	if (o.residual_pct > 100)
		return ctl_usage(ctl, "--residual wants 0 to 100");
	const struct what *w = what_of(ctl, argv[i], o.site);
	if (!w)
		return CTL_USAGE;
	auto_free char *path = ctl_path(w->path, argv[i + 1], "/drain");
	json_auto_t *body = drain_body(&o);
	if (!body)
		return ctl_usage(ctl, "the reason is not UTF-8 text");
	int rc = ctl_call(ctl, "POST", path, body, &r);
	if (rc)
		return rc;
	if (o.wait)
		return wait_drain(ctl, &(struct drained){ argv[i], argv[i + 1], o.site });
	return say(ctl, &r, "%s %s is draining: watch it with sluicectl status", argv[i], argv[i + 1]);
}

static int undrain_run(struct ctl *ctl, int argc, char **argv)
{
	const char *site = NULL, *reason = NULL;
	bool wait = false;
	const struct opt opts[] = {
		{ 'r', "reason", "TEXT", "why, for the audit", OPT_STR, &reason },
		{ 0, "site", "SITE", "where, for a service", OPT_STR, &site },
		{ 'w', "wait", NULL, "until it announces all it should again", OPT_FLAG, &wait },
	};
	auto_reply r = { 0 };
	int i = ctl_opts_(ctl, opts, argc, argv, 2, 2);

	if (i < 0)
		return ctl->rc;
	const struct what *w = what_of(ctl, argv[i], site);
	if (!w)
		return CTL_USAGE;
	if (wait && site)
		return ctl_usage(ctl, "--wait goes with a site or a node");
	auto_free char *path = ctl_path(w->path, argv[i + 1], "/undrain");
	json_auto_t *body = json_pack("{s:s*, s:s*}", "reason", reason, "site", site);
	if (!body)
		return ctl_usage(ctl, "the reason is not UTF-8 text");
	int rc = ctl_call(ctl, "POST", path, body, &r);
	if (rc)
		return rc;
	if (wait)
		return wait_back(ctl, w, &(struct drained){ argv[i], argv[i + 1], site });
	return say(ctl, &r, "%s %s serves again as soon as it is healthy", argv[i], argv[i + 1]);
}

const struct cmd cmd_drain = {
	.name = "drain",
	.args = "site|node|service NAME [--site SITE] --reason TEXT [--expires TIME] [--wait]",
	.brief = "Move users away from a site, a node or a service, gently",
	.help = "In stages: the announcement is weakened (graceful shutdown), so that users move while their "
		"connections\n"
		"last; when the load has fallen, it is withdrawn. Refused, or held back, when a shard would "
		"be left "
		"with too\n"
		"few places. Undrain ends it at any stage.",
	.run = drain_run,
};

const struct cmd cmd_undrain = {
	.name = "undrain",
	.args = "site|node|service NAME [--site SITE] [--reason TEXT] [--wait]",
	.brief = "End a drain",
	.help = "The place announces again as its health and the plan allow.",
	.run = undrain_run,
};
