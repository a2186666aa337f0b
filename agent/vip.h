/* SPDX-License-Identifier: Apache-2.0
 * Service addresses on an interface of this machine, by rtnetlink. Needs CAP_NET_ADMIN to change anything.
 * Each call asks the kernel and is done when it returns. */
#ifndef AGENT_VIP_H
#define AGENT_VIP_H
#include <stdbool.h>

#include "proto/wire/msg.h"

/* Is the address there? Negative (libnl's) when the kernel does not say. */
int vip_present(const char *interface, const struct prefix *address);
/* Puts it there; create: makes the interface, of kind dummy, when it is missing, and sets it up. 1: it was
 * missing, 0: it was there, negative with ret_why (TEXT_LEN) in words. */
int vip_add(const char *interface, bool create, const struct prefix *address, char *ret_why);
/* 1: removed, 0: it was not there, negative with ret_why. */
int vip_remove(const char *interface, const struct prefix *address, char *ret_why);
#endif
