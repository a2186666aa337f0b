/* SPDX-License-Identifier: Apache-2.0
 * The one file that sees the generated protobuf code. Each message is a table of fields that gives the place
 * of a value in the generated struct and in ours; packing, unpacking and freeing are loops over these tables.
 * The generated structs are built with the plain allocator and freed by protobuf-c; unpacking runs with a
 * budget, since a frame of two-byte submessages would otherwise cost fifty times its size. Pure. */
#include "proto/wire/msg.h"

#include <stdarg.h>
#include <string.h>

#include "proto/base/err.h"
#include "sluice.pb-c.h"

/* above what the largest frame within our limits takes */
#define UNPACK_BUDGET (4 * 1024 * 1024)
#define ALLOC_COST    32 /* what malloc adds to a small block, about */

enum field_type { F_U32, F_I32, F_U64, F_BOOL, F_NAME, F_TEXT, F_COMMUNITY, F_PREFIX, F_PEM, F_MSG };

struct shape;
struct field {
	const char *name;
	enum field_type type;
	size_t pb, own;		 /* offsets of the value, or of the list */
	const struct shape *sub; /* F_MSG */
	size_t max, elem;	 /* lists: most entries, size of one of ours */
	bool heap;		 /* ours is a pointer, not an inline array */
	size_t pb_n, own_n;	 /* offsets of the counts */
};

struct reader {
	char why[TEXT_LEN];
};

struct shape {
	const ProtobufCMessageDescriptor *desc;
	const struct field *fields;
	size_t n;
	int (*check)(struct reader *r, const void *own);
};

/* ---- tables ---- */

#define PB(M)	      Sluice__##M
#define SAME(expr, T) (0 * sizeof(char[__builtin_types_compatible_p(__typeof__(expr), T) ? 1 : -1]))
/* one value: the types on both sides are checked by the compiler */
#define ONE(type, M, S, f, PT, T)                                                                            \
	{                                                                                                    \
		.name = #f, type, .pb = offsetof(PB(M), f) + SAME(((PB(M) *)0)->f, PT),                      \
		.own = offsetof(struct S, f) + SAME(((struct S *)0)->f, T)                                   \
	}
