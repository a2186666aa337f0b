/* SPDX-License-Identifier: Apache-2.0
 * Owns the thread, the connection, the lease and what is known of etcd's revision. Everything under "shared"
 * is guarded by lock; the rest is the thread's alone. Order in each turn: stop, doubt, write, asks, watch. */
#include "controller/etcd_int.h"

#include <string.h>
#include <time.h>

#define TURN_MS	   1000
#define COMPACT_MS (5 * 60 * 1000)
#define DOUBT_MS   100 /* between attempts to settle a write without an answer */

/* -- requests ----------------------------------------------------------------------------------------- */

static json_t *put_op(const struct worker *w, const char *key, const char *value, int64_t lease)
{
	return json_pack("{s:{s:o, s:o, s:I}}", "request_put", "key", key64(w, key), "value", etcd_b64(value),
			 "lease", (json_int_t)lease);
}

static json_t *range_op(const struct worker *w, const char *key)
{
	return json_pack("{s:{s:o}}", "request_range", "key", key64(w, key));
}

static json_t *revision_is(const struct worker *w, const char *key, const char *target, const char *field,
			   int64_t revision)
{
	return json_pack("{s:o, s:s, s:s, s:I}", "key", key64(w, key), "target", target, "result", "EQUAL",
			 field, (json_int_t)revision);
}

static json_t *we_lead(const struct worker *w)
{
	return revision_is(w, "leader", "CREATE", "create_revision", w->created);
}

/* The key-value of response i of a transaction, or NULL. */
static json_t *answer_kv(const json_t *answer, size_t i)
{
	json_t *r = json_array_get(json_object_get(answer, "responses"), i);

	return json_array_get(json_object_get(json_object_get(r, "response_range"), "kvs"), 0);
}

static int txn(struct worker *w, json_t *compare, json_t *success, json_t *failure, unsigned ms,
	       json_t **ret_answer, bool *ret_succeeded)
{
	int r = etcd_call(w->net, "kv/txn",
			  json_pack("{s:o, s:o, s:o}", "compare", compare, "success", success, "failure",
				    failure ? failure : json_array()),
			  ms, ret_answer);

	if (r == 0)
		*ret_succeeded = json_is_true(json_object_get(*ret_answer, "succeeded"));
	return r;
}

/* -- leading ------------------------------------------------------------------------------------------ */

static void resign(struct worker *w)
{
	json_auto_t *answer = NULL;

	if (w->lease)
		etcd_call(w->net, "lease/revoke", json_pack("{s:I}", "ID", (json_int_t)w->lease), CALL_MS,
			  &answer);
	w->lease = w->created = 0;
}

/* 1 renewed, 0 it is gone, negative: no answer. */
static int keep_alive(struct worker *w, mono_t *ret_sent)
{
	json_auto_t *answer = NULL;

	*ret_sent = mono_now();
	int r = etcd_call(w->net, "lease/keepalive", json_pack("{s:I}", "ID", (json_int_t)w->lease), CALL_MS,
			  &answer);
	if (r != 0)
		return r;
	return etcd_int(json_object_get(answer, "result"), "TTL") > 0;
}

static void tell_away(struct worker *w)
{
	worker_tell(
		w, (struct news){ .kind = NEWS_LEAD, .lead = LEAD_AWAY, .value = xstrdup(etcd_why(w->net)) });
}

static void renew(struct worker *w)
{
	mono_t sent;
	int r = w->created ? keep_alive(w, &sent) : 0;

	if (r == 1) {
		worker_tell(w, (struct news){ .kind = NEWS_LEAD, .lead = LEAD_RENEWED, .at = sent });
	} else if (r == 0) {
		w->lease = w->created = 0;
		worker_tell_lead(w, LEAD_GONE);
	} else {
		tell_away(w);
	}
}

static int grant(struct worker *w)
{
	json_auto_t *answer = NULL;
	int r = etcd_call(w->net, "lease/grant", json_pack("{s:i}", "TTL", (int)w->cfg->lease_s), CALL_MS,
			  &answer);

	if (r == 0)
		w->lease = etcd_int(answer, "ID");
	return r;
}

