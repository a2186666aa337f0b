/* SPDX-License-Identifier: Apache-2.0
 * Files appear under their name only when they are complete: everything is made beside it and renamed. */
#include "controller/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/term.h"
#include "proto/base/err.h"

#define ETCD_WAIT_MS 15000
#define EPOCH_LEAP   1000000 /* more terms than there can have been since the backup was made */
#define BATCH	     50

static bool on_etcd(const struct ctrl_config *cfg)
{
	return strcmp(cfg->store.kind, "etcd") == 0;
}

/* -- etcd from outside the loop ----------------------------------------------------------------------- */

struct visit {
	struct store *s;
	struct store_etcd_cfg cfg;
	char *password;
	bool answered, won, beaten;
	char leader[LEAD_URL_LEN];
};

static void on_lead(enum lead_event e, mono_t at, const char *leader, void *arg)
{
	struct visit *v = arg;

	(void)at;
	v->answered |= e == LEAD_SEEN_NONE || e == LEAD_SEEN_OTHER;
	v->won |= e == LEAD_WON;
	v->beaten |= e == LEAD_BEATEN;
	if (leader)
		snprintf(v->leader, sizeof(v->leader), "%s", leader);
}

/* Asks, and waits for *flag. */
static int visit_wait(struct visit *v, enum store_etcd_ask what, const bool *flag, char *ret_why)
{
	static const struct store_etcd_news news = { .lead = on_lead };
	mono_t end = mono_add_ms(mono_now(), ETCD_WAIT_MS);

	for (unsigned turn = 0; !*flag && !v->beaten; turn++) {
		if (turn % 200 == 0)
			store_etcd_ask(v->s, what);
		if (mono_diff_ms(mono_now(), end) < 0) {
			snprintf(ret_why, CONF_WHY_LEN, "no answer within %d s: %s", ETCD_WAIT_MS / 1000,
				 store_why(v->s));
			return ERR_STORE;
		}
		usleep(10000);
		store_etcd_poll(v->s, &news, v);
	}
	return *flag ? 0 : ERR_CONFLICT;
}

static void visit_end(struct visit *v)
{
	if (v->won)
		store_etcd_resign(v->s);
	store_close(v->s);
	if (v->password)
		explicit_bzero(v->password, strlen(v->password));
	free(v->password);
}

static int visit_begin(struct visit *v, const struct ctrl_config *cfg, char *ret_why)
{
	int err = term_store_cfg(cfg, "{\"name\":\"sluice-controller --restore\"}", &v->cfg, &v->password,
				 ret_why);

	if (err < 0)
		return err;
	v->s = store_open_etcd(&v->cfg);
	err = visit_wait(v, STORE_ETCD_LOOK, &v->answered, ret_why);
	if (err < 0)
		visit_end(v);
	return err;
}

/* -- from store to store ------------------------------------------------------------------------------ */

struct copying {
	struct store *to;
	struct store_op ops[BATCH];
	size_t n, keys, events;
	int err;
};

static void flush(struct copying *c)
{
	if (c->err == 0 && c->n)
		c->err = store_write(c->to, c->ops, c->n, NULL);
	for (size_t i = 0; i < c->n; i++) {
		free((void *)(uintptr_t)c->ops[i].key);
		free((void *)(uintptr_t)c->ops[i].value);
	}
	c->n = 0;
}

static int add(struct copying *c, const char *key, const char *value)
{
	c->ops[c->n++] = (struct store_op){ xstrdup(key), value ? xstrdup(value) : NULL };
	if (c->n == BATCH)
		flush(c);
	return c->err;
}

static int copy_key(const char *key, const char *value, void *arg)
{
	((struct copying *)arg)->keys++;
	return add(arg, key, value);
}

static int drop_key(const char *key, const char *value, void *arg)
{
	(void)value;
	return add(arg, key, NULL);
}

static int copy_event(const struct store_event *ev, void *arg)
{
	struct copying *c = arg;
	struct store_event copy = *ev;

	c->err = store_write(c->to, NULL, 0, &copy);
	c->events++;
	return c->err;
}

