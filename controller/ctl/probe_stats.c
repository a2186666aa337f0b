/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/probe_stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void probe_stats_init(struct probe_stats *s)
{
	*s = (struct probe_stats){ .current = -1, .next = -1 };
}

static int node_of(struct probe_stats *s, const char *name)
{
	for (size_t i = 0; i < s->n_nodes; i++)
		if (strcmp(s->nodes[i].name, name) == 0)
			return (int)i;
	if (s->n_nodes == PROBE_NODES)
		return PROBE_NODES - 1;
	struct probe_node *n = &s->nodes[s->n_nodes];
	snprintf(n->name, sizeof(n->name), "%s", s->n_nodes == PROBE_NODES - 1 ? "others" : name);
	return (int)s->n_nodes++;
}

static void name_into(const struct probe_stats *s, int i, char *to)
{
	snprintf(to, PROBE_NAME, "%s", i < 0 ? "" : s->nodes[i].name);
}

static void on_lost(struct probe_stats *s, const struct probe_result *r,
		    void (*fn)(const struct probe_event *, void *), void *arg)
{
	struct probe_event e = { .kind = PROBE_OUTAGE_START, .at_us = r->start_us };

	snprintf(s->error, sizeof(s->error), "%s", r->error);
	s->lost++;
	if (s->run++)
		return;
	name_into(s, s->current, e.from);
	snprintf(e.error, sizeof(e.error), "%s", r->error);
	fn(&e, arg);
}

static void end_outage(struct probe_stats *s, const struct probe_result *r, int node,
		       void (*fn)(const struct probe_event *, void *), void *arg)
{
	struct probe_event e = { .kind = PROBE_OUTAGE_END, .at_us = r->start_us, .lost = s->run };

	/* nothing had answered before: there is no gap to measure */
	e.gap_us = s->last_ok_us ? r->start_us - s->last_ok_us : 0;
	name_into(s, s->current, e.from);
	name_into(s, node, e.to);
	s->run = 0;
	s->outages++;
	if (e.gap_us > s->longest_us)
		s->longest_us = e.gap_us;
	fn(&e, arg);
}

static void stay(struct probe_stats *s, int node)
{
	s->current = node;
	s->quiet = 0;
	s->next = -1;
	s->lost_before = s->lost;
}

/* Another one than current answered. */
static void other_answers(struct probe_stats *s, const struct probe_result *r, int node,
			  void (*fn)(const struct probe_event *, void *), void *arg)
{
	struct probe_event e = { .kind = PROBE_SWITCH };

	if (s->next < 0) {
		s->next = node;
		s->next_us = r->start_us;
		s->next_lost = s->lost - s->lost_before;
	}
	if (++s->quiet < PROBE_QUIET)
		return;
	e.at_us = s->next_us;
	e.gap_us = s->next_us - s->nodes[s->current].last_us;
	e.lost = s->next_lost;
	name_into(s, s->current, e.from);
	name_into(s, s->next, e.to);
	s->switches++;
	if (e.gap_us > s->longest_switch_us)
		s->longest_switch_us = e.gap_us;
	stay(s, node);
	fn(&e, arg);
}

void probe_stats_feed(struct probe_stats *s, const struct probe_result *r,
		      void (*fn)(const struct probe_event *e, void *arg), void *arg)
{
	s->sent++;
	if (!r->ok) {
		on_lost(s, r, fn, arg);
		return;
	}
	int node = node_of(s, r->node);
	struct probe_node *n = &s->nodes[node];
	if (s->run)
		end_outage(s, r, node, fn, arg);
	n->took[n->answers++ % PROBE_LATENCIES] = r->took_us > UINT32_MAX ? UINT32_MAX : (uint32_t)r->took_us;
	if (s->current < 0 || node == s->current)
		stay(s, node);
	else
		other_answers(s, r, node, fn, arg);
	n->last_us = s->last_ok_us = r->start_us;
}

static int cmp_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int64_t probe_percentile_us(const struct probe_node *n, double p)
{
	uint32_t sorted[PROBE_LATENCIES];
	size_t count = n->answers < PROBE_LATENCIES ? (size_t)n->answers : PROBE_LATENCIES;

	if (!count)
		return 0;
	memcpy(sorted, n->took, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), cmp_u32);
	size_t at = (size_t)(p * (double)count);
	return sorted[at < count ? at : count - 1];
}

const char *probe_current(const struct probe_stats *s)
{
	return s->current < 0 ? "" : s->nodes[s->current].name;
}
