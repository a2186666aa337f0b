/* SPDX-License-Identifier: Apache-2.0
 * The generated code is used here to say what msg_pack never would. */
#include "proto/wire/msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/err.h"
#include "proto/base/mono.h"
#include "sluice.pb-c.h"
#include "tests/fuzz/fuzz.h"

#pragma GCC diagnostic ignored "-Wcast-qual" /* in the generated initialisers */

static unsigned seed;

static uint32_t rnd(uint32_t n)
{
	return ((uint32_t)rand_r(&seed) << 16 ^ (uint32_t)rand_r(&seed)) % n;
}

static uint64_t rnd64(void)
{
	return rnd(4) ? 1 + rnd(1000000) : UINT64_MAX - rnd(5);
}

static void rnd_name(char *to)
{
	static const char *const some[] = {
		"a",
		"fra1",
		"web-a6",
		"?",
		"sluice 1.2.3 (x)",
		"caf\303\251",
		"123456789012345678901234567890123456789012345678901234567890123"
	};

	strcpy(to, some[rnd(ARRAY_LEN(some))]);
}

static void rnd_text(char *to)
{
	size_t n = rnd(4) ? rnd(20) : TEXT_LEN - 1;

	memset(to, 'a' + (int)rnd(26), n);
	to[n] = 0;
}

static void rnd_prefix(struct prefix *to, int family)
{
	auto_free char *s = family == 4 ? xasprintf("198.%u.%u.0/%u", 18 + rnd(2), rnd(256), 24 + rnd(9))
					: xasprintf("2001:db8:%x::/%u", rnd(65536), 48 + rnd(81));

	assert_int_equal(prefix_parse(s, to, NULL), 0);
}

static size_t rnd_count(size_t max)
{
	return rnd(8) ? rnd(4) : max - rnd(2);
}

static void rnd_routes(struct route_state **ret_routes, size_t *ret_n, size_t n)
{
	*ret_n = n;
	*ret_routes = n ? xcalloc(n, sizeof(**ret_routes)) : NULL;
	for (size_t i = 0; i < n; i++) {
		struct route_state *r = &(*ret_routes)[i];
		rnd_prefix(&r->prefix, 4 + 2 * (int)rnd(2));
		rnd_name(r->grade);
		r->weight = rnd(101);
		r->neighbours = rnd(9);
		r->announced = rnd(2);
		rnd_text(r->error);
	}
}

static void rnd_intent(struct shard_intent *s)
{
	rnd_name(s->shard);
	rnd_name(s->grade);
	s->n_prefixes = rnd(3);
	for (size_t i = 0; i < s->n_prefixes; i++)
		rnd_prefix(&s->prefixes[i], i ? 6 : 4);
	s->prepends = rnd(11);
	s->n_communities = rnd(MAX_COMMUNITIES + 1);
	for (size_t i = 0; i < s->n_communities; i++)
		snprintf(s->communities[i], NAME_LEN, rnd(2) ? "64500:%u" : "64500:1:%u", rnd(65536));
	s->withdrawn = rnd(2);
	s->weight = 1 + rnd(100);
	s->permit_ms = rnd(60000);
	s->expires_ms = rnd(60000);
}

static void rnd_hello(struct msg *m)
{
	m->hello = (struct msg_hello){ .major = 1 + rnd(3), .minor = 1 + rnd(3), .last_epoch = rnd64() };
	rnd_name(m->hello.version);
	rnd_name(m->hello.boot_id);
	m->hello.no_drills = rnd(2);
	m->hello.n_prefixes = 1 + rnd_count(MAX_PREFIXES - 1);
	m->hello.prefixes = xcalloc(m->hello.n_prefixes, sizeof(struct prefix));
	for (size_t i = 0; i < m->hello.n_prefixes; i++)
		rnd_prefix(&m->hello.prefixes[i], 4);
}

static void rnd_welcome(struct msg *m)
{
	m->welcome.major = 1 + rnd(9);
	m->welcome.minor = 1 + rnd(9);
	m->welcome.report_interval_ms = 1 + rnd(5000);
	m->welcome.epoch = rnd64();
	rnd_name(m->welcome.controller);
}

static void rnd_not_leader(struct msg *m)
{
	rnd_name(m->not_leader.leader);
}

static void rnd_refused(struct msg *m)
{
	m->refused.code = -(int)rnd(2000);
	rnd_text(m->refused.reason);
}

