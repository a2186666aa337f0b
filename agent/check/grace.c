/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/check/grace.h"

/* States: QUIET -> (suspect) WAITING -> a second look: alive -> QUIET; not -> dead, confirmed -> QUIET. */

static void on_timer(uv_timer_t *t)
{
	struct grace *g = t->data;
	char reason[TEXT_LEN];

	if (g->alive(g->watch, reason))
		check_hurry(g->check);
	else
		check_dead(g->check, reason);
}

void grace_init(struct grace *g, struct check *c, uv_loop_t *loop, bool (*alive)(void *, char *), void *watch)
{
	uv_timer_init(loop, &g->timer);
	g->timer.data = g;
	g->check = c;
	g->alive = alive;
	g->watch = watch;
}

static void on_closed(uv_handle_t *h)
{
	struct grace *g = h->data;

	g->closed(g->watch);
}

void grace_close(struct grace *g, void (*closed)(void *watch))
{
	g->closed = closed;
	uv_close((uv_handle_t *)&g->timer, on_closed);
}

static void wait(struct grace *g)
{
	if (uv_is_active((uv_handle_t *)&g->timer))
		return;
	uv_update_time(g->timer.loop);
	uv_timer_start(&g->timer, on_timer, check_cfg(g->check)->grace_ms, 0);
}

void grace_suspect(struct grace *g, const char *reason)
{
	if (check_cfg(g->check)->grace_ms)
		wait(g);
	else
		check_dead(g->check, reason);
}

void grace_judge(struct grace *g, bool alive, const char *reason)
{
	if (alive || !check_cfg(g->check)->grace_ms || check_status(g->check) == CHECK_DOWN) {
		check_done(g->check, alive, reason);
		return;
	}
	wait(g);
	check_skip(g->check);
}
