/* SPDX-License-Identifier: Apache-2.0
 * The cluster document: JSON in, an immutable struct cluster out. Owns the rules that say what a document may
 * hold; the rows below are the whole grammar, the functions after them are what rows cannot say (unique
 * names, prefixes that overlap, grades that sort). Pure: no I/O, no clock, no log. */
#include "controller/cluster.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "controller/cluster_schema.h"
#include "proto/base/err.h"

#define GRADES_STANDARD	   6
#define GRADE_STRENGTH_MAX 89 /* an operator's grade is weaker than drain */

struct doc_root {
	char name[NAME_LEN];
	json_t *policy, *grades, *sites, *services;
};
struct doc_grade {
	char name[NAME_LEN];
	unsigned strength;
	json_t *communities;
};
struct doc_site {
	char name[NAME_LEN];
	json_t *nodes;
};
struct doc_node {
	char name[NAME_LEN];
	json_t *capacity;
};
struct doc_service {
	char name[NAME_LEN];
	unsigned min_sites;
	json_t *shards;
};
struct doc_shard {
	char name[NAME_LEN];
	json_t *prefixes;
};

/* clang-format off */
#define AT(type, member) offsetof(struct type, member)
static const struct field root_rows[] = {
	{ "name",     FIELD_NAME,   FIELD_REQUIRED, 0, 0, 0, AT(doc_root, name) },
	{ "policy",   FIELD_OBJECT, FIELD_KEEP,     0, 0, 0, AT(doc_root, policy) },
	{ "grades",   FIELD_ARRAY,  FIELD_KEEP,     0, STEER_GRADES - GRADES_STANDARD, 0, AT(doc_root, grades) },
	{ "sites",    FIELD_ARRAY,  FIELD_KEEP,     0, STEER_SITES_MAX, 0, AT(doc_root, sites) },
	{ "services", FIELD_ARRAY,  FIELD_KEEP,     0, STEER_SHARDS_MAX, 0, AT(doc_root, services) },
};
/* Defaults are policy_default()'s: the engine's word, not repeated here. */
static const struct field policy_rows[] = {
	{ "trigger_util",        FIELD_DOUBLE, FIELD_KEEP, 0.1,  2.0,      0, AT(policy, trigger_util) },
	{ "urgent_util",         FIELD_DOUBLE, FIELD_KEEP, 0.1,  10.0,     0, AT(policy, urgent_util) },
	{ "release_util",        FIELD_DOUBLE, FIELD_KEEP, 0.01, 1.0,      0, AT(policy, release_util) },
	{ "receiver_max_util",   FIELD_DOUBLE, FIELD_KEEP, 0.1,  1.0,      0, AT(policy, receiver_max_util) },
	{ "settle_min_ms",       FIELD_I64,    FIELD_KEEP, 1000, 3600000,  0, AT(policy, settle_min_ms) },
	{ "settle_max_ms",       FIELD_I64,    FIELD_KEEP, 1000, 3600000,  0, AT(policy, settle_max_ms) },
	{ "restore_hold_ms",     FIELD_I64,    FIELD_KEEP, 1000, 86400000, 0, AT(policy, restore_hold_ms) },
	{ "no_return_ms",        FIELD_I64,    FIELD_KEEP, 0,    86400000, 0, AT(policy, no_return_ms) },
	{ "stale_ms",            FIELD_I64,    FIELD_KEEP, 1000, 600000,   0, AT(policy, stale_ms) },
	{ "round_moves_max",     FIELD_UINT,   FIELD_KEEP, 0, STEER_MOVES, 0, AT(policy, round_moves_max) },
	{ "round_share_max",     FIELD_DOUBLE, FIELD_KEEP, 0,    1.0,      0, AT(policy, round_share_max) },
	{ "urgent_share_max",    FIELD_DOUBLE, FIELD_KEEP, 0,    1.0,      0, AT(policy, urgent_share_max) },
	{ "excess_share_max",    FIELD_DOUBLE, FIELD_KEEP, 0.01, 1.0,      0, AT(policy, excess_share_max) },
	{ "weaken_share_max",    FIELD_DOUBLE, FIELD_KEEP, 0,    0.9,      0, AT(policy, weaken_share_max) },
	{ "announced_share_min", FIELD_DOUBLE, FIELD_KEEP, 0.1,  1.0,      0, AT(policy, announced_share_min) },
	{ "changes_max",         FIELD_UINT,   FIELD_KEEP, 0,    1000,     0, AT(policy, changes_max) },
	{ "changes_window_ms",   FIELD_I64,    FIELD_KEEP, 1000, 86400000, 0, AT(policy, changes_window_ms) },
	{ "ledger_max",          FIELD_DOUBLE, FIELD_KEEP, 0,    1000000,  0, AT(policy, ledger_max) },
	{ "drill_ledger_max",    FIELD_DOUBLE, FIELD_KEEP, 0,    1000000,  0, AT(policy, drill_ledger_max) },
	{ "seed",                FIELD_U64,    FIELD_KEEP, 0,    9007199254740992.0, 0, AT(policy, seed) },
};
static const struct field grade_rows[] = {
	{ "name",        FIELD_NAME,  FIELD_REQUIRED, 0, 0, 0, AT(doc_grade, name) },
	{ "strength",    FIELD_UINT,  FIELD_REQUIRED, 1, GRADE_STRENGTH_MAX, 0, AT(doc_grade, strength) },
	{ "communities", FIELD_ARRAY, FIELD_REQUIRED, 1, MAX_COMMUNITIES, 0, AT(doc_grade, communities) },
};
static const struct field site_rows[] = {
	{ "name",  FIELD_NAME,  FIELD_REQUIRED, 0, 0, 0, AT(doc_site, name) },
	{ "nodes", FIELD_ARRAY, FIELD_REQUIRED, 1, CLUSTER_NODES_MAX, 0, AT(doc_site, nodes) },
};
static const struct field node_rows[] = {
	{ "name",     FIELD_NAME,   FIELD_REQUIRED, 0, 0, 0, AT(doc_node, name) },
	{ "capacity", FIELD_OBJECT, FIELD_REQUIRED, 0, 0, 0, AT(doc_node, capacity) },
};
static const struct field capacity_rows[] = { /* 0: not limited by it */
	{ "bps",   FIELD_DOUBLE, FIELD_REQUIRED, 1000, 1e14, 0, RES_BPS * sizeof(double) },
	{ "pps",   FIELD_DOUBLE, FIELD_DEFAULT,  0,    1e12, 0, RES_PPS * sizeof(double) },
	{ "conns", FIELD_DOUBLE, FIELD_DEFAULT,  0,    1e10, 0, RES_CONNS * sizeof(double) },
	{ "cpu",   FIELD_DOUBLE, FIELD_DEFAULT,  0,    1000, 0, RES_CPU * sizeof(double) },
};
static const struct field service_rows[] = {
	{ "name",      FIELD_NAME,  FIELD_REQUIRED, 0, 0, 0, AT(doc_service, name) },
	{ "min_sites", FIELD_UINT,  FIELD_DEFAULT,  1, STEER_SITES_MAX, 2, AT(doc_service, min_sites) },
	{ "shards",    FIELD_ARRAY, FIELD_REQUIRED, 1, STEER_SHARDS_MAX, 0, AT(doc_service, shards) },
};
static const struct field shard_rows[] = {
	{ "name",     FIELD_NAME,  FIELD_REQUIRED, 0, 0, 0, AT(doc_shard, name) },
	{ "prefixes", FIELD_ARRAY, FIELD_REQUIRED, 1, SHARD_PREFIXES, 0, AT(doc_shard, prefixes) },
};
static const struct grade standard_grades[GRADES_STANDARD] = {
	{ "normal",    GRADE_NORMAL,    0, 0 },
	{ "prepend1",  GRADE_PREPEND,   1, 50 },
	{ "prepend2",  GRADE_PREPEND,   2, 60 },
	{ "prepend3",  GRADE_PREPEND,   3, 70 },
	{ "drain",     GRADE_DRAIN,     0, 90 },
	{ "withdrawn", GRADE_WITHDRAWN, 0, 100 },
};
/* clang-format on */
#define READ(obj, at, rows, out, p) schema_read(obj, at, rows, ARRAY_LEN(rows), out, (p)->errors)

