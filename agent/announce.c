/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/announce.h"

#include <string.h>

#include "proto/base/err.h"

/* Pure: no clock, no I/O, no log, no globals. What the local file says about a route is added to what the
 * grade says, into a copy, and handed out only when all of it fits. */

static const struct announce_attrs *attrs_of(const struct announce_cfg *cfg, enum announce_state state)
{
	const struct announce_attrs *const by_state[] = { cfg->up, cfg->down, cfg->disabled };

	return by_state[state];
}

static bool is_large(const char *c)
{
	const char *colon = strchr(c, ':');

	return colon && strchr(colon + 1, ':');
}

static bool put_text(char (*list)[NAME_LEN], size_t *n, const char *text)
{
	if (*n == MAX_COMMUNITIES || strlen(text) >= NAME_LEN)
		return false;
	snprintf(list[(*n)++], NAME_LEN, "%s", text);
	return true;
}

static bool put_community(struct route_attrs *a, const char *text)
{
	return is_large(text) ? put_text(a->large, &a->n_large, text)
			      : put_text(a->communities, &a->n_communities, text);
}

static bool put_all(struct route_attrs *a, const struct announce_attrs *from)
{
	a->prepends += from->prepends;
	a->med = from->med;
	a->local_pref = from->local_pref;
	for (unsigned i = 0; i < from->communities_count; i++)
		if (!put_community(a, from->communities[i]))
			return false;
	for (unsigned i = 0; i < from->extcommunities_count; i++)
		if (!put_text(a->ext, &a->n_ext, from->extcommunities[i]))
			return false;
	return true;
}

static const char *community_of(const char *name, const struct neighbour_cfg *list, unsigned n_list)
{
	for (unsigned i = 0; i < n_list; i++)
		if (strcmp(list[i].name, name) == 0)
			return list[i].community;
	return NULL;
}

int announce_route(const struct announce_cfg *cfg, enum announce_state state, unsigned index,
		   const struct neighbour_cfg *list, unsigned n_list, struct route_want *w, char *ret_why)
{
	const struct announce_attrs *from = attrs_of(cfg, state);
	struct route_attrs a = w->attrs;
	const char *why = "too many communities together";
	bool fits = !from || put_all(&a, from);

	for (unsigned i = 0; fits && i < cfg->neighbours_count; i++)
		fits = put_community(&a, community_of(cfg->neighbours[i], list, n_list));
	uint64_t med = a.med + (uint64_t)index * cfg->med_increase;
	a.med = med < UINT32_MAX ? (uint32_t)med : UINT32_MAX;
	if (!fits || route_attrs_normalise(&a, &why) < 0) {
		snprintf(ret_why, TEXT_LEN, "%s", why);
		return ERR_LIMIT;
	}
	w->attrs = a;
	return 0;
}

bool announce_degrades(const struct announce_cfg *cfg, enum announce_state state)
{
	const char *what = state == ANNOUNCE_DISABLED ? cfg->on_disabled : cfg->on_down;

	return state != ANNOUNCE_UP && what && strcmp(what, "degrade") == 0;
}

static int refuse(char *ret_why, const char *field, const char *text, const char *why)
{
	snprintf(ret_why, TEXT_LEN, "%s: \"%.80s\": %s", field, text, why);
	return ERR_CONFIG;
}

static int verify_choice(const char *field, const char *text, char *ret_why)
{
	if (text && strcmp(text, "withdraw") && strcmp(text, "degrade"))
		return refuse(ret_why, field, text, "neither withdraw nor degrade");
	return 0;
}

static int verify_attrs(const struct announce_cfg *cfg, enum announce_state state,
			const struct neighbour_cfg *list, unsigned n_list, char *ret_why)
{
	static const char *const names[] = { "up", "down", "disabled" };
	struct route_want w = { 0 };
	char why[TEXT_LEN];

	if (announce_route(cfg, state, 0, list, n_list, &w, why) == 0)
		return 0;
	snprintf(ret_why, TEXT_LEN, "%s: %.200s", names[state], why);
	return ERR_CONFIG;
}

int announce_verify(const struct announce_cfg *cfg, const struct neighbour_cfg *list, unsigned n_list,
		    char *ret_why)
{
	int err = verify_choice("on_down", cfg->on_down, ret_why);

	if (!err)
		err = verify_choice("on_disabled", cfg->on_disabled, ret_why);
	for (unsigned i = 0; !err && i < cfg->neighbours_count; i++)
		if (!community_of(cfg->neighbours[i], list, n_list))
			err = refuse(ret_why, "neighbours", cfg->neighbours[i],
				     "not in the list of neighbours");
	for (int s = ANNOUNCE_UP; !err && s <= ANNOUNCE_DISABLED; s++)
		err = verify_attrs(cfg, (enum announce_state)s, list, n_list, ret_why);
	return err;
}
