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

/* agent/state.c's, bit by bit */
static uint32_t crc32(const uint8_t *p, size_t n)
{
	uint32_t c = ~0u;

	for (size_t i = 0; i < 8 * n; i++) {
		c ^= (i % 8 ? 0 : p[i / 8]);
		c = (c >> 1) ^ (0xEDB88320u & -(c & 1));
	}
	return ~c;
}

static void put32(char *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (char)(v >> (24 - 8 * i));
}

/* the same bytes as the body of a file whose head is right */
static void try_body(const uint8_t *data, size_t size)
{
	struct state empty = { 0 };
	auto_buf b = { 0 };

	state_encode(&empty, &b);
	size_t head = 8 + 4 + NAME_LEN + 4 + 4;
	b.len = head;
	buf_add(&b, data, size);
	put32(b.data + head - 4, (uint32_t)size);
	put32(b.data + head - 8,
	      crc32((uint8_t *)b.data + 12, NAME_LEN) ^ crc32((uint8_t *)b.data + head, size));
	try(b.data, b.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try(data, size);
	if (size && size < 4096)
		try_body(data, size);
	return 0;
}
