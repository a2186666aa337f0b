/* SPDX-License-Identifier: Apache-2.0
 * CLOSED -> OPEN -> CLOSED; a stop (Ctrl-Z) closes and a continue opens again. What signal handlers touch is
 * set before they are installed and only read by them. */
#include "controller/ctl/term.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "proto/base/mono.h"

#define ENTER "\033[?1049h\033[?25l\033[?7l" /* other screen, no cursor, no wrapping */
#define LEAVE "\033[?7h\033[?25h\033[?1049l\033[0m"

static struct termios before;
static volatile sig_atomic_t opened, changed;

/* Also from signal handlers: write and tcsetattr only (POSIX, 2.4.3). */
static void leave(void)
{
	if (!opened)
		return;
	opened = 0;
	ssize_t n = write(STDOUT_FILENO, LEAVE, sizeof(LEAVE) - 1);
	(void)n; /* nobody is left to tell */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

static void enter(void)
{
	struct termios raw = before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	opened = 1;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	ssize_t n = write(STDOUT_FILENO, ENTER, sizeof(ENTER) - 1);
	(void)n;
	changed = 1;
}

/* Ends as the signal would have it, the terminal restored. Ctrl-C is how people leave: that is no failure. */
static void on_end(int sig)
{
	leave();
	if (sig == SIGINT)
		_exit(0);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void on_stop(int sig)
{
	sigset_t set;

	leave();
	signal(SIGTSTP, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* stops here */
}

static void catch (int sig, void (*fn)(int))
{
	struct sigaction sa = { .sa_handler = fn };

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
}

static void on_change(int sig)
{
	if (sig == SIGCONT && !opened) {
		catch (SIGTSTP, on_stop);
		enter();
	}
	changed = 1;
}

int term_open(void)
{
	static const int ends[] = { SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGPIPE,
				    SIGSEGV, SIGBUS,  SIGABRT, SIGFPE,	SIGILL };

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before))
		return -ENOTTY;
	atexit(leave);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		catch (ends[i], on_end);
	enter();
	catch (SIGTSTP, on_stop);
	catch (SIGCONT, on_change);
	catch (SIGWINCH, on_change);
	changed = 0;
	return 0;
}

void term_close(void)
{
	leave();
}

struct term_size term_size(void)
{
	struct winsize w = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_row || !w.ws_col)
		return (struct term_size){ 24, 80 };
	return (struct term_size){ w.ws_row, w.ws_col };
}

static void write_all(const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, data, len);
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
}

void term_draw(const char *text)
{
	unsigned rows = term_size().rows;
	auto_buf out = { 0 };

	buf_adds(&out, "\033[H");
	for (unsigned i = 0; i < rows && *text; i++) {
		size_t len = strcspn(text, "\n");
		buf_add(&out, text, len);
		buf_adds(&out, i + 1 < rows && text[len] ? "\033[K\r\n" : "\033[K");
		text += len + (text[len] == '\n');
	}
	buf_adds(&out, "\033[J");
	write_all(out.data, out.len);
}

int term_key(int ms)
{
	mono_t until = mono_add_ms(mono_now(), ms);

	for (;;) {
		struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
		int64_t left = mono_diff_ms(mono_now(), until);
		unsigned char key;

		if (changed) {
			changed = 0;
			return -1;
		}
		int n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n > 0 && (p.revents & POLLIN))
			return read(STDIN_FILENO, &key, 1) == 1 ? key : -2;
		if (n > 0)
			return -2;
		if (n == 0)
			return 0;
	}
}
