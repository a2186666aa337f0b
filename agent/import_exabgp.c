/* SPDX-License-Identifier: Apache-2.0
 * Pure. ExaBGP's healthcheck takes options on the `run` line of a process, or from a file of `key = value`
 * lines with the same names. One row an option. Source: exabgp 4.2, application/healthcheck.py (its --help).
 */
#include <ctype.h>
#include <string.h>

#include "agent/import.h"

enum arg { NONE, ONE };

typedef void (*take_fn)(struct imported *in, struct imported_service *s, const char *option,
			const char *value);

struct option_row {
	const char *names; /* separated by spaces */
	enum arg arg;
	take_fn take; /* NULL: means nothing here, and need not */
};

static void take_name(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	(void)in;
	(void)o;
	import_set(&s->name, v);
	for (char *c = s->name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
			*c = '-';
}

static void take_seconds(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	double *to = *o == 'i' ? &s->interval_s : *o == 'f' ? &s->fast_interval_s : &s->timeout_s;

	(void)in;
	*to = strtod(v, NULL);
}

static void take_number(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	static const char *const names[] = { "rise", "fall", "increase", "local-preference" };
	long *const to[] = { &s->rise, &s->fall, &s->increase, &s->local_pref };

	(void)in;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], o) == 0)
			*to[i] = strtol(v, NULL, 10);
}

static int state_of(const char *option)
{
	return strncmp(option, "down-", 5) == 0 ? 1 : strncmp(option, "disabled-", 9) == 0 ? 2 : 0;
}

static void take_metric(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	(void)in;
	s->state[state_of(o)].med = strtol(v, NULL, 10);
}

/* "65001 65001" is our AS twice: once it comes by itself */
static void take_path(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	struct words path = { 0 };
	bool same = true;

	words_split(&path, v);
	for (size_t i = 1; i < path.n; i++)
		same &= strcmp(path.w[0], path.w[i]) == 0;
	long prepends = path.n ? (long)path.n - 1 : 0;
	bool all = strncmp(o, "as-path", 7) == 0;
	for (int k = 0; k < 3; k++)
		if (all ? s->state[k].prepends < 0 : k == state_of(o))
			s->state[k].prepends = prepends;
	if (same)
		import_note(in, "service %s: %s \"%s\" became %ld prepends of bgpd's own AS", s->name, o, v,
			    prepends);
	else
		import_note(in, "service %s: %s \"%s\": only bgpd's own AS can be prepended; %ld times",
			    s->name, o, v, prepends);
	for (size_t i = 0; i < path.n; i++)
		free(path.w[i]);
}

static void take_community(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	struct words *to = strcmp(o, "extended-community") == 0	  ? &s->extcommunities
			   : strcmp(o, "disabled-community") == 0 ? &s->state[2].communities
								  : &s->communities;
	struct words list = { 0 };

	words_split(&list, v);
	for (size_t i = 0; i < list.n; i++) {
		bool target = strncmp(list.w[i], "target:", 7) == 0,
		     origin = strncmp(list.w[i], "origin:", 7) == 0;
		auto_free char *text = target	? xasprintf("rt %s", list.w[i] + 7)
				       : origin ? xasprintf("soo %s", list.w[i] + 7)
						: xstrdup(list.w[i]);
		if (to == &s->extcommunities && !target && !origin)
			import_note(in,
				    "service %s: extended-community %s: only target: and origin:", s->name,
				    list.w[i]);
		else
			words_add(to, text);
		free(list.w[i]);
	}
}

static void take_ip(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	(void)in;
	(void)o;
	words_add(&s->prefixes, v);
}

static void take_hook(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	bool all = strcmp(o, "execute") == 0;

	(void)in;
	for (int k = 0; k < 3; k++)
		if (all || k == state_of(o))
			words_add(&s->hooks[k], v);
}

static void take_text(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	(void)in;
	import_set(strcmp(o, "disable") == 0 ? &s->disable_file : &s->command, v);
}

static void take_flag(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	(void)in;
	(void)v;
	if (strcmp(o, "withdraw-on-down") == 0)
		s->degrade_down = s->degrade_disabled = false;
	else if (strcmp(o, "no-ip-setup") == 0)
		s->setup = false;
	else
		s->dynamic = true;
}

