/* SPDX-License-Identifier: Apache-2.0
 * What both readers share, and the writer. */
#include "agent/import.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "agent/command.h"
#include "proto/base/addr.h"

#define FILE_MAX 1048576

void words_add(struct words *w, const char *text)
{
	if (w->n == IMPORT_WORDS_MAX)
		w->left_out++;
	else
		w->w[w->n++] = xstrdup(text);
}

static void words_done(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->w[i]);
	w->n = 0;
}

void words_split(struct words *w, const char *text)
{
	auto_buf word = { 0 };
	bool any = false;
	char quote = 0;

	for (const char *s = text; *s; s++) {
		if (*s == '\\' && s[1] && quote != '\'') {
			buf_add(&word, ++s, 1);
			any = true;
		} else if (quote ? *s == quote : *s == '"' || *s == '\'') {
			quote = quote ? 0 : *s;
			any = true;
		} else if (!quote && isspace((unsigned char)*s)) {
			if (any)
				words_add(w, word.data ? word.data : "");
			buf_drop(&word, word.len);
			any = false;
		} else {
			buf_add(&word, s, 1);
			any = true;
		}
	}
	if (any)
		words_add(w, word.data ? word.data : "");
}

void import_note(struct imported *in, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	words_add(&in->notes, text);
}

void import_set(char **to, const char *text)
{
	free(*to);
	*to = xstrdup(text);
}

