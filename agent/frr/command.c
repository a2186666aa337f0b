/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frr/command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* Writes configuration lines for steps; each step kind has one writer. Pure, no state. */

struct writer {
	struct command_list *list;
	uint32_t asn;
};

static void put(struct command_list *l, size_t step, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void put(struct command_list *l, size_t step, const char *fmt, ...)
{
	va_list ap;

	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 32;
		l->commands = xrealloc(l->commands, l->cap, sizeof(*l->commands));
	}
	struct command *c = &l->commands[l->n++];
	c->step = step;
	va_start(ap, fmt);
	if (vasprintf(&c->line, fmt, ap) < 0)
		abort();
	va_end(ap);
}

static void put_list(struct command_list *l, size_t step, const char *what, const char (*list)[NAME_LEN],
		     size_t n)
{
	auto_buf b = { 0 };

	if (!n)
		return;
	for (size_t i = 0; i < n; i++)
		buf_addf(&b, " %s", list[i]);
	put(l, step, "set %s%s", what, b.data);
}

/* One line a kind: "rt 64500:1", "rt 64500:2" -> set extcommunity rt 64500:1 64500:2 */
static void put_ext(struct command_list *l, size_t step, const struct route_attrs *a, const char *kind)
{
	size_t len = strlen(kind);
	auto_buf b = { 0 };

	for (size_t i = 0; i < a->n_ext; i++)
		if (!strncmp(a->ext[i], kind, len) && a->ext[i][len] == ' ')
			buf_adds(&b, a->ext[i] + len);
	if (b.len)
		put(l, step, "set extcommunity %s%s", kind, b.data);
}

static void put_map(struct writer *w, const struct step *s, size_t i)
{
	struct command_list *l = w->list;
	const struct route_attrs *a = s->attrs;
	auto_buf path = { 0 };

	put(l, i, "route-map %s permit 10", s->map);
	for (uint32_t k = 0; k < a->prepends; k++)
		buf_addf(&path, " %" PRIu32, w->asn);
	if (a->prepends)
		put(l, i, "set as-path prepend%s", path.data);
	put_list(l, i, "community", a->communities, a->n_communities);
	put_list(l, i, "large-community", a->large, a->n_large);
	put_ext(l, i, a, "rt");
	put_ext(l, i, a, "soo");
	if (a->med)
		put(l, i, "set metric %" PRIu32, a->med);
	if (a->local_pref)
		put(l, i, "set local-preference %" PRIu32, a->local_pref);
	if (a->bandwidth_mbps)
		put(l, i, "set extcommunity bandwidth %" PRIu32, a->bandwidth_mbps);
}

static void put_step(struct writer *w, const struct step *s, size_t i)
{
	char p[PREFIX_STRLEN];

	switch (s->kind) {
	case STEP_UNSET:
		put(w->list, i, "no network %s", prefix_str(&s->prefix, p));
		break;
	case STEP_MAP:
		put_map(w, s, i);
		break;
	case STEP_SET:
		put(w->list, i, "network %s route-map %s", prefix_str(&s->prefix, p), s->map);
		break;
	case STEP_DROP:
		put(w->list, i, "no route-map %s", s->map);
		break;
	}
}

/* bgpd finds a top-level line from inside a block too, so blocks need no `exit` */
static void put_entry(struct writer *w, const struct step *s, size_t instances, int *afi)
{
	bool in_family = s->kind == STEP_SET || s->kind == STEP_UNSET;

	if (!in_family) {
		*afi = -1;
		return;
	}
	if (*afi == (int)prefix_afi(&s->prefix))
		return;
	if (*afi < 0 && instances > 1)
		put(w->list, COMMAND_SESSION, "router bgp %" PRIu32, w->asn);
	else if (*afi < 0)
		put(w->list, COMMAND_SESSION, "router bgp");
	*afi = (int)prefix_afi(&s->prefix);
	put(w->list, COMMAND_SESSION, "address-family %s unicast", *afi == AFI_V4 ? "ipv4" : "ipv6");
}

void command_build(const struct diff *d, uint32_t asn, size_t instances, struct command_list *ret)
{
	struct command_list list = { 0 };
	struct writer w = { .list = &list, .asn = asn };
	int afi = -1;

	if (d->n) {
		put(&list, COMMAND_SESSION, "configure terminal");
		for (size_t i = 0; i < d->n; i++) {
			put_entry(&w, &d->steps[i], instances, &afi);
			put_step(&w, &d->steps[i], i);
		}
		put(&list, COMMAND_SESSION, "end");
	}
	*ret = list;
}

void command_list_done(struct command_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->commands[i].line);
	free(l->commands);
	*l = (struct command_list){ 0 };
}

enum verdict command_verdict(const struct step *s, int status, const char *text)
{
	if (s && s->kind == STEP_UNSET && strstr(text, "Can't find"))
		return VERDICT_OK; /* "... static route specified": it is gone already */
	return status || *text == '%' ? VERDICT_REFUSED : VERDICT_OK;
}

void command_show_path(const struct prefix *p, char *buf)
{
	char text[PREFIX_STRLEN];

	snprintf(buf, COMMAND_LEN, "show bgp %s unicast %s json", p->family == 4 ? "ipv4" : "ipv6",
		 prefix_str(p, text));
}

bool command_show_map(const char *map, char *buf)
{
	for (const char *s = map; *s; s++)
		if (*s <= ' ' || *s > '~' || *s == '?')
			return false;
	snprintf(buf, COMMAND_LEN, "show route-map %s json", map);
	return *map;
}

bool command_show_advertised(enum afi afi, const char *neighbour, char *buf)
{
	size_t ok = strspn(neighbour, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-@");

	if (!ok || neighbour[ok])
		return false;
	snprintf(buf, COMMAND_LEN, "show bgp %s unicast neighbors %s advertised-routes json",
		 afi == AFI_V4 ? "ipv4" : "ipv6", neighbour);
	return true;
}
