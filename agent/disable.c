/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/disable.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Owns nothing. Written beside and renamed: a reader sees all of the reason or none. */

static char *path_of(const char *state_dir, const struct service_cfg *s)
{
	return xasprintf("%s/%s.disabled", state_dir, s->name);
}

#define QUIET_LOOKS 20
#define TELLS_S	    1 /* the directory's clock ticks finer than this */

bool disable_stirred(const char *state_dir, struct disable_watch *w)
{
	struct timespec now;
	struct stat st;

	if (stat(state_dir, &st) < 0)
		return true;
	clock_gettime(CLOCK_REALTIME, &now);
	bool same = st.st_mtim.tv_sec == w->changed.tv_sec && st.st_mtim.tv_nsec == w->changed.tv_nsec;
	int64_t age_s = (int64_t)now.tv_sec - (int64_t)st.st_mtim.tv_sec;
	w->changed = st.st_mtim;
	w->quiet = same ? w->quiet + 1 : 0;
	if (same && age_s > TELLS_S && w->quiet < QUIET_LOOKS)
		return false;
	w->quiet = 0;
	return true;
}

bool disable_reason(const char *state_dir, const struct service_cfg *s, char *ret_reason)
{
	auto_free char *path = path_of(state_dir, s);
	auto_fclose FILE *f = fopen(path, "re");

	if (f) {
		if (!fgets(ret_reason, TEXT_LEN, f))
			snprintf(ret_reason, TEXT_LEN, "no reason given");
		ret_reason[strcspn(ret_reason, "\n")] = 0;
		return true;
	}
	if (!s->disable_file || access(s->disable_file, F_OK))
		return false;
	snprintf(ret_reason, TEXT_LEN, "%.200s exists", s->disable_file);
	return true;
}

static int fail(const char *what, const char *path, char *ret_why)
{
	int err = errno;

	snprintf(ret_why, TEXT_LEN, "%s %.150s: %s", what, path, strerror(err));
	return -err;
}

static int write_reason(const char *path, const char *reason, char *ret_why)
{
	auto_free char *next = xasprintf("%s.new", path);
	FILE *f = fopen(next, "we");

	if (!f)
		return fail("writing", next, ret_why);
	fprintf(f, "%s\n", reason);
	fflush(f);
	fsync(fileno(f));
	bool bad = ferror(f);
	if (fclose(f) || bad || rename(next, path))
		return fail("writing", path, ret_why);
	return 0;
}

int disable_set(const char *state_dir, const struct service_cfg *s, const char *reason, char *ret_why)
{
	auto_free char *path = path_of(state_dir, s);

	if (reason)
		return write_reason(path, reason, ret_why);
	if (unlink(path) && errno != ENOENT)
		return fail("removing", path, ret_why);
	if (s->disable_file && access(s->disable_file, F_OK) == 0) {
		snprintf(ret_why, TEXT_LEN, "%.200s exists: remove it first", s->disable_file);
		return -EBUSY;
	}
	return 0;
}