/* every counter of a sample is set, so that a field missing in a table shows */
static void rnd_u64s(void *to, size_t n)
{
	uint64_t *v = to;

	while (n--)
		*v++ = rnd64();
}

static void rnd_report(struct msg *m)
{
	struct msg_report *r = &m->report;

	rnd_u64s(&r->seq, 4);
	rnd_name(r->boot_id);
	r->bgp_ok = rnd(2);
	rnd_u64s(&r->host, sizeof(r->host) / 8);
	r->n_links = 1 + rnd(MAX_LINKS);
	r->links = xcalloc(r->n_links, sizeof(*r->links));
	for (size_t i = 0; i < r->n_links; i++) {
		rnd_name(r->links[i].name);
		rnd_u64s(&r->links[i].rx_bytes, 8);
	}
	r->n_vips = 1 + rnd_count(MAX_PREFIXES - 1);
	r->vips = xcalloc(r->n_vips, sizeof(*r->vips));
	for (size_t i = 0; i < r->n_vips; i++) {
		rnd_prefix(&r->vips[i].prefix, 6);
		rnd_u64s(&r->vips[i].in_bytes, 5);
	}
	r->n_services = 1 + rnd(MAX_SERVICES);
	r->services = xcalloc(r->n_services, sizeof(*r->services));
	for (size_t i = 0; i < r->n_services; i++) {
		rnd_name(r->services[i].name);
		r->services[i].up = rnd(2);
		r->services[i].since_ms = rnd64();
		rnd_text(r->services[i].reason);
	}
	rnd_routes(&r->routes, &r->n_routes, rnd_count(MAX_PREFIXES));
}

static void rnd_directive(struct msg *m)
{
	m->directive.epoch = rnd64();
	m->directive.seq = rnd64();
	m->directive.n_shards = 1 + rnd_count(MAX_SHARDS - 1);
	m->directive.shards = xcalloc(m->directive.n_shards, sizeof(*m->directive.shards));
	for (size_t i = 0; i < m->directive.n_shards; i++)
		rnd_intent(&m->directive.shards[i]);
	rnd_name(m->directive.drill);
	m->directive.n_simulate = 1 + rnd_count(MAX_SHARDS - 1);
	m->directive.simulate = xcalloc(m->directive.n_simulate, sizeof(*m->directive.simulate));
	for (size_t i = 0; i < m->directive.n_simulate; i++) {
		struct simulate *s = &m->directive.simulate[i];
		s->what = rnd(5);
		rnd_name(s->service);
		rnd_name(s->shard);
		s->for_ms = rnd(SIMULATE_MS_MAX + 1);
	}
}

static void rnd_applied(struct msg *m)
{
	m->applied.epoch = rnd64();
	m->applied.seq = rnd64();
	rnd_text(m->applied.error);
	rnd_routes(&m->applied.routes, &m->applied.n_routes, rnd_count(MAX_PREFIXES));
}

static void rnd_permit(struct msg *m)
{
	rnd_name(m->permit_request.shard);
	rnd_text(m->permit_request.reason);
}

static void rnd_nonce(struct msg *m)
{
	m->nonce = rnd64();
}

static char *rnd_pem(void)
{
	return rnd(5) ? xasprintf("-----BEGIN X-----\n%u\r\n-----END X-----\n", rnd(1000000)) : NULL;
}

static void rnd_cert_request(struct msg *m)
{
	m->cert_request.csr = rnd_pem();
}

static void rnd_cert_answer(struct msg *m)
{
	m->cert_answer.cert = rnd_pem();
	rnd_text(m->cert_answer.error);
}

static void rnd_trust(struct msg *m)
{
	m->trust.ca = rnd_pem();
}

static void rnd_identity(struct msg *m)
{
	m->identity = (struct msg_identity){ .from_s = rnd64(), .to_s = rnd64(), .cas = rnd(9) };
	rnd_name(m->identity.serial);
	rnd_text(m->identity.ca_id);
	rnd_text(m->identity.error);
}

