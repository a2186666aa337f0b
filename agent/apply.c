/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/apply_int.h"

#include <errno.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mono.h"

/* Owns the connection, the wants and the pass: read the configuration, read the neighbours, type what
 * differs, read both again, read back the RIB-outs, report.
 * Phases: OFF -> CONFIG (vty up); CONFIG -> PEERS -> BEFORE -> COMMIT -> CONFIG (something was typed)
 *         PEERS -> VERIFY -> IDLE, PEERS -> IDLE; IDLE -> CONFIG (poll), IDLE -> BEFORE (new wants, fresh
 *         configuration); VERIFY -> BEFORE (new wants); any -> OFF (connection lost).
 * Timer: one. In IDLE the next poll: 1 s, longer only where polling would cost more than 0.5 % of bgpd's
 * time, shorter when a retry is due or bgpd has no instance yet. In VERIFY the pause between two looks. */

#define POLL_MS	       1000
#define POLL_MAX_MS    10000
#define POLL_SHARE     200 /* 1/200: 0.5 % */
#define NO_BGP_MS      250 /* bgpd just started: vtysh -b is still typing */
#define NOT_BGPD_MS    2000
#define SWEEP_EVERY_MS 30000

static const struct {
	const char *config, *peers;
} ask = { "show running-config", "show bgp summary json" };

uint64_t apply_now_ms(const struct apply *a)
{
	return uv_now(a->loop);
}

static int cmp_entry(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return prefix_cmp(&x->prefix, &y->prefix);
}

struct entry *apply_entry(const struct apply *a, const struct prefix *p)
{
	struct entry key = { .prefix = *p };

	return a->n ? bsearch(&key, a->entries, a->n, sizeof(key), cmp_entry) : NULL;
}

size_t apply_established(const struct apply *a, enum afi afi)
{
	size_t n = 0;

	for (size_t i = 0; i < a->summary.n[afi]; i++)
		n += a->summary.neighbours[afi][i].established;
	return n;
}

static void say_bgpd(struct apply *a, bool up, const char *why)
{
	if (a->said && a->answers == up && !strcmp(a->down, why))
		return;
	a->said = true;
	a->answers = up;
	snprintf(a->down, sizeof(a->down), "%s", why);
	a->view_stale = true;
	if (a->ops.bgpd)
		a->ops.bgpd(up, a->down, a->arg);
}

/* Forgets what was seen of a bgpd that is gone; the wants stay. */
static void forget(struct apply *a)
{
	frr_config_done(&a->config);
	frr_summary_done(&a->summary);
	a->have_config = false;
	apply_commit_reset(a);
	apply_verify_reset(a);
	apply_remade_reset(a);
	for (size_t i = 0; i < a->n; i++) {
		struct entry *e = &a->entries[i];
		e->neighbours = 0;
		e->path = e->before = (struct frr_path){ 0 };
		e->unsettled = e->typed = false;
		e->fails = 0;
		e->refused[0] = 0;
	}
	a->view_stale = true;
}

/* -- waiting -- */

static void on_timer(uv_timer_t *t)
{
	apply_poll(t->data);
}

static uint64_t poll_interval(const struct apply *a)
{
	/* the cheaper of two: a busy machine stretches one of them, rarely both */
	uint64_t us = a->poll_cost_us[0] < a->poll_cost_us[1] ? a->poll_cost_us[0] : a->poll_cost_us[1];
	uint64_t ms = us * POLL_SHARE / 1000;

	return ms < POLL_MS ? POLL_MS : ms > POLL_MAX_MS ? POLL_MAX_MS : ms;
}

static uint64_t until(const struct apply *a, uint64_t at_ms)
{
	uint64_t now = apply_now_ms(a);

	return at_ms > now ? at_ms - now : 1;
}

static uint64_t next_delay(const struct apply *a)
{
	uint64_t ms = a->config.asn ? poll_interval(a) : NO_BGP_MS;

	if (a->locks && until(a, a->lock_until_ms) < ms)
		ms = until(a, a->lock_until_ms);
	for (size_t i = 0; i < a->n; i++)
		if (a->entries[i].fails && until(a, a->entries[i].retry_at_ms) < ms)
			ms = until(a, a->entries[i].retry_at_ms);
	return ms;
}

