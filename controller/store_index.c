/* SPDX-License-Identifier: Apache-2.0
 * Owns the names of kinds, in the order they were met, and a ring of marks: 0 none, else kind + 1; the
 * highest bit says that there is an actor. */
#include "controller/store_index.h"

#include <string.h>

#include "proto/base/mem.h"

#define ACTOR 0x80u

struct store_index {
	char *kinds[INDEX_KINDS];
	size_t n_kinds, kept;
	uint64_t newest;
	uint8_t *marks; /* of id at [id % kept] */
};

struct store_index *store_index_new(size_t kept)
{
	struct store_index *ix = xcalloc(1, sizeof(*ix));

	ix->kept = kept;
	ix->marks = xcalloc(kept, 1);
	return ix;
}

void store_index_free(struct store_index *ix)
{
	if (!ix)
		return;
	for (size_t i = 0; i < ix->n_kinds; i++)
		free(ix->kinds[i]);
	free(ix->marks);
	free(ix);
}

static uint8_t kind_mark(struct store_index *ix, const char *kind)
{
	size_t i = 0;

	while (i < ix->n_kinds && strcmp(ix->kinds[i], kind) != 0)
		i++;
	if (i == ix->n_kinds && i < INDEX_KINDS - 1)
		ix->kinds[ix->n_kinds++] = xstrdup(kind);
	return (uint8_t)(i + 1);
}

void store_index_add(struct store_index *ix, uint64_t id, const char *kind, const char *data)
{
	uint64_t gap = id > ix->newest ? id - ix->newest - 1 : 0;

	for (uint64_t i = 1; i <= gap && i <= ix->kept; i++)
		ix->marks[(ix->newest + i) % ix->kept] = 0;
	ix->marks[id % ix->kept] =
		(uint8_t)(kind_mark(ix, kind) | (data && strstr(data, "\"actor\"") ? ACTOR : 0));
	if (id > ix->newest)
		ix->newest = id;
}

void store_query_init(struct store_query *q, const struct store_index *ix, const struct store_pick *pick)
{
	uint64_t oldest =
		ix->newest > ix->kept ? ix->newest - ix->kept : 0; /* the last one that is not kept */
	uint64_t before = pick->before && pick->before <= ix->newest ? pick->before : ix->newest + 1;

	*q = (struct store_query){ .ix = ix, .pick = pick };
	for (size_t i = 0; i < ix->n_kinds; i++)
		q->kinds[i + 1] = store_kind_wanted(pick->kinds, ix->kinds[i]);
	q->kinds[INDEX_KINDS] = true;
	q->at = pick->newest_first ? before : pick->after > oldest ? pick->after : oldest;
}

uint64_t store_query_next(struct store_query *q)
{
	const struct store_index *ix = q->ix;
	uint64_t oldest = ix->newest > ix->kept ? ix->newest - ix->kept : 0;
	uint64_t low = q->pick->after > oldest ? q->pick->after : oldest;
	uint64_t high = q->pick->before && q->pick->before <= ix->newest ? q->pick->before : ix->newest + 1;

	for (;;) {
		q->at = q->pick->newest_first ? q->at - 1 : q->at + 1;
		if (q->at <= low || q->at >= high)
			return 0;
		uint8_t mark = ix->marks[q->at % ix->kept];
		if (mark && q->kinds[mark & ~ACTOR] && (!q->pick->actor || (mark & ACTOR)))
			return q->at;
	}
}
