/* SPDX-License-Identifier: Apache-2.0
 * The contract of store.h, to be run on every store: functions on a cmocka state that starts with a subject.
 */
#ifndef UNIT_STORE_CONTRACT_H
#define UNIT_STORE_CONTRACT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/store.h"

struct subject {
	struct store *s;
	size_t events_kept;
};

/* Again while an etcd is too slow for it; store_write() itself where that is what is tested. */
int put(struct store *s, const char *key, const char *value);
uint64_t event(struct store *s, const char *kind, const char *data);
/* NULL: not there */
void expect(struct store *s, const char *key, const char *value);
/* "ID:KIND:DATA;..." */
void expect_events(struct store *s, uint64_t after, size_t limit, const char *want);

void test_values(void **state);
void test_many_in_order(void **state);
void test_each(void **state);
void test_big_value(void **state);
void test_events(void **state);
void test_several_events(void **state);
void test_all_or_nothing(void **state);
void test_events_pick(void **state);
/* What test_events_pick expects of the events that it wrote. */
void expect_picks(struct store *s);
void test_events_kept(void **state);
void test_epoch(void **state);

#define ON(kind, t)                                                                                          \
	{                                                                                                    \
#kind ": " #t, t, setup_##kind, teardown_##kind, NULL                                        \
	}
#define CONTRACT(kind)                                                                                       \
	ON(kind, test_values), ON(kind, test_many_in_order), ON(kind, test_each), ON(kind, test_big_value),  \
		ON(kind, test_events), ON(kind, test_all_or_nothing), ON(kind, test_several_events),         \
		ON(kind, test_events_pick), ON(kind, test_events_kept), ON(kind, test_epoch)
#endif
