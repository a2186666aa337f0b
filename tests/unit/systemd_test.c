/* SPDX-License-Identifier: Apache-2.0
 * The systemd kind against a bus of the test's own: libsystemd's server end on a socket, in a thread, plays
 * both bus and manager. ActiveState is what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/check/check_kind.h"

#define DEADLINE_MS 8000

#define must(x)                                                                                              \
	do {                                                                                                 \
		if (!(x))                                                                                    \
			abort();                                                                             \
	} while (0)

static char path_[64];
static atomic_int listener = -1;
static atomic_bool ending, mute;
static _Atomic(const char *) active_state;

static int on_hello(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	(void)arg;
	(void)e;
	return sd_bus_reply_method_return(m, "s", ":1.1");
}

static int on_nothing(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	(void)arg;
	(void)e;
	return sd_bus_reply_method_return(m, NULL);
}

static int get_state(sd_bus *bus, const char *path, const char *iface, const char *property,
		     sd_bus_message *reply, void *arg, sd_bus_error *e)
{
	(void)bus;
	(void)iface;
	(void)property;
	(void)arg;
	(void)e;
	while (mute && !ending)
		usleep(1000);
	must(strcmp(path, "/org/freedesktop/systemd1/unit/nginx_2eservice") == 0);
	return sd_bus_message_append(reply, "s", active_state);
}

static const sd_bus_vtable bus_table[] = {
	SD_BUS_VTABLE_START(0), SD_BUS_METHOD("Hello", "", "s", on_hello, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("AddMatch", "s", "", on_nothing, SD_BUS_VTABLE_UNPRIVILEGED), SD_BUS_VTABLE_END
};
static const sd_bus_vtable manager_table[] = {
	SD_BUS_VTABLE_START(0), SD_BUS_METHOD("Subscribe", "", "", on_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};
static const sd_bus_vtable unit_table[] = { SD_BUS_VTABLE_START(0),
					    SD_BUS_PROPERTY("ActiveState", "s", get_state, 0, 0),
					    SD_BUS_VTABLE_END };

static void serve(int fd)
{
	sd_bus *bus = NULL;
	sd_id128_t id;

	sd_id128_randomize(&id);
	must(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fd, fd) >= 0 && sd_bus_set_server(bus, 1, id) >= 0);
	must(sd_bus_set_anonymous(bus, 1) >= 0);
	sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/DBus", "org.freedesktop.DBus", bus_table, NULL);
	sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
				 manager_table, NULL);
	sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1/unit/nginx_2eservice",
				 "org.freedesktop.systemd1.Unit", unit_table, NULL);
	must(sd_bus_start(bus) >= 0);
	for (int rc = 0; rc >= 0 && !ending;) {
		rc = sd_bus_process(bus, NULL);
		if (rc == 0)
			rc = sd_bus_wait(bus, 20000);
	}
	sd_bus_close(bus);
	sd_bus_unref(bus);
}

static void *server(void *arg)
{
	(void)arg;
	while (!ending) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			serve(fd);
	}
	return NULL;
}

static int listen_on(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	must(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 4) == 0);
	return fd;
}

struct seen {
	int n;
	enum check_status last;
	char reason[TEXT_LEN];
};

static void on_changed(struct check *c, enum check_status status, const char *reason, void *arg)
{
	struct seen *s = arg;

	(void)c;
	s->n++;
	s->last = status;
	snprintf(s->reason, sizeof(s->reason), "%s", reason);
}

static void on_guard(uv_timer_t *t)
{
	(void)t;
}

static void wait_for(uv_loop_t *loop, uv_timer_t *guard, const struct seen *s, enum check_status want)
{
	uint64_t deadline_ns = uv_hrtime() + DEADLINE_MS * UINT64_C(1000000);

	uv_timer_start(guard, on_guard, 1, 5);
	while (s->last != want && uv_hrtime() < deadline_ns)
		uv_run(loop, UV_RUN_ONCE);
	uv_timer_stop(guard);
	if (s->last != want)
		fail_msg("%d, not %d: %s", s->last, want, s->reason);
}

static void test_states(void **state)
{
	char name[] = "s", kind[] = "systemd", unit[] = "nginx.service", why[TEXT_LEN];
	struct check_cfg cfg = { .name = name,
				 .kind = kind,
				 .unit = unit,
				 .interval_ms = 50,
				 .fast_interval_ms = 20,
				 .timeout_ms = 300,
				 .rise = 1,
				 .fall = 2 };
	struct seen seen = { 0 };
	uv_timer_t guard;
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	uv_timer_init(&loop, &guard);
	assert_int_equal(check_cfg_verify(&cfg, why), 0);
	struct check *c = check_new(&loop, &cfg, on_changed, &seen);
	wait_for(&loop, &guard, &seen, CHECK_UP);
	assert_string_equal(seen.reason, "nginx.service is active");
	active_state = "failed";
	wait_for(&loop, &guard, &seen, CHECK_DOWN);
	assert_string_equal(seen.reason, "nginx.service is failed");
	active_state = "reloading";
	wait_for(&loop, &guard, &seen, CHECK_UP);
	/* a bus that does not answer is bounded, and spoken to again when it does */
	mute = true;
	wait_for(&loop, &guard, &seen, CHECK_DOWN);
	assert_string_equal(seen.reason, "systemd: no answer within 300 ms");
	mute = false;
	wait_for(&loop, &guard, &seen, CHECK_UP);
	check_free(c);
	uv_close((uv_handle_t *)&guard, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_no_bus(void **state)
{
	char name[] = "s", kind[] = "systemd", unit[] = "nginx.service";
	struct check_cfg cfg = { .name = name,
				 .kind = kind,
				 .unit = unit,
				 .interval_ms = 50,
				 .fast_interval_ms = 20,
				 .timeout_ms = 300,
				 .rise = 1,
				 .fall = 2 };
	struct seen seen = { 0 };
	uv_timer_t guard;
	uv_loop_t loop;

	(void)state;
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
	uv_loop_init(&loop);
	uv_timer_init(&loop, &guard);
	struct check *c = check_new(&loop, &cfg, on_changed, &seen);
	wait_for(&loop, &guard, &seen, CHECK_DOWN);
	assert_string_equal(seen.reason, "systemd: No such file or directory");
	check_free(c);
	uv_close((uv_handle_t *)&guard, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_states), cmocka_unit_test(test_no_bus) };
	char dir[] = "/tmp/sluice-bus-XXXXXX", address[128];
	pthread_t thread;

	must(mkdtemp(dir));
	snprintf(path_, sizeof(path_), "%s/bus", dir);
	snprintf(address, sizeof(address), "unix:path=%s", path_);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
	active_state = "active";
	listener = listen_on(path_);
	must(pthread_create(&thread, NULL, server, NULL) == 0);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	ending = true;
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
	unlink(path_);
	rmdir(dir);
	return rc;
}
