/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int max_len(uint8_t family)
{
	return family == 4 ? 32 : 128;
}

static int say_why(const char **ret_why, const char *why)
{
	if (ret_why)
		*ret_why = why;
	return -EINVAL;
}

static bool bit_set(const uint8_t *a, int i)
{
	return a[i / 8] & (0x80 >> (i % 8));
}

/* decimal digits only: strtol would take signs, spaces and "0x" */
static int parse_uint(const char *s, int max)
{
	int n = 0;

	if (!*s)
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		n = n * 10 + (*s - '0');
		if (n > max)
			return -1;
	}
	return n;
}

int prefix_parse(const char *s, struct prefix *ret_prefix, const char **ret_why)
{
	struct prefix p = { 0 };
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(s, '/');
	size_t n = slash ? (size_t)(slash - s) : strlen(s);

	if (n >= sizeof(host))
		return say_why(ret_why, "not an IP address");
	memcpy(host, s, n);
	host[n] = 0;
	if (inet_pton(AF_INET, host, p.a) == 1)
		p.family = 4;
	else if (inet_pton(AF_INET6, host, p.a) == 1)
		p.family = 6;
	else
		return say_why(ret_why, "not an IP address");
	int len = slash ? parse_uint(slash + 1, max_len(p.family)) : max_len(p.family);
	if (len < 0)
		return say_why(ret_why, "prefix length out of range");
	p.len = (uint8_t)len;
	for (int i = len; i < max_len(p.family); i++)
		if (bit_set(p.a, i))
			return say_why(ret_why, "host bits are set");
	*ret_prefix = p;
	return 0;
}

char *prefix_addr_str(const struct prefix *p, char *buf)
{
	inet_ntop(p->family == 4 ? AF_INET : AF_INET6, p->a, buf, PREFIX_STRLEN);
	return buf;
}

char *prefix_str(const struct prefix *p, char *buf)
{
	prefix_addr_str(p, buf);
	size_t n = strlen(buf);
	snprintf(buf + n, PREFIX_STRLEN - n, "/%u", p->len);
	return buf;
}

int prefix_cmp(const struct prefix *a, const struct prefix *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	int c = memcmp(a->a, b->a, sizeof(a->a));
	if (c)
		return c < 0 ? -1 : 1;
	return a->len == b->len ? 0 : a->len < b->len ? -1 : 1;
}

bool prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
	if (outer->family != inner->family || outer->len > inner->len)
		return false;
	for (int i = 0; i < outer->len; i++)
		if (bit_set(outer->a, i) != bit_set(inner->a, i))
			return false;
	return true;
}

bool prefix_is_host(const struct prefix *p)
{
	return p->len == max_len(p->family);
}

int endpoint_parse(const char *s, struct sockaddr_storage *ret_ss, const char **ret_why)
{
	char host[INET6_ADDRSTRLEN];
	const char *colon = strrchr(s, ':');
	bool v6 = s[0] == '[';
	struct sockaddr_storage ss = { 0 };

	if (!colon || colon == s)
		return say_why(ret_why, "expected ADDRESS:PORT");
	const char *from = v6 ? s + 1 : s;
	const char *to = v6 ? colon - 1 : colon;
	if (to <= from || (v6 && *to != ']') || (size_t)(to - from) >= sizeof(host))
		return say_why(ret_why, "expected ADDRESS:PORT or [ADDRESS]:PORT");
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = 0;
	int port = parse_uint(colon + 1, 65535);
	if (port <= 0)
		return say_why(ret_why, "port out of range");
	struct sockaddr_in *s4 = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)&ss;
	if (!v6 && inet_pton(AF_INET, host, &s4->sin_addr) == 1) {
		s4->sin_family = AF_INET;
		s4->sin_port = htons((uint16_t)port);
	} else if (v6 && inet_pton(AF_INET6, host, &s6->sin6_addr) == 1) {
		s6->sin6_family = AF_INET6;
		s6->sin6_port = htons((uint16_t)port);
	} else {
		return say_why(ret_why, "not a numeric IP address (IPv6 goes in brackets)");
	}
	*ret_ss = ss;
	return 0;
}

char *endpoint_str(const struct sockaddr *sa, char *buf, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *s4 = (const struct sockaddr_in *)sa;
		inet_ntop(AF_INET, &s4->sin_addr, host, sizeof(host));
		snprintf(buf, size, "%s:%u", host, ntohs(s4->sin_port));
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *s6 = (const struct sockaddr_in6 *)sa;
		inet_ntop(AF_INET6, &s6->sin6_addr, host, sizeof(host));
		snprintf(buf, size, "[%s]:%u", host, ntohs(s6->sin6_port));
	} else {
		snprintf(buf, size, "?");
	}
	return buf;
}
