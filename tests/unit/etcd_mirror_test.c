/* SPDX-License-Identifier: Apache-2.0
 * The mirror against an etcd that is not one: what the watch tells and what is asked for meanwhile, with
 * answers that do not come. Texts go as they are, not in base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "controller/etcd_int.h"

static struct {
	bool refuse;	    /* no answer to anything */
	const char *kv;	    /* JSON of what is at kv/ */
	int refuse_at;	    /* no answer to this one; 1 is the next */
	const char *ev;	    /* what is at ev/ */
	const char *parts;  /* the same of any part/ */
	unsigned asked;	    /* for parts */
	etcd_watch_fn told; /* of the watch under way */
	void *arg;
} fake;

static struct store_etcd_cfg cfg = { .prefix = "/p" };
static struct worker w;

/* -- etcd.c -- */

int etcd_call(struct etcd *e, const char *path, json_t *body, unsigned timeout_ms, json_t **ret_answer)
{
	const char *key = json_string_value(json_object_get(body, "key"));
	bool part = key && strncmp(key, "/p/part/", 8) == 0;
	const char *kvs = part ? fake.parts : key && strncmp(key, "/p/kv/", 6) == 0 ? fake.kv : fake.ev;
	auto_free char *text =
		xasprintf("{\"header\": {\"revision\": \"10\"}, \"kvs\": %s}", kvs ? kvs : "[]");

	(void)e;
	(void)path;
	(void)timeout_ms;
	bool refused = fake.refuse || (fake.refuse_at && --fake.refuse_at == 0);
	fake.asked += part;
	if (!refused)
		*ret_answer = json_loads(text, 0, NULL);
	json_decref(body);
	return refused ? ERR_TIMEOUT : 0;
}

void etcd_watch(struct etcd *e, const char *key, const char *range_end, int64_t from_revision,
		etcd_watch_fn fn, void *arg)
{
	(void)e;
	(void)key;
	(void)range_end;
	assert_int_equal(from_revision, 11);
	fake.told = fn;
	fake.arg = arg;
}

bool etcd_watching(const struct etcd *e)
{
	(void)e;
	return fake.told;
}

void etcd_watch_stop(struct etcd *e)
{
	(void)e;
	fake.told = NULL;
}

const char *etcd_why(const struct etcd *e)
{
	(void)e;
	return "no answer";
}

json_t *etcd_b64(const char *text)
{
	return json_string(text);
}

char *etcd_text(const json_t *b64)
{
	return json_is_string(b64) ? xstrdup(json_string_value(b64)) : NULL;
}

int64_t etcd_int(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s ? strtoll(s, NULL, 10) : 0;
}

int64_t etcd_revision(const json_t *answer)
{
	return etcd_int(json_object_get(answer, "header"), "revision");
}

/* -- what is told -- */

static void put(const char *value)
{
	auto_free char *text = xasprintf(
		"{\"header\": {\"revision\": \"11\"}, \"events\": [{\"kv\": {\"key\": \"/p/kv/engine\", "
		"\"value\": \"%s\", \"mod_revision\": \"11\"}}]}",
		value);
	json_auto_t *j = json_loads(text, 0, NULL);

	assert_non_null(fake.told);
	fake.told(j, fake.arg);
	mirror_turn(&w);
}

/* "RESET;" "KEY=VALUE;" since the last call */
static void expect(const char *want)
{
	auto_buf b = { 0 };

	for (struct news *n = worker_news(&w), *next; n; n = next) {
		next = n->next;
		if (n->kind == NEWS_RESET)
			buf_adds(&b, "RESET;");
		if (n->kind == NEWS_PUT)
			buf_addf(&b, "%s=%s;", n->key, n->value);
		if (n->kind == NEWS_EVENT)
			buf_addf(&b, "event %llu;", (unsigned long long)n->number);
		news_free(n);
	}
	assert_string_equal(b.data ? b.data : "", want);
}

static void test_parts(void **state)
{
	(void)state;
	put("=small");
	expect("engine=small;");
	fake.parts = "[{\"key\": \"x\", \"value\": \"la\"}, {\"key\": \"y\", \"value\": \"rge\"}]";
	put("@id 2");
	expect("engine=large;");
	assert_true(w.loaded);
}

/* The parts cannot be read: what was there before must not pass for the present. */
static void test_parts_without_an_answer(void **state)
{
	(void)state;
	put("=small");
	expect("engine=small;");
	fake.refuse = true;
	put("@id 2");
	expect("");
	assert_false(w.loaded);
	assert_true(mirror_load(&w) < 0); /* as every look does until it works */
	assert_false(w.loaded);
	fake.refuse = false;
	fake.kv = "[{\"key\": \"/p/kv/engine\", \"value\": \"@id 2\"}]";
	fake.parts = "[{\"key\": \"x\", \"value\": \"la\"}, {\"key\": \"y\", \"value\": \"rge\"}]";
	assert_int_equal(mirror_load(&w), 0);
	expect("RESET;engine=large;"); /* and nothing of the attempts before: what was known stayed */
	assert_true(w.loaded);
}

/* A load that comes half way: its events come with the next one. */
static void test_half_a_load(void **state)
{
	(void)state;
	w.last_event = 0;
	fake.kv = "[{\"key\": \"/p/kv/a\", \"value\": \"=1\"}, {\"key\": \"/p/kv/engine\", \"value\": \"@id "
		  "2\"}]";
	fake.ev = "[{\"key\": \"/p/ev/00000000000000000001\", \"value\": \"{}\"}]";
	fake.parts = "[{\"key\": \"x\", \"value\": \"la\"}, {\"key\": \"y\", \"value\": \"rge\"}]";
	fake.refuse_at = 3; /* the events */
	assert_true(mirror_load(&w) < 0);
	expect("");
	assert_int_equal(w.last_event, 0);
	assert_int_equal(mirror_load(&w), 0);
	expect("RESET;a=1;engine=large;event 1;");
	assert_int_equal(w.last_event, 1);
}

/* Overwritten meanwhile: the news of that follows, there is nothing to read anew. */
static void test_parts_overwritten(void **state)
{
	(void)state;
	put("@id 2");
	expect("");
	assert_true(w.loaded);
	put("=newer");
	expect("engine=newer;");
}

/* Our own writes come back while we lead: nobody wants them, and no answer is no reason to doubt. */
static void test_echo(void **state)
{
	(void)state;
	w.created = 5;
	fake.refuse = true;
	put("@id 2");
	put("=small");
	expect("");
	assert_int_equal(fake.asked, 0);
	assert_true(w.loaded);
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	w = (struct worker){ .cfg = &cfg };
	w.news_end = &w.news;
	w.raw_end = &w.raw;
	pthread_mutex_init(&w.lock, NULL);
	assert_int_equal(mirror_load(&w), 0);
	expect("RESET;");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	expect("");
	mirror_drop(&w);
	pthread_mutex_destroy(&w.lock);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_parts),	     T(test_parts_without_an_answer),
		T(test_half_a_load), T(test_parts_overwritten),
		T(test_echo),
	};

	log_init("etcd_mirror_test", LOG_LEVEL_ERROR + 1, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
