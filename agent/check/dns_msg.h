/* SPDX-License-Identifier: Apache-2.0
 * DNS messages, as far as a check needs them: one question out, the answer section in. Pure.
 * Sources: RFC 1035 section 4, RFC 3596 (AAAA), RFC 2782 (SRV). */
#ifndef CHECK_DNS_MSG_H
#define CHECK_DNS_MSG_H
#include <stddef.h>
#include <stdint.h>

#include "proto/base/mem.h"

#define DNS_QUERY_MAX	512
#define DNS_NAME_LEN	1025 /* text, escapes included, NUL included */
#define DNS_RECORDS_MAX 64

/* A AAAA CNAME MX NS PTR SOA SRV TXT; 0: none of them. */
uint16_t dns_type(const char *name);
/* NOERROR SERVFAIL NXDOMAIN ...; negative: none. */
int dns_rcode(const char *name);
/* Never NULL: "RCODE17" style for unknown ones, static storage for one call. */
const char *dns_rcode_str(unsigned rcode);
/* The length, or ERR_MALFORMED: name is not a domain name. */
int dns_query(const char *name, uint16_t type, uint16_t id, uint8_t ret_query[DNS_QUERY_MAX]);

struct dns_reply {
	unsigned rcode;
	size_t n_records; /* in the answer section, of the type asked for */
	/* their data as text, one a line: an address, a name ending with a dot, "10 mx.example.", TXT's
	 * strings joined; the caller's buf, limited by it */
	struct buf data;
};
/* name, type, id: of the query. 0; ERR_MALFORMED; ERR_CONFLICT: answers something else (wait on). */
int dns_parse(const uint8_t *msg, size_t len, const char *name, uint16_t type, uint16_t id,
	      struct dns_reply *ret_reply);
/* Is one of the lines of data equal to want, but for case and a final dot? */
int dns_has(const struct dns_reply *r, const char *want);
#endif
