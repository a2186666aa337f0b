/* SPDX-License-Identifier: Apache-2.0
 * One drill at a time: what another drill says replaces what the one before said. */
#include "agent/simulate.h"

#include <string.h>

#define DRILL_MAX_US UINT64_C(3600000000)

static bool known(const struct simulate *s)
{
	return s->what >= SIMULATE_DEAD && s->what <= SIMULATE_DEAF && s->for_ms &&
	       (s->what != SIMULATE_DEAD || s->service[0] || s->shard[0]);
}

static bool same(const struct simulated *m, const struct msg_directive *d, size_t n)
{
	size_t at = 0;

	if (m->n != n || (n && strcmp(m->drill, d->drill) != 0))
		return false;
	for (size_t i = 0; i < d->n_simulate; i++) {
		const struct simulate *s = &d->simulate[i];
		if (!known(s))
			continue;
		const struct simulate *was = &m->list[at++].s;
		if (was->what != s->what || strcmp(was->service, s->service) != 0 ||
		    strcmp(was->shard, s->shard) != 0)
			return false;
	}
	return true;
}

static void forget(struct simulated *m)
{
	free(m->list);
	m->list = NULL;
	m->n = 0;
}

bool simulated_take(struct simulated *m, const struct msg_directive *d, bool refuse, uint64_t now_us,
		    char *ret_why)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_simulate; i++)
		n += known(&d->simulate[i]);
	if (n && refuse) {
		snprintf(ret_why, TEXT_LEN, "drill %s: drills are off in this node's agent.yaml: refused",
			 d->drill);
		n = 0;
	}
	bool changed = n ? !same(m, d, n) : m->n > 0;
	if (n && strcmp(m->drill, d->drill) != 0)
		m->began_us = now_us;
	forget(m);
	if (!n)
		return changed;
	snprintf(m->drill, sizeof(m->drill), "%s", d->drill);
	m->list = xcalloc(n, sizeof(*m->list));
	for (size_t i = 0; i < d->n_simulate; i++) {
		if (!known(&d->simulate[i]))
			continue;
		m->list[m->n].s = d->simulate[i];
		uint64_t end = now_us + d->simulate[i].for_ms * UINT64_C(1000);
		uint64_t last = m->began_us + DRILL_MAX_US;
		m->list[m->n++].end_us = end < last ? end : last;
	}
	simulated_expire(m, now_us);
	return changed;
}

bool simulated_expire(struct simulated *m, uint64_t now_us)
{
	size_t left = 0, n = m->n;

	for (size_t i = 0; i < n; i++)
		if (m->list[i].end_us > now_us)
			m->list[left++] = m->list[i];
	m->n = left;
	return left != n;
}

bool simulated_dead(const struct simulated *m, const char *service, const char *shard)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct simulate *s = &m->list[i].s;
		if (s->what != SIMULATE_DEAD)
			continue;
		if (s->shard[0] ? shard && strcmp(s->shard, shard) == 0 : strcmp(s->service, service) == 0)
			return true;
	}
	return false;
}

static bool any(const struct simulated *m, enum simulate_what what)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->list[i].s.what == what)
			return true;
	return false;
}

bool simulated_deaf(const struct simulated *m)
{
	return any(m, SIMULATE_DEAF);
}

bool simulated_mute(const struct simulated *m)
{
	return any(m, SIMULATE_MUTE) || any(m, SIMULATE_DEAF);
}

void simulated_done(struct simulated *m)
{
	forget(m);
	m->drill[0] = 0;
}
