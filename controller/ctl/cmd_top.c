/* SPDX-License-Identifier: Apache-2.0
 * Live: what status says, with the hottest nodes, shards or the plan. What could not be asked stays as it
 * was, with its age and the reason: the page never lies about how old it is. */
#include <stdlib.h>
#include <string.h>

#include "controller/ctl/ctl.h"
#include "controller/ctl/term.h"
#include "controller/ctl/top_view.h"
#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define INTERVAL_S 2
#define ONCE_ROWS  1000

struct top {
	struct ctl *ctl;
	json_t *status, *nodes, *shards;
	mono_t at;
	char trouble[CLIENT_WHY];
	enum top_page page;
};

/* Quietly: what is wrong goes into the page. New reference, NULL when there is none. */
static json_t *ask(struct top *t, const char *path)
{
	struct client *c = ctl_client(t->ctl);
	auto_reply r = { 0 };

	if (!c || client_call(c, "GET", path, NULL, NULL, &r)) {
		snprintf(t->trouble, sizeof(t->trouble), "%s", c ? client_why(c) : "no controller");
		return NULL;
	}
	if (r.status != 200) {
		const char *detail = json_string_value(json_object_get(r.json, "detail"));
		snprintf(t->trouble, sizeof(t->trouble), "%ld %.400s", r.status, detail ? detail : "");
		return NULL;
	}
	return json_incref(r.json);
}

static void keep(json_t **to, json_t *from, const char *list)
{
	if (!from)
		return;
	json_decref(*to);
	*to = list ? json_incref(json_object_get(from, list)) : json_incref(from);
	json_decref(from);
}

static void refresh(struct top *t)
{
	t->trouble[0] = 0;
	json_t *status = ask(t, "/v1/status");

	if (!status)
		return;
	t->at = mono_now();
	keep(&t->status, status, NULL);
	if (t->page == TOP_SHARDS)
		keep(&t->shards, ask(t, "/v1/shards?limit=1000"), "shards");
	else
		keep(&t->nodes, ask(t, "/v1/nodes?limit=1000"), "nodes");
}

static struct top_data data_of(const struct top *t)
{
	return (struct top_data){ t->status, t->nodes, t->shards, t->trouble,
				  mono_is_set(t->at) ? (double)mono_diff_ms(t->at, mono_now()) : -1 };
}

static void draw(struct top *t)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct out o = t->ctl->out;
	struct top_data d = data_of(t);

	if (!f)
		abort();
	o.f = f;
	top_print(&o, &d, t->page, term_size().rows);
	fclose(f);
	term_draw(text);
	free(text);
}

/* False: leave. */
static bool on_key(struct top *t, int key)
{
	static const char pages[TOP_PAGES + 1] = "nsp";
	const char *at = key > 0 ? strchr(pages, key) : NULL;

	if (key == 'q' || key == 4 || key == -2)
		return false;
	if (at) {
		t->page = (enum top_page)(at - pages);
		refresh(t);
	}
	return true;
}

static int live(struct top *t, int64_t interval_s)
{
	refresh(t);
	if (!t->status)
		return ctl_fail("%s", t->trouble);
	if (term_open())
		return ctl_fail("top needs a terminal; --once prints one page");
	for (;;) {
		mono_t next = mono_add_ms(mono_now(), interval_s * 1000);
		int64_t left;
		draw(t);
		while ((left = mono_diff_ms(mono_now(), next)) > 0) {
			int key = term_key((int)left);
			if (!on_key(t, key)) {
				term_close();
				return CTL_OK;
			}
			if (key)
				draw(t);
		}
		refresh(t);
	}
}

static int once(struct top *t)
{
	struct top_data d;

	refresh(t);
	if (!t->status)
		return ctl_fail("%s", t->trouble);
	if (t->ctl->out.format == OUT_JSON) {
		json_auto_t *all = json_pack("{s:O, s:O*, s:O*}", "status", t->status, "nodes", t->nodes,
					     "shards", t->shards);
		out_json(&t->ctl->out, all);
		return CTL_OK;
	}
	d = data_of(t);
	top_print(&t->ctl->out, &d, t->page, ONCE_ROWS);
	return CTL_OK;
}

static int top_run(struct ctl *ctl, int argc, char **argv)
{
	int64_t interval_s = INTERVAL_S;
	bool just_once = false;
	const char *page = "nodes";
	const struct opt opts[] = {
		{ 0, "once", NULL, "print one page and end", OPT_FLAG, &just_once },
		{ 'i', "interval", "TIME", "between two looks (default 2s)", OPT_SECONDS, &interval_s },
		{ 0, "page", "PAGE", "nodes, shards or plan (keys n, s, p)", OPT_STR, &page },
	};
	static const char *const pages[TOP_PAGES] = { "nodes", "shards", "plan" };
	struct top t = { .ctl = ctl, .page = TOP_PAGES };
	int i = ctl_opts_(ctl, opts, argc, argv, 0, 0);

	if (i < 0)
		return ctl->rc;
	for (int k = 0; k < TOP_PAGES; k++)
		if (!strcmp(page, pages[k]))
			t.page = (enum top_page)k;
	if (t.page == TOP_PAGES)
		return ctl_usage(ctl, "--page wants nodes, shards or plan, not '%s'", page);
	if (!just_once && ctl->out.format == OUT_JSON)
		return ctl_usage(ctl, "-o json goes with --once");
	if (!ctl_client(ctl))
		return CTL_FAILED;
	int rc = just_once ? once(&t) : live(&t, interval_s);
	json_decref(t.status);
	json_decref(t.nodes);
	json_decref(t.shards);
	return rc;
}

const struct cmd cmd_top = {
	.name = "top",
	.args = "[--page nodes|shards|plan] [--interval TIME] [--once]",
	.brief = "The cluster live: what is wrong, the sites, the hottest nodes",
	.help = "Keys: n nodes, s shards, p plan, q quit. Bars are load divided by capacity. When the "
		"controller does "
		"not\n"
		"answer, the page stays and says how old it is.",
	.run = top_run,
};
