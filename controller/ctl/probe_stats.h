/* SPDX-License-Identifier: Apache-2.0
 * What a row of attempts at one address says: who answers, what is lost, how long a switch took. Pure: fed in
 * the order of the attempts' starts. An outage is a run of attempts without an answer, from the start of the
 * last answered one before it to the start of the first answered one after it. A switch is when the one that
 * answered is heard no more for PROBE_QUIET answers of others: several nodes behind one address answer in
 * turn, and that is no switch. Its gap is from the start of the old one's last answer to the start of the
 * first answer after it, by whomever. */
#ifndef CTL_PROBE_STATS_H
#define CTL_PROBE_STATS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_NAME	64
#define PROBE_WHY	128
#define PROBE_NODES	64 /* answerers told apart; the rest are "others" */
#define PROBE_QUIET	10
#define PROBE_LATENCIES 1024

struct probe_result {
	int64_t start_us; /* monotonic */
	bool ok;
	int64_t took_us;       /* when ok */
	char node[PROBE_NAME]; /* who answered; "" not known */
	char error[PROBE_WHY]; /* when not ok */
};

struct probe_node {
	char name[PROBE_NAME];
	uint64_t answers;
	int64_t last_us;		/* start of its last answer */
	uint32_t took[PROBE_LATENCIES]; /* the newest, in us, a ring */
};

enum probe_event_kind { PROBE_OUTAGE_START, PROBE_OUTAGE_END, PROBE_SWITCH };
struct probe_event {
	enum probe_event_kind kind;
	int64_t at_us; /* start of the attempt that it began with */
	char from[PROBE_NAME], to[PROBE_NAME];
	int64_t gap_us;	       /* END, SWITCH */
	uint64_t lost;	       /* END: in it; SWITCH: in its gap */
	char error[PROBE_WHY]; /* START: of the first one lost */
};

struct probe_stats {
	uint64_t sent, lost;
	struct probe_node nodes[PROBE_NODES];
	size_t n_nodes;
	uint64_t outages, switches;
	int64_t longest_us, longest_switch_us;
	char error[PROBE_WHY]; /* the newest */
	/* private */
	int current; /* index of who answers; -1: nobody yet */
	int64_t last_ok_us;
	uint64_t run, lost_before; /* lost in the present run; lost when current last answered */
	unsigned quiet;		   /* answers of others since */
	int next;		   /* who answered first after current */
	int64_t next_us;
	uint64_t next_lost;
};

void probe_stats_init(struct probe_stats *s);
/* fn is called for what this result shows, at most twice. */
void probe_stats_feed(struct probe_stats *s, const struct probe_result *r,
		      void (*fn)(const struct probe_event *e, void *arg), void *arg);
/* Of a node's newest answers: p in 0..1; 0 when there are none. */
int64_t probe_percentile_us(const struct probe_node *n, double p);
/* The node that answers now, or "". */
const char *probe_current(const struct probe_stats *s);
#endif
