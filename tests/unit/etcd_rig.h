/* SPDX-License-Identifier: Apache-2.0
 * Real etcd members on loopback ports of their own, in a directory in memory; they die with the test. */
#ifndef UNIT_ETCD_RIG_H
#define UNIT_ETCD_RIG_H
#include <sys/types.h>

#define ETCD_MEMBERS_MAX 3

struct etcd_rig {
	unsigned n;
	char dir[64];
	char *urls[ETCD_MEMBERS_MAX];
	int ports[ETCD_MEMBERS_MAX][2]; /* client, peer */
	pid_t pids[ETCD_MEMBERS_MAX];
	pid_t janitor; /* removes the directory when the test is gone */
};

/* Returns when all answer; fails the test otherwise. */
void etcd_rig_start(struct etcd_rig *r, unsigned n);
void etcd_rig_stop(struct etcd_rig *r);
/* SIGSTOP: returns when the member has stopped. */
void etcd_rig_signal(struct etcd_rig *r, unsigned member, int sig);
void etcd_rig_kill(struct etcd_rig *r, unsigned member);
void etcd_rig_again(struct etcd_rig *r, unsigned member);
/* Until the member answers, and with it a majority. */
void etcd_rig_wait(const struct etcd_rig *r, unsigned member);
#endif
