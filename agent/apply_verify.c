/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/apply_int.h"

/* Reads back what really left. bgpd holds every change about 50 ms in a queue, then bumps the route's version
 * and updates its RIB-outs in the same step, so a changed version (or a path that is gone) means it is
 * through. Few routes are asked one by one (the answer counts the neighbours too); many, and withdrawals,
 * are read from the neighbours' RIB-outs. What is not through within VERIFY_WITHIN_MS stays unsettled and is
 * looked at with every poll. New wants end the reading at once. */

static void look_at_sample(struct apply *a);
static void look_at_family(struct apply *a);

void apply_verify_reset(struct apply *a)
{
	free(a->out_count);
	a->out_count = NULL;
	a->n_sample = 0;
	a->sweep[AFI_V4] = a->sweep[AFI_V6] = true;
	a->verify_until_ms = 0;
}

static bool any_unsettled(const struct apply *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->entries[i].unsettled)
			return true;
	return false;
}

bool apply_verify_due(const struct apply *a)
{
	return a->config.asn && (a->sweep[AFI_V4] || a->sweep[AFI_V6] || any_unsettled(a));
}

static void on_pause(uv_timer_t *t)
{
	struct apply *a = t->data;

	if (vty_is_up(a->vty))
		look_at_sample(a);
}

static void pause_or_finish(struct apply *a, bool again)
{
	if (again && apply_now_ms(a) < a->verify_until_ms)
		uv_timer_start(&a->timer, on_pause, VERIFY_PAUSE_MS, 0);
	else
		apply_finish(a);
}

/* -- one route at a time -- */

static void ask_next_path(struct apply *a);

static void on_path(int err, int status, const char *text, size_t len, void *arg)
{
	struct apply *a = arg;

	(void)status; /* not 0 where there is no instance: no path then */
	(void)len;
	if (err || a->closed)
		return;
	struct entry *e = &a->entries[a->sample[a->sample_at++]];
	struct frr_path *to = a->to_before ? &e->before : &e->path;
	if (parse_path(text, to))
		*to = (struct frr_path){ 0 };
	ask_next_path(a);
}

static void ask_next_path(struct apply *a)
{
	char line[COMMAND_LEN];

	if (a->sample_at == a->n_sample) {
		a->paths_then(a);
		return;
	}
	command_show_path(&a->entries[a->sample[a->sample_at]].prefix, line);
	vty_send(a->vty, line, on_path, a);
}

void apply_ask_paths(struct apply *a, bool to_before, void (*then)(struct apply *a))
{
	a->sample_at = 0;
	a->to_before = to_before;
	a->paths_then = then;
	ask_next_path(a);
}

/* bgpd has taken what its configuration says for e through to the RIB-outs. */
static bool through(const struct apply *a, const struct entry *e)
{
	const struct frr_path *p = &e->path, *b = &e->before;

	if (!frr_network_find(&a->config, &e->prefix))
		return !p->present;
	if (!p->present)
		return false;
	if (!b->present || !p->version)
		return p->best || !p->valid || p->foreign;
	if (p->version != b->version)
		return true;
	/* nothing to do for bgpd: it had these attributes all along */
	return e->wanted && !b->odd && route_attrs_equal(&b->attrs, &e->want.attrs);
}

static void look_done(struct apply *a)
{
	bool all = true;

	a->view_stale = true;
	if (a->dirty) {
		apply_decide(a);
		return;
	}
	for (size_t i = 0; i < a->n_sample; i++) {
		struct entry *e = &a->entries[a->sample[i]];
		bool ok = through(a, e);
		all &= ok;
		e->neighbours = e->path.best ? (uint32_t)e->path.n_advertised : 0;
		if (ok && e->path.present)
			e->unsettled = false; /* a path that is gone may linger in a RIB-out */
	}
	if (!all && apply_now_ms(a) < a->verify_until_ms) {
		pause_or_finish(a, true);
		return;
	}
	if (a->n_sample)
		a->cursor = a->sample[a->n_sample - 1];
	a->out_afi = AFI_V4;
	look_at_family(a);
}

/* The last unsettled ones before the cursor, around the end: the cursor moves with every finished look. */
static void pick_sample(struct apply *a)
{
	a->n_sample = 0;
	if (a->cursor > a->n || !a->cursor)
		a->cursor = a->n;
	for (size_t k = 0; k < a->n && a->n_sample < SAMPLE_MAX; k++) {
		size_t i = (a->cursor + a->n - 1 - k) % a->n;
		if (a->entries[i].unsettled)
			a->sample[a->n_sample++] = i;
	}
}

