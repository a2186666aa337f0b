/* SPDX-License-Identifier: Apache-2.0
 * Pure: no clock, no I/O, no log, no globals. A cursor walks the message and never leaves it; compression
 * pointers must point backwards, so they end. */
#include "agent/check/dns_msg.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "proto/base/err.h"

#define HEAD_LEN  12
#define CLASS_IN  1
#define LABEL_MAX 63
#define NAME_MAX_ 255 /* octets on the wire */

enum { A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, MX = 15, TXT = 16, AAAA = 28, SRV = 33 };

static const struct {
	const char *name;
	uint16_t type;
} types[] = { { "A", A },     { "AAAA", AAAA }, { "CNAME", CNAME }, { "MX", MX },  { "NS", NS },
	      { "PTR", PTR }, { "SOA", SOA },	{ "SRV", SRV },	    { "TXT", TXT } };

static const char *const rcodes[] = { "NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
				      "YXDOMAIN", "YXRRSET", "NXRRSET",	 "NOTAUTH",  "NOTZONE" };

struct cursor {
	const uint8_t *msg;
	size_t len, at;
	bool bad;
};

uint16_t dns_type(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcasecmp(types[i].name, name) == 0)
			return types[i].type;
	return 0;
}

int dns_rcode(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(rcodes); i++)
		if (strcasecmp(rcodes[i], name) == 0)
			return (int)i;
	return ERR_MALFORMED;
}

const char *dns_rcode_str(unsigned rcode)
{
	return rcode < ARRAY_LEN(rcodes) ? rcodes[rcode] : "an unknown code";
}

int dns_query(const char *name, uint16_t type, uint16_t id, uint8_t ret_query[DNS_QUERY_MAX])
{
	uint8_t *q = ret_query;
	size_t at = HEAD_LEN;

	memset(q, 0, HEAD_LEN);
	q[0] = (uint8_t)(id >> 8);
	q[1] = (uint8_t)id;
	q[2] = 1; /* recursion desired: an authoritative server does not mind */
	q[5] = 1; /* one question */
	for (const char *s = name; *s && strcmp(s, ".");) {
		size_t n = strcspn(s, ".");
		if (!n || n > LABEL_MAX || at + n + 2 > HEAD_LEN + NAME_MAX_)
			return ERR_MALFORMED;
		q[at++] = (uint8_t)n;
		memcpy(q + at, s, n);
		at += n;
		s += n + (s[n] == '.');
	}
	if (!*name)
		return ERR_MALFORMED;
	q[at++] = 0;
	q[at++] = (uint8_t)(type >> 8);
	q[at++] = (uint8_t)type;
	q[at++] = 0;
	q[at++] = CLASS_IN;
	return (int)at;
}

static uint8_t get8(struct cursor *c)
{
	if (c->at >= c->len) {
		c->bad = true;
		return 0;
	}
	return c->msg[c->at++];
}

static uint16_t get16(struct cursor *c)
{
	uint16_t high = get8(c);

	return (uint16_t)(high << 8 | get8(c));
}

static void skip(struct cursor *c, size_t n)
{
	if (n > c->len - c->at)
		c->bad = true;
	else
		c->at += n;
}

static void add_label(const uint8_t *label, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t ch = label[i];
		if (ch <= ' ' || ch > '~')
			buf_addf(out, "\\%03u", ch);
		else
			buf_addf(out, ch == '.' || ch == '\\' ? "\\%c" : "%c", ch);
	}
	buf_adds(out, ".");
}

/* A name, "example.net."; the root is ".". The cursor ends behind it, wherever its pointers lead. */
static void get_name(struct cursor *c, struct buf *out)
{
	struct cursor at = *c;
	size_t octets = 0, lowest = c->at;
	bool jumped = false, any = false;

	for (;;) {
		uint8_t n = get8(&at);
		if (n >= 0xc0) {
			size_t to = (size_t)(n & 0x3f) << 8 | get8(&at);
			if (!jumped)
				c->at = at.at;
			jumped = true;
			at.bad |= to >= lowest;
			lowest = at.at = to;
		} else if (n > LABEL_MAX) {
			at.bad = true;
		} else if (n) {
			octets += n + 1u;
			at.bad |= n > at.len - at.at || octets >= NAME_MAX_;
			if (at.bad)
				break;
			add_label(at.msg + at.at, n, out);
			at.at += n;
			any = true;
		} else {
			break;
		}
		if (at.bad)
			break;
	}
	if (!any)
		buf_adds(out, ".");
	if (!jumped)
		c->at = at.at;
	c->bad |= at.bad;
}