void apply_wait(struct apply *a)
{
	if (a->n_remade)
		apply_wait_for_remade(a);
	else
		uv_timer_start(&a->timer, on_timer, until(a, a->poll_at_ms), 0);
}

/* -- the pass -- */

void apply_finish(struct apply *a)
{
	bool changed = a->changed;

	for (size_t i = 0; i < a->n; i++) {
		struct entry *e = &a->entries[i];
		e->typed = false;
		if (e->fails && diff_matches(&a->config, &e->want)) {
			e->fails = 0;
			e->refused[0] = 0;
		}
	}
	a->phase = PHASE_IDLE;
	a->changed = false;
	a->commits = 0;
	a->poll_at_ms = apply_now_ms(a) + next_delay(a);
	apply_wait(a);
	apply_report_build(a);
	bool news = apply_report_news(a);
	if ((changed || news) && a->ops.applied)
		a->ops.applied(a->view, a->n_view, a->arg);
	if (!a->closed && a->dirty && a->phase == PHASE_IDLE)
		apply_decide(a);
}

/* Entries of wants still to be done, in the form diff_make takes. */
static size_t list_wants(const struct apply *a, struct route_want *wants, bool *held)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++) {
		const struct entry *e = &a->entries[i];
		if (!e->wanted)
			continue;
		held[n] = e->unfit[0] || (e->fails && e->retry_at_ms > apply_now_ms(a)) ||
			  apply_is_remade(a, e);
		wants[n++] = e->want;
	}
	return n;
}

/* A diff's MAP steps point into entries, which outlive it; wants is a passing copy. */
static void rebind_attrs(struct apply *a, const struct route_want *wants, size_t n)
{
	for (size_t s = 0; s < a->diff.n; s++) {
		struct step *step = &a->diff.steps[s];
		for (size_t i = 0; step->attrs && i < n; i++)
			if (step->attrs == &wants[i].attrs) {
				step->attrs = &apply_entry(a, &wants[i].prefix)->want.attrs;
				break;
			}
	}
}

static void make_diff(struct apply *a)
{
	auto_free struct route_want *wants = xcalloc(a->n, sizeof(*wants));
	auto_free bool *held = xcalloc(a->n, sizeof(*held));
	size_t n = list_wants(a, wants, held);

	diff_done(&a->diff);
	if (!a->config.asn || (a->locks && a->lock_until_ms > apply_now_ms(a)))
		return;
	diff_make(&a->config, wants, n, held, &a->diff);
	rebind_attrs(a, wants, n);
	if (!a->diff.n || a->diff.steps[a->diff.n - 1].kind != STEP_DROP)
		a->drop_fails = 0;
	while (a->drop_fails && a->drop_until_ms > apply_now_ms(a) && a->diff.n &&
	       a->diff.steps[a->diff.n - 1].kind == STEP_DROP)
		a->diff.n--;
}

/* Steps that came back right after they were taken: bgpd does not keep them, or prints them in a way that
 * is not understood here. Typing them for ever would not help, so they count as refused. */
static void refuse_repeats(struct apply *a)
{
	bool any = false;

	for (size_t i = 0; i < a->diff.n; i++)
		any |= apply_step_repeats(a, &a->diff.steps[i]);
	if (any)
		make_diff(a);
}

void apply_decide(struct apply *a)
{
	a->view_stale = true;
	make_diff(a);
	if (a->dirty)
		a->commits = 0;
	else if (a->commits)
		refuse_repeats(a);
	a->dirty = false;
	if (a->diff.n && a->commits < COMMITS_MAX)
		apply_commit(a);
	else if (apply_verify_due(a))
		apply_verify(a);
	else
		apply_finish(a);
}

static bool neighbours_equal(const struct frr_summary *a, const struct frr_summary *b, enum afi afi)
{
	if (a->n[afi] != b->n[afi])
		return false;
	for (size_t i = 0; i < a->n[afi]; i++) {
		const struct frr_neighbour *x = &a->neighbours[afi][i], *y = &b->neighbours[afi][i];
		if (strcmp(x->name, y->name) || x->established != y->established || x->sent != y->sent)
			return false;
	}
	return true;
}

