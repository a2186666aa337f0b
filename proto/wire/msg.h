/* SPDX-License-Identifier: Apache-2.0
 * The messages of proto/sluice.proto as plain structs with fixed limits, and their packing. The generated
 * code is seen by msg.c alone. Every count and string a peer sends is checked against the limits here. */
#ifndef WIRE_MSG_H
#define WIRE_MSG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/addr.h"
#include "proto/base/mem.h"

#define PROTO_MAJOR 1
#define PROTO_MINOR 1

#define NAME_LEN	64   /* names of nodes, sites, services, shards, grades; NUL included */
#define TEXT_LEN	256  /* reasons; NUL included; longer text is cut, not refused */
#define MAX_PREFIXES	1024 /* per node: whitelist, routes, VIP samples */
#define MAX_SHARDS	1024
#define MAX_LINKS	16
#define MAX_SERVICES	64
#define MAX_COMMUNITIES 8
#define SHARD_PREFIXES	2 /* at most one of each family */
#define PEM_TEXT_MAX	(32 * 1024)

enum msg_kind {
	MSG_HELLO = 1,
	MSG_WELCOME,
	MSG_NOT_LEADER,
	MSG_REFUSED,
	MSG_REPORT,
	MSG_DIRECTIVE,
	MSG_APPLIED,
	MSG_PERMIT_REQUEST,
	MSG_PING,
	MSG_PONG,
	MSG_CERT_REQUEST,
	MSG_CERT_ANSWER,
	MSG_TRUST,
	MSG_IDENTITY,
};

struct msg_hello {
	uint32_t major, minor;
	char version[NAME_LEN], boot_id[NAME_LEN];
	uint64_t last_epoch;
	struct prefix *prefixes; /* heap */
	size_t n_prefixes;
	bool no_drills;
};

struct msg_welcome {
	uint32_t major, minor, report_interval_ms;
	uint64_t epoch;
	char controller[NAME_LEN];
};

struct msg_not_leader {
	char leader[NAME_LEN];
};

struct msg_refused {
	int code;
	char reason[TEXT_LEN];
};

struct link_sample {
	char name[NAME_LEN];
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets, rx_drops, tx_drops, qdisc_drops, speed_bps;
};

struct host_sample {
	uint64_t cpu_busy_us, cpu_total_us, softnet_drops, tcp_established, listen_queue, listen_drops,
		udp_drops;
};

struct vip_sample {
	struct prefix prefix;
	uint64_t in_bytes, in_packets, out_bytes, out_packets, syns;
};

struct service_state {
	char name[NAME_LEN];
	bool up;
	uint64_t since_ms;
	char reason[TEXT_LEN];
};

struct route_state {
	struct prefix prefix;
	char grade[NAME_LEN]; /* "withdrawn" when not announced on purpose; "?" when FRR has something else */
	uint32_t weight, neighbours;
	bool announced;
	char error[TEXT_LEN];
};

struct msg_report {
	uint64_t seq, mono_us, applied_epoch, applied_seq;
	uint64_t boot_us; /* CLOCK_BOOTTIME of the agent */
	char boot_id[NAME_LEN];
	bool bgp_ok;
	struct host_sample host;
	struct link_sample *links; /* the arrays are heap */
	struct vip_sample *vips;
	struct service_state *services;
	struct route_state *routes;
	size_t n_links, n_vips, n_services, n_routes;
};

struct shard_intent {
	char shard[NAME_LEN], grade[NAME_LEN];
	struct prefix prefixes[SHARD_PREFIXES];
	size_t n_prefixes;
	uint32_t prepends;			     /* 0..10 */
	char communities[MAX_COMMUNITIES][NAME_LEN]; /* "64500:80" or large "64500:1:2" */
	size_t n_communities;
	bool withdrawn;
	uint32_t weight; /* 1..100; 0 only when withdrawn */
	uint32_t permit_ms, expires_ms;
};

enum simulate_what { SIMULATE_DEAD = 1, SIMULATE_MUTE, SIMULATE_DEAF };
#define SIMULATE_MS_MAX 3600000

struct simulate {
	uint32_t what; /* one that is not known is left out by the agent */
	char service[NAME_LEN], shard[NAME_LEN];
	uint32_t for_ms; /* at most SIMULATE_MS_MAX */
};

struct msg_directive {
	uint64_t epoch, seq;
	uint64_t heard_us;	     /* on the agent's CLOCK_BOOTTIME: where its leases start; 0: none can */
	struct shard_intent *shards; /* heap */
	size_t n_shards;
	char drill[NAME_LEN];
	struct simulate *simulate; /* heap */
	size_t n_simulate;
};

struct msg_applied {
	uint64_t epoch, seq;
	char error[TEXT_LEN];
	struct route_state *routes; /* heap */
	size_t n_routes;
};

struct msg_permit_request {
	char shard[NAME_LEN], reason[TEXT_LEN];
};

/* PEM texts are heap; NULL when there is none. */
struct msg_cert_request {
	char *csr;
};

struct msg_cert_answer {
	char *cert;
	char error[TEXT_LEN];
};

struct msg_trust {
	char *ca;
};

struct msg_identity {
	char serial[NAME_LEN], ca_id[TEXT_LEN];
	uint64_t from_s, to_s;
	uint32_t cas;
	char error[TEXT_LEN];
};

struct msg {
	enum msg_kind kind;
	union {
		struct msg_hello hello;
		struct msg_welcome welcome;
		struct msg_not_leader not_leader;
		struct msg_refused refused;
		struct msg_report report;
		struct msg_directive directive;
		struct msg_applied applied;
		struct msg_permit_request permit_request;
		uint64_t nonce; /* ping, pong */
		struct msg_cert_request cert_request;
		struct msg_cert_answer cert_answer;
		struct msg_trust trust;
		struct msg_identity identity;
	};
};

/* Appends the packed Envelope (without frame header) to out. The caller keeps m. */
int msg_pack(const struct msg *m, struct buf *out);
/* 0, ERR_MALFORMED or ERR_LIMIT; on error *ret_why says which field (caller's buffer of TEXT_LEN) and
 * *ret_msg is untouched. An Envelope with no known body is MSG kind 0 and 0 is returned: a newer minor
 * version. */
int msg_unpack(const uint8_t *data, size_t len, struct msg *ret_msg, char *ret_why);
/* Frees the heap arrays of m, not m. */
void msg_done(struct msg *m);
/* Reasons end up in logs, JSON and terminals: what is no UTF-8 text becomes '?', what is longer than TEXT_LEN
 * is cut, between characters. */
void msg_text(const char *from, char *to);
/* "Hello", ...; never NULL. */
const char *msg_kind_str(enum msg_kind k);
/* A copy with its own array; for keeping the last directive. */
void directive_copy(const struct msg_directive *from, struct msg_directive *ret_to);
void directive_done(struct msg_directive *d);
#endif