static void (*const makers[])(struct msg *m) = {
	[MSG_HELLO] = rnd_hello,
	[MSG_WELCOME] = rnd_welcome,
	[MSG_NOT_LEADER] = rnd_not_leader,
	[MSG_REFUSED] = rnd_refused,
	[MSG_REPORT] = rnd_report,
	[MSG_DIRECTIVE] = rnd_directive,
	[MSG_APPLIED] = rnd_applied,
	[MSG_PERMIT_REQUEST] = rnd_permit,
	[MSG_PING] = rnd_nonce,
	[MSG_PONG] = rnd_nonce,
	[MSG_CERT_REQUEST] = rnd_cert_request,
	[MSG_CERT_ANSWER] = rnd_cert_answer,
	[MSG_TRUST] = rnd_trust,
	[MSG_IDENTITY] = rnd_identity,
};

#define same_text(a, b, text)                                                                                \
	do {                                                                                                 \
		assert_int_equal(!(a).text, !(b).text);                                                      \
		if ((a).text)                                                                                \
			assert_string_equal((a).text, (b).text);                                             \
		(a).text = (b).text = NULL;                                                                  \
	} while (0)

#define same_list(a, b, list, n)                                                                             \
	do {                                                                                                 \
		assert_int_equal((a).n, (b).n);                                                              \
		if ((a).n)                                                                                   \
			assert_memory_equal((a).list, (b).list, (a).n * sizeof(*(a).list));                  \
		(a).list = (b).list = NULL;                                                                  \
	} while (0)

/* By bytes: all structs are zeroed before they are filled. The lists are compared, then left out. */
static void assert_same(struct msg a, struct msg b)
{
	assert_int_equal(a.kind, b.kind);
	if (a.kind == MSG_CERT_REQUEST)
		same_text(a.cert_request, b.cert_request, csr);
	if (a.kind == MSG_CERT_ANSWER)
		same_text(a.cert_answer, b.cert_answer, cert);
	if (a.kind == MSG_TRUST)
		same_text(a.trust, b.trust, ca);
	if (a.kind == MSG_HELLO)
		same_list(a.hello, b.hello, prefixes, n_prefixes);
	if (a.kind == MSG_DIRECTIVE) {
		same_list(a.directive, b.directive, shards, n_shards);
		same_list(a.directive, b.directive, simulate, n_simulate);
	}
	if (a.kind == MSG_APPLIED)
		same_list(a.applied, b.applied, routes, n_routes);
	if (a.kind == MSG_REPORT) {
		same_list(a.report, b.report, links, n_links);
		same_list(a.report, b.report, vips, n_vips);
		same_list(a.report, b.report, services, n_services);
		same_list(a.report, b.report, routes, n_routes);
	}
	assert_memory_equal(&a, &b, sizeof(a));
}

static void test_round_trip(void **state)
{
	(void)state;
	seed = (unsigned)mono_now().us;
	print_message("seed %u\n", seed);
	for (int round = 0; round < 300; round++) {
		struct msg m, back;
		auto_buf out = { 0 };
		char why[TEXT_LEN] = "";
		memset(&m, 0, sizeof(m));
		m.kind = (enum msg_kind)(1 + round % MSG_IDENTITY);
		makers[m.kind](&m);
		assert_int_equal(buf_adds(&out, "before"), 0);
		assert_int_equal(msg_pack(&m, &out), 0);
		assert_memory_equal(out.data, "before", 6);
		if (msg_unpack((uint8_t *)out.data + 6, out.len - 6, &back, why))
			fail_msg("%s: %s", msg_kind_str(m.kind), why);
		assert_same(m, back);
		msg_done(&m);
		msg_done(&back);
	}
}

