/* SPDX-License-Identifier: Apache-2.0
 * Drives agent/apply from stdin, for apply_rig.py:
 *   apply_driver VTY PREFIX...                          the allowed prefixes
 *   want PREFIX [withdrawn] [prepend=N] [community=A:B]... [large=A:B:C]... [bw=MBIT] [grade=NAME] [weight=N]
 *   commit                                              hands the wants since the last commit over
 *   state                                               prints the state now
 *   quit
 * Every answer is one JSON line with "event" and "ms" (monotonic). */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/apply.h"
#include "proto/base/err.h"
#include "proto/base/mono.h"

struct driver {
	uv_loop_t loop;
	uv_pipe_t in;
	struct buf line;
	char chunk[65536];
	struct apply *apply;
	struct route_want *wants;
	size_t n, cap;
};

static void say(json_t *o)
{
	json_object_set_new(o, "ms", json_real((double)mono_now().us / 1000));
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(o);
}

static json_t *routes_json(const struct route_state *r, size_t n)
{
	json_t *list = json_array();
	char p[PREFIX_STRLEN];

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			list, json_pack("{ss ss si sb si ss}", "prefix", prefix_str(&r[i].prefix, p), "grade",
					r[i].grade, "weight", (int)r[i].weight, "announced", r[i].announced,
					"neighbours", (int)r[i].neighbours, "error", r[i].error));
	return list;
}

static void on_applied(const struct route_state *routes, size_t n, void *arg)
{
	(void)arg;
	say(json_pack("{ss so}", "event", "applied", "routes", routes_json(routes, n)));
}

static void on_bgpd(bool up, const char *why, void *arg)
{
	struct driver *d = arg;

	say(json_pack("{ss sb ss si}", "event", "bgpd", "up", up, "why", why, "asn",
		      d->apply ? (int)apply_asn(d->apply) : 0));
}

static void say_state(struct driver *d)
{
	size_t n;
	const struct route_state *r = apply_state(d->apply, &n);

	say(json_pack("{ss sb sI so}", "event", "state", "bgp_ok", apply_bgp_ok(d->apply), "asn",
		      (json_int_t)apply_asn(d->apply), "routes", routes_json(r, n)));
}

static const char *value(const char *word, const char *key)
{
	size_t n = strlen(key);

	return !strncmp(word, key, n) && word[n] == '=' ? word + n + 1 : NULL;
}

static void add_text(char (*list)[NAME_LEN], size_t *n, const char *text)
{
	if (*n < MAX_COMMUNITIES)
		snprintf(list[(*n)++], NAME_LEN, "%s", text);
}

static void read_word(struct route_want *w, const char *word)
{
	const char *v;

	if (!strcmp(word, "withdrawn"))
		w->announced = false;
	else if ((v = value(word, "prepend")))
		w->attrs.prepends = (uint32_t)strtoul(v, NULL, 10);
	else if ((v = value(word, "bw")))
		w->attrs.bandwidth_mbps = (uint32_t)strtoul(v, NULL, 10);
	else if ((v = value(word, "weight")))
		w->weight = (uint32_t)strtoul(v, NULL, 10);
	else if ((v = value(word, "community")))
		add_text(w->attrs.communities, &w->attrs.n_communities, v);
	else if ((v = value(word, "large")))
		add_text(w->attrs.large, &w->attrs.n_large, v);
	else if ((v = value(word, "grade")))
		snprintf(w->grade, sizeof(w->grade), "%s", v);
}

static void add_want(struct driver *d, char *save)
{
	struct route_want w = { .announced = true, .grade = "normal", .weight = 1 };
	char *word = strtok_r(NULL, " ", &save);
	const char *why = "no prefix";

	if (!word || prefix_parse(word, &w.prefix, &why)) {
		say(json_pack("{ss ss}", "event", "error", "why", why));
		return;
	}
	while ((word = strtok_r(NULL, " ", &save)))
		read_word(&w, word);
	if (d->n == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 16;
		d->wants = xrealloc(d->wants, d->cap, sizeof(*d->wants));
	}
	d->wants[d->n++] = w;
}

static void quit(struct driver *d)
{
	apply_free(d->apply);
	uv_close((uv_handle_t *)&d->in, NULL);
}

/* False: no more lines. */
static bool run_line(struct driver *d, char *line)
{
	char *save = NULL, *word = strtok_r(line, " ", &save);

	if (!word)
		return true;
	if (!strcmp(word, "quit")) {
		quit(d);
		return false;
	}
	if (!strcmp(word, "want")) {
		add_want(d, save);
	} else if (!strcmp(word, "state")) {
		say_state(d);
	} else if (!strcmp(word, "commit")) {
		int err = apply_want(d->apply, d->wants, d->n);
		d->n = 0;
		say(json_pack("{ss si ss}", "event", "commit", "err", err, "why", err_str(err)));
	}
	return true;
}

static void on_alloc(uv_handle_t *h, size_t want, uv_buf_t *ret_buf)
{
	struct driver *d = h->data;

	(void)want;
	*ret_buf = uv_buf_init(d->chunk, sizeof(d->chunk));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct driver *d = s->data;
	char *end;

	if (n == 0)
		return;
	if (n < 0) {
		quit(d);
		return;
	}
	buf_add(&d->line, b->base, (size_t)n);
	while (d->line.len && (end = memchr(d->line.data, '\n', d->line.len))) {
		auto_free char *line = strndup(d->line.data, (size_t)(end - d->line.data));
		buf_drop(&d->line, (size_t)(end - d->line.data) + 1);
		if (!line || !run_line(d, line))
			return;
	}
}

int main(int argc, char **argv)
{
	static const struct apply_ops ops = { .applied = on_applied, .bgpd = on_bgpd };
	struct driver d = { 0 };
	const char *why = "usage: apply_driver VTY PREFIX...";

	if (argc < 3) {
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	size_t n = (size_t)argc - 2;
	struct prefix *allow = xcalloc(n, sizeof(*allow));
	for (size_t i = 0; i < n; i++)
		if (prefix_parse(argv[i + 2], &allow[i], &why)) {
			fprintf(stderr, "%s: %s\n", argv[i + 2], why);
			return 2;
		}
	uv_loop_init(&d.loop);
	uv_pipe_init(&d.loop, &d.in, 0);
	d.in.data = &d;
	uv_pipe_open(&d.in, 0);
	uv_read_start((uv_stream_t *)&d.in, on_alloc, on_read);
	d.apply = apply_new(&d.loop, argv[1], allow, n, &ops, &d);
	uv_run(&d.loop, UV_RUN_DEFAULT);
	uv_loop_close(&d.loop);
	buf_done(&d.line);
	free(d.wants);
	free(allow);
	return 0;
}
