/* SPDX-License-Identifier: Apache-2.0
 * The listen kind: somebody listens on target. Asks the kernel, sends the service nothing.
 * States of a watch: QUIET -> (a socket of this port was destroyed, or a dump found none) -> a dump: others
 * listen -> QUIET; none -> GRACE -> a dump: somebody listens again -> QUIET; none -> dead, confirmed ->
 * QUIET. So a worker of many (SO_REUSEPORT) or a quick restart is no death. Timers: grace. Where the kernel
 * has no destroy events the polling alone decides, by rise and fall. */
#include "agent/check/check_kind.h"

#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>

#include "agent/check/diag.h"

struct watch {
	struct check *check; /* NULL: closed */
	const struct check_cfg *cfg;
	struct sockaddr_storage target;
	struct nl_sock *sock; /* NULL: no events */
	uv_poll_t poll;
	uv_timer_t grace;
	int handles; /* still open */
};

static bool is_udp(const struct check_cfg *cfg)
{
	return cfg->protocol && strcmp(cfg->protocol, "udp") == 0;
}

/* How many listen; negative: the kernel does not say, ret_reason does. */
static int look(const struct watch *w, char *ret_reason)
{
	uint32_t inode;
	int n = diag_listeners(&w->target, is_udp(w->cfg), &inode);

	if (n < 0)
		snprintf(ret_reason, TEXT_LEN, "sock_diag: %s", nl_geterror(n));
	else if (n == 0)
		snprintf(ret_reason, TEXT_LEN, "nothing listens on %s %s", is_udp(w->cfg) ? "udp" : "tcp",
			 w->cfg->target);
	else
		snprintf(ret_reason, TEXT_LEN, "%d listening", n);
	return n;
}

static void on_grace(uv_timer_t *t)
{
	struct watch *w = t->data;
	char reason[TEXT_LEN];

	if (look(w, reason) == 0)
		check_dead(w->check, reason);
	else
		check_hurry(w->check);
}

static void suspect(struct watch *w)
{
	if (!uv_is_active((uv_handle_t *)&w->grace)) {
		uv_update_time(w->grace.loop);
		uv_timer_start(&w->grace, on_grace, w->cfg->grace_ms, 0);
	}
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	char reason[TEXT_LEN];

	(void)status;
	(void)events;
	if (!diag_drain(w->sock) || check_status(w->check) == CHECK_DOWN)
		return;
	if (look(w, reason) != 0)
		return;
	if (w->cfg->grace_ms)
		suspect(w);
	else
		check_dead(w->check, reason);
}

static void *listen_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct watch *w = check_watch(c);
	char reason[TEXT_LEN];
	int n = look(w, reason);

	(void)loop;
	if (n != 0 || !cfg->grace_ms || check_status(c) == CHECK_DOWN) {
		check_done(c, n > 0, reason);
		return NULL;
	}
	suspect(w);
	check_skip(c);
	return NULL;
}

static void on_closed(uv_handle_t *h)
{
	struct watch *w = h->data;

	if (--w->handles)
		return;
	if (w->sock)
		nl_socket_free(w->sock);
	free(w);
}

static void listen_close(void *watch)
{
	struct watch *w = watch;

	if (w->sock)
		uv_close((uv_handle_t *)&w->poll, on_closed);
	uv_close((uv_handle_t *)&w->grace, on_closed);
}

static void *listen_open(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	w->check = c;
	w->cfg = cfg;
	endpoint_parse(cfg->target, &w->target, NULL);
	w->sock = diag_watch(&w->target, is_udp(cfg));
	uv_timer_init(loop, &w->grace);
	w->grace.data = w;
	w->handles = 1;
	if (w->sock) {
		uv_poll_init(loop, &w->poll, nl_socket_get_fd(w->sock));
		w->poll.data = w;
		w->handles++;
		uv_poll_start(&w->poll, UV_READABLE, on_event);
	}
	return w;
}

static int listen_verify(const struct check_cfg *cfg, char *ret_why)
{
	if (cfg->protocol && strcmp(cfg->protocol, "tcp") && strcmp(cfg->protocol, "udp"))
		return check_refuse(ret_why, "protocol: \"%.40s\" is neither tcp nor udp", cfg->protocol);
	return 0;
}

const struct check_kind check_kind_listen = {
	.name = "listen",
	.takes = "target! protocol grace_ms",
	.verify = listen_verify,
	.start = listen_start,
	.open = listen_open,
	.close = listen_close,
};
