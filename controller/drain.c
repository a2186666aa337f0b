/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/drain.h"

#include <string.h>

/* clang-format off */
#define STAY(stage) { DRAIN_##stage, DRAIN_NOTHING }
#define ASK(stage)  { DRAIN_##stage, DRAIN_ASK }
#define END	    { DRAIN_OFF, DRAIN_RESTORE }
#define GO	    { DRAIN_WITHDRAWN, DRAIN_WITHDRAW }

/* Every pair is decided. A second START never begins anew: what was measured before the first counts. */
static const struct drain_step steps[DRAIN_STAGES][DRAIN_EVENTS] = {
	/*		     START			       HEARD	       FALLEN	       LATE	       ALLOWED	       REFUSED	       END */
	[DRAIN_OFF]	  = {{ DRAIN_DRAINING, DRAIN_WEAKEN }, STAY(OFF),      STAY(OFF),      STAY(OFF),      STAY(OFF),      STAY(OFF),      STAY(OFF) },
	[DRAIN_DRAINING]  = { STAY(DRAINING),		       STAY(WAITING),  STAY(DRAINING), ASK(DRAINING),  GO,	       STAY(HELD),     END },
	[DRAIN_WAITING]	  = { STAY(WAITING),		       STAY(WAITING),  ASK(WAITING),   ASK(WAITING),   GO,	       STAY(HELD),     END },
	[DRAIN_HELD]	  = { STAY(HELD),		       STAY(HELD),     ASK(HELD),      ASK(HELD),      GO,	       STAY(HELD),     END },
	[DRAIN_WITHDRAWN] = { STAY(WITHDRAWN),		       STAY(WITHDRAWN),STAY(WITHDRAWN),STAY(WITHDRAWN),STAY(WITHDRAWN),STAY(WITHDRAWN),END },
};
/* clang-format on */

struct drain_step drain_step(enum drain_stage stage, enum drain_event event)
{
	return steps[stage][event];
}

static const char *const names[DRAIN_STAGES] = { "off", "draining", "waiting", "held", "withdrawn" };

const char *drain_stage_str(enum drain_stage stage)
{
	return names[stage];
}

enum drain_stage drain_stage_parse(const char *s)
{
	int i = 0;

	while (i < DRAIN_STAGES && strcmp(names[i], s) != 0)
		i++;
	return (enum drain_stage)i;
}
