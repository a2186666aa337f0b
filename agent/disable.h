/* SPDX-License-Identifier: Apache-2.0
 * Who took a service out by hand: an operator (`sluice-agent disable`), remembered in STATE_DIR/NAME.disabled
 * across restarts, or a disable_file that exists. Every call looks at the files: they are the memory. */
#ifndef AGENT_DISABLE_H
#define AGENT_DISABLE_H
#include <sys/stat.h>

#include "agent/service.h"

/* When state_dir was last seen to change. Zero-initialise. */
struct disable_watch {
	struct timespec changed;
	unsigned quiet; /* looks since */
};

/* False: no file of state_dir has come or gone since the last call. True now and then all the same, for a
 * file that was written to in place, and while the directory's clock cannot tell. */
bool disable_stirred(const char *state_dir, struct disable_watch *w);

/* True: disabled, with ret_reason (TEXT_LEN): the operator's, or the file. */
bool disable_reason(const char *state_dir, const struct service_cfg *s, char *ret_reason);
/* reason NULL: enable. 0 or -errno with ret_why (TEXT_LEN). */
int disable_set(const char *state_dir, const struct service_cfg *s, const char *reason, char *ret_why);
#endif
