/* SPDX-License-Identifier: Apache-2.0
 * Owns a child and the pipe of its output. States: RUNNING -> ENDED (it exited; told) -> freed when both
 * handles are closed; run_kill() leaves out the telling. */
#include "agent/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define ENV_MAX 16

struct run {
	uv_process_t process;
	uv_pipe_t pipe;
	run_ended_fn fn; /* NULL: nobody wants to know */
	void *arg;
	int handles;
	size_t len;
	char output[TEXT_LEN], scrap[4096];
};

static void on_closed(uv_handle_t *h)
{
	struct run *r = h->data;

	if (--r->handles == 0)
		free(r);
}

static void first_line(struct run *r)
{
	r->output[r->len] = 0;
	r->output[strcspn(r->output, "\r\n")] = 0;
	for (char *s = r->output; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

/* What is still in the pipe when the command has ended is its last word. */
static void read_rest(struct run *r)
{
	uv_os_fd_t fd;

	while (uv_fileno((uv_handle_t *)&r->pipe, &fd) == 0 && r->len < TEXT_LEN - 1) {
		ssize_t n = read(fd, r->output + r->len, TEXT_LEN - 1 - r->len);
		if (n <= 0)
			break;
		r->len += (size_t)n;
	}
}

static void on_exit_(uv_process_t *process, int64_t status, int sig)
{
	struct run *r = process->data;

	/* whatever it left behind in its group */
	kill(-process->pid, SIGKILL);
	read_rest(r);
	uv_close((uv_handle_t *)&r->pipe, on_closed);
	uv_close((uv_handle_t *)&r->process, on_closed);
	if (!r->fn)
		return;
	first_line(r);
	if (sig && !r->output[0])
		snprintf(r->output, sizeof(r->output), "killed by signal %d", sig);
	r->fn(sig ? -1 : (int)status, r->output, r->arg);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct run *r = h->data;
	size_t room = TEXT_LEN - 1 - r->len;

	(void)suggested;
	*buf = room ? uv_buf_init(r->output + r->len, (unsigned)room)
		    : uv_buf_init(r->scrap, sizeof(r->scrap));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct run *r = stream->data;

	if (n < 0)
		uv_read_stop(stream);
	else if (buf->base != r->scrap)
		r->len += (size_t)n;
}

/* Both outputs into one pipe. */
static int spawn(uv_loop_t *loop, struct run *r, char **argv, char **env)
{
	auto_close int write_end = -1;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	write_end = fds[1];
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	int err = uv_pipe_open(&r->pipe, fds[0]);
	if (err) {
		close(fds[0]);
		return err;
	}
	uv_stdio_container_t stdio[3] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_INHERIT_FD, .data.fd = write_end },
		{ .flags = UV_INHERIT_FD, .data.fd = write_end },
	};
	uv_process_options_t o = {
		.file = argv[0],
		.args = argv,
		.env = env,
		.cwd = "/",
		.exit_cb = on_exit_,
		.flags = UV_PROCESS_DETACHED,
		.stdio = stdio,
		.stdio_count = 3,
	};
	return uv_spawn(loop, &r->process, &o);
}

struct run *run_start(uv_loop_t *loop, const struct command_cfg *cmd, char *const *env, run_ended_fn fn,
		      void *arg, char *ret_why)
{
	struct run *r = xcalloc(1, sizeof(*r));
	char *argv[64], *all[ENV_MAX + 2];
	char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	unsigned n = 0, k = 0;

	for (; n < cmd->argv_count && n < ARRAY_LEN(argv) - 1; n++)
		argv[n] = cmd->argv[n];
	argv[n] = NULL;
	all[k++] = path;
	for (; env && *env && k <= ENV_MAX; env++)
		all[k++] = *env;
	all[k] = NULL;
	r->process.data = r->pipe.data = r;
	r->fn = fn;
	r->arg = arg;
	r->handles = 2;
	uv_pipe_init(loop, &r->pipe, 0);
	int err = spawn(loop, r, argv, all);
	if (err) {
		snprintf(ret_why, TEXT_LEN, "%.150s: %s", argv[0], strerror(-err));
		uv_close((uv_handle_t *)&r->pipe, on_closed);
		uv_close((uv_handle_t *)&r->process, on_closed);
		return NULL;
	}
	uv_read_start((uv_stream_t *)&r->pipe, on_alloc, on_output);
	return r;
}

void run_leave(struct run *r)
{
	r->fn = NULL;
	uv_close((uv_handle_t *)&r->pipe, on_closed);
	uv_close((uv_handle_t *)&r->process, on_closed);
}

void run_kill(struct run *r)
{
	r->fn = NULL;
	kill(-r->process.pid, SIGKILL);
}
