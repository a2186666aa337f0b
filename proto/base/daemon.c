/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/daemon.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "proto/base/log.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "dev"
#endif

#define EXTRAS_MAX 8
#define EXTRA	   1000 /* getopt's value of the first */

static void print_help(const char *name, const char *default_config, const char *usage,
		       const struct daemon_extra *extras)
{
	char option[40];

	printf("usage: %s [-c FILE] [-n] [--print-config]\n\n%s\n"
	       "  -c, --config FILE   configuration (default %s)\n"
	       "  -n, --check         check the configuration and exit: 0 good, 1 wrong, 2 usage\n"
	       "      --print-config  print it in canonical form, defaults filled in, and exit\n",
	       name, usage, default_config);
	for (const struct daemon_extra *x = extras; x && x->name; x++) {
		snprintf(option, sizeof(option), "%s %s", x->name, x->arg);
		printf("      --%-14s%s\n", option, x->help);
	}
	printf("  -V, --version       print the version\n"
	       "  -h, --help          this\n");
}

static void add_extras(struct option *longs, const struct daemon_extra *extras)
{
	while (longs->name)
		longs++;
	for (int i = 0; extras && extras[i].name && i < EXTRAS_MAX; i++)
		*longs++ = (struct option){ extras[i].name, required_argument, NULL, EXTRA + i };
}

struct daemon_options daemon_options(int argc, char **argv, const char *name, const char *default_config,
				     const char *usage)
{
	return daemon_options_with(argc, argv, name, default_config, usage, NULL);
}

struct daemon_options daemon_options_with(int argc, char **argv, const char *name, const char *default_config,
					  const char *usage, const struct daemon_extra *extras)
{
	struct option longs[6 + EXTRAS_MAX] = {
		{ "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, 'n' },
		{ "print-config", no_argument, NULL, 'p' }, { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },	    { 0 },
	};
	struct daemon_options o = { .config = default_config };
	int c;

	add_extras(longs, extras);
	while ((c = getopt_long(argc, argv, "c:nVh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.config = optarg;
			break;
		case 'n':
			o.check = true;
			break;
		case 'p':
			o.print = true;
			break;
		case 'V':
			printf("%s %s\n", name, SLUICE_VERSION);
			exit(0);
		case 'h':
			print_help(name, default_config, usage, extras);
			exit(0);
		default:
			if (c >= EXTRA) {
				*extras[c - EXTRA].value = optarg;
				break;
			}
			fprintf(stderr, "try '%s --help'\n", name);
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: \"%s\" is not an option; try '%s --help'\n", name, argv[optind], name);
		exit(2);
	}
	return o;
}

struct running {
	uv_signal_t term, intr;
	uv_timer_t watchdog;
	void (*stop)(void *arg);
	void *arg;
	bool stopping;
};

static void close_own(struct running *r)
{
	uv_close((uv_handle_t *)&r->term, NULL);
	uv_close((uv_handle_t *)&r->intr, NULL);
	uv_close((uv_handle_t *)&r->watchdog, NULL);
}

static void on_signal(uv_signal_t *s, int signum)
{
	struct running *r = s->data;

	if (r->stopping)
		return;
	r->stopping = true;
	log_info("stopping on signal %d", signum);
	sd_notify(0, "STOPPING=1");
	r->stop(r->arg);
	close_own(r);
}

static void on_watchdog(uv_timer_t *t)
{
	(void)t;
	sd_notify(0, "WATCHDOG=1");
}

static sigset_t awaited(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return set;
}

void daemon_prepare(void)
{
	sigset_t set = awaited();

	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void daemon_run(uv_loop_t *loop, void (*stop)(void *arg), void *arg)
{
	struct running r = { .stop = stop, .arg = arg };
	uint64_t watchdog_us = 0;
	sigset_t set = awaited();

	uv_signal_init(loop, &r.term);
	uv_signal_init(loop, &r.intr);
	uv_timer_init(loop, &r.watchdog);
	r.term.data = r.intr.data = &r;
	uv_signal_start(&r.term, on_signal, SIGTERM);
	uv_signal_start(&r.intr, on_signal, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		uv_timer_start(&r.watchdog, on_watchdog, 0, watchdog_us / 3000);
	sd_notify(0, "READY=1");
	uv_run(loop, UV_RUN_DEFAULT);
}
