/* SPDX-License-Identifier: Apache-2.0
 * Makes bgpd announce what is wanted, and keeps it so.
 * Owns: the vty connection, what bgpd was last seen to have, the difference. Attributes live in route-maps
 * named after them (SLUICE-<hash>-A): a change writes another one, then re-points `network P route-map`.
 * Nothing in FRR that is not named SLUICE, or a `network` statement for a prefix given to apply_allow, is
 * ever touched. Adopts at start what is announced already, without a flap. Reads back (RIB-out) before it
 * says "applied"; polls for drift (typed `no network`, edited SLUICE maps, restarted bgpd) and repairs it
 * within 2 s; in steady state it sends bgpd no configuration at all. Routes for allowed prefixes that are
 * announced by `network` but not in the wanted set are left alone until apply_want names them (announced or
 * not): silence never withdraws. */
#ifndef AGENT_APPLY_H
#define AGENT_APPLY_H
#include <uv.h>

#include "agent/frr/route.h"

struct apply;
struct apply_ops {
	/* after every completed pass that changed something or whose outcome differs from the last one;
	 * routes: one entry per wanted or allowed-and-announced prefix, sorted; error per route */
	void (*applied)(const struct route_state *routes, size_t n, void *arg);
	/* bgpd answers / does not (why in words with the next step) */
	void (*bgpd)(bool up, const char *why, void *arg);
};

struct apply *apply_new(uv_loop_t *loop, const char *vty_path, const struct prefix *allow, size_t n_allow,
			const struct apply_ops *ops, void *arg);
/* The full wanted state; replaces the former. A prefix outside allow is refused: ERR_NOT_ALLOWED, nothing
 * of the call is taken. The same state again costs nothing. */
int apply_want(struct apply *a, const struct route_want *wants, size_t n);
/* What is there now (for reports); valid until the next loop iteration. Prefixes announced at start that
 * nobody wanted yet are in it. */
const struct route_state *apply_state(const struct apply *a, size_t *ret_n);
/* bgpd answers and >= 1 neighbour is established */
bool apply_bgp_ok(const struct apply *a);
/* The local AS bgpd runs, 0 while unknown. */
uint32_t apply_asn(const struct apply *a);
/* Closes; changes no announcement. */
void apply_free(struct apply *a);
#endif