#define U32(M, S, f)	ONE(F_U32, M, S, f, uint32_t, uint32_t)
#define I32(M, S, f)	ONE(F_I32, M, S, f, int32_t, int)
#define U64(M, S, f)	ONE(F_U64, M, S, f, uint64_t, uint64_t)
#define BOOL(M, S, f)	ONE(F_BOOL, M, S, f, protobuf_c_boolean, bool)
#define NAME(M, S, f)	ONE(F_NAME, M, S, f, char *, char[NAME_LEN])
#define TEXT(M, S, f)	ONE(F_TEXT, M, S, f, char *, char[TEXT_LEN])
#define PEM(M, S, f)	ONE(F_PEM, M, S, f, char *, char *)
#define PREFIX(M, S, f) ONE(F_PREFIX, M, S, f, char *, struct prefix)
#define LIST(type_, M, S, f, sub_, max_, heap_)                                                              \
	{                                                                                                    \
		.name = #f, type_, offsetof(PB(M), f), offsetof(struct S, f), sub_, max_,                    \
		sizeof(((struct S *)0)->f[0]), heap_, offsetof(PB(M), n_##f), offsetof(struct S, n_##f)      \
	}
#define SHAPE(lower, table, check_)                                                                          \
	{                                                                                                    \
		&sluice__##lower##__descriptor, table, ARRAY_LEN(table), check_                              \
	}

static int check_intent(struct reader *r, const void *own);
static int check_permit(struct reader *r, const void *own);
static int check_simulate(struct reader *r, const void *own);

static const struct field link_fields[] = {
	NAME(LinkSample, link_sample, name),	  U64(LinkSample, link_sample, rx_bytes),
	U64(LinkSample, link_sample, tx_bytes),	  U64(LinkSample, link_sample, rx_packets),
	U64(LinkSample, link_sample, tx_packets), U64(LinkSample, link_sample, rx_drops),
	U64(LinkSample, link_sample, tx_drops),	  U64(LinkSample, link_sample, qdisc_drops),
	U64(LinkSample, link_sample, speed_bps),
};
static const struct shape link_shape = SHAPE(link_sample, link_fields, NULL);

static const struct field host_fields[] = {
	U64(HostSample, host_sample, cpu_busy_us),   U64(HostSample, host_sample, cpu_total_us),
	U64(HostSample, host_sample, softnet_drops), U64(HostSample, host_sample, tcp_established),
	U64(HostSample, host_sample, listen_queue),  U64(HostSample, host_sample, listen_drops),
	U64(HostSample, host_sample, udp_drops),
};
static const struct shape host_shape = SHAPE(host_sample, host_fields, NULL);

static const struct field vip_fields[] = {
	PREFIX(VipSample, vip_sample, prefix),	 U64(VipSample, vip_sample, in_bytes),
	U64(VipSample, vip_sample, in_packets),	 U64(VipSample, vip_sample, out_bytes),
	U64(VipSample, vip_sample, out_packets), U64(VipSample, vip_sample, syns),
};
static const struct shape vip_shape = SHAPE(vip_sample, vip_fields, NULL);

static const struct field service_fields[] = {
	NAME(ServiceState, service_state, name),
	BOOL(ServiceState, service_state, up),
	U64(ServiceState, service_state, since_ms),
	TEXT(ServiceState, service_state, reason),
};
static const struct shape service_shape = SHAPE(service_state, service_fields, NULL);

static const struct field route_fields[] = {
	PREFIX(RouteState, route_state, prefix),  NAME(RouteState, route_state, grade),
	U32(RouteState, route_state, weight),	  BOOL(RouteState, route_state, announced),
	U32(RouteState, route_state, neighbours), TEXT(RouteState, route_state, error),
};
static const struct shape route_shape = SHAPE(route_state, route_fields, NULL);

static const struct field intent_fields[] = {
	NAME(ShardIntent, shard_intent, shard),
	LIST(F_PREFIX, ShardIntent, shard_intent, prefixes, NULL, SHARD_PREFIXES, false),
	NAME(ShardIntent, shard_intent, grade),
	U32(ShardIntent, shard_intent, prepends),
	LIST(F_COMMUNITY, ShardIntent, shard_intent, communities, NULL, MAX_COMMUNITIES, false),
	BOOL(ShardIntent, shard_intent, withdrawn),
	U32(ShardIntent, shard_intent, weight),
	U32(ShardIntent, shard_intent, permit_ms),
	U32(ShardIntent, shard_intent, expires_ms),
};
static const struct shape intent_shape = SHAPE(shard_intent, intent_fields, check_intent);

static const struct field simulate_fields[] = {
	U32(Simulate, simulate, what),
	NAME(Simulate, simulate, service),
	NAME(Simulate, simulate, shard),
	U32(Simulate, simulate, for_ms),
};
static const struct shape simulate_shape = SHAPE(simulate, simulate_fields, check_simulate);

static const struct field hello_fields[] = {
	U32(Hello, msg_hello, major),
	U32(Hello, msg_hello, minor),
	NAME(Hello, msg_hello, version),
	NAME(Hello, msg_hello, boot_id),
	U64(Hello, msg_hello, last_epoch),
	LIST(F_PREFIX, Hello, msg_hello, prefixes, NULL, MAX_PREFIXES, true),
	BOOL(Hello, msg_hello, no_drills),
};
static const struct field welcome_fields[] = {
	U32(Welcome, msg_welcome, major),	U32(Welcome, msg_welcome, minor),
	U64(Welcome, msg_welcome, epoch),	U32(Welcome, msg_welcome, report_interval_ms),
	NAME(Welcome, msg_welcome, controller),
};
static const struct field not_leader_fields[] = { NAME(NotLeader, msg_not_leader, leader) };
static const struct field refused_fields[] = {
	I32(Refused, msg_refused, code),
	TEXT(Refused, msg_refused, reason),
};
static const struct field report_fields[] = {
	U64(Report, msg_report, seq),
	U64(Report, msg_report, mono_us),
	NAME(Report, msg_report, boot_id),
	LIST(F_MSG, Report, msg_report, links, &link_shape, MAX_LINKS, true),
	{ "host", F_MSG, offsetof(PB(Report), host), offsetof(struct msg_report, host), .sub = &host_shape },
	LIST(F_MSG, Report, msg_report, vips, &vip_shape, MAX_PREFIXES, true),
	LIST(F_MSG, Report, msg_report, services, &service_shape, MAX_SERVICES, true),
	LIST(F_MSG, Report, msg_report, routes, &route_shape, MAX_PREFIXES, true),
	U64(Report, msg_report, applied_epoch),
	U64(Report, msg_report, boot_us),
	U64(Report, msg_report, applied_seq),
	BOOL(Report, msg_report, bgp_ok),
};
static const struct field directive_fields[] = {
	U64(Directive, msg_directive, epoch),
	U64(Directive, msg_directive, seq),
	U64(Directive, msg_directive, heard_us),
	LIST(F_MSG, Directive, msg_directive, shards, &intent_shape, MAX_SHARDS, true),
	NAME(Directive, msg_directive, drill),
	LIST(F_MSG, Directive, msg_directive, simulate, &simulate_shape, MAX_SHARDS, true),
};
static const struct field applied_fields[] = {
	U64(Applied, msg_applied, epoch),
	U64(Applied, msg_applied, seq),
	LIST(F_MSG, Applied, msg_applied, routes, &route_shape, MAX_PREFIXES, true),
	TEXT(Applied, msg_applied, error),
};
static const struct field permit_fields[] = {
	NAME(PermitRequest, msg_permit_request, shard),
	TEXT(PermitRequest, msg_permit_request, reason),
};
/* our nonce sits at the start of the union */
static const struct field ping_fields[] = { { "nonce", F_U64, .pb = offsetof(PB(Ping), nonce) } };
static const struct field pong_fields[] = { { "nonce", F_U64, .pb = offsetof(PB(Pong), nonce) } };
static const struct field cert_request_fields[] = { PEM(CertRequest, msg_cert_request, csr) };
static const struct field cert_answer_fields[] = {
	PEM(CertAnswer, msg_cert_answer, cert),
	TEXT(CertAnswer, msg_cert_answer, error),
};
static const struct field trust_fields[] = { PEM(Trust, msg_trust, ca) };
static const struct field identity_fields[] = {
	NAME(Identity, msg_identity, serial), U64(Identity, msg_identity, from_s),
	U64(Identity, msg_identity, to_s),    TEXT(Identity, msg_identity, ca_id),
	U32(Identity, msg_identity, cas),     TEXT(Identity, msg_identity, error),
};

/* msg_kind is the field number in Envelope */
static const struct {
	const char *name;
	struct shape shape;
} kinds[] = {
	[MSG_HELLO] = { "Hello", SHAPE(hello, hello_fields, NULL) },
	[MSG_WELCOME] = { "Welcome", SHAPE(welcome, welcome_fields, NULL) },
	[MSG_NOT_LEADER] = { "NotLeader", SHAPE(not_leader, not_leader_fields, NULL) },
	[MSG_REFUSED] = { "Refused", SHAPE(refused, refused_fields, NULL) },
	[MSG_REPORT] = { "Report", SHAPE(report, report_fields, NULL) },
	[MSG_DIRECTIVE] = { "Directive", SHAPE(directive, directive_fields, NULL) },
	[MSG_APPLIED] = { "Applied", SHAPE(applied, applied_fields, NULL) },
	[MSG_PERMIT_REQUEST] = { "PermitRequest", SHAPE(permit_request, permit_fields, check_permit) },
	[MSG_PING] = { "Ping", SHAPE(ping, ping_fields, NULL) },
	[MSG_PONG] = { "Pong", SHAPE(pong, pong_fields, NULL) },
	[MSG_CERT_REQUEST] = { "CertRequest", SHAPE(cert_request, cert_request_fields, NULL) },
	[MSG_CERT_ANSWER] = { "CertAnswer", SHAPE(cert_answer, cert_answer_fields, NULL) },
	[MSG_TRUST] = { "Trust", SHAPE(trust, trust_fields, NULL) },
	[MSG_IDENTITY] = { "Identity", SHAPE(identity, identity_fields, NULL) },
};
_Static_assert((int)SLUICE__ENVELOPE__BODY_IDENTITY == MSG_IDENTITY && ARRAY_LEN(kinds) == MSG_IDENTITY + 1,
	       "kinds follow the field numbers of Envelope");
_Static_assert(offsetof(Sluice__Envelope, hello) == offsetof(Sluice__Envelope, identity),
	       "bodies share one pointer");

#define BODY(m) ((char *)(m) + offsetof(struct msg, hello))

static const struct shape *shape_of(enum msg_kind k)
{
	return (size_t)k < ARRAY_LEN(kinds) && kinds[k].name ? &kinds[k].shape : NULL;
}

const char *msg_kind_str(enum msg_kind k)
{
	return shape_of(k) ? kinds[k].name : "unknown";
}

/* ---- refusing ---- */

static int refuse(struct reader *r, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int refuse(struct reader *r, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
	return err;
}

/* Puts "name." or "name[3]." in front of why while the error travels up. */
static int in_field(struct reader *r, int err, const char *name, long index)
{
	char was[TEXT_LEN], at[32] = "";

	memcpy(was, r->why, sizeof(was));
	if (index >= 0)
		snprintf(at, sizeof(at), "[%ld]", index);
	int n = snprintf(r->why, sizeof(r->why), "%s%s%s%s", name, at, was[0] == ':' ? "" : ".", was);
	(void)n; /* a cut reason is still a reason */
	return err;
}

/* ---- text from a peer ---- */

/* Length of the well-formed UTF-8 character at s without control characters; 0 when it is none (RFC 3629). */
static size_t utf8_char(const uint8_t *s)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t min;
	} forms[] = {
		{ 0x80, 0x00, 0x20 }, { 0xe0, 0xc0, 0xa0 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 }
	};

	for (size_t n = 0; n < ARRAY_LEN(forms); n++) {
		if ((s[0] & forms[n].mask) != forms[n].lead)
			continue;
		uint32_t c = s[0] & (uint8_t)~forms[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((s[i] & 0xc0) != 0x80) /* the NUL at the end stops here too */
				return 0;
			c = c << 6 | (s[i] & 0x3f);
		}
		bool bad = c < forms[n].min || c == 0x7f || c > 0x10ffff || (c >= 0xd800 && c < 0xe000);
		return bad ? 0 : n + 1;
	}
	return 0;
}