static void take_note(struct imported *in, struct imported_service *s, const char *o, const char *v)
{
	static const struct {
		const char *option, *why;
	} rows[] = {
		{ "next-hop", "bgpd's own address is the next hop; set it by the neighbour's route-map" },
		{ "path-id", "bgpd chooses path identifiers" },
		{ "neighbor", "name its community in neighbours and match it in bgpd's outbound route-map" },
		{ "label", "addresses get no label" },
		{ "debounce", "not needed: nothing is announced twice" },
		{ "start-ip", "the first address has no increase" },
		{ "deaggregate-networks", "write the addresses out in prefixes" },
		{ "sudo", "the agent has CAP_NET_ADMIN for that" },
	};
	const char *why = "unknown option";

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].option, o) == 0)
			why = rows[i].why;
	import_note(in, "service %s: %s%s%s: %s", s->name, o, v ? " " : "", v ? v : "", why);
}

static const struct option_row options[] = {
	{ "name n", ONE, take_name },
	{ "interval i", ONE, take_seconds },
	{ "fast-interval f", ONE, take_seconds },
	{ "timeout t", ONE, take_seconds },
	{ "rise", ONE, take_number },
	{ "fall", ONE, take_number },
	{ "increase", ONE, take_number },
	{ "local-preference", ONE, take_number },
	{ "up-metric", ONE, take_metric },
	{ "down-metric", ONE, take_metric },
	{ "disabled-metric", ONE, take_metric },
	{ "as-path", ONE, take_path },
	{ "up-as-path", ONE, take_path },
	{ "down-as-path", ONE, take_path },
	{ "disabled-as-path", ONE, take_path },
	{ "community", ONE, take_community },
	{ "disabled-community", ONE, take_community },
	{ "extended-community", ONE, take_community },
	{ "large-community", ONE, take_community },
	{ "ip", ONE, take_ip },
	{ "command cmd c", ONE, take_text },
	{ "disable", ONE, take_text },
	{ "execute", ONE, take_hook },
	{ "up-execute", ONE, take_hook },
	{ "down-execute", ONE, take_hook },
	{ "disabled-execute", ONE, take_hook },
	{ "withdraw-on-down", NONE, take_flag },
	{ "no-ip-setup", NONE, take_flag },
	{ "dynamic-ip-setup ip-dynamic", NONE, take_flag },
	{ "next-hop N", ONE, take_note },
	{ "path-id", ONE, take_note },
	{ "neighbor", ONE, take_note },
	{ "label", ONE, take_note },
	{ "debounce", NONE, take_note },
	{ "start-ip", ONE, take_note },
	{ "deaggregate-networks", NONE, take_note },
	{ "sudo", NONE, take_note },
	{ "syslog-facility sF", ONE, NULL },
	{ "pid p", ONE, NULL },
	{ "no-syslog", NONE, NULL },
	{ "silent s", NONE, NULL },
	{ "debug d", NONE, NULL },
	{ "no-ack", NONE, NULL },
	{ "ack", NONE, NULL },
};

/* *ret_name: the row's first name, what its take knows it by. */
static const struct option_row *find(const char *name, size_t len, char ret_name[32])
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		for (const char *s = options[i].names; *s; s += strcspn(s, " "), s += *s == ' ')
			if (strcspn(s, " ") == len && strncmp(s, name, len) == 0) {
				snprintf(ret_name, 32, "%.*s", (int)strcspn(options[i].names, " "),
					 options[i].names);
				return &options[i];
			}
	return NULL;
}

/* As the tool does when nothing is said. */
static struct imported_service *begin(struct imported *in, const char *name)
{
	struct imported_service *s = import_service(in, name);

	if (!s)
		return NULL;
	s->interval_s = 5;
	s->fast_interval_s = 1;
	s->timeout_s = 5;
	s->rise = s->fall = 3;
	s->increase = 1;
	s->state[0].med = 100;
	s->state[1].med = 1000;
	s->state[2].med = 500;
	s->degrade_down = s->degrade_disabled = true;
	return s;
}

static void finish(struct imported *in, struct imported_service *s)
{
	if (!s->prefixes.n)
		import_note(
			in,
			"service %s: no ip: ExaBGP takes those on lo, here they must be written in prefixes",
			s->name);
}

