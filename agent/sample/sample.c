/* SPDX-License-Identifier: Apache-2.0
 * Owns the list of sources, asks each in turn, and says once when one fails and once when it is back.
 * Pulled by its caller: no timer, no loop; the calls to the kernel are synchronous and short. */
#include "agent/sample/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "agent/sample/source.h"
#include "proto/base/log.h"
#include "proto/base/mono.h"

#define PROC_MAX (1 << 20)

static const struct source *const sources[] = { &source_host, &source_tcp, &source_link, &source_vip };

struct sampler {
	void *self[ARRAY_LEN(sources)];
	char said[ARRAY_LEN(sources)][TEXT_LEN];
	char boot_id[NAME_LEN];
};

int source_fail(char *ret_why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ret_why, TEXT_LEN, fmt, ap);
	va_end(ap);
	return err;
}

int source_read(const char *path, struct buf *ret_text)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	ret_text->max = PROC_MAX;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		int err = buf_add(ret_text, chunk, (size_t)n);
		if (err)
			return err;
	}
	if (n < 0)
		return -errno;
	return ret_text->len ? 0 : -ENODATA;
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

/* a sorted copy without doubles, as source_cfg wants it */
static struct prefix *sort_vips(const struct prefix *vips, size_t n, size_t *ret_n)
{
	struct prefix *copy = xcalloc(n, sizeof(*copy));
	size_t kept = 0;

	if (n)
		memcpy(copy, vips, n * sizeof(*copy));
	qsort(copy, n, sizeof(*copy), by_prefix);
	for (size_t i = 0; i < n; i++)
		if (!kept || prefix_cmp(&copy[kept - 1], &copy[i]) != 0)
			copy[kept++] = copy[i];
	*ret_n = kept;
	return copy;
}

static void read_boot_id(char *ret_id)
{
	auto_buf text = { 0 };

	if (source_read("/proc/sys/kernel/random/boot_id", &text) < 0)
		return;
	snprintf(ret_id, NAME_LEN, "%.*s", (int)strcspn(text.data, "\n"), text.data);
}

struct sampler *sampler_new(const char *const *interfaces, size_t n_interfaces, const struct prefix *vips,
			    size_t n_vips)
{
	struct sampler *s = xcalloc(1, sizeof(*s));
	struct source_cfg cfg = { interfaces, n_interfaces, NULL, 0 };
	auto_free struct prefix *sorted = sort_vips(vips, n_vips, &cfg.n_vips);

	cfg.vips = sorted;
	if (cfg.n_interfaces > MAX_LINKS)
		cfg.n_interfaces = MAX_LINKS;
	if (cfg.n_vips > MAX_PREFIXES)
		cfg.n_vips = MAX_PREFIXES;
	read_boot_id(s->boot_id);
	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		s->self[i] = sources[i]->new (&cfg);
	return s;
}

/* said: the last words about this source; empty while it works */
static void say(const char *name, char *said, const char *why)
{
	if (strcmp(said, why) == 0)
		return;
	if (*why)
		log_warn("sample %s: %s", name, why);
	else
		log_info("sample %s: works again", name);
	snprintf(said, TEXT_LEN, "%s", why);
}

void sampler_take(struct sampler *s, struct msg_report *r)
{
	char why[TEXT_LEN];

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		why[0] = 0;
		if (sources[i]->take(s->self[i], r, why) == 0)
			why[0] = 0;
		say(sources[i]->name, s->said[i], why);
	}
	r->mono_us = (uint64_t)mono_now().us;
	memcpy(r->boot_id, s->boot_id, sizeof(r->boot_id));
}

void sampler_free(struct sampler *s, bool keep)
{
	if (!s)
		return;
	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		sources[i]->free(s->self[i], keep);
	free(s);
}