enum name_set { SET_SITES, SET_NODES, SET_SERVICES, SET_SHARDS, SET_GRADES, SET_N };

struct placed_prefix {
	struct prefix prefix;
	size_t shard;
	char at[SCHEMA_POINTER_MAX];
};

struct parse {
	struct cluster *c;
	json_t *errors;
	json_t *names[SET_N]; /* name -> pointer of its first use */
	struct placed_prefix *prefixes;
	size_t n_prefixes;
};

/* at: pointer of the object that carries the name */
static void unique(struct parse *p, enum name_set set, const char *name, const char *at)
{
	const char *first;
	char where[SCHEMA_POINTER_MAX + 8];

	if (!*name)
		return;
	first = json_string_value(json_object_get(p->names[set], name));
	if (!first) {
		json_object_set_new(p->names[set], name, json_string(at));
		return;
	}
	snprintf(where, sizeof(where), "%s/name", at);
	schema_error(p->errors, where, "\"%s\" is already used at %s", name, first);
}

/* -- grades ------------------------------------------------------------------------------------------- */

/* digits only, no leading zeros beyond "0": FRR would print it differently and never compare equal */
static const char *community_part(const char *s, uint64_t max, uint64_t *ret_value)
{
	uint64_t v = 0;
	const char *from = s;

	for (; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > max)
			return NULL;
	}
	if (s == from || (*from == '0' && s - from > 1))
		return NULL;
	*ret_value = v;
	return s;
}

