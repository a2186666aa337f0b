/* SPDX-License-Identifier: Apache-2.0
 * Failures that a drill rehearses on this node: a dead shard or service, silence, deafness. Owns what is
 * simulated now; nothing is kept on disk, so a restarted agent simulates nothing. Every one ends by itself on
 * this machine's clock (orders_now_us): for_ms after it was last said, an hour after its drill began.
 * Pure but for its memory. */
#ifndef AGENT_SIMULATE_H
#define AGENT_SIMULATE_H
#include "proto/wire/msg.h"

struct simulated {
	char drill[NAME_LEN]; /* "": none */
	uint64_t began_us;    /* this drill was first heard of */
	struct {
		struct simulate s;
		uint64_t end_us;
	} * list;
	size_t n;
};
/* Takes what the directive says, all of it. refuse: agent.yaml says drills: off; then nothing is simulated
 * and ret_why (TEXT_LEN) says so when something was asked for. True: something changed. */
bool simulated_take(struct simulated *m, const struct msg_directive *d, bool refuse, uint64_t now_us,
		    char *ret_why);
/* Drops what has run out. True: something did. */
bool simulated_expire(struct simulated *m, uint64_t now_us);
/* The service as a whole; or this shard of it, when shard is not NULL. */
bool simulated_dead(const struct simulated *m, const char *service, const char *shard);
bool simulated_mute(const struct simulated *m); /* deaf is mute, too */
bool simulated_deaf(const struct simulated *m);
void simulated_done(struct simulated *m);
#endif
