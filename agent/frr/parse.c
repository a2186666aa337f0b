/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frr/parse.h"

#include <jansson.h>
#include <string.h>

#include "proto/base/err.h"

/* The running-config is read line by line with the block it is in; JSON by jansson. Nothing here keeps
 * state between calls. */

#define TOKENS_MAX 64 /* of a line; the longest we write has 13 */

enum block {
	BLOCK_NONE,
	BLOCK_BGP,	 /* `router bgp N` of the default instance */
	BLOCK_BGP_OTHER, /* a vrf's or view's */
	BLOCK_AF,	 /* in BLOCK_BGP: ipv4 or ipv6 unicast */
	BLOCK_MAP,	 /* a route-map of ours */
};

struct reader {
	struct frr_config c;
	enum block block;
	enum afi afi;
	struct frr_map *map;  /* current, in BLOCK_MAP */
	uint32_t *prepend_as; /* per map: the AS its prepend line repeats, 0: no such line */
	char (*held)[MAP_NAME_LEN];
	size_t n_held, cap_networks, cap_maps, cap_held;
};

/* Room for one more zeroed element. */
static int grow(void *list_of_pointer, size_t *cap, size_t n, size_t size)
{
	void **list = list_of_pointer;

	if (n >= CONFIG_ITEMS_MAX)
		return ERR_LIMIT;
	if (n == *cap) {
		*cap = *cap ? *cap * 2 : 16;
		*list = xrealloc(*list, *cap, size);
	}
	memset((char *)*list + n * size, 0, size);
	return 0;
}

/* Plain or asdot ("1.10"); 0 when it is neither. */
static uint32_t parse_as(const char *s)
{
	uint64_t v[2] = { 0, 0 };
	int dots = 0;

	if (*s < '0' || *s > '9')
		return 0;
	for (; *s; s++) {
		if (*s == '.' && !dots) {
			dots = 1;
			continue;
		}
		if (*s < '0' || *s > '9')
			return 0;
		v[dots] = v[dots] * 10 + (uint64_t)(*s - '0');
		if (v[dots] > (dots ? UINT16_MAX : UINT32_MAX))
			return 0;
	}
	if (!dots)
		return (uint32_t)v[0];
	return v[0] > UINT16_MAX ? 0 : (uint32_t)(v[0] << 16 | v[1]);
}

static uint32_t parse_u32(const char *s)
{
	uint64_t v = 0;

	for (; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > UINT32_MAX)
			return 0;
	}
	return *s ? 0 : (uint32_t)v;
}

static size_t split(char *line, char **tok, size_t max)
{
	size_t n = 0;
	char *save = NULL;

	for (char *t = strtok_r(line, " \t\r", &save); t && n < max; t = strtok_r(NULL, " \t\r", &save))
		tok[n++] = t;
	return n;
}

static bool is(char *const *tok, size_t n, size_t i, const char *word)
{
	return i < n && !strcmp(tok[i], word);
}

static bool our_name(const char *s)
{
	return !strncmp(s, MAP_PREFIX, sizeof(MAP_PREFIX) - 1) && strlen(s) < MAP_NAME_LEN;
}

static void read_router(struct reader *r, char *const *tok, size_t n)
{
	r->c.instances++;
	r->block = BLOCK_BGP_OTHER;
	if (n < 3 || is(tok, n, 3, "vrf") || is(tok, n, 3, "view"))
		return;
	r->c.asn = parse_as(tok[2]);
	r->block = BLOCK_BGP;
}

static void read_family(struct reader *r, char *const *tok, size_t n)
{
	bool v4 = is(tok, n, 1, "ipv4"), v6 = is(tok, n, 1, "ipv6");

	if ((!v4 && !v6) || (n > 2 && !is(tok, n, 2, "unicast")))
		return; /* what is in it stays in BLOCK_BGP, where `network` is not looked for */
	r->block = BLOCK_AF;
	r->afi = v4 ? AFI_V4 : AFI_V6;
}

