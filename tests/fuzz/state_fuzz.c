/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as the agent's state file. What is taken must be written back as the same bytes' meaning; what is
 * refused must say why and leave the result alone. A second pass mends magic, length and sum, so that the
 * fuzzer reaches what is behind them. links: agent/state.c proto/wire/msg.c proto/base/addr.c
 * proto/base/mem.c proto/base/err.c build/gen/sluice.pb-c.c
 */
#include <stdlib.h>
#include <string.h>

#include "agent/state.h"
#include "tests/fuzz/fuzz.h"

#define must(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static void taken(struct state *s)
{
	struct state again;
	char why[TEXT_LEN];
	auto_buf out = { 0 };

	state_encode(s, &out);
	must(state_decode(out.data, out.len, &again, why) == 0);
	must(strcmp(again.boot_id, s->boot_id) == 0);
	must(again.directive.n_shards == s->directive.n_shards &&
	     again.directive.epoch == s->directive.epoch);
	state_done(&again);
}

static void try(const void *data, size_t size)
{
	struct state s = { .directive.epoch = 77 };
	char why[TEXT_LEN] = "";

	if (state_decode(data, size, &s, why) < 0) {
		must(why[0] && s.directive.epoch == 77 && !s.directive.shards);
		return;
	}
	taken(&s);
	state_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state empty = { 0 };
	auto_buf b = { 0 };

	try(data, size);
	/* the body of a well-formed file, its sum made right again by writing the head of a file with that
	 * body */
	state_encode(&empty, &b);
	if (size && size < 4096) {
		size_t head = b.len;
		buf_add(&b, data, size);
		try(b.data, head + size);
	}
	return 0;
}
