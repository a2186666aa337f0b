/* SPDX-License-Identifier: Apache-2.0
 * The contract on real etcd, one member and three; then what only a shared store can show: the election,
 * the fence, the mirror of a standby, members that die, hang and come back. */
#include "tests/unit/store_contract.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "controller/store_etcd.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/wire/msg.h"
#include "tests/unit/etcd_rig.h"

#define WAIT_MS 15000

static struct etcd_rig one, three;

struct fixture {
	struct store *s; /* as in struct subject */
	size_t events_kept;
	struct etcd_rig *rig;
	struct store_etcd_cfg cfg;
	char prefix[64];
	unsigned won, beaten, renewed, gone, away, none, other, changed, events;
	char leader[16];
	struct store *second;
	struct store_etcd_cfg cfg2;
};

static void on_lead(enum lead_event e, mono_t at, const char *leader, void *arg)
{
	struct fixture *f = arg;
	unsigned *counters[LEAD_EVENTS] = {
		[LEAD_SEEN_NONE] = &f->none, [LEAD_SEEN_OTHER] = &f->other, [LEAD_WON] = &f->won,
		[LEAD_BEATEN] = &f->beaten,  [LEAD_RENEWED] = &f->renewed,  [LEAD_GONE] = &f->gone,
		[LEAD_AWAY] = &f->away,
	};

	(void)at;
	if (e == LEAD_SEEN_OTHER)
		snprintf(f->leader, sizeof(f->leader), "%s", leader);
	++*counters[e];
}

static void on_event(const struct store_event *ev, void *arg)
{
	(void)ev;
	((struct fixture *)arg)->events++;
}

static void on_changed(void *arg)
{
	((struct fixture *)arg)->changed++;
}

static const struct store_etcd_news news = { .lead = on_lead, .event = on_event, .changed = on_changed };

static void wait_for(struct fixture *f, struct store *s, enum store_etcd_ask ask, const unsigned *counter)
{
	mono_t end = mono_add_ms(mono_now(), WAIT_MS);
	unsigned before = *counter, away = f->away;

	store_etcd_ask(s, ask);
	while (*counter == before) {
		if (mono_diff_ms(mono_now(), end) < 0)
			fail_msg("no answer to ask %d within %d ms", (int)ask, WAIT_MS);
		usleep(2000);
		store_etcd_poll(s, &news, f);
		if (f->away != away) /* once more; a campaign must not be asked for twice */
			store_etcd_ask(s, ask);
		away = f->away;
	}
}

static void lead(struct fixture *f, struct store *s)
{
	wait_for(f, s, STORE_ETCD_CAMPAIGN, &f->won);
}

static int setup(void **state, struct etcd_rig *rig)
{
	static unsigned count;
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->rig = rig;
	f->events_kept = 100;
	snprintf(f->prefix, sizeof(f->prefix), "/sluice/t%u", count++);
	f->cfg = (struct store_etcd_cfg){
		.etcd = { .endpoints = rig->urls, .n_endpoints = rig->n },
		.prefix = f->prefix,
		.self = "first",
		.lease_s = 60,
		.events_kept = f->events_kept,
	};
	f->cfg2 = f->cfg;
	f->cfg2.self = "second";
	f->s = store_open_etcd(&f->cfg);
	lead(f, f->s);
	*state = f;
	return 0;
}

static int setup_etcd1(void **state)
{
	return setup(state, &one);
}

static int setup_etcd3(void **state)
{
	return setup(state, &three);
}

static int teardown_etcd1(void **state)
{
	struct fixture *f = *state;

	if (f->second)
		store_close(f->second);
	store_close(f->s);
	free(f);
	return 0;
}
#define teardown_etcd3 teardown_etcd1

static struct store *second(struct fixture *f)
{
	f->second = store_open_etcd(&f->cfg2);
	return f->second;
}

/* -- several controllers ------------------------------------------------------------------------------ */

/* The epoch rises, what the first wrote is there, and what it still wants to write is refused by etcd. */
static void test_election(void **state)
{
	struct fixture *f = *state;
	struct store *b = second(f);
	uint64_t e1 = 0, e2 = 0;

	assert_int_equal(store_next_epoch(f->s, &e1), 0);
	assert_int_equal(put(f->s, "mode", "steer"), 0);
	event(f->s, "mode", NULL);
	assert_int_equal(put(b, "mode", "freeze"), ERR_STORE);
	assert_non_null(strstr(store_why(b), "does not lead"));
	wait_for(f, b, STORE_ETCD_CAMPAIGN, &f->beaten);
	wait_for(f, b, STORE_ETCD_LOOK, &f->other);
	assert_string_equal(f->leader, "first");
	/* its lease is taken away behind its back: it still believes */
	auto_free char *cmd = xasprintf("curl -sf %s/v3/kv/deleterange -d '{\"key\":\"'$(printf %s/leader | "
					"base64 -w0)'\"}' >/dev/null",
					f->rig->urls[0], f->prefix);
	assert_int_equal(system(cmd), 0);
	lead(f, b);
	assert_int_equal(store_next_epoch(b, &e2), 0);
	assert_int_equal(e2, e1 + 1);
	expect(b, "mode", "steer");
	assert_int_equal(store_last_event(b), 1);
	assert_int_equal(put(f->s, "mode", "observe"), ERR_STORE);
	assert_int_equal(put(b, "mode", "freeze"), 0);
	expect(b, "mode", "freeze");
	wait_for(f, f->s, STORE_ETCD_RENEW, &f->gone);
}

