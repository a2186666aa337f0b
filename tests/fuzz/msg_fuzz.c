/* SPDX-License-Identifier: Apache-2.0
 * Any bytes either are refused with a reason, or become a message that packs, and whose packing unpacks and
 * packs to the same bytes again.
 * links: proto/wire/msg.c proto/base/addr.c proto/base/err.c proto/base/mem.c build/gen/sluice.pb-c.c
 */
#include <string.h>

#include "proto/wire/msg.h"
#include "tests/fuzz/fuzz.h"

static void round_trip(const struct msg *m)
{
	auto_buf first = { 0 };
	auto_buf second = { 0 };
	char why[TEXT_LEN] = "";
	struct msg back;

	must(msg_pack(m, &first) == 0);
	must(msg_unpack((const uint8_t *)first.data, first.len, &back, why) == 0);
	must(back.kind == m->kind);
	must(msg_pack(&back, &second) == 0);
	must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
	msg_done(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[TEXT_LEN] = "";
	struct msg m;

	if (msg_unpack(data, size, &m, why)) {
		must(why[0] && memchr(why, 0, sizeof(why)));
		return 0;
	}
	must(msg_kind_str(m.kind)[0]);
	if (m.kind)
		round_trip(&m);
	msg_done(&m);
	return 0;
}