static void take_summary(struct apply *a, struct frr_summary *s)
{
	bool old = apply_now_ms(a) - a->swept_at_ms >= SWEEP_EVERY_MS;

	for (int afi = 0; afi < AFI_COUNT; afi++)
		if (old || !neighbours_equal(&a->summary, s, (enum afi)afi))
			a->sweep[afi] = true;
	frr_summary_done(&a->summary);
	a->summary = *s;
}

static void not_bgpd(struct apply *a)
{
	auto_free char *why = xasprintf("%s answers, but is not bgpd: set frr.vty to bgpd.vty", a->path);

	forget(a);
	a->phase = PHASE_IDLE;
	say_bgpd(a, false, why);
	if (!a->closed)
		uv_timer_start(&a->timer, on_timer, NOT_BGPD_MS, 0);
}

static void note_cost(struct apply *a)
{
	a->poll_cost_us[1] = a->poll_cost_us[0];
	a->poll_cost_us[0] = (uint64_t)mono_now().us - a->poll_started_us;
}

static void on_peers(int err, int status, const char *text, size_t len, void *arg)
{
	struct apply *a = arg;
	struct frr_summary s = { 0 };

	(void)len;
	if (err || a->closed)
		return;
	note_cost(a);
	/* status 1: no instance yet, the text is JSON still */
	if (*text == '%' || (parse_summary(text, &s) && status != 1)) {
		not_bgpd(a);
		return;
	}
	take_summary(a, &s);
	say_bgpd(a, true, "");
	if (!a->closed)
		apply_decide(a);
}

static uint64_t hash_text(const char *s, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3ULL;
	return h;
}

/* False: not a configuration. The text itself, with its passwords, is not kept. */
static bool take_config(struct apply *a, const char *text, size_t len, bool *ret_fresh)
{
	uint64_t hash = hash_text(text, len);
	struct frr_config c;

	a->config_at_ms = apply_now_ms(a);
	*ret_fresh = false;
	if (a->have_config && hash == a->config_hash)
		return true;
	if (parse_config(text, &c))
		return false;
	frr_config_done(&a->config);
	a->config = c;
	a->config_hash = hash;
	a->have_config = true;
	a->view_stale = true;
	*ret_fresh = true;
	return true;
}

static void ask_peers(struct apply *a)
{
	a->phase = PHASE_PEERS;
	vty_send(a->vty, ask.peers, on_peers, a);
}

static void on_config(int err, int status, const char *text, size_t len, void *arg)
{
	struct apply *a = arg;
	bool fresh;

	if (err || a->closed)
		return;
	if (status != VTY_OK || !take_config(a, text, len, &fresh)) {
		not_bgpd(a);
		return;
	}
	apply_remade_ask(a, fresh, ask_peers);
}

void apply_poll(struct apply *a)
{
	uv_timer_stop(&a->timer);
	if (!vty_is_up(a->vty))
		return;
	a->phase = PHASE_CONFIG;
	a->poll_started_us = (uint64_t)mono_now().us;
	vty_send(a->vty, ask.config, on_config, a);
}

static void on_up(void *arg)
{
	apply_poll(arg);
}

static void on_down(const char *why, void *arg)
{
	struct apply *a = arg;

	if (a->closed)
		return;
	uv_timer_stop(&a->timer);
	a->phase = PHASE_OFF;
	forget(a);
	say_bgpd(a, false, why);
}

/* -- what others call -- */

