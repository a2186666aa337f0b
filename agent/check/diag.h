/* SPDX-License-Identifier: Apache-2.0
 * Sockets as the kernel lists them (sock_diag(7), linux/inet_diag.h), and the news that one was destroyed.
 * Needs no privilege; sees the network namespace of the process. */
#ifndef CHECK_DIAG_H
#define CHECK_DIAG_H
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct nl_sock;

/* Listening (TCP) or bound and unconnected (UDP) sockets that would serve target: on its address, or on any
 * address. *ret_inode: of one of them, 0 when there are none. Returns how many, or negative (libnl's). */
int diag_listeners(const struct sockaddr_storage *target, bool udp, uint32_t *ret_inode);
/* A non-blocking socket that receives a message whenever such a socket of this port is destroyed, and nothing
 * else: a filter in the kernel drops the connections' ends. NULL: not supported here. nl_socket_free() it. */
struct nl_sock *diag_watch(const struct sockaddr_storage *target, bool udp);
/* Reads and drops what is queued. True: there was something, or something was lost. */
bool diag_drain(struct nl_sock *s);
#endif
