/* SPDX-License-Identifier: Apache-2.0
 * Steps -> the lines to type into bgpd's vty, as one configure session. Pure.
 * A line belongs to a step or to the session. When a step's line is refused the rest of that step is to be
 * skipped; when a session's line is refused everything but the last line (`end`) is. */
#ifndef FRR_COMMAND_H
#define FRR_COMMAND_H
#include "agent/frr/diff.h"

#define COMMAND_SESSION SIZE_MAX /* command.step of a line that is no step's */

struct command {
	char *line;
	size_t step; /* index into diff.steps, or COMMAND_SESSION */
};

struct command_list {
	struct command *commands;
	size_t n, cap;
};

/* asn and instances: from frr_config. `router bgp` names the AS only where there are several instances,
 * because with an AS it would make one that is missing. Empty when d is. */
void command_build(const struct diff *d, uint32_t asn, size_t instances, struct command_list *ret);
void command_list_done(struct command_list *l);

/* What bgpd's answer means. 8.4 answers some malformed lines with status 0 and text "% ...". */
enum verdict { VERDICT_OK, VERDICT_REFUSED };
enum verdict command_verdict(const struct step *s, int status, const char *text);
/* Read-back questions; buf holds COMMAND_LEN. */
#define COMMAND_LEN 192
void command_show_path(const struct prefix *p, char *buf);
/* false when the name is nothing `neighbors X` could take. */
bool command_show_advertised(enum afi afi, const char *neighbour, char *buf);
/* false when the name is no route-map's that can be asked for. */
bool command_show_map(const char *map, char *buf);
#endif