/* The election: nobody leads and the epoch is as we read it, or nothing happens. */
static int elect(struct worker *w, uint64_t *ret_epoch)
{
	json_auto_t *seen = NULL, *answer = NULL;
	char epoch[24], seq[40];
	bool won;
	int r = txn(w, json_array(), json_pack("[o, o]", range_op(w, "leader"), range_op(w, "epoch")), NULL,
		    CALL_MS, &seen, &won);

	if (r != 0)
		return r;
	if (answer_kv(seen, 0))
		return ERR_CONFLICT;
	json_t *kv = answer_kv(seen, 1);
	auto_free char *before = kv ? etcd_text(json_object_get(kv, "value")) : NULL;
	*ret_epoch = (before ? strtoull(before, NULL, 10) : 0) + 1;
	snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)*ret_epoch);
	snprintf(seq, sizeof(seq), "elected.%s", epoch);
	r = txn(w,
		json_pack("[o, o]", revision_is(w, "leader", "CREATE", "create_revision", 0),
			  revision_is(w, "epoch", "MOD", "mod_revision",
				      kv ? etcd_int(kv, "mod_revision") : 0)),
		json_pack("[o, o, o]", put_op(w, "leader", w->cfg->self, w->lease),
			  put_op(w, "epoch", epoch, 0), put_op(w, "seq", seq, 0)),
		NULL, CALL_MS, &answer, &won);
	if (r != 0)
		return r;
	if (!won)
		return ERR_CONFLICT;
	w->created = w->seq = etcd_revision(answer);
	return 0;
}

static void forget_doubt(struct worker *w);

/* Wins, then reads everything: no other leader wrote after our election. The load must not eat the lease. */
static void campaign(struct worker *w)
{
	uint64_t epoch = 0;
	mono_t sent = { 0 };
	int r = 0;

	if (w->lease)
		resign(w);
	forget_doubt(w);
	r = grant(w);
	if (r == 0)
		r = elect(w, &epoch);
	if (r == 0)
		r = mirror_load(w);
	if (r == 0)
		r = keep_alive(w, &sent) == 1 ? 0 : ERR_TIMEOUT;
	if (r == 0) {
		pthread_mutex_lock(&w->lock);
		w->away = false;
		pthread_mutex_unlock(&w->lock);
		w->compact_at = mono_add_ms(mono_now(), COMPACT_MS);
		w->compact_to = w->revision;
		worker_tell(
			w, (struct news){ .kind = NEWS_LEAD, .lead = LEAD_WON, .number = epoch, .at = sent });
		return;
	}
	if (r != ERR_CONFLICT)
		tell_away(w);
	resign(w);
	if (r == ERR_CONFLICT)
		worker_tell_lead(w, LEAD_BEATEN);
}

/* A watch on a member that fell out of the cluster is silent: "seq" moves without it. */
static void mind_watch(struct worker *w, int64_t seq)
{
	w->lagging = seq > w->seq_seen && seq > w->revision ? w->lagging + 1 : 0;
	if (w->lagging < 2)
		return;
	log_info("etcd: the watch is behind: the mirror is read anew");
	w->loaded = false;
}

static void look(struct worker *w)
{
	json_auto_t *answer = NULL;
	bool yes;
	int r = 0;

	if (w->created) /* asked before we won */
		return;
	if (!w->loaded)
		r = mirror_load(w);
	if (r == 0)
		r = txn(w, json_array(),
			json_pack("[o, o, o]", range_op(w, "leader"), range_op(w, "seq"),
				  range_op(w, "epoch")),
			NULL, CALL_MS, &answer, &yes);
	if (r != 0) {
		tell_away(w);
		return;
	}
	json_t *leader = answer_kv(answer, 0), *seq = answer_kv(answer, 1);
	auto_free char *epoch = etcd_text(json_object_get(answer_kv(answer, 2), "value"));
	worker_tell(w, (struct news){ .kind = NEWS_LEAD,
				      .lead = leader ? LEAD_SEEN_OTHER : LEAD_SEEN_NONE,
				      .number = epoch ? strtoull(epoch, NULL, 10) : 0,
				      .value = leader ? etcd_text(json_object_get(leader, "value")) : NULL });
	if (seq)
		mind_watch(w, etcd_int(seq, "mod_revision"));
}

/* Old revisions are history nobody reads; without this etcd fills up. */
static void compact(struct worker *w)
{
	json_auto_t *answer = NULL;

	if (!w->created || w->cfg->shared_etcd || mono_diff_ms(w->compact_at, mono_now()) < 0)
		return;
	w->compact_at = mono_add_ms(mono_now(), COMPACT_MS);
	if (w->compact_to)
		etcd_call(w->net, "kv/compaction", json_pack("{s:I}", "revision", (json_int_t)w->compact_to),
			  CALL_MS, &answer);
	w->compact_to = w->seq;
}

/* -- writing ------------------------------------------------------------------------------------------ */

static void job_free(struct job *j)
{
	if (!j)
		return;
	json_decref(j->parts);
	json_decref(j->ops);
	json_decref(j->undo);
	free(j);
}

static void forget_doubt(struct worker *w)
{
	job_free(w->doubt);
	w->doubt = NULL;
}

static json_t *with_seq(struct worker *w, json_t *ops, const char *seq)
{
	json_t *list = json_copy(ops);

	json_array_append_new(list, put_op(w, "seq", seq, 0));
	return list;
}