/* all fields of the schema are carried: a descriptor with more fields than we fill would show here */
static void test_schema_is_covered(void **state)
{
	static const struct {
		const ProtobufCMessageDescriptor *d;
		unsigned fields;
	} rows[] = {
		{ &sluice__hello__descriptor, 7 },	    { &sluice__welcome__descriptor, 5 },
		{ &sluice__not_leader__descriptor, 1 },	    { &sluice__refused__descriptor, 2 },
		{ &sluice__link_sample__descriptor, 9 },    { &sluice__host_sample__descriptor, 7 },
		{ &sluice__vip_sample__descriptor, 6 },	    { &sluice__service_state__descriptor, 4 },
		{ &sluice__route_state__descriptor, 6 },    { &sluice__report__descriptor, 12 },
		{ &sluice__shard_intent__descriptor, 9 },   { &sluice__directive__descriptor, 6 },
		{ &sluice__simulate__descriptor, 4 },	    { &sluice__applied__descriptor, 4 },
		{ &sluice__permit_request__descriptor, 2 }, { &sluice__ping__descriptor, 1 },
		{ &sluice__pong__descriptor, 1 },	    { &sluice__cert_request__descriptor, 1 },
		{ &sluice__cert_answer__descriptor, 2 },    { &sluice__trust__descriptor, 1 },
		{ &sluice__identity__descriptor, 6 },	    { &sluice__envelope__descriptor, MSG_IDENTITY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(rows[i].d->n_fields, rows[i].fields);
}

static void test_bytes_on_the_wire(void **state)
{
	struct msg m = { .kind = MSG_PING, .nonce = 5 };
	auto_buf out = { 0 };

	(void)state;
	assert_int_equal(msg_pack(&m, &out), 0);
	assert_int_equal(out.len, 4);
	assert_memory_equal(out.data, "\x4a\x02\x08\x05", 4);
}

static void test_kind_names(void **state)
{
	(void)state;
	assert_string_equal(msg_kind_str(MSG_HELLO), "Hello");
	assert_string_equal(msg_kind_str(MSG_PERMIT_REQUEST), "PermitRequest");
	assert_string_equal(msg_kind_str(MSG_PONG), "Pong");
	assert_string_equal(msg_kind_str((enum msg_kind)0), "unknown");
	assert_string_equal(msg_kind_str((enum msg_kind)(MSG_IDENTITY + 1)), "unknown");
	assert_string_equal(msg_kind_str((enum msg_kind) - 1), "unknown");
}

/* ---- what must be refused ---- */

static void expect(Sluice__Envelope *env, int err, const char *says)
{
	auto_free uint8_t *bytes = xcalloc(1, sluice__envelope__get_packed_size(env));
	size_t n = sluice__envelope__pack(env, bytes);
	struct msg m = { .kind = MSG_PONG };
	char why[TEXT_LEN] = "";

	assert_int_equal(msg_unpack(bytes, n, &m, why), err);
	if (strcmp(why, says) != 0)
		fail_msg("said \"%s\", not \"%s\"", why, says);
	if (err)
		assert_int_equal(m.kind, MSG_PONG);
	else
		msg_done(&m);
}

#define ENVELOPE(kind_, field, body)                                                                         \
	Sluice__Envelope env = SLUICE__ENVELOPE__INIT;                                                       \
	env.body_case = SLUICE__ENVELOPE__BODY_##kind_;                                                      \
	env.field = (body)

static char long_name[] = "1234567890123456789012345678901234567890123456789012345678901234";
static char empty[] = "", host_bits[] = "192.0.2.1/24", v4[] = "192.0.2.0/24", v4b[] = "198.18.0.0/24",
	    v6[] = "2001:db8::/48", web[] = "web", newline[] = "web\nno router bgp", latin1[] = "caf\351",
	    del[] = "a\177", overlong[] = "\300\257", surrogate[] = "\355\240\200", c1[] = "a\302\205",
	    cut_utf8[] = "a\342\202", community[] = "64500:80", injected[] = "64500:80\nend";

static void test_lists_too_long(void **state)
{
	static const struct {
		const char *says;
		size_t max;
	} rows[] = {
		{ "Report.links: 17 entries, at most 16", MAX_LINKS },
		{ "Report.vips: 1025 entries, at most 1024", MAX_PREFIXES },
		{ "Report.services: 65 entries, at most 64", MAX_SERVICES },
		{ "Report.routes: 1025 entries, at most 1024", MAX_PREFIXES },
	};
	Sluice__LinkSample link = SLUICE__LINK_SAMPLE__INIT, *links[MAX_LINKS + 1];
	Sluice__ServiceState service = SLUICE__SERVICE_STATE__INIT, *services[MAX_SERVICES + 1];
	static Sluice__VipSample *vips[MAX_PREFIXES + 1];
	static Sluice__RouteState *routes[MAX_PREFIXES + 1];
	Sluice__VipSample vip = SLUICE__VIP_SAMPLE__INIT;
	Sluice__RouteState route = SLUICE__ROUTE_STATE__INIT;

	(void)state;
	vip.prefix = route.prefix = v4;
	for (size_t i = 0; i <= MAX_LINKS; i++)
		links[i] = &link;
	for (size_t i = 0; i <= MAX_SERVICES; i++)
		services[i] = &service;
	for (size_t i = 0; i <= MAX_PREFIXES; i++) {
		vips[i] = &vip;
		routes[i] = &route;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t over = 0; over < 2; over++) {
			Sluice__Report r = SLUICE__REPORT__INIT;
			r.links = links, r.vips = vips, r.services = services, r.routes = routes;
			*(i == 0   ? &r.n_links
			  : i == 1 ? &r.n_vips
			  : i == 2 ? &r.n_services
				   : &r.n_routes) = rows[i].max + over;
			ENVELOPE(REPORT, report, &r);
			expect(&env, over ? ERR_LIMIT : 0, over ? rows[i].says : "");
		}
}

static void test_hello_limits(void **state)
{
	static char *prefixes[MAX_PREFIXES + 1];
	Sluice__Hello h = SLUICE__HELLO__INIT;
	ENVELOPE(HELLO, hello, &h);

	(void)state;
	for (size_t i = 0; i <= MAX_PREFIXES; i++)
		prefixes[i] = v4;
	h.prefixes = prefixes;
	h.n_prefixes = MAX_PREFIXES;
	expect(&env, 0, "");
	h.n_prefixes = MAX_PREFIXES + 1;
	expect(&env, ERR_LIMIT, "Hello.prefixes: 1025 entries, at most 1024");
	h.n_prefixes = 3;
	prefixes[2] = host_bits;
	expect(&env, ERR_MALFORMED, "Hello.prefixes[2]: host bits are set");
	prefixes[2] = empty;
	expect(&env, ERR_MALFORMED, "Hello.prefixes[2]: not an IP address");
}

static void test_pem(void **state)
{
	Sluice__CertRequest body = SLUICE__CERT_REQUEST__INIT;
	auto_free char *big = xcalloc(PEM_TEXT_MAX + 2, 1);

	(void)state;
	memset(big, 'a', PEM_TEXT_MAX + 1);
	ENVELOPE(CERT_REQUEST, cert_request, &body);
	body.csr = big;
	expect(&env, ERR_LIMIT, "CertRequest.csr: 32769 bytes, at most 32768");
	body.csr = del;
	expect(&env, ERR_MALFORMED, "CertRequest.csr: not PEM");
	body.csr = latin1;
	expect(&env, ERR_MALFORMED, "CertRequest.csr: not PEM");
}

static void test_names(void **state)
{
	static char *const bad[] = { newline, latin1, del, overlong, surrogate, c1, cut_utf8 };
	Sluice__Hello h = SLUICE__HELLO__INIT;
	ENVELOPE(HELLO, hello, &h);

	(void)state;
	h.version = long_name;
	expect(&env, ERR_LIMIT, "Hello.version: 64 bytes, at most 63");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		h.version = bad[i];
		expect(&env, ERR_MALFORMED, "Hello.version: not printable text");
	}
}

static void test_intents(void **state)
{
	char *prefixes[] = { v4, v6, v6 };
	char *communities[MAX_COMMUNITIES + 1];
	Sluice__ShardIntent good = SLUICE__SHARD_INTENT__INIT, s, *shards[] = { &good, &s };
	Sluice__Directive d = SLUICE__DIRECTIVE__INIT;
	ENVELOPE(DIRECTIVE, directive, &d);

	(void)state;
	for (size_t i = 0; i <= MAX_COMMUNITIES; i++)
		communities[i] = community;
	good.shard = web;
	good.weight = 100;
	good.prefixes = prefixes;
	good.n_prefixes = 2;
	good.communities = communities;
	good.n_communities = MAX_COMMUNITIES;
	d.shards = shards;
	d.n_shards = 2;
	s = good;
	expect(&env, 0, "");
	s.shard = empty;
	expect(&env, ERR_MALFORMED, "Directive.shards[1].shard: empty");
	s = good, s.n_prefixes = 3;
	expect(&env, ERR_LIMIT, "Directive.shards[1].prefixes: 3 entries, at most 2");
	s = good, prefixes[1] = v4b;
	expect(&env, ERR_LIMIT, "Directive.shards[0].prefixes: two of one family");
	prefixes[1] = host_bits;
	expect(&env, ERR_MALFORMED, "Directive.shards[0].prefixes[1]: host bits are set");
	prefixes[1] = v6;
	s.prepends = 11;
	expect(&env, ERR_LIMIT, "Directive.shards[1].prepends: 11, at most 10");
	s = good, s.weight = 0;
	expect(&env, ERR_LIMIT, "Directive.shards[1].weight: 0, not in 1..100");
	s.withdrawn = true;
	expect(&env, 0, "");
	s.weight = 101;
	expect(&env, ERR_LIMIT, "Directive.shards[1].weight: 101, not in 1..100");
	s = good, s.n_communities = MAX_COMMUNITIES + 1;
	expect(&env, ERR_LIMIT, "Directive.shards[1].communities: 9 entries, at most 8");
	s = good, good.n_communities = 0, communities[3] = injected;
	expect(&env, ERR_MALFORMED, "Directive.shards[1].communities[3]: not a community like 64500:80");
	communities[3] = empty;
	expect(&env, ERR_MALFORMED, "Directive.shards[1].communities[3]: not a community like 64500:80");
}

static void test_permit_needs_a_shard(void **state)
{
	Sluice__PermitRequest p = SLUICE__PERMIT_REQUEST__INIT;
	ENVELOPE(PERMIT_REQUEST, permit_request, &p);

	(void)state;
	expect(&env, ERR_MALFORMED, "PermitRequest.shard: empty");
}

/* reasons are for people: cut and cleaned, never refused */
static void test_text_is_cut_and_cleaned(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = { { "plain", "plain" },
		     { "tab\there\n", "tab?here?" },
		     { "caf\303\251 \342\202\254 \360\237\230\200",
		       "caf\303\251 \342\202\254 \360\237\230\200" },
		     { "\351\351", "??" },
		     { "\300\257 \355\240\200 \365\200\200\200", "?? ??? ????" } };
	Sluice__Refused r = SLUICE__REFUSED__INIT;
	ENVELOPE(REFUSED, refused, &r);
	auto_free char *text = xcalloc(1, 2000);
	uint8_t bytes[3000];
	char why[TEXT_LEN];
	struct msg m;

	(void)state;
	r.reason = text;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		strcpy(text, rows[i].in);
		assert_int_equal(msg_unpack(bytes, sluice__envelope__pack(&env, bytes), &m, why), 0);
		assert_string_equal(m.refused.reason, rows[i].out);
	}
	/* a two-byte character across the end is left out whole */
	memset(text, 'x', 254);
	strcpy(text + 254, "\303\251 and on and on");
	assert_int_equal(msg_unpack(bytes, sluice__envelope__pack(&env, bytes), &m, why), 0);
	assert_int_equal(strlen(m.refused.reason), 254);
	strcpy(text + 253, "\303\251 and on and on");
	assert_int_equal(msg_unpack(bytes, sluice__envelope__pack(&env, bytes), &m, why), 0);
	assert_int_equal(strlen(m.refused.reason), 255);
}

