/* SPDX-License-Identifier: Apache-2.0
 * Owns the host's cpu time and its drops before the stack (softnet). No timer; no state but last values. */
#include "agent/sample/source.h"

#include <unistd.h>

#include "agent/sample/proc.h"
#include "proto/base/err.h"

struct host {
	uint64_t us_per_tick, busy_us, total_us, softnet_drops;
};

static void *host_new(const struct source_cfg *cfg)
{
	struct host *h = xcalloc(1, sizeof(*h));
	long hz = sysconf(_SC_CLK_TCK);

	(void)cfg;
	h->us_per_tick = 1000000 / (uint64_t)(hz > 0 ? hz : 100);
	return h;
}

static int read_cpu(struct host *h, char *ret_why)
{
	auto_buf text = { 0 };
	uint64_t busy, total;
	int err = source_read("/proc/stat", &text);

	if (!err)
		err = proc_cpu(text.data, &busy, &total);
	if (err)
		return source_fail(ret_why, err, "/proc/stat: %s", err_str(err));
	h->busy_us = busy * h->us_per_tick;
	h->total_us = total * h->us_per_tick;
	return 0;
}

static int read_softnet(struct host *h, char *ret_why)
{
	auto_buf text = { 0 };
	int err = source_read("/proc/net/softnet_stat", &text);

	if (!err)
		err = proc_softnet(text.data, &h->softnet_drops);
	return err ? source_fail(ret_why, err, "/proc/net/softnet_stat: %s", err_str(err)) : 0;
}

static int host_take(void *self, struct msg_report *r, char *ret_why)
{
	struct host *h = self;
	int err_softnet = read_softnet(h, ret_why), err_cpu = read_cpu(h, ret_why);

	r->host.cpu_busy_us = h->busy_us;
	r->host.cpu_total_us = h->total_us;
	r->host.softnet_drops = h->softnet_drops;
	return err_cpu ? err_cpu : err_softnet;
}

static void host_free(void *self, bool keep)
{
	(void)keep;
	free(self);
}

const struct source source_host = { "host", host_new, host_take, host_free };