/* Applied when leader and seq are as we know them. *ret_seq: seq's value when they are not; NULL when we do
 * not lead. 0, ERR_CONFLICT or what etcd_call said. */
static int fenced_txn(struct worker *w, int64_t seq, json_t *success, unsigned ms, int64_t *ret_revision,
		      char **ret_seq)
{
	json_auto_t *answer = NULL;
	bool yes;
	int r = txn(w, json_pack("[o, o]", we_lead(w), revision_is(w, "seq", "MOD", "mod_revision", seq)),
		    success, json_pack("[o, o]", range_op(w, "leader"), range_op(w, "seq")), ms, &answer,
		    &yes);

	*ret_seq = NULL;
	if (r != 0)
		return r;
	*ret_revision = etcd_revision(answer);
	if (yes)
		return 0;
	json_t *leader = answer_kv(answer, 0), *kv = answer_kv(answer, 1);
	if (leader && kv && etcd_int(leader, "create_revision") == w->created) {
		*ret_seq = etcd_text(json_object_get(kv, "value"));
		*ret_revision = etcd_int(kv, "mod_revision");
	}
	return ERR_CONFLICT;
}

static int write_parts(struct worker *w, struct job *j)
{
	json_t *ops;
	size_t i;

	json_array_foreach(j->parts, i, ops) {
		json_auto_t *answer = NULL;
		bool yes = false;
		int r = txn(w, json_pack("[o]", we_lead(w)), json_incref(ops), NULL, 2 * CALL_MS, &answer,
			    &yes);
		if (r != 0 || !yes)
			return r != 0 ? r : ERR_CONFLICT;
	}
	return 0;
}

/* Tries until the job's end; a repeated transaction is told from its own first attempt by seq. */
static int run_job(struct worker *w, struct job *j)
{
	int r = write_parts(w, j);

	if (r != 0) /* parts alone change nothing: nobody's manifest names them */
		return r == ERR_TIMEOUT ? ERR_REFUSED : r;
	if (json_array_size(j->parts))
		j->end = mono_add_ms(mono_now(), STORE_ETCD_WRITE_MS);
	do {
		int64_t left = mono_diff_ms(mono_now(), j->end), revision;
		auto_free char *seq = NULL;
		if (left < 1)
			return ERR_TIMEOUT;
		r = fenced_txn(w, w->seq, with_seq(w, j->ops, j->id),
			       left < CALL_MS ? (unsigned)left : CALL_MS, &revision, &seq);
		if (r == ERR_CONFLICT && seq && strcmp(seq, j->id) == 0)
			r = 0;
		if (r == 0)
			w->seq = revision;
	} while (r == ERR_TIMEOUT);
	return r;
}

/* A write without an answer: see that it cannot be applied any more, or undo it. */
static void settle_doubt(struct worker *w)
{
	auto_free char *seq = NULL;
	auto_free char *undone = xasprintf("%s.undone", w->doubt->id);
	json_auto_t *none = json_array();
	int64_t revision;

	w->doubt_at = mono_now();
	int r = fenced_txn(w, w->seq, with_seq(w, w->doubt_applied ? w->doubt->undo : none, undone), CALL_MS,
			   &revision, &seq);
	if (r == ERR_TIMEOUT || r == ERR_REFUSED)
		return;
	if (r == ERR_CONFLICT && seq && strcmp(seq, undone) != 0) {
		w->doubt_applied = strcmp(seq, w->doubt->id) == 0;
		w->seq = revision;
		w->doubt_at = (mono_t){ 0 };
		return; /* once more, at once */
	}
	if (r == ERR_CONFLICT && !seq) {
		w->created = 0;
		worker_tell_lead(w, LEAD_GONE);
	} else {
		w->seq = revision;
		log_info("etcd: answers again; the write without an answer %s",
			 w->doubt_applied ? "was undone" : "was not applied");
	}
	forget_doubt(w);
	pthread_mutex_lock(&w->lock);
	w->away = false;
	pthread_mutex_unlock(&w->lock);
}

static void take_job(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	struct job *j = w->write == WRITE_WAITING ? w->job : NULL;
	if (j) {
		w->job = NULL;
		w->write = WRITE_RUNNING;
	}
	pthread_mutex_unlock(&w->lock);
	if (!j)
		return;
	int r = w->created ? run_job(w, j) : ERR_CONFLICT;
	if (r == ERR_CONFLICT && w->created) {
		w->created = 0;
		worker_tell_lead(w, LEAD_GONE);
	}
	pthread_mutex_lock(&w->lock);
	w->write = WRITE_DONE;
	w->result = r;
	snprintf(w->why, sizeof(w->why), "%s", etcd_why(w->net));
	w->away = r == ERR_TIMEOUT;
	pthread_cond_broadcast(&w->done);
	pthread_mutex_unlock(&w->lock);
	if (r == ERR_TIMEOUT) {
		w->doubt = j;
		w->doubt_applied = false;
		return;
	}
	job_free(j);
}