static int read_network(struct reader *r, char *const *tok, size_t n)
{
	struct prefix p;

	if (n < 2 || prefix_parse(tok[1], &p, NULL) || prefix_afi(&p) != r->afi)
		return 0;
	int e = grow(&r->c.networks, &r->cap_networks, r->c.n_networks, sizeof(*r->c.networks));
	if (e)
		return e;
	struct frr_network *net = &r->c.networks[r->c.n_networks++];
	net->prefix = p;
	for (size_t i = 2; i < n; i++) {
		if (is(tok, n, i, "route-map") && i + 1 < n)
			snprintf(net->map, sizeof(net->map), "%s", tok[++i]);
		else
			net->odd = true;
	}
	return 0;
}

static struct frr_map *map_by_name(struct reader *r, const char *name)
{
	/* entries of one map follow each other */
	for (size_t i = r->c.n_maps; i > 0; i--)
		if (!strcmp(r->c.maps[i - 1].name, name))
			return &r->c.maps[i - 1];
	return NULL;
}

static int read_map(struct reader *r, char *const *tok, size_t n)
{
	r->block = BLOCK_NONE;
	if (n < 3 || !our_name(tok[1]))
		return 0;
	r->block = BLOCK_MAP;
	r->map = map_by_name(r, tok[1]);
	if (!r->map) {
		size_t cap = r->cap_maps;
		int e = grow(&r->c.maps, &r->cap_maps, r->c.n_maps, sizeof(*r->c.maps));
		if (e)
			return e;
		if (cap != r->cap_maps)
			r->prepend_as = xrealloc(r->prepend_as, r->cap_maps, sizeof(*r->prepend_as));
		r->prepend_as[r->c.n_maps] = 0;
		r->map = &r->c.maps[r->c.n_maps++];
		snprintf(r->map->name, sizeof(r->map->name), "%s", tok[1]);
	}
	if (++r->map->entries > 1 || !is(tok, n, 2, "permit"))
		r->map->odd = true;
	return 0;
}

static bool read_prepend(struct reader *r, char *const *tok, size_t n)
{
	uint32_t as = n ? parse_as(tok[0]) : 0;

	if (!as || n > ROUTE_PREPENDS_MAX)
		return false;
	for (size_t i = 1; i < n; i++)
		if (parse_as(tok[i]) != as)
			return false;
	r->prepend_as[r->map - r->c.maps] = as;
	r->map->attrs.prepends = (uint32_t)n;
	return true;
}

/* `additive` means nothing on a route of our own: there is nothing to add to */
static bool read_communities(char *const *tok, size_t n, char (*list)[NAME_LEN], size_t *ret_n,
			     bool (*canon)(const char *, char *))
{
	*ret_n = 0;
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(tok[i], "additive") && i + 1 == n)
			break;
		if (*ret_n == MAX_COMMUNITIES || !canon(tok[i], list[*ret_n]))
			return false;
		++*ret_n;
	}
	return *ret_n > 0;
}

/* "rt 64500:1 64500:2": more of them in n_ext */
static bool read_ext(struct route_attrs *a, char *const *tok, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		char text[NAME_LEN];
		if (i > 1 && i + 1 == n && !strcmp(tok[i], "additive"))
			break;
		if (a->n_ext == MAX_COMMUNITIES || strlen(tok[i]) > NAME_LEN - 8)
			return false;
		snprintf(text, sizeof(text), "%.3s %.56s", tok[0], tok[i]);
		if (!route_ext_canon(text, a->ext[a->n_ext]))
			return false;
		a->n_ext++;
	}
	return n > 1;
}

static bool read_number(char *const *tok, size_t n, size_t i, uint32_t *ret_v)
{
	if (n != i + 1)
		return false;
	*ret_v = parse_u32(tok[i]);
	return *ret_v > 0;
}

