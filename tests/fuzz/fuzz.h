/* SPDX-License-Identifier: Apache-2.0
 * One libFuzzer entry per harness. The same object is linked into a unit test, which replays the corpus. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define must(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

/* Aborts when an invariant does not hold. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Runs the harness on every file in dir; how many there were, or negative errno. */
int fuzz_replay(const char *dir);
#endif
