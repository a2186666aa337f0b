/* SPDX-License-Identifier: Apache-2.0
 * Texts of /proc to numbers. Pure; text is NUL-terminated. 0 or ERR_MALFORMED, outputs untouched then.
 * Sources: proc(5); net/ipv4/proc.c (snmp, netstat), net/ipv6/proc.c (snmp6), net/core/net-procfs.c
 * (softnet_stat), fs/proc/stat.c. */
#ifndef SAMPLE_PROC_H
#define SAMPLE_PROC_H
#include <stdint.h>

/* "Tcp: CurrEstab ...\nTcp: 7 ...": the number under a name. */
int proc_pair(const char *text, const char *group, const char *field, uint64_t *ret_value);
/* "Udp6RcvbufErrors   7": the number after a name. */
int proc_line(const char *text, const char *name, uint64_t *ret_value);
/* /proc/net/softnet_stat: packets dropped because a CPU's backlog was full, all CPUs together. */
int proc_softnet(const char *text, uint64_t *ret_drops);
/* First line of /proc/stat, ticks. Waiting (idle, iowait) is not busy, stolen time is: it cannot serve. */
int proc_cpu(const char *text, uint64_t *ret_busy, uint64_t *ret_total);
#endif
