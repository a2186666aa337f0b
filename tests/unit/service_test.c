/* SPDX-License-Identifier: Apache-2.0
 * Services over tcp checks of listeners that the test opens and closes, with hold-downs of milliseconds. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/service.h"
#include "tests/unit/loop_rig.h"

#define DEADLINE_MS 5000
#define HOLD_MS	    60

struct fixture {
	uv_loop_t loop;
	uv_timer_t guard;
	struct check_cfg checks[2];
	char targets[2][64];
	int fds[2]; /* -1: closed */
	struct service_cfg cfg;
	struct service *s;
	enum service_status from[32], to[32];
	char reasons[32][TEXT_LEN];
	mono_t at[32];
	int n;
};

static char name_[] = "web", tcp_[] = "tcp", first_[] = "first", second_[] = "second";

static struct sockaddr_storage address_of(struct fixture *f, int i)
{
	struct sockaddr_storage ss = { 0 };

	if (f->targets[i][0])
		assert_int_equal(endpoint_parse(f->targets[i], &ss, NULL), 0);
	else
		ss.ss_family = AF_INET, ((struct sockaddr_in *)&ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return ss;
}

static void server_up(struct fixture *f, int i)
{
	struct sockaddr_storage ss = address_of(f, i);
	socklen_t len = sizeof(struct sockaddr_in);
	int one = 1;

	f->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(f->fds[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(f->fds[i], (struct sockaddr *)&ss, len), 0);
	/* nobody accepts: the backlog must hold every probe of the test */
	assert_int_equal(listen(f->fds[i], 4096), 0);
	getsockname(f->fds[i], (struct sockaddr *)&ss, &len);
	endpoint_str((struct sockaddr *)&ss, f->targets[i], sizeof(f->targets[i]));
}

static void server_down(struct fixture *f, int i)
{
	close(f->fds[i]);
	f->fds[i] = -1;
}

static void on_changed(struct service *s, enum service_status from, enum service_status to,
		       const char *reason, void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(service_status(s), to);
	assert_true(f->n < 32);
	f->from[f->n] = from;
	f->to[f->n] = to;
	f->at[f->n] = mono_now();
	snprintf(f->reasons[f->n++], TEXT_LEN, "%s", reason);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	rig_open(&f->loop, &f->guard);
	for (int i = 0; i < 2; i++) {
		server_up(f, i);
		f->checks[i] = (struct check_cfg){ .name = i ? second_ : first_,
						   .kind = tcp_,
						   .target = f->targets[i],
						   .interval_ms = 10,
						   .fast_interval_ms = 10,
						   .timeout_ms = 500,
						   .rise = 2,
						   .fall = 2 };
	}
	f->cfg = (struct service_cfg){
		.name = name_, .checks = f->checks, .checks_count = 2, .hold_down_ms = HOLD_MS
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	service_free(f->s);
	for (int i = 0; i < 2; i++)
		if (f->fds[i] >= 0)
			close(f->fds[i]);
	rig_close(&f->loop, &f->guard);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	f->s = service_new(&f->loop, &f->cfg, on_changed, f);
	assert_int_equal(service_status(f->s), SERVICE_UNKNOWN);
}

static void expect(struct fixture *f, enum service_status from, enum service_status to)
{
	int i = f->n;

	wait_until(f, f->n > i);
	assert_int_equal(f->from[i], from);
	assert_int_equal(f->to[i], to);
}

static int64_t held_ms(const struct fixture *f)
{
	assert_true(f->from[f->n - 1] == SERVICE_HELD);
	return mono_diff_ms(f->at[f->n - 2], f->at[f->n - 1]);
}

/* up at once when all pass: a restarted agent must not withdraw */
static void test_first_decision_up(void **state)
{
	struct fixture *f = *state;
	struct service_state st;

	f->cfg.hold_down_ms = 60000;
	start(f);
	service_state(f->s, &st);
	assert_false(st.up);
	assert_string_equal(st.name, "web");
	assert_string_equal(st.reason, "checks not decided yet");
	expect(f, SERVICE_UNKNOWN, SERVICE_UP);
	service_state(f->s, &st);
	assert_true(st.up);
	assert_string_equal(st.reason, "all checks pass");
	assert_true(st.since_ms < 1000);
	assert_ptr_equal(service_cfg(f->s), &f->cfg);
}

static void test_first_decision_down(void **state)
{
	struct fixture *f = *state;
	struct service_state st;

	server_down(f, 1);
	start(f);
	expect(f, SERVICE_UNKNOWN, SERVICE_DOWN);
	service_state(f->s, &st);
	assert_false(st.up);
	assert_string_equal(st.reason, "second: connect: Connection refused");
	assert_string_equal(f->reasons[0], st.reason);
}

/* any check down takes it down; all up and held brings it back */
static void test_fall_hold_rise(void **state)
{
	struct fixture *f = *state;
	struct service_state st;

	start(f);
	expect(f, SERVICE_UNKNOWN, SERVICE_UP);
	server_down(f, 0);
	expect(f, SERVICE_UP, SERVICE_DOWN);
	assert_string_equal(f->reasons[f->n - 1], "first: connect: Connection refused");
	server_up(f, 0);
	expect(f, SERVICE_DOWN, SERVICE_HELD);
	service_state(f->s, &st);
	assert_false(st.up);
	assert_string_equal(st.reason, "healthy again, held down for 60 ms");
	expect(f, SERVICE_HELD, SERVICE_UP);
	assert_true(held_ms(f) >= HOLD_MS - 2);
}

/* one check back is not enough */
static void test_all_checks(void **state)
{
	struct fixture *f = *state;
	struct service_state st = { .reason = "" };

	start(f);
	expect(f, SERVICE_UNKNOWN, SERVICE_UP);
	server_down(f, 0);
	server_down(f, 1);
	expect(f, SERVICE_UP, SERVICE_DOWN);
	int n = f->n;
	/* the reason follows what still fails, without a transition */
	wait_until(f, (service_state(f->s, &st), strncmp(st.reason, "first: ", 7) == 0));
	server_up(f, 0);
	wait_until(f, (service_state(f->s, &st), strncmp(st.reason, "second: ", 8) == 0));
	assert_int_equal(f->n, n);
	assert_int_equal(service_status(f->s), SERVICE_DOWN);
	server_up(f, 1);
	expect(f, SERVICE_DOWN, SERVICE_HELD);
}

static void test_fall_while_held(void **state)
{
	struct fixture *f = *state;

	f->cfg.hold_down_ms = 60000;
	start(f);
	expect(f, SERVICE_UNKNOWN, SERVICE_UP);
	server_down(f, 0);
	expect(f, SERVICE_UP, SERVICE_DOWN);
	server_up(f, 0);
	expect(f, SERVICE_DOWN, SERVICE_HELD);
	server_down(f, 0);
	expect(f, SERVICE_HELD, SERVICE_DOWN);
	assert_string_equal(f->reasons[f->n - 1], "first: connect: Connection refused");
}

/* each fall soon after a rise doubles the wait */
static void test_flapper_waits_longer(void **state)
{
	struct fixture *f = *state;
	int64_t want = HOLD_MS;
	char reason[TEXT_LEN];

	start(f);
	expect(f, SERVICE_UNKNOWN, SERVICE_UP);
	for (int i = 0; i < 3; i++, want *= 2) {
		server_down(f, 0);
		expect(f, SERVICE_UP, SERVICE_DOWN);
		server_up(f, 0);
		expect(f, SERVICE_DOWN, SERVICE_HELD);
		snprintf(reason, sizeof(reason), "healthy again, held down for %d ms", (int)want);
		assert_string_equal(f->reasons[f->n - 1], reason);
		expect(f, SERVICE_HELD, SERVICE_UP);
		assert_true(held_ms(f) >= want - 2);
	}
}

/* a fall while held doubles it, too: the doubling is remembered as long as the flapping goes on */
static void test_falls_while_held_double(void **state)
{
	struct fixture *f = *state;
	int64_t want = HOLD_MS;
	char reason[TEXT_LEN];

	start(f);
	expect(f, SERVICE_UNKNOWN, SERVICE_UP);
	for (int i = 0; i < 5; i++, want = want < 8 * HOLD_MS ? 2 * want : want) {
		server_down(f, 0);
		expect(f, i ? SERVICE_HELD : SERVICE_UP, SERVICE_DOWN);
		server_up(f, 0);
		expect(f, SERVICE_DOWN, SERVICE_HELD);
		snprintf(reason, sizeof(reason), "healthy again, held down for %d ms", (int)want);
		assert_string_equal(f->reasons[f->n - 1], reason);
	}
	expect(f, SERVICE_HELD, SERVICE_UP);
	assert_true(held_ms(f) >= 8 * HOLD_MS - 2);
}

/* one bad result is no fall, but the hold-down begins again; a check looks at its fast interval */
static void test_stumble_while_held(void **state)
{
	struct fixture *f = *state;

	f->checks[0].interval_ms = 60000;
	start(f);
	expect(f, SERVICE_UNKNOWN, SERVICE_UP);
	server_down(f, 1);
	expect(f, SERVICE_UP, SERVICE_DOWN);
	f->cfg.hold_down_ms = 400;
	server_up(f, 1);
	expect(f, SERVICE_DOWN, SERVICE_HELD);
	server_down(f, 0);
	wait_until(f, check_failed_age_ms(service_check(f->s, 0)) >= 0);
	server_up(f, 0);
	mono_t failed = mono_now();
	expect(f, SERVICE_HELD, SERVICE_UP);
	assert_true(mono_diff_ms(failed, f->at[f->n - 1]) >= 380);
	assert_int_equal(f->n, 4);
}

/* up for longer than ten hold-downs: forgiven */
static void test_calm_is_forgiven(void **state)
{
	struct fixture *f = *state;

	f->cfg.hold_down_ms = 20;
	start(f);
	expect(f, SERVICE_UNKNOWN, SERVICE_UP);
	for (int i = 0; i < 2; i++) {
		mono_t risen = mono_now();
		wait_until(f, mono_diff_ms(risen, mono_now()) > 10 * 20 + 20);
		server_down(f, 0);
		expect(f, SERVICE_UP, SERVICE_DOWN);
		server_up(f, 0);
		expect(f, SERVICE_DOWN, SERVICE_HELD);
		assert_string_equal(f->reasons[f->n - 1], "healthy again, held down for 20 ms");
		expect(f, SERVICE_HELD, SERVICE_UP);
	}
}

static void test_no_checks(void **state)
{
	struct fixture *f = *state;

	f->cfg.checks_count = 0;
	start(f);
	expect(f, SERVICE_UNKNOWN, SERVICE_UP);
	assert_string_equal(f->reasons[0], "no checks");
}

static void free_inside(struct service *s, enum service_status from, enum service_status to,
			const char *reason, void *arg)
{
	on_changed(s, from, to, reason, arg);
	service_free(s);
}

static void test_free_inside(void **state)
{
	struct fixture *f = *state;

	service_free(NULL);
	service_new(&f->loop, &f->cfg, free_inside, f);
	wait_until(f, f->n == 1);
}

static void test_hold_ms(void **state)
{
	(void)state;
	assert_int_equal(service_hold_ms(10000, 0), 10000);
	assert_int_equal(service_hold_ms(10000, 1), 10000);
	assert_int_equal(service_hold_ms(10000, 2), 20000);
	assert_int_equal(service_hold_ms(10000, 9), 80000);
	assert_int_equal(service_hold_ms(10000, 10), 80000);
	assert_int_equal(service_hold_ms(10000, UINT32_MAX), 80000);
	assert_int_equal(service_hold_ms(UINT32_MAX, 9), UINT32_MAX);
	assert_int_equal(service_hold_ms(0, 5), 0);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(service_status_str(SERVICE_UNKNOWN), "unknown");
	assert_string_equal(service_status_str(SERVICE_HELD), "held");
	assert_string_equal(service_status_str((enum service_status)99), "?");
}

int main(void)
{
#define on_loop(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		on_loop(test_first_decision_up),
		on_loop(test_first_decision_down),
		on_loop(test_fall_hold_rise),
		on_loop(test_all_checks),
		on_loop(test_fall_while_held),
		on_loop(test_flapper_waits_longer),
		on_loop(test_falls_while_held_double),
		on_loop(test_stumble_while_held),
		on_loop(test_calm_is_forgiven),
		on_loop(test_no_checks),
		on_loop(test_free_inside),
		cmocka_unit_test(test_hold_ms),
		cmocka_unit_test(test_names),
	};

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
