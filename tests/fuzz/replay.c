/* SPDX-License-Identifier: Apache-2.0
 * Feeds the files of a corpus directory to the harness it is linked with. */
#include <dirent.h>
#include <errno.h>

#include "proto/base/mem.h"
#include "tests/fuzz/fuzz.h"

#define FILE_MAX (1024 * 1024)

static void replay_file(const char *path)
{
	auto_fclose FILE *f = fopen(path, "re");
	auto_free uint8_t *data = xcalloc(1, FILE_MAX);

	if (!f)
		abort();
	size_t n = fread(data, 1, FILE_MAX, f);
	/* an exact allocation, so that the sanitizer sees a read past the end */
	auto_free uint8_t *exact = xcalloc(1, n);
	for (size_t i = 0; i < n; i++)
		exact[i] = data[i];
	LLVMFuzzerTestOneInput(exact, n);
}

int fuzz_replay(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		auto_free char *path = xasprintf("%s/%s", dir, e->d_name);
		replay_file(path);
		n++;
	}
	closedir(d);
	return n;
}