static void look_at_sample(struct apply *a)
{
	pick_sample(a);
	apply_ask_paths(a, false, look_done);
}

/* -- whole RIB-outs -- */

static bool has_big(const struct apply *a, enum afi afi)
{
	for (size_t i = 0; i < a->summary.n[afi]; i++)
		if (a->summary.neighbours[afi][i].sent > RIB_OUT_MAX)
			return true;
	return false;
}

/* Where a neighbour takes a full table nobody asks for it all: the paths alone must do. */
static void do_without_rib_outs(struct apply *a, enum afi afi)
{
	for (size_t i = 0; i < a->n; i++) {
		struct entry *e = &a->entries[i];
		if (prefix_afi(&e->prefix) != afi)
			continue;
		if (a->sweep[afi] && (e->wanted || frr_network_find(&a->config, &e->prefix)))
			e->unsettled = true;
		else if (e->unsettled && !e->path.present && !frr_network_find(&a->config, &e->prefix))
			e->unsettled = false;
	}
	a->sweep[afi] = false;
}

static bool family_due(const struct apply *a, enum afi afi)
{
	if (a->sweep[afi])
		return true;
	for (size_t i = 0; i < a->n; i++)
		if (a->entries[i].unsettled && prefix_afi(&a->entries[i].prefix) == afi)
			return true;
	return false;
}

static void count_rib_out(struct apply *a, const char *text)
{
	auto_free struct prefix *list = NULL;
	size_t n = 0, k = 0;

	if (parse_advertised(text, &list, &n))
		return;
	for (size_t i = 0; i < a->n && k < n;) { /* both are sorted */
		int c = prefix_cmp(&a->entries[i].prefix, &list[k]);
		if (c == 0)
			a->out_count[i]++;
		i += c <= 0;
		k += c >= 0;
	}
}

/* Counts are in: what is unsettled still? */
static void judge_family(struct apply *a)
{
	enum afi afi = a->out_afi;
	size_t established = apply_established(a, afi);

	for (size_t i = 0; i < a->n; i++) {
		struct entry *e = &a->entries[i];
		if (prefix_afi(&e->prefix) != afi)
			continue;
		bool on = frr_network_find(&a->config, &e->prefix) != NULL;
		bool other = e->path.foreign && !(e->path.present && e->path.best);
		e->neighbours = other ? 0 : a->out_count[i];
		if (!on)
			e->unsettled = e->unsettled && e->neighbours;
		else if (e->neighbours || !established)
			e->unsettled = false;
		else if (a->sweep[afi] && e->wanted)
			e->unsettled = true; /* sent to nobody: its path says why */
	}
	a->sweep[afi] = false;
	a->swept_at_ms = apply_now_ms(a);
	a->view_stale = true;
	a->out_afi++;
	look_at_family(a);
}

static void ask_next_rib_out(struct apply *a);

static void on_rib_out(int err, int status, const char *text, size_t len, void *arg)
{
	struct apply *a = arg;

	(void)len;
	if (err || a->closed)
		return;
	if (a->dirty) {
		apply_decide(a);
		return;
	}
	if (status == VTY_OK)
		count_rib_out(a, text);
	a->out_neighbour++;
	ask_next_rib_out(a);
}

static void ask_next_rib_out(struct apply *a)
{
	const struct frr_summary *s = &a->summary;
	char line[COMMAND_LEN];

	for (; a->out_neighbour < s->n[a->out_afi]; a->out_neighbour++) {
		const struct frr_neighbour *nb = &s->neighbours[a->out_afi][a->out_neighbour];
		if (!nb->established || !command_show_advertised(a->out_afi, nb->name, line))
			continue;
		vty_send(a->vty, line, on_rib_out, a);
		return;
	}
	judge_family(a);
}

static void look_at_family(struct apply *a)
{
	while (a->out_afi < AFI_COUNT) {
		if (has_big(a, a->out_afi))
			do_without_rib_outs(a, a->out_afi);
		else if (family_due(a, a->out_afi))
			break;
		a->out_afi++;
	}
	if (a->out_afi == AFI_COUNT) {
		pause_or_finish(a, any_unsettled(a));
		return;
	}
	free(a->out_count);
	a->out_count = xcalloc(a->n, sizeof(*a->out_count));
	a->out_neighbour = 0;
	ask_next_rib_out(a);
}

void apply_verify(struct apply *a)
{
	a->phase = PHASE_VERIFY;
	look_at_sample(a);
}