/* A standby reads what the leader wrote, also in parts, and hears its events. */
static void test_mirror(void **state)
{
	struct fixture *f = *state;
	struct store *b = second(f);
	auto_free char *big = xcalloc(1, 3 * 1024 * 1024);
	auto_free char *back = NULL;

	wait_for(f, b, STORE_ETCD_LOOK, &f->other);
	memset(big, 'b', 3 * 1024 * 1024 - 1);
	assert_int_equal(put(f->s, "engine", big), 0);
	wait_for(f, b, 0, &f->changed);
	assert_int_equal(store_get(b, "engine", &back), 0);
	assert_string_equal(back, big);
	assert_int_equal(put(f->s, "engine", "small"), 0);
	wait_for(f, b, 0, &f->changed);
	expect(b, "engine", "small");
	assert_int_equal(put(f->s, "engine", NULL), 0);
	wait_for(f, b, 0, &f->changed);
	expect(b, "engine", NULL);
	event(f->s, "mode", "{\"a\":1}");
	wait_for(f, b, 0, &f->events);
	expect_events(b, 0, 10, "1:mode:{\"a\":1};");
}

static void test_resign(void **state)
{
	struct fixture *f = *state;
	struct store *b = second(f);

	wait_for(f, b, STORE_ETCD_LOOK, &f->other);
	store_etcd_resign(f->s);
	assert_int_equal(put(f->s, "mode", "steer"), ERR_STORE);
	wait_for(f, b, 0, &f->none);
	lead(f, b);
}

static void test_renewal(void **state)
{
	struct fixture *f = *state;

	wait_for(f, f->s, STORE_ETCD_RENEW, &f->renewed);
	assert_int_equal(put(f->s, "mode", "steer"), 0);
}

/* No answer: the write fails within its bound, the next one at once; when etcd is back, neither was done. */
static void test_hang(void **state)
{
	struct fixture *f = *state;
	struct store *b;
	struct store_event ev = { .kind = "k", .severity = "info", .text = "t" };
	struct store_op op = { "mode", "freeze" }, next = { "mode", "observe" };

	assert_int_equal(put(f->s, "mode", "steer"), 0);
	event(f->s, "first", NULL);
	for (unsigned i = 0; i < f->rig->n; i++)
		etcd_rig_signal(f->rig, i, SIGSTOP);
	mono_t t0 = mono_now();
	assert_int_equal(store_write(f->s, &op, 1, &ev), ERR_STORE);
	int64_t took_ms = mono_diff_ms(t0, mono_now());
	t0 = mono_now();
	assert_int_equal(store_write(f->s, &next, 1, NULL), ERR_STORE);
	int64_t at_once_ms = mono_diff_ms(t0, mono_now());
	for (unsigned i = 0; i < f->rig->n; i++)
		etcd_rig_signal(f->rig, i, SIGCONT); /* and now it may apply what it was sent */
	assert_in_range(took_ms, 0, 2 * STORE_ETCD_WRITE_MS + 500);
	assert_in_range(at_once_ms, 0, 200);
	assert_int_equal(put(f->s, "after", "1"), 0); /* in the end */
	expect(f->s, "after", "1");
	expect(f->s, "mode", "steer");
	b = second(f);
	wait_for(f, b, STORE_ETCD_LOOK, &f->other);
	store_etcd_poll(b, &news, f);
	expect(b, "after", "1");
	expect(b, "mode", "steer");
	expect_events(b, 0, 10, "1:first:{};");
}

/* -- members ------------------------------------------------------------------------------------------ */

/* Any member may die, also the one in use: nothing acknowledged is lost, writing goes on. */
static void test_member_dies(void **state)
{
	struct fixture *f = *state;
	char text[16];
	unsigned acknowledged = 0;

	for (unsigned victim = 0; victim < 3; victim++) {
		for (unsigned i = 0; i < 30; i++) {
			if (i == 10)
				etcd_rig_kill(f->rig, victim);
			snprintf(text, sizeof(text), "%u", victim * 100 + i);
			assert_int_equal(put(f->s, "n", text), 0); /* in the end */
			acknowledged++;
			expect(f->s, "n", text);
		}
		etcd_rig_again(f->rig, victim);
		/* a second loss before it is back is another test: two of three are needed */
		etcd_rig_wait(f->rig, victim);
	}
	assert_int_equal(acknowledged, 90);
	struct store *b = second(f);
	wait_for(f, b, STORE_ETCD_LOOK, &f->other);
	store_etcd_poll(b, &news, f);
	expect(b, "n", "229");
}

static int start_rigs(void **state)
{
	(void)state;
	etcd_rig_start(&one, 1);
	etcd_rig_start(&three, 3);
	return 0;
}

static int stop_rigs(void **state)
{
	(void)state;
	etcd_rig_stop(&one);
	etcd_rig_stop(&three);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT(etcd1),	CONTRACT(etcd3),	ON(etcd1, test_election),
		ON(etcd1, test_mirror), ON(etcd1, test_resign), ON(etcd1, test_renewal),
		ON(etcd1, test_hang),	ON(etcd3, test_hang),	ON(etcd3, test_member_dies),
	};

	return cmocka_run_group_tests(tests, start_rigs, stop_rigs);
}