/* NULL when it may be used, else why not. "A:B" of 16 bits each (RFC 1997) or "A:B:C" of 32 (RFC 8092). */
static const char *community_refused(const char *text)
{
	static const char shape[] = "not a community: \"64500:80\" or large \"64500:1:2\" is needed";
	uint64_t part[3] = { 0 };
	unsigned n = 0;

	if (strlen(text) >= NAME_LEN)
		return shape;
	for (const char *s = text;; s++) {
		s = community_part(s, UINT32_MAX, &part[n]);
		if (!s)
			return shape;
		n++;
		if (!*s)
			break;
		if (*s != ':' || n == 3)
			return shape;
	}
	if (n < 2 || (n == 2 && (part[0] > UINT16_MAX || part[1] > UINT16_MAX)))
		return shape;
	if (n == 2 && part[0] == 65535 && part[1] == 0)
		return "65535:0 is graceful shutdown, which the grade drain has already";
	if (n == 2 && part[0] == 65535 && part[1] == 666)
		return "65535:666 is blackhole (RFC 7999), which would drop the traffic";
	return NULL;
}

static void read_communities(struct parse *p, json_t *list, const char *at, struct cl_grade *attrs)
{
	char where[SCHEMA_POINTER_MAX + 40];
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v) {
		const char *text = json_string_value(v);
		const char *why = text ? community_refused(text) : "a community in quotes is needed";
		snprintf(where, sizeof(where), "%s/communities/%zu", at, i);
		for (size_t k = 0; text && !why && k < attrs->n_communities; k++)
			if (strcmp(attrs->communities[k], text) == 0)
				why = "is listed twice";
		if (why)
			schema_error(p->errors, where, "%s", why);
		else
			snprintf(attrs->communities[attrs->n_communities++], NAME_LEN, "%s", text);
	}
}

/* Keeps grades.g sorted by strength; grade_attrs runs parallel. */
static void insert_grade(struct cluster *c, const struct grade *g, const struct cl_grade *attrs)
{
	size_t i = c->grades.n++;

	for (; i > 0 && c->grades.g[i - 1].strength > g->strength; i--) {
		c->grades.g[i] = c->grades.g[i - 1];
		c->grade_attrs[i] = c->grade_attrs[i - 1];
	}
	c->grades.g[i] = *g;
	c->grade_attrs[i] = *attrs;
}

