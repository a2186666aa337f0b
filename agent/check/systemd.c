/* SPDX-License-Identifier: Apache-2.0
 * The systemd kind: ActiveState of a unit is active (or reloading, refreshing), asked of systemd over D-Bus.
 * Owns one bus connection per check, opened again by the next attempt when it is lost. systemd's signals
 * about the unit only hurry the next attempt. States of an attempt: ASKED -> answered. */
#include "agent/check/check_kind.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define MANAGER "org.freedesktop.systemd1"

struct watch {
	struct check *check;
	uv_loop_t *loop;
	sd_bus *bus;	 /* NULL: not connected */
	uv_poll_t *poll; /* lives as long as bus */
	char *path;	 /* of the unit's object */
	bool asked;
	sd_bus_slot *call;
};

static void on_poll_closed(uv_handle_t *h)
{
	free(h);
}

static void disconnect(struct watch *w)
{
	if (w->poll)
		uv_close((uv_handle_t *)w->poll, on_poll_closed);
	w->poll = NULL;
	w->call = sd_bus_slot_unref(w->call);
	sd_bus_close(w->bus);
	w->bus = sd_bus_unref(w->bus);
}

static void on_bus(uv_poll_t *poll, int status, int events);

static void arm(struct watch *w)
{
	int events = sd_bus_get_events(w->bus);

	if (events < 0)
		return;
	/* sd-bus speaks poll(2): POLLIN is 1, POLLOUT 4 */
	uv_poll_start(w->poll, (events & 1 ? UV_READABLE : 0) | (events & 4 ? UV_WRITABLE : 0), on_bus);
}

static void lost(struct watch *w, int err)
{
	char reason[TEXT_LEN];
	bool asked = w->asked;

	disconnect(w);
	w->asked = false;
	snprintf(reason, sizeof(reason), "systemd: %s", strerror(-err));
	if (asked)
		check_done(w->check, false, reason);
}

/* Runs what is due. A handler may end the check, so w is looked at only while the bus is its. */
static void process(struct watch *w)
{
	sd_bus *bus = sd_bus_ref(w->bus);
	int rc = 1;

	for (int i = 0; i < 64 && rc > 0 && w->bus == bus; i++)
		rc = sd_bus_process(bus, NULL);
	if (w->bus == bus && rc < 0)
		lost(w, rc);
	else if (w->bus == bus)
		arm(w);
	sd_bus_unref(bus);
}

static void on_bus(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	process(poll->data);
}

static int on_state(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct watch *w = arg;
	const sd_bus_error *e = sd_bus_message_get_error(m);
	char reason[TEXT_LEN];
	const char *state = "";

	(void)error;
	w->call = sd_bus_slot_unref(w->call);
	w->asked = false;
	if (e) {
		snprintf(reason, sizeof(reason), "systemd: %.200s", e->message ? e->message : e->name);
		check_done(w->check, false, reason);
		return 0;
	}
	if (sd_bus_message_read(m, "v", "s", &state) < 0)
		state = "no answer that is understood";
	bool up = !strcmp(state, "active") || !strcmp(state, "reloading") || !strcmp(state, "refreshing");
	snprintf(reason, sizeof(reason), "%.120s is %.60s", check_cfg(w->check)->unit, state);
	check_done(w->check, up, reason);
	return 0;
}

static int on_signal(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct watch *w = arg;

	(void)m;
	(void)error;
	check_hurry(w->check);
	return 0;
}

static int connect_bus(struct watch *w)
{
	int err = sd_bus_open_system(&w->bus);

	if (err < 0)
		return err;
	/* signals are a help only: without them polling does */
	sd_bus_match_signal_async(w->bus, NULL, MANAGER, w->path, "org.freedesktop.DBus.Properties",
				  "PropertiesChanged", on_signal, NULL, w);
	sd_bus_call_method_async(w->bus, NULL, MANAGER, "/org/freedesktop/systemd1",
				 "org.freedesktop.systemd1.Manager", "Subscribe", NULL, NULL, "");
	w->poll = xcalloc(1, sizeof(*w->poll));
	w->poll->data = w;
	return uv_poll_init(w->loop, w->poll, sd_bus_get_fd(w->bus));
}

static void *systemd_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct watch *w = check_watch(c);
	char reason[TEXT_LEN];
	int err = w->bus ? 0 : connect_bus(w);

	(void)loop;
	(void)cfg;
	check_phase(c, "systemd");
	if (err >= 0)
		err = sd_bus_call_method_async(w->bus, &w->call, MANAGER, w->path,
					       "org.freedesktop.DBus.Properties", "Get", on_state, w, "ss",
					       "org.freedesktop.systemd1.Unit", "ActiveState");
	if (err < 0) {
		disconnect(w);
		snprintf(reason, sizeof(reason), "systemd: %s", strerror(-err));
		check_done(c, false, reason);
		return NULL;
	}
	w->asked = true;
	arm(w);
	return w;
}

/* The answer is not waited for any more, and the connection is not trusted. */
static void systemd_cancel(void *probe)
{
	struct watch *w = probe;

	w->asked = false;
	disconnect(w);
}

static void systemd_close(void *watch)
{
	struct watch *w = watch;

	disconnect(w);
	free(w->path);
	free(w);
}

static void *systemd_open(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	w->check = c;
	w->loop = loop;
	if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", cfg->unit, &w->path) < 0)
		abort(); /* out of memory */
	return w;
}

static int systemd_verify(const struct check_cfg *cfg, char *ret_why)
{
	const char *dot = strrchr(cfg->unit, '.');

	if (!dot || dot == cfg->unit || strlen(cfg->unit) > 250 || strchr(cfg->unit, '/'))
		return check_refuse(ret_why, "unit: \"%.60s\" is not a unit name such as nginx.service",
				    cfg->unit);
	return 0;
}

const struct check_kind check_kind_systemd = {
	.name = "systemd",
	.takes = "unit!",
	.verify = systemd_verify,
	.start = systemd_start,
	.cancel = systemd_cancel,
	.open = systemd_open,
	.close = systemd_close,
};
