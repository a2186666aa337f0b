/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drill/kind.h"

#include <string.h>

#include "proto/base/mem.h"

/* clang-format off */
#define KIND(name_, effect_, grade_, scopes_, brief_, ...) { .name = name_, .effect = effect_, .grade = grade_,          \
	.scopes = scopes_, .brief = brief_, __VA_ARGS__ }
static const struct drill_kind kinds[] = {
	KIND("soft-drain", EFFECT_GRADE, "drain", AT_SITE | AT_NODE | OF_SERVICE | OF_SHARD,
	     "users are moved away by graceful shutdown", .gradual = true),
	KIND("hard-withdraw", EFFECT_GRADE, "withdrawn", AT_SITE | AT_NODE | OF_SERVICE | OF_SHARD,
	     "announcements are withdrawn", .gradual = true),
	KIND("service-kill", EFFECT_DEAD, "withdrawn", AT_SITE | AT_NODE | OF_SERVICE | NEEDS_SERVICE,
	     "a service is taken for dead by the agents"),
	KIND("node-loss", EFFECT_DEAD, "withdrawn", AT_NODE, "everything on a node is taken for dead"),
	KIND("site-loss", EFFECT_DEAD, "withdrawn", AT_SITE, "everything at a site is taken for dead"),
	KIND("controller-loss", EFFECT_DEAF, "withdrawn", AT_SITE | AT_NODE | AT_CLUSTER,
	     "agents neither hear nor speak: announcements must stay", .gradual = true, .taken_up = true),
	KIND("stale-telemetry", EFFECT_MUTE, "withdrawn", AT_SITE | AT_NODE | AT_CLUSTER,
	     "agents send no reports: nothing may be weakened", .gradual = true),
	KIND("surge", EFFECT_SURGE, "withdrawn", AT_NODE,
	     "a node's load is taken for a multiple: does steering answer?", .steers = true),
	KIND("tabletop", EFFECT_NONE, "withdrawn", AT_SITE | AT_NODE | OF_SERVICE | OF_SHARD,
	     "a loss in the simulator: nothing is touched", .taken_up = true),
};
/* clang-format on */

const struct drill_kind *drill_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

const struct drill_kind *drill_kinds(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(kinds);
	return kinds;
}

bool drill_moves(const struct drill_kind *k)
{
	return k->effect == EFFECT_GRADE || k->effect == EFFECT_DEAD;
}
