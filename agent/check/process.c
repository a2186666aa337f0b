/* SPDX-License-Identifier: Apache-2.0
 * The process kind: the process of a pidfile, or the one that owns the socket on target, lives. Its end
 * arrives by its pidfd; nothing is sent to it. States of a watch: NONE -> HELD (pidfd open) -> its end ->
 * NONE: another one took over at once -> HELD; else GRACE -> another one -> HELD; none -> dead, confirmed.
 * Timers: grace. The owner of a socket is found in /proc/PID/fd, which the kernel shows to its own user and
 * to root only. */
#include "agent/check/check_kind.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/check/diag.h"
#include "agent/check/grace.h"

struct watch {
	const struct check_cfg *cfg;
	uv_loop_t *loop;
	uv_poll_t *poll; /* on pidfd; NULL: none is held */
	int pidfd;
	int pid;
	struct grace grace;
};

static int pid_of_file(const char *path, char *ret_why)
{
	auto_fclose FILE *f = fopen(path, "re");
	int pid = 0;

	if (!f)
		snprintf(ret_why, TEXT_LEN, "%.150s: %s", path, strerror(errno));
	else if (fscanf(f, "%d", &pid) != 1 || pid <= 1)
		snprintf(ret_why, TEXT_LEN, "%.150s: no process number in it", path);
	return pid > 1 ? pid : 0;
}

static bool owns(const char *pid, const char *socket)
{
	char path[300], link[64];

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	DIR *d = opendir(path);
	bool found = false;
	for (struct dirent *e; d && !found && (e = readdir(d));) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = 0;
		found = strcmp(link, socket) == 0;
	}
	if (d)
		closedir(d);
	return found;
}

static int pid_of_inode(uint32_t inode)
{
	char name[64];
	DIR *d = opendir("/proc");
	int pid = 0;

	snprintf(name, sizeof(name), "socket:[%u]", inode);
	for (struct dirent *e; d && !pid && (e = readdir(d));)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && owns(e->d_name, name))
			pid = atoi(e->d_name);
	if (d)
		closedir(d);
	return pid;
}

static int pid_of_socket(const struct check_cfg *cfg, char *ret_why)
{
	bool udp = cfg->protocol && strcmp(cfg->protocol, "udp") == 0;
	struct sockaddr_storage target;
	uint32_t inode = 0;

	endpoint_parse(cfg->target, &target, NULL);
	if (diag_listeners(&target, udp, &inode) <= 0) {
		snprintf(ret_why, TEXT_LEN, "nothing listens on %s %s", udp ? "udp" : "tcp", cfg->target);
		return 0;
	}
	int pid = pid_of_inode(inode);
	if (!pid)
		snprintf(ret_why, TEXT_LEN,
			 "cannot see whose socket %s is: /proc/PID/fd of others is root's; name a pidfile",
			 cfg->target);
	return pid;
}

static bool has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void on_poll_closed(uv_handle_t *h)
{
	free(h);
}

static void let_go(struct watch *w)
{
	if (!w->poll)
		return;
	uv_close((uv_handle_t *)w->poll, on_poll_closed);
	close(w->pidfd);
	w->poll = NULL;
}

static void on_end(uv_poll_t *poll, int status, int events);

static bool hold(struct watch *w, int pid, char *ret_why)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0 || has_ended(fd)) {
		snprintf(ret_why, TEXT_LEN, "process %d: %s", pid,
			 fd < 0 && errno != ESRCH ? strerror(errno) : "does not run");
		if (fd >= 0)
			close(fd);
		return false;
	}
	w->poll = xcalloc(1, sizeof(*w->poll));
	w->pidfd = fd;
	w->pid = pid;
	uv_poll_init(w->loop, w->poll, fd);
	w->poll->data = w;
	uv_poll_start(w->poll, UV_READABLE, on_end);
	return true;
}

/* True: a process is held, the one that the file or the socket names now. */
static bool look(struct watch *w, char *ret_why)
{
	if (w->poll && has_ended(w->pidfd))
		let_go(w);
	/* whose socket it is, is not asked again while that process lives: the search is long */
	if (w->poll && !w->cfg->pidfile)
		return true;
	int pid = w->cfg->pidfile ? pid_of_file(w->cfg->pidfile, ret_why) : pid_of_socket(w->cfg, ret_why);
	if (w->poll && pid == w->pid)
		return true;
	let_go(w);
	return pid && hold(w, pid, ret_why);
}

static bool alive(void *watch, char *ret_reason)
{
	return look(watch, ret_reason);
}

static void on_end(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	char why[TEXT_LEN];
	int pid = w->pid;

	(void)status;
	(void)events;
	if (look(w, why))
		return;
	snprintf(why, sizeof(why), "process %d has ended", pid);
	grace_suspect(&w->grace, why);
}

static void *process_start(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct watch *w = check_watch(c);
	char reason[TEXT_LEN];
	bool found = look(w, reason);

	(void)loop;
	(void)cfg;
	if (found)
		snprintf(reason, sizeof(reason), "process %d runs", w->pid);
	grace_judge(&w->grace, found, reason);
	return NULL;
}

static void process_close(void *watch)
{
	struct watch *w = watch;

	let_go(w);
	grace_close(&w->grace, free);
}

static void *process_open(struct check *c, uv_loop_t *loop, const struct check_cfg *cfg)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	w->cfg = cfg;
	w->loop = loop;
	grace_init(&w->grace, c, loop, alive, w);
	return w;
}

static int process_verify(const struct check_cfg *cfg, char *ret_why)
{
	if (!cfg->pidfile == !cfg->target)
		return check_refuse(ret_why, "pidfile: either this or target (whose socket it is)");
	if (cfg->pidfile && cfg->protocol)
		return check_refuse(ret_why, "protocol: goes with target");
	return check_kind_listen.verify(cfg, ret_why);
}

const struct check_kind check_kind_process = {
	.name = "process",
	.takes = "pidfile target protocol grace_ms",
	.verify = process_verify,
	.start = process_start,
	.open = process_open,
	.close = process_close,
};