static void standard(struct cluster *c)
{
	static const struct cl_grade none;
	static const struct cl_grade drain = { .communities = { "65535:0" }, .n_communities = 1 };

	for (size_t i = 0; i < GRADES_STANDARD; i++)
		insert_grade(c, &standard_grades[i], standard_grades[i].kind == GRADE_DRAIN ? &drain : &none);
}

static bool grade_clash(struct parse *p, const struct doc_grade *d, const char *at)
{
	const struct grade_set *set = &p->c->grades;
	char where[SCHEMA_POINTER_MAX + 16];

	if (strcmp(d->name, "blackhole") == 0 || cluster_grade(p->c, d->name) >= 0) {
		snprintf(where, sizeof(where), "%s/name", at);
		schema_error(p->errors, where, "\"%s\" is the name of another grade", d->name);
		return true;
	}
	for (size_t i = 0; i < set->n; i++)
		if (set->g[i].strength == d->strength) {
			snprintf(where, sizeof(where), "%s/strength", at);
			schema_error(p->errors, where, "%u is the strength of grade %s already", d->strength,
				     set->g[i].name);
			return true;
		}
	return false;
}

static void read_grades(struct parse *p, json_t *list)
{
	char at[64];
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v) {
		struct doc_grade d = { 0 };
		struct cl_grade attrs = { 0 };
		snprintf(at, sizeof(at), "/grades/%zu", i);
		bool ok = READ(v, at, grade_rows, &d, p);
		read_communities(p, d.communities, at, &attrs);
		if (!ok || grade_clash(p, &d, at))
			continue;
		struct grade g = { .kind = GRADE_COMMUNITY, .strength = d.strength };
		memcpy(g.name, d.name, sizeof(g.name));
		insert_grade(p->c, &g, &attrs);
	}
}

/* -- sites and nodes ---------------------------------------------------------------------------------- */

/* Entries of all the arrays `key` in the objects of list. */
static size_t count_inner(json_t *list, const char *key)
{
	size_t i, n = 0;
	json_t *v;

	json_array_foreach(list, i, v)
		n += json_array_size(json_object_get(v, key));
	return n;
}

static void read_nodes(struct parse *p, json_t *list, struct cl_site *site, size_t site_index, const char *at)
{
	struct cluster *c = p->c;
	char here[SCHEMA_POINTER_MAX], cap_at[SCHEMA_POINTER_MAX + 16];
	size_t i;
	json_t *v;

	site->nodes = xcalloc(json_array_size(list), sizeof(*site->nodes));
	json_array_foreach(list, i, v) {
		struct doc_node d = { 0 };
		struct cl_node *n = &c->nodes[c->n_nodes];
		snprintf(here, sizeof(here), "%s/nodes/%zu", at, i);
		READ(v, here, node_rows, &d, p);
		unique(p, SET_NODES, d.name, here);
		memcpy(n->name, d.name, sizeof(n->name));
		n->site = site_index;
		snprintf(cap_at, sizeof(cap_at), "%s/capacity", here);
		if (d.capacity)
			READ(d.capacity, cap_at, capacity_rows, n->cap, p);
		site->nodes[site->n_nodes++] = c->n_nodes++;
	}
}

static void read_sites(struct parse *p, json_t *list)
{
	struct cluster *c = p->c;
	size_t i, n_nodes = count_inner(list, "nodes");
	char at[64];
	json_t *v;

	if (n_nodes > CLUSTER_NODES_MAX) {
		schema_error(p->errors, "/sites", "have %zu nodes; %d are possible", n_nodes,
			     CLUSTER_NODES_MAX);
		return;
	}
	c->sites = xcalloc(json_array_size(list), sizeof(*c->sites));
	c->nodes = xcalloc(n_nodes, sizeof(*c->nodes));
	json_array_foreach(list, i, v) {
		struct doc_site d = { 0 };
		struct cl_site *s = &c->sites[c->n_sites];
		snprintf(at, sizeof(at), "/sites/%zu", i);
		READ(v, at, site_rows, &d, p);
		unique(p, SET_SITES, d.name, at);
		memcpy(s->name, d.name, sizeof(s->name));
		read_nodes(p, d.nodes, s, c->n_sites++, at);
	}
}

