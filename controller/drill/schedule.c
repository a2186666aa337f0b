/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drill/schedule.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/base/mem.h"

#define DAY_MS	  INT64_C(86400000)
#define MINUTE_MS INT64_C(60000)
#define WHY	  128
#define NAME_MAX_ 63

static const char *const days[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

/* -- reading -------------------------------------------------------------------------------------------- */

static bool two_digits(const char *s, int *ret)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*ret = 10 * (s[0] - '0') + s[1] - '0';
	return true;
}

/* "10:30" -> minutes; "24:00" is the end of the day. */
static bool minutes(const json_t *v, int *ret)
{
	const char *s = json_string_value(v);
	int h, m;

	if (!s || strlen(s) != 5 || s[2] != ':' || !two_digits(s, &h) || !two_digits(s + 3, &m) || m > 59)
		return false;
	*ret = 60 * h + m;
	return *ret <= 24 * 60;
}

/* "2026-12-20", as text: dates in this form sort as text. */
static bool date(const json_t *v)
{
	const char *s = json_string_value(v);
	int y, y2, m, d;

	if (!s || strlen(s) != 10 || s[4] != '-' || s[7] != '-' || !two_digits(s, &y) ||
	    !two_digits(s + 2, &y2) || !two_digits(s + 5, &m) || !two_digits(s + 8, &d))
		return false;
	struct tm tm = { .tm_year = 100 * y + y2 - 1900, .tm_mon = m - 1, .tm_mday = d };
	timegm(&tm); /* 31 June becomes 1 July */
	return tm.tm_mon == m - 1 && tm.tm_mday == d;
}

static int day_index(const char *s)
{
	for (int i = 0; s && i < 7; i++)
		if (strcmp(s, days[i]) == 0)
			return i;
	return -1;
}

/* -- checking -------------------------------------------------------------------------------------------- */

struct checker {
	json_t *errors;
	char at[64];
};

