/* SPDX-License-Identifier: Apache-2.0
 * Pure. anycast-healthchecker: an INI file, [DEFAULT] for all sections, [daemon] for itself, one section a
 * service. One row a key. Source: its README, "Configuring checks". */
#include <string.h>
#include <strings.h>

#include "agent/import.h"

typedef void (*take_fn)(struct imported *in, struct imported_service *s, const char *key, const char *value);

static bool is_true(const char *v)
{
	return !strcasecmp(v, "true") || !strcasecmp(v, "yes") || !strcasecmp(v, "on") || !strcmp(v, "1");
}

static void take_text(struct imported *in, struct imported_service *s, const char *key, const char *v)
{
	(void)in;
	import_set(strcmp(key, "check_cmd") == 0 ? &s->command : &s->interface, v);
}

static void take_prefix(struct imported *in, struct imported_service *s, const char *key, const char *v)
{
	(void)in;
	(void)key;
	words_add(&s->prefixes, v);
}

static void take_number(struct imported *in, struct imported_service *s, const char *key, const char *v)
{
	(void)in;
	if (strcmp(key, "check_interval") == 0)
		s->interval_s = strtod(v, NULL);
	else if (strcmp(key, "check_timeout") == 0)
		s->timeout_s = strtod(v, NULL);
	else
		*(strcmp(key, "check_rise") == 0 ? &s->rise : &s->fall) = strtol(v, NULL, 10);
}

static void take_disabled(struct imported *in, struct imported_service *s, const char *key, const char *v)
{
	if (strcmp(key, "on_disabled") == 0)
		s->degrade_disabled = strcmp(v, "advertise") == 0;
	else if (is_true(v))
		import_note(in, "service %s: check_disabled: then run: sluice-agent disable %s --reason TEXT",
			    s->name, s->name);
}

static void take_ip_check(struct imported *in, struct imported_service *s, const char *key, const char *v)
{
	(void)key;
	if (!is_true(v))
		import_note(in,
			    "service %s: the check that the address is assigned: add a check of kind "
			    "address, or vip and "
			    "addresses to have it assigned",
			    s->name);
}

static void take_note(struct imported *in, struct imported_service *s, const char *key, const char *v)
{
	import_note(in, "service %s: %s = %s: no counterpart", s->name, key, v);
}

static const struct {
	const char *key;
	take_fn take; /* NULL: means nothing here, and need not */
} rows[] = {
	{ "check_cmd", take_text },	  { "interface", take_text },
	{ "ip_prefix", take_prefix },	  { "check_interval", take_number },
	{ "check_timeout", take_number }, { "check_rise", take_number },
	{ "check_fail", take_number },	  { "check_disabled", take_disabled },
	{ "on_disabled", take_disabled }, { "ip_check_disabled", take_ip_check },
	{ "bird_reconfigure_cmd", NULL }, { "custom_bird_reconfigure_cmd_timeout", take_note },
};

static void take(struct imported *in, struct imported_service *s, const char *key, const char *v)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].key, key) == 0) {
			if (rows[i].take)
				rows[i].take(in, s, key, v);
			return;
		}
	take_note(in, s, key, v);
}

/* keys and values by turns */
struct section {
	char name[64];
	struct words pairs;
};

static void section_clear(struct section *s)
{
	for (size_t i = 0; i < s->pairs.n; i++)
		free(s->pairs.w[i]);
	s->pairs.n = 0;
}

static bool has(const struct section *s, const char *key)
{
	for (size_t i = 0; i + 1 < s->pairs.n; i += 2)
		if (strcmp(s->pairs.w[i], key) == 0)
			return true;
	return false;
}

static void close_section(struct imported *in, struct section *s, const struct section *defaults)
{
	if (strcmp(s->name, "daemon") == 0) {
		for (size_t i = 0; i + 1 < s->pairs.n; i += 2)
			if (strncmp(s->pairs.w[i], "log", 3) && strcmp(s->pairs.w[i], "pidfile"))
				import_note(in, "daemon: %s = %s: no counterpart", s->pairs.w[i],
					    s->pairs.w[i + 1]);
	} else if (s->name[0]) {
		struct imported_service *to = import_service(in, s->name);
		if (!to)
			return;
		/* as the tool does when nothing is said; a stop of it keeps announcing; addresses are not its
		 * business */
		to->interval_s = 10;
		to->timeout_s = 2;
		to->rise = to->fall = 2;
		to->keep_on_stop = true;
		to->setup = false;
		for (size_t i = 0; i + 1 < defaults->pairs.n; i += 2)
			if (!has(s, defaults->pairs.w[i]))
				take(in, to, defaults->pairs.w[i], defaults->pairs.w[i + 1]);
		for (size_t i = 0; i + 1 < s->pairs.n; i += 2)
			take(in, to, s->pairs.w[i], s->pairs.w[i + 1]);
		if (to->interface)
			import_note(in,
				    "service %s: interface %s: used where an address check or vip names it",
				    to->name, to->interface);
	}
	section_clear(s);
}

static void trim(char *s)
{
	size_t n = strlen(s);

	while (n && strchr(" \t\r", s[n - 1]))
		s[--n] = 0;
}

void import_ahc(const char *text, struct imported *ret)
{
	auto_free char *copy = xstrdup(text);
	struct section now = { .name = "daemon" }, defaults = { 0 };
	char *save = NULL;
	bool in_defaults = false;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		trim(line);
		if (!*line || *line == '#' || *line == ';')
			continue;
		if (*line == '[') {
			close_section(ret, &now, &defaults);
			snprintf(now.name, sizeof(now.name), "%.*s", (int)strcspn(line + 1, "]"), line + 1);
			in_defaults = strcmp(now.name, "DEFAULT") == 0;
			now.name[in_defaults ? 0 : sizeof(now.name) - 1] = 0;
			continue;
		}
		size_t n = strcspn(line, "=:");
		char *value = line + n + (line[n] != 0);
		value += strspn(value, " \t");
		line[n] = 0;
		trim(line);
		words_add(in_defaults ? &defaults.pairs : &now.pairs, line);
		words_add(in_defaults ? &defaults.pairs : &now.pairs, value);
	}
	close_section(ret, &now, &defaults);
	section_clear(&defaults);
}