/* -- services and shards ------------------------------------------------------------------------------ */

/* NULL when an anycast service can live there. Sources: RFC 6890 (special-purpose blocks). */
static const char *prefix_refused(const struct prefix *p)
{
	if (p->len < (p->family == 4 ? 8 : 16))
		return "is too short to be a service's: at least /8 or, for IPv6, /16";
	if (p->family == 4 && (p->a[0] == 0 || p->a[0] == 127 || p->a[0] >= 224))
		return "is not a unicast address that can be announced";
	if (p->family == 6 && (p->a[0] == 0xff || (p->a[0] == 0xfe && (p->a[1] & 0xc0) == 0x80)))
		return "is not a unicast address that can be announced";
	return NULL;
}

static void read_prefix(struct parse *p, json_t *v, const char *at, struct cl_shard *s)
{
	const char *text = json_string_value(v), *why = "a prefix in quotes is needed";
	struct prefix x;

	if (!text || prefix_parse(text, &x, &why) != 0) {
		schema_error(p->errors, at, "%s%s%s", text ? text : "", text ? ": " : "", why);
		return;
	}
	why = prefix_refused(&x);
	for (size_t i = 0; !why && i < s->n_prefixes; i++)
		if (s->prefixes[i].family == x.family)
			why = "is the second of its family: a shard has at most one IPv4 and one IPv6 prefix";
	if (why) {
		schema_error(p->errors, at, "%s %s", text, why);
		return;
	}
	s->prefixes[s->n_prefixes++] = x;
	struct placed_prefix *pp = &p->prefixes[p->n_prefixes++];
	pp->prefix = x;
	pp->shard = (size_t)(s - p->c->shards);
	snprintf(pp->at, sizeof(pp->at), "%s", at);
}

static void read_shards(struct parse *p, json_t *list, size_t service, const char *at)
{
	struct cluster *c = p->c;
	char here[SCHEMA_POINTER_MAX], where[SCHEMA_POINTER_MAX + 40];
	size_t i, k;
	json_t *v, *x;

	json_array_foreach(list, i, v) {
		struct doc_shard d = { 0 };
		struct cl_shard *s = &c->shards[c->n_shards++];
		snprintf(here, sizeof(here), "%s/shards/%zu", at, i);
		READ(v, here, shard_rows, &d, p);
		unique(p, SET_SHARDS, d.name, here);
		memcpy(s->name, d.name, sizeof(s->name));
		s->service = service;
		json_array_foreach(d.prefixes, k, x) {
			snprintf(where, sizeof(where), "%s/prefixes/%zu", here, k);
			read_prefix(p, x, where, s);
		}
	}
}

static void check_min_sites(struct parse *p, const struct cl_service *s, const char *at)
{
	char where[SCHEMA_POINTER_MAX];

	if (s->min_sites <= p->c->n_sites)
		return;
	snprintf(where, sizeof(where), "%s/min_sites", at);
	schema_error(p->errors, where, "%u sites are needed and the document has %zu%s", s->min_sites,
		     p->c->n_sites,
		     p->c->n_sites == 1 ? ": a service that lives in one place says min_sites: 1" : "");
}