void msg_text(const char *from, char *to)
{
	const uint8_t *s = (const uint8_t *)from;
	size_t used = 0;

	while (*s) {
		size_t n = utf8_char(s);
		if (used + (n ? n : 1) >= TEXT_LEN)
			break;
		if (n)
			memcpy(to + used, s, n);
		else
			to[used] = '?';
		used += n ? n : 1;
		s += n ? n : 1;
	}
	to[used] = 0;
}

static int copy_name(struct reader *r, const char *from, char *to)
{
	size_t len = strlen(from);

	if (len >= NAME_LEN)
		return refuse(r, ERR_LIMIT, ": %zu bytes, at most %d", len, NAME_LEN - 1);
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_char((const uint8_t *)from + i);
		if (n == 0)
			return refuse(r, ERR_MALFORMED, ": not printable text");
	}
	memcpy(to, from, len + 1);
	return 0;
}

/* ---- one value: from the generated struct's slot into ours ---- */

static int get_community(struct reader *r, const char *s, char *to)
{
	/* it is typed into bgpd's command line one day: digits and colons only */
	if (!*s || strspn(s, "0123456789:") != strlen(s))
		return refuse(r, ERR_MALFORMED, ": not a community like 64500:80");
	return copy_name(r, s, to);
}

static int get_prefix(struct reader *r, const char *s, struct prefix *to)
{
	const char *why = NULL;

	if (prefix_parse(s, to, &why))
		return refuse(r, ERR_MALFORMED, ": %s", why);
	return 0;
}

