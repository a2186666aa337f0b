/* SPDX-License-Identifier: Apache-2.0
 * The listen kind against real sockets, held by this process and by children that are killed. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/check/check_kind.h"
#include "agent/check/diag.h"
#include "tests/unit/loop_rig.h"

#define DEADLINE_MS 5000

struct fixture {
	uv_loop_t loop;
	uv_timer_t guard;
	struct check_cfg cfg;
	struct check *check;
	char target[64];
	enum check_status seen[8];
	char reasons[8][TEXT_LEN];
	uint64_t at_ns[8];
	int n;
};

static char name_[] = "l", kind_[] = "listen", udp_[] = "udp";

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	rig_open(&f->loop, &f->guard);
	/* polling is out of the way: what is seen within the deadline came by an event */
	f->cfg = (struct check_cfg){ .name = name_,
				     .kind = kind_,
				     .target = f->target,
				     .interval_ms = 60000,
				     .fast_interval_ms = 10,
				     .timeout_ms = 1000,
				     .rise = 1,
				     .fall = 3 };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	check_free(f->check);
	rig_close(&f->loop, &f->guard);
	free(f);
	return 0;
}

static void on_changed(struct check *c, enum check_status status, const char *reason, void *arg)
{
	struct fixture *f = arg;

	(void)c;
	assert_true(f->n < 8);
	f->at_ns[f->n] = uv_hrtime();
	snprintf(f->reasons[f->n], TEXT_LEN, "%s", reason);
	f->seen[f->n++] = status;
}

/* on is "127.0.0.1", "0.0.0.0", "::" or "::1"; the first call chooses the port that target then has */
static int server(struct fixture *f, const char *on, int type)
{
	struct sockaddr_storage ss = { 0 };
	char text[80];
	const char *port = f->target[0] ? strrchr(f->target, ':') + 1 : "1";
	socklen_t len = sizeof(ss);
	int one = 1;

	snprintf(text, sizeof(text), strchr(on, ':') ? "[%s]:%s" : "%s:%s", on, port);
	assert_int_equal(endpoint_parse(text, &ss, NULL), 0);
	if (!f->target[0])
		((struct sockaddr_in *)&ss)->sin_port = 0; /* the same place in both families */
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&ss,
			      strchr(on, ':') ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)),
			 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 16), 0);
	if (!f->target[0]) {
		getsockname(fd, (struct sockaddr *)&ss, &len);
		snprintf(f->target, sizeof(f->target), "127.0.0.1:%d",
			 ntohs(((struct sockaddr_in *)&ss)->sin_port));
	}
	return fd;
}

static void start(struct fixture *f)
{
	char why[TEXT_LEN] = "";

	if (check_cfg_verify(&f->cfg, why))
		fail_msg("%s", why);
	f->check = check_new(&f->loop, &f->cfg, on_changed, f);
	wait_until(f, f->n == 1);
}

static uint64_t killed(struct fixture *f, pid_t pid)
{
	uint64_t at = uv_hrtime();

	kill(pid, SIGKILL);
	wait_until(f, f->n == 2);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return f->at_ns[1] - at;
}

/* the child holds the only copy of fd */
static pid_t hand_over(int fd)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	close(fd);
	return pid;
}

static void test_killed_server(void **state)
{
	struct fixture *f = *state;
	pid_t pid = hand_over(server(f, "127.0.0.1", SOCK_STREAM));

	f->cfg.interval_ms = 500;
	start(f);
	assert_int_equal(f->seen[0], CHECK_UP);
	uint64_t ns = killed(f, pid);
	assert_true(ns < 400 * UINT64_C(1000000));
	assert_int_equal(f->seen[1], CHECK_DOWN);
	assert_non_null(strstr(f->reasons[1], "nothing listens on tcp 127.0.0.1:"));
	print_message("killed to confirmed: %.2f ms\n", (double)ns / 1e6);
	/* fall is 3: the confirmed death did not wait for it, and it comes back by polling */
	int fd = server(f, "127.0.0.1", SOCK_STREAM);
	wait_until(f, f->n == 3);
	assert_int_equal(f->seen[2], CHECK_UP);
	close(fd);
	wait_until(f, f->n == 4);
}

