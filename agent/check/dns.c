/* SPDX-License-Identifier: Apache-2.0
 * The dns kind: a question over UDP is answered with the right code, and with the right data if that matters.
 * What answers another question (late, or forged) is let pass. */
#include "agent/check/dns_msg.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/check/exchange.h"
#include "proto/base/err.h"

static const char *type_of(const struct check_cfg *cfg)
{
	return cfg->type ? cfg->type : "A";
}

static void judge(struct exchange *x, const struct dns_reply *r)
{
	const struct check_cfg *cfg = x->cfg;
	unsigned want = cfg->rcode ? (unsigned)dns_rcode(cfg->rcode) : 0;

	if (r->rcode != want)
		exchange_end(x, false, "dns: %s, expected %s", dns_rcode_str(r->rcode), dns_rcode_str(want));
	else if (cfg->answer && !dns_has(r, cfg->answer))
		exchange_end(x, false, "dns: no %s record says %.100s", type_of(cfg), cfg->answer);
	else if (!want && !r->n_records)
		exchange_end(x, false, "dns: %s, but no %s record", dns_rcode_str(want), type_of(cfg));
	else
		exchange_end(x, true, "dns: %s, %zu records", dns_rcode_str(want), r->n_records);
}

static void on_answer(struct exchange *x, size_t len)
{
	struct dns_reply r = { .data.max = 65536 };
	int err = dns_parse((const uint8_t *)x->reply, len, x->cfg->query, dns_type(type_of(x->cfg)), x->id,
			    &r);

	if (err == 0)
		judge(x, &r);
	else if (err != ERR_CONFLICT)
		exchange_end(x, false, "dns: the answer is malformed");
	buf_done(&r.data);
}

static void *dns_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	uint8_t query[DNS_QUERY_MAX];
	uint16_t id;

	/* not to be guessed by who cannot read the question */
	if (getentropy(&id, sizeof(id)))
		id = (uint16_t)random();
	int n = dns_query(cfg->query, dns_type(type_of(cfg)), id, query);
	struct exchange *x = exchange_start(c, loop, cfg, query, n > 0 ? (size_t)n : 0, on_answer);

	x->id = id; /* still valid, even if sending failed: the loop frees it */
	return x;
}

static int dns_verify(const struct check_cfg *cfg, char *ret_why)
{
	uint8_t query[DNS_QUERY_MAX];

	if (dns_query(cfg->query, 1, 0, query) < 0)
		return check_refuse(ret_why, "query: \"%.100s\" is not a domain name", cfg->query);
	if (!dns_type(type_of(cfg)))
		return check_refuse(ret_why,
				    "type: \"%.20s\" is none of A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT",
				    cfg->type);
	if (cfg->rcode && dns_rcode(cfg->rcode) < 0)
		return check_refuse(ret_why, "rcode: \"%.20s\" is not a response code such as NXDOMAIN",
				    cfg->rcode);
	if (cfg->rcode && dns_rcode(cfg->rcode) && cfg->answer)
		return check_refuse(ret_why, "answer: only with rcode NOERROR");
	return 0;
}

const struct check_kind check_kind_dns = {
	.name = "dns",
	.takes = "target! query! type rcode answer",
	.verify = dns_verify,
	.start = dns_start,
	.cancel = exchange_cancel,
};