/* The worker answers within the job's end and one attempt, unless it is busy with something else: then the
 * job is taken back, untouched. */
int worker_write(struct worker *w, struct job *job, char *ret_why)
{
	mono_t end = mono_add_ms(mono_now(), STORE_ETCD_WRITE_MS);
	struct timespec ts = { .tv_sec = end.us / 1000000, .tv_nsec = end.us % 1000000 * 1000 };
	int r = 0;

	job->end = end;
	pthread_mutex_lock(&w->lock);
	w->job = job; /* the worker's from here on */
	w->write = WRITE_WAITING;
	etcd_wake(w->net);
	while (w->write == WRITE_WAITING && r == 0)
		r = pthread_cond_timedwait(&w->done, &w->lock, &ts);
	while (w->write == WRITE_RUNNING) /* it knows the job's end */
		pthread_cond_wait(&w->done, &w->lock);
	if (w->write == WRITE_WAITING) {
		job_free(w->job);
		snprintf(ret_why, ETCD_WHY_LEN, "etcd is slow or away");
		r = ERR_REFUSED;
	} else {
		snprintf(ret_why, ETCD_WHY_LEN, "%s", w->why);
		r = w->result;
	}
	w->job = NULL;
	w->write = WRITE_NONE;
	pthread_mutex_unlock(&w->lock);
	return r;
}

bool worker_away(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	bool away = w->away;
	pthread_mutex_unlock(&w->lock);
	return away;
}

/* -- the thread --------------------------------------------------------------------------------------- */

static void on_reload(struct worker *w)
{
	w->loaded = false;
	forget_doubt(w);
}

static void do_asks(struct worker *w)
{
	static const struct {
		unsigned ask;
		void (*fn)(struct worker *w);
	} rows[] = {
		{ STORE_ETCD_RESIGN, resign }, { STORE_ETCD_RELOAD, on_reload },
		{ STORE_ETCD_RENEW, renew },   { STORE_ETCD_CAMPAIGN, campaign },
		{ STORE_ETCD_LOOK, look },
	};

	pthread_mutex_lock(&w->lock);
	unsigned asks = w->busy = w->asks;
	w->asks = 0;
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!(asks & rows[i].ask))
			continue;
		rows[i].fn(w);
		take_job(w); /* somebody waits for it */
	}
	pthread_mutex_lock(&w->lock);
	w->busy = 0;
	pthread_cond_broadcast(&w->done);
	pthread_mutex_unlock(&w->lock);
}

static bool wants_turn(struct worker *w, bool *ret_stop)
{
	pthread_mutex_lock(&w->lock);
	bool yes = w->asks || w->write == WRITE_WAITING || w->stop;
	*ret_stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return yes;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	bool stop = false;

	while (!stop) {
		if (w->doubt && mono_diff_ms(w->doubt_at, mono_now()) >= DOUBT_MS)
			settle_doubt(w);
		take_job(w);
		do_asks(w);
		mirror_turn(w);
		compact(w);
		if (!wants_turn(w, &stop))
			etcd_wait(w->net, w->doubt ? DOUBT_MS : TURN_MS);
		mirror_turn(w);
	}
	return NULL;
}

void worker_ask(struct worker *w, unsigned what)
{
	pthread_mutex_lock(&w->lock);
	w->asks |= what;
	pthread_mutex_unlock(&w->lock);
	etcd_wake(w->net);
}

void worker_settle(struct worker *w, unsigned ms)
{
	mono_t end = mono_add_ms(mono_now(), ms);
	struct timespec ts = { .tv_sec = end.us / 1000000, .tv_nsec = end.us % 1000000 * 1000 };
	int r = 0;

	pthread_mutex_lock(&w->lock);
	while ((w->asks || w->busy) && r == 0)
		r = pthread_cond_timedwait(&w->done, &w->lock, &ts);
	pthread_mutex_unlock(&w->lock);
}

struct worker *worker_new(const struct store_etcd_cfg *cfg)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	pthread_condattr_t attr;

	w->cfg = cfg;
	w->net = etcd_new(&cfg->etcd);
	w->news_end = &w->news;
	w->raw_end = &w->raw;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->done, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&w->thread, NULL, run, w) != 0)
		abort(); /* no thread, no store: systemd starts us again */
	return w;
}

void worker_free(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_mutex_unlock(&w->lock);
	etcd_wake(w->net);
	pthread_join(w->thread, NULL);
	for (struct news *n = w->news, *next; n; n = next) {
		next = n->next;
		news_free(n);
	}
	mirror_drop(w);
	forget_doubt(w);
	job_free(w->job);
	etcd_free(w->net);
	pthread_cond_destroy(&w->done);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
