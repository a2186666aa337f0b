/* SPDX-License-Identifier: Apache-2.0
 * The cluster document: what exists and how Sluice may act. Parsed once from JSON, immutable afterwards.
 * Validation reports every error at once, each with its JSON pointer (RFC 6901) and a reason.
 * Keys: see deploy/examples/cluster.yaml; unknown keys are errors. */
#ifndef CTRL_CLUSTER_H
#define CTRL_CLUSTER_H
#include <jansson.h>

#include "controller/steer/steer.h"
#include "proto/wire/msg.h"

#define CLUSTER_NODES_MAX 4096

struct cl_node {
	char name[NAME_LEN];
	size_t site;	   /* index */
	double cap[RES_N]; /* capacity: {bps, pps, conns, cpu}; 0: not limited by it; bps is required */
};

struct cl_site {
	char name[NAME_LEN];
	size_t *nodes, n_nodes; /* indices */
};

struct cl_service {
	char name[NAME_LEN];
	unsigned min_sites;
};

struct cl_shard {
	char name[NAME_LEN];
	size_t service;
	struct prefix prefixes[SHARD_PREFIXES];
	size_t n_prefixes;
};

struct cl_grade { /* parallel to grades.g */
	char communities[MAX_COMMUNITIES][NAME_LEN];
	size_t n_communities;
};

struct cluster {
	char name[NAME_LEN];
	char etag[24]; /* changes with the document; hash of its canonical text, quoted as HTTP wants it */
	struct policy policy;
	struct grade_set grades;
	struct cl_grade grade_attrs[STEER_GRADES];
	struct cl_site *sites;
	struct cl_node *nodes;
	struct cl_service *services;
	struct cl_shard *shards;
	size_t n_sites, n_nodes, n_services, n_shards;
	json_t *doc; /* as given */
	struct cl_names {
		uint32_t *slots; /* index + 1 by hash of the name, 0: free */
		size_t mask;
	} site_names, node_names, shard_names;
};

/* errors: an array of {"pointer": "/sites/0/name", "reason": "..."}; filled when ERR_CONFIG is returned. */
int cluster_parse(json_t *doc, struct cluster **ret_cluster, json_t *ret_errors);
/* An empty cluster named "empty": what a controller starts with. */
struct cluster *cluster_empty(void);
void cluster_free(struct cluster *c);
/* Index, or -1. */
ssize_t cluster_site(const struct cluster *c, const char *name);
ssize_t cluster_node(const struct cluster *c, const char *name);
ssize_t cluster_service(const struct cluster *c, const char *name);
ssize_t cluster_shard(const struct cluster *c, const char *name);
ssize_t cluster_grade(const struct cluster *c, const char *name);
#endif