static void test_unknown_body(void **state)
{
	static const char *const rows[] = { "", "\x9a\x06\x00", "\x98\x06\x01" };
	static const size_t len[] = { 0, 3, 3 };
	char why[TEXT_LEN] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct msg m = { .kind = MSG_PONG };
		assert_int_equal(msg_unpack((const uint8_t *)rows[i], len[i], &m, why), 0);
		assert_int_equal(m.kind, 0);
		msg_done(&m);
	}
	/* an unknown field in a known body is no reason either */
	struct msg m;
	assert_int_equal(msg_unpack((const uint8_t *)"\x4a\x05\x08\x05\x9a\x06\x00", 7, &m, why), 0);
	assert_int_equal(m.kind, MSG_PING);
	assert_int_equal(m.nonce, 5);
}

static void test_garbage(void **state)
{
	struct msg m = { .kind = MSG_PONG };
	char why[TEXT_LEN] = "";

	(void)state;
	assert_int_equal(msg_unpack((const uint8_t *)"\x0a\x7f", 2, &m, why), ERR_MALFORMED);
	assert_string_equal(why, "not a Sluice message: 2 bytes that do not parse");
	assert_int_equal(m.kind, MSG_PONG);
}

/* two bytes on the wire for each of 100,000 routes: stopped by the budget, not by the machine's memory */
static void test_amplification(void **state)
{
	const size_t n = 200000;
	auto_free uint8_t *bytes = xcalloc(1, n + 4);
	char why[TEXT_LEN] = "";
	struct msg m;

	(void)state;
	bytes[0] = 0x2a; /* report */
	bytes[1] = (uint8_t)(0x80 | (n & 0x7f));
	bytes[2] = (uint8_t)(0x80 | (n >> 7 & 0x7f));
	bytes[3] = (uint8_t)(n >> 14);
	for (size_t i = 0; i < n; i += 2)
		bytes[4 + i] = 0x42; /* routes: 0 bytes */
	assert_int_equal(msg_unpack(bytes, n + 4, &m, why), ERR_LIMIT);
	assert_non_null(strstr(why, "too many things"));
}

