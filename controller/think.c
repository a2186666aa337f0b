/* SPDX-License-Identifier: Apache-2.0
 * States: IDLE -> BUSY (think_start) -> IDLE (after the worker). The worker sees engine, snap, grades and
 * plan; the loop touches them in IDLE only. think_free in BUSY leaves the struct to the worker's last
 * callback. */
#include "controller/think.h"

#include <errno.h>
#include <string.h>

#include "controller/observe.h"
#include "proto/base/mono.h"

struct think {
	uv_loop_t *loop;
	uv_work_t work;
	struct engine *engine;
	struct thought {
		struct snapshot snap;
		struct grade_set grades; /* the document may be replaced meanwhile */
		struct plan plan;
	} now, last;	      /* the worker's; and the finished one that everybody may read */
	struct policy policy; /* to be taken before the next step */
	bool busy, new_policy, leaving;
	int64_t took_us;
	think_done_fn fn;
	void *arg;
};

struct think *think_new(uv_loop_t *loop, const struct policy *p, think_done_fn fn, void *arg)
{
	struct think *t = xcalloc(1, sizeof(*t));

	t->loop = loop;
	t->work.data = t;
	t->engine = engine_new(p);
	t->fn = fn;
	t->arg = arg;
	return t;
}

static void forget(struct thought *th)
{
	observe_done(&th->snap);
	plan_done(&th->plan);
	memset(&th->plan, 0, sizeof(th->plan));
}

static void release(struct think *t)
{
	forget(&t->now);
	forget(&t->last);
	engine_free(t->engine);
	free(t);
}

static void step(uv_work_t *w)
{
	struct think *t = w->data;
	mono_t before = mono_now();

	engine_step(t->engine, &t->now.snap, &t->now.plan);
	t->took_us = mono_now().us - before.us;
}

static void stepped(uv_work_t *w, int status)
{
	struct think *t = w->data;

	(void)status; /* never cancelled */
	t->busy = false;
	if (t->leaving) {
		release(t);
		return;
	}
	forget(&t->last);
	t->last = t->now;
	t->last.snap.grades = &t->last.grades;
	t->now = (struct thought){ 0 };
	t->fn(&t->last.snap, &t->last.plan, t->took_us, t->arg);
}

int think_start(struct think *t, struct snapshot *s)
{
	if (t->busy)
		return -EBUSY;
	if (t->new_policy)
		engine_set_policy(t->engine, &t->policy);
	t->new_policy = false;
	t->now.snap = *s;
	t->now.grades = *s->grades;
	t->now.snap.grades = &t->now.grades;
	*s = (struct snapshot){ 0 };
	t->busy = true;
	return uv_queue_work(t->loop, &t->work, step, stepped);
}

bool think_busy(const struct think *t)
{
	return t->busy;
}

void think_set_policy(struct think *t, const struct policy *p)
{
	t->policy = *p;
	t->new_policy = true;
}

int think_whatif(struct think *t, const struct snapshot *s, const struct move *moves, size_t n,
		 struct plan *ret_plan)
{
	if (t->busy)
		return -EBUSY;
	engine_whatif(t->engine, s, moves, n, ret_plan);
	return 0;
}

int think_forecast(struct think *t, const struct snapshot *s, const struct move *moves, size_t n,
		   struct site_forecast *ret_sites)
{
	if (t->busy)
		return -EBUSY;
	engine_forecast(t->engine, s, moves, n, ret_sites);
	return 0;
}

int think_basis(struct think *t, const struct snapshot *s, const struct move *moves, size_t n,
		struct forecast_basis *ret_basis, double *ret_noise)
{
	if (t->busy)
		return -EBUSY;
	engine_basis(t->engine, s, moves, n, ret_basis, ret_noise);
	return 0;
}

int think_save(struct think *t, struct buf *out)
{
	if (t->busy)
		return -EBUSY;
	engine_save(t->engine, out);
	return 0;
}

int think_load(struct think *t, const char *text, size_t len)
{
	return t->busy ? -EBUSY : engine_load(t->engine, text, len);
}

void think_free(struct think *t)
{
	t->leaving = true;
	if (!t->busy)
		release(t);
}
