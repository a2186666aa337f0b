/* SPDX-License-Identifier: Apache-2.0
 * Which of the kept events are worth reading: one byte each, by kind and whether somebody is named as actor,
 * so that a question about few events reads few rows. A byte may promise too much (never too little): who
 * reads the row looks again. */
#ifndef CTRL_STORE_INDEX_H
#define CTRL_STORE_INDEX_H
#include "controller/store.h"

#define INDEX_KINDS 127 /* kinds beyond that are all one */

struct store_index;
/* Ids from newest - kept + 1 on. */
struct store_index *store_index_new(size_t kept);
void store_index_free(struct store_index *ix);
/* Ids rise; those left out are none. */
void store_index_add(struct store_index *ix, uint64_t id, const char *kind, const char *data);

/* A question, asked once and then answered id by id. */
struct store_query {
	const struct store_index *ix;
	const struct store_pick *pick;
	bool kinds[INDEX_KINDS + 1];
	uint64_t at; /* the last one answered */
};
void store_query_init(struct store_query *q, const struct store_index *ix, const struct store_pick *pick);
/* The next id to read, or 0. */
uint64_t store_query_next(struct store_query *q);
#endif