/* no proper prefix of a message may crash; whatever unpacks is whole */
static void test_every_truncation(void **state)
{
	struct msg m;
	auto_buf out = { 0 };
	char why[TEXT_LEN];

	(void)state;
	memset(&m, 0, sizeof(m));
	seed = 7;
	m.kind = MSG_REPORT;
	do {
		msg_done(&m);
		rnd_report(&m);
	} while (m.report.n_vips > 8 || m.report.n_routes > 8 || m.report.n_services > 8);
	assert_int_equal(msg_pack(&m, &out), 0);
	msg_done(&m);
	for (size_t n = 1; n < out.len; n++) {
		auto_free uint8_t *exact = xcalloc(1, n);
		memcpy(exact, out.data, n);
		assert_int_equal(msg_unpack(exact, n, &m, why), ERR_MALFORMED);
	}
}

/* ---- packing ---- */

static void test_pack_refuses(void **state)
{
	auto_buf out = { 0 };
	struct prefix none = { 0 };
	struct shard_intent s[2] = { { .shard = "a", .weight = 1 }, { .shard = "b", .weight = 0 } };
	struct msg m = { .kind = (enum msg_kind)0 };

	(void)state;
	assert_int_equal(msg_pack(&m, &out), ERR_MALFORMED);
	m.kind = (enum msg_kind)77;
	assert_int_equal(msg_pack(&m, &out), ERR_MALFORMED);
	m = (struct msg){ .kind = MSG_HELLO, .hello = { .prefixes = &none, .n_prefixes = 1 } };
	assert_int_equal(msg_pack(&m, &out), ERR_MALFORMED);
	m.hello.n_prefixes = MAX_PREFIXES + 1;
	assert_int_equal(msg_pack(&m, &out), ERR_LIMIT);
	m = (struct msg){ .kind = MSG_DIRECTIVE, .directive = { .shards = s, .n_shards = 2 } };
	assert_int_equal(msg_pack(&m, &out), ERR_LIMIT);
	assert_int_equal(out.len, 0);
	s[1].weight = 1;
	assert_int_equal(msg_pack(&m, &out), 0);
	auto_buf small = { .max = 3 };
	assert_int_equal(msg_pack(&m, &small), ERR_LIMIT);
	assert_int_equal(small.len, 0);
}