__attribute__((format(printf, 3, 4))) static void wrong(struct checker *c, const char *key, const char *fmt,
							...)
{
	char reason[256], pointer[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	snprintf(pointer, sizeof(pointer), "%s%s", c->at, key);
	json_array_append_new(c->errors, json_pack("{s:s, s:s}", "pointer", pointer, "reason", reason));
}

static bool known_key(const char *key, const char *const *keys)
{
	for (; *keys; keys++)
		if (strcmp(*keys, key) == 0)
			return true;
	return false;
}

static bool object_of(struct checker *c, const json_t *v, const char *const *keys)
{
	const char *key;
	json_t *x;

	if (!json_is_object(v)) {
		wrong(c, "", "must be an object");
		return false;
	}
	json_object_foreach((json_t *)(uintptr_t)v, key, x)
		if (!known_key(key, keys))
			wrong(c, "", "has an unknown key \"%.60s\"", key);
	return true;
}

static void check_window(struct checker *c, const json_t *w)
{
	static const char *const keys[] = { "days", "from", "to", NULL };
	json_t *list = json_object_get(w, "days"), *d;
	int from = 0, to = 0;
	size_t i;

	if (!object_of(c, w, keys))
		return;
	if (!json_array_size(list))
		wrong(c, "/days", "must be a list of mon, tue, wed, thu, fri, sat, sun");
	json_array_foreach(list, i, d)
		if (day_index(json_string_value(d)) < 0)
			wrong(c, "/days", "must be a list of mon, tue, wed, thu, fri, sat, sun");
	bool ok = minutes(json_object_get(w, "from"), &from) && minutes(json_object_get(w, "to"), &to);
	if (!ok || from >= to)
		wrong(c, "/from", "from and to must be UTC times of one day, such as 10:00 and 12:30");
}

static void check_blackout(struct checker *c, const json_t *b)
{
	static const char *const keys[] = { "from", "to", "reason", NULL };
	json_t *from = json_object_get(b, "from"), *to = json_object_get(b, "to");

	if (!object_of(c, b, keys))
		return;
	if (!date(from) || !date(to) || strcmp(json_string_value(from), json_string_value(to)) > 0)
		wrong(c, "/from",
		      "from and to must be days such as 2026-12-20, the first not after the last");
	if (!json_is_string(json_object_get(b, "reason")))
		wrong(c, "/reason", "must be text");
}

static void check_drill(struct checker *c, const json_t *d)
{
	static const char *const keys[] = { "name", "every_days", "spec", NULL };
	const char *name = json_string_value(json_object_get(d, "name"));
	json_int_t every = json_integer_value(json_object_get(d, "every_days"));

	if (!object_of(c, d, keys))
		return;
	if (!name || !*name || strlen(name) > NAME_MAX_)
		wrong(c, "/name", "must be a name of at most %d bytes", NAME_MAX_);
	if (every < 1 || every > 366)
		wrong(c, "/every_days", "must be from 1 to 366");
	if (!json_is_object(json_object_get(d, "spec")))
		wrong(c, "/spec", "must be an object as for POST /v1/drills");
}

static void check_list(struct checker *c, const json_t *schedule, const char *key, size_t max,
		       void (*check)(struct checker *c, const json_t *v))
{
	json_t *list = json_object_get(schedule, key), *v;
	size_t i;

	snprintf(c->at, sizeof(c->at), "/%s", key);
	if (list && (!json_is_array(list) || json_array_size(list) > max)) {
		wrong(c, "", "must be a list of at most %zu", max);
		return;
	}
	json_array_foreach(list, i, v) {
		snprintf(c->at, sizeof(c->at), "/%s/%zu", key, i);
		check(c, v);
	}
}

/* When each last began is known by its name. */
static void check_names(struct checker *c, const json_t *schedule)
{
	json_auto_t *seen = json_object();
	json_t *d;
	size_t i;

	json_array_foreach(json_object_get(schedule, "drills"), i, d) {
		const char *name = json_string_value(json_object_get(d, "name"));
		snprintf(c->at, sizeof(c->at), "/drills/%zu", i);
		if (name && json_object_get(seen, name))
			wrong(c, "/name", "is the name of another drill of the schedule");
		if (name)
			json_object_set_new(seen, name, json_true());
	}
}

void schedule_check(const json_t *schedule, json_t *errors)
{
	static const char *const keys[] = { "enabled", "windows", "blackout", "drills", NULL };
	struct checker c = { .errors = errors };

	if (!object_of(&c, schedule, keys))
		return;
	if (!json_is_boolean(json_object_get(schedule, "enabled")))
		wrong(&c, "/enabled", "must be true or false");
	check_list(&c, schedule, "windows", SCHEDULE_WINDOWS_MAX, check_window);
	check_list(&c, schedule, "blackout", SCHEDULE_BLACKOUT_MAX, check_blackout);
	check_list(&c, schedule, "drills", SCHEDULE_DRILLS_MAX, check_drill);
	check_names(&c, schedule);
}

/* -- deciding -------------------------------------------------------------------------------------------- */

static bool in_window(const json_t *w, const struct tm *tm)
{
	json_t *list = json_object_get(w, "days"), *d;
	int from, to, now = 60 * tm->tm_hour + tm->tm_min;
	size_t i;

	if (!minutes(json_object_get(w, "from"), &from) || !minutes(json_object_get(w, "to"), &to))
		return false;
	json_array_foreach(list, i, d)
		if (day_index(json_string_value(d)) == tm->tm_wday)
			return now >= from && now < to;
	return false;
}

/* The blackout that a day lies in, or NULL. */
static const json_t *blackout_of(const json_t *schedule, const struct tm *tm)
{
	char today[16];
	size_t i;
	json_t *b;

	strftime(today, sizeof(today), "%Y-%m-%d", tm);
	json_array_foreach(json_object_get(schedule, "blackout"), i, b) {
		const char *from = json_string_value(json_object_get(b, "from"));
		const char *to = json_string_value(json_object_get(b, "to"));
		if (from && to && strcmp(today, from) >= 0 && strcmp(today, to) <= 0)
			return b;
	}
	return NULL;
}

bool schedule_open(const json_t *schedule, int64_t wall_ms, char *ret_why)
{
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;
	size_t i;
	json_t *w;

	snprintf(ret_why, WHY, "the schedule is off");
	if (!json_is_true(json_object_get(schedule, "enabled")) || !gmtime_r(&t, &tm))
		return false;
	const json_t *blackout = blackout_of(schedule, &tm);
	const char *reason = json_string_value(json_object_get(blackout, "reason"));
	snprintf(ret_why, WHY, "%s%.90s", blackout ? "blackout: " : "outside every window",
		 blackout && reason ? reason : "");
	if (blackout)
		return false;
	json_array_foreach(json_object_get(schedule, "windows"), i, w)
		if (in_window(w, &tm))
			return true;
	return false;
}

/* Refused lately: until when; 0: not. A time to come is none: the clock was set back since. */
static int64_t waits_until(const json_t *refused, const char *name, int64_t wall_ms)
{
	json_int_t at = json_integer_value(json_object_get(refused, name));

	return at && at <= wall_ms && wall_ms - at < SCHEDULE_AGAIN_MS ? at + SCHEDULE_AGAIN_MS : 0;
}

/* When its days are over. A last time so far ahead is of a clock that was wrong: not one to wait for. */
static int64_t ripe_at(const json_t *drill, const char *name, const json_t *last, int64_t wall_ms)
{
	int64_t every = json_integer_value(json_object_get(drill, "every_days")) * DAY_MS;
	int64_t at = name ? json_integer_value(json_object_get(last, name)) : 0;

	return at > wall_ms + every ? wall_ms : at + every;
}

const json_t *schedule_due(const json_t *schedule, const json_t *last, const json_t *refused, int64_t wall_ms)
{
	const json_t *best = NULL;
	int64_t best_over = -1;
	char why[WHY];
	size_t i;
	json_t *d;

	if (!schedule_open(schedule, wall_ms, why))
		return NULL;
	json_array_foreach(json_object_get(schedule, "drills"), i, d) {
		const char *name = json_string_value(json_object_get(d, "name"));
		int64_t over = wall_ms - ripe_at(d, name, last, wall_ms);
		if (name && over > best_over && !waits_until(refused, name, wall_ms)) {
			best = d;
			best_over = over;
		}
	}
	return best;
}

/* The earliest minute of a window from t on, on the day t is in; -1: there is none. */
static int64_t in_day(const json_t *schedule, int64_t t_ms, const struct tm *tm)
{
	int64_t day = t_ms - t_ms % DAY_MS, best = -1;
	int from, to;
	size_t i, k;
	json_t *w, *d;

	json_array_foreach(json_object_get(schedule, "windows"), i, w) {
		if (!minutes(json_object_get(w, "from"), &from) || !minutes(json_object_get(w, "to"), &to))
			continue;
		int64_t at = day + from * MINUTE_MS > t_ms ? day + from * MINUTE_MS : t_ms;
		json_array_foreach(json_object_get(w, "days"), k, d)
			if (day_index(json_string_value(d)) == tm->tm_wday && at < day + to * MINUTE_MS &&
			    (best < 0 || at < best))
				best = at;
	}
	return best;
}

/* The day after the last of a blackout, never back. */
static int64_t after_blackout(const json_t *blackout, int64_t t_ms)
{
	struct tm tm = { 0 };
	int64_t next = t_ms - t_ms % DAY_MS + DAY_MS;

	if (!strptime(json_string_value(json_object_get(blackout, "to")), "%Y-%m-%d", &tm))
		return next;
	int64_t after = (int64_t)timegm(&tm) * 1000 + DAY_MS;
	return after > next ? after : next;
}

int64_t schedule_next(const json_t *schedule, const json_t *drill, const json_t *last, const json_t *refused,
		      int64_t wall_ms)
{
	const char *name = json_string_value(json_object_get(drill, "name"));
	int64_t t = ripe_at(drill, name, last, wall_ms);
	int64_t again = name ? waits_until(refused, name, wall_ms) : 0;
	struct tm tm;

	t = t > wall_ms ? t : wall_ms;
	t = t > again ? t : again;
	/* at most a week of days without a window lies between two blackouts */
	for (int i = 0; i < 8 * (SCHEDULE_BLACKOUT_MAX + 1); i++) {
		time_t s = (time_t)(t / 1000);
		if (!json_is_true(json_object_get(schedule, "enabled")) || !gmtime_r(&s, &tm))
			return -1;
		const json_t *blackout = blackout_of(schedule, &tm);
		int64_t at = blackout ? -1 : in_day(schedule, t, &tm);
		if (at >= 0)
			return at;
		t = blackout ? after_blackout(blackout, t) : t - t % DAY_MS + DAY_MS;
	}
	return -1;
}