struct imported_service *import_service(struct imported *in, const char *name)
{
	if (in->n == IMPORT_SERVICES_MAX) {
		import_note(in, "service %s: more than %d services", name, IMPORT_SERVICES_MAX);
		return NULL;
	}
	struct imported_service *s = &in->services[in->n++];
	*s = (struct imported_service){ .rise = -1, .fall = -1, .local_pref = -1, .setup = true };
	s->name = xstrdup(name);
	for (char *c = s->name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
			*c = '-';
	for (int i = 0; i < 3; i++)
		s->state[i] = (struct imported_attrs){ .med = -1, .prepends = -1 };
	return s;
}

void imported_done(struct imported *in)
{
	for (size_t i = 0; i < in->n; i++) {
		struct imported_service *s = &in->services[i];
		struct words *lists[] = { &s->prefixes, &s->communities, &s->extcommunities };
		free(s->name);
		free(s->command);
		free(s->disable_file);
		free(s->interface);
		for (size_t k = 0; k < ARRAY_LEN(lists); k++)
			words_done(lists[k]);
		for (int k = 0; k < 3; k++) {
			words_done(&s->state[k].communities);
			words_done(&s->hooks[k]);
		}
	}
	words_done(&in->notes);
	in->n = 0;
}

bool import_is_ahc(const char *text)
{
	return strstr(text, "check_cmd") || strstr(text, "ip_prefix") || strstr(text, "[daemon]");
}

/* -- writing ----------------------------------------------------------------------------------------- */

static void put_quoted(struct buf *out, const char *s)
{
	buf_adds(out, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_adds(out, "\\");
		if ((unsigned char)*s < ' ')
			buf_addf(out, "\\x%02x", (unsigned char)*s);
		else
			buf_add(out, s, 1);
	}
	buf_adds(out, "\"");
}

static void put_words(struct buf *out, const char *key, const struct words *a, const struct words *b)
{
	if (!a->n && (!b || !b->n))
		return;
	buf_addf(out, "%s: [", key);
	for (size_t i = 0; i < a->n; i++) {
		buf_adds(out, i ? ", " : "");
		put_quoted(out, a->w[i]);
	}
	for (size_t i = 0; b && i < b->n; i++) {
		buf_adds(out, i || a->n ? ", " : "");
		put_quoted(out, b->w[i]);
	}
	buf_adds(out, "]\n");
}

static void put_command(struct buf *out, const char *name, const char *suffix, const char *line)
{
	buf_addf(out, "  - name: %s%s\n    argv: [/bin/sh, -c, ", name, suffix);
	put_quoted(out, line);
	buf_adds(out, "]\n");
}

static const char *const states[] = { "up", "down", "disabled" };

static void put_commands(const struct imported *in, struct buf *out)
{
	bool any = false;

	for (size_t i = 0; i < in->n; i++) {
		const struct imported_service *s = &in->services[i];
		if (s->command || s->hooks[0].n || s->hooks[1].n || s->hooks[2].n)
			any = true;
	}
	if (any)
		buf_adds(out, "\ncommands:\n");
	for (size_t i = 0; i < in->n; i++) {
		const struct imported_service *s = &in->services[i];
		if (s->command)
			put_command(out, s->name, "", s->command);
		for (int k = 0; k < 3; k++) {
			auto_buf suffix = { 0 }, line = { 0 };
			for (size_t w = 0; w < s->hooks[k].n; w++)
				buf_addf(&line, "%s%s", w ? "; " : "", s->hooks[k].w[w]);
			buf_addf(&suffix, "-%s", states[k]);
			if (line.len)
				put_command(out, s->name, suffix.data, line.data);
		}
	}
}

static void put_state(const struct imported_service *s, int k, struct buf *out)
{
	const struct imported_attrs *a = &s->state[k];

	if (a->med < 0 && a->prepends < 0 && !a->communities.n && !s->communities.n && !s->extcommunities.n &&
	    s->local_pref < 0)
		return;
	buf_addf(out, "    %s:\n", states[k]);
	if (a->med >= 0)
		buf_addf(out, "      med: %ld\n", a->med);
	if (s->local_pref >= 0)
		buf_addf(out, "      local_pref: %ld\n", s->local_pref);
	if (a->prepends >= 0)
		buf_addf(out, "      prepends: %ld\n", a->prepends);
	/* one community for all states, but where a state has its own */
	put_words(out, "      communities", a->communities.n ? &a->communities : &s->communities, NULL);
	put_words(out, "      extcommunities", &s->extcommunities, NULL);
}

static void put_ms(struct buf *out, const char *key, double s)
{
	if (s > 0)
		buf_addf(out, "        %s: %.0f\n", key, s * 1000);
}

static void put_check(const struct imported_service *s, struct buf *out)
{
	buf_adds(out, "    checks:\n");
	if (!s->command) {
		buf_adds(out, "      - kind: address          # nothing was checked: the address is there\n");
		buf_addf(out, "        address: \"%.*s\"\n",
			 s->prefixes.n ? (int)strcspn(s->prefixes.w[0], "/") : 9,
			 s->prefixes.n ? s->prefixes.w[0] : "192.0.2.1");
		return;
	}
	buf_addf(out, "      - name: command\n        kind: exec\n        command: %s\n", s->name);
	put_ms(out, "interval_ms", s->interval_s);
	put_ms(out, "fast_interval_ms",
	       s->fast_interval_s > 0 && s->interval_s > 0 && s->fast_interval_s > s->interval_s
		       ? s->interval_s
		       : s->fast_interval_s);
	put_ms(out, "timeout_ms", s->timeout_s);
	if (s->rise > 0)
		buf_addf(out, "        rise: %ld\n", s->rise);
	if (s->fall > 0)
		buf_addf(out, "        fall: %ld\n", s->fall);
}

static void put_hooks(const struct imported_service *s, struct buf *out)
{
	if (!s->hooks[0].n && !s->hooks[1].n && !s->hooks[2].n)
		return;
	buf_adds(out, "    hooks:\n");
	for (int k = 0; k < 3; k++)
		if (s->hooks[k].n)
			buf_addf(out, "      %s: %s-%s\n", states[k], s->name, states[k]);
}

static void put_addresses(const struct imported_service *s, struct buf *out)
{
	struct words hosts = { 0 };
	struct prefix p;

	for (size_t i = 0; i < s->prefixes.n; i++)
		if (prefix_parse(s->prefixes.w[i], &p, NULL) == 0 && prefix_is_host(&p))
			words_add(&hosts, s->prefixes.w[i]);
	if (s->setup && hosts.n) {
		put_words(out, "    addresses", &hosts, NULL);
		buf_addf(out, "    vip: {interface: %s%s}\n", s->interface ? s->interface : "lo",
			 s->dynamic ? ", dynamic: true" : "");
	}
	words_done(&hosts);
}

static void put_service(const struct imported_service *s, struct buf *out)
{
	buf_addf(out, "  - name: %s\n", s->name);
	put_words(out, "    prefixes", &s->prefixes, NULL);
	put_addresses(s, out);
	buf_addf(out, "    on_stop: %s\n", s->keep_on_stop ? "keep" : "withdraw");
	if (s->degrade_down)
		buf_adds(out, "    on_down: degrade\n");
	if (s->degrade_disabled)
		buf_adds(out, "    on_disabled: degrade\n");
	for (int k = 0; k < 3; k++)
		if (k == 0 || (k == 1 ? s->degrade_down : s->degrade_disabled))
			put_state(s, k, out);
	if (s->increase > 0 && s->prefixes.n > 1)
		buf_addf(out, "    med_increase: %ld\n", s->increase);
	if (s->disable_file) {
		buf_adds(out, "    disable_file: ");
		put_quoted(out, s->disable_file);
		buf_adds(out, "\n");
	}
	put_hooks(s, out);
	put_check(s, out);
}

void import_print(const struct imported *in, struct buf *out)
{
	buf_adds(out, "# made by sluice-agent import; check it with: sluice-agent -n -c FILE\n"
		      "node: node1                     # choose a name\n\nallow:\n");
	bool any = false;
	for (size_t i = 0; i < in->n; i++)
		for (size_t k = 0; k < in->services[i].prefixes.n; k++) {
			buf_adds(out, any ? ", " : "  prefixes: [");
			put_quoted(out, in->services[i].prefixes.w[k]);
			any = true;
		}
	buf_adds(out, any ? "]\n" : "  prefixes: []                # write them here, and in the services\n");
	put_commands(in, out);
	buf_adds(out, "\nservices:\n");
	for (size_t i = 0; i < in->n; i++)
		put_service(&in->services[i], out);
}

/* What is not in the output must be said, however it got lost. */
static void note_left_out(struct imported *in)
{
	for (size_t i = 0; i < in->n; i++) {
		const struct imported_service *s = &in->services[i];
		if (s->prefixes.left_out)
			fprintf(stderr, "not mapped: %s: %zu prefixes, more than %d\n", s->name,
				s->prefixes.left_out, IMPORT_WORDS_MAX);
	}
	for (size_t i = 0; i < in->notes.n; i++)
		fprintf(stderr, "not mapped: %s\n", in->notes.w[i]);
	if (in->notes.left_out)
		fprintf(stderr, "not mapped: %zu more\n", in->notes.left_out);
}

int command_import(const char *path)
{
	struct imported *in = xcalloc(1, sizeof(*in));
	auto_buf text = { .max = FILE_MAX }, out = { 0 };
	auto_fclose FILE *f = fopen(path, "re");
	char chunk[4096];
	size_t n;

	bool large = false;
	while (f && !large && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		large = buf_add(&text, chunk, n) < 0;
	if (!f || ferror(f) || large || !text.len) {
		fprintf(stderr, "sluice-agent import: %s: %s\n", path,
			large		  ? "larger than 1 MiB"
			: !f || ferror(f) ? strerror(errno)
					  : "empty");
		free(in);
		return 1;
	}
	if (import_is_ahc(text.data))
		import_ahc(text.data, in);
	else
		import_exabgp(text.data, in);
	int rc = in->n ? 0 : 1;
	if (in->n)
		import_print(in, &out);
	else
		fprintf(stderr, "sluice-agent import: %s: no health-checked service found\n", path);
	fputs(out.data ? out.data : "", stdout);
	note_left_out(in);
	imported_done(in);
	free(in);
	return rc;
}
