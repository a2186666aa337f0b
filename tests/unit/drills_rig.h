/* SPDX-License-Identifier: Apache-2.0
 * Drills on simulated time and a simulated cluster of three sites. Rounds, fleet and the clock are stand-ins;
 * the store is the real one in memory. */
#ifndef TESTS_DRILLS_RIG_H
#define TESTS_DRILLS_RIG_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "controller/drill/drill_int.h"
#include "controller/store_impl.h"

#define SITES  3
#define SHARDS 4
#define LOAD   5e6
#define CAP    100e6

extern int64_t now_us; /* the clock */

struct world {
	uv_loop_t loop;
	struct controller c;
	struct plan plan;
	struct rounds_view view;
	enum guard_id guard; /* what it refuses with */
	bool busy, stuck, lies, settling;
	bool beside;	     /* wait for what runs beside the loop */
	double lessons;	     /* the engine has learned */
	double times[SITES]; /* of the usual demand */
	unsigned refusals;
	bool answered;		   /* a surge at fra */
	void (*each_second)(void); /* or NULL */
};
extern struct world w;

int setup(void **state);
int teardown(void **state);
struct cluster *document(const char *name);
/* Everybody reports. */
void second(void);
void half_second(void);
void end_drills(void);
/* Until the state is reached; -1: it is not within so many simulated seconds. Returns seconds taken. */
double run_to(enum drill_state s, double limit_s);
struct drill_spec spec(const char *kind, const char *site, const char *node);
void start(const char *kind, const char *site, const char *node);
void assert_normal(void);
json_t *last_report(void);
void assert_verdict(const char *verdict, const char *reason);
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#endif
