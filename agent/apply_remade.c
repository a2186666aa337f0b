/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/apply_int.h"

/* Route-maps that somebody deleted and made again while a `network` statement names them. Until its route-map
 * delay-timer has looked at such a map, bgpd's statement points at the one that is gone, and to re-point or
 * remove it then corrupts bgpd's memory (FRR before 9.1, pull request 14017). So such a statement is left
 * alone until then; it announces what it did, for bgpd looks before it acts on the new map.
 * After each new configuration, the maps of our prefixes that do not say what their name says are asked for;
 * while some wait for bgpd, they alone are asked for every LOOK_MS, in the time of PHASE_IDLE: bgpd holds a
 * change back for 50 ms, so the repair is there before a neighbour hears of it. */

#define REMADE_MAX  64
#define LOOK_MS	    15
#define PATIENCE_MS 6000 /* of a withdrawal: its service is dead */

void apply_remade_reset(struct apply *a)
{
	free(a->remade);
	a->remade = NULL;
	a->n_remade = a->n_suspects = 0;
}

static bool is_listed(const struct apply *a, size_t n, const char *map)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(a->remade[i], map))
			return true;
	return false;
}

static void list_suspects(struct apply *a)
{
	if (!a->remade)
		a->remade = xcalloc(REMADE_MAX, sizeof(*a->remade));
	a->n_suspects = 0;
	for (size_t i = 0; i < a->n && a->n_suspects < REMADE_MAX; i++) {
		const struct frr_network *net = frr_network_find(&a->config, &a->entries[i].prefix);
		if (net && !diff_map_intact(&a->config, net->map) && !is_listed(a, a->n_suspects, net->map))
			memcpy(a->remade[a->n_suspects++], net->map, MAP_NAME_LEN);
	}
}

static void ask_next(struct apply *a);

static void on_map(int err, int status, const char *text, size_t len, void *arg)
{
	struct apply *a = arg;

	(void)len;
	if (err || a->closed)
		return;
	const char *map = a->remade[a->suspect_at++];
	if (status == VTY_OK && parse_remade(text, map))
		memmove(a->remade[a->n_remade++], map, MAP_NAME_LEN);
	ask_next(a);
}

static void ask_next(struct apply *a)
{
	char line[COMMAND_LEN];

	while (a->suspect_at < a->n_suspects) {
		if (command_show_map(a->remade[a->suspect_at], line)) {
			vty_send(a->vty, line, on_map, a);
			return;
		}
		a->suspect_at++;
	}
	if (!a->n_remade)
		a->remade_at_ms = 0;
	else if (!a->remade_at_ms)
		a->remade_at_ms = apply_now_ms(a);
	a->remade_then(a);
}

void apply_remade_ask(struct apply *a, bool fresh, void (*then)(struct apply *a))
{
	if (fresh)
		list_suspects(a);
	else
		a->n_suspects = a->n_remade;
	a->n_remade = a->suspect_at = 0;
	a->remade_then = then;
	ask_next(a);
}

bool apply_is_remade(const struct apply *a, const struct entry *e)
{
	const struct frr_network *net = frr_network_find(&a->config, &e->prefix);

	if (!net || !is_listed(a, a->n_remade, net->map))
		return false;
	return e->want.announced || apply_now_ms(a) - a->remade_at_ms < PATIENCE_MS;
}

static void looked(struct apply *a)
{
	if (a->dirty || a->n_remade < a->n_suspects)
		apply_poll(a);
	else
		apply_wait(a);
}

static void on_look(uv_timer_t *t)
{
	struct apply *a = t->data;

	if (!vty_is_up(a->vty))
		return;
	if (apply_now_ms(a) >= a->poll_at_ms)
		apply_poll(a);
	else
		apply_remade_ask(a, false, looked);
}

void apply_wait_for_remade(struct apply *a)
{
	uv_timer_start(&a->timer, on_look, LOOK_MS, 0);
}
