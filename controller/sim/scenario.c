/* SPDX-License-Identifier: Apache-2.0
 * The table of scenarios. Attacks last 30 minutes, as in the published measurements. */
#include "controller/sim/scenario.h"

#include <string.h>

#include "proto/base/mem.h"

#define PULSE_S 60

const struct scenario scenario_table[] = {
	{ "diurnal", SC_DIURNAL, TW_NONE, 0.75, 3600, 0, 3600 }, /* a day in an hour */
	{ "flash-crowd", SC_CROWD, TW_NONE, 1.4, 1500, 60, 960 },
	{ "node-crash", SC_NONE, TW_NODE, 0, 960, 60, 960 },
	{ "largest-site-lost", SC_NONE, TW_SITE, 0, 960, 60, 960 },
	{ "attack-0.3", SC_ATTACK, TW_NONE, 0.3, 2160, 60, 1860 },
	{ "attack-0.6", SC_ATTACK, TW_NONE, 0.6, 2160, 60, 1860 },
	{ "attack-0.9", SC_ATTACK, TW_NONE, 0.9, 2160, 60, 1860 },
	{ "attack-1.5", SC_ATTACK, TW_NONE, 1.5, 2160, 60, 1860 },
	{ "attack-3", SC_ATTACK, TW_NONE, 3, 2160, 60, 1860 },
	{ "attack-one-shard-3", SC_ATTACK, TW_ONE_SHARD, 3, 2160, 60, 1860 },
	{ "pulse-wave", SC_ATTACK, TW_PULSE, 0.9, 1380, 60, 1260 },
	{ "attack-follows", SC_ATTACK, TW_FOLLOWS, 0.6, 1380, 60, 1260 },
	{ "controller-partition", SC_ATTACK, TW_PARTITION, 0.6, 960, 60, 960 },
	{ "stale-reports", SC_CROWD, TW_STALE, 1.4, 960, 60, 960 },
	{ "flapping-link", SC_NONE, TW_FLAP, 0, 1260, 60, 1260 },
	{ "drill-during-attack", SC_ATTACK, TW_DRILL, 0.6, 1380, 60, 1260 },
	{ "attack-during-drill", SC_ATTACK, TW_DRILL_FIRST, 0.6, 1380, 120, 1320 },
	{ "lying-agents", SC_ATTACK, TW_LIARS, 0.6, 2160, 60, 1860 },
	{ "wrong-model", SC_ATTACK, TW_WRONG, 0.6, 2160, 60, 1860 },
};
const size_t scenario_count = ARRAY_LEN(scenario_table);

const struct scenario *scenario_find(const char *name)
{
	for (size_t i = 0; i < scenario_count; i++)
		if (!strcmp(scenario_table[i].name, name))
			return &scenario_table[i];
	return NULL;
}

double scenario_level(const struct scenario *s, int t)
{
	if (t < s->from || t >= s->until)
		return 0;
	if (s->twist == TW_PULSE && ((t - s->from) / PULSE_S) % 2)
		return 0;
	return 1;
}