static void get_address(struct cursor *c, int family, size_t rdlen, struct buf *out)
{
	size_t size = family == AF_INET ? 4 : 16;
	char text[INET6_ADDRSTRLEN];

	if (rdlen != size || size > c->len - c->at) {
		c->bad = true;
		return;
	}
	buf_adds(out, inet_ntop(family, c->msg + c->at, text, sizeof(text)));
	c->at += size;
}

static void get_strings(struct cursor *c, size_t end, struct buf *out)
{
	while (c->at < end && !c->bad) {
		for (uint8_t n = get8(c); n && !c->bad; n--) {
			char ch = (char)get8(c);
			buf_add(out, ch < ' ' || ch > '~' ? "?" : &ch, 1);
		}
	}
}

static void get_data(struct cursor *c, uint16_t type, size_t rdlen, struct buf *out)
{
	switch (type) {
	case A:
		get_address(c, AF_INET, rdlen, out);
		break;
	case AAAA:
		get_address(c, AF_INET6, rdlen, out);
		break;
	case TXT:
		get_strings(c, c->at + rdlen, out);
		break;
	case SRV:
		buf_addf(out, "%u ", get16(c));
		buf_addf(out, "%u ", get16(c));
		/* fall through */
	case MX:
		buf_addf(out, "%u ", get16(c));
		/* fall through */
	default: /* NS, CNAME, PTR, and SOA's first name */
		get_name(c, out);
	}
}

/* "example.net" is "example.net." */
static bool same_name(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	n -= n > 0 && a[n - 1] == '.';
	m -= m > 0 && b[m - 1] == '.';
	return n == m && strncasecmp(a, b, n) == 0;
}

static int read_head(struct cursor *c, const char *name, uint16_t type, uint16_t id, unsigned *ret_rcode,
		     unsigned *ret_answers)
{
	auto_buf asked = { .max = DNS_NAME_LEN };
	uint16_t got_id = get16(c), flags = get16(c), questions = get16(c);

	*ret_answers = get16(c);
	skip(c, 4);
	if (c->bad)
		return ERR_MALFORMED;
	if (got_id != id || !(flags & 0x8000))
		return ERR_CONFLICT;
	*ret_rcode = flags & 0xf;
	if (questions != 1)
		return questions == 0 && *ret_rcode ? 0 : ERR_MALFORMED; /* FORMERR may leave it out */
	get_name(c, &asked);
	uint16_t got_type = get16(c);
	skip(c, 2);
	if (c->bad)
		return ERR_MALFORMED;
	return got_type == type && asked.data && same_name(asked.data, name) ? 0 : ERR_CONFLICT;
}

int dns_parse(const uint8_t *msg, size_t len, const char *name, uint16_t type, uint16_t id,
	      struct dns_reply *ret_reply)
{
	struct cursor c = { .msg = msg, .len = len };
	unsigned rcode, answers;
	int err = read_head(&c, name, type, id, &rcode, &answers);

	if (err)
		return err;
	ret_reply->rcode = rcode;
	ret_reply->n_records = 0;
	for (unsigned i = 0; i < answers && i < DNS_RECORDS_MAX; i++) {
		auto_buf owner = { .max = DNS_NAME_LEN };
		get_name(&c, &owner);
		uint16_t got = get16(&c), class = get16(&c);
		skip(&c, 4);
		size_t rdlen = get16(&c), end = c.at + rdlen;
		if (c.bad || rdlen > len - c.at)
			return ERR_MALFORMED;
		if (got == type && class == CLASS_IN) {
			get_data(&c, type, rdlen, &ret_reply->data);
			buf_adds(&ret_reply->data, "\n");
			ret_reply->n_records++;
			if (c.bad || c.at > end)
				return ERR_MALFORMED;
		}
		c.at = end;
	}
	return 0;
}

int dns_has(const struct dns_reply *r, const char *want)
{
	auto_free char *copy = xstrdup(r->data.data ? r->data.data : "");
	char *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (same_name(line, want))
			return 1;
	return 0;
}