/* Certificates in base64: printable ASCII and line ends. */
static int get_pem(struct reader *r, const char *s, char **ret_text)
{
	size_t len = strlen(s);

	if (len > PEM_TEXT_MAX)
		return refuse(r, ERR_LIMIT, ": %zu bytes, at most %d", len, PEM_TEXT_MAX);
	for (size_t i = 0; i < len; i++)
		if ((s[i] < ' ' || s[i] > '~') && s[i] != '\n' && s[i] != '\r')
			return refuse(r, ERR_MALFORMED, ": not PEM");
	*ret_text = len ? xstrdup(s) : NULL;
	return 0;
}

static int get_fields(struct reader *r, const struct shape *s, const void *pb, void *own);

static int get_value(struct reader *r, const struct field *f, const void *slot, void *own)
{
	switch (f->type) {
	case F_U32:
	case F_I32:
		memcpy(own, slot, sizeof(uint32_t));
		return 0;
	case F_U64:
		memcpy(own, slot, sizeof(uint64_t));
		return 0;
	case F_BOOL:
		*(bool *)own = *(const protobuf_c_boolean *)slot;
		return 0;
	case F_NAME:
		return copy_name(r, *(char *const *)slot, own);
	case F_TEXT:
		msg_text(*(char *const *)slot, own);
		return 0;
	case F_COMMUNITY:
		return get_community(r, *(char *const *)slot, own);
	case F_PREFIX:
		return get_prefix(r, *(char *const *)slot, own);
	case F_PEM:
		return get_pem(r, *(char *const *)slot, own);
	case F_MSG: {
		const void *sub = *(void *const *)slot;
		return sub ? get_fields(r, f->sub, sub, own) : 0;
	}
	}
	return 0;
}

