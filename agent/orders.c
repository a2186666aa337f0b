/* SPDX-License-Identifier: Apache-2.0
 * Owns the orders, their leases and what the disk has of them.
 * An order: none -> ordered (directive) -> ordered | normal (relaxed, once expired). A permit: none -> held
 * until its end; any directive replaces it. What takes a permit away is on disk before anybody hears that it
 * was taken: a crash must not bring it back. No timers: the owner asks with its clock. */
#include "agent/orders.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/state.h"
#include "proto/base/err.h"
#include "proto/base/log.h"

struct orders {
	struct orders_disk disk;
	char boot_id[NAME_LEN];
	struct order *list;
	size_t n;
	uint64_t epoch, seq, heard_us;
	uint64_t relax_at_us; /* not before */
	char said[TEXT_LEN];  /* why saving fails; empty while it works */
};

uint64_t orders_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t lease_end(uint64_t start_us, uint32_t ms)
{
	return start_us && ms ? start_us + (uint64_t)ms * 1000 : 0;
}

static struct order *find(const struct orders *o, const char *shard)
{
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->list[i].intent.shard, shard) == 0)
			return &o->list[i];
	return NULL;
}

static bool holds_prefix(const struct shard_intent *in, const struct prefix *p)
{
	for (size_t i = 0; i < in->n_prefixes; i++)
		if (prefix_cmp(&in->prefixes[i], p) == 0)
			return true;
	return false;
}

/* -- the disk -- */

/* What a restart shall find. A permit is worth its rest: its lease starts where it started. */
static void fill_state(const struct orders *o, struct state *ret_s)
{
	*ret_s = (struct state){ .directive = { .epoch = o->epoch, .seq = o->seq, .heard_us = o->heard_us } };
	memcpy(ret_s->boot_id, o->boot_id, sizeof(ret_s->boot_id));
	ret_s->directive.shards = xcalloc(o->n, sizeof(*ret_s->directive.shards));
	for (size_t i = 0; i < o->n; i++) {
		struct shard_intent *in = &ret_s->directive.shards[ret_s->directive.n_shards++];
		*in = o->list[i].intent;
		in->permit_ms = o->list[i].permit_end_us ? in->permit_ms : 0;
	}
}

static void save(struct orders *o)
{
	char why[TEXT_LEN] = "";
	struct state s;
	int fd;

	if (!o->disk.dir)
		return;
	fill_state(o, &s);
	int err = state_save(o->disk.dir, &s, &fd, why);
	state_done(&s);
	if (!err && o->disk.sync)
		o->disk.sync(fd, o->disk.arg);
	else if (!err)
		close(fd);
	if (err && strcmp(why, o->said) != 0)
		log_error("the last directive is not kept: %s; a restart without a controller will leave "
			  "routes as they are",
			  why);
	else if (!err && o->said[0])
		log_info("the last directive is kept again");
	memcpy(o->said, err ? why : "", err ? sizeof(why) : 1);
}

static bool is_named(const struct order *x, const struct msg_directive *d)
{
	for (size_t i = 0; i < d->n_shards; i++)
		if (strcmp(d->shards[i].shard, x->intent.shard) == 0)
			return true;
	return false;
}

static bool has_lost_a_prefix(const struct order *x, const struct msg_directive *d)
{
	for (size_t i = 0; i < d->n_shards; i++)
		for (size_t k = 0; k < d->shards[i].n_prefixes; k++)
			if (holds_prefix(&x->intent, &d->shards[i].prefixes[k]))
				return true;
	return false;
}

/* Orders of shards that went under another name; and as many others as are in the way of what d names. */
static void drop_former(struct orders *o, const struct msg_directive *d)
{
	size_t n = 0, unnamed = 0, room = d->n_shards < MAX_SHARDS ? MAX_SHARDS - d->n_shards : 0;

	for (size_t i = 0; i < o->n; i++) {
		bool named = is_named(&o->list[i], d);
		if (!named && (unnamed == room || has_lost_a_prefix(&o->list[i], d)))
			continue;
		unnamed += !named;
		if (n != i)
			o->list[n] = o->list[i];
		n++;
	}
	o->n = n;
}

static void take_shards(struct orders *o, const struct msg_directive *d, uint64_t now_us, bool same_boot)
{
	/* a start in the future would be a longer lease than was given */
	uint64_t start = !same_boot || d->heard_us > now_us ? now_us : d->heard_us;

	drop_former(o, d);
	for (size_t i = 0; i < o->n; i++)
		o->list[i].permit_end_us = 0;
	for (size_t i = 0; i < d->n_shards; i++) {
		struct order *x = find(o, d->shards[i].shard);
		if (!x && o->n == MAX_SHARDS)
			continue;
		if (!x)
			x = &o->list[o->n++];
		x->intent = d->shards[i];
		x->permit_end_us = same_boot ? lease_end(d->heard_us ? start : 0, d->shards[i].permit_ms) : 0;
		x->expires_at_us = lease_end(start ? start : now_us, d->shards[i].expires_ms);
	}
	o->epoch = d->epoch;
	o->seq = d->seq;
	o->heard_us = d->heard_us ? start : 0;
}

