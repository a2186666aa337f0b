/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/err.h"

static int read_fd(int fd, struct buf *out)
{
	char block[65536];
	ssize_t n;

	while ((n = read(fd, block, sizeof(block)))) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		int err = buf_add(out, block, (size_t)n);
		if (err)
			return err;
	}
	return 0;
}

int file_read(const char *path, struct buf *out)
{
	if (!strcmp(path, "-"))
		return read_fd(STDIN_FILENO, out);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : read_fd(fd, out);
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			left -= (size_t)n;
		}
	}
	return fsync(fd) ? -errno : 0;
}

int file_write_secret(const char *path, const char *text)
{
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err = fd < 0 ? -errno : write_all(fd, text);

	if (fd >= 0 && err)
		unlink(path);
	return err;
}

const char *file_err(int err)
{
	return err == ERR_LIMIT ? "it is too large" : err_str(err);
}