static void test_directive_copy(void **state)
{
	struct msg m = { .kind = MSG_DIRECTIVE };
	struct msg_directive copy, nothing = { .epoch = 3 };

	(void)state;
	seed = 1;
	rnd_directive(&m);
	directive_copy(&m.directive, &copy);
	assert_ptr_not_equal(copy.shards, m.directive.shards);
	assert_int_equal(copy.n_shards, m.directive.n_shards);
	assert_memory_equal(copy.shards, m.directive.shards, copy.n_shards * sizeof(*copy.shards));
	msg_done(&m);
	assert_null(m.directive.shards);
	assert_int_equal(m.directive.n_shards, 0);
	directive_done(&copy);
	assert_null(copy.shards);
	directive_copy(&nothing, &copy);
	assert_int_equal(copy.epoch, 3);
	assert_null(copy.shards);
	directive_done(&copy);
}

static void test_corpus(void **state)
{
	(void)state;
	assert_in_range(fuzz_replay("tests/fuzz/corpus/msg"), 10, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_schema_is_covered),
		cmocka_unit_test(test_bytes_on_the_wire),
		cmocka_unit_test(test_kind_names),
		cmocka_unit_test(test_lists_too_long),
		cmocka_unit_test(test_hello_limits),
		cmocka_unit_test(test_pem),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_intents),
		cmocka_unit_test(test_permit_needs_a_shard),
		cmocka_unit_test(test_text_is_cut_and_cleaned),
		cmocka_unit_test(test_unknown_body),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_amplification),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_pack_refuses),
		cmocka_unit_test(test_directive_copy),
		cmocka_unit_test(test_corpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