static void load(struct orders *o, uint64_t now_us)
{
	char why[TEXT_LEN];
	struct state s = { 0 };
	int err = state_load(o->disk.dir, &s, why);

	if (err == -ENOENT) {
		log_info("no directive is kept in %s: routes stay as they are until the controller speaks",
			 o->disk.dir);
		return;
	}
	if (err)
		log_warn("%s%s", why,
			 err == -EROFS ? "" : "; routes stay as they are until the controller speaks");
	if (err && err != -EROFS)
		return;
	take_shards(o, &s.directive, now_us, strcmp(s.boot_id, o->boot_id) == 0);
	log_info("kept from before: directive %lu of epoch %lu, %zu shards", o->seq, o->epoch, o->n);
	state_done(&s);
}

struct orders *orders_new(const struct orders_disk *disk, const char *boot_id, uint64_t now_us)
{
	struct orders *o = xcalloc(1, sizeof(*o));

	o->disk = *disk;
	snprintf(o->boot_id, sizeof(o->boot_id), "%s", boot_id);
	o->list = xcalloc(MAX_SHARDS, sizeof(*o->list));
	if (o->disk.dir)
		load(o, now_us);
	return o;
}

/* -- taking -- */

/* Shards that may withdraw by themselves. */
struct holder {
	char shard[NAME_LEN];
};

static size_t list_holders(const struct orders *o, uint64_t now_us, struct holder *ret_list)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		if (order_permits(&o->list[i], now_us))
			memcpy(ret_list[n++].shard, o->list[i].intent.shard, NAME_LEN);
	return n;
}

static bool took_back(const struct orders *o, const struct holder *before, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct order *x = find(o, before[i].shard);
		if (!x || !x->permit_end_us)
			return true;
	}
	return false;
}

int orders_take(struct orders *o, const struct msg_directive *d, uint64_t now_us, bool *ret_back,
		char *ret_why)
{
	auto_free struct holder *before = xcalloc(o->n, sizeof(*before));

	if (d->epoch < o->epoch || (d->epoch == o->epoch && d->seq <= o->seq && o->seq)) {
		snprintf(ret_why, TEXT_LEN,
			 "directive %lu of epoch %lu is older than %lu of epoch %lu: refused", d->seq,
			 d->epoch, o->seq, o->epoch);
		return ERR_STALE_EPOCH;
	}
	size_t n = list_holders(o, now_us, before);
	take_shards(o, d, now_us, true);
	save(o);
	if (ret_back)
		*ret_back = took_back(o, before, n);
	return 0;
}

const struct order *orders_of(const struct orders *o, const struct prefix *p)
{
	for (size_t i = 0; i < o->n; i++)
		if (holds_prefix(&o->list[i].intent, p))
			return &o->list[i];
	return NULL;
}

/* -- without a controller -- */

static bool ran_out(const struct order *x, uint64_t now_us)
{
	return x->expires_at_us && x->expires_at_us <= now_us;
}

bool orders_expired(const struct orders *o, uint64_t now_us)
{
	for (size_t i = 0; i < o->n; i++)
		if (ran_out(&o->list[i], now_us))
			return true;
	return false;
}

static void to_normal(struct order *x)
{
	struct shard_intent *in = &x->intent;

	snprintf(in->grade, sizeof(in->grade), "normal");
	in->prepends = 0;
	in->n_communities = 0;
	in->withdrawn = false;
	in->weight = in->weight ? in->weight : 100;
	in->expires_ms = 0;
	x->expires_at_us = 0;
}

bool orders_relax(struct orders *o, uint64_t now_us, const struct orders_relax *r, char ret_shard[NAME_LEN])
{
	if (now_us < o->relax_at_us || r->util >= ORDERS_UTIL_MAX)
		return false;
	for (size_t i = 0; i < o->n; i++) {
		struct order *x = &o->list[i];
		if (!ran_out(x, now_us) || !r->up(&x->intent, r->arg))
			continue;
		memcpy(ret_shard, x->intent.shard, NAME_LEN);
		to_normal(x);
		o->relax_at_us = now_us + (ORDERS_GAP_MS + r->random % ORDERS_GAP_MS) * UINT64_C(1000);
		save(o);
		return true;
	}
	return false;
}

uint64_t orders_epoch(const struct orders *o)
{
	return o->epoch;
}

uint64_t orders_seq(const struct orders *o)
{
	return o->seq;
}

void orders_free(struct orders *o)
{
	if (!o)
		return;
	free(o->list);
	free(o);
}