static void from_words(struct imported *in, const char *process, const struct words *w, size_t at)
{
	struct imported_service *s = begin(in, process);
	char name[32];

	for (; s && at < w->n; at++) {
		const char *word = w->w[at], *eq = strchr(word, '=');
		if (*word == '@') {
			import_note(in, "service %s: options in %s: import that file, too", s->name,
				    word + 1);
			continue;
		}
		const char *bare = word + strspn(word, "-");
		size_t len = eq && bare - word == 2 ? (size_t)(eq - bare) : strlen(bare);
		const struct option_row *row = bare == word ? NULL : find(bare, len, name);
		const char *value = NULL;
		if (row && row->arg == ONE)
			value = len < strlen(bare) ? eq + 1 : at + 1 < w->n ? w->w[++at] : "";
		if (!row)
			import_note(in, "service %s: %s: unknown option", s->name, word);
		else if (row->take)
			row->take(in, s, name, value);
	}
	if (s)
		finish(in, s);
}

/* the word behind which the options start */
static size_t find_healthcheck(const struct words *w)
{
	for (size_t i = 0; i < w->n; i++) {
		size_t n = strlen(w->w[i]);
		if (n >= 11 && strcmp(w->w[i] + n - 11, "healthcheck") == 0)
			return i + 1;
		if (n >= 14 && strcmp(w->w[i] + n - 14, "healthcheck.py") == 0)
			return i + 1;
	}
	return 0;
}

static void process_run(struct imported *in, const char *process, const char *line)
{
	struct words w = { 0 };

	words_split(&w, line);
	size_t at = find_healthcheck(&w);
	if (at)
		from_words(in, process, &w, at);
	else
		import_note(in, "process %s: not ExaBGP's healthcheck: %s", process, line);
	for (size_t i = 0; i < w.n; i++)
		free(w.w[i]);
}

/* One statement, up to ';' or a brace outside quotes. Returns what ended it, 0 at the end. */
static char statement(const char **text, struct buf *ret)
{
	char quote = 0;

	buf_drop(ret, ret->len);
	for (const char *s = *text; *s; s++) {
		if (*s == '#' && !quote) {
			s += strcspn(s, "\n");
			s -= !*s;
			continue;
		}
		if (quote ? *s == quote : *s == '"' || *s == '\'')
			quote = quote ? 0 : *s;
		if (!quote && strchr(";{}", *s)) {
			*text = s + 1;
			return *s;
		}
		if (ret->len || !isspace((unsigned char)*s))
			buf_add(ret, s, 1);
	}
	*text += strlen(*text);
	return 0;
}

static void from_conf(const char *text, struct imported *in)
{
	auto_buf st = { 0 };
	auto_free char *process = xstrdup("process");
	char end;

	while ((end = statement(&text, &st))) {
		struct words w = { 0 };
		words_split(&w, st.data && st.len ? st.data : "");
		if (end == '{' && w.n == 2 && !strcmp(w.w[0], "process"))
			import_set(&process, w.w[1]);
		else if (end == '{' && w.n == 2 &&
			 (!strcmp(w.w[0], "neighbor") || !strcmp(w.w[0], "template")))
			import_note(in, "%s %s: sessions are bgpd's; configure it in FRR", w.w[0], w.w[1]);
		else if (end == ';' && w.n > 1 && !strcmp(w.w[0], "run"))
			process_run(in, process, st.data + 4);
		else if (end == ';' && w.n > 1 && !strcmp(w.w[0], "route"))
			import_note(in, "static route %s: no check belongs to it; announce it by bgpd itself",
				    w.w[1]);
		for (size_t i = 0; i < w.n; i++)
			free(w.w[i]);
	}
}

/* "key = value" or "key" a line */
static void from_file(const char *text, struct imported *in)
{
	auto_free char *copy = xstrdup(text);
	struct words w = { 0 };
	char *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		if (!*line || *line == '#' || *line == '[')
			continue;
		size_t n = strcspn(line, " \t=\r");
		auto_free char *key = xasprintf("--%.*s", (int)n, line);
		char *value = line + n + strspn(line + n, " \t=");
		value[strcspn(value, "\r")] = 0;
		words_add(&w, key);
		if (*value)
			words_add(&w, value);
	}
	from_words(in, "service", &w, 0);
	for (size_t i = 0; i < w.n; i++)
		free(w.w[i]);
}

void import_exabgp(const char *text, struct imported *ret)
{
	if (strchr(text, '{'))
		from_conf(text, ret);
	else
		from_file(text, ret);
}
