/* SPDX-License-Identifier: Apache-2.0
 * What bgpd answers, as structs. Pure. Shapes of FRR 8.4 to 10: `show running-config` (text), `show bgp
 * summary json`, `show bgp <afi> unicast neighbors X advertised-routes json`, `show bgp <afi> unicast P
 * json`. Optional fields may be missing, numbers may be strings; what is not understood is skipped, or marked
 * "odd" where it could change what is announced. */
#ifndef FRR_PARSE_H
#define FRR_PARSE_H
#include "agent/frr/route.h"

#define MAP_NAME_LEN	 128
#define MAP_PREFIX	 "SLUICE-"
#define NEIGHBOURS_MAX	 512
#define NEIGHBOUR_NAME	 64
#define ADVERTISED_MAX	 65536
#define CONFIG_ITEMS_MAX 65536 /* networks, and our route-maps */

enum afi { AFI_V4, AFI_V6, AFI_COUNT };
static inline enum afi prefix_afi(const struct prefix *p)
{
	return p->family == 4 ? AFI_V4 : AFI_V6;
}

/* `network P [route-map M]` of the default instance, unicast */
struct frr_network {
	struct prefix prefix;
	char map[MAP_NAME_LEN]; /* "": none */
	bool odd;		/* other options follow (label-index, backdoor) */
};

/* a route-map of ours, all its entries together */
struct frr_map {
	char name[MAP_NAME_LEN];
	struct route_attrs attrs;
	uint32_t entries;
	bool odd;  /* not just one `permit` entry of set lines we write: never equal to a wanted one */
	bool held; /* named elsewhere in the configuration (by a neighbour, ...): not to be removed */
};

struct frr_config {
	uint32_t asn;		      /* of the default instance, 0: there is none */
	size_t instances;	      /* all `router bgp` blocks */
	struct frr_network *networks; /* sorted by prefix */
	size_t n_networks;
	struct frr_map *maps; /* sorted by name */
	size_t n_maps;
};

/* ERR_MALFORMED: not a bgpd's running-config; ERR_LIMIT. On error *ret is untouched. */
int parse_config(const char *text, struct frr_config *ret);
void frr_config_done(struct frr_config *c);
const struct frr_network *frr_network_find(const struct frr_config *c, const struct prefix *p);
const struct frr_map *frr_map_find(const struct frr_config *c, const char *name);

struct frr_neighbour {
	char name[NEIGHBOUR_NAME]; /* address or interface: what `neighbors X` takes */
	bool established;
	uint32_t sent; /* prefixes in its RIB-out */
};

struct frr_summary {
	uint32_t asn;				     /* 0: not said */
	struct frr_neighbour *neighbours[AFI_COUNT]; /* sorted by name */
	size_t n[AFI_COUNT];
};

/* A bgpd without neighbours or without an instance is an empty summary. ERR_MALFORMED, ERR_LIMIT. */
int parse_summary(const char *text, struct frr_summary *ret);
void frr_summary_done(struct frr_summary *s);

/* The RIB-out of one neighbour: a sorted array, the caller frees it. ERR_MALFORMED, ERR_LIMIT. */
int parse_advertised(const char *text, struct prefix **ret_prefixes, size_t *ret_n);

/* One prefix in the table: the path this bgpd originates itself. */
struct frr_path {
	bool present;	  /* there is such a path */
	bool valid;	  /* false: `network import-check` holds it back */
	bool best;	  /* false: a path learned elsewhere is preferred, ours is not sent */
	uint64_t version; /* changes whenever bgpd has taken a change through to its RIB-out; 0: not said */
	struct route_attrs attrs;
	bool odd;	     /* has attributes that struct route_attrs cannot say */
	bool foreign;	     /* there is a path learned from a neighbour */
	size_t n_advertised; /* neighbours that have the prefix */
};
int parse_path(const char *text, struct frr_path *ret);

/* `show route-map M json`: M is new and bgpd has neither looked at it nor used it yet. */
bool parse_remade(const char *text, const char *map);
#endif