struct apply *apply_new(uv_loop_t *loop, const char *vty_path, const struct prefix *allow, size_t n_allow,
			const struct apply_ops *ops, void *arg)
{
	static const struct vty_ops vty_ops = { .up = on_up, .down = on_down };
	struct apply *a = xcalloc(1, sizeof(*a));

	a->loop = loop;
	a->path = xstrdup(vty_path);
	a->ops = *ops;
	a->arg = arg;
	a->view_stale = true;
	snprintf(a->down, sizeof(a->down), "not connected to bgpd yet");
	a->entries = xcalloc(n_allow, sizeof(*a->entries));
	for (size_t i = 0; i < n_allow; i++)
		a->entries[i].prefix = allow[i];
	if (n_allow)
		qsort(a->entries, n_allow, sizeof(*a->entries), cmp_entry);
	for (size_t i = 0; i < n_allow; i++)
		if (!a->n || prefix_cmp(&a->entries[a->n - 1].prefix, &a->entries[i].prefix))
			a->entries[a->n++] = a->entries[i];
	uv_timer_init(loop, &a->timer);
	a->timer.data = a;
	a->vty = vty_new(loop, vty_path, &vty_ops, a);
	return a;
}

static bool want_equal(const struct route_want *a, const struct route_want *b)
{
	return a->announced == b->announced && a->weight == b->weight && !strcmp(a->grade, b->grade) &&
	       (!a->announced || route_attrs_equal(&a->attrs, &b->attrs));
}

/* True when e's want is another one now. */
static bool take_want(struct entry *e, const struct route_want *w)
{
	struct route_want now = *w;
	const char *why = "";
	int err = 0;

	if (now.announced)
		err = route_attrs_normalise(&now.attrs, &why);
	else
		now.attrs = (struct route_attrs){ 0 };
	if (e->wanted && want_equal(&e->want, &now) && !err == !e->unfit[0])
		return false;
	e->wanted = true;
	e->want = now;
	e->fails = 0;
	e->refused[0] = 0;
	snprintf(e->unfit, sizeof(e->unfit), "%s", err ? why : "");
	return true;
}

static int check_wants(const struct apply *a, const struct route_want *wants, size_t n, bool *ret_named)
{
	for (size_t i = 0; i < n; i++) {
		const struct entry *e = apply_entry(a, &wants[i].prefix);
		if (!e)
			return ERR_NOT_ALLOWED;
		if (ret_named[e - a->entries])
			return ERR_CONFLICT; /* twice in one call */
		ret_named[e - a->entries] = true;
	}
	return 0;
}

/* Typing can start at once when no question is under way: between passes, or between two looks. */
static bool can_decide(const struct apply *a)
{
	bool waits = a->phase == PHASE_IDLE || a->phase == PHASE_VERIFY;

	return a->have_config && waits && uv_is_active((const uv_handle_t *)&a->timer);
}

int apply_want(struct apply *a, const struct route_want *wants, size_t n)
{
	auto_free bool *named = xcalloc(a->n, sizeof(*named));
	bool news = false;
	int err = check_wants(a, wants, n, named);

	if (err)
		return err;
	for (size_t i = 0; i < n; i++)
		news |= take_want(apply_entry(a, &wants[i].prefix), &wants[i]);
	for (size_t i = 0; i < a->n; i++)
		if (!named[i] && a->entries[i].wanted) {
			a->entries[i].wanted = false;
			a->entries[i].unsettled = false;
			a->entries[i].fails = 0;
			news = true;
		}
	if (!news)
		return 0;
	a->dirty = true;
	a->view_stale = true;
	if (can_decide(a)) {
		uv_timer_stop(&a->timer);
		apply_decide(a);
	}
	return 0;
}

const struct route_state *apply_state(const struct apply *a, size_t *ret_n)
{
	if (a->view_stale)
		apply_report_build((struct apply *)(uintptr_t)a); /* a cache */
	*ret_n = a->n_view;
	return a->view;
}

bool apply_bgp_ok(const struct apply *a)
{
	return a->answers && (apply_established(a, AFI_V4) || apply_established(a, AFI_V6));
}

uint32_t apply_asn(const struct apply *a)
{
	return a->config.asn;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct apply *a = h->data;

	free(a->entries);
	free(a->path);
	free(a->view);
	free(a->last);
	free(a);
}

void apply_free(struct apply *a)
{
	if (!a || a->closed)
		return;
	a->closed = true;
	vty_close(a->vty);
	a->vty = NULL;
	forget(a);
	uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}
