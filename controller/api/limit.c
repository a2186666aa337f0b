/* SPDX-License-Identifier: Apache-2.0
 * A table of SETS x WAYS buckets, found by a hash of kind and name. In a full set the one that asked longest
 * ago is forgotten: that is the fullest one, which loses nothing by it. */
#include "controller/api/limit.h"

#include <stdint.h>
#include <string.h>

#include "proto/base/mem.h"

#define SETS	256
#define WAYS	8
#define BURST_S 4

struct bucket {
	uint64_t key; /* 0: free */
	double left;
	mono_t at;
};

struct limit {
	double per_s[LIMIT_KINDS];
	struct bucket sets[SETS][WAYS];
};

struct limit *limit_new(void)
{
	struct limit *l = xcalloc(1, sizeof(*l));

	l->per_s[LIMIT_READ] = 4000;
	l->per_s[LIMIT_WRITE] = 200;
	l->per_s[LIMIT_OPEN] = 200;
	l->per_s[LIMIT_REFUSED] = 100;
	return l;
}

void limit_free(struct limit *l)
{
	free(l);
}

void limit_set(struct limit *l, enum limit_kind kind, unsigned per_s)
{
	l->per_s[kind] = per_s;
}

static uint64_t key_of(enum limit_kind kind, const char *who)
{
	uint64_t h = 14695981039346656037u + (unsigned)kind;

	for (h *= 1099511628211u; *who; who++)
		h = (h ^ (uint8_t)*who) * 1099511628211u;
	return h | 1;
}

static struct bucket *find(struct limit *l, uint64_t key, double full, mono_t now)
{
	struct bucket *set = l->sets[(key >> 32) % SETS], *oldest = set;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (!set[i].key || (oldest->key && mono_diff_ms(set[i].at, oldest->at) > 0))
			oldest = &set[i];
	}
	*oldest = (struct bucket){ key, full, now };
	return oldest;
}

bool limit_take(struct limit *l, enum limit_kind kind, const char *who, mono_t now, unsigned *ret_wait_s)
{
	double per_s = l->per_s[kind], full = per_s * BURST_S;
	struct bucket *b = find(l, key_of(kind, who), full, now);

	b->left += per_s * (double)(now.us - b->at.us) / 1e6;
	b->left = b->left > full ? full : b->left;
	b->at = now;
	if (b->left >= 1) {
		b->left--;
		return true;
	}
	*ret_wait_s = per_s > 0 && (1 - b->left) / per_s > 1 ? (unsigned)((1 - b->left) / per_s) + 1 : 1;
	return false;
}
