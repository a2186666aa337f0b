/* SPDX-License-Identifier: Apache-2.0
 * The listen kind: somebody listens on target. Asks the kernel, sends the service nothing.
 * States of a watch: QUIET -> (a socket of this port was destroyed, or a dump found none) -> a dump: others
 * listen -> QUIET; none -> the grace time (grace.h) -> QUIET. So a worker of many (SO_REUSEPORT) or a quick
 * restart is no death. Where the kernel has no destroy events the polling alone decides, by rise and fall. */
#include "agent/check/check_kind.h"

#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>

#include "agent/check/diag.h"
#include "agent/check/grace.h"

struct watch {
	struct check *check; /* NULL: closed */
	const struct check_cfg *cfg;
	struct sockaddr_storage target;
	struct nl_sock *sock; /* NULL: no events */
	uv_poll_t poll;
	struct grace grace;
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

/* Without an answer of the kernel nothing is known to be dead. */
static bool alive(void *watch, char *ret_reason)
{
	return look(watch, ret_reason) != 0;
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	char reason[TEXT_LEN];

	(void)status;
	(void)events;
	if (diag_drain(w->sock) && check_status(w->check) != CHECK_DOWN && !alive(w, reason))
		grace_suspect(&w->grace, reason);
}

static void *listen_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct watch *w = check_watch(c);
	char reason[TEXT_LEN];
	int n = look(w, reason);

	(void)loop;
	(void)cfg;
	if (n < 0)
		check_done(c, false, reason);
	else
		grace_judge(&w->grace, n > 0, reason);
	return NULL;
}

static void let_go(void *watch)
{
	struct watch *w = watch;

	if (--w->handles)
		return;
	if (w->sock)
		nl_socket_free(w->sock);
	free(w);
}

static void on_poll_closed(uv_handle_t *h)
{
	let_go(h->data);
}

static void listen_close(void *watch)
{
	struct watch *w = watch;

	if (w->sock)
		uv_close((uv_handle_t *)&w->poll, on_poll_closed);
	grace_close(&w->grace, let_go);
}

static void *listen_open(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	w->check = c;
	w->cfg = cfg;
	endpoint_parse(cfg->target, &w->target, NULL);
	w->sock = diag_watch(&w->target, is_udp(cfg));
	grace_init(&w->grace, c, loop, alive, w);
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
