/* SPDX-License-Identifier: Apache-2.0
 * What both daemons do alike: options, signals, sd_notify. */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H
#include <stdbool.h>
#include <uv.h>

struct daemon_options {
	const char *config;
	bool check; /* -n */
	bool print; /* --print-config */
};
/* An option of one daemon alone: --NAME ARG. */
struct daemon_extra {
	const char *name, *arg, *help;
	const char **value; /* set when given */
};
/* Parses argv; prints help or version and exits when asked to; exits with 2 on a wrong option.
 * usage: what --help prints below "usage: NAME [options]". */
struct daemon_options daemon_options(int argc, char **argv, const char *name, const char *default_config,
				     const char *usage);
/* The same with more options; extras ends with a row without name. */
struct daemon_options daemon_options_with(int argc, char **argv, const char *name, const char *default_config,
					  const char *usage, const struct daemon_extra *extras);
/* From here on SIGTERM, SIGINT and SIGHUP wait for daemon_run(), so that none ends a daemon that is half
 * started. To be called before anything listens and before the first thread, which then never gets them. */
void daemon_prepare(void);
/* Runs the loop until SIGTERM or SIGINT; tells systemd READY before and STOPPING after, and feeds its
 * watchdog. stop() is called once on the signal and must close every handle; the loop then drains. A
 * handler of SIGHUP is the caller's, installed by now. */
void daemon_run(uv_loop_t *loop, void (*stop)(void *arg), void *arg);
#endif