static int get_list(struct reader *r, const struct field *f, const char *pb, char *own)
{
	size_t n = *(const size_t *)(const void *)(pb + f->pb_n);
	char *const *slots = *(char *const *const *)(const void *)(pb + f->pb);
	char *to = own + f->own;

	if (n > f->max)
		return in_field(r, refuse(r, ERR_LIMIT, ": %zu entries, at most %zu", n, f->max), f->name,
				-1);
	if (f->heap && n > 0) {
		to = xcalloc(n, f->elem);
		*(void **)(void *)(own + f->own) = to;
	}
	for (size_t i = 0; i < n; i++) {
		int err = get_value(r, f, &slots[i], to + i * f->elem);
		if (err)
			return in_field(r, err, f->name, (long)i);
	}
	*(size_t *)(void *)(own + f->own_n) = n;
	return 0;
}

static int get_fields(struct reader *r, const struct shape *s, const void *pb, void *own)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct field *f = &s->fields[i];
		if (f->max) {
			int err = get_list(r, f, pb, own);
			if (err)
				return err;
			continue;
		}
		int err = get_value(r, f, (const char *)pb + f->pb, (char *)own + f->own);
		if (err)
			return in_field(r, err, f->name, -1);
	}
	return s->check ? s->check(r, own) : 0;
}

/* ---- one value: from ours into the generated struct ---- */

static int put_fields(const struct shape *s, const void *own, ProtobufCMessage **ret_pb);

static void put_string(const char *s, void *slot)
{
	if (*s) /* an empty one stays the generated default, which is not freed */
		*(char **)slot = xstrdup(s);
}

