/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/etcd_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define START_MS 30000

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sa;
}

/* Below the range that the kernel gives to clients, so that nobody gets it between here and etcd. */
static int free_port(void)
{
	for (int i = 0; i < 200; i++) {
		static unsigned next;
		int port = 20000 + (int)((unsigned)getpid() * 37 + next++ * 11) % 12000;
		struct sockaddr_in sa = loopback(port);
		auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
			return port;
	}
	fail_msg("no free port");
	return 0;
}

/* Reads a pipe that ends with the test, whatever ended it. */
static void start_janitor(struct etcd_rig *r)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	r->janitor = fork();
	if (r->janitor == 0) {
		char c;
		setsid();
		close(fds[1]);
		while (read(fds[0], &c, 1) > 0) {
		}
		execlp("rm", "rm", "-rf", r->dir, NULL);
		_exit(1);
	}
	close(fds[0]); /* fds[1] stays open until we are gone */
}

void etcd_rig_again(struct etcd_rig *r, unsigned i)
{
	auto_free char *name = xasprintf("m%u", i), *data = xasprintf("%s/m%u", r->dir, i);
	auto_free char *log = xasprintf("%s/m%u.log", r->dir, i);
	auto_free char *peer = xasprintf("http://127.0.0.1:%d", r->ports[i][1]);
	auto_buf cluster = { 0 };

	for (unsigned k = 0; k < r->n; k++)
		buf_addf(&cluster, "%sm%u=http://127.0.0.1:%d", k ? "," : "", k, r->ports[k][1]);
	r->pids[i] = fork();
	if (r->pids[i])
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	execlp("etcd", "etcd", "--name", name, "--data-dir", data, "--listen-client-urls", r->urls[i],
	       "--advertise-client-urls", r->urls[i], "--listen-peer-urls", peer,
	       "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster.data,
	       "--initial-cluster-token", r->dir, "--logger", "zap", "--log-level", "warn", NULL);
	_exit(127);
}

static bool healthy(const struct etcd_rig *r, unsigned i)
{
	auto_free char *cmd = xasprintf("curl -sf -m 2 %s/health | grep -q true", r->urls[i]);

	return system(cmd) == 0;
}

void etcd_rig_wait(const struct etcd_rig *r, unsigned i)
{
	mono_t end = mono_add_ms(mono_now(), START_MS);

	while (!healthy(r, i)) {
		if (mono_diff_ms(mono_now(), end) < 0)
			fail_msg("etcd member %u does not answer; is etcd-server installed?", i);
		usleep(20000);
	}
}

void etcd_rig_start(struct etcd_rig *r, unsigned n)
{
	*r = (struct etcd_rig){ .n = n };
	snprintf(r->dir, sizeof(r->dir), "%s/sluice-etcd.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(r->dir));
	start_janitor(r);
	for (unsigned i = 0; i < n; i++) {
		r->ports[i][0] = free_port();
		r->ports[i][1] = free_port();
		r->urls[i] = xasprintf("http://127.0.0.1:%d", r->ports[i][0]);
	}
	for (unsigned i = 0; i < n; i++)
		etcd_rig_again(r, i);
	for (unsigned i = 0; i < n; i++)
		etcd_rig_wait(r, i);
}

/* kill() returns before the last thread stands still: until then etcd may answer. */
void etcd_rig_signal(struct etcd_rig *r, unsigned member, int sig)
{
	kill(r->pids[member], sig);
	if (sig == SIGSTOP)
		assert_int_equal(waitpid(r->pids[member], NULL, WUNTRACED), r->pids[member]);
}

void etcd_rig_kill(struct etcd_rig *r, unsigned i)
{
	if (r->pids[i] > 0) {
		kill(r->pids[i], SIGKILL);
		waitpid(r->pids[i], NULL, 0);
	}
	r->pids[i] = 0;
}

void etcd_rig_stop(struct etcd_rig *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		etcd_rig_kill(r, i);
		free(r->urls[i]);
	}
}