static void test_killed_udp(void **state)
{
	struct fixture *f = *state;
	pid_t pid = hand_over(server(f, "127.0.0.1", SOCK_DGRAM));

	f->cfg.protocol = udp_;
	start(f);
	killed(f, pid);
	assert_non_null(strstr(f->reasons[1], "nothing listens on udp"));
}

static void test_wildcards_serve(void **state)
{
	static const char *const on[] = { "0.0.0.0", "::", "::ffff:127.0.0.1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(on); i++) {
		struct fixture *f;
		setup((void **)&f);
		int fd = server(f, on[i], SOCK_STREAM);
		start(f);
		assert_int_equal(f->seen[0], CHECK_UP);
		close(fd);
		wait_until(f, f->n == 2);
		assert_int_equal(f->seen[1], CHECK_DOWN);
		teardown((void **)&f);
	}
}

static void test_other_address_does_not(void **state)
{
	struct fixture *f = *state;
	int fd = server(f, "127.0.0.2", SOCK_STREAM);

	start(f);
	assert_int_equal(f->seen[0], CHECK_DOWN);
	close(fd);
}

static void spin(struct fixture *f, int ms)
{
	uint64_t until = uv_hrtime() + (uint64_t)ms * 1000000;

	wait_until(f, uv_hrtime() >= until);
}

static void test_one_worker_of_many(void **state)
{
	struct fixture *f = *state;
	int a = server(f, "127.0.0.1", SOCK_STREAM), b = server(f, "127.0.0.1", SOCK_STREAM);

	start(f);
	close(a);
	spin(f, 50);
	assert_int_equal(f->n, 1);
	close(b);
	wait_until(f, f->n == 2);
	assert_int_equal(f->seen[1], CHECK_DOWN);
}

static void test_restart_under_grace(void **state)
{
	struct fixture *f = *state;
	int fd = server(f, "127.0.0.1", SOCK_STREAM);

	f->cfg.grace_ms = 100;
	f->cfg.interval_ms = 15; /* polls in between must not decide either */
	f->cfg.fall = 1;
	start(f);
	close(fd);
	spin(f, 50);
	fd = server(f, "127.0.0.1", SOCK_STREAM);
	spin(f, 150);
	assert_int_equal(f->n, 1);
	close(fd);
	wait_until(f, f->n == 2);
	assert_int_equal(f->seen[1], CHECK_DOWN);
}

static void test_connections_are_no_listeners(void **state)
{
	struct fixture *f = *state;
	int fd = server(f, "127.0.0.1", SOCK_STREAM);
	struct sockaddr_storage ss;

	start(f);
	endpoint_parse(f->target, &ss, NULL);
	for (int i = 0; i < 100; i++) {
		int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(c, (struct sockaddr *)&ss, sizeof(struct sockaddr_in)), 0);
		close(accept(fd, NULL, NULL));
		close(c);
	}
	spin(f, 20);
	assert_int_equal(f->n, 1);
	close(fd);
	wait_until(f, f->n == 2);
}

/* freed inside its own callback, from an event */
static void free_inside(struct check *c, enum check_status status, const char *reason, void *arg)
{
	struct fixture *f = arg;

	on_changed(c, status, reason, arg);
	if (status == CHECK_DOWN) {
		check_free(c);
		f->check = NULL;
	}
}

static void test_freed_by_event(void **state)
{
	struct fixture *f = *state;
	int fd = server(f, "127.0.0.1", SOCK_STREAM);

	f->check = check_new(&f->loop, &f->cfg, free_inside, f);
	wait_until(f, f->n == 1);
	close(fd);
	wait_until(f, f->n == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_killed_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_udp, setup, teardown),
		cmocka_unit_test(test_wildcards_serve),
		cmocka_unit_test_setup_teardown(test_other_address_does_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_worker_of_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart_under_grace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connections_are_no_listeners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_by_event, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
