/* SPDX-License-Identifier: Apache-2.0
 * Reads etcd for the loop: everything once, then what the watch tells, in etcd's order. On the worker's
 * thread. */
#include "controller/etcd_int.h"

#include <string.h>

#define LOAD_MS 2000 /* a page of the mirror */
#define PAGE	400

/* -- news --------------------------------------------------------------------------------------------- */

void news_free(struct news *n)
{
	free(n->key);
	free(n->value);
	free(n);
}

/* key and value are taken over. */
void worker_tell(struct worker *w, struct news news)
{
	struct news *n = xcalloc(1, sizeof(*n));

	*n = news;
	if (w->held_end) {
		*w->held_end = n;
		w->held_end = &n->next;
		return;
	}
	pthread_mutex_lock(&w->lock);
	*w->news_end = n;
	w->news_end = &n->next;
	pthread_mutex_unlock(&w->lock);
	if (w->cfg->notify)
		w->cfg->notify(w->cfg->arg);
}

void worker_tell_lead(struct worker *w, enum lead_event e)
{
	worker_tell(w, (struct news){ .kind = NEWS_LEAD, .lead = e });
}

struct news *worker_news(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	struct news *n = w->news;
	w->news = NULL;
	w->news_end = &w->news;
	pthread_mutex_unlock(&w->lock);
	return n;
}

/* -- requests ----------------------------------------------------------------------------------------- */

char *full_key(const struct worker *w, const char *key)
{
	return xasprintf("%s/%s", w->cfg->prefix, key);
}

json_t *key64(const struct worker *w, const char *key)
{
	auto_free char *full = full_key(w, key);

	return etcd_b64(full);
}

/* -- the mirror's news -------------------------------------------------------------------------------- */

/* "@ID COUNT": the text is in parts. revision 0: as they are now. NULL: overwritten meanwhile, or no answer.
 */
static char *join_parts(struct worker *w, const char *key, const char *manifest, int64_t revision,
			int *ret_err)
{
	char id[48];
	size_t count, n;

	*ret_err = 0;
	if (sscanf(manifest, "@%47s %zu", id, &count) != 2) {
		log_warn("etcd: the value of %.64s is not one that Sluice writes: it is left out", key);
		return NULL;
	}
	auto_free char *from = xasprintf("part/%s\1%s\1", key, id);
	auto_free char *to = xasprintf("part/%s\1%s\2", key, id);
	json_auto_t *answer = NULL;
	*ret_err = etcd_call(w->net, "kv/range",
			     json_pack("{s:o, s:o, s:I}", "key", key64(w, from), "range_end", key64(w, to),
				       "revision", (json_int_t)revision),
			     LOAD_MS, &answer);
	json_t *kvs = json_object_get(answer, "kvs");
	n = json_array_size(kvs);
	if (*ret_err == 0 && n != count && revision) /* else the news of what overwrote it follows */
		log_warn("etcd: %.64s has %zu of its %zu parts: it is left out", key, n, count);
	if (*ret_err != 0 || n != count)
		return NULL;
	auto_buf text = { 0 };
	for (size_t i = 0; i < n; i++) {
		auto_free char *part = etcd_text(json_object_get(json_array_get(kvs, i), "value"));
		buf_adds(&text, part ? part : "");
	}
	return xstrdup(text.data ? text.data : "");
}

static uint64_t event_id(const char *key)
{
	return strtoull(key + strlen("ev/"), NULL, 10);
}

static void tell_event(struct worker *w, const char *key, const char *value)
{
	uint64_t id = event_id(key);

	if (value)
		w->last_event = id > w->last_event ? id : w->last_event;
	else if (id == w->last_event)
		w->last_event--;
	worker_tell(w, (struct news){ .kind = value ? NEWS_EVENT : NEWS_EVENT_GONE,
				      .number = id,
				      .value = value ? xstrdup(value) : NULL });
}

static int tell_key(struct worker *w, const char *key, const char *value, int64_t revision)
{
	char *text = NULL;
	int err = 0;

	if (value && value[0] == '=')
		text = xstrdup(value + 1);
	else if (value)
		text = join_parts(w, key, value, revision, &err);
	if (!value || text)
		worker_tell(w, (struct news){ .kind = text ? NEWS_PUT : NEWS_DELETE,
					      .key = xstrdup(key),
					      .value = text });
	return err;
}

static void leader_changed(struct worker *w, const struct raw *r)
{
	if (w->created && (r->gone ? r->revision > w->created : r->created == w->created)) {
		if (r->gone) {
			w->created = 0;
			worker_tell_lead(w, LEAD_GONE);
		}
		return;
	}
	if (r->gone)
		worker_tell_lead(w, LEAD_SEEN_NONE);
	else
		worker_tell(w, (struct news){ .kind = NEWS_LEAD,
					      .lead = LEAD_SEEN_OTHER,
					      .value = xstrdup(r->value) });
}

/* A value that could not be read would stay as it was before, and nobody would know: everything is read
 * again, with the next look. */
static void mirror_lost(struct worker *w, const char *key)
{
	log_warn("etcd: the new value of %.64s could not be read (%s): the mirror is read anew", key,
		 etcd_why(w->net));
	w->loaded = false;
}

static void tell_raw(struct worker *w, const struct raw *r)
{
	const char *key = r->key + strlen(w->cfg->prefix) + 1, *value = r->gone ? NULL : r->value;

	if (strcmp(key, "leader") == 0)
		leader_changed(w, r);
	else if (strncmp(key, "kv/", 3) == 0) {
		/* while we lead it is an echo, and nobody's news */
		if (!w->created && tell_key(w, key + 3, value, 0) != 0)
			mirror_lost(w, key + 3);
	} else if (strncmp(key, "ev/", 3) == 0)
		tell_event(w, key, value);
	else if (strcmp(key, "seq") == 0)
		w->seq_seen = r->revision;
}