static void read_services(struct parse *p, json_t *list)
{
	struct cluster *c = p->c;
	size_t i, n_shards = count_inner(list, "shards");
	char at[64];
	json_t *v;

	if (n_shards > STEER_SHARDS_MAX) {
		schema_error(p->errors, "/services", "have %zu shards; %d are possible", n_shards,
			     STEER_SHARDS_MAX);
		return;
	}
	c->services = xcalloc(json_array_size(list), sizeof(*c->services));
	c->shards = xcalloc(n_shards, sizeof(*c->shards));
	p->prefixes = xcalloc(n_shards * SHARD_PREFIXES, sizeof(*p->prefixes));
	json_array_foreach(list, i, v) {
		struct doc_service d = { 0 };
		struct cl_service *s = &c->services[c->n_services];
		snprintf(at, sizeof(at), "/services/%zu", i);
		if (!READ(v, at, service_rows, &d, p) && d.min_sites == 0)
			d.min_sites = 1; /* was wrong and reported: no second complaint */
		unique(p, SET_SERVICES, d.name, at);
		memcpy(s->name, d.name, sizeof(s->name));
		s->min_sites = d.min_sites;
		check_min_sites(p, s, at);
		read_shards(p, d.shards, c->n_services++, at);
	}
}

static int placed_cmp(const void *a, const void *b)
{
	const struct placed_prefix *x = a, *y = b;
	int c = prefix_cmp(&x->prefix, &y->prefix);

	return c ? c : x->shard < y->shard ? -1 : x->shard > y->shard;
}

/* Sorted, a prefix comes right before all those inside it. */
static void check_overlaps(struct parse *p)
{
	const struct placed_prefix *outer = NULL;
	char inner_text[PREFIX_STRLEN], outer_text[PREFIX_STRLEN];

	if (p->n_prefixes) /* qsort may not be given NULL */
		qsort(p->prefixes, p->n_prefixes, sizeof(*p->prefixes), placed_cmp);
	for (size_t i = 0; i < p->n_prefixes; i++) {
		const struct placed_prefix *x = &p->prefixes[i];
		if (!outer || !prefix_contains(&outer->prefix, &x->prefix)) {
			outer = x;
			continue;
		}
		schema_error(p->errors, x->at, "%s overlaps %s at %s: each address belongs to one shard",
			     prefix_str(&x->prefix, inner_text), prefix_str(&outer->prefix, outer_text),
			     outer->at);
	}
	if (p->n_prefixes > MAX_PREFIXES)
		schema_error(p->errors, "/services", "have %zu prefixes; %d are possible", p->n_prefixes,
			     MAX_PREFIXES);
}

/* -- the whole ---------------------------------------------------------------------------------------- */

static void check_policy(struct parse *p)
{
	const struct policy *y = &p->c->policy;

	if (y->release_util >= y->trigger_util)
		schema_error(p->errors, "/policy/release_util",
			     "%.15g must be below trigger_util (%.15g), or what is given back triggers again",
			     y->release_util, y->trigger_util);
	if (y->trigger_util > y->urgent_util)
		schema_error(p->errors, "/policy/urgent_util", "%.15g must not be below trigger_util (%.15g)",
			     y->urgent_util, y->trigger_util);
	if (y->settle_min_ms > y->settle_max_ms)
		schema_error(p->errors, "/policy/settle_max_ms",
			     "%" PRId64 " must not be below settle_min_ms (%" PRId64 ")", y->settle_max_ms,
			     y->settle_min_ms);
	if (y->round_share_max > y->urgent_share_max)
		schema_error(p->errors, "/policy/urgent_share_max",
			     "%.15g must not be below round_share_max (%.15g)", y->urgent_share_max,
			     y->round_share_max);
}

/* FNV-1a */
static uint64_t fnv(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211u;
	return h;
}

/* It only has to differ when the document does, nobody gains by a collision. */
static void set_etag(struct cluster *c)
{
	auto_free char *text = json_dumps(c->doc, JSON_COMPACT | JSON_SORT_KEYS);

	snprintf(c->etag, sizeof(c->etag), "\"%016" PRIx64 "\"", fnv(text ? text : ""));
}

/* -- names -------------------------------------------------------------------------------------------- */

/* The name is the first member of every one of these structs. */
static const char *name_at(const void *list, size_t size, size_t i)
{
	return (const char *)list + i * size;
}

/* The slot of a name, or the free one where it belongs. */
static uint32_t *slot_of(const struct cl_names *names, const void *list, size_t size, const char *name)
{
	size_t at = fnv(name) & names->mask;

	while (names->slots[at] && strcmp(name_at(list, size, names->slots[at] - 1), name) != 0)
		at = (at + 1) & names->mask;
	return &names->slots[at];
}