static int put_value(const struct field *f, const void *own, void *slot)
{
	char text[PREFIX_STRLEN];

	switch (f->type) {
	case F_U32:
	case F_I32:
		memcpy(slot, own, sizeof(uint32_t));
		return 0;
	case F_U64:
		memcpy(slot, own, sizeof(uint64_t));
		return 0;
	case F_BOOL:
		*(protobuf_c_boolean *)slot = *(const bool *)own;
		return 0;
	case F_NAME:
	case F_TEXT:
	case F_COMMUNITY:
		put_string(own, slot);
		return 0;
	case F_PREFIX:
		if (!((const struct prefix *)own)->family)
			return ERR_MALFORMED;
		put_string(prefix_str(own, text), slot);
		return 0;
	case F_PEM:
		put_string(*(char *const *)own ? *(char *const *)own : "", slot);
		return 0;
	case F_MSG:
		return put_fields(f->sub, own, slot);
	}
	return 0;
}

static int put_list(const struct field *f, const char *own, char *pb)
{
	size_t n = *(const size_t *)(const void *)(own + f->own_n);
	const char *from = f->heap ? *(char *const *)(const void *)(own + f->own) : own + f->own;

	if (n > f->max)
		return ERR_LIMIT;
	if (n == 0)
		return 0;
	char **slots = xcalloc(n, sizeof(*slots));
	*(char ***)(void *)(pb + f->pb) = slots;
	/* strings in a list have no default: set them all so that an error half-way can be freed */
	*(size_t *)(void *)(pb + f->pb_n) = n;
	for (size_t i = 0; i < n; i++) {
		int err = put_value(f, from + i * f->elem, &slots[i]);
		if (err)
			return err;
		if (!slots[i])
			slots[i] = xstrdup("");
	}
	return 0;
}

static int put_fields(const struct shape *s, const void *own, ProtobufCMessage **ret_pb)
{
	struct reader unused;
	ProtobufCMessage *pb = xcalloc(1, s->desc->sizeof_message);

	s->desc->message_init(pb);
	*ret_pb = pb; /* also on error: the caller frees the whole tree */
	if (s->check && s->check(&unused, own))
		return ERR_LIMIT;
	for (size_t i = 0; i < s->n; i++) {
		const struct field *f = &s->fields[i];
		int err = f->max ? put_list(f, own, (char *)pb)
				 : put_value(f, (const char *)own + f->own, (char *)pb + f->pb);
		if (err)
			return err;
	}
	return 0;
}

/* ---- what a table cannot say ---- */

static int check_intent(struct reader *r, const void *own)
{
	const struct shard_intent *s = own;

	if (!s->shard[0])
		return refuse(r, ERR_MALFORMED, "shard: empty");
	if (s->n_prefixes == 2 && s->prefixes[0].family == s->prefixes[1].family)
		return refuse(r, ERR_LIMIT, "prefixes: two of one family");
	if (s->prepends > 10)
		return refuse(r, ERR_LIMIT, "prepends: %u, at most 10", s->prepends);
	if (s->weight > 100 || (s->weight == 0 && !s->withdrawn))
		return refuse(r, ERR_LIMIT, "weight: %u, not in 1..100", s->weight);
	return 0;
}

static int check_permit(struct reader *r, const void *own)
{
	const struct msg_permit_request *p = own;

	return p->shard[0] ? 0 : refuse(r, ERR_MALFORMED, "shard: empty");
}

static int check_simulate(struct reader *r, const void *own)
{
	const struct simulate *s = own;

	return s->for_ms <= SIMULATE_MS_MAX
		       ? 0
		       : refuse(r, ERR_LIMIT, "for_ms: %u, at most %u", s->for_ms, SIMULATE_MS_MAX);
}

/* ---- whole messages ---- */

struct budget {
	size_t left;
	bool spent;
};