static void raw_free(struct raw *r)
{
	free(r->key);
	free(r->value);
	free(r);
}

static void tell_raws(struct worker *w)
{
	while (w->raw) {
		struct raw *r = w->raw;
		w->raw = r->next;
		if (!w->raw)
			w->raw_end = &w->raw;
		if (w->loaded)
			tell_raw(w, r);
		raw_free(r);
	}
}

/* Inside curl: nothing may be asked here. */
static void on_watch(json_t *result, void *arg)
{
	struct worker *w = arg;
	json_t *ev;
	size_t i;

	if (json_is_true(json_object_get(result, "canceled"))) {
		log_info("etcd: the watch was cancelled (compacted to %lld): the mirror is read anew",
			 (long long)etcd_int(result, "compact_revision"));
		w->loaded = false;
		return;
	}
	json_array_foreach(json_object_get(result, "events"), i, ev) {
		const json_t *kv = json_object_get(ev, "kv");
		const char *type = json_string_value(json_object_get(ev, "type"));
		struct raw *r = xcalloc(1, sizeof(*r));
		r->gone = type && strcmp(type, "DELETE") == 0;
		r->revision = etcd_int(kv, "mod_revision");
		r->created = etcd_int(kv, "create_revision");
		r->key = etcd_text(json_object_get(kv, "key"));
		r->value = etcd_text(json_object_get(kv, "value"));
		if (!r->key || !r->value || strlen(r->key) <= strlen(w->cfg->prefix)) {
			raw_free(r);
			continue;
		}
		*w->raw_end = r;
		w->raw_end = &r->next;
	}
	if (etcd_revision(result) > w->revision)
		w->revision = etcd_revision(result);
}

static void watch(struct worker *w)
{
	auto_free char *from = full_key(w, ""), *to = xasprintf("%s0", w->cfg->prefix); /* '0' is after '/' */

	etcd_watch(w->net, from, to, w->revision + 1, on_watch, w);
}

/* -- loading ------------------------------------------------------------------------------------------ */

/* All keys from..to as of *revision (0: now, and set), in pages. */
static int load_range(struct worker *w, const char *from, const char *to, int64_t *revision,
		      int (*fn)(struct worker *w, const char *key, const char *value, int64_t revision))
{
	auto_free char *at = xstrdup(from);
	bool more = true;

	while (more) {
		json_auto_t *answer = NULL;
		json_t *kv;
		size_t i;
		int r = etcd_call(w->net, "kv/range",
				  json_pack("{s:o, s:o, s:i, s:I}", "key", key64(w, at), "range_end",
					    key64(w, to), "limit", PAGE, "revision", (json_int_t)*revision),
				  LOAD_MS, &answer);
		if (r != 0)
			return r;
		if (!*revision)
			*revision = etcd_revision(answer);
		more = json_is_true(json_object_get(answer, "more"));
		json_array_foreach(json_object_get(answer, "kvs"), i, kv) {
			auto_free char *key = etcd_text(json_object_get(kv, "key"));
			auto_free char *value = etcd_text(json_object_get(kv, "value"));
			if (!key || !value)
				continue;
			const char *own = key + strlen(w->cfg->prefix) + 1;
			free(at);
			at = xasprintf("%s\1", own); /* the next after it */
			r = fn(w, own, value, *revision);
			if (r != 0)
				return r;
		}
	}
	return 0;
}

static int load_key(struct worker *w, const char *key, const char *value, int64_t revision)
{
	return tell_key(w, key + strlen("kv/"), value, revision);
}

static int load_event(struct worker *w, const char *key, const char *value, int64_t revision)
{
	(void)revision;
	tell_event(w, key, value);
	return 0;
}

static void hold(struct worker *w)
{
	w->held = NULL;
	w->held_end = &w->held;
}

/* All of it, or nothing. */
static void let_go(struct worker *w, bool tell)
{
	struct news *list = w->held, **end = w->held_end;

	w->held = NULL;
	w->held_end = NULL;
	if (tell) {
		pthread_mutex_lock(&w->lock);
		*w->news_end = list;
		w->news_end = end;
		pthread_mutex_unlock(&w->lock);
		if (w->cfg->notify)
			w->cfg->notify(w->cfg->arg);
		return;
	}
	for (struct news *next; list; list = next) {
		next = list->next;
		news_free(list);
	}
}

/* Everything, as of one revision; then the watch goes on from there. Events do not change: only new ones.
 * What was known stays until all of it is here: half of it, or nothing, would be worse than what was true a
 * moment ago. */
int mirror_load(struct worker *w)
{
	uint64_t last_event = w->last_event;
	int64_t revision = 0;
	char from[40];

	etcd_watch_stop(w->net);
	w->loaded = false;
	tell_raws(w); /* of the old watch: dropped */
	hold(w);
	worker_tell(w, (struct news){ .kind = NEWS_RESET });
	int r = load_range(w, "kv/", "kv0", &revision, load_key);
	snprintf(from, sizeof(from), "ev/%020llu", (unsigned long long)w->last_event + 1);
	if (r == 0)
		r = load_range(w, from, "ev0", &revision, load_event);
	let_go(w, r == 0);
	if (r != 0) {
		w->last_event = last_event;
		return r;
	}
	w->loaded = true;
	w->revision = revision;
	w->lagging = 0;
	watch(w);
	return 0;
}

void mirror_turn(struct worker *w)
{
	tell_raws(w);
	if (w->loaded && !etcd_watching(w->net))
		watch(w);
}

void mirror_drop(struct worker *w)
{
	w->loaded = false;
	tell_raws(w);
}
