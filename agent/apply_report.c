/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/apply_int.h"

/* What there is, per route, in words. No state of its own: built from entries and what bgpd was seen to have.
 */

static const char *family_name(const struct entry *e)
{
	return e->prefix.family == 4 ? "IPv4" : "IPv6";
}

/* Announced by configuration, sent to nobody: why. */
static void say_unsent(const struct apply *a, const struct entry *e, char *buf)
{
	char p[PREFIX_STRLEN];

	if (e->path.present && !e->path.valid)
		snprintf(buf, TEXT_LEN,
			 "bgpd holds it back: %s is not in the routing table (add it to an interface, or "
			 "configure "
			 "`no bgp network import-check`)",
			 prefix_str(&e->prefix, p));
	else if (e->path.present && !e->path.best && e->path.foreign)
		snprintf(buf, TEXT_LEN, "bgpd prefers a path learned from a neighbour");
	else if (!apply_established(a, prefix_afi(&e->prefix)))
		snprintf(buf, TEXT_LEN, "no BGP neighbour is established for %s unicast", family_name(e));
	else if (e->unsettled)
		snprintf(buf, TEXT_LEN, "configured, not sent yet");
	else
		snprintf(buf, TEXT_LEN,
			 "no neighbour is sent it: an outbound policy filters it (or there is none, and `bgp "
			 "ebgp-requires-policy` is on)");
}

static void say_error(const struct apply *a, const struct entry *e, bool matches, char *buf)
{
	if (!a->answers)
		snprintf(buf, TEXT_LEN, "%s", a->down);
	else if (e->unfit[0])
		snprintf(buf, TEXT_LEN, "not typed: %s", e->unfit);
	else if (!a->config.asn)
		snprintf(buf, TEXT_LEN, "bgpd has no `router bgp` for the default VRF: configure one");
	else if (e->refused[0])
		snprintf(buf, TEXT_LEN, "%s", e->refused);
	else if (!matches && a->lock[0])
		snprintf(buf, TEXT_LEN, "%s", a->lock);
	else if (!matches && apply_is_remade(a, e))
		snprintf(buf, TEXT_LEN,
			 "its route-map was deleted and made again by hand: left alone until bgpd has looked "
			 "at it (`bgp route-map delay-timer`)");
	else if (!matches)
		snprintf(buf, TEXT_LEN, "not in bgpd's configuration yet");
	else if (e->want.announced && !e->neighbours)
		say_unsent(a, e, buf);
	else if (!e->want.announced && e->neighbours)
		snprintf(buf, TEXT_LEN, "withdrawn, but still in the RIB-out of %u neighbour(s)",
			 e->neighbours);
}

static void say_grade(const struct apply *a, const struct entry *e, const struct frr_network *net,
		      bool matches, struct route_state *r)
{
	const struct frr_map *m = net ? frr_map_find(&a->config, net->map) : NULL;
	const char *grade = "?";

	if (!net)
		grade = a->config.asn || e->neighbours ? "withdrawn" : "?";
	else if (e->wanted && matches)
		grade = e->want.grade;
	else if (net->odd)
		grade = "?";
	else if (m && !m->odd)
		grade = route_grade_guess(&m->attrs);
	else if (!net->map[0])
		grade = "normal";
	snprintf(r->grade, sizeof(r->grade), "%s", grade);
	if (e->wanted && matches)
		r->weight = e->want.weight;
}

static void build_one(const struct apply *a, const struct entry *e, const struct frr_network *net,
		      struct route_state *r)
{
	bool matches = e->wanted && a->config.asn && !e->unfit[0] && diff_matches(&a->config, &e->want);

	memset(r, 0, sizeof(*r)); /* padding too: reports are compared as bytes */
	r->prefix = e->prefix;
	r->neighbours = e->neighbours;
	r->announced = e->neighbours > 0;
	say_grade(a, e, net, matches, r);
	if (e->wanted)
		say_error(a, e, matches, r->error);
}

void apply_report_build(struct apply *a)
{
	if (!a->view)
		a->view = xcalloc(a->n, sizeof(*a->view));
	a->n_view = 0;
	for (size_t i = 0; i < a->n; i++) {
		const struct entry *e = &a->entries[i];
		const struct frr_network *net = frr_network_find(&a->config, &e->prefix);
		if (e->wanted || net || e->neighbours)
			build_one(a, e, net, &a->view[a->n_view++]);
	}
	a->view_stale = false;
}

bool apply_report_news(struct apply *a)
{
	size_t bytes = a->n_view * sizeof(*a->view);

	if (a->have_last && a->n_last == a->n_view && (!bytes || !memcmp(a->last, a->view, bytes)))
		return false;
	if (!a->last)
		a->last = xcalloc(a->n, sizeof(*a->last));
	if (bytes)
		memcpy(a->last, a->view, bytes);
	a->n_last = a->n_view;
	a->have_last = true;
	return true;
}