static bool read_set(struct reader *r, char *const *tok, size_t n)
{
	struct route_attrs *a = &r->map->attrs;

	if (is(tok, n, 1, "as-path") && is(tok, n, 2, "prepend"))
		return read_prepend(r, tok + 3, n - 3);
	if (is(tok, n, 1, "community"))
		return read_communities(tok + 2, n - 2, a->communities, &a->n_communities,
					route_community_canon);
	if (is(tok, n, 1, "large-community"))
		return read_communities(tok + 2, n - 2, a->large, &a->n_large, route_large_canon);
	if (is(tok, n, 1, "extcommunity") && is(tok, n, 2, "bandwidth") && n == 4) {
		a->bandwidth_mbps = parse_u32(tok[3]);
		return a->bandwidth_mbps > 0;
	}
	if (is(tok, n, 1, "extcommunity") && (is(tok, n, 2, "rt") || is(tok, n, 2, "soo")))
		return read_ext(a, tok + 2, n - 2);
	if (is(tok, n, 1, "metric"))
		return read_number(tok, n, 2, &a->med);
	if (is(tok, n, 1, "local-preference"))
		return read_number(tok, n, 2, &a->local_pref);
	return false;
}

/* A map of ours that anything but a `network` of the default instance names must stay. */
static int read_mention(struct reader *r, char *const *tok, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!our_name(tok[i]))
			continue;
		int e = grow(&r->held, &r->cap_held, r->n_held, sizeof(*r->held));
		if (e)
			return e;
		snprintf(r->held[r->n_held++], MAP_NAME_LEN, "%s", tok[i]);
	}
	return 0;
}

/* Lines at the margin open and close blocks. */
static int read_top(struct reader *r, char *const *tok, size_t n)
{
	if (is(tok, n, 0, "route-map"))
		return read_map(r, tok, n);
	r->block = BLOCK_NONE;
	if (is(tok, n, 0, "router") && is(tok, n, 1, "bgp"))
		read_router(r, tok, n);
	return 0;
}

static int read_line(struct reader *r, char *line)
{
	char *tok[TOKENS_MAX];
	bool margin = *line != ' ';
	size_t n = split(line, tok, TOKENS_MAX);

	if (!n || tok[0][0] == '!')
		return 0;
	if (margin)
		return read_top(r, tok, n);
	if (r->block == BLOCK_MAP) {
		if (is(tok, n, 0, "description"))
			return 0;
		if (!is(tok, n, 0, "set") || n == TOKENS_MAX || !read_set(r, tok, n))
			r->map->odd = true;
		return read_mention(r, tok, n);
	}
	if (r->block == BLOCK_AF && is(tok, n, 0, "network"))
		return read_network(r, tok, n);
	if (is(tok, n, 0, "exit-address-family") && r->block == BLOCK_AF)
		r->block = BLOCK_BGP;
	else if (is(tok, n, 0, "address-family") && r->block == BLOCK_BGP)
		read_family(r, tok, n);
	return read_mention(r, tok, n);
}

static int cmp_network(const void *a, const void *b)
{
	const struct frr_network *x = a, *y = b;

	return prefix_cmp(&x->prefix, &y->prefix);
}

/* name is the first member */
static int cmp_map(const void *a, const void *b)
{
	const struct frr_map *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void settle_maps(struct reader *r)
{
	for (size_t i = 0; i < r->c.n_maps; i++) {
		struct frr_map *m = &r->c.maps[i];
		if (r->prepend_as[i] && r->prepend_as[i] != r->c.asn)
			m->odd = true;
		if (route_attrs_normalise(&m->attrs, NULL))
			m->odd = true;
	}
	if (r->c.n_maps)
		qsort(r->c.maps, r->c.n_maps, sizeof(*r->c.maps), cmp_map);
	if (r->c.n_networks)
		qsort(r->c.networks, r->c.n_networks, sizeof(*r->c.networks), cmp_network);
	for (size_t i = 0; i < r->n_held; i++) {
		struct frr_map key = { 0 }, *m;
		snprintf(key.name, sizeof(key.name), "%s", r->held[i]);
		m = r->c.n_maps ? bsearch(&key, r->c.maps, r->c.n_maps, sizeof(key), cmp_map) : NULL;
		if (m)
			m->held = true;
	}
}

int parse_config(const char *text, struct frr_config *ret)
{
	struct reader r = { 0 };
	auto_free char *copy = xstrdup(text);
	int e = 0;

	if (!strstr(text, "frr version") && !strstr(text, "router bgp"))
		return ERR_MALFORMED;
	for (char *line = copy, *next; line && !e; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		e = read_line(&r, line);
	}
	if (!e)
		settle_maps(&r);
	free(r.prepend_as);
	free(r.held);
	if (e)
		frr_config_done(&r.c);
	else
		*ret = r.c;
	return e;
}

void frr_config_done(struct frr_config *c)
{
	free(c->networks);
	free(c->maps);
	*c = (struct frr_config){ 0 };
}

const struct frr_network *frr_network_find(const struct frr_config *c, const struct prefix *p)
{
	struct frr_network key = { .prefix = *p };

	return c->n_networks ? bsearch(&key, c->networks, c->n_networks, sizeof(key), cmp_network) : NULL;
}

const struct frr_map *frr_map_find(const struct frr_config *c, const char *name)
{
	struct frr_map key = { 0 };

	if (!c->n_maps || strlen(name) >= sizeof(key.name))
		return NULL;
	strcpy(key.name, name);
	return bsearch(&key, c->maps, c->n_maps, sizeof(key), cmp_map);
}

/* A number that may have come as a string; anything else is 0. */
static uint64_t get_number(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_integer(v))
		return json_integer_value(v) < 0 ? 0 : (uint64_t)json_integer_value(v);
	if (json_is_string(v))
		return parse_u32(json_string_value(v));
	return 0;
}

