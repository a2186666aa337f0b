/* SPDX-License-Identifier: Apache-2.0
 * A DNS answer to a question for www.example.net (byte 0 chooses the type): the text stays within its limit,
 * a record counted has a line, and what is accepted stays accepted with bytes behind it cut from no record.
 * links: agent/check/dns_msg.c proto/base/mem.c
 */
#include <stdlib.h>
#include <string.h>

#include "agent/check/dns_msg.h"
#include "proto/base/err.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT" };
	struct dns_reply r = { .data.max = 65536 };
	size_t lines = 0;

	if (size < 1)
		return 0;
	uint16_t type = dns_type(types[data[0] % ARRAY_LEN(types)]);
	int rc = dns_parse(data + 1, size - 1, "www.example.net", type, 0x1234, &r);
	must(rc == 0 || rc == ERR_MALFORMED || rc == ERR_CONFLICT);
	must(r.data.len <= 65536);
	for (size_t i = 0; i < r.data.len; i++)
		lines += r.data.data[i] == '\n';
	if (rc == 0) {
		must(r.n_records <= DNS_RECORDS_MAX && r.rcode <= 15);
		must(lines == r.n_records);
		dns_has(&r, "192.0.2.1");
	}
	buf_done(&r.data);
	return 0;
}
