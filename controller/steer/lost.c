/* SPDX-License-Identifier: Apache-2.0
 * One record per site, states and transitions:
 *   fresh     -> asked     no report for stale_ms: opens a case, or joins the open one
 *   asked     -> lost      the fresh got at least half of what all the asked carried, no more than could be
 *                          theirs, and no one of them got nearly all of it; closes the case
 *   asked     -> cut_off   nothing of the kind within WATCH_MS of the last to join; closes the case
 *   any       -> fresh     it reports
 * The fresh are compared with what they had when the first of the case last reported: by the time silence is
 * noticed much has moved already. What is compared must stand out of the noise: small sites are cut off,
 * which holds nothing back. Time is the snapshot's. */
#include "controller/steer/lost.h"

#include <math.h>

#include "controller/steer/key.h"
#include "proto/base/mem.h"

#define WATCH_MS      120000 /* BGP's hold time, and convergence */
#define SAMPLE_MIN_MS 500
#define SAMPLES	      32
#define AVERAGED      3
#define RETURNED_MIN  0.5 /* of what the silent carried */
#define RETURNED_MAX  1.5
#define ONE_MAX	      0.8 /* a lost site's largest heir takes 33-65 %; all at one place is a crowd ... */
#define FEW_HEIRS     2	  /* ... unless there is hardly another: then the amount must match better */
#define CLOSE_MIN     0.7
#define CLOSE_MAX     1.3
#define STANDS_OUT    0.08 /* of what the fresh carried */

enum lost_state { FRESH, ASKED, CUT_OFF, LOST };

struct lost_site {
	char name[STEER_NAME];
	enum lost_state state;
	double load[SAMPLES]; /* bit/s, newest first, while fresh */
	int64_t at_ms[SAMPLES];
	size_t n;
	double before; /* bit/s, at the opening of the case */
	UT_hash_handle hh;
};

struct lost {
	struct lost_site *sites;
	int64_t sampled_ms, joined_ms;
	bool told, open;
};

struct lost *lost_new(void)
{
	return xcalloc(1, sizeof(struct lost));
}

void lost_free(struct lost *l)
{
	struct lost_site *m, *next;

	if (!l)
		return;
	HASH_ITER(hh, l->sites, m, next) {
		HASH_DEL(l->sites, m);
		free(m);
	}
	free(l);
}

static struct lost_site *record(struct lost *l, const char *site)
{
	char name[STEER_NAME];
	struct lost_site *m;

	key_copy(name, site);
	HASH_FIND(hh, l->sites, name, sizeof(name), m);
	if (m)
		return m;
	m = xcalloc(1, sizeof(*m));
	memcpy(m->name, name, sizeof(name));
	HASH_ADD(hh, l->sites, name, sizeof(m->name), m);
	return m;
}

static double carried(const struct snapshot *s, size_t i)
{
	double sum = 0;

	for (size_t k = 0; k < s->n_shards; k++) {
		double v = snap_cell(s, i, k)->hi[RES_BPS];
		sum += isfinite(v) && v > 0 ? v : 0;
	}
	return sum;
}

static void push(struct lost_site *m, double load, int64_t now_ms)
{
	memmove(&m->load[1], m->load, (SAMPLES - 1) * sizeof(m->load[0]));
	memmove(&m->at_ms[1], m->at_ms, (SAMPLES - 1) * sizeof(m->at_ms[0]));
	m->load[0] = load;
	m->at_ms[0] = now_ms;
	m->n += m->n < SAMPLES;
}

/* The mean of the few samples at that time, or of the oldest there are. */
static double load_at(const struct lost_site *m, int64_t at_ms)
{
	double sum = 0;
	size_t from = 0, n = 0;

	while (from + AVERAGED < m->n && m->at_ms[from] > at_ms)
		from++;
	for (; n < AVERAGED && from + n < m->n; n++)
		sum += m->load[from + n];
	return n ? sum / (double)n : 0;
}

static void join(struct lost *l, struct lost_site *m, const struct snap_site *site, int64_t now_ms)
{
	m->state = ASKED;
	l->joined_ms = now_ms;
	if (l->open)
		return;
	l->open = true;
	for (struct lost_site *o = l->sites; o; o = o->hh.next)
		o->before = load_at(o, now_ms - site->age_ms);
}

static void look(struct lost *l, const struct policy *p, const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_sites; i++) {
		struct lost_site *m = record(l, s->sites[i].name);

		if (s->sites[i].age_ms > p->stale_ms) {
			if (m->state == FRESH && m->n)
				join(l, m, &s->sites[i], s->now_ms);
			continue;
		}
		if (m->state != FRESH)
			m->n = 0;
		m->state = FRESH;
		push(m, carried(s, i), s->now_ms);
	}
}

static void close_case(struct lost *l, enum lost_state verdict)
{
	l->open = false;
	for (struct lost_site *m = l->sites; m; m = m->hh.next)
		if (m->state == ASKED)
			m->state = verdict;
}

static void judge(struct lost *l, int64_t now_ms)
{
	double missing = 0, fresh = 0, got = 0, top = 0;
	size_t heirs = 0, asked = 0;

	for (const struct lost_site *m = l->sites; m; m = m->hh.next) {
		missing += m->state == ASKED ? m->before : 0;
		asked += m->state == ASKED;
		if (m->state != FRESH)
			continue;
		double more = load_at(m, now_ms) - m->before;
		fresh += m->before;
		got += more;
		top = fmax(top, more);
		heirs++;
	}
	bool amount = got >= RETURNED_MIN * missing && got <= RETURNED_MAX * missing,
	     close = got >= CLOSE_MIN * missing && got <= CLOSE_MAX * missing;
	bool spread = top <= ONE_MAX * got || (close && asked == 1 && heirs <= FEW_HEIRS);

	if (missing > STANDS_OUT * fresh && amount && spread)
		close_case(l, LOST);
	else if (missing <= 0 || now_ms - l->joined_ms > WATCH_MS)
		close_case(l, CUT_OFF);
}

static void mark(struct lost *l, struct snapshot *s, size_t i)
{
	if (record(l, s->sites[i].name)->state != LOST)
		return;
	s->sites[i].healthy = s->sites[i].dropping = false;
	s->sites[i].max_node_util = 0;
	memset(s->sites[i].cap, 0, sizeof(s->sites[i].cap));
	for (size_t k = 0; k < s->n_shards; k++) {
		struct snap_cell *c = snap_cell(s, i, k);
		memset(c->lo, 0, sizeof(c->lo));
		memset(c->hi, 0, sizeof(c->hi));
		c->announced = false;
	}
}

void lost_mark(struct lost *l, const struct policy *p, struct snapshot *s)
{
	/* the same moment may be looked at twice, the second time as of a little before */
	if (!l->told || s->now_ms - l->sampled_ms >= SAMPLE_MIN_MS) {
		l->told = true;
		l->sampled_ms = s->now_ms;
		look(l, p, s);
		if (l->open)
			judge(l, s->now_ms);
	}
	for (size_t i = 0; i < s->n_sites; i++)
		mark(l, s, i);
}
