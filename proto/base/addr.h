/* SPDX-License-Identifier: Apache-2.0
 * IP prefixes and host:port endpoints. A prefix is always canonical: host bits are zero.
 * Sources: RFC 4632 (CIDR), RFC 5952 (IPv6 text). */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define PREFIX_STRLEN 64 /* enough for prefix_str, NUL included */

struct prefix {
	uint8_t family; /* 4 or 6 */
	uint8_t len;	/* 0..32 or 0..128 */
	uint8_t a[16];	/* network order; bytes past the family's size are zero */
};

/* "192.0.2.0/24", "2001:db8::1" (a bare address is a host prefix). Host bits set: -EINVAL with
 * *ret_why naming the reason (static storage; ret_why may be NULL). */
int prefix_parse(const char *s, struct prefix *ret_prefix, const char **ret_why);
/* Always "addr/len". buf holds PREFIX_STRLEN. Returns buf. */
char *prefix_str(const struct prefix *p, char *buf);
/* The address alone, without the length. */
char *prefix_addr_str(const struct prefix *p, char *buf);
int prefix_cmp(const struct prefix *a, const struct prefix *b);
bool prefix_contains(const struct prefix *outer, const struct prefix *inner);
bool prefix_is_host(const struct prefix *p);

/* "host:port" or "[v6]:port"; numeric addresses only (no resolver on the event loop). */
int endpoint_parse(const char *s, struct sockaddr_storage *ret_ss, const char **ret_why);
/* "192.0.2.1:80" or "[2001:db8::1]:80"; buf holds at least 64. Returns buf. */
char *endpoint_str(const struct sockaddr *sa, char *buf, size_t size);
#endif
