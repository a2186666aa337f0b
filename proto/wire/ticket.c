/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/ticket.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/wire/msg.h"

#define PREFIX "sluice1."
#define RAW    32
#define B64    43

static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(const uint8_t *in, char *out)
{
	unsigned bits = 0, have = 0;

	for (size_t i = 0; i < RAW; i++) {
		bits = bits << 8 | in[i];
		for (have += 8; have >= 6; have -= 6)
			*out++ = set[bits >> (have - 6) & 63];
	}
	*out++ = set[bits << (6 - have) & 63];
	*out = 0;
}

/* The one spelling only: the bits beyond the last byte are zero. */
static int decode(const char *in, uint8_t *out)
{
	unsigned bits = 0, have = 0;
	size_t n = 0;

	for (size_t i = 0; i < B64; i++) {
		const char *at = in[i] ? strchr(set, in[i]) : NULL;
		if (!at)
			return ERR_MALFORMED;
		bits = bits << 6 | (unsigned)(at - set);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
		}
	}
	return bits & ((1u << have) - 1) ? ERR_MALFORMED : 0;
}

static void to_hex(const uint8_t *in, char *out)
{
	for (size_t i = 0; i < RAW; i++)
		snprintf(out + 2 * i, 3, "%02x", in[i]);
}

int ticket_secret(char *ret_secret)
{
	uint8_t raw[RAW];

	if (gnutls_rnd(GNUTLS_RND_KEY, raw, sizeof(raw)))
		return ERR_TLS;
	encode(raw, ret_secret);
	explicit_bzero(raw, sizeof(raw));
	return 0;
}

int ticket_new(const char *node, const char *ca_id, struct ticket *ret)
{
	snprintf(ret->ca_id, sizeof(ret->ca_id), "%s", ca_id);
	snprintf(ret->node, sizeof(ret->node), "%s", node);
	return ticket_secret(ret->secret);
}

void ticket_text(const struct ticket *t, char *ret_text)
{
	char ca[B64 + 1];
	uint8_t raw[RAW];

	for (size_t i = 0; i < RAW; i++)
		sscanf(t->ca_id + 2 * i, "%2hhx", &raw[i]);
	encode(raw, ca);
	snprintf(ret_text, TICKET_TEXT_LEN, PREFIX "%s.%s.%s", t->secret, ca, t->node);
}

int ticket_parse(const char *text, struct ticket *ret, char *ret_why)
{
	const size_t head = sizeof(PREFIX) - 1, names = head + 2 * (B64 + 1);
	size_t len = strcspn(text, " \t\r\n");
	struct ticket t = { 0 };
	uint8_t raw[RAW];

	if (strncmp(text, PREFIX, head) != 0 || len < names || text[head + B64] != '.' ||
	    text[names - 1] != '.' || text[len + strspn(text + len, " \t\r\n")] ||
	    len - names >= sizeof(t.node)) {
		snprintf(ret_why, TEXT_LEN,
			 "this is no enrolment token: it is one line that starts with " PREFIX
			 ", as sluicectl node token printed it");
		return ERR_MALFORMED;
	}
	memcpy(t.secret, text + head, B64);
	memcpy(t.node, text + names, len - names);
	if (decode(t.secret, raw) || !pki_name_ok(t.node)) {
		snprintf(ret_why, TEXT_LEN, "the enrolment token is damaged: copy the whole line again");
		return ERR_MALFORMED;
	}
	if (decode(text + head + B64 + 1, raw)) {
		snprintf(ret_why, TEXT_LEN, "the enrolment token is damaged: copy the whole line again");
		return ERR_MALFORMED;
	}
	to_hex(raw, t.ca_id);
	*ret = t;
	return 0;
}

int ticket_hash(const char *secret, char *ret_hex)
{
	uint8_t digest[RAW];

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, secret, strlen(secret), digest))
		return ERR_TLS;
	to_hex(digest, ret_hex);
	return 0;
}