/* Events are only added where there are none yet: history is not rewritten. */
static int copy_store(struct store *from, struct store *to, char *ret_text)
{
	struct copying c = { .to = to };
	uint64_t epoch = 0;

	store_each(to, "", drop_key, &c);
	flush(&c);
	store_each(from, "", copy_key, &c);
	flush(&c);
	if (c.err == 0 && store_last_event(to) == 0)
		store_events(from, 0, STORE_EVENTS_KEPT, copy_event, &c);
	if (c.err == 0 && (store_epoch(from, &epoch) != 0 || store_raise_epoch(to, epoch) != 0))
		c.err = ERR_STORE;
	if (c.err != 0)
		snprintf(ret_text, TEXT_LEN, "%s", store_why(to));
	else
		snprintf(ret_text, CONF_WHY_LEN, "%zu keys, %zu events, epoch %llu", c.keys, c.events,
			 (unsigned long long)epoch);
	return c.err;
}

static void unlink_db(const char *path)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal", ".lock" };

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		auto_free char *p = xasprintf("%s%s", path, suffixes[i]);
		unlink(p);
	}
}

/* -- backup ------------------------------------------------------------------------------------------- */

static int from_etcd(const struct ctrl_config *cfg, const char *part, char *ret_text)
{
	struct visit v = { 0 };
	struct store *to;
	int err = visit_begin(&v, cfg, ret_text);

	if (err < 0)
		return err;
	err = store_open_sqlite(part, &to, ret_text);
	if (err == 0) {
		err = copy_store(v.s, to, ret_text);
		store_close(to);
	}
	visit_end(&v);
	return err;
}

static int rename_to(const char *from, const char *to, char *ret_text)
{
	if (rename(from, to) == 0)
		return 0;
	snprintf(ret_text, TEXT_LEN, "%s: %s", to, strerror(errno));
	return -errno;
}

int backup_make(const struct ctrl_config *cfg, const char *file, char *ret_text)
{
	auto_free char *part = xasprintf("%s.part", file);
	auto_free char *path = xasprintf("%s/sluice.db", cfg->state_dir);
	char what[TEXT_LEN] = "";

	if (access(file, F_OK) == 0) {
		snprintf(ret_text, TEXT_LEN, "%s exists already: name another file", file);
		return -EEXIST;
	}
	unlink_db(part); /* of a backup that was interrupted */
	mode_t mask = umask(077);
	int err = on_etcd(cfg) ? from_etcd(cfg, part, ret_text) : store_copy_sqlite(path, part, ret_text);
	umask(mask);
	snprintf(what, sizeof(what), "%.200s", on_etcd(cfg) ? ret_text : path);
	if (err == 0)
		err = rename_to(part, file, ret_text);
	if (err < 0) {
		snprintf(what, sizeof(what), "%.200s", ret_text);
		unlink_db(part);
		snprintf(ret_text, TEXT_LEN, "%s", what);
		return err;
	}
	unlink_db(part);
	snprintf(ret_text, CONF_WHY_LEN,
		 "%s: complete (%s). It holds what tokens hash to: keep it as you keep the original", file,
		 what);
	return 0;
}

/* -- restore ------------------------------------------------------------------------------------------ */

static int note(struct store *s, const char *file, uint64_t epoch, char *ret_text)
{
	auto_free char *text =
		xasprintf("state restored from %s; epochs go on after %llu", file, (unsigned long long)epoch);
	struct store_event ev = {
		.wall_ms = wall_now_ms(), .kind = "store.restored", .severity = "warning", .text = text
	};

	if (store_raise_epoch(s, epoch) == 0 && store_write(s, NULL, 0, &ev) == 0)
		return 0;
	snprintf(ret_text, TEXT_LEN, "%s", store_why(s));
	return ERR_STORE;
}

/* The state directory's owner is who the controller runs as. */
static void give_to_owner(const char *path, const char *dir)
{
	struct stat st;

	if (geteuid() == 0 && stat(dir, &st) == 0 && chown(path, st.st_uid, st.st_gid) != 0)
		fprintf(stderr, "%s: %s; give it to the controller's user\n", path, strerror(errno));
}

static uint64_t epoch_in(const char *path)
{
	char why[TEXT_LEN];
	uint64_t epoch = 0;
	struct store *s;

	if (access(path, F_OK) != 0 || store_open_sqlite(path, &s, why) != 0)
		return 0; /* there is none, or it cannot be read, which may be why it is replaced */
	store_epoch(s, &epoch);
	store_close(s);
	return epoch;
}