/* Names are asked for by the thousand each second: a drill's targets, agents. */
static void index_names(struct cl_names *names, const void *list, size_t n, size_t size)
{
	names->mask = 1;
	while (names->mask < 2 * n)
		names->mask = 2 * names->mask + 1;
	names->slots = xcalloc(names->mask + 1, sizeof(*names->slots));
	for (size_t i = 0; i < n; i++)
		*slot_of(names, list, size, name_at(list, size, i)) = (uint32_t)i + 1;
}

static void parse_root(struct parse *p, json_t *doc)
{
	struct doc_root d = { 0 };

	READ(doc, "", root_rows, &d, p);
	memcpy(p->c->name, d.name, sizeof(d.name));
	policy_default(&p->c->policy);
	if (d.policy && READ(d.policy, "/policy", policy_rows, &p->c->policy, p))
		check_policy(p);
	standard(p->c);
	read_grades(p, d.grades);
	read_sites(p, d.sites);
	read_services(p, d.services);
	check_overlaps(p);
}

int cluster_parse(json_t *doc, struct cluster **ret_cluster, json_t *ret_errors)
{
	struct parse p = { .c = xcalloc(1, sizeof(*p.c)), .errors = ret_errors };
	size_t before = json_array_size(ret_errors);

	for (int i = 0; i < SET_N; i++)
		p.names[i] = json_object();
	p.c->doc = json_incref(doc);
	parse_root(&p, doc);
	for (int i = 0; i < SET_N; i++)
		json_decref(p.names[i]);
	free(p.prefixes);
	if (json_array_size(ret_errors) > before) {
		cluster_free(p.c);
		return ERR_CONFIG;
	}
	set_etag(p.c);
	index_names(&p.c->site_names, p.c->sites, p.c->n_sites, sizeof(*p.c->sites));
	index_names(&p.c->node_names, p.c->nodes, p.c->n_nodes, sizeof(*p.c->nodes));
	index_names(&p.c->shard_names, p.c->shards, p.c->n_shards, sizeof(*p.c->shards));
	*ret_cluster = p.c;
	return 0;
}

struct cluster *cluster_empty(void)
{
	json_auto_t *doc = json_pack("{s:s, s:[], s:[]}", "name", "empty", "sites", "services");
	json_auto_t *errors = json_array();
	struct cluster *c = NULL;

	if (cluster_parse(doc, &c, errors) != 0)
		abort(); /* the grammar above does not accept its own smallest document */
	return c;
}

void cluster_free(struct cluster *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_sites; i++)
		free(c->sites[i].nodes);
	free(c->sites);
	free(c->nodes);
	free(c->services);
	free(c->shards);
	free(c->site_names.slots);
	free(c->node_names.slots);
	free(c->shard_names.slots);
	json_decref(c->doc);
	free(c);
}

static ssize_t find_by(const struct cl_names *names, const void *list, size_t size, const char *name)
{
	return names->slots ? (ssize_t)*slot_of(names, list, size, name) - 1 : -1;
}

static ssize_t find(const void *list, size_t n, size_t size, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name_at(list, size, i), name) == 0)
			return (ssize_t)i;
	return -1;
}

ssize_t cluster_site(const struct cluster *c, const char *name)
{
	return find_by(&c->site_names, c->sites, sizeof(*c->sites), name);
}

ssize_t cluster_node(const struct cluster *c, const char *name)
{
	return find_by(&c->node_names, c->nodes, sizeof(*c->nodes), name);
}

ssize_t cluster_service(const struct cluster *c, const char *name)
{
	return find(c->services, c->n_services, sizeof(*c->services), name);
}

ssize_t cluster_shard(const struct cluster *c, const char *name)
{
	return find_by(&c->shard_names, c->shards, sizeof(*c->shards), name);
}

ssize_t cluster_grade(const struct cluster *c, const char *name)
{
	return find(c->grades.g, c->grades.n, sizeof(*c->grades.g), name);
}
