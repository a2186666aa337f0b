/* SPDX-License-Identifier: Apache-2.0
 * Per file name: what is durable, and the writes since the last sync. At the cut an image of every file is
 * made from both. */
#include "tests/unit/power_vfs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/mem.h"

#define SECTOR	  512
#define FILES_MAX 4

struct bytes {
	char *data;
	size_t len;
};

struct pending {
	struct pending *next;
	size_t at;
	struct bytes b; /* data NULL: a truncation to at */
};

struct disk_file {
	char *path;
	struct bytes durable, image;
	struct pending *first, **end;
	int exists, image_exists;
};

struct handle {
	sqlite3_file base;
	struct disk_file *d;
	sqlite3_file *real;
};

static sqlite3_vfs vfs, *below;
static struct disk_file files[FILES_MAX];
static unsigned ops, cut_at, acked, acked_at_cut, *seed;
static int cut;

/* -- images ------------------------------------------------------------------------------------------- */

static void put(struct bytes *b, size_t at, const char *data, size_t len)
{
	if (!len)
		return;
	if (at + len > b->len) {
		b->data = xrealloc(b->data, at + len, 1);
		memset(b->data + b->len, 0, at + len - b->len);
		b->len = at + len;
	}
	memcpy(b->data + at, data, len);
}

static void cut_to(struct bytes *b, size_t len)
{
	if (len < b->len)
		b->len = len;
}

static void apply(struct bytes *b, const struct pending *p)
{
	if (p->b.data)
		put(b, p->at, p->b.data, p->b.len);
	else
		cut_to(b, p->at);
}

/* Any sectors of a write may have reached the disk. */
static void apply_some(struct bytes *b, const struct pending *p)
{
	if (!p->b.data) {
		if (rand_r(seed) % 2)
			cut_to(b, p->at);
		return;
	}
	unsigned mood = (unsigned)rand_r(seed) % 4; /* none, all, torn */
	for (size_t i = 0; mood && i < p->b.len; i += SECTOR) {
		size_t n = p->b.len - i < SECTOR ? p->b.len - i : SECTOR;
		if (mood == 1 || rand_r(seed) % 2)
			put(b, p->at + i, p->b.data + i, n);
	}
}

static void forget(struct disk_file *d)
{
	while (d->first) {
		struct pending *p = d->first;
		d->first = p->next;
		free(p->b.data);
		free(p);
	}
	d->end = &d->first;
}

static void power_cut(void)
{
	cut = 1;
	acked_at_cut = acked;
	for (int i = 0; i < FILES_MAX && files[i].path; i++) {
		struct disk_file *d = &files[i];
		free(d->image.data);
		d->image = (struct bytes){ 0 };
		d->image_exists = d->exists;
		put(&d->image, 0, d->durable.data ? d->durable.data : "", d->durable.len);
		for (const struct pending *p = d->first; p; p = p->next)
			apply_some(&d->image, p);
	}
}

/* Before the operation: the cut may fall on it. */
static void count_op(void)
{
	if (!cut && cut_at && ++ops == cut_at)
		power_cut();
}

static void add(struct disk_file *d, size_t at, const void *data, size_t len)
{
	struct pending *p = xcalloc(1, sizeof(*p));

	p->at = at;
	if (data) {
		p->b.data = xcalloc(len ? len : 1, 1);
		memcpy(p->b.data, data, len);
		p->b.len = len;
	}
	*d->end = p;
	d->end = &p->next;
}

/* -- the file methods --------------------------------------------------------------------------------- */

#define REAL(f) (((struct handle *)(f))->real)
#define DISK(f) (((struct handle *)(f))->d)

static int x_close(sqlite3_file *f)
{
	return REAL(f)->pMethods->xClose(REAL(f));
}
static int x_read(sqlite3_file *f, void *buf, int n, sqlite3_int64 at)
{
	return REAL(f)->pMethods->xRead(REAL(f), buf, n, at);
}
static int x_write(sqlite3_file *f, const void *buf, int n, sqlite3_int64 at)
{
	count_op();
	if (DISK(f))
		add(DISK(f), (size_t)at, buf, (size_t)n);
	return REAL(f)->pMethods->xWrite(REAL(f), buf, n, at);
}
static int x_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	count_op();
	if (DISK(f))
		add(DISK(f), (size_t)size, NULL, 0);
	return REAL(f)->pMethods->xTruncate(REAL(f), size);
}
static int x_sync(sqlite3_file *f, int flags)
{
	struct disk_file *d = DISK(f);

	count_op();
	for (const struct pending *p = d ? d->first : NULL; p; p = p->next)
		apply(&d->durable, p);
	if (d)
		forget(d);
	return REAL(f)->pMethods->xSync(REAL(f), flags);
}
static int x_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return REAL(f)->pMethods->xFileSize(REAL(f), size);
}
static int x_lock(sqlite3_file *f, int level)
{
	return REAL(f)->pMethods->xLock(REAL(f), level);
}
static int x_unlock(sqlite3_file *f, int level)
{
	return REAL(f)->pMethods->xUnlock(REAL(f), level);
}
static int x_reserved(sqlite3_file *f, int *ret)
{
	return REAL(f)->pMethods->xCheckReservedLock(REAL(f), ret);
}
static int x_control(sqlite3_file *f, int op, void *arg)
{
	return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}