static int sync_dir(const char *dir)
{
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fsync(fd);
}

/* next is ours alone: opened, migrated if it is older, and marked. */
static int prepare(const char *file, const char *next, uint64_t before, char *ret_text)
{
	struct store *s;
	uint64_t epoch = 0;
	int err = store_copy_sqlite(file, next, ret_text);

	if (err == 0)
		err = store_open_sqlite(next, &s, ret_text);
	if (err < 0)
		return err;
	store_epoch(s, &epoch);
	err = note(s, file, (epoch > before ? epoch : before) + EPOCH_LEAP, ret_text);
	store_close(s);
	return err;
}

static int restore_file(const struct ctrl_config *cfg, const char *file, const char *path, char *ret_text)
{
	auto_free char *next = xasprintf("%s.next", path), *lock = xasprintf("%s.next.lock", path);
	auto_free char *kept = xasprintf("%s.before-restore", path);

	unlink_db(next);
	uint64_t before = epoch_in(path); /* also writes its log back into it */
	int fd, err = store_lock_sqlite(path, &fd, ret_text);
	if (err < 0)
		return err;
	err = prepare(file, next, before, ret_text);
	if (err == 0 && access(path, F_OK) == 0) {
		unlink_db(kept);
		auto_free char *wal = xasprintf("%s-wal", path), *kept_wal = xasprintf("%s-wal", kept);
		rename(wal, kept_wal); /* only there when it could not be opened */
		err = rename_to(path, kept, ret_text);
	}
	if (err == 0)
		err = rename_to(next, path, ret_text);
	unlink(lock);
	if (err == 0) {
		sync_dir(cfg->state_dir);
		give_to_owner(path, cfg->state_dir);
		auto_free char *own_lock = xasprintf("%s.lock", path);
		give_to_owner(own_lock, cfg->state_dir);
		snprintf(ret_text, CONF_WHY_LEN, "%s: restored from %s; what was there before is %s", path,
			 file, kept);
	} else {
		unlink_db(next);
	}
	close(fd);
	return err;
}

static int into_etcd(struct visit *v, const char *file, const char *copy, char *ret_text)
{
	struct store *from;
	uint64_t before = 0, epoch = 0;
	char what[CONF_WHY_LEN] = "";
	int err = store_copy_sqlite(file, copy, ret_text);

	if (err == 0)
		err = store_open_sqlite(copy, &from, ret_text);
	if (err < 0)
		return err;
	store_epoch(v->s, &before);
	store_epoch(from, &epoch);
	err = copy_store(from, v->s, what);
	store_close(from);
	if (err == 0)
		err = note(v->s, file, (epoch > before ? epoch : before) + EPOCH_LEAP, what);
	snprintf(ret_text, CONF_WHY_LEN, "%s%s%s", err == 0 ? v->cfg.prefix : what,
		 err == 0 ? ": restored, " : "", err == 0 ? what : "; it is incomplete: repeat it");
	return err;
}

static int restore_etcd(const struct ctrl_config *cfg, const char *file, char *ret_text)
{
	auto_free char *copy = xasprintf("%s/restore.db", cfg->state_dir);
	struct visit v = { 0 };
	int err = visit_begin(&v, cfg, ret_text);

	if (err < 0)
		return err;
	err = v.leader[0] ? ERR_CONFLICT : visit_wait(&v, STORE_ETCD_CAMPAIGN, &v.won, ret_text);
	unlink_db(copy);
	if (err == 0)
		err = into_etcd(&v, file, copy, ret_text);
	else if (err == ERR_CONFLICT)
		snprintf(ret_text, CONF_WHY_LEN, "a controller leads (%s): stop every controller first",
			 v.leader);
	unlink_db(copy);
	visit_end(&v);
	return err;
}

int backup_restore(const struct ctrl_config *cfg, const char *file, char *ret_text)
{
	auto_free char *path = xasprintf("%s/sluice.db", cfg->state_dir);

	return on_etcd(cfg) ? restore_etcd(cfg, file, ret_text) : restore_file(cfg, file, path, ret_text);
}
