/* SPDX-License-Identifier: Apache-2.0
 * Owns the format and the file, no memory of its own. Layout, numbers big-endian:
 *   8 "SLUICEST"   4 version   64 boot id, NUL-padded   4 CRC-32 of all that follows   4 length   n Envelope
 */
#include "agent/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/err.h"

#define MAGIC	"SLUICEST"
#define VERSION 1
#define HEAD	(8 + 4 + NAME_LEN + 4 + 4)

/* IEEE 802.3; small files, so a table is not worth its place */
static uint32_t crc32(const uint8_t *p, size_t n)
{
	uint32_t c = ~0u;

	while (n--) {
		c ^= *p++;
		for (int i = 0; i < 8; i++)
			c = (c >> 1) ^ (0xEDB88320u & -(c & 1));
	}
	return ~c;
}

static void put32(char *to, uint32_t v)
{
	uint8_t b[] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	memcpy(to, b, sizeof(b));
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The sum covers the boot id, too: it decides what leases are worth. */
static uint32_t sum(const uint8_t *file, size_t len)
{
	return crc32(file + 12, NAME_LEN) ^ crc32(file + HEAD, len - HEAD);
}

void state_encode(const struct state *s, struct buf *out)
{
	struct msg m = { .kind = MSG_DIRECTIVE, .directive = s->directive };
	char head[HEAD] = MAGIC;

	put32(head + 8, VERSION);
	memcpy(head + 12, s->boot_id, strnlen(s->boot_id, NAME_LEN - 1));
	buf_add(out, head, sizeof(head));
	msg_pack(&m, out);
	put32(out->data + HEAD - 4, (uint32_t)(out->len - HEAD));
	put32(out->data + HEAD - 8, sum((const uint8_t *)out->data, out->len));
}

static int bad(int err, char *ret_why, const char *why)
{
	snprintf(ret_why, TEXT_LEN, "%s", why);
	return err;
}

int state_decode(const void *data, size_t len, struct state *ret_state, char *ret_why)
{
	const uint8_t *p = data;
	struct msg m;

	if (len < HEAD || memcmp(p, MAGIC, 8) != 0)
		return bad(ERR_MALFORMED, ret_why, "it is not an agent's state");
	if (get32(p + 8) != VERSION)
		return bad(ERR_VERSION, ret_why, "it was written by another version");
	if (get32(p + HEAD - 4) != len - HEAD)
		return bad(ERR_MALFORMED, ret_why, "it is cut short");
	if (get32(p + HEAD - 8) != sum(p, len) || p[12 + NAME_LEN - 1])
		return bad(ERR_MALFORMED, ret_why, "its checksum is wrong");
	int err = msg_unpack(p + HEAD, len - HEAD, &m, ret_why);
	if (err < 0)
		return err;
	if (m.kind != MSG_DIRECTIVE) {
		msg_done(&m);
		return bad(ERR_MALFORMED, ret_why, "it holds no directive");
	}
	*ret_state = (struct state){ .directive = m.directive };
	memcpy(ret_state->boot_id, p + 12, NAME_LEN);
	return 0;
}

static int read_all(int fd, struct buf *out)
{
	char chunk[8192];
	ssize_t n;

	out->max = STATE_MAX;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		if (buf_add(out, chunk, (size_t)n) < 0)
			return ERR_LIMIT;
	return n < 0 ? -errno : 0;
}

static int fail(int err, char *ret_why, const char *path, const char *why)
{
	snprintf(ret_why, TEXT_LEN, "%.150s: %.90s", path, why);
	return err;
}

int state_load(const char *dir, struct state *ret_state, char *ret_why)
{
	auto_free char *path = xasprintf("%s/directive", dir);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	auto_buf text = { 0 };
	char why[TEXT_LEN];

	if (fd < 0)
		return fail(-errno, ret_why, path, strerror(errno));
	int err = read_all(fd, &text);
	if (err < 0)
		return fail(err, ret_why, path, err == ERR_LIMIT ? "it is too large" : strerror(-err));
	err = state_decode(text.data, text.len, ret_state, why);
	if (err < 0)
		return fail(err, ret_why, path, why);
	if (access(dir, W_OK) == 0)
		return 0;
	for (size_t i = 0; i < ret_state->directive.n_shards; i++)
		ret_state->directive.shards[i].permit_ms = 0;
	return fail(-EROFS, ret_why, dir, "cannot be written: the permits in it are not believed");
}

static int write_all(int fd, const struct buf *b)
{
	for (size_t done = 0; done < b->len;) {
		ssize_t n = write(fd, b->data + done, b->len - done);
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int state_save(const char *dir, const struct state *s, int *ret_fd, char *ret_why)
{
	auto_free char *path = xasprintf("%s/directive", dir);
	auto_free char *tmp = xasprintf("%s/directive.new", dir);
	auto_buf out = { 0 };
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : 0;

	state_encode(s, &out);
	if (!err)
		err = write_all(fd, &out);
	if (!err && rename(tmp, path) < 0)
		err = -errno;
	if (!err) {
		*ret_fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	unlink(tmp);
	unlink(path);
	return fail(err, ret_why, path, strerror(-err));
}

void state_done(struct state *s)
{
	directive_done(&s->directive);
}