static int x_sector(sqlite3_file *f)
{
	(void)f;
	return SECTOR;
}
/* The weakest promise: nothing is atomic, nothing in order. */
static int x_device(sqlite3_file *f)
{
	(void)f;
	return 0;
}
static int x_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret)
{
	return REAL(f)->pMethods->xShmMap(REAL(f), region, size, extend, ret);
}
static int x_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return REAL(f)->pMethods->xShmLock(REAL(f), at, n, flags);
}
static void x_shm_barrier(sqlite3_file *f)
{
	REAL(f)->pMethods->xShmBarrier(REAL(f));
}
static int x_shm_unmap(sqlite3_file *f, int gone)
{
	return REAL(f)->pMethods->xShmUnmap(REAL(f), gone);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = x_close,
	.xRead = x_read,
	.xWrite = x_write,
	.xTruncate = x_truncate,
	.xSync = x_sync,
	.xFileSize = x_size,
	.xLock = x_lock,
	.xUnlock = x_unlock,
	.xCheckReservedLock = x_reserved,
	.xFileControl = x_control,
	.xSectorSize = x_sector,
	.xDeviceCharacteristics = x_device,
	.xShmMap = x_shm_map,
	.xShmLock = x_shm_lock,
	.xShmBarrier = x_shm_barrier,
	.xShmUnmap = x_shm_unmap,
};

/* -- the file system ---------------------------------------------------------------------------------- */

static struct disk_file *disk_of(const char *path)
{
	int i = 0;

	while (i < FILES_MAX && files[i].path && strcmp(files[i].path, path) != 0)
		i++;
	if (i == FILES_MAX)
		abort();
	if (!files[i].path) {
		files[i].path = xstrdup(path);
		files[i].end = &files[i].first;
	}
	return &files[i];
}

static int x_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct handle *h = (struct handle *)f;

	(void)v;
	h->real = (sqlite3_file *)(h + 1);
	h->base.pMethods = NULL;
	int r = below->xOpen(below, name, h->real, flags, ret_flags);
	if (r != SQLITE_OK)
		return r;
	h->base.pMethods = &methods;
	h->d = name ? disk_of(name) : NULL;
	if (h->d)
		h->d->exists = 1;
	return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *v, const char *name, int sync_dir)
{
	struct disk_file *d = disk_of(name);

	(void)v;
	count_op();
	forget(d);
	d->durable.len = 0;
	d->exists = 0;
	return below->xDelete(below, name, sync_dir);
}

void power_vfs_use(void)
{
	below = sqlite3_vfs_find(NULL);
	vfs = *below;
	vfs.zName = "power";
	vfs.szOsFile = (int)sizeof(struct handle) + below->szOsFile;
	vfs.pNext = NULL;
	vfs.xOpen = x_open;
	vfs.xDelete = x_delete;
	sqlite3_vfs_register(&vfs, 1);
}

void power_vfs_leave(void)
{
	sqlite3_vfs_unregister(&vfs);
	for (int i = 0; i < FILES_MAX; i++) {
		forget(&files[i]);
		free(files[i].path);
		free(files[i].durable.data);
		free(files[i].image.data);
	}
	memset(files, 0, sizeof(files));
}

void power_vfs_arm(unsigned at, unsigned *s)
{
	ops = acked = cut = 0;
	cut_at = at;
	seed = s;
}

int power_vfs_was_cut(unsigned *ret_acked)
{
	*ret_acked = cut ? acked_at_cut : acked;
	return cut;
}

void power_vfs_ack(void)
{
	acked++;
}

static void write_file(const char *path, const struct bytes *b)
{
	auto_fclose FILE *f = fopen(path, "w");

	if (!f || (b->len && fwrite(b->data, 1, b->len, f) != b->len))
		abort();
}

void power_vfs_settle(void)
{
	for (int i = 0; i < FILES_MAX && files[i].path; i++) {
		struct disk_file *d = &files[i];
		auto_free char *shm = xasprintf("%s-shm", d->path);
		unlink(d->path);
		unlink(shm); /* memory, not disk */
		forget(d);
		d->durable.len = 0;
		d->exists = d->image_exists;
		if (!d->exists)
			continue;
		put(&d->durable, 0, d->image.data ? d->image.data : "", d->image.len);
		write_file(d->path, &d->image);
	}
}
