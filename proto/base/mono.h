/* SPDX-License-Identifier: Apache-2.0
 * Monotonic time as a type, so that it cannot be mixed with wall-clock time.
 * Unit: microseconds since an arbitrary point (CLOCK_MONOTONIC). */
#ifndef BASE_MONO_H
#define BASE_MONO_H
#include <stdint.h>

typedef struct {
	int64_t us;
} mono_t;

mono_t mono_now(void);
/* Wall clock in milliseconds since 1970, UTC. For the store, the API and logs only. */
int64_t wall_now_ms(void);

static inline mono_t mono_add_ms(mono_t t, int64_t ms)
{
	return (mono_t){ t.us + ms * 1000 };
}
/* b - a in ms; negative when b is earlier. */
static inline int64_t mono_diff_ms(mono_t a, mono_t b)
{
	return (b.us - a.us) / 1000;
}
static inline int mono_is_set(mono_t t)
{
	return t.us != 0;
}
#endif