static bool get_true(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_true(v) || (json_is_string(v) && !strcmp(json_string_value(v), "true"));
}

static const char *get_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static json_t *load(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	if (o && !json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static int cmp_neighbour(const void *a, const void *b)
{
	const struct frr_neighbour *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int read_neighbours(const json_t *family, struct frr_neighbour **ret_list, size_t *ret_n)
{
	json_t *peers = json_object_get(family, "peers"), *peer;
	size_t n = json_object_size(peers), i = 0;
	const char *name;

	if (n > NEIGHBOURS_MAX)
		return ERR_LIMIT;
	struct frr_neighbour *list = xcalloc(n, sizeof(*list));
	json_object_foreach(peers, name, peer) {
		if (strlen(name) >= NEIGHBOUR_NAME || !json_is_object(peer))
			continue;
		snprintf(list[i].name, NEIGHBOUR_NAME, "%s", name);
		list[i].established = !strcmp(get_text(peer, "state"), "Established");
		list[i].sent = (uint32_t)get_number(peer, "pfxSnt");
		i++;
	}
	if (i)
		qsort(list, i, sizeof(*list), cmp_neighbour);
	*ret_list = list;
	*ret_n = i;
	return 0;
}

int parse_summary(const char *text, struct frr_summary *ret)
{
	static const char *const key[AFI_COUNT] = { "ipv4Unicast", "ipv6Unicast" };
	struct frr_summary s = { 0 };
	json_auto_t *top = load(text);

	if (!top)
		return ERR_MALFORMED;
	for (int a = 0; a < AFI_COUNT; a++) {
		const json_t *family = json_object_get(top, key[a]);
		if (!json_is_object(family))
			continue;
		int e = read_neighbours(family, &s.neighbours[a], &s.n[a]);
		if (e) {
			frr_summary_done(&s);
			return e;
		}
		if (!s.asn)
			s.asn = (uint32_t)get_number(family, "as");
	}
	*ret = s;
	return 0;
}

void frr_summary_done(struct frr_summary *s)
{
	for (int a = 0; a < AFI_COUNT; a++)
		free(s->neighbours[a]);
	*s = (struct frr_summary){ 0 };
}

static int cmp_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

int parse_advertised(const char *text, struct prefix **ret_prefixes, size_t *ret_n)
{
	json_auto_t *top = load(text);
	const char *name;
	json_t *route;
	size_t n = 0;

	if (!top)
		return ERR_MALFORMED;
	json_t *routes = json_object_get(top, "advertisedRoutes");
	if (json_object_size(routes) > ADVERTISED_MAX)
		return ERR_LIMIT;
	struct prefix *list = xcalloc(json_object_size(routes), sizeof(*list));
	json_object_foreach(routes, name, route) {
		(void)route;
		if (!prefix_parse(name, &list[n], NULL))
			n++;
	}
	if (n)
		qsort(list, n, sizeof(*list), cmp_prefix);
	*ret_prefixes = list;
	*ret_n = n;
	return 0;
}

static bool path_communities(const json_t *path, const char *key, char (*list)[NAME_LEN], size_t *ret_n,
			     bool (*canon)(const char *, char *))
{
	const json_t *v = json_object_get(path, key);
	char *tok[TOKENS_MAX];

	if (!v)
		return true;
	auto_free char *text = xstrdup(json_is_string(v) ? json_string_value(v) : get_text(v, "string"));
	size_t n = split(text, tok, TOKENS_MAX);
	return !n || read_communities(tok, n, list, ret_n, canon);
}

/* The bandwidth for people, in two words: "(100.000 Mbps)", "(2.000 Gbps)". */
static bool is_remark(const char *word)
{
	size_t len = strlen(word);

	return *word == '(' || (len >= 4 && !strcmp(word + len - 4, "bps)"));
}

/* "LB:64500:12500000 (100.000 Mbps)": bytes per second (draft-ietf-idr-link-bandwidth) */
static bool read_bandwidth(const char *text, uint32_t *ret_mbps)
{
	unsigned long long bytes;

	if (sscanf(text, "LB:%*u:%llu", &bytes) != 1 || bytes > UINT32_MAX * 8ULL)
		return false;
	*ret_mbps = (uint32_t)((bytes * 8 + 500000) / 1000000);
	return true;
}

/* "RT:64500:1 SoO:64500:2 LB:64500:12500000 (100.000 Mbps)", in any order */
static bool path_ext(const json_t *path, struct route_attrs *a)
{
	const json_t *v = json_object_get(path, "extendedCommunity");
	char *tok[TOKENS_MAX];

	if (!v)
		return true;
	auto_free char *text = xstrdup(json_is_string(v) ? json_string_value(v) : get_text(v, "string"));
	size_t n = split(text, tok, TOKENS_MAX);
	for (size_t i = 0; i < n; i++) {
		if (is_remark(tok[i]))
			continue;
		if (!strncmp(tok[i], "LB:", 3)) {
			if (!read_bandwidth(tok[i], &a->bandwidth_mbps))
				return false;
		} else if (a->n_ext == MAX_COMMUNITIES || !route_ext_canon(tok[i], a->ext[a->n_ext++])) {
			return false;
		}
	}
	return n > 0;
}

static void read_path(const json_t *path, struct frr_path *ret)
{
	const json_t *best = json_object_get(path, "bestpath"), *as = json_object_get(path, "aspath");
	struct route_attrs *a = &ret->attrs;

	ret->present = true;
	ret->valid = get_true(path, "valid");
	ret->best = json_is_object(best) ? get_true(best, "overall") : json_is_true(best);
	a->prepends = (uint32_t)get_number(as, "length");
	a->med = (uint32_t)get_number(path, json_object_get(path, "metric") ? "metric" : "med");
	a->local_pref = (uint32_t)get_number(path, json_object_get(path, "locPrf") ? "locPrf" : "localPref");
	ret->odd = !path_communities(path, "community", a->communities, &a->n_communities,
				     route_community_canon) ||
		   !path_communities(path, "largeCommunity", a->large, &a->n_large, route_large_canon) ||
		   !path_ext(path, a) || route_attrs_normalise(a, NULL);
}

int parse_path(const char *text, struct frr_path *ret)
{
	json_auto_t *top = load(text);
	struct frr_path p = { 0 };
	json_t *path;
	size_t i;

	if (!top)
		return ERR_MALFORMED;
	p.version = get_number(top, "version");
	p.n_advertised = json_object_size(json_object_get(top, "advertisedTo"));
	json_array_foreach(json_object_get(top, "paths"), i, path) {
		if (!get_true(path, "sourced") && !get_true(path, "local"))
			p.foreign = true;
		else if (!p.present)
			read_path(path, &p);
	}
	*ret = p;
	return 0;
}

bool parse_remade(const char *text, const char *map)
{
	json_auto_t *top = load(text);
	const char *daemon;
	json_t *maps;

	json_object_foreach(top, daemon, maps) {
		(void)daemon;
		const json_t *m = json_object_get(maps, map);
		if (m)
			return get_true(m, "processedChange") && json_object_get(m, "invoked") &&
			       !get_number(m, "invoked");
	}
	return false;
}
