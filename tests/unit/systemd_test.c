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
#include "tests/unit/loop_rig.h"

#define DEADLINE_MS 8000

#define must(x)                                                                                              \
	do {                                                                                                 \
		if (!(x))                                                                                    \
			abort();                                                                             \
	} while (0)

static char path_[64];
static atomic_int listener = -1;
static atomic_bool ending;
static pthread_mutex_t mute = PTHREAD_MUTEX_INITIALIZER; /* held: no answer */
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
	must(pthread_mutex_lock(&mute) == 0 && pthread_mutex_unlock(&mute) == 0);
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

struct fixture {
	uv_loop_t loop;
	uv_timer_t guard;
	struct check *check;
	enum check_status last;
	char reason[TEXT_LEN];
};

static void on_changed(struct check *c, enum check_status status, const char *reason, void *arg)
{
	struct fixture *f = arg;

	(void)c;
	f->last = status;
	snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

static int setup(void **state)
{
	static char name[] = "s", kind[] = "systemd", unit[] = "nginx.service";
	struct check_cfg cfg = { .name = name,
				 .kind = kind,
				 .unit = unit,
				 .interval_ms = 50,
				 .fast_interval_ms = 20,
				 .timeout_ms = 300,
				 .rise = 1,
				 .fall = 2 };
	struct fixture *f = xcalloc(1, sizeof(*f));
	char why[TEXT_LEN];

	rig_open(&f->loop, &f->guard);
	assert_int_equal(check_cfg_verify(&cfg, why), 0);
	f->check = check_new(&f->loop, &cfg, on_changed, f);
	*state = f;
	return 0;
}

static int setup_without_bus(void **state)
{
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
	return setup(state);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	/* a test that failed may hold it still */
	pthread_mutex_trylock(&mute);
	pthread_mutex_unlock(&mute);
	check_free(f->check);
	rig_close(&f->loop, &f->guard);
	free(f);
	return 0;
}

static void expect(struct fixture *f, enum check_status want, const char *reason)
{
	wait_until(f, f->last == want);
	assert_string_equal(f->reason, reason);
}

static void test_states(void **state)
{
	struct fixture *f = *state;

	expect(f, CHECK_UP, "nginx.service is active");
	active_state = "failed";
	expect(f, CHECK_DOWN, "nginx.service is failed");
	active_state = "reloading";
	expect(f, CHECK_UP, "nginx.service is reloading");
	/* a bus that does not answer is bounded, and spoken to again when it does */
	must(pthread_mutex_lock(&mute) == 0);
	expect(f, CHECK_DOWN, "systemd: no answer within 300 ms");
	must(pthread_mutex_unlock(&mute) == 0);
	expect(f, CHECK_UP, "nginx.service is reloading");
}

static void test_no_bus(void **state)
{
	expect(*state, CHECK_DOWN, "systemd: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_states, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_bus, setup_without_bus, teardown),
	};
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
