/* SPDX-License-Identifier: Apache-2.0
 * A libuv loop for a test's fixture (members loop and guard), and waiting on it with a deadline instead of
 * sleeping. Include it after cmocka.h. */
#ifndef UNIT_LOOP_RIG_H
#define UNIT_LOOP_RIG_H
#include <uv.h>

static inline void rig_tick(uv_timer_t *t)
{
	(void)t;
}

static inline void rig_open(uv_loop_t *loop, uv_timer_t *guard)
{
	assert_int_equal(uv_loop_init(loop), 0);
	uv_timer_init(loop, guard);
}

/* Everything else on the loop has been told to close. */
static inline void rig_close(uv_loop_t *loop, uv_timer_t *guard)
{
	uv_close((uv_handle_t *)guard, NULL);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
}

/* Runs f's loop until condition holds, at most DEADLINE_MS; the tick wakes a loop in which nothing is due. */
#define wait_until(f, condition)                                                                             \
	do {                                                                                                 \
		uint64_t deadline_ns = uv_hrtime() + DEADLINE_MS * UINT64_C(1000000);                        \
		uv_timer_start(&(f)->guard, rig_tick, 1, 5);                                                 \
		while (!(condition) && uv_hrtime() < deadline_ns)                                            \
			uv_run(&(f)->loop, UV_RUN_ONCE);                                                     \
		uv_timer_stop(&(f)->guard);                                                                  \
		assert_true(condition);                                                                      \
	} while (0)
#endif