static void *budget_alloc(void *arg, size_t size)
{
	struct budget *b = arg;

	if (size + ALLOC_COST > b->left) {
		b->spent = true;
		return NULL;
	}
	b->left -= size + ALLOC_COST;
	return malloc(size);
}

static void budget_free(void *arg, void *p)
{
	(void)arg;
	free(p);
}

int msg_pack(const struct msg *m, struct buf *out)
{
	const struct shape *s = shape_of(m->kind);
	Sluice__Envelope env = SLUICE__ENVELOPE__INIT;
	ProtobufCMessage *body = NULL;

	if (!s)
		return ERR_MALFORMED;
	int err = put_fields(s, (const char *)m + offsetof(struct msg, hello), &body);
	if (!err) {
		env.body_case = (Sluice__Envelope__BodyCase)m->kind;
		memcpy((char *)&env + offsetof(Sluice__Envelope, hello), &body, sizeof(body));
		auto_free uint8_t *bytes = xcalloc(sluice__envelope__get_packed_size(&env), 1);
		err = buf_add(out, bytes, sluice__envelope__pack(&env, bytes));
	}
	protobuf_c_message_free_unpacked(body, NULL);
	return err;
}

static int read_envelope(struct reader *r, const Sluice__Envelope *env, struct msg *m)
{
	const struct shape *s = shape_of((enum msg_kind)env->body_case);
	void *body;

	if (!s)
		return 0;
	m->kind = (enum msg_kind)env->body_case;
	memcpy(&body, (const char *)env + offsetof(Sluice__Envelope, hello), sizeof(body));
	int err = get_fields(r, s, body, BODY(m));
	return err ? in_field(r, err, msg_kind_str(m->kind), -1) : 0;
}

int msg_unpack(const uint8_t *data, size_t len, struct msg *ret_msg, char *ret_why)
{
	struct budget b = { .left = UNPACK_BUDGET };
	ProtobufCAllocator budget = { budget_alloc, budget_free, &b };
	struct reader r = { "" };
	struct msg m;

	Sluice__Envelope *env = sluice__envelope__unpack(&budget, len, data);
	if (!env) {
		snprintf(ret_why, TEXT_LEN, "not a Sluice message: %zu bytes that %s", len,
			 b.spent ? "hold too many things" : "do not parse");
		return b.spent ? ERR_LIMIT : ERR_MALFORMED;
	}
	memset(&m, 0, sizeof(m));
	int err = read_envelope(&r, env, &m);
	sluice__envelope__free_unpacked(env, &budget);
	if (err) {
		msg_done(&m);
		memcpy(ret_why, r.why, TEXT_LEN);
		return err;
	}
	*ret_msg = m;
	return 0;
}

void msg_done(struct msg *m)
{
	const struct shape *s = shape_of(m->kind);

	for (size_t i = 0; s && i < s->n; i++) {
		const struct field *f = &s->fields[i];
		void **heap = (void **)(void *)(BODY(m) + f->own);
		if (!f->heap && f->type != F_PEM)
			continue;
		free(*heap);
		*heap = NULL;
		if (f->heap)
			*(size_t *)(void *)(BODY(m) + f->own_n) = 0;
	}
}

void directive_copy(const struct msg_directive *from, struct msg_directive *ret_to)
{
	struct msg_directive d = *from;

	d.shards = NULL;
	if (d.n_shards) {
		d.shards = xcalloc(d.n_shards, sizeof(*d.shards));
		memcpy(d.shards, from->shards, d.n_shards * sizeof(*d.shards));
	}
	d.simulate = NULL;
	if (d.n_simulate) {
		d.simulate = xcalloc(d.n_simulate, sizeof(*d.simulate));
		memcpy(d.simulate, from->simulate, d.n_simulate * sizeof(*d.simulate));
	}
	*ret_to = d;
}

void directive_done(struct msg_directive *d)
{
	free(d->shards);
	free(d->simulate);
	*d = (struct msg_directive){ 0 };
}
